/*
 * Session processes from a cradle (session_cradle.c): a session program that
 * was started once and forks some. Whatever a cradle does not do, the monitor
 * does itself, by starting the program for this one session. Ending and
 * burying a session, whoever its parent is. Trusts the cradle: it runs as
 * root and reads what monitors send, nothing else.
 */
#include "monitor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"

#define BORN_PATIENCE \
	10000 /* ms: one that is just starting must link first \
	       */
#define DIED_PATIENCE 3000

static bool cradle_open(const struct monitor *m)
{
	struct pollfd fd = {.fd = m->cradle, .events = POLLOUT};

	return m->cradle >= 0 && poll(&fd, 1, 0) >= 0 &&
	       !(fd.revents & (POLLHUP | POLLERR));
}

void monitor_cradle_keep(struct monitor *m)
{
	char count[24];
	char *const argv[] = {"sgbridge-session", "-c", count, NULL};
	int pair[2], fds[2];
	pid_t pid;

	if (m->conf->sessions_per_start < 2 || cradle_open(m))
		return;
	if (m->cradle >= 0)
		close(m->cradle);
	m->cradle = -1;
	if (msg_pair(pair))
		return;
	snprintf(count, sizeof(count), "%llu",
		(unsigned long long)m->conf->sessions_per_start);
	fds[0] = pair[1];
	fds[1] = -1;
	pid = fork();
	if (pid == 0)
		monitor_exec_session(m, argv, fds);
	close(pair[1]);
	m->cradle = pair[0];
	if (pid > 0)
		return;
	close(m->cradle);
	m->cradle = -1;
}

static enum sgb_err ask(struct monitor *m, int link, int watch)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_CRD_START);
	err = msg_put_fd(&msg, link);
	if (!err)
		err = msg_put_fd(&msg, m->client);
	if (!err)
		err = msg_put_fd(&msg, watch);
	if (!err)
		err = msg_send(m->cradle, &msg);
	msg_done(&msg);
	return err;
}

static enum sgb_err await_birth(struct monitor *m)
{
	struct pollfd fd = {.fd = m->session_watch, .events = POLLIN};
	struct msg msg;
	enum sgb_err err = SGB_ERR_SYSTEM;

	msg_init(&msg, MSG_NONE);
	if (poll(&fd, 1, BORN_PATIENCE) == 1)
		err = msg_recv(m->session_watch, &msg);
	if (!err && msg.type != MSG_CRD_BORN)
		err = SGB_ERR_PHASE;
	if (!err)
		err = reader_end(&msg.reader);
	if (!err)
		m->session_pidfd = msg_take_fd(&msg, 0);
	msg_done(&msg);
	return err;
}

enum sgb_err monitor_cradle_session(struct monitor *m, int link)
{
	enum sgb_err err;
	int watch[2];

	if (m->cradle < 0)
		return SGB_ERR_NOTFOUND;
	err = msg_pair(watch);
	if (err)
		return err;
	m->session_watch = watch[0];
	err = ask(m, link, watch[1]);
	close(watch[1]);
	/* Closed without a word: it had its number, and the kernel dropped
	 * what lay in its queue. */
	if (!err)
		err = await_birth(m);
	if (!err)
		return SGB_OK;
	close(m->session_watch);
	m->session_watch = -1;
	return err == SGB_ERR_CLOSED ? SGB_ERR_NOTFOUND : err;
}

void monitor_session_kill(struct monitor *m)
{
	m->session_killed = true;
	if (m->session_pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, m->session_pidfd, SIGKILL,
			NULL, 0);
	else if (m->session_pid > 0)
		(void)kill(m->session_pid, SIGKILL);
}

static int wait_child(struct monitor *m)
{
	int status = 0;

	while (waitpid(m->session_pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static int wait_cradle(struct monitor *m)
{
	struct pollfd fd = {.fd = m->session_watch, .events = POLLIN};
	struct msg msg;
	int status = 0;

	msg_init(&msg, MSG_NONE);
	if (poll(&fd, 1, DIED_PATIENCE) == 1 &&
		!msg_recv(m->session_watch, &msg) && msg.type == MSG_CRD_DIED)
		status = (int)reader_u32(&msg.reader);
	msg_done(&msg);
	return status;
}

/* A session that closed its socket to us has no more to do; one that stays
 * around is helped. */
int monitor_session_wait(struct monitor *m)
{
	struct pollfd fd = {.fd = m->session_pidfd, .events = POLLIN};
	int status;

	if (fd.fd < 0 || poll(&fd, 1, DIED_PATIENCE) != 1)
		monitor_session_kill(m);
	status = m->session_watch >= 0 ? wait_cradle(m) : wait_child(m);
	if (m->session_watch >= 0)
		close(m->session_watch);
	if (m->session_pidfd >= 0)
		close(m->session_pidfd);
	m->session_watch = m->session_pidfd = -1;
	return status;
}
