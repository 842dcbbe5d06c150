/*
 * Who writes containers: for whom, that closed segments leave no key behind,
 * that only the end is taken back, and in how much memory.
 */
#include "container_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sgr_recipient recipient(const struct identity *identity)
{
	struct sgr_recipient to = {
		.kind = SGR_KIND_X25519, .key_len = SUITE_KEY_LEN};

	memcpy(to.key, identity->public_half.key, SUITE_KEY_LEN);
	return to;
}

static void test_several_recipients(void **state)
{
	struct bench *b = *state;
	struct sgr_recipient to[2] = {
		recipient(b->reader), recipient(b->other)};
	struct writer *writer;
	char items[200];
	struct buf file;

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
	struct sgr_recipient to[2] = {
		recipient(b->reader), recipient(b->other)};
	struct identity *both[2] = {b->reader, b->other};
	struct sgr_header header;
	struct ratchet ratchet;
	struct writer *writer;
	struct buf file;
	size_t len;

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
	struct sgr_recipient to = recipient(b->reader);
	struct writer_scratch scratch;
	struct writer_mark mark;
	struct writer *writer;
	struct sgr_scan scan;
	struct buf file;
	size_t before;

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

/* docs/RECORDING.md: every 5 s of activity, or 1 MiB of evidence. */
static void test_checkpoints_when_due(void **state)
{
	static uint8_t bulk[32768];
	struct bench *b = *state;
	struct sgr_recipient to = recipient(b->reader);
	struct writer_scratch scratch;
	struct writer *writer;
	struct buf file;
	int i;

	buf_init(&file, 8 << 20);
	writer_scratch_init(&scratch);
	writer = begin(b, &file, &to, 1);
	/* nothing happened: nothing to sign */
	assert_false(writer_wants_checkpoint(writer, 3600000000));
	add(writer, &scratch, &file, RECORD_OUT, 1000000, "a", 1);
	add(writer, &scratch, &file, RECORD_OUT, 3000000, "a", 1);
	assert_false(writer_wants_checkpoint(writer, 5999999));
	assert_true(writer_wants_checkpoint(writer, 6000000));
	assert_int_equal(writer_checkpoint(writer, &clock_0, &file), SGB_OK);
	assert_false(writer_wants_checkpoint(writer, 6000000));
	for (i = 0; i < 32; i++) {
		assert_false(writer_wants_checkpoint(writer, 6000000));
		add(writer, &scratch, &file, RECORD_OUT, 6000000, bulk,
			sizeof(bulk));
	}
	assert_true(writer_wants_checkpoint(writer, 6000000));
	writer_free(writer);
	writer_scratch_done(&scratch);
	buf_done(&file);
}

/* Bounded memory, and none while idle. */
static void test_memory(void **state)
{
	struct bench *b = *state;
	struct sgr_recipient to = recipient(b->reader);
	struct writer_scratch scratch;
	struct writer *writer;
	struct buf file;
	int i;

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

/* Whoever sent much and rests has no window soon; who types keeps his. */
static void test_memory_at_rest(void **state)
{
	static const struct {
		size_t len;
		uint64_t tick_us;
		bool open;
	} rows[] = {
		{60000, 2999999, true},
		{60000, 3000000, false},
		{100, 3000000, true},
		{100, 30999999, true},
		{100, 31000000, false},
	};
	struct bench *b = *state;
	struct sgr_recipient to = recipient(b->reader);
	struct writer_scratch scratch;
	char *bulk = calloc(1, 60000);
	struct buf file;
	size_t i;

	assert_non_null(bulk);
	buf_init(&file, 8 << 20);
	writer_scratch_init(&scratch);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct writer *writer;

		buf_reset(&file);
		writer = begin(b, &file, &to, 1);
		add(writer, &scratch, &file, RECORD_OUT, 1000000, bulk,
			rows[i].len);
		assert_int_equal(writer_tick(writer, rows[i].tick_us), SGB_OK);
		assert_int_equal(writer_memory(writer) > 4096, rows[i].open);
		writer_free(writer);
	}
	writer_scratch_done(&scratch);
	buf_done(&file);
	free(bulk);
}

/* However many send much at once, few have a large window: and who comes
 * after them, too. */
static void test_memory_of_many(void **state)
{
	enum { COUNT = 60, FEW = 32, BULK = 60000 };
	struct bench *b = *state;
	struct sgr_recipient to = recipient(b->reader);
	struct writer_scratch scratch;
	struct writer *writers[COUNT];
	char *bulk = calloc(1, BULK);
	size_t large, i, turn;
	struct buf file;

	assert_non_null(bulk);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_several_recipients),
		TEST(test_quorum),
		cmocka_unit_test(test_ratchet_forgets),
		TEST(test_rewind_allows_only_the_end),
		TEST(test_checkpoints_when_due),
		TEST(test_memory),
		TEST(test_memory_at_rest),
		TEST(test_memory_of_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
