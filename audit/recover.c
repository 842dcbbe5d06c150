/*
 * Recovery of one recording. Cuts only what follows the last frame of an
 * unbroken chain, and only if nothing says that a chain was broken on purpose.
 */
#include "recover.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/file.h"

#define PIECE 65536

/* Hash of the bytes from offset to the end. */
static enum sgb_err hash_tail(
	struct sgr_source *source, uint64_t offset, uint8_t ret[SUITE_HASH_LEN])
{
	uint64_t size = sgr_source_size(source);
	struct iovec part = {NULL, 0};
	struct buf tail;
	enum sgb_err err;

	/* A torn frame and the zeros of one checkpoint's worth at most. */
	buf_init(&tail, 256 * 1024 * 1024);
	while (offset < size) {
		size_t len = size - offset < PIECE ? (size_t)(size - offset)
						   : PIECE;
		const uint8_t *bytes = sgr_source_get(source, offset, len);

		if (!bytes) {
			buf_done(&tail);
			return SGB_ERR_SYSTEM;
		}
		buf_put(&tail, bytes, len);
		offset += len;
	}
	err = buf_error(&tail);
	part.iov_base = tail.data;
	part.iov_len = tail.len;
	if (!err)
		err = suite_sha256(&part, 1, ret);
	buf_done(&tail);
	return err;
}

static enum sgb_err sign_end(const struct sgr_scan *scan,
	const struct suite_key *key, const uint8_t head[SGR_HEAD_LEN],
	struct buf *body)
{
	uint8_t sig[SUITE_SIG_LEN] = {0};
	struct buf message;
	enum sgb_err err;

	buf_put(body, sig, sizeof(sig));
	buf_init(&message, 1024);
	err = sgr_signed_bytes(scan->header.rec_id, head, scan->link,
		body->data, body->len, &message);
	if (!err)
		err = suite_sign(key, message.data, message.len,
			body->data + body->len - SUITE_SIG_LEN);
	buf_done(&message);
	return err;
}

/* The RECOVERED frame for the place where the scan stopped. */
static enum sgb_err put_end(struct sgr_scan *scan, const struct suite_key *key,
	const uint8_t boot_id[16], uint64_t wall_ns,
	const struct sgr_recovery *recovery, struct buf *out)
{
	struct sgr_head head = {.type = SGR_RECOVERED,
		.segment = scan->segment,
		.index = scan->index,
		.len = SGR_RECOVERED_LEN};
	uint8_t bytes[SGR_HEAD_LEN];
	struct buf body;
	enum sgb_err err;

	sgr_head_put(&head, bytes);
	buf_init(&body, 256);
	buf_put_le64(&body, wall_ns);
	buf_put(&body, boot_id, 16);
	buf_put_le64(&body, recovery->discarded);
	buf_put(&body, recovery->hash, SUITE_HASH_LEN);
	buf_put(&body, suite_key_public(key), SUITE_KEY_LEN);
	err = buf_error(&body);
	if (!err)
		err = sign_end(scan, key, bytes, &body);
	if (!err)
		err = sgr_link_next(scan->link, bytes, body.data, body.len);
	buf_put(out, bytes, sizeof(bytes));
	buf_put(out, body.data, body.len);
	buf_put(out, scan->link, SGR_LINK_LEN);
	buf_done(&body);
	return err ? err : buf_error(out);
}

static enum sgb_err write_end(int fd, uint64_t offset, const struct buf *end)
{
	if (ftruncate(fd, (off_t)offset) ||
		lseek(fd, (off_t)offset, SEEK_SET) < 0)
		return SGB_ERR_SYSTEM;
	if (file_write_all(fd, end->data, end->len))
		return SGB_ERR_SYSTEM;
	if (fchmod(fd, 0440) || fsync(fd))
		return SGB_ERR_SYSTEM;
	return SGB_OK;
}

static enum sgb_err end_file(int fd, struct sgr_scan *scan,
	const struct suite_key *key, const uint8_t boot_id[16],
	uint64_t wall_ns, struct sgr_recovery *ret)
{
	struct buf end;
	enum sgb_err err;

	if (scan->index < 2)
		return SGB_ERR_NOTFOUND;
	ret->discarded = sgr_source_size(scan->source) - scan->offset;
	err = hash_tail(scan->source, scan->offset, ret->hash);
	if (err)
		return err;
	buf_init(&end, 1024);
	err = put_end(scan, key, boot_id, wall_ns, ret, &end);
	if (!err)
		err = write_end(fd, scan->offset, &end);
	if (!err) {
		ret->frames = scan->index + 1;
		ret->size = scan->offset + end.len;
		memcpy(ret->link, scan->link, SUITE_HASH_LEN);
	}
	buf_done(&end);
	return err;
}

enum sgb_err sgr_recover(int fd, const struct suite_key *key,
	const uint8_t boot_id[16], uint64_t wall_ns, struct sgr_recovery *ret)
{
	struct sgr_source *source;
	struct sgr_frame frame;
	struct sgr_scan scan;
	enum sgb_err err;

	memset(ret, 0, sizeof(*ret));
	err = sgr_source_file(fd, &source);
	if (err)
		return err;
	err = sgr_scan_begin(&scan, source);
	while (!err)
		err = sgr_scan_next(&scan, &frame);
	ret->before = scan.verdict;
	memcpy(ret->text, scan.fault, sizeof(ret->text));
	ret->frames = scan.index;
	ret->size = sgr_source_size(source);
	memcpy(ret->link, scan.link, SUITE_HASH_LEN);
	if (scan.verdict == SGR_OPEN)
		err = end_file(fd, &scan, key, boot_id, wall_ns, ret);
	else if (scan.ended)
		err = SGB_ERR_STALE;
	else
		err = SGB_ERR_FORMAT;
	sgr_scan_done(&scan);
	sgr_source_free(source);
	return err;
}
