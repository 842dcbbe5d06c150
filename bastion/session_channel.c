/*
 * The life of a channel: opened by the client, permitted by the monitor,
 * written down, opened at the target, relayed, closed. What the client wants
 * is never believed to be permitted; what no step grants stays refused.
 */
#include "session_channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session_borrow.h"
#include "session_menu.h"
#include "session_view.h"

/* What ssh itself exits with when the connection fails. */
#define ABANDONED_STATUS 255

#define HOST_CHARACTERS \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" \
	"0123456789._:%-"

struct channel *channel_find(struct session *s, uint32_t id)
{
	struct channel *ch;

	TAILQ_FOREACH (ch, &s->channels, entry)
		if (ch->id == id)
			return ch;
	return NULL;
}

bool channel_is_session(const struct channel *ch)
{
	return ch->kind == CHANNEL_RELAY || ch->kind == CHANNEL_LOCAL;
}

bool channel_relayed(const struct channel *ch)
{
	return ch->kind == CHANNEL_RELAY || ch->kind == CHANNEL_DIRECT ||
	       ch->kind == CHANNEL_BACK;
}

struct channel *channel_make(struct session *s)
{
	struct channel *ch;

	if (s->channel_count >= s->start.max_channels)
		return NULL;
	ch = calloc(1, sizeof(*ch));
	if (!ch)
		return NULL;
	ch->session = s;
	ch->id = ++s->next_channel;
	ch->fd = -1;
	ch->opened_at = s->now;
	TAILQ_INIT(&ch->requests);
	flow_init(&ch->in);
	flow_init(&ch->out);
	flow_init(&ch->err);
	record_init(&ch->forward_record);
	TAILQ_INSERT_TAIL(&s->channels, ch, entry);
	s->channel_count++;
	s->channel_seen = true;
	return ch;
}

/* Open at the client since before there was a target: the menu's. */
static bool chosen(const struct channel *ch)
{
	return ch->client && !ch->open_msg && ch->step != CHANNEL_OPEN;
}

static void end_chosen(struct channel *ch, const char *text)
{
	ch->kind = CHANNEL_LOCAL;
	ch->step = CHANNEL_OPEN;
	ch->started = true;
	channel_tell(ch, text);
	channel_finish(ch, ABANDONED_STATUS);
}

void channel_refuse(struct channel *ch, const char *why)
{
	struct session *s = ch->session;

	if (ch->open_msg) {
		ssh_message_reply_default(ch->open_msg);
		ssh_message_free(ch->open_msg);
		ch->open_msg = NULL;
	}
	if (why && s->record.fd >= 0)
		record_put_text(&s->record, ch->id, RECORD_REFUSED, why);
	if (chosen(ch))
		end_chosen(ch, s->refusal ? s->refusal
					  : "the target opened no channel");
	else
		ch->step = CHANNEL_DEAD;
}

bool channel_accept(struct channel *ch)
{
	if (!chosen(ch)) {
		ch->client = ssh_message_channel_request_open_reply_accept(
			ch->open_msg);
		ssh_message_free(ch->open_msg);
		ch->open_msg = NULL;
	}
	if (!ch->client) {
		ch->step = CHANNEL_DEAD;
		return false;
	}
	channel_callbacks(ch);
	ch->step = CHANNEL_OPEN;
	return true;
}

static bool take_destination(struct channel *ch, ssh_message msg)
{
	const char *host = ssh_message_channel_request_open_destination(msg);
	int port = ssh_message_channel_request_open_destination_port(msg);

	if (!host || strlen(host) > 255 || port <= 0 || port > 65535 ||
		host[strspn(host, HOST_CHARACTERS)])
		return false;
	ch->host = strdup(host);
	ch->port = (uint32_t)port;
	return ch->host;
}

