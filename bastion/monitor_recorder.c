/*
 * The recorder's client: events that must be in the trail before anything is
 * permitted, and the recording of this connection. Waiting for the recorder
 * is bounded by what it shows of itself: one that is at work says so each
 * second (REC_BUSY); one that is silent counts as failed, and a failed recorder
 * denies.
 */
#include "monitor.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"

#define SILENCE_MS  5000
#define PATIENCE_MS 120000 /* in all: nobody waits that long at a prompt */

static void give_up(struct monitor *m, const char *why)
{
	if (!m->recorder_failed)
		log_put(LOG_ERR, "%s: recorder: %s", m->conn_id, why);
	m->recorder_failed = true;
	if (m->recorder >= 0)
		close(m->recorder);
	m->recorder = -1;
}

static enum sgb_err connect_once(struct monitor *m)
{
	if (m->recorder_failed)
		return SGB_ERR_CLOSED;
	if (m->recorder >= 0)
		return SGB_OK;
	if (msg_connect(m->conf->recorder_socket, &m->recorder)) {
		m->recorder = -1;
		give_up(m, "not reachable");
		return SGB_ERR_CLOSED;
	}
	return SGB_OK;
}

static enum sgb_err send_request(struct monitor *m, struct msg *msg)
{
	enum sgb_err err = connect_once(m);

	if (!err)
		err = msg_send(m->recorder, msg);
	if (err)
		give_up(m, "request could not be sent");
	return err;
}

/* The next message, if one comes before that time. */
static enum sgb_err wait_message(
	struct monitor *m, struct msg *msg, uint64_t until)
{
	struct pollfd fd = {.fd = m->recorder, .events = POLLIN};

	for (;;) {
		uint64_t now = monitor_now_ms();
		enum sgb_err err;

		if (now >= until) {
			give_up(m, "no answer in time");
			return SGB_ERR_TIMEOUT;
		}
		fd.revents = 0;
		if (poll(&fd, 1, (int)(until - now)) < 0 && errno != EINTR) {
			give_up(m, "poll failed");
			return SGB_ERR_SYSTEM;
		}
		if (!fd.revents)
			continue;
		err = msg_recv(m->recorder, msg);
		if (err != SGB_ERR_AGAIN)
			return err;
	}
}

/* Waits for the answer; REC_FAILED may come in between at any time. */
static enum sgb_err wait_reply(struct monitor *m, struct msg *msg)
{
	uint64_t last = monitor_now_ms() + PATIENCE_MS;
	enum sgb_err err;

	do {
		uint64_t until = monitor_now_ms() + SILENCE_MS;

		err = wait_message(m, msg, until < last ? until : last);
	} while (!err && msg->type == MSG_REC_BUSY);
	if (m->recorder < 0)
		return err ? err : SGB_ERR_CLOSED;
	if (err || msg->type == MSG_REC_FAILED) {
		give_up(m, "it failed");
		return SGB_ERR_CLOSED;
	}
	return SGB_OK;
}

enum sgb_err monitor_recorder_event(struct monitor *m, const struct buf *json)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_REC_EVENT);
	buf_put_string(&msg.body, json->data, json->len);
	err = send_request(m, &msg);
	if (!err)
		err = wait_reply(m, &msg);
	if (!err && msg.type != MSG_REC_EVENT_OK) {
		give_up(m, "unexpected answer");
		err = SGB_ERR_FORMAT;
	}
	msg_done(&msg);
	return err;
}

static enum sgb_err take_opened(struct monitor *m, struct msg *msg,
	int *ret_stream, char *why, size_t why_len)
{
	char *text = reader_cstring(&msg->reader, 1024);
	enum sgb_err err = reader_end(&msg->reader);

	if (err) {
		snprintf(why, why_len, "malformed answer of the recorder");
	} else if (msg->type == MSG_REC_OPENED && strlen(text) < CONN_ID_MAX) {
		strcpy(m->rec_id, text);
		*ret_stream = msg_take_fd(msg, 0);
		m->recording = true;
	} else {
		snprintf(why, why_len, "%s", text);
		err = SGB_ERR_DENIED;
	}
	free(text);
	return err;
}

enum sgb_err monitor_recorder_open(struct monitor *m, const char *retention,
	const char *meta, int *ret_stream, char *why, size_t why_len)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_REC_OPEN);
	buf_put_cstring(&msg.body, m->conn_id);
	buf_put_cstring(&msg.body, retention);
	buf_put_cstring(&msg.body, meta);
	err = send_request(m, &msg);
	if (!err)
		err = wait_reply(m, &msg);
	if (err)
		snprintf(why, why_len, "the recorder does not answer");
	else
		err = take_opened(m, &msg, ret_stream, why, why_len);
	msg_done(&msg);
	return err;
}

enum sgb_err monitor_recorder_watch(struct monitor *m, const char *rec_id,
	int *ret_fd, char *why, size_t why_len)
{
	char *text = NULL;
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_REC_WATCH);
	buf_put_cstring(&msg.body, rec_id);
	snprintf(why, why_len, "the recorder does not answer");
	err = send_request(m, &msg);
	if (!err)
		err = wait_reply(m, &msg);
	if (!err && msg.type == MSG_REC_REFUSED) {
		text = reader_cstring(&msg.reader, 1024);
		if (!reader_end(&msg.reader))
			snprintf(why, why_len, "%s", text);
		free(text);
		err = SGB_ERR_DENIED;
	} else if (!err && msg.type == MSG_REC_WATCHING) {
		*ret_fd = msg_take_fd(&msg, 0);
	} else if (!err) {
		err = SGB_ERR_FORMAT;
	}
	msg_done(&msg);
	return err;
}

void monitor_recorder_close(struct monitor *m)
{
	struct msg msg;

	if (!m->recording)
		return;
	m->recording = false;
	msg_init(&msg, MSG_REC_CLOSE);
	buf_put_u32(&msg.body, m->close_reason);
	buf_put_cstring(&msg.body, m->close_text);
	if (!send_request(m, &msg) && !wait_reply(m, &msg) &&
		msg.type != MSG_REC_CLOSED)
		give_up(m, "recording not closed");
	msg_done(&msg);
}

bool monitor_recorder_poll(struct monitor *m)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_NONE);
	err = msg_recv(m->recorder, &msg);
	/* Nothing but a failure comes unasked. */
	if (err != SGB_ERR_AGAIN)
		give_up(m, msg.type == MSG_REC_FAILED ? "recording failed"
						      : "gone");
	msg_done(&msg);
	return !m->recorder_failed;
}
