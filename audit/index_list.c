/*
 * Recordings out of the index, by who, where and when (index_filter.c); what
 * comes out is held against the filters once more.
 */
#include "index_db.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "index_own.h"
#include "select.h"

/* The latest first where only so many are wanted. */
static sqlite3_stmt *prepare_list(sqlite3 *db, const struct audit *audit,
	const struct index_filter *filter)
{
	sqlite3_stmt *statement = NULL;
	struct buf sql;

	buf_init(&sql, 20000);
	buf_printf(&sql,
		"SELECT id, start_ns, end_s, size, state, reason, meta FROM "
		"recording WHERE 1");
	index_filter_put(filter, &sql);
	buf_printf(&sql, " ORDER BY start_ns%s", audit->limit ? " DESC" : "");
	if (!buf_error(&sql) && !sqlite3_prepare_v2(db, (const char *)sql.data,
					(int)sql.len, &statement, NULL))
		index_filter_bind(filter, statement);
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

struct list {
	struct audit *audit;
	struct index_filter filter;
	index_entry row;
	void *data;
	/* With a limit: what is told at the end, the last first. */
	struct held {
		struct store_entry entry;
		char *meta;
	} * held;
	size_t count;
	enum sgb_err err;
};

/* False: that was enough, or there is no memory (list->err). */
static bool hold(
	struct list *list, const struct store_entry *entry, const char *meta)
{
	struct held *held = reallocarray(
		list->held, list->count + 1, sizeof(*held));

	if (held) {
		list->held = held;
		held[list->count].entry = *entry;
		held[list->count].meta = strdup(meta);
	}
	if (!held || !held[list->count++].meta) {
		list->err = SGB_ERR_NOMEM;
		return false;
	}
	return list->count < list->audit->limit;
}

static bool list_one(struct list *list, sqlite3_stmt *statement)
{
	const char *meta = (const char *)sqlite3_column_text(statement, 6);
	struct store_entry entry;

	meta = meta ? meta : "{}";
	if (!take_row(statement, &entry) ||
		!filter_entry(list->audit, &list->filter.filter, &entry) ||
		!filter_meta(list->audit, meta))
		return true;
	if (list->audit->limit)
		return hold(list, &entry, meta);
	list->row(list->data, &entry, meta);
	return true;
}

/* A list that is not whole is none. */
static void tell_held(struct list *list)
{
	while (list->count) {
		struct held *held = &list->held[--list->count];

		if (!list->err)
			list->row(list->data, &held->entry, held->meta);
		free(held->meta);
	}
	free(list->held);
}

enum sgb_err index_list(struct index_db *index, struct audit *audit,
	index_entry row, void *data, char *why, size_t why_len)
{
	struct list list = {.audit = audit, .row = row, .data = data};
	sqlite3_stmt *statement = NULL;
	int code = SQLITE_ERROR;
	bool more = true;

	if (!index_filter_init(index, audit, &list.filter))
		statement = prepare_list(index->db, audit, &list.filter);
	while (statement && more &&
		(code = sqlite3_step(statement)) == SQLITE_ROW)
		more = list_one(&list, statement);
	if (more && code != SQLITE_DONE)
		(void)snprintf(
			why, why_len, "index: %s", sqlite3_errmsg(index->db));
	sqlite3_finalize(statement);
	index_filter_done(&list.filter);
	tell_held(&list);
	if (list.err)
		(void)snprintf(
			why, why_len, "index: %s", sgb_err_text(list.err));
	if (list.err)
		return list.err;
	return !more || code == SQLITE_DONE ? SGB_OK : SGB_ERR_SYSTEM;
}
