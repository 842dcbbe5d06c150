/*
 * The recording container: what is written is read back; whatever is changed in
 * it, wherever, is found and named.
 */
#include "container_bench.h"

#include <string.h>
#include <unistd.h>

#include "../../audit/recover.h"
#include "core/file.h"

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
		cmocka_unit_test(test_varint),
		cmocka_unit_test(test_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
