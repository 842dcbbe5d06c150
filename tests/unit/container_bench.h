/*
 * What the tests of containers share: keys, a small closed recording with the
 * places of its frames, and reading in both levels from memory.
 */
#ifndef SGB_TEST_CONTAINER_BENCH_H
#define SGB_TEST_CONTAINER_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/record.h"

#include "../../audit/identity.h"
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

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, make_bench, remove_bench)

extern const struct sgr_clock clock_0;
/* A writer whose header is in out. The caller frees. */
struct writer *begin(const struct bench *b, struct buf *out,
	const struct sgr_recipient *to, size_t count);
/* An item in a frame of its own. */
void add(struct writer *writer, struct writer_scratch *scratch, struct buf *out,
	enum record_kind kind, uint64_t us, const void *data, size_t len);
int make_bench(void **state);
int remove_bench(void **state);
/* Level 0 over bytes in memory. With signatures checked one by one or not, the
 * verdict and its place are the same. */
enum sgr_verdict scan_bytes(
	const void *data, size_t len, struct sgr_scan *scan);
/* The caller closes. */
int memory_file(const void *data, size_t len);
/* Level 1: all items as "kind:bytes;", and the verdict. */
enum sgr_verdict read_items(const void *data, size_t len, struct identity *key,
	char *out, size_t out_len);

#endif
