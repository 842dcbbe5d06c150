/*
 * Four eyes: an access whose rule says `approval by GROUP` waits, with a
 * notice, until somebody of that group who is not the same person lets it
 * begin, or goes by a yes that was given before. sgbridged passes the words
 * on; whether the approver may is decided here, by the monitor of the
 * connection that waits, each time. So it is with a forward, which waits
 * beside what the connection does otherwise; a yes holds for every forward of
 * this connection to the same place.
 */
#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"

/* One spelling for the same access, whatever the user typed. */
void monitor_access_name(
	const struct policy_decision *decision, bool forward, char *out)
{
	const char *name = decision->instance;
	char address[ADDR_TEXT_MAX];

	/* A host of a subnet has no name but its address: a yes is for it,
	 * and not for its neighbours. */
	if (!name || strchr(name, '/'))
		name = addr_text(&decision->target_addr, address);
	if (forward)
		snprintf(out, MONITOR_ACCESS_MAX, "forward %.200s:%u", name,
			decision->target_port);
	else
		snprintf(out, MONITOR_ACCESS_MAX, "%.200s@%.200s:%u",
			decision->login, name, decision->target_port);
}

/* The first that a connection asks for goes by its own name; what it asks for
 * later has others, so that a yes never falls on what it was not meant for. */
static void next_ask(struct monitor *m)
{
	if (++m->asks == 1)
		snprintf(m->ask_id, sizeof(m->ask_id), "%s", m->conn_id);
	else
		snprintf(m->ask_id, sizeof(m->ask_id), "%s.%u", m->conn_id,
			m->asks);
}

/* decision NULL: no longer. */
static enum sgb_err send_ask(
	struct monitor *m, const struct policy_decision *decision)
{
	char access[MONITOR_ACCESS_MAX] = "";
	struct msg msg;
	enum sgb_err err;

	if (decision) {
		monitor_access_name(decision, m->waiting.host, access);
		next_ask(m);
	}
	msg_init(&msg, MSG_MON_ASK);
	buf_put_cstring(&msg.body, m->ask_id);
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
		"%s needs an approval by %s; waiting for at most %llu "
		"minutes.\nOne of them can say: ssh BASTION approve %s\n",
		m->waiting.host ? "This forward" : "This access", group,
		(unsigned long long)(m->conf->approval_timeout + 59) / 60,
		m->ask_id);
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

enum sgb_err monitor_approval_ask_forward(struct monitor *m, const char *host,
	uint16_t port, const struct policy_decision *decision)
{
	m->waiting.host = strdup(host);
	if (!m->waiting.host)
		return SGB_ERR_NOMEM;
	m->waiting.port = port;
	m->waiting.until_ms = monitor_now_ms() +
			      m->conf->approval_timeout * 1000;
	return m->control < 0 ? monitor_approval_drop(m, "no sgbridged to ask")
			      : send_ask(m, decision);
}

enum sgb_err monitor_approval_drop(struct monitor *m, const char *why)
{
	if (!m->waiting.host)
		return SGB_OK;
	if (m->control >= 0 && send_ask(m, NULL))
		log_put(LOG_WARNING, "%s: request not withdrawn", m->conn_id);
	return monitor_forward_judged(m, why);
}

bool monitor_approval_holds(const struct monitor_approved *approved)
{
	return approved &&
	       (!approved->until_ms || monitor_now_ms() < approved->until_ms);
}

const struct monitor_approved *monitor_place_approved(
	const struct monitor *m, const struct policy_decision *decision)
{
	const struct monitor_approved *at;
	unsigned int i;

	for (i = 0; i < m->approved_count; i++) {
		at = &m->approved[i];
		if (addr_equal(&at->addr, &decision->target_addr) &&
			at->port == decision->target_port &&
			monitor_approval_holds(at))
			return at;
	}
	return NULL;
}

/* What waits, as the policy sees it now. */
static void decide_waiting(struct monitor *m, struct policy_decision *ret)
{
	struct policy_request request;

	if (m->waiting.host)
		monitor_forward_request(
			m, m->waiting.host, m->waiting.port, &request);
	else
		monitor_policy_request(
			m, m->target, m->port, m->login, &request);
	policy_decide(m->policy, &request, ret);
}

static bool waits(const struct monitor *m)
{
	return !m->ending &&
	       (m->phase == MONITOR_PHASE_WAITING || m->waiting.host);
}

/* Nobody has said yes before: the user is told what he waits for. */
enum sgb_err monitor_approval_pending(struct monitor *m)
{
	struct policy_decision decision;

	if (!waits(m))
		return SGB_OK;
	decide_waiting(m, &decision);
	return decision.approval ? send_notice(m, decision.approval) : SGB_OK;
}

/* Somebody else, of the group that the rule names now. */
static const char *may_approve(struct monitor *m, const char *approver)
{
	struct policy_decision decision;
	char **groups = NULL;
	bool member;

	if (!strcmp(approver, m->user))
		return "nobody approves his own access";
	decide_waiting(m, &decision);
	if (decision.verdict != POLICY_PERMIT || !decision.approval)
		return "the policy changed meanwhile";
	if (policy_unix_groups(m->policy, approver, &groups))
		return "the approver's groups cannot be looked up";
	member = policy_in_group(m->policy, decision.approval, approver,
		(const char *const *)groups);
	policy_unix_groups_free(groups);
	return member ? NULL : "the approver is not of that group";
}

/* The place is noted, and the forward is judged as one that is new. */
static enum sgb_err forward_approved(
	struct monitor *m, const char *approver, uint64_t seconds)
{
	struct policy_decision decision;
	unsigned int at = m->approved_count;
	char *copy = strdup(approver);

	if (!copy || at == MONITOR_PLACES_MAX) {
		free(copy);
		return monitor_forward_judged(m, "no room for an approval");
	}
	decide_waiting(m, &decision);
	m->approved[at].addr = decision.target_addr;
	m->approved[at].port = decision.target_port;
	m->approved[at].approver = copy;
	m->approved[at].until_ms = seconds ? monitor_now_ms() + seconds * 1000
					   : 0;
	m->approved_count++;
	monitor_judge_later(m);
	return monitor_forward_judged(m, NULL);
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
		.target = m->waiting.host,
		.reason = why ? why : reason,
	};

	snprintf(what, sizeof(what), "%s%s by %.256s",
		m->waiting.host ? "forward " : "",
		yes ? "approved" : "approval denied", approver);
	if (monitor_event(m, &event))
		return SGB_ERR_DENIED;
	/* A stranger's word neither lets in nor throws out. */
	if (why)
		return monitor_approval_pending(m);
	if (send_ask(m, NULL))
		log_put(LOG_WARNING, "%s: request not withdrawn", m->conn_id);
	if (m->waiting.host)
		return yes ? forward_approved(m, approver, seconds)
			   : monitor_forward_judged(m, "it was not approved");
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
	char *ask = reader_cstring(&msg->reader, ASK_ID_MAX - 1);
	char *approver = reader_cstring(&msg->reader, 256);
	uint32_t yes = reader_u32(&msg->reader);
	char *reason = reader_cstring(&msg->reader, 512);
	uint64_t seconds = reader_u64(&msg->reader);
	enum sgb_err err = reader_end(&msg->reader);

	if (!err && seconds > MONITOR_APPROVED_MAX)
		seconds = MONITOR_APPROVED_MAX;
	/* A word about what was asked before is not about what waits now. */
	if (!err && waits(m) && !strcmp(ask, m->ask_id))
		err = judged(m, approver, yes == 1, reason, seconds);
	free(ask);
	free(approver);
	free(reason);
	return err;
}
