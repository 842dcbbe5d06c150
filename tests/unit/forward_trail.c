/*
 * The forwarder's source: the trail as it grows, is cut, replaced and removed.
 * Files are written by the recorder's own journal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../audit/forward_files.h"
#include "../../audit/forward_source.h"

#define DAY_NS (86400ULL * 1000000000)
#define NOW_NS (1795000000ULL * 1000000000)
#define HASH0  "0000000000000000000000000000000000000000000000000000000000000000"

struct bench {
	char path[64];
	int dir_fd;
	struct suite_key *key;
	struct journal *journal;
	struct source source;
};

static void open_journal(struct bench *b)
{
	struct journal_params params = {
		.dir_fd = b->dir_fd, .form = JOURNAL_EVENTS, .key = b->key};
	struct journal_torn torn;

	journal_free(b->journal);
	assert_int_equal(journal_open(&params, &b->journal, &torn), SGB_OK);
}

static int set_up(void **state)
{
	static const struct forward_place none;
	struct bench *b = calloc(1, sizeof(*b));

	strcpy(b->path, "/tmp/sgb-forward.XXXXXX");
	assert_non_null(mkdtemp(b->path));
	b->dir_fd = open(b->path, O_RDONLY | O_DIRECTORY);
	assert_int_equal(
		suite_key_generate(SUITE_KEY_ED25519, &b->key), SGB_OK);
	open_journal(b);
	source_init(&b->source, &none);
	*state = b;
	return 0;
}

static void remove_file(struct bench *b, const char *name)
{
	(void)!unlinkat(b->dir_fd, name, 0);
}

static void first_and_newest(struct bench *b, const char *name, bool exact,
	char next[JOURNAL_NAME_MAX], struct trail_newest *newest)
{
	assert_int_equal(
		trail_look(b->dir_fd, name, exact, next, newest), SGB_OK);
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	char next[JOURNAL_NAME_MAX];
	struct trail_newest newest;

	source_done(&b->source);
	for (;;) {
		first_and_newest(b, "", false, next, &newest);
		if (!*next)
			break;
		remove_file(b, next);
	}
	journal_free(b->journal);
	suite_key_free(b->key);
	close(b->dir_fd);
	rmdir(b->path);
	free(b);
	return 0;
}

/* count lines in one group, the last one signed. */
static void add(struct bench *b, int count, uint64_t day)
{
	static const char event[] = "{\"metadata\":{\"version\":\"1\"},"
				    "\"unmapped\":{\"sgb\":{\"event\":\"x\"}}}";
	uint64_t seq;

	while (count-- > 0)
		assert_int_equal(
			journal_add(b->journal, event, sizeof(event) - 1, &seq),
			SGB_OK);
	assert_int_equal(
		journal_commit(b->journal, NOW_NS + day * DAY_NS), SGB_OK);
}

/* Does what the parent does, until there is something, or nothing. */
static enum source_item next(struct bench *b, struct forward_line *line)
{
	char name[JOURNAL_NAME_MAX];
	struct trail_newest newest;
	enum source_item item;

	first_and_newest(b, "", false, name, &newest);
	source_wake(&b->source, newest.name, newest.inode);
	while ((item = source_next(&b->source, line)) == SOURCE_ASK ||
		item == SOURCE_BUSY) {
		int fd = -1;

		if (item == SOURCE_BUSY)
			continue;
		first_and_newest(b, b->source.ask_name, b->source.ask_exact,
			name, &newest);
		if (*name)
			fd = trail_open(b->dir_fd, name);
		source_wake(&b->source, newest.name, newest.inode);
		source_file(&b->source, fd, name);
		source_wake(&b->source, newest.name, newest.inode);
	}
	return item;
}

static void expect_lines(struct bench *b, uint64_t first, uint64_t last)
{
	struct forward_line line;

	for (; first <= last; first++) {
		memset(&line, 0, sizeof(line));
		assert_int_equal(next(b, &line), SOURCE_LINE);
		assert_int_equal(line.chain.seq, first);
		assert_int_equal(b->source.at.seq, first);
	}
}

