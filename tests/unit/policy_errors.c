/*
 * What people are told about their mistakes: every row of
 * tests/policy/mistakes.txt gives exactly its diagnostics, and leaves no
 * policy behind. SGB_TESTS is the tests folder when it is not ./tests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/policy.h"

#define ROW_MAX 8192

static FILE *open_rows(void)
{
	const char *tests = getenv("SGB_TESTS");
	char path[4096];
	FILE *in;

	snprintf(path, sizeof(path), "%s/policy/mistakes.txt",
		tests ? tests : "tests");
	in = fopen(path, "r");
	if (!in)
		fail_msg("%s: cannot be read; run from the project's folder",
			path);
	return in;
}

static size_t unescape(char *text)
{
	char *from = text, *to = text;
	unsigned int byte;

	while (*from) {
		if (from[0] == '\\' && from[1] == 'x' &&
			sscanf(from + 2, "%2x", &byte) == 1) {
			*to++ = (char)byte;
			from += 4;
		} else if (from[0] == '\\' && from[1] == '\\') {
			*to++ = '\\';
			from += 2;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
	return (size_t)(to - text);
}

/* Lines up to one that is the mark alone. */
static bool read_part(FILE *in, const char *mark, char out[ROW_MAX])
{
	char line[2048];

	*out = '\0';
	while (fgets(line, sizeof(line), in)) {
		if (!strcmp(line, mark))
			return true;
		assert_true(strlen(out) + strlen(line) < ROW_MAX);
		strcat(out, line);
	}
	return false;
}

static char *diagnose(const char *text, size_t len)
{
	struct policy_source *source = NULL;
	struct policy *policy = NULL;
	struct diag diag;
	char *out = NULL;
	size_t out_len = 0;
	FILE *stream = open_memstream(&out, &out_len);

	assert_non_null(stream);
	diag_init(&diag);
	assert_int_equal(
		policy_source_text("policy.conf", text, len, &source), SGB_OK);
	assert_int_equal(
		policy_compile(source, &policy, &diag), SGB_ERR_FORMAT);
	assert_null(policy);
	diag_print(&diag, stream, false);
	fclose(stream);
	policy_source_free(source);
	diag_done(&diag);
	return out;
}

static void test_mistakes(void **state)
{
	char text[ROW_MAX], expected[ROW_MAX];
	FILE *in = open_rows();
	unsigned int rows = 0;

	(void)state;
	/* The file's own comment ends where the first policy begins. */
	while (fgets(text, sizeof(text), in) && text[0] == '#')
		;
	fseek(in, -(long)strlen(text), SEEK_CUR);
	while (read_part(in, "--\n", text)) {
		size_t len = unescape(text);
		char *told;

		assert_true(read_part(in, "==\n", expected));
		unescape(expected);
		told = diagnose(text, len);
		if (strcmp(told, expected))
			fail_msg("row %u:\n%s--\n%sinstead of\n%s", rows, text,
				told, expected);
		free(told);
		rows++;
	}
	fclose(in);
	print_message("%u mistakes\n", rows);
	assert_true(rows >= 60);
}

/* All mistakes of a file in one run, up to twenty, in reading order. */
static void test_all_at_once(void **state)
{
	static const char text[] = "network a 10.0.0.1/8\n"
				   "permit Nobody from b to c { idle 5 }\n"
				   "permitt\n"
				   "group x @\n";
	static const unsigned int lines[] = {1, 2, 3, 4};
	struct policy_source *source = NULL;
	struct policy *policy = NULL;
	struct diag diag;
	size_t i;

	(void)state;
	diag_init(&diag);
	assert_int_equal(
		policy_source_text("p", text, strlen(text), &source), SGB_OK);
	assert_int_equal(
		policy_compile(source, &policy, &diag), SGB_ERR_FORMAT);
	assert_int_equal(diag.count, 4);
	for (i = 0; i < diag.count; i++)
		assert_int_equal(diag.items[i].line, lines[i]);
	policy_source_free(source);
	diag_done(&diag);
}

static void test_many(void **state)
{
	struct policy_source *source = NULL;
	struct policy *policy = NULL;
	struct diag diag;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int i;

	(void)state;
	assert_non_null(out);
	for (i = 0; i < 100000; i++)
		fputs("nonsense\n", out);
	fclose(out);
	diag_init(&diag);
	assert_int_equal(policy_source_text("p", text, len, &source), SGB_OK);
	assert_int_equal(
		policy_compile(source, &policy, &diag), SGB_ERR_FORMAT);
	assert_int_equal(diag.count, DIAG_MAX);
	assert_true(diag.dropped > 0);
	policy_source_free(source);
	diag_done(&diag);
	free(text);
}

/* NUL bytes are found even where a C string would have ended. */
static void test_nul(void **state)
{
	static const char text[] = "group a b\n\0deny any from any to any\n";
	char *told = diagnose(text, sizeof(text) - 1);

	(void)state;
	assert_string_equal(told, "policy.conf:2:1: NUL byte\n"
				  "    2 | ?deny any from any to any\n"
				  "      | ^\n");
	free(told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
