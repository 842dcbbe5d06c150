/*
 * One monitor: what sgbridged says, what the session asks, deadlines, the end.
 * It believes the session nothing about who is logged on.
 */
#include "monitor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "core/forkmem.h"
#include "core/log.h"

#define END_PATIENCE   3000  /* ms for the session to say goodbye */
#define PATIENCE       30000 /* ms, if nothing is due */
#define REATTACH_EVERY 2000

uint64_t monitor_now_ms(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now))
		return 0;
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void monitor_report_state(struct monitor *m)
{
	struct msg msg;

	msg_init(&msg, MSG_MON_STATE);
	buf_put_u32(&msg.body, m->phase);
	buf_put_cstring(&msg.body, m->user);
	buf_put_cstring(&msg.body, m->target);
	buf_put_cstring(&msg.body, m->login);
	buf_put_cstring(&msg.body, m->rec_id);
	buf_put_cstring(&msg.body, m->parent_id);
	if (msg_send(m->control, &msg))
		log_put(LOG_DEBUG, "%s: sgbridged does not listen", m->conn_id);
	msg_done(&msg);
}

void monitor_report_penalty(struct monitor *m, enum monitor_penalty kind)
{
	struct msg msg;

	msg_init(&msg, MSG_MON_PENALTY);
	buf_put_u32(&msg.body, kind);
	if (msg_send(m->control, &msg))
		log_put(LOG_DEBUG, "%s: penalty not delivered", m->conn_id);
	msg_done(&msg);
}

static void say_end(struct monitor *m, const char *text)
{
	struct msg msg;

	msg_init(&msg, MSG_SES_END);
	buf_put_cstring(&msg.body, text);
	if (msg_send(m->session, &msg))
		monitor_session_kill(m);
	msg_done(&msg);
}

void monitor_end(
	struct monitor *m, enum recorder_close reason, const char *text)
{
	if (m->ending)
		return;
	m->ending = true;
	monitor_agent_close(m);
	m->close_reason = reason;
	snprintf(m->close_text, sizeof(m->close_text), "%s", text);
	m->deadline_ms = monitor_now_ms() + END_PATIENCE;
	say_end(m, text);
}

static void cut(struct monitor *m, enum recorder_close reason, const char *text,
	const char *why)
{
	struct event event = {
		.kind = EVENT_SESSION_CUT,
		.ok = true,
		.reason = why,
	};

	if (m->ending)
		return;
	if (m->user && monitor_event(m, &event))
		log_put(LOG_ERR, "%s: a cut left no event", m->conn_id);
	monitor_end(m, reason, text);
}

/* Settings and policy as sgbridged accepted them. The descriptors stay, for
 * the PAM module, which runs in this process and must judge by the same. */
enum sgb_err monitor_take_sealed(struct monitor *m, struct msg *msg)
{
	struct policy *policy = NULL;
	struct conf *conf = NULL;
	struct diag diag;
	enum sgb_err err;

	diag_init(&diag);
	err = conf_load_sealed(msg->fds[0], &conf, &diag);
	if (!err)
		err = policy_load_sealed(msg->fds[1], &policy, &diag);
	diag_done(&diag);
	if (err) {
		conf_free(conf);
		return err;
	}
	m->conf = conf;
	m->policy = policy;
	if (m->conf_fd >= 0)
		close(m->conf_fd);
	if (m->policy_fd >= 0)
		close(m->policy_fd);
	m->conf_fd = msg_take_fd(msg, 0);
	m->policy_fd = msg_take_fd(msg, 1);
	return SGB_OK;
}

/*
 * What would be refused now ends now, with the reason: after a reload, when
 * the time of something is over, and every half minute, since keys are taken
 * away without a word.
 */
static bool judge_again(struct monitor *m, bool reloaded)
{
	char text[sizeof(m->close_text)];
	const char *why = NULL;

	bool good = m->ending || monitor_still_permitted(m, reloaded, &why);

	monitor_judge_later(m);
	if (good)
		return true;
	snprintf(text, sizeof(text), "This session is no longer permitted: %s.",
		why);
	cut(m, RECORDER_CLOSE_POLICY, text, why);
	return false;
}

