/*
 * Following what the emulator is told, as far as it must be known before it is
 * told: what will be written over, erased or pushed off the screen. The order
 * of states is libtsm's (tsm-vte.c), its reading of UTF-8 too: bytes that the
 * two of us took differently would hide a line.
 */
#include <string.h>
#include <unistd.h>

#include "emulator_child.h"

static void put_digit(struct child *child, unsigned int digit)
{
	unsigned int *param = &child->params[child->param_count];

	if (child->param_count < PARAMS_MAX && *param <= 0xffff)
		*param = *param * 10 + digit;
}

static void in_control(struct child *child, uint32_t code)
{
	bool more = child->sequence == CONTROL_MORE;

	if (code == 0x7f)
		return;
	if (code >= 0x40 && code < 0x7f) {
		if (child->sequence != CONTROL_BAD)
			child_control(child, code);
		child->sequence = GROUND;
	} else if (child->sequence == CONTROL_BAD) {
		return;
	} else if (code >= 0x20 && code < 0x30) {
		child->plain_params &= code != '!' && code != '$';
		child->other_params |= code == '!';
		child->sequence = CONTROL_MORE;
	} else if (code >= '0' && code <= '9' && !more) {
		put_digit(child, code - '0');
		child->params_begun = true;
	} else if (code == ';' && !more) {
		child->param_count += child->param_count < PARAMS_MAX;
		child->params_begun = true;
	} else if (code >= '<' && code <= '?' && !child->params_begun) {
		child->private_params |= code == '?';
		child->plain_params &= code != '>';
		child->other_params |= code == '>';
		child->params_begun = true;
	} else {
		child->sequence = CONTROL_BAD;
	}
}

static void end_line(struct child *child)
{
	child_check_prompt(child);
	if (!child_at_end(child))
		return;
	child_scrolls(child);
	/* Below the region the cursor stays in a row that stays, too. */
	child->line_plain =
		tsm_screen_get_cursor_y(child->screen) == child->bottom &&
		(!child->bottom ||
			!child->page->rows[child->bottom - 1].wrapped);
	child->line_first = ' ';
}

static void begin_control(struct child *child)
{
	child->sequence = CONTROL;
	memset(child->params, 0, sizeof(child->params));
	child->param_count = 0;
	child->private_params = child->params_begun = false;
	child->other_params = false;
	child->plain_params = true;
}

static void end_escape(struct child *child, uint32_t code)
{
	child->sequence = GROUND;
	if (strchr("=>\\7", (int)code))
		return;
	if (code == 'c')
		child_reset(child);
	else if (code == 'M')
		child_reverse(child);
	else if ((code == 'D' || code == 'E') && child_at_end(child))
		child_scrolls(child);
	else if (code != 'D' && code != 'E')
		/* A shift may make another character of the next. */
		child->other_charset = true;
	child->line_plain = false;
}

/* An intermediate byte. Of some libtsm takes no notice: the sequence then is
 * what it is without. */
static void more_escape(struct child *child, uint32_t code)
{
	if (code < 0x80 && strchr("!$? '\"*+()", (int)code))
		child->plain_params = false;
	child->sequence = ESCAPE_MORE;
}

static void after_escape(struct child *child, uint32_t code)
{
	if (code == '[')
		begin_control(child);
	else if (code == ']')
		child->sequence = OSC;
	else if (code == 'P' || code == '_' || code == '^' || code == 'X')
		child->sequence = STRING;
	else if ((code >= 0x20 && code < 0x30) || code >= 0x80)
		more_escape(child, code);
	else if (code != 0x7f)
		end_escape(child, code);
}

static void after_more(struct child *child, uint32_t code)
{
	if (code < 0x30 || code >= 0x80) {
		more_escape(child, code);
	} else if (code != 0x7f && child->plain_params) {
		end_escape(child, code);
	} else if (code != 0x7f) {
		child->sequence = GROUND;
		if (code == 'B') /* plain ASCII: programs begin with it */
			return;
		child->other_charset = true;
		child->line_plain = false;
	}
}

static void write_cells(struct child *child, unsigned int y, unsigned int x,
	unsigned int len, bool blank)
{
	const struct child_row *row = &child->page->rows[y];
	unsigned int end = x + len < child->cols ? x + len : child->cols;

	if (tsm_screen_get_flags(child->screen) & TSM_SCREEN_INSERT_MODE) {
		child_touch(child, y, x, child->cols);
		child_wrote(child, y, x, (x < row->len ? row->len : x) + len);
		return;
	}
	child_touch(child, y, x, end);
	/* Blanks at the end of a line take away from it, and add nothing. */
	if (blank && end >= row->len)
		child_erased(child, y, x);
	else
		child_wrote(child, y, x, end);
}

