/*
 * Bytes of a channel, both ways: taken from one leg, given to the recorder,
 * and sent to the other leg once written. Nothing a peer does makes this hold
 * more than FLOW_MAX a direction, and nothing here looks into the bytes
 * (session_sftp.c and session_scp.c do, from the side).
 */
#include "session_channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session_io.h"
#include "session_menu.h"
#include "session_view.h"

#define WRITE_MAX 32768
/* Above this, file transfers wait until the monitor has caught up. */
#define REPORTS_HIGH 64

static bool may_take(const struct channel *ch, const struct flow *flow)
{
	const struct session *s = ch->session;

	/* Before a command runs nobody reads, and what is to be kept is not
	 * yet known. */
	if (!ch->started || s->ending || channel_waits(ch))
		return false;
	/* What the filter answers by itself goes out, too. */
	if (ch->filter && flow == &ch->in && !flow_wants(&ch->out))
		return false;
	if (ch->sftp && flow == &ch->in && sftp_watch_busy(ch->sftp))
		return false;
	/* Each file that is seen to move is told to the monitor. */
	if ((ch->sftp || ch->scp) && s->to_monitor_count > REPORTS_HIGH)
		return false;
	return flow_wants(flow) && s->record.backlog < RECORD_BACKLOG_HIGH;
}

/* libssh does not hold a peer to its window (0.10.6); this does. */
static bool beyond_window(struct channel *ch, uint32_t waiting)
{
	if (waiting <= FLOW_MAX - FLOW_HIGH)
		return false;
	link_report(ch->session, ch->id, SESSION_REPORT_ANOMALY, waiting, 0,
		"data beyond the window");
	ch->session->over = true;
	return true;
}

/* libssh keeps what is not taken, until it is drained. */
static int refuse(struct channel *ch, struct flow *flow, uint32_t len)
{
	if (!flow->waiting)
		flow->moved = ch->session->now;
	flow->waiting = true;
	return beyond_window(ch, len) ? (int)len : 0;
}

/* What the menu leaves is for the target that was chosen, and waits; so does
 * what comes before it is known whether there will be a menu. */
static int data_to_menu(struct channel *ch, const void *data, uint32_t len)
{
	uint32_t taken = len;

	if (!ch->started)
		taken = 0;
	else if (ch->view)
		view_input(ch, data, len);
	else if (ch->menu)
		taken = menu_input(ch, data, len);
	if (!taken && beyond_window(ch, len))
		return (int)len;
	return (int)taken;
}

static int data_from_client(ssh_session ssh, ssh_channel channel, void *data,
	uint32_t len, int is_stderr, void *arg)
{
	struct channel *ch = arg;

	(void)ssh;
	(void)channel;
	ch->session->user_active = ch->session->now;
	/* RFC 4254: extended data goes to the client only. */
	if (is_stderr || ch->in_eof_sent)
		return (int)len;
	if (ch->kind == CHANNEL_LOCAL)
		return data_to_menu(ch, data, len);
	if (ch->kind == CHANNEL_STREAM) {
		if (!flow_wants(&ch->in) || channel_waits(ch))
			return refuse(ch, &ch->in, len);
		if (flow_put(&ch->in, data, len, 0))
			ch->session->over = true;
		ch->session->busy = true;
		return (int)len;
	}
	if (!may_take(ch, &ch->in))
		return refuse(ch, &ch->in, len);
	return channel_take(ch, &ch->in, data, len);
}

static int data_from_target(ssh_session ssh, ssh_channel channel, void *data,
	uint32_t len, int is_stderr, void *arg)
{
	struct channel *ch = arg;
	struct flow *flow = is_stderr ? &ch->err : &ch->out;

	(void)ssh;
	(void)channel;
	if (ch->client_closed)
		return (int)len;
	if (!may_take(ch, flow))
		return refuse(ch, flow, len);
	return channel_take(ch, flow, data, len);
}

static void client_eof(ssh_session ssh, ssh_channel channel, void *arg)
{
	struct channel *ch = arg;

	(void)ssh;
	(void)channel;
	ch->client_eof = true;
	ch->session->busy = true;
}

static void client_close(ssh_session ssh, ssh_channel channel, void *arg)
{
	struct channel *ch = arg;

	(void)ssh;
	(void)channel;
	ch->client_eof = true;
	ch->client_closed = true;
	ch->session->busy = true;
}

