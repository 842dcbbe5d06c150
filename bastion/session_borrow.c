/*
 * Logging on to the target with the user's own agent: waits until the client
 * has offered one, opens a channel to it, sees whether it has the key, and
 * passes on what the monitor wants signed. libssh's way to an agent would
 * stop this loop, which serves the client's side as well: so libssh is told
 * "no" once (monitor_borrow.c), and asks again when the signature is there.
 * Asks for nothing that the monitor does not say, and believes no answer.
 */
#include "session_borrow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session_agent_form.h"

/* A client that opens no session (ssh -N) offers nothing, and is asked. */
#define BLIND_MS 2000
#define OUT_MAX	 (64 * 1024)

bool borrow_parse(struct session *s, struct reader *rd)
{
	struct session_borrow *borrow = &s->borrow;
	uint32_t count = reader_u32(rd), i;

	if (count > BORROW_KEYS_MAX)
		return false;
	for (i = 0; i < count; i++) {
		struct borrow_key *key = &borrow->keys[i];
		const uint8_t *blob = reader_string(rd, &key->len);
		struct sshkey parsed;

		if (rd->err || sshkey_parse(blob, key->len, &parsed))
			return false;
		key->blob = malloc(key->len);
		if (!key->blob)
			return false;
		memcpy(key->blob, blob, key->len);
		memcpy(borrow->fingerprint, parsed.fingerprint,
			sizeof(borrow->fingerprint));
		borrow->count++;
	}
	return true;
}

static void close_channel(struct session_borrow *borrow)
{
	if (!borrow->channel)
		return;
	ssh_remove_channel_callbacks(borrow->channel, &borrow->callbacks);
	ssh_channel_free(borrow->channel);
	borrow->channel = NULL;
}

void borrow_done(struct session *s)
{
	struct session_borrow *borrow = &s->borrow;

	close_channel(borrow);
	buf_done(&borrow->in);
	buf_done(&borrow->out);
	while (borrow->count)
		free(borrow->keys[--borrow->count].blob);
	borrow->state = BORROW_NONE;
}

bool borrow_waits(const struct session *s)
{
	return s->borrow.count && s->target_leg.state >= LEG_HANDSHAKE &&
	       s->target_leg.state <= LEG_AGENT;
}

void borrow_begin(struct session *s)
{
	s->borrow.state = BORROW_OFFER;
	s->borrow.blind_at = s->now + BLIND_MS;
}

static void no_agent(struct session *s)
{
	target_failed(s,
		"this target is logged on to with your own SSH agent, and your "
		"client forwards none: connect with ssh -A, or set "
		"ForwardAgent yes for this host alone",
		"no agent is forwarded by the client");
}

static void bad_agent(struct session *s, const char *what)
{
	char public[120], why[120];

	snprintf(public, sizeof(public), "your SSH agent %s", what);
	snprintf(why, sizeof(why), "the user's agent %s", what);
	target_failed(s, public, why);
}

static void not_held(struct session *s)
{
	char public[400], why[160];

	snprintf(public, sizeof(public),
		"your SSH agent does not show the key that you logged on with "
		"(%s), which this target is logged on to with: add it with "
		"ssh-add, without -h",
		s->borrow.fingerprint);
	snprintf(why, sizeof(why), "the user's agent does not have %s",
		s->borrow.fingerprint);
	target_failed(s, public, why);
}

/* ---- the channel to the agent ---- */

static int agent_data(ssh_session ssh, ssh_channel channel, void *data,
	uint32_t len, int is_stderr, void *arg)
{
	struct session *s = arg;
	struct session_borrow *borrow = &s->borrow;

	(void)ssh;
	(void)channel;
	/* What nobody asked for is no answer to what is asked next. */
	if (is_stderr || (borrow->state != BORROW_LOOKING &&
				 borrow->state != BORROW_SIGNING))
		borrow->gone = true;
	else
		buf_put(&borrow->in, data, len);
	s->busy = true;
	return (int)len;
}

static void agent_gone(ssh_session ssh, ssh_channel channel, void *arg)
{
	struct session *s = arg;

	(void)ssh;
	(void)channel;
	s->borrow.gone = true;
	s->busy = true;
}

