/*
 * direct-tcpip without a target: the monitor answers with one end of a stream
 * that speaks SSH as the target (ProxyJump; recorded by the session process at
 * its other end), or with a connection under a forwarding rule. The second
 * kind is counted, and cut when it turns out to be SSH: a tunnel past the
 * recorder is not what was permitted.
 */
#include "session_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "session_io.h"

#define STREAM_READ_MAX 65536

bool stream_open(struct channel *ch)
{
	struct session *s = ch->session;
	struct msg msg;

	/* One at a time: an answer does not say what it answers. */
	if (s->asking || s->choice == CHOICE_ASKED)
		return false;
	/* A target was chosen meanwhile; this channel knows of none. */
	if (s->target_leg.state != LEG_NONE || s->choice != CHOICE_NONE) {
		channel_refuse(ch, "direct-tcpip beside the target");
		return true;
	}
	s->asking = ch;
	ch->step = CHANNEL_OPENING;
	msg_init(&msg, MSG_REQ_JUMP);
	buf_put_cstring(&msg.body, ch->host);
	buf_put_u32(&msg.body, ch->port);
	link_send(s, &msg);
	return true;
}

void stream_refused(struct session *s, const char *text)
{
	struct channel *ch = s->asking;

	s->asking = NULL;
	s->busy = true;
	/* libssh sends no text with a refused open. Where this was all that
	 * the connection was for (ssh -J), it ends unanswered, and the client
	 * shows the text of the disconnect. */
	if (s->channel_count == 1 && !s->stream_seen) {
		ssh_message_free(ch->open_msg);
		ch->open_msg = NULL;
		session_end(s, text);
	}
	channel_refuse(ch, NULL);
}

static enum sgb_err start(struct channel *ch, int fd)
{
	int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return SGB_ERR_SYSTEM;
	ch->fd = fd;
	ch->fd_readable = true;
	ch->fd_writable = true;
	ch->started = true;
	ch->session->stream_seen = true;
	channel_accept(ch);
	return SGB_OK;
}

enum sgb_err stream_jump(struct session *s, struct msg *msg)
{
	struct channel *ch = s->asking;
	enum sgb_err err = reader_end(&msg->reader);

	if (!err && !ch)
		err = SGB_ERR_PHASE;
	if (err)
		return err;
	s->asking = NULL;
	s->busy = true;
	return start(ch, msg_take_fd(msg, 0));
}

enum sgb_err stream_forward(struct session *s, struct msg *msg)
{
	struct channel *ch = s->asking;
	uint32_t id = reader_u32(&msg->reader);
	enum sgb_err err = reader_end(&msg->reader);
	int fd, stream;

	if (!err && !ch)
		err = SGB_ERR_PHASE;
	if (err)
		return err;
	s->asking = NULL;
	s->busy = true;
	fd = msg_take_fd(msg, 0);
	stream = msg_take_fd(msg, 1);
	ch->forward = true;
	ch->forward_id = id;
	if (stream < 0)
		return SGB_ERR_FORMAT;
	err = record_open(&ch->forward_record, stream);
	if (!err)
		err = start(ch, fd);
	return err;
}

static void cut(struct channel *ch)
{
	ch->target_eof = true;
	ch->target_closed = true;
	ch->in_eof_sent = true;
	flow_done(&ch->in);
	if (ch->fd >= 0)
		close(ch->fd);
	ch->fd = -1;
}

/* Both directions: a client that speaks SSH, or a server that greets, however
 * few bytes come at once. data is what begins at byte `at` of its direction,
 * and may have been looked at before. What only may become SSH is not held
 * back: a PostgreSQL server says "S" and waits, and three bytes are no login.
 */
static bool speaks_ssh(struct channel *ch, struct greeting *greeting,
	uint64_t at, const uint8_t *data, size_t len)
{
	static const char ssh[4] = {'S', 'S', 'H', '-'};

	while (greeting->seen < sizeof(ssh) && greeting->seen - at < len) {
		if (data[greeting->seen - at] == ssh[greeting->seen])
			greeting->matched++;
		greeting->seen++;
	}
	if (!ch->forward || greeting->matched < sizeof(ssh))
		return false;
	link_report(ch->session, ch->forward_id, SESSION_REPORT_ANOMALY, 0, 0,
		"SSH inside a plain forward");
	record_put_text(&ch->forward_record, RECORD_CONNECTION, RECORD_REFUSED,
		"SSH inside a plain forward");
	cut(ch);
	return true;
}

