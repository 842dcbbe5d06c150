/*
 * The cradle: this program, started, linked and initialised once, from which
 * a few session processes are forked. What the dynamic linker and OpenSSL
 * write at their start is a megabyte and the better part of the time of a
 * login; forked, it is shared. It speaks to monitors alone, reads nothing a
 * stranger wrote, and holds no key.
 *
 * Sessions of one cradle have one memory layout, so it has few, and none
 * after one of them died by a signal: whoever guesses at a layout gets one
 * try, as with a layout of one's own.
 */
#include "session_cradle.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"
#include "core/msg.h"

#define CRADLE_FD   3
#define SESSION_FDS 5 /* 0 to 2, the monitor, the client */

/* A session that lives. watch: to its monitor, which ends it by leaving. */
struct ward {
	pid_t pid; /* 0: none */
	int pidfd, watch;
	bool orphan; /* was told to end */
};

struct cradle {
	struct ward wards[MSG_CRADLE_MAX];
	unsigned int born, limit, alive;
	bool open;
};

static void shut(struct cradle *c)
{
	if (c->open)
		close(CRADLE_FD);
	c->open = false;
}

/* In the child: the descriptors where a session expects them, and none of
 * its siblings'. */
static bool settle(int link, int client)
{
	link = fcntl(link, F_DUPFD, SESSION_FDS);
	client = fcntl(client, F_DUPFD, SESSION_FDS);
	return link >= 0 && client >= 0 && dup2(link, CRADLE_FD) >= 0 &&
	       dup2(client, CRADLE_FD + 1) >= 0 &&
	       !close_range(SESSION_FDS, ~0u, 0);
}

static enum sgb_err announce(int watch, int pidfd)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_CRD_BORN);
	err = msg_put_fd(&msg, pidfd);
	if (!err)
		err = msg_send(watch, &msg);
	msg_done(&msg);
	return err;
}

static void kill_ward(const struct ward *ward)
{
	(void)syscall(SYS_pidfd_send_signal, ward->pidfd, SIGKILL, NULL, 0);
}

static void keep(struct cradle *c, struct msg *msg, pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct ward *ward = &c->wards[c->born];

	/* Without the descriptor nobody could look after it. */
	if (pidfd < 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		shut(c);
		return;
	}
	*ward = (struct ward){.pid = pid, .pidfd = pidfd};
	ward->watch = msg_take_fd(msg, 2);
	c->alive++;
	if (announce(ward->watch, ward->pidfd))
		kill_ward(ward);
	if (++c->born == c->limit)
		shut(c);
}

/* Returns true in the child. */
static bool request(struct cradle *c)
{
	struct msg msg;
	enum sgb_err err;
	pid_t pid = -1;

	msg_init(&msg, MSG_NONE);
	err = msg_recv(CRADLE_FD, &msg);
	if (!err && msg.type == MSG_CRD_START && !reader_end(&msg.reader)) {
		pid = fork();
		if (pid == 0) {
			/* Taken: what msg_done closes are the old numbers. */
			if (!settle(msg_take_fd(&msg, 0), msg_take_fd(&msg, 1)))
				_exit(126);
			(void)msg_take_fd(&msg, 2);
			msg_done(&msg);
			return true;
		}
	}
	/* Whoever asked sees its end of the watch close, and helps itself. */
	if (pid > 0)
		keep(c, &msg, pid);
	else if (err != SGB_ERR_AGAIN)
		shut(c);
	msg_done(&msg);
	return false;
}

static void report(const struct ward *ward, int status)
{
	struct msg msg;

	msg_init(&msg, MSG_CRD_DIED);
	buf_put_u32(&msg.body, (uint32_t)status);
	if (msg_send(ward->watch, &msg))
		log_put(LOG_DEBUG, "a session ended after its monitor");
	msg_done(&msg);
}

static void bury(struct cradle *c, struct ward *ward)
{
	int status = 0;

	if (waitpid(ward->pid, &status, WNOHANG) != ward->pid)
		return;
	report(ward, status);
	if (WIFSIGNALED(status))
		shut(c);
	close(ward->watch);
	close(ward->pidfd);
	ward->pid = 0;
	c->alive--;
}

static void look_after(
	struct cradle *c, struct ward *ward, const struct pollfd fds[2])
{
	if (!ward->pid)
		return;
	/* Its monitor is no more: PDEATHSIG, for a child that is not its. */
	if (fds[1].revents) {
		kill_ward(ward);
		ward->orphan = true;
	}
	if (fds[0].revents)
		bury(c, ward);
}

/* Returns true in a child. */
static bool serve_once(struct cradle *c)
{
	struct pollfd fds[1 + 2 * MSG_CRADLE_MAX];
	unsigned int i;

	fds[0] = (struct pollfd){c->open ? CRADLE_FD : -1, POLLIN, 0};
	for (i = 0; i < c->born; i++) {
		const struct ward *ward = &c->wards[i];
		bool lives = ward->pid, watched = lives && !ward->orphan;

		fds[1 + 2 * i] = (struct pollfd){
			lives ? ward->pidfd : -1, POLLIN, 0};
		fds[2 + 2 * i] = (struct pollfd){
			watched ? ward->watch : -1, POLLIN, 0};
	}
	if (poll(fds, 1 + 2 * c->born, -1) < 0)
		return false;
	for (i = 0; i < c->born; i++)
		look_after(c, &c->wards[i], &fds[1 + 2 * i]);
	return c->open && fds[0].revents && request(c);
}

bool session_cradle(unsigned int limit)
{
	static struct cradle c = {.open = true};

	c.limit = limit < MSG_CRADLE_MAX ? limit : MSG_CRADLE_MAX;
	/* The monitor that started this one has no wish to know. */
	(void)signal(SIGCHLD, SIG_DFL);
	while (c.open || c.alive)
		if (serve_once(&c))
			return true;
	return false;
}
