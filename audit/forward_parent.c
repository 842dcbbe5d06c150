/*
 * The parent: one loop that waits for the trail to grow, for its children's
 * wishes and for signals. It opens files of the trail, makes sockets to the
 * receivers of the settings and to nobody else, and notes how far each child
 * says it got. It reads no byte that a receiver sent.
 */
#include "forward.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/notify.h"

#include "forward_files.h"
#include "forward_link.h"

#define TICK_MS	   1000
#define SILENCE_MS 60000 /* of a child that reports each ten seconds */
#define STOP_MS	   2000
#define RESTART_MS 500

struct kid {
	const struct forward_dest *dest;
	pid_t pid; /* 0: there is none now */
	int sock;  /* or -1 */
	uint64_t heard_ms;
	uint64_t restart_ms, pause_ms;
	bool wake; /* it is to be woken, when it reads */
	struct forward_place saved;
	bool unsaved; /* saving failed, and that was said */
	enum forward_state said;
	char said_text[FORWARD_TEXT_MAX];
	struct forward_status status;
};

struct parent {
	struct forward *forward;
	struct kid kids[FORWARD_MAX];
	struct trail_newest newest;
	int signal_fd, inotify_fd;
	bool stopping, failed, stale, reload;
	bool ending; /* children, which are not to be started again */
	uint64_t ticked_ms;
};

/* ---- children ---- */

/* Nothing of the parent's but what this receiver needs. */
static void become_child(struct parent *parent, struct kid *kid, int sock)
{
	const struct forward *forward = parent->forward;
	size_t i;

	for (i = 0; i < forward->count; i++) {
		if (parent->kids[i].sock >= 0)
			close(parent->kids[i].sock);
		if (&forward->dests[i] != kid->dest)
			tls_context_free(
				(struct forward_dest *)&forward->dests[i]);
	}
	close(parent->signal_fd);
	close(parent->inotify_fd);
	close(forward->trail_fd);
	close(forward->state_fd);
	close(forward->lock_fd);
	forward_child(kid->dest, forward->host, &kid->status.report.final, sock,
		forward->retry_ms);
}

static void start_kid(struct parent *parent, struct kid *kid)
{
	int pair[2];

	kid->restart_ms = forward_now_ms() + forward_jitter(kid->pause_ms);
	if (kid->pause_ms < parent->forward->retry_ms)
		kid->pause_ms *= 2;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return;
	kid->pid = fork();
	if (!kid->pid) {
		close(pair[0]);
		become_child(parent, kid, pair[1]);
	}
	close(pair[1]);
	if (kid->pid < 0) {
		close(pair[0]);
		kid->pid = 0;
		return;
	}
	kid->sock = pair[0];
	kid->heard_ms = forward_now_ms();
	kid->wake = true;
}

static void say(struct kid *kid, int level, const char *text)
{
	log_put(level, "%s: %s", kid->dest->name, text);
}

static void kid_died(struct parent *parent, struct kid *kid, int status)
{
	char why[100];

	if (kid->sock >= 0)
		close(kid->sock);
	kid->sock = -1;
	kid->pid = 0;
	if (parent->ending)
		return;
	if (WIFSIGNALED(status))
		(void)snprintf(why, sizeof(why),
			"its process was ended by signal %d", WTERMSIG(status));
	else
		(void)snprintf(why, sizeof(why), "its process ended (%d)",
			WEXITSTATUS(status));
	say(kid, LOG_ERR, why);
	kid->status.deaths++;
	kid->status.report.state = kid->said = FORWARD_AWAY;
	(void)snprintf(kid->status.report.text, sizeof(kid->status.report.text),
		"%s", why);
	(void)snprintf(kid->said_text, sizeof(kid->said_text), "%s", why);
	kid->status.since = (uint64_t)time(NULL);
	kid->restart_ms = forward_now_ms() + forward_jitter(kid->pause_ms);
	parent->stale = true;
}

static void reap(struct parent *parent)
{
	size_t i;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (i = 0; i < parent->forward->count; i++)
			if (parent->kids[i].pid == pid)
				kid_died(parent, &parent->kids[i], status);
}

/* ---- what children ask for ---- */

