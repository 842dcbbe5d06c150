/*
 * From a proved person to a target: policy and security groups, the second
 * factor's strength, the recording, the connection, the certificate; in this
 * order, and any failure refuses. The session process gets descriptors that
 * are good for this one target and nothing else.
 */
#include "monitor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/record.h"

#define REST_AFTER 1000 /* ms */

/* What SES_TARGET hands over; -1 where there is none. */
struct handover {
	int target, stream, agent;
};

void monitor_policy_request(const struct monitor *m, const char *target,
	uint16_t port, const char *login, struct policy_request *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->via = POLICY_VIA_PROXY;
	ret->user = m->user;
	ret->groups = (const char *const *)m->groups;
	ret->source = m->source;
	ret->target = target;
	ret->port = port;
	ret->login = login;
	ret->now = time(NULL);
	/* A permit for forwards alone says nothing about a session. */
	if (target)
		ret->want = MONITOR_SESSION_ACTIONS;
}

/* "remembered" is no factor of today's, "exempt" is none at all. */
bool monitor_mfa_suffices(
	const struct monitor *m, const struct policy_decision *decision)
{
	bool none = !*m->mfa || !strcmp(m->mfa, "exempt");

	switch (decision->mfa) {
	case POLICY_MFA_NEVER: return true;
	case POLICY_MFA_REMEMBER: return !none;
	case POLICY_MFA_ALWAYS: return !none && strcmp(m->mfa, "remembered");
	}
	return false;
}

enum sgb_err monitor_refuse(struct monitor *m, enum event_kind kind,
	const struct policy_decision *decision, const char *public_text,
	const char *reason)
{
	char ref[MONITOR_REF_MAX], text[512];
	struct event event = {
		.kind = kind,
		.ref = ref,
		.rule = decision ? decision->rule : NULL,
		.reason = reason,
	};
	struct msg msg;
	enum sgb_err err;

	monitor_reference(ref);
	if (monitor_event(m, &event))
		log_put(LOG_ERR, "%s: a refusal left no event", m->conn_id);
	snprintf(text, sizeof(text), "%s (reference %s)", public_text, ref);
	msg_init(&msg, MSG_SES_REFUSED);
	buf_put_cstring(&msg.body, text);
	err = msg_send(m->session, &msg);
	msg_done(&msg);
	return err;
}

static const char *decide(struct monitor *m, struct policy_decision *decision)
{
	struct policy_request request;

	monitor_policy_request(m, m->target, m->port, m->login, &request);
	policy_decide(m->policy, &request, decision);
	if (decision->verdict != POLICY_PERMIT)
		return policy_reason_text(decision->reason);
	if (!monitor_mfa_suffices(m, decision))
		return "a stronger second factor is wanted for this target";
	if (decision->approval && !m->approver)
		return "this access needs an approval, and none was given";
	if (!monitor_hostkey_any(m, decision))
		return MONITOR_NO_HOST_KEY;
	return NULL;
}

static void meta_field(struct buf *out, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	buf_printf(out, "%s\"%s\":", out->len > 1 ? "," : "", name);
	json_put_string(out, value, strlen(value));
}

/* Who, from where, to what, by which rule, with which proofs: encrypted in
 * the recording's first frame. */
static enum sgb_err make_meta(const struct monitor *m, struct buf *out)
{
	const struct policy_decision *d = &m->decision;
	char source[ADDR_TEXT_MAX], target[ADDR_TEXT_MAX], credential[96];

