/*
 * Plain TCP forwards (ssh -L) under a rule that allows `forward`: the monitor
 * connects, and each forward has a recording of its own that says who, where
 * to, how much and how long. What passes inside is not recorded, and the
 * session process cuts a forward that turns out to be SSH.
 */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"

struct monitor_forward {
	LIST_ENTRY(monitor_forward) link;
	uint32_t id;
	int recorder; /* its recording ends when this closes */
	int target;   /* what the session has, to end it by */
	char rec_id[CONN_ID_MAX];
	char where[320];
	char host[256]; /* as the user named it: so permitopen= does */
	char via[MONITOR_VIA_MAX];
	struct policy_decision decision;
	const struct monitor_approved *approved; /* NULL: by nobody */
};

/* The recorder's client keeps its state in the monitor; a forward borrows it
 * for a recording beside the connection's own. */
struct borrowed {
	int recorder;
	bool recording;
	char rec_id[CONN_ID_MAX];
	char *approver;
	char via[MONITOR_VIA_MAX];
	struct policy_decision decision;
};

static void borrow(struct monitor *m, struct borrowed *kept)
{
	kept->recorder = m->recorder;
	kept->recording = m->recording;
	kept->approver = m->approver;
	kept->decision = m->decision;
	memcpy(kept->via, m->via, sizeof(kept->via));
	memcpy(kept->rec_id, m->rec_id, sizeof(kept->rec_id));
	m->recorder = -1;
	m->recording = false;
	m->rec_id[0] = '\0';
}

static void give_back(struct monitor *m, const struct borrowed *kept)
{
	m->recorder = kept->recorder;
	m->recording = kept->recording;
	m->approver = kept->approver;
	m->decision = kept->decision;
	memcpy(m->via, kept->via, sizeof(m->via));
	memcpy(m->rec_id, kept->rec_id, sizeof(m->rec_id));
}

static enum sgb_err record(struct monitor *m, struct monitor_forward *forward,
	int *ret_stream, char *why, size_t why_len)
{
	struct borrowed kept;
	enum sgb_err err;

	borrow(m, &kept);
	m->decision = forward->decision;
	memcpy(m->via, forward->via, sizeof(m->via));
	m->approver = forward->approved ? forward->approved->approver : NULL;
	err = monitor_start_recording(m, ret_stream, why, why_len);
	forward->recorder = m->recorder;
	memcpy(forward->rec_id, m->rec_id, sizeof(forward->rec_id));
	give_back(m, &kept);
	return err;
}

static enum sgb_err tell(struct monitor *m,
	const struct monitor_forward *forward, enum event_kind kind,
	uint64_t bytes_in, uint64_t bytes_out)
{
	struct event event = {
		.kind = kind,
		.ok = true,
		.target = forward->decision.instance,
		.security_group = forward->decision.security_group,
		.target_addr = forward->decision.target_addr,
		.target_port = forward->decision.target_port,
		.rule = forward->decision.rule,
		.rec_id = forward->rec_id,
		.what = forward->where,
		.via = forward->via,
		.bytes_in = bytes_in,
		.bytes_out = bytes_out,
	};

	return monitor_event(m, &event);
}

static enum sgb_err hand_over(struct monitor *m,
	const struct monitor_forward *forward, int target, int stream)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_SES_FORWARD);
	buf_put_u32(&msg.body, forward->id);
	err = msg_put_fd(&msg, target);
	if (!err)
		err = msg_put_fd(&msg, stream);
	if (!err)
		err = msg_send(m->session, &msg);
	msg_done(&msg);
	return err;
}

static void forward_free(struct monitor_forward *forward)
{
	if (forward->recorder >= 0)
		close(forward->recorder);
	if (forward->target >= 0)
		close(forward->target);
	free(forward);
}

