/*
 * The recording container: what is written is read back; whatever is changed in
 * it, wherever, is found and named; and closed segments leave no key behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/file.h"
#include "core/record.h"

#include "../../audit/evidence.h"
#include "../../audit/identity.h"
#include "../../audit/recover.h"
#include "../../audit/scan.h"
#include "../../audit/writer.h"

#define FRAMES_MAX 64

struct bench {
	struct identity *reader, *other;
	struct suite_key *writer;
	struct buf file; /* a small, closed recording */
	/* Where its frames are: offset of each, and of the end. */
	size_t frames[FRAMES_MAX + 1];
	size_t count;
	size_t header_end; /* with its link */
};

static const struct sgr_clock clock_0 = {.wall_ns = 1795416485000000000ULL,
	.mono_us = 5,
	.boot_id = {1, 2, 3},
	.synchronised = 1};

static struct identity *new_identity(void)
{
	struct identity *identity;
	struct suite_key *key;

	assert_int_equal(suite_key_generate(SUITE_KEY_X25519, &key), SGB_OK);
	assert_int_equal(identity_from_key(key, &identity), SGB_OK);
	return identity;
}

static struct writer *begin(const struct bench *b, struct buf *out,
	const struct sgr_recipient *to, size_t count)
{
	struct sgr_header_params params = {
		.start_ns = clock_0.wall_ns,
		.writer_name = "bastion-1",
		.retention = "standard",
		.recipients = to,
		.recipient_count = count,
	};
	struct writer *writer;

	assert_int_equal(sgr_id_new(params.start_ns, params.rec_id), SGB_OK);
	memcpy(params.writer_key, suite_key_public(b->writer), 32);
	assert_int_equal(writer_begin(&params, b->writer, "{\"user\":\"al\"}",
				 13, &clock_0, out, &writer),
		SGB_OK);
	return writer;
}

static void add(struct writer *writer, struct writer_scratch *scratch,
	struct buf *out, enum record_kind kind, uint64_t us, const void *data,
	size_t len)
{
	writer_add(scratch, 1, kind, us, data, len);
	assert_int_equal(writer_flush(writer, scratch, us, out), SGB_OK);
}

/* Frame offsets by hopping over the heads, as docs/RECORDING.md says. */
static void index_frames(struct bench *b)
{
	const uint8_t *data = b->file.data;
	size_t at = SGR_PREAMBLE_LEN +
		    ((size_t)data[12] | (size_t)data[13] << 8);

	at += SGR_LINK_LEN;
	b->header_end = at;
	for (b->count = 0; at < b->file.len; b->count++) {
		assert_true(b->count < FRAMES_MAX);
		b->frames[b->count] = at;
		at += SGR_HEAD_LEN + SGR_LINK_LEN +
		      ((size_t)data[at + 12] | (size_t)data[at + 13] << 8 |
			      (size_t)data[at + 14] << 16);
	}
	b->frames[b->count] = at;
	assert_int_equal(at, b->file.len);
}

static int make_bench(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct sgr_recipient to = {0};
	struct writer_scratch scratch;
	struct writer *writer;

	*state = b;
	b->reader = new_identity();
	b->other = new_identity();
	assert_int_equal(
		suite_key_generate(SUITE_KEY_ED25519, &b->writer), SGB_OK);
	to.kind = SGR_KIND_X25519;
	to.key_len = SUITE_KEY_LEN;
	memcpy(to.key, b->reader->public_half.key, 32);
	buf_init(&b->file, 1 << 20);
	writer_scratch_init(&scratch);
	writer = begin(b, &b->file, &to, 1);
	add(writer, &scratch, &b->file, RECORD_OUT, 10, "hello", 5);
	add(writer, &scratch, &b->file, RECORD_IN, 20, "typed", 5);
	assert_int_equal(writer_tick(writer, 40000000), SGB_OK);
	add(writer, &scratch, &b->file, RECORD_OUT, 40000001, " world", 6);
	assert_int_equal(writer_checkpoint(writer, &clock_0, &b->file), SGB_OK);
	add(writer, &scratch, &b->file, RECORD_OUT, 40000009, "!", 1);
	assert_int_equal(writer_close(writer, 1, &clock_0, &b->file), SGB_OK);
	writer_free(writer);
	writer_scratch_done(&scratch);
	index_frames(b);
	return 0;
}

static int remove_bench(void **state)
{
	struct bench *b = *state;

	identity_free(b->reader);
	identity_free(b->other);
	suite_key_free(b->writer);
	buf_done(&b->file);
	free(b);
	return 0;
}

