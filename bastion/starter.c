/*
 * sgbridge-starter: starts the program of sessions. It alone holds the power
 * to become another user and to change the root folder, so that neither
 * sgbridged nor a monitor needs it. Monitors ask it for a cradle
 * (session_cradle.c), from which their sessions are forked.
 *
 * Trusts its settings, and root's processes, to ask for as many as they need;
 * which program it is, whose user a session becomes and where its root is, is
 * no word of theirs. It must not touch the network, hold a key or read
 * anything that a stranger wrote.
 *
 * Without -s, descriptor 3 is sgbridged's socket: it then ends with the last
 * process that has the other end.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/log.h"
#include "core/msg.h"
#include "core/notify.h"
#include "core/places.h"
#include "core/priv.h"
#include "core/program.h"

#define LINK_FD 3

struct starter {
	const char *conf_path, *socket_path;
	struct conf *conf;
	struct program session;
	unsigned int uid, gid; /* of sessions */
};

/* Of session processes: their user, their root, their bounding set, and to
 * end them when their monitor is gone. */
static const int kept_caps[] = {
	CAP_SETPCAP, CAP_SETUID, CAP_SETGID, CAP_SYS_CHROOT, CAP_KILL};

static const char usage[] =
	"usage: sgbridge-starter [-e] [-c file] [-s socket]\n"
	"  -c file    settings (" CONF_DEFAULT_PATH ")\n"
	"  -e         log to standard error\n"
	"  -s socket  listen there; otherwise descriptor 3 is sgbridged's\n"
	"Starts session processes for monitors. Run by systemd, or by "
	"sgbridged.\n";

static void parse_args(
	struct starter *starter, int argc, char **argv, bool *to_stderr)
{
	int c;

	while ((c = getopt(argc, argv, "c:es:h")) != -1) {
		switch (c) {
		case 'c': starter->conf_path = optarg; break;
		case 'e': *to_stderr = true; break;
		case 's': starter->socket_path = optarg; break;
		case 'h': fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(EX_USAGE);
		}
	}
	if (optind != argc) {
		fputs(usage, stderr);
		exit(EX_USAGE);
	}
}

/* As it is now, or was at the start: the monitors that ask for it are of the
 * same version as this process, and an upgrade may leave all of them alone. */
static enum sgb_err keep_program(struct starter *starter, const char *folder)
{
	enum sgb_err err;

	err = program_open(&starter->session, folder, "sgbridge-session");
	if (err)
		log_put(LOG_ERR, "program-directory %s: sgbridge-session: %s",
			folder,
			err == SGB_ERR_SYSTEM ? strerror(errno)
					      : sgb_err_text(err));
	return err;
}

/* All or nothing; the old settings stay if the new ones are wrong. */
static enum sgb_err load(struct starter *starter)
{
	unsigned int uid = 0, gid = 0;
	struct conf *conf = NULL;
	char text[512] = "";
	struct diag diag;
	enum sgb_err err;

	diag_init(&diag);
	err = conf_load(starter->conf_path, &conf, &diag);
	if (err)
		diag_first_line(&diag, text, sizeof(text));
	else
		err = conf_user(conf->session_user, &uid, &gid);
	diag_done(&diag);
	if (err)
		log_put(LOG_ERR, "%s: %s", starter->conf_path,
			*text ? text : sgb_err_text(err));
	else
		err = keep_program(starter, conf->program_directory);
	if (err) {
		conf_free(conf);
		return err;
	}
	conf_free(starter->conf);
	starter->conf = conf;
	starter->uid = uid;
	starter->gid = gid;
	return SGB_OK;
}

/* In the forked child: nothing is inherited but this one descriptor. Our log
 * is not for it to write to, but for debugging (-e). */
static void exec_cradle(
	const struct starter *starter, uint32_t count, int cradle)
{
	char number[16], user[32];
	char *const argv[] = {"sgbridge-session", "-c", number, "-u", user,
		"-r", starter->conf->empty_root, NULL};
	char *const envp[] = {NULL};
	int quiet;

	snprintf(number, sizeof(number), "%" PRIu32, count);
	snprintf(user, sizeof(user), "%u:%u", starter->uid, starter->gid);
	quiet = log_is_stderr() ? -1 : open("/dev/null", O_RDWR);
	if (quiet >= 0 && (dup2(quiet, 0) < 0 || dup2(quiet, 1) < 0 ||
				  dup2(quiet, 2) < 0))
		_exit(126);
	/* Out of the way first: it may be 3 itself. */
	cradle = fcntl(cradle, F_DUPFD, LINK_FD + 1);
	if (cradle < 0 || dup2(cradle, LINK_FD) < 0)
		_exit(126);
	program_exec(&starter->session, LINK_FD + 1, argv, envp);
	_exit(127);
}