static bool read_fd(struct channel *ch)
{
	uint8_t bytes[STREAM_READ_MAX];
	ssize_t got;

	if (!ch->fd_readable || ch->target_eof || !flow_wants(&ch->out))
		return false;
	do {
		got = read(ch->fd, bytes, sizeof(bytes));
	} while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN) {
		ch->fd_readable = false;
		return false;
	}
	if (got <= 0) {
		ch->target_eof = true;
		return true;
	}
	/* That was all, or poll() tells at once: no call to hear "nothing". */
	if ((size_t)got < sizeof(bytes))
		ch->fd_readable = false;
	if (speaks_ssh(ch, &ch->greets_out, ch->out.taken, bytes, (size_t)got))
		return true;
	if (flow_put(&ch->out, bytes, (size_t)got, 0))
		cut(ch);
	return true;
}

static bool write_fd(struct channel *ch)
{
	size_t len;
	const uint8_t *bytes = flow_ready(&ch->in, &len);
	ssize_t sent;

	if (!len || !ch->fd_writable)
		return false;
	if (speaks_ssh(ch, &ch->greets_in, ch->in.sent, bytes, len))
		return true;
	do {
		sent = sendto(ch->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL,
			NULL, 0);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno == EAGAIN) {
		ch->fd_writable = false;
		return false;
	}
	if (sent < 0) {
		cut(ch);
		return true;
	}
	flow_sent(&ch->in, (size_t)sent);
	ch->in.moved = ch->session->now;
	return true;
}

static bool over(const struct channel *ch)
{
	return ch->client_closed || (ch->target_eof && ch->in_eof_sent);
}

bool stream_lost(struct channel *ch)
{
	if (!ch->forward || ch->fd < 0)
		return false;
	link_report(ch->session, ch->forward_id, SESSION_REPORT_RECORDER_LOST,
		0, 0, "");
	cut(ch);
	/* What was held while the recorder waited goes nowhere. */
	if (ch->forward_record.waits)
		flow_done(&ch->out);
	ch->forward_record.waits = false;
	return true;
}

bool stream_move(struct channel *ch)
{
	bool progress = false;

	if (ch->fd >= 0) {
		progress = read_fd(ch);
		progress |= ch->fd >= 0 && write_fd(ch);
	}
	if (ch->fd >= 0 && ch->client_eof && flow_empty(&ch->in) &&
		!channel_left(ch->client, 0) && !ch->in_eof_sent) {
		shutdown(ch->fd, SHUT_WR);
		ch->in_eof_sent = true;
		progress = true;
	}
	/* The far end has said all; a client that keeps its side open has
	 * nobody left to talk to once ours is closed as well. */
	if (!ch->target_closed && over(ch)) {
		ch->target_eof = true;
		ch->target_closed = true;
		progress = true;
	}
	if (ch->client_closed && ch->target_closed) {
		ch->step = CHANNEL_DEAD;
		progress = true;
	}
	return progress;
}

void stream_closed(struct channel *ch)
{
	struct session *s = ch->session;
	char *text = NULL;

	if (ch->fd >= 0)
		close(ch->fd);
	ch->fd = -1;
	if (!ch->forward)
		return;
	if (asprintf(&text,
		    "{\"host\":\"%s\",\"port\":%u,\"bytes_in\":%llu,"
		    "\"bytes_out\":%llu,\"ms\":%llu}",
		    ch->host, ch->port, (unsigned long long)ch->in.sent,
		    (unsigned long long)ch->out.sent,
		    (unsigned long long)(s->now - ch->opened_at)) >= 0) {
		record_put_text(&ch->forward_record, RECORD_CONNECTION,
			RECORD_FORWARD, text);
		ch->forward_record.closing = true;
		record_flush(&ch->forward_record);
	}
	link_report(s, ch->forward_id, SESSION_REPORT_FORWARD_CLOSED,
		ch->in.sent, ch->out.sent, "");
	free(text);
	record_close(&ch->forward_record);
}
