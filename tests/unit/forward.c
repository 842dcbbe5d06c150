/*
 * The forwarder's parts that need neither receiver nor trail: settings,
 * messages as receivers get them, positions, the link and what its processes
 * say to each other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../audit/forward_line.h"
#include "../../audit/forward_link.h"

static const char *const wrong[][2] = {
	{"syslog udp 10.0.0.1", "expected udp, tcp or tls, an address"},
	{"syslog sctp 10.0.0.1 514", "expected udp, tcp or tls"},
	{"syslog udp logs 514", "numeric address"},
	{"syslog udp 10.0.0.1 0", "a port"},
	{"syslog udp 10.0.0.1 65536", "a port"},
	{"syslog udp 10.0.0.1 514 facility", "\"facility\" takes"},
	{"syslog udp 10.0.0.1 514 facility news2", "\"facility\" takes"},
	{"syslog udp 10.0.0.1 514 hold 2h", "\"hold\" takes"},
	{"syslog udp 10.0.0.1 514 max-message 479", "from 480"},
	{"syslog udp 10.0.0.1 514 max-message 65001", "to 65000"},
	{"syslog udp 10.0.0.1 514 sd-id a]b", "NAME@"},
	{"syslog udp 10.0.0.1 514 facility user facility user", "twice"},
	{"syslog udp 10.0.0.1 514 name x", "tls alone"},
	{"syslog udp 10.0.0.1 514 holt 1s", "did you mean \"hold\"?"},
	{"syslog tls 10.0.0.1 6514 name x", "\"ca\""},
	{"syslog tls 10.0.0.1 6514 ca /x", "\"name\""},
	{"syslog tls 10.0.0.1 6514 ca x name y", "whole path"},
	{"syslog tls 10.0.0.1 6514 ca /x name y/z", "\"name\" takes"},
	{"syslog tls 10.0.0.1 6514 ca /x name y client-key /k", "together"},
	{"syslog udp 10.0.0.1 514\nsyslog udp 10.0.0.1 514", "same receiver"},
};

static enum sgb_err parse(const char *text,
	struct forward_dest dests[FORWARD_MAX], size_t *count,
	char why[FORWARD_TEXT_MAX + 200], struct conf **ret)
{
	struct diag diag;
	enum sgb_err err;

	diag_init(&diag);
	assert_int_equal(
		conf_parse("f.conf", text, strlen(text), ret, &diag), SGB_OK);
	err = forward_dests(*ret, "f.conf", dests, count, why);
	diag_done(&diag);
	return err;
}

static void test_settings(void **state)
{
	struct forward_dest dests[FORWARD_MAX];
	char why[FORWARD_TEXT_MAX + 200], text[400];
	struct conf *conf;
	size_t count, i;

	(void)state;
	assert_int_equal(
		parse("syslog tls 2001:db8::9 6514 name a.b ca \"/x y\" hold "
		      "3s "
		      "facility local7\n# no\nsyslog udp 10.0.0.1 514\n"
		      "journald yes\n",
			dests, &count, why, &conf),
		SGB_OK);
	assert_int_equal(count, 3);
	assert_string_equal(dests[0].name, "tls 2001:db8::9 6514");
	assert_string_equal(dests[0].file, "tls-2001-db8--9-6514");
	assert_string_equal(dests[0].ca, "/x y");
	assert_int_equal(dests[0].hold_ms, 3000);
	assert_int_equal(dests[0].facility, 23);
	assert_int_equal(dests[0].max_message, 0);
	assert_int_equal(dests[1].line, 3);
	assert_int_equal(dests[1].max_message, 2048);
	assert_int_equal(dests[2].kind, FORWARD_JOURNALD);
	conf_free(conf);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		(void)snprintf(text, sizeof(text), "\n%s\n", wrong[i][0]);
		assert_int_not_equal(
			parse(text, dests, &count, why, &conf), SGB_OK);
		if (!strstr(why, wrong[i][1]) || strncmp(why, "f.conf:", 7))
			fail_msg("%s: %s", wrong[i][0], why);
		assert_true(why[7] == '2' || why[7] == '3');
		conf_free(conf);
	}
}

#define HASH0 "0000000000000000000000000000000000000000000000000000000000000000"

static const char sample[] =
	"{\"metadata\":{\"sequence\":7,\"version\":\"1.3.0\"},"
	"\"time_dt\":\"2026-11-23T14:00:00.123Z\",\"severity_id\":3,"
	"\"message\":\"logon\",\"status_detail\":\"a \\\"b\\\" \\u000a\","
	"\"actor\":{\"user\":{\"name\":\"alice\"}},"
	"\"auth_factors\":[{\"message\":\"not this\"}],"
	"\"unmapped\":{\"sgb\":{\"event\":\"logon\",\"conn\":\"c]1\\\"\","
	"\"login\":\"ops\",\"writer\":\"0123456789abcdef\",\"prev\":\"" HASH0
	"\"}}}";

static void read_sample(struct forward_line *line, const char *text)
{
	memset(line, 0, sizeof(*line));
	assert_true(forward_line_read(line, text, strlen(text)));
	assert_int_equal(
		journal_parse(JOURNAL_EVENTS, text, strlen(text), &line->chain),
		SGB_OK);
	line->chained = true;
}

static const struct forward_dest plain = {
	.kind = FORWARD_TCP, .facility = 13, .sd_id = "x@1"};

static void test_syslog(void **state)
{
	struct forward_line line;
	char want[4000], hex[65];
	struct buf out, framed;
	size_t cut;

	(void)state;
	read_sample(&line, sample);
	suite_hex(line.chain.hash, SUITE_HASH_LEN, hex);
	(void)snprintf(want, sizeof(want),
		"<108>1 2026-11-23T14:00:00.123Z host sgbridge - logon "
		"[x@1 seq=\"7\" writer=\"0123456789abcdef\" head=\"%s\" "
		"session=\"c\\]1\\\\\\\"\"] %s",
		hex, sample);
	buf_init(&out, 10000);
	buf_init(&framed, 10000);
	assert_int_equal(
		forward_syslog(&plain, "host", &line, &out, &cut), SGB_OK);
	assert_int_equal(out.len, strlen(want));
	assert_memory_equal(out.data, want, out.len);
	assert_int_equal(cut, 0);
	assert_int_equal(forward_frame(&out, &framed), SGB_OK);
	(void)snprintf(hex, sizeof(hex), "%zu <108>1 ", out.len);
	assert_memory_equal(framed.data, hex, strlen(hex));
	buf_done(&out);
	buf_done(&framed);
}

/* Headers take nothing that is not theirs; UTF-8 is announced and cut between
 * its characters. */
