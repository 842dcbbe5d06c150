/*
 * What comes from the target's side: channels that it opens because the user
 * asked for them, an agent's (ssh -A), an X client's (ssh -X) or a remote
 * forward's (ssh -R). Each
 * needs the gate's permission before it is asked for at the target; what a
 * target opens without that is refused. Trusts the target with nothing.
 */
#include "session_channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REMOTE_FORWARDS_MAX 16
#define TARGET_MESSAGES_MAX 200 /* in a second */

/* What can be granted to a channel, and how what comes of it begins. */
static const struct back_kind {
	unsigned int grant;
	int type;
	const char *name;
} back_kinds[] = {
	{BACK_AGENT, SSH_CHANNEL_AUTH_AGENT, "auth-agent"},
	{BACK_X11, SSH_CHANNEL_X11, "x11"},
};

static const struct back_kind *kind_of(int type)
{
	size_t i;

	for (i = 0; i < sizeof(back_kinds) / sizeof(back_kinds[0]); i++)
		if (back_kinds[i].type == type)
			return &back_kinds[i];
	return NULL;
}

struct remote_forward {
	TAILQ_ENTRY(remote_forward) entry;
	ssh_message msg; /* until it is answered */
	enum {
		FORWARD_NEW = 0,
		FORWARD_GATE,
		FORWARD_ALLOWED,
		FORWARD_NOTED, /* waits for the recorder, then for the target */
		FORWARD_OPEN,
		FORWARD_ENDING,
	} step;
	uint64_t seq; /* of the note */
	char *address;
	int port;
};

static struct remote_forward *forward_find(struct session *s, int port)
{
	struct remote_forward *rf;

	TAILQ_FOREACH (rf, &s->forwards, entry)
		if (rf->step == FORWARD_OPEN && rf->port == port)
			return rf;
	return NULL;
}

static void forward_free(struct session *s, struct remote_forward *rf)
{
	TAILQ_REMOVE(&s->forwards, rf, entry);
	s->forward_count--;
	if (rf->msg)
		ssh_message_free(rf->msg);
	free(rf->address);
	free(rf);
}

void back_done(struct session *s)
{
	struct remote_forward *rf;

	while ((rf = TAILQ_FIRST(&s->forwards)))
		forward_free(s, rf);
}

static void refuse(struct session *s, struct remote_forward *rf)
{
	char *text = NULL;

	if (asprintf(&text, "remote forward of %s:%d", rf->address, rf->port) >=
			0 &&
		s->record.fd >= 0)
		record_put_text(
			&s->record, RECORD_CONNECTION, RECORD_REFUSED, text);
	free(text);
	ssh_message_reply_default(rf->msg);
	forward_free(s, rf);
}

/* In its turn among the others: what the target still opens for it is refused
 * from here on. */
static bool cancel(struct session *s, ssh_message msg)
{
	struct remote_forward *rf = forward_find(
		s, ssh_message_global_request_port(msg));

	if (!rf)
		return false;
	rf->msg = msg;
	rf->step = FORWARD_ENDING;
	TAILQ_REMOVE(&s->forwards, rf, entry);
	TAILQ_INSERT_TAIL(&s->forwards, rf, entry);
	return true;
}

void back_global(struct session *s, ssh_message msg)
{
	const char *address = ssh_message_global_request_address(msg);
	int type = ssh_message_subtype(msg);
	int port = ssh_message_global_request_port(msg);
	struct remote_forward *rf;

	if (type == SSH_GLOBAL_REQUEST_CANCEL_TCPIP_FORWARD && cancel(s, msg))
		return;
	rf = calloc(1, sizeof(*rf));
	if (type != SSH_GLOBAL_REQUEST_TCPIP_FORWARD || !rf || !address ||
		strlen(address) > 255 || port <= 0 || port > 65535 ||
		s->target_leg.state == LEG_NONE ||
		s->forward_count >= REMOTE_FORWARDS_MAX ||
		!(rf->address = strdup(address))) {
		free(rf);
		ssh_message_reply_default(msg);
		ssh_message_free(msg);
		return;
	}
	rf->msg = msg;
	rf->port = port;
	TAILQ_INSERT_TAIL(&s->forwards, rf, entry);
	s->forward_count++;
}

