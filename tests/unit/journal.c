/*
 * Journals: a line that was taken is written or its group fails; one that is
 * refused takes no other along. Memory may be gone at any moment: the linker
 * puts malloc of here in the place of the allocator's (see the Makefile).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/file.h"

#include "../../audit/journal.h"
#include "../../audit/suite.h"

#define NOW_NS 1795416485000000000ULL

static long countdown; /* allocations until one fails; 0: never */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	if (countdown && !--countdown)
		return NULL;
	return __real_malloc(size);
}

struct bench {
	char path[40];
	int dir_fd;
	struct suite_key *key;
	struct journal *journal;
};

static void open_journal(struct bench *j)
{
	struct journal_params params = {.monthly = true};
	struct journal_torn torn;

	strcpy(j->path, "/tmp/sgb-journal.XXXXXX");
	assert_non_null(mkdtemp(j->path));
	j->dir_fd = open(j->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(j->dir_fd >= 0);
	assert_int_equal(
		suite_key_generate(SUITE_KEY_ED25519, &j->key), SGB_OK);
	params.dir_fd = j->dir_fd;
	params.key = j->key;
	assert_int_equal(journal_open(&params, &j->journal, &torn), SGB_OK);
}

static void remove_journal(struct bench *j)
{
	journal_free(j->journal);
	suite_key_free(j->key);
	assert_int_equal(unlinkat(j->dir_fd, "2026-11.jsonl", 0), 0);
	close(j->dir_fd);
	assert_int_equal(rmdir(j->path), 0);
}

/* {"a":"xxx"} of so many bytes. */
static enum sgb_err add_long(struct bench *j, size_t len, uint64_t *seq)
{
	char json[2 * JOURNAL_LINE_MAX];

	assert_true(len < sizeof(json));
	memset(json, 'x', len);
	memcpy(json, "{\"a\":\"", 6);
	memcpy(json + len - 2, "\"}", 2);
	return journal_add(j->journal, json, len, seq);
}

/* What is committed is in the file, line for line. */
static void check_journal(struct bench *j, uint64_t last)
{
	uint8_t hash[SUITE_HASH_LEN] = {0};
	struct journal_line line = {0};
	struct buf file;
	uint64_t seq = 0;
	size_t at, end;
	int fd = openat(j->dir_fd, "2026-11.jsonl", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	buf_init(&file, 16 << 20);
	assert_int_equal(file_read_fd(fd, &file), SGB_OK);
	close(fd);
	for (at = 0; at < file.len; at = end + 1) {
		for (end = at; file.data[end] != '\n';)
			assert_true(++end < file.len);
		assert_int_equal(
			journal_parse(JOURNAL_PLAIN,
				(const char *)file.data + at, end - at, &line),
			SGB_OK);
		assert_int_equal(line.seq, ++seq);
		assert_memory_equal(line.prev, hash, SUITE_HASH_LEN);
		memcpy(hash, line.hash, SUITE_HASH_LEN);
	}
	assert_true(line.has_sig);
	buf_done(&file);
	assert_int_equal(seq, last);
	assert_int_equal(journal_head(j->journal, hash), last);
}

/* A group that is full takes no more; what it took is written. */
static void test_full(void **state)
{
	struct bench j;
	enum sgb_err err;
	uint64_t seq = 0, count = 0;

	(void)state;
	open_journal(&j);
	while (!(err = add_long(&j, 7900, &seq)))
		assert_int_equal(seq, ++count);
	assert_int_equal(err, SGB_ERR_LIMIT);
	assert_true(count > 500 && count < 600);
	assert_int_equal(journal_commit(j.journal, NOW_NS), SGB_OK);
	check_journal(&j, count);
	assert_int_equal(add_long(&j, 7900, &seq), SGB_OK);
	assert_int_equal(journal_commit(j.journal, NOW_NS), SGB_OK);
	check_journal(&j, count + 1);
	remove_journal(&j);
}

/* A line that is too long is refused, whatever its length, and nothing else
 * with it. */
static void test_long_line(void **state)
{
	struct bench j;
	uint64_t seq, count = 0;
	size_t len;

	(void)state;
	open_journal(&j);
	for (len = JOURNAL_LINE_MAX - 300; len < JOURNAL_LINE_MAX + 10; len++) {
		enum sgb_err err;

		assert_int_equal(add_long(&j, 20, &seq), SGB_OK);
		assert_int_equal(seq, ++count);
		err = add_long(&j, len, &seq);
		assert_true(!err || err == SGB_ERR_LIMIT);
		count += !err;
		assert_int_equal(journal_commit(j.journal, NOW_NS), SGB_OK);
		check_journal(&j, count);
	}
	assert_true(count > 310 && count < 2 * 310);
	remove_journal(&j);
}

/* Whichever allocation fails: all that were taken are there, or none. */
static void test_memory(void **state)
{
	uint64_t seq, count, head, failures = 0, good = 0;
	long first;

	(void)state;
	for (first = 1; first < 30; first++) {
		uint8_t hash[SUITE_HASH_LEN];
		enum sgb_err err;
		struct bench j;
		int i;

		open_journal(&j);
		assert_int_equal(add_long(&j, 20, &seq), SGB_OK);
		assert_int_equal(journal_commit(j.journal, NOW_NS), SGB_OK);
		countdown = first;
		for (i = 0, count = 0; i < 20; i++)
			count += !add_long(&j, 1000, &seq);
		assert_true(count > 0 || journal_pending(j.journal));
		err = journal_commit(j.journal, NOW_NS);
		countdown = 0;
		head = journal_head(j.journal, hash);
		assert_int_equal(head, err ? 1 : 1 + count);
		assert_true(err || count == 20);
		failures += err != SGB_OK;
		good += !err;
		assert_int_equal(add_long(&j, 20, &seq), SGB_OK);
		assert_int_equal(seq, head + 1);
		assert_int_equal(journal_commit(j.journal, NOW_NS), SGB_OK);
		check_journal(&j, head + 1);
		remove_journal(&j);
	}
	assert_true(failures > 2 && good > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
