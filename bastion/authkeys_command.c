/*
 * Asks a program for a user's keys. The program is root's choice, and still
 * gets nothing but words: no descriptor, no environment, no privilege, and no
 * more time than the settings say. What it prints is foreign text.
 */
#include "authkeys_command.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keys_command.h"
#include "monitor.h"

#define ARG_MAX_TEXT 512
#define OUTPUT_MAX   (256 * 1024)

struct command {
	char args[KEYS_COMMAND_WORDS][ARG_MAX_TEXT];
	char *argv[KEYS_COMMAND_WORDS + 1];
	unsigned int uid, gid;
};

/* %u user, %f fingerprint, %t type, %%; anything else is a mistake. */
static enum sgb_err expand(const char *word, const char *user,
	const char *fingerprint, const char *type, char out[ARG_MAX_TEXT])
{
	size_t used = 0;

	for (; *word; word++) {
		char one[2] = {*word, '\0'};
		const char *text = one;
		size_t len;

		if (*word == '%') {
			word++;
			text = *word == 'u'   ? user
			       : *word == 'f' ? fingerprint
			       : *word == 't' ? type
			       : *word == '%' ? "%"
					      : NULL;
		}
		if (!text)
			return SGB_ERR_FORMAT;
		len = strlen(text);
		if (used + len >= ARG_MAX_TEXT)
			return SGB_ERR_LIMIT;
		memcpy(out + used, text, len);
		used += len;
	}
	out[used] = '\0';
	return SGB_OK;
}

static enum sgb_err prepare(struct command *command, const struct conf *conf,
	const char *user, const char *fingerprint, const char *type, char *why,
	size_t why_len)
{
	const struct conf_list *words = &conf->keys_command;
	enum sgb_err err;
	size_t i;

	memset(command, 0, sizeof(*command));
	err = keys_command_safe(words->items[0], why, why_len);
	if (err)
		return err;
	snprintf(why, why_len,
		"authorized-keys-command: too many or malformed words");
	if (words->count > KEYS_COMMAND_WORDS)
		return SGB_ERR_LIMIT;
	for (i = 0; i < words->count; i++) {
		err = expand(words->items[i], user, fingerprint, type,
			command->args[i]);
		if (err)
			return err;
		command->argv[i] = command->args[i];
	}
	snprintf(why, why_len,
		"authorized-keys-command-user must be a user that is not root");
	err = conf_user(conf->keys_command_user, &command->uid, &command->gid);
	if (!err && (!command->uid || !command->gid))
		err = SGB_ERR_UNSAFE;
	return err;
}

/* In the child, which has nothing of ours when this is done. */
static void become(const struct command *command, int output)
{
	static const char *const path = "PATH=/usr/bin:/bin";
	char *const envp[] = {(char *)path, NULL};
	struct rlimit none = {0}, some = {.rlim_cur = 64, .rlim_max = 64};
	int quiet = open("/dev/null", O_RDWR);

	if (quiet < 0 || dup2(quiet, 0) < 0 || dup2(output, 1) < 0 ||
		dup2(quiet, 2) < 0 || close_range(3, ~0u, 0))
		_exit(126);
	(void)setsid();
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)setrlimit(RLIMIT_NOFILE, &some);
	if (chdir("/") || setgroups(0, NULL) ||
		setresgid(command->gid, command->gid, command->gid) ||
		setresuid(command->uid, command->uid, command->uid) ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || !setuid(0))
		_exit(126);
	execve(command->argv[0], command->argv, envp);
	_exit(127);
}

/* All of it, in time; more than enough is as bad as too late. */
static enum sgb_err collect(int fd, uint64_t deadline, struct buf *out)
{
	for (;;) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		uint64_t now = monitor_now_ms();
		uint8_t bytes[4096];
		ssize_t got;
		int ready;

		if (now >= deadline)
			return SGB_ERR_TIMEOUT;
		ready = poll(&pfd, 1, (int)(deadline - now));
		if (ready < 0 && errno != EINTR)
			return SGB_ERR_SYSTEM;
		if (ready <= 0)
			continue;
		got = read(fd, bytes, sizeof(bytes));
		if (got < 0 && errno != EINTR)
			return SGB_ERR_SYSTEM;
		if (!got)
			return SGB_OK;
		if (got > 0)
			buf_put(out, bytes, (size_t)got);
		if (buf_error(out))
			return SGB_ERR_LIMIT;
	}
}

/* Waits for the child until the deadline, then not any more. Returns its
 * status, or -1. */
static int reap(pid_t pid, uint64_t deadline, bool at_once)
{
	int status = -1;

	while (!at_once && monitor_now_ms() < deadline) {
		static const struct timespec moment = {.tv_nsec = 5000000};

		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		(void)nanosleep(&moment, NULL);
	}
	(void)kill(-pid, SIGKILL);
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return -1;
}

static enum sgb_err run(
	const struct command *command, uint64_t timeout_ms, struct buf *out)
{
	uint64_t deadline = monitor_now_ms() + timeout_ms;
	enum sgb_err err;
	int ends[2], status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return SGB_ERR_SYSTEM;
	pid = fork();
	if (pid == 0)
		become(command, ends[1]);
	close(ends[1]);
	err = pid < 0 ? SGB_ERR_SYSTEM : collect(ends[0], deadline, out);
	close(ends[0]);
	if (pid < 0)
		return err;
	status = reap(pid, deadline, err != SGB_OK);
	if (!err && (status < 0 || !WIFEXITED(status) || WEXITSTATUS(status)))
		err = status < 0 ? SGB_ERR_TIMEOUT : SGB_ERR_DENIED;
	return err;
}

enum sgb_err authkeys_command(const struct conf *conf,
	const struct authkeys_query *query, const char *fingerprint,
	const char *type, struct authkeys_limits *ret, char *why,
	size_t why_len)
{
	const char *name;
	struct command command;
	struct buf out;
	enum sgb_err err;

	if (!conf->keys_command.count)
		return SGB_ERR_NOTFOUND;
	name = conf->keys_command.items[0];
	err = prepare(
		&command, conf, query->user, fingerprint, type, why, why_len);
	if (err)
		return err == SGB_ERR_NOTFOUND ? SGB_ERR_UNSAFE : err;
	buf_init(&out, OUTPUT_MAX);
	err = run(&command, conf->keys_command_timeout * 1000, &out);
	if (err)
		snprintf(why, why_len, "%s for %s: %s", name, query->user,
			err == SGB_ERR_DENIED  ? "it failed"
			: err == SGB_ERR_LIMIT ? "it printed too much"
					       : sgb_err_text(err));
	/* Its own failure is not "a line has it, and forbids". */
	if (err)
		err = SGB_ERR_SYSTEM;
	else
		err = authkeys_scan(&out, name, query, ret, why, why_len);
	buf_done(&out);
	return err;
}
