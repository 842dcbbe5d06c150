/*
 * Requests on session channels: each passes the gate, is written down, then
 * forwarded, and answered exactly once, in the order in which they came. A
 * request that waits holds up its own channel only.
 */
#include "session_channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUESTS_WAITING_MAX 128
#define REQUEST_TEXT_MAX     32768
#define TERMINAL_SIZE_MAX    10000
#define REFUSED_STATUS	     255

/* What each kind of request is to the gate and to the recorder. */
struct request_kind {
	int subtype;
	enum session_request gate;
	enum record_kind record;
	bool starts; /* once a channel */
};

/* libssh has no numbers for these: they come by callback. */
#define SUBTYPE_SIGNAL 1000
#define SUBTYPE_AGENT  1001

static const struct request_kind kinds[] = {
	{SSH_CHANNEL_REQUEST_PTY, SESSION_REQUEST_PTY, RECORD_PTY, false},
	{SSH_CHANNEL_REQUEST_WINDOW_CHANGE, SESSION_REQUEST_NONE, RECORD_RESIZE,
		false},
	{SSH_CHANNEL_REQUEST_ENV, SESSION_REQUEST_ENV, RECORD_ENV, false},
	{SSH_CHANNEL_REQUEST_SHELL, SESSION_REQUEST_SHELL, RECORD_SHELL, true},
	{SSH_CHANNEL_REQUEST_EXEC, SESSION_REQUEST_EXEC, RECORD_EXEC, true},
	{SSH_CHANNEL_REQUEST_SUBSYSTEM, SESSION_REQUEST_SUBSYSTEM,
		RECORD_SUBSYSTEM, true},
	{SUBTYPE_SIGNAL, SESSION_REQUEST_NONE, RECORD_SIGNAL, false},
	{SUBTYPE_AGENT, SESSION_REQUEST_AGENT, RECORD_NOTE, false},
	{SSH_CHANNEL_REQUEST_X11, SESSION_REQUEST_X11, RECORD_NOTE, false},
};

static const struct request_kind *kind_of(int subtype)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].subtype == subtype)
			return &kinds[i];
	return NULL;
}

static struct channel *channel_of(struct session *s, ssh_message msg)
{
	ssh_channel client = ssh_message_channel_request_channel(msg);
	struct channel *ch;

	TAILQ_FOREACH (ch, &s->channels, entry)
		if (ch->client && ch->client == client)
			return ch;
	return NULL;
}

static bool read_terminal(struct request *rq)
{
	rq->cols = (uint32_t)ssh_message_channel_request_pty_width(rq->msg);
	rq->rows = (uint32_t)ssh_message_channel_request_pty_height(rq->msg);
	if (rq->cols > TERMINAL_SIZE_MAX || rq->rows > TERMINAL_SIZE_MAX)
		return false;
	return true;
}

static char *copy_text(const char *text)
{
	return text && strlen(text) <= REQUEST_TEXT_MAX ? strdup(text) : NULL;
}

static bool read_env(struct request *rq)
{
	const char *name = ssh_message_channel_request_env_name(rq->msg);
	const char *value = ssh_message_channel_request_env_value(rq->msg);

	if (!name || !value || !name[0] || strlen(name) > 256 ||
		strlen(value) > 4096 || strchr(name, '='))
		return false;
	if (asprintf(&rq->text, "%s=%s", name, value) < 0) {
		rq->text = NULL;
		return false;
	}
	rq->value = rq->text + strlen(name) + 1;
	return true;
}

static bool read_x11(struct request *rq)
{
	const char *protocol = ssh_message_channel_request_x11_auth_protocol(
		rq->msg);
	const char *cookie = ssh_message_channel_request_x11_auth_cookie(
		rq->msg);

	if (!protocol || !cookie || strlen(protocol) > 64 ||
		strlen(cookie) > 512)
		return false;
	rq->x11_protocol = strdup(protocol);
	rq->x11_cookie = strdup(cookie);
	rq->x11_single = ssh_message_channel_request_x11_single_connection(
		rq->msg);
	rq->x11_screen = ssh_message_channel_request_x11_screen_number(rq->msg);
	rq->text = strdup("x11 forwarding");
	return rq->x11_protocol && rq->x11_cookie;
}

