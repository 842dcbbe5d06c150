/*
 * Four eyes, and looking at sessions: an access whose rule says `approval by
 * GROUP` waits, with a notice, until somebody of that group who is not the
 * same person lets it begin. sgbridged passes the words on; whether the
 * approver may is decided here, by the monitor of the connection that waits.
 */
#include "monitor.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"

#define QUERY_PATIENCE_MS 3000

/* One row of MON_LIST. */
struct row {
	char *id, *user, *source, *login, *target, *approval;
	uint32_t phase;
	uint64_t since;
};

static void row_done(struct row *row)
{
	free(row->id);
	free(row->user);
	free(row->source);
	free(row->login);
	free(row->target);
	free(row->approval);
	memset(row, 0, sizeof(*row));
}

static bool row_read(struct row *row, struct reader *rd)
{
	row->id = reader_cstring(rd, CONN_ID_MAX);
	row->user = reader_cstring(rd, 256);
	row->source = reader_cstring(rd, 64);
	row->login = reader_cstring(rd, 256);
	row->target = reader_cstring(rd, 256);
	row->approval = reader_cstring(rd, 256);
	row->phase = reader_u32(rd);
	row->since = reader_u64(rd);
	return !rd->err;
}

static enum sgb_err send_ask(struct monitor *m, const char *group)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_MON_ASK);
	buf_put_cstring(&msg.body, group);
	err = msg_send(m->control, &msg);
	msg_done(&msg);
	return err;
}

static enum sgb_err send_notice(struct monitor *m, const char *group)
{
	char text[512];
	struct msg msg;
	enum sgb_err err;

	snprintf(text, sizeof(text),
		"This access needs an approval by %s; waiting for at most %llu "
		"minutes.\nOne of them can say: ssh BASTION approve %s\n",
		group,
		(unsigned long long)(m->conf->approval_timeout + 59) / 60,
		m->conn_id);
	msg_init(&msg, MSG_SES_NOTICE);
	buf_put_cstring(&msg.body, text);
	err = msg_send(m->session, &msg);
	msg_done(&msg);
	return err;
}

enum sgb_err monitor_approval_ask(struct monitor *m, bool *ret_waiting)
{
	struct policy_request request;
	struct policy_decision decision;
	enum sgb_err err;

	*ret_waiting = false;
	if (!m->target)
		return SGB_OK;
	monitor_policy_request(m, m->target, m->port, m->login, &request);
	policy_decide(m->policy, &request, &decision);
	if (decision.verdict != POLICY_PERMIT || !decision.approval)
		return SGB_OK;
	m->phase = MONITOR_PHASE_WAITING;
	(void)alarm(0);
	m->deadline_ms = monitor_now_ms() + m->conf->approval_timeout * 1000;
	m->deadline_text = "Nobody approved this access in time.";
	monitor_report_state(m);
	err = send_ask(m, decision.approval);
	if (!err)
		err = send_notice(m, decision.approval);
	*ret_waiting = !err;
	return err;
}

/* Somebody else, of the group that the rule names now. */
static const char *may_approve(struct monitor *m, const char *approver)
{
	struct policy_request request;
	struct policy_decision decision;
	char **groups = NULL;
	bool member;

	if (!strcmp(approver, m->user))
		return "nobody approves his own access";
	monitor_policy_request(m, m->target, m->port, m->login, &request);
	policy_decide(m->policy, &request, &decision);
	if (decision.verdict != POLICY_PERMIT || !decision.approval)
		return "the policy changed meanwhile";
	if (policy_unix_groups(m->policy, approver, &groups))
		return "the approver's groups cannot be looked up";
	member = policy_in_group(m->policy, decision.approval, approver,
		(const char *const *)groups);
	policy_unix_groups_free(groups);
	return member ? NULL : "the approver is not of that group";
}

static enum sgb_err judged(
	struct monitor *m, const char *approver, bool yes, const char *reason)
{
	const char *why = may_approve(m, approver);
	char what[320];
	struct event event = {
		.kind = EVENT_ACCESS,
		.ok = yes && !why,
		.what = what,
		.reason = why ? why : reason,
	};

	snprintf(what, sizeof(what), "%s by %.256s",
		yes ? "approved" : "approval denied", approver);
	if (monitor_event(m, &event))
		return SGB_ERR_DENIED;
	/* A stranger's word neither lets in nor throws out. */
	if (why)
		return SGB_OK;
	if (send_ask(m, ""))
		log_put(LOG_WARNING, "%s: request not withdrawn", m->conn_id);
	if (!yes) {
		monitor_end(m, RECORDER_CLOSE_POLICY,
			"This access was not approved.");
		return SGB_OK;
	}
	m->approver = strdup(approver);
	if (!m->approver)
		return SGB_ERR_NOMEM;
	return m->chosen ? monitor_choice_made(m) : monitor_auth_done(m, "");
}

enum sgb_err monitor_approval_verdict(struct monitor *m, struct msg *msg)
{
	char *approver = reader_cstring(&msg->reader, 256);
	uint32_t yes = reader_u32(&msg->reader);
	char *reason = reader_cstring(&msg->reader, 256);
	enum sgb_err err = reader_end(&msg->reader);

	if (!err && m->phase == MONITOR_PHASE_WAITING && !m->ending)
		err = judged(m, approver, yes == 1, reason);
	free(approver);
	free(reason);
	return err;
}

/* Asks sgbridged for its list; what else it says meanwhile is obeyed. */
static enum sgb_err query(struct monitor *m, struct msg *msg)
{
	uint64_t until = monitor_now_ms() + QUERY_PATIENCE_MS, now;
	struct pollfd fd = {.fd = m->control, .events = POLLIN};
	struct msg out;
	enum sgb_err err;

