/*
 * Reading the screen. libtsm keeps lines that scroll off to itself. They are
 * read just before the byte that pushes them out. One reading costs as much as
 * thousands of bytes of text, so what was read of a row serves until something
 * is written to it, wherever it moves.
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
	cell = &child->page->rows[y].cells[x];
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
	unsigned int y = tsm_screen_get_cursor_y(child->screen), i;

	(void)tsm_screen_draw(child->screen, draw_cell, child);
	for (i = 0; i < child->rows; i++)
		child->page->rows[i].valid = true;
	/* libtsm draws its cursor into the cell. The player has its own. */
	if (tsm_screen_get_flags(child->screen) & TSM_SCREEN_HIDE_CURSOR)
		return;
	x = x < child->cols ? x : child->cols - 1;
	y = y < child->rows ? y : child->rows - 1;
	child->page->rows[y].cells[x].attr ^= EMULATOR_INVERSE;
}

void child_need(struct child *child, unsigned int first, unsigned int last)
{
	unsigned int y;

	if (child->held)
		return;
	for (y = first; y <= last; y++)
		if (child->odd_mode || !child->page->rows[y].valid) {
			child_read_screen(child);
			return;
		}
}

void child_hold(struct child *child)
{
	child_need(child, 0, child->rows - 1);
	child->held = true;
}

unsigned int child_row_length(
	const struct child *child, const struct child_row *row)
{
	unsigned int len = child->cols;

	while (len && !row->cells[len - 1].code)
		len--;
	return len;
}

void child_put_row(const struct child *child, const struct child_row *row,
	struct buf *out, unsigned int x)
{
	unsigned int len = child_row_length(child, row);

	for (; x < len; x++)
		if (row->cells[x].width)
			utf8_put(out,
				row->cells[x].code ? row->cells[x].code : ' ');
}

/* The row where the logical line of the cursor begins. */
unsigned int child_logical_start(const struct child *child)
{
	unsigned int y = tsm_screen_get_cursor_y(child->screen);

	if (y >= child->rows)
		y = child->rows - 1;
	while (y && child->page->rows[y - 1].wrapped)
		y--;
	return y;
}

/* A line over a whole large screen is cut to what a packet holds. */
void child_put_logical(const struct child *child, struct buf *out,
	unsigned int x, unsigned int y)
{
	for (; y < child->rows && out->len + ROW_MAX < EMULATOR_PACKET_MAX;
		y++, x = 0) {
		child_put_row(child, &child->page->rows[y], out, x);
		if (!child->page->rows[y].wrapped)
			break;
	}
}

void child_send_row(
	struct child *child, const struct child_row *row, unsigned int flags)
{
	struct buf *lines = &child->lines;
	size_t at, len;

	if (row->wrapped)
		flags |= EMULATOR_WRAPPED;
	if (lines->len + ROW_MAX > EMULATOR_PACKET_MAX)
		child_flush_lines(child);
	if (!lines->len)
		buf_put_u8(lines, EMULATOR_LINE);
	buf_put_u8(lines, (uint8_t)flags);
	at = lines->len;
	buf_put_u16(lines, 0);
	child_put_row(child, row, lines, 0);
	len = lines->len - at - 2;
	lines->data[at] = (uint8_t)(len >> 8);
	lines->data[at + 1] = (uint8_t)len;
}

void child_send_lines(struct child *child)
{
	const struct child_row *rows = child->pages[0].rows;
	unsigned int last = 0, y;

	child_need(child, 0, child->rows - 1);
	for (y = 0; y < child->rows; y++)
		if (child_row_length(child, &rows[y]))
			last = y + 1;
	for (y = 0; y < last; y++)
		child_send_row(child, &rows[y], 0);
	if (child->alternate)
		child_tell(child, child->page, 0, child->rows - 1, 0);
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
	child_need(child, child_logical_start(child), child->rows - 1);
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
