/*
 * Safe terminal output: a small state machine that copies what a list names
 * and drops the rest. The bytes are the target's, and hostile; the terminal
 * behind out belongs to whoever is there to catch that.
 */
#include "core/termsafe.h"

#include <string.h>

/* Longer ones hide nothing for good: xterm, too, gives up on strings. */
#define STRING_MAX 65536
/* Of one number in a sequence: a larger one only keeps terminals busy. */
#define DIGITS_MAX 4

const char termsafe_reset[] = "\x1b[m\x1b(B\x1b[r\x1b[?7h\x1b[?25h"
			      "\x1b[?47l\x1b[?1047l\x1b[?1049l";

/* Final bytes of CSI sequences without a private mark: cursor movement,
 * erasing, inserting, scrolling, colours, margins, tabs, save and restore. */
static const char plain_finals[] = "ABCDEFGHJKLMPSTXZ@`adefgmrsu";
/* Private modes: wrap, cursor, alternate screens. */
static const char *const private_modes[] = {
	"?7", "?25", "?47", "?1047", "?1048", "?1049"};
/* Behind ESC: save, restore, index, next line, tab stop, reverse index,
 * keypads. Not c: a full reset makes some terminals lose more than text. */
static const char escape_finals[] = "78DEHM=>";

static void hold(struct termsafe *safe, unsigned char c)
{
	if (safe->len < sizeof(safe->held))
		safe->held[safe->len++] = c;
	else
		safe->too_long = true;
}

static void begin(struct termsafe *safe, enum termsafe_state state)
{
	safe->state = state;
	safe->len = 0;
	safe->lost = 0;
	safe->too_long = false;
}

static void pass(struct termsafe *safe, struct buf *out)
{
	if (!safe->too_long)
		buf_put(out, safe->held, safe->len);
	begin(safe, TERMSAFE_TEXT);
}

/* Digits and separators alone, and no number of many digits. */
static bool parameters_good(const unsigned char *at, const unsigned char *end)
{
	size_t digits = 0;

	for (; at < end; at++) {
		digits = *at >= '0' && *at <= '9' ? digits + 1 : 0;
		if (digits > DIGITS_MAX ||
			(!digits && *at != ';' && *at != ':'))
			return false;
	}
	return true;
}

static bool private_good(const struct termsafe *safe)
{
	size_t len = safe->len - 3, i; /* ESC [ and the final byte */
	unsigned char final = safe->held[safe->len - 1];

	if (final != 'h' && final != 'l')
		return false;
	for (i = 0; i < sizeof(private_modes) / sizeof(private_modes[0]); i++)
		if (strlen(private_modes[i]) == len &&
			!memcmp(private_modes[i], safe->held + 2, len))
			return true;
	return false;
}

static bool csi_good(const struct termsafe *safe)
{
	unsigned char final = safe->held[safe->len - 1];

	if (safe->too_long)
		return false;
	if (safe->held[2] == '?')
		return private_good(safe);
	/* A repeat (b) has no place: it makes much out of little. T with more
	 * than one number is xterm's mouse, which then waits. */
	if (final == 'T' && memchr(safe->held, ';', safe->len))
		return false;
	return strchr(plain_finals, final) &&
	       parameters_good(safe->held + 2, safe->held + safe->len - 1);
}

static void in_csi(struct termsafe *safe, unsigned char c, struct buf *out)
{
	hold(safe, c);
	if (c < 0x20 || c > 0x7e) {
		begin(safe, TERMSAFE_TEXT); /* malformed */
		return;
	}
	if (c < 0x40)
		return;
	if (csi_good(safe))
		pass(safe, out);
	else
		begin(safe, TERMSAFE_TEXT);
}

static void in_escape(struct termsafe *safe, unsigned char c, struct buf *out)
{
	hold(safe, c);
	if (c == '[') {
		safe->state = TERMSAFE_CSI;
	} else if (c == '(' || c == ')') {
		safe->state = TERMSAFE_CHARSET;
	} else if (c && strchr("]PX^_", c)) {
		begin(safe, TERMSAFE_STRING);
	} else if (c && strchr(escape_finals, c)) {
		pass(safe, out);
	} else if (c >= 0x20 && c < 0x30) {
		/* An intermediate byte: the next one ends it. Dropped. */
		safe->too_long = true;
	} else {
		begin(safe, TERMSAFE_TEXT);
	}
}

/* US-ASCII and line drawing. */
static void in_charset(struct termsafe *safe, unsigned char c, struct buf *out)
{
	hold(safe, c);
	if (c == 'B' || c == '0')
		pass(safe, out);
	else
		begin(safe, TERMSAFE_TEXT);
}

static void in_string(struct termsafe *safe, unsigned char c)
{
	/* BEL ends OSC alone, but what it leaves of the others is text. */
	if (c == 0x07 || ++safe->lost > STRING_MAX)
		begin(safe, TERMSAFE_TEXT);
}

/* Shortest forms, no surrogates, no C1: see plain.c. */
static bool utf8_good(const unsigned char *c, size_t len)
{
	if (len == 2)
		return c[0] > 0xc2 || (c[0] == 0xc2 && c[1] >= 0xa0);
	if (len == 3)
		return (c[0] != 0xe0 || c[1] >= 0xa0) &&
		       (c[0] != 0xed || c[1] < 0xa0);
	return (c[0] != 0xf0 || c[1] >= 0x90) && c[0] <= 0xf4 &&
	       (c[0] != 0xf4 || c[1] < 0x90);
}

static void text(struct termsafe *safe, unsigned char c, struct buf *out)
{
	if ((c >= 0x20 && c < 0x7f) || c == '\n' || c == '\r' || c == '\t' ||
		c == '\b') {
		buf_put_u8(out, c);
		return;
	}
	if (c < 0xc2 || c > 0xf4)
		return;
	begin(safe, TERMSAFE_UTF8);
	safe->want = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	hold(safe, c);
}

/* False: the byte is not part of this character and stands for itself. */
static bool in_utf8(struct termsafe *safe, unsigned char c, struct buf *out)
{
	if ((c & 0xc0) != 0x80) {
		begin(safe, TERMSAFE_TEXT);
		return false;
	}
	hold(safe, c);
	if (safe->len < safe->want)
		return true;
	if (utf8_good(safe->held, safe->len))
		pass(safe, out);
	else
		begin(safe, TERMSAFE_TEXT);
	return true;
}

static void one(struct termsafe *safe, unsigned char c, struct buf *out)
{
	if (safe->state == TERMSAFE_UTF8 && in_utf8(safe, c, out))
		return;
	/* From anywhere (the VT500 parser): CAN and SUB end a sequence, ESC
	 * begins another. */
	if (c == 0x18 || c == 0x1a) {
		begin(safe, TERMSAFE_TEXT);
		return;
	}
	if (c == 0x1b) {
		begin(safe, TERMSAFE_ESCAPE);
		hold(safe, c);
		return;
	}
	switch (safe->state) {
	case TERMSAFE_ESCAPE: in_escape(safe, c, out); break;
	case TERMSAFE_CSI: in_csi(safe, c, out); break;
	case TERMSAFE_CHARSET: in_charset(safe, c, out); break;
	case TERMSAFE_STRING: in_string(safe, c); break;
	default: text(safe, c, out); break;
	}
}

void termsafe_put(
	struct termsafe *safe, const void *data, size_t len, struct buf *out)
{
	const unsigned char *at = data;
	size_t i;

	for (i = 0; i < len; i++)
		one(safe, at[i], out);
}