static void answer(struct kid *kid, const struct forward_msg *msg, int fd)
{
	/* Whoever asks reads the answer; else it is stuck, and is ended for
	 * its silence. */
	if (forward_msg_send(kid->sock, msg, fd))
		say(kid, LOG_WARNING, "its process does not read");
	if (fd >= 0)
		close(fd);
}

static void give_trail(
	struct parent *parent, struct kid *kid, const struct forward_msg *ask)
{
	struct forward_msg msg = {.kind = FORWARD_TRAIL};
	int dir_fd = parent->forward->trail_fd, fd = -1;

	if (trail_look(
		    dir_fd, ask->name, ask->exact, msg.name, &parent->newest)) {
		msg.error = errno;
	} else if (*msg.name) {
		fd = trail_open(dir_fd, msg.name);
		/* It may be gone by now: then it asks again. */
		if (fd < 0 && errno != ENOENT)
			msg.error = errno;
	}
	memcpy(msg.newest, parent->newest.name, sizeof(msg.newest));
	msg.newest_inode = parent->newest.inode;
	answer(kid, &msg, fd);
}

static void give_link(struct parent *parent, struct kid *kid)
{
	struct forward_msg msg = {.kind = FORWARD_LINK};
	int fd = kid->dest->kind == FORWARD_JOURNALD
			 ? forward_to_journal(
				   parent->forward->conf->journald_socket)
			 : forward_to_network(kid->dest);

	msg.error = fd < 0 ? errno : 0;
	answer(kid, &msg, fd);
}

/* Once for each change: an outage of a day is two lines in the log. */
static void say_state(struct kid *kid)
{
	const struct forward_report *report = &kid->status.report;
	bool up = report->state == FORWARD_UP;

	if (!*report->text || (report->state == kid->said &&
				      !strcmp(report->text, kid->said_text)))
		return;
	kid->said = report->state;
	memcpy(kid->said_text, report->text, sizeof(kid->said_text));
	log_put(up ? LOG_NOTICE : LOG_WARNING, "%s: %s%s", kid->dest->name,
		report->text, up ? "" : "; it is tried again and again");
}

static void take_report(struct parent *parent, struct kid *kid,
	const struct forward_report *report)
{
	struct forward_report *own = &kid->status.report;
	uint64_t gaps = own->gaps;

	if (report->final.seq && !journal_is_file(report->final.file))
		return;
	if (!kid->status.known || own->state != report->state)
		kid->status.since = (uint64_t)time(NULL);
	kid->status.known = true;
	*own = *report;
	if (own->state == FORWARD_UP)
		kid->pause_ms = RESTART_MS;
	if (own->gaps > gaps)
		log_put(LOG_WARNING,
			"%s: events are missing in the trail; the receiver "
			"was told which",
			kid->dest->name);
	say_state(kid);
	parent->stale = true;
}

static void hear(struct parent *parent, struct kid *kid)
{
	struct forward_msg msg;
	enum sgb_err err;
	int fd, i;

	for (i = 0; i < 16; i++) {
		err = forward_msg_receive(kid->sock, &msg, &fd);
		if (fd >= 0)
			close(fd); /* a child has none to give */
		if (err == SGB_ERR_AGAIN || err == SGB_ERR_CLOSED)
			return;
		kid->heard_ms = forward_now_ms();
		if (!err && msg.kind == FORWARD_REPORT)
			take_report(parent, kid, &msg.report);
		else if (!err && msg.kind == FORWARD_ASK_TRAIL)
			give_trail(parent, kid, &msg);
		else if (!err && msg.kind == FORWARD_ASK_LINK)
			give_link(parent, kid);
		else
			(void)kill(kid->pid, SIGKILL);
	}
}

/* ---- the trail ---- */

static void wake_all(struct parent *parent)
{
	size_t i;

	for (i = 0; i < parent->forward->count; i++)
		parent->kids[i].wake = true;
}

static void wake(struct parent *parent, struct kid *kid)
{
	struct forward_msg msg = {.kind = FORWARD_WAKE};

	memcpy(msg.newest, parent->newest.name, sizeof(msg.newest));
	msg.newest_inode = parent->newest.inode;
	/* One that is behind with its messages is woken when it reads. */
	if (forward_msg_send(kid->sock, &msg, -1) != SGB_ERR_AGAIN)
		kid->wake = false;
}

