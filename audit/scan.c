/*
 * The scan of a recording, without keys. A verdict is never better than what
 * was proved: cleared memory is "unverifiable".
 *
 * Telling a cut from an alteration matters: a crash cuts, it does not alter.
 * So when a frame seems to reach beyond the end of the file, the scan looks
 * whether the length was altered (scan_length.c).
 */
#include "scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scan_length.h"

#define FRAME_LEAST (SGR_HEAD_LEN + SGR_LINK_LEN)

static const struct {
	const char *text;
	int exit;
} verdicts[] = {
	[SGR_UNVERIFIABLE] = {"unverifiable", 6},
	[SGR_ALTERED] = {"altered", 4},
	[SGR_MISSING] = {"missing", 5},
	[SGR_OPEN] = {"open or interrupted", 3},
	[SGR_IS_RECOVERED] = {"recovered", 0},
	[SGR_INTACT] = {"intact", 0},
};

const char *sgr_verdict_text(enum sgr_verdict verdict)
{
	return verdicts[verdict].text;
}

int sgr_verdict_exit(enum sgr_verdict verdict)
{
	return verdicts[verdict].exit;
}

static enum sgb_err finish(struct sgr_scan *scan, enum sgr_verdict verdict,
	int64_t frame, const char *fmt, ...) SGB_PRINTF(4, 5);

static enum sgb_err finish(struct sgr_scan *scan, enum sgr_verdict verdict,
	int64_t frame, const char *fmt, ...)
{
	va_list args;

	scan->verdict = verdict;
	scan->fault_frame = frame;
	scan->fault_offset = scan->offset;
	va_start(args, fmt);
	(void)vsnprintf(scan->fault, sizeof(scan->fault), fmt, args);
	va_end(args);
	switch (verdict) {
	case SGR_ALTERED: return SGB_ERR_FORMAT;
	case SGR_UNVERIFIABLE: return SGB_ERR_UNSUPPORTED;
	default: return SGB_ERR_CLOSED;
	}
}

static enum sgb_err settle(struct sgr_scan *scan);

static enum sgb_err no_header(struct sgr_scan *scan, const uint8_t *preamble)
{
	if (scan_header_follows(scan->source))
		return finish(scan, SGR_ALTERED, SGR_NO_FRAME,
			"the preamble was changed");
	if (preamble && memcmp(preamble, SGR_MAGIC, 8) != 0)
		return finish(scan, SGR_UNVERIFIABLE, SGR_NO_FRAME,
			"this is not a recording of this format");
	return finish(scan, SGR_OPEN, SGR_NO_FRAME,
		"the file ends inside its header; no session used it");
}

static enum sgb_err take_header(struct sgr_scan *scan, size_t len)
{
	uint8_t link[SUITE_HASH_LEN];
	const uint8_t *raw;
	enum sgb_err err;

	raw = sgr_source_get(scan->source, 0, len + SGR_LINK_LEN);
	scan->raw = malloc(len);
	if (!raw || !scan->raw)
		return finish(scan, SGR_UNVERIFIABLE, SGR_NO_FRAME,
			"the header cannot be read");
	memcpy(scan->raw, raw, len);
	err = sgr_link_first(raw, len, link);
	if (err || memcmp(link, raw + len, SGR_LINK_LEN) != 0)
		return finish(scan, SGR_ALTERED, SGR_NO_FRAME,
			"the header was changed: its hash does not fit");
	err = sgr_header_parse(scan->raw, len, &scan->header);
	if (err == SGB_ERR_UNSUPPORTED)
		return finish(scan, SGR_UNVERIFIABLE, SGR_NO_FRAME,
			"the file needs a newer version of this program");
	if (err == SGB_ERR_CRYPTO)
		return finish(scan, SGR_ALTERED, SGR_NO_FRAME,
			"the header's writer id is not that of its key");
	if (err)
		return finish(scan, SGR_ALTERED, SGR_NO_FRAME,
			"the header is malformed");
	memcpy(scan->link, link, sizeof(link));
	scan->offset = len + SGR_LINK_LEN;
	return SGB_OK;
}

enum sgb_err sgr_scan_begin(struct sgr_scan *scan, struct sgr_source *source)
{
	const uint8_t *preamble;
	uint32_t len;
	size_t i;

