/*
 * A key service (KMS) through a command: one run for one stanza, no shell, a
 * question on its standard input and 32 bytes back. The description names the
 * program, so only its owner may have written it. What the program says is a
 * stranger's: bounded in length and time, and a wrong answer opens nothing,
 * since the share is sealed.
 */
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/secret.h"

#include "recipients.h"

#define ARGS_MAX	32
#define ANSWER_MAX	1024
#define TIMEOUT_DEFAULT 20
#define TIMEOUT_MAX	300

struct command {
	struct identity identity; /* first: freed through it */
	char *text;		  /* what args point into */
	char *args[ARGS_MAX + 1];
	unsigned int timeout; /* seconds */
};

static uint64_t now_ms(void)
{
	struct timespec now = {0, 0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void question(const struct command *command,
	const uint8_t rec_id[SGR_ID_LEN], const uint8_t *prefix, size_t len,
	struct buf *out)
{
	const struct sgr_recipient *half = &command->identity.public_half;
	char rec[SGR_ID_TEXT], data[4 * ((SUITE_RSA_MAX + 2) / 3) + 1];
	char id_text[2 * SGR_KEY_ID_LEN + 1];
	uint8_t id[SGR_KEY_ID_LEN] = {0};

	(void)!sgr_key_id(half, id);
	suite_hex(id, sizeof(id), id_text);
	sgr_id_text(rec_id, rec);
	suite_base64(prefix, len, data);
	buf_printf(out,
		"{\"sgr_unwrap\":1,\"kind\":\"%s\",\"key_id\":\"%s\","
		"\"rec\":\"%s\",\"data\":\"%s\"}\n",
		half->kind == SGR_KIND_RSA ? "rsa" : "p256", id_text, rec,
		data);
}

/* In the child: its own process group, so that nothing of it is left over. */
static void become(const struct command *command, int in, int out)
{
	int null = open("/dev/null", O_WRONLY);

	(void)setpgid(0, 0);
	/* Its messages could be written for the auditor's terminal. */
	if (null < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 ||
		dup2(null, 2) < 0)
		_exit(127);
	closefrom(3);
	(void)signal(SIGPIPE, SIG_DFL);
	execv(command->args[0], command->args);
	_exit(127);
}

struct exchange {
	int in, out; /* of ours; -1 when closed */
	const struct buf *question;
	size_t asked;
	char answer[ANSWER_MAX];
	size_t got;
	uint64_t until_ms;
};

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void ask_more(struct exchange *x)
{
	ssize_t put = write(x->in, x->question->data + x->asked,
		x->question->len - x->asked);

	if (put > 0)
		x->asked += (size_t)put;
	/* One that does not want to hear it all may still answer. */
	if ((put < 0 && errno != EAGAIN && errno != EINTR) ||
		x->asked == x->question->len)
		shut(&x->in);
}

/* SGB_ERR_CLOSED at the end of the answer. */
static enum sgb_err hear_more(struct exchange *x)
{
	ssize_t got;

	if (x->got >= sizeof(x->answer))
		return SGB_ERR_LIMIT;
	got = read(x->out, x->answer + x->got, sizeof(x->answer) - x->got);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? SGB_OK
							 : SGB_ERR_SYSTEM;
	x->got += (size_t)got;
	return got ? SGB_OK : SGB_ERR_CLOSED;
}

static enum sgb_err talk(struct exchange *x)
{
	enum sgb_err err = SGB_OK;

	while (!err) {
		struct pollfd fds[2] = {
			{x->out, POLLIN, 0}, {x->in, POLLOUT, 0}};
		uint64_t now = now_ms();

		if (now >= x->until_ms)
			return SGB_ERR_TIMEOUT;
		if (poll(fds, 2, (int)(x->until_ms - now)) < 0 &&
			errno != EINTR)
			return SGB_ERR_SYSTEM;
		if (fds[1].revents)
			ask_more(x);
		if (fds[0].revents)
			err = hear_more(x);
	}
	return err == SGB_ERR_CLOSED ? SGB_OK : err;
}

static bool nonblocking(int fd)
{
	return !fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* Waits for its end as long as it has time; its exit status, or -1. */
static int reap(pid_t pid, uint64_t until_ms, bool now)
{
	struct timespec pause = {0, 5 * 1000000};
	int status = 0;
	pid_t got = 0;

	while (!now && !(got = waitpid(pid, &status, WNOHANG)) &&
		now_ms() < until_ms)
		(void)nanosleep(&pause, NULL);
	/* Also what it may have left running. */
	(void)kill(-pid, SIGKILL);
	if (!got) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		return -1;
	}
	return got == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static enum sgb_err run(struct command *command, struct exchange *x)
{
	int to[2], from[2];
	enum sgb_err err;
	pid_t pid;

	if (pipe2(to, O_CLOEXEC))
		return SGB_ERR_SYSTEM;
	if (pipe2(from, O_CLOEXEC)) {
		close(to[0]);
		close(to[1]);
		return SGB_ERR_SYSTEM;
	}
	pid = fork();
	if (!pid)
		become(command, to[0], from[1]);
	close(to[0]);
	close(from[1]);
	x->in = to[1];
	x->out = from[0];
	if (pid < 0 || !nonblocking(x->in) || !nonblocking(x->out))
		err = SGB_ERR_SYSTEM;
	else
		err = talk(x);
	shut(&x->in);
	shut(&x->out);
	if (pid > 0 && reap(pid, x->until_ms, err != SGB_OK) && !err)
		err = SGB_ERR_DENIED;
	return err;
}

static enum sgb_err command_agree(struct identity *identity,
	const uint8_t rec_id[SGR_ID_LEN], const uint8_t *prefix, size_t len,
	uint8_t ret[SUITE_KEY_LEN])
{
	struct command *command = (struct command *)identity;
	struct exchange x = {.until_ms = now_ms() + command->timeout * 1000ULL};
	struct buf asked;
	enum sgb_err err;

	if (len > SUITE_RSA_MAX)
		return SGB_ERR_FORMAT;
	buf_init(&asked, 4096);
	question(command, rec_id, prefix, len, &asked);
	x.question = &asked;
	err = buf_error(&asked);
	if (!err)
		err = run(command, &x);
	while (x.got &&
		(x.answer[x.got - 1] == '\n' || x.answer[x.got - 1] == '\r'))
		x.got--;
	if (!err && suite_unbase64(x.answer, x.got, ret, SUITE_KEY_LEN))
		err = SGB_ERR_FORMAT;
	secret_wipe(x.answer, sizeof(x.answer));
	buf_done(&asked);
	return err;
}

static void command_destroy(struct identity *identity)
{
	struct command *command = (struct command *)identity;

	free(command->text);
	free(command);
}

static bool take_args(struct command *command, char *value)
{
	char *save = NULL, *word;
	size_t count = 0;

	for (word = strtok_r(value, " \t", &save); word;
		word = strtok_r(NULL, " \t", &save)) {
		if (count == ARGS_MAX)
			return false;
		command->args[count++] = word;
	}
	return count && *command->args[0] == '/';
}

static bool take_timeout(struct command *command, const char *value)
{
	char *end;
	unsigned long number = strtoul(value, &end, 10);

	command->timeout = (unsigned int)number;
	return end != value && !*end && number && number <= TIMEOUT_MAX;
}

/* "name value"; what was wrong, or NULL. */
static const char *take_line(struct command *command, char *line)
{
	size_t name;
	char *value;

	line += strspn(line, " \t");
	line[strcspn(line, "\r")] = '\0';
	if (!*line || *line == '#')
		return NULL;
	name = strcspn(line, " \t");
	value = line + name + strspn(line + name, " \t");
	if (line[name])
		line[name] = '\0';
	if (!strcmp(line, "command"))
		return take_args(command, value)
			       ? NULL
			       : "expected \"command /PROGRAM ARGUMENTS\"";
	if (!strcmp(line, "timeout"))
		return take_timeout(command, value)
			       ? NULL
			       : "expected \"timeout SECONDS\", at most 300";
	if (!strcmp(line, "recipient"))
		return !recipient_parse(
			       value, &command->identity.public_half) &&
				       command->identity.public_half.kind !=
					       SGR_KIND_X25519
			       ? NULL
			       : "expected \"recipient p256|rsa BASE64 NAME\"";
	return "expected command, recipient or timeout, or a key in PEM";
}

static const char *take_text(struct command *command, unsigned int *line)
{
	char *at = command->text, *next;
	const char *wrong = NULL;

	for (*line = 0; at && !wrong; at = next) {
		next = strchr(at, '\n');
		if (next)
			*next++ = '\0';
		++*line;
		wrong = take_line(command, at);
	}
	if (!wrong &&
		(!command->args[0] || !command->identity.public_half.kind))
		wrong = "needs a line \"command\" and a line \"recipient\"";
	return wrong;
}

enum sgb_err identity_command(const char *path, const char *text, size_t len,
	struct identity **ret, char *why, size_t why_len)
{
	struct command *command = calloc(1, sizeof(*command));
	const char *wrong;
	unsigned int line = 0;

	if (!command)
		return SGB_ERR_NOMEM;
	command->identity.agree = command_agree;
	command->identity.destroy = command_destroy;
	command->timeout = TIMEOUT_DEFAULT;
	command->text = strndup(text, len);
	wrong = command->text ? take_text(command, &line) : NULL;
	if (!command->text || wrong) {
		(void)snprintf(why, why_len, "%s:%u: %s", path, line,
			wrong ? wrong : "no memory");
		command_destroy(&command->identity);
		return SGB_ERR_FORMAT;
	}
	*ret = &command->identity;
	return SGB_OK;
}