static void test_syslog_hostile(void **state)
{
	static const char text[] =
		"{\"time_dt\":\"2026-11-23T14:00:00.1234567Z\","
		"\"severity_id\":\"9\",\"unmapped\":{\"sgb\":"
		"{\"event\":\"lo gon\",\"conn\":\"\xc3\xa4\"}},"
		"\"x\":\"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\"}";
	struct forward_dest dest = plain;
	struct forward_line line = {.gap_first = 3, .gap_last = 5};
	struct buf out;
	size_t cut, i;

	(void)state;
	assert_true(forward_line_read(&line, text, strlen(text)));
	buf_init(&out, 10000);
	assert_int_equal(
		forward_syslog(&dest, "a b", &line, &out, &cut), SGB_OK);
	buf_put_u8(&out, 0);
	assert_int_equal(strncmp((char *)out.data,
				 "<109>1 - - sgbridge - - [x@1 first=\"3\" "
				 "last=\"5\" session=\"\xc3\xa4\"] "
				 "\xef\xbb\xbf{",
				 strlen("<109>1 - - sgbridge - - [x@1 "
					"first=\"3\" last=\"5\" "
					"session=\"xx\"] xxx{")),
		0);
	for (i = 0; i < 9; i++) {
		dest.max_message = out.len - 2 - i;
		buf_reset(&out);
		assert_int_equal(
			forward_syslog(&dest, "a b", &line, &out, &cut),
			SGB_OK);
		assert_true(out.len <= dest.max_message && cut > 0);
		/* The last byte ends a character. */
		assert_true(out.data[out.len - 1] < 0x80 ||
			    (out.data[out.len - 1] & 0xc0) == 0x80);
		assert_non_null(memmem(out.data, out.len, " cut=\"", 6));
		dest.max_message = 0;
		buf_reset(&out);
		assert_int_equal(
			forward_syslog(&dest, "a b", &line, &out, &cut),
			SGB_OK);
	}
	buf_done(&out);
}

