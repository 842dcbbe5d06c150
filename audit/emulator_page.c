/*
 * Which rows of the screen nobody has been told of. A row is told as it stands
 * before any of what is new in it is written over, erased or pushed off, so
 * that nothing that was on the screen is lost; once, however often a program
 * draws it. New is what was written since it was told; after the end of a feed
 * all of it is, for then somebody may have looked at a row half of which is
 * older.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emulator_child.h"

/* Rows of a logical line that are told with the one that changes: a line over
 * a whole large screen is not told for each of its characters. */
#define NEIGHBOURS    8
#define TOLD_TEXT_MAX 4096

static void row_clear(struct child_row *row)
{
	row->from = row->to = row->len = 0;
	row->fresh = row->valid = row->wrapped = false;
}

void child_blank(struct child *child, unsigned int first, unsigned int last)
{
	for (; first <= last && first < child->rows; first++)
		row_clear(&child->page->rows[first]);
}

void child_unknown(struct child *child)
{
	unsigned int y;

	for (y = 0; y < child->rows; y++) {
		struct child_row *row = &child->page->rows[y];

		row->from = 0;
		row->to = row->len = (uint16_t)child->cols;
		row->fresh = true;
		row->valid = row->wrapped = false;
		row->turn = child->turn;
	}
}

/* True: a row of this text was told already. */
static bool was_told(struct child *child, const struct buf *text)
{
	uint32_t hash = 2166136261U;
	struct told *told;
	size_t i;

	for (i = 0; i < text->len; i++)
		hash = (hash ^ text->data[i]) * 16777619U;
	told = &child->told[(hash ^ hash >> 16) % TOLD_MAX];
	if (told->text && told->len == text->len &&
		!memcmp(told->text, text->data, text->len))
		return true;
	free(told->text);
	told->text = text->len <= TOLD_TEXT_MAX ? malloc(text->len) : NULL;
	told->len = text->len;
	if (told->text)
		memcpy(told->text, text->data, text->len);
	return false;
}

void child_forget(struct child *child)
{
	size_t i;

	for (i = 0; i < TOLD_MAX; i++) {
		free(child->told[i].text);
		child->told[i].text = NULL;
	}
}

/* The row with those that it goes on from and in. */
static void tell_row(struct child *child, struct child_page *page,
	unsigned int y, unsigned int flags)
{
	unsigned int first = y, last = y;
	struct child_row *rows = page->rows;
	struct buf text;

	while (first && rows[first - 1].wrapped && y - first < NEIGHBOURS)
		first--;
	while (last + 1 < child->rows && rows[last].wrapped &&
		last - y < NEIGHBOURS)
		last++;
	if (page == child->page)
		child_need(child, first, last);
	buf_init(&text, EMULATOR_PACKET_MAX * 2);
	for (y = first; y <= last; y++)
		child_put_row(child, &rows[y], &text, 0);
	if (text.len && (buf_error(&text) || !was_told(child, &text)))
		for (y = first; y <= last; y++)
			child_send_row(child, &rows[y], flags | EMULATOR_APART);
	buf_done(&text);
	for (y = first; y <= last; y++)
		rows[y].fresh = false;
}

void child_tell(struct child *child, struct child_page *page,
	unsigned int first, unsigned int last, unsigned int flags)
{
	unsigned int y;

	for (y = first; y <= last && y < child->rows; y++)
		if (page->rows[y].fresh)
			tell_row(child, page, y, flags);
}

static bool has_new(const struct child *child, const struct child_row *row,
	unsigned int x, unsigned int end)
{
	if (!row->fresh || x >= row->len)
		return false;
	return row->turn != child->turn || (x < row->to && end > row->from);
}

void child_touch(
	struct child *child, unsigned int y, unsigned int x, unsigned int end)
{
	struct child_row *row = &child->page->rows[y];

	if (has_new(child, row, x, end))
		tell_row(child, child->page, y,
			child->alternate ? 0 : EMULATOR_REDRAWN);
	row->valid = false;
}

void child_wrote(
	struct child *child, unsigned int y, unsigned int x, unsigned int end)
{
	struct child_row *row = &child->page->rows[y];

	if (end > child->cols)
		end = child->cols;
	if (x >= end)
		return;
	if (!row->fresh) {
		row->from = (uint16_t)x;
		row->to = (uint16_t)end;
	} else if (row->turn != child->turn) {
		row->from = 0;
		row->to = (uint16_t)child->cols;
	}
	row->from = x < row->from ? (uint16_t)x : row->from;
	row->to = end > row->to ? (uint16_t)end : row->to;
	row->len = end > row->len ? (uint16_t)end : row->len;
	row->turn = child->turn;
	row->fresh = true;
}

