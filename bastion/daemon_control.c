/*
 * The control socket: what `sgbridge status | sessions | end | reload` ask.
 * Root only, by the socket's mode and by the kernel's word on the peer.
 */
#include "daemon.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/event.h"
#include "core/log.h"
#include "core/places.h"

static void put_field(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, ",\"%s\":", name);
	json_put_string(out, value ? value : "", value ? strlen(value) : 0);
}

static void put_result(struct buf *out, const char *text)
{
	buf_printf(out, "{\"result\":");
	json_put_string(out, text, strlen(text));
	buf_put_u8(out, '}');
}

static const char *phase_name(enum monitor_phase phase)
{
	static const char *const names[] = {
		[MONITOR_PHASE_START] = "start",
		[MONITOR_PHASE_AUTH] = "auth",
		[MONITOR_PHASE_FACTOR] = "factor",
		[MONITOR_PHASE_WAITING] = "waiting",
		[MONITOR_PHASE_PROVED] = "proved",
		[MONITOR_PHASE_OPEN] = "open",
		[MONITOR_PHASE_CLOSING] = "closing",
	};

	if ((size_t)phase >= sizeof(names) / sizeof(names[0]))
		return "?";
	return names[phase];
}

static void put_connection(struct buf *out, const struct connection *conn)
{
	char source[ADDR_TEXT_MAX];

	buf_printf(out, "{\"since\":%lld,\"port\":%u", (long long)conn->since,
		conn->port);
	put_field(out, "id", conn->id);
	put_field(out, "source", addr_text(&conn->source, source));
	put_field(out, "phase", phase_name(conn->phase));
	put_field(out, "user", conn->user);
	put_field(out, "target", conn->target);
	put_field(out, "login", conn->login);
	put_field(out, "recording", conn->rec_id);
	put_field(out, "parent", conn->parent);
	put_field(out, "approval", conn->approval);
	put_field(out, "request", conn->approval ? conn->ask_id : NULL);
	buf_put_u8(out, '}');
}

static const char *state_name(enum monitor_row state)
{
	switch (state) {
	case MONITOR_ROW_REQUEST: return "asked";
	case MONITOR_ROW_DENIED: return "denied";
	case MONITOR_ROW_GRANTED: return "granted";
	default: return "?";
	}
}

static void put_request(struct buf *out, const struct access_request *request)
{
	char source[ADDR_TEXT_MAX];

	buf_printf(out, "{\"since\":%lld,\"until\":%lld",
		(long long)request->since, (long long)request->until);
	put_field(out, "id", request->id);
	put_field(out, "user", request->user);
	put_field(out, "access", request->access);
	put_field(out, "state", state_name(request->state));
	put_field(out, "approval", request->group);
	put_field(out, "reason", request->reason);
	put_field(out, "judge", request->judge);
	put_field(out, "source", addr_text(&request->source, source));
	buf_put_u8(out, '}');
}

/* A connection that waits is a request as well, for as long as it does. */
static void put_waiting(
	struct daemon *d, struct buf *out, const struct connection *conn)
{
	char source[ADDR_TEXT_MAX];

	buf_printf(out, "{\"since\":%lld,\"until\":%lld",
		(long long)conn->asked,
		(long long)conn->asked + (long long)d->conf->approval_timeout);
	put_field(out, "id", conn->ask_id);
	put_field(out, "user", conn->user);
	put_field(out, "access", conn->access);
	put_field(out, "state", "waits");
	put_field(out, "approval", conn->approval);
	put_field(out, "reason", NULL);
	put_field(out, "judge", NULL);
	put_field(out, "source", addr_text(&conn->source, source));
	buf_put_u8(out, '}');
}

/* As many rows as fit into one message; more says how many did not. */
struct page {
	struct buf *out;
	uint32_t skip;
	size_t more;
	const char *comma;
};

static bool takes(struct page *page)
{
	if (page->skip) {
		page->skip--;
		return false;
	}
	if (page->out->len > MSG_MAX_BYTES / 2) {
		page->more++;
		return false;
	}
	buf_printf(page->out, "%s", page->comma);
	page->comma = ",";
	return true;
}

static void put_requests(struct daemon *d, struct page *page)
{
	const struct access_request *request;
	const struct connection *conn;

	requests_expire(d);
	TAILQ_FOREACH (conn, &d->connections, link)
		if (conn->approval && conn->user && takes(page))
			put_waiting(d, page->out, conn);
	TAILQ_FOREACH (request, &d->requests, link)
		if (takes(page))
			put_request(page->out, request);
}

