/*
 * Connections of monitors. A monitor is root and believed about what it
 * reports; it has at most one open recording, and answers are sent only when
 * what they promise is durable.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"

#include "recorder_peer.h"
#include "recording.h"

#define ACCEPT_AT_ONCE 64

static void peer_drop(struct recorder *recorder, struct peer *peer);

enum sgb_err peer_watch(struct recorder *recorder, int op, int fd,
	struct watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	return epoll_ctl(recorder->epoll_fd, op, fd, &event) ? SGB_ERR_SYSTEM
							     : SGB_OK;
}

static enum sgb_err peer_new(struct recorder *recorder, int sock)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return SGB_ERR_NOMEM;
	peer->sock = sock;
	peer->watch = (struct watch){WATCH_PEER, peer};
	peer->stream_watch = (struct watch){WATCH_STREAM, peer};
	if (peer_watch(recorder, EPOLL_CTL_ADD, sock, &peer->watch, EPOLLIN)) {
		free(peer);
		return SGB_ERR_SYSTEM;
	}
	TAILQ_INSERT_TAIL(&recorder->peers, peer, link);
	return SGB_OK;
}

/* A connection that can't be accepted stays ready: it would be asked for
 * without end. */
static void listen_again(struct recorder *recorder, bool on)
{
	if (on != recorder->deaf)
		return;
	if (!peer_watch(recorder, EPOLL_CTL_MOD, recorder->listen_fd,
		    &recorder->listen_watch, on ? EPOLLIN : 0))
		recorder->deaf = !on;
}

