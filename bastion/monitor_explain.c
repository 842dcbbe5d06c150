/*
 * explain [LOGIN@]TARGET[:PORT]: may this person, from here, now, and under
 * which conditions? Says what concerns the asker alone: why not is told only
 * where a rule for him exists that another hour, place or login would meet.
 */
#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool monitor_read_target(struct monitor *m, const char *text, char **ret_login,
	char **ret_target, uint16_t *ret_port)
{
	char name[400], *user = NULL;

	if ((size_t)snprintf(name, sizeof(name), "%s+%s", m->user, text) >=
		sizeof(name))
		return false;
	*ret_login = *ret_target = NULL;
	*ret_port = 0;
	if (monitor_name_parse(name, &user, ret_login, ret_target, ret_port))
		return false;
	free(user);
	return *ret_target != NULL;
}

static const char *public_reason(enum policy_reason reason)
{
	switch (reason) {
	case POLICY_HOURS:
	case POLICY_SOURCE:
	case POLICY_LOGIN:
	case POLICY_EXPIRED: return policy_reason_text(reason);
	default: return policy_reason_text(POLICY_NO_PERMIT);
	}
}

static void mfa_text(
	const struct policy_decision *decision, char *out, size_t len)
{
	switch (decision->mfa) {
	case POLICY_MFA_NEVER: snprintf(out, len, "never"); break;
	case POLICY_MFA_REMEMBER:
		snprintf(out, len, "remembered for %llus",
			(unsigned long long)decision->mfa_seconds);
		break;
	default: snprintf(out, len, "always"); break;
	}
}

static void put_json(const struct policy_decision *decision, struct buf *out)
{
	char mfa[64];

	mfa_text(decision, mfa, sizeof(mfa));
	monitor_put_member(out, "instance", decision->instance);
	monitor_put_member(out, "login", decision->login);
	monitor_put_member(out, "mfa", mfa);
	monitor_put_member(out, "approval", decision->approval);
	buf_printf(out,
		",\"port\":%u,\"max_session\":%llu,\"idle\":%llu,"
		"\"record_input\":%s,\"may\":[",
		decision->target_port,
		(unsigned long long)decision->max_session,
		(unsigned long long)decision->idle,
		decision->record & POLICY_RECORD_INPUT ? "true" : "false");
	monitor_put_actions(out, decision->allow, "\"");
	buf_printf(out, "]");
}

static void put_text(const struct policy_decision *decision, struct buf *out)
{
	char mfa[64];

	mfa_text(decision, mfa, sizeof(mfa));
	buf_printf(out, "  as          %s on %s, port %u\n  may         ",
		decision->login, decision->instance, decision->target_port);
	monitor_put_actions(out, decision->allow, "");
	buf_printf(out, "\n  code        %s\n", mfa);
	if (decision->approval)
		buf_printf(out, "  approval    by %s\n", decision->approval);
	if (decision->max_session)
		buf_printf(out, "  at most     %llu s\n",
			(unsigned long long)decision->max_session);
	if (decision->idle)
		buf_printf(out, "  idle        %llu s\n",
			(unsigned long long)decision->idle);
	buf_printf(out, "  recorded    output%s\n",
		decision->record & POLICY_RECORD_INPUT ? ", input" : "");
}

uint32_t monitor_cmd_explain(
	struct monitor *m, const struct monitor_order *order, struct buf *out)
{
	char *login = NULL, *target = NULL;
	struct policy_decision decision;
	struct policy_request request;
	uint16_t port = 0;
	bool yes;

	if (!monitor_read_target(m, order->arg, &login, &target, &port)) {
		monitor_put_result(order, "not a target", out);
		return 2;
	}
	monitor_policy_request(m, target, port, login, &request);
	request.want = 0;
	policy_decide(m->policy, &request, &decision);
	yes = decision.verdict == POLICY_PERMIT;
	if (order->json) {
		buf_printf(out, "{\"verdict\":\"%s\"", yes ? "permit" : "deny");
		if (yes)
			put_json(&decision, out);
		else
			monitor_put_member(
				out, "reason", public_reason(decision.reason));
		buf_printf(out, "}\n");
	} else if (yes) {
		buf_printf(out, "permit\n");
		put_text(&decision, out);
	} else {
		buf_printf(out, "deny: %s\n", public_reason(decision.reason));
	}
	free(login);
	free(target);
	return yes ? 0 : 1;
}
