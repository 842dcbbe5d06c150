/*
 * Messages between parent and child: structs of one program, whole or not at
 * all. The child may be taken over by its receiver: what comes from it is
 * checked here for form and by the parent for what it may ask.
 */
#include "forward.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum sgb_err forward_msg_send(int sock, const struct forward_msg *msg, int fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = {(void *)msg, sizeof(*msg)};
	struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};

	if (fd >= 0) {
		struct cmsghdr *cmsg;

		memset(&control, 0, sizeof(control));
		head.msg_control = control.room;
		head.msg_controllen = sizeof(control.room);
		cmsg = CMSG_FIRSTHDR(&head);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	if (sendmsg(sock, &head, MSG_NOSIGNAL | MSG_DONTWAIT) ==
		(ssize_t)sizeof(*msg))
		return SGB_OK;
	return errno == EAGAIN ? SGB_ERR_AGAIN : SGB_ERR_CLOSED;
}

static int take_fd(struct msghdr *head)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(head);
	int fd = -1;

	if (cmsg && cmsg->cmsg_level == SOL_SOCKET &&
		cmsg->cmsg_type == SCM_RIGHTS &&
		cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
	return fd;
}

static bool well_formed(const struct forward_msg *msg)
{
	return msg->kind > FORWARD_MSG_NONE && msg->kind <= FORWARD_STOP &&
	       memchr(msg->name, 0, sizeof(msg->name)) &&
	       memchr(msg->newest, 0, sizeof(msg->newest)) &&
	       memchr(msg->report.text, 0, sizeof(msg->report.text)) &&
	       memchr(msg->report.final.file, 0,
		       sizeof(msg->report.final.file)) &&
	       (unsigned int)msg->report.state <= FORWARD_UP;
}

enum sgb_err forward_msg_receive(int sock, struct forward_msg *ret, int *ret_fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = {ret, sizeof(*ret)};
	struct msghdr head = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room)};
	ssize_t got = recvmsg(sock, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*ret_fd = -1;
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? SGB_ERR_AGAIN
							 : SGB_ERR_CLOSED;
	if (!got)
		return SGB_ERR_CLOSED;
	*ret_fd = take_fd(&head);
	if (got == (ssize_t)sizeof(*ret) &&
		!(head.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
		well_formed(ret))
		return SGB_OK;
	if (*ret_fd >= 0)
		close(*ret_fd);
	*ret_fd = -1;
	return SGB_ERR_FORMAT;
}

uint64_t forward_now_ms(void)
{
	struct timespec now = {0, 0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t forward_jitter(uint64_t ms)
{
	uint32_t chance = 0;

	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) !=
		(ssize_t)sizeof(chance))
		chance = (uint32_t)ms;
	return ms / 2 + (ms * (chance % 1024)) / 1024;
}
