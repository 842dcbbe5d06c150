/*
 * A terminal emulator in a sandboxed child: no files, no network, no keys,
 * limits on memory and time. The target host chose the bytes that it is fed,
 * so whatever the child says is checked here like a stranger's word, and a
 * child that dies or hangs costs this view only.
 *
 * Start it before private keys are read: a fork copies memory.
 */
#ifndef SGB_EMULATOR_H
#define SGB_EMULATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

#define EMULATOR_COLS_MAX 512
#define EMULATOR_ROWS_MAX 256

enum emulator_attr {
	EMULATOR_BOLD = 1,
	EMULATOR_ITALIC = 2,
	EMULATOR_UNDERLINE = 4,
	EMULATOR_INVERSE = 8,
	EMULATOR_BLINK = 16,
};

struct emulator_cell {
	uint32_t code; /* printable, or 0: empty */
	uint8_t width; /* 0: the second half of the cell before */
	uint8_t attr;
	uint8_t fg[4], bg[4]; /* red, green, blue, 1 if it is the default */
};

enum emulator_line {
	EMULATOR_WRAPPED = 1, /* it goes on in the next */
	EMULATOR_APART = 2,   /* it does not go on from the one before */
	EMULATOR_REDRAWN = 4, /* as it was before it was changed in its place */
};

struct emulator_handler {
	void *data;
	/* A row that left the screen, in whole or in part, or, when asked for,
	 * one that is on it; UTF-8, printable. May be NULL. */
	void (*line)(
		void *data, const char *text, size_t len, unsigned int flags);
	/* A changed row of the screen, after emulator_paint. May be NULL. */
	void (*row)(void *data, unsigned int y,
		const struct emulator_cell *cells, unsigned int count);
	/* A command line that was entered: marked by the shell (OSC 133,
	 * from_shell), or after the prompt that was set. May be NULL. */
	void (*command)(
		void *data, const char *text, size_t len, bool from_shell);
	/* The exit status that the shell marked for it. May be NULL. */
	void (*status)(void *data, unsigned int status);
};

struct emulator_screen {
	unsigned int cols, rows, x, y;
	bool alternate, cursor_hidden;
};

struct emulator;
/* Forks. The handler is borrowed until emulator_free. */
enum sgb_err emulator_start(const struct emulator_handler *handler,
	struct emulator **ret) SGB_MUST_CHECK;
void emulator_free(struct emulator *emulator);

/* Several, started before any key is read: when one was given up over a
 * recording, the next one takes its place. */
#define EMULATOR_POOL_MAX 8
struct emulator_pool {
	struct emulator *all[EMULATOR_POOL_MAX];
	size_t count, next;
};
enum sgb_err emulator_pool_start(struct emulator_pool *pool,
	const struct emulator_handler *handler) SGB_MUST_CHECK;
/* The present one; NULL when all were given up. */
struct emulator *emulator_pool_get(struct emulator_pool *pool);
void emulator_pool_done(struct emulator_pool *pool);
/* Each returns SGB_ERR_TIMEOUT or SGB_ERR_CLOSED when the child hung or died;
 * it stays dead. Handlers are called before the return. */
enum sgb_err emulator_feed(struct emulator *emulator, const uint8_t *data,
	size_t len) SGB_MUST_CHECK;
enum sgb_err emulator_resize(struct emulator *emulator, unsigned int cols,
	unsigned int rows) SGB_MUST_CHECK;
/* Rows that changed since the last time; all: every row. */
enum sgb_err emulator_paint(struct emulator *emulator, bool all) SGB_MUST_CHECK;
/* The lines that are on the screen now, to handler->line. */
enum sgb_err emulator_lines(struct emulator *emulator) SGB_MUST_CHECK;
/* The logical line that the cursor is in, up to its end, joined over wraps,
 * to handler->line; x and y are from 0. */
enum sgb_err emulator_cursor_line(struct emulator *emulator) SGB_MUST_CHECK;
/* From now on a line that begins with this text and is ended by a line feed is
 * a command; "" ends it. */
enum sgb_err emulator_prompt(
	struct emulator *emulator, const char *text, size_t len) SGB_MUST_CHECK;
/* How long all answers together may take, from the start or a reset on; each
 * alone may take ten seconds. Two minutes unless told: a few bytes can ask for
 * much drawing, again and again. */
void emulator_budget(struct emulator *emulator, unsigned int ms);
/* As before any byte. The budget goes on. */
enum sgb_err emulator_clear(struct emulator *emulator) SGB_MUST_CHECK;
/* The same, with a new budget: for another recording. */
enum sgb_err emulator_reset(struct emulator *emulator) SGB_MUST_CHECK;
/* As of the last call. */
const struct emulator_screen *emulator_screen(const struct emulator *emulator);

#endif
