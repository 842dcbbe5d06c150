/*
 * recv, send and poll for libssh's sockets, from user space (session_io.h).
 * The dynamic linker gives libssh these definitions because the program's own
 * symbols come first. Trusts nothing it reads; must not interpret bytes.
 */
#include "session_io.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IO_IN_MAX  (128 * 1024)
#define IO_OUT_MAX (256 * 1024)
/* Steps of growth: in between there would be only holes in the heap. The larger
 * one holds IO_UNSENT_HIGH and a packet. */
#define IO_OUT_SMALL (16 * 1024)
#define IO_OUT_KEPT  (128 * 1024)

struct io {
	int fd;	  /* libssh's, which it may close; -1: free */
	int real; /* ours */
	uint8_t *in;
	size_t in_head, in_len;
	uint8_t *out;
	size_t out_head, out_len, out_cap;
	uint64_t received;
	bool ended;  /* end of file or error on reading */
	bool broken; /* error on writing */
	bool held;   /* libssh shall read nothing for now */
};

static struct io ios[IO_LEGS] = {{.fd = -1}, {.fd = -1}};

/* Other names in C, because <bits/socket2.h> defines these inline. */
SGB_EXPORT ssize_t io_recv(int fd, void *data, size_t len, int flags) __asm__(
	"recv");
SGB_EXPORT ssize_t io_send(
	int fd, const void *data, size_t len, int flags) __asm__("send");
SGB_EXPORT int io_poll(struct pollfd *fds, nfds_t count, int timeout) __asm__(
	"poll");

static struct io *find(int fd)
{
	size_t i;

	if (fd < 0)
		return NULL;
	for (i = 0; i < IO_LEGS; i++)
		if (ios[i].fd == fd)
			return &ios[i];
	return NULL;
}

enum sgb_err io_add(int fd)
{
	struct io *io = NULL;
	int on = 1;
	size_t i;

