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

/* Bytes of a message: a piece of many, and one that is many pieces. */
#define PIECE_MANY  512
#define PIECE_LARGE 32768

/* May take no more, and what it has goes on. */
static bool full(const struct session *s, const struct flow *flow)
{
	return flow->waiting && s->now - flow->moved < HOLD_MS;
}

/* The recorder has a small message: what came now would wait for its answer,
 * so it may as well wait where it is. And a program that fills a terminal does
 * so in pieces of some hundred bytes, each of which would be a turn of this
 * loop, of the recorder's and of the client's: those of one millisecond go
 * together. A key that is typed is no such piece, and waits for nothing. */
static bool recorder_has(struct session *s)
{
	const struct record_stream *rs = &s->record;

	if (s->recorded != rs->next) {
		s->recorded = rs->next;
		s->recorded_at = s->now;
	}
	if (rs->lost || rs->latest >= PIECE_LARGE)
		return false;
	if (rs->latest >= PIECE_MANY && s->recorded_at == s->now)
		return true;
	return !record_written(rs, rs->next - 1) && rs->next > 1 &&
	       s->now - s->recorded_at < HOLD_MS;
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
		target = (full(s, &ch->out) || full(s, &ch->err) ||
				 recorder_has(s)) &&
			 !starved(&ch->in, ch->target);
	}
	held = hold(&s->client, client);
	held |= hold(&s->target_leg, target);
	return held;
}
