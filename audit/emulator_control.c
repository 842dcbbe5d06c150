/*
 * What control sequences are about to do to the screen, as far as it changes
 * what is on it. Parameters and flags are taken as libtsm takes them
 * (tsm-vte.c, tsm-screen.c), oddities included.
 */
#include <string.h>

#include "emulator_child.h"

static unsigned int cursor_x(const struct child *child)
{
	unsigned int x = tsm_screen_get_cursor_x(child->screen);

	return x < child->cols ? x : child->cols - 1;
}

static unsigned int cursor_y(const struct child *child)
{
	unsigned int y = tsm_screen_get_cursor_y(child->screen);

	return y < child->rows ? y : child->rows - 1;
}

static unsigned int count(const struct child *child)
{
	return child->params[0] ? child->params[0] : 1;
}

/* Below the region the last row of the screen scrolls it, too. */
bool child_at_end(const struct child *child)
{
	unsigned int y = cursor_y(child);

	return y == child->bottom ||
	       (y > child->bottom && y == child->rows - 1);
}

static void set_region(struct child *child)
{
	unsigned int top = child->params[0], bottom = child->params[1];

	child->top = 0;
	child->bottom = child->rows - 1;
	top = top ? top : 1;
	if (bottom > top && bottom <= child->rows) {
		child->top = top - 1;
		child->bottom = bottom - 1;
	}
}

static void erase(
	struct child *child, unsigned int y, unsigned int x, unsigned int end)
{
	child_touch(child, y, x, end);
	if (end < child->page->rows[y].len)
		child_wrote(child, y, x, end);
	else
		child_erased(child, y, x);
	if (end >= child->cols)
		child->page->rows[y].wrapped = false;
}

static void erase_line(struct child *child)
{
	unsigned int x = cursor_x(child), y = cursor_y(child);
	unsigned int what = child->params[0];

	if (what == 0)
		erase(child, y, x, child->cols);
	else if (what == 1)
		erase(child, y, 0, x + 1);
	else if (what == 2)
		erase(child, y, 0, child->cols);
}

/* All of the screen: of the main one it is text, in its order. */
static void erase_all(struct child *child)
{
	if (child->alternate)
		child_tell(child, child->page, 0, child->rows - 1, 0);
	else
		child_send_lines(child);
	child_blank(child, 0, child->rows - 1);
}

static void erase_rows(
	struct child *child, unsigned int first, unsigned int last)
{
	child_tell(child, child->page, first, last,
		child->alternate ? 0 : EMULATOR_REDRAWN);
	child_blank(child, first, last);
}

static void erase_screen(struct child *child)
{
	unsigned int x = cursor_x(child), y = cursor_y(child);
	unsigned int what = child->params[0];

	if (what == 2 || (!what && !x && !y)) {
		erase_all(child);
	} else if (what == 0) {
		erase(child, y, x, child->cols);
		erase_rows(child, y + 1, child->rows - 1);
	} else if (what == 1) {
		if (y)
			erase_rows(child, 0, y - 1);
		erase(child, y, 0, x + 1);
	}
}

static void erase_chars(struct child *child)
{
	unsigned int x = cursor_x(child), end = x + count(child);

	erase(child, cursor_y(child), x, end < child->cols ? end : child->cols);
}

static void insert_chars(struct child *child)
{
	unsigned int x = cursor_x(child), y = cursor_y(child);
	unsigned int len = child->page->rows[y].len;

	child_touch(child, y, x, child->cols);
	if (x < len)
		child_wrote(child, y, x, len + count(child));
}

static void delete_chars(struct child *child)
{
	unsigned int x = cursor_x(child), y = cursor_y(child);
	struct child_row *row = &child->page->rows[y];

	child_touch(child, y, x, child->cols);
	if (x >= row->len)
		return;
	row->len = (uint16_t)(count(child) < row->len - x
				      ? row->len - count(child)
				      : x);
	row->wrapped = false;
	child_wrote(child, y, x, row->len);
}

/* libtsm 4.0 knows nothing of it; a later one fills up the row without a
 * number.
 */
static void repeat_char(struct child *child)
{
	unsigned int x = cursor_x(child), y = cursor_y(child), end;

	end = child->params[0] ? x + child->params[0] : child->cols;
	if (!x)
		return;
	end = end < child->cols ? end : child->cols;
	child_touch(child, y, x, end);
	child_wrote(child, y, x, end);
}

