/*
 * The emulator in its child: what it makes of ordinary and of hostile bytes,
 * and that its death is an error and no more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "../../audit/emulator.h"
#include "../../audit/utf8.h"

struct bench {
	struct emulator_handler handler;
	struct emulator *emulator;
	/* "text|", "text~" when wrapped, "/text" apart, "<text" redrawn */
	struct buf lines;
	struct buf commands;	    /* "s:text|", "o:text|", "=status|" */
	unsigned int rows;	    /* painted */
	struct emulator_cell first; /* of row 0 */
};

static void on_line(
	void *data, const char *text, size_t len, unsigned int flags)
{
	struct bench *b = data;

	if (flags & EMULATOR_APART)
		buf_put_u8(&b->lines, flags & EMULATOR_REDRAWN ? '<' : '/');
	buf_put(&b->lines, text, len);
	buf_put_u8(&b->lines, flags & EMULATOR_WRAPPED ? '~' : '|');
}

static void on_command(
	void *data, const char *text, size_t len, bool from_shell)
{
	struct bench *b = data;

	buf_printf(&b->commands, "%c:%.*s|", from_shell ? 'o' : 's', (int)len,
		text);
}

static void on_status(void *data, unsigned int status)
{
	struct bench *b = data;

	buf_printf(&b->commands, "=%u|", status);
}

static void on_row(void *data, unsigned int y,
	const struct emulator_cell *cells, unsigned int count)
{
	struct bench *b = data;

	b->rows++;
	if (!y && count)
		b->first = cells[0];
}

static int make_bench(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	*state = b;
	buf_init(&b->lines, 1 << 22);
	buf_init(&b->commands, 65536);
	b->handler = (struct emulator_handler){.data = b,
		.line = on_line,
		.row = on_row,
		.command = on_command,
		.status = on_status};
	return emulator_start(&b->handler, &b->emulator) ? -1 : 0;
}

static int remove_bench(void **state)
{
	struct bench *b = *state;

	emulator_free(b->emulator);
	buf_done(&b->lines);
	buf_done(&b->commands);
	free(b);
	return 0;
}

static void feed(struct bench *b, const char *text)
{
	assert_int_equal(
		emulator_feed(b->emulator, (const uint8_t *)text, strlen(text)),
		SGB_OK);
}

static void says(struct buf *buf, const char *text)
{
	assert_int_equal(buf_error(buf), SGB_OK);
	buf_put_u8(buf, 0);
	assert_string_equal((const char *)buf->data, text);
	buf_reset(buf);
}

static void test_lines(void **state)
{
	struct bench *b = *state;

	assert_int_equal(emulator_resize(b->emulator, 10, 3), SGB_OK);
	feed(b, "one\r\ntwo\r\nthree\r\nfour\r\n0123456789abc\r\n");
	says(&b->lines, "one|two|three|four|");
	assert_int_equal(emulator_lines(b->emulator), SGB_OK);
	says(&b->lines, "0123456789~abc|");
	assert_int_equal(emulator_screen(b->emulator)->y, 2);
	/* Cleared lines were seen; overwritten text is not on the screen. */
	feed(b, "\033[2J\033[Hgone\rkept\033[31m!");
	assert_int_equal(emulator_lines(b->emulator), SGB_OK);
	says(&b->lines, "0123456789~abc|<gone|kept!|");
}

static void test_other_screen(void **state)
{
	struct bench *b = *state;

	feed(b, "before\r\n\033[?1049h\033[Hin the editor");
	assert_true(emulator_screen(b->emulator)->alternate);
	feed(b, "\033[?1049l");
	assert_false(emulator_screen(b->emulator)->alternate);
	assert_int_equal(emulator_lines(b->emulator), SGB_OK);
	assert_non_null(
		memmem(b->lines.data, b->lines.len, "in the editor", 13));
	assert_non_null(memmem(b->lines.data, b->lines.len, "before", 6));
}

static void test_commands(void **state)
{
	struct bench *b = *state;

	feed(b, "$ ");
	assert_int_equal(emulator_prompt(b->emulator, "$ ", 2), SGB_OK);
	feed(b, "ls\r\nfile\r\n$ pwd\r\n/\r\n$ ");
	says(&b->commands, "s:ls|s:pwd|");
	assert_int_equal(emulator_reset(b->emulator), SGB_OK);
	feed(b, "\033]133;A\007$ \033]133;B\007make\r\n\033]133;C\007ok\r\n"
		"\033]133;D;2\007");
	says(&b->commands, "o:make|=2|");
}

