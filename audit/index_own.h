/* Between the files of the index. */
#ifndef SGB_INDEX_OWN_H
#define SGB_INDEX_OWN_H

#include <sqlite3.h>

struct index_db;
sqlite3 *index_sqlite(struct index_db *index);

#endif
