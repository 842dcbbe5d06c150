/*
 * Readiness and the watchdog. Nothing that comes back is read, so whoever
 * holds the other end learns states and can do nothing with them.
 */
#include "core/notify.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LONGEST_MS 60000

void notify_send(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	int sock;

	if (!len || len >= sizeof(un.sun_path) ||
		(*path != '/' && *path != '@'))
		return;
	memcpy(un.sun_path, path, len);
	if (*path == '@')
		un.sun_path[0] = '\0';
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return;
	(void)sendto(sock, text, strlen(text), MSG_NOSIGNAL,
		(struct sockaddr *)&un,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(sock);
}

/* Half of the time that systemd waits, 0 if it does not. */
static uint64_t each_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	uint64_t each;

	if (!usec || (pid && strtoll(pid, NULL, 10) != getpid()))
		return 0;
	each = strtoull(usec, NULL, 10) / 2000;
	return each > LONGEST_MS ? LONGEST_MS : each;
}

int notify_watchdog(void)
{
	static uint64_t told_ms;
	uint64_t each = each_ms(), now;
	struct timespec clock = {0, 0};

	if (!each)
		return -1;
	(void)clock_gettime(CLOCK_MONOTONIC, &clock);
	now = (uint64_t)clock.tv_sec * 1000 + (uint64_t)clock.tv_nsec / 1000000;
	if (!told_ms || now - told_ms >= each) {
		notify_send("WATCHDOG=1");
		told_ms = now;
	}
	return (int)(told_ms + each - now) + 1;
}
