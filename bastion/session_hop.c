/*
 * A session process for a jump host: the SSH client towards it, and one
 * direct-tcpip channel through it, whose bytes go to and from a socket. What
 * passes is another SSH connection, which this process cannot read, or a plain
 * forward. Decides nothing: the monitor judges the host key before anything is
 * signed for it, and says where the channel leads.
 */
#include "session_hop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "session_io.h"

#define ADDRESSES_MAX 16
#define PIECE	      65536
#define LAST_MS	      10000 /* for the last bytes of who has left */

enum hop_state {
	HOP_CONNECT = 0, /* banner and key exchange */
	HOP_JUDGED,	 /* the monitor looks at the host key */
	HOP_LOGIN,
	HOP_OPEN, /* the channel */
	HOP_RELAY,
	HOP_OVER,
};

struct hop {
	struct session *s;
	ssh_session ssh;
	ssh_channel channel;
	enum hop_state state;
	char *addresses[ADDRESSES_MAX]; /* of what is behind, in order */
	uint32_t count, at, port;
	int stream;
	uint8_t out[PIECE]; /* from the channel, for the stream */
	uint8_t in[PIECE];  /* the other way */
	size_t out_at, out_len, in_at, in_len;
	bool stream_eof, channel_eof, shut;
	uint64_t left_ms; /* when nobody had the stream any more; 0: not yet */
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void fail(struct hop *hop, const char *why)
{
	struct msg msg;

	msg_init(&msg, MSG_REQ_HOPFAIL);
	buf_put_cstring(&msg.body, why);
	link_send(hop->s, &msg);
	hop->state = HOP_OVER;
}

static enum sgb_err parse(struct hop *hop, struct reader *rd)
{
	struct session_target *target = &hop->s->target;
	uint32_t i;

	target->name = reader_cstring(rd, 256);
	target->login = reader_cstring(rd, 256);
	target->address = reader_cstring(rd, 64);
	target->port = reader_u32(rd);
	target->host_algorithms = reader_cstring(rd, 512);
	hop->port = reader_u32(rd);
	hop->count = reader_u32(rd);
	if (!hop->count || hop->count > ADDRESSES_MAX)
		return SGB_ERR_LIMIT;
	for (i = 0; i < hop->count; i++)
		hop->addresses[i] = reader_cstring(rd, 64);
	return reader_end(rd);
}

/* Waits for the first message, which says all. */
static enum sgb_err receive(struct hop *hop)
{
	struct pollfd fd = {.fd = SESSION_MONITOR_FD, .events = POLLIN};
	struct msg msg;
	enum sgb_err err = SGB_ERR_SYSTEM;

	msg_init(&msg, MSG_NONE);
	if (ppoll(&fd, 1, NULL, NULL) == 1)
		err = msg_recv(SESSION_MONITOR_FD, &msg);
	if (!err && msg.type != MSG_SES_HOP)
		err = SGB_ERR_PHASE;
	if (!err)
		err = parse(hop, &msg.reader);
	if (!err) {
		hop->stream = msg_take_fd(&msg, 0);
		hop->s->target.agent = msg_take_fd(&msg, 1);
		if (hop->stream < 0 || hop->s->target.agent < 0)
			err = SGB_ERR_FORMAT;
	}
	msg_done(&msg);
	return err;
}

static enum sgb_err begin(struct hop *hop)
{
	struct session *s = hop->s;
	int flags = fcntl(hop->stream, F_GETFL);
	enum sgb_err err;

