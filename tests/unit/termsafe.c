/*
 * What a watcher's terminal gets: cases by name, and random bytes against an
 * independent reading of what is allowed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/termsafe.h"

static const struct row {
	const char *in, *out;
} rows[] = {
	{"plain\r\n\tb\b", "plain\r\n\tb\b"},
	{"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"},
	{"\x1b[38;2;1;2;3mx", "\x1b[38;2;1;2;3mx"},
	{"\x1b[38:5:4mx", "\x1b[38:5:4mx"},
	{"\x1b[2J\x1b[H\x1b[10;20f\x1b[K", "\x1b[2J\x1b[H\x1b[10;20f\x1b[K"},
	{"\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?1049h\x1b[?25l\x1b[?7l"},
	{"\x1b"
	 "7\x1b"
	 "8\x1b(0x\x1b(B",
		"\x1b"
		"7\x1b"
		"8\x1b(0x\x1b(B"},
	/* questions: the terminal would type an answer */
	{"a\x1b[6nb", "ab"},
	{"a\x1b[cb", "ab"},
	{"a\x1b[>cb", "ab"},
	{"a\x1b[?6nb", "ab"},
	{"a\x1b[21tb", "ab"},
	{"a\x1bZb", "ab"},
	{"a\x05z", "az"},
	/* strings: titles, clipboards, links, queries */
	{"a\x1b]0;title\x07z", "az"},
	{"a\x1b]52;c;AAAA\x1b\\z", "az"},
	{"a\x1bP$q\"p\x1b\\z", "az"},
	{"a\x1b_Gx\x1b\\z", "az"},
	{"a\x1b^x\x1b\\z\x1bXs\x1b\\y", "azy"},
	/* modes that report, mouse, paste, reset */
	{"a\x1b[?1000hb", "ab"},
	{"a\x1b[?2004hb", "ab"},
	{"a\x1b"
	 "cb",
		"ab"},
	{"a\x1b[1;2;3;4;5Tb", "ab"},
	{"a\x1b[!pb", "ab"},
	{"a\x1b[0 qb", "ab"},
	{"a\x1b[999999Ab", "ab"},
	{"a\x1b[5bb", "ab"},
	{"a\x1b#8z", "az"},
	{"a\x1b%Gz", "az"},
	/* C1 and what only looks like UTF-8 */
	{"a\x9b"
	 "31mb",
		"a31mb"},
	{"a\xc2\x9bz", "az"},
	{"a\xc0\xafz", "az"},
	{"a\xed\xa0\x80z", "az"},
	{"\xc3\xa9\xe4\xb8\x8a\xf0\x9f\x94\x92",
		"\xc3\xa9\xe4\xb8\x8a\xf0\x9f\x94\x92"},
	{"a\xe4z", "az"},
	{"a\xe4\x1b[mz", "a\x1b[mz"},
	/* a sequence inside another */
	{"a\x1b[3\x1b[4mz", "a\x1b[4mz"},
	{"a\x1b[3\x18mz", "amz"},
	{"a\x1b[3\nz", "az"},
};

static char *pass(const char *in, size_t len, size_t step, size_t *ret_len)
{
	struct termsafe safe = {0};
	struct buf out;
	char *text;
	size_t at;

	buf_init(&out, 1 << 20);
	for (at = 0; at < len; at += step)
		termsafe_put(&safe, in + at, len - at < step ? len - at : step,
			&out);
	assert_int_equal(buf_error(&out), SGB_OK);
	text = calloc(1, out.len + 1);
	assert_non_null(text);
	if (out.len)
		memcpy(text, out.data, out.len);
	*ret_len = out.len;
	buf_done(&out);
	return text;
}

static void test_rows(void **state)
{
	size_t i, len, step;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (step = 1; step < 5; step++) {
			char *out = pass(
				rows[i].in, strlen(rows[i].in), step, &len);

			if (strcmp(out, rows[i].out))
				fail_msg("row %zu by %zu: got \"%s\"", i, step,
					out);
			free(out);
		}
}

/* A string that never ends hides the rest of the session only so long. */
static void test_endless_string(void **state)
{
	size_t len = 200000, out_len;
	char *in = malloc(len + 1), *out;

	(void)state;
	assert_non_null(in);
	memset(in, 'x', len);
	memcpy(in, "\x1b]0;", 4);
	out = pass(in, len, 777, &out_len);
	assert_true(out_len > 100000);
	free(in);
	free(out);
}

/* Bytes of which sequences are made, more often than chance has it. */
static char pick(unsigned int *seed)
{
	static const char likely[] = "\x1b\x1b\x1b[[]()?;:0123456789mhlHJKnctTq"
				     "bPX^_\x07\\\x18\xc2\x9b\xe4\xb8\x8a";
	int r = rand_r(seed);

	if (r & 1)
		return likely[(size_t)(r >> 1) % (sizeof(likely) - 1)];
	return (char)(r >> 8);
}

static void test_random(void **state)
{
	static const char allowed[] =
		"^([] \t\r\n\b!-[^-~\\]|\xc2[\xa0-\xbf]|"
		"[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf][\x80-\xbf]|"
		"[\xf0-\xf4][\x80-\xbf][\x80-\xbf][\x80-\xbf]|"
		"\x1b([78DEHM=>]|[()][B0]|"
		"\\[[0-9;:]*[A-HJ-MPSTXZ@`adefgmrsu]|"
		"\\[[?](7|25|47|1047|1048|1049)[hl]))*$";
	unsigned int seed = 20261123, round;
	regex_t regex;

	(void)state;
	assert_int_equal(regcomp(&regex, allowed, REG_EXTENDED | REG_NOSUB), 0);
	for (round = 0; round < 3000; round++) {
		char in[120], *whole, *parts;
		size_t len = sizeof(in), i, n, m;

		for (i = 0; i < len; i++)
			in[i] = pick(&seed);
		whole = pass(in, len, len, &n);
		parts = pass(in, len, 1 + round % 7, &m);
		assert_int_equal(n, m);
		assert_memory_equal(whole, parts, n);
		if (strlen(whole) != n || regexec(&regex, whole, 0, NULL, 0))
			fail_msg("round %u: \"%s\" is not safe", round, whole);
		free(whole);
		free(parts);
	}
	regfree(&regex);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_endless_string),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