/* Whoever asked sees the cradle's other end close if there is none. */
static enum sgb_err start_cradle(const struct starter *starter, struct msg *msg)
{
	uint32_t count = reader_u32(&msg->reader);
	enum sgb_err err = reader_end(&msg->reader);
	pid_t pid;

	if (!err && !count)
		err = SGB_ERR_FORMAT;
	if (err)
		return err;
	pid = fork();
	if (pid == 0)
		exec_cradle(starter, count, msg->fds[0]);
	if (pid < 0)
		log_put(LOG_ERR, "no process for sessions: %s",
			strerror(errno));
	return SGB_OK;
}

static enum sgb_err reload(struct starter *starter, struct msg *msg)
{
	enum sgb_err err = reader_end(&msg->reader);

	if (!err && load(starter))
		log_put(LOG_ERR, "the old settings stay");
	return err;
}

/* One request. SGB_ERR_CLOSED at the end of them. */
static enum sgb_err serve(struct starter *starter, int sock)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_NONE);
	err = msg_recv(sock, &msg);
	if (!err && msg.type == MSG_STA_CRADLE)
		err = start_cradle(starter, &msg);
	else if (!err && msg.type == MSG_STA_RELOAD)
		err = reload(starter, &msg);
	else if (!err)
		err = SGB_ERR_PHASE;
	if (err && err != SGB_ERR_CLOSED)
		log_put(LOG_ERR, "a request that is none: %s",
			sgb_err_text(err));
	msg_done(&msg);
	return err;
}

static bool is_root(int sock)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return !getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) &&
	       len == sizeof(cred) && cred.uid == 0;
}

/* One connection a request, in the order in which they came. Whoever connects
 * and says nothing keeps others waiting for a second; only root can. */
static int serve_socket(struct starter *starter, int listening)
{
	static const struct timeval patience = {.tv_sec = 1};

	for (;;) {
		int sock = accept4(listening, NULL, NULL, SOCK_CLOEXEC);

		if (sock < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (sock < 0) {
			log_put(LOG_ERR, "%s: %s", starter->socket_path,
				strerror(errno));
			return EX_OSERR;
		}
		if (is_root(sock) &&
			!setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience,
				sizeof(patience)) &&
			serve(starter, sock))
			log_put(LOG_NOTICE, "nothing was started");
		close(sock);
	}
}

static int serve_link(struct starter *starter)
{
	struct msg msg;
	enum sgb_err err;

	(void)fcntl(LINK_FD, F_SETFD, FD_CLOEXEC);
	msg_init(&msg, MSG_STA_READY);
	err = msg_send(LINK_FD, &msg);
	msg_done(&msg);
	while (err != SGB_ERR_CLOSED && err != SGB_ERR_SYSTEM)
		err = serve(starter, LINK_FD);
	return err == SGB_ERR_CLOSED ? 0 : EX_OSERR;
}

static int run(struct starter *starter)
{
	enum sgb_err err;
	int listening;

	if (!starter->socket_path)
		return serve_link(starter);
	err = msg_listen(starter->socket_path, &listening);
	/* One thing after the other: nothing to do but wait for a request. */
	if (!err && fcntl(listening, F_SETFL, 0))
		err = SGB_ERR_SYSTEM;
	if (err) {
		log_put(LOG_ERR, "%s: %s", starter->socket_path,
			err == SGB_ERR_BUSY ? "somebody answers there"
					    : strerror(errno));
		return EX_UNAVAILABLE;
	}
	notify_send("READY=1");
	return serve_socket(starter, listening);
}

int main(int argc, char **argv)
{
	struct starter starter = {.conf_path = CONF_DEFAULT_PATH};
	bool to_stderr = false;
	int status;

	parse_args(&starter, argc, argv, &to_stderr);
	log_init("sgbridge-starter", to_stderr);
	if (geteuid() != 0)
		log_fatal(EX_NOPERM, "must be started by root");
	if (priv_reset_signals() || priv_harden() ||
		priv_keep_caps(
			kept_caps, sizeof(kept_caps) / sizeof(kept_caps[0])))
		log_fatal(EX_OSERR, "cannot take up its capabilities: %s",
			strerror(errno));
	status = load(&starter) ? EX_CONFIG : run(&starter);
	conf_free(starter.conf);
	program_done(&starter.session);
	return status;
}
