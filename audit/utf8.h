/* UTF-8 out of raw bytes, for formats that know nothing else. */
#ifndef SGB_UTF8_H
#define SGB_UTF8_H

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

/* Keeps the start of a character until its rest comes. */
struct utf8_joiner {
	uint8_t held[4];
	size_t count;
};

/* Appends well-formed UTF-8: what can't be a character becomes U+FFFD. */
void utf8_join(struct utf8_joiner *joiner, const uint8_t *data, size_t len,
	struct buf *out);
/* Well-formed UTF-8 as a JSON string in pure ASCII but for letters: control
 * characters, quotes and "</" are escaped, so that it may stand in HTML. */
void utf8_put_json(struct buf *out, const char *text, size_t len);
/* May it stand on a terminal and do nothing but be seen? Control characters,
 * C1, and what turns the direction of a line may not. */
int utf8_printable(uint32_t code);
/* Appends text with everything that is not printable as U+FFFD. */
void utf8_clean(const uint8_t *data, size_t len, struct buf *out);
/* Appends one code point. */
void utf8_put(struct buf *out, uint32_t code);

#endif