static bool read_request(struct request *rq)
{
	switch (rq->subtype) {
	case SSH_CHANNEL_REQUEST_PTY:
		rq->text = copy_text(
			ssh_message_channel_request_pty_term(rq->msg));
		return rq->text && strlen(rq->text) <= 256 && read_terminal(rq);
	case SSH_CHANNEL_REQUEST_WINDOW_CHANGE: return read_terminal(rq);
	case SSH_CHANNEL_REQUEST_ENV: return read_env(rq);
	case SSH_CHANNEL_REQUEST_X11: return read_x11(rq) && rq->text;
	case SSH_CHANNEL_REQUEST_SHELL: rq->text = strdup(""); break;
	case SSH_CHANNEL_REQUEST_EXEC:
		rq->text = copy_text(
			ssh_message_channel_request_command(rq->msg));
		break;
	case SSH_CHANNEL_REQUEST_SUBSYSTEM:
		rq->text = copy_text(
			ssh_message_channel_request_subsystem(rq->msg));
		break;
	default: return false;
	}
	return rq->text;
}

static void request_free(struct request *rq)
{
	if (rq->msg)
		ssh_message_free(rq->msg);
	free(rq->text);
	free(rq->reason);
	free(rq->x11_protocol);
	free(rq->x11_cookie);
	free(rq);
}

static void append(struct channel *ch, struct request *rq)
{
	if (ch->request_count >= REQUESTS_WAITING_MAX) {
		request_free(rq);
		session_end(ch->session, "Too many requests.");
		return;
	}
	TAILQ_INSERT_TAIL(&ch->requests, rq, entry);
	ch->request_count++;
}

/* A window that is dragged while nothing passes: the last size counts, and the
 * line gets no longer. Nobody waits for an answer (RFC 4254 section 6.7). */
static bool replaces(struct channel *ch, const struct request *rq)
{
	struct request *last = TAILQ_LAST(&ch->requests, requests);

	if (rq->subtype != SSH_CHANNEL_REQUEST_WINDOW_CHANGE || !last ||
		last->subtype != rq->subtype ||
		last->step >= REQUEST_WAIT_RECORD)
		return false;
	last->cols = rq->cols;
	last->rows = rq->rows;
	return true;
}

void request_arrived(struct session *s, ssh_message msg)
{
	struct channel *ch = channel_of(s, msg);
	struct request *rq = ch ? calloc(1, sizeof(*rq)) : NULL;

	if (!rq || !channel_is_session(ch) || ch->client_closed) {
		free(rq);
		ssh_message_reply_default(msg);
		ssh_message_free(msg);
		return;
	}
	rq->msg = msg;
	rq->subtype = ssh_message_subtype(msg);
	/* One that cannot be read stays in line, so that it is refused in its
	 * turn. */
	if (!kind_of(rq->subtype) || !read_request(rq))
		rq->subtype = SSH_CHANNEL_REQUEST_UNKNOWN;
	else if (kind_of(rq->subtype)->starts)
		s->borrow.started = true;
	if (replaces(ch, rq))
		request_free(rq);
	else
		append(ch, rq);
}

void request_signal(struct channel *ch, const char *name)
{
	struct request *rq = calloc(1, sizeof(*rq));

	if (!rq)
		return;
	rq->subtype = SUBTYPE_SIGNAL;
	rq->text = strlen(name) <= 64 ? strdup(name) : NULL;
	if (rq->text)
		append(ch, rq);
	else
		request_free(rq);
}

void request_agent(struct channel *ch)
{
	struct request *rq = calloc(1, sizeof(*rq));

	if (!rq)
		return;
	rq->subtype = SUBTYPE_AGENT;
	rq->text = strdup("agent forwarding");
	if (rq->text)
		append(ch, rq);
	else
		request_free(rq);
}

void request_replay(struct channel *ch, int subtype, const char *text,
	uint32_t cols, uint32_t rows)
{
	struct request *rq = calloc(1, sizeof(*rq));
	char *equals;

	if (!rq || !(rq->text = strdup(text))) {
		free(rq);
		ch->session->over = true;
		return;
	}
	rq->subtype = subtype;
	rq->cols = cols;
	rq->rows = rows;
	equals = strchr(rq->text, '=');
	if (subtype == SSH_CHANNEL_REQUEST_ENV && equals)
		rq->value = equals + 1;
	append(ch, rq);
}

