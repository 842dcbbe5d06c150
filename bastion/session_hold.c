/*
 * When not to read from a leg. What libssh has read it keeps, up to a window
 * of 1,280,000 bytes, in a buffer that doubles and never shrinks: a target
 * that is faster than its client would cost that for as long as it lives. So
 * while a session's only channel has taken what it may, and what it took goes
 * on, the rest stays with the kernel, and with the sender.
 *
 * Bytes of other channels, and whatever else a leg may say, must not wait for
 * somebody who does not read. So nothing is held back beside a second channel,
 * while keys are exchanged or the user's agent is asked, where the other
 * direction waits for a window that this leg has to open, or once nothing has
 * gone on for a while: then libssh keeps a window, as ever.
 */
#include "session_channel.h"
#include "session_io.h"

/* May take no more, and what it has goes on. */
static bool full(const struct session *s, const struct flow *flow)
{
	return flow->waiting && s->now - flow->moved < HOLD_MS;
}

/* Bytes for a leg, and its window is shut. */
static bool starved(const struct flow *flow, ssh_channel to)
{
	return !flow_empty(flow) && to && !ssh_channel_window_size(to);
}

static bool hold(struct leg *leg, bool wish)
{
	bool on = wish && leg->state == LEG_READY && !leg->rekey_since;

	if (leg->ssh)
		io_hold(leg->fd, on);
	return on;
}

bool legs_hold(struct session *s)
{
	const struct channel *ch = TAILQ_FIRST(&s->channels);
	bool client = false, target = false, held;

	if (ch && !TAILQ_NEXT(ch, entry) && !s->ending && !s->borrow.count) {
		client = full(s, &ch->in) && !starved(&ch->out, ch->client) &&
			 !starved(&ch->err, ch->client);
		target = (full(s, &ch->out) || full(s, &ch->err)) &&
			 !starved(&ch->in, ch->target);
	}
	held = hold(&s->client, client);
	held |= hold(&s->target_leg, target);
	return held;
}
