/*
 * Bytes between two legs, held until the recorder has them. Pure memory: no
 * sockets, no libssh. Trusts its caller for sequence numbers that only grow.
 */
#include "session_flow.h"

#include <stdlib.h>
#include <string.h>

/* A terminal's; FLOW_HIGH and a packet. More is for bytes that had to wait
 * elsewhere, and does not stay. */
#define RING_SMALL 4096
#define RING_KEPT  (128 * 1024)

void flow_init(struct flow *flow)
{
	memset(flow, 0, sizeof(*flow));
}

/* What was sent stays sent: the totals are asked for at the very end. */
void flow_done(struct flow *flow)
{
	uint64_t sent = flow->sent;

	free(flow->data);
	free(flow->marks);
	flow_init(flow);
	flow->taken = flow->cleared = flow->sent = sent;
}

bool flow_wants(const struct flow *flow)
{
	return flow->len < FLOW_HIGH;
}

/* From place at of the ring on, in one or two parts. */
static void copy_in(struct flow *flow, size_t at, const void *data, size_t len)
{
	size_t part = flow->cap - at;

	if (part > len)
		part = len;
	memcpy(flow->data + at, data, part);
	if (len > part)
		memcpy(flow->data, (const uint8_t *)data + part, len - part);
}

static void copy_out(const struct flow *flow, uint8_t *to)
{
	size_t part = flow->cap - flow->head;

	if (part > flow->len)
		part = flow->len;
	memcpy(to, flow->data + flow->head, part);
	memcpy(to + part, flow->data, flow->len - part);
}

static enum sgb_err make_room(struct flow *flow, size_t len)
{
	size_t cap = flow->len + len <= RING_SMALL ? RING_SMALL : RING_KEPT;
	uint8_t *data;

	if (len > FLOW_MAX || flow->len > FLOW_MAX - len)
		return SGB_ERR_LIMIT;
	if (flow->len + len <= flow->cap)
		return SGB_OK;
	while (cap < flow->len + len)
		cap *= 2;
	data = malloc(cap);
	if (!data)
		return SGB_ERR_NOMEM;
	if (flow->len)
		copy_out(flow, data);
	free(flow->data);
	flow->data = data;
	flow->cap = cap;
	flow->head = 0;
	return SGB_OK;
}

static struct flow_mark *last_mark(struct flow *flow)
{
	if (!flow->mark_count)
		return NULL;
	return &flow->marks[flow->mark_head + flow->mark_count - 1];
}

static enum sgb_err add_mark(struct flow *flow, uint64_t seq, uint64_t upto)
{
	struct flow_mark *marks, *last = last_mark(flow);

	if (last && last->seq == seq) {
		last->upto = upto;
		return SGB_OK;
	}
	if (flow->mark_head &&
		flow->mark_head + flow->mark_count == flow->mark_cap) {
		memmove(flow->marks, flow->marks + flow->mark_head,
			flow->mark_count * sizeof(*flow->marks));
		flow->mark_head = 0;
	}
	if (flow->mark_count == flow->mark_cap) {
		size_t cap = flow->mark_cap ? flow->mark_cap * 2 : 8;

		marks = reallocarray(flow->marks, cap, sizeof(*marks));
		if (!marks)
			return SGB_ERR_NOMEM;
		flow->marks = marks;
		flow->mark_cap = cap;
	}
	flow->marks[flow->mark_head + flow->mark_count++] = (struct flow_mark){
		.seq = seq, .upto = upto};
	return SGB_OK;
}

enum sgb_err flow_put(
	struct flow *flow, const void *data, size_t len, uint64_t seq)
{
	struct flow_mark *last = last_mark(flow);
	enum sgb_err err;

	if (!len)
		return SGB_OK;
	err = make_room(flow, len);
	if (err)
		return err;
	if (!seq && last)
		seq = last->seq;
	if (seq) {
		err = add_mark(flow, seq, flow->taken + len);
		if (err)
			return err;
	}
	copy_in(flow, (flow->head + flow->len) % flow->cap, data, len);
	flow->len += len;
	flow->taken += len;
	if (!seq)
		flow->cleared = flow->taken;
	return SGB_OK;
}

bool flow_ack(struct flow *flow, uint64_t seq)
{
	bool moved = false;

	while (flow->mark_count && flow->marks[flow->mark_head].seq <= seq) {
		flow->cleared = flow->marks[flow->mark_head].upto;
		flow->mark_head++;
		flow->mark_count--;
		moved = true;
	}
	if (!flow->mark_count)
		flow->mark_head = 0;
	return moved;
}

const uint8_t *flow_ready(const struct flow *flow, size_t *ret_len)
{
	size_t len = (size_t)(flow->cleared - flow->sent);
	size_t part = flow->cap - flow->head;

	*ret_len = len < part ? len : part;
	return flow->data ? flow->data + flow->head : NULL;
}

void flow_sent(struct flow *flow, size_t len)
{
	flow->head += len;
	if (flow->head == flow->cap)
		flow->head = 0;
	flow->len -= len;
	flow->sent += len;
	/* From the front again: pages that were not touched cost nothing. */
	if (flow->len)
		return;
	flow->head = 0;
	if (flow->cap > RING_KEPT)
		flow_rest(flow);
}

void flow_rest(struct flow *flow)
{
	if (flow->len)
		return;
	free(flow->data);
	flow->data = NULL;
	flow->cap = flow->head = 0;
}

bool flow_empty(const struct flow *flow)
{
	return !flow->len;
}
