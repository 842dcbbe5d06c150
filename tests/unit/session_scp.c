/*
 * The scp observer, fed with both sides of a copy cut into pieces of every
 * size: what it reports must not depend on how the bytes arrive, and it must
 * say where it stops.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "session_scp.h"

/* session_sftp_int.h: what cannot be said without memory, and what can. */
#define NO_MEMORY "no memory"
char *__real_sftp_escape(const uint8_t *text, size_t len);
char *__wrap_sftp_escape(const uint8_t *text, size_t len);

char *__wrap_sftp_escape(const uint8_t *text, size_t len)
{
	if (len == strlen(NO_MEMORY) && !memcmp(text, NO_MEMORY, len))
		return NULL;
	return __real_sftp_escape(text, len);
}

#define ABC_SHA256 \
	"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY_SHA256 \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static char reports[65536];

static void note(void *arg, const struct sftp_event *event)
{
	size_t used = strlen(reports);

	assert_ptr_equal(arg, reports);
	if (event->file)
		snprintf(reports + used, sizeof(reports) - used,
			"F%s %llu [%s] %s\n", event->upload ? "up" : "down",
			(unsigned long long)event->bytes, event->path,
			event->json);
	else
		snprintf(reports + used, sizeof(reports) - used, "%s\n",
			event->json);
}

/* What each side says in its turn: "s:..." the sender, "r:..." the receiver.
 * Bytes are as in C, with \0 written as '@'. */
static bool feed(
	struct scp_watch *watch, bool upload, const char *turn, size_t piece)
{
	bool sender = turn[0] == 's', good = true;
	uint8_t bytes[70000];
	size_t len = strlen(turn + 2), at, left;

	assert_true(len < sizeof(bytes));
	for (at = 0; at < len; at++)
		bytes[at] = turn[2 + at] == '@' ? 0 : (uint8_t)turn[2 + at];
	for (at = 0; at < len; at += piece) {
		left = len - at;
		good = scp_watch_bytes(watch, sender == upload, bytes + at,
			left < piece ? left : piece);
	}
	return good;
}

static const char *run(const char *command, bool upload,
	const char *const *turns, size_t piece)
{
	struct scp_watch *watch = scp_watch_new(upload, command, note, reports);
	bool good = true;

	assert_non_null(watch);
	reports[0] = 0;
	for (; *turns; turns++) {
		bool now = feed(watch, upload, *turns, piece);

		/* once lost, lost for good */
		assert_true(good || !now);
		good = now;
	}
	scp_watch_end(watch);
	scp_watch_free(watch);
	assert_int_equal(good, !strstr(reports, "\"unwatched\""));
	return reports;
}

static void check(const char *command, bool upload, const char *const *turns,
	const char *wanted)
{
	static const size_t pieces[] = {1, 2, 3, 7, 16, 100000};
	size_t i;

	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		assert_string_equal(
			run(command, upload, turns, pieces[i]), wanted);
}

#define TURNS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define FILE_JSON(path, operand, direction, mode, size, rest) \
	"{\"path\":\"" path "\",\"operand\":\"" operand \
	"\",\"direction\":\"" direction "\",\"mode\":\"" mode \
	"\",\"size\":" size ",\"bytes\":" rest "}\n"
#define UP(path, size, rest) \
	"Fup " size " [/d: " path \
	"] " FILE_JSON(path, "/d", "upload", "0644", size, size rest)
#define ABC	  ",\"sha256\":\"" ABC_SHA256 "\""
#define OK	  ",\"result\":\"ok\""
#define LOST(why) "{\"op\":\"unwatched\",\"why\":\"" why "\"}\n"
#define OP(op, path, result) \
	"{\"op\":\"" op "\",\"path\":\"" path "\",\"result\":\"" result "\"}" \
	"\n"

static void upload(void **state)
{
	(void)state;
	check("scp -t /d", true,
		TURNS("r:@", "s:C0644 3 a\n", "r:@", "s:abc@", "r:@"),
		UP("a", "3", ABC OK));
	check("scp -t /d", true,
		TURNS("r:@", "s:C0644 0 empty\n", "r:@", "s:@", "r:@"),
		UP("empty", "0", ",\"sha256\":\"" EMPTY_SHA256 "\"" OK));
}

static void download(void **state)
{
	(void)state;
	check("scp -v -p -f -- /etc/x y", false,
		TURNS("r:@", "s:T17 0 18 999999\n", "r:@", "s:C0600 3 x\n",
			"r:@", "s:abc@", "r:@", "s:\1scp: y: No such file\n"),
		"Fdown 3 [/etc/x y: x] " FILE_JSON("x", "/etc/x y", "download",
			"0600", "3", "3,\"mtime\":17,\"atime\":18" ABC OK)
			OP("open", "", "scp: y: No such file"));
}

