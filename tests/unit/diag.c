/*
 * Diagnostics: order, limits, the printed form, and that no byte of a hostile
 * file steers the terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/diag.h"

static char *printed(const struct diag *diag, bool colour)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	diag_print(diag, out, colour);
	fclose(out);
	return text;
}

static void add(struct diag *diag, enum diag_level level, char *file,
	unsigned int line, unsigned int column, char *text)
{
	struct diag_item item = {.level = level,
		.file = file,
		.line = line,
		.column = column,
		.text = text};

	diag_add(diag, &item);
}

static void expect_print(const struct diag *diag, const char *expected)
{
	char *text = printed(diag, false);

	assert_string_equal(text, expected);
	free(text);
}

static void test_form(void **state)
{
	struct diag_item item = {
		.file = "policy.conf",
		.line = 31,
		.column = 33,
		.width = 9,
		.text = "unknown security group \"SG_Curent\"",
		.source = "permit SysAdmins from office to SG_Curent as ops",
		.hint = "did you mean \"SG_Current\"?",
	};
	struct diag diag;
	char line[200];

	(void)state;
	diag_init(&diag);
	diag_first_line(&diag, line, sizeof(line));
	assert_string_equal(line, "no error");
	diag_add(&diag, &item);
	expect_print(&diag,
		"policy.conf:31:33: unknown security group \"SG_Curent\"\n"
		"   31 | permit SysAdmins from office to SG_Curent as ops\n"
		"      |                                 ^~~~~~~~~"
		" did you mean \"SG_Current\"?\n");
	diag_first_line(&diag, line, sizeof(line));
	assert_string_equal(line,
		"policy.conf:31:33: unknown security group \"SG_Curent\"");
	diag_done(&diag);
	assert_int_equal(diag.count, 0);
}

static void test_order(void **state)
{
	struct diag diag;

	(void)state;
	diag_init(&diag);
	add(&diag, DIAG_ERROR, "b", 5, 1, "b5");
	add(&diag, DIAG_WARNING, "a", 9, 0, "a9");
	add(&diag, DIAG_ERROR, "b", 2, 7, "b2:7");
	add(&diag, DIAG_NOTE, "a", 0, 0, "a");
	add(&diag, DIAG_ERROR, "b", 2, 3, "b2:3");
	diag_error(&diag, "b", 2, "%s", "b2");
	expect_print(&diag, "b:2: b2\n"
			    "b:2:3: b2:3\n"
			    "b:2:7: b2:7\n"
			    "b:5:1: b5\n"
			    "a: note: a\n"
			    "a:9: warning: a9\n");
	assert_int_equal(diag.errors, 4);
	assert_int_equal(diag.warnings, 1);
	diag_done(&diag);
}

static void test_limit(void **state)
{
	struct diag diag;
	char line[40];
	unsigned int i;
	char *text;

	(void)state;
	diag_init(&diag);
	for (i = 1; i <= DIAG_MAX; i++)
		add(&diag, DIAG_WARNING, "f", i, 1, "w");
	for (i = 1; i <= DIAG_MAX + 3; i++)
		add(&diag, DIAG_ERROR, "f", 100 + i, 1, "e");
	add(&diag, DIAG_WARNING, "f", 1, 1, "w");
	assert_int_equal(diag.count, DIAG_MAX);
	assert_int_equal(diag.errors, DIAG_MAX + 3);
	assert_int_equal(diag.warnings, DIAG_MAX + 1);
	assert_int_equal(diag.dropped, DIAG_MAX + 4);
	for (i = 0; i < diag.count; i++)
		assert_int_equal(diag.items[i].level, DIAG_ERROR);
	diag_first_line(&diag, line, sizeof(line));
	assert_string_equal(line, "f:101:1: e");
	text = printed(&diag, false);
	assert_non_null(strstr(text, "and 24 more\n"));
	free(text);
	diag_done(&diag);
}

/* Escape sequences, C1 controls and broken UTF-8 print as question marks;
 * tabs and letters stay, and the caret stands under its byte. */
static void test_hostile(void **state)
{
	struct diag_item item = {
		.file = "a\033b",
		.line = 1,
		.column = 8,
		.width = 200,
		.text = "x\ny",
		.source = "\t\xc3\xa9\x1b\xff\xc2\x9b"
			  "bad",
	};
	struct diag diag;

	(void)state;
	diag_init(&diag);
	diag_add(&diag, &item);
	expect_print(&diag, "a?b:1:8: x?y\n"
			    "    1 | \t\xc3\xa9????bad\n"
			    "      | \t     ^~~\n");
	diag_done(&diag);
}

static void test_long_line(void **state)
{
	struct diag_item item = {
		.file = "f", .line = 1, .column = 5000, .text = "t"};
	struct diag diag;

	(void)state;
	item.source = malloc(10001);
	assert_non_null(item.source);
	memset(item.source, 'x', 10000);
	item.source[10000] = '\0';
	diag_init(&diag);
	diag_add(&diag, &item);
	expect_print(&diag, "f:1:5000: t\n");
	diag_done(&diag);
	free(item.source);
}

static void test_colour(void **state)
{
	struct diag diag;
	char *text;

	(void)state;
	diag_init(&diag);
	add(&diag, DIAG_WARNING, "f", 1, 0, "t");
	text = printed(&diag, true);
	assert_string_equal(
		text, "\033[1mf:1:\033[0m \033[1;33mwarning: \033[0mt\n");
	free(text);
	diag_done(&diag);
}

static void test_nearest(void **state)
{
	static const char *const words[] = {"permit", "deny", "SG_Current",
		"SG_Bridge", "hours", "no", NULL};
	static const struct {
		const char *text, *nearest;
	} rows[] = {
		{"SG_Curent", "SG_Current"},
		{"dney", "deny"},
		{"DENY", "deny"},
		{"pemrit", "permit"},
		{"hour", "hours"},
		{"allow", NULL},
		{"n", NULL},
		{"", NULL},
		{"SG_Windows_2", NULL},
	};
	char big[5000];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *nearest = diag_nearest(rows[i].text, words);

		if (rows[i].nearest)
			assert_string_equal(nearest, rows[i].nearest);
		else
			assert_null(nearest);
	}
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_null(diag_nearest(big, words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_colour),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
