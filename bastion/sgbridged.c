/*
 * sgbridged: listens, limits, penalises, and starts a monitor for each
 * connection. Root, with one capability; parses no SSH, holds no key, and
 * never waits for anybody.
 */
#include "daemon.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/event.h"
#include "core/log.h"
#include "core/places.h"
#include "core/priv.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
/* Ports below 1024 until they are bound, and what a starter of session
 * processes has to be started with; a unit has none of both. */
static const int start_caps[] = {CAP_AUDIT_WRITE, CAP_SETUID, CAP_SETGID,
	CAP_KILL, CAP_SETPCAP, CAP_SYS_CHROOT, CAP_NET_BIND_SERVICE};
/* For good: what monitors need. The last three are for an
 * authorized-keys-command, which runs as another user. */
static const int run_caps[] = {
	CAP_AUDIT_WRITE, CAP_SETUID, CAP_SETGID, CAP_KILL};
#define RUN_CAPS_ALWAYS 1

#define REST_US		100000

static const char usage[] =
	"usage: sgbridged [-et] [-c file] [-s socket]\n"
	"  -c file  settings (" CONF_DEFAULT_PATH ")\n"
	"  -e       log to standard error\n"
	"  -s socket\n"
	"           where sgbridge-starter listens; else it is started\n"
	"  -t       check settings, policy and files, then exit\n"
	"Stays in the foreground. SIGHUP reloads, SIGTERM stops; sessions go "
	"on.\n";

uint64_t daemon_now_ms(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now))
		return 0;
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static enum sgb_err open_signals(struct daemon *d)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return SGB_ERR_SYSTEM;
	d->wake = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return d->wake < 0 ? SGB_ERR_SYSTEM : SGB_OK;
}

static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void on_signal(struct daemon *d)
{
	struct signalfd_siginfo info;
	char text[512] = "";

	while (read(d->wake, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP) {
			if (!daemon_reload(d, text, sizeof(text)))
				log_put(LOG_NOTICE, "%s", text);
		} else if (info.ssi_signo == SIGCHLD) {
			reap();
		} else {
			d->stopping = true;
		}
	}
}

struct slots {
	struct pollfd *fds;
	size_t count, room;
	size_t newcomers; /* how many of them owe a PROXY header */
};

static enum sgb_err add_slot(struct slots *slots, int fd)
{
	if (slots->count == slots->room) {
		size_t room = slots->room ? slots->room * 2 : 64;
		struct pollfd *fds;

		fds = reallocarray(slots->fds, room, sizeof(*fds));
		if (!fds)
			return SGB_ERR_NOMEM;
		slots->fds = fds;
		slots->room = room;
	}
	slots->fds[slots->count++] = (struct pollfd){
		.fd = fd, .events = POLLIN};
	return SGB_OK;
}

static enum sgb_err add_newcomer(void *arg, int fd)
{
	return add_slot(arg, fd);
}

static enum sgb_err collect(struct daemon *d, struct slots *slots)
{
	const struct connection *conn;
	enum sgb_err err;
	size_t i;

	slots->count = 0;
	err = add_slot(slots, d->wake);
	if (!err)
		err = add_slot(slots, daemon_rest(d) < 0 ? d->control : -1);
	if (!err)
		err = add_slot(slots, d->recorder);
	if (!err)
		err = add_slot(slots, d->nursery);
	if (!err)
		err = add_slot(slots, d->starter);
	for (i = 0; i < d->listener_count && !err; i++)
		err = add_slot(
			slots, daemon_rest(d) < 0 ? d->listeners[i] : -1);
	slots->newcomers = slots->count;
	if (!err)
		err = daemon_proxy_each(d, add_newcomer, slots);
	slots->newcomers = slots->count - slots->newcomers;
	TAILQ_FOREACH (conn, &d->connections, link)
		if (!err)
			err = add_slot(slots, conn->control);
	return err;
}

/* The order of collect(). Connections that appear meanwhile are at the end of
 * the list and wait for the next round. */
static void dispatch(struct daemon *d, const struct slots *slots)
{
	struct connection *conn = TAILQ_FIRST(&d->connections), *next;
	size_t i = 0, k;

	if (slots->fds[i++].revents)
		on_signal(d);
	if (slots->fds[i++].revents)
		daemon_control(d);
	if (slots->fds[i++].revents && d->recorder >= 0)
		daemon_event_poll(d);
	if (slots->fds[i++].revents && d->nursery >= 0)
		daemon_nursery_gone(d);
	if (slots->fds[i++].revents)
		daemon_starter_gone(d);
	for (k = 0; k < d->listener_count; k++)
		if (slots->fds[i++].revents)
			daemon_accept(d, d->listeners[k]);
	/* Theirs are few and cheap to ask; see below. */
	i += slots->newcomers;
	for (; conn && i < slots->count; conn = next) {
		next = TAILQ_NEXT(conn, link);
		if (slots->fds[i++].revents)
			connection_poll(d, conn);
	}
	/* Last: it may add connections. */
	daemon_proxy_poll(d);
}

/* Of two times to wait; -1 is for ever. */
static int sooner(int a, int b)
{
	if (a < 0 || (b >= 0 && b < a))
		return b;
	return a;
}

