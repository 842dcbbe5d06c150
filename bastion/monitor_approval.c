/*
 * Four eyes: an access whose rule says `approval by GROUP` waits, with a
 * notice, until somebody of that group who is not the same person lets it
 * begin, or goes by a yes that was given before. sgbridged passes the words
 * on; whether the approver may is decided here, by the monitor of the
 * connection that waits, each time.
 */
#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"

/* One spelling for the same access, whatever the user typed. */
void monitor_access_name(const struct policy_decision *decision, char *out)
{
	snprintf(out, MONITOR_ACCESS_MAX, "%.200s@%.200s:%u", decision->login,
		decision->instance, decision->target_port);
}

/* decision NULL: no longer. */
static enum sgb_err send_ask(
	struct monitor *m, const struct policy_decision *decision)
{
	char access[MONITOR_ACCESS_MAX] = "";
	struct msg msg;
	enum sgb_err err;

	if (decision)
		monitor_access_name(decision, access);
	msg_init(&msg, MSG_MON_ASK);
	buf_put_cstring(&msg.body, decision ? decision->approval : "");
	buf_put_u64(&msg.body, decision ? decision->approval_seconds : 0);
	buf_put_cstring(&msg.body, access);
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
	err = send_ask(m, &decision);
	*ret_waiting = !err;
	return err;
}

/* Nobody has said yes before: the user is told what he waits for. */
enum sgb_err monitor_approval_pending(struct monitor *m)
{
	struct policy_request request;
	struct policy_decision decision;

	if (m->phase != MONITOR_PHASE_WAITING || m->ending)
		return SGB_OK;
	monitor_policy_request(m, m->target, m->port, m->login, &request);
	policy_decide(m->policy, &request, &decision);
	return decision.approval ? send_notice(m, decision.approval) : SGB_OK;
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

static enum sgb_err judged(struct monitor *m, const char *approver, bool yes,
	const char *reason, uint64_t seconds)
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
		return monitor_approval_pending(m);
	if (send_ask(m, NULL))
		log_put(LOG_WARNING, "%s: request not withdrawn", m->conn_id);
	if (!yes) {
		monitor_end(m, RECORDER_CLOSE_POLICY,
			"This access was not approved.");
		return SGB_OK;
	}
	m->approver = strdup(approver);
	if (!m->approver)
		return SGB_ERR_NOMEM;
	if (seconds)
		m->approved_until_ms = monitor_now_ms() + seconds * 1000;
	return m->chosen ? monitor_choice_made(m) : monitor_auth_done(m, "");
}

enum sgb_err monitor_approval_verdict(struct monitor *m, struct msg *msg)
{
	char *approver = reader_cstring(&msg->reader, 256);
	uint32_t yes = reader_u32(&msg->reader);
	char *reason = reader_cstring(&msg->reader, 512);
	uint64_t seconds = reader_u64(&msg->reader);
	enum sgb_err err = reader_end(&msg->reader);

	if (!err && seconds > MONITOR_APPROVED_MAX)
		seconds = MONITOR_APPROVED_MAX;
	if (!err && m->phase == MONITOR_PHASE_WAITING && !m->ending)
		err = judged(m, approver, yes == 1, reason, seconds);
	free(approver);
	free(reason);
	return err;
}