	msg_init(&out, MSG_MON_QUERY);
	err = msg_send(m->control, &out);
	msg_done(&out);
	while (!err && (now = monitor_now_ms()) < until) {
		if (poll(&fd, 1, (int)(until - now)) <= 0)
			continue;
		err = msg_recv(m->control, msg);
		if (!err && msg->type == MSG_MON_LIST)
			return SGB_OK;
		if (!err)
			err = monitor_control(m, msg);
		else if (err == SGB_ERR_AGAIN)
			err = SGB_OK;
	}
	return err ? err : SGB_ERR_TIMEOUT;
}

/* Calls each row that is wanted; returns how many, or -1. */
static int each_row(struct monitor *m, struct buf *out,
	bool (*wanted)(struct monitor *, const struct row *, const char *),
	void (*put)(struct buf *, const struct row *), const char *arg)
{
	struct msg msg;
	uint32_t left;
	int count = 0;

	msg_init(&msg, MSG_NONE);
	if (query(m, &msg)) {
		msg_done(&msg);
		buf_printf(out, "the bastion's daemon does not answer\n");
		return -1;
	}
	for (left = reader_u32(&msg.reader); left && !msg.reader.err; left--) {
		struct row row;

		memset(&row, 0, sizeof(row));
		if (row_read(&row, &msg.reader) && wanted(m, &row, arg)) {
			put(out, &row);
			count++;
		}
		row_done(&row);
	}
	msg_done(&msg);
	return count;
}

static unsigned int audit_rights(struct monitor *m)
{
	struct policy_request request;

	monitor_policy_request(m, NULL, 0, NULL, &request);
	return policy_audit_rights(m->policy, &request);
}

static bool visible(struct monitor *m, const struct row *row, const char *arg)
{
	(void)arg;
	return !strcmp(row->user, m->user) ||
	       (audit_rights(m) & POLICY_AUDIT_LIST);
}

static bool own(struct monitor *m, const struct row *row, const char *arg)
{
	return !strcmp(row->user, m->user) && !strcmp(row->id, arg);
}

static bool mine_to_judge(
	struct monitor *m, const struct row *row, const char *arg)
{
	return *row->approval && strcmp(row->user, m->user) &&
	       policy_in_group(m->policy, row->approval, m->user,
		       (const char *const *)m->groups) &&
	       (!*arg || !strcmp(row->id, arg));
}

static void put_session(struct buf *out, const struct row *row)
{
	time_t since = (time_t)row->since;
	struct tm tm;
	char when[24] = "";

	if (gmtime_r(&since, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	buf_printf(out, "%-17s %-20s %-12s %-16s %s%s%s%s\n", row->id, when,
		row->user, row->source, row->login, *row->login ? "@" : "",
		*row->target ? row->target : "-",
		*row->approval ? "  (waits)" : "");
}

static void put_nothing(struct buf *out, const struct row *row)
{
	(void)out;
	(void)row;
}

uint32_t monitor_cmd_sessions(
	struct monitor *m, const char *arg, struct buf *out)
{
	buf_printf(out, "%-17s %-20s %-12s %-16s %s\n", "ID", "SINCE (UTC)",
		"USER", "SOURCE", "TARGET");
	return each_row(m, out, visible, put_session, arg) < 0 ? 1 : 0;
}

uint32_t monitor_cmd_requests(
	struct monitor *m, const char *arg, struct buf *out)
{
	int count = each_row(m, out, mine_to_judge, put_session, arg);

	if (!count)
		buf_printf(out, "nothing waits for your approval\n");
	if (count < 0)
		return 1;
	return 0;
}

static uint32_t tell(struct monitor *m, enum msg_type type, const char *id,
	const uint32_t *yes, struct buf *out)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, type);
	buf_put_cstring(&msg.body, id);
	if (yes)
		buf_put_u32(&msg.body, *yes);
	buf_put_cstring(
		&msg.body, type == MSG_MON_STOP ? "Ended by yourself." : "");
	err = msg_send(m->control, &msg);
	msg_done(&msg);
	if (err)
		buf_printf(out, "the bastion's daemon does not listen\n");
	return err ? 1 : 0;
}

static uint32_t judge(
	struct monitor *m, const char *id, uint32_t yes, struct buf *out)
{
	int count = each_row(m, out, mine_to_judge, put_nothing, id);

	if (count < 1) {
		if (!count)
			buf_printf(out,
				"no request %s waits for your approval\n", id);
		return 1;
	}
	if (tell(m, MSG_MON_VERDICT, id, &yes, out))
		return 1;
	buf_printf(out, "%s %s\n", id, yes ? "approved" : "denied");
	return 0;
}

uint32_t monitor_cmd_approve(
	struct monitor *m, const char *arg, struct buf *out)
{
	return judge(m, arg, 1, out);
}

uint32_t monitor_cmd_deny(struct monitor *m, const char *arg, struct buf *out)
{
	return judge(m, arg, 0, out);
}

uint32_t monitor_cmd_end(struct monitor *m, const char *arg, struct buf *out)
{
	int count = each_row(m, out, own, put_nothing, arg);

	if (count < 1) {
		if (!count)
			buf_printf(out, "no session %s of yours\n", arg);
		return 1;
	}
	if (tell(m, MSG_MON_STOP, arg, NULL, out))
		return 1;
	buf_printf(out, "%s ended\n", arg);
	return 0;
}