	if (flags < 0 || fcntl(hop->stream, F_SETFL, flags | O_NONBLOCK))
		return SGB_ERR_SYSTEM;
	s->target_leg.fd = SESSION_CLIENT_FD;
	s->target_leg.ssh = ssh_new();
	if (!s->target_leg.ssh)
		return SGB_ERR_NOMEM;
	hop->ssh = s->target_leg.ssh;
	err = target_options(s);
	if (!err)
		err = io_add(s->target_leg.fd);
	if (!err)
		ssh_set_blocking(hop->ssh, 0);
	return err;
}

static bool connect_step(struct hop *hop)
{
	int rc = ssh_connect(hop->ssh);

	if (rc == SSH_AGAIN)
		return false;
	if (rc != SSH_OK) {
		fail(hop, ssh_get_error(hop->ssh));
		return true;
	}
	/* As a target's: shown, and its certificate fetched if it is wanted. */
	hop->s->target_leg.state = LEG_VERIFY;
	hop->state = HOP_JUDGED;
	if (!verify_begin(hop->s))
		fail(hop, "its host key cannot be read");
	return true;
}

static bool login_step(struct hop *hop)
{
	int rc;

	if (!hop->s->target.agent_used) {
		if (ssh_set_agent_socket(hop->ssh, hop->s->target.agent)) {
			fail(hop, "agent");
			return true;
		}
		hop->s->target.agent_used = true;
	}
	rc = ssh_userauth_agent(hop->ssh, NULL);
	if (rc == SSH_AUTH_AGAIN)
		return false;
	/* Exactly this value: PARTIAL and INFO are not a login. */
	if (rc == SSH_AUTH_SUCCESS)
		hop->state = HOP_OPEN;
	else if (rc == SSH_AUTH_DENIED)
		fail(hop, "it refused the certificate");
	else if (rc == SSH_AUTH_PARTIAL || rc == SSH_AUTH_INFO)
		fail(hop, "it asks for more than the certificate");
	else
		fail(hop, ssh_get_error(hop->ssh));
	return true;
}

static void tell_open(struct hop *hop)
{
	struct msg msg;

	msg_init(&msg, MSG_REQ_HOPOPEN);
	buf_put_u32(&msg.body, hop->at);
	link_send(hop->s, &msg);
	hop->state = HOP_RELAY;
}

static bool open_step(struct hop *hop)
{
	int rc;

	if (!hop->channel)
		hop->channel = ssh_channel_new(hop->ssh);
	if (!hop->channel) {
		fail(hop, "no memory");
		return true;
	}
	rc = ssh_channel_open_forward(hop->channel, hop->addresses[hop->at],
		(int)hop->port, "127.0.0.1", 0);
	if (rc == SSH_AGAIN)
		return false;
	if (rc == SSH_OK) {
		tell_open(hop);
		return true;
	}
	ssh_channel_free(hop->channel);
	hop->channel = NULL;
	if (++hop->at == hop->count || !ssh_is_connected(hop->ssh))
		fail(hop, "it does not open the way");
	return true;
}

/* ---- bytes ---- */

static bool to_stream(struct hop *hop)
{
	ssize_t sent;

	if (!hop->out_len)
		return false;
	do {
		sent = sendto(hop->stream, hop->out + hop->out_at, hop->out_len,
			MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno == EAGAIN)
		return false;
	if (sent < 0) {
		hop->state = HOP_OVER;
		return true;
	}
	hop->out_at += (size_t)sent;
	hop->out_len -= (size_t)sent;
	return true;
}

static bool from_channel(struct hop *hop)
{
	int got;

	/* Takes packets in, whether or not there is room: window adjustments
	 * are among them. */
	got = ssh_channel_poll(hop->channel, 0);
	if (got == SSH_ERROR || ssh_channel_is_closed(hop->channel) ||
		!ssh_is_connected(hop->ssh))
		hop->channel_eof = true;
	if (hop->out_len || got == SSH_ERROR)
		return false;
	got = ssh_channel_read_nonblocking(
		hop->channel, hop->out, sizeof(hop->out), 0);
	if (got > 0) {
		hop->out_at = 0;
		hop->out_len = (size_t)got;
		return true;
	}
	if (got == SSH_EOF || ssh_channel_is_eof(hop->channel))
		hop->channel_eof = true;
	return false;
}

static uint32_t room(const struct hop *hop)
{
	uint32_t window = ssh_channel_window_size(hop->channel);

	if (io_unsent(hop->s->target_leg.fd) > IO_UNSENT_HIGH)
		return 0;
	return window < PIECE ? window : PIECE;
}

static bool from_stream(struct hop *hop)
{
	ssize_t got;

	if (hop->in_len || hop->stream_eof || !room(hop))
		return false;
	do {
		got = recvfrom(hop->stream, hop->in, sizeof(hop->in),
			MSG_DONTWAIT, NULL, NULL);
	} while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return false;
	if (got <= 0) {
		hop->stream_eof = true;
		ssh_channel_send_eof(hop->channel);
		return true;
	}
	hop->in_at = 0;
	hop->in_len = (size_t)got;
	return true;
}

static bool to_channel(struct hop *hop)
{
	uint32_t most = room(hop);
	int sent;

	if (most > hop->in_len)
		most = (uint32_t)hop->in_len;
	if (!most)
		return false;
	/* In the middle of a key exchange it takes less, or nothing. */
	sent = ssh_channel_write(hop->channel, hop->in + hop->in_at, most);
	if (sent < 0 && sent != SSH_AGAIN)
		hop->state = HOP_OVER;
	if (sent <= 0)
		return false;
	hop->in_at += (size_t)sent;
	hop->in_len -= (size_t)sent;
	return true;
}

/* The stream's other end is closed, not just for writing: the far side has
 * nobody to talk to, and need not agree. It still gets what was sent. */
static bool left(const struct hop *hop)
{
	if (!hop->left_ms)
		return false;
	return (hop->stream_eof && !hop->in_len &&
		       !io_unsent(hop->s->target_leg.fd)) ||
	       now_ms() - hop->left_ms >= LAST_MS;
}

static bool relay_step(struct hop *hop)
{
	bool progress = from_channel(hop);

	progress |= to_stream(hop);
	progress |= hop->state == HOP_RELAY && from_stream(hop);
	progress |= hop->state == HOP_RELAY && to_channel(hop);
	if (hop->channel_eof && !hop->out_len && !hop->shut) {
		shutdown(hop->stream, SHUT_WR);
		hop->shut = true;
		progress = true;
	}
	/* Whoever is behind has left; nobody answers any more. */
	if (hop->shut && (hop->stream_eof || io_ended(SESSION_CLIENT_FD) ||
				 ssh_channel_is_closed(hop->channel)))
		hop->state = HOP_OVER;
	if (left(hop))
		hop->state = HOP_OVER;
	return progress;
}

/* ---- the loop ---- */

static bool turn(struct hop *hop)
{
	switch (hop->state) {
	case HOP_CONNECT: return connect_step(hop);
	case HOP_LOGIN: return login_step(hop);
	case HOP_OPEN: return open_step(hop);
	case HOP_RELAY: return relay_step(hop);
	case HOP_JUDGED: verify_pump(hop->s); break;
	case HOP_OVER: break;
	}
	return false;
}

/* Is it the right one? A monitor that says no has no more to say. */
static enum sgb_err on_answer(struct hop *hop, struct msg *msg)
{
	uint32_t yes = reader_u32(&msg->reader);
	char *text = reader_cstring(&msg->reader, 4096);
	enum sgb_err err = reader_end(&msg->reader);

	free(text);
	if (!err && yes != 1)
		err = SGB_ERR_DENIED;
	if (!err) {
		hop->s->target_leg.state = LEG_AUTH;
		hop->state = HOP_LOGIN;
	}
	return err;
}

/* About the host key; or it left, or wants us to. */
static void hear(struct hop *hop)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_NONE);
	err = msg_recv(SESSION_MONITOR_FD, &msg);
	if (!err && hop->state != HOP_JUDGED)
		err = SGB_ERR_PHASE;
	else if (!err && msg.type == MSG_SES_HOSTCERT)
		err = verify_fetch(hop->s, &msg);
	else if (!err)
		err = msg.type == MSG_SES_HOSTKEY ? on_answer(hop, &msg)
						  : SGB_ERR_PHASE;
	if (err && err != SGB_ERR_AGAIN)
		hop->state = HOP_OVER;
	msg_done(&msg);
}