static uint32_t do_list(struct daemon *d, struct msg *msg, struct buf *out)
{
	struct page page = {
		.out = out, .skip = reader_u32(&msg->reader), .comma = ""};
	const struct connection *conn;

	if (reader_end(&msg->reader)) {
		put_result(out, "malformed");
		return EX_USAGE;
	}
	buf_printf(out, "{\"sessions\":[");
	TAILQ_FOREACH (conn, &d->connections, link)
		if (takes(&page))
			put_connection(out, conn);
	page.comma = "";
	buf_printf(out, "],\"requests\":[");
	put_requests(d, &page);
	buf_printf(out, "],\"more\":%zu}", page.more);
	return 0;
}

static uint32_t do_status(struct daemon *d, struct msg *msg, struct buf *out)
{
	(void)msg;
	buf_printf(out,
		"{\"version\":\"%s\",\"connections\":%zu,"
		"\"unauthenticated\":%zu,\"penalised_sources\":%zu,"
		"\"recorder\":%s}",
		SGB_VERSION, d->total, d->pending,
		sources_penalised(d->sources, daemon_now_ms()),
		d->recorder >= 0 ? "true" : "false");
	return 0;
}

static uint32_t do_end(struct daemon *d, struct msg *msg, struct buf *out)
{
	char *id = reader_cstring(&msg->reader, CONN_ID_MAX);
	char *reason = reader_cstring(&msg->reader, 256);
	struct connection *conn = NULL;
	uint32_t status = EX_NOHOST;

	if (!reader_end(&msg->reader))
		conn = connection_find(d, id);
	if (!conn) {
		put_result(out, "no such session");
	} else if (connection_end(conn,
			   *reason ? reason : "Ended by an administrator.")) {
		put_result(out, "the session's monitor does not listen");
		status = EX_UNAVAILABLE;
	} else {
		put_result(out, "ended");
		status = 0;
	}
	free(id);
	free(reason);
	return status;
}

/* The one place where the daemon may wait, for the host's user database. */
static const char *operator_name(const struct daemon *d)
{
	const struct passwd *pw = d->operator? getpwuid(d->operator) : NULL;

	return pw && policy_name_valid(pw->pw_name) ? pw->pw_name : NULL;
}

/* NULL, or why this person's word would not count. The monitor of who wants
 * in asks the policy again, each time; asked here as well, so that a word
 * which counts for nothing is not kept in place of one that would. */
static const char *judge_unfit(
	struct daemon *d, const char *id, const char *judge)
{
	const char *user, *group;
	char **groups = NULL;
	bool member;

	if (!connection_asks(d, id, &user, &group))
		return "is no request that waits";
	/* Nobody approves his own, and everybody may withdraw it. */
	if (!strcmp(user, judge))
		return NULL;
	if (policy_unix_groups(d->policy, judge, &groups))
		return "cannot be judged: your groups cannot be looked up";
	member = policy_in_group(
		d->policy, group, judge, (const char *const *)groups);
	policy_unix_groups_free(groups);
	return member ? NULL
		      : "is for others to judge: you are not of the "
			"group that its rule names";
}

/* Whoever is at the console, and not root as such, judges: four eyes must be
 * four. */
static uint32_t do_verdict(struct daemon *d, struct msg *msg, struct buf *out)
{
	char *id = reader_cstring(&msg->reader, CONN_ID_MAX - 1);
	uint32_t yes = reader_u32(&msg->reader);
	char *word = reader_cstring(&msg->reader, 256);
	enum sgb_err err = reader_end(&msg->reader);
	const char *judge = err ? NULL : operator_name(d);
	const char *unfit = judge ? judge_unfit(d, id, judge) : NULL;
	char text[CONN_ID_MAX + 120];

	if (!err && !judge) {
		put_result(out, "who judges? log on as yourself and use sudo");
		err = SGB_ERR_DENIED;
	} else if (!err) {
		err = unfit ? SGB_ERR_NOTFOUND
			    : connection_verdict(d, id, judge, yes == 1, word);
		snprintf(text, sizeof(text), "%s %s", id,
			unfit ? unfit
			: err == SGB_ERR_DENIED
				? "is your own: nobody judges that"
			: err ? "is no request that waits"
			: yes ? "approved"
			      : "denied");
		put_result(out, text);
		daemon_event(d, NULL, !err, EVENT_CONFIG,
			yes ? "approve" : "deny", text);
	}
	free(id);
	free(word);
	return err ? EX_NOHOST : 0;
}

