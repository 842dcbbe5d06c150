/*
 * Is a text plain? Whoever writes it is not trusted; who reads it sits at a
 * terminal that obeys control sequences.
 */
#include "core/plain.h"

#include <stddef.h>
#include <stdint.h>

/* One character; 0 if it is none of UTF-8's shortest forms. */
static uint32_t next(const unsigned char **at)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	const unsigned char *c = *at;
	uint32_t value = *c;
	unsigned int more = 0, i;

	if (*c >= 0xf0 && *c < 0xf8)
		more = 3;
	else if (*c >= 0xe0 && *c < 0xf0)
		more = 2;
	else if (*c >= 0xc0 && *c < 0xe0)
		more = 1;
	else if (*c >= 0x80)
		return 0;
	if (more)
		value &= 0x3fu >> more; /* 2-, 3- and 4-byte leads */
	for (i = 1; i <= more; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (c[i] & 0x3f);
	}
	*at += more + 1;
	if (value < least[more] || value > 0x10ffff ||
		(value >= 0xd800 && value < 0xe000))
		return 0;
	return value;
}

bool plain_text(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	while (*at) {
		uint32_t c = next(&at);

		if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			return false;
		/* Unicode UAX 9: marks, embeddings, overrides, isolates; line
		 * and paragraph separators; invisible byte order marks. */
		if (c == 0x061c || c == 0x200e || c == 0x200f ||
			(c >= 0x2028 && c <= 0x202e) ||
			(c >= 0x2066 && c <= 0x2069) || c == 0xfeff)
			return false;
	}
	return true;
}
