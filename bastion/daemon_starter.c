/*
 * sgbridge-starter, which has the power to start session processes so that
 * nobody here needs it: reached by its socket (-s), or else started by
 * sgbridged before that gives up what the starter keeps.
 */
#include "daemon.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/log.h"

#define LINK_FD	      3
#define READY_SECONDS 10

static void exec_starter(const struct daemon *d, int sock)
{
	char path[PATH_MAX];
	const char *const argv[] = {"sgbridge-starter", "-c", d->conf_path,
		d->to_stderr ? "-e" : NULL, NULL};
	char *const envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};

	snprintf(path, sizeof(path), "%s/sgbridge-starter",
		d->conf->program_directory);
	if (dup2(sock, LINK_FD) < 0 || close_range(LINK_FD + 1, ~0u, 0))
		_exit(126);
	/* dup2 of 3 onto itself keeps close-on-exec. */
	if (fcntl(LINK_FD, F_SETFD, 0))
		_exit(126);
	execve(path, (char *const *)argv, envp);
	_exit(127);
}

static enum sgb_err await_ready(int sock)
{
	struct pollfd fd = {.fd = sock, .events = POLLIN};
	struct msg msg;
	enum sgb_err err = SGB_ERR_TIMEOUT;

	msg_init(&msg, MSG_NONE);
	if (poll(&fd, 1, READY_SECONDS * 1000) == 1)
		err = msg_recv(sock, &msg);
	if (!err && msg.type != MSG_STA_READY)
		err = SGB_ERR_PHASE;
	msg_done(&msg);
	return err;
}

static enum sgb_err start(struct daemon *d)
{
	enum sgb_err err;
	int pair[2];
	pid_t pid;

	err = msg_pair(pair);
	if (err)
		return err;
	pid = fork();
	if (pid == 0)
		exec_starter(d, pair[1]);
	close(pair[1]);
	err = pid < 0 ? SGB_ERR_SYSTEM : await_ready(pair[0]);
	if (err)
		close(pair[0]);
	else
		d->starter = pair[0];
	return err;
}

enum sgb_err daemon_starter_open(struct daemon *d)
{
	enum sgb_err err;
	int sock;

	if (!d->starter_path) {
		err = start(d);
		if (err)
			fprintf(stderr,
				"sgbridged: sgbridge-starter does not start; "
				"see what it logged\n");
		return err;
	}
	err = msg_connect(d->starter_path, &sock);
	if (err)
		fprintf(stderr,
			"sgbridged: %s: no starter answers; start "
			"sgbridge-starter first, or leave -s out\n",
			d->starter_path);
	else
		close(sock);
	return err;
}

void daemon_starter_reload(struct daemon *d)
{
	int sock = d->starter;
	struct msg msg;
	enum sgb_err err = SGB_OK;

	if (d->starter_path)
		err = msg_connect(d->starter_path, &sock);
	msg_init(&msg, MSG_STA_RELOAD);
	if (!err)
		err = msg_send(sock, &msg);
	msg_done(&msg);
	if (d->starter_path && sock >= 0)
		close(sock);
	if (err)
		log_put(LOG_ERR, "sgbridge-starter keeps its old settings: %s",
			sgb_err_text(err));
}

void daemon_starter_gone(struct daemon *d)
{
	log_put(LOG_ERR, "sgbridge-starter ended, and with it every new "
			 "connection; stopping, sessions go on");
	d->stopping = true;
	d->status = EX_SOFTWARE;
}
