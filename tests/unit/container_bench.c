/* The bench of the tests of containers: container_bench.h. */
#include "container_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../audit/evidence.h"
#include "core/file.h"

const struct sgr_clock clock_0 = {.wall_ns = 1795416485000000000ULL,
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

struct writer *begin(const struct bench *b, struct buf *out,
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

void add(struct writer *writer, struct writer_scratch *scratch, struct buf *out,
	enum record_kind kind, uint64_t us, const void *data, size_t len)
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

int make_bench(void **state)
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

int remove_bench(void **state)
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

enum sgr_verdict scan_bytes(const void *data, size_t len, struct sgr_scan *scan)
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

int memory_file(const void *data, size_t len)
{
	int fd = memfd_create("sgr", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, data, len), SGB_OK);
	return fd;
}

enum sgr_verdict read_items(const void *data, size_t len, struct identity *key,
	char *out, size_t out_len)
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
