/* The baseline in SQLite. Every value is bound, never put into a statement. */
#include "baseline.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"

#define SCHEMA_VERSION 1
#define VALUE_MAX      (1024 * 1024)

static const char schema[] =
	"CREATE TABLE place(id INTEGER PRIMARY KEY, file TEXT, line_at "
	"INTEGER, next_at INTEGER, seq INTEGER, hash BLOB, begins_ms INTEGER, "
	"rules TEXT);"
	"CREATE TABLE person(user TEXT PRIMARY KEY, logons INTEGER, days "
	"INTEGER, last_day INTEGER, first_ms INTEGER, last_ms INTEGER, factor "
	"INTEGER, factor_ms INTEGER, most INTEGER, most_ms INTEGER, burst "
	"INTEGER, told INTEGER) WITHOUT ROWID;"
	"CREATE TABLE known(user TEXT, kind INTEGER, value TEXT, count "
	"INTEGER, first_ms INTEGER, last_ms INTEGER, PRIMARY KEY(user, kind, "
	"value)) WITHOUT ROWID;"
	"CREATE TABLE use(target TEXT, user TEXT, factor INTEGER, plain "
	"INTEGER, last_plain_ms INTEGER, PRIMARY KEY(target, user)) WITHOUT "
	"ROWID;"
	"CREATE TABLE recent(user TEXT, target TEXT, ms INTEGER, seq INTEGER, "
	"refused INTEGER, PRIMARY KEY(user, target)) WITHOUT ROWID;"
	"CREATE TABLE failing(kind INTEGER, name TEXT, first_ms INTEGER, "
	"last_ms INTEGER, count INTEGER, first_seq INTEGER, last_seq INTEGER, "
	"names TEXT, PRIMARY KEY(kind, name)) WITHOUT ROWID;"
	"CREATE TABLE finding(id TEXT PRIMARY KEY, kind INTEGER, seq INTEGER, "
	"ms INTEGER, user TEXT, source TEXT, key TEXT, target TEXT, login "
	"TEXT, mfa TEXT, conn TEXT, text TEXT, facts TEXT, events TEXT, state "
	"INTEGER);"
	"CREATE INDEX by_ms ON finding(ms);"
	"CREATE INDEX by_state ON finding(state) WHERE state = 0;"
	"CREATE TABLE taken(stamp TEXT PRIMARY KEY, ms INTEGER) WITHOUT ROWID;";

static const char *const tables[] = {"place", "person", "known", "use",
	"recent", "failing", "finding", "taken"};
#define TABLES (sizeof(tables) / sizeof(tables[0]))

static const char *const statements[BASELINE_SQL_COUNT] = {
#define X(name, sql) [BASELINE_##name] = (sql),
#include "baseline_sql.def"
#undef X
};

struct baseline {
	sqlite3 *db;
	sqlite3_stmt *prepared[BASELINE_SQL_COUNT];
	int lock_fd; /* or -1 */
	enum sgb_err err;
};

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

/* No views, no triggers, no tables of others: a file's own code is never run,
 * whoever put it there. */
static bool is_ours(sqlite3 *db)
{
	return one_number(db, "PRAGMA user_version") == SCHEMA_VERSION &&
	       one_number(db,
		       "SELECT count(*) FROM sqlite_schema WHERE type = 'view' "
		       "OR type = 'trigger' OR (type = 'table' AND name NOT IN "
		       "('place', 'person', 'known', 'use', 'recent', "
		       "'failing', 'finding', 'taken', 'sqlite_stat1'))") == 0;
}