void channel_opened(struct session *s, ssh_message msg)
{
	int type = ssh_message_subtype(msg);
	bool relayed = s->target_leg.state != LEG_NONE;
	struct channel *ch = channel_make(s);

	if (!ch) {
		ssh_message_reply_default(msg);
		ssh_message_free(msg);
		return;
	}
	ch->open_msg = msg;
	if (type == SSH_CHANNEL_SESSION)
		ch->kind = relayed ? CHANNEL_RELAY : CHANNEL_LOCAL;
	else if (type == SSH_CHANNEL_DIRECT_TCPIP && take_destination(ch, msg))
		ch->kind = relayed ? CHANNEL_DIRECT : CHANNEL_STREAM;
	else
		channel_refuse(ch, "a channel of a type that is not relayed");
}

/* There is no target: the channel is opened to say why. */
static void turn_local(struct channel *ch)
{
	ch->kind = CHANNEL_LOCAL;
	if (ch->early)
		ch->step = CHANNEL_OPEN;
}

/* Its requests wait until there is a target, but for what they say of an
 * agent. */
static bool accept_early(struct channel *ch)
{
	if (ch->kind != CHANNEL_RELAY || chosen(ch) ||
		!borrow_waits(ch->session))
		return false;
	if (channel_accept(ch)) {
		ch->step = CHANNEL_WAIT_TARGET;
		ch->early = true;
	}
	return true;
}

/* What the gate is asked and the recording says. */
static bool describe(struct channel *ch)
{
	if (ch->kind == CHANNEL_RELAY)
		ch->command = strdup("session");
	else if (asprintf(&ch->command, "direct-tcpip %s:%u", ch->host,
			 ch->port) < 0)
		ch->command = NULL;
	return ch->command;
}

static bool wait_target(struct channel *ch)
{
	struct session *s = ch->session;

	if (ch->kind == CHANNEL_STREAM)
		return stream_open(ch);
	if (ch->kind == CHANNEL_LOCAL)
		return channel_accept(ch);
	if (ch->early && ch->client_closed) {
		ch->step = CHANNEL_DEAD;
		return true;
	}
	if (s->target_leg.state >= LEG_REFUSED) {
		if (ch->kind == CHANNEL_RELAY && (ch->early || !chosen(ch)))
			turn_local(ch);
		else
			channel_refuse(ch, NULL);
		return true;
	}
	if (s->target_leg.state != LEG_READY)
		return accept_early(ch);
	if (!describe(ch)) {
		channel_refuse(ch, "out of memory");
		return true;
	}
	link_gate(s, ch->id, SESSION_REQUEST_CHANNEL, ch->command, ch->port);
	ch->step = CHANNEL_WAIT_GATE;
	return true;
}

static bool wait_record(struct channel *ch)
{
	if (!record_written(&ch->session->record, ch->open_seq))
		return false;
	ch->step = CHANNEL_OPENING;
	ch->open_until = ch->session->now +
			 ch->session->target.within[TARGET_WAIT_OPEN];
	return true;
}

static void release(ssh_channel *channel, ssh_channel_callbacks callbacks)
{
	if (!*channel)
		return;
	/* libssh keeps the channel until the peer has closed it too, and
	 * would call back into freed memory. */
	ssh_remove_channel_callbacks(*channel, callbacks);
	ssh_channel_free(*channel);
	*channel = NULL;
}

/* The client's side hears why where it can: on a session channel. */
static bool opened_late(struct channel *ch)
{
	static const char why[] = "the target did not open the channel in time";
	struct session *s = ch->session;
	bool tells = ch->kind == CHANNEL_RELAY && !chosen(ch);

	if (s->now <= ch->open_until)
		return false;
	link_report(s, ch->id, SESSION_REPORT_TARGET_FAILED, 0, 0, why);
	record_put_text(&s->record, ch->id, RECORD_REFUSED, why);
	release(&ch->target, &ch->target_cb);
	if (!tells) {
		channel_refuse(ch, NULL);
		return true;
	}
	if (channel_accept(ch)) {
		ch->kind = CHANNEL_LOCAL;
		end_chosen(ch, why);
	}
	return true;
}

