/*
 * sgbridge-otp unseal: the master key from a command (a KMS, a TPM, a
 * smartcard) into a file in memory. The PAM module must not fork, and a login
 * must not wait for a KMS, so the command runs once, at the start of the
 * machine, and the module reads what it left: a file of root's, mode 0400, on
 * tmpfs or ramfs, gone with the power. Trusts the command's output to be keys
 * and nothing else about it: no shell, no environment, a limit of time and
 * size, and nothing replaced before the new file has been read back.
 */
#include "otp_tool.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"

#define OUTPUT_BYTES 4096
#define DEADLINE_S   30

bool tool_in_memory(int dir)
{
	struct statfs fs;

	return !fstatfs(dir, &fs) &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static int remaining_ms(const struct timespec *deadline)
{
	struct timespec now;
	int64_t left;

	clock_gettime(CLOCK_MONOTONIC, &now);
	left = (int64_t)(deadline->tv_sec - now.tv_sec) * 1000 +
	       (deadline->tv_nsec - now.tv_nsec) / 1000000;
	return left > 0 ? (int)left : 0;
}

/* In the child. Its own group, so that what it starts ends with it. */
static void run_program(char **words, int out)
{
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:"
			     "/usr/bin:/sbin:/bin";
	char *environment[] = {path, NULL};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 ||
		setpgid(0, 0) || close_range(3, ~0u, 0))
		_exit(126);
	execve(words[0], words, environment);
	_exit(127);
}

/* Waits for what the descriptor has to say; false when the time is up. */
static bool wait_for(int fd, const struct timespec *deadline)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};
	int ready;

	do {
		ready = poll(&one, 1, remaining_ms(deadline));
	} while (ready < 0 && errno == EINTR);
	return ready > 0;
}

static const char *read_output(
	int fd, const struct timespec *deadline, struct buf *out)
{
	uint8_t *room;
	ssize_t got;

	for (;;) {
		if (!wait_for(fd, deadline))
			return "did not end within 30 seconds";
		room = buf_extend(out, 512);
		if (!room)
			return "printed more than 4096 bytes";
		do {
			got = read(fd, room, 512);
		} while (got < 0 && errno == EINTR);
		out->len -= 512 - (got > 0 ? (size_t)got : 0);
		if (got < 0)
			return strerror(errno);
		if (!got)
			return NULL;
	}
}

/* Ends the command, if need be by force; whatever it started goes too. */
static const char *reap(pid_t pid, const struct timespec *deadline)
{
	int pidfd = pidfd_open(pid, 0), status = 0;
	bool ended = pidfd >= 0 && wait_for(pidfd, deadline);

	if (pidfd >= 0)
		close(pidfd);
	(void)kill(-pid, SIGKILL);
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!ended)
		return "did not end within 30 seconds";
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return "cannot be run";
	return WIFEXITED(status) && !WEXITSTATUS(status) ? NULL : "failed";
}

/* NULL, or what went wrong with the command. */
static const char *ask_program(char **words, struct buf *out)
{
	struct timespec deadline;
	const char *wrong, *end;
	int ends[2];
	pid_t pid;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += DEADLINE_S;
	if (pipe2(ends, O_CLOEXEC))
		return strerror(errno);
	pid = fork();
	if (!pid)
		run_program(words, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return strerror(errno);
	}
	wrong = read_output(ends[0], &deadline, out);
	close(ends[0]);
	if (wrong)
		clock_gettime(CLOCK_MONOTONIC, &deadline);
	end = reap(pid, &deadline);
	return wrong ? wrong : end;
}

/* Beside the file first: what is not a key replaces nothing. */
static int put_file(int dir, const char *path, const struct buf *text)
{
	char beside[PATH_MAX], copy[PATH_MAX], why[OTP_WHY_MAX] = "";
	struct secret_keys *keys = NULL;
	enum sgb_err err;
	int status = 0;

	snprintf(copy, sizeof(copy), "%s", path);
	if ((size_t)snprintf(beside, sizeof(beside), "%s.new", path) >=
		sizeof(beside))
		return tool_fail(EX_USAGE, "%s: name too long", path);
	err = file_replace(dir, basename(beside), 0400, text->data, text->len);
	if (err)
		return tool_fail(EX_CANTCREAT, "%s: %s", beside,
			err == SGB_ERR_SYSTEM ? strerror(errno)
					      : sgb_err_text(err));
	/* basename() may have written into it. */
	snprintf(beside, sizeof(beside), "%s.new", path);
	if (secret_keys_load(beside, &keys, why, sizeof(why)))
		status = tool_fail(EX_DATAERR, "the command's output: %s", why);
	else if (rename(beside, path))
		status = tool_fail(
			EX_CANTCREAT, "%s: %s", path, strerror(errno));
	if (status)
		(void)unlink(beside);
	secret_keys_free(keys);
	return status;
}

int command_unseal(struct tool *tool)
{
	const char *path = tool->output ? tool->output : tool->conf->master_key;
	char folder[PATH_MAX], why[OTP_WHY_MAX] = "";
	const char *wrong;
	struct buf text;
	int dir = -1, status = 0;

	if (tool->words[0][0] != '/')
		return tool_fail(EX_USAGE,
			"%s: the command is named by its whole path",
			tool->words[0]);
	if ((size_t)snprintf(folder, sizeof(folder), "%s", path) >=
		sizeof(folder))
		return tool_fail(EX_USAGE, "the name is too long");
	if (file_open_dir(
		    dirname(folder), FILE_TRUST_ROOT, &dir, why, sizeof(why)))
		return tool_fail(EX_CONFIG, "%s", why);
	if (!tool_in_memory(dir)) {
		close(dir);
		return tool_fail(EX_CONFIG,
			"%s: not in memory (tmpfs, ramfs): the key would stay "
			"on the disk; set master-key to a file below "
			"/run/sgbridge",
			path);
	}
	buf_init(&text, OUTPUT_BYTES);
	wrong = ask_program(tool->words, &text);
	if (wrong)
		status = tool_fail(
			EX_UNAVAILABLE, "%s: %s", tool->words[0], wrong);
	else
		status = put_file(dir, path, &text);
	buf_done(&text);
	close(dir);
	if (!status)
		fprintf(stderr, "%s: the master key, in memory\n", path);
	tool_note(tool, "sgbridge:unseal", "-", !status);
	return status;
}
