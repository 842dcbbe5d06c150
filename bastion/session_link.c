/*
 * Messages with the monitor. Its words are trusted, but their form is
 * checked: whatever does not fit the table or the phase ends this session.
 * Must not block: what the socket does not take waits here.
 */
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/log.h"
#include "session_borrow.h"
#include "session_channel.h"
#include "session_menu.h"
#include "session_view.h"

#define LINK_QUEUE_MAX 4096
/* The monitor may be at PAM or the recorder, which have limits of their own:
 * more than the longest of them, 120 s for the recorder. */
#define ASK_MS	 130000
#define KEPT_MAX 64

struct link_item {
	TAILQ_ENTRY(link_item) entry;
	struct msg msg;
};

static void broken(struct session *s, const char *what, enum sgb_err err)
{
	log_put(LOG_ERR, "%s: %s: %s", s->start.conn_id, what,
		sgb_err_text(err));
	s->over = true;
}

void link_send(struct session *s, struct msg *msg)
{
	struct link_item *item;
	enum sgb_err err = SGB_ERR_AGAIN;

	if (TAILQ_EMPTY(&s->to_monitor))
		err = msg_send(SESSION_MONITOR_FD, msg);
	if (err != SGB_ERR_AGAIN) {
		if (err)
			broken(s, "monitor", err);
		msg_done(msg);
		return;
	}
	item = s->to_monitor_count < LINK_QUEUE_MAX ? malloc(sizeof(*item))
						    : NULL;
	if (!item) {
		broken(s, "monitor does not read", SGB_ERR_LIMIT);
		msg_done(msg);
		return;
	}
	item->msg = *msg;
	TAILQ_INSERT_TAIL(&s->to_monitor, item, entry);
	s->to_monitor_count++;
}

void link_flush(struct session *s)
{
	struct link_item *item;

	while ((item = TAILQ_FIRST(&s->to_monitor))) {
		enum sgb_err err = msg_send(SESSION_MONITOR_FD, &item->msg);

		if (err == SGB_ERR_AGAIN)
			return;
		if (err)
			broken(s, "monitor", err);
		TAILQ_REMOVE(&s->to_monitor, item, entry);
		s->to_monitor_count--;
		/* Somebody may have waited for room. */
		s->busy = true;
		msg_done(&item->msg);
		free(item);
	}
}

void link_report(struct session *s, uint32_t channel,
	enum session_report report, uint64_t a, uint64_t b, const char *text)
{
	struct msg msg;

	msg_init(&msg, MSG_REQ_REPORT);
	buf_put_u32(&msg.body, channel);
	buf_put_u32(&msg.body, report);
	buf_put_u64(&msg.body, a);
	buf_put_u64(&msg.body, b);
	buf_put_cstring(&msg.body, text);
	link_send(s, &msg);
}

void link_gate(struct session *s, uint32_t channel,
	enum session_request request, const char *argument, uint32_t number)
{
	struct msg msg;

	msg_init(&msg, MSG_REQ_GATE);
	buf_put_u32(&msg.body, channel);
	buf_put_u32(&msg.body, request);
	buf_put_cstring(&msg.body, argument);
	buf_put_u32(&msg.body, number);
	link_send(s, &msg);
}

static enum sgb_err got_refused(struct session *s, struct msg *msg)
{
	char *text = reader_cstring(&msg->reader, 4096);
	enum sgb_err err = reader_end(&msg->reader);

	if (!err && s->target_leg.state == LEG_ASKED)
		target_refuse(s, text);
	else if (!err && s->asking)
		stream_refused(s, text);
	else if (!err)
		err = SGB_ERR_PHASE;
	free(text);
	return err;
}

static enum sgb_err got_notice(struct session *s, struct msg *msg)
{
	char *text = reader_cstring(&msg->reader, 4096);
	enum sgb_err err = reader_end(&msg->reader);
	struct channel *ch;

	if (!err && !s->auth.done) {
		auth_show(s, text);
	} else if (!err) {
		TAILQ_FOREACH (ch, &s->channels, entry)
			if (menu_active(ch))
				menu_notice(ch, text);
			else if (ch->pty)
				channel_tell(ch, text);
		if (s->record.fd >= 0)
			record_put_text(&s->record, RECORD_CONNECTION,
				RECORD_NOTE, text);
		s->busy = true;
	}
	free(text);
	return err;
}

