/*
 * The index's file: made, opened, closed, taken away. Every value is bound,
 * never put into a statement.
 */
#include "index_db.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "index_own.h"

#define SCHEMA_VERSION "4"
#define CHECK_MAX      (256 * 1024 * 1024)

/* What version 4 added: filters are answered by these. */
#define NAMES_SCHEMA \
	"CREATE INDEX IF NOT EXISTS by_state ON recording(state, start_ns);" \
	"CREATE INDEX IF NOT EXISTS by_mfa ON recording(mfa, start_ns);" \
	"CREATE TABLE IF NOT EXISTS name(kind INTEGER, text TEXT, " \
	"PRIMARY KEY(kind, text)) WITHOUT ROWID;"

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS recording(n INTEGER PRIMARY KEY, id TEXT "
	"UNIQUE NOT NULL, start_ns INTEGER, end_s INTEGER, size INTEGER, "
	"state INTEGER, reason INTEGER, given_up INTEGER, user TEXT, source "
	"TEXT, target TEXT, login TEXT, mfa TEXT, meta TEXT);"
	"CREATE INDEX IF NOT EXISTS by_start ON recording(start_ns);"
	"CREATE INDEX IF NOT EXISTS by_user ON recording(user, start_ns);"
	"CREATE INDEX IF NOT EXISTS by_target ON recording(target, start_ns);"
	"CREATE INDEX IF NOT EXISTS by_login ON recording(login, start_ns);"
	"CREATE INDEX IF NOT EXISTS by_source ON recording(source, "
	"start_ns);" NAMES_SCHEMA
	"CREATE TABLE IF NOT EXISTS block(n INTEGER PRIMARY KEY AUTOINCREMENT, "
	"rec INTEGER NOT NULL, lines BLOB, text BLOB);"
	"CREATE INDEX IF NOT EXISTS by_rec ON block(rec);"
	"CREATE VIRTUAL TABLE IF NOT EXISTS gram USING fts5(t, content='', "
	"columnsize=0, detail=none, tokenize='ascii');"
	"INSERT INTO gram(gram, rank) VALUES('hashsize', 33554432);"
	"PRAGMA user_version = " SCHEMA_VERSION ";";

/* From version 3, of an earlier program. */
static const char upgrade[] =
	"BEGIN IMMEDIATE;" NAMES_SCHEMA
	"INSERT OR IGNORE INTO name SELECT DISTINCT 0, user FROM recording;"
	"INSERT OR IGNORE INTO name SELECT DISTINCT 1, source FROM recording;"
	"INSERT OR IGNORE INTO name SELECT DISTINCT 2, target FROM recording;"
	"INSERT OR IGNORE INTO name SELECT DISTINCT 3, login FROM recording;"
	"INSERT OR IGNORE INTO name SELECT DISTINCT 4, mfa FROM recording;"
	"PRAGMA user_version = " SCHEMA_VERSION ";"
	"COMMIT;";
#define UPGRADED_VERSION 3

static void place(const struct audit *audit, char path[PATH_MAX])
{
	const char *base = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

	if (audit->index && *audit->index)
		(void)snprintf(path, PATH_MAX, "%s", audit->index);
	else if (base && *base == '/')
		(void)snprintf(path, PATH_MAX, "%s/sgbridge/index.db", base);
	else
		(void)snprintf(path, PATH_MAX,
			"%s/.local/share/sgbridge/index.db",
			home && *home == '/' ? home : "");
}

static void make_folders(char *path)
{
	char *slash;

	for (slash = strchr(path + 1, '/'); slash;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0700);
		*slash = '/';
	}
}

static int one_number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	int number = -1;

	if (!sqlite3_prepare_v2(db, sql, -1, &statement, NULL) &&
		sqlite3_step(statement) == SQLITE_ROW)
		number = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return number;
}

/* Nothing but what the schema makes: no views, no triggers and no tables of
 * others, whatever the file came from. */
static bool is_ours(sqlite3 *db, int version)
{
	return one_number(db, "PRAGMA user_version") == version &&
	       one_number(db,
		       "SELECT count(*) FROM sqlite_schema WHERE type = 'view' "
		       "OR type = 'trigger' OR (type = 'table' AND name NOT IN "
		       "('recording', 'name', 'block', 'gram', 'gram_data', "
		       "'gram_idx', 'gram_config', 'sqlite_sequence', "
		       "'sqlite_stat1'))") == 0;
}