static void scan_once(
	const void *data, size_t len, bool lazy, struct sgr_scan *scan)
{
	struct sgr_source *source;
	struct sgr_frame frame;
	enum sgb_err err;

	assert_int_equal(sgr_source_memory(data, len, &source), SGB_OK);
	err = sgr_scan_begin(scan, source);
	if (lazy)
		assert_int_equal(sgr_scan_lazy(scan), SGB_OK);
	while (!err)
		err = sgr_scan_next(scan, &frame);
	sgr_scan_done(scan);
	sgr_source_free(source);
}

/* Level 0 over bytes in memory. With signatures checked one by one or not, the
 * verdict and its place are the same. */
static enum sgr_verdict scan_bytes(
	const void *data, size_t len, struct sgr_scan *scan)
{
	struct sgr_scan lazy;

	scan_once(data, len, true, &lazy);
	scan_once(data, len, false, scan);
	assert_int_equal(lazy.verdict, scan->verdict);
	assert_int_equal(lazy.fault_frame, scan->fault_frame);
	assert_int_equal(lazy.fault_offset, scan->fault_offset);
	assert_string_equal(lazy.fault, scan->fault);
	assert_int_equal(lazy.last.frame, scan->last.frame);
	assert_int_equal(lazy.last.items, scan->last.items);
	return scan->verdict;
}

static int memory_file(const void *data, size_t len)
{
	int fd = memfd_create("sgr", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, data, len), SGB_OK);
	return fd;
}

/* Level 1: all items as "kind:bytes;", and the verdict. */
static enum sgr_verdict read_items(const void *data, size_t len,
	struct identity *key, char *out, size_t out_len)
{
	struct evidence *evidence;
	struct sgr_item item;
	enum sgr_verdict verdict;
	enum sgb_err err;
	int fd = memory_file(data, len);

	*out = '\0';
	err = evidence_open(fd, &key, 1, &evidence);
	if (err == SGB_ERR_NOTFOUND)
		(void)snprintf(out, out_len, "no key");
	while (!err) {
		err = evidence_next(evidence, &item);
		if (!err)
			(void)snprintf(out + strlen(out), out_len - strlen(out),
				"%s:%.*s;", record_slug(item.kind),
				(int)item.len, (const char *)item.data);
	}
	verdict = evidence_scan(evidence)->verdict;
	evidence_free(evidence);
	close(fd);
	return verdict;
}

static void test_round_trip(void **state)
{
	struct bench *b = *state;
	struct sgr_scan scan;
	char items[200];

	assert_int_equal(
		scan_bytes(b->file.data, b->file.len, &scan), SGR_INTACT);
	assert_int_equal(scan.close_reason, 1);
	assert_int_equal(scan.index, b->count);
	assert_int_equal(scan.last.bytes, 17);
	assert_int_equal(scan.last.items, 4);
	assert_string_equal(scan.header.writer_name, "bastion-1");
	assert_int_equal(read_items(b->file.data, b->file.len, b->reader, items,
				 sizeof(items)),
		SGR_INTACT);
	assert_string_equal(items, "out:hello;in:typed;out: world;out:!;");
	(void)read_items(
		b->file.data, b->file.len, b->other, items, sizeof(items));
	assert_string_equal(items, "no key");
}

/* The frame that holds this offset; -1: the header. */
static int64_t frame_at(const struct bench *b, size_t offset)
{
	int64_t frame = -1;
	size_t i;

	for (i = 0; i < b->count; i++)
		if (offset >= b->frames[i])
			frame = (int64_t)i;
	return frame;
}