	addr_text(&m->source, source);
	addr_text(&d->target_addr, target);
	buf_put_u8(out, '{');
	meta_field(out, "conn", m->conn_id);
	meta_field(out, "parent", m->parent_id);
	meta_field(out, "user", m->user);
	meta_field(out, "source", source);
	meta_field(out, "client", m->client_banner);
	meta_field(out, "key", m->key.fingerprint);
	meta_field(out, "key_type", m->key.name);
	meta_field(out, "mfa", m->mfa);
	meta_field(out, "approved_by", m->approver);
	meta_field(out, "target", d->instance);
	meta_field(out, "target_address", target);
	meta_field(out, "via", m->via);
	meta_field(out, "security_group", d->security_group);
	meta_field(out, "login", d->login);
	monitor_credential_name(m, credential, sizeof(credential));
	meta_field(out, "credential", credential);
	meta_field(out, "rule", d->rule);
	meta_field(out, "group_rule", d->group_rule);
	buf_printf(out, ",\"source_port\":%u,\"target_port\":%u,\"input\":%s",
		m->source_port, d->target_port,
		d->record & POLICY_RECORD_INPUT ? "true" : "false");
	/* Read by the recorder, too. */
	if (d->on_record_failure == POLICY_RECORD_STALL && d->stall)
		buf_printf(
			out, ",\"stall\":%llu", (unsigned long long)d->stall);
	buf_put_u8(out, '}');
	buf_put_u8(out, '\0');
	return buf_error(out);
}

/* Before anything of it happens, and where nobody overlooks it. */
static enum sgb_err say_break_glass(struct monitor *m)
{
	struct event event = {.kind = EVENT_BREAK_GLASS, .ok = true};

	log_put(LOG_ALERT, "%s: break-glass: %s to %s", m->conn_id, m->user,
		m->decision.instance);
	return monitor_event(m, &event);
}

enum sgb_err monitor_start_recording(
	struct monitor *m, int *ret_stream, char *why, size_t why_len)
{
	bool break_glass = m->decision.on_record_failure ==
			   POLICY_RECORD_BREAK_GLASS;
	struct buf meta;
	enum sgb_err err;

	buf_init(&meta, 16384);
	err = make_meta(m, &meta);
	if (!err && break_glass)
		err = say_break_glass(m);
	if (!err)
		err = monitor_recorder_open(m,
			break_glass ? RECORD_BREAK_GLASS : "",
			(const char *)meta.data, ret_stream, why, why_len);
	else
		snprintf(why, why_len, "%s", sgb_err_text(err));
	buf_done(&meta);
	return err;
}

static uint32_t as_ms(uint64_t seconds)
{
	return seconds < UINT32_MAX / 1000 ? (uint32_t)seconds * 1000
					   : UINT32_MAX;
}

/* In the order of enum target_wait; connecting has used up a part of the
 * whole. */
static void put_deadlines(const struct monitor *m, struct buf *out)
{
	uint64_t now = monitor_now_ms();
	uint64_t left = m->target_until_ms > now ? m->target_until_ms - now : 0;

	buf_put_u32(out, left < UINT32_MAX ? (uint32_t)left : UINT32_MAX);
	buf_put_u32(out, as_ms(m->conf->banner_timeout));
	buf_put_u32(out, as_ms(m->conf->kex_timeout));
	buf_put_u32(out, as_ms(m->conf->auth_timeout));
	buf_put_u32(out, as_ms(m->conf->open_timeout));
}

static enum sgb_err hand_over(struct monitor *m, struct handover *hand)
{
	const struct policy_decision *d = &m->decision;
	char address[ADDR_TEXT_MAX], name[ADDR_TEXT_MAX], algorithms[256];
	struct msg msg;
	enum sgb_err err;
	struct hostkey_node node;

	monitor_hostkey_node(m, d, name, &node);
	hostkey_algorithms(&node, algorithms, sizeof(algorithms));
	msg_init(&msg, MSG_SES_TARGET);
	buf_put_cstring(&msg.body, m->target);
	buf_put_cstring(&msg.body, d->login);
	buf_put_cstring(&msg.body, addr_text(&d->target_addr, address));
	buf_put_u32(&msg.body, d->target_port);
	buf_put_u32(&msg.body, d->record);
	buf_put_u32(&msg.body, (uint32_t)d->idle);
	put_deadlines(m, &msg.body);
	buf_put_cstring(&msg.body, "");
	buf_put_cstring(&msg.body, algorithms);
	monitor_borrow_keys(m, &msg.body);
	err = msg_put_fd(&msg, hand->target);
	if (!err)
		err = msg_put_fd(&msg, hand->stream);
	if (!err)
		err = msg_put_fd(&msg, hand->agent);
	if (!err)
		err = msg_send(m->session, &msg);
	msg_done(&msg);
	return err;
}

