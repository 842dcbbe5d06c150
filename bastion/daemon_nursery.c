/*
 * The nursery: sgbridge-monitor, started once per settings and policy, from
 * which the monitors of all connections are forked.
 */
#include "daemon.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/log.h"

#define NURSERY_FD 3
#define STARTER_FD 4
#define FREE_FD	   5

static void exec_nursery(struct daemon *d, int sock)
{
	const char *argv[] = {"sgbridge-monitor", NULL, NULL, NULL, NULL};
	const char **arg = &argv[1];
	int starter = -1;
	char *const envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};

	if (d->to_stderr)
		*arg++ = "-e";
	if (d->starter_path) {
		*arg++ = "-s";
		*arg++ = d->starter_path;
	}
	/* Out of the way first: either may be 3 or 4 itself. */
	sock = fcntl(sock, F_DUPFD, FREE_FD);
	if (d->starter >= 0)
		starter = fcntl(d->starter, F_DUPFD, FREE_FD);
	if (sock < 0 || dup2(sock, NURSERY_FD) < 0 ||
		(starter >= 0 && dup2(starter, STARTER_FD) < 0))
		_exit(126);
	program_exec(&d->monitor, starter >= 0 ? STARTER_FD + 1 : STARTER_FD,
		(char *const *)argv, envp);
	_exit(127);
}

static enum sgb_err hand_over(struct daemon *d, int sock)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_MON_NURSE);
	err = msg_put_fd(&msg, d->conf_fd);
	if (!err)
		err = msg_put_fd(&msg, d->policy_fd);
	if (!err)
		err = msg_send(sock, &msg);
	msg_done(&msg);
	return err;
}

enum sgb_err daemon_nursery_start(struct daemon *d)
{
	enum sgb_err err;
	int pair[2];
	pid_t pid;

	/* Of this daemon's own version, after an upgrade that left it alone. */
	err = program_open(
		&d->monitor, d->conf->program_directory, "sgbridge-monitor");
	if (!err)
		err = msg_pair(pair);
	if (err)
		return err;
	pid = fork();
	if (pid == 0)
		exec_nursery(d, pair[1]);
	close(pair[1]);
	err = pid < 0 ? SGB_ERR_SYSTEM : hand_over(d, pair[0]);
	/* A nursery that does not keep up must not stop us. */
	if (!err && fcntl(pair[0], F_SETFL, O_NONBLOCK))
		err = SGB_ERR_SYSTEM;
	if (err) {
		close(pair[0]);
		return err;
	}
	if (d->nursery >= 0)
		close(d->nursery);
	d->nursery = pair[0];
	return SGB_OK;
}

enum sgb_err daemon_nursery_fork(struct daemon *d,
	const struct connection *conn, int client, int control,
	const char *local)
{
	char source[ADDR_TEXT_MAX], front[ADDR_TEXT_MAX] = "";
	struct msg msg;
	enum sgb_err err = SGB_OK;

	if (d->nursery < 0)
		err = daemon_nursery_start(d);
	if (err)
		return err;
	msg_init(&msg, MSG_MON_START);
	buf_put_cstring(&msg.body, conn->id);
	buf_put_cstring(&msg.body, addr_text(&conn->source, source));
	buf_put_u32(&msg.body, conn->port);
	if (conn->front.family)
		addr_text(&conn->front, front);
	buf_put_cstring(&msg.body, front);
	buf_put_cstring(&msg.body, local);
	err = msg_put_fd(&msg, client);
	if (!err)
		err = msg_put_fd(&msg, control);
	if (!err)
		err = msg_send(d->nursery, &msg);
	msg_done(&msg);
	return err;
}

void daemon_nursery_gone(struct daemon *d)
{
	log_put(LOG_ERR, "sgbridge-monitor ended; the next connection starts "
			 "it again");
	close(d->nursery);
	d->nursery = -1;
}
