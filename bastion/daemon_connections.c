/*
 * Live connections: starting their monitors, and what those report.
 */
#include "daemon.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/event.h"
#include "core/log.h"
#include "core/secret.h"

struct connection *connection_find(struct daemon *d, const char *id)
{
	struct connection *conn;

	TAILQ_FOREACH (conn, &d->connections, link)
		if (!strcmp(conn->id, id))
			return conn;
	return NULL;
}

struct connection *connection_new(struct daemon *d, const char *id)
{
	struct connection *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	snprintf(conn->id, sizeof(conn->id), "%s", id);
	conn->control = -1;
	conn->since = time(NULL);
	TAILQ_INSERT_TAIL(&d->connections, conn, link);
	d->total++;
	return conn;
}

/* It is no longer one of those that have proved nothing. */
static void uncount(struct daemon *d, struct connection *conn)
{
	if (!conn->counted)
		return;
	conn->counted = false;
	d->pending--;
	sources_release(d->sources, &conn->source);
}

void connection_close(struct daemon *d, struct connection *conn)
{
	uncount(d, conn);
	TAILQ_REMOVE(&d->connections, conn, link);
	d->total--;
	if (conn->control >= 0)
		close(conn->control);
	free(conn->user);
	free(conn->target);
	free(conn->login);
	free(conn->rec_id);
	free(conn->parent);
	free(conn->approval);
	free(conn->access);
	free(conn->ask_id);
	while (conn->in_count)
		free(conn->in[--conn->in_count]);
	free(conn);
}

static void take_text(char **field, char *text)
{
	free(*field);
	*field = text;
}

static enum sgb_err on_state(
	struct daemon *d, struct connection *conn, struct msg *msg)
{
	conn->phase = (enum monitor_phase)reader_u32(&msg->reader);
	take_text(&conn->user, reader_cstring(&msg->reader, 256));
	take_text(&conn->target, reader_cstring(&msg->reader, 256));
	take_text(&conn->login, reader_cstring(&msg->reader, 256));
	take_text(&conn->rec_id, reader_cstring(&msg->reader, 64));
	take_text(&conn->parent, reader_cstring(&msg->reader, 64));
	if (conn->phase >= MONITOR_PHASE_WAITING && conn->counted) {
		/* One that closes may never have logged on. */
		d->counters.logons += conn->phase < MONITOR_PHASE_CLOSING;
		uncount(d, conn);
	}
	return reader_end(&msg->reader);
}

/* Others of this one's user that are logged on; those inside of others do not
 * count. */
static uint64_t others_of_user(
	const struct daemon *d, const struct connection *conn)
{
	const struct connection *other;
	uint64_t count = 0;

	TAILQ_FOREACH (other, &d->connections, link)
		if (other != conn && other->user &&
			!strcmp(other->user, conn->user) &&
			(other->admitted ||
				other->phase >= MONITOR_PHASE_WAITING) &&
			other->phase < MONITOR_PHASE_CLOSING &&
			(!other->parent || !*other->parent))
			count++;
	return count;
}

/* A new one waits for this: it goes, and the old ones stay. */
static enum sgb_err on_room(
	struct daemon *d, struct connection *conn, struct msg *msg)
{
	enum sgb_err err = reader_end(&msg->reader);
	struct msg out;

	if (err)
		return err;
	conn->admitted = conn->user &&
			 others_of_user(d, conn) < d->conf->max_user_sessions;
	msg_init(&out, MSG_MON_ADMIT);
	buf_put_u32(&out.body, conn->admitted);
	err = msg_send(conn->control, &out);
	msg_done(&out);
	return err;
}

static void penalise(struct daemon *d, const struct connection *conn,
	enum monitor_penalty kind)
{
	uint64_t *const counters[] = {
		[MONITOR_PENALTY_AUTH] = &d->counters.penalty_auth,
		[MONITOR_PENALTY_NO_AUTH] = &d->counters.penalty_no_auth,
		[MONITOR_PENALTY_CRASH] = &d->counters.penalty_crash,
		[MONITOR_PENALTY_GRACE] = &d->counters.penalty_grace,
	};

