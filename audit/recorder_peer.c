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

#include "recorder.h"
#include "recording.h"
#include "syncer.h"

#define EVENTS_PENDING 256 /* answers owed at once, on one connection */

struct peer {
	TAILQ_ENTRY(peer) link;
	struct watch watch, stream_watch;
	int sock; /* -1 when dead */
	struct recording *rec;
	char conn[64];
	bool out_wanted;
	/* Sequences to confirm after the next commit. */
	uint64_t owed[EVENTS_PENDING];
	size_t owed_count;
};

static void peer_drop(struct recorder *recorder, struct peer *peer);

static enum sgb_err watch_fd(struct recorder *recorder, int op, int fd,
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
	if (watch_fd(recorder, EPOLL_CTL_ADD, sock, &peer->watch, EPOLLIN)) {
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
	if (!watch_fd(recorder, EPOLL_CTL_MOD, recorder->listen_fd,
		    &recorder->listen_watch, on ? EPOLLIN : 0))
		recorder->deaf = !on;
}

void recorder_accept(struct recorder *recorder)
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
		return;
	if (!recorder_allows(recorder, sock)) {
		log_put(LOG_WARNING, "connection refused: peer is not root");
		close(sock);
	} else if (peer_new(recorder, sock)) {
		log_put(LOG_ERR, "connection refused: no memory");
		close(sock);
	}
}

/* A peer that does not read its answers is gone for us. */
static void answer(
	struct recorder *recorder, struct peer *peer, struct msg *msg)
{
	enum sgb_err err = peer->sock < 0 ? SGB_ERR_CLOSED
					  : msg_send(peer->sock, msg);

	msg_done(msg);
	if (err)
		peer_drop(recorder, peer);
}

static void answer_text(struct recorder *recorder, struct peer *peer,
	enum msg_type type, const char *text)
{
	struct msg msg;

	msg_init(&msg, type);
	buf_put_cstring(&msg.body, text);
	answer(recorder, peer, &msg);
}

static void stream_closed(struct recorder *recorder, struct peer *peer)
{
	int stream = recording_stream(peer->rec);

	if (stream >= 0)
		(void)epoll_ctl(
			recorder->epoll_fd, EPOLL_CTL_DEL, stream, NULL);
}

/* Ends the peer's recording. True if its end is on disk as asked for. */
static bool end_recording(struct recorder *recorder, struct peer *peer,
	enum recorder_close reason, const char *text)
{
	struct event event = {.kind = EVENT_RECORDING_STOP,
		.ok = true,
		.conn = peer->conn,
		.rec_id = recording_id(peer->rec),
		.reason = text};
	enum sgb_err err;

	stream_closed(recorder, peer);
	err = recording_close(recorder, peer->rec, reason, text);
	if (err) {
		event.kind = EVENT_RECORDING_FAIL;
		event.ok = false;
		event.reason = recording_why(peer->rec);
		log_put(LOG_ERR, "%s: %s", event.rec_id, event.reason);
	}
	event.bytes_out = recording_size(peer->rec);
	recorder_event(recorder, &event);
	recorder->open_count--;
	return !err;
}

static void forget_recording(struct peer *peer)
{
	recording_free(peer->rec);
	peer->rec = NULL;
	peer->out_wanted = false;
}

/* The recording can't go on: say so, and end it within its reserve. The
 * stream closes without acknowledging what is not on disk. */
static void recording_failed(struct recorder *recorder, struct peer *peer)
{
	struct event event = {.kind = EVENT_RECORDING_FAIL,
		.conn = peer->conn,
		.rec_id = recording_id(peer->rec)};
	char why[256];

	(void)snprintf(why, sizeof(why), "%s", recording_why(peer->rec));
	log_put(LOG_ERR, "%s: %s", event.rec_id, why);
	event.reason = why;
	recorder_event(recorder, &event);
	(void)end_recording(recorder, peer, RECORDER_CLOSE_FAILED, why);
	forget_recording(peer);
	answer_text(recorder, peer, MSG_REC_FAILED, why);
}