static void harden(sqlite3 *db)
{
	/* What a text contains must not become code or memory without end. */
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
	(void)sqlite3_db_config(
		db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
	(void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, INDEX_BLOB_MAX);
	(void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
	(void)sqlite3_busy_timeout(db, 10000);
	(void)sqlite3_exec(db, "PRAGMA cell_size_check=ON", NULL, NULL, NULL);
}

static enum sgb_err prepare_db(sqlite3 *db, bool write)
{
	harden(db);
	if (write &&
		one_number(db, "SELECT count(*) FROM sqlite_schema") == 0 &&
		(sqlite3_exec(db,
			 "PRAGMA page_size=16384; "
			 "PRAGMA journal_mode=WAL; BEGIN IMMEDIATE;",
			 NULL, NULL, NULL) ||
			sqlite3_exec(db, schema, NULL, NULL, NULL) ||
			sqlite3_exec(db, "COMMIT", NULL, NULL, NULL)))
		return SGB_ERR_FORMAT;
	if (write)
		(void)sqlite3_exec(db,
			"PRAGMA synchronous=NORMAL; PRAGMA cache_size=-65536",
			NULL, NULL, NULL);
	if (is_ours(db, atoi(SCHEMA_VERSION)))
		return SGB_OK;
	if (!is_ours(db, UPGRADED_VERSION))
		return SGB_ERR_FORMAT;
	if (!write)
		return SGB_ERR_STALE;
	return sqlite3_exec(db, upgrade, NULL, NULL, NULL) ? SGB_ERR_FORMAT
							   : SGB_OK;
}

/* Others could read what is in it, or write what is not. */
static bool is_private(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return true;
	return S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	       !(st.st_mode & 077);
}

enum sgb_err index_open(struct audit *audit, bool write, struct index_db **ret,
	char *why, size_t why_len)
{
	struct index_db *index = calloc(1, sizeof(*index));
	int flags = write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
			  : SQLITE_OPEN_READONLY;
	const char *path;
	enum sgb_err err;
	mode_t mask;
	int code;

	if (!index)
		return SGB_ERR_NOMEM;
	place(audit, index->path);
	path = index->path;
	if (write)
		make_folders(index->path);
	if (!is_private(path)) {
		(void)snprintf(why, why_len,
			"index %.200s: must be a file of your own, mode 0600",
			path);
		free(index);
		return SGB_ERR_SYSTEM;
	}
	mask = umask(077);
	code = sqlite3_open_v2(
		path, &index->db, flags | SQLITE_OPEN_NOFOLLOW, NULL);
	umask(mask);
	err = code ? SGB_ERR_FORMAT : prepare_db(index->db, write);
	if (err) {
		(void)snprintf(why, why_len, "index %.200s: %s", path,
			!index->db ? "no memory"
			: code	   ? sqlite3_errmsg(index->db)
			: err == SGB_ERR_STALE
				? "of an earlier version; \"index\" brings it "
				  "up to date"
				: "damaged, or not one of this version; "
				  "\"index\" makes one anew");
		index_close(index);
		return code == SQLITE_CANTOPEN ? SGB_ERR_SYSTEM
					       : SGB_ERR_FORMAT;
	}
	*ret = index;
	return SGB_OK;
}

sqlite3 *index_again(const struct index_db *index)
{
	sqlite3 *db = NULL;

	if (!sqlite3_open_v2(index->path, &db,
		    SQLITE_OPEN_READONLY | SQLITE_OPEN_NOFOLLOW, NULL) &&
		!prepare_db(db, false))
		return db;
	sqlite3_close(db);
	return NULL;
}

bool index_remove(struct audit *audit, bool keep)
{
	static const char *const ends[] = {"-wal", "-shm", "-journal"};
	char path[PATH_MAX], name[PATH_MAX + 10];
	bool gone;
	size_t i;

	place(audit, path);
	if (!is_private(path))
		return false;
	(void)snprintf(name, sizeof(name), "%s.old", path);
	gone = keep ? !rename(path, name) : !unlink(path);
	gone = gone || errno == ENOENT;
	for (i = 0; gone && i < sizeof(ends) / sizeof(ends[0]); i++) {
		(void)snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		gone = !unlink(name) || errno == ENOENT;
	}
	return gone;
}

bool index_is_whole(struct index_db *index)
{
	sqlite3_stmt *statement = NULL;
	bool whole = false;
	struct stat st;

	if (stat(index->path, &st) || st.st_size > CHECK_MAX)
		return true;
	if (!sqlite3_prepare_v2(
		    index->db, "PRAGMA quick_check(1)", -1, &statement, NULL) &&
		sqlite3_step(statement) == SQLITE_ROW) {
		const char *word = (const char *)sqlite3_column_text(
			statement, 0);

		whole = word && !strcmp(word, "ok");
	}
	sqlite3_finalize(statement);
	return whole;
}

void index_check(struct index_db *index, int code)
{
	code &= 0xff;
	if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB ||
		code == SQLITE_FORMAT)
		index->damaged = true;
}

bool index_is_damaged(const struct index_db *index)
{
	return index->damaged;
}

void index_close(struct index_db *index)
{
	if (!index)
		return;
	index_add_done(index);
	sqlite3_close(index->db);
	free(index);
}