static void trail_changed(struct parent *parent)
{
	char bytes[4096] __attribute__((aligned(8)));
	const struct inotify_event *event;
	bool look = false;
	ssize_t got, at;

	while ((got = read(parent->inotify_fd, bytes, sizeof(bytes))) > 0) {
		for (at = 0; at < got;
			at += (ssize_t)(sizeof(*event) + event->len)) {
			event = (const void *)(bytes + at);
			if (event->mask & (IN_IGNORED | IN_MOVE_SELF))
				parent->failed = true;
			/* Growing alone says nothing new about names. */
			look |= event->mask != IN_MODIFY || !event->len ||
				strcmp(event->name, parent->newest.name) != 0;
		}
	}
	if (look) {
		char next[JOURNAL_NAME_MAX];

		if (trail_look(parent->forward->trail_fd, "", false, next,
			    &parent->newest))
			parent->failed = true;
	}
	wake_all(parent);
}

/* ---- the loop ---- */

static void save_places(struct parent *parent)
{
	size_t i;

	for (i = 0; i < parent->forward->count; i++) {
		struct kid *kid = &parent->kids[i];
		const struct forward_place *final = &kid->status.report.final;
		enum sgb_err err;

		if (!memcmp(final, &kid->saved, sizeof(*final)))
			continue;
		err = place_save(
			parent->forward->state_fd, kid->dest->file, final);
		if (err && !kid->unsaved)
			log_put(LOG_ERR,
				"%s: its position cannot be noted: %s; a "
				"restart will send events again",
				kid->dest->name, strerror(errno));
		kid->unsaved = err != SGB_OK;
		if (!err)
			kid->saved = *final;
	}
}

static void note_status(struct parent *parent)
{
	struct forward_status rows[FORWARD_MAX];
	size_t i;

	for (i = 0; i < parent->forward->count; i++)
		rows[i] = parent->kids[i].status;
	forward_status_write(
		parent->forward->state_fd, rows, parent->forward->count);
	parent->stale = false;
}

static void tick(struct parent *parent)
{
	uint64_t now = forward_now_ms();
	size_t i;

	for (i = 0; i < parent->forward->count; i++) {
		struct kid *kid = &parent->kids[i];

		if (!kid->pid && !parent->ending && now >= kid->restart_ms)
			start_kid(parent, kid);
		if (kid->pid && now > kid->heard_ms + SILENCE_MS) {
			say(kid, LOG_ERR, "its process is silent; it is ended");
			(void)kill(kid->pid, SIGKILL);
			kid->heard_ms = now;
		}
	}
	if (now - parent->ticked_ms < TICK_MS)
		return;
	parent->ticked_ms = now;
	save_places(parent);
	if (parent->stale)
		note_status(parent);
}