/* From the time the target was opened, so that a reload may shorten it. */
static void set_session_deadline(struct monitor *m)
{
	const struct policy_decision *d = &m->decision;
	time_t wall = time(NULL);

	m->deadline_ms = 0;
	if (d->max_session) {
		m->deadline_ms = m->opened_ms + d->max_session * 1000;
		m->deadline_text = "The longest time for a session is over.";
	}
	if (d->expires) {
		uint64_t end = monitor_now_ms();

		if (d->expires > wall)
			end += (uint64_t)(d->expires - wall) * 1000;
		if (!m->deadline_ms || end < m->deadline_ms) {
			m->deadline_ms = end;
			m->deadline_text = "The grant for this access expired.";
		}
	}
	if (m->approved_until_ms &&
		(!m->deadline_ms || m->approved_until_ms < m->deadline_ms)) {
		m->deadline_ms = m->approved_until_ms;
		m->deadline_text = "The approval of this access has run out.";
	}
}

static void handover_done(struct handover *hand)
{
	if (hand->target >= 0)
		close(hand->target);
	if (hand->stream >= 0)
		close(hand->stream);
	if (hand->agent >= 0)
		close(hand->agent);
}

const char *monitor_certificate_source(
	const struct monitor *m, const char *local, char *out, size_t len)
{
	const struct conf_list *list = &m->conf->cert_source;
	size_t i, used = 0;

	if (!list->count)
		return local;
	out[0] = '\0';
	for (i = 0; i < list->count && used < len; i++)
		used += (size_t)snprintf(out + used, len - used, "%s%s",
			i ? "," : "", list->items[i]);
	return used < len ? out : "";
}

/* There is one target a connection, and one try: a decision that led to
 * nothing permits nothing. */
static enum sgb_err refuse_target(struct monitor *m, enum event_kind kind,
	const char *text, const char *why)
{
	struct policy_decision decision = m->decision;

	memset(&m->decision, 0, sizeof(m->decision));
	m->phase = MONITOR_PHASE_CLOSING;
	return monitor_refuse(m, kind, &decision, text, why);
}

/* Right after monitor_connect failed: why, for the log; returned: for the
 * user, good until the next one. */
static const char *why_unconnected(struct monitor *m, char *why, size_t len)
{
	static char text[MONITOR_LOST_MAX + 40];

	if (*m->lost) {
		snprintf(why, len, "%s", m->lost);
		snprintf(text, sizeof(text),
			"The target cannot be reached: %s.", m->lost);
		return text;
	}
	snprintf(why, len, "connect: %s",
		errno == EACCES ? "an address of the bastion itself"
				: strerror(errno));
	return errno == ETIMEDOUT ? "The target did not answer in time "
				    "(connecting)."
				  : "The target cannot be reached.";
}

static const char *why_no_login(const struct monitor *m)
{
	if (m->decision.credential == POLICY_OWN_AGENT && m->limits.no_agent)
		return "This target is logged on to with your own agent, and "
		       "the key that you logged on with may not forward one.";
	return "The bastion cannot log on to the target.";
}

/* Everything from the permit to the open connection. */
static enum sgb_err open_target(struct monitor *m)
{
	struct event open = {.kind = EVENT_TARGET_OPEN, .ok = true};
	struct handover hand = {-1, -1, -1};
	char why[512] = "", source[ADDR_TEXT_MAX];
	char sources[MONITOR_SOURCES_MAX];
	const char *text = NULL, *from = source;
	enum sgb_err err;

