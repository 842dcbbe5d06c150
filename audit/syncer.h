/*
 * fsync off the loop, some at once: a disk takes as long for one as for many
 * that wait together, and a flush of 10 ms would else stall every session,
 * whoever's it is. Knows descriptors and nothing else.
 */
#ifndef SGB_SYNCER_H
#define SGB_SYNCER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/err.h"

/* Part of whatever waits for it, and to stay, as the descriptor has to, until
 * done was called. */
struct sync_job {
	TAILQ_ENTRY(sync_job) link;
	int fd;
	bool whole;  /* fsync; else fdatasync */
	bool flying; /* between syncer_add and done */
	int error;   /* its errno, or 0 */
	void (*done)(struct sync_job *job);
	void *owner; /* for done */
};

struct syncer;
/* Starts the threads; signals are to be blocked before. *ret_event becomes
 * readable when a job is done. */
enum sgb_err syncer_start(struct syncer **ret, int *ret_event) SGB_MUST_CHECK;
/* Waits for what is queued and ends the threads; no done is called. */
void syncer_stop(struct syncer *syncer);
void syncer_add(struct syncer *syncer, struct sync_job *job);
/* Calls done, in the caller's thread, for each job that is. False if there was
 * none. */
bool syncer_collect(struct syncer *syncer);
/* Jobs for which done was not called yet. */
unsigned int syncer_flying(const struct syncer *syncer);

#endif