static bool opening(struct channel *ch)
{
	struct session *s = ch->session;
	int rc;

	if (ch->kind == CHANNEL_STREAM)
		return false;
	if (s->target_leg.state != LEG_READY) {
		channel_refuse(ch, NULL);
		return true;
	}
	if (ch->kind == CHANNEL_BACK)
		return back_opening(ch);
	if (!ch->target) {
		ch->target = ssh_channel_new(s->target_leg.ssh);
		if (!ch->target) {
			channel_refuse(ch, "out of memory");
			return true;
		}
	}
	if (ch->kind == CHANNEL_DIRECT)
		rc = ssh_channel_open_forward(ch->target, ch->host,
			(int)ch->port, s->start.client_address,
			(int)s->start.client_port);
	else
		rc = ssh_channel_open_session(ch->target);
	if (rc == SSH_AGAIN)
		return opened_late(ch);
	if (rc != SSH_OK) {
		channel_refuse(ch, "the target opened no channel");
		return true;
	}
	if (channel_accept(ch) && ch->kind == CHANNEL_DIRECT) {
		ch->payload = PAYLOAD_TOTALS;
		ch->started = true;
		channel_hash_init(ch);
	}
	return true;
}

bool channel_waits(const struct channel *ch)
{
	return ch->session->record.waits || ch->forward_record.waits;
}

static bool pump_open(struct channel *ch)
{
	bool progress;

	record_tick(&ch->forward_record, ch->session->now);
	if (ch->forward_record.lost && stream_lost(ch))
		return true;
	/* Not even an end: what waits goes on as if nothing had been. */
	if (channel_waits(ch) && !ch->session->ending)
		return false;
	progress = requests_pump(ch);
	if (ch->menu)
		progress |= menu_pump(ch);
	if (ch->view)
		progress |= view_pump(ch);
	/* The menu's choice: the channel waits for the target's. */
	if (ch->step != CHANNEL_OPEN)
		return true;
	if (ch->kind == CHANNEL_STREAM)
		progress |= stream_move(ch);
	progress |= channel_move(ch);
	return progress;
}

static bool (*const steps[])(struct channel *ch) = {
	[CHANNEL_WAIT_TARGET] = wait_target,
	[CHANNEL_WAIT_GATE] = NULL,
	[CHANNEL_WAIT_RECORD] = wait_record,
	[CHANNEL_OPENING] = opening,
	[CHANNEL_OPEN] = pump_open,
	[CHANNEL_DEAD] = NULL,
};

bool channels_pump(struct session *s)
{
	struct channel *ch, *next;
	bool progress = false;

	for (ch = TAILQ_FIRST(&s->channels); ch; ch = next) {
		next = TAILQ_NEXT(ch, entry);
		if (steps[ch->step])
			progress |= steps[ch->step](ch);
		if (ch->step == CHANNEL_DEAD) {
			channel_drop(ch);
			progress = true;
		}
	}
	return progress;
}

static void open_answer(struct channel *ch, bool allow)
{
	struct session *s = ch->session;

	if (!allow) {
		channel_refuse(ch, ch->command);
		return;
	}
	ch->open_seq = record_put_text(
		&s->record, ch->id, RECORD_OPEN, ch->command);
	ch->step = CHANNEL_WAIT_RECORD;
}

enum sgb_err channel_gate_answer(struct session *s, struct msg *msg)
{
	uint32_t id = reader_u32(&msg->reader);
	uint32_t request = reader_u32(&msg->reader);
	uint32_t verdict = reader_u32(&msg->reader);
	bool allow = verdict != SESSION_GATE_REFUSED;
	char *text = reader_cstring(&msg->reader, 4096);
	enum sgb_err err = reader_end(&msg->reader);
	struct channel *ch = err ? NULL : channel_find(s, id);

	if (!err && !id && request == SESSION_REQUEST_REMOTE_FORWARD)
		back_gate_answer(s, allow);
	/* The channel may be gone by now; nothing else is let pass. */
	if (!err && verdict > SESSION_GATE_FORCED)
		err = SGB_ERR_FORMAT;
	if (!err && ch) {
		if (request == SESSION_REQUEST_CHANNEL &&
			ch->step == CHANNEL_WAIT_GATE)
			open_answer(ch, allow);
		else
			request_gate_answer(ch, request, verdict, text);
	}
	s->busy = true;
	free(text);
	return err;
}