static void test_paint(void **state)
{
	struct bench *b = *state;

	feed(b, "\033[1;31mX");
	assert_int_equal(emulator_paint(b->emulator, true), SGB_OK);
	assert_int_equal(b->rows, 24);
	assert_int_equal(b->first.code, 'X');
	assert_true(b->first.attr & EMULATOR_BOLD);
	assert_false(b->first.fg[3]);
	assert_true(b->first.bg[3]);
	b->rows = 0;
	assert_int_equal(emulator_paint(b->emulator, false), SGB_OK);
	assert_int_equal(b->rows, 0);
	feed(b, "\r\nY");
	assert_int_equal(emulator_paint(b->emulator, false), SGB_OK);
	assert_int_equal(b->rows, 1);
}

/* What hung or crashed other emulators, and what fills memory. */
static void test_hostile(void **state)
{
	static const char *const texts[] = {"\033[5b", "x\033[99999999b",
		"\033[999999999999;999999999999H", "\033[1;1r\033[5S\n\n",
		"\033[3;2r\n\n\n", "\033[-1;0H\033[0A\033[999999999L",
		"\033P999;999q", "\033]133;B\007\033[r\033[2J\033]133;C\007",
		"\033]133;D;999999999999999\007", "\033[?3h\033[?5h\033c",
		"\xff\xfe\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80",
		"\xe2\x80\xae\xc2\x9b\x32\x4a"};
	struct bench *b = *state;
	uint8_t many[4096];
	uint32_t random = 1;
	size_t i, k;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		feed(b, texts[i]);
		assert_int_equal(
			emulator_resize(b->emulator, i % 3 ? 1 : 0, 1 + i % 4),
			SGB_OK);
	}
	assert_int_equal(
		emulator_resize(b->emulator, UINT32_MAX, UINT32_MAX), SGB_OK);
	assert_int_equal(emulator_screen(b->emulator)->cols, EMULATOR_COLS_MAX);
	for (i = 0; i < 40; i++) {
		for (k = 0; k < sizeof(many); k++) {
			random = random * 1664525 + 1013904223;
			many[k] = (uint8_t)(random >> 24);
			if (many[k] > 0xf0)
				many[k] = (uint8_t) "\033[;?h\n\r"[many[k] & 7];
		}
		assert_int_equal(
			emulator_feed(b->emulator, many, sizeof(many)), SGB_OK);
		assert_int_equal(emulator_resize(b->emulator, 1 + random % 200,
					 1 + random % 60),
			SGB_OK);
	}
	assert_int_equal(emulator_lines(b->emulator), SGB_OK);
	/* Nothing that came back would act on a terminal. */
	for (i = 0; i < b->lines.len; i++)
		assert_true(
			b->lines.data[i] >= 0x20 && b->lines.data[i] != 0x7f);
	assert_null(memmem(b->lines.data, b->lines.len, "\xe2\x80\xae", 3));
	assert_null(memmem(b->lines.data, b->lines.len, "\xc2\x9b", 2));
}

/* A sequence that never ends costs time, not memory. */
static void test_endless_string(void **state)
{
	static uint8_t many[65536];
	struct bench *b = *state;
	int i;

	memset(many, 'x', sizeof(many));
	feed(b, "\033]0;");
	for (i = 0; i < 64; i++)
		assert_int_equal(
			emulator_feed(b->emulator, many, sizeof(many)), SGB_OK);
	feed(b, "\007still here");
	assert_int_equal(emulator_lines(b->emulator), SGB_OK);
	says(&b->lines, "still here|");
}

/* Bytes that ask for much drawing, again and again, are given up. */
static void test_budget(void **state)
{
	static uint8_t feeds[1024];
	struct bench *b = *state;
	enum sgb_err err = SGB_OK;
	int i;

	memset(feeds, '\n', sizeof(feeds));
	emulator_budget(b->emulator, 200);
	assert_int_equal(emulator_resize(b->emulator, 512, 256), SGB_OK);
	for (i = 0; i < 1000 && !err; i++)
		err = emulator_feed(b->emulator, feeds, sizeof(feeds));
	assert_int_equal(err, SGB_ERR_TIMEOUT);
	assert_int_equal(emulator_lines(b->emulator), SGB_ERR_CLOSED);
}