static uint32_t do_reload(struct daemon *d, struct msg *msg, struct buf *out)
{
	char text[512] = "";
	enum sgb_err err = daemon_reload(d, text, sizeof(text));

	(void)msg;
	put_result(out, text);
	return err ? EX_CONFIG : 0;
}

/* The lock itself is a file, and stands already. Every monitor judges again,
 * not only those that have named this person: one may be about to. */
static uint32_t do_lock(struct daemon *d, struct msg *msg, struct buf *out)
{
	char *user = reader_cstring(&msg->reader, 256);
	struct connection *conn;
	size_t count = 0, deaf = 0;
	char text[400];

	if (reader_end(&msg->reader)) {
		free(user);
		put_result(out, "malformed");
		return EX_USAGE;
	}
	TAILQ_FOREACH (conn, &d->connections, link) {
		count += conn->user && !strcmp(conn->user, user);
		deaf += !connection_judge(conn);
	}
	snprintf(text, sizeof(text), "%s is locked; connections ended: %zu",
		user, count);
	daemon_event(d, NULL, true, EVENT_CONFIG, "lock", text);
	if (deaf)
		log_put(LOG_WARNING, "lock: %zu monitors do not listen", deaf);
	put_result(out, text);
	free(user);
	return deaf ? EX_UNAVAILABLE : 0;
}

static uint32_t do_metrics(struct daemon *d, struct msg *msg, struct buf *out)
{
	(void)msg;
	daemon_metrics(d, out);
	return 0;
}

static const struct control_row {
	enum msg_type type;
	uint32_t (*run)(struct daemon *, struct msg *, struct buf *);
} rows[] = {
	{MSG_CTL_LIST, do_list},
	{MSG_CTL_STATUS, do_status},
	{MSG_CTL_METRICS, do_metrics},
	{MSG_CTL_END, do_end},
	{MSG_CTL_RELOAD, do_reload},
	{MSG_CTL_LOCK, do_lock},
	{MSG_CTL_VERDICT, do_verdict},
};

/* The person behind root, as the kernel has known since he logged on. */
static void find_operator(struct daemon *d)
{
	char path[64], text[16] = "";
	unsigned long uid;
	char *end = text;
	FILE *file;

	d->operator= 0;
	snprintf(path, sizeof(path), "/proc/%ld/loginuid", (long)d->peer);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(text, sizeof(text), file)) {
		uid = strtoul(text, &end, 10);
		if (end != text && uid < UINT32_MAX)
			d->operator=(uid_t) uid;
	}
	fclose(file);
}

static void answer(struct daemon *d, int sock, struct msg *msg)
{
	struct msg reply;
	struct buf out;
	uint32_t status = EX_USAGE;
	size_t i;

	buf_init(&out, MSG_MAX_BYTES - 64);
	find_operator(d);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].type == msg->type)
			status = rows[i].run(d, msg, &out);
	msg_init(&reply, MSG_CTL_TEXT);
	buf_put_u32(&reply.body, status);
	buf_put_string(&reply.body, out.data, out.len);
	if (buf_error(&out) || msg_send(sock, &reply))
		log_put(LOG_WARNING, "control: answer not delivered");
	msg_done(&reply);
	buf_done(&out);
	d->operator= 0;
}

static bool is_root(struct daemon *d, int sock)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) ||
		peer.uid != 0) {
		log_put(LOG_WARNING,
			"control: refused a peer that is not root");
		return false;
	}
	d->peer = peer.pid;
	return true;
}

/* One request, within a second; or a monitor that stays. */
static bool serve(struct daemon *d, int sock)
{
	struct timeval patience = {.tv_sec = 1};
	struct msg msg;
	bool kept = false;

	if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience,
		    sizeof(patience)) ||
		setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience,
			sizeof(patience)))
		return false;
	msg_init(&msg, MSG_NONE);
	if (!msg_recv(sock, &msg)) {
		if (msg.type == MSG_MON_HELLO)
			kept = !connection_adopt(d, sock, &msg);
		else
			answer(d, sock, &msg);
	}
	msg_done(&msg);
	return kept;
}

void daemon_control(struct daemon *d)
{
	int sock = accept4(d->control, NULL, NULL, SOCK_CLOEXEC);

	/* The administrator is heard when nobody else gets in. */
	if (sock < 0)
		sock = daemon_take_spare(d, d->control, NULL);
	if (sock >= 0 && (!is_root(d, sock) || !serve(d, sock)))
		close(sock);
	daemon_keep_spare(d);
}
