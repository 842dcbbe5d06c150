/*
 * Following what the emulator is told, as far as it must be known before it is
 * told: when a line will leave the screen, when the screen will be erased. The
 * order of states is libtsm's (tsm-vte.c), its reading of UTF-8 too: bytes
 * that the two of us took differently would hide a line.
 */
#include <string.h>

#include "emulator_child.h"

static bool at_bottom(const struct child *child)
{
	return tsm_screen_get_cursor_y(child->screen) == child->bottom;
}

static void set_region(struct child *child)
{
	unsigned int top = child->params[0], bottom = child->params[1];

	child->top = 0;
	child->bottom = child->rows - 1;
	if (top)
		top--;
	if (!bottom || bottom > child->rows)
		bottom = child->rows;
	if (top < bottom - 1) {
		child->top = top;
		child->bottom = bottom - 1;
	}
}

/* What is about to be erased was on the screen: it counts as seen. */
static void before_erase(struct child *child)
{
	bool whole = child->params[0] == 2 ||
		     (!child->params[0] &&
			     !tsm_screen_get_cursor_x(child->screen) &&
			     !tsm_screen_get_cursor_y(child->screen));

	if (!whole)
		return;
	if (!child->alternate)
		child_send_lines(child);
	memset(child->wrapped, 0, sizeof(child->wrapped));
}

