/*
 * Frames of one recording. The order is fixed: bytes into a stream of the
 * present segment, padded, sealed with the link before as associated data,
 * chained. What fails leaves a writer that refuses to go on.
 */
#include "writer.h"

#include <stdlib.h>
#include <string.h>

#include "core/secret.h"

#include "squeeze.h"

struct writer {
	const struct suite_key *key;
	uint8_t rec_id[SGR_ID_LEN];
	uint8_t link[SUITE_HASH_LEN];
	struct ratchet ratchet;
	struct suite_cipher *cipher; /* of the present segment, or NULL */
	struct squeeze *streams[2];  /* likewise; 1: input */
	uint32_t index;
	uint64_t items, bytes;
	uint64_t segment_bytes;
	uint64_t segment_us;  /* its first frame */
	uint64_t last_us;     /* the last of evidence */
	uint64_t unsigned_us; /* the first of the frames that are unsigned */
	uint64_t checkpoint_bytes;
	bool segment_open;
	bool unsigned_frames; /* frames since the last signed one */
	bool no_more;	      /* evidence; only the end may follow */
	bool ended;
};

#define SCRATCH_MAX (SGR_PLAIN_MAX - 1024)

void writer_scratch_init(struct writer_scratch *scratch)
{
	memset(scratch, 0, sizeof(*scratch));
	buf_init(&scratch->plain[0], SCRATCH_MAX);
	buf_init(&scratch->plain[1], SCRATCH_MAX);
	buf_init(&scratch->packed, 2 * SGR_PLAIN_MAX);
}

void writer_scratch_done(struct writer_scratch *scratch)
{
	buf_done(&scratch->plain[0]);
	buf_done(&scratch->plain[1]);
	buf_done(&scratch->packed);
}

/* What a closed segment leaves behind: nothing. */
static void forget_segment(struct writer *writer)
{
	suite_cipher_free(writer->cipher);
	squeeze_free(writer->streams[0]);
	squeeze_free(writer->streams[1]);
	writer->cipher = NULL;
	writer->streams[0] = writer->streams[1] = NULL;
	writer->segment_bytes = 0;
	writer->segment_open = false;
}

static enum sgb_err next_segment(struct writer *writer)
{
	forget_segment(writer);
	return ratchet_step(&writer->ratchet);
}

/* Appends head, body and link, and moves the chain on. body may be in out. */
static enum sgb_err put_frame(struct writer *writer,
	const uint8_t head[SGR_HEAD_LEN], const uint8_t *body, size_t len,
	struct buf *out)
{
	enum sgb_err err;

	err = sgr_link_next(writer->link, head, body, len);
	if (err)
		return err;
	buf_put(out, writer->link, SGR_LINK_LEN);
	writer->index++;
	return buf_error(out);
}

static enum sgb_err next_head(struct writer *writer, uint8_t type,
	uint8_t flags, size_t len, uint8_t ret[SGR_HEAD_LEN])
{
	struct sgr_head head = {
		.type = type,
		.flags = flags,
		.segment = writer->ratchet.segment,
		.index = writer->index,
		.len = (uint32_t)len,
	};

	if (writer->ended || writer->index == UINT32_MAX || len > SGR_BODY_MAX)
		return SGB_ERR_LIMIT;
	sgr_head_put(&head, ret);
	return SGB_OK;
}

/* data: the bytes inside the padding. */
static enum sgb_err put_sealed(struct writer *writer, uint8_t type,
	uint8_t flags, const void *data, size_t len, struct buf *out)
{
	uint8_t head[SGR_HEAD_LEN], aad[SGR_AAD_LEN], nonce[SUITE_NONCE_LEN];
	size_t padded = (4 + len + SGR_PAD - 1) / SGR_PAD * SGR_PAD;
	uint8_t *body;
	enum sgb_err err;
	size_t i;

	if (writer->no_more)
		return SGB_ERR_PHASE;
	err = next_head(
		writer, type, flags | SGR_PADDED, padded + SUITE_TAG_LEN, head);
	if (!err && !writer->cipher)
		err = ratchet_cipher(&writer->ratchet, &writer->cipher);
	if (err)
		return err;
	buf_put(out, head, sizeof(head));
	body = buf_extend(out, padded + SUITE_TAG_LEN);
	if (!body)
		return buf_error(out);
	for (i = 0; i < 4; i++)
		body[i] = (uint8_t)(len >> (8 * i));
	memcpy(body + 4, data, len);
	memset(body + 4 + len, 0, padded - 4 - len);
	sgr_aad(writer->rec_id, head, writer->link, aad);
	sgr_nonce(writer->index, nonce);
	err = suite_seal(
		writer->cipher, nonce, aad, sizeof(aad), body, padded, body);
	if (err) {
		secret_wipe(body, padded);
		return err;
	}
	writer->unsigned_frames = true;
	return put_frame(writer, head, body, padded + SUITE_TAG_LEN, out);
}