static void question(struct session_borrow *borrow)
{
	buf_done(&borrow->in);
	buf_done(&borrow->out);
	buf_init(&borrow->in, AGENT_FORM_MAX);
	buf_init(&borrow->out, OUT_MAX);
}

static void look(struct session *s)
{
	struct session_borrow *borrow = &s->borrow;

	borrow->callbacks = (struct ssh_channel_callbacks_struct){
		.userdata = s,
		.channel_data_function = agent_data,
		.channel_eof_function = agent_gone,
		.channel_close_function = agent_gone,
	};
	ssh_callbacks_init(&borrow->callbacks);
	ssh_set_channel_callbacks(borrow->channel, &borrow->callbacks);
	question(borrow);
	agent_form_ask_keys(&borrow->out);
	borrow->state = BORROW_LOOKING;
}

static void open_channel(struct session *s)
{
	struct session_borrow *borrow = &s->borrow;
	int rc = SSH_ERROR;

	if (!borrow->channel)
		borrow->channel = ssh_channel_new(s->client.ssh);
	if (borrow->channel)
		rc = ssh_channel_open_auth_agent(borrow->channel);
	if (rc == SSH_OK)
		look(s);
	else if (rc != SSH_AGAIN)
		no_agent(s);
}

/* A client that opens the channel unasked warns its user of a break-in if
 * there is no agent: so who has asked for a shell without offering one is not
 * tried. */
static void await_offer(struct session *s)
{
	struct session_borrow *borrow = &s->borrow;

	if (borrow->offered || (!borrow->started && s->now >= borrow->blind_at))
		borrow->state = BORROW_OPENING;
	else if (borrow->started)
		no_agent(s);
}

/* False: it is not all there, and more may come. */
static bool send_question(struct session_borrow *borrow)
{
	while (borrow->out.len) {
		uint32_t window = ssh_channel_window_size(borrow->channel);
		size_t len = borrow->out.len;
		int sent;

		if (len > window)
			len = window;
		if (!len)
			return false;
		sent = ssh_channel_write(
			borrow->channel, borrow->out.data, (uint32_t)len);
		if (sent < 0)
			borrow->gone = true;
		if (sent <= 0)
			return false;
		buf_consume(&borrow->out, (size_t)sent);
	}
	return true;
}

/* ---- what it says ---- */

static enum agent_form read_keys(struct session_borrow *borrow)
{
	enum agent_form form = AGENT_FORM_BAD;
	size_t i;

	for (i = 0; i < borrow->count; i++) {
		struct borrow_key *key = &borrow->keys[i];

		form = agent_form_keys(borrow->in.data, borrow->in.len,
			key->blob, key->len, &key->held);
		if (form != AGENT_FORM_GOOD)
			return form;
		borrow->held |= key->held;
	}
	return form;
}

static void looked(struct session *s, enum agent_form form)
{
	if (form == AGENT_FORM_GOOD && s->borrow.held) {
		s->borrow.state = BORROW_READY;
		s->target_leg.state = LEG_AUTH;
	} else {
		not_held(s);
	}
}

static void tell_monitor(
	struct session *s, const uint8_t *signature, size_t len)
{
	struct msg msg;

	msg_init(&msg, MSG_REQ_AGENT);
	buf_put_string(&msg.body, signature, len);
	link_send(s, &msg);
	s->borrow.state = BORROW_JUDGED;
}

static void hear(struct session *s)
{
	struct session_borrow *borrow = &s->borrow;
	const uint8_t *signature = NULL;
	enum agent_form form;
	size_t len = 0;

	if (borrow->state == BORROW_LOOKING)
		form = read_keys(borrow);
	else
		form = agent_form_signature(
			borrow->in.data, borrow->in.len, &signature, &len);
	if (buf_error(&borrow->in))
		form = AGENT_FORM_BAD;
	if (form == AGENT_FORM_BAD)
		bad_agent(s, "gave an answer that is none");
	else if (form == AGENT_FORM_MORE && borrow->gone)
		bad_agent(s, "went away before it had answered");
	else if (form == AGENT_FORM_MORE)
		return;
	else if (borrow->state == BORROW_LOOKING)
		looked(s, form);
	else
		tell_monitor(s, signature, len);
}

