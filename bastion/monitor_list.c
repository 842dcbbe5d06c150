/*
 * What sgbridged knows of everybody, as far as this person may see it, and
 * words to others' connections: sessions, end, requests, approve, deny. What is
 * shown and passed on is judged here, by this connection's own policy; whether
 * an approval counts, by the monitor of who wants in.
 */
#include "monitor.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/plain.h"

#define QUERY_PATIENCE_MS 3000

/* One row of MON_LIST. */
struct row {
	char *id, *recording, *user, *source, *login, *target, *group, *request,
		*reason, *judge;
	uint32_t kind, phase;
	uint64_t since, until;
};

struct found;

/* What each_row is about. */
struct listing {
	struct monitor *m;
	const struct monitor_order *order;
	struct buf *out;
	bool (*wanted)(struct monitor *, const struct row *, const char *id);
	void (*put)(struct listing *, const struct row *);
	const char *id;
	struct found *found;
	unsigned int count;
};

void monitor_put_member(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, ",\"%s\":", name);
	json_put_string(out, value ? value : "", value ? strlen(value) : 0);
}

void monitor_put_result(
	const struct monitor_order *order, const char *text, struct buf *out)
{
	if (order->json) {
		buf_printf(out, "{\"result\":");
		json_put_string(out, text, strlen(text));
		buf_printf(out, "}\n");
	} else {
		buf_printf(out, "%s\n", text);
	}
}

static void row_done(struct row *row)
{
	free(row->id);
	free(row->recording);
	free(row->user);
	free(row->source);
	free(row->login);
	free(row->target);
	free(row->group);
	free(row->request);
	free(row->reason);
	free(row->judge);
}

static bool row_read(struct row *row, struct reader *rd)
{
	memset(row, 0, sizeof(*row));
	row->kind = reader_u32(rd);
	row->id = reader_cstring(rd, CONN_ID_MAX);
	row->recording = reader_cstring(rd, CONN_ID_MAX);
	row->user = reader_cstring(rd, 256);
	row->source = reader_cstring(rd, 64);
	row->login = reader_cstring(rd, 256);
	row->target = reader_cstring(rd, 512);
	row->group = reader_cstring(rd, 256);
	row->request = reader_cstring(rd, ASK_ID_MAX);
	row->reason = reader_cstring(rd, 512);
	row->judge = reader_cstring(rd, 256);
	row->phase = reader_u32(rd);
	row->since = reader_u64(rd);
	row->until = reader_u64(rd);
	return !rd->err;
}

enum sgb_err monitor_query(struct monitor *m, struct msg *question,
	enum msg_type type, struct msg *answer)
{
	uint64_t until = monitor_now_ms() + QUERY_PATIENCE_MS, now;
	struct pollfd fd = {.fd = m->control, .events = POLLIN};
	enum sgb_err err = msg_send(m->control, question);

	msg_done(question);
	while (!err && (now = monitor_now_ms()) < until) {
		if (poll(&fd, 1, (int)(until - now)) <= 0)
			continue;
		err = msg_recv(m->control, answer);
		if (!err && answer->type == type)
			return SGB_OK;
		if (!err)
			err = monitor_control(m, answer);
		else if (err == SGB_ERR_AGAIN)
			err = SGB_OK;
	}
	return err ? err : SGB_ERR_TIMEOUT;
}

static uint32_t no_daemon(const struct monitor_order *order, struct buf *out)
{
	monitor_put_result(order, "the bastion's daemon does not answer", out);
	return 1;
}

/* Calls put for each row that is wanted; false if sgbridged is silent. */
static bool each_row(struct listing *list)
{
	struct msg question, msg;
	uint32_t left;

	msg_init(&question, MSG_MON_QUERY);
	msg_init(&msg, MSG_NONE);
	if (monitor_query(list->m, &question, MSG_MON_LIST, &msg)) {
		msg_done(&msg);
		return false;
	}
	for (left = reader_u32(&msg.reader); left && !msg.reader.err; left--) {
		struct row row;

		if (row_read(&row, &msg.reader) &&
			list->wanted(list->m, &row, list->id)) {
			if (list->put)
				list->put(list, &row);
			list->count++;
		}
		row_done(&row);
	}
	msg_done(&msg);
	return true;
}

static unsigned int audit_rights(struct monitor *m)
{
	struct policy_request request;

	monitor_policy_request(m, NULL, 0, NULL, &request);
	return policy_audit_rights(m->policy, &request);
}

static bool visible(struct monitor *m, const struct row *row, const char *id)
{
	(void)id;
	return row->kind == MONITOR_ROW_CONNECTION &&
	       (!strcmp(row->user, m->user) ||
		       (audit_rights(m) & POLICY_AUDIT_LIST));
}

static bool own(struct monitor *m, const struct row *row, const char *id)
{
	return row->kind == MONITOR_ROW_CONNECTION &&
	       !strcmp(row->user, m->user) && !strcmp(row->id, id);
}