/* len columns are shown, the first of them by code, from where the cursor is:
 * the emulator may be about to begin a new line. */
static void prints(
	struct child *child, uint32_t code, unsigned int len, bool blank)
{
	unsigned int x = tsm_screen_get_cursor_x(child->screen);
	unsigned int y = tsm_screen_get_cursor_y(child->screen);
	bool wraps = tsm_screen_get_flags(child->screen) & TSM_SCREEN_AUTO_WRAP;

	if (!x)
		child->line_first = code < 0x80 ? (uint8_t)code : LINE_OTHER;
	if (x < child->cols) {
		write_cells(child, y, x, len, blank);
		return;
	}
	child->line_plain = false;
	if (!wraps) {
		write_cells(child, y, child->cols - 1, len, blank);
		return;
	}
	child->page->rows[y].wrapped = true;
	if (child_at_end(child))
		child_scrolls(child);
	else
		y++;
	write_cells(child, y, 0, len, blank);
}

/* One character that is not plain ASCII. What has no width libtsm drops. */
static void prints_other(struct child *child, uint32_t code)
{
	unsigned int width = code > 0xff ? tsm_ucs4_get_width(code) : 1;

	if (width)
		prints(child, code, width, false);
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
		if (code == 0x1a) /* shown, as an upturned question mark */
			prints_other(child, 0xbf);
	} else if (code == 0x1b) {
		child->sequence = ESCAPE;
		child->plain_params = true;
	} else if (code >= 0x80 && code < 0xa0) {
		if ((code == 0x84 || code == 0x85) && child_at_end(child))
			child_scrolls(child);
		else if (code == 0x8d)
			child_reverse(child);
		child->line_plain = false;
		child->other_charset = true;
		child->sequence = c1[code - 0x80];
		if (child->sequence == CONTROL)
			begin_control(child);
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
	} else if (child->sequence != GROUND) {
		in_control(child, code);
	} else if (code < 0x7f) {
		prints(child, code, 1, code == ' ');
	} else if (code != 0x7f) {
		prints_other(child, code);
	}
}

/* As libtsm does: what is broken is one U+FFFD, and overlong forms are taken.
 * True if a character is whole now. */
static bool decode(struct child *child, uint8_t byte)
{
	if (child->reading != READ_UTF8) {
		child->utf8_code = child->reading == READ_7BIT ? byte & 0x7f
							       : byte;
		/* libtsm extends the sign of the byte. */
		if (child->reading == READ_8BIT && byte >= 0x80)
			child->utf8_code |= 0xffffff00;
		return true;
	}
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
	if ((byte < 0xc2 && !child->ways.overlong) || byte >= 0xf8) {
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

static bool all_blank(const uint8_t *data, size_t len)
{
	while (len && data[len - 1] == ' ')
		len--;
	return !len;
}

/* Whatever we took it for: which screen it is, libtsm knows. */
static void settle(struct child *child)
{
	bool alternate = tsm_screen_get_flags(child->screen) &
			 TSM_SCREEN_ALTERNATE;

	if (alternate == child->alternate)
		return;
	child->alternate = alternate;
	child->page = &child->pages[alternate];
	child_unknown(child);
}

static void feed_one(struct child *child, uint8_t byte)
{
	bool full = tsm_screen_get_cursor_x(child->screen) >= child->cols;
	bool shows = full && child->sequence == GROUND;

	if (decode(child, byte))
		follow(child, child->utf8_code);
	tsm_vte_input(child->vte, (const char *)&byte, 1);
	/* Its character set may have no such character: no line was begun. */
	if (shows && child->sequence == GROUND && !child->utf8_left &&
		tsm_screen_get_cursor_x(child->screen) >= child->cols)
		child_unknown(child);
	child->held = false;
	if (child->sequence == GROUND)
		settle(child);
}

void child_feed(struct child *child, const uint8_t *data, size_t len)
{
	while (len) {
		size_t text = text_length(child, data, len);

		if (!text) {
			feed_one(child, *data);
			text = 1;
		} else {
			prints(child, *data, (unsigned int)text,
				*data == ' ' && all_blank(data, text));
			tsm_vte_input(child->vte, (const char *)data, text);
		}
		data += text;
		len -= text;
	}
	child->turn++;
}
