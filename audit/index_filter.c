/*
 * Filters as SQL. A million recordings are of some hundred persons, targets and
 * logins: a pattern is held against those names, and becomes a list of them,
 * which an index of SQLite answers. What is found so is held against the
 * filters once more by whoever asked, so this may let through too much, never
 * too little.
 */
#include "index_own.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* More names than this are no help: then all recordings of the time are looked
 * at. */
#define NAMES_MAX 512
/* Of so many recordings sorting costs more than looking at all of them. */
#define MANY 50000

const char *const index_columns[INDEX_COLUMNS] = {
	"user", "source", "target", "login", "mfa"};

struct bound {
	const char *column;
	char *names[NAMES_MAX];
	size_t count;
	int states; /* bits; of the column state alone */
	size_t hits;
};

struct bounds {
	struct bound rows[INDEX_COLUMNS + 1];
	size_t count;
};

static bool is_plain(const char *pattern)
{
	return !strpbrk(pattern, "*?[]\\");
}

static bool add_name(struct bound *bound, const char *name)
{
	if (bound->count == NAMES_MAX)
		return false;
	bound->names[bound->count] = strdup(name);
	return bound->names[bound->count] && ++bound->count;
}

static bool fits(const char *column, const char *want, const char *name)
{
	if (strcmp(column, "mfa") != 0)
		return !fnmatch(want, name, 0);
	return filter_is_mfa(name) == !strcmp(want, "yes");
}

/* The names of the column that fit. False: too many, or it cannot be told. */
static bool list_names(struct index_db *index, size_t column, const char *want,
	struct bound *bound)
{
	bool mfa = !strcmp(bound->column, "mfa");
	size_t fixed = mfa ? 0 : strcspn(want, "*?[\\");
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(index->db,
		"SELECT text FROM name WHERE kind = ?1 AND text >= ?2 ORDER BY "
		"text",
		-1, &statement, NULL);
	bool all = !code;

	(void)sqlite3_bind_int(statement, 1, (int)column);
	(void)sqlite3_bind_text(statement, 2, want, (int)fixed, SQLITE_STATIC);
	while (all && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(
			statement, 0);

		if (!name || strncmp(name, want, fixed) != 0)
			break;
		if (fits(bound->column, want, name))
			all = add_name(bound, name);
	}
	index_check(index, code);
	sqlite3_finalize(statement);
	return all && (code == SQLITE_ROW || code == SQLITE_DONE);
}

static void drop_names(struct bound *bound)
{
	while (bound->count)
		free(bound->names[--bound->count]);
}

static void add_column(struct index_db *index, size_t column, const char *want,
	struct bounds *bounds)
{
	struct bound *bound = &bounds->rows[bounds->count];
	bool good;

	if (!want)
		return;
	bound->column = index_columns[column];
	good = strcmp(bound->column, "mfa") != 0 && is_plain(want)
		       ? add_name(bound, want)
		       : list_names(index, column, want, bound);
	if (good)
		bounds->count++;
	else
		drop_names(bound);
}

static void add_state(const char *want, struct bounds *bounds)
{
	struct bound *bound = &bounds->rows[bounds->count];
	int state;

	if (!want)
		return;
	bounds->count++;
	bound->column = "state";
	for (state = STORE_UNKNOWN; state <= STORE_PURGED; state++)
		if (!strcmp(want, store_state_text((enum store_state)state)))
			bound->states |= 1 << state;
}

/* "user IN (?, ?)"; a plus in front keeps SQLite from using its index. */
static void put_bound(const struct bound *bound, bool use, struct buf *sql)
{
	size_t i, count = 0;

	buf_printf(sql, " AND %s%s IN (", use ? "" : "+", bound->column);
	for (i = 0; i < bound->count; i++)
		buf_printf(sql, "%s?", count++ ? "," : "");
	for (i = 0; i <= STORE_PURGED; i++)
		if (bound->states & 1 << i)
			buf_printf(sql, "%s%zu", count++ ? "," : "", i);
	buf_printf(sql, ")");
}

static void put_times(bool use, struct buf *sql)
{
	buf_printf(sql, " AND %sstart_ns >= ? AND %sstart_ns < ?",
		use ? "" : "+", use ? "" : "+");
}

