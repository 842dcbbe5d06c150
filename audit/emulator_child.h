/*
 * Between the files of the emulator's child: its state, what it follows of the
 * sequences (emulator_follow.c) and what it reads off the screen
 * (emulator_rows.c). Everything in here was chosen by the target host.
 */
#ifndef SGB_EMULATOR_CHILD_H
#define SGB_EMULATOR_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libtsm.h>

#include "core/buf.h"

#include "emulator.h"
#include "emulator_wire.h"

/* ESCAPE_MORE: after an intermediate byte. OSC ends at BEL, STRING does not. */
enum sequence { GROUND = 0, ESCAPE, ESCAPE_MORE, CONTROL, OSC, STRING };

#define LINE_OTHER 0xff

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
	bool alternate, no_wrap;
	bool odd_mode;		/* what libtsm takes bytes for is not known */
	unsigned int utf8_left; /* bytes of a character that are to come */
	uint32_t utf8_code;
	/* cells holds the region as it was when lines last left it, shifted
	 * scrolls ago, and nothing above the cursor was touched since. */
	bool kept;
	unsigned int shifted;
	/* The cursor's line was blank and then written from left to right;
	 * line_first is what came to its first column, LINE_OTHER if it was
	 * not ASCII. */
	bool line_plain, other_charset;
	uint8_t line_first;
	/* Where the shell said that its prompt ends: OSC 133;B. */
	bool marked, marks_seen;
	unsigned int mark_x, mark_y;
	struct buf prompt; /* or empty */
	/* Reading rows through libtsm's draw callback. */
	struct emulator_cell *cells; /* rows * cols */
	struct emulator_cell *shown; /* as last painted */
	struct buf packet;
	struct buf lines; /* of an EMULATOR_LINE packet that is not sent yet */
};

/* emulator_child.c. A packet that can't be sent ends the child. Lines wait for
 * each other, but nothing overtakes them. */
void child_begin(struct child *child, enum emulator_reply kind);
void child_send(struct child *child);
void child_flush_lines(struct child *child);

/* emulator_rows.c: cells are as the screen is now. */
void child_read_screen(struct child *child);
/* Appends the logical line from a place on, as of child_read_screen. */
void child_put_logical(const struct child *child, struct buf *out,
	unsigned int x, unsigned int y);
/* The row where the logical line of the cursor begins. */
unsigned int child_logical_start(const struct child *child);
/* Rows from the first to the last that has text. */
void child_send_lines(struct child *child);
/* The first row of the region is about to leave it. */
void child_scrolls(struct child *child);
/* The cursor's line is about to be ended: is it a command? */
void child_check_prompt(struct child *child);
/* Something other than the cursor's line may have changed, or will. */
void child_disturb(struct child *child);

/* emulator_follow.c: all bytes go this way. */
void child_feed(struct child *child, const uint8_t *data, size_t len);

#endif