	if ((size_t)kind < sizeof(counters) / sizeof(counters[0]) &&
		counters[kind])
		++*counters[kind];
	sources_penalise(d->sources, &conn->source, kind, daemon_now_ms());
}

static enum sgb_err on_penalty(
	struct daemon *d, struct connection *conn, struct msg *msg)
{
	uint32_t kind = reader_u32(&msg->reader);
	enum sgb_err err = reader_end(&msg->reader);

	if (!err)
		penalise(d, conn, (enum monitor_penalty)kind);
	return err;
}

/* A monitor forked one for a connection inside its own. */
static enum sgb_err on_child(
	struct daemon *d, struct connection *conn, struct msg *msg)
{
	char *id = reader_cstring(&msg->reader, CONN_ID_MAX - 1);
	enum sgb_err err = reader_end(&msg->reader);
	struct connection *child = NULL;

	if (!err)
		child = connection_new(d, id);
	free(id);
	if (!child)
		return err ? err : SGB_ERR_NOMEM;
	child->control = msg_take_fd(msg, 0);
	(void)fcntl(child->control, F_SETFL, O_NONBLOCK);
	child->source = conn->source;
	child->port = conn->port;
	child->foreign = conn->foreign;
	return SGB_OK;
}

static enum sgb_err on_file(
	struct daemon *d, struct connection *conn, struct msg *msg)
{
	return requests_file(d, conn, msg);
}

/* Who judges is the sender's user, as its monitor proved it; whether he may is
 * for the monitor that asked to decide. */
static enum sgb_err on_verdict(
	struct daemon *d, struct connection *conn, struct msg *msg)
{
	char *id = reader_cstring(&msg->reader, CONN_ID_MAX - 1);
	uint32_t yes = reader_u32(&msg->reader);
	char *reason = reader_cstring(&msg->reader, 256);
	enum sgb_err err = reader_end(&msg->reader);

	if (!err && conn->user &&
		connection_verdict(d, id, conn->user, yes == 1, reason))
		log_put(LOG_WARNING, "%s: verdict not delivered", id);
	free(id);
	free(reason);
	return err;
}

/* Only one's own; the administrator has the control socket. */
static enum sgb_err on_stop(
	struct daemon *d, struct connection *conn, struct msg *msg)
{
	char *id = reader_cstring(&msg->reader, CONN_ID_MAX - 1);
	char *reason = reader_cstring(&msg->reader, 256);
	enum sgb_err err = reader_end(&msg->reader);
	struct connection *other = err ? NULL : connection_find(d, id);

	if (other && conn->user && other->user &&
		!strcmp(conn->user, other->user) &&
		connection_end(other, reason))
		log_put(LOG_WARNING, "%s: end not delivered", id);
	free(id);
	free(reason);
	return err;
}

/* Not the connection's own target, of which there is none. */
static bool forward_waits(const struct connection *conn)
{
	return conn->approval && (!conn->target || !*conn->target);
}

static void put_connection(struct buf *out, const struct connection *conn)
{
	char source[ADDR_TEXT_MAX];

	buf_put_u32(out, MONITOR_ROW_CONNECTION);
	buf_put_cstring(out, conn->id);
	buf_put_cstring(out, conn->rec_id);
	buf_put_cstring(out, conn->user);
	buf_put_cstring(out, addr_text(&conn->source, source));
	buf_put_cstring(out, conn->login);
	buf_put_cstring(out, forward_waits(conn) ? conn->access : conn->target);
	buf_put_cstring(out, conn->approval);
	buf_put_cstring(out, conn->approval ? conn->ask_id : "");
	buf_put_cstring(out, "");
	buf_put_cstring(out, "");
	buf_put_u32(out, conn->phase);
	buf_put_u64(out, (uint64_t)conn->since);
	buf_put_u64(out, 0);
}