static void expect_gap(
	struct bench *b, uint64_t first, uint64_t last, const char *why)
{
	struct forward_line line;

	assert_int_equal(next(b, &line), SOURCE_GAP);
	assert_int_equal(line.gap_first, first);
	assert_int_equal(line.gap_last, last);
	if (!strstr(b->source.why, why))
		fail_msg("%s", b->source.why);
}

static void expect_nothing(struct bench *b)
{
	struct forward_line line;

	assert_int_equal(next(b, &line), SOURCE_NOTHING);
}

static void test_grows(void **state)
{
	struct bench *b = *state;

	expect_nothing(b);
	add(b, 3, 0);
	expect_lines(b, 1, 3);
	expect_nothing(b);
	add(b, 2000, 0); /* more than a chunk */
	expect_lines(b, 4, 2003);
	add(b, 1, 0);
	add(b, 2, 1);
	add(b, 2, 5);
	expect_lines(b, 2004, 2008);
	expect_nothing(b);
}

/* What the recorder has not signed yet, or has torn, does not count. */
static void test_waits_for_the_signature(void **state)
{
	struct bench *b = *state;
	char name[JOURNAL_NAME_MAX];
	struct trail_newest newest;
	char bytes[4096];
	ssize_t len;
	int fd;

	add(b, 1, 0);
	expect_lines(b, 1, 1);
	add(b, 3, 0);
	first_and_newest(b, "", false, name, &newest);
	fd = openat(b->dir_fd, name, O_RDWR);
	len = pread(fd, bytes, sizeof(bytes), 0);
	assert_true(len > 200);
	/* Without the last line, and with a part of it. */
	assert_int_equal(ftruncate(fd, len - 100), 0);
	expect_nothing(b);
	assert_int_equal(pwrite(fd, bytes, (size_t)len, 0), len);
	close(fd);
	expect_lines(b, 2, 4);
}

static void test_resumes(void **state)
{
	struct bench *b = *state;
	struct forward_place at;

	add(b, 5, 0);
	add(b, 5, 1);
	expect_lines(b, 1, 7);
	at = b->source.at;
	expect_lines(b, 8, 10);
	source_resume(&b->source, &at);
	expect_lines(b, 8, 10);
	/* Moved to a file of another name: found by number and hash. */
	source_resume(&b->source, &at);
	assert_int_equal(
		renameat(b->dir_fd, at.file, b->dir_fd, "2026-12-31.jsonl"), 0);
	expect_lines(b, 8, 10);
	expect_nothing(b);
}

static void test_removed(void **state)
{
	struct bench *b = *state;
	char first[JOURNAL_NAME_MAX], second[JOURNAL_NAME_MAX];
	struct trail_newest newest;
	struct forward_place at;

	add(b, 5, 0);
	expect_lines(b, 1, 5);
	at = b->source.at;
	add(b, 5, 1);
	add(b, 5, 2);
	first_and_newest(b, "", false, first, &newest);
	first_and_newest(b, first, false, second, &newest);
	/* An open file is read to its end; the next one is gone. */
	remove_file(b, first);
	remove_file(b, second);
	expect_gap(b, 6, 10, "gone from the trail");
	expect_lines(b, 11, 15);
	/* The same after a restart, from a place that is gone as well. */
	source_resume(&b->source, &at);
	expect_gap(b, 6, 10, "gone from the trail");
	expect_lines(b, 11, 15);
	expect_nothing(b);
}

static void test_begins_late(void **state)
{
	struct bench *b = *state;
	char first[JOURNAL_NAME_MAX];
	struct trail_newest newest;

	add(b, 5, 0);
	add(b, 5, 1);
	first_and_newest(b, "", false, first, &newest);
	remove_file(b, first);
	expect_gap(b, 1, 5, "gone from the trail");
	expect_lines(b, 6, 10);
}

