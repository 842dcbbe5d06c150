/*
 * Finding a text whatever its letter case (ASCII), as strcasestr does and some
 * times faster: it runs from one occurrence of the needle's rarest character
 * to the next.
 */
#ifndef SGB_NEEDLE_H
#define SGB_NEEDLE_H

#include <stddef.h>
#include <stdint.h>

#define NEEDLE_MAX 1000

struct needle {
	uint8_t folded[NEEDLE_MAX];
	size_t len;
	size_t rare; /* place of the character that is looked for */
	uint8_t lower, upper;
};

/* As ASCII lower case. */
uint8_t needle_fold(uint8_t byte);
/* Neither empty nor longer than NEEDLE_MAX; what is more is cut. */
void needle_init(struct needle *needle, const char *text);

/* A run through one text; the needle and the text are borrowed. */
struct needle_run {
	const struct needle *needle;
	const uint8_t *at, *end;
	const uint8_t *lower, *upper; /* next ones, or end */
};
void needle_start(struct needle_run *run, const struct needle *needle,
	const uint8_t *text, size_t len);
/* From at on, which never goes back. NULL: no more. */
const uint8_t *needle_next(struct needle_run *run, const uint8_t *at);

#endif
