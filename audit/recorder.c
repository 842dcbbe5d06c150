/*
 * sgbridge-recorder: the only writer of evidence. Starts as root to read its
 * signing key and to bind its socket, then becomes its own user for good. It
 * believes monitors (root, by SO_PEERCRED) and no session; it holds no key that
 * reads what it wrote.
 *
 * One loop that never waits for the disk. In a round everything that is ready
 * is taken and written; threads sync it, and what they are done with is
 * answered (recorder_disk.c).
 */
#include "recorder.h"

#include <errno.h>
#include <linux/capability.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/notify.h"
#include "core/places.h"
#include "core/priv.h"

#include "syncer.h"

#define ROUND	    64
#define OUT_MAX	    (4 * SGR_BODY_MAX)
#define DESCRIPTORS 65536

static uint64_t clock_ns(clockid_t id)
{
	struct timespec now = {0, 0};

	(void)clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t recorder_wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

uint64_t recorder_mono_us(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000;
}

uint64_t recorder_day(void)
{
	return recorder_wall_ns() / (86400ULL * 1000000000);
}

uint64_t recorder_free_bytes(const struct recorder *recorder)
{
	struct statvfs st;

	if (fstatvfs(recorder->recordings_fd, &st))
		return 0;
	if (st.f_files && st.f_favail < 16)
		return 0;
	return (uint64_t)st.f_bavail * st.f_frsize;
}

static void watch(struct recorder *recorder, int fd, struct watch *what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};

	if (epoll_ctl(recorder->epoll_fd, EPOLL_CTL_ADD, fd, &event))
		log_fatal(EX_OSERR, "epoll: %s", strerror(errno));
}

static void open_loop(struct recorder *recorder)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		log_fatal(EX_OSERR, "sigprocmask: %s", strerror(errno));
	recorder->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	recorder->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (recorder->signal_fd < 0 || recorder->epoll_fd < 0)
		log_fatal(
			EX_OSERR, "cannot make the loop: %s", strerror(errno));
	if (syncer_start(&recorder->syncer, &recorder->sync_fd))
		log_fatal(EX_OSERR, "cannot start the syncing threads");
	recorder->sync_watch.kind = WATCH_SYNC;
	watch(recorder, recorder->sync_fd, &recorder->sync_watch);
	recorder->listen_watch.kind = WATCH_LISTEN;
	recorder->signal_watch.kind = WATCH_SIGNAL;
	watch(recorder, recorder->listen_fd, &recorder->listen_watch);
	watch(recorder, recorder->signal_fd, &recorder->signal_watch);
}

static void take_socket(struct recorder *recorder)
{
	const char *path = recorder->conf->recorder_socket;
	enum sgb_err err = msg_listen(path, &recorder->listen_fd);

	if (err == SGB_ERR_BUSY)
		log_fatal(EX_UNAVAILABLE,
			"recorder-socket %s: another recorder answers there; "
			"stop it first",
			path);
	if (err)
		log_fatal(EX_CANTCREAT,
			"recorder-socket %s: %s; its folder must exist and be "
			"root's",
			path,
			err == SGB_ERR_SYSTEM ? strerror(errno)
					      : sgb_err_text(err));
}

/* Three descriptors a recording, and those that wait for the disk. */
static void raise_limits(void)
{
	struct rlimit limit, more;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	more.rlim_cur = more.rlim_max = DESCRIPTORS;
	if (limit.rlim_max < DESCRIPTORS && geteuid() == 0 &&
		!setrlimit(RLIMIT_NOFILE, &more))
		return;
	/* A container may not let root have more: then what there is. */
	if (setrlimit(RLIMIT_NOFILE, &limit))
		log_put(LOG_WARNING, "descriptors: %s", strerror(errno));
}

static void give_up_power(struct recorder *recorder)
{
	/* To tell the kernel audit log the heads, nothing else. */
	static const int caps[] = {CAP_AUDIT_WRITE};
	enum sgb_err err = priv_harden();

	if (!err && recorder->privileged)
		err = priv_become_with(recorder->uid, recorder->gid, caps,
			recorder->kernel_audit ? 1 : 0);
	if (err)
		log_fatal(EX_OSERR, "cannot give up privileges: %s",
			err == SGB_ERR_SYSTEM ? strerror(errno)
					      : sgb_err_text(err));
}

