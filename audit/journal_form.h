/* The byte form of journal lines: what writing and reading them share. */
#ifndef SGB_JOURNAL_FORM_H
#define SGB_JOURNAL_FORM_H

#include "journal.h"

#define JOURNAL_SIG_LEN 88 /* base64 of 64 bytes */

struct journal_shape {
	const char *head;     /* as it comes */
	const char *head_out; /* with the sequence's name */
	const char *tail;
};

const struct journal_shape *journal_shape(enum journal_form form);
/* One line, strings closed, braces balanced, head and tail of the shape. */
bool journal_fits(
	const struct journal_shape *shape, const char *json, size_t len);
/* Over the domain and the bytes that are in line so far. */
enum sgb_err journal_sign(const struct suite_key *key, const struct buf *line,
	uint8_t ret[SUITE_SIG_LEN]) SGB_MUST_CHECK;

#endif
