/*
 * Items to the recorder in batches, and its acknowledgements. Trusts the
 * recorder's numbers only as far as they were sent; must never block, and
 * never call lost what is only slow.
 */
#include "session_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Channel, kind, length. */
#define ITEM_HEAD 9
/* So much needs no company. */
#define BATCH_ENOUGH 16384

struct record_batch {
	TAILQ_ENTRY(record_batch) entry;
	size_t len;
	uint8_t bytes[];
};

void record_init(struct record_stream *rs)
{
	memset(rs, 0, sizeof(*rs));
	rs->fd = -1;
	rs->next = 1;
	buf_init(&rs->batch, RECORD_MESSAGE_MAX);
	TAILQ_INIT(&rs->unsent);
}

enum sgb_err record_open(struct record_stream *rs, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	rs->fd = fd;
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return SGB_ERR_SYSTEM;
	return SGB_OK;
}

void record_close(struct record_stream *rs)
{
	struct record_batch *batch;

	while ((batch = TAILQ_FIRST(&rs->unsent))) {
		TAILQ_REMOVE(&rs->unsent, batch, entry);
		free(batch);
	}
	rs->backlog = 0;
	buf_done(&rs->batch);
	if (rs->fd >= 0)
		close(rs->fd);
	rs->fd = -1;
	rs->lost = true;
}

static void close_batch(struct record_stream *rs)
{
	struct record_batch *batch;

	if (!rs->batch.len || rs->lost)
		return;
	batch = malloc(sizeof(*batch) + rs->batch.len);
	if (!batch || buf_error(&rs->batch)) {
		free(batch);
		rs->lost = true;
		return;
	}
	batch->len = rs->batch.len;
	memcpy(batch->bytes, rs->batch.data, rs->batch.len);
	buf_reset(&rs->batch);
	rs->last = 0;
	TAILQ_INSERT_TAIL(&rs->unsent, batch, entry);
	rs->backlog += batch->len;
	rs->latest = batch->len;
	rs->next++;
}

static bool is_payload(enum record_kind kind)
{
	return kind == RECORD_IN || kind == RECORD_OUT || kind == RECORD_ERR;
}

/* Bytes that follow those of the last item are added to it: a peer that sends
 * one a packet would else get nine more written for each. */
static bool join_last(struct record_stream *rs, uint32_t channel,
	enum record_kind kind, const void *data, size_t len)
{
	struct reader rd;
	uint8_t *length;
	size_t had;

	if (!is_payload(kind) || rs->last == rs->batch.len ||
		rs->batch.len + len > RECORD_MESSAGE_MAX)
		return false;
	reader_init(&rd, rs->batch.data + rs->last, ITEM_HEAD);
	if (reader_u32(&rd) != channel || reader_u8(&rd) != kind)
		return false;
	had = reader_u32(&rd);
	if (had + len > RECORD_ITEM_MAX)
		return false;
	buf_put(&rs->batch, data, len);
	length = rs->batch.data + rs->last + ITEM_HEAD - 4;
	had += len;
	length[0] = (uint8_t)(had >> 24);
	length[1] = (uint8_t)(had >> 16);
	length[2] = (uint8_t)(had >> 8);
	length[3] = (uint8_t)had;
	return true;
}

uint64_t record_put(struct record_stream *rs, uint32_t channel,
	enum record_kind kind, const void *data, size_t len)
{
	if (rs->fd < 0 || len > RECORD_ITEM_MAX)
		rs->lost = true;
	if (rs->lost)
		return 0;
	if (!join_last(rs, channel, kind, data, len)) {
		if (rs->batch.len + len + ITEM_HEAD > RECORD_MESSAGE_MAX)
			close_batch(rs);
		rs->last = rs->batch.len;
		buf_put_u32(&rs->batch, channel);
		buf_put_u8(&rs->batch, (uint8_t)kind);
		buf_put_string(&rs->batch, data, len);
	}
	if (buf_error(&rs->batch))
		rs->lost = true;
	return rs->lost ? 0 : rs->next;
}