	memset(scan, 0, sizeof(*scan));
	scan->source = source;
	scan->last.frame = SGR_NO_FRAME;
	preamble = sgr_source_get(source, 0, SGR_PREAMBLE_LEN);
	if (!preamble || memcmp(preamble, SGR_MAGIC, 8) != 0)
		return no_header(scan, preamble);
	for (len = 0, i = 4; i-- > 0;)
		len = len << 8 | preamble[12 + i];
	if (len > SGR_HEADER_MAX ||
		!sgr_source_get(source, 0,
			SGR_PREAMBLE_LEN + (size_t)len + SGR_LINK_LEN))
		return no_header(scan, preamble);
	return take_header(scan, SGR_PREAMBLE_LEN + (size_t)len);
}

enum sgb_err sgr_scan_lazy(struct sgr_scan *scan)
{
	scan->waiting = calloc(SGR_WAITING_MAX, sizeof(*scan->waiting));
	return scan->waiting ? SGB_OK : SGB_ERR_NOMEM;
}

void sgr_scan_done(struct sgr_scan *scan)
{
	free(scan->waiting);
	free(scan->raw);
	scan->waiting = NULL;
	scan->raw = NULL;
}

void sgr_scan_fault(
	struct sgr_scan *scan, const struct sgr_frame *frame, const char *what)
{
	if (settle(scan))
		return;
	scan->offset = frame->offset;
	(void)finish(scan, SGR_ALTERED, frame->head.index,
		"frame %u in segment %u %s", frame->head.index,
		frame->head.segment, what);
}

/* The file ends without an end. */
static enum sgb_err file_ends(struct sgr_scan *scan, uint64_t left)
{
	enum sgb_err err = settle(scan);
	char lost[80] = "";

	if (err)
		return err;
	if (left)
		(void)snprintf(lost, sizeof(lost),
			"; %llu bytes of an unfinished frame follow",
			(unsigned long long)left);
	if (scan->last.frame == SGR_NO_FRAME)
		return finish(scan, SGR_OPEN, scan->index,
			"no end and no signature: good up to frame %lld%s",
			(long long)scan->index - 1, lost);
	return finish(scan, SGR_OPEN, scan->index,
		"no end: good up to frame %lld, signed up to frame %lld%s",
		(long long)scan->index - 1, (long long)scan->last.frame, lost);
}

static bool only_zeros(struct sgr_source *source, uint64_t offset)
{
	uint64_t size = sgr_source_size(source);

	while (offset < size) {
		size_t len = size - offset < 4096 ? (size_t)(size - offset)
						  : 4096;
		const uint8_t *at = sgr_source_get(source, offset, len);
		size_t i;

		for (i = 0; at && i < len; i++)
			if (at[i])
				return false;
		if (!at)
			return false;
		offset += len;
	}
	return true;
}

/* The head does not fit here: what was done? */
static enum sgb_err wrong_order(
	struct sgr_scan *scan, const struct sgr_head *head)
{
	if (head->index > scan->index)
		return finish(scan, SGR_ALTERED, scan->index,
			"after frame %lld comes frame %u: frames are missing, "
			"or its number was changed",
			(long long)scan->index - 1, head->index);
	if (head->index < scan->index)
		return finish(scan, SGR_ALTERED, scan->index,
			"frame %u stands where frame %u belongs: repeated, "
			"moved, or its number was changed",
			head->index, scan->index);
	return finish(scan, SGR_ALTERED, scan->index,
		"frame %u says segment %u after segment %u", head->index,
		head->segment, scan->segment);
}

/* Which types may stand where. */
static bool type_fits(const struct sgr_scan *scan, const struct sgr_head *head)
{
	if (scan->index == 0)
		return head->type == SGR_META && head->segment == 0;
	if (scan->index == 1)
		return head->type == SGR_CHECKPOINT;
	return head->type != SGR_META;
}

static enum sgb_err check_head(
	struct sgr_scan *scan, const uint8_t *bytes, struct sgr_head *head)
{
	uint64_t left = sgr_source_size(scan->source) - scan->offset;

	if (!sgr_head_get(bytes, head)) {
		if (only_zeros(scan->source, scan->offset))
			return file_ends(scan, left);
		return finish(scan, SGR_ALTERED, scan->index,
			"the head of frame %u in segment %u was changed",
			scan->index, scan->segment);
	}
	if (head->index != scan->index || head->segment < scan->segment ||
		head->segment - scan->segment > 1)
		return wrong_order(scan, head);
	if (!type_fits(scan, head))
		return finish(scan, SGR_ALTERED, scan->index,
			"frame %u is of a type that may not stand there",
			scan->index);
	if (left < FRAME_LEAST + (uint64_t)head->len) {
		if (scan_length_altered(scan))
			return finish(scan, SGR_ALTERED, scan->index,
				"the length of frame %u in segment %u was "
				"changed",
				scan->index, head->segment);
		return file_ends(scan, left);
	}
	return SGB_OK;
}

