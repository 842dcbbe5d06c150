/*
 * What a process does before it forks many (core/forkmem.h): holes in the heap
 * are filled, in bounds, and everything works as before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/forkmem.h"
#include "core/sanitizer.h"

#define PIECES 200

/* Free, and not at the end of the heap. */
static size_t holes(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.fordblks - info.keepcost;
}

/* Every second piece is freed, in sizes from 64 bytes to 13 KiB. */
static void make_holes(void *pieces[PIECES])
{
	size_t i;

	for (i = 0; i < PIECES; i++) {
		pieces[i] = malloc(64 + 64 * i);
		assert_non_null(pieces[i]);
		memset(pieces[i], (int)i, 64 + 64 * i);
	}
	for (i = 0; i < PIECES; i += 2)
		free(pieces[i]);
}

static void test_holes(void **state)
{
	void *pieces[PIECES];
	size_t before, used, i, k;

	(void)state;
	if (SGB_SANITIZER)
		skip();
	make_holes(pieces);
	before = holes();
	used = mallinfo2().uordblks;
	assert_true(before > 300000);
	forkmem_settle();
	assert_true(holes() < before / 20);
	assert_true(mallinfo2().uordblks - used < 1200 * 1024);
	for (i = 1; i < PIECES; i += 2) {
		for (k = 0; k < 64 + 64 * i; k++)
			assert_int_equal(
				((unsigned char *)pieces[i])[k], i & 255);
		free(pieces[i]);
	}
}

/* Of the pages of the stack below here, how many there are. */
#define DEEP (25 * 4096)
__attribute__((noinline)) static size_t stack_pages(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0) & ~4095UL;
	unsigned char there[DEEP / 4096];
	size_t i, count = 0;

	if (mincore((void *)(here - DEEP - 3 * 4096), DEEP, there))
		return 0;
	for (i = 0; i < sizeof(there); i++)
		count += there[i] & 1;
	return count;
}

__attribute__((noinline)) static size_t call_deep(void)
{
	volatile char frame[DEEP + 8 * 4096];
	size_t i;

	for (i = 0; i < sizeof(frame); i += 64)
		frame[i] = (char)i;
	return sizeof(frame);
}

static void test_rest(void **state)
{
	volatile char mine[3 * 4096];
	size_t i;

	(void)state;
	if (SGB_SANITIZER)
		skip();
	for (i = 0; i < sizeof(mine); i++)
		mine[i] = (char)(i % 100);
	assert_int_not_equal(call_deep(), 0);
	assert_int_equal(stack_pages(), DEEP / 4096);
	forkmem_rest();
	assert_int_equal(stack_pages(), 0);
	for (i = 0; i < sizeof(mine); i++)
		assert_int_equal(mine[i], i % 100);
	assert_int_not_equal(call_deep(), 0);
}

/* Code that was forgotten is there again, here and in a child. */
static void test_goes_on(void **state)
{
	int status = -1, i;
	pid_t pid;

	(void)state;
	for (i = 0; i < 3; i++)
		forkmem_settle();
	pid = fork();
	if (pid == 0) {
		char *text = strdup("after");

		_exit(text && !strcmp(text, "after") ? 7 : 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
