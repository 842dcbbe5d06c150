/*
 * A scripted monitor and recorder for tests of sgbridge-session: listens on a
 * loopback port, starts one session process a connection, says yes to every
 * key and to the code 123456, connects to one target, and writes down what
 * the recorder gets. What it answers: fake_requests.c. Never installed.
 *
 * usage: fake_monitor PORT DIRECTORY
 * DIRECTORY holds session (the program), hostkey, empty/, and conf with lines
 * NAME=VALUE: target-port, login, pin (several), agent (a socket), and, to
 * provoke: recorder-limit (messages, then it closes), recorder-stall,
 * recorder-waits (TEXT; see below),
 * record-input, deny (an argument, or the number of a request, that the
 * gate refuses), refuse-target,
 * idle, notice, max-channels, jump=refuse.
 */
#include "fake_monitor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/record.h"

#define UID 65534

void die(const char *what)
{
	perror(what);
	_exit(1);
}

void check(enum sgb_err err, const char *what)
{
	if (err) {
		fprintf(stderr, "fake_monitor: %s: %s\n", what,
			sgb_err_text(err));
		_exit(1);
	}
}

const char *conf(const struct fake *f, const char *name, int n)
{
	char path[512], line[1024];
	const char *value = NULL;
	size_t len = strlen(name);
	FILE *file;

	snprintf(path, sizeof(path), "%s/conf", f->dir);
	file = fopen(path, "re");
	if (!file)
		die(path);
	while (!value && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, name, len) && line[len] == '=' && !n--)
			value = strdup(line + len + 1);
	}
	fclose(file);
	return value;
}

unsigned int number(const struct fake *f, const char *name, unsigned int d)
{
	const char *value = conf(f, name, 0);

	return value ? (unsigned int)atoi(value) : d;
}

void note(struct fake *f, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(f->log, fmt, args);
	va_end(args);
	fflush(f->log);
}

void answer(struct fake *f, struct msg *msg)
{
	check(msg_send(f->sock, msg), msg_name(msg->type));
	msg_done(msg);
}

int open_recorder(struct fake *f)
{
	int fds[2];

	check(msg_pair(fds), "recorder");
	f->recorder = fds[0];
	return fds[1];
}

/* One line an item; payload of output goes to DIRECTORY/output as well. */
static void log_item(struct fake *f, uint32_t channel, uint8_t kind,
	const uint8_t *data, size_t len)
{
	const char *slug = record_slug(kind);
	char path[512];
	FILE *file;
	size_t i;

	note(f, "record %u %s %zu ", channel, slug ? slug : "?", len);
	for (i = 0; i < len && i < 400 && kind != RECORD_OUT &&
		    kind != RECORD_ERR && kind != RECORD_TOTALS;
		i++)
		note(f, data[i] >= 32 && data[i] < 127 ? "%c" : "\\%03o",
			data[i]);
	note(f, "\n");
	if (kind != RECORD_OUT && kind != RECORD_ERR && kind != RECORD_IN)
		return;
	snprintf(path, sizeof(path), "%s/recorded.%s", f->dir, slug);
	file = fopen(path, "ae");
	if (file) {
		fwrite(data, 1, len, file);
		fclose(file);
	}
}

/* The recorder waits for its disk from the item that has this text on, until
 * there is DIRECTORY/room. */
static bool waits(struct fake *f, const uint8_t *bytes, size_t len)
{
	const char *text = conf(f, "recorder-waits", 0);

	if (!f->waits)
		f->waits = text && memmem(bytes, len, text, strlen(text));
	return f->waits;
}

static void acknowledge(struct fake *f, int fd, uint64_t seconds)
{
	struct buf ack;

	buf_init(&ack, 16);
	buf_put_u64(&ack, f->waits ? RECORD_ACK_WAIT : f->messages);
	if (f->waits)
		buf_put_u64(&ack, seconds);
	if (send(fd, ack.data, ack.len, MSG_NOSIGNAL) < 0)
		note(f, "ack: %s\n", strerror(errno));
	buf_done(&ack);
}

static void go_on(struct fake *f)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/room", f->dir);
	if (access(path, F_OK))
		return;
	unlink(path);
	acknowledge(f, f->recorder, 0);
	f->waits = false;
	acknowledge(f, f->recorder, 0);
}

