/*
 * The menu on `ssh alice@bastion`, as far as it decides anything: what may be
 * shown, and whether what was chosen may be the target. A choice is judged
 * like a target that the user name had named, and once it is taken it is the
 * only one of its connection.
 */
#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

/* Of one message; the rest is asked for again. */
#define PAGE_BYTES (MSG_MAX_BYTES / 2)
#define ROW_BYTES  600

struct page {
	struct buf *out;
	uint32_t from, seen, count;
	bool more;
};

static bool put_row(const struct policy_reach *reach, void *arg)
{
	struct page *page = arg;

	/* The menu is for shells. */
	if (!(reach->allow & POLICY_SHELL) || !reach->login || !*reach->login)
		return true;
	if (page->seen++ < page->from)
		return true;
	if (page->out->len + ROW_BYTES > PAGE_BYTES) {
		page->more = true;
		return false;
	}
	buf_put_cstring(page->out, reach->instance);
	buf_put_cstring(page->out, reach->security_group);
	buf_put_cstring(page->out, reach->login);
	buf_put_u32(page->out, reach->port);
	buf_put_u32(page->out, reach->allow);
	page->count++;
	return !buf_error(page->out);
}

static enum sgb_err answer_hosts(
	struct monitor *m, uint32_t channel, const struct page *page)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_SES_HOSTS);
	buf_put_u32(&msg.body, channel);
	buf_put_u32(&msg.body, page->more);
	buf_put_u32(&msg.body, page->count);
	buf_put(&msg.body, page->out->data, page->out->len);
	err = msg_send(m->session, &msg);
	msg_done(&msg);
	return err;
}

enum sgb_err monitor_hosts(struct monitor *m, struct msg *msg)
{
	uint32_t channel = reader_u32(&msg->reader);
	struct event event = {
		.kind = EVENT_COMMAND, .ok = true, .what = "menu"};
	struct policy_request request;
	struct page page = {.from = reader_u32(&msg->reader)};
	enum sgb_err err = reader_end(&msg->reader);
	struct buf out;

	if (!err && !page.from)
		err = monitor_event(m, &event);
	if (err)
		return err;
	buf_init(&out, PAGE_BYTES);
	page.out = &out;
	monitor_policy_request(m, NULL, 0, NULL, &request);
	/* No shell, no menu of where to have one. */
	if (!m->limits.command[0])
		policy_each_reachable(m->policy, &request, put_row, &page);
	err = buf_error(&out);
	if (!err)
		err = answer_hosts(m, channel, &page);
	buf_done(&out);
	return err;
}

static enum sgb_err answer(struct monitor *m, bool yes, const char *text)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_SES_CHOSEN);
	buf_put_u32(&msg.body, yes);
	buf_put_cstring(&msg.body, text);
	err = msg_send(m->session, &msg);
	msg_done(&msg);
	return err;
}

static void forget(struct monitor *m)
{
	free(m->target);
	free(m->login);
	m->target = m->login = NULL;
	m->port = 0;
}

/* The session goes on without a target; it may choose again. */
static enum sgb_err refuse(struct monitor *m,
	const struct policy_decision *decision, const char *public_text,
	const char *why)
{
	char ref[MONITOR_REF_MAX], text[512];
	struct event event = {
		.kind = EVENT_ACCESS,
		.ref = ref,
		.rule = decision->rule,
		.what = "menu",
		.reason = why,
	};

	monitor_reference(ref);
	if (monitor_event(m, &event))
		log_put(LOG_ERR, "%s: a refusal left no event", m->conn_id);
	snprintf(text, sizeof(text), "%s (reference %s)", public_text, ref);
	forget(m);
	return answer(m, false, text);
}

/* What would refuse it for good, asked while there is a way back. Approval
 * comes later; REQ_TARGET asks all of it again. */
static const char *judge(
	struct monitor *m, struct policy_decision *decision, const char **text)
{
	struct policy_request request;

	*text = "Access to this target is denied.";
	if (!policy_name_valid(m->target) || !policy_name_valid(m->login))
		return "not a valid name";
	monitor_policy_request(m, m->target, m->port, m->login, &request);
	policy_decide(m->policy, &request, decision);
	if (decision->verdict != POLICY_PERMIT)
		return policy_reason_text(decision->reason);
	if (!monitor_hostkey_any(m, decision))
		return MONITOR_NO_HOST_KEY;
	if (monitor_mfa_suffices(m, decision))
		return NULL;
	*text = "This target wants a stronger second factor; log on to it by "
		"name.";
	return "a stronger second factor is wanted for this target";
}

static enum sgb_err take_choice(struct monitor *m)
{
	char what[200];
	struct event event = {.kind = EVENT_COMMAND, .ok = true, .what = what};
	bool waiting = false;
	enum sgb_err err;

	snprintf(what, sizeof(what), "menu %s@%s:%u", m->login, m->target,
		m->port);
	err = monitor_event(m, &event);
	if (err)
		return err;
	m->chosen = true;
	monitor_report_state(m);
	err = monitor_approval_ask(m, &waiting);
	if (err || waiting || m->ending)
		return err;
	return monitor_choice_made(m);
}

enum sgb_err monitor_choice_made(struct monitor *m)
{
	m->phase = MONITOR_PHASE_PROVED;
	m->deadline_ms = 0;
	monitor_report_state(m);
	return answer(m, true, "");
}

enum sgb_err monitor_choose(struct monitor *m, struct msg *msg)
{
	struct policy_decision decision = {0};
	char *target = reader_cstring(&msg->reader, 256);
	char *login = reader_cstring(&msg->reader, 256);
	uint32_t port = reader_u32(&msg->reader);
	enum sgb_err err = reader_end(&msg->reader);
	const char *why, *text;

	/* One target a connection, for good. */
	if (!err && (m->target || m->login || m->chosen || m->waiting.host))
		err = SGB_ERR_PHASE;
	if (!err && (!port || port > 65535))
		err = SGB_ERR_FORMAT;
	if (err) {
		free(target);
		free(login);
		return err;
	}
	m->target = target;
	m->login = login;
	m->port = (uint16_t)port;
	why = judge(m, &decision, &text);
	return why ? refuse(m, &decision, text, why) : take_choice(m);
}