/* Waits for somebody, and this person is one of those. */
static bool mine_to_judge(
	struct monitor *m, const struct row *row, const char *id)
{
	if (row->kind != MONITOR_ROW_CONNECTION &&
		row->kind != MONITOR_ROW_REQUEST)
		return false;
	return *row->group && strcmp(row->user, m->user) &&
	       policy_in_group(m->policy, row->group, m->user,
		       (const char *const *)m->groups) &&
	       (!id || !strcmp(row->request, id));
}

/* Also what was granted can be taken back, and one's own withdrawn. */
static bool mine_to_deny(
	struct monitor *m, const struct row *row, const char *id)
{
	if (strcmp(row->request, id))
		return false;
	if (!strcmp(row->user, m->user))
		return row->kind == MONITOR_ROW_REQUEST ||
		       row->kind == MONITOR_ROW_GRANTED;
	return mine_to_judge(m, row, id) ||
	       (row->kind == MONITOR_ROW_GRANTED &&
		       policy_in_group(m->policy, row->group, m->user,
			       (const char *const *)m->groups));
}

/* What waits for this person, and this person's own. */
static bool concerns(struct monitor *m, const struct row *row, const char *id)
{
	(void)id;
	if (mine_to_judge(m, row, NULL))
		return true;
	return *row->group && !strcmp(row->user, m->user);
}

/* By either id; what waits or is only logged on has no recording. */
static bool recorded(struct monitor *m, const struct row *row, const char *id)
{
	(void)m;
	return row->kind == MONITOR_ROW_CONNECTION && *row->recording &&
	       (!strcmp(row->id, id) || !strcmp(row->recording, id));
}

struct found {
	char *recording, *title;
	size_t title_len;
};

static void keep_recording(struct listing *list, const struct row *row)
{
	struct found *found = list->found;

	snprintf(found->recording, CONN_ID_MAX, "%s", row->recording);
	snprintf(found->title, found->title_len, "%s %s@%s", row->user,
		row->login, row->target);
}

bool monitor_find_recording(struct monitor *m, const char *id,
	char recording[CONN_ID_MAX], char *title, size_t title_len)
{
	struct found found = {recording, title, title_len};
	struct listing list = {.m = m,
		.wanted = recorded,
		.put = keep_recording,
		.id = id,
		.found = &found};

	return each_row(&list) && list.count == 1;
}

static const char *state_name(const struct row *row)
{
	switch (row->kind) {
	case MONITOR_ROW_CONNECTION: return *row->group ? "waits" : "connected";
	case MONITOR_ROW_REQUEST: return "asked";
	case MONITOR_ROW_DENIED: return "denied";
	case MONITOR_ROW_GRANTED: return "granted";
	default: return "?";
	}
}

static void put_json(
	struct listing *list, const struct row *row, const char *id)
{
	struct buf *out = list->out;

	buf_printf(out, "%s{\"since\":%llu,\"until\":%llu",
		list->count ? "," : "", (unsigned long long)row->since,
		(unsigned long long)row->until);
	monitor_put_member(out, "id", id);
	monitor_put_member(out, "recording", row->recording);
	monitor_put_member(out, "user", row->user);
	monitor_put_member(out, "source", row->source);
	monitor_put_member(out, "login", row->login);
	monitor_put_member(out, "target", row->target);
	monitor_put_member(out, "state", state_name(row));
	monitor_put_member(out, "approval", row->group);
	monitor_put_member(out, "reason", row->reason);
	monitor_put_member(out, "judge", row->judge);
	buf_put_u8(out, '}');
}

static void utc(uint64_t seconds, char text[24])
{
	time_t when = (time_t)seconds;
	struct tm tm;

	*text = '\0';
	if (gmtime_r(&when, &tm))
		strftime(text, 24, "%Y-%m-%d %H:%M:%S", &tm);
}

static void put_session(struct listing *list, const struct row *row)
{
	char when[24];

	if (list->order->json) {
		put_json(list, row, row->id);
		return;
	}
	utc(row->since, when);
	buf_printf(list->out, "%-17s %-20s %-12s %-16s %s%s%s%s\n", row->id,
		when, row->user, row->source, row->login,
		*row->login ? "@" : "", *row->target ? row->target : "-",
		*row->group ? "  (waits)" : "");
}

static void put_request(struct listing *list, const struct row *row)
{
	char when[24];

	if (list->order->json) {
		put_json(list, row, row->request);
		return;
	}
	utc(row->since, when);
	buf_printf(list->out, "%-17s %-20s %-12s %-16s %-9s %s%s%s",
		row->request, when, row->user, row->source, state_name(row),
		row->login, *row->login ? "@" : "",
		*row->target ? row->target : "-");
	if (*row->judge)
		buf_printf(list->out, "  by %s", row->judge);
	buf_printf(list->out, "%s%s\n", *row->reason ? "  " : "", row->reason);
}