/*
 * Decisions, the connection's and its forwards', point into the policy that
 * made them. Where all were made anew the old one can go; where one refused,
 * some are new and some old, and both stay until the end, which is near.
 */
static enum sgb_err reload(struct monitor *m, struct msg *msg)
{
	struct policy *old_policy = m->policy;
	struct conf *old_conf = m->conf;
	enum sgb_err err;

	if (m->ending)
		return SGB_OK;
	err = monitor_take_sealed(m, msg);
	if (err)
		return err;
	if (judge_again(m, true))
		policy_free(old_policy);
	else
		m->spare_policy = old_policy;
	conf_free(old_conf);
	return SGB_OK;
}

static enum sgb_err told_to_end(struct monitor *m, struct msg *msg)
{
	char *text = reader_cstring(&msg->reader, 512);
	enum sgb_err err = reader_end(&msg->reader);

	if (!err)
		cut(m, RECORDER_CLOSE_POLICY, text, text);
	free(text);
	return err;
}

enum sgb_err monitor_control(struct monitor *m, struct msg *msg)
{
	switch (msg->type) {
	case MSG_MON_RELOAD: return reload(m, msg);
	case MSG_MON_END: return told_to_end(m, msg);
	case MSG_MON_JUDGE:
		(void)judge_again(m, false);
		return reader_end(&msg->reader);
	case MSG_MON_APPROVAL: return monitor_approval_verdict(m, msg);
	case MSG_MON_PENDING:
		return reader_end(&msg->reader) ? SGB_ERR_FORMAT
						: monitor_approval_pending(m);
	/* What came too late for whoever asked. */
	case MSG_MON_ADMIT:
	case MSG_MON_LIST:
	case MSG_MON_FILED: return SGB_OK;
	default: return SGB_ERR_PHASE;
	}
}

static enum sgb_err on_control(struct monitor *m)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_NONE);
	err = msg_recv(m->control, &msg);
	if (err == SGB_ERR_AGAIN) {
		err = SGB_OK;
	} else if (err == SGB_ERR_CLOSED) {
		/* sgbridged is being upgraded or died: sessions go on. */
		close(m->control);
		m->control = -1;
		err = SGB_OK;
	} else if (!err) {
		err = monitor_control(m, &msg);
	}
	msg_done(&msg);
	return err;
}

static enum sgb_err on_session(struct monitor *m)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_NONE);
	err = msg_recv(m->session, &msg);
	if (err == SGB_ERR_AGAIN) {
		err = SGB_OK;
	} else if (err == SGB_ERR_CLOSED) {
		close(m->session);
		m->session = -1;
		err = SGB_OK;
	} else if (!err && !m->ending) {
		err = monitor_request(m, &msg);
	}
	msg_done(&msg);
	return err;
}

static void on_deadline(struct monitor *m)
{
	if (m->ending) {
		monitor_session_kill(m);
		m->deadline_ms = 0;
	} else if (m->phase < MONITOR_PHASE_WAITING) {
		monitor_report_penalty(m, MONITOR_PENALTY_GRACE);
		monitor_end(
			m, RECORDER_CLOSE_CLIENT, "The login took too long.");
	} else {
		cut(m, RECORDER_CLOSE_POLICY, m->deadline_text,
			m->deadline_text);
	}
}

/* sgbridged was restarted: the new one lists us, and judges us by its policy.
 */