static void finish(struct channel *ch, struct request *rq, bool ok)
{
	TAILQ_REMOVE(&ch->requests, rq, entry);
	ch->request_count--;
	if (rq->msg && ok)
		ssh_message_channel_request_reply_success(rq->msg);
	else if (rq->msg)
		ssh_message_reply_default(rq->msg);
	request_free(rq);
}

/* The client thinks that it has this already (request_replay). */
static bool promised(const struct request *rq)
{
	return !rq->msg && (rq->subtype == SSH_CHANNEL_REQUEST_PTY ||
				   rq->subtype == SSH_CHANNEL_REQUEST_SHELL);
}

static void refuse(struct channel *ch, struct request *rq)
{
	struct session *s = ch->session;
	const struct request_kind *kind = kind_of(rq->subtype);
	const char *slug = kind ? record_slug(kind->record) : "request";
	char *text = NULL, *reason = rq->reason;
	bool tells = kind && (kind->starts || promised(rq));

	if (asprintf(&text, "%s %s", slug, rq->text ? rq->text : "") >= 0 &&
		s->record.fd >= 0)
		record_put_text(&s->record, ch->id, RECORD_REFUSED, text);
	free(text);
	if (promised(rq) && !reason)
		reason = rq->reason = strdup("not possible on this target");
	if (!tells || !reason || ch->started) {
		finish(ch, rq, false);
		return;
	}
	rq->reason = NULL;
	/* A client that is told "failed" leaves without reading why: so it is
	 * told "yes", then why, then the status of a failed connection. */
	ch->started = true;
	finish(ch, rq, true);
	channel_tell(ch, reason);
	channel_finish(ch, REFUSED_STATUS);
	free(reason);
}

static uint64_t record_request(struct channel *ch, struct request *rq)
{
	const struct request_kind *kind = kind_of(rq->subtype);
	struct buf body;
	uint64_t seq = 0;

	buf_init(&body, RECORD_ITEM_MAX);
	switch (kind->record) {
	case RECORD_PTY:
		buf_put_u32(&body, rq->cols);
		buf_put_u32(&body, rq->rows);
		buf_put_cstring(&body, rq->text);
		buf_put_cstring(&body, ""); /* modes: libssh hides them */
		break;
	case RECORD_RESIZE:
		buf_put_u32(&body, rq->cols);
		buf_put_u32(&body, rq->rows);
		break;
	case RECORD_ENV:
		buf_put_string(
			&body, rq->text, (size_t)(rq->value - rq->text) - 1);
		buf_put_cstring(&body, rq->value);
		break;
	default: buf_put(&body, rq->text, strlen(rq->text)); break;
	}
	if (!buf_error(&body))
		seq = record_put(&ch->session->record, ch->id, kind->record,
			body.data, body.len);
	buf_done(&body);
	return seq;
}

static bool is_sftp(const struct request *rq)
{
	return rq->subtype == SSH_CHANNEL_REQUEST_SUBSYSTEM &&
	       !strcmp(rq->text, "sftp");
}

static bool is_scp(const struct channel *ch)
{
	return ch->transfer == POLICY_TRANSFER_SCP_SINK ||
	       ch->transfer == POLICY_TRANSFER_SCP_SOURCE;
}

