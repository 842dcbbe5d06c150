/*
 * Sockets that the parent made. What receivers say is read and thrown away:
 * syslog has no answers; only TLS has a say in it.
 */
#include "forward_link.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MS  20000 /* to connect, and to shake hands */
#define MARK_MS	    100	  /* lines of so long share a mark */
#define BURST	    32	  /* datagrams, then a pause */
#define BURST_MS    10
#define DATAGRAM_IN 2048

void link_init(struct link *link, const struct forward_dest *dest)
{
	memset(link, 0, sizeof(*link));
	link->dest = dest;
	link->fd = -1;
	/* A chunk may wait, and what TLS makes of one more message. */
	buf_init(&link->out, 4 * FORWARD_CHUNK);
}

static bool datagrams(const struct link *link)
{
	return link->dest->kind == FORWARD_UDP ||
	       link->dest->kind == FORWARD_JOURNALD;
}

static void enter(struct link *link, enum link_phase phase)
{
	link->phase = phase;
	link->since_ms = forward_now_ms();
}

static void hang_up(struct link *link)
{
	tls_stop(link);
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
	buf_reset(&link->out);
	link->queued = link->written = 0;
	link->first = link->count = 0;
	link->burst = 0;
	link->paused_ms = 0;
	enter(link, LINK_DOWN);
}

void link_done(struct link *link)
{
	hang_up(link);
	buf_done(&link->out);
}

void link_down(struct link *link, const char *fmt, ...)
{
	va_list args;

	hang_up(link);
	va_start(args, fmt);
	(void)vsnprintf(link->text, sizeof(link->text), fmt, args);
	va_end(args);
}

static void up(struct link *link)
{
	if (link->dest->kind != FORWARD_TLS)
		(void)snprintf(link->text, sizeof(link->text), "connected");
	enter(link, LINK_UP);
}

void link_open(struct link *link, int fd)
{
	hang_up(link);
	link->fd = fd;
	*link->text = '\0';
	if (datagrams(link))
		up(link);
	else
		enter(link, LINK_CONNECTING);
}

/* Writes what can be written now; false if the link is down. */
static bool flush(struct link *link)
{
	while (link->out.len) {
		ssize_t sent = send(link->fd, link->out.data, link->out.len,
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EINTR)
			continue;
		/* ENOBUFS: of a datagram, and it passes. */
		if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS))
			return true;
		if (sent < 0) {
			link_down(link, "sending: %s", strerror(errno));
			return false;
		}
		link->written += (uint64_t)sent;
		buf_consume(&link->out, (size_t)sent);
	}
	return true;
}

static void connected(struct link *link)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &len))
		error = errno;
	if (error)
		link_down(link, "connecting: %s", strerror(error));
	else if (link->dest->kind != FORWARD_TLS)
		up(link);
	else if (tls_start(link))
		enter(link, LINK_SHAKING);
}