static enum sgb_err prepare_db(sqlite3 *db)
{
	char version[60];

	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
	(void)sqlite3_db_config(
		db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
	(void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, VALUE_MAX);
	(void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
	(void)sqlite3_busy_timeout(db, 10000);
	(void)sqlite3_exec(db, "PRAGMA cell_size_check=ON", NULL, NULL, NULL);
	(void)snprintf(version, sizeof(version),
		"PRAGMA user_version = %d; COMMIT", SCHEMA_VERSION);
	if (one_number(db, "SELECT count(*) FROM sqlite_schema") == 0 &&
		(sqlite3_exec(db, "PRAGMA journal_mode=WAL; BEGIN IMMEDIATE",
			 NULL, NULL, NULL) ||
			sqlite3_exec(db, schema, NULL, NULL, NULL) ||
			sqlite3_exec(db, version, NULL, NULL, NULL)))
		return SGB_ERR_FORMAT;
	(void)sqlite3_exec(db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
	return is_ours(db) ? SGB_OK : SGB_ERR_FORMAT;
}

/* Others could write into it what is usual. */
static bool is_private(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT;
	return S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	       !(st.st_mode & 077);
}

/* Over a whole run, of which the database's own locks see parts: two runs at
 * once would tell the trail the same things twice. */
static enum sgb_err take_lock(struct baseline *baseline, const char *path)
{
	char name[PATH_MAX];
	int len = snprintf(name, sizeof(name), "%s.lock", path);

	if (len < 0 || (size_t)len >= sizeof(name)) {
		errno = ENAMETOOLONG;
		return SGB_ERR_SYSTEM;
	}
	baseline->lock_fd = open(name,
		O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (baseline->lock_fd < 0)
		return SGB_ERR_SYSTEM;
	while (flock(baseline->lock_fd, LOCK_EX))
		if (errno != EINTR)
			return SGB_ERR_SYSTEM;
	return SGB_OK;
}

enum sgb_err baseline_open(
	const char *path, struct baseline **ret, char *why, size_t why_len)
{
	struct baseline *baseline = calloc(1, sizeof(*baseline));
	mode_t mask;
	int code;

	if (!baseline)
		return SGB_ERR_NOMEM;
	baseline->lock_fd = -1;
	if (path && !is_private(path)) {
		(void)snprintf(why, why_len,
			"%.200s: must be a file of your own, mode 0600", path);
		free(baseline);
		return SGB_ERR_SYSTEM;
	}
	if (path && take_lock(baseline, path)) {
		(void)snprintf(
			why, why_len, "%.200s.lock: %s", path, strerror(errno));
		baseline_close(baseline);
		return SGB_ERR_SYSTEM;
	}
	mask = umask(077);
	code = sqlite3_open_v2(path ? path : ":memory:", &baseline->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
			SQLITE_OPEN_NOFOLLOW,
		NULL);
	if (!code && prepare_db(baseline->db))
		code = SQLITE_NOTADB;
	umask(mask);
	if (code) {
		(void)snprintf(why, why_len,
			"%.200s: %s; it can be deleted, and is made again",
			path ? path : "memory",
			code == SQLITE_NOTADB ? "not a baseline of this version"
					      : sqlite3_errstr(code));
		baseline_close(baseline);
		return SGB_ERR_SYSTEM;
	}
	*ret = baseline;
	return SGB_OK;
}

void baseline_close(struct baseline *baseline)
{
	size_t i;

	if (!baseline)
		return;
	for (i = 0; i < BASELINE_SQL_COUNT; i++)
		sqlite3_finalize(baseline->prepared[i]);
	sqlite3_close(baseline->db);
	if (baseline->lock_fd >= 0)
		close(baseline->lock_fd);
	free(baseline);
}

static void run(struct baseline *baseline, const char *sql)
{
	if (!baseline->err && sqlite3_exec(baseline->db, sql, NULL, NULL, NULL))
		baseline->err = SGB_ERR_SYSTEM;
}

enum sgb_err baseline_begin(struct baseline *baseline)
{
	run(baseline, "BEGIN IMMEDIATE");
	return baseline->err;
}

enum sgb_err baseline_commit(struct baseline *baseline)
{
	size_t i;

	for (i = 0; i < BASELINE_SQL_COUNT; i++)
		(void)sqlite3_reset(baseline->prepared[i]);
	run(baseline, "COMMIT");
	if (baseline->err)
		(void)sqlite3_exec(baseline->db, "ROLLBACK", NULL, NULL, NULL);
	return baseline->err;
}

void baseline_clear(struct baseline *baseline)
{
	char sql[60];
	size_t i;

	for (i = 0; i < TABLES; i++) {
		(void)snprintf(sql, sizeof(sql), "DELETE FROM %s", tables[i]);
		run(baseline, sql);
	}
}

enum sgb_err baseline_error(const struct baseline *baseline)
{
	return baseline->err;
}

static void bind_all(sqlite3_stmt *statement, const char *types, va_list args)
{
	const char *text;
	int at;

	for (at = 1; *types; types++, at++) {
		switch (*types) {
		case 't':
			text = va_arg(args, const char *);
			(void)sqlite3_bind_text(statement, at, text ? text : "",
				-1, SQLITE_TRANSIENT);
			break;
		case 'h':
			(void)sqlite3_bind_blob(statement, at,
				va_arg(args, const uint8_t *), SUITE_HASH_LEN,
				SQLITE_TRANSIENT);
			break;
		default:
			(void)sqlite3_bind_int64(
				statement, at, va_arg(args, int64_t));
		}
	}
}

static sqlite3_stmt *prepare(struct baseline *baseline, enum baseline_sql which)
{
	sqlite3_stmt **statement = &baseline->prepared[which];

	if (baseline->err)
		return NULL;
	if (!*statement &&
		sqlite3_prepare_v3(baseline->db, statements[which], -1,
			SQLITE_PREPARE_PERSISTENT, statement, NULL)) {
		baseline->err = SGB_ERR_SYSTEM;
		return NULL;
	}
	(void)sqlite3_reset(*statement);
	return *statement;
}

sqlite3_stmt *baseline_query(struct baseline *baseline, enum baseline_sql which,
	const char *types, ...)
{
	sqlite3_stmt *statement = prepare(baseline, which);
	va_list args;

	va_start(args, types);
	if (statement)
		bind_all(statement, types, args);
	va_end(args);
	return statement;
}

bool baseline_next(struct baseline *baseline, sqlite3_stmt *statement)
{
	int code = statement ? sqlite3_step(statement) : SQLITE_DONE;

	if (code != SQLITE_ROW && statement)
		(void)sqlite3_reset(statement);
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		baseline->err = SGB_ERR_SYSTEM;
	return code == SQLITE_ROW;
}

void baseline_do(struct baseline *baseline, enum baseline_sql which,
	const char *types, ...)
{
	sqlite3_stmt *statement = prepare(baseline, which);
	va_list args;

	va_start(args, types);
	if (statement)
		bind_all(statement, types, args);
	va_end(args);
	while (baseline_next(baseline, statement))
		;
}

const char *baseline_text(sqlite3_stmt *statement, int column)
{
	const unsigned char *text = sqlite3_column_text(statement, column);

	return text ? (const char *)text : "";
}
