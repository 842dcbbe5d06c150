/*
 * Sockets to receivers, made by the parent: to the addresses of the settings
 * and to the journal, and to nobody else. Nothing is read from them here.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "forward.h"

#define DEAD_PEER_MS  30000
#define JOURNAL_BYTES (1024 * 1024)

static void set_option(int fd, int level, int name, int value)
{
	/* A help, not a condition. */
	(void)!setsockopt(fd, level, name, &value, sizeof(value));
}

/* A receiver that is gone without a word is noticed within half a minute. */
int forward_to_network(const struct forward_dest *dest)
{
	bool stream = dest->kind != FORWARD_UDP;
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&dest->addr, dest->port, &ss);
	int fd = socket(ss.ss_family,
		(stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC |
			SOCK_NONBLOCK,
		0);

	if (fd < 0)
		return -1;
	if (stream) {
		set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
		set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
		set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
		set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, DEAD_PEER_MS);
	}
	if (!connect(fd, (struct sockaddr *)&ss, len) || errno == EINPROGRESS)
		return fd;
	len = (socklen_t)errno;
	close(fd);
	errno = (int)len;
	return -1;
}

int forward_to_journal(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int saved, fd;

	if (strlen(path) >= sizeof(un.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(un.sun_path, path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	set_option(fd, SOL_SOCKET, SO_SNDBUF, JOURNAL_BYTES);
	if (!connect(fd, (struct sockaddr *)&un, sizeof(un)))
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}
