/*
 * Bytes between two legs, held until the recorder has them. Pure memory: no
 * sockets, no libssh. Trusts its caller for sequence numbers that only grow.
 */
#include "session_flow.h"

#include <stdlib.h>
#include <string.h>

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

static enum sgb_err make_room(struct flow *flow, size_t len)
{
	uint8_t *data;
	size_t cap = flow->cap ? flow->cap : 4096;

	if (len > FLOW_MAX || flow->len > FLOW_MAX - len)
		return SGB_ERR_LIMIT;
	if (flow->head + flow->len + len <= flow->cap)
		return SGB_OK;
	/* Move only when that frees at least half: each byte moves O(1)
	 * times. */
	if (flow->head >= flow->cap / 2 && flow->len + len <= flow->cap) {
		memmove(flow->data, flow->data + flow->head, flow->len);
		flow->head = 0;
		return SGB_OK;
	}
	while (cap < flow->len + len)
		cap *= 2;
	data = malloc(cap);
	if (!data)
		return SGB_ERR_NOMEM;
	if (flow->len)
		memcpy(data, flow->data + flow->head, flow->len);
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
	memcpy(flow->data + flow->head + flow->len, data, len);
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
	*ret_len = (size_t)(flow->cleared - flow->sent);
	return flow->data ? flow->data + flow->head : NULL;
}

void flow_sent(struct flow *flow, size_t len)
{
	flow->head += len;
	flow->len -= len;
	flow->sent += len;
	if (!flow->len)
		flow->head = 0;
}

void flow_rest(struct flow *flow)
{
	if (flow->len)
		return;
	free(flow->data);
	flow->data = NULL;
	flow->cap = 0;
}

bool flow_empty(const struct flow *flow)
{
	return !flow->len;
}
