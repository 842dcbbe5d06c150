/*
 * Reading the screen. libtsm keeps lines that scroll off to itself. They are
 * read just before the byte that pushes them out. One reading costs as much as
 * thousands of bytes of text, so it serves for a screenful of lines as long as
 * nothing above the cursor is touched.
 */
#include <string.h>

#include "emulator_child.h"
#include "utf8.h"

/* Of UTF-8 and what stands before it. */
#define ROW_MAX (4 * EMULATOR_COLS_MAX + 4)

static int draw_cell(struct tsm_screen *screen, uint64_t id, const uint32_t *ch,
	size_t len, unsigned int width, unsigned int x, unsigned int y,
	const struct tsm_screen_attr *attr, tsm_age_t age, void *data)
{
	struct child *child = data;
	struct emulator_cell *cell;

	(void)screen;
	(void)id;
	(void)age;
	if (x >= child->cols || y >= child->rows)
		return 0;
	cell = &child->cells[y * child->cols + x];
	cell->code = len ? ch[0] : 0;
	cell->width = (uint8_t)(width > 2 ? 1 : width);
	cell->attr = (uint8_t)((attr->bold ? EMULATOR_BOLD : 0) |
			       (attr->italic ? EMULATOR_ITALIC : 0) |
			       (attr->underline ? EMULATOR_UNDERLINE : 0) |
			       (attr->inverse ? EMULATOR_INVERSE : 0) |
			       (attr->blink ? EMULATOR_BLINK : 0));
	cell->fg[0] = attr->fr;
	cell->fg[1] = attr->fg;
	cell->fg[2] = attr->fb;
	cell->fg[3] = attr->fccode == TSM_COLOR_FOREGROUND;
	cell->bg[0] = attr->br;
	cell->bg[1] = attr->bg;
	cell->bg[2] = attr->bb;
	cell->bg[3] = attr->bccode == TSM_COLOR_BACKGROUND;
	return 0;
}

void child_read_screen(struct child *child)
{
	unsigned int x = tsm_screen_get_cursor_x(child->screen);
	unsigned int y = tsm_screen_get_cursor_y(child->screen);

	child->kept = false;
	(void)tsm_screen_draw(child->screen, draw_cell, child);
	/* libtsm draws its cursor into the cell. The player has its own. */
	if (tsm_screen_get_flags(child->screen) & TSM_SCREEN_HIDE_CURSOR)
		return;
	x = x < child->cols ? x : child->cols - 1;
	y = y < child->rows ? y : child->rows - 1;
	child->cells[y * child->cols + x].attr ^= EMULATOR_INVERSE;
}

static unsigned int row_length(const struct child *child, unsigned int y)
{
	unsigned int len = child->cols;

	while (len && !child->cells[y * child->cols + len - 1].code)
		len--;
	return len;
}

static void put_row_text(const struct child *child, struct buf *out,
	unsigned int x, unsigned int y)
{
	unsigned int len = row_length(child, y);

	for (; x < len; x++) {
		const struct emulator_cell *cell =
			&child->cells[y * child->cols + x];

		if (cell->width)
			utf8_put(out, cell->code ? cell->code : ' ');
	}
}

/* The row where the logical line of the cursor begins. */
unsigned int child_logical_start(const struct child *child)
{
	unsigned int y = tsm_screen_get_cursor_y(child->screen);

	if (y >= child->rows)
		y = child->rows - 1;
	while (y && child->wrapped[y - 1])
		y--;
	return y;
}

/* A line over a whole large screen is cut to what a packet holds. */
void child_put_logical(const struct child *child, struct buf *out,
	unsigned int x, unsigned int y)
{
	for (; y < child->rows && out->len + ROW_MAX < EMULATOR_PACKET_MAX;
		y++, x = 0) {
		put_row_text(child, out, x, y);
		if (!child->wrapped[y])
			break;
	}
}

static void send_line(struct child *child, unsigned int y, bool wrapped)
{
	struct buf *lines = &child->lines;
	size_t at, len;

	if (lines->len + ROW_MAX > EMULATOR_PACKET_MAX)
		child_flush_lines(child);
	if (!lines->len)
		buf_put_u8(lines, EMULATOR_LINE);
	buf_put_u8(lines, wrapped);
	at = lines->len;
	buf_put_u16(lines, 0);
	put_row_text(child, lines, 0, y);
	len = lines->len - at - 2;
	lines->data[at] = (uint8_t)(len >> 8);
	lines->data[at + 1] = (uint8_t)len;
}

/* Rows from the first to the last that has text. */
void child_send_lines(struct child *child)
{
	unsigned int last = 0, y;

	child_read_screen(child);
	for (y = 0; y < child->rows; y++)
		if (row_length(child, y))
			last = y + 1;
	for (y = 0; y < last; y++)
		send_line(child, y, child->wrapped[y]);
}

/* With the cursor in the last row of the region, all of its rows are done but
 * for what comes into the last one before it is ended, which is now. */
static void send_top(struct child *child)
{
	if (!child->kept || child->odd_mode ||
		child->shifted > child->bottom - child->top) {
		child_read_screen(child);
		child->kept = true;
		child->shifted = 0;
	}
	send_line(
		child, child->top + child->shifted, child->wrapped[child->top]);
	child->shifted++;
}

void child_scrolls(struct child *child)
{
	unsigned int y;

	if (!child->alternate)
		send_top(child);
	if (child->mark_y > child->top)
		child->mark_y--;
	else
		child->marked = false;
	for (y = child->top; y < child->bottom; y++)
		child->wrapped[y] = child->wrapped[y + 1];
	child->wrapped[child->bottom] = false;
}

void child_disturb(struct child *child)
{
	child->kept = child->line_plain = false;
}

/* Without reading the screen; only ever true where it certainly does not. */
static bool begins_otherwise(const struct child *child)
{
	return child->line_plain && !child->other_charset && !child->odd_mode &&
	       child->prompt.data[0] != ' ' &&
	       child->line_first != LINE_OTHER &&
	       child->line_first != child->prompt.data[0];
}

/* A line that begins with the prompt is entered now. */
void child_check_prompt(struct child *child)
{
	const struct buf *prompt = &child->prompt;

	/* Where the shell marks its lines it tells better. */
	if (!prompt->len || child->alternate || child->marks_seen ||
		begins_otherwise(child))
		return;
	child_read_screen(child);
	child_begin(child, EMULATOR_COMMAND);
	buf_put_u8(&child->packet, 0);
	child_put_logical(child, &child->packet, 0, child_logical_start(child));
	if (buf_error(&child->packet) || child->packet.len <= 2 + prompt->len ||
		memcmp(child->packet.data + 2, prompt->data, prompt->len) != 0)
		return;
	memmove(child->packet.data + 2, child->packet.data + 2 + prompt->len,
		child->packet.len - 2 - prompt->len);
	child->packet.len -= prompt->len;
	child_send(child);
}