static void take_signal(struct recorder *recorder)
{
	struct signalfd_siginfo info;

	if (read(recorder->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	/* The signing key and folders are read once, as root; another key is
	 * handed over (recorder_key.c). */
	if (info.ssi_signo == SIGHUP)
		recorder_reload(recorder);
	else
		recorder->stopping = true;
}

static void handle(struct recorder *recorder, const struct epoll_event *event)
{
	struct watch *what = event->data.ptr;

	switch (what->kind) {
	case WATCH_LISTEN: recorder_accept(recorder); break;
	case WATCH_SIGNAL: take_signal(recorder); break;
	case WATCH_PEER: recorder_peer_ready(recorder, what->owner); break;
	case WATCH_STREAM:
		recorder_stream_ready(recorder, what->owner, event->events);
		break;
	case WATCH_SYNC: recorder_collect(recorder); break;
	case WATCH_NONE: break;
	}
}

/* What a burst took, and windows of segments that are closed: malloc keeps
 * them, wiped, and most sessions have one burst. */
static void rest(struct recorder *recorder)
{
	if (recorder->worked) {
		recorder->worked = recorder->rested = false;
	} else if (!recorder->rested) {
		recorder->rested = true;
		writer_scratch_done(&recorder->scratch);
		writer_scratch_init(&recorder->scratch);
		buf_done(&recorder->out);
		buf_init(&recorder->out, OUT_MAX);
		malloc_trim(0);
	}
}

static void run(struct recorder *recorder)
{
	struct epoll_event events[ROUND];
	uint64_t ticked_us = recorder_mono_us();

	while (!recorder->stopping) {
		/* The next tick is when memory is given back, too. */
		bool rests = recorder->rested && !recorder->worked;
		int wait_ms = recorder_busy(recorder) || !rests ? 1000 : 60000;
		int count = epoll_wait(
			recorder->epoll_fd, events, ROUND, wait_ms);
		int i;

		if (count < 0 && errno != EINTR)
			log_fatal(EX_OSERR, "epoll: %s", strerror(errno));
		for (i = 0; i < count; i++)
			handle(recorder, &events[i]);
		if (recorder_mono_us() - ticked_us >= 1000000) {
			ticked_us = recorder_mono_us();
			recorder_tick(recorder);
			rest(recorder);
		}
		recorder_commit(recorder);
		recorder_bury(recorder);
	}
}

static void own_event(struct recorder *recorder, enum event_kind kind)
{
	char what[64 + SGR_NAME_MAX];
	struct event event = {.kind = kind, .ok = true, .what = what};

	(void)snprintf(what, sizeof(what), "sgbridge-recorder %s on %s",
		SGB_VERSION, recorder->writer_name);
	recorder_event(recorder, &event);
	recorder_settle(recorder);
}

static void usage(void)
{
	(void)fprintf(stderr, "usage: sgbridge-recorder [-e] [-c CONFFILE]\n");
	exit(EX_USAGE);
}

int main(int argc, char **argv)
{
	static struct recorder recorder;
	const char *conf_path = CONF_DEFAULT_PATH;
	bool to_stderr = false;
	int option;

	while ((option = getopt(argc, argv, "ec:")) != -1) {
		if (option == 'e')
			to_stderr = true;
		else if (option == 'c')
			conf_path = optarg;
		else
			usage();
	}
	if (optind != argc)
		usage();
	/* Start-up errors belong to whoever starts it. */
	log_init("sgbridge-recorder", true);
	TAILQ_INIT(&recorder.peers);
	TAILQ_INIT(&recorder.dead);
	TAILQ_INIT(&recorder.owing);
	TAILQ_INIT(&recorder.waiting);
	recorder_folder_init(&recorder);
	recorder.kernel_audit = true;
	writer_scratch_init(&recorder.scratch);
	buf_init(&recorder.out, OUT_MAX);
	recorder_setup(&recorder, conf_path);
	recorder.kernel_audit = recorder.conf->audit != CONF_AUDIT_OFF;
	take_socket(&recorder);
	raise_limits();
	give_up_power(&recorder);
	recorder_open_journals(&recorder);
	recorder_gate_init(&recorder, &recorder.trail_gate, "event trail",
		recorder.trail, recorder_trail_settled);
	recorder_gate_init(&recorder, &recorder.index_gate, "index",
		recorder.index, recorder_index_settled);
	recorder_recover(&recorder);
	recorder_keep_load(&recorder);
	open_loop(&recorder);
	if (recorder_confine())
		log_fatal(EX_OSERR, "cannot set the system call filter");
	own_event(&recorder, EVENT_SERVICE_START);
	log_init("sgbridge-recorder", to_stderr);
	log_put(LOG_NOTICE, "writer %s ready", recorder.writer_id);
	notify_send("READY=1");
	run(&recorder);
	notify_send("STOPPING=1");
	recorder_stop(&recorder);
	/* The index's head is an event, and comes before the last one. */
	recorder_heads(&recorder, true);
	own_event(&recorder, EVENT_SERVICE_STOP);
	syncer_stop(recorder.syncer);
	recorder_heads(&recorder, true);
	recorder_bury(&recorder);
	recorder_free_keys(&recorder);
	return 0;
}