static void put_request(struct buf *out, const struct access_request *request)
{
	char source[ADDR_TEXT_MAX];

	buf_put_u32(out, request->state);
	buf_put_cstring(out, request->id);
	buf_put_cstring(out, "");
	buf_put_cstring(out, request->user);
	buf_put_cstring(out, addr_text(&request->source, source));
	buf_put_cstring(out, "");
	buf_put_cstring(out, request->access);
	buf_put_cstring(out, request->group);
	buf_put_cstring(out, request->id);
	buf_put_cstring(out, request->reason);
	buf_put_cstring(out, request->judge);
	buf_put_u32(out, MONITOR_PHASE_WAITING);
	buf_put_u64(out, (uint64_t)request->since);
	buf_put_u64(out, (uint64_t)request->until);
}

/* Well below 4 KiB each; what does not fit into a message is left out. */
static uint32_t put_rows(struct daemon *d, struct buf *rows)
{
	const struct connection *conn;
	const struct access_request *request;
	uint32_t count = 0;

	requests_expire(d);
	TAILQ_FOREACH (request, &d->requests, link) {
		if (rows->len > MSG_MAX_BYTES / 2)
			break;
		put_request(rows, request);
		count++;
	}
	TAILQ_FOREACH (conn, &d->connections, link) {
		if (!conn->user || rows->len > MSG_MAX_BYTES - 4096)
			continue;
		put_connection(rows, conn);
		count++;
	}
	return count;
}

static enum sgb_err on_query(
	struct daemon *d, struct connection *conn, struct msg *msg)
{
	enum sgb_err err = reader_end(&msg->reader);
	struct buf rows;
	struct msg out;

	if (err)
		return err;
	buf_init(&rows, MSG_MAX_BYTES);
	msg_init(&out, MSG_MON_LIST);
	buf_put_u32(&out.body, put_rows(d, &rows));
	buf_put(&out.body, rows.data, rows.len);
	if (msg_send(conn->control, &out))
		log_put(LOG_WARNING, "%s: list not delivered", conn->id);
	msg_done(&out);
	buf_done(&rows);
	return SGB_OK;
}

static const struct report_row {
	enum msg_type type;
	enum sgb_err (*handle)(
		struct daemon *, struct connection *, struct msg *);
	bool old; /* the same in every version, as are RELOAD, END and JUDGE */
} report_rows[] = {
	{MSG_MON_STATE, on_state, true},
	{MSG_MON_PENALTY, on_penalty, true},
	{MSG_MON_ROOM, on_room, true},
	{MSG_MON_CHILD, on_child, true},
	{MSG_MON_ASK, connection_ask, false},
	{MSG_MON_VERDICT, on_verdict, false},
	{MSG_MON_FILE, on_file, false},
	{MSG_MON_QUERY, on_query, false},
	{MSG_MON_STOP, on_stop, false},
};

static enum sgb_err on_report(
	struct daemon *d, struct connection *conn, struct msg *msg)
{
	size_t i;

	for (i = 0; i < sizeof(report_rows) / sizeof(report_rows[0]); i++)
		if (report_rows[i].type == msg->type)
			return conn->foreign && !report_rows[i].old
				       ? SGB_ERR_UNSUPPORTED
				       : report_rows[i].handle(d, conn, msg);
	return SGB_ERR_FORMAT;
}

/* A monitor of another version stays, so that it can be ended and judged
 * anew. What it says in its own way is not heard, so an access that it asks
 * approval for waits until its time is over, and is refused. */
static bool tolerated(struct connection *conn, enum sgb_err err)
{
	if (!conn->foreign ||
		(err != SGB_ERR_FORMAT && err != SGB_ERR_UNSUPPORTED))
		return false;
	if (!conn->misunderstood)
		log_put(LOG_WARNING,
			"%s: its monitor is of another version; approvals and "
			"lists do not work in that connection",
			conn->id);
	conn->misunderstood = true;
	return true;
}

void connection_poll(struct daemon *d, struct connection *conn)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_NONE);
	err = msg_recv(conn->control, &msg);
	if (!err)
		err = on_report(d, conn, &msg);
	msg_done(&msg);
	if (err == SGB_ERR_AGAIN || !err || tolerated(conn, err))
		return;
	if (err != SGB_ERR_CLOSED)
		log_put(LOG_ERR, "%s: monitor: %s", conn->id,
			sgb_err_text(err));
	/* A monitor says that it is closing; its kernel does when it was
	 * killed. Its session process ends with it. */
	if (conn->phase > MONITOR_PHASE_AUTH &&
		conn->phase != MONITOR_PHASE_CLOSING) {
		d->counters.monitors_died++;
		daemon_event(d, &conn->source, false, EVENT_SESSION_CRASH,
			conn->id, "the monitor of this connection died");
	}
	connection_close(d, conn);
}

