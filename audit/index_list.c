/*
 * Recordings out of the index, by who, where and when. Patterns become equality
 * or a range where they can, so that a million recordings are not looked at;
 * what comes out is held against the filters once more.
 */
#include "index_db.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "index_own.h"
#include "select.h"

#define FILTERS 4

struct bound {
	const char *column, *pattern;
};

/* As GLOB of SQLite: the characters that mean something else there are left to
 * the filter that follows. */
static bool is_simple(const char *pattern)
{
	return !strpbrk(pattern, "[]\\");
}

static bool is_plain(const char *pattern)
{
	return !strpbrk(pattern, "*?[]\\");
}

static size_t put_bounds(
	const struct audit *audit, struct bound bounds[FILTERS])
{
	const struct bound all[FILTERS] = {{"user", audit->user},
		{"target", audit->target}, {"login", audit->login},
		{"source", audit->source}};
	size_t count = 0, i;

	for (i = 0; i < FILTERS; i++)
		if (all[i].pattern && is_simple(all[i].pattern))
			bounds[count++] = all[i];
	return count;
}

void index_put_filter(const struct audit *audit, struct buf *sql)
{
	struct bound bounds[FILTERS];
	size_t count = put_bounds(audit, bounds), i;

	buf_printf(sql, " AND start_ns >= ?1 AND start_ns < ?2");
	for (i = 0; i < count; i++)
		buf_printf(sql, " AND %s %s ?%zu", bounds[i].column,
			is_plain(bounds[i].pattern) ? "=" : "GLOB", 3 + i);
}

void index_bind_filter(const struct audit *audit, const struct filter *filter,
	sqlite3_stmt *statement)
{
	struct bound bounds[FILTERS];
	size_t count = put_bounds(audit, bounds), i;

	(void)sqlite3_bind_int64(statement, 1, (sqlite3_int64)filter->since_ns);
	(void)sqlite3_bind_int64(statement, 2,
		filter->until_ns > INT64_MAX ? INT64_MAX
					     : (sqlite3_int64)filter->until_ns);
	for (i = 0; i < count; i++)
		(void)sqlite3_bind_text(statement, 3 + (int)i,
			bounds[i].pattern, -1, SQLITE_STATIC);
}

static sqlite3_stmt *prepare_list(
	sqlite3 *db, struct audit *audit, const struct filter *filter)
{
	sqlite3_stmt *statement = NULL;
	struct buf sql;

	buf_init(&sql, 2000);
	buf_printf(&sql,
		"SELECT id, start_ns, end_s, size, state, reason, meta FROM "
		"recording WHERE 1");
	index_put_filter(audit, &sql);
	buf_printf(&sql, " ORDER BY start_ns");
	if (!buf_error(&sql) && !sqlite3_prepare_v2(db, (const char *)sql.data,
					(int)sql.len, &statement, NULL))
		index_bind_filter(audit, filter, statement);
	buf_done(&sql);
	return statement;
}

/* False for a row that no index of ours has. */
static bool take_row(sqlite3_stmt *statement, struct store_entry *entry)
{
	const char *id = (const char *)sqlite3_column_text(statement, 0);
	uint8_t bytes[SGR_ID_LEN];
	int state = sqlite3_column_int(statement, 4);

	memset(entry, 0, sizeof(*entry));
	if (!id || sgr_id_parse(id, bytes) || state < STORE_UNKNOWN ||
		state > STORE_PURGED)
		return false;
	memcpy(entry->id, id, SGR_ID_TEXT);
	entry->state = (enum store_state)state;
	entry->present = true;
	entry->start_ns = (uint64_t)sqlite3_column_int64(statement, 1);
	entry->end_s = (uint64_t)sqlite3_column_int64(statement, 2);
	entry->size = (uint64_t)sqlite3_column_int64(statement, 3);
	entry->reason = (unsigned int)sqlite3_column_int(statement, 5);
	return true;
}

enum sgb_err index_list(struct index_db *index, struct audit *audit,
	index_entry row, void *data, char *why, size_t why_len)
{
	sqlite3 *db = index->db;
	struct store_entry entry;
	struct filter filter;
	sqlite3_stmt *statement;
	int code = SQLITE_ERROR;

	filter_init(audit, &filter);
	statement = prepare_list(db, audit, &filter);
	while (statement && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *meta = (const char *)sqlite3_column_text(
			statement, 6);

		if (take_row(statement, &entry) &&
			filter_entry(audit, &filter, &entry) &&
			filter_meta(audit, meta ? meta : "{}"))
			row(data, &entry, meta ? meta : "{}");
	}
	if (code != SQLITE_DONE)
		(void)snprintf(why, why_len, "index: %s", sqlite3_errmsg(db));
	sqlite3_finalize(statement);
	return code == SQLITE_DONE ? SGB_OK : SGB_ERR_SYSTEM;
}
