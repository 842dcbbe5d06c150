/*
 * The sending end of a recording: items in batches, acknowledgements back.
 * Nothing here decides what may pass; it says what has been written.
 */
#ifndef SGB_SESSION_RECORD_H
#define SGB_SESSION_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/record.h"

/* Longest payload of one item, with room for its head in a message. */
#define RECORD_ITEM_MAX (RECORD_MESSAGE_MAX - 64)
/* A recorder that said how long it waits for its disk has so much more. */
#define RECORD_GRACE_MS 5000
/* Above this, flows stop taking until the recorder has caught up. */
#define RECORD_BACKLOG_HIGH (512 * 1024)

struct record_batch;
TAILQ_HEAD(record_batches, record_batch);

struct record_stream {
	int fd; /* -1: there is none */
	struct buf batch;
	size_t last; /* where its last item begins, if it has one */
	struct record_batches unsent;
	size_t backlog; /* bytes in unsent */
	size_t latest;	/* bytes of the message that was made last */
	uint64_t next;	/* number of the batch being filled, from 1 */
	uint64_t acked;
	bool closing; /* no more items will come: nothing waits for company */
	bool lost;    /* for good: whoever needs it must end */
	/* The recorder waits for its disk: nothing may pass, kept or not. */
	bool waits;
	uint64_t wait_s;     /* no longer than that, as it said */
	uint64_t wait_until; /* ms: record_tick's; 0: it is not known yet */
};

void record_init(struct record_stream *rs);
/* Takes the descriptor and makes it non-blocking. */
enum sgb_err record_open(struct record_stream *rs, int fd) SGB_MUST_CHECK;
void record_close(struct record_stream *rs);
/* Adds an item, or bytes to the last one; returns the number of the message
 * that carries it, or 0 when the stream is lost or len is beyond
 * RECORD_ITEM_MAX (which loses it). */
uint64_t record_put(struct record_stream *rs, uint32_t channel,
	enum record_kind kind, const void *data, size_t len);
uint64_t record_put_text(struct record_stream *rs, uint32_t channel,
	enum record_kind kind, const char *text);
/* Sends what can be sent now without blocking. While the recorder is busy with
 * a message, items gather for the next: one at a time while there are few, one
 * for many when there are many. Each message costs both sides the same. */
void record_flush(struct record_stream *rs);
/* Reads acknowledgements. Returns true if there were new ones. */
bool record_receive(struct record_stream *rs);
/* Is message seq written? seq 0 never is. */
bool record_written(const struct record_stream *rs, uint64_t seq);
/* The message that must be written before what comes now and is not kept may
 * go on: the last one; 0 if it is written. */
uint64_t record_behind(const struct record_stream *rs);
/* Once a turn: a recorder that waits, and is not heard of when its time is
 * over, is lost. now in ms. */
void record_tick(struct record_stream *rs, uint64_t now);
/* Is anything not sent? And does that wait for room in the socket? */
bool record_pending(const struct record_stream *rs);
bool record_blocked(const struct record_stream *rs);

#endif