/* Leaving the other screen: what it last showed was seen. */
static void end_mode(struct child *child, bool set)
{
	/* Application keys, cursor shape and blinking, meta, bracketed paste.
	 */
	static const unsigned int harmless[] = {1, 12, 25, 1034, 2004};
	unsigned int mode = child->params[0];
	size_t i;

	if (mode == 7)
		child->no_wrap = !set;
	if (!set && child->alternate &&
		(mode == 1049 || mode == 47 || mode == 1047))
		child_send_lines(child);
	for (i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		if (mode == harmless[i] && !child->param_count)
			return;
	child_disturb(child);
}

static void end_plain_control(struct child *child, uint32_t code)
{
	unsigned int y = tsm_screen_get_cursor_y(child->screen);

	if (code == 'r')
		set_region(child);
	else if (code == 'J')
		before_erase(child);
	else if (code == 'K' && child->params[0] != 1 && y < child->rows)
		child->wrapped[y] = false; /* its end is erased */
	else if (code == 'p')
		child->odd_mode = true; /* perhaps another reading of bytes */
	/* Those of the cursor's line alone. */
	if (code != 'm' && code != 'K' && code != 'C' && code != 'G')
		child_disturb(child);
}

static void end_control(struct child *child, uint32_t code)
{
	child->sequence = GROUND;
	if (!child->private_params)
		end_plain_control(child, code);
	else if (code == 'h' || code == 'l')
		end_mode(child, code == 'h');
	else
		child_disturb(child);
}

static void in_control(struct child *child, uint32_t code)
{
	if (code >= '0' && code <= '9') {
		unsigned int *param = &child->params[child->param_count];

		if (child->param_count < 2 && *param < 10000)
			*param = *param * 10 + (code - '0');
	} else if (code == ';') {
		if (child->param_count < 2)
			child->param_count++;
	} else if (code == '?') {
		child->private_params = true;
	} else if (code >= 0x40 && code < 0x7f) {
		end_control(child, code);
	}
}

static void end_line(struct child *child)
{
	child_check_prompt(child);
	if (!at_bottom(child))
		return;
	child_scrolls(child);
	child->line_plain = !child->bottom ||
			    !child->wrapped[child->bottom - 1];
	child->line_first = ' ';
}

static void after_escape(struct child *child, uint32_t code)
{
	child->sequence = GROUND;
	if (code == '[') {
		child->sequence = CONTROL;
		child->params[0] = child->params[1] = child->param_count = 0;
		child->private_params = false;
	} else if (code == ']') {
		child->sequence = OSC;
	} else if (code == 'P' || code == '_' || code == '^' || code == 'X') {
		child->sequence = STRING;
	} else if (code == 'c') {
		child_send_lines(child);
		child->top = 0;
		child->bottom = child->rows - 1;
		child->no_wrap = false;
		child_disturb(child);
	} else if ((code == 'D' || code == 'E') && at_bottom(child)) {
		child_scrolls(child);
		child->line_plain = false;
	} else if ((code >= 0x20 && code < 0x30) || code >= 0x80) {
		child->sequence = ESCAPE_MORE;
	} else if (code == 0x7f) {
		child->sequence = ESCAPE;
	} else if (!strchr("=>\\7", (int)code)) {
		/* A shift may make another character of the next. */
		child->other_charset = true;
		child_disturb(child);
	}
}

static void after_more(struct child *child, uint32_t code)
{
	if (code < 0x30 || code >= 0x7f)
		return;
	child->sequence = GROUND;
	if (code == 'B') /* plain ASCII, for programs that begin with it */
		return;
	child->other_charset = true;
	child_disturb(child);
}

/* What is shown, and where: the emulator may be about to begin a new line. */
static void prints(struct child *child, uint32_t code)
{
	unsigned int x = tsm_screen_get_cursor_x(child->screen);
	unsigned int y = tsm_screen_get_cursor_y(child->screen);

	if (!x)
		child->line_first = code < 0x80 ? (uint8_t)code : LINE_OTHER;
	if (x < child->cols || child->no_wrap)
		return;
	if (y < EMULATOR_ROWS_MAX)
		child->wrapped[y] = true;
	if (at_bottom(child))
		child_scrolls(child);
	child->line_plain = false; /* it begins in another row now */
	if (code >= 0x80)
		child_disturb(child);
}

/* In any state. True if that is all there is to it. */
static bool acts_at_once(struct child *child, uint32_t code)
{
	static const enum sequence c1[] = {
		[0x10] = STRING, /* DCS, SOS, CSI, OSC, PM, APC */
		[0x18] = STRING,
		[0x1b] = CONTROL,
		[0x1d] = OSC,
		[0x1e] = STRING,
		[0x1f] = STRING};

	if (code == 0x18 || code == 0x1a) {
		child->sequence = GROUND;
	} else if (code == 0x1b) {
		child->sequence = ESCAPE;
	} else if (code >= 0x80 && code < 0xa0) {
		if ((code == 0x84 || code == 0x85) && at_bottom(child))
			child_scrolls(child);
		child_disturb(child);
		child->other_charset = true;
		child->sequence = c1[code - 0x80];
		if (child->sequence == CONTROL)
			after_escape(child, '[');
	} else {
		return false;
	}
	return true;
}

static void follow(struct child *child, uint32_t code)
{
	bool string = child->sequence == OSC || child->sequence == STRING;

	if (acts_at_once(child, code))
		return;
	if (string) {
		if (code == 0x07 && child->sequence == OSC)
			child->sequence = GROUND;
	} else if (code < 0x20) {
		if (code >= 0x0a && code <= 0x0c)
			end_line(child);
		else if (code == 0x0e || code == 0x0f)
			child->other_charset = true;
	} else if (child->sequence == ESCAPE) {
		after_escape(child, code);
	} else if (child->sequence == ESCAPE_MORE) {
		after_more(child, code);
	} else if (child->sequence == CONTROL) {
		in_control(child, code);
	} else if (code != 0x7f) {
		prints(child, code);
	}
}

/* As libtsm does: what is broken is one U+FFFD, overlong forms are taken. True
 * if a character is whole now. */
static bool decode(struct child *child, uint8_t byte)
{
	if (child->utf8_left) {
		bool good = (byte & 0xc0) == 0x80;

		child->utf8_code = good ? child->utf8_code << 6 | (byte & 0x3f)
					: 0xfffd;
		child->utf8_left = good ? child->utf8_left - 1 : 0;
		return !child->utf8_left;
	}
	child->utf8_code = byte;
	if (byte < 0x80)
		return true;
	if (byte < 0xc0)
		return false;
	if (byte < 0xc2 || byte >= 0xf8) {
		child->utf8_code = 0xfffd;
		return true;
	}
	child->utf8_left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
	child->utf8_code = byte & (0x3f >> child->utf8_left);
	return false;
}

/* So many bytes are text that stays within the cursor's line. */
static size_t text_length(
	const struct child *child, const uint8_t *data, size_t len)
{
	unsigned int x = tsm_screen_get_cursor_x(child->screen);
	size_t room, i;

	if (child->sequence != GROUND || child->utf8_left || x >= child->cols)
		return 0;
	room = child->cols - x < len ? child->cols - x : len;
	for (i = 0; i < room && data[i] >= 0x20 && data[i] < 0x7f; i++)
		;
	return i;
}

static void feed_one(struct child *child, uint8_t byte)
{
	if (decode(child, byte))
		follow(child, child->utf8_code);
	tsm_vte_input(child->vte, (const char *)&byte, 1);
	if (child->sequence == GROUND)
		child->alternate = tsm_screen_get_flags(child->screen) &
				   TSM_SCREEN_ALTERNATE;
}

void child_feed(struct child *child, const uint8_t *data, size_t len)
{
	while (len) {
		size_t text = text_length(child, data, len);

		if (!text) {
			feed_one(child, *data);
			text = 1;
		} else {
			prints(child, *data);
			tsm_vte_input(child->vte, (const char *)data, text);
		}
		data += text;
		len -= text;
	}
}