	for (i = 0; i < IO_LEGS; i++)
		if (ios[i].fd < 0)
			io = &ios[i];
	if (!io)
		return SGB_ERR_LIMIT;
	memset(io, 0, sizeof(*io));
	io->fd = -1;
	io->real = fcntl(fd, F_DUPFD_CLOEXEC, 5);
	if (io->real < 0)
		return SGB_ERR_SYSTEM;
	/* Nagle and delayed acknowledgements cost a handshake 40 ms a step;
	 * on a socket pair this fails, and there it does not matter. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	io->fd = fd;
	return SGB_OK;
}

void io_remove(int fd)
{
	struct io *io = find(fd);

	if (!io)
		return;
	close(io->real);
	free(io->in);
	free(io->out);
	memset(io, 0, sizeof(*io));
	io->fd = -1;
}

static void flush(struct io *io)
{
	while (io->out_len && !io->broken) {
		ssize_t sent = sendto(io->real, io->out + io->out_head,
			io->out_len, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS))
			break;
		if (sent < 0) {
			io->broken = true;
			break;
		}
		io->out_head += (size_t)sent;
		io->out_len -= (size_t)sent;
	}
	if (!io->out_len)
		io->out_head = 0;
}

bool io_flush_all(void)
{
	bool relieved = false;
	size_t i;

	for (i = 0; i < IO_LEGS; i++) {
		bool full = ios[i].out_len > IO_UNSENT_HIGH;

		if (ios[i].fd < 0)
			continue;
		flush(&ios[i]);
		relieved |= full && ios[i].out_len <= IO_UNSENT_HIGH;
	}
	return relieved;
}

short io_events(int fd)
{
	struct io *io = find(fd);
	int events = 0;

	if (!io)
		return 0;
	if (!io->in_len && !io->ended && !io->held)
		events |= POLLIN;
	if (io->out_len && !io->broken)
		events |= POLLOUT;
	return (short)events;
}

void io_hold(int fd, bool on)
{
	struct io *io = find(fd);

	if (io)
		io->held = on;
}

static void fill(struct io *io)
{
	ssize_t got;

	if (io->in_len || io->ended || io->held)
		return;
	if (!io->in)
		io->in = malloc(IO_IN_MAX);
	if (!io->in) {
		io->ended = true;
		return;
	}
	io->in_head = 0;
	do {
		got = recvfrom(
			io->real, io->in, IO_IN_MAX, MSG_DONTWAIT, NULL, NULL);
	} while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		io->ended = true;
		return;
	}
	io->in_len = (size_t)got;
	io->received += (uint64_t)got;
}

void io_rest(void)
{
	size_t i;

	for (i = 0; i < IO_LEGS; i++) {
		if (ios[i].fd < 0)
			continue;
		if (!ios[i].in_len) {
			free(ios[i].in);
			ios[i].in = NULL;
		}
		if (!ios[i].out_len) {
			free(ios[i].out);
			ios[i].out = NULL;
			ios[i].out_cap = ios[i].out_head = 0;
		}
	}
}

int io_descriptor(int fd)
{
	struct io *io = find(fd);

	return io ? io->real : -1;
}

void io_fill(int fd)
{
	struct io *io = find(fd);

	if (io)
		fill(io);
}

bool io_readable(int fd)
{
	struct io *io = find(fd);

	return io && !io->held && (io->in_len || io->ended);
}

static bool takes(const struct io *io)
{
	return io->out_len < IO_OUT_MAX || io->broken;
}

bool io_takes(int fd)
{
	struct io *io = find(fd);

	return io && takes(io);
}

size_t io_unsent(int fd)
{
	struct io *io = find(fd);

	return io ? io->out_len : 0;
}

uint64_t io_received(int fd)
{
	struct io *io = find(fd);

	return io ? io->received : 0;
}

bool io_ended(int fd)
{
	struct io *io = find(fd);

	return !io || (io->ended && !io->in_len) || io->broken;
}

ssize_t io_recv(int fd, void *data, size_t len, int flags)
{
	struct io *io = find(fd);

	if (!io)
		return recvfrom(fd, data, len, flags, NULL, NULL);
	if (!io->in_len && io->ended)
		return 0;
	if (!io->in_len) {
		errno = EAGAIN;
		return -1;
	}
	if (len > io->in_len)
		len = io->in_len;
	memcpy(data, io->in + io->in_head, len);
	io->in_head += len;
	io->in_len -= len;
	return (ssize_t)len;
}

static bool out_room(struct io *io, size_t len)
{
	size_t cap = io->out_len + len <= IO_OUT_SMALL ? IO_OUT_SMALL
						       : IO_OUT_KEPT;
	uint8_t *out;

	if (io->out_head && io->out_head + io->out_len + len > io->out_cap) {
		memmove(io->out, io->out + io->out_head, io->out_len);
		io->out_head = 0;
	}
	while (cap < io->out_len + len)
		cap *= 2;
	if (cap <= io->out_cap)
		return true;
	out = realloc(io->out, cap);
	if (!out)
		return false;
	io->out = out;
	io->out_cap = cap;
	return true;
}

ssize_t io_send(int fd, const void *data, size_t len, int flags)
{
	struct io *io = find(fd);

	if (!io)
		return sendto(fd, data, len, flags, NULL, 0);
	if (io->out_len >= IO_OUT_MAX / 2)
		flush(io);
	if (io->broken) {
		errno = EPIPE;
		return -1;
	}
	if (len > IO_OUT_MAX - io->out_len)
		len = IO_OUT_MAX - io->out_len;
	/* 0 makes libssh keep the bytes and ask for POLLOUT. */
	if (!len || !out_room(io, len))
		return 0;
	memcpy(io->out + io->out_head + io->out_len, data, len);
	io->out_len += len;
	return (ssize_t)len;
}

static short user_events(const struct io *io, short wanted)
{
	int events = 0;

	if ((wanted & POLLIN) && !io->held && (io->in_len || io->ended))
		events |= POLLIN;
	if ((wanted & POLLOUT) && takes(io))
		events |= POLLOUT;
	return (short)events;
}

/*
 * libssh polls its two legs with timeout 0 (all of its calls are
 * non-blocking): answered from memory. Anything else, such as the wait for
 * the agent, goes to the kernel.
 */
int io_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	struct timespec ts = {timeout / 1000, (timeout % 1000) * 1000000L};
	int ready = 0;
	nfds_t i;

	for (i = 0; i < count; i++) {
		struct io *io = find(fds[i].fd);

		if (!io)
			return ppoll(
				fds, count, timeout < 0 ? NULL : &ts, NULL);
		fds[i].revents = user_events(io, fds[i].events);
		if (fds[i].revents)
			ready++;
	}
	return ready;
}