static void test_every_bit(void **state)
{
	struct bench *b = *state;
	size_t bit;

	for (bit = 0; bit < 8 * b->file.len; bit++) {
		struct sgr_scan scan;

		b->file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (scan_bytes(b->file.data, b->file.len, &scan) !=
				SGR_ALTERED ||
			scan.fault_frame != frame_at(b, bit / 8) ||
			!*scan.fault)
			fail_msg("bit %zu of byte %zu: %s at frame %lld: %s",
				bit % 8, bit / 8,
				sgr_verdict_text(scan.verdict),
				(long long)scan.fault_frame, scan.fault);
		b->file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void test_every_cut(void **state)
{
	struct bench *b = *state;
	struct sgr_scan scan;
	size_t len;

	for (len = 0; len < b->file.len; len++) {
		enum sgr_verdict verdict = scan_bytes(b->file.data, len, &scan);

		if (verdict != SGR_OPEN)
			fail_msg("cut at %zu: %s: %s", len,
				sgr_verdict_text(verdict), scan.fault);
		if (len >= b->header_end &&
			scan.fault_offset != b->frames[scan.index])
			fail_msg("cut at %zu: said %llu", len,
				(unsigned long long)scan.fault_offset);
	}
}

static void test_zeros_at_the_end(void **state)
{
	struct bench *b = *state;
	struct sgr_scan scan;
	size_t cut = b->frames[4];

	memset(b->file.data + cut, 0, b->file.len - cut);
	assert_int_equal(
		scan_bytes(b->file.data, b->file.len, &scan), SGR_OPEN);
	assert_int_equal(scan.fault_offset, cut);
}

static void splice(
	const struct bench *b, struct buf *out, const int *order, size_t count)
{
	size_t i;

	buf_init(out, 1 << 20);
	buf_put(out, b->file.data, b->header_end);
	for (i = 0; i < count; i++)
		buf_put(out, b->file.data + b->frames[order[i]],
			b->frames[order[i] + 1] - b->frames[order[i]]);
	assert_int_equal(buf_error(out), SGB_OK);
}

static void expect_fault(const struct bench *b, const int *order, size_t count,
	int64_t frame, const char *text)
{
	struct sgr_scan scan;
	struct buf out;

	splice(b, &out, order, count);
	assert_int_equal(scan_bytes(out.data, out.len, &scan), SGR_ALTERED);
	assert_int_equal(scan.fault_frame, frame);
	if (!strstr(scan.fault, text))
		fail_msg("expected \"%s\" in \"%s\"", text, scan.fault);
	buf_done(&out);
}

static void test_frames_moved(void **state)
{
	static const int deleted[] = {0, 1, 2, 4, 5, 6, 7};
	static const int doubled[] = {0, 1, 2, 2, 3, 4, 5, 6, 7};
	static const int swapped[] = {0, 1, 3, 2, 4, 5, 6, 7};
	static const int first_lost[] = {1, 2, 3, 4, 5, 6, 7};
	static const int added[] = {0, 1, 2, 3, 4, 5, 6, 7, 7};
	struct bench *b = *state;

	assert_int_equal(b->count, 8);
	expect_fault(b, deleted, 7, 3, "after frame 2 comes frame 4");
	expect_fault(b, doubled, 9, 3, "frame 2 stands where frame 3 belongs");
	expect_fault(b, swapped, 8, 2, "after frame 1 comes frame 3");
	expect_fault(b, first_lost, 7, 0, "missing");
	expect_fault(b, added, 9, 8, "added after the end");
}

/* A frame of another recording of the same writer, number and all. */
static void test_frame_of_another(void **state)
{
	static const int all[] = {0, 1, 2, 3, 4, 5, 6, 7};
	struct bench *b = *state, *other;
	void *second = NULL;
	struct sgr_scan scan;
	struct buf out;

	assert_int_equal(make_bench(&second), 0);
	other = second;
	splice(b, &out, all, 8);
	assert_int_equal(other->frames[3] - other->frames[2],
		b->frames[3] - b->frames[2]);
	memcpy(out.data + b->frames[2], other->file.data + other->frames[2],
		b->frames[3] - b->frames[2]);
	assert_int_equal(scan_bytes(out.data, out.len, &scan), SGR_ALTERED);
	assert_int_equal(scan.fault_frame, 2);
	buf_done(&out);
	(void)remove_bench(&second);
}

/* Makes all links fit again, as anybody can who has no key. */
static void rechain(struct buf *file, const struct bench *b)
{
	uint8_t link[SUITE_HASH_LEN];
	size_t i;

	assert_int_equal(
		sgr_link_first(file->data, b->header_end - SGR_LINK_LEN, link),
		SGB_OK);
	memcpy(file->data + b->header_end - SGR_LINK_LEN, link, SGR_LINK_LEN);
	for (i = 0; i < b->count; i++) {
		uint8_t *head = file->data + b->frames[i];
		size_t len = b->frames[i + 1] - b->frames[i] - SGR_HEAD_LEN -
			     SGR_LINK_LEN;

		assert_int_equal(
			sgr_link_next(link, head, head + SGR_HEAD_LEN, len),
			SGB_OK);
		memcpy(head + SGR_HEAD_LEN + len, link, SGR_LINK_LEN);
	}
}

static void test_rewritten_chain(void **state)
{
	struct bench *b = *state;
	struct sgr_scan scan;
	char items[200];

	/* Frame 3 is between the checkpoints 1 and 5. */
	b->file.data[b->frames[3] + SGR_HEAD_LEN] ^= 1;
	rechain(&b->file, b);
	assert_int_equal(
		scan_bytes(b->file.data, b->file.len, &scan), SGR_ALTERED);
	assert_int_equal(scan.fault_frame, 5);
	assert_non_null(strstr(scan.fault, "something after frame 1"));
	/* With a key the place is exact. */
	assert_int_equal(read_items(b->file.data, b->file.len, b->reader, items,
				 sizeof(items)),
		SGR_ALTERED);
	assert_string_equal(items, "out:hello;");
	/* The name of the writer is in the header. */
	b->file.data[b->frames[3] + SGR_HEAD_LEN] ^= 1;
	b->file.data[SGR_PREAMBLE_LEN + 20 + 36 + 4] ^= 1;
	rechain(&b->file, b);
	assert_int_equal(
		scan_bytes(b->file.data, b->file.len, &scan), SGR_ALTERED);
	assert_int_equal(scan.fault_frame, 1);
}

static void test_recovery(void **state)
{
	struct bench *b = *state;
	size_t len;

	for (len = b->header_end; len < b->file.len; len += 7) {
		struct sgr_recovery recovery;
		enum sgb_err err;
		char items[200];
		struct sgr_scan scan;
		struct buf again;
		int fd = memory_file(b->file.data, len);

		err = sgr_recover(fd, b->writer, clock_0.boot_id,
			clock_0.wall_ns, &recovery);
		if (len < b->frames[2]) {
			assert_int_equal(err, SGB_ERR_NOTFOUND);
			close(fd);
			continue;
		}
		assert_int_equal(err, SGB_OK);
		buf_init(&again, 1 << 20);
		assert_int_equal(file_read_fd(fd, &again), SGB_OK);
		assert_int_equal(scan_bytes(again.data, again.len, &scan),
			SGR_IS_RECOVERED);
		assert_int_equal(
			scan.discarded, len - b->frames[scan.index - 1]);
		assert_int_equal(read_items(again.data, again.len, b->reader,
					 items, sizeof(items)),
			SGR_IS_RECOVERED);
		assert_int_equal(sgr_recover(fd, b->writer, clock_0.boot_id,
					 clock_0.wall_ns, &recovery),
			SGB_ERR_STALE);
		/* The statement itself can't be changed. */
		again.data[again.len - 100] ^= 1;
		assert_int_equal(
			scan_bytes(again.data, again.len, &scan), SGR_ALTERED);
		buf_done(&again);
		close(fd);
	}
}

static void test_recovery_refuses_altered(void **state)
{
	struct bench *b = *state;
	struct sgr_recovery recovery;
	struct buf again;
	size_t len = b->frames[7];
	int fd;

	b->file.data[b->frames[2] + 20] ^= 4;
	fd = memory_file(b->file.data, len);
	assert_int_equal(sgr_recover(fd, b->writer, clock_0.boot_id,
				 clock_0.wall_ns, &recovery),
		SGB_ERR_FORMAT);
	buf_init(&again, 1 << 20);
	assert_int_equal(file_read_fd(fd, &again), SGB_OK);
	assert_int_equal(again.len, len);
	assert_memory_equal(again.data, b->file.data, len);
	buf_done(&again);
	close(fd);
}

static void test_several_recipients(void **state)
{
	struct bench *b = *state;
	struct sgr_recipient to[2] = {{0}};
	struct writer *writer;
	char items[200];
	struct buf file;

	to[0].kind = SGR_KIND_X25519;
	to[0].key_len = SUITE_KEY_LEN;
	memcpy(to[0].key, b->reader->public_half.key, 32);
	to[1].kind = SGR_KIND_X25519;
	to[1].key_len = SUITE_KEY_LEN;
	memcpy(to[1].key, b->other->public_half.key, 32);
	buf_init(&file, 1 << 20);
	writer = begin(b, &file, to, 2);
	assert_int_equal(writer_close(writer, 1, &clock_0, &file), SGB_OK);
	writer_free(writer);
	assert_int_equal(read_items(file.data, file.len, b->reader, items,
				 sizeof(items)),
		SGR_INTACT);
	assert_int_equal(
		read_items(file.data, file.len, b->other, items, sizeof(items)),
		SGR_INTACT);
	buf_done(&file);
}

static void test_quorum(void **state)
{
	struct bench *b = *state;
	struct sgr_recipient to[2] = {{0}};
	struct identity *both[2] = {b->reader, b->other};
	struct sgr_header header;
	struct ratchet ratchet;
	struct writer *writer;
	struct buf file;
	size_t len;

	to[0].kind = SGR_KIND_X25519;
	to[0].key_len = SUITE_KEY_LEN;
	memcpy(to[0].key, b->reader->public_half.key, 32);
	to[1].kind = SGR_KIND_X25519;
	to[1].key_len = SUITE_KEY_LEN;
	memcpy(to[1].key, b->other->public_half.key, 32);
	to[1].group = 1;
	buf_init(&file, 1 << 20);
	writer = begin(b, &file, to, 2);
	writer_free(writer);
	len = SGR_PREAMBLE_LEN +
	      ((size_t)file.data[12] | (size_t)file.data[13] << 8);
	assert_int_equal(sgr_header_parse(file.data, len, &header), SGB_OK);
	assert_int_equal(header.flags, SGR_FLAG_QUORUM);
	assert_int_equal(sgr_header_open(&header, both, 2, &ratchet), SGB_OK);
	assert_int_equal(
		sgr_header_open(&header, both, 1, &ratchet), SGB_ERR_NOTFOUND);
	assert_int_equal(sgr_header_open(&header, both + 1, 1, &ratchet),
		SGB_ERR_NOTFOUND);
	buf_done(&file);
}

/* After a step nothing of the old key is in the struct, and the old key does
 * not follow from the new one by stepping. */
static void test_ratchet_forgets(void **state)
{
	uint8_t rec_id[SGR_ID_LEN] = {7}, key[SUITE_KEY_LEN] = {9};
	uint8_t old_ck[SUITE_KEY_LEN], old_sk[SUITE_KEY_LEN];
	struct ratchet ratchet;
	size_t i;

	(void)state;
	assert_int_equal(ratchet_start(&ratchet, rec_id, key), SGB_OK);
	memcpy(old_ck, ratchet.ck, sizeof(old_ck));
	assert_int_equal(ratchet_segment_key(&ratchet, old_sk), SGB_OK);
	assert_int_equal(ratchet_step(&ratchet), SGB_OK);
	assert_int_equal(ratchet.segment, 1);
	for (i = 0; i + 8 <= sizeof(ratchet); i++) {
		const uint8_t *at = (const uint8_t *)&ratchet + i;
		size_t k;

		for (k = 0; k + 8 <= SUITE_KEY_LEN; k++) {
			assert_memory_not_equal(at, old_ck + k, 8);
			assert_memory_not_equal(at, old_sk + k, 8);
		}
	}
	ratchet_wipe(&ratchet);
	for (i = 0; i < sizeof(ratchet); i++)
		assert_int_equal(((const uint8_t *)&ratchet)[i], 0);
}

static void test_rewind_allows_only_the_end(void **state)
{
	struct bench *b = *state;
	struct sgr_recipient to = {0};
	struct writer_scratch scratch;
	struct writer_mark mark;
	struct writer *writer;
	struct sgr_scan scan;
	struct buf file;
	size_t before;

	to.kind = SGR_KIND_X25519;
	to.key_len = SUITE_KEY_LEN;
	memcpy(to.key, b->reader->public_half.key, 32);
	buf_init(&file, 1 << 20);
	writer_scratch_init(&scratch);
	writer = begin(b, &file, &to, 1);
	add(writer, &scratch, &file, RECORD_OUT, 10, "kept", 4);
	before = file.len;
	writer_mark(writer, &mark);
	add(writer, &scratch, &file, RECORD_OUT, 20, "lost", 4);
	file.len = before;
	writer_rewind(writer, &mark);
	writer_add(&scratch, 1, RECORD_OUT, 30, "again", 5);
	assert_int_equal(
		writer_flush(writer, &scratch, 30, &file), SGB_ERR_PHASE);
	file.len = before;
	assert_int_equal(writer_close(writer, 5, &clock_0, &file), SGB_OK);
	assert_int_equal(scan_bytes(file.data, file.len, &scan), SGR_INTACT);
	assert_int_equal(scan.last.bytes, 4);
	writer_free(writer);
	writer_scratch_done(&scratch);
	buf_done(&file);
}

/* Bounded memory, and none while idle. */
static void test_memory(void **state)
{
	struct bench *b = *state;
	struct sgr_recipient to = {0};
	struct writer_scratch scratch;
	struct writer *writer;
	struct buf file;
	int i;

	to.kind = SGR_KIND_X25519;
	to.key_len = SUITE_KEY_LEN;
	memcpy(to.key, b->reader->public_half.key, 32);
	buf_init(&file, 8 << 20);
	writer_scratch_init(&scratch);
	writer = begin(b, &file, &to, 1);
	for (i = 0; i < 3000; i++) {
		char line[100];

		(void)snprintf(line, sizeof(line),
			"-rw-r--r-- 1 root root %d file-%d.txt\r\n", i * 7919,
			i);
		add(writer, &scratch, &file, RECORD_OUT, (uint64_t)i, line,
			strlen(line));
		assert_true(writer_memory(writer) < 400 * 1024);
	}
	assert_int_equal(writer_tick(writer, 100000000), SGB_OK);
	assert_true(writer_memory(writer) < 4096);
	writer_free(writer);
	writer_scratch_done(&scratch);
	buf_done(&file);
}

/* However many send much at once, few have a large window: and who comes
 * after them, too. */
static void test_memory_of_many(void **state)
{
	enum { COUNT = 60, FEW = 32, BULK = 60000 };
	struct bench *b = *state;
	struct sgr_recipient to = {0};
	struct writer_scratch scratch;
	struct writer *writers[COUNT];
	char *bulk = calloc(1, BULK);
	size_t large, i, turn;
	struct buf file;

	assert_non_null(bulk);
	to.kind = SGR_KIND_X25519;
	to.key_len = SUITE_KEY_LEN;
	memcpy(to.key, b->reader->public_half.key, 32);
	buf_init(&file, 8 << 20);
	writer_scratch_init(&scratch);
	for (turn = 0; turn < 2; turn++) {
		for (i = large = 0; i < COUNT; i++) {
			buf_reset(&file);
			writers[i] = begin(b, &file, &to, 1);
			add(writers[i], &scratch, &file, RECORD_OUT, 1, bulk,
				BULK);
			large += writer_memory(writers[i]) > 400 * 1024;
		}
		assert_int_equal(large, FEW);
		for (i = 0; i < COUNT; i++)
			writer_free(writers[i]);
	}
	writer_scratch_done(&scratch);
	buf_done(&file);
	free(bulk);
}

static void test_varint(void **state)
{
	static const uint64_t values[] = {0, 1, 127, 128, 16383, 16384,
		UINT32_MAX, UINT64_MAX - 1, UINT64_MAX};
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {{"\x80", 1}, {"\x80\x00", 2}, {"\xff\x00", 2},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}};
	struct reader rd;
	struct buf out;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		buf_init(&out, 16);
		sgr_put_varint(&out, values[i]);
		reader_init(&rd, out.data, out.len);
		assert_true(sgr_get_varint(&rd) == values[i]);
		assert_int_equal(reader_end(&rd), SGB_OK);
		buf_done(&out);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reader_init(&rd, bad[i].bytes, bad[i].len);
		(void)sgr_get_varint(&rd);
		assert_int_equal(rd.err, SGB_ERR_FORMAT);
	}
}

