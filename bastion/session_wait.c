/*
 * What the loop of a session waits for, and for how long. It reads nothing but
 * into the queues of the legs; what has come is told by flags.
 */
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

#include "session_channel.h"
#include "session_io.h"

#define IDLE_TICK_MS 3000
#define POLL_MAX     256

uint64_t session_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct waiting {
	struct pollfd fds[POLL_MAX];
	struct channel *channels[POLL_MAX];
	nfds_t count;
};

static void wait_for(struct waiting *w, int fd, int events, struct channel *ch)
{
	if (fd < 0 || !events || w->count >= POLL_MAX)
		return;
	w->fds[w->count] = (struct pollfd){.fd = fd, .events = (short)events};
	w->channels[w->count++] = ch;
}

static void wait_for_channel(struct waiting *w, struct channel *ch)
{
	size_t len = 0;
	int events = 0;

	if (ch->fd < 0)
		return;
	flow_ready(&ch->in, &len);
	if (!ch->fd_readable && flow_wants(&ch->out) && !ch->target_eof)
		events |= POLLIN;
	if (!ch->fd_writable && len)
		events |= POLLOUT;
	wait_for(w, ch->fd, events, ch);
	if (ch->forward && !ch->forward_record.lost)
		wait_for(w, ch->forward_record.fd,
			record_blocked(&ch->forward_record) ? POLLIN | POLLOUT
							    : POLLIN,
			ch);
}

static void wait_for_leg(struct waiting *w, const struct leg *leg)
{
	if (leg->ssh && leg->state != LEG_GONE && leg->state != LEG_REFUSED)
		wait_for(w, io_descriptor(leg->fd), io_events(leg->fd), NULL);
}

static void fill_leg(const struct leg *leg, int fd)
{
	if (leg->ssh && io_descriptor(leg->fd) == fd)
		io_fill(leg->fd);
}

static void prepare(struct session *s, struct waiting *w)
{
	struct channel *ch;

	w->count = 0;
	wait_for(w, SESSION_MONITOR_FD,
		TAILQ_EMPTY(&s->to_monitor) ? POLLIN : POLLIN | POLLOUT, NULL);
	if (s->record.fd >= 0 && !s->record.lost)
		wait_for(w, s->record.fd,
			record_blocked(&s->record) ? POLLIN | POLLOUT : POLLIN,
			NULL);
	wait_for_leg(w, &s->client);
	wait_for_leg(w, &s->target_leg);
	wait_for(w, s->verify.fd, verify_events(s), NULL);
	TAILQ_FOREACH (ch, &s->channels, entry)
		wait_for_channel(w, ch);
}

static void channel_event(struct channel *ch, const struct pollfd *pfd)
{
	if (pfd->fd == ch->forward_record.fd) {
		record_receive(&ch->forward_record);
		return;
	}
	if (pfd->revents & POLLOUT)
		ch->fd_writable = true;
	if (pfd->revents & ~POLLOUT)
		ch->fd_readable = true;
}

/* How many ms nothing can become due. A session that waits for its user wakes
 * seldom: there may be thousands. */
static uint64_t patience(const struct session *s)
{
	if (s->ending)
		return 50;
	/* Those of the next millisecond, or HOLD_MS: it is asked again. */
	if (s->held)
		return s->recorded_at == s->now ? 1 : HOLD_MS;
	if (s->client.state != LEG_READY || s->target_lost ||
		(s->target_leg.state != LEG_NONE &&
			s->target_leg.state != LEG_READY))
		return 250;
	return IDLE_TICK_MS;
}

void session_wait(struct session *s, bool more)
{
	static struct waiting w;
	uint64_t wait = more ? 0 : patience(s);
	struct timespec ts = {.tv_sec = (time_t)(wait / 1000),
		.tv_nsec = (long)(wait % 1000) * 1000000};
	nfds_t i;

	prepare(s, &w);
	if (ppoll(w.fds, w.count, &ts, NULL) < 0 && errno != EINTR) {
		s->over = true;
		return;
	}
	s->now = session_now();
	for (i = 0; i < w.count; i++) {
		if (!w.fds[i].revents)
			continue;
		if (w.channels[i])
			channel_event(w.channels[i], &w.fds[i]);
		else if (w.fds[i].fd == SESSION_MONITOR_FD)
			link_receive(s);
		else if (w.fds[i].fd == s->record.fd)
			s->record_ready = true;
		fill_leg(&s->client, w.fds[i].fd);
		fill_leg(&s->target_leg, w.fds[i].fd);
	}
}
