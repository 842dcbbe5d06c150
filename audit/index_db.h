/*
 * The index: SQLite with trigrams over the texts of recordings. Derived, and
 * made again whenever it is lost. It holds what the recordings show in clear,
 * so it lives where the reader keys live, with mode 0600.
 *
 *	recording(id TEXT PRIMARY KEY, start_ns, end_s, size, state, reason,
 *		given_up, user, source, target, login, mfa, meta)
 *		given_up: 1 if its bytes are in it instead of its screen
 *	line(n INTEGER PRIMARY KEY, rec, us, channel, place, text),
 *		UNIQUE (rec, place, text): what many redraws show is there once
 *	found: FTS5 over line.text, tokenize = 'trigram'
 */
#ifndef SGB_INDEX_DB_H
#define SGB_INDEX_DB_H

#include "audit.h"
#include "store.h"
#include "texts.h"

struct index_db;
/* --index FILE, or the default place. write: make it if it is not there. why
 * tells what is wrong. */
enum sgb_err index_open(struct audit *audit, bool write, struct index_db **ret,
	char *why, size_t why_len) SGB_MUST_CHECK;
void index_close(struct index_db *db);
/* Is it in, at this size? */
bool index_has(struct index_db *db, const struct store_entry *entry);
/* A recording goes in as a whole or not at all. */
enum sgb_err index_begin(struct index_db *db, const struct store_entry *entry,
	const char *meta, bool given_up) SGB_MUST_CHECK;
enum sgb_err index_add(
	struct index_db *db, const struct found_text *found) SGB_MUST_CHECK;
enum sgb_err index_commit(struct index_db *db) SGB_MUST_CHECK;
void index_rollback(struct index_db *db);

typedef void (*index_row)(
	void *data, const char *id, const struct found_text *found);
/* Recordings under audit's filters, by time, as entries with id, start, end,
 * size, state and reason. */
typedef void (*index_entry)(
	void *data, const struct store_entry *entry, const char *meta);
enum sgb_err index_list(struct index_db *db, struct audit *audit,
	index_entry row, void *data, char *why, size_t why_len) SGB_MUST_CHECK;
/* Rows whose text contains pattern, letter case aside, under audit's filters.
 */
enum sgb_err index_search(struct index_db *db, struct audit *audit,
	const char *pattern, index_row row, void *data, char *why,
	size_t why_len) SGB_MUST_CHECK;

#endif
