/*
 * Disclosure: the keys of some segments of one recording, for somebody who is
 * not a recipient. With the file they open these segments and nothing else; the
 * file's chain and signatures prove their place.
 *
 *	{"sgr_disclosure":1,"rec":"UUID","head":"64 hex digits of L(-1)",
 *	 "keys":[{"segment":3,"key":"64 hex digits"}, ...]}
 */
#ifndef SGB_DISCLOSURE_H
#define SGB_DISCLOSURE_H

#include <stdint.h>
#include <stdio.h>

#include "header.h"

#define DISCLOSURE_MAX_BYTES (4 * 1024 * 1024)

struct disclosure;
/* Segments first to last; the ratchet is at its start and is used up. */
enum sgb_err disclosure_write(const struct sgr_header *header,
	struct ratchet *ratchet, uint32_t first, uint32_t last,
	FILE *out) SGB_MUST_CHECK;
enum sgb_err disclosure_read(
	const char *text, size_t len, struct disclosure **ret) SGB_MUST_CHECK;
void disclosure_free(struct disclosure *disclosure);
/* Made from this very file? */
bool disclosure_is_for(
	const struct disclosure *disclosure, const struct sgr_header *header);
/* NULL if this segment is not disclosed. */
const uint8_t *disclosure_key(
	const struct disclosure *disclosure, uint32_t segment);

#endif