static void scroll(struct child *child, unsigned int first, bool up, bool lines)
{
	unsigned int room = child->bottom + 1 - first, n = count(child);

	for (n = n < room ? n : room; n; n--)
		if (up)
			child_up(child, first, child->bottom, lines);
		else
			child_down(child, first, child->bottom);
}

static void scroll_up(struct child *child)
{
	scroll(child, child->top, true, true);
}

static void scroll_down(struct child *child)
{
	scroll(child, child->top, false, false);
}

static bool in_region(const struct child *child)
{
	return cursor_y(child) >= child->top &&
	       cursor_y(child) <= child->bottom;
}

static void insert_lines(struct child *child)
{
	if (in_region(child))
		scroll(child, cursor_y(child), false, false);
}

static void delete_lines(struct child *child)
{
	if (in_region(child))
		scroll(child, cursor_y(child), true, false);
}

void child_reverse(struct child *child)
{
	unsigned int y = cursor_y(child);

	if (y != child->top && y)
		return;
	child_hold(child);
	child_down(child, child->top, child->bottom);
}

/* Leaves the other screen, too. */
static void soft_reset(struct child *child)
{
	if (child->alternate)
		child_tell(child, child->page, 0, child->rows - 1, 0);
	child_switch(child, false);
	child->top = 0;
	child->bottom = child->rows - 1;
	child->reading = READ_UTF8;
	child->utf8_left = 0;
}

void child_reset(struct child *child)
{
	child_hold(child);
	child_send_lines(child);
	soft_reset(child);
	/* libtsm erases the main one alone. */
	child_blank(child, 0, child->rows - 1);
}

static void set_level(struct child *child)
{
	/* A question after a mode is not plain. */
	if (!child->plain_params && !child->other_params &&
		!child->ways.query_resets)
		return;
	soft_reset(child);
	if (child->plain_params && child->params[0] == 61)
		child->reading = READ_7BIT;
	else if (child->plain_params && child->params[0] >= 62 &&
		 child->params[0] <= 64)
		child->reading = READ_8BIT;
	child->odd_mode = true;
}

/* One of the modes that show the other screen, or the main one again. What is
 * left on the other one was told when it was left before. */
static void set_page(struct child *child, unsigned int mode, bool set)
{
	bool erases = set ? mode == 1049 : mode == 1047;

	if (set && !child->alternate) {
		child_switch(child, true);
		if (erases)
			child_blank(child, 0, child->rows - 1);
		return;
	}
	if (erases)
		erase_all(child);
	else if (!set && child->alternate)
		child_tell(child, child->page, 0, child->rows - 1, 0);
	if (!set)
		child_switch(child, false);
}

/* Application keys, cursor shape and blinking, meta, bracketed paste. */
static bool is_harmless(unsigned int mode)
{
	return mode == 1 || mode == 12 || mode == 25 || mode == 1034 ||
	       mode == 2004;
}

static void set_modes(struct child *child, bool set)
{
	unsigned int i;

	if (!child->private_params || child->param_count ||
		!is_harmless(child->params[0]))
		child->line_plain = false;
	if (!child->private_params)
		return;
	for (i = 0; i <= child->param_count && i < PARAMS_MAX; i++) {
		unsigned int mode = child->params[i];

		if (mode != 47 && mode != 1047 && mode != 1049)
			continue;
		if (!child->held)
			child_hold(child);
		set_page(child, mode, set);
	}
}

static void set_mode(struct child *child)
{
	set_modes(child, true);
}

static void reset_mode(struct child *child)
{
	set_modes(child, false);
}

void child_control(struct child *child, uint32_t code)
{
	static const struct {
		char code;
		bool rows; /* it may change several rows */
		void (*act)(struct child *child);
	} acts[] = {{'J', true, erase_screen}, {'K', false, erase_line},
		{'b', false, repeat_char}, {'X', false, erase_chars},
		{'@', false, insert_chars}, {'P', false, delete_chars},
		{'L', true, insert_lines}, {'M', true, delete_lines},
		{'S', true, scroll_up}, {'T', true, scroll_down},
		{'r', false, set_region}, {'p', true, set_level},
		{'h', false, set_mode}, {'l', false, reset_mode}};
	size_t i;

	/* Those that stay in the line where it is written. */
	if (!strchr("mKCGhl", (int)code))
		child->line_plain = false;
	for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		if ((uint32_t)acts[i].code != code)
			continue;
		if (acts[i].rows)
			child_hold(child);
		acts[i].act(child);
	}
}
