/*
 * direct-tcpip: what a client opens beside, or instead of, a session. The SSH
 * port of an instance becomes an inner connection that is recorded as one
 * that came to the door (ssh -J); any other place is a plain forward, where a
 * rule allows it, if need be after somebody's approval. Everything asked is
 * judged here; the session process names a host and a port, and no more.
 */
#include "monitor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The answer to a jump or forward that is not to be; the event is about the
 * host that was asked for. */
static enum sgb_err refuse_host(struct monitor *m, const char *host,
	const struct policy_decision *decision, const char *why)
{
	char *target = m->target;
	enum sgb_err err;

	m->target = (char *)host;
	err = monitor_refuse(m, EVENT_ACCESS, decision,
		"Access to this target is denied.", why);
	m->target = target;
	return err;
}

static enum sgb_err answer_jump(struct monitor *m, int stream)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_SES_JUMP);
	err = msg_put_fd(&msg, stream);
	if (!err)
		err = msg_send(m->session, &msg);
	msg_done(&msg);
	return err;
}

/*
 * ssh -J: the client names an address; if that is the SSH port of an instance
 * the person may reach with some login, an inner connection is made that asks
 * again for exactly the login it gets.
 */
static const char *jump(struct monitor *m, const char *host, uint16_t port)
{
	int stream = -1;
	bool sent;

	if (monitor_fork_inner(m, host, port, &stream))
		return "no process for the inner connection";
	sent = !answer_jump(m, stream);
	close(stream);
	return sent ? NULL : "the inner connection was not handed over";
}

void monitor_forward_request(const struct monitor *m, const char *host,
	uint16_t port, struct policy_request *ret)
{
	monitor_policy_request(m, host, port, NULL, ret);
	ret->want = POLICY_FORWARD;
}

/* Another port than SSH's: a forward, where the rule allows it. What wants an
 * approval and has none is *ret_waits. */
static const char *judge_forward(struct monitor *m, const char *host,
	uint16_t port, struct policy_decision *decision, bool *ret_waits)
{
	struct policy_request request;

	*ret_waits = false;
	monitor_forward_request(m, host, port, &request);
	policy_decide(m->policy, &request, decision);
	if (decision->verdict != POLICY_PERMIT)
		return policy_reason_text(decision->reason);
	if (!policy_allows(decision, POLICY_FORWARD, NULL) ||
		m->limits.no_forward)
		return "the rule, or the key, does not allow forwards";
	if (!monitor_mfa_suffices(m, decision))
		return "a stronger second factor is wanted for this target";
	*ret_waits = decision->approval && !monitor_place_approved(m, decision);
	if (*ret_waits && m->approved_count == MONITOR_PLACES_MAX)
		return "too many places that were approved";
	if (!monitor_forward_place(m, decision))
		return "more places than a rule without dynamic allows";
	return NULL;
}

static enum sgb_err forward(struct monitor *m, const char *host, uint16_t port)
{
	struct policy_decision decision;
	const char *why;
	bool waits;

	why = judge_forward(m, host, port, &decision, &waits);
	if (!why && waits)
		return monitor_approval_ask_forward(m, host, port, &decision);
	if (!why && !monitor_forward_open(m, host, &decision, &why))
		return SGB_OK;
	return refuse_host(m, host, &decision, why);
}

enum sgb_err monitor_forward_judged(struct monitor *m, const char *why)
{
	char *host = m->waiting.host;
	struct policy_decision none = {0};
	enum sgb_err err;

	m->waiting.host = NULL;
	m->waiting.until_ms = 0;
	err = why ? refuse_host(m, host, &none, why)
		  : forward(m, host, m->waiting.port);
	free(host);
	return err;
}

enum sgb_err monitor_jump(struct monitor *m, struct msg *msg)
{
	char *host = reader_cstring(&msg->reader, 256);
	uint32_t port = reader_u32(&msg->reader);
	enum sgb_err err = reader_end(&msg->reader);
	struct policy_decision decision = {0};
	struct policy_request request;
	const char *why = NULL;

	/* One at a time: the answer does not say what it answers. And none
	 * beside a target: its proofs and its approval are not for others. */
	if (!err && (m->waiting.host || m->target))
		err = SGB_ERR_PHASE;
	if (err) {
		free(host);
		return err;
	}
	monitor_policy_request(m, host, 0, NULL, &request);
	policy_decide(m->policy, &request, &decision);
	if (port == 0 || port > 65535)
		why = "not a port";
	else if (!authkeys_permits(m->limits.permit_open, host, port))
		why = "not a place of the key's permitopen";
	else if (m->child_count >= m->conf->max_channels)
		why = "too many connections inside this one";
	else if (decision.verdict == POLICY_PERMIT &&
		 port == decision.target_port &&
		 monitor_hostkey_any(m, &decision))
		why = jump(m, host, (uint16_t)port);
	else
		err = forward(m, host, (uint16_t)port);
	if (why)
		err = refuse_host(m, host, &decision, why);
	free(host);
	return err;
}