static void reattach(struct monitor *m)
{
	char source[ADDR_TEXT_MAX];
	uint64_t now = monitor_now_ms();
	struct msg msg;

	if (now - m->reattach_ms < REATTACH_EVERY)
		return;
	m->reattach_ms = now;
	if (msg_connect(m->conf->control_socket, &m->control)) {
		m->control = -1;
		return;
	}
	msg_init(&msg, MSG_MON_HELLO);
	buf_put_cstring(&msg.body, m->conn_id);
	buf_put_cstring(&msg.body, addr_text(&m->source, source));
	buf_put_u32(&msg.body, m->source_port);
	buf_put_u32(&msg.body, MSG_MON_VERSION);
	if (msg_send(m->control, &msg)) {
		close(m->control);
		m->control = -1;
	} else {
		log_put(LOG_NOTICE, "%s: known to the new sgbridged",
			m->conn_id);
		monitor_report_state(m);
		/* A request for approval starts anew. */
		if (m->phase == MONITOR_PHASE_WAITING)
			monitor_end(m, RECORDER_CLOSE_POLICY,
				"The bastion was restarted; please try again.");
		if (monitor_approval_drop(m, "sgbridged was restarted"))
			monitor_end(m, RECORDER_CLOSE_POLICY, "");
	}
	msg_done(&msg);
}

static void reap(struct monitor *m)
{
	struct monitor_child *child, *next;

	for (child = LIST_FIRST(&m->children); child; child = next) {
		next = LIST_NEXT(child, link);
		if (waitpid(child->pid, NULL, WNOHANG) != child->pid)
			continue;
		LIST_REMOVE(child, link);
		m->child_count--;
		free(child);
	}
}

enum { SLOT_SESSION, SLOT_CONTROL, SLOT_RECORDER, SLOT_AGENT, SLOTS };

static int until(uint64_t when_ms, int timeout)
{
	uint64_t now = monitor_now_ms();

	if (!when_ms)
		return timeout;
	if (when_ms <= now)
		return 0;
	return when_ms - now < (uint64_t)timeout ? (int)(when_ms - now)
						 : timeout;
}

static int wait_events(struct monitor *m, struct pollfd fds[SLOTS])
{
	int timeout = PATIENCE;

	fds[SLOT_SESSION].fd = m->session;
	fds[SLOT_CONTROL].fd = m->control;
	fds[SLOT_RECORDER].fd = m->recorder;
	fds[SLOT_AGENT].fd = m->logon.agent;
	if (m->control < 0)
		timeout = REATTACH_EVERY;
	timeout = until(m->deadline_ms, timeout);
	timeout = until(m->waiting.until_ms, timeout);
	timeout = until(m->judge_ms, timeout);
	timeout = until(m->rest_ms, timeout);
	return poll(fds, SLOTS, timeout);
}

/* What that took, the policy's and files', goes back at once. */
static void look_again(struct monitor *m)
{
	(void)judge_again(m, false);
	m->rest_ms = monitor_now_ms();
}

static enum sgb_err serve_once(struct monitor *m, struct pollfd fds[SLOTS])
{
	enum sgb_err err = SGB_OK;

	if (wait_events(m, fds) < 0)
		return errno == EINTR ? SGB_OK : SGB_ERR_SYSTEM;
	if (fds[SLOT_CONTROL].revents && m->control >= 0)
		err = on_control(m);
	if (!err && fds[SLOT_RECORDER].revents && m->recorder >= 0 &&
		!monitor_recorder_poll(m) && m->recording)
		cut(m, RECORDER_CLOSE_FAILED,
			"Recording failed; this session is ended.",
			"the recorder failed");
	if (!err && fds[SLOT_AGENT].revents && m->logon.agent >= 0 &&
		!monitor_agent_poll(m))
		monitor_agent_close(m);
	if (!err && fds[SLOT_SESSION].revents)
		err = on_session(m);
	if (!err && m->deadline_ms && monitor_now_ms() >= m->deadline_ms)
		on_deadline(m);
	if (!err && m->waiting.host && monitor_now_ms() >= m->waiting.until_ms)
		err = monitor_approval_drop(m, "nobody approved it in time");
	if (!err && monitor_now_ms() >= m->judge_ms)
		look_again(m);
	if (!err && m->control < 0)
		reattach(m);
	reap(m);
	monitor_hops_reap(m);
	if (m->rest_ms && monitor_now_ms() >= m->rest_ms) {
		m->rest_ms = 0;
		forkmem_rest();
	}
	return err;
}