static void wait_events(struct hop *hop)
{
	const struct timespec patience = {.tv_sec = 1};
	int leg = hop->s->target_leg.fd;
	struct pollfd fds[4] = {
		{.fd = SESSION_MONITOR_FD, .events = POLLIN},
		{.fd = io_descriptor(leg), .events = io_events(leg)},
		{.fd = -1},
		{.fd = hop->s->verify.fd,
			.events = (short)verify_events(hop->s)},
	};

	if (!TAILQ_EMPTY(&hop->s->to_monitor))
		fds[0].events |= POLLOUT;
	/* Its end is always of interest, but only once. */
	if (hop->state == HOP_RELAY && !hop->left_ms) {
		fds[2].fd = hop->stream;
		if (!hop->in_len && !hop->stream_eof && room(hop))
			fds[2].events |= POLLIN;
		if (hop->out_len)
			fds[2].events |= POLLOUT;
	}
	if (!fds[1].events)
		fds[1].fd = -1;
	if (ppoll(fds, 4, &patience, NULL) < 0 && errno != EINTR)
		hop->state = HOP_OVER;
	if (fds[2].revents & (POLLHUP | POLLERR))
		hop->left_ms = now_ms();
	if (fds[1].revents)
		io_fill(leg);
	if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
		hear(hop);
}

/* libssh takes 4 KiB at a time, and there may be more where that came from,
 * though nothing came of it yet. */
static bool unread(const struct hop *hop)
{
	return hop->state != HOP_JUDGED && hop->state != HOP_OVER &&
	       !(hop->state == HOP_RELAY && hop->out_len) &&
	       io_readable(hop->s->target_leg.fd) &&
	       !io_ended(hop->s->target_leg.fd);
}

/* Bounded: the monitor ends who does not come to an end. */
static void serve(struct hop *hop)
{
	while (hop->state != HOP_OVER && !hop->s->over) {
		bool more = turn(hop);

		io_flush_all();
		link_flush(hop->s);
		if (io_ended(hop->s->target_leg.fd) && hop->state < HOP_RELAY &&
			!more)
			fail(hop, "it closed the connection");
		if (!more && !unread(hop) && hop->state != HOP_OVER)
			wait_events(hop);
	}
	link_flush(hop->s);
}

void session_hop(struct session *s)
{
	static struct hop hop;
	enum sgb_err err;

	hop.s = s;
	hop.stream = -1;
	err = receive(&hop);
	if (!err)
		err = begin(&hop);
	if (err) {
		log_put(LOG_ERR, "%s: jump host: %s", s->start.conn_id,
			sgb_err_text(err));
		return;
	}
	serve(&hop);
	if (hop.channel)
		ssh_channel_free(hop.channel);
	while (hop.count)
		free(hop.addresses[--hop.count]);
	close(hop.stream);
	target_close(s);
}
