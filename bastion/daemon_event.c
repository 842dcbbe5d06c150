/*
 * The daemon's own events: refused connections, starts and stops, reloads.
 * They are sent without waiting, since this process must never block; an
 * event that cannot be sent is in the log.
 */
#include "daemon.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/event.h"
#include "core/log.h"

bool daemon_event_connect(struct daemon *d)
{
	if (d->recorder >= 0)
		return true;
	if (msg_connect(d->conf->recorder_socket, &d->recorder)) {
		d->recorder = -1;
		return false;
	}
	(void)fcntl(d->recorder, F_SETFL, O_NONBLOCK);
	return true;
}

static enum sgb_err send_event(struct daemon *d, const struct event *event)
{
	struct buf json;
	struct msg msg;
	enum sgb_err err;

	if (!daemon_event_connect(d))
		return SGB_ERR_CLOSED;
	buf_init(&json, EVENT_MAX_BYTES * 2);
	msg_init(&msg, MSG_REC_EVENT);
	err = event_json(event, &json);
	if (!err) {
		buf_put_string(&msg.body, json.data, json.len);
		err = msg_send(d->recorder, &msg);
	}
	msg_done(&msg);
	buf_done(&json);
	return err;
}

void daemon_event(struct daemon *d, const struct addr *source, bool ok,
	int kind, const char *what, const char *reason)
{
	char who[32];
	struct event event = {
		.kind = (enum event_kind)kind,
		.ok = ok,
		.what = what,
		.reason = reason,
		.user = d->operator? who : NULL,
	};
	char text[ADDR_TEXT_MAX] = "-";
	enum sgb_err err;

	snprintf(who, sizeof(who), "uid %u", (unsigned int)d->operator);
	if (source) {
		event.source = *source;
		addr_text(source, text);
	}
	log_put(ok ? LOG_INFO : LOG_NOTICE,
		"event=%s result=%s from=%s what=\"%s\" reason=\"%s\"",
		event_slug(event.kind), ok ? "ok" : "no", text,
		what ? what : "", reason ? reason : "");
	err = send_event(d, &event);
	if (err)
		log_put(LOG_ERR, "event %s not in the trail: %s",
			event_slug(event.kind), sgb_err_text(err));
}

void daemon_event_poll(struct daemon *d)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_NONE);
	err = msg_recv(d->recorder, &msg);
	msg_done(&msg);
	if (!err || err == SGB_ERR_AGAIN)
		return;
	log_put(LOG_ERR, "the recorder is gone; new sessions are refused "
			 "until it is back");
	close(d->recorder);
	d->recorder = -1;
}