static void test_ids(void **state)
{
	uint8_t id[SGR_ID_LEN], again[SGR_ID_LEN];
	char text[SGR_ID_TEXT], path[SGR_PATH_MAX];

	(void)state;
	assert_int_equal(sgr_id_new(1795416485123000000ULL, id), SGB_OK);
	sgr_id_text(id, text);
	assert_int_equal(text[14], '7');
	assert_int_equal(sgr_id_parse(text, again), SGB_OK);
	assert_memory_equal(id, again, SGR_ID_LEN);
	sgr_path(id, path);
	assert_memory_equal(path, "2026/11/23/", 11);
	text[0] = 'A';
	assert_int_equal(sgr_id_parse(text, again), SGB_ERR_FORMAT);
	assert_int_equal(
		sgr_id_parse("../../../../etc/passwd--------------", again),
		SGB_ERR_FORMAT);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, make_bench, remove_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),
		TEST(test_every_bit),
		TEST(test_every_cut),
		TEST(test_zeros_at_the_end),
		TEST(test_frames_moved),
		TEST(test_frame_of_another),
		TEST(test_rewritten_chain),
		TEST(test_recovery),
		TEST(test_recovery_refuses_altered),
		TEST(test_several_recipients),
		TEST(test_quorum),
		cmocka_unit_test(test_ratchet_forgets),
		TEST(test_rewind_allows_only_the_end),
		TEST(test_memory),
		TEST(test_memory_of_many),
		cmocka_unit_test(test_varint),
		cmocka_unit_test(test_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
