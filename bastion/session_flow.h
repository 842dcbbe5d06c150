/*
 * A bounded queue of bytes that may go on only once the recorder has
 * acknowledged them: taken from one leg, cleared by the recorder, sent to the
 * other leg, in that order.
 */
#ifndef SGB_SESSION_FLOW_H
#define SGB_SESSION_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/* Beyond this nothing more is taken; what then waits in libssh is bounded by
 * the window (1,280,000 bytes). */
#define FLOW_HIGH (92 * 1024)
/* Nobody may make us hold more than this in one queue. */
#define FLOW_MAX (4 * 1024 * 1024)

struct flow_mark {
	uint64_t seq;  /* of the recorder's message */
	uint64_t upto; /* bytes taken when it was written */
};

struct flow {
	uint8_t *data;
	size_t head, len, cap;	       /* bytes waiting: a ring, from head on */
	uint64_t taken, cleared, sent; /* totals; sent <= cleared <= taken */
	struct flow_mark *marks;
	size_t mark_head, mark_count, mark_cap;
	/* Its owner's: libssh has bytes for it that could not be taken; ms:
	 * since then, or since bytes last went on. */
	bool waiting;
	uint64_t moved;
};

void flow_init(struct flow *flow);
/* Drops what waits and frees; the totals of what was sent remain. */
void flow_done(struct flow *flow);
/* May more be taken now? */
bool flow_wants(const struct flow *flow);
/* Takes len bytes that message seq of the recorder covers; seq 0 means that
 * the rules keep them out of the recording, so they wait only for what came
 * before them. SGB_ERR_LIMIT beyond FLOW_MAX. */
enum sgb_err flow_put(struct flow *flow, const void *data, size_t len,
	uint64_t seq) SGB_MUST_CHECK;
/* Everything up to message seq is written. Returns true if that cleared
 * anything. */
bool flow_ack(struct flow *flow, uint64_t seq);
/* Bytes that may be sent now, as many as lie in one piece; borrowed until the
 * next call. None only if there are none. */
const uint8_t *flow_ready(const struct flow *flow, size_t *ret_len);
void flow_sent(struct flow *flow, size_t len);
/* Gives back the memory of a queue that holds nothing: when no more is to be
 * expected soon, for growing it again costs as much as a copy. */
void flow_rest(struct flow *flow);
/* Nothing waits. */
bool flow_empty(const struct flow *flow);

#endif
