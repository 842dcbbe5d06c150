/*
 * setup: the guard, which puts everything back when nobody confirms in time,
 * when the setup dies half-way, and when the machine was started again in
 * between. A unit where systemd runs (it outlives the login and the boot);
 * elsewhere a process of its own session.
 */
#include "setup.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"

static _Noreturn void become_guard(struct setup *s, const char *self)
{
	int null = open("/dev/null", O_RDWR);

	if (setsid() < 0 || fork() != 0)
		_exit(0);
	/* The terminal's end is not ours. */
	signal(SIGHUP, SIG_IGN);
	if (chdir("/") || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
		dup2(null, 2) < 0 || close_range(3, ~0u, 0))
		_exit(1);
	if (*s->root)
		execl(self, self, "setup", "--guard", "--root", s->root, NULL);
	else
		execl(self, self, "setup", "--guard", NULL);
	_exit(1);
}

bool guard_start(struct setup *s)
{
	const char *self = child_find(s, "sgbridge-setup");
	const char *unit = UNIT_GUARD;
	pid_t pid;

	if (child_systemd(s) && unit_enable(s, &unit, 1))
		return true;
	fflush(stdout);
	pid = fork();
	if (!pid)
		become_guard(s, self);
	return pid > 0;
}

enum verdict { WAIT, BACK, OVER };

static enum verdict judge(const struct progress *progress)
{
	char boot[40];

	if (!progress->begun || progress->confirmed || progress->undone)
		return OVER;
	/* We hold the lock, so whoever made it is dead. */
	if (!progress->applied)
		return BACK;
	run_boot_id(boot);
	if (strcmp(boot, progress->boot) != 0 ||
		run_seconds() >= progress->deadline)
		return BACK;
	return WAIT;
}

int guard_main(struct setup *s)
{
	const struct timespec second = {.tv_sec = 1};
	struct progress progress;
	enum verdict verdict = WAIT;
	bool good = true;

	log_init("sgbridge-setup", false);
	while (verdict == WAIT) {
		if (!run_lock(s, false)) {
			nanosleep(&second, NULL);
			continue; /* it is still being made */
		}
		verdict = run_open(s, &progress) ? judge(&progress) : OVER;
		if (verdict == BACK) {
			log_put(LOG_WARNING,
				"setup was not confirmed: putting back what "
				"was there");
			good = steps_undo(s, false);
			log_put(good ? LOG_NOTICE : LOG_ERR, "setup: %s",
				good ? "everything is as it was"
				     : "not everything could be put back; run: "
				       "sgbridge setup --undo");
		}
		close(s->lock);
		s->lock = -1;
		if (verdict == WAIT)
			nanosleep(&second, NULL);
	}
	return good ? SETUP_GOOD : SETUP_FAILED;
}

/* ---- who confirms? ---- */

/* Name, parent and start (clock ticks since boot) of a process. */
static bool process(
	long pid, char name[32], long *ret_parent, long long *ret_start)
{
	char path[64], *end;
	struct buf text;
	bool good = false;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	buf_init(&text, 4096);
	if (!setup_read(path, &text)) {
		buf_put_u8(&text, 0);
		end = buf_error(&text) ? NULL : strrchr((char *)text.data, ')');
		/* proc(5): state, ppid, then 17 fields, then starttime. */
		good = end && sscanf(end + 1,
				      " %*c %ld %*d %*d %*d %*d %*u %*u %*u "
				      "%*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
				      "%lld",
				      ret_parent, ret_start) == 2;
		if (good)
			snprintf(name, 32, "%.*s",
				(int)strcspn((char *)text.data, ")"),
				(char *)text.data);
	}
	buf_done(&text);
	return good;
}

bool guard_is_new_login(const struct progress *progress, const char **why)
{
	long pid = getpid(), parent = 0;
	long long start = 0;
	bool through_sshd = false;
	char name[32];

	/* The process of this connection is the sshd nearest to us. */
	while (pid > 1 && process(pid, name, &parent, &start)) {
		if (strstr(name, "(sshd")) {
			through_sshd = true;
			break;
		}
		pid = parent;
	}
	if (!through_sshd)
		*why = "this is no login through sshd, so it shows nothing; "
		       "from the console, say --force";
	else if (start < progress->swapped)
		*why = "this login is older than the change, so it shows "
		       "nothing; open a second one, and confirm there";
	else
		return true;
	return false;
}
