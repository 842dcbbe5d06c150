/*
 * Sending and receiving the messages of msg.def. Knows their outer form only;
 * what a body means is for the programs.
 */
#include "core/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* Hundreds of monitors may ask at the same moment; the kernel's limit. */
#define BACKLOG 4096

struct msg_row {
	unsigned int fds;
	const char *name;
};

/* A switch, so that a number that is given twice does not compile. */
static const struct msg_row *msg_find(unsigned int type)
{
	switch (type) {
#define X(name, number, fds, body) \
	case number: { \
		static const struct msg_row row = {fds, #name}; \
\
		return &row; \
	}
#include "core/msg.def"
#undef X
	default: return NULL;
	}
}

const char *msg_name(unsigned int type)
{
	const struct msg_row *row = msg_find(type);

	return row ? row->name : "?";
}

void msg_init(struct msg *msg, enum msg_type type)
{
	size_t i;

	msg->type = type;
	buf_init(&msg->body, MSG_MAX_BYTES);
	reader_init(&msg->reader, NULL, 0);
	for (i = 0; i < MSG_MAX_FDS; i++)
		msg->fds[i] = -1;
	msg->fd_count = 0;
}

static void close_fds(struct msg *msg)
{
	size_t i;

	for (i = 0; i < MSG_MAX_FDS; i++) {
		if (msg->fds[i] >= 0)
			close(msg->fds[i]);
		msg->fds[i] = -1;
	}
	msg->fd_count = 0;
}

void msg_done(struct msg *msg)
{
	close_fds(msg);
	buf_done(&msg->body);
}

enum sgb_err msg_put_fd(struct msg *msg, int fd)
{
	int copy;

	if (msg->fd_count >= MSG_MAX_FDS)
		return SGB_ERR_LIMIT;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return SGB_ERR_SYSTEM;
	msg->fds[msg->fd_count++] = copy;
	return SGB_OK;
}

int msg_take_fd(struct msg *msg, size_t i)
{
	int fd;

	if (i >= MSG_MAX_FDS)
		return -1;
	fd = msg->fds[i];
	msg->fds[i] = -1;
	return fd;
}

static enum sgb_err socket_error(void)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
		return SGB_ERR_AGAIN;
	if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
		return SGB_ERR_CLOSED;
	return SGB_ERR_SYSTEM;
}

union control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int) * MSG_MAX_FDS)];
};

static void attach_fds(
	struct msghdr *mh, union control *control, const struct msg *msg)
{
	struct cmsghdr *head;

	if (!msg->fd_count)
		return;
	memset(control, 0, sizeof(*control));
	mh->msg_control = control->bytes;
	mh->msg_controllen = CMSG_SPACE(sizeof(int) * msg->fd_count);
	head = CMSG_FIRSTHDR(mh);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int) * msg->fd_count);
	memcpy(CMSG_DATA(head), msg->fds, sizeof(int) * msg->fd_count);
}

enum sgb_err msg_send(int sock, struct msg *msg)
{
	const struct msg_row *row = msg_find(msg->type);
	uint8_t type[2] = {(uint8_t)(msg->type >> 8), (uint8_t)msg->type};
	struct iovec iov[2] = {
		{.iov_base = type, .iov_len = sizeof(type)},
		{.iov_base = msg->body.data, .iov_len = msg->body.len},
	};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};
	union control control;
	enum sgb_err err = buf_error(&msg->body);
	ssize_t sent;

	if (err)
		return err;
	if (!row || row->fds != msg->fd_count)
		return SGB_ERR_FORMAT;
	attach_fds(&mh, &control, msg);
	do {
		sent = sendmsg(sock, &mh, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return socket_error();
	return (size_t)sent == sizeof(type) + msg->body.len ? SGB_OK
							    : SGB_ERR_LIMIT;
}

/* Takes every descriptor that came, so that none leaks whatever follows. */
static bool collect_fds(struct msghdr *mh, struct msg *msg)
{
	struct cmsghdr *head;
	bool fits = !(mh->msg_flags & MSG_CTRUNC);

	for (head = CMSG_FIRSTHDR(mh); head; head = CMSG_NXTHDR(mh, head)) {
		size_t count, i;

		if (head->cmsg_level != SOL_SOCKET ||
			head->cmsg_type != SCM_RIGHTS)
			continue;
		count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(head) + i * sizeof(int),
				sizeof(fd));
			if (msg->fd_count < MSG_MAX_FDS) {
				msg->fds[msg->fd_count++] = fd;
			} else {
				close(fd);
				fits = false;
			}
		}
	}
	return fits;
}

