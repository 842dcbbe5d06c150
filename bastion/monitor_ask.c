/*
 * request TARGET REASON: an access that the policy permits with somebody's
 * approval, asked for ahead of it. sgbridged keeps the request; nothing is
 * decided here but whether there is anything to ask for.
 */
#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Files it; the text of *ret_why is the answer's, kept in text. */
static bool file_request(struct monitor *m,
	const struct policy_decision *decision, const char *access,
	const char *reason, char *text, size_t text_len)
{
	struct msg question, answer;
	char *id = NULL, *why = NULL;
	bool filed = false;

	msg_init(&question, MSG_MON_FILE);
	buf_put_cstring(&question.body, decision->approval);
	buf_put_u64(&question.body, decision->approval_seconds);
	buf_put_cstring(&question.body, access);
	buf_put_cstring(&question.body, reason);
	msg_init(&answer, MSG_NONE);
	snprintf(text, text_len, "the bastion's daemon does not answer");
	if (!monitor_query(m, &question, MSG_MON_FILED, &answer)) {
		id = reader_cstring(&answer.reader, CONN_ID_MAX);
		why = reader_cstring(&answer.reader, 256);
		if (!reader_end(&answer.reader)) {
			filed = !*why;
			snprintf(text, text_len, "%s", filed ? id : why);
		}
	}
	msg_done(&answer);
	free(id);
	free(why);
	return filed;
}

static uint32_t ask_ahead(struct monitor *m, const struct monitor_order *order,
	const struct policy_decision *decision, bool forward,
	const char *reason, struct buf *out)
{
	char access[MONITOR_ACCESS_MAX], what[500], id[256], text[1100];
	char group[256];
	struct event event = {.kind = EVENT_ACCESS,
		.ok = true,
		.what = what,
		.reason = reason};

	monitor_access_name(decision, forward, access);
	/* While sgbridged is asked a reload may free the policy. */
	snprintf(group, sizeof(group), "%s", decision->approval);
	snprintf(what, sizeof(what), "asks for %s", access);
	if (monitor_event(m, &event)) {
		monitor_put_result(order, "cannot be recorded", out);
		return 1;
	}
	if (!file_request(m, decision, access, reason, id, sizeof(id))) {
		monitor_put_result(order, id, out);
		return 1;
	}
	snprintf(text, sizeof(text),
		"%s asked for; one of %s can say: approve %s", access, group,
		id);
	if (order->json) {
		buf_printf(out, "{\"result\":\"asked\"");
		monitor_put_member(out, "id", id);
		monitor_put_member(out, "access", access);
		monitor_put_member(out, "approval", group);
		buf_printf(out, "}\n");
	} else {
		buf_printf(out, "%s\n", text);
	}
	return 0;
}

/* A session there, or else a forward to it; is it only that? */
static bool decide_either(struct monitor *m, const char *target, uint16_t port,
	const char *login, struct policy_decision *ret)
{
	struct policy_request request;

	monitor_policy_request(m, target, port, login, &request);
	policy_decide(m->policy, &request, ret);
	if (ret->verdict == POLICY_PERMIT || login || !port)
		return false;
	monitor_forward_request(m, target, port, &request);
	policy_decide(m->policy, &request, ret);
	return true;
}

/* "[LOGIN@]TARGET[:PORT] REASON": what policy permits with an approval only.
 * What it does not provide for at all nobody can approve. */
uint32_t monitor_cmd_request(
	struct monitor *m, const struct monitor_order *order, struct buf *out)
{
	struct policy_decision decision;
	char *login = NULL, *target = NULL;
	char copy[MONITOR_REASON_MAX + 300];
	const char *where, *reason, *why = NULL;
	uint16_t port = 0;
	uint32_t status = 1;
	bool forward;

	if (!monitor_split(order->arg, copy, sizeof(copy), &where, &reason)) {
		monitor_put_result(order, MONITOR_REASON_HELP, out);
		return 1;
	}
	if (!*reason) {
		monitor_put_result(order,
			"request TARGET REASON: those who decide want to read "
			"why",
			out);
		return 1;
	}
	if (!monitor_read_target(m, where, &login, &target, &port)) {
		monitor_put_result(order, "not a target", out);
		return 1;
	}
	forward = decide_either(m, target, port, login, &decision);
	if (decision.verdict != POLICY_PERMIT)
		why = "no rule provides for this access";
	else if (!decision.approval)
		why = "no approval is needed: log on";
	if (why)
		monitor_put_result(order, why, out);
	else
		status = ask_ahead(m, order, &decision, forward, reason, out);
	free(login);
	free(target);
	return status;
}
