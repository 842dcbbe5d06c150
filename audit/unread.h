/*
 * Recordings that a command over many could not look at, or not to their end.
 * Each is named, since silence would read as "it is not in there".
 */
#ifndef SGB_UNREAD_H
#define SGB_UNREAD_H

#include <stddef.h>

#include "core/err.h"

#include "audit.h"
#include "evidence.h"
#include "store.h"

struct unread {
	const struct audit *audit;
	size_t closed;	/* not for our keys */
	size_t damaged; /* altered, or not to be opened at all */
};

/* Why no key of ours opens it, and whose would: recipients as "show" prints
 * them. */
#define UNREAD_KEY_MAX 500
void unread_key(char why[UNREAD_KEY_MAX], const struct sgr_header *header);
/* It cannot be opened; errno says why. */
void unread_file(struct unread *unread, const struct store_entry *entry);
/* audit_evidence failed with err and left evidence, which may be NULL. */
void unread_evidence(struct unread *unread, const struct store_entry *entry,
	enum sgb_err err, const struct evidence *evidence);
/* It was read as far as it goes. True if that is not all of it, also by what
 * the index says of its end. */
bool unread_rest(struct unread *unread, const struct store_entry *entry,
	const struct evidence *evidence);
/* The same by its size alone, where it is not read. */
bool unread_size(struct unread *unread, const struct store_entry *entry);
/* There are more channels in it than were looked at. */
void unread_channels(struct unread *unread, const struct store_entry *entry);
/* Says how many there were. Returns status, or what they make of it: EX_DATAERR
 * or, where only keys did not fit, EX_NOPERM. */
int unread_status(const struct unread *unread, int status);

#endif
