/*
 * The life of a recording, as monitors see it. It begins and ends on the disk
 * in the same order: first the file (and its folder), then its line in the
 * index, then the answer. So a file without a line is one that nobody was told
 * of, and a line never speaks of what a crash could still take away.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/log.h"

#include "recorder_peer.h"
#include "recording_int.h"

static void finish(struct recording *rec, enum sgb_err err);

static enum sgb_err add_line(struct recording *rec)
{
	struct recorder *recorder = rec->recorder;
	struct recorder_end end = {
		.reason = (unsigned int)rec->end_reason, .bytes = rec->size};

	if (rec->phase == RECORDING_OPENING)
		return recorder_index_open(recorder, rec->id, rec->first_link,
			rec->prev_head, &rec->index_seq);
	end.frames = writer_frames(rec->writer);
	memcpy(end.head, writer_link(rec->writer), SUITE_HASH_LEN);
	/* What begins from here on, begins after it in the index. */
	memcpy(recorder->prev_head, end.head, SUITE_HASH_LEN);
	return recorder_index_end(
		recorder, "close", rec->id, &end, &rec->index_seq);
}

/* From the file to the index, when the disk has done all of the file. */
static void advance(struct recording *rec)
{
	const struct folder *folder = &rec->recorder->folder;
	enum sgb_err err;

	if (rec->gate.flying || rec->checkpoint.flying || rec->index_seq)
		return;
	if (rec->error) {
		errno = rec->error;
		finish(rec, SGB_ERR_SYSTEM);
		return;
	}
	if (rec->phase == RECORDING_OPENING &&
		folder->synced < rec->folder_turn)
		return;
	err = add_line(rec);
	if (err)
		finish(rec, err);
}

void recorder_synced(struct recording *rec)
{
	if (rec->phase != RECORDING_OPEN) {
		advance(rec);
	} else if (rec->error) {
		/* What the kernel could not write it may have dropped. */
		errno = rec->error;
		rec->error = 0;
		recording_set_why(
			rec, "cannot make the recording durable", true);
		session_failed(rec->recorder, rec->peer);
	}
}

void recorder_folder_settled(
	struct recorder *recorder, uint64_t turn, int error)
{
	struct recording *rec, *next;

	for (rec = TAILQ_FIRST(&recorder->waiting); rec; rec = next) {
		next = TAILQ_NEXT(rec, link);
		if (rec->phase != RECORDING_OPENING || rec->folder_turn > turn)
			continue;
		if (error && !rec->index_seq)
			rec->error = error;
		advance(rec);
	}
}

void recorder_index_settled(struct recorder *recorder, enum sgb_err err)
{
	uint8_t hash[SUITE_HASH_LEN];
	uint64_t durable = journal_head(recorder->index, hash);
	struct recording *rec, *next;
	int saved = errno;

	for (rec = TAILQ_FIRST(&recorder->waiting); rec; rec = next) {
		next = TAILQ_NEXT(rec, link);
		errno = saved;
		/* A line that failed takes those after it along. */
		if (rec->index_seq && (err || rec->index_seq <= durable))
			finish(rec, err);
	}
}

static void stream_closed(struct recording *rec)
{
	if (rec->stream >= 0)
		(void)epoll_ctl(rec->recorder->epoll_fd, EPOLL_CTL_DEL,
			rec->stream, NULL);
}

void session_stream_closed(struct recorder *recorder, struct peer *peer)
{
	(void)recorder;
	stream_closed(peer->rec);
}

static void wait_for_disk(struct recording *rec, enum recording_phase phase)
{
	rec->phase = phase;
	rec->index_seq = 0;
	TAILQ_INSERT_TAIL(&rec->recorder->waiting, rec, link);
}

/* peer, who may be NULL, is told how it went. */
static void begin_end(struct recording *rec, struct peer *peer,
	enum recorder_close reason, const char *text)
{
	struct recorder *recorder = rec->recorder;
	enum sgb_err err;

	rec->peer = peer;
	if (peer)
		peer->waits = rec;
	rec->end_text = strdup(text);
	stream_closed(rec);
	wait_for_disk(rec, RECORDING_ENDING);
	recorder->open_count--;
	err = recording_close(recorder, rec, reason, text);
	recorder_quota_count(recorder, rec);
	recorder_keep_end(recorder, rec);
	if (err)
		finish(rec, err);
}

static void session_forget(struct peer *peer)
{
	peer->rec = NULL;
	peer->out_wanted = false;
	peer->paused = false;
}

void session_end(struct recorder *recorder, struct peer *peer,
	enum recorder_close reason, const char *text, bool answer)
{
	struct recording *rec = peer->rec;

	(void)recorder;
	session_forget(peer);
	begin_end(rec, answer ? peer : NULL, reason, text);
}

void session_failed(struct recorder *recorder, struct peer *peer)
{
	struct event event = {.kind = EVENT_RECORDING_FAIL,
		.conn = peer->conn,
		.rec_id = recording_id(peer->rec)};
	char why[256];

	(void)snprintf(why, sizeof(why), "%s", recording_why(peer->rec));
	log_put(LOG_ERR, "%s: %s", event.rec_id, why);
	event.reason = why;
	recorder_event(recorder, &event);
	session_end(recorder, peer, RECORDER_CLOSE_FAILED, why, false);
	peer_answer_text(recorder, peer, MSG_REC_FAILED, why);
}

void session_forsaken(struct recorder *recorder, struct peer *peer)
{
	if (peer->waits)
		peer->waits->peer = NULL;
	peer->waits = NULL;
	if (peer->rec)
		session_end(recorder, peer, RECORDER_CLOSE_UNKNOWN,
			"monitor vanished", false);
}