void back_gate_answer(struct session *s, bool allow)
{
	struct remote_forward *rf;

	TAILQ_FOREACH (rf, &s->forwards, entry) {
		if (rf->step != FORWARD_GATE)
			continue;
		if (allow)
			rf->step = FORWARD_ALLOWED;
		else
			refuse(s, rf);
		return;
	}
}

/* Written down before the target hears of it, like any request. */
static bool note(struct session *s, struct remote_forward *rf)
{
	char *text = NULL;

	if (asprintf(&text, "remote forward of %s:%d", rf->address, rf->port) <
		0) {
		refuse(s, rf);
		return true;
	}
	rf->seq = record_put_text(
		&s->record, RECORD_CONNECTION, RECORD_NOTE, text);
	free(text);
	rf->step = FORWARD_NOTED;
	return true;
}

static bool ask_target(struct session *s, struct remote_forward *rf)
{
	int rc;

	if (!record_written(&s->record, rf->seq))
		return false;
	/* The answer to a keepalive would be taken for the answer to this. */
	if (s->target_leg.ping_open)
		return false;
	rc = ssh_channel_listen_forward(
		s->target_leg.ssh, rf->address, rf->port, NULL);
	if (rc == SSH_AGAIN)
		return false;
	if (rc != SSH_OK) {
		refuse(s, rf);
		return true;
	}
	ssh_message_global_request_reply_success(rf->msg, 0);
	ssh_message_free(rf->msg);
	rf->msg = NULL;
	rf->step = FORWARD_OPEN;
	return true;
}

static bool end_forward(struct session *s, struct remote_forward *rf)
{
	/* libssh keeps one answer at a time: this one would be taken for that
	 * to the next. */
	if (s->target_leg.ping_open ||
		ssh_channel_cancel_forward(
			s->target_leg.ssh, rf->address, rf->port) == SSH_AGAIN)
		return false;
	ssh_message_global_request_reply_success(rf->msg, 0);
	forward_free(s, rf);
	return true;
}

static bool forward_step(struct session *s, struct remote_forward *rf)
{
	switch (rf->step) {
	case FORWARD_NEW:
		rf->step = FORWARD_GATE;
		link_gate(s, 0, SESSION_REQUEST_REMOTE_FORWARD, rf->address,
			(uint32_t)rf->port);
		return false;
	case FORWARD_ALLOWED: return note(s, rf);
	/* Not while the recorder waits for its disk, as nothing else. */
	case FORWARD_NOTED: return !s->record.waits && ask_target(s, rf);
	case FORWARD_ENDING: return !s->record.waits && end_forward(s, rf);
	case FORWARD_GATE:
	case FORWARD_OPEN: break;
	}
	return false;
}

/* One at a time, in order: the client tells answers apart by order alone. */
static bool forwards_pump(struct session *s)
{
	struct remote_forward *rf;

	TAILQ_FOREACH (rf, &s->forwards, entry) {
		if (rf->step == FORWARD_OPEN)
			continue;
		if (s->target_leg.state >= LEG_REFUSED) {
			refuse(s, rf);
			return true;
		}
		if (s->target_leg.state != LEG_READY)
			return false;
		return forward_step(s, rf);
	}
	return false;
}

/* "forwarded-tcpip ADDRESS:PORT from ADDRESS:PORT", "x11 from ADDRESS:PORT",
 * "auth-agent" */
static char *describe(ssh_message msg, int type)
{
	const char *from = ssh_message_channel_request_open_originator(msg);
	const char *to = ssh_message_channel_request_open_destination(msg);
	int port = ssh_message_channel_request_open_originator_port(msg);
	char *text = NULL;
	int len;

	if (type == SSH_CHANNEL_AUTH_AGENT)
		return strdup(kind_of(type)->name);
	if (!from || strlen(from) > 255)
		return NULL;
	if (type == SSH_CHANNEL_X11)
		len = asprintf(&text, "x11 from %s:%d", from, port);
	else if (to && strlen(to) <= 255)
		len = asprintf(&text, "forwarded-tcpip %s:%d from %s:%d", to,
			ssh_message_channel_request_open_destination_port(msg),
			from, port);
	else
		len = -1;
	return len < 0 ? NULL : text;
}

/* Does the command of a channel say that it came of this? */
static bool came_of(const struct channel *ch, const struct back_kind *kind)
{
	return ch->kind == CHANNEL_BACK && ch->command &&
	       !strncmp(ch->command, kind->name, strlen(kind->name));
}

