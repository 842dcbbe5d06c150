/*
 * Live viewers of one recording. The bytes are the target's; a viewer's
 * socket is read by a process that trusts neither. Must never block.
 */
#include "viewers.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/secret.h"

#define ITEM_HEAD 9 /* u32 channel, u8 kind, u32 length */
/* More than the recorder takes in one round. */
#define BATCH_MAX (1024 * 1024)

struct viewers {
	int fds[VIEWERS_MAX]; /* -1: free */
	size_t count;
	struct buf batch; /* items, not yet written */
};

enum sgb_err viewers_add(struct viewers **viewers, int *ret_fd)
{
	struct viewers *v = *viewers;
	int pair[2];
	size_t i;

	if (!v) {
		v = calloc(1, sizeof(*v));
		if (!v)
			return SGB_ERR_NOMEM;
		for (i = 0; i < VIEWERS_MAX; i++)
			v->fds[i] = -1;
		buf_init(&v->batch, BATCH_MAX);
		*viewers = v;
	}
	if (v->count == VIEWERS_MAX)
		return SGB_ERR_LIMIT;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return SGB_ERR_SYSTEM;
	for (i = 0; v->fds[i] >= 0;)
		i++;
	v->fds[i] = pair[0];
	v->count++;
	*ret_fd = pair[1];
	return SGB_OK;
}

/* What the user of the session sees, and what begins and ends it. */
static bool is_seen(enum record_kind kind)
{
	switch (kind) {
	case RECORD_OPEN:
	case RECORD_CLOSE:
	case RECORD_OUT:
	case RECORD_ERR:
	case RECORD_PTY:
	case RECORD_RESIZE:
	case RECORD_SHELL:
	case RECORD_EXEC:
	case RECORD_EXIT:
	case RECORD_EXIT_SIGNAL: return true;
	default: return false;
	}
}

void viewers_note(struct viewers *viewers, uint32_t channel,
	enum record_kind kind, const void *data, size_t len)
{
	if (!viewers || !viewers->count || !is_seen(kind) ||
		len > RECORD_MESSAGE_MAX - ITEM_HEAD)
		return;
	buf_put_u32(&viewers->batch, channel);
	buf_put_u8(&viewers->batch, (uint8_t)kind);
	buf_put_string(&viewers->batch, data, len);
}

static void drop(struct viewers *viewers, size_t i)
{
	close(viewers->fds[i]);
	viewers->fds[i] = -1;
	viewers->count--;
}

static void send_all(struct viewers *viewers, const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i < VIEWERS_MAX; i++)
		if (viewers->fds[i] >= 0 &&
			send(viewers->fds[i], data, len,
				MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
			drop(viewers, i);
}

/* As many whole items as fit into one message. */
static size_t whole_items(const uint8_t *data, size_t left)
{
	size_t len = 0, item;
	struct reader rd;

	while (left - len > ITEM_HEAD) {
		reader_init(&rd, data + len, left - len);
		(void)reader_u32(&rd);
		(void)reader_u8(&rd);
		item = ITEM_HEAD + reader_u32(&rd);
		if (rd.err || len + item > RECORD_MESSAGE_MAX)
			break;
		len += item;
	}
	return len;
}

void viewers_send(struct viewers *viewers)
{
	struct buf *batch;
	size_t at = 0, len = 1, i;

	if (!viewers || !viewers->batch.len)
		return;
	batch = &viewers->batch;
	for (i = 0; buf_error(batch) && i < VIEWERS_MAX; i++)
		if (viewers->fds[i] >= 0)
			drop(viewers, i);
	while (viewers->count && len && at < batch->len) {
		len = whole_items(batch->data + at, batch->len - at);
		send_all(viewers, batch->data + at, len);
		at += len;
	}
	secret_wipe(batch->data, batch->len);
	buf_reset(batch);
}

void viewers_free(struct viewers *viewers)
{
	size_t i;

	if (!viewers)
		return;
	for (i = 0; i < VIEWERS_MAX; i++)
		if (viewers->fds[i] >= 0)
			close(viewers->fds[i]);
	buf_done(&viewers->batch);
	free(viewers);
}