static uint32_t show(struct listing *list, const char *header)
{
	if (list->order->json)
		buf_printf(list->out, "[");
	else
		buf_printf(list->out, "%s", header);
	if (!each_row(list))
		return no_daemon(list->order, list->out);
	if (list->order->json)
		buf_printf(list->out, "]\n");
	return 0;
}

uint32_t monitor_cmd_sessions(
	struct monitor *m, const struct monitor_order *order, struct buf *out)
{
	struct listing list = {.m = m,
		.order = order,
		.out = out,
		.wanted = visible,
		.put = put_session};
	char header[120];

	snprintf(header, sizeof(header), "%-17s %-20s %-12s %-16s %s\n", "ID",
		"SINCE (UTC)", "USER", "SOURCE", "TARGET");
	return show(&list, header);
}

uint32_t monitor_cmd_requests(
	struct monitor *m, const struct monitor_order *order, struct buf *out)
{
	struct listing list = {.m = m,
		.order = order,
		.out = out,
		.wanted = concerns,
		.put = put_request};
	char header[120];
	uint32_t status;

	snprintf(header, sizeof(header), "%-17s %-20s %-12s %-16s %-9s %s\n",
		"ID", "SINCE (UTC)", "USER", "SOURCE", "STATE",
		"ACCESS, REASON");
	status = show(&list, header);
	if (!status && !list.count && !order->json)
		buf_printf(out, "nothing waits for your approval\n");
	return status;
}

bool monitor_split(const char *arg, char *copy, size_t len, const char **word,
	const char **reason)
{
	char *blank;

	if ((size_t)snprintf(copy, len, "%s", arg) >= len || !plain_text(copy))
		return false;
	*word = copy;
	*reason = "";
	blank = strchr(copy, ' ');
	if (blank) {
		*blank = '\0';
		*reason = blank + 1 + strspn(blank + 1, " ");
	}
	return strlen(*reason) <= MONITOR_REASON_MAX;
}

/* The deed of the one who judges; that of the one who is let in follows. */
static bool note_verdict(
	struct monitor *m, const char *id, bool yes, const char *reason)
{
	char what[80];
	struct event event = {.kind = EVENT_ACCESS,
		.ok = true,
		.what = what,
		.reason = reason};

	snprintf(what, sizeof(what), "%s request %.*s",
		yes ? "approves" : "denies", CONN_ID_MAX, id);
	return !monitor_event(m, &event);
}

static bool tell(struct monitor *m, enum msg_type type, const char *id,
	const uint32_t *yes, const char *text)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, type);
	buf_put_cstring(&msg.body, id);
	if (yes)
		buf_put_u32(&msg.body, *yes);
	buf_put_cstring(&msg.body, text);
	err = msg_send(m->control, &msg);
	msg_done(&msg);
	return !err;
}

static uint32_t judge(struct monitor *m, const struct monitor_order *order,
	uint32_t yes, struct buf *out)
{
	struct listing list = {.m = m,
		.order = order,
		.out = out,
		.wanted = yes ? mine_to_judge : mine_to_deny};
	char copy[CONN_ID_MAX + MONITOR_REASON_MAX + 2], text[200];
	const char *reason;

	if (!monitor_split(order->arg, copy, sizeof(copy), &list.id, &reason)) {
		monitor_put_result(order, MONITOR_REASON_HELP, out);
		return 1;
	}
	if (!each_row(&list))
		return no_daemon(order, out);
	if (!list.count) {
		snprintf(text, sizeof(text),
			"no request %.40s waits for your approval", list.id);
		monitor_put_result(order, text, out);
		return 1;
	}
	if (!note_verdict(m, list.id, yes, reason) ||
		!tell(m, MSG_MON_VERDICT, list.id, &yes, reason))
		return no_daemon(order, out);
	snprintf(text, sizeof(text), "%.40s %s", list.id,
		yes ? "approved" : "denied");
	monitor_put_result(order, text, out);
	return 0;
}

uint32_t monitor_cmd_approve(
	struct monitor *m, const struct monitor_order *order, struct buf *out)
{
	return judge(m, order, 1, out);
}

uint32_t monitor_cmd_deny(
	struct monitor *m, const struct monitor_order *order, struct buf *out)
{
	return judge(m, order, 0, out);
}

uint32_t monitor_cmd_end(
	struct monitor *m, const struct monitor_order *order, struct buf *out)
{
	struct listing list = {.m = m,
		.order = order,
		.out = out,
		.wanted = own,
		.id = order->arg};
	char text[80];

	if (!each_row(&list))
		return no_daemon(order, out);
	if (!list.count) {
		snprintf(text, sizeof(text), "no session %.40s of yours",
			order->arg);
		monitor_put_result(order, text, out);
		return 1;
	}
	if (!tell(m, MSG_MON_STOP, order->arg, NULL, "Ended by yourself."))
		return no_daemon(order, out);
	snprintf(text, sizeof(text), "%.40s ended", order->arg);
	monitor_put_result(order, text, out);
	return 0;
}
