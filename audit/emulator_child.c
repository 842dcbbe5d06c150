/*
 * The child: libtsm, fed with bytes that the target host chose, in a process
 * that has one socket and may do nothing but compute, read and write it.
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

#include "emulator_child.h"

static void send_packet(struct child *child, const struct buf *packet)
{
	if (buf_error(packet) ||
		send(child->sock, packet->data, packet->len, MSG_NOSIGNAL) < 0)
		_exit(1);
}

void child_flush_lines(struct child *child)
{
	if (child->lines.len)
		send_packet(child, &child->lines);
	buf_reset(&child->lines);
}

void child_send(struct child *child)
{
	child_flush_lines(child);
	send_packet(child, &child->packet);
}

void child_begin(struct child *child, enum emulator_reply kind)
{
	buf_reset(&child->packet);
	buf_put_u8(&child->packet, (uint8_t)kind);
}

static void set_size(struct child *child, unsigned int cols, unsigned int rows)
{
	if (!cols || cols > EMULATOR_COLS_MAX)
		cols = cols ? EMULATOR_COLS_MAX : 80;
	if (!rows || rows > EMULATOR_ROWS_MAX)
		rows = rows ? EMULATOR_ROWS_MAX : 24;
	/* Then libtsm leaves the region as it is. */
	if (cols == child->cols && rows == child->rows)
		return;
	child_resize(child, cols, rows);
	free(child->shown);
	child->shown = calloc((size_t)cols * rows, sizeof(*child->shown));
	if (!child->shown || tsm_screen_resize(child->screen, cols, rows))
		_exit(1);
	child->cols = cols;
	child->rows = rows;
	child->top = 0;
	child->bottom = rows - 1;
	child->line_plain = false;
}

static void send_row(struct child *child, unsigned int y)
{
	unsigned int x;

	child_begin(child, EMULATOR_ROW);
	buf_put_u32(&child->packet, y);
	for (x = 0; x < child->cols; x++) {
		const struct emulator_cell *cell =
			&child->page->rows[y].cells[x];

		buf_put_u32(&child->packet, cell->code);
		buf_put_u8(&child->packet, cell->width);
		buf_put_u8(&child->packet, cell->attr);
		buf_put(&child->packet, cell->fg, 4);
		buf_put(&child->packet, cell->bg, 4);
	}
	child_send(child);
}

static void paint(struct child *child, bool all)
{
	size_t row = child->cols * sizeof(*child->shown);
	unsigned int y;

	child_read_screen(child);
	for (y = 0; y < child->rows; y++) {
		struct emulator_cell *now = child->page->rows[y].cells;
		struct emulator_cell *shown = child->shown + y * child->cols;

		if (!all && !memcmp(now, shown, row))
			continue;
		memcpy(shown, now, row);
		send_row(child, y);
	}
}

static void send_cursor_line(struct child *child)
{
	struct buf *line = &child->lines;
	size_t len;

	child_flush_lines(child);
	child_read_screen(child);
	buf_put_u8(line, EMULATOR_LINE);
	buf_put_u8(line, 0);
	buf_put_u16(line, 0);
	child_put_logical(child, line, 0, child_logical_start(child));
	len = line->len - 4;
	line->data[2] = (uint8_t)(len >> 8);
	line->data[3] = (uint8_t)len;
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
		child_read_screen(child);
		child_begin(child, EMULATOR_COMMAND);
		buf_put_u8(&child->packet, 1);
		child_put_logical(
			child, &child->packet, child->mark_x, child->mark_y);
		child_send(child);
	} else if (text[4] == 'D') {
		for (i = 6; i < len && text[i] >= '0' && text[i] <= '9' &&
			    status < 100000;
			i++)
			status = status * 10 + (unsigned int)(text[i] - '0');
		child_begin(child, EMULATOR_STATUS);
		buf_put_u32(&child->packet, status);
		child_send(child);
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

/* As a new libtsm is: it begins with this size. */
static void new_pages(struct child *child)
{
	free(child->pages[0].cells);
	free(child->pages[1].cells);
	memset(child->pages, 0, sizeof(child->pages));
	child->page = &child->pages[0];
	child->alternate = false;
	child->cols = child->rows = 0;
	child_forget(child);
	set_size(child, 80, 24);
}

static void new_libtsm(struct child *child)
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
}

static void input(struct child *child, const char *text)
{
	tsm_vte_input(child->vte, text, strlen(text));
}

/* It compares a char with 0xc0, so it depends on the machine whether an
 * overlong line feed is one; the rest on its version. */
static void ask_ways(struct child *child)
{
	struct libtsm_ways *ways = &child->ways;

	new_libtsm(child);
	input(child, "\xc0\x8a");
	ways->overlong = tsm_screen_get_cursor_y(child->screen);
	input(child, "\033[10;1H");
	if (tsm_screen_resize(child->screen, 80, 20))
		_exit(1);
	ways->keeps_cut = tsm_screen_get_cursor_y(child->screen) == 9;
	input(child, "\033[?1049h\033[$p");
	ways->query_resets = !(
		tsm_screen_get_flags(child->screen) & TSM_SCREEN_ALTERNATE);
}

static void new_terminal(struct child *child)
{
	new_libtsm(child);
	tsm_vte_set_osc_cb(child->vte, on_osc, child);
	child->sequence = GROUND;
	child->marked = child->marks_seen = false;
	child->odd_mode = child->other_charset = child->line_plain = false;
	child->reading = READ_UTF8;
	child->utf8_left = child->turn = 0;
	buf_reset(&child->prompt);
	new_pages(child);
}

static void done(struct child *child)
{
	unsigned int flags = tsm_screen_get_flags(child->screen);
	unsigned int x = tsm_screen_get_cursor_x(child->screen);
	unsigned int y = tsm_screen_get_cursor_y(child->screen);

	child_begin(child, EMULATOR_DONE);
	buf_put_u32(&child->packet, child->cols);
	buf_put_u32(&child->packet, child->rows);
	/* A wide character in the last column leaves it one further. */
	buf_put_u32(&child->packet, x < child->cols ? x : child->cols);
	buf_put_u32(&child->packet, y < child->rows ? y : child->rows - 1);
	buf_put_u8(&child->packet, child->alternate);
	buf_put_u8(&child->packet, !!(flags & TSM_SCREEN_HIDE_CURSOR));
	child_send(child);
}

static void answer(struct child *child, const uint8_t *data, size_t len)
{
	struct reader rd;
	unsigned int cols;

	reader_init(&rd, data, len);
	switch (reader_u8(&rd)) {
	case EMULATOR_FEED: child_feed(child, rd.data, rd.left); break;
	case EMULATOR_RESIZE:
		cols = reader_u32(&rd);
		set_size(child, cols, reader_u32(&rd));
		break;
	case EMULATOR_PAINT: paint(child, reader_u8(&rd)); break;
	case EMULATOR_LINES: child_send_lines(child); break;
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
	buf_init(&child.lines, EMULATOR_PACKET_MAX);
	buf_init(&child.prompt, EMULATOR_PACKET_MAX);
	emulator_confine();
	ask_ways(&child);
	new_terminal(&child);
	while ((got = recv(child.sock, packet, sizeof(packet), 0)) > 0)
		answer(&child, packet, (size_t)got);
	_exit(0);
}