static void client_signal(
	ssh_session ssh, ssh_channel channel, const char *name, void *arg)
{
	struct channel *ch = arg;

	(void)ssh;
	(void)channel;
	if (ch->kind == CHANNEL_RELAY && ch->request_count < 64)
		request_signal(ch, name);
	ch->session->busy = true;
}

static void client_agent(ssh_session ssh, ssh_channel channel, void *arg)
{
	struct channel *ch = arg;

	(void)ssh;
	(void)channel;
	ch->session->borrow.offered = true;
	if (ch->kind == CHANNEL_RELAY && ch->request_count < 64)
		request_agent(ch);
	else if (ch->kind == CHANNEL_LOCAL && !ch->started)
		menu_keep_agent(ch);
	ch->session->busy = true;
}

static void target_eof(ssh_session ssh, ssh_channel channel, void *arg)
{
	struct channel *ch = arg;

	(void)ssh;
	(void)channel;
	ch->target_eof = true;
	ch->session->busy = true;
}

static void target_closed(ssh_session ssh, ssh_channel channel, void *arg)
{
	struct channel *ch = arg;

	(void)ssh;
	(void)channel;
	ch->target_eof = true;
	ch->target_closed = true;
	ch->session->busy = true;
}

static void target_status(
	ssh_session ssh, ssh_channel channel, int status, void *arg)
{
	struct channel *ch = arg;

	(void)ssh;
	(void)channel;
	/* The first counts: a status of our own says that it was cut. */
	if (ch->has_status || ch->has_signal || ch->session->ending)
		return;
	ch->has_status = true;
	ch->status = status;
	ch->session->busy = true;
}

static void target_signal(ssh_session ssh, ssh_channel channel,
	const char *name, int core, const char *text, const char *lang,
	void *arg)
{
	struct channel *ch = arg;

	(void)ssh;
	(void)channel;
	(void)lang;
	if (ch->has_status || ch->has_signal || ch->session->ending ||
		strlen(name) > 64 || strlen(text) > 1024)
		return;
	ch->signal_name = strdup(name);
	ch->signal_text = strdup(text);
	ch->signal_core = core;
	ch->has_signal = ch->signal_name && ch->signal_text;
	ch->session->busy = true;
}

static void client_callbacks(struct channel *ch)
{
	ch->client_cb = (struct ssh_channel_callbacks_struct){
		.userdata = ch,
		.channel_data_function = data_from_client,
		.channel_eof_function = client_eof,
		.channel_close_function = client_close,
		.channel_signal_function = client_signal,
		/* libssh says yes to the client whatever comes of it. */
		.channel_auth_agent_req_function = client_agent,
	};
	ssh_callbacks_init(&ch->client_cb);
	ssh_set_channel_callbacks(ch->client, &ch->client_cb);
}

static void target_callbacks(struct channel *ch)
{
	ch->target_cb = (struct ssh_channel_callbacks_struct){
		.userdata = ch,
		.channel_data_function = data_from_target,
		.channel_eof_function = target_eof,
		.channel_close_function = target_closed,
		.channel_exit_status_function = target_status,
		.channel_exit_signal_function = target_signal,
	};
	ssh_callbacks_init(&ch->target_cb);
	ssh_set_channel_callbacks(ch->target, &ch->target_cb);
}

/* Once a side: one that was chosen from the menu has the client's already. */
void channel_callbacks(struct channel *ch)
{
	if (!ch->client_cb.size)
		client_callbacks(ch);
	if (ch->target)
		target_callbacks(ch);
}

/* Everything that libssh holds of one stream, at once: it tops the window up
 * with each read, so that small reads would make it hold ever more. */
static bool drain(
	struct channel *ch, ssh_channel from, struct flow *flow, int is_stderr)
{
	int waiting = ssh_channel_poll(from, is_stderr);
	uint8_t *bytes;
	int got;

	flow->waiting = false;
	if (waiting <= 0)
		return false;
	bytes = malloc((size_t)waiting);
	if (!bytes) {
		ch->session->over = true;
		return false;
	}
	got = ssh_channel_read_nonblocking(
		from, bytes, (uint32_t)waiting, is_stderr);
	if (got > 0 && ch->kind == CHANNEL_STREAM) {
		if (flow_put(flow, bytes, (size_t)got, 0))
			ch->session->over = true;
	} else if (got > 0) {
		channel_take(ch, flow, bytes, (uint32_t)got);
	}
	free(bytes);
	return got > 0;
}