void child_erased(struct child *child, unsigned int y, unsigned int x)
{
	struct child_row *row = &child->page->rows[y];

	if (x < row->len)
		row->len = (uint16_t)x;
	if (!row->len)
		row->fresh = false;
}

void child_up(
	struct child *child, unsigned int first, unsigned int last, bool lines)
{
	struct child_row *rows = child->page->rows, row;

	if (lines && !child->alternate) {
		child_need(child, first, first);
		child_send_row(child, &rows[first], 0);
	} else if (rows[first].fresh) {
		tell_row(child, child->page, first, 0);
	}
	if (first)
		rows[first - 1].wrapped = false;
	row = rows[first];
	memmove(&rows[first], &rows[first + 1], (last - first) * sizeof(*rows));
	row_clear(&row);
	rows[last] = row;
}

void child_down(struct child *child, unsigned int first, unsigned int last)
{
	struct child_row *rows = child->page->rows, row;

	if (rows[last].fresh)
		tell_row(child, child->page, last, 0);
	if (first)
		rows[first - 1].wrapped = false;
	row = rows[last];
	memmove(&rows[first + 1], &rows[first], (last - first) * sizeof(*rows));
	rows[last].wrapped = false;
	row_clear(&row);
	rows[first] = row;
}

void child_scrolls(struct child *child)
{
	/* What is written next is not in the row that comes free. */
	if (tsm_screen_get_cursor_y(child->screen) != child->bottom)
		child_hold(child);
	child_up(child, child->top, child->bottom, true);
	if (child->mark_y > child->top)
		child->mark_y--;
	else
		child->marked = false;
}

void child_switch(struct child *child, bool alternate)
{
	unsigned int y;

	if (alternate == child->alternate)
		return;
	child->alternate = alternate;
	child->page = &child->pages[alternate];
	for (y = 0; y < child->rows; y++)
		child->page->rows[y].valid = false;
}

/* So many rows does the cursor not fit. */
static unsigned int past_end(const struct child *child, unsigned int rows)
{
	unsigned int y = tsm_screen_get_cursor_y(child->screen);

	return y >= rows ? y - rows + 1 : 0;
}

/* What does not fit: of the page that is shown libtsm drops rows at its top,
 * of the other one those at its end. */
static void tell_lost(struct child *child, unsigned int cols, unsigned int rows)
{
	unsigned int which, y = 0;

	if (!child->ways.keeps_cut)
		y = rows;
	else if (rows <= child->rows)
		y = child->rows - past_end(child, rows);
	for (; rows < child->rows && y < child->rows; y++)
		child_up(child, 0, child->rows - 1, child->page->rows[0].len);
	for (which = 0; which < 2; which++) {
		struct child_page *page = &child->pages[which];

		for (y = 0; y < child->rows; y++) {
			struct child_row *row = &page->rows[y];

			if (y >= rows && row->fresh)
				tell_row(child, page, y, 0);
			else if (row->fresh && row->len > cols)
				tell_row(child, page, y,
					which ? 0 : EMULATOR_REDRAWN);
		}
	}
}

/* Perhaps with what was there before it was cut off. */
static void row_back(
	const struct child *child, struct child_row *row, unsigned int cols)
{
	row->from = 0;
	row->to = row->len = (uint16_t)cols;
	row->turn = child->turn;
	row->fresh = true;
}

static void resize_page(const struct child *child, struct child_page *page,
	unsigned int cols, unsigned int rows)
{
	struct emulator_cell *cells = calloc(
		(size_t)cols * rows, sizeof(*cells));
	unsigned int least = cols < child->cols ? cols : child->cols, y;

	if (!cells)
		_exit(1);
	for (y = 0; y < rows; y++) {
		struct child_row *row = &page->rows[y];

		if (y >= child->rows)
			row_clear(row);
		else
			memcpy(cells + (size_t)y * cols, row->cells,
				least * sizeof(*cells));
		if (child->ways.keeps_cut && child->rows &&
			(y >= child->rows || cols > child->cols))
			row_back(child, row, cols);
		row->cells = cells + (size_t)y * cols;
		row->valid = row->wrapped = false;
		row->len = row->len < cols ? row->len : (uint16_t)cols;
	}
	free(page->cells);
	page->cells = cells;
}

void child_resize(struct child *child, unsigned int cols, unsigned int rows)
{
	if (child->rows)
		child_hold(child);
	tell_lost(child, cols, rows);
	child->held = false;
	resize_page(child, &child->pages[0], cols, rows);
	resize_page(child, &child->pages[1], cols, rows);
}