static enum sgb_err accept_form(struct msg *msg)
{
	unsigned int type = reader_u16(&msg->reader);
	const struct msg_row *row = msg_find(type);

	if (msg->reader.err || !row || row->fds != msg->fd_count)
		return SGB_ERR_FORMAT;
	msg->type = (enum msg_type)type;
	return SGB_OK;
}

/* How long the next message is; it stays where it is. A buffer for the longest
 * one, wiped afterwards, would cost more than the message. */
static enum sgb_err next_length(int sock, size_t *ret)
{
	ssize_t len;

	do {
		len = recv(sock, NULL, 0, MSG_PEEK | MSG_TRUNC);
	} while (len < 0 && errno == EINTR);
	if (len < 0)
		return socket_error();
	*ret = (size_t)len;
	if (len <= MSG_MAX_BYTES)
		return SGB_OK;
	/* Taken off the queue, for those who go on after what is none. */
	(void)recv(sock, NULL, 0, MSG_DONTWAIT);
	return SGB_ERR_FORMAT;
}

/* One recvmsg into room for len bytes; descriptors go into msg. */
static enum sgb_err receive(int sock, struct msg *msg, size_t len)
{
	struct iovec iov = {.iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;
	ssize_t got;

	iov.iov_base = buf_extend(&msg->body, len);
	if (!iov.iov_base)
		return buf_error(&msg->body);
	mh.msg_control = control.bytes;
	mh.msg_controllen = sizeof(control.bytes);
	do {
		got = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return socket_error();
	if (!collect_fds(&mh, msg) || (mh.msg_flags & MSG_TRUNC) ||
		(size_t)got != len)
		return SGB_ERR_FORMAT;
	return SGB_OK;
}

enum sgb_err msg_recv(int sock, struct msg *msg)
{
	enum sgb_err err;
	size_t len;

	close_fds(msg);
	buf_reset(&msg->body);
	err = next_length(sock, &len);
	if (err)
		return err;
	if (!len)
		return SGB_ERR_CLOSED;
	err = receive(sock, msg, len);
	if (!err) {
		reader_init(&msg->reader, msg->body.data, msg->body.len);
		err = accept_form(msg);
	}
	if (err)
		close_fds(msg);
	return err;
}

enum sgb_err msg_recv_answer(int sock, struct msg *msg)
{
	enum sgb_err err;

	do {
		err = msg_recv(sock, msg);
	} while (!err && msg->type == MSG_REC_BUSY);
	return err;
}

enum sgb_err msg_pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return SGB_ERR_SYSTEM;
	return SGB_OK;
}

static enum sgb_err unix_address(const char *path, struct sockaddr_un *un)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(un->sun_path))
		return SGB_ERR_LIMIT;
	strcpy(un->sun_path, path);
	return SGB_OK;
}

enum sgb_err msg_connect(const char *path, int *ret_sock)
{
	const struct timeval patience = {.tv_sec = MSG_CONNECT_SECONDS};
	struct sockaddr_un un;
	enum sgb_err err = unix_address(path, &un);
	int sock;

	if (err)
		return err;
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return SGB_ERR_SYSTEM;
	/* connect waits as long as the peer's queue is full. */
	(void)setsockopt(
		sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(sock, (struct sockaddr *)&un, sizeof(un))) {
		int saved = errno;

		close(sock);
		errno = saved;
		return saved == ENOENT || saved == ECONNREFUSED
			       ? SGB_ERR_NOTFOUND
			       : SGB_ERR_SYSTEM;
	}
	*ret_sock = sock;
	return SGB_OK;
}

enum sgb_err msg_listen(const char *path, int *ret_sock)
{
	struct sockaddr_un un;
	enum sgb_err err = unix_address(path, &un);
	mode_t mask;
	int sock, probe;

	if (err)
		return err;
	if (!msg_connect(path, &probe)) {
		close(probe);
		return SGB_ERR_BUSY;
	}
	if (unlink(path) && errno != ENOENT)
		return SGB_ERR_SYSTEM;
	sock = socket(
		AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		return SGB_ERR_SYSTEM;
	mask = umask(0177);
	err = bind(sock, (struct sockaddr *)&un, sizeof(un)) ? SGB_ERR_SYSTEM
							     : SGB_OK;
	umask(mask);
	if (!err && listen(sock, BACKLOG))
		err = SGB_ERR_SYSTEM;
	if (err)
		close(sock);
	else
		*ret_sock = sock;
	return err;
}
