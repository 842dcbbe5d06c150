/*
 * The child: libtsm, fed with bytes that the target host chose, in a process
 * that has one socket and may do nothing but compute, read and write it.
 *
 * libtsm keeps lines that scroll off to itself. They are read just before the
 * byte that pushes them out: a line feed in the last row of the scrolling
 * region, or a character after a full line there.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libtsm.h>

#include "core/buf.h"

#include "emulator.h"
#include "emulator_wire.h"
#include "utf8.h"

enum sequence { GROUND = 0, ESCAPE, CONTROL, STRING };

struct child {
	int sock;
	struct tsm_screen *screen;
	struct tsm_vte *vte;
	unsigned int cols, rows;
	/* Just enough of the sequences to know the scrolling region. */
	enum sequence sequence;
	unsigned int params[2], param_count;
	bool private_params;
	unsigned int top, bottom; /* rows of the region */
	bool wrapped[EMULATOR_ROWS_MAX];
	bool alternate;
	/* Where the shell said that its prompt ends: OSC 133;B. */
	bool marked, marks_seen;
	unsigned int mark_x, mark_y;
	struct buf prompt; /* or empty */
	/* Reading rows through libtsm's draw callback. */
	struct emulator_cell *cells; /* rows * cols */
	struct emulator_cell *shown; /* as last painted */
	struct buf packet;
};

static void send_packet(struct child *child)
{
	if (buf_error(&child->packet) ||
		send(child->sock, child->packet.data, child->packet.len,
			MSG_NOSIGNAL) < 0)
		_exit(1);
}

static void begin(struct child *child, enum emulator_reply kind)
{
	buf_reset(&child->packet);
	buf_put_u8(&child->packet, (uint8_t)kind);
}

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

static void read_screen(struct child *child)
{
	unsigned int x = tsm_screen_get_cursor_x(child->screen);
	unsigned int y = tsm_screen_get_cursor_y(child->screen);

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

static void put_row_text(struct child *child, unsigned int x, unsigned int y)
{
	unsigned int len = row_length(child, y);

	for (; x < len; x++) {
		const struct emulator_cell *cell =
			&child->cells[y * child->cols + x];

		if (cell->width)
			utf8_put(&child->packet, cell->code ? cell->code : ' ');
	}
}

/* The row where the logical line of the cursor begins. */
static unsigned int logical_start(const struct child *child)
{
	unsigned int y = tsm_screen_get_cursor_y(child->screen);

	if (y >= child->rows)
		y = child->rows - 1;
	while (y && child->wrapped[y - 1])
		y--;
	return y;
}

/* From a place on to the end of its logical line. */
static void put_logical(struct child *child, unsigned int x, unsigned int y)
{
	for (; y < child->rows; y++, x = 0) {
		put_row_text(child, x, y);
		if (!child->wrapped[y])
			break;
	}
}

static void send_line(struct child *child, unsigned int y)
{
	begin(child, EMULATOR_LINE);
	buf_put_u8(&child->packet, child->wrapped[y]);
	put_row_text(child, 0, y);
	send_packet(child);
}

/* Rows from the first to the last that has text. */
static void send_lines(struct child *child)
{
	unsigned int last = 0, y;

	read_screen(child);
	for (y = 0; y < child->rows; y++)
		if (row_length(child, y))
			last = y + 1;
	for (y = 0; y < last; y++)
		send_line(child, y);
}

static void scrolls(struct child *child)
{
	unsigned int y;

	if (!child->alternate) {
		read_screen(child);
		send_line(child, child->top);
	}
	if (child->mark_y > child->top)
		child->mark_y--;
	else
		child->marked = false;
	for (y = child->top; y < child->bottom; y++)
		child->wrapped[y] = child->wrapped[y + 1];
	child->wrapped[child->bottom] = false;
}

/* A line that begins with the prompt is entered now. */
static void check_prompt(struct child *child)
{
	const struct buf *prompt = &child->prompt;

	/* Where the shell marks its lines it tells better. */
	if (!prompt->len || child->alternate || child->marks_seen)
		return;
	read_screen(child);
	begin(child, EMULATOR_COMMAND);
	buf_put_u8(&child->packet, 0);
	put_logical(child, 0, logical_start(child));
	if (buf_error(&child->packet) || child->packet.len <= 2 + prompt->len ||
		memcmp(child->packet.data + 2, prompt->data, prompt->len) != 0)
		return;
	memmove(child->packet.data + 2, child->packet.data + 2 + prompt->len,
		child->packet.len - 2 - prompt->len);
	child->packet.len -= prompt->len;
	send_packet(child);
}

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
		send_lines(child);
	memset(child->wrapped, 0, sizeof(child->wrapped));
}

static void end_control(struct child *child, uint8_t byte)
{
	unsigned int y = tsm_screen_get_cursor_y(child->screen);

	child->sequence = GROUND;
	if (child->private_params) {
		/* Leaving the other screen: what it last showed was seen. */
		if (byte == 'l' && child->alternate &&
			(child->params[0] == 1049 || child->params[0] == 47 ||
				child->params[0] == 1047))
			send_lines(child);
		return;
	}
	if (byte == 'r')
		set_region(child);
	else if (byte == 'J')
		before_erase(child);
	else if (byte == 'K' && child->params[0] != 1 && y < child->rows)
		child->wrapped[y] = false; /* its end is erased */
}