	m->target_until_ms = monitor_now_ms() + m->conf->target_timeout * 1000;
	if (monitor_connect(m, &m->decision, &hand.target, source, m->via,
		    m->target_until_ms)) {
		text = why_unconnected(m, why, sizeof(why));
	} else if (monitor_start_recording(m, &hand.stream, why, sizeof(why))) {
		text = "This session cannot be recorded, so it is refused.";
	} else {
		/* Behind a jump host it sees neither of ours. */
		if (!m->decision.via)
			from = monitor_certificate_source(
				m, source, sources, sizeof(sources));
		if (monitor_credential_prepare(m, from, why, sizeof(why)) ||
			monitor_agent_open(m, &hand.agent))
			text = why_no_login(m);
	}
	if (text) {
		handover_done(&hand);
		m->close_reason = RECORDER_CLOSE_TARGET;
		return refuse_target(m, EVENT_TARGET_FAIL, text, why);
	}
	m->phase = MONITOR_PHASE_OPEN;
	m->opened_ms = monitor_now_ms();
	set_session_deadline(m);
	err = monitor_event(m, &open);
	if (!err)
		err = hand_over(m, &hand);
	monitor_report_state(m);
	handover_done(&hand);
	/* The target's key is still to be judged, and its login signed: from
	 * then on it mostly waits, and there may be thousands. */
	m->rest_ms = m->opened_ms + REST_AFTER;
	return err;
}

/* The decided login may be the request's own, or the policy's: from here on
 * it is ours, whatever policy comes. */
static const char *keep_login(struct monitor *m)
{
	char *login = strdup(m->decision.login);

	if (!login)
		return "out of memory";
	free(m->login);
	m->login = login;
	m->decision.login = login;
	return NULL;
}

enum sgb_err monitor_target(struct monitor *m, struct msg *msg)
{
	struct event access = {.kind = EVENT_ACCESS, .ok = true};
	struct policy_decision decision;
	enum sgb_err err = reader_end(&msg->reader);
	const char *why;

	if (err || !m->target)
		return err ? err : SGB_ERR_PHASE;
	why = decide(m, &decision);
	m->decision = decision;
	if (!why)
		why = keep_login(m);
	if (!why) {
		access.rule = decision.rule;
		access.login = m->decision.login;
		access.what = decision.group_rule;
		if (monitor_event(m, &access))
			why = "the event of this access cannot be recorded";
	}
	if (why)
		return refuse_target(m, EVENT_ACCESS,
			"Access to this target is denied.", why);
	return open_target(m);
}

/* Asks about what is open: this login, this address. A policy that would now
 * lead somewhere else does not permit being here. */
static const char *decide_open(
	struct monitor *m, struct policy_decision *decision)
{
	struct policy_request request;

	monitor_policy_request(m, m->target, m->port, m->login, &request);
	policy_decide(m->policy, &request, decision);
	if (decision->verdict != POLICY_PERMIT)
		return policy_reason_text(decision->reason);
	if (!monitor_mfa_suffices(m, decision))
		return "a stronger second factor is wanted for this target";
	if (decision->approval && !m->approver)
		return "this access needs an approval, and none was given";
	/* The address that answered may not be the first one. */
	while (!addr_equal(&decision->target_addr, &m->decision.target_addr) &&
		policy_next_address(m->policy, decision))
		;
	if (strcmp(decision->login, m->login) ||
		!addr_equal(&decision->target_addr, &m->decision.target_addr) ||
		decision->target_port != m->decision.target_port ||
		!monitor_same_way(m, decision, m->via))
		return "the target has another login or address now";
	decision->login = m->login;
	return NULL;
}

bool monitor_still_permitted(
	struct monitor *m, bool reload, const char **ret_reason)
{
	struct policy_decision decision;
	const char *why;

	if (!monitor_key_permitted(m, reload, ret_reason) ||
		!monitor_forwards_permitted(m, ret_reason))
		return false;
	/* An inner one is a place that its outer one was let to. */
	if (m->mode == SESSION_MODE_INNER &&
		!authkeys_permits(m->limits.permit_open, m->target, m->port)) {
		*ret_reason = "it is no place of the key's permitopen";
		return false;
	}
	if (m->watching && !monitor_may_watch(m)) {
		*ret_reason = "no rule lets the person watch any more";
		return false;
	}
	if (m->phase != MONITOR_PHASE_OPEN)
		return true;
	why = decide_open(m, &decision);
	if (why) {
		*ret_reason = why;
		return false;
	}
	m->decision = decision;
	set_session_deadline(m);
	return true;
}
