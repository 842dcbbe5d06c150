/*
 * The folder of rulesets, and the guard that takes a change back. The guard
 * is a process without terminal, session or open files; it sleeps, and knows
 * by the file "pending" whether its change is still waiting. Nobody signals
 * it and it signals nobody.
 */
#include "topology_apply.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "sgbridge.h"
#include "topology_ruleset.h"
#include "topology_run.h"

#define LOCK	  "lock"
#define PENDING	  "pending"
#define TOKEN_MAX 128
#define TRIES	  30 /* of a restore, a second apart */

void state_init(struct state *state)
{
	state->dir = -1;
	state->lock = -1;
}

void state_done(struct state *state)
{
	if (state->lock >= 0)
		close(state->lock);
	if (state->dir >= 0)
		close(state->dir);
	state_init(state);
}

static bool take_lock(struct state *state)
{
	while (flock(state->lock, LOCK_EX))
		if (errno != EINTR)
			return false;
	return true;
}

bool state_open(struct state *state, const char *path)
{
	char why[512];

	if (mkdir(path, 0700) && errno != EEXIST) {
		cli_fail("%s: %s", path, strerror(errno));
		return false;
	}
	if (file_open_dir(
		    path, FILE_TRUST_SECRET, &state->dir, why, sizeof(why))) {
		cli_fail("%s", why);
		return false;
	}
	state->lock = openat(state->dir, LOCK,
		O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (state->lock >= 0 && take_lock(state))
		return true;
	cli_fail("%s/" LOCK ": %s", path, strerror(errno));
	return false;
}

bool state_write(
	struct state *state, const char *name, const void *data, size_t len)
{
	if (!file_replace(state->dir, name, 0600, data, len))
		return true;
	cli_fail("%s: cannot be written: nothing was changed", name);
	return false;
}

bool state_read(struct state *state, const char *name, struct buf *out)
{
	int fd = openat(state->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool good = fd >= 0 && !file_read_fd(fd, out);

	if (fd >= 0)
		close(fd);
	if (!good)
		cli_fail("%s: %s", name,
			fd < 0 && errno == ENOENT ? "nothing was applied yet"
						  : "cannot be read");
	return good;
}

/* ---- the change that waits ---- */

static time_t boot_seconds(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_BOOTTIME, &now))
		return 0;
	return now.tv_sec;
}

static void boot_id(char id[64])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? 0 : read(fd, id, 63);

	id[len > 0 ? len : 0] = '\0';
	id[strcspn(id, "\n")] = '\0';
	if (fd >= 0)
		close(fd);
}

/* "BOOT DEADLINE PID": of this boot alone, and no two alike. */
static bool read_token(struct state *state, char token[TOKEN_MAX])
{
	int fd = openat(state->dir, PENDING, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t len = fd < 0 ? -1 : read(fd, token, TOKEN_MAX - 1);

	if (fd >= 0)
		close(fd);
	token[len > 0 ? len : 0] = '\0';
	return len > 0;
}

/* One that is long overdue has lost its guard, and waits for nobody. */
bool state_pending(struct state *state)
{
	char token[TOKEN_MAX], id[64];
	long long deadline;
	const char *space;

	if (!read_token(state, token))
		return false;
	boot_id(id);
	space = strchr(token, ' ');
	if (!space || (size_t)(space - token) != strlen(id) ||
		memcmp(token, id, strlen(id)))
		return false;
	deadline = atoll(space + 1);
	return boot_seconds() <= deadline + 2 * TRIES;
}

void state_settle(struct state *state)
{
	(void)unlinkat(state->dir, PENDING, 0);
}

bool state_keep(struct state *state)
{
	if (!renameat(state->dir, STATE_CANDIDATE, state->dir, STATE_CURRENT))
		return true;
	cli_fail(STATE_CURRENT ": %s", strerror(errno));
	return false;
}

/* ---- the guard ---- */

static bool is_still(struct state *state, const char *token)
{
	char now[TOKEN_MAX];

	return read_token(state, now) && !strcmp(now, token);
}

/* Rather no second wall than nobody let in: the policy still stands. */
static void take_back(struct state *state)
{
	static const char empty[] = "table inet " RULESET_TABLE
				    "\ndelete table inet " RULESET_TABLE "\n";
	struct buf text;
	int i;

	buf_init(&text, RULESET_MAX + 1024);
	if (!state_read(state, STATE_PREVIOUS, &text))
		buf_put(&text, empty, sizeof(empty) - 1);
	for (i = 0; i < TRIES; i++) {
		if (run_load(text.data, text.len)) {
			log_put(LOG_WARNING, "the ruleset was not confirmed: "
					     "the previous one is loaded");
			break;
		}
		sleep(1);
	}
	if (i == TRIES && run_load(empty, sizeof(empty) - 1))
		log_put(LOG_ERR, "the previous ruleset does not load: there "
				 "is none now");
	buf_done(&text);
}

static void guard(struct state *state, const char *token, time_t deadline)
{
	/* It looks every second, to be gone soon after its change is. */
	while (boot_seconds() < deadline && is_still(state, token))
		sleep(1);
	if (!take_lock(state))
		return;
	if (is_still(state, token)) {
		take_back(state);
		state_settle(state);
	}
}

/* No terminal, no folder, no standard files: nothing that ends with a login.
 * The lock's descriptor is opened anew, for one that came through fork() shares
 * its lock with the caller. */
static bool become_guard(struct state *state)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int lock = openat(state->dir, LOCK, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (null < 0 || lock < 0 || chdir("/") || setsid() < 0 ||
		dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
		return false;
	close(state->lock);
	state->lock = lock;
	signal(SIGHUP, SIG_IGN);
	log_init("sgbridge", false);
	return true;
}

bool state_guard(struct state *state, uint64_t seconds)
{
	time_t deadline = boot_seconds() + (time_t)seconds;
	char token[TOKEN_MAX], id[64], ready = 0;
	int ends[2];
	pid_t child;

	boot_id(id);
	snprintf(token, sizeof(token), "%s %lld %d", id, (long long)deadline,
		(int)getpid());
	if (pipe2(ends, O_CLOEXEC) ||
		!state_write(state, PENDING, token, strlen(token)))
		return false;
	child = fork();
	if (child == 0) {
		if (!become_guard(state) || write(ends[1], "r", 1) != 1)
			_exit(1);
		close(ends[0]);
		close(ends[1]);
		guard(state, token, deadline);
		_exit(0);
	}
	close(ends[1]);
	if (child < 0 || read(ends[0], &ready, 1) != 1) {
		state_settle(state);
		cli_fail("no guard could be started: nothing was changed");
		child = -1;
	}
	close(ends[0]);
	return child > 0;
}