/* A disk that fails takes back what was written and seen. */
static void test_taken_back(void **state)
{
	struct bench *b = *state;
	char name[JOURNAL_NAME_MAX];
	struct trail_newest newest;
	struct forward_place old;
	off_t size;
	int fd;

	add(b, 5, 0);
	expect_lines(b, 1, 5);
	old = b->source.at;
	source_anchor(&b->source, &old);
	first_and_newest(b, "", false, name, &newest);
	fd = openat(b->dir_fd, name, O_RDWR);
	add(b, 2, 0);
	size = lseek(fd, 0, SEEK_END);
	expect_lines(b, 6, 7);
	add(b, 3, 0);
	expect_lines(b, 8, 10);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
	expect_gap(b, 6, 10, "shorter");
	expect_lines(b, 6, 7);
	open_journal(b);
	add(b, 4, 0);
	expect_lines(b, 8, 11);
	expect_nothing(b);
}

static void test_begins_anew(void **state)
{
	struct bench *b = *state;
	char name[JOURNAL_NAME_MAX];
	struct trail_newest newest;

	add(b, 5, 0);
	expect_lines(b, 1, 4);
	first_and_newest(b, "", false, name, &newest);
	remove_file(b, name);
	open_journal(b);
	add(b, 2, 0); /* the same name, another file */
	expect_lines(b, 5, 5);
	expect_gap(b, 0, 5, "shorter");
	expect_lines(b, 1, 2);
	add(b, 9, 0);
	expect_lines(b, 3, 11);
	expect_nothing(b);
}

/* Bytes of somebody else, between groups and between files. */
static void test_foreign(void **state)
{
	struct bench *b = *state;
	char name[JOURNAL_NAME_MAX], *big = malloc(100000);
	struct trail_newest newest;
	int fd;

	add(b, 2, 0);
	first_and_newest(b, "", false, name, &newest);
	fd = openat(b->dir_fd, name, O_WRONLY | O_APPEND);
	memset(big, 'x', 100000);
	big[99999] = '\n';
	assert_int_equal(write(fd, "hello\n\n", 7), 7);
	assert_int_equal(write(fd, big, 100000), 100000);
	close(fd);
	free(big);
	add(b, 2, 0);
	expect_lines(b, 1, 2);
	expect_gap(b, 0, 0, "6 bytes");
	expect_gap(b, 0, 0, "1 bytes");
	expect_gap(b, 0, 0, "65536 bytes");
	expect_gap(b, 0, 0, "34464 bytes");
	expect_lines(b, 3, 4);
	expect_nothing(b);
}

/* A line that somebody put in with the right number and the wrong chain. */
static void test_broken_chain(void **state)
{
	static const char forged[] =
		"{\"metadata\":{\"sequence\":3,\"version\":\"1\"},\"unmapped\":"
		"{\"sgb\":{\"event\":\"x\",\"writer\":\"0123456789abcdef\","
		"\"prev\":\"" HASH0
		"\",\"sig\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\""
		"}}}\n";
	struct bench *b = *state;
	char name[JOURNAL_NAME_MAX];
	struct trail_newest newest;
	int fd;

	add(b, 2, 0);
	first_and_newest(b, "", false, name, &newest);
	fd = openat(b->dir_fd, name, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, forged, sizeof(forged) - 1),
		(ssize_t)sizeof(forged) - 1);
	close(fd);
	expect_lines(b, 1, 2);
	expect_gap(b, 3, 3, "does not follow");
	expect_lines(b, 3, 3);
	expect_nothing(b);
}

#define TRAIL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TRAIL(test_grows),
		TRAIL(test_waits_for_the_signature),
		TRAIL(test_resumes),
		TRAIL(test_removed),
		TRAIL(test_begins_late),
		TRAIL(test_taken_back),
		TRAIL(test_begins_anew),
		TRAIL(test_foreign),
		TRAIL(test_broken_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