static bool accept_one(struct recorder *recorder)
{
	int sock = accept4(
		recorder->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (sock < 0 && (errno == EMFILE || errno == ENFILE ||
				errno == ENOBUFS || errno == ENOMEM)) {
		log_put(LOG_ERR,
			"connections have to wait until another ends: %s",
			strerror(errno));
		listen_again(recorder, false);
	}
	if (sock < 0)
		return false;
	if (!recorder_allows(recorder, sock)) {
		log_put(LOG_WARNING, "connection refused: peer is not root");
		close(sock);
	} else if (peer_new(recorder, sock)) {
		log_put(LOG_ERR, "connection refused: no memory");
		close(sock);
	}
	return true;
}

void recorder_accept(struct recorder *recorder)
{
	int count;

	for (count = 0; count < ACCEPT_AT_ONCE; count++)
		if (!accept_one(recorder))
			return;
}

/* A peer that does not read its answers is gone for us. */
void peer_answer(struct recorder *recorder, struct peer *peer, struct msg *msg)
{
	enum sgb_err err = peer->sock < 0 ? SGB_ERR_CLOSED
					  : msg_send(peer->sock, msg);

	msg_done(msg);
	if (err)
		peer_drop(recorder, peer);
}

void peer_answer_text(struct recorder *recorder, struct peer *peer,
	enum msg_type type, const char *text)
{
	struct msg msg;

	msg_init(&msg, type);
	buf_put_cstring(&msg.body, text);
	peer_answer(recorder, peer, &msg);
}

static void peer_drop(struct recorder *recorder, struct peer *peer)
{
	if (peer->sock < 0)
		return;
	(void)epoll_ctl(recorder->epoll_fd, EPOLL_CTL_DEL, peer->sock, NULL);
	close(peer->sock);
	peer->sock = -1;
	if (peer->owed_count)
		TAILQ_REMOVE(&recorder->owing, peer, owing);
	peer->owed_count = 0;
	session_forsaken(recorder, peer);
	/* Freed after the round: its watch may be in the list of events. */
	TAILQ_REMOVE(&recorder->peers, peer, link);
	TAILQ_INSERT_TAIL(&recorder->dead, peer, link);
}

void recorder_bury(struct recorder *recorder)
{
	struct peer *peer;

	while ((peer = TAILQ_FIRST(&recorder->dead))) {
		TAILQ_REMOVE(&recorder->dead, peer, link);
		free(peer);
		listen_again(recorder, true);
	}
}

/* JSON is the monitor's; that it is one object is all that is asked here. */
static bool is_object(const uint8_t *json, size_t len)
{
	return len >= 2 && json[0] == '{' && json[len - 1] == '}';
}

static enum sgb_err on_open(
	struct recorder *recorder, struct peer *peer, struct msg *msg)
{
	char *conn = reader_cstring(&msg->reader, sizeof(peer->conn) - 1);
	char *retention = reader_cstring(&msg->reader, SGR_NAME_MAX - 1);
	size_t len;
	const uint8_t *meta = reader_string(&msg->reader, &len);
	enum sgb_err err = reader_end(&msg->reader);

	if (!err && !is_object(meta, len))
		err = SGB_ERR_FORMAT;
	if (!err && (peer->rec || peer->waits))
		peer_answer_text(recorder, peer, MSG_REC_REFUSED,
			"a recording is open on this connection");
	else if (!err && recorder->stopping)
		peer_answer_text(recorder, peer, MSG_REC_REFUSED,
			"the recorder is stopping");
	else if (!err) {
		(void)snprintf(peer->conn, sizeof(peer->conn), "%s", conn);
		session_open(recorder, peer, retention, meta, len);
	}
	free(conn);
	free(retention);
	return err;
}

static enum sgb_err on_event(
	struct recorder *recorder, struct peer *peer, struct msg *msg)
{
	size_t len;
	const uint8_t *json = reader_string(&msg->reader, &len);
	enum sgb_err err = reader_end(&msg->reader);
	uint64_t seq;

	if (!err && peer->owed_count == EVENTS_PENDING)
		err = SGB_ERR_LIMIT;
	if (!err)
		err = journal_add(
			recorder->trail, (const char *)json, len, &seq);
	if (err) {
		log_put(LOG_ERR, "event refused: %s", sgb_err_text(err));
		return err;
	}
	if (!peer->owed_count)
		TAILQ_INSERT_TAIL(&recorder->owing, peer, owing);
	peer->owed[peer->owed_count++] = seq;
	return SGB_OK;
}

static enum sgb_err on_close(
	struct recorder *recorder, struct peer *peer, struct msg *msg)
{
	uint32_t reason = reader_u32(&msg->reader);
	char *text = reader_cstring(&msg->reader, 4096);
	enum sgb_err err = reader_end(&msg->reader);

	if (!err && !peer->rec)
		err = SGB_ERR_PHASE;
	if (!err && reason > RECORDER_CLOSE_CRASH)
		err = SGB_ERR_FORMAT;
	if (!err)
		session_end(recorder, peer, (enum recorder_close)reason, text,
			true);
	free(text);
	return err;
}

static enum sgb_err on_status(
	struct recorder *recorder, struct peer *peer, struct msg *msg)
{
	uint8_t hash[SUITE_HASH_LEN];
	struct msg reply;
	enum sgb_err err = reader_end(&msg->reader);

	if (err)
		return err;
	msg_init(&reply, MSG_REC_STATUS_OK);
	buf_put_u64(&reply.body, recorder->open_count);
	buf_put_u64(&reply.body, recorder_free_bytes(recorder));
	buf_put_u64(&reply.body, journal_head(recorder->trail, hash));
	buf_put_cstring(&reply.body, recorder->writer_id);
	peer_answer(recorder, peer, &reply);
	return SGB_OK;
}

static struct recording *find_open(const struct recorder *recorder, char *id)
{
	const struct peer *peer;

	TAILQ_FOREACH (peer, &recorder->peers, link)
		if (peer->rec && !strcmp(recording_id(peer->rec), id))
			return peer->rec;
	return NULL;
}

/* Who may look is the monitor's to know, and to tell the trail first. */
static enum sgb_err on_watch(
	struct recorder *recorder, struct peer *peer, struct msg *msg)
{
	char *id = reader_cstring(&msg->reader, SGR_ID_TEXT);
	enum sgb_err err = reader_end(&msg->reader);
	struct recording *rec = err ? NULL : find_open(recorder, id);
	struct msg reply;
	int fd = -1;

	free(id);
	if (err)
		return err;
	msg_init(&reply, MSG_REC_WATCHING);
	if (rec && !recording_watch(rec, &fd) && !msg_put_fd(&reply, fd))
		peer_answer(recorder, peer, &reply);
	else
		peer_answer_text(recorder, peer, MSG_REC_REFUSED,
			rec ? "too many are watching it"
			    : "no such recording is open");
	msg_done(&reply);
	if (fd >= 0)
		close(fd);
	return SGB_OK;
}

static enum sgb_err on_key(
	struct recorder *recorder, struct peer *peer, struct msg *msg)
{
	enum sgb_err err = reader_end(&msg->reader);

	if (err)
		return err;
	err = recorder_take_key(recorder, msg_take_fd(msg, 0));
	peer_answer_text(recorder, peer, err ? MSG_REC_REFUSED : MSG_REC_KEY_OK,
		err == SGB_ERR_BUSY ? "the trail names the new key, but the "
				      "disk does not take the last lines of "
				      "the old one, which goes on; try again"
		: err		    ? sgb_err_text(err)
				    : recorder->writer_id);
	return SGB_OK;
}

static const struct {
	enum msg_type type;
	enum sgb_err (*handle)(struct recorder *, struct peer *, struct msg *);
} requests[] = {
	{MSG_REC_OPEN, on_open},
	{MSG_REC_EVENT, on_event},
	{MSG_REC_CLOSE, on_close},
	{MSG_REC_STATUS, on_status},
	{MSG_REC_WATCH, on_watch},
	{MSG_REC_KEY, on_key},
};

static enum sgb_err dispatch(
	struct recorder *recorder, struct peer *peer, struct msg *msg)
{
	size_t i;

	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (requests[i].type == msg->type)
			return requests[i].handle(recorder, peer, msg);
	return SGB_ERR_PHASE;
}

void recorder_peer_ready(struct recorder *recorder, struct peer *peer)
{
	struct msg msg;
	enum sgb_err err;

	if (peer->sock < 0)
		return;
	msg_init(&msg, MSG_NONE);
	err = msg_recv(peer->sock, &msg);
	if (!err)
		err = dispatch(recorder, peer, &msg);
	msg_done(&msg);
	if (!err || err == SGB_ERR_AGAIN || peer->sock < 0)
		return;
	if (err != SGB_ERR_CLOSED) {
		log_put(LOG_ERR, "%s: request refused: %s", peer->conn,
			sgb_err_text(err));
		peer_answer_text(recorder, peer, MSG_REC_FAILED,
			"the request is malformed or out of order");
	}
	peer_drop(recorder, peer);
}

/* A session that does not read its acknowledgements is asked again when it
 * does: they are cumulative, the latest is enough. */
static void want_output(struct recorder *recorder, struct peer *peer)
{
	bool wanted = recording_ack_waits(peer->rec);

	if (wanted == peer->out_wanted)
		return;
	if (!peer_watch(recorder, EPOLL_CTL_MOD, recording_stream(peer->rec),
		    &peer->stream_watch, EPOLLIN | (wanted ? EPOLLOUT : 0)))
		peer->out_wanted = wanted;
}

/* A stream that is ready and not read would be told of without end. */
static void pause_stream(struct recorder *recorder, struct peer *peer)
{
	if (peer->paused)
		return;
	(void)epoll_ctl(recorder->epoll_fd, EPOLL_CTL_DEL,
		recording_stream(peer->rec), NULL);
	peer->paused = true;
}

static enum sgb_err resume_stream(struct recorder *recorder, struct peer *peer)
{
	peer->paused = peer->out_wanted = false;
	return peer_watch(recorder, EPOLL_CTL_ADD, recording_stream(peer->rec),
		&peer->stream_watch, EPOLLIN);
}

void recorder_stream_ready(
	struct recorder *recorder, struct peer *peer, uint32_t epoll_events)
{
	enum sgb_err err;

	(void)epoll_events;
	if (peer->sock < 0 || !peer->rec)
		return;
	err = recording_pump(recorder, peer->rec);
	if (recording_waits(peer->rec))
		pause_stream(recorder, peer);
	else if (!err || err == SGB_ERR_AGAIN)
		want_output(recorder, peer);
	else if (err == SGB_ERR_CLOSED)
		session_stream_closed(recorder, peer);
	else
		session_failed(recorder, peer);
}

/* What of its events is durable. */
static void confirm(
	struct recorder *recorder, struct peer *peer, uint64_t durable)
{
	size_t count = peer->owed_count, done = 0, i;
	uint64_t owed[EVENTS_PENDING];

	memcpy(owed, peer->owed, count * sizeof(owed[0]));
	while (done < count && owed[done] <= durable)
		done++;
	peer->owed_count -= done;
	memmove(peer->owed, owed + done, peer->owed_count * sizeof(owed[0]));
	if (done && !peer->owed_count)
		TAILQ_REMOVE(&recorder->owing, peer, owing);
	for (i = 0; i < done && peer->sock >= 0; i++) {
		struct msg msg;

		msg_init(&msg, MSG_REC_EVENT_OK);
		buf_put_u64(&msg.body, owed[i]);
		peer_answer(recorder, peer, &msg);
	}
}

void recorder_trail_settled(struct recorder *recorder, enum sgb_err err)
{
	uint8_t hash[SUITE_HASH_LEN];
	uint64_t durable = journal_head(recorder->trail, hash);
	struct peer *peer, *next;

	for (peer = TAILQ_FIRST(&recorder->owing); peer; peer = next) {
		next = TAILQ_NEXT(peer, owing);
		if (!err) {
			confirm(recorder, peer, durable);
			continue;
		}
		peer_answer_text(recorder, peer, MSG_REC_FAILED,
			"the event trail cannot be written");
		peer_drop(recorder, peer);
	}
}

/* The disk gets on: who waits shall go on waiting. */
static void tell_waiting(struct recorder *recorder)
{
	struct peer *peer, *next;

	for (peer = TAILQ_FIRST(&recorder->peers); peer; peer = next) {
		struct msg msg;

		next = TAILQ_NEXT(peer, link);
		if (!peer->waits && !peer->owed_count)
			continue;
		msg_init(&msg, MSG_REC_BUSY);
		peer_answer(recorder, peer, &msg);
	}
}

static void check_quota(struct recorder *recorder, struct peer *peer)
{
	const char *why = recorder_quota_over(recorder, peer->rec);

	if (!why)
		return;
	session_end(recorder, peer, RECORDER_CLOSE_POLICY, why, false);
	peer_answer_text(recorder, peer, MSG_REC_FAILED, why);
}

/* Perhaps it need not wait any more, or no longer may. */
static void go_on(struct recorder *recorder, struct peer *peer, bool full)
{
	enum sgb_err err;

	pause_stream(recorder, peer);
	err = recording_retry(peer->rec, full);
	if (err == SGB_ERR_AGAIN)
		return;
	if (!err && !recording_waits(peer->rec))
		err = resume_stream(recorder, peer);
	if (err)
		session_failed(recorder, peer);
	else /* what it waits for most is a word that it goes on */
		recorder_stream_ready(recorder, peer, 0);
}

static void end_full(struct recorder *recorder, struct peer *peer)
{
	if (recording_wait(peer->rec)) {
		pause_stream(recorder, peer);
		return;
	}
	session_end(recorder, peer, RECORDER_CLOSE_FAILED, "the disk is full",
		false);
	peer_answer_text(
		recorder, peer, MSG_REC_FAILED, "the recorder's disk is full");
}

void recorder_tick(struct recorder *recorder)
{
	bool out_of_space = recorder_space_is_out(recorder);
	struct peer *peer, *next;

	for (peer = TAILQ_FIRST(&recorder->peers); peer; peer = next) {
		next = TAILQ_NEXT(peer, link);
		if (!peer->rec)
			continue;
		if (recording_waits(peer->rec)) {
			go_on(recorder, peer, recorder_space_is_low(recorder));
		} else if (out_of_space) {
			end_full(recorder, peer);
		} else if (recording_tick(recorder, peer->rec)) {
			session_failed(recorder, peer);
		} else {
			check_quota(recorder, peer);
		}
	}
	recorder_watch_space(recorder);
	if (!recorder_stalled(recorder))
		tell_waiting(recorder);
	listen_again(recorder, true);
	recorder_heads(recorder, false);
}

bool recorder_busy(const struct recorder *recorder)
{
	return recorder->open_count > 0 || !TAILQ_EMPTY(&recorder->owing) ||
	       !TAILQ_EMPTY(&recorder->waiting);
}

void recorder_stop(struct recorder *recorder)
{
	struct peer *peer;

	recorder->stopping = true;
	while ((peer = TAILQ_FIRST(&recorder->peers))) {
		if (peer->rec) {
			session_end(recorder, peer, RECORDER_CLOSE_FAILED,
				"the recorder stopped", false);
			peer_answer_text(recorder, peer, MSG_REC_FAILED,
				"the recorder is stopping");
		}
		peer_drop(recorder, peer);
	}
	recorder_settle(recorder);
}