static void in_control(struct child *child, uint8_t byte)
{
	if (byte >= '0' && byte <= '9') {
		unsigned int *param = &child->params[child->param_count];

		if (child->param_count < 2 && *param < 10000)
			*param = *param * 10 + (byte - '0');
	} else if (byte == ';') {
		if (child->param_count < 2)
			child->param_count++;
	} else if (byte == '?') {
		child->private_params = true;
	} else if (byte >= 0x40 && byte < 0x7f) {
		end_control(child, byte);
	} else if (byte == 0x18 || byte == 0x1a) {
		child->sequence = GROUND;
	} else if (byte == 0x1b) {
		child->sequence = ESCAPE;
	}
}

static void after_escape(struct child *child, uint8_t byte)
{
	child->sequence = GROUND;
	if (byte == '[') {
		child->sequence = CONTROL;
		child->params[0] = child->params[1] = child->param_count = 0;
		child->private_params = false;
	} else if (byte == ']' || byte == 'P' || byte == '_' || byte == '^' ||
		   byte == 'X') {
		child->sequence = STRING;
	} else if (byte == 'c') {
		send_lines(child);
		child->top = 0;
		child->bottom = child->rows - 1;
	} else if ((byte == 'D' || byte == 'E') && at_bottom(child)) {
		scrolls(child);
	} else if (byte >= 0x20 && byte < 0x30) {
		child->sequence = ESCAPE; /* an intermediate byte */
	}
}

static void on_ground(struct child *child, uint8_t byte)
{
	unsigned int x, y;

	if (byte == 0x1b) {
		child->sequence = ESCAPE;
	} else if (byte >= 0x0a && byte <= 0x0c) {
		check_prompt(child);
		if (at_bottom(child))
			scrolls(child);
	} else if (byte >= 0x20 && byte != 0x7f) {
		x = tsm_screen_get_cursor_x(child->screen);
		y = tsm_screen_get_cursor_y(child->screen);
		if (x < child->cols || (byte & 0xc0) == 0x80)
			return;
		if (y < EMULATOR_ROWS_MAX)
			child->wrapped[y] = true;
		if (at_bottom(child))
			scrolls(child);
	}
}

static void follow(struct child *child, uint8_t byte)
{
	switch (child->sequence) {
	case GROUND: on_ground(child, byte); break;
	case ESCAPE: after_escape(child, byte); break;
	case CONTROL: in_control(child, byte); break;
	case STRING:
		if (byte == 0x07 || byte == 0x18 || byte == 0x1a)
			child->sequence = GROUND;
		else if (byte == 0x1b)
			child->sequence = ESCAPE;
		break;
	}
}

/* Does this byte need the emulator to be where the bytes before it lead? */
static bool needs_care(const struct child *child, uint8_t byte)
{
	return child->sequence != GROUND || byte < 0x20 ||
	       tsm_screen_get_cursor_x(child->screen) >= child->cols;
}

static void feed(struct child *child, const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (needs_care(child, data[i]))
			follow(child, data[i]);
		tsm_vte_input(child->vte, (const char *)data + i, 1);
		child->alternate = tsm_screen_get_flags(child->screen) &
				   TSM_SCREEN_ALTERNATE;
	}
}

static void set_size(struct child *child, unsigned int cols, unsigned int rows)
{
	size_t count;

	if (!cols || cols > EMULATOR_COLS_MAX)
		cols = cols ? EMULATOR_COLS_MAX : 80;
	if (!rows || rows > EMULATOR_ROWS_MAX)
		rows = rows ? EMULATOR_ROWS_MAX : 24;
	count = (size_t)cols * rows;
	free(child->cells);
	free(child->shown);
	child->cells = calloc(count, sizeof(*child->cells));
	child->shown = calloc(count, sizeof(*child->shown));
	if (!child->cells || !child->shown ||
		tsm_screen_resize(child->screen, cols, rows))
		_exit(1);
	child->cols = cols;
	child->rows = rows;
	child->top = 0;
	child->bottom = rows - 1;
	memset(child->wrapped, 0, sizeof(child->wrapped));
}

static void send_row(struct child *child, unsigned int y)
{
	unsigned int x;

	begin(child, EMULATOR_ROW);
	buf_put_u32(&child->packet, y);
	for (x = 0; x < child->cols; x++) {
		const struct emulator_cell *cell =
			&child->cells[y * child->cols + x];

		buf_put_u32(&child->packet, cell->code);
		buf_put_u8(&child->packet, cell->width);
		buf_put_u8(&child->packet, cell->attr);
		buf_put(&child->packet, cell->fg, 4);
		buf_put(&child->packet, cell->bg, 4);
	}
	send_packet(child);
}

