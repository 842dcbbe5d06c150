/* Verifying chained journals (docs/EVENTS.md, "What verify says"). */
#ifndef SGB_CHECK_JOURNAL_H
#define SGB_CHECK_JOURNAL_H

#include "audit.h"
#include "journal.h"

struct writer_keys {
	uint8_t keys[AUDIT_PINS_MAX][SUITE_KEY_LEN];
	char ids[AUDIT_PINS_MAX][JOURNAL_WRITER_LEN + 1];
	size_t count;
};
/* Once each; full is silently full. */
void writer_keys_add(
	struct writer_keys *keys, const uint8_t key[SUITE_KEY_LEN]);

/* Checks all files of a folder, prints one line, returns the exit code. */
int check_journal(struct audit *audit, const char *dir, const char *name,
	enum journal_form form, const struct writer_keys *keys);

#endif