static int run(struct daemon *d)
{
	struct slots slots = {0};
	int status = 0;

	while (!d->stopping) {
		if (collect(d, &slots)) {
			status = EX_OSERR;
			break;
		}
		if (poll(slots.fds, slots.count,
			    sooner(daemon_rest(d),
				    sooner(systemd_watchdog(),
					    daemon_proxy_patience(d)))) < 0) {
			if (errno == EINTR)
				continue;
			/* The kernel has no memory; it may have some soon. */
			if (errno == ENOMEM && !usleep(REST_US))
				continue;
			status = EX_OSERR;
			break;
		}
		dispatch(d, &slots);
	}
	free(slots.fds);
	return status ? status : d->status;
}

static void parse_args(struct daemon *d, int argc, char **argv, bool *test)
{
	int c;

	while ((c = getopt(argc, argv, "c:es:th")) != -1) {
		switch (c) {
		case 'c': d->conf_path = optarg; break;
		case 'e': d->to_stderr = true; break;
		case 's': d->starter_path = optarg; break;
		case 't': *test = true; break;
		case 'h': fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(EX_USAGE);
		}
	}
	if (optind != argc) {
		fputs(usage, stderr);
		exit(EX_USAGE);
	}
}

/* A descriptor a connection: as many as the kernel lets us have. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* What a unit gives is what it wants to be had. */
static enum sgb_err give_up_power(const struct daemon *d)
{
	bool all = d->starter_path || d->conf->keys_command.count;

	return priv_keep_some(
		run_caps, all ? COUNT(run_caps) : RUN_CAPS_ALWAYS);
}

/* All or nothing: whatever fails here leaves no socket and no process. */
static int start(struct daemon *d)
{
	enum sgb_err err;

	raise_descriptors();
	if (daemon_listen(d))
		return EX_OSERR;
	if (daemon_starter_open(d))
		return EX_UNAVAILABLE;
	if (give_up_power(d) || open_signals(d)) {
		fprintf(stderr, "sgbridged: cannot give up privileges: %s\n",
			strerror(errno));
		return EX_OSERR;
	}
	if (!daemon_event_connect(d)) {
		fprintf(stderr,
			"sgbridged: recorder-socket %s: no recorder answers; "
			"start sgbridge-recorder first, nothing passes "
			"unrecorded\n",
			d->conf->recorder_socket);
		return EX_UNAVAILABLE;
	}
	err = msg_listen(d->conf->control_socket, &d->control);
	if (err) {
		fprintf(stderr, "sgbridged: control-socket %s: %s\n",
			d->conf->control_socket,
			err == SGB_ERR_BUSY ? "another sgbridged is running"
					    : strerror(errno));
		return EX_UNAVAILABLE;
	}
	if (daemon_nursery_start(d)) {
		fprintf(stderr, "sgbridged: no process for monitors: %s\n",
			strerror(errno));
		return EX_OSERR;
	}
	return 0;
}

static int serve(struct daemon *d, bool test)
{
	int status;

	if (test) {
		printf("%s: settings, policy and files are good\n",
			d->conf_path);
		return 0;
	}
	status = start(d);
	if (status)
		return status;
	daemon_event(d, NULL, true, EVENT_SERVICE_START, "sgbridged", NULL);
	systemd_notify("READY=1");
	status = run(d);
	systemd_notify("STOPPING=1");
	daemon_event(d, NULL, true, EVENT_SERVICE_STOP, "sgbridged", NULL);
	(void)unlink(d->conf->control_socket);
	return status;
}

/* Closing the control sockets tells monitors nothing but that we are gone;
 * their sessions go on. */
static void daemon_done(struct daemon *d)
{
	struct connection *conn;

	while ((conn = TAILQ_FIRST(&d->connections)))
		connection_close(d, conn);
	requests_done(d);
	daemon_proxy_done(d);
	program_done(&d->monitor);
	sources_free(d->sources);
	policy_free(d->policy);
	conf_free(d->conf);
}

int main(int argc, char **argv)
{
	struct daemon d = {.conf_path = CONF_DEFAULT_PATH,
		.conf_fd = -1,
		.policy_fd = -1,
		.control = -1,
		.wake = -1,
		.spare = -1,
		.recorder = -1,
		.nursery = -1,
		.starter = -1};
	bool test = false;
	int status;

	parse_args(&d, argc, argv, &test);
	log_init("sgbridged", d.to_stderr);
	TAILQ_INIT(&d.connections);
	TAILQ_INIT(&d.requests);
	TAILQ_INIT(&d.newcomers);
	if (geteuid() != 0) {
		fprintf(stderr, "sgbridged: must be started by root\n");
		return EX_NOPERM;
	}
	if (priv_harden() || priv_keep_some(start_caps, COUNT(start_caps)) ||
		sources_new(&d.sources)) {
		fprintf(stderr, "sgbridged: %s\n", strerror(errno));
		return EX_OSERR;
	}
	if (!priv_has_cap(CAP_AUDIT_WRITE)) {
		fprintf(stderr, "sgbridged: it needs CAP_AUDIT_WRITE\n");
		return EX_NOPERM;
	}
	status = daemon_load(&d) ? EX_CONFIG : serve(&d, test);
	daemon_done(&d);
	return status;
}
