/*
 * Between the files of the emulator's child: its state, what it follows of the
 * sequences (emulator_follow.c), what they do to the screen
 * (emulator_control.c), which rows nobody has been told of (emulator_page.c)
 * and what is read off the screen (emulator_rows.c). Everything in here was
 * chosen by the target host.
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

/* ESCAPE_MORE, CONTROL_MORE: after an intermediate byte. CONTROL_BAD: libtsm
 * does nothing at its end. OSC ends at BEL, STRING does not. */
enum sequence {
	GROUND = 0,
	ESCAPE,
	ESCAPE_MORE,
	CONTROL,
	CONTROL_MORE,
	CONTROL_BAD,
	OSC,
	STRING
};

/* How libtsm takes bytes for characters. */
enum reading { READ_UTF8 = 0, READ_7BIT, READ_8BIT };

#define LINE_OTHER 0xff
#define PARAMS_MAX 16 /* libtsm's */
#define TOLD_MAX   1024

struct child_row {
	struct emulator_cell *cells; /* as last read; the page's memory */
	uint32_t turn;		     /* the feed that wrote to it last */
	uint16_t from, to;	     /* columns written since it was told */
	uint16_t len;		     /* no text from here on */
	bool fresh;		     /* it was written to since it was told */
	bool valid;		     /* cells are as the screen is */
	bool wrapped;		     /* it goes on in the next one */
};

/* In what the libtsm that runs differs from others: it is asked at the start.
 */
struct libtsm_ways {
	bool overlong;	   /* C0 and C1 begin a character, too */
	bool keeps_cut;	   /* a smaller size cuts below the cursor, and what is
			    * cut comes back */
	bool query_resets; /* CSI $ p does */
};

/* The main screen, or the other one. */
struct child_page {
	struct child_row rows[EMULATOR_ROWS_MAX];
	struct emulator_cell *cells;
};

struct child {
	int sock;
	struct tsm_screen *screen;
	struct tsm_vte *vte;
	unsigned int cols, rows;
	struct child_page pages[2], *page; /* main, other; the present one */
	bool alternate;			   /* page is the other one */
	uint32_t turn;
	/* The sequences, as libtsm takes them. */
	enum sequence sequence;
	unsigned int params[PARAMS_MAX], param_count;
	bool params_begun;
	bool private_params, plain_params; /* with "?"; without > ! $ */
	enum reading reading;
	bool other_params; /* ">" or "!" */
	struct libtsm_ways ways;
	unsigned int utf8_left; /* bytes of a character that are to come */
	uint32_t utf8_code;
	unsigned int top, bottom; /* rows of the region */
	bool held;		  /* we are ahead of libtsm: don't read */
	bool odd_mode;		  /* rows are read each time */
	/* The cursor's line was blank and then written from left to right;
	 * line_first is what came to its first column, LINE_OTHER if it was
	 * not ASCII. */
	bool line_plain, other_charset;
	uint8_t line_first;
	/* Where the shell said that its prompt ends: OSC 133;B. */
	bool marked, marks_seen;
	unsigned int mark_x, mark_y;
	struct buf prompt;	     /* or empty */
	struct emulator_cell *shown; /* as last painted */
	struct buf packet;
	struct buf lines; /* of an EMULATOR_LINE packet that is not sent yet */
	/* Texts of rows that were told, so that a program that draws the same
	 * again is not told again. By hash; a later one takes the place. */
	struct told {
		char *text;
		size_t len;
	} told[TOLD_MAX];
};

/* emulator_child.c. A packet that can't be sent ends the child. Lines wait for
 * each other, but nothing overtakes them. */
void child_begin(struct child *child, enum emulator_reply kind);
void child_send(struct child *child);
void child_flush_lines(struct child *child);

/* emulator_rows.c: cells of the present page are as the screen is now. */
void child_read_screen(struct child *child);
/* The same, if it is not known already: of rows first to last. */
void child_need(struct child *child, unsigned int first, unsigned int last);
/* Reads all and then nothing more, until held is false: what is about to happen
 * changes several rows, one after the other. */
void child_hold(struct child *child);
/* Appends the logical line from a place on, as of child_read_screen. */
void child_put_logical(const struct child *child, struct buf *out,
	unsigned int x, unsigned int y);
/* The row where the logical line of the cursor begins. */
unsigned int child_logical_start(const struct child *child);
/* What stands in a row, without blanks at its end. */
void child_put_row(const struct child *child, const struct child_row *row,
	struct buf *out, unsigned int x);
unsigned int child_row_length(
	const struct child *child, const struct child_row *row);
/* flags: enum emulator_line but for EMULATOR_WRAPPED. */
void child_send_row(
	struct child *child, const struct child_row *row, unsigned int flags);
/* Rows from the first to the last that has text; of the other screen, all of
 * the main one and what is new on it. */
void child_send_lines(struct child *child);
/* The cursor's line is about to be ended: is it a command? */
void child_check_prompt(struct child *child);

/* emulator_page.c. Before columns from x to end are written over or erased: a
 * row with something in them that nobody was told of is told. */
void child_touch(
	struct child *child, unsigned int y, unsigned int x, unsigned int end);
/* After that: they are written; or blank, and all that is behind them. */
void child_wrote(
	struct child *child, unsigned int y, unsigned int x, unsigned int end);
void child_erased(struct child *child, unsigned int y, unsigned int x);
/* Tells all rows of a page that nobody was told of, from one row on. */
void child_tell(struct child *child, struct child_page *page,
	unsigned int first, unsigned int last, unsigned int flags);
/* They are blank now. */
void child_blank(struct child *child, unsigned int first, unsigned int last);
/* Rows first to last move up by one, or down; the one that is pushed off is
 * told before. lines: as a line of the text, whatever was told. */
void child_up(
	struct child *child, unsigned int first, unsigned int last, bool lines);
void child_down(struct child *child, unsigned int first, unsigned int last);
/* The first row of the region is about to leave it. */
void child_scrolls(struct child *child);
/* Nothing is known of the screen: it was changed in a way not followed. */
void child_unknown(struct child *child);
/* The page that is left was read. */
void child_switch(struct child *child, bool alternate);
/* Before libtsm takes another size. Ends the child where memory is short. */
void child_resize(struct child *child, unsigned int cols, unsigned int rows);
void child_forget(struct child *child);

/* emulator_control.c: a sequence is about to be ended by code. */
void child_control(struct child *child, uint32_t code);
void child_reset(struct child *child);
/* RI. */
void child_reverse(struct child *child);
/* A line feed here scrolls. */
bool child_at_end(const struct child *child);

/* emulator_follow.c: all bytes go this way. */
void child_feed(struct child *child, const uint8_t *data, size_t len);

#endif