/* Shell work and accidents: what a line is does not depend on how often the
 * screen was read. An unknown CSI p makes the child read it for each line. */
static void random_work(uint32_t seed, struct buf *out)
{
	static const char *const pieces[] = {"ls -l", "\r\n", "\r\n", "\r\n",
		"\n", "total 12  drwxr-xr-x root", "\033[1;32m", "\033[m",
		"\033[K", "\tmake[1]: Entering", "0123456789", "$ ", "\r",
		"\b \b", "\xc3\xa9\xe4\xbd\xa0", "\033[?2004h", "\033[3A",
		"\033[2;5r", "\033[r", "\033[J", "\033[2J", "\033[H", "\033M",
		"\033[2L", "\033[1;1H", "\033[?1049h", "\033[?1049l",
		"\033(0qq\033(B", "\033[?7l", "\033[?7h", "\033[1\n\nm",
		"\xc2\x9b\n2J", "\xc3\033[J",
		("\xe0\x82\x9b"
		 "2S"),
		"\033D", "\xc2\x84", "\033[4h", "\033[4l", "\033[12C",
		"\033P\007\n\n\033\\", "\033]0;t\n\007", "\033 \n[2J",
		"\xcc\x81", "\033[24;1H", "\033[3;1H", "\033c", "\x0f",
		"\033\033[2;1H", "\033[5;1H\n\n\n", "\xc0\x8a\xc1\x81",
		"\033%D", "\033\"D", "\033#M", "\033[S", "\033[2T", "\033[M",
		"\033[3P", "\033[4@", "\033[2X", "\033[1K", "\033[1J",
		"\033[?47h", "\033[?47l", "\033[?1047h", "\033[?1047l",
		"\033[5b", "\033[b", "\033[?7$p", "\033[?1049;7h",
		"\033]133;B\xc2\x84", "\033[2M",
		/* Sets that lack a character: it is not there at all. */
		"\033)<", "\x0e4\x0f", "\033[61\"p\x0e", "\033[24;80H",
		"\033[1;80Hx"};
	/* Most of the time the plain ones, so that lines pass undisturbed. */
	uint32_t rare = 4U << seed % 6;
	int i;

	buf_reset(out);
	for (i = 0; i < 1500; i++) {
		size_t below = (seed >> 8) % rare
				       ? 15
				       : sizeof(pieces) / sizeof(pieces[0]);

		seed = seed * 1664525 + 1013904223;
		buf_printf(out, "%s", pieces[(seed >> 12) % below]);
	}
}

/* What each does to text that nobody was told of. Below "|" the screen's end.
 */
static void test_redrawn(void **state)
{
	static const struct {
		const char *before, *act, *lines;
	} cases[] = {
		{"gone", "\rkept", "<gone|kept|"},
		{"gone", "\r\033[K", "<gone|"},
		{"half gone", "\r\033[4Ck", "<half gone|halfkgone|"},
		{"more", "", "more|"},
		{"grows", " on", "grows on|"},
		{"a\r\nb\r\nc", "\033[2;1H\033[J", "<b|<c|a|"},
		{"a\r\nb\r\nc", "\033[H\033[J", "a|b|c|"},
		{"a\r\nb\r\nc", "\033[2J", "a|b|c|"},
		{"a\r\nb\r\nc", "\033[2;2H\033[1J", "<a|<b|||c|"},
		{"a\r\nb\r\nc", "\033[2S", "a|b|c|"},
		{"a\r\nb\r\nc\r\nd", "\033[T", "/d||a|b|c|"},
		{"a\r\nb\r\nc\r\nd", "\033[H\033[L", "/d||a|b|c|"},
		{"a\r\nb\r\nc", "\033[H\033[M", "/a|b|c|"},
		{"a\r\nb\r\nc\r\nd", "\033[H\033M", "/d||a|b|c|"},
		{"a\r\nb\r\nc\r\nd", "\033[H\033#M", "/d||a|b|c|"},
		{"a\r\nb\r\nc\r\nd", "\033%D", "a|b|c|d|"},
		{"abc", "\033[2D\033[P", "<abc|ac|"},
		{"abc", "\033[3D\033[2X", "<abc|  c|"},
		{"abc", "\033[3D\033[@", "<abc| abc|"},
		{"abc", "\033c", "abc|"},
		{"0123456789ab", "\r-", "<0123456789~<ab|0123456789~-b|"},
		/* Of a full-screen program, each once. */
		{"\033[?1049hone\r\ntwo", "\033[2J", "/one|/two|"},
		{"\033[?1049hone\r\ntwo", "\033[H\033[J\033[?1049l",
			"/one|/two|"},
		{"\033[?1049hone\r\ntwo", "\033[?1049l", "/one|/two|"},
		{"\033[?1049hone\r\ntwo", "\033[?47lx", "/one|/two||   x|"},
		{"\033[?1049hone\r\ntwo", "\033[!p", "/one|/two|"},
		{"\033[?1049hone\r\ntwo", "\033[H\033[M", "/one|/two|"},
		{"\033[?1049hone", "\rtwo\rone\rtwo", "/one|/two|"},
		{"\033[?1049ha\r\nb\r\nc\r\nd", "\r\n", "/a|/b|/c|/d|"},
	};
	struct bench *b = *state;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(emulator_reset(b->emulator), SGB_OK);
		assert_int_equal(emulator_resize(b->emulator, 10, 4), SGB_OK);
		feed(b, cases[i].before);
		feed(b, cases[i].act);
		assert_int_equal(emulator_lines(b->emulator), SGB_OK);
		says(&b->lines, cases[i].lines);
	}
}