static void folders(void **state)
{
	(void)state;
	check("scp -r -t /d", true,
		TURNS("r:@", "s:D0755 0 one\n", "r:@", "s:C0644 3 a\n", "r:@",
			"s:abc@", "r:@", "s:D0700 0 two\n", "r:@",
			"s:C0644 3 b\n", "r:@", "s:abc@", "r:@", "s:E\n", "r:@",
			"s:C0644 3 c\n", "r:@", "s:abc@", "r:@", "s:E\n", "r:@",
			"s:C0644 3 d\n", "r:@", "s:abc@", "r:@"),
		OP("folder", "one", "ok") UP("one/a", "3", ABC OK) OP(
			"folder", "one/two", "ok") UP("one/two/b", "3", ABC OK)
			UP("one/c", "3", ABC OK) UP("d", "3", ABC OK));
	/* a folder that is refused is not entered */
	check("scp -r -t /d", true,
		TURNS("r:@", "s:D0755 0 one\n", "r:\1scp: no\n",
			"s:C0644 3 d\n", "r:@", "s:abc@", "r:@"),
		OP("folder", "one", "scp: no") UP("d", "3", ABC OK));
	/* times are of what comes next, and of nothing else */
	check("scp -p -r -t /d", true,
		TURNS("r:@", "s:T1 0 1 0\n", "r:@", "s:D0755 0 one\n", "r:@",
			"s:C0644 3 a\n", "r:@", "s:abc@", "r:@", "s:E\n",
			"r:@"),
		OP("folder", "one", "ok") UP("one/a", "3", ABC OK));
	/* what is downloaded changes nothing at the target */
	check("scp -r -f d", false,
		TURNS("r:@", "s:D0755 0 d\n", "r:@", "s:E\n", "r:@"), "");
}

static void errors(void **state)
{
	(void)state;
	/* refused, and the next is not */
	check("scp -t /d", true,
		TURNS("r:@", "s:C0644 3 a\n", "r:\1scp: /d/a: denied\n",
			"s:C0644 3 b\n", "r:@", "s:abc@", "r:@"),
		OP("open", "a", "scp: /d/a: denied") UP("b", "3", ABC OK));
	/* the receiver could not write all of it */
	check("scp -t /d", true,
		TURNS("r:@", "s:C0644 3 a\n", "r:@", "s:abc@",
			"r:\1disk full\n"),
		UP("a", "3", ABC ",\"result\":\"disk full\""));
	/* the sender could not read all of it, and pads */
	check("scp -t /d", true,
		TURNS("r:@", "s:C0644 3 a\n", "r:@", "s:abc\1I/O\n", "r:@"),
		UP("a", "3", ABC ",\"result\":\"I/O\""));
	/* nothing of it was there, and that is an error */
	check("scp -t /d", true,
		TURNS("r:@", "s:C0644 0 a\n", "r:@", "s:\1gone\n", "r:@"),
		UP("a", "0",
			",\"sha256\":\"" EMPTY_SHA256
			"\",\"result\":\"gone\""));
	/* there is no such place */
	check("scp -t /d", true, TURNS("r:\1scp: /d: none\n"),
		OP("open", "", "scp: /d: none"));
	/* the times are refused, and with them the file */
	check("scp -p -t /d", true,
		TURNS("r:@", "s:T1 0 1 0\n", "r:\2no\n", "s:C0644 3 a\n", "r:@",
			"s:abc@", "r:@"),
		OP("open", "", "no") UP("a", "3", ABC OK));
}

static void cut_short(void **state)
{
	(void)state;
	check("scp -t /d", true, TURNS("r:@", "s:C0644 9 a\n", "r:@", "s:abc"),
		"Fup 3 [/d: a] " FILE_JSON("a", "/d", "upload", "0644", "9",
			"3" ABC ",\"result\":\"not finished\""));
	check("scp -t /d", true, TURNS("r:@", "s:C0644 3 a\n", "r:@", "s:abc@"),
		UP("a", "3", ABC ",\"result\":\"no answer\""));
	check("scp -t /d", true, TURNS("r:@", "s:C0644 3 a\n"),
		OP("open", "a", "no answer"));
	check("scp -r -t /d", true, TURNS("r:@", "s:D0755 0 a\n"),
		OP("folder", "a", "no answer"));
}

