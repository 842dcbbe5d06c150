/*
 * What a session process is told at its start, and forking a monitor for a
 * connection inside this one: the child inherits what was proved, so that no
 * message has to be believed about it.
 */
#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/secret.h"

static enum sgb_err send_start(struct monitor *m)
{
	char source[ADDR_TEXT_MAX];
	struct msg msg;
	enum sgb_err err = SGB_OK;

	msg_init(&msg, MSG_SES_START);
	buf_put_u32(&msg.body, m->mode);
	buf_put_cstring(&msg.body, m->conn_id);
	buf_put_cstring(&msg.body, addr_text(&m->source, source));
	buf_put_u32(&msg.body, m->source_port);
	buf_put_cstring(&msg.body, m->user);
	buf_put_cstring(&msg.body, m->conf->banner);
	buf_put_u32(&msg.body, (uint32_t)m->conf->max_auth_tries);
	buf_put_u32(&msg.body, (uint32_t)m->conf->max_channels);
	buf_put_u32(&msg.body, (uint32_t)m->conf->keepalive);
	buf_put_u32(&msg.body, m->conf->fast_ciphers);
	buf_put_u64(&msg.body, m->conf->max_session_memory);
	if (m->mode == SESSION_MODE_HOP)
		buf_put_u32(&msg.body, 0);
	else
		err = monitor_sign_keys(m, &msg.body);
	if (!err)
		err = msg_send(m->session, &msg);
	msg_done(&msg);
	return err;
}

enum sgb_err monitor_spawn_session(struct monitor *m)
{
	struct timeval patience = {.tv_sec = 5};
	enum sgb_err err;
	int pair[2];

	err = msg_pair(pair);
	if (err)
		return err;
	err = monitor_cradle_session(m, pair[1]);
	close(pair[1]);
	m->session = pair[0];
	/* A session that stops reading must not stop us. */
	(void)setsockopt(m->session, SOL_SOCKET, SO_SNDTIMEO, &patience,
		sizeof(patience));
	if (err)
		return err;
	close(m->client);
	m->client = -1;
	m->phase = MONITOR_PHASE_AUTH;
	return send_start(m);
}

/* What was approved, and where forwards went, is the outer connection's. */
static void forget_approvals(struct monitor *m)
{
	free(m->approver);
	m->approver = NULL;
	m->approved_until_ms = 0;
	m->asks = 0;
	m->ask_id[0] = '\0';
	m->chosen = false;
	while (m->approved_count)
		free(m->approved[--m->approved_count].approver);
	m->place_count = 0;
}

/* What the child must not share with its parent. */
static enum sgb_err become_inner(struct monitor *m, const char *id, int control,
	int stream, const char *target, uint16_t port)
{
	close(m->control);
	close(m->session);
	/* By which the cradle knows that the outer monitor lives. */
	if (m->session_watch >= 0)
		close(m->session_watch);
	if (m->session_pidfd >= 0)
		close(m->session_pidfd);
	m->session_watch = m->session_pidfd = -1;
	if (m->recorder >= 0)
		close(m->recorder);
	monitor_logon_done(m);
	monitor_forwards_done(m);
	forget_approvals(m);
	m->control = control;
	m->client = stream;
	m->session = m->recorder = -1;
	m->session_killed = false;
	m->session_id_len = 0;
	m->events = 0;
	/* The PAM session belongs to the outer connection. */
	m->pam = NULL;
	m->pam_session = false;
	LIST_INIT(&m->children);
	LIST_INIT(&m->forwards);
	monitor_hops_done(m);
	m->child_count = 0;
	m->mode = SESSION_MODE_INNER;
	m->phase = MONITOR_PHASE_START;
	m->deadline_ms = monitor_now_ms() + m->conf->login_grace * 1000;
	strcpy(m->parent_id, m->conn_id);
	strcpy(m->conn_id, id);
	free(m->client_banner);
	m->client_banner = NULL;
	m->target = strdup(target);
	m->port = port;
	return m->target ? SGB_OK : SGB_ERR_NOMEM;
}

static void run_inner(struct monitor *m, const char *id, int control,
	int stream, const char *target, uint16_t port)
{
	int status = 1;

	if (!become_inner(m, id, control, stream, target, port) &&
		!monitor_spawn_session(m))
		status = monitor_serve(m);
	monitor_done(m);
	_exit(status);
}

static enum sgb_err announce(struct monitor *m, const char *id, int control)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_MON_CHILD);
	buf_put_cstring(&msg.body, id);
	err = msg_put_fd(&msg, control);
	if (!err)
		err = msg_send(m->control, &msg);
	msg_done(&msg);
	return err;
}

enum sgb_err monitor_fork_inner(
	struct monitor *m, const char *target, uint16_t port, int *ret_stream)
{
	struct monitor_child *child = calloc(1, sizeof(*child));
	int control[2] = {-1, -1}, stream[2] = {-1, -1};
	enum sgb_err err = child ? SGB_OK : SGB_ERR_NOMEM;
	char id[CONN_ID_MAX];
	uint32_t random;

	if (!err)
		err = secret_random(&random, sizeof(random));
	if (!err)
		err = msg_pair(control);
	if (!err && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream))
		err = SGB_ERR_SYSTEM;
	/* As sgbridged makes them: sorts by time. */
	if (!err)
		snprintf(id, sizeof(id), "%08lx%08x", (unsigned long)time(NULL),
			random);
	if (!err)
		err = announce(m, id, control[0]);
	if (!err) {
		child->pid = fork();
		if (child->pid == 0) {
			close(control[0]);
			close(stream[0]);
			run_inner(m, id, control[1], stream[1], target, port);
		}
		err = child->pid < 0 ? SGB_ERR_SYSTEM : SGB_OK;
	}
	if (control[0] >= 0)
		close(control[0]);
	if (control[1] >= 0)
		close(control[1]);
	if (stream[1] >= 0)
		close(stream[1]);
	if (err) {
		if (stream[0] >= 0)
			close(stream[0]);
		free(child);
		return err;
	}
	LIST_INSERT_HEAD(&m->children, child, link);
	m->child_count++;
	*ret_stream = stream[0];
	return SGB_OK;
}
