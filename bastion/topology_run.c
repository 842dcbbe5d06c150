/* Running nft and diff for the rulesets of the topology. */
#include "topology_run.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file.h"
#include "sgbridge.h"
#include "topology_ruleset.h"

#define NFT		"/usr/sbin/nft"
#define DIFF		"/usr/bin/diff"

#define EXIT_NO_PROGRAM 127

struct run {
	const char *const *argv;
	int in, out; /* -1: /dev/null */
	bool quiet;  /* standard error, too */
};

static void redirect(int fd, int to, int flags)
{
	int null = fd < 0 ? open("/dev/null", flags) : fd;

	if (null < 0 || dup2(null, to) < 0)
		_exit(EXIT_NO_PROGRAM);
}

/* The exit status, or -1. A stray SIGCHLD handler is none of ours: there is
 * none. */
static int run(const struct run *what)
{
	static char *const environment[] = {
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL};
	pid_t child = fork();
	int status;

	if (child == 0) {
		if (what->in >= 0 && lseek(what->in, 0, SEEK_SET) < 0)
			_exit(EXIT_NO_PROGRAM);
		redirect(what->in, STDIN_FILENO, O_RDONLY);
		redirect(what->out, STDOUT_FILENO, O_WRONLY);
		if (what->quiet)
			redirect(-1, STDERR_FILENO, O_WRONLY);
		execve(what->argv[0], (char *const *)what->argv, environment);
		_exit(EXIT_NO_PROGRAM);
	}
	if (child < 0)
		return -1;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_PROGRAM)
		cli_fail("%s: cannot be run: is it installed?", what->argv[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int memory(const void *text, size_t len)
{
	int fd = memfd_create("sgbridge", MFD_CLOEXEC);

	if (fd >= 0 && len && file_write_all(fd, text, len)) {
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		cli_fail("out of memory");
	return fd;
}

static bool nft_file(const void *text, size_t len, bool try)
{
	static const char *const load[] = {NFT, "-f", "-", NULL};
	static const char *const check[] = {NFT, "-c", "-f", "-", NULL};
	struct run what = {.argv = try ? check : load, .out = -1};
	int status;

	what.in = memory(text, len);
	if (what.in < 0)
		return false;
	status = run(&what);
	close(what.in);
	if (status)
		cli_fail("nft did not take the ruleset: nothing was changed");
	return !status;
}

bool run_load(const void *text, size_t len)
{
	return nft_file(text, len, false);
}

bool run_try(const void *text, size_t len)
{
	return nft_file(text, len, true);
}

static bool run_into(const char *const *argv, struct buf *out)
{
	struct run what = {.argv = argv, .in = -1};
	bool good;

	what.out = memory(NULL, 0);
	if (what.out < 0)
		return false;
	good = !run(&what) && !file_read_fd(what.out, out);
	close(what.out);
	if (!good)
		cli_fail("nft does not list what is loaded: root only");
	return good;
}

/* A table that is not there is no error, so look for it first. */
static bool list_table(
	const char *name, const struct buf *tables, struct buf *out)
{
	const char *const argv[] = {
		NFT, "-s", "list", "table", "inet", name, NULL};
	char line[64];
	int len = snprintf(line, sizeof(line), "table inet %s\n", name);

	return !tables->len ||
	       !memmem(tables->data, tables->len, line, (size_t)len) ||
	       run_into(argv, out);
}

bool run_list(struct buf *out)
{
	static const char *const argv[] = {NFT, "list", "tables", "inet", NULL};
	struct buf tables;
	bool good;

	buf_init(&tables, RULESET_MAX);
	good = run_into(argv, &tables) &&
	       list_table(RULESET_BEFORE, &tables, out) &&
	       list_table(RULESET_TABLE, &tables, out);
	buf_done(&tables);
	return good;
}

bool run_normal(const void *text, size_t len, struct buf *out)
{
	int result = memory(NULL, 0);
	pid_t child;
	int status = -1;
	bool good;

	if (result < 0)
		return false;
	child = fork();
	if (child == 0) {
		struct buf listed;

		buf_init(&listed, RULESET_MAX);
		if (unshare(CLONE_NEWNET)) {
			cli_fail("no network namespace to try it in: %s",
				strerror(errno));
			_exit(1);
		}
		_exit(!run_load(text, len) || !run_list(&listed) ||
			file_write_all(result, listed.data, listed.len));
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	good = child > 0 && status == 0 && !file_read_fd(result, out);
	close(result);
	return good;
}

bool run_diff(const struct buf *live, const struct buf *fresh, bool colour,
	struct buf *out)
{
	char one[40], two[40];
	const char *const argv[] = {DIFF, colour ? "--color=always" : "--text",
		"-u", "--label", "loaded", "--label", "new", one, two, NULL};
	struct run what = {.argv = argv, .in = -1};
	int fds[2], status = -1;
	bool good = false;

	fds[0] = memory(live->data, live->len);
	fds[1] = memory(fresh->data, fresh->len);
	what.out = memory(NULL, 0);
	/* By way of our own /proc entry: close-on-exec stays as it is. */
	snprintf(one, sizeof(one), "/proc/%d/fd/%d", (int)getpid(), fds[0]);
	snprintf(two, sizeof(two), "/proc/%d/fd/%d", (int)getpid(), fds[1]);
	if (fds[0] >= 0 && fds[1] >= 0 && what.out >= 0)
		status = run(&what);
	if (status == 0 || status == 1)
		good = !file_read_fd(what.out, out);
	if (!good)
		cli_fail("the rulesets could not be compared");
	close(fds[0]);
	close(fds[1]);
	close(what.out);
	return good;
}