/* A failure of which nothing can be kept is not taken for none. */
static void no_memory(void **state)
{
	(void)state;
	check("scp -t /d", true,
		TURNS("r:@", "s:C0644 3 a\n", "r:@", "s:abc\1" NO_MEMORY "\n",
			"r:@"),
		UP("a", "3", ABC ",\"result\":\"not finished\"")
			LOST("out of memory"));
	check("scp -t /d", true,
		TURNS("r:@", "s:C0644 3 a\n", "r:\1" NO_MEMORY "\n"),
		OP("open", "a", "no answer") LOST("out of memory"));
}

/* Senders that wait for no answer, receivers that wait for no question. */
static void hasty(void **state)
{
	(void)state;
	check("scp -t /d", true, TURNS("s:C0644 3 a\nabc@", "r:@@@"),
		UP("a", "3", ABC OK));
	check("scp -t /d", true,
		TURNS("s:D0755 0 x\nC0644 3 a\nabc@C0644 3 b\nabc@E\n",
			"r:@@@@@@@"),
		OP("folder", "x", "ok") UP("x/a", "3", ABC OK)
			UP("x/b", "3", ABC OK));
	check("scp -f /d", false,
		TURNS("r:@@@@@@", "s:C0644 3 a\nabc@", "s:C0644 0 b\n@"),
		"Fdown 3 [/d: a] " FILE_JSON("a", "/d", "download", "0644", "3",
			"3" ABC OK) "Fdown 0 [/d: b] " FILE_JSON("b", "/d",
			"download", "0644", "0",
			"0,\"sha256\":\"" EMPTY_SHA256 "\"" OK));
	/* whether the content is one is up to the answer */
	check("scp -t /d", true, TURNS("r:@", "s:C0644 3 a\nabc@", "r:\1no\n"),
		UP("a", "3", ABC ",\"result\":\"no answer\"")
			LOST("it goes on after a refusal"));
	check("scp -t /d", true, TURNS("r:@", "s:C0644 0 a\n@", "r:\1no\n"),
		UP("a", "0",
			",\"sha256\":\"" EMPTY_SHA256
			"\",\"result\":\"no answer\"")
			LOST("it goes on after a refusal"));
	check("scp -r -t /d", true, TURNS("r:@", "s:D0755 0 a\nC0", "r:\1no\n"),
		OP("folder", "a", "no answer")
			LOST("it goes on after a refusal"));
	check("scp -t /d", true, TURNS("r:@", "s:C0644 0 a\n\1", "r:\1no\n"),
		OP("open", "a", "no answer")
			LOST("it goes on after a refusal"));
	check("scp -t /d", true,
		TURNS("s:T1 0 1 0\nT1 0 1 0\nT1 0 1 0\nT1 0 1 0\nT1 0 1 0\n",
			"s:T1 0 1 0\nT1 0 1 0\nT1 0 1 0\nT1 0 1 0\nT1 0 1 0\n",
			"s:T1 0 1 0\nT1 0 1 0\nT1 0 1 0\nT1 0 1 0\nT1 0 1 0\n",
			"s:T1 0 1 0\n", "r:@"),
		LOST("it does not wait for answers"));
}

static void not_scp(void **state)
{
	static const char *const lines[] = {"s:hello\n", "s:\n", "s:@\n",
		"s:C644 3 a\n", "s:C0844 3 a\n", "s:C0644 3\n", "s:C0644 3 \n",
		"s:C0644  3 a\n", "s:C0644 -3 a\n", "s:C0644 0x3 a\n",
		"s:C0644 9223372036854775808 a\n",
		"s:C0644 99999999999999999999999 a\n", "s:C@644 3 a\n",
		"s:T1 0 1\n", "s:T1 0 1 1000000\n", "s:T1 0 1 0 \n",
		"s:T 0 1 0\n", NULL};
	size_t i;

	(void)state;
	for (i = 0; lines[i]; i++)
		check("scp -t /d", true,
			TURNS("r:@", lines[i], "s:C0644 3 a\n", "r:@"),
			LOST("a line that is not scp's"));
	check("scp -t /d", true, TURNS("r:@", "s:E\n"),
		LOST("the end of a folder outside of one"));
	check("scp -t /d", true, TURNS("r:Welcome\n"),
		LOST("an answer that is none"));
	check("scp -t /d", true, TURNS("r:@", "s:C0644 3 a\n", "r:@", "s:abcX"),
		UP("a", "3", ABC ",\"result\":\"not finished\"")
			LOST("a file that does not end"));
	check("scp -t /d", true,
		TURNS("r:@", "s:C0644 9 a\n", "r:@", "s:abc", "r:\1no\n"),
		"Fup 3 [/d: a] " FILE_JSON("a", "/d", "upload", "0644", "9",
			"3" ABC ",\"result\":\"not finished\"")
			LOST("an error before it is asked"));
}

