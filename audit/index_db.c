/* The index in SQLite. Every value is bound, never put into a statement. */
#include "index_db.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "select.h"

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS recording(id TEXT PRIMARY KEY, start_ns "
	"INTEGER, size INTEGER, user TEXT, source TEXT, target TEXT, login "
	"TEXT, mfa TEXT, meta TEXT) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS line(n INTEGER PRIMARY KEY, rec TEXT NOT "
	"NULL, us INTEGER, channel INTEGER, place TEXT, text TEXT, "
	"UNIQUE(rec, place, text));"
	"CREATE VIRTUAL TABLE IF NOT EXISTS found USING fts5(text, "
	"content='line', content_rowid='n', tokenize='trigram');"
	"CREATE TRIGGER IF NOT EXISTS line_in AFTER INSERT ON line BEGIN "
	"INSERT INTO found(rowid, text) VALUES (new.n, new.text); END;"
	"CREATE TRIGGER IF NOT EXISTS line_out AFTER DELETE ON line BEGIN "
	"INSERT INTO found(found, rowid, text) VALUES ('delete', old.n, "
	"old.text); END;";

struct index_db {
	sqlite3 *db;
	char rec[SGR_ID_TEXT]; /* the one going in */
	sqlite3_stmt *add;
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

static enum sgb_err prepare_db(sqlite3 *db, bool write)
{
	/* What a text contains must not become code or memory without end. */
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
	(void)sqlite3_busy_timeout(db, 10000);
	if (!write)
		return SGB_OK;
	if (sqlite3_exec(db,
		    "PRAGMA journal_mode=WAL; PRAGMA synchronous="
		    "NORMAL;",
		    NULL, NULL, NULL) ||
		sqlite3_exec(db, schema, NULL, NULL, NULL))
		return SGB_ERR_FORMAT;
	return SGB_OK;
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
	mask = umask(077);
	code = sqlite3_open_v2(
		path, &index->db, flags | SQLITE_OPEN_NOFOLLOW, NULL);
	umask(mask);
	if (code || prepare_db(index->db, write)) {
		(void)snprintf(why, why_len,
			"index %.200s: %s; \"index\" makes one", path,
			index->db ? sqlite3_errmsg(index->db) : "no memory");
		index_close(index);
		return SGB_ERR_SYSTEM;
	}
	*ret = index;
	return SGB_OK;
}

void index_close(struct index_db *index)
{
	if (!index)
		return;
	sqlite3_finalize(index->add);
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
	static const char *const rows[] = {"DELETE FROM line WHERE rec = ?",
		"DELETE FROM recording WHERE id = ?"};
	enum sgb_err err = SGB_OK;
	size_t i;

	for (i = 0; !err && i < 2; i++) {
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
	const struct store_entry *entry, const char *meta)
{
	static const char *const names[] = {
		"user", "source", "target", "login", "mfa"};
	sqlite3_stmt *statement = NULL;
	enum sgb_err err = SGB_OK;
	size_t i;

	if (sqlite3_prepare_v2(index->db,
		    "INSERT INTO recording VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    -1, &statement, NULL))
		return SGB_ERR_SYSTEM;
	bind_text(statement, 1, entry->id);
	(void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)entry->start_ns);
	(void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)entry->size);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *text = json_member(meta, names[i]);

		bind_text(statement, 4 + (int)i, text);
		free(text);
	}
	bind_text(statement, 9, meta);
	if (sqlite3_step(statement) != SQLITE_DONE)
		err = SGB_ERR_SYSTEM;
	sqlite3_finalize(statement);
	return err;
}

enum sgb_err index_begin(struct index_db *index,
	const struct store_entry *entry, const char *meta)
{
	enum sgb_err err;

	memcpy(index->rec, entry->id, SGR_ID_TEXT);
	if (sqlite3_exec(index->db, "BEGIN IMMEDIATE", NULL, NULL, NULL))
		return SGB_ERR_BUSY;
	err = forget(index, entry->id);
	if (!err)
		err = add_recording(index, entry, meta);
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