static void bind_times(
	const struct filter *filter, sqlite3_stmt *statement, int *at)
{
	(void)sqlite3_bind_int64(
		statement, (*at)++, (sqlite3_int64)filter->since_ns);
	(void)sqlite3_bind_int64(statement, (*at)++,
		filter->until_ns > INT64_MAX ? INT64_MAX
					     : (sqlite3_int64)filter->until_ns);
}

static void bind_names(
	char *const *names, size_t count, sqlite3_stmt *statement, int *at)
{
	size_t i;

	for (i = 0; i < count; i++)
		(void)sqlite3_bind_text(
			statement, (*at)++, names[i], -1, SQLITE_STATIC);
}

/* How many recordings its index gives, as far as that is of interest. */
static void count_hits(struct index_db *index, const struct filter *filter,
	struct bound *bound)
{
	sqlite3_stmt *statement = NULL;
	struct buf sql;
	int at = 1;

	bound->hits = MANY;
	buf_init(&sql, 4096);
	buf_printf(&sql, "SELECT count(*) FROM (SELECT 1 FROM recording "
			 "WHERE 1");
	put_bound(bound, true, &sql);
	put_times(true, &sql);
	buf_printf(&sql, " LIMIT %d)", MANY);
	if (!buf_error(&sql) &&
		!sqlite3_prepare_v2(index->db, (const char *)sql.data,
			(int)sql.len, &statement, NULL)) {
		bind_names(bound->names, bound->count, statement, &at);
		bind_times(filter, statement, &at);
		if (sqlite3_step(statement) == SQLITE_ROW)
			bound->hits = (size_t)sqlite3_column_int64(
				statement, 0);
	}
	sqlite3_finalize(statement);
	buf_done(&sql);
}

/* Which index SQLite is to use: that with the fewest recordings, or, where all
 * have many, that of times, in whose order they are asked for. */
static void put_bounds(
	struct index_db *index, struct bounds *bounds, struct index_filter *ret)
{
	size_t best = bounds->count, i;

	for (i = 0; i < bounds->count; i++) {
		count_hits(index, &ret->filter, &bounds->rows[i]);
		if (bounds->rows[i].hits < MANY &&
			(best == bounds->count ||
				bounds->rows[i].hits < bounds->rows[best].hits))
			best = i;
	}
	for (i = 0; i < bounds->count; i++) {
		struct bound *bound = &bounds->rows[i];

		put_bound(bound, i == best, &ret->sql);
		memcpy(ret->names + ret->count, bound->names,
			bound->count * sizeof(ret->names[0]));
		ret->count += bound->count;
	}
	put_times(true, &ret->sql);
}

enum sgb_err index_filter_init(
	struct index_db *index, struct audit *audit, struct index_filter *ret)
{
	const char *want[INDEX_COLUMNS] = {audit->user, audit->source,
		audit->target, audit->login, audit->mfa};
	struct bounds *bounds = calloc(1, sizeof(*bounds));
	size_t i;

	memset(ret, 0, sizeof(*ret));
	filter_init(audit, &ret->filter);
	buf_init(&ret->sql, 16384);
	ret->names = calloc(INDEX_COLUMNS * NAMES_MAX, sizeof(ret->names[0]));
	if (!bounds || !ret->names) {
		free(bounds);
		return SGB_ERR_NOMEM;
	}
	for (i = 0; i < INDEX_COLUMNS; i++)
		add_column(index, i, want[i], bounds);
	add_state(audit->status, bounds);
	put_bounds(index, bounds, ret);
	free(bounds);
	return buf_error(&ret->sql);
}

void index_filter_put(const struct index_filter *filter, struct buf *sql)
{
	buf_put(sql, filter->sql.data, filter->sql.len);
}

void index_filter_bind(
	const struct index_filter *filter, sqlite3_stmt *statement)
{
	int at = 1;

	bind_names(filter->names, filter->count, statement, &at);
	bind_times(&filter->filter, statement, &at);
}

void index_filter_done(struct index_filter *filter)
{
	while (filter->count)
		free(filter->names[--filter->count]);
	free(filter->names);
	filter->names = NULL;
	buf_done(&filter->sql);
}