/* body has room for the signature at its end. */
static enum sgb_err put_signed(struct writer *writer, uint8_t type,
	uint8_t *body, size_t len, struct buf *out)
{
	uint8_t head[SGR_HEAD_LEN];
	struct buf message;
	enum sgb_err err;

	err = next_head(writer, type, 0, len, head);
	if (err)
		return err;
	buf_init(&message, 1024);
	err = sgr_signed_bytes(
		writer->rec_id, head, writer->link, body, len, &message);
	if (!err)
		err = suite_sign(writer->key, message.data, message.len,
			body + len - SUITE_SIG_LEN);
	buf_done(&message);
	if (err)
		return err;
	buf_put(out, head, sizeof(head));
	buf_put(out, body, len);
	writer->unsigned_frames = false;
	return put_frame(writer, head, body, len, out);
}

static void put_counts(const struct writer *writer,
	const struct sgr_clock *clock, struct buf *body)
{
	buf_put_le64(body, clock->wall_ns);
	buf_put_le64(body, clock->mono_us);
	buf_put(body, clock->boot_id, sizeof(clock->boot_id));
	buf_put_le64(body, writer->bytes);
	buf_put_le64(body, writer->items);
	buf_put_le32(body, clock->synchronised);
	buf_put_le32(body, 0);
}

static enum sgb_err put_end(struct writer *writer, uint8_t type,
	const struct sgr_clock *clock, const uint32_t *reason, struct buf *out)
{
	struct buf body;
	enum sgb_err err;

	buf_init(&body, 256);
	put_counts(writer, clock, &body);
	if (reason) {
		buf_put_le32(&body, *reason);
		buf_put_le32(&body, 0);
	}
	(void)buf_extend(&body, SUITE_SIG_LEN);
	err = buf_error(&body);
	if (!err)
		err = put_signed(writer, type, body.data, body.len, out);
	buf_done(&body);
	return err;
}

enum sgb_err writer_checkpoint(
	struct writer *writer, const struct sgr_clock *clock, struct buf *out)
{
	enum sgb_err err = put_end(writer, SGR_CHECKPOINT, clock, NULL, out);

	if (!err)
		writer->checkpoint_bytes = writer->bytes;
	return err;
}

enum sgb_err writer_close(struct writer *writer, uint32_t reason,
	const struct sgr_clock *clock, struct buf *out)
{
	enum sgb_err err = put_end(writer, SGR_CLOSE, clock, &reason, out);

	forget_segment(writer);
	ratchet_wipe(&writer->ratchet);
	writer->ended = true;
	return err;
}

enum sgb_err writer_begin(const struct sgr_header_params *params,
	const struct suite_key *key, const char *meta, size_t meta_len,
	const struct sgr_clock *clock, struct buf *out, struct writer **ret)
{
	struct writer *writer = calloc(1, sizeof(*writer));
	enum sgb_err err;

	if (!writer)
		return SGB_ERR_NOMEM;
	writer->key = key;
	memcpy(writer->rec_id, params->rec_id, SGR_ID_LEN);
	err = sgr_header_write(params, &writer->ratchet, out);
	if (!err)
		err = sgr_link_first(out->data, out->len, writer->link);
	if (!err) {
		buf_put(out, writer->link, SGR_LINK_LEN);
		err = put_sealed(writer, SGR_META, 0, meta, meta_len, out);
	}
	if (!err)
		err = next_segment(writer);
	if (!err)
		err = writer_checkpoint(writer, clock, out);
	if (err)
		writer_free(writer);
	else
		*ret = writer;
	return err;
}

void writer_free(struct writer *writer)
{
	if (!writer)
		return;
	forget_segment(writer);
	secret_wipe(writer, sizeof(*writer));
	free(writer);
}

void writer_add(struct writer_scratch *scratch, uint64_t channel,
	enum record_kind kind, uint64_t mono_us, const void *data, size_t len)
{
	unsigned int which = kind == RECORD_IN ? 1 : 0;
	struct buf *plain = &scratch->plain[which];