static bool record(struct fake *f, int fd)
{
	static uint8_t bytes[RECORD_MESSAGE_MAX + 1];
	ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
	struct reader rd;
	bool waited = f->waits;

	if (got <= 0)
		return false;
	f->messages++;
	if (f->messages > number(f, "recorder-limit", 1 << 30)) {
		note(f, "recorder dies\n");
		return false;
	}
	reader_init(&rd, bytes, (size_t)got);
	while (rd.left && !rd.err) {
		uint32_t channel = reader_u32(&rd);
		uint8_t kind = reader_u8(&rd);
		size_t len;
		const uint8_t *data = reader_string(&rd, &len);

		log_item(f, channel, kind, data, len);
	}
	check(reader_end(&rd), "record");
	if (waited)
		return true;
	if (waits(f, bytes, (size_t)got)) {
		acknowledge(f, fd, 600);
		note(f, "told to wait\n");
	} else {
		acknowledge(f, fd, 0);
	}
	return true;
}

static pid_t start_session(struct fake *f, int client)
{
	char path[512], empty[512], user[32];
	int fds[2];
	pid_t pid;

	check(msg_pair(fds), "pair");
	snprintf(path, sizeof(path), "%s/session", f->dir);
	snprintf(empty, sizeof(empty), "%s/empty", f->dir);
	snprintf(user, sizeof(user), "%d:%d", UID, UID);
	pid = fork();
	if (!pid) {
		int peer = fcntl(client, F_DUPFD, 10);
		int sock = fcntl(fds[1], F_DUPFD, 10);

		dup2(sock, 3);
		dup2(peer, 4);
		close(sock);
		close(peer);
		execl(path, "sgbridge-session", "-u", user, "-r", empty,
			(char *)NULL);
		die(path);
	}
	close(fds[1]);
	close(client);
	f->sock = fds[0];
	return pid;
}

static void loop(struct fake *f)
{
	bool stall = number(f, "recorder-stall", 0);
	/* From the first file on, reads no reports until all else is quiet. */
	bool lazy = number(f, "lazy-monitor", 0);

	for (;;) {
		struct pollfd fds[3] = {
			{.fd = lazy && f->files ? -1 : f->sock,
				.events = POLLIN},
			{.fd = stall ? -1 : f->recorder, .events = POLLIN},
			{.fd = f->forward, .events = POLLIN},
		};

		int ready = poll(fds, 3,
			lazy && f->files ? 1000
			: f->waits	 ? 20
					 : -1);

		if (f->waits)
			go_on(f);
		if (!ready)
			lazy = false;
		if (ready <= 0)
			continue;
		/* The last items come before the session's end. */
		if (fds[1].revents && !record(f, f->recorder)) {
			close(f->recorder);
			f->recorder = -1;
			continue;
		}
		if (fds[2].revents && !record(f, f->forward)) {
			close(f->forward);
			f->forward = -1;
			continue;
		}
		if (fds[1].revents || fds[2].revents)
			continue;
		if (fds[0].revents && !receive(f))
			return;
	}
}

void run(struct fake *f, int client)
{
	struct rusage used;
	int status = 0;
	char path[512];
	pid_t pid;

	f->recorder = f->forward = -1;
	f->messages = 0;
	snprintf(path, sizeof(path), "%s/log", f->dir);
	f->log = fopen(path, "ae");
	if (!f->log)
		die(path);
	pid = start_session(f, client);
	note(f, "session pid %d\n", (int)pid);
	send_start(f);
	loop(f);
	wait4(pid, &status, 0, &used);
	note(f, "session exit %d signal %d cpu %ld ms memory %ld KiB\n",
		WIFEXITED(status) ? WEXITSTATUS(status) : -1,
		WIFSIGNALED(status) ? WTERMSIG(status) : 0,
		(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000 +
			(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000,
		used.ru_maxrss);
}

int main(int argc, char **argv)
{
	struct fake f = {.mode = SESSION_MODE_DOOR};
	struct sockaddr_in in = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int sock, on = 1;

	if (argc != 3)
		return 2;
	f.dir = argv[2];
	in.sin_port = htons((uint16_t)atoi(argv[1]));
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(sock, (struct sockaddr *)&in, sizeof(in)) || listen(sock, 64))
		die("listen");
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int client = accept4(sock, NULL, NULL, SOCK_CLOEXEC);

		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (client < 0)
			continue;
		if (!fork()) {
			close(sock);
			run(&f, client);
			_exit(0);
		}
		close(client);
	}
}