static enum sgb_err got_end(struct session *s, struct msg *msg)
{
	char *text = reader_cstring(&msg->reader, 4096);
	enum sgb_err err = reader_end(&msg->reader);

	if (!err)
		session_end(s, text);
	free(text);
	return err;
}

static const struct {
	enum msg_type type;
	enum sgb_err (*handle)(struct session *s, struct msg *msg);
} handlers[] = {
	{MSG_SES_AUTH, auth_answer},
	{MSG_SES_PROMPT, auth_prompt},
	{MSG_SES_TARGET, target_granted},
	{MSG_SES_HOSTKEY, verify_answer},
	{MSG_SES_HOSTCERT, verify_fetch},
	{MSG_SES_AGENT, borrow_ask},
	{MSG_SES_AGENT_DONE, borrow_judged},
	{MSG_SES_REFUSED, got_refused},
	{MSG_SES_JUMP, stream_jump},
	{MSG_SES_FORWARD, stream_forward},
	{MSG_SES_GATE, channel_gate_answer},
	{MSG_SES_NOTICE, got_notice},
	{MSG_SES_END, got_end},
	{MSG_SES_TEXT, local_text},
	{MSG_SES_VIEW, view_start},
	{MSG_SES_HOSTS, menu_hosts},
	{MSG_SES_CHOSEN, menu_chosen},
};

static enum sgb_err dispatch(struct session *s, struct msg *msg)
{
	size_t i;

	for (i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		if (handlers[i].type == msg->type)
			return handlers[i].handle(s, msg);
	return SGB_ERR_PHASE;
}

static enum sgb_err keep(struct session *s, struct msg *msg)
{
	struct link_item *item = s->from_monitor_count < KEPT_MAX
					 ? malloc(sizeof(*item))
					 : NULL;

	if (!item) {
		msg_done(msg);
		return SGB_ERR_LIMIT;
	}
	item->msg = *msg;
	TAILQ_INSERT_TAIL(&s->from_monitor, item, entry);
	s->from_monitor_count++;
	/* Nothing more may come that would wake us for it. */
	s->busy = true;
	return SGB_OK;
}

static enum sgb_err next_message(struct session *s, struct msg *msg)
{
	struct link_item *item = TAILQ_FIRST(&s->from_monitor);

	msg_init(msg, MSG_NONE);
	if (!item)
		return msg_recv(SESSION_MONITOR_FD, msg);
	*msg = item->msg;
	TAILQ_REMOVE(&s->from_monitor, item, entry);
	s->from_monitor_count--;
	free(item);
	return SGB_OK;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void wait_for_monitor(struct session *s, uint64_t until)
{
	struct pollfd monitor = {
		.fd = SESSION_MONITOR_FD,
		.events = TAILQ_EMPTY(&s->to_monitor) ? POLLIN
						      : POLLIN | POLLOUT,
	};
	uint64_t now = now_ms();

	if (now >= until)
		broken(s, "monitor does not answer", SGB_ERR_LIMIT);
	else if (poll(&monitor, 1, (int)(until - now)) < 0 && errno != EINTR)
		broken(s, "monitor", SGB_ERR_SYSTEM);
	link_flush(s);
}

bool link_ask(
	struct session *s, struct msg *msg, enum msg_type type, struct msg *ret)
{
	uint64_t until = now_ms() + ASK_MS;

	link_send(s, msg);
	while (!s->over) {
		enum sgb_err err;

		msg_init(ret, MSG_NONE);
		err = msg_recv(SESSION_MONITOR_FD, ret);
		if (!err && ret->type == type)
			return true;
		if (!err)
			err = keep(s, ret);
		else
			msg_done(ret);
		if (err == SGB_ERR_AGAIN)
			wait_for_monitor(s, until);
		else if (err)
			broken(s, "monitor", err);
	}
	return false;
}

void link_receive(struct session *s)
{
	while (!s->over) {
		enum msg_type type;
		struct msg msg;
		enum sgb_err err;

		err = next_message(s, &msg);
		type = msg.type;
		if (!err)
			err = dispatch(s, &msg);
		msg_done(&msg);
		if (err == SGB_ERR_AGAIN)
			return;
		/* The monitor is this session's life: without it, leave. */
		if (err == SGB_ERR_CLOSED)
			s->over = true;
		else if (err)
			broken(s, msg_name(type), err);
	}
}