static void paint(struct child *child, bool all)
{
	size_t row = child->cols * sizeof(*child->cells);
	unsigned int y;

	read_screen(child);
	for (y = 0; y < child->rows; y++) {
		struct emulator_cell *now = child->cells + y * child->cols;
		struct emulator_cell *shown = child->shown + y * child->cols;

		if (!all && !memcmp(now, shown, row))
			continue;
		memcpy(shown, now, row);
		send_row(child, y);
	}
}

static void send_cursor_line(struct child *child)
{
	read_screen(child);
	begin(child, EMULATOR_LINE);
	buf_put_u8(&child->packet, 0);
	put_logical(child, 0, logical_start(child));
	send_packet(child);
}

/* The shell's own marks (FinalTerm): B after the prompt, C before the output,
 * D and the status after it. */
static void on_osc(
	struct tsm_vte *vte, const char *text, size_t len, void *data)
{
	struct child *child = data;
	unsigned int status = 0;
	size_t i;

	(void)vte;
	if (len < 5 || memcmp(text, "133;", 4) != 0)
		return;
	child->marks_seen = true;
	if (text[4] == 'B') {
		child->marked = true;
		child->mark_x = tsm_screen_get_cursor_x(child->screen);
		child->mark_y = tsm_screen_get_cursor_y(child->screen);
	} else if (text[4] == 'C' && child->marked) {
		child->marked = false;
		read_screen(child);
		begin(child, EMULATOR_COMMAND);
		buf_put_u8(&child->packet, 1);
		put_logical(child, child->mark_x, child->mark_y);
		send_packet(child);
	} else if (text[4] == 'D') {
		for (i = 6; i < len && text[i] >= '0' && text[i] <= '9' &&
			    status < 100000;
			i++)
			status = status * 10 + (unsigned int)(text[i] - '0');
		begin(child, EMULATOR_STATUS);
		buf_put_u32(&child->packet, status);
		send_packet(child);
	}
}

/* Answers of the emulator go nowhere: there is nobody to ask. */
static void on_answer(
	struct tsm_vte *vte, const char *text, size_t len, void *data)
{
	(void)vte;
	(void)text;
	(void)len;
	(void)data;
}

static void new_terminal(struct child *child)
{
	if (child->vte)
		tsm_vte_unref(child->vte);
	if (child->screen)
		tsm_screen_unref(child->screen);
	child->vte = NULL;
	child->screen = NULL;
	if (tsm_screen_new(&child->screen, NULL, NULL) ||
		tsm_vte_new(&child->vte, child->screen, on_answer, child, NULL,
			NULL))
		_exit(1);
	tsm_vte_set_osc_cb(child->vte, on_osc, child);
	child->sequence = GROUND;
	child->alternate = child->marked = child->marks_seen = false;
	buf_reset(&child->prompt);
	set_size(child, 80, 24);
}

static void done(struct child *child)
{
	unsigned int flags = tsm_screen_get_flags(child->screen);
	unsigned int y = tsm_screen_get_cursor_y(child->screen);

	begin(child, EMULATOR_DONE);
	buf_put_u32(&child->packet, child->cols);
	buf_put_u32(&child->packet, child->rows);
	buf_put_u32(&child->packet, tsm_screen_get_cursor_x(child->screen));
	buf_put_u32(&child->packet, y < child->rows ? y : child->rows - 1);
	buf_put_u8(&child->packet, child->alternate);
	buf_put_u8(&child->packet, !!(flags & TSM_SCREEN_HIDE_CURSOR));
	send_packet(child);
}

static void answer(struct child *child, const uint8_t *data, size_t len)
{
	struct reader rd;
	unsigned int cols;

	reader_init(&rd, data, len);
	switch (reader_u8(&rd)) {
	case EMULATOR_FEED: feed(child, rd.data, rd.left); break;
	case EMULATOR_RESIZE:
		cols = reader_u32(&rd);
		set_size(child, cols, reader_u32(&rd));
		break;
	case EMULATOR_PAINT: paint(child, reader_u8(&rd)); break;
	case EMULATOR_LINES: send_lines(child); break;
	case EMULATOR_CURSOR_LINE: send_cursor_line(child); break;
	case EMULATOR_RESET: new_terminal(child); break;
	case EMULATOR_PROMPT:
		buf_reset(&child->prompt);
		buf_put(&child->prompt, rd.data, rd.left);
		break;
	default: _exit(1);
	}
	done(child);
}

void emulator_child(int sock)
{
	static struct child child;
	static uint8_t packet[EMULATOR_PACKET_MAX];
	ssize_t got;

	int null = open("/dev/null", O_RDWR);

	/* Not the auditor's terminal: nothing here may write to it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || null < 0 || dup2(null, 0) < 0 ||
		dup2(null, 1) < 0 || dup2(null, 2) < 0 || dup2(sock, 3) < 0)
		_exit(1);
	(void)close_range(4, ~0U, 0);
	child.sock = 3;
	buf_init(&child.packet, EMULATOR_PACKET_MAX);
	buf_init(&child.prompt, EMULATOR_PACKET_MAX);
	emulator_confine();
	new_terminal(&child);
	while ((got = recv(child.sock, packet, sizeof(packet), 0)) > 0)
		answer(&child, packet, (size_t)got);
	_exit(0);
}