static void take_signals(struct parent *parent)
{
	struct signalfd_siginfo info;

	while (read(parent->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(parent);
		else if (info.ssi_signo == SIGHUP)
			parent->reload = true;
		else
			parent->stopping = true;
	}
}

/* Until something happens, and at most until the next tick. */
static void wait_once(struct parent *parent)
{
	struct pollfd polls[2 + FORWARD_MAX] = {
		{.fd = parent->signal_fd, .events = POLLIN},
		{.fd = parent->inotify_fd, .events = POLLIN}};
	size_t count = parent->forward->count, i;
	int wait = TICK_MS / 4, dog = notify_watchdog();

	for (i = 0; i < count; i++) {
		const struct kid *kid = &parent->kids[i];

		polls[2 + i].fd = kid->sock;
		polls[2 + i].events = (short)(POLLIN |
					      (kid->wake ? POLLOUT : 0));
	}
	if (dog >= 0 && dog < wait)
		wait = dog;
	if (poll(polls, (nfds_t)(2 + count), wait) < 0)
		return;
	for (i = 0; i < count; i++) {
		struct kid *kid = &parent->kids[i];

		if (kid->sock >= 0 && polls[2 + i].revents & POLLIN)
			hear(parent, kid);
		if (kid->sock >= 0 && polls[2 + i].revents & POLLOUT)
			wake(parent, kid);
	}
	if (polls[1].revents)
		trail_changed(parent);
	if (polls[0].revents)
		take_signals(parent);
}

/* Children say goodbye to their receivers; who takes too long is ended. What
 * each receiver has is noted. */
static void end_kids(struct parent *parent)
{
	struct forward_msg msg = {.kind = FORWARD_STOP};
	uint64_t end = forward_now_ms() + STOP_MS;
	size_t i, left;

	parent->ending = true;
	for (i = 0; i < parent->forward->count; i++)
		if (parent->kids[i].sock >= 0)
			(void)!forward_msg_send(parent->kids[i].sock, &msg, -1);
	do {
		wait_once(parent);
		for (left = i = 0; i < parent->forward->count; i++)
			left += parent->kids[i].pid > 0;
	} while (left && forward_now_ms() < end);
	for (i = 0; i < parent->forward->count; i++) {
		struct kid *kid = &parent->kids[i];

		if (kid->pid > 0 && !kill(kid->pid, SIGKILL))
			(void)waitpid(kid->pid, NULL, 0);
		if (kid->sock >= 0)
			close(kid->sock);
		kid->sock = -1;
		kid->pid = 0;
	}
	save_places(parent);
}

static void stop(struct parent *parent)
{
	notify_send("STOPPING=1");
	end_kids(parent);
	note_status(parent);
}

static void open_loop(struct parent *parent)
{
	const char *events = parent->forward->conf->events;
	char next[JOURNAL_NAME_MAX];
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		log_fatal(EX_OSERR, "sigprocmask: %s", strerror(errno));
	parent->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	parent->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (parent->signal_fd < 0 || parent->inotify_fd < 0)
		log_fatal(
			EX_OSERR, "cannot make the loop: %s", strerror(errno));
	if (inotify_add_watch(parent->inotify_fd, events,
		    IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_TO |
			    IN_MOVED_FROM | IN_ATTRIB | IN_MOVE_SELF |
			    IN_ONLYDIR) < 0)
		log_fatal(EX_NOINPUT, "events %s: %s", events, strerror(errno));
	if (trail_look(parent->forward->trail_fd, "", false, next,
		    &parent->newest))
		log_fatal(EX_NOINPUT, "events %s: %s", events, strerror(errno));
}

static void load_place(struct parent *parent, struct kid *kid)
{
	struct forward_place *final = &kid->status.report.final;
	enum sgb_err err = place_load(
		parent->forward->state_fd, kid->dest->file, final);

	if (err && err != SGB_ERR_NOTFOUND)
		say(kid, LOG_WARNING,
			"its position is damaged; it is sent everything");
	if (err)
		memset(final, 0, sizeof(*final));
	kid->saved = *final;
	kid->status.report.sent_seq = final->seq;
}

static void init_kids(struct parent *parent)
{
	struct forward *forward = parent->forward;
	size_t i;

	memset(parent->kids, 0, sizeof(parent->kids));
	for (i = 0; i < forward->count; i++) {
		struct kid *kid = &parent->kids[i];

		kid->dest = kid->status.dest = &forward->dests[i];
		kid->sock = -1;
		kid->pause_ms = RESTART_MS;
		kid->status.since = (uint64_t)time(NULL);
		load_place(parent, kid);
	}
	note_status(parent);
}

/* All or nothing. The trail is the spool, and what each receiver has is noted:
 * who is in the new settings goes on there. */
static void reload(struct parent *parent)
{
	struct forward *forward = parent->forward;
	struct forward fresh;

	parent->reload = false;
	if (!forward_load(forward, &fresh))
		return;
	end_kids(parent);
	forward_unload(forward);
	*forward = fresh;
	parent->ending = false;
	init_kids(parent);
	log_put(LOG_NOTICE, "settings read again: %zu receivers",
		forward->count);
}

int forward_run(struct forward *forward)
{
	static struct parent parent;

	parent.forward = forward;
	open_loop(&parent);
	init_kids(&parent);
	if (forward_confine_parent())
		log_fatal(EX_OSERR, "cannot set the system call filter");
	notify_send("READY=1");
	while (!parent.stopping && !parent.failed) {
		tick(&parent);
		wait_once(&parent);
		if (parent.reload)
			reload(&parent);
	}
	if (parent.failed)
		log_put(LOG_ERR, "the folder of the trail was taken away");
	stop(&parent);
	return parent.failed ? EX_TEMPFAIL : 0;
}