enum sgb_err connection_adopt(struct daemon *d, int sock, struct msg *msg)
{
	char *id = reader_cstring(&msg->reader, CONN_ID_MAX - 1);
	char *peer = reader_cstring(&msg->reader, ADDR_TEXT_MAX - 1);
	uint32_t port = reader_u32(&msg->reader);
	uint32_t version = msg->reader.left ? reader_u32(&msg->reader) : 0;
	/* What a later one adds is for later ones. */
	enum sgb_err err = version > MSG_MON_VERSION ? msg->reader.err
						     : reader_end(&msg->reader);
	struct connection *conn = NULL;
	struct addr source;

	if (!err)
		err = addr_parse(peer, &source);
	if (!err && !connection_find(d, id))
		conn = connection_new(d, id);
	free(id);
	free(peer);
	if (!conn)
		return err ? err : SGB_ERR_DENIED;
	conn->control = sock;
	conn->source = source;
	conn->port = (uint16_t)port;
	conn->phase = MONITOR_PHASE_PROVED;
	conn->foreign = version != MSG_MON_VERSION;
	(void)fcntl(sock, F_SETFL, O_NONBLOCK);
	daemon_tell_policy(d, conn);
	return SGB_OK;
}

enum sgb_err connection_end(struct connection *conn, const char *reason)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_MON_END);
	buf_put_cstring(&msg.body, reason);
	err = msg_send(conn->control, &msg);
	msg_done(&msg);
	return err;
}

bool connection_judge(struct connection *conn)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_MON_JUDGE);
	err = msg_send(conn->control, &msg);
	msg_done(&msg);
	return !err;
}

/* The list is in the order of arrival. */
static struct connection *oldest_in(struct daemon *d, enum monitor_phase phase)
{
	struct connection *conn;

	TAILQ_FOREACH (conn, &d->connections, link)
		if (conn->counted && conn->phase == phase)
			return conn;
	return NULL;
}

bool connection_evict(struct daemon *d)
{
	struct connection *conn = oldest_in(d, MONITOR_PHASE_START);

	if (!conn)
		conn = oldest_in(d, MONITOR_PHASE_AUTH);
	if (!conn)
		return false;
	uncount(d, conn);
	penalise(d, conn, MONITOR_PENALTY_NO_AUTH);
	d->counters.evicted++;
	if (connection_end(conn, "Too busy; please try again."))
		log_put(LOG_WARNING, "%s: eviction not delivered", conn->id);
	return true;
}

enum sgb_err connection_make_id(char id[CONN_ID_MAX])
{
	uint32_t random;
	enum sgb_err err = secret_random(&random, sizeof(random));

	if (!err)
		snprintf(id, CONN_ID_MAX, "%08lx%08x",
			(unsigned long)time(NULL), random);
	return err;
}

enum sgb_err connection_start(struct daemon *d, int client,
	const struct addr *source, uint16_t port, const struct addr *front,
	const char *local)
{
	struct connection *conn;
	char id[CONN_ID_MAX];
	int pair[2];
	enum sgb_err err;

	err = connection_make_id(id);
	if (!err)
		err = msg_pair(pair);
	if (err)
		return err;
	conn = connection_new(d, id);
	if (!conn) {
		close(pair[0]);
		close(pair[1]);
		return SGB_ERR_NOMEM;
	}
	conn->control = pair[0];
	conn->source = *source;
	conn->port = port;
	if (front)
		conn->front = *front;
	err = daemon_nursery_fork(d, conn, client, pair[1], local);
	close(pair[1]);
	if (err) {
		connection_close(d, conn);
		return err;
	}
	(void)fcntl(conn->control, F_SETFL, O_NONBLOCK);
	conn->counted = true;
	d->pending++;
	return SGB_OK;
}
