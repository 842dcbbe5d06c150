/*
 * The parent's side of the emulator. One request, any number of replies, then
 * "done": so neither side can block the other for good. What comes back is
 * limited in size, order and alphabet.
 */
#include "emulator.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/msg.h"

#include "emulator_wire.h"
#include "utf8.h"

#define PATIENCE_MS 10000
#define BUDGET_MS   120000 /* of one recording, or one way through it */
#define CELL_LEN    14

struct emulator {
	const struct emulator_handler *handler;
	pid_t pid;
	int sock; /* -1: dead */
	struct emulator_screen screen;
	uint64_t spent_ms, budget_ms;
	struct buf packet;
	struct emulator_cell cells[EMULATOR_COLS_MAX];
};

/* What a terminal sends to all of the group is the parent's to answer. */
static void ignore_keys(void)
{
	static const int keys[] = {SIGINT, SIGQUIT, SIGTSTP, SIGHUP};
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		(void)signal(keys[i], SIG_IGN);
}

enum sgb_err emulator_start(
	const struct emulator_handler *handler, struct emulator **ret)
{
	struct emulator *emulator = calloc(1, sizeof(*emulator));
	int pair[2];

	if (!emulator)
		return SGB_ERR_NOMEM;
	if (msg_pair(pair)) {
		free(emulator);
		return SGB_ERR_SYSTEM;
	}
	emulator->handler = handler;
	emulator->budget_ms = BUDGET_MS;
	emulator->sock = pair[0];
	emulator->screen = (struct emulator_screen){.cols = 80, .rows = 24};
	buf_init(&emulator->packet, EMULATOR_PACKET_MAX);
	emulator->pid = fork();
	if (!emulator->pid) {
		close(pair[0]);
		ignore_keys();
		emulator_child(pair[1]);
	}
	close(pair[1]);
	if (emulator->pid < 0) {
		emulator_free(emulator);
		return SGB_ERR_SYSTEM;
	}
	*ret = emulator;
	return SGB_OK;
}

static void bury(struct emulator *emulator)
{
	if (emulator->sock >= 0)
		close(emulator->sock);
	emulator->sock = -1;
	if (emulator->pid <= 0)
		return;
	(void)kill(emulator->pid, SIGKILL);
	while (waitpid(emulator->pid, NULL, 0) < 0 && errno == EINTR)
		;
	emulator->pid = 0;
}

void emulator_free(struct emulator *emulator)
{
	if (!emulator)
		return;
	bury(emulator);
	buf_done(&emulator->packet);
	free(emulator);
}

static bool take_line(struct emulator *emulator, struct reader *rd)
{
	struct buf text;

	buf_init(&text, 8 * EMULATOR_PACKET_MAX);
	while (rd->left) {
		unsigned int flags = reader_u8(rd);
		size_t len = reader_u16(rd);
		const uint8_t *line = reader_bytes(rd, len);

		if (rd->err)
			break;
		buf_reset(&text);
		utf8_clean(line, len, &text);
		if (!buf_error(&text) && emulator->handler->line)
			emulator->handler->line(emulator->handler->data,
				text.data ? (const char *)text.data : "",
				text.len, flags);
	}
	buf_done(&text);
	return !rd->err;
}

static bool take_row(struct emulator *emulator, struct reader *rd)
{
	uint32_t y = reader_u32(rd);
	size_t count = rd->left / CELL_LEN, i;

	if (rd->err || y >= EMULATOR_ROWS_MAX || rd->left % CELL_LEN ||
		count > EMULATOR_COLS_MAX)
		return false;
	for (i = 0; i < count; i++) {
		struct emulator_cell *cell = &emulator->cells[i];
		const uint8_t *colour;

		cell->code = reader_u32(rd);
		cell->width = reader_u8(rd);
		cell->attr = reader_u8(rd);
		colour = reader_bytes(rd, 8);
		memcpy(cell->fg, colour, 4);
		memcpy(cell->bg, colour + 4, 4);
		if (!utf8_printable(cell->code))
			cell->code = 0;
		if (cell->width > 2)
			cell->width = 1;
	}
	if (emulator->handler->row)
		emulator->handler->row(emulator->handler->data, y,
			emulator->cells, (unsigned int)count);
	return true;
}

static bool take_done(struct emulator *emulator, struct reader *rd)
{
	struct emulator_screen screen = {0};

	screen.cols = reader_u32(rd);
	screen.rows = reader_u32(rd);
	screen.x = reader_u32(rd);
	screen.y = reader_u32(rd);
	screen.alternate = reader_u8(rd);
	screen.cursor_hidden = reader_u8(rd);
	if (reader_end(rd) || screen.cols > EMULATOR_COLS_MAX ||
		screen.rows > EMULATOR_ROWS_MAX || screen.x > screen.cols ||
		screen.y >= screen.rows)
		return false;
	emulator->screen = screen;
	return true;
}

static bool take_command(struct emulator *emulator, struct reader *rd)
{
	bool from_shell = reader_u8(rd);
	struct buf text;

	if (rd->err)
		return false;
	if (!emulator->handler->command)
		return true;
	buf_init(&text, 8 * EMULATOR_PACKET_MAX);
	utf8_clean(rd->data, rd->left, &text);
	if (!buf_error(&text))
		emulator->handler->command(emulator->handler->data,
			text.data ? (const char *)text.data : "", text.len,
			from_shell);
	buf_done(&text);
	return true;
}

static bool take_status(struct emulator *emulator, struct reader *rd)
{
	uint32_t status = reader_u32(rd);

	if (reader_end(rd))
		return false;
	if (emulator->handler->status)
		emulator->handler->status(emulator->handler->data, status);
	return true;
}