bool channel_left(ssh_channel from, int is_stderr)
{
	/* SSH_EOF is negative; with an end noted this never polls. */
	return from && ssh_channel_poll(from, is_stderr) > 0;
}

static bool drain_all(struct channel *ch)
{
	bool progress = false;

	/* What comes after a choice is not the menu's. */
	if (ch->client && ch->kind != CHANNEL_LOCAL && !ch->in_eof_sent &&
		may_take(ch, &ch->in))
		progress |= drain(ch, ch->client, &ch->in, 0);
	if (ch->target && may_take(ch, &ch->out))
		progress |= drain(ch, ch->target, &ch->out, 0);
	if (ch->target && may_take(ch, &ch->err))
		progress |= drain(ch, ch->target, &ch->err, 1);
	return progress;
}

/* Writes what is cleared, as far as window and socket allow. */
static bool send_flow(struct leg *leg, ssh_channel to, struct flow *flow,
	bool is_stderr, bool *ret_failed)
{
	bool progress = false;

	for (;;) {
		size_t len;
		const uint8_t *bytes = flow_ready(flow, &len);
		uint32_t window = ssh_channel_window_size(to);
		int sent;

		if (len > window)
			len = window;
		if (len > WRITE_MAX)
			len = WRITE_MAX;
		if (!len || io_unsent(leg->fd) > IO_UNSENT_HIGH ||
			(ssh_get_status(leg->ssh) & SSH_WRITE_PENDING))
			break;
		sent = is_stderr ? ssh_channel_write_stderr(
					   to, bytes, (uint32_t)len)
				 : ssh_channel_write(to, bytes, (uint32_t)len);
		if (sent < 0)
			*ret_failed = true;
		if (sent <= 0)
			break;
		flow_sent(flow, (size_t)sent);
		flow->moved = *leg->now;
		progress = true;
	}
	return progress;
}

static bool move_to_client(struct channel *ch)
{
	struct leg *leg = &ch->session->client;
	bool failed = false, progress;

	if (!ch->client || ch->client_closed || ch->out_eof_sent)
		return false;
	progress = send_flow(leg, ch->client, &ch->out, false, &failed);
	progress |= send_flow(leg, ch->client, &ch->err, true, &failed);
	if (failed)
		ch->client_closed = true;
	return progress;
}

static bool move_to_target(struct channel *ch)
{
	struct session *s = ch->session;
	bool failed = false, progress = false;

	if (!ch->target || ch->target_closed || ch->in_eof_sent ||
		!ch->started || s->target_leg.state != LEG_READY)
		return false;
	/* A terminal has its new size before what was typed in it. */
	if (!TAILQ_EMPTY(&ch->requests))
		return false;
	progress = send_flow(
		&s->target_leg, ch->target, &ch->in, false, &failed);
	if (!failed && ch->client_eof && flow_empty(&ch->in) &&
		!channel_left(ch->client, 0)) {
		record_put(&s->record, ch->id, RECORD_EOF_IN, NULL, 0);
		ssh_channel_send_eof(ch->target);
		ch->in_eof_sent = true;
		progress = true;
	}
	return progress;
}

static bool delivered(const struct channel *ch)
{
	if (!flow_empty(&ch->out) || !flow_empty(&ch->err))
		return false;
	/* At the end of a session nothing more is taken from libssh. */
	return ch->session->ending ||
	       (!channel_left(ch->target, 0) && !channel_left(ch->target, 1));
}

static void record_exit(struct channel *ch)
{
	struct session *s = ch->session;
	struct buf body;

	buf_init(&body, 4096);
	if (ch->has_signal) {
		buf_put_cstring(&body, ch->signal_name);
		buf_put_u8(&body, ch->signal_core);
		buf_put_cstring(&body, ch->signal_text);
	} else {
		buf_put_u32(&body, (uint32_t)ch->status);
		link_report(s, ch->id, SESSION_REPORT_EXIT,
			(uint32_t)ch->status, 0, "");
	}
	ch->exit_seq = record_put(&s->record, ch->id,
		ch->has_signal ? RECORD_EXIT_SIGNAL : RECORD_EXIT, body.data,
		body.len);
	ch->exit_recorded = true;
	buf_done(&body);
}

/* "The remote side has exited" is one event, "all is delivered" another: the
 * status goes on as soon as it is written down, the close when all is. */