static void test_not_json(void **state)
{
	static const char *const texts[] = {"", "{", "{}x", "[]", "\"a\"",
		"{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":\"\\\"}",
		"{\"a\":{{{{{{{{{{{{{{1}}}}}}}}}}}}}}}", "{a:1}",
		"{\"a\":[1,]}", "{\"a\":\"\n\"}"};
	static const char twice[] =
		"{\"message\":\"a\",\"x\":[],\"message\":\"b\"}";
	struct forward_line line;
	size_t i;

	(void)state;
	memset(&line, 0, sizeof(line));
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (forward_line_read(&line, texts[i], strlen(texts[i])))
			fail_msg("%s", texts[i]);
	assert_true(forward_line_read(&line, twice, sizeof(twice) - 1));
	assert_memory_equal(line.fields[FIELD_MESSAGE].at, "a", 1);
}

static void test_journald(void **state)
{
	struct forward_line line;
	struct buf out;
	char *text, *at;

	(void)state;
	read_sample(&line, sample);
	buf_init(&out, 20000);
	assert_int_equal(forward_journald(&plain, &line, &out), SGB_OK);
	buf_put_u8(&out, 0);
	text = (char *)out.data;
	assert_non_null(strstr(text,
		"MESSAGE=logon: alice (a \"b\" \\u000a)\nPRIORITY=4\n"
		"SYSLOG_FACILITY=13\nSYSLOG_IDENTIFIER=sgbridge\n"
		"MESSAGE_ID="));
	assert_non_null(strstr(text, "\nSGB_SEQ=7\nSGB_WRITER=0123456789abcdef"
				     "\nSGB_HEAD="));
	assert_non_null(strstr(text, "\nSGB_SESSION=c]1\"\n"));
	assert_non_null(strstr(text, "\nSGB_LOGIN=ops\n"));
	assert_null(strstr(text, "SGB_TARGET="));
	/* Each line has a name: no value made one of its own. */
	for (at = text; *at; at = strchr(at, '\n') + 1)
		assert_true(strcspn(at, "=") < strcspn(at, "\n"));
	buf_done(&out);
}

static void test_place(void **state)
{
	struct forward_place place = {.file = "2026-11-23.jsonl",
				     .offset = 5,
				     .seq = 7},
			     again;
	char text[FORWARD_TEXT_MAX], bent[FORWARD_TEXT_MAX];
	size_t len, i;

	(void)state;
	memset(place.hash, 0xab, sizeof(place.hash));
	len = forward_place_text(&place, text);
	assert_int_equal(forward_place_parse(text, len, &again), SGB_OK);
	assert_memory_equal(&place, &again, sizeof(place));
	for (i = 0; i < len; i++) {
		assert_int_not_equal(
			forward_place_parse(text, i, &again), SGB_OK);
		memcpy(bent, text, len);
		bent[i] = ' ';
		if (text[i] != ' ')
			assert_int_not_equal(
				forward_place_parse(bent, len, &again), SGB_OK);
	}
	assert_int_not_equal(
		forward_place_parse("sgbridge-forward 1 ../x 1 1 " HASH0 "\n",
			strlen("sgbridge-forward 1 ../x 1 1 " HASH0 "\n"),
			&again),
		SGB_OK);
}

static bool delivered(struct link *link, struct forward_place *place, int ms)
{
	uint64_t end = forward_now_ms() + (uint64_t)ms;

	do
		if (link_delivered(link, place))
			return true;
	while (forward_now_ms() < end && poll(NULL, 0, 5) >= 0);
	return false;
}

/* What the other side's kernel has not given to its program is not delivered,
 * nor is anything before its time. */