static const struct {
	enum emulator_reply kind;
	bool (*take)(struct emulator *emulator, struct reader *rd);
} replies[] = {
	{EMULATOR_LINE, take_line},
	{EMULATOR_ROW, take_row},
	{EMULATOR_COMMAND, take_command},
	{EMULATOR_STATUS, take_status},
	{EMULATOR_DONE, take_done},
};

static bool dispatch(
	struct emulator *emulator, unsigned int kind, struct reader *rd)
{
	size_t i;

	for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
		if (replies[i].kind == kind)
			return replies[i].take(emulator, rd);
	return false;
}

/* One reply. SGB_ERR_AGAIN: more will follow. */
static enum sgb_err take_reply(struct emulator *emulator)
{
	struct pollfd fd = {.fd = emulator->sock, .events = POLLIN};
	struct reader rd;
	ssize_t got;
	int kind, ready;

	do {
		ready = poll(&fd, 1, PATIENCE_MS);
	} while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return SGB_ERR_TIMEOUT;
	buf_reset(&emulator->packet);
	if (!buf_extend(&emulator->packet, EMULATOR_PACKET_MAX))
		return SGB_ERR_NOMEM;
	got = recv(emulator->sock, emulator->packet.data, EMULATOR_PACKET_MAX,
		MSG_TRUNC);
	if (got <= 0 || got > EMULATOR_PACKET_MAX)
		return SGB_ERR_CLOSED;
	reader_init(&rd, emulator->packet.data, (size_t)got);
	kind = reader_u8(&rd);
	if (!dispatch(emulator, (unsigned int)kind, &rd))
		return SGB_ERR_FORMAT;
	return kind == EMULATOR_DONE ? SGB_OK : SGB_ERR_AGAIN;
}

static uint64_t now_ms(void)
{
	struct timespec now = {0, 0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int send_packet(int sock, const struct buf *packet)
{
	ssize_t sent;

	do {
		sent = send(sock, packet->data, packet->len, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -1 : 0;
}

static enum sgb_err request(
	struct emulator *emulator, int kind, const void *data, size_t len)
{
	struct buf packet;
	enum sgb_err err = SGB_OK;
	uint64_t started;

	if (emulator->sock < 0)
		return SGB_ERR_CLOSED;
	buf_init(&packet, EMULATOR_PACKET_MAX);
	buf_put_u8(&packet, (uint8_t)kind);
	buf_put(&packet, data, len);
	if (buf_error(&packet) || send_packet(emulator->sock, &packet))
		err = SGB_ERR_CLOSED;
	buf_done(&packet);
	while (!err) {
		started = now_ms();
		err = take_reply(emulator);
		emulator->spent_ms += now_ms() - started;
		if (emulator->spent_ms > emulator->budget_ms)
			err = SGB_ERR_TIMEOUT;
		if (!err)
			return SGB_OK;
		if (err == SGB_ERR_AGAIN)
			err = SGB_OK;
	}
	bury(emulator);
	return err;
}

enum sgb_err emulator_feed(
	struct emulator *emulator, const uint8_t *data, size_t len)
{
	enum sgb_err err = SGB_OK;

	while (!err && len) {
		size_t piece = len < EMULATOR_FEED_MAX ? len
						       : EMULATOR_FEED_MAX;

		err = request(emulator, EMULATOR_FEED, data, piece);
		data += piece;
		len -= piece;
	}
	return err;
}

enum sgb_err emulator_resize(
	struct emulator *emulator, unsigned int cols, unsigned int rows)
{
	struct buf body;
	enum sgb_err err;

	buf_init(&body, 16);
	buf_put_u32(&body, cols);
	buf_put_u32(&body, rows);
	err = request(emulator, EMULATOR_RESIZE, body.data, body.len);
	buf_done(&body);
	return err;
}

enum sgb_err emulator_paint(struct emulator *emulator, bool all)
{
	uint8_t flag = all;

	return request(emulator, EMULATOR_PAINT, &flag, 1);
}

enum sgb_err emulator_lines(struct emulator *emulator)
{
	return request(emulator, EMULATOR_LINES, NULL, 0);
}

enum sgb_err emulator_cursor_line(struct emulator *emulator)
{
	return request(emulator, EMULATOR_CURSOR_LINE, NULL, 0);
}

enum sgb_err emulator_prompt(
	struct emulator *emulator, const char *text, size_t len)
{
	return request(emulator, EMULATOR_PROMPT, text, len < 1000 ? len : 0);
}

void emulator_budget(struct emulator *emulator, unsigned int ms)
{
	emulator->budget_ms = ms;
}

enum sgb_err emulator_clear(struct emulator *emulator)
{
	return request(emulator, EMULATOR_RESET, NULL, 0);
}

enum sgb_err emulator_reset(struct emulator *emulator)
{
	emulator->spent_ms = 0;
	return emulator_clear(emulator);
}

const struct emulator_screen *emulator_screen(const struct emulator *emulator)
{
	return &emulator->screen;
}

enum sgb_err emulator_pool_start(
	struct emulator_pool *pool, const struct emulator_handler *handler)
{
	enum sgb_err err = SGB_OK;

	memset(pool, 0, sizeof(*pool));
	while (!err && pool->count < EMULATOR_POOL_MAX) {
		err = emulator_start(handler, &pool->all[pool->count]);
		if (!err)
			pool->count++;
	}
	return pool->count ? SGB_OK : err;
}

struct emulator *emulator_pool_get(struct emulator_pool *pool)
{
	while (pool->next < pool->count && pool->all[pool->next]->sock < 0)
		pool->next++;
	return pool->next < pool->count ? pool->all[pool->next] : NULL;
}

void emulator_pool_done(struct emulator_pool *pool)
{
	size_t i;

	for (i = 0; i < pool->count; i++)
		emulator_free(pool->all[i]);
}