static bool move_exit(struct channel *ch)
{
	if ((!ch->has_status && !ch->has_signal) || ch->exit_sent)
		return false;
	if (!ch->exit_recorded) {
		/* What cannot be written down is not passed on; the session
		 * is about to end for it, with a status of its own. */
		if (ch->session->record.lost)
			return false;
		record_exit(ch);
		return true;
	}
	/* 0: the status is our own, not the target's. */
	if (ch->exit_seq && !ch->session->ending &&
		!record_written(&ch->session->record, ch->exit_seq))
		return false;
	ch->exit_sent = true;
	/* A client that has closed its side still wants to know: OpenSSH does
	 * so at the end of file when it has nothing more to send. */
	if (ch->close_sent || ch->session->client.state == LEG_GONE)
		return true;
	if (ch->has_signal)
		ssh_channel_request_send_exit_signal(ch->client,
			ch->signal_name, ch->signal_core, ch->signal_text, "");
	else
		ssh_channel_request_send_exit_status(ch->client, ch->status);
	return true;
}

static void tell_lost(struct channel *ch)
{
	char *text = NULL;

	if (asprintf(&text, "the connection to %s has ended",
		    ch->session->target.name) < 0)
		return;
	channel_tell(ch, text);
	free(text);
}

static bool exit_settled(const struct channel *ch)
{
	return ch->exit_sent || (!ch->has_status && !ch->has_signal);
}

static bool move_ends(struct channel *ch)
{
	struct session *s = ch->session;
	bool progress = false;

	/* A status that is there goes first. */
	if (ch->target_eof && !ch->out_eof_sent && !ch->client_closed &&
		delivered(ch) && exit_settled(ch)) {
		if (channel_relayed(ch))
			record_put(&s->record, ch->id, RECORD_EOF_OUT, NULL, 0);
		if (s->target_lost && !ch->has_status && !ch->has_signal)
			tell_lost(ch);
		ssh_channel_send_eof(ch->client);
		ch->out_eof_sent = true;
		progress = true;
	}
	if (ch->target_closed && !ch->close_sent && exit_settled(ch) &&
		(ch->out_eof_sent || ch->client_closed)) {
		/* SSH_AGAIN: the end of file is not out yet; once more. */
		if (ssh_channel_close(ch->client) != SSH_AGAIN)
			ch->close_sent = true;
		progress = true;
	}
	if ((ch->client_closed || ch->unwatched) && ch->target &&
		!ch->target_close_sent && s->target_leg.state == LEG_READY) {
		if (ssh_channel_close(ch->target) != SSH_AGAIN)
			ch->target_close_sent = true;
		progress = true;
	}
	return progress;
}

static bool both_closed(const struct channel *ch)
{
	if (!ch->client_closed || (ch->target && !ch->target_closed))
		return false;
	return ch->close_sent || !ch->target ||
	       ch->session->client.state == LEG_GONE;
}

void channel_end(struct channel *ch)
{
	struct session *s = ch->session;

	if (ch->step != CHANNEL_OPEN)
		return;
	channel_files_end(ch);
	channel_totals(ch);
	if (channel_relayed(ch)) {
		record_put(&s->record, ch->id, RECORD_CLOSE, NULL, 0);
		link_report(s, ch->id, SESSION_REPORT_CHANNEL_CLOSED,
			ch->bytes_in, ch->bytes_out,
			ch->command ? ch->command : "");
	}
	ch->step = CHANNEL_DEAD;
}

/* The watch cannot follow the file transfer any more. */
static bool end_unwatched(struct channel *ch)
{
	char *text;

	if (!ch->unwatched || ch->target_closed)
		return false;
	text = session_with_reference(ch->session,
		"this file transfer cannot be followed, and has ended");
	channel_abandon(ch, text);
	free(text);
	return true;
}

bool channel_move(struct channel *ch)
{
	bool progress;

	if (ch->session->target_lost && ch->target && !ch->target_closed) {
		ch->target_eof = true;
		ch->target_closed = true;
	}
	progress = drain_all(ch);
	progress |= end_unwatched(ch);
	progress |= move_to_client(ch);
	if (channel_relayed(ch))
		progress |= move_to_target(ch);
	progress |= move_exit(ch);
	progress |= move_ends(ch);
	if (both_closed(ch) && ch->kind != CHANNEL_STREAM) {
		channel_end(ch);
		progress = true;
	}
	return progress;
}
