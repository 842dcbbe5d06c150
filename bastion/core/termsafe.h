/*
 * A terminal's output made safe for somebody else's terminal: what a session
 * shows, for those who watch it live. What passes is text in UTF-8, line and
 * cursor movement, erasing, colours and the alternate screen; whatever makes
 * a terminal answer, remember, run, rename or beep does not. ECMA-48 and the
 * VT500 parser (the control sequences of xterm) say how sequences are found.
 */
#ifndef SGB_TERMSAFE_H
#define SGB_TERMSAFE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

#define TERMSAFE_SEQUENCE_MAX 48

enum termsafe_state {
	TERMSAFE_TEXT = 0,
	TERMSAFE_UTF8,	 /* inside a character */
	TERMSAFE_ESCAPE, /* behind ESC */
	TERMSAFE_CSI,
	TERMSAFE_CHARSET, /* behind ESC ( */
	TERMSAFE_STRING,  /* OSC, DCS, APC, PM, SOS: dropped to its end */
};

/* All zero is the start. */
struct termsafe {
	enum termsafe_state state;
	unsigned char held[TERMSAFE_SEQUENCE_MAX];
	size_t len;  /* of held */
	size_t want; /* UTF8: bytes of the character */
	size_t lost; /* STRING: bytes dropped so far */
	bool too_long;
};

/* Appends what passes of data. Any split of a stream gives the same. */
void termsafe_put(
	struct termsafe *safe, const void *data, size_t len, struct buf *out);
/* What gives a terminal back after such a stream. */
extern const char termsafe_reset[];

#endif