static void test_delivered(void **state)
{
	struct forward_dest dest = {.kind = FORWARD_TCP, .hold_ms = 50};
	struct forward_place first = {.seq = 1}, second = {.seq = 2}, got = {0};
	struct link link;
	struct buf message;
	char bytes[100];
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	link_init(&link, &dest);
	link_open(&link, pair[0]);
	assert_int_equal(link.phase, LINK_CONNECTING);
	link_ready(&link, POLLOUT);
	assert_int_equal(link.phase, LINK_UP);
	buf_init(&message, 100);
	buf_printf(&message, "hello");
	link_put(&link, &message, &first);
	/* A mark of its own. */
	assert_false(delivered(&link, &got, 150));
	link_put(&link, &message, &second);
	assert_int_equal(recv(pair[1], bytes, 5, 0), 5);
	link_delivered(&link, &got);
	assert_int_equal(got.seq, 0);
	assert_int_equal(recv(pair[1], bytes, 5, 0), 5);
	link_delivered(&link, &got);
	assert_int_equal(got.seq, 0); /* it is held */
	assert_true(delivered(&link, &got, 2000));
	while (got.seq < 2 && delivered(&link, &got, 2000))
		;
	assert_int_equal(got.seq, 2);
	/* An end of the other side takes everything along. */
	link_put(&link, &message, &second);
	close(pair[1]);
	link_ready(&link, POLLIN | POLLHUP);
	assert_int_equal(link.phase, LINK_DOWN);
	assert_true(*link.text);
	assert_false(link_delivered(&link, &got));
	link_done(&link);
	buf_done(&message);
}

/* A receiver that does not read makes nobody wait and nothing grow. */
static void test_stalled(void **state)
{
	struct forward_dest dest = {.kind = FORWARD_TCP, .hold_ms = 50};
	struct forward_place place = {.seq = 1};
	struct link link;
	struct buf message;
	int pair[2], count = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	link_init(&link, &dest);
	link_open(&link, pair[0]);
	link_ready(&link, POLLOUT);
	buf_init(&message, 2000);
	assert_non_null(buf_extend(&message, 1000));
	memset(message.data, 'x', 1000);
	while (link_room(&link, forward_now_ms()) && count++ < 100000) {
		link_put(&link, &message, &place);
		place.seq++;
	}
	assert_true(count < 5000);
	assert_true(link.out.len < 2 * FORWARD_CHUNK);
	assert_true(link.count <= LINK_MARKS);
	assert_int_equal(link.phase, LINK_UP);
	link_done(&link);
	buf_done(&message);
	close(pair[1]);
}

static void test_messages(void **state)
{
	struct forward_msg msg = {.kind = FORWARD_WAKE}, got;
	int pair[2], fd;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(
		forward_msg_receive(pair[1], &got, &fd), SGB_ERR_AGAIN);
	assert_int_equal(forward_msg_send(pair[0], &msg, pair[0]), SGB_OK);
	assert_int_equal(forward_msg_receive(pair[1], &got, &fd), SGB_OK);
	assert_true(fd >= 0);
	close(fd);
	/* Short, of no kind, a text without its end. */
	assert_int_equal(send(pair[0], &msg, 10, 0), 10);
	assert_int_equal(
		forward_msg_receive(pair[1], &got, &fd), SGB_ERR_FORMAT);
	msg.kind = (enum forward_msg_kind)99;
	assert_int_equal(forward_msg_send(pair[0], &msg, pair[0]), SGB_OK);
	assert_int_equal(
		forward_msg_receive(pair[1], &got, &fd), SGB_ERR_FORMAT);
	assert_int_equal(fd, -1);
	msg.kind = FORWARD_REPORT;
	memset(msg.report.text, 'x', sizeof(msg.report.text));
	assert_int_equal(forward_msg_send(pair[0], &msg, -1), SGB_OK);
	assert_int_equal(
		forward_msg_receive(pair[1], &got, &fd), SGB_ERR_FORMAT);
	close(pair[0]);
	assert_int_equal(
		forward_msg_receive(pair[1], &got, &fd), SGB_ERR_CLOSED);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_syslog),
		cmocka_unit_test(test_syslog_hostile),
		cmocka_unit_test(test_not_json),
		cmocka_unit_test(test_journald),
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_delivered),
		cmocka_unit_test(test_stalled),
		cmocka_unit_test(test_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