static void read_signed(
	struct sgr_scan *scan, const struct sgr_head *head, const uint8_t *body)
{
	struct reader rd;
	const uint8_t *boot_id;

	reader_init(&rd, body, head->len);
	scan->last.frame = head->index;
	scan->last.wall_ns = reader_le64(&rd);
	if (head->type == SGR_RECOVERED) {
		(void)reader_bytes(&rd, 16);
		scan->discarded = reader_le64(&rd);
		return;
	}
	scan->last.mono_us = reader_le64(&rd);
	boot_id = reader_bytes(&rd, 16);
	if (boot_id)
		memcpy(scan->last.boot_id, boot_id, 16);
	scan->last.bytes = reader_le64(&rd);
	scan->last.items = reader_le64(&rd);
	scan->last.synchronised = reader_le32(&rd);
	(void)reader_le32(&rd);
	if (head->type == SGR_CLOSE)
		scan->close_reason = reader_le32(&rd);
}

static enum sgb_err wrong_signature(struct sgr_scan *scan, uint32_t index)
{
	if (scan->last.frame == SGR_NO_FRAME)
		return finish(scan, SGR_ALTERED, index,
			"the signature of frame %u is wrong: it or something "
			"before it was changed",
			index);
	return finish(scan, SGR_ALTERED, index,
		"the signature of frame %u is wrong: something after frame "
		"%lld was changed",
		index, (long long)scan->last.frame);
}

static enum sgb_err verify_one(const struct sgr_scan *scan,
	const struct sgr_head *head, const uint8_t head_bytes[SGR_HEAD_LEN],
	const uint8_t link[SUITE_HASH_LEN], const uint8_t *body,
	const uint8_t key[SUITE_KEY_LEN])
{
	struct buf message;
	enum sgb_err err;

	buf_init(&message, 1024);
	err = sgr_signed_bytes(scan->header.rec_id, head_bytes, link, body,
		head->len, &message);
	if (!err)
		err = suite_verify(key, message.data, message.len,
			body + head->len - SUITE_SIG_LEN);
	buf_done(&message);
	return err;
}

static enum sgb_err verify_waiting(
	const struct sgr_scan *scan, const struct sgr_waiting *one)
{
	return verify_one(scan, &one->head, one->head_bytes, one->link,
		one->body, scan->header.writer_key);
}

/* What waits is good if its last is; if not, the first that is wrong is the
 * place. */
static enum sgb_err settle(struct sgr_scan *scan)
{
	size_t count = scan->waiting_count, i;
	const struct sgr_waiting *one;

	scan->waiting_count = 0;
	if (!count)
		return SGB_OK;
	one = &scan->waiting[count - 1];
	if (!verify_waiting(scan, one)) {
		read_signed(scan, &one->head, one->body);
		return SGB_OK;
	}
	for (i = 0; i < count; i++) {
		one = &scan->waiting[i];
		if (verify_waiting(scan, one))
			break;
		read_signed(scan, &one->head, one->body);
	}
	scan->offset = one->offset;
	return wrong_signature(scan, one->head.index);
}

static enum sgb_err put_off(
	struct sgr_scan *scan, const struct sgr_frame *frame)
{
	struct sgr_waiting *one = &scan->waiting[scan->waiting_count++];

	one->head = frame->head;
	one->offset = frame->offset;
	memcpy(one->head_bytes, frame->head_bytes, SGR_HEAD_LEN);
	memcpy(one->link, frame->link, SUITE_HASH_LEN);
	memcpy(one->body, frame->body, frame->head.len);
	return scan->waiting_count == SGR_WAITING_MAX ||
			       frame->head.type == SGR_CLOSE
		       ? settle(scan)
		       : SGB_OK;
}

static enum sgb_err check_signature(
	struct sgr_scan *scan, const struct sgr_frame *frame)
{
	const uint8_t *key = scan->header.writer_key, *body = frame->body;
	enum sgb_err err;