static void started(struct channel *ch, const struct request *rq)
{
	bool exec = rq->subtype == SSH_CHANNEL_REQUEST_EXEC;
	bool subsystem = rq->subtype == SSH_CHANNEL_REQUEST_SUBSYSTEM;

	ch->started = true;
	free(ch->command);
	ch->command = strdup(rq->text);
	if (ch->pty || (!exec && !subsystem)) {
		ch->payload = PAYLOAD_WHOLE;
		return;
	}
	ch->transfer = exec ? policy_transfer(rq->text) : POLICY_TRANSFER_NONE;
	ch->payload = ch->transfer ? PAYLOAD_FILES : PAYLOAD_LIMITED;
	if (is_scp(ch)) {
		ch->scp = scp_watch_new(
			ch->transfer == POLICY_TRANSFER_SCP_SINK, rq->text,
			channel_file, ch);
		if (!ch->scp)
			ch->session->over = true;
	}
	if (is_sftp(rq)) {
		ch->payload = PAYLOAD_TOTALS;
		ch->sftp = sftp_watch_new(channel_file, ch);
		if (!ch->sftp_read || !ch->sftp_write)
			ch->filter = sftp_filter_new(ch->sftp_read,
				ch->sftp_write, channel_sftp_refused, ch);
		/* Without memory for the walls there is no session. */
		if (!ch->sftp ||
			(!ch->filter && !(ch->sftp_read && ch->sftp_write)))
			ch->session->over = true;
	}
	channel_hash_init(ch);
}

static void grant(struct channel *ch, unsigned int what)
{
	ch->granted |= what;
	ch->session->granted |= what;
}

static int forward(struct channel *ch, struct request *rq)
{
	switch (rq->subtype) {
	case SSH_CHANNEL_REQUEST_PTY:
		return ssh_channel_request_pty_size(
			ch->target, rq->text, (int)rq->cols, (int)rq->rows);
	case SSH_CHANNEL_REQUEST_WINDOW_CHANGE:
		return ssh_channel_change_pty_size(
			ch->target, (int)rq->cols, (int)rq->rows);
	case SSH_CHANNEL_REQUEST_ENV: {
		int rc;

		rq->value[-1] = '\0';
		rc = ssh_channel_request_env(ch->target, rq->text, rq->value);
		rq->value[-1] = '=';
		return rc;
	}
	case SSH_CHANNEL_REQUEST_SHELL:
		return ssh_channel_request_shell(ch->target);
	case SSH_CHANNEL_REQUEST_EXEC:
		return ssh_channel_request_exec(ch->target, rq->text);
	case SSH_CHANNEL_REQUEST_SUBSYSTEM:
		return ssh_channel_request_subsystem(ch->target, rq->text);
	case SUBTYPE_AGENT:
		grant(ch, BACK_AGENT);
		return ssh_channel_request_auth_agent(ch->target);
	case SSH_CHANNEL_REQUEST_X11:
		grant(ch, BACK_X11);
		return ssh_channel_request_x11(ch->target, rq->x11_single,
			rq->x11_protocol, rq->x11_cookie, rq->x11_screen);
	case SUBTYPE_SIGNAL:
		return ssh_channel_request_send_signal(ch->target, rq->text);
	default: return SSH_ERROR;
	}
}

static void show_notice(struct channel *ch)
{
	const char *notice = ch->session->target.notice;

	if (ch->pty && notice && notice[0])
		channel_tell(ch, notice);
}

/* The head of the line, allowed and written down: on to the target. */
static bool forward_step(struct channel *ch, struct request *rq)
{
	const struct request_kind *kind = kind_of(rq->subtype);
	int rc = forward(ch, rq);

	if (rc == SSH_AGAIN)
		return false;
	if (rc == SSH_OK && rq->subtype == SSH_CHANNEL_REQUEST_PTY)
		ch->pty = true;
	if (rc == SSH_OK && kind->starts) {
		started(ch, rq);
		finish(ch, rq, true);
		show_notice(ch);
		return true;
	}
	if (rc != SSH_OK && promised(rq))
		refuse(ch, rq);
	else
		finish(ch, rq, rc == SSH_OK);
	return true;
}

static bool out_of_order(const struct channel *ch, const struct request *rq)
{
	const struct request_kind *kind = kind_of(rq->subtype);

	if (!kind)
		return true;
	/* RFC 4254 section 6.5: one of these a channel; a terminal and the
	 * environment come before it. */
	if (ch->started)
		return kind->starts || rq->subtype == SSH_CHANNEL_REQUEST_PTY ||
		       rq->subtype == SSH_CHANNEL_REQUEST_ENV ||
		       rq->subtype == SSH_CHANNEL_REQUEST_X11;
	return (ch->pty && rq->subtype == SSH_CHANNEL_REQUEST_PTY) ||
	       rq->subtype == SUBTYPE_SIGNAL;
}

