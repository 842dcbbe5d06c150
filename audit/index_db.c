/* The index in SQLite. Every value is bound, never put into a statement. */
#include "index_db.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "index_own.h"
#include "select.h"

#define SCHEMA_VERSION "2"
#define TEXT_LIMIT     (16 * 1024 * 1024)

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS recording(id TEXT PRIMARY KEY, start_ns "
	"INTEGER, end_s INTEGER, size INTEGER, state INTEGER, reason INTEGER, "
	"given_up INTEGER, user TEXT, source TEXT, target TEXT, login "
	"TEXT, mfa TEXT, meta TEXT);"
	"CREATE INDEX IF NOT EXISTS by_start ON recording(start_ns);"
	"CREATE INDEX IF NOT EXISTS by_user ON recording(user, start_ns);"
	"CREATE INDEX IF NOT EXISTS by_target ON recording(target, start_ns);"
	"CREATE INDEX IF NOT EXISTS by_login ON recording(login, start_ns);"
	"CREATE INDEX IF NOT EXISTS by_source ON recording(source, start_ns);"
	"CREATE TABLE IF NOT EXISTS line(n INTEGER PRIMARY KEY, rec TEXT NOT "
	"NULL, us INTEGER, channel INTEGER, place TEXT, text TEXT, "
	"UNIQUE(rec, place, text));"
	"CREATE VIRTUAL TABLE IF NOT EXISTS found USING fts5(text, "
	"content='line', content_rowid='n', tokenize='trigram');"
	"PRAGMA user_version = " SCHEMA_VERSION ";";

struct index_db {
	sqlite3 *db;
	char rec[SGR_ID_TEXT]; /* the one going in */
	sqlite3_stmt *add, *gram;
};

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
static bool is_ours(sqlite3 *db)
{
	return one_number(db, "PRAGMA user_version") == atoi(SCHEMA_VERSION) &&
	       one_number(db,
		       "SELECT count(*) FROM sqlite_schema WHERE type = 'view' "
		       "OR type = 'trigger' OR (type = 'table' AND name NOT IN "
		       "('recording', 'line', 'found', 'found_data', "
		       "'found_idx', 'found_docsize', 'found_config', "
		       "'sqlite_stat1'))") == 0;
}

static void harden(sqlite3 *db)
{
	/* What a text contains must not become code or memory without end. */
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
	(void)sqlite3_db_config(
		db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
	(void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, TEXT_LIMIT);
	(void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
	(void)sqlite3_busy_timeout(db, 10000);
	(void)sqlite3_exec(db, "PRAGMA cell_size_check=ON", NULL, NULL, NULL);
}

static enum sgb_err prepare_db(sqlite3 *db, bool write)
{
	harden(db);
	if (write &&
		one_number(db, "SELECT count(*) FROM sqlite_schema") == 0 &&
		(sqlite3_exec(db, "PRAGMA journal_mode=WAL; BEGIN IMMEDIATE;",
			 NULL, NULL, NULL) ||
			sqlite3_exec(db, schema, NULL, NULL, NULL) ||
			sqlite3_exec(db, "COMMIT", NULL, NULL, NULL)))
		return SGB_ERR_FORMAT;
	if (write)
		(void)sqlite3_exec(
			db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
	return is_ours(db) ? SGB_OK : SGB_ERR_FORMAT;
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
	char path[PATH_MAX];
	mode_t mask;
	int code;

	if (!index)
		return SGB_ERR_NOMEM;
	place(audit, path);
	if (write)
		make_folders(path);
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
	if (code || prepare_db(index->db, write)) {
		(void)snprintf(why, why_len,
			"index %.200s: %s; \"index\" makes one, delete what "
			"is there",
			path,
			!index->db ? "no memory"
			: code	   ? sqlite3_errmsg(index->db)
				   : "not one of this version");
		index_close(index);
		return SGB_ERR_SYSTEM;
	}
	*ret = index;
	return SGB_OK;
}

sqlite3 *index_sqlite(struct index_db *index)
{
	return index->db;
}

void index_close(struct index_db *index)
{
	if (!index)
		return;
	sqlite3_finalize(index->add);
	sqlite3_finalize(index->gram);
	sqlite3_close(index->db);
	free(index);
}

static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
	(void)sqlite3_bind_text(statement, at, text, -1, SQLITE_TRANSIENT);
}

bool index_has(struct index_db *index, const struct store_entry *entry)
{
	sqlite3_stmt *statement = NULL;
	bool has = false;

	if (sqlite3_prepare_v2(index->db,
		    "SELECT size FROM recording WHERE id = ?", -1, &statement,
		    NULL))
		return false;
	bind_text(statement, 1, entry->id);
	if (sqlite3_step(statement) == SQLITE_ROW)
		has = (uint64_t)sqlite3_column_int64(statement, 0) ==
		      entry->size;
	sqlite3_finalize(statement);
	return has;
}

static enum sgb_err forget(struct index_db *index, const char *id)
{
	/* Not triggers: a file's own code is never run. */
	static const char *const rows[] = {
		("INSERT INTO found(found, rowid, text) SELECT 'delete', n, "
		 "text FROM line WHERE rec = ?"),
		"DELETE FROM line WHERE rec = ?",
		"DELETE FROM recording WHERE id = ?"};
	enum sgb_err err = SGB_OK;
	size_t i;

	for (i = 0; !err && i < sizeof(rows) / sizeof(rows[0]); i++) {
		sqlite3_stmt *statement = NULL;

		if (sqlite3_prepare_v2(
			    index->db, rows[i], -1, &statement, NULL))
			return SGB_ERR_SYSTEM;
		bind_text(statement, 1, id);
		if (sqlite3_step(statement) != SQLITE_DONE)
			err = SGB_ERR_SYSTEM;
		sqlite3_finalize(statement);
	}
	return err;
}

static enum sgb_err add_recording(struct index_db *index,
	const struct store_entry *entry, const char *meta, bool given_up)
{
	static const char *const names[] = {
		"user", "source", "target", "login", "mfa"};
	sqlite3_stmt *statement = NULL;
	enum sgb_err err = SGB_OK;
	size_t i;

	if (sqlite3_prepare_v2(index->db,
		    "INSERT INTO recording VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, "
		    "?, ?, ?, ?)",
		    -1, &statement, NULL))
		return SGB_ERR_SYSTEM;
	bind_text(statement, 1, entry->id);
	(void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)entry->start_ns);
	(void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)entry->end_s);
	(void)sqlite3_bind_int64(statement, 4, (sqlite3_int64)entry->size);
	(void)sqlite3_bind_int(statement, 5, (int)entry->state);
	(void)sqlite3_bind_int(statement, 6, (int)entry->reason);
	(void)sqlite3_bind_int(statement, 7, given_up);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *text = json_member(meta, names[i]);

		bind_text(statement, 8 + (int)i, text);
		free(text);
	}
	bind_text(statement, 13, meta);
	if (sqlite3_step(statement) != SQLITE_DONE)
		err = SGB_ERR_SYSTEM;
	sqlite3_finalize(statement);
	return err;
}