uint64_t record_put_text(struct record_stream *rs, uint32_t channel,
	enum record_kind kind, const char *text)
{
	size_t len = strlen(text);

	return record_put(rs, channel, kind, text,
		len < RECORD_ITEM_MAX ? len : RECORD_ITEM_MAX);
}

static bool send_batch(struct record_stream *rs, struct record_batch *batch)
{
	ssize_t sent;

	do {
		sent = sendto(rs->fd, batch->bytes, batch->len,
			MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
	} while (sent < 0 && errno == EINTR);
	if (sent >= 0 && (size_t)sent == batch->len)
		return true;
	if (sent >= 0 || (errno != EAGAIN && errno != ENOBUFS))
		rs->lost = true;
	return false;
}

/* The answer to what is under way comes as an event, and brings us here again.
 */
static bool batch_due(const struct record_stream *rs)
{
	return rs->closing || rs->acked + 1 == rs->next ||
	       rs->batch.len >= BATCH_ENOUGH;
}

void record_flush(struct record_stream *rs)
{
	struct record_batch *batch;

	if (batch_due(rs))
		close_batch(rs);
	while (!rs->lost && (batch = TAILQ_FIRST(&rs->unsent))) {
		if (!send_batch(rs, batch))
			return;
		TAILQ_REMOVE(&rs->unsent, batch, entry);
		rs->backlog -= batch->len;
		free(batch);
	}
}

static bool accept_wait(struct record_stream *rs, struct reader *rd)
{
	uint64_t seconds = reader_u64(rd);

	if (reader_end(rd) || seconds > RECORD_WAIT_MAX) {
		rs->lost = true;
		return false;
	}
	rs->waits = seconds > 0;
	rs->wait_s = seconds;
	rs->wait_until = 0;
	return true;
}

static bool accept_ack(struct record_stream *rs, const void *data, size_t len)
{
	struct reader rd;
	uint64_t seq;

	reader_init(&rd, data, len);
	seq = reader_u64(&rd);
	if (seq == RECORD_ACK_WAIT)
		return accept_wait(rs, &rd);
	/* What was not sent cannot have been written. */
	if (reader_end(&rd) || seq >= rs->next) {
		rs->lost = true;
		return false;
	}
	if (seq <= rs->acked)
		return false;
	rs->acked = seq;
	return true;
}

bool record_receive(struct record_stream *rs)
{
	uint8_t ack[16];
	bool news = false;

	while (!rs->lost) {
		ssize_t got = recvfrom(rs->fd, ack, sizeof(ack),
			MSG_DONTWAIT | MSG_TRUNC, NULL, NULL);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			break;
		if (got <= 0 || (size_t)got > sizeof(ack)) {
			rs->lost = true;
			break;
		}
		news |= accept_ack(rs, ack, (size_t)got);
	}
	return news;
}

bool record_written(const struct record_stream *rs, uint64_t seq)
{
	return seq && seq <= rs->acked;
}

uint64_t record_behind(const struct record_stream *rs)
{
	/* Nothing follows what will never be written. */
	if (rs->lost || rs->batch.len)
		return rs->next;
	return rs->next - 1 > rs->acked ? rs->next - 1 : 0;
}

void record_tick(struct record_stream *rs, uint64_t now)
{
	if (!rs->waits)
		return;
	if (!rs->wait_until)
		rs->wait_until = now + rs->wait_s * 1000 + RECORD_GRACE_MS;
	if (now >= rs->wait_until)
		rs->lost = true;
}

bool record_pending(const struct record_stream *rs)
{
	return rs->batch.len || record_blocked(rs);
}

bool record_blocked(const struct record_stream *rs)
{
	return !TAILQ_EMPTY(&rs->unsent);
}
