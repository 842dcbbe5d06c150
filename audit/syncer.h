/*
 * fdatasync of checkpoints, off the loop: one disk that takes 10 ms for a flush
 * would else stall every session for that long, whoever's checkpoint it is.
 * What gates an answer (opening, closing, events) is still synced by the loop.
 */
#ifndef SGB_SYNCER_H
#define SGB_SYNCER_H

#include <stdbool.h>

#include "container.h"

struct syncer;
/* Starts the thread; signals are to be blocked before. *ret_event becomes
 * readable when a sync failed. */
enum sgb_err syncer_start(struct syncer **ret, int *ret_event) SGB_MUST_CHECK;
/* Waits for what is queued and ends the thread. */
void syncer_stop(struct syncer *syncer);
/* Queues a sync of fd, which may be closed afterwards. SGB_ERR_AGAIN if the
 * queue is full: the caller syncs by itself. */
enum sgb_err syncer_add(struct syncer *syncer, int fd,
	const char id[SGR_ID_TEXT]) SGB_MUST_CHECK;
/* The next recording whose sync failed. */
bool syncer_failed(struct syncer *syncer, char ret_id[SGR_ID_TEXT]);

#endif