void borrow_pump(struct session *s)
{
	struct session_borrow *borrow = &s->borrow;

	if (borrow->state == BORROW_OFFER)
		await_offer(s);
	if (borrow->state == BORROW_OPENING)
		open_channel(s);
	if (borrow->state == BORROW_LOOKING ||
		borrow->state == BORROW_SIGNING) {
		(void)send_question(borrow);
		hear(s);
	}
}

/* ---- what the monitor says ---- */

static struct borrow_key *find_key(
	struct session_borrow *borrow, const uint8_t *blob, size_t len)
{
	size_t i;

	for (i = 0; i < borrow->count; i++)
		if (borrow->keys[i].len == len &&
			!memcmp(borrow->keys[i].blob, blob, len))
			return &borrow->keys[i];
	return NULL;
}

enum sgb_err borrow_ask(struct session *s, struct msg *msg)
{
	struct session_borrow *borrow = &s->borrow;
	struct borrow_key *key;
	const uint8_t *blob, *data;
	size_t blob_len, data_len;
	uint32_t flags;
	enum sgb_err err;

	blob = reader_string(&msg->reader, &blob_len);
	data = reader_string(&msg->reader, &data_len);
	flags = reader_u32(&msg->reader);
	err = reader_end(&msg->reader);
	/* The time may have been over meanwhile. */
	if (err || s->target_leg.state != LEG_AUTH)
		return err;
	key = find_key(borrow, blob, blob_len);
	if (!key || borrow->state != BORROW_READY)
		return SGB_ERR_PHASE;
	s->busy = true;
	borrow->asked = true;
	s->target_leg.state = LEG_AGENT;
	if (!key->held) {
		tell_monitor(s, NULL, 0);
		return SGB_OK;
	}
	question(borrow);
	agent_form_ask_signature(
		&borrow->out, blob, blob_len, data, data_len, flags);
	borrow->state = BORROW_SIGNING;
	return buf_error(&borrow->out);
}

static void note_signed(struct session *s)
{
	char text[160];

	snprintf(text, sizeof(text), "the user's agent signed the login: %s",
		s->borrow.fingerprint);
	record_put_text(&s->record, RECORD_CONNECTION, RECORD_NOTE, text);
}

enum sgb_err borrow_judged(struct session *s, struct msg *msg)
{
	struct session_borrow *borrow = &s->borrow;
	uint32_t yes = reader_u32(&msg->reader);
	char *text = reader_cstring(&msg->reader, 4096);
	enum sgb_err err = reader_end(&msg->reader);

	if (!err && yes > 1)
		err = SGB_ERR_FORMAT;
	if (!err && borrow->state == BORROW_JUDGED &&
		s->target_leg.state == LEG_AGENT) {
		borrow->state = BORROW_READY;
		s->target_leg.state = LEG_AUTH;
		s->busy = true;
		if (yes)
			note_signed(s);
		else
			snprintf(borrow->why, sizeof(borrow->why), "%s", text);
	}
	free(text);
	return err;
}

bool borrow_wanted(struct session *s)
{
	if (s->borrow.state != BORROW_READY)
		return false;
	/* It was sent before the "no" that libssh has just heard; what comes
	 * of it may be there by now, too. */
	s->borrow.asked = false;
	link_receive(s);
	return s->borrow.asked;
}

void borrow_refused(struct session *s)
{
	char what[200], public[300];

	if (*s->borrow.why) {
		snprintf(what, sizeof(what), "%.100s (%s)", s->borrow.why,
			s->borrow.fingerprint);
		snprintf(public, sizeof(public), "your SSH agent: %s", what);
		target_failed(s, public, public + strlen("your "));
		return;
	}
	snprintf(public, sizeof(public),
		"the target does not accept your key %s, by which it is logged "
		"on to with your SSH agent",
		s->borrow.fingerprint);
	snprintf(what, sizeof(what), "the target refused the user's key %s",
		s->borrow.fingerprint);
	target_failed(s, public, what);
}
