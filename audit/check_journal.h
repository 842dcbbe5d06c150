/* Verifying chained journals (docs/EVENTS.md, "What verify says"). */
#ifndef SGB_CHECK_JOURNAL_H
#define SGB_CHECK_JOURNAL_H

#include "audit.h"
#include "heads.h"
#include "journal.h"
#include "scan.h"

struct writer_keys {
	uint8_t keys[AUDIT_PINS_MAX][SUITE_KEY_LEN];
	char ids[AUDIT_PINS_MAX][JOURNAL_WRITER_LEN + 1];
	size_t count;
	bool pinned; /* they are the auditor's, not the recordings' own */
};
/* Once each; full is silently full. */
void writer_keys_add(
	struct writer_keys *keys, const uint8_t key[SUITE_KEY_LEN]);

struct journal_verdict {
	enum sgr_verdict verdict;
	bool proved; /* signed by known writers to its last whole line */
	char text[300];
	/* What a trail that is proved tells of recordings and of the index, or
	 * NULL: the caller's. */
	struct heads *told;
};

/* Checks all files of a folder. keys: NULL for a journal that nobody signs.
 * kind says which of the heads (or NULL) are this journal's. */
void check_journal(const char *dir, enum journal_form form,
	const struct writer_keys *keys, struct heads *heads,
	enum head_kind kind, struct journal_verdict *ret);
/* Prints one line, returns the exit code. */
int journal_report(const struct audit *audit, const char *name,
	const struct journal_verdict *verdict);

#endif
