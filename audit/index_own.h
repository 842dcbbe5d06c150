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
	bool open;	    /* a transaction, */
	size_t group_bytes; /* with so much text */
	/* The recording that is going in. */
	struct store_entry entry;
	char *meta;
	bool given_up;
	bool begun; /* its row is in the transaction */
	sqlite3_int64 rec;
	struct text_packer *packer;
	struct text_block held[INDEX_HELD];
	size_t held_count;
	sqlite3_stmt *add, *gram;
};

/* index_db.c: another connection for reading, hardened like the first; NULL on
 * failure. What SQLite returned may mean that the file is damaged. */
sqlite3 *index_again(const struct index_db *index);
void index_check(struct index_db *index, int code);
/* index_add.c: ends the transaction as well as it can. */
void index_add_done(struct index_db *index);

/* index_list.c: appends " AND ..." for what the filters ask for, in names of
 * the table recording and from parameter ?1 on; as index_bind_filter binds. */
void index_put_filter(const struct audit *audit, struct buf *sql);
void index_bind_filter(const struct audit *audit, const struct filter *filter,
	sqlite3_stmt *statement);

#endif