/* Reads what there is; false if the link is down. */
static bool drain(struct link *link)
{
	uint8_t bytes[DATAGRAM_IN];
	ssize_t got;
	int i;

	for (i = 0; i < 16; i++) {
		got = recv(link->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		/* An alert may have come before the end: it says why. */
		if (got <= 0 && link->phase == LINK_SHAKING && !tls_shake(link))
			return false;
		if (got < 0 || (!got && !datagrams(link))) {
			link_down(link, "%s",
				got < 0 ? strerror(errno)
					: "the receiver closed the connection");
			return false;
		}
		if (link->dest->kind == FORWARD_TLS && link->ssl &&
			!tls_take(link, bytes, (size_t)got))
			return false;
	}
	return true;
}

short link_wants(const struct link *link)
{
	if (link->fd < 0)
		return 0;
	if (link->phase == LINK_CONNECTING)
		return POLLOUT;
	return (short)(POLLIN | (link->out.len ? POLLOUT : 0));
}

void link_ready(struct link *link, short events)
{
	if (link->phase == LINK_CONNECTING) {
		if (events)
			connected(link);
		return;
	}
	if ((events & (POLLIN | POLLERR | POLLHUP)) && !drain(link))
		return;
	if (link->phase == LINK_SHAKING) {
		if (!tls_shake(link))
			return;
	}
	(void)flush(link);
}

int link_wait_ms(const struct link *link, uint64_t now_ms)
{
	uint64_t end;

	if (link->phase == LINK_CONNECTING || link->phase == LINK_SHAKING)
		end = link->since_ms + CONNECT_MS;
	else if (link->phase == LINK_UP && link->paused_ms)
		end = link->paused_ms;
	else if (link->count)
		end = now_ms + 200; /* has it been acknowledged? */
	else
		return -1;
	return end > now_ms ? (int)(end - now_ms) : 0;
}

void link_tick(struct link *link, uint64_t now_ms)
{
	if ((link->phase == LINK_CONNECTING || link->phase == LINK_SHAKING) &&
		now_ms - link->since_ms >= CONNECT_MS)
		link_down(
			link, "no answer within %d seconds", CONNECT_MS / 1000);
	if (link->paused_ms && now_ms >= link->paused_ms) {
		link->paused_ms = 0;
		link->burst = 0;
	}
}

bool link_room(const struct link *link, uint64_t now_ms)
{
	if (link->phase != LINK_UP || link->quitting)
		return false;
	if (datagrams(link))
		return !link->out.len && now_ms >= link->paused_ms;
	return link->out.len < FORWARD_CHUNK;
}

/* The lines of a moment share a mark, and when the ring is full the last mark
 * grows: what is said to be delivered only comes later by that. */
static void add_mark(struct link *link, const struct forward_place *place)
{
	uint64_t now = forward_now_ms();
	struct link_mark *last = NULL;

	if (link->count)
		last = &link->marks[(link->first + link->count - 1) %
				    LINK_MARKS];
	if (!last ||
		(link->count < LINK_MARKS && now - last->made_ms >= MARK_MS)) {
		last = &link->marks[(link->first + link->count++) % LINK_MARKS];
		last->made_ms = now;
	}
	last->end = link->queued;
	last->acked_ms = 0;
	last->place = *place;
}

void link_put(struct link *link, const struct buf *message,
	const struct forward_place *place)
{
	if (link->dest->kind == FORWARD_TLS) {
		if (!tls_put(link, message->data, message->len))
			return;
	} else {
		buf_put(&link->out, message->data, message->len);
		link->queued += message->len;
	}
	if (buf_error(&link->out)) {
		link_down(link, "out of memory");
		return;
	}
	if (place)
		add_mark(link, place);
	if (datagrams(link) && ++link->burst >= BURST)
		link->paused_ms = forward_now_ms() + BURST_MS;
	(void)flush(link);
}

void link_quit(struct link *link)
{
	link->quitting = true;
	if (link->phase == LINK_UP && link->dest->kind == FORWARD_TLS)
		tls_bye(link);
	if (link->fd >= 0)
		(void)flush(link);
}

/* Bytes that the other kernel has. */
static uint64_t acknowledged(const struct link *link)
{
	int waiting = 0;

	if (datagrams(link))
		return link->written;
	if (ioctl(link->fd, SIOCOUTQ, &waiting) || waiting < 0 ||
		(uint64_t)waiting > link->written)
		return 0;
	return link->written - (uint64_t)waiting;
}

bool link_delivered(struct link *link, struct forward_place *place)
{
	uint64_t now = forward_now_ms(), acked;
	bool moved = false;
	size_t i;

	if (link->phase != LINK_UP || !link->count)
		return false;
	acked = acknowledged(link);
	for (i = 0; i < link->count; i++) {
		struct link_mark *mark =
			&link->marks[(link->first + i) % LINK_MARKS];

		if (mark->end > acked)
			break;
		if (!mark->acked_ms)
			mark->acked_ms = now;
	}
	while (link->count) {
		struct link_mark *mark = &link->marks[link->first];

		if (!mark->acked_ms ||
			now - mark->acked_ms < link->dest->hold_ms)
			break;
		*place = mark->place;
		moved = true;
		link->first = (link->first + 1) % LINK_MARKS;
		link->count--;
	}
	return moved;
}