static char *repeated(const char *before, int byte, size_t count)
{
	static char text[70000];

	assert_true(strlen(before) + count < sizeof(text));
	strcpy(text, before);
	memset(text + strlen(before), byte, count);
	text[strlen(before) + count] = 0;
	return text;
}

static void bounded(void **state)
{
	char deep[700 * 12 + 8] = "s:";
	size_t i;

	(void)state;
	/* to a byte what scp itself takes */
	check("scp -t /d", true,
		TURNS("r:@", repeated("s:C0644 3 ", 'a', 16375)),
		LOST("a line without end"));
	run("scp -t /d", true,
		TURNS("r:@", repeated("s:C0644 3 ", 'a', 16374), "s:\n"), 999);
	assert_null(strstr(reports, "unwatched"));
	check("scp -t /d", true, TURNS(repeated("r:\1", 'a', 2047)),
		LOST("a line without end"));
	run("scp -t /d", true, TURNS(repeated("r:\1", 'a', 2046), "r:\n"), 999);
	assert_null(strstr(reports, "unwatched"));
	check("scp -t /d", true, TURNS(repeated("r:", '@', 66)),
		LOST("answers to nothing"));
	for (i = 0; i < 700; i++)
		strcat(deep, "D0755 0 a\n");
	check("scp -r -f /d", false, TURNS(repeated("r:", '@', 14), deep),
		LOST("it does not wait for answers"));
}

/* One folder in the other, each answered, to the limit. */
static void deep(void **state)
{
	struct scp_watch *watch = scp_watch_new(
		false, "scp -r -f /d", note, reports);
	size_t i;

	(void)state;
	reports[0] = 0;
	assert_true(feed(watch, false, "r:@", 9));
	for (i = 0; i < 512; i++) {
		assert_true(feed(watch, false, "s:D0755 0 a\n", 99));
		assert_true(feed(watch, false, "r:@", 9));
	}
	for (i = 0; i < 512; i++) {
		assert_true(feed(watch, false, "s:E\n", 99));
		assert_true(feed(watch, false, "r:@", 9));
	}
	for (i = 0; i < 512; i++) {
		assert_true(feed(watch, false, "s:D0755 0 a\n", 99));
		assert_true(feed(watch, false, "r:@", 9));
	}
	assert_false(feed(watch, false, "s:D0755 0 a\n", 99));
	assert_string_equal(reports, LOST("folders too deep"));
	scp_watch_free(watch);
	/* by length */
	watch = scp_watch_new(false, "scp -r -f /d", note, reports);
	reports[0] = 0;
	assert_true(feed(watch, false, "r:@", 9));
	assert_false(feed(watch, false,
		strcat(repeated("s:D0755 0 ", 'a', 4096), "\n"), 99));
	assert_string_equal(reports, LOST("folders too deep"));
	scp_watch_free(watch);
}

static void hostile_names(void **state)
{
	(void)state;
	check("scp -t a\"b\033", true,
		TURNS("r:@", "s:C0644 3 \"\\\033[2J/../\xff\n", "r:@", "s:abc@",
			"r:\1\r\"\n"),
		"Fup 3 [a\\\"b\\u001b: "
		"\\\"\\\\\\u001b[2J/../\\u00ff] " FILE_JSON(
			"\\\"\\\\\\u001b[2J/../\\u00ff", "a\\\"b\\u001b",
			"upload", "0644", "3",
			"3" ABC ",\"result\":\"\\u000d\\\"\""));
}

static void operands(void **state)
{
	static const struct {
		const char *command, *wanted;
	} rows[] = {
		{"scp -t /d", "[/d: a]"},
		{"scp -r -p -t -- -x y", "[-x y: a]"},
		{"scp -vt  .", "[.: a]"},
		{"scp", "[: a]"},
		{"scp -t", "[: a]"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_non_null(strstr(
			run(rows[i].command, true,
				TURNS("s:C0644 3 a\nabc@", "r:@@@"), 100),
			rows[i].wanted));
	/* told in part */
	assert_non_null(
		strstr(run(repeated("scp -t ", 'x', 5000), true,
			       TURNS("s:C0644 3 a\nabc@", "r:@@@"), 100),
			"xx: a]"));
	assert_true(strlen(reports) < 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(upload),
		cmocka_unit_test(download),
		cmocka_unit_test(folders),
		cmocka_unit_test(errors),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(hasty),
		cmocka_unit_test(not_scp),
		cmocka_unit_test(bounded),
		cmocka_unit_test(deep),
		cmocka_unit_test(hostile_names),
		cmocka_unit_test(operands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