	/* Another's signature vouches for nothing of the writer's. */
	if (frame->head.type == SGR_RECOVERED) {
		err = settle(scan);
		if (err)
			return err;
		key = body + SGR_RECOVERED_LEN - SUITE_SIG_LEN - SUITE_KEY_LEN;
		memcpy(scan->recovery_key, key, SUITE_KEY_LEN);
	} else if (scan->waiting) {
		return put_off(scan, frame);
	}
	if (verify_one(scan, &frame->head, frame->head_bytes, frame->link, body,
		    key))
		return wrong_signature(scan, frame->head.index);
	read_signed(scan, &frame->head, body);
	return SGB_OK;
}

static bool is_signed(unsigned int type)
{
	return type == SGR_CHECKPOINT || type == SGR_CLOSE ||
	       type == SGR_RECOVERED;
}

static enum sgb_err check_link(struct sgr_scan *scan, struct sgr_frame *frame)
{
	const struct sgr_head *head = &frame->head;
	enum sgb_err err;

	memcpy(frame->link, scan->link, SUITE_HASH_LEN);
	err = sgr_link_next(
		scan->link, frame->head_bytes, frame->body, head->len);
	if (!err && !memcmp(scan->link, frame->body + head->len, SGR_LINK_LEN))
		return SGB_OK;
	memcpy(scan->link, frame->link, SUITE_HASH_LEN);
	return finish(scan, SGR_ALTERED, head->index,
		"frame %u in segment %u was changed: its hash does not fit",
		head->index, head->segment);
}

/* Whoever cuts a file can sign an end of his own: only the writer's proves that
 * nothing else is gone. Pins are the caller's to know (cmd_verify.c). */
static void recovered_end(struct sgr_scan *scan)
{
	char signer[SUITE_WRITER_TEXT];

	scan->ended_by_other = memcmp(scan->recovery_key,
				       scan->header.writer_key,
				       SUITE_KEY_LEN) != 0;
	suite_writer_text(scan->recovery_key, signer);
	(void)finish(scan,
		scan->ended_by_other ? SGR_UNVERIFIABLE : SGR_IS_RECOVERED,
		SGR_NO_FRAME,
		"%u frames, recovered after a crash, %llu bytes lost; ended by "
		"%s%s",
		scan->index, (unsigned long long)scan->discarded, signer,
		scan->ended_by_other ? ", who did not write it" : "");
}

/* What follows the end must be nothing. */
static enum sgb_err check_end(
	struct sgr_scan *scan, const struct sgr_frame *frame)
{
	uint64_t left = sgr_source_size(scan->source) - scan->offset;

	if (left)
		return finish(scan, SGR_ALTERED, scan->index,
			"%llu bytes were added after the end",
			(unsigned long long)left);
	if (frame->head.type == SGR_CLOSE)
		(void)finish(scan, SGR_INTACT, SGR_NO_FRAME,
			"%u frames, signed to the end", scan->index);
	else
		recovered_end(scan);
	scan->ended = true;
	return SGB_OK;
}

static enum sgb_err next_frame(struct sgr_scan *scan, struct sgr_frame *ret)
{
	uint64_t left = sgr_source_size(scan->source) - scan->offset;
	const uint8_t *bytes;
	enum sgb_err err;

	if (scan->ended)
		return SGB_ERR_CLOSED;
	bytes = sgr_source_get(scan->source, scan->offset, SGR_HEAD_LEN);
	if (!bytes)
		return file_ends(scan, left);
	memcpy(ret->head_bytes, bytes, SGR_HEAD_LEN);
	err = check_head(scan, ret->head_bytes, &ret->head);
	if (err)
		return err;
	ret->offset = scan->offset;
	ret->body = sgr_source_get(scan->source, scan->offset + SGR_HEAD_LEN,
		ret->head.len + SGR_LINK_LEN);
	if (!ret->body)
		return finish(scan, SGR_UNVERIFIABLE, scan->index,
			"frame %u cannot be read", scan->index);
	err = check_link(scan, ret);
	if (!err && is_signed(ret->head.type))
		err = check_signature(scan, ret);
	if (err)
		return err;
	scan->offset += FRAME_LEAST + (uint64_t)ret->head.len;
	scan->index++;
	scan->segment = ret->head.segment;
	if (ret->head.type == SGR_CLOSE || ret->head.type == SGR_RECOVERED)
		return check_end(scan, ret);
	return SGB_OK;
}

enum sgb_err sgr_scan_next(struct sgr_scan *scan, struct sgr_frame *ret)
{
	enum sgb_err err = next_frame(scan, ret), earlier;

	if (!err || !scan->waiting_count)
		return err;
	/* A wrong signature before it comes first. */
	earlier = settle(scan);
	return earlier ? earlier : err;
}
