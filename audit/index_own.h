/* Between the files of the index. */
#ifndef SGB_INDEX_OWN_H
#define SGB_INDEX_OWN_H

#include <limits.h>
#include <stdbool.h>

#include <sqlite3.h>

#include "core/buf.h"

#include "audit.h"
#include "select.h"
#include "store.h"
#include "text_block.h"

#define INDEX_BLOB_MAX (16 * 1024 * 1024)
#define INDEX_HELD     512 /* blocks of one recording in memory */

struct index_db {
	sqlite3 *db;
	char path[PATH_MAX];
	bool damaged;
	bool open;		    /* a transaction, */
	size_t group_bytes;	    /* with so much text */
	void (*before)(void *data); /* its end, or NULL */
	void *before_data;
	/* The recording that is going in. */
	struct store_entry entry;
	char *meta;
	bool given_up;
	bool begun; /* its row is in the transaction */
	sqlite3_int64 rec;
	struct text_packer *packer;
	struct text_block held[INDEX_HELD];
	size_t held_count;
	sqlite3_stmt *add, *gram, *name;
};

/* index_db.c: another connection for reading, hardened like the first; NULL on
 * failure. What SQLite returned may mean that the file is damaged. */
sqlite3 *index_again(const struct index_db *index);
void index_check(struct index_db *index, int code);
/* index_add.c: ends the transaction as well as it can. */
void index_add_done(struct index_db *index);

/* Whose values the table name has; kind is the place in this list. */
#define INDEX_COLUMNS 5
extern const char *const index_columns[INDEX_COLUMNS];

/* index_filter.c: audit's filters as " AND ..." in columns of the table
 * recording, with the parameters that go with it, which come first in a
 * statement. init exits where a filter makes no sense; done also after it
 * failed. */
struct index_filter {
	struct filter filter;
	struct buf sql;
	char **names;
	size_t count;
};
enum sgb_err index_filter_init(struct index_db *index, struct audit *audit,
	struct index_filter *ret) SGB_MUST_CHECK;
void index_filter_put(const struct index_filter *filter, struct buf *sql);
void index_filter_bind(
	const struct index_filter *filter, sqlite3_stmt *statement);
void index_filter_done(struct index_filter *filter);

#endif
