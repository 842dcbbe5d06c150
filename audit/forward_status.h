/*
 * How it goes with each receiver: noted by the one that runs, and read by those
 * that print it (forward_status.c, forward_metrics.c).
 */
#ifndef SGB_FORWARD_STATUS_H
#define SGB_FORWARD_STATUS_H

#include "core/buf.h"

#include "forward.h"

enum forward_column {
	FORWARD_NAME = 0,
	FORWARD_STATE, /* "up" or "away" */
	FORWARD_SINCE, /* seconds since 1970 */
	FORWARD_SENT,  /* numbers of the trail: sent last, */
	FORWARD_FINAL, /* and delivered for good */
	/* counted since its process began, but for its ends */
	FORWARD_LINES,
	FORWARD_AGAIN,
	FORWARD_GAPS,
	FORWARD_CUT,
	FORWARD_DEATHS,
	/* when certificates expire, seconds since 1970; 0: there is none */
	FORWARD_OWN_EXPIRES,
	FORWARD_PEER_EXPIRES,
	FORWARD_TEXT, /* why it is away */
	FORWARD_COLUMNS
};

struct forward_notes {
	bool runs;
	uint64_t last; /* number of the trail's last line */
	struct buf note;
	struct forward_row {
		char *cells[FORWARD_COLUMNS];
		uint64_t behind; /* lines that it does not have for good */
		uint64_t lag_s;	 /* age of the first of them */
	} rows[FORWARD_MAX];
	size_t count;
};

void forward_notes_read(int state_fd, int trail_fd, struct forward_notes *ret);
void forward_notes_done(struct forward_notes *notes);
uint64_t forward_cell(const struct forward_row *row, enum forward_column cell);

/* forward_metrics.c: the same in Prometheus' text format; returns an exit
 * status. */
int forward_metrics_print(int state_fd, int trail_fd);

#endif