enum sgb_err index_begin(struct index_db *index,
	const struct store_entry *entry, const char *meta, bool given_up)
{
	enum sgb_err err;

	memcpy(index->rec, entry->id, SGR_ID_TEXT);
	if (sqlite3_exec(index->db, "BEGIN IMMEDIATE", NULL, NULL, NULL))
		return SGB_ERR_BUSY;
	err = forget(index, entry->id);
	if (!err)
		err = add_recording(index, entry, meta, given_up);
	if (!err && !index->gram &&
		sqlite3_prepare_v2(index->db,
			"INSERT INTO found(rowid, text) VALUES (?, ?)", -1,
			&index->gram, NULL))
		err = SGB_ERR_SYSTEM;
	if (!err && !index->add &&
		sqlite3_prepare_v2(index->db,
			"INSERT OR IGNORE INTO line(rec, us, channel, place, "
			"text) VALUES (?, ?, ?, ?, ?)",
			-1, &index->add, NULL))
		err = SGB_ERR_SYSTEM;
	if (err)
		index_rollback(index);
	return err;
}

enum sgb_err index_add(struct index_db *index, const struct found_text *found)
{
	int code;

	bind_text(index->add, 1, index->rec);
	(void)sqlite3_bind_int64(index->add, 2, (sqlite3_int64)found->time_us);
	(void)sqlite3_bind_int64(index->add, 3, (sqlite3_int64)found->channel);
	bind_text(index->add, 4, found->where);
	bind_text(index->add, 5, found->text);
	code = sqlite3_step(index->add);
	(void)sqlite3_reset(index->add);
	/* 0: this line of this recording is in it already. */
	if (code == SQLITE_DONE && sqlite3_changes(index->db)) {
		(void)sqlite3_bind_int64(
			index->gram, 1, sqlite3_last_insert_rowid(index->db));
		bind_text(index->gram, 2, found->text);
		code = sqlite3_step(index->gram);
		(void)sqlite3_reset(index->gram);
	}
	return code == SQLITE_DONE ? SGB_OK : SGB_ERR_SYSTEM;
}