static void peer_drop(struct recorder *recorder, struct peer *peer)
{
	if (peer->sock < 0)
		return;
	(void)epoll_ctl(recorder->epoll_fd, EPOLL_CTL_DEL, peer->sock, NULL);
	close(peer->sock);
	peer->sock = -1;
	if (peer->rec) {
		(void)end_recording(recorder, peer, RECORDER_CLOSE_UNKNOWN,
			"monitor vanished");
		forget_recording(peer);
	}
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

/* The session never got its end: nothing can have been said. */
static void not_started(
	struct recorder *recorder, struct peer *peer, const char *why)
{
	log_put(LOG_ERR, "%s: recording refused: %s", peer->conn, why);
	(void)end_recording(recorder, peer, RECORDER_CLOSE_FAILED, why);
	forget_recording(peer);
	answer_text(recorder, peer, MSG_REC_REFUSED, why);
}

static enum sgb_err start_recording(struct recorder *recorder,
	struct peer *peer, const char *retention, const uint8_t *meta,
	size_t meta_len)
{
	struct event event = {
		.kind = EVENT_RECORDING_START, .ok = true, .conn = peer->conn};
	char why[300];
	struct msg msg;
	int session, saved;
	enum sgb_err err;

	err = recording_open(recorder, retention, meta, meta_len, &peer->rec,
		&session, why, sizeof(why));
	if (err) {
		event.kind = EVENT_RECORDING_FAIL;
		event.ok = false;
		event.reason = why;
		recorder_event(recorder, &event);
		log_put(LOG_ERR, "%s: recording refused: %s", peer->conn, why);
		answer_text(recorder, peer, MSG_REC_REFUSED, why);
		return err;
	}
	recorder->open_count++;
	event.rec_id = recording_id(peer->rec);
	recorder_event(recorder, &event);
	msg_init(&msg, MSG_REC_OPENED);
	buf_put_cstring(&msg.body, event.rec_id);
	err = msg_put_fd(&msg, session);
	if (!err)
		err = watch_fd(recorder, EPOLL_CTL_ADD,
			recording_stream(peer->rec), &peer->stream_watch,
			EPOLLIN);
	saved = errno;
	close(session);
	errno = saved;
	if (err) {
		msg_done(&msg);
		(void)snprintf(why, sizeof(why), "cannot hand it over: %s",
			err == SGB_ERR_SYSTEM ? strerror(errno)
					      : sgb_err_text(err));
		not_started(recorder, peer, why);
		return err;
	}
	answer(recorder, peer, &msg);
	return SGB_OK;
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
	if (!err && peer->rec)
		answer_text(recorder, peer, MSG_REC_REFUSED,
			"a recording is open on this connection");
	else if (!err && recorder->stopping)
		answer_text(recorder, peer, MSG_REC_REFUSED,
			"the recorder is stopping");
	else if (!err) {
		(void)snprintf(peer->conn, sizeof(peer->conn), "%s", conn);
		/* Refused is answered, and the connection goes on. */
		(void)start_recording(recorder, peer, retention, meta, len);
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
	peer->owed[peer->owed_count++] = seq;
	return SGB_OK;
}

static enum sgb_err on_close(
	struct recorder *recorder, struct peer *peer, struct msg *msg)
{
	uint32_t reason = reader_u32(&msg->reader);
	char *text = reader_cstring(&msg->reader, 4096);
	enum sgb_err err = reader_end(&msg->reader);
	char link[2 * SUITE_HASH_LEN + 1];
	struct msg reply;

	if (!err && !peer->rec)
		err = SGB_ERR_PHASE;
	if (err || reason > RECORDER_CLOSE_CRASH) {
		free(text);
		return err ? err : SGB_ERR_FORMAT;
	}
	if (end_recording(recorder, peer, (enum recorder_close)reason, text)) {
		suite_hex(recording_link(peer->rec), SUITE_HASH_LEN, link);
		msg_init(&reply, MSG_REC_CLOSED);
		buf_put_u64(&reply.body, recording_size(peer->rec));
		buf_put_cstring(&reply.body, link);
	} else {
		msg_init(&reply, MSG_REC_FAILED);
		buf_put_cstring(&reply.body, recording_why(peer->rec));
	}
	/* First: a monitor that is gone by now would end it once more. */
	forget_recording(peer);
	answer(recorder, peer, &reply);
	free(text);
	return SGB_OK;
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
	answer(recorder, peer, &reply);
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
		answer(recorder, peer, &reply);
	else
		answer_text(recorder, peer, MSG_REC_REFUSED,
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
	answer_text(recorder, peer, err ? MSG_REC_REFUSED : MSG_REC_KEY_OK,
		err ? sgb_err_text(err) : recorder->writer_id);
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
		answer_text(recorder, peer, MSG_REC_FAILED,
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
	if (!watch_fd(recorder, EPOLL_CTL_MOD, recording_stream(peer->rec),
		    &peer->stream_watch, EPOLLIN | (wanted ? EPOLLOUT : 0)))
		peer->out_wanted = wanted;
}

void recorder_stream_ready(
	struct recorder *recorder, struct peer *peer, uint32_t epoll_events)
{
	enum sgb_err err;

	(void)epoll_events;
	if (peer->sock < 0 || !peer->rec)
		return;
	err = recording_pump(recorder, peer->rec);
	if (!err || err == SGB_ERR_AGAIN)
		want_output(recorder, peer);
	else if (err == SGB_ERR_CLOSED)
		stream_closed(recorder, peer); /* the monitor ends it */
	else
		recording_failed(recorder, peer);
}

void recorder_sync_failed(struct recorder *recorder)
{
	char id[SGR_ID_TEXT];
	struct peer *peer, *next;

	while (syncer_failed(recorder->syncer, id))
		for (peer = TAILQ_FIRST(&recorder->peers); peer; peer = next) {
			next = TAILQ_NEXT(peer, link);
			if (!peer->rec || strcmp(recording_id(peer->rec), id))
				continue;
			errno = EIO;
			recording_damaged(peer->rec);
			recording_failed(recorder, peer);
		}
}

static void confirm(struct recorder *recorder, struct peer *peer)
{
	size_t count = peer->owed_count, i;

	peer->owed_count = 0;
	for (i = 0; i < count && peer->sock >= 0; i++) {
		struct msg msg;

		msg_init(&msg, MSG_REC_EVENT_OK);
		buf_put_u64(&msg.body, peer->owed[i]);
		answer(recorder, peer, &msg);
	}
}

static enum sgb_err commit_group(struct recorder *recorder)
{
	struct peer *peer, *next;
	enum sgb_err err;

	err = journal_commit(recorder->trail, recorder_wall_ns());
	if (err)
		log_put(LOG_ERR, "the event trail cannot be written: %s",
			err == SGB_ERR_SYSTEM ? strerror(errno)
					      : sgb_err_text(err));
	for (peer = TAILQ_FIRST(&recorder->peers); peer; peer = next) {
		next = TAILQ_NEXT(peer, link);
		if (!err) {
			confirm(recorder, peer);
		} else if (peer->owed_count) {
			peer->owed_count = 0;
			answer_text(recorder, peer, MSG_REC_FAILED,
				"the event trail cannot be written");
			peer_drop(recorder, peer);
		}
	}
	return err;
}

void recorder_commit(struct recorder *recorder)
{
	enum sgb_err err = SGB_OK;

	/* Whoever did not wait for its answer is gone, which is an event. */
	while (!err && journal_pending(recorder->trail))
		err = commit_group(recorder);
}

void recorder_tick(struct recorder *recorder)
{
	bool out_of_space = recorder_space_is_out(recorder);
	struct peer *peer, *next;

	for (peer = TAILQ_FIRST(&recorder->peers); peer; peer = next) {
		next = TAILQ_NEXT(peer, link);
		if (!peer->rec)
			continue;
		if (out_of_space) {
			(void)end_recording(recorder, peer,
				RECORDER_CLOSE_FAILED, "the disk is full");
			forget_recording(peer);
			answer_text(recorder, peer, MSG_REC_FAILED,
				"the recorder's disk is full");
		} else if (recording_tick(recorder, peer->rec)) {
			recording_failed(recorder, peer);
		}
	}
	listen_again(recorder, true);
	recorder_heads(recorder, false);
}

bool recorder_busy(const struct recorder *recorder)
{
	return recorder->open_count > 0;
}

void recorder_stop(struct recorder *recorder)
{
	struct peer *peer;

	recorder->stopping = true;
	while ((peer = TAILQ_FIRST(&recorder->peers))) {
		if (peer->rec) {
			(void)end_recording(recorder, peer,
				RECORDER_CLOSE_FAILED, "the recorder stopped");
			forget_recording(peer);
			answer_text(recorder, peer, MSG_REC_FAILED,
				"the recorder is stopping");
		}
		peer_drop(recorder, peer);
	}
}
