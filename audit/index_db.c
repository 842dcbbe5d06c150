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

#define CURRENT_VERSION	 4
#define UPGRADED_VERSION 3 /* of an earlier program */
#define SCHEMA_VERSION	 "4"
#define CHECK_MAX	 (256 * 1024 * 1024)

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

/* Only what is damaged or somebody else's may be made anew: that another has
 * it in use, or that a disk is full, says nothing against what is in it. */
static enum sgb_err sort_error(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE: return SGB_OK;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: return SGB_ERR_FORMAT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return SGB_ERR_BUSY;
	case SQLITE_NOMEM: return SGB_ERR_NOMEM;
	default: return SGB_ERR_SYSTEM;
	}
}

/* Of a statement that is right whatever is in the file. */
static enum sgb_err sort_reading(int code)
{
	return code == SQLITE_ERROR || code == SQLITE_TOOBIG ||
			       code == SQLITE_DONE
		       ? SGB_ERR_FORMAT
		       : sort_error(code);
}

static enum sgb_err one_number(sqlite3 *db, const char *sql, int *ret)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

	if (!code)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return sort_reading(code);
}

/* Nothing but what the schema makes: no views, no triggers and no tables of
 * others, whatever the file came from. SGB_ERR_FORMAT: it is not;
 * SGB_ERR_STALE: it is of the version before. */
static enum sgb_err check_schema(sqlite3 *db)
{
	int version = 0, others = 0;
	enum sgb_err err = one_number(db, "PRAGMA user_version", &version);

	if (!err)
		err = one_number(db,
			"SELECT count(*) FROM sqlite_schema "
			"WHERE type IN ('view', 'trigger') OR "
			"(type = 'table' AND name NOT IN "
			"('recording', 'name', 'block', 'gram', 'gram_data', "
			"'gram_idx', 'gram_config', 'sqlite_sequence', "
			"'sqlite_stat1'))",
			&others);
	if (err)
		return err;
	if (others ||
		(version != CURRENT_VERSION && version != UPGRADED_VERSION))
		return SGB_ERR_FORMAT;
	return version == CURRENT_VERSION ? SGB_OK : SGB_ERR_STALE;
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

static enum sgb_err make_schema(sqlite3 *db)
{
	int have = 0, code;
	enum sgb_err err = one_number(
		db, "SELECT count(*) FROM sqlite_schema", &have);

	if (err || have)
		return err;
	code = sqlite3_exec(db,
		"PRAGMA page_size=16384; PRAGMA journal_mode=WAL; "
		"BEGIN IMMEDIATE;",
		NULL, NULL, NULL);
	if (!code)
		code = sqlite3_exec(db, schema, NULL, NULL, NULL);
	if (!code)
		code = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	return sort_error(code);
}

static enum sgb_err prepare_db(sqlite3 *db, bool write)
{
	enum sgb_err err;
	int code;

	harden(db);
	err = write ? make_schema(db) : SGB_OK;
	if (err)
		return err;
	if (write)
		(void)sqlite3_exec(db,
			"PRAGMA synchronous=NORMAL; PRAGMA cache_size=-65536",
			NULL, NULL, NULL);
	err = check_schema(db);
	if (err != SGB_ERR_STALE || !write)
		return err;
	code = sqlite3_exec(db, upgrade, NULL, NULL, NULL);
	/* It calls itself version 3 and has not what that has. */
	return code == SQLITE_ERROR ? SGB_ERR_FORMAT : sort_error(code);
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

static void tell_why(
	const struct index_db *index, enum sgb_err err, char *why, size_t len)
{
	bool told = index->db && sort_error(sqlite3_errcode(index->db));
	const char *what = !index->db ? "no memory"
			   : told     ? sqlite3_errmsg(index->db)
				      : "not its schema";

	if (err == SGB_ERR_STALE)
		(void)snprintf(why, len,
			"index %.200s: of an earlier version; \"index\" brings "
			"it up to date",
			index->path);
	else if (err == SGB_ERR_FORMAT)
		(void)snprintf(why, len,
			"index %.160s: damaged, or not one of this version "
			"(%.60s); \"index\" makes one anew",
			index->path, what);
	else
		(void)snprintf(why, len, "index %.200s: %.60s%s", index->path,
			what,
			err == SGB_ERR_BUSY ? "; another uses it: try again"
					    : "");
}

enum sgb_err index_open(struct audit *audit, bool write, struct index_db **ret,
	char *why, size_t why_len)
{
	struct index_db *index = calloc(1, sizeof(*index));
	int flags = write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
			  : SQLITE_OPEN_READONLY;
	enum sgb_err err;
	mode_t mask;

	if (!index) {
		(void)snprintf(why, why_len, "out of memory");
		return SGB_ERR_NOMEM;
	}
	place(audit, index->path);
	if (write)
		make_folders(index->path);
	if (!write && access(index->path, F_OK) && errno == ENOENT) {
		(void)snprintf(why, why_len,
			"index %.200s: not there; \"sgbridge-audit index\" "
			"makes "
			"it",
			index->path);
		free(index);
		return SGB_ERR_NOTFOUND;
	}
	if (!is_private(index->path)) {
		(void)snprintf(why, why_len,
			"index %.200s: must be a file of your own, mode 0600",
			index->path);
		free(index);
		return SGB_ERR_SYSTEM;
	}
	mask = umask(077);
	err = sort_error(sqlite3_open_v2(
		index->path, &index->db, flags | SQLITE_OPEN_NOFOLLOW, NULL));
	umask(mask);
	if (!err)
		err = prepare_db(index->db, write);
	if (err) {
		tell_why(index, err, why, why_len);
		index_close(index);
		return err;
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
	bool whole = true;
	struct stat st;
	int code;

	if (stat(index->path, &st) || st.st_size > CHECK_MAX)
		return true;
	code = sqlite3_prepare_v2(
		index->db, "PRAGMA quick_check(1)", -1, &statement, NULL);
	if (!code)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		const char *word = (const char *)sqlite3_column_text(
			statement, 0);

		whole = !word || !strcmp(word, "ok");
	}
	sqlite3_finalize(statement);
	return whole && sort_reading(code) != SGB_ERR_FORMAT;
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
