/*
 * What systemd tells sgbridged and is told by it: readiness, the watchdog, and
 * sockets that it opened itself (sd_notify(3), sd_watchdog_enabled(3),
 * sd_listen_fds(3)), without its library. Trusts the environment as far as
 * whoever started the program, who is root; what is passed must still be what
 * it is said to be.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

void systemd_notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	int sock;

	if (!len || len >= sizeof(un.sun_path))
		return;
	memcpy(un.sun_path, path, len);
	if (un.sun_path[0] == '@')
		un.sun_path[0] = '\0';
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return;
	(void)sendto(sock, text, strlen(text), MSG_NOSIGNAL,
		(struct sockaddr *)&un,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(sock);
}

/* A number of the environment that is meant for this process; 0: none. */
static unsigned long long own_number(const char *name, const char *pid_name)
{
	const char *text = getenv(name), *pid = getenv(pid_name);

	if (!text || (pid && strtoll(pid, NULL, 10) != getpid()))
		return 0;
	return strtoull(text, NULL, 10);
}

int systemd_watchdog(void)
{
	static uint64_t told_ms;
	/* Twice in the time that systemd waits, as sd_watchdog_enabled(3)
	 * wants it; in milliseconds. */
	uint64_t each = own_number("WATCHDOG_USEC", "WATCHDOG_PID") / 2000;
	uint64_t now = daemon_now_ms();

	if (!each)
		return -1;
	if (each > 60000)
		each = 60000;
	if (!told_ms || now - told_ms >= each) {
		systemd_notify("WATCHDOG=1");
		told_ms = now;
	}
	return (int)(told_ms + each - now) + 1;
}

static int option(int fd, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) ? -1 : value;
}

static bool listens(int fd)
{
	int domain = option(fd, SO_DOMAIN);

	return option(fd, SO_TYPE) == SOCK_STREAM &&
	       option(fd, SO_ACCEPTCONN) == 1 &&
	       (domain == AF_INET || domain == AF_INET6) &&
	       !fcntl(fd, F_SETFD, FD_CLOEXEC) &&
	       !fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

enum sgb_err systemd_sockets(struct daemon *d)
{
	unsigned long long count = own_number("LISTEN_FDS", "LISTEN_PID");
	int fd;

	/* Not for what this process starts. */
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	if (!count)
		return SGB_ERR_NOTFOUND;
	if (count > LISTEN_MAX) {
		fprintf(stderr,
			"sgbridged: %llu sockets were passed, at most "
			"%d can be listened on\n",
			count, LISTEN_MAX);
		return SGB_ERR_LIMIT;
	}
	for (fd = FIRST_FD; fd < FIRST_FD + (int)count; fd++) {
		if (!listens(fd)) {
			fprintf(stderr,
				"sgbridged: the socket passed as descriptor %d "
				"does not listen for TCP; the socket unit "
				"needs ListenStream=ADDRESS:PORT and "
				"Accept=no\n",
				fd);
			return SGB_ERR_UNSUPPORTED;
		}
		d->listeners[d->listener_count++] = fd;
	}
	return SGB_OK;
}