static bool head_step(struct channel *ch, struct request *rq)
{
	struct session *s = ch->session;

	if (rq->step == REQUEST_NEW || rq->step == REQUEST_WAIT_GATE)
		return false;
	if (rq->step == REQUEST_ALLOWED) {
		if (!rq->allowed || out_of_order(ch, rq) || ch->client_closed ||
			ch->target_closed) {
			refuse(ch, rq);
			return true;
		}
		rq->seq = record_request(ch, rq);
		rq->step = REQUEST_WAIT_RECORD;
	}
	if (rq->step == REQUEST_WAIT_RECORD) {
		if (!record_written(&s->record, rq->seq))
			return false;
		rq->step = REQUEST_FORWARDING;
	}
	return forward_step(ch, rq);
}

static void ask_gate(struct channel *ch, struct request *rq)
{
	const struct request_kind *kind = kind_of(rq->subtype);

	/* What may be done inside is asked first: when the subsystem is
	 * granted, the answers to these two are there already. */
	if (is_sftp(rq)) {
		link_gate(
			ch->session, ch->id, SESSION_REQUEST_SFTP_READ, "", 0);
		link_gate(
			ch->session, ch->id, SESSION_REQUEST_SFTP_WRITE, "", 0);
	}

	if (kind && kind->gate != SESSION_REQUEST_NONE) {
		rq->gate = kind->gate;
		rq->step = REQUEST_WAIT_GATE;
		link_gate(ch->session, ch->id, kind->gate, rq->text, 0);
		return;
	}
	/* Sizes and signals belong to what was permitted before. */
	rq->allowed = kind;
	rq->step = REQUEST_ALLOWED;
}

bool requests_pump(struct channel *ch)
{
	struct request *rq;
	bool progress = false;

	if (ch->kind == CHANNEL_LOCAL) {
		while ((rq = TAILQ_FIRST(&ch->requests))) {
			bool ok = local_request(ch, rq);

			finish(ch, rq, ok);
			progress = true;
		}
		return progress;
	}
	TAILQ_FOREACH (rq, &ch->requests, entry)
		if (rq->step == REQUEST_NEW)
			ask_gate(ch, rq);
	while ((rq = TAILQ_FIRST(&ch->requests)) && head_step(ch, rq))
		progress = true;
	return progress;
}

/* The client's message keeps its own answer; what runs is another. */
static void replace_command(
	struct channel *ch, struct request *rq, const char *command)
{
	char *text = strdup(command), *note = NULL;
	const struct request_kind *kind = kind_of(rq->subtype);

	if (asprintf(&note, "asked for: %s %s",
		    kind ? record_slug(kind->record) : "request",
		    rq->text) >= 0)
		record_put_text(
			&ch->session->record, ch->id, RECORD_NOTE, note);
	free(note);
	if (!text)
		rq->allowed = false;
	free(rq->text);
	rq->text = text;
	rq->subtype = SSH_CHANNEL_REQUEST_EXEC;
}

void request_gate_answer(struct channel *ch, uint32_t request,
	enum session_gate verdict, const char *text)
{
	bool allow = verdict != SESSION_GATE_REFUSED;
	struct request *rq;

	if (request == SESSION_REQUEST_SFTP_READ)
		ch->sftp_read = allow;
	if (request == SESSION_REQUEST_SFTP_WRITE)
		ch->sftp_write = allow;
	TAILQ_FOREACH (rq, &ch->requests, entry) {
		if (rq->step != REQUEST_WAIT_GATE ||
			(uint32_t)rq->gate != request)
			continue;
		rq->allowed = allow;
		rq->step = REQUEST_ALLOWED;
		if (!allow && text[0])
			rq->reason = strdup(text);
		if (verdict == SESSION_GATE_FORCED)
			replace_command(ch, rq, text);
		return;
	}
}

void requests_free(struct channel *ch)
{
	struct request *rq;

	while ((rq = TAILQ_FIRST(&ch->requests))) {
		TAILQ_REMOVE(&ch->requests, rq, entry);
		request_free(rq);
	}
	ch->request_count = 0;
}