	if (!plain->len) {
		sgr_put_varint(plain, mono_us);
		scratch->last_us[which] = mono_us;
	}
	sgr_put_varint(plain, channel);
	sgr_put_varint(plain, mono_us - scratch->last_us[which]);
	buf_put_u8(plain, (uint8_t)kind);
	sgr_put_varint(plain, len);
	buf_put(plain, data, len);
	scratch->last_us[which] = mono_us;
	scratch->items++;
	scratch->bytes += len;
}

static enum sgb_err put_events(struct writer *writer,
	struct writer_scratch *scratch, unsigned int which, struct buf *out)
{
	struct buf *plain = &scratch->plain[which];
	uint8_t flags = SGR_ZSTD | (which ? SGR_INPUT : 0);
	enum sgb_err err = buf_error(plain);

	if (err || !plain->len)
		return err;
	if (!writer->streams[which])
		err = squeeze_new(plain->len, &writer->streams[which]);
	buf_reset(&scratch->packed);
	if (!err)
		err = squeeze_piece(writer->streams[which], plain->data,
			plain->len, &scratch->packed);
	if (!err)
		err = put_sealed(writer, SGR_EVENTS, flags,
			scratch->packed.data, scratch->packed.len, out);
	secret_wipe(scratch->packed.data, scratch->packed.len);
	return err;
}

static void scratch_empty(struct writer_scratch *scratch)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (scratch->plain[i].len)
			secret_wipe(
				scratch->plain[i].data, scratch->plain[i].len);
		buf_reset(&scratch->plain[i]);
	}
	scratch->items = scratch->bytes = 0;
}

enum sgb_err writer_flush(struct writer *writer, struct writer_scratch *scratch,
	uint64_t mono_us, struct buf *out)
{
	enum sgb_err err;

	if (!scratch->items)
		return SGB_OK;
	if (!writer->segment_open) {
		writer->segment_open = true;
		writer->segment_us = mono_us;
	}
	writer->last_us = mono_us;
	if (!writer->unsigned_frames)
		writer->unsigned_us = mono_us;
	err = put_events(writer, scratch, 1, out);
	if (!err)
		err = put_events(writer, scratch, 0, out);
	if (!err) {
		writer->items += scratch->items;
		writer->bytes += scratch->bytes;
		writer->segment_bytes += scratch->bytes;
	}
	scratch_empty(scratch);
	if (!err && writer->segment_bytes >= SGR_SEGMENT_BYTES)
		err = next_segment(writer);
	return err;
}

/* A large window is worth its memory while much comes: what an exec sends
 * beyond its first MiB is not kept, and the window would stay for nothing. */
static bool window_rests(const struct writer *writer, uint64_t mono_us)
{
	return (squeeze_is_large(writer->streams[0]) ||
		       squeeze_is_large(writer->streams[1])) &&
	       mono_us >= writer->last_us + SGR_REST_SECONDS * 1000000ULL;
}

enum sgb_err writer_tick(struct writer *writer, uint64_t mono_us)
{
	if (!writer->segment_open)
		return SGB_OK;
	if (mono_us < writer->segment_us + SGR_SEGMENT_SECONDS * 1000000ULL &&
		!window_rests(writer, mono_us))
		return SGB_OK;
	return next_segment(writer);
}

bool writer_wants_checkpoint(const struct writer *writer, uint64_t mono_us)
{
	if (!writer->unsigned_frames || writer->ended)
		return false;
	return writer->bytes - writer->checkpoint_bytes >=
		       SGR_CHECKPOINT_BYTES ||
	       mono_us >= writer->unsigned_us +
				  SGR_CHECKPOINT_SECONDS * 1000000ULL;
}

void writer_mark(const struct writer *writer, struct writer_mark *ret)
{
	memcpy(ret->link, writer->link, sizeof(ret->link));
	ret->index = writer->index;
	ret->items = writer->items;
	ret->bytes = writer->bytes;
}

void writer_rewind(struct writer *writer, const struct writer_mark *mark)
{
	memcpy(writer->link, mark->link, sizeof(writer->link));
	writer->index = mark->index;
	writer->items = mark->items;
	writer->bytes = mark->bytes;
	writer->no_more = true;
}

const uint8_t *writer_link(const struct writer *writer)
{
	return writer->link;
}

uint32_t writer_frames(const struct writer *writer)
{
	return writer->index;
}

uint64_t writer_bytes(const struct writer *writer)
{
	return writer->bytes;
}

size_t writer_memory(const struct writer *writer)
{
	return sizeof(*writer) + squeeze_size(writer->streams[0]) +
	       squeeze_size(writer->streams[1]);
}