enum sgb_err monitor_forward_open(struct monitor *m, const char *host,
	const struct policy_decision *decision, const char **ret_why)
{
	struct monitor_forward *forward = calloc(1, sizeof(*forward));
	char source[ADDR_TEXT_MAX], why[256] = "";
	int target = -1, stream = -1;
	enum sgb_err err = SGB_ERR_NOMEM;

	*ret_why = "no memory for the forward";
	if (!forward)
		return err;
	forward->recorder = forward->target = -1;
	forward->id = ++m->forward_ids;
	forward->decision = *decision;
	forward->approved = monitor_place_approved(m, decision);
	snprintf(forward->host, sizeof(forward->host), "%s", host);
	snprintf(forward->where, sizeof(forward->where), "forward to %s:%u",
		host, decision->target_port);
	*ret_why = "the target of the forward cannot be reached";
	err = monitor_connect(
		m, &forward->decision, &target, source, forward->via, 0);
	if (err && *m->lost)
		*ret_why = m->lost;
	if (!err) {
		*ret_why = "the forward cannot be recorded";
		err = record(m, forward, &stream, why, sizeof(why));
	}
	if (!err) {
		forward->target = fcntl(target, F_DUPFD_CLOEXEC, 0);
		err = forward->target < 0 ? SGB_ERR_SYSTEM : SGB_OK;
	}
	if (!err)
		err = tell(m, forward, EVENT_TUNNEL_OPEN, 0, 0);
	if (!err)
		err = hand_over(m, forward, target, stream);
	if (err) {
		forward_free(forward);
	} else {
		LIST_INSERT_HEAD(&m->forwards, forward, link);
		m->child_count++;
	}
	if (target >= 0)
		close(target);
	if (stream >= 0)
		close(stream);
	return err;
}

bool monitor_forward_place(
	struct monitor *m, const struct policy_decision *decision)
{
	unsigned int i;

	if (decision->allow & POLICY_DYNAMIC)
		return true;
	for (i = 0; i < m->place_count; i++)
		if (addr_equal(&m->places[i].addr, &decision->target_addr) &&
			m->places[i].port == decision->target_port)
			return true;
	if (m->place_count == MONITOR_PLACES_MAX)
		return false;
	m->places[m->place_count].addr = decision->target_addr;
	m->places[m->place_count++].port = decision->target_port;
	return true;
}

void monitor_forward_closed(
	struct monitor *m, uint32_t id, uint64_t bytes_in, uint64_t bytes_out)
{
	struct monitor_forward *forward;
	struct borrowed kept;

	LIST_FOREACH (forward, &m->forwards, link)
		if (forward->id == id)
			break;
	if (!forward)
		return;
	LIST_REMOVE(forward, link);
	m->child_count--;
	/* That it is closed is hearsay: now it is, whoever still has it. */
	(void)shutdown(forward->target, SHUT_RDWR);
	borrow(m, &kept);
	m->recorder = forward->recorder;
	m->recording = true;
	monitor_recorder_close(m);
	forward->recorder = m->recorder;
	give_back(m, &kept);
	if (tell(m, forward, EVENT_TUNNEL_CLOSE, bytes_in, bytes_out))
		log_put(LOG_ERR, "%s: event lost", m->conn_id);
	forward_free(forward);
}

static uint32_t forward_first(const struct monitor *m)
{
	return LIST_FIRST(&m->forwards)->id;
}

static bool key_permits(
	const struct monitor *m, const struct monitor_forward *forward)
{
	return !m->limits.no_forward &&
	       authkeys_permits(m->limits.permit_open, forward->host,
		       forward->decision.target_port);
}

bool monitor_forwards_permitted(struct monitor *m, const char **ret_reason)
{
	struct monitor_forward *forward;

	LIST_FOREACH (forward, &m->forwards, link) {
		struct policy_request request;
		struct policy_decision now;
		char address[ADDR_TEXT_MAX];

		/* By address: the old policy's names are being freed. */
		addr_text(&forward->decision.target_addr, address);
		monitor_forward_request(
			m, address, forward->decision.target_port, &request);
		policy_decide(m->policy, &request, &now);
		if (now.verdict != POLICY_PERMIT || !key_permits(m, forward) ||
			(now.approval &&
				!monitor_approval_holds(forward->approved)) ||
			!policy_allows(&now, POLICY_FORWARD, NULL) ||
			!monitor_same_way(m, &now, forward->via) ||
			!monitor_mfa_suffices(m, &now)) {
			*ret_reason = "a forward is no longer permitted";
			return false;
		}
		forward->decision = now;
	}
	return true;
}

void monitor_forwards_close(struct monitor *m)
{
	while (!LIST_EMPTY(&m->forwards))
		monitor_forward_closed(m, forward_first(m), 0, 0);
}

void monitor_forwards_done(struct monitor *m)
{
	struct monitor_forward *forward;

	while ((forward = LIST_FIRST(&m->forwards))) {
		LIST_REMOVE(forward, link);
		forward_free(forward);
	}
}