static void refuse(struct recorder *recorder, struct peer *peer,
	const char *conn, const char *why)
{
	struct event event = {
		.kind = EVENT_RECORDING_FAIL, .conn = conn, .reason = why};

	recorder_event(recorder, &event);
	log_put(LOG_ERR, "%s: recording refused: %s", conn, why);
	if (peer)
		peer_answer_text(recorder, peer, MSG_REC_REFUSED, why);
}

void session_open(struct recorder *recorder, struct peer *peer,
	const char *retention, const uint8_t *meta, size_t meta_len)
{
	struct recording *rec;
	char why[300];

	if (recording_open(recorder, retention, meta, meta_len, &rec, why,
		    sizeof(why))) {
		refuse(recorder, peer, peer->conn, why);
		return;
	}
	memcpy(rec->conn, peer->conn, sizeof(rec->conn));
	rec->peer = peer;
	peer->waits = rec;
	wait_for_disk(rec, RECORDING_OPENING);
}

/* The session gets its end; from here on evidence may come. */
static enum sgb_err hand_over(struct recording *rec, struct peer *peer)
{
	struct recorder *recorder = rec->recorder;
	enum sgb_err err;
	struct msg msg;
	int saved;

	msg_init(&msg, MSG_REC_OPENED);
	buf_put_cstring(&msg.body, rec->id);
	err = msg_put_fd(&msg, rec->session);
	if (!err)
		err = peer_watch(recorder, EPOLL_CTL_ADD, rec->stream,
			&peer->stream_watch, EPOLLIN);
	saved = errno;
	close(rec->session);
	rec->session = -1;
	errno = saved;
	if (err) {
		msg_done(&msg);
		return err;
	}
	peer->rec = rec;
	peer_answer(recorder, peer, &msg);
	return SGB_OK;
}

/* The session never got its end: nothing can have been said. */
static void not_started(
	struct recording *rec, struct peer *peer, enum sgb_err err)
{
	struct recorder *recorder = rec->recorder;
	char why[200];

	(void)snprintf(why, sizeof(why), "cannot hand it over: %s",
		err == SGB_ERR_SYSTEM ? strerror(errno) : sgb_err_text(err));
	log_put(LOG_ERR, "%s: recording refused: %s", rec->conn, why);
	/* The recording may be gone after this. */
	begin_end(rec, NULL, RECORDER_CLOSE_FAILED, why);
	peer_answer_text(recorder, peer, MSG_REC_REFUSED, why);
}

static void opened(struct recording *rec, struct peer *peer)
{
	struct recorder *recorder = rec->recorder;
	struct event event = {.kind = EVENT_RECORDING_START,
		.ok = true,
		.conn = rec->conn,
		.rec_id = rec->id};
	enum sgb_err err;

	rec->phase = RECORDING_OPEN;
	recorder->open_count++;
	recorder_event(recorder, &event);
	if (!peer) {
		begin_end(
			rec, NULL, RECORDER_CLOSE_UNKNOWN, "monitor vanished");
		return;
	}
	err = hand_over(rec, peer);
	if (err)
		not_started(rec, peer, err);
}

static void not_opened(
	struct recording *rec, struct peer *peer, enum sgb_err err)
{
	struct recorder *recorder = rec->recorder;
	char why[300];

	(void)snprintf(why, sizeof(why), "cannot start a recording in %s: %s",
		recorder->conf->recordings,
		err == SGB_ERR_SYSTEM ? strerror(errno) : sgb_err_text(err));
	recording_unmake(rec);
	refuse(recorder, peer, rec->conn, why);
	recording_free(rec);
}

static void tell_end(struct recording *rec, struct peer *peer, bool ok)
{
	char link[2 * SUITE_HASH_LEN + 1];
	struct msg reply;

	if (!ok) {
		peer_answer_text(rec->recorder, peer, MSG_REC_FAILED,
			recording_why(rec));
		return;
	}
	suite_hex(recording_link(rec), SUITE_HASH_LEN, link);
	msg_init(&reply, MSG_REC_CLOSED);
	buf_put_u64(&reply.body, rec->size);
	buf_put_cstring(&reply.body, link);
	peer_answer(rec->recorder, peer, &reply);
}

static void ended(struct recording *rec, struct peer *peer, enum sgb_err err)
{
	struct event event = {.kind = EVENT_RECORDING_STOP,
		.ok = true,
		.conn = rec->conn,
		.rec_id = rec->id,
		.reason = rec->end_text,
		.bytes_out = rec->size};

	if (err) {
		if (!rec->failed)
			recording_set_why(rec, "cannot end the recording",
				err == SGB_ERR_SYSTEM);
		event.kind = EVENT_RECORDING_FAIL;
		event.ok = false;
		event.reason = recording_why(rec);
		log_put(LOG_ERR, "%s: %s", event.rec_id, event.reason);
	} else {
		recorder_head(rec->recorder, "rec", rec->id,
			writer_frames(rec->writer), writer_link(rec->writer));
	}
	recorder_event(rec->recorder, &event);
	if (peer)
		tell_end(rec, peer, !err);
	recording_free(rec);
}

/* The disk is done with it, for better or worse. */
static void finish(struct recording *rec, enum sgb_err err)
{
	struct peer *peer = rec->peer;

	TAILQ_REMOVE(&rec->recorder->waiting, rec, link);
	if (peer)
		peer->waits = NULL;
	if (rec->phase == RECORDING_ENDING)
		ended(rec, peer, err);
	else if (err)
		not_opened(rec, peer, err);
	else
		opened(rec, peer);
}
