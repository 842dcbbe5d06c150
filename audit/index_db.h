/*
 * The index: SQLite over the texts of recordings. Derived, and made again
 * whenever it is lost. It holds what the recordings show in clear, so it lives
 * where the reader keys live, with mode 0600.
 *
 *	recording(n INTEGER PRIMARY KEY, id TEXT UNIQUE, start_ns, end_s, size,
 *		state, reason, given_up, user, source, target, login, mfa, meta)
 *		given_up: 1 if its bytes are in it instead of its screen
 *	name(kind, text): each user, source, target, login and mfa once
 *	block(n INTEGER PRIMARY KEY, rec, lines, text): text_block.h; numbers
 *		are never used again
 *	gram: FTS5 without content, a row for each block of the same number,
 *		whose words are its trigrams. Rows of blocks that are gone stay
 *		and mean nothing.
 *
 * A question reads the blocks that have all of its trigrams, or all blocks,
 * and looks at the text itself; so both ways give the same answer.
 */
#ifndef SGB_INDEX_DB_H
#define SGB_INDEX_DB_H

#include "audit.h"
#include "store.h"
#include "texts.h"

struct index_db;
/* --index FILE, or the default place. write: make it if it is not there. why
 * tells what is wrong. SGB_ERR_FORMAT is the only one that speaks against the
 * file itself: it is damaged or not ours; SGB_ERR_STALE: an earlier program's,
 * which is only brought up to date with write; SGB_ERR_BUSY: another has it. */
enum sgb_err index_open(struct audit *audit, bool write, struct index_db **ret,
	char *why, size_t why_len) SGB_MUST_CHECK;
void index_close(struct index_db *db);
/* Is it in, at this size? */
bool index_has(struct index_db *db, const struct store_entry *entry);
/* A recording goes in as a whole or not at all. Several share a transaction:
 * what a crash loses is put in again by the next run. index_flush ends it. */
enum sgb_err index_begin(struct index_db *db, const struct store_entry *entry,
	const char *meta, bool given_up) SGB_MUST_CHECK;
enum sgb_err index_add(
	struct index_db *db, const struct found_text *found) SGB_MUST_CHECK;
enum sgb_err index_commit(struct index_db *db) SGB_MUST_CHECK;
void index_rollback(struct index_db *db);
enum sgb_err index_flush(struct index_db *db) SGB_MUST_CHECK;
/* Called each time before what went in becomes durable. */
void index_before(struct index_db *db, void (*before)(void *data), void *data);
/* Something that was read or written was not as SQLite leaves it. */
bool index_is_damaged(const struct index_db *db);
/* Looks at all of it, unless it is large or cannot be looked at: then only use
 * will tell. */
bool index_is_whole(struct index_db *db);
/* Takes the file away; keep: to FILE.old, for it may be something else. False:
 * it is not a file of the user's own, or it stays. */
bool index_remove(struct audit *audit, bool keep);

typedef void (*index_row)(
	void *data, const char *id, const struct found_text *found);
/* Recordings under audit's filters, by time, as entries with id, start, end,
 * size, state and reason; with audit->limit the latest so many. */
typedef void (*index_entry)(
	void *data, const struct store_entry *entry, const char *meta);
enum sgb_err index_list(struct index_db *db, struct audit *audit,
	index_entry row, void *data, char *why, size_t why_len) SGB_MUST_CHECK;
/* Lines that contain the text, letter case aside, under audit's filters, in the
 * order in which they went in, no more than audit->limit; regex: that match it
 * (extended, case aside). scan: look at all blocks, whatever their trigrams.
 * audit->jobs threads. */
struct index_query {
	const char *pattern;
	bool regex, scan;
};
enum sgb_err index_search(struct index_db *db, struct audit *audit,
	const struct index_query *query, index_row row, void *data, char *why,
	size_t why_len) SGB_MUST_CHECK;

#endif