static void test_smaller(void **state)
{
	struct bench *b = *state;

	assert_int_equal(emulator_resize(b->emulator, 10, 4), SGB_OK);
	feed(b, "a\r\nb\r\nc\r\n0123456789");
	assert_int_equal(emulator_resize(b->emulator, 5, 2), SGB_OK);
	says(&b->lines, "a|b|<0123456789|");
	assert_int_equal(emulator_lines(b->emulator), SGB_OK);
	says(&b->lines, "c|01234|");
	assert_int_equal(emulator_reset(b->emulator), SGB_OK);
	assert_int_equal(emulator_resize(b->emulator, 10, 4), SGB_OK);
	feed(b, "main\033[?1049h\033[Ha\r\nb\r\nc\r\n0123456789");
	assert_int_equal(emulator_resize(b->emulator, 5, 2), SGB_OK);
	says(&b->lines, "/a|/b|/0123456789|");
}

/* The text of each row that could be looked at is in one of the lines. */
struct looks {
	struct buf lines[2], told; /* not ended ones: in order, apart */
	struct buf rows; /* "\ntext\n" of each, while they are painted */
};

static void put_painted(void *data, unsigned int y,
	const struct emulator_cell *cells, unsigned int count)
{
	struct looks *looks = data;
	unsigned int x;

	(void)y;
	while (count && !cells[count - 1].code)
		count--;
	buf_put_u8(&looks->rows, '\n');
	for (x = 0; x < count; x++)
		if (cells[x].width)
			utf8_put(&looks->rows,
				cells[x].code ? cells[x].code : ' ');
	buf_put_u8(&looks->rows, '\n');
}

static void put_told(
	void *data, const char *text, size_t len, unsigned int flags)
{
	struct looks *looks = data;
	struct buf *line = &looks->lines[!!(flags & EMULATOR_APART)];

	buf_put(line, text, len);
	if (flags & EMULATOR_WRAPPED)
		return;
	buf_put(&looks->told, line->data, line->len);
	buf_put_u8(&looks->told, '\n');
	buf_reset(line);
}

static void all_told(const struct looks *looks)
{
	const uint8_t *at = looks->rows.data, *end = at + looks->rows.len;

	while (at < end) {
		const uint8_t *stop = memchr(at + 1, '\n', (size_t)(end - at));
		size_t len = (size_t)(stop + 1 - at);

		if (len > 2 && !memmem(looks->told.data, looks->told.len,
				       at + 1, len - 2))
			fail_msg("not told: %.*s", (int)len - 2, at + 1);
		at += len;
	}
}

