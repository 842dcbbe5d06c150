/*
 * Texts for other people's terminals, and locks as files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/plain.h"
#include "core/userlock.h"

static void test_plain(void **state)
{
	static const char *const good[] = {"", "disk full; ticket 42", "~",
		"\xc3\xa4\xc3\xb6", "\xe4\xb8\x8a\xe6\xb5\xb7",
		"\xf0\x9f\x94\x92", "\xc2\xa0"};
	static const char *const bad[] = {"a\nb", "\x1b[2J", "\x7f", "\t",
		"\x80", "\xc2\x9b", "\xc0\xaf", "\xe0\x80\xaf",
		"\xf0\x80\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
		"\xf8\x88\x80\x80\x80", "\xc3", "\xe4\xb8", "\xf0\x9f\x94",
		"\xe2\x80\xae", "\xe2\x81\xa6", "\xe2\x80\xa8", "\xef\xbb\xbf",
		"\xd8\x9c", "\xfe", "\xff"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!plain_text(good[i]))
			fail_msg("refused good text %zu", i);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (plain_text(bad[i]))
			fail_msg("took bad text %zu", i);
}

struct room {
	char dir[64], locks[80], why[PATH_MAX + 200];
};

static struct room *room_new(void)
{
	struct room *room = calloc(1, sizeof(*room));

	assert_non_null(room);
	strcpy(room->dir, "/tmp/sgb-lock.XXXXXX");
	assert_non_null(mkdtemp(room->dir));
	snprintf(room->locks, sizeof(room->locks), "%s/locks", room->dir);
	return room;
}

static void room_done(struct room *room)
{
	(void)rmdir(room->locks);
	assert_int_equal(rmdir(room->dir), 0);
	free(room);
}

static bool locked(struct room *room, const char *user)
{
	return userlock_is(room->locks, user, room->why, sizeof(room->why));
}

static void count(const char *user, const char *text, void *arg)
{
	int *n = arg;

	assert_string_equal(user, "mallory");
	assert_string_equal(text, "lost key");
	++*n;
}

static void test_lock(void **state)
{
	struct room *room = room_new();
	int n = 0;

	(void)state;
	assert_false(locked(room, "mallory"));
	assert_int_equal(userlock_clear(room->locks, "mallory", room->why,
				 sizeof(room->why)),
		SGB_ERR_NOTFOUND);
	assert_int_equal(userlock_set(room->locks, "mallory", "lost key\nx",
				 room->why, sizeof(room->why)),
		SGB_OK);
	assert_true(locked(room, "mallory"));
	assert_false(locked(room, "alice"));
	assert_int_equal(userlock_each(room->locks, count, &n, room->why,
				 sizeof(room->why)),
		SGB_OK);
	assert_int_equal(n, 1);
	assert_int_equal(userlock_clear(room->locks, "mallory", room->why,
				 sizeof(room->why)),
		SGB_OK);
	assert_false(locked(room, "mallory"));
	room_done(room);
}

/* What cannot be told is locked. */
static void test_lock_unsafe(void **state)
{
	static const char *const names[] = {
		"", ".", "..", "../x", "a/b", "-x", NULL};
	struct room *room = room_new();
	char path[120];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_true(locked(room, names[i]));
		assert_int_equal(userlock_set(room->locks, names[i], "",
					 room->why, sizeof(room->why)),
			SGB_ERR_FORMAT);
	}
	assert_int_equal(mkdir(room->locks, 0700), 0);
	assert_false(locked(room, "alice"));
	assert_int_equal(chmod(room->locks, 0777), 0);
	assert_true(locked(room, "alice"));
	assert_int_equal(chmod(room->locks, 0700), 0);
	/* Any entry locks, whatever it is. */
	snprintf(path, sizeof(path), "%s/alice", room->locks);
	assert_int_equal(symlink("/nonexistent", path), 0);
	assert_true(locked(room, "alice"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(room->locks), 0);
	assert_int_equal(symlink("/nonexistent", room->locks), 0);
	assert_true(locked(room, "alice"));
	assert_int_equal(unlink(room->locks), 0);
	room_done(room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_lock_unsafe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