/* How did it go? */
static void bury_session(struct monitor *m)
{
	struct event event = {.kind = EVENT_SESSION_CRASH};
	int status;

	if (m->session >= 0) {
		monitor_session_kill(m);
		close(m->session);
		m->session = -1;
	}
	monitor_agent_close(m);
	status = monitor_session_wait(m);
	if (!WIFSIGNALED(status) || m->session_killed)
		return;
	event.reason = strsignal(WTERMSIG(status));
	m->close_reason = RECORDER_CLOSE_CRASH;
	snprintf(m->close_text, sizeof(m->close_text), "%s", event.reason);
	monitor_report_penalty(m, MONITOR_PENALTY_CRASH);
	if (monitor_event(m, &event))
		log_put(LOG_ERR, "%s: a crash left no event", m->conn_id);
}

static void say_goodbye(struct monitor *m)
{
	struct event close_event = {
		.kind = EVENT_TARGET_CLOSE,
		.ok = true,
		.reason = m->close_text,
	};
	struct event logoff = {.kind = EVENT_LOGOFF, .ok = true};
	bool logged_on = m->phase >= MONITOR_PHASE_PROVED;

	if (m->close_reason == RECORDER_CLOSE_UNKNOWN)
		m->close_reason = RECORDER_CLOSE_CLIENT;
	if (!m->tried && m->mode == SESSION_MODE_DOOR)
		monitor_report_penalty(m, MONITOR_PENALTY_NO_AUTH);
	if (m->mode == SESSION_MODE_DOOR)
		monitor_account_tell(m);
	monitor_forwards_close(m);
	if (m->opened_ms && monitor_event(m, &close_event))
		log_put(LOG_ERR, "%s: event lost", m->conn_id);
	monitor_recorder_close(m);
	m->phase = MONITOR_PHASE_CLOSING;
	monitor_report_state(m);
	if (logged_on && m->mode == SESSION_MODE_DOOR &&
		monitor_event(m, &logoff))
		log_put(LOG_ERR, "%s: event lost", m->conn_id);
}

int monitor_serve(struct monitor *m)
{
	struct pollfd fds[SLOTS];
	enum sgb_err err = SGB_OK;
	size_t i;

	for (i = 0; i < SLOTS; i++)
		fds[i].events = POLLIN;
	while (m->session >= 0 && !err)
		err = serve_once(m, fds);
	if (err)
		log_put(LOG_ERR, "%s: %s", m->conn_id, sgb_err_text(err));
	bury_session(m);
	say_goodbye(m);
	return err ? EX_SOFTWARE : 0;
}

void monitor_done(struct monitor *m)
{
	struct monitor_child *child;

	monitor_pam_done(m);
	monitor_forwards_done(m);
	monitor_hops_done(m);
	while ((child = LIST_FIRST(&m->children))) {
		LIST_REMOVE(child, link);
		free(child);
	}
	monitor_logon_done(m);
	monitor_sign_done(m);
	policy_unix_groups_free(m->groups);
	policy_free(m->policy);
	policy_free(m->spare_policy);
	conf_free(m->conf);
	free(m->client_banner);
	free(m->user);
	free(m->approver);
	free(m->waiting.host);
	while (m->approved_count)
		free(m->approved[--m->approved_count].approver);
	free(m->key_blob);
	free(m->target);
	free(m->login);
	if (m->recorder >= 0)
		close(m->recorder);
	if (m->control >= 0)
		close(m->control);
	if (m->conf_fd >= 0)
		close(m->conf_fd);
	if (m->policy_fd >= 0)
		close(m->policy_fd);
	if (m->client >= 0)
		close(m->client);
	if (m->cradle >= 0)
		close(m->cradle);
}