/* The recorder has written more: what waited for it may go on. */
void channel_recorded(struct session *s)
{
	struct channel *ch;

	TAILQ_FOREACH (ch, &s->channels, entry) {
		flow_ack(&ch->in, s->record.acked);
		flow_ack(&ch->out, s->record.acked);
		flow_ack(&ch->err, s->record.acked);
	}
	s->busy = true;
}

void channels_rest(struct session *s)
{
	struct channel *ch;

	TAILQ_FOREACH (ch, &s->channels, entry) {
		flow_rest(&ch->in);
		flow_rest(&ch->out);
		flow_rest(&ch->err);
	}
}

void channel_tell(struct channel *ch, const char *text)
{
	const char *restore;
	char *line = NULL;
	int len;

	/* In a stream of somebody else's protocol our words have no place. */
	if (!channel_is_session(ch) || !ch->client || ch->close_sent ||
		ch->client_closed)
		return;
	restore = menu_restore(ch);
	if (restore)
		ssh_channel_write(
			ch->client, restore, (uint32_t)strlen(restore));
	len = asprintf(
		&line, "%ssgbridge: %s\r\n", ch->pty ? "\r\n" : "", text);
	if (len < 0)
		return;
	ssh_channel_write_stderr(ch->client, line, (uint32_t)len);
	free(line);
}

void channel_finish(struct channel *ch, int status)
{
	ch->has_status = true;
	ch->status = status;
	ch->exit_recorded = true;
	ch->target_eof = true;
	ch->target_closed = true;
}

void channel_abandon(struct channel *ch, const char *text)
{
	if (ch->step == CHANNEL_DEAD)
		return;
	if (ch->step != CHANNEL_OPEN && !chosen(ch)) {
		channel_refuse(ch, NULL);
		return;
	}
	if (chosen(ch))
		ch->started = true;
	ch->step = CHANNEL_OPEN;
	if (ch->menu)
		ch->menu->state = MENU_LEFT;
	flow_done(&ch->in);
	flow_done(&ch->out);
	flow_done(&ch->err);
	if (text)
		channel_tell(ch, text);
	/* A status of the target's that is still on its way would call a
	 * session complete whose last bytes are dropped here. */
	if (channel_is_session(ch) && ch->started && !ch->exit_sent) {
		ch->has_signal = false;
		channel_finish(ch, ABANDONED_STATUS);
	}
	ch->target_eof = true;
	ch->target_closed = true;
}

bool channel_undelivered(const struct channel *ch)
{
	return ch->step == CHANNEL_OPEN && !ch->client_closed &&
	       !ch->close_sent;
}

void channel_drop(struct channel *ch)
{
	struct session *s = ch->session;

	/* A client that vanished has had the bytes all the same. */
	channel_end(ch);
	if (s->asking == ch)
		s->asking = NULL;
	if (ch->open_msg)
		ssh_message_free(ch->open_msg);
	requests_free(ch);
	stream_closed(ch);
	release(&ch->client, &ch->client_cb);
	release(&ch->target, &ch->target_cb);
	flow_done(&ch->in);
	flow_done(&ch->out);
	flow_done(&ch->err);
	EVP_MD_CTX_free(ch->hash_in.ctx);
	EVP_MD_CTX_free(ch->hash_out.ctx);
	EVP_MD_CTX_free(ch->hash_err.ctx);
	scp_watch_free(ch->scp);
	sftp_watch_free(ch->sftp);
	sftp_filter_free(ch->filter);
	free(ch->signal_name);
	free(ch->signal_text);
	menu_free(ch->menu);
	view_free(ch->view);
	free(ch->command);
	free(ch->host);
	TAILQ_REMOVE(&s->channels, ch, entry);
	s->channel_count--;
	if (ch->granted)
		back_left(s, ch->granted);
	free(ch);
}

void channels_drop(struct session *s)
{
	struct channel *ch;

	while ((ch = TAILQ_FIRST(&s->channels)))
		channel_drop(ch);
}