void back_left(struct session *s, unsigned int granted)
{
	struct channel *ch;
	size_t i;

	TAILQ_FOREACH (ch, &s->channels, entry)
		granted &= ~ch->granted;
	s->granted &= ~granted;
	/* One that is still open could sign for as long as it likes. */
	for (i = 0; i < sizeof(back_kinds) / sizeof(back_kinds[0]); i++) {
		if (!(granted & back_kinds[i].grant))
			continue;
		TAILQ_FOREACH (ch, &s->channels, entry)
			if (came_of(ch, &back_kinds[i]))
				channel_abandon(ch, NULL);
	}
	s->busy = true;
}

static bool wanted(struct session *s, ssh_message msg, int type)
{
	const struct back_kind *kind = kind_of(type);

	if (kind)
		return s->granted & kind->grant;
	return type == SSH_CHANNEL_FORWARDED_TCPIP &&
	       forward_find(s,
		       ssh_message_channel_request_open_destination_port(msg));
}

static void opened(struct session *s, ssh_message msg)
{
	int type = ssh_message_subtype(msg);
	char *text = wanted(s, msg, type) ? describe(msg, type) : NULL;
	struct channel *ch = text ? channel_make(s) : NULL;

	if (!ch) {
		record_put_text(&s->record, RECORD_CONNECTION, RECORD_REFUSED,
			"a channel from the target");
		ssh_message_reply_default(msg);
		ssh_message_free(msg);
		free(text);
		return;
	}
	ch->kind = CHANNEL_BACK;
	ch->open_msg = msg;
	ch->open_seq = record_put_text(&s->record, ch->id, RECORD_OPEN, text);
	ch->command = text;
	ch->step = CHANNEL_WAIT_RECORD;
}

/* At the client, as the target asked; SSH_AGAIN: once more. */
static int open_at_client(struct channel *ch, ssh_message msg)
{
	const char *from = ssh_message_channel_request_open_originator(msg);
	int port = ssh_message_channel_request_open_originator_port(msg);

	switch (ssh_message_subtype(msg)) {
	case SSH_CHANNEL_AUTH_AGENT:
		return ssh_channel_open_auth_agent(ch->client);
	case SSH_CHANNEL_X11:
		return ssh_channel_open_x11(ch->client, from, port);
	default:
		return ssh_channel_open_reverse_forward(ch->client,
			ssh_message_channel_request_open_destination(msg),
			ssh_message_channel_request_open_destination_port(msg),
			from, port);
	}
}

bool back_opening(struct channel *ch)
{
	struct session *s = ch->session;
	ssh_message msg = ch->open_msg;
	int rc;

	if (!ch->client)
		ch->client = ssh_channel_new(s->client.ssh);
	if (!ch->client) {
		channel_refuse(ch, "out of memory");
		return true;
	}
	rc = open_at_client(ch, msg);
	if (rc == SSH_AGAIN)
		return false;
	if (rc == SSH_OK)
		ch->target = ssh_message_channel_request_open_reply_accept(msg);
	if (!ch->target) {
		channel_refuse(ch, "the client opened no channel");
		return true;
	}
	ssh_message_free(msg);
	ch->open_msg = NULL;
	ch->payload = PAYLOAD_TOTALS;
	ch->started = true;
	channel_hash_init(ch);
	channel_callbacks(ch);
	ch->step = CHANNEL_OPEN;
	return true;
}

static bool too_many(struct session *s)
{
	if (s->now - s->target_since >= 1000) {
		s->target_since = s->now;
		s->target_messages = 0;
	}
	return ++s->target_messages > TARGET_MESSAGES_MAX;
}

bool back_pump(struct session *s)
{
	bool progress = forwards_pump(s);
	ssh_message msg;

	while (s->target_leg.state == LEG_READY && !s->ending &&
		(msg = ssh_message_get(s->target_leg.ssh))) {
		progress = true;
		if (too_many(s)) {
			ssh_message_free(msg);
			link_report(s, 0, SESSION_REPORT_ANOMALY, 0, 0,
				"the target opens too many channels");
			session_end(s, "the target misbehaves");
			break;
		}
		if (ssh_message_type(msg) == SSH_REQUEST_CHANNEL_OPEN) {
			opened(s, msg);
			continue;
		}
		ssh_message_reply_default(msg);
		ssh_message_free(msg);
	}
	return progress;
}