enum sgb_err index_commit(struct index_db *index)
{
	return sqlite3_exec(index->db, "COMMIT", NULL, NULL, NULL)
		       ? SGB_ERR_SYSTEM
		       : SGB_OK;
}

void index_rollback(struct index_db *index)
{
	(void)sqlite3_exec(index->db, "ROLLBACK", NULL, NULL, NULL);
}

/* As an FTS5 string: quotes doubled, so that nothing in it is an operator. */
static char *quoted(const char *pattern)
{
	char *text = malloc(2 * strlen(pattern) + 3), *at = text;

	if (!text)
		return NULL;
	*at++ = '"';
	for (; *pattern; pattern++) {
		if (*pattern == '"')
			*at++ = '"';
		*at++ = *pattern;
	}
	*at++ = '"';
	*at = '\0';
	return text;
}

/* Trigrams need three characters; less is a scan. */
static const char *statement_for(const char *pattern)
{
	size_t characters = 0;
	const char *at;

	for (at = pattern; *at; at++)
		characters += (*at & 0xc0) != 0x80;
#define ROWS \
	"SELECT l.rec, l.us, l.channel, l.place, l.text, r.meta, r.start_ns " \
	"FROM line l JOIN recording r ON r.id = l.rec WHERE "
	if (characters < 3)
		return ROWS "instr(lower(l.text), lower(?2)) ORDER BY l.n";
	return ROWS "l.n IN (SELECT rowid FROM found WHERE found MATCH ?1) "
		    "AND ?2 <> '' ORDER BY l.n";
#undef ROWS
}

static const char *column(sqlite3_stmt *statement, int at)
{
	const unsigned char *text = sqlite3_column_text(statement, at);

	return text ? (const char *)text : "";
}

enum sgb_err index_search(struct index_db *index, struct audit *audit,
	const char *pattern, index_row row, void *data, char *why,
	size_t why_len)
{
	sqlite3_stmt *statement = NULL;
	char *match = quoted(pattern);
	struct filter filter;
	int code;

	filter_init(audit, &filter);
	code = match ? sqlite3_prepare_v2(index->db, statement_for(pattern), -1,
			       &statement, NULL)
		     : SQLITE_NOMEM;
	if (!code) {
		if (sqlite3_bind_parameter_index(statement, "?1"))
			bind_text(statement, 1, match);
		bind_text(statement, 2, pattern);
		while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
			uint64_t start_ns = (uint64_t)sqlite3_column_int64(
				statement, 6);
			struct found_text found = {
				.time_us = (uint64_t)sqlite3_column_int64(
					statement, 1),
				.channel = (uint64_t)sqlite3_column_int64(
					statement, 2),
				.where = column(statement, 3),
				.text = column(statement, 4),
			};

			if (start_ns >= filter.since_ns &&
				start_ns < filter.until_ns &&
				filter_meta(audit, column(statement, 5)))
				row(data, column(statement, 0), &found);
		}
	}
	if (code != SQLITE_DONE)
		(void)snprintf(why, why_len,
			"index: %s; delete it and make it "
			"again with \"index\"",
			sqlite3_errmsg(index->db));
	sqlite3_finalize(statement);
	free(match);
	return code == SQLITE_DONE ? SGB_OK : SGB_ERR_SYSTEM;
}