static void test_all_told(void **state)
{
	struct looks looks = {0};
	struct emulator_handler handler = {
		.data = &looks, .line = put_told, .row = put_painted};
	struct emulator *emulator;
	struct buf work;
	uint32_t i;

	buf_init(&work, 1 << 20);
	(void)state;
	buf_init(&looks.rows, 1 << 22);
	buf_init(&looks.told, 1 << 22);
	buf_init(&looks.lines[0], 1 << 20);
	buf_init(&looks.lines[1], 1 << 20);
	assert_int_equal(emulator_start(&handler, &emulator), SGB_OK);
	for (i = 0; i < 40; i++) {
		unsigned int at, len;

		random_work(100 + i, &work);
		assert_int_equal(emulator_reset(emulator), SGB_OK);
		buf_reset(&looks.rows);
		buf_reset(&looks.told);
		for (at = 0; at < work.len; at += len) {
			len = 1 + (at * 2654435761U >> 8) % (64U << i % 4);
			if (len > work.len - at)
				len = (unsigned int)work.len - at;
			if (at % 50 == 49)
				assert_int_equal(
					emulator_resize(emulator, 20U + at % 13,
						3U + at % 11),
					SGB_OK);
			assert_int_equal(
				emulator_feed(emulator, work.data + at, len),
				SGB_OK);
			assert_int_equal(
				emulator_paint(emulator, false), SGB_OK);
		}
		assert_int_equal(emulator_lines(emulator), SGB_OK);
		put_told(&looks, "", 0, 0);
		put_told(&looks, "", 0, EMULATOR_APART);
		all_told(&looks);
	}
	emulator_free(emulator);
	buf_done(&looks.rows);
	buf_done(&looks.told);
	buf_done(&looks.lines[0]);
	buf_done(&looks.lines[1]);
	buf_done(&work);
}

static void test_same_lines(void **state)
{
	struct bench *b = *state;
	struct buf work, lines, commands;
	size_t total = 0;
	uint32_t i;

	buf_init(&work, 1 << 20);
	buf_init(&lines, 1 << 22);
	buf_init(&commands, 1 << 22);
	for (i = 0; i < 2 * 60; i++) {
		bool often = i & 1;

		random_work(i / 2, &work);
		assert_int_equal(emulator_reset(b->emulator), SGB_OK);
		assert_int_equal(emulator_prompt(b->emulator, "$ ", 2), SGB_OK);
		assert_int_equal(emulator_resize(b->emulator, 30 + i / 2 % 3,
					 5 + i / 2 % 20),
			SGB_OK);
		buf_reset(&b->lines);
		buf_reset(&b->commands);
		feed(b, often ? "\033[p" : "");
		assert_int_equal(
			emulator_feed(b->emulator, work.data, work.len),
			SGB_OK);
		assert_int_equal(emulator_lines(b->emulator), SGB_OK);
		total += b->lines.len;
		if (often) {
			assert_int_equal(b->lines.len, lines.len);
			assert_memory_equal(
				b->lines.data, lines.data, lines.len);
			assert_int_equal(b->commands.len, commands.len);
		}
		buf_reset(&lines);
		buf_put(&lines, b->lines.data, b->lines.len);
		buf_reset(&commands);
		buf_put(&commands, b->commands.data, b->commands.len);
	}
	assert_true(total > 500000);
	buf_done(&work);
	buf_done(&lines);
	buf_done(&commands);
}

static void test_utf8(void **state)
{
	struct utf8_joiner joiner = {{0}, 0};
	struct buf out;

	(void)state;
	buf_init(&out, 200);
	utf8_join(&joiner, (const uint8_t *)"caf\xc3", 4, &out);
	utf8_join(&joiner, (const uint8_t *)"\xa9 \xf0\x9f", 4, &out);
	utf8_join(&joiner, (const uint8_t *)"x\xed\xa0\x80", 4, &out);
	says(&out, "caf\xc3\xa9 \xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd"
		   "\xef\xbf\xbd");
	utf8_put_json(&out, "a\"\\\033</script>", 13);
	says(&out, "\"a\\\"\\\\\\u001b\\u003c/script>\"");
	utf8_put_json(&out, "\xc2\x9b\xe2\x80\xae\xc3\xa9\xe2\x80", 9);
	says(&out, "\"\\u009b\\u202e\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\"");
	utf8_clean((const uint8_t *)"a\033[2J\xc2\x9b\xe2\x80\xae", 10, &out);
	says(&out, "a\xef\xbf\xbd[2J\xef\xbf\xbd\xef\xbf\xbd");
	buf_done(&out);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, make_bench, remove_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lines),
		TEST(test_other_screen),
		TEST(test_commands),
		TEST(test_paint),
		TEST(test_hostile),
		TEST(test_endless_string),
		TEST(test_budget),
		TEST(test_same_lines),
		TEST(test_redrawn),
		TEST(test_smaller),
		TEST(test_all_told),
		cmocka_unit_test(test_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
