/*
 * sgbridge-recorder as a whole: what it is sent is recorded, acknowledged and
 * ended, whoever goes away meanwhile and however slow its disk is.
 */
#include "recorder_bench.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "range.h"
#include "core/event.h"

static void test_session(void **state)
{
	struct bench *b = *state;
	char id[SGR_ID_TEXT], line[9000];
	struct buf text;
	int stream;

	start_and_wait(b);
	stream = open_recording(b->monitor, id, "{\"user\":\"alice\"}");
	send_item(stream, 1, RECORD_OPEN, "session", 7);
	send_item(stream, 1, RECORD_OUT, "hello ", 6);
	send_item(stream, 1, RECORD_IN, "secret", 6);
	send_item(stream, 1, RECORD_OUT, "world\r\n", 7);
	assert_int_equal(await_ack(stream, 4), 4);
	send_event(b->monitor, "alice", 1);
	close_recording(b->monitor, RECORDER_CLOSE_EXIT, "done");
	close(stream);
	buf_init(&text, 1000);
	assert_int_equal(collect(b, id, RECORD_OUT, &text), SGR_INTACT);
	assert_int_equal(text.len, 13);
	assert_memory_equal(text.data, "hello world\r\n", 13);
	assert_int_equal(collect(b, id, RECORD_IN, &text), SGR_INTACT);
	assert_memory_equal(text.data, "secret", 6);
	assert_int_equal(collect(b, id, RECORD_NOTE, &text), SGR_INTACT);
	assert_memory_equal(text.data, "done", 4);
	buf_done(&text);
	stop_recorder(b);
	/* start, recording start, logon, recording stop, heads of recording
	 * and index, service stop */
	assert_int_equal(
		check_chain(b, "events", JOURNAL_EVENTS, line, sizeof(line)),
		7);
	assert_non_null(strstr(line, "\"event\":\"service-stop\""));
	assert_non_null(strstr(line, ",\"sig\":\""));
	assert_int_equal(check_chain(b, "rec/ordings/index", JOURNAL_PLAIN,
				 line, sizeof(line)),
		2);
	assert_non_null(strstr(line, "\"op\":\"close\""));
	assert_non_null(strstr(line, id));
}

/* What the session got acknowledged is in the file when the monitor, the
 * session and the recorder are all gone the hard way. */
static void test_killed(void **state)
{
	struct bench *b = *state;
	char id[SGR_ID_TEXT], line[9000];
	struct buf text;
	int stream;

	start_and_wait(b);
	stream = open_recording(b->monitor, id, "{}");
	send_item(stream, 1, RECORD_OUT, "acknowledged", 12);
	assert_int_equal(await_ack(stream, 1), 1);
	assert_int_equal(kill(b->pid, SIGKILL), 0);
	assert_int_equal(wait_exit(b), -SIGKILL);
	close(stream);
	close(b->monitor);
	buf_init(&text, 1000);
	assert_int_equal(collect(b, id, RECORD_OUT, &text), SGR_OPEN);
	assert_memory_equal(text.data, "acknowledged", 12);
	/* The next start ends it and says so. */
	start_and_wait(b);
	assert_int_equal(collect(b, id, RECORD_OUT, &text), SGR_IS_RECOVERED);
	assert_memory_equal(text.data, "acknowledged", 12);
	buf_done(&text);
	stop_recorder(b);
	(void)check_chain(
		b, "rec/ordings/index", JOURNAL_PLAIN, line, sizeof(line));
	assert_non_null(strstr(line, "\"op\":\"recovered\""));
	/* And the one after has nothing to do. */
	start_and_wait(b);
	stop_recorder(b);
	assert_int_equal(check_chain(b, "rec/ordings/index", JOURNAL_PLAIN,
				 line, sizeof(line)),
		2);
}

static void test_monitor_vanishes(void **state)
{
	struct bench *b = *state;
	char id[SGR_ID_TEXT];
	struct buf text;
	struct msg msg;
	int stream, second;

	start_and_wait(b);
	assert_int_equal(msg_connect(path_of("socket"), &second), SGB_OK);
	stream = open_recording(second, id, "{}");
	send_item(stream, 1, RECORD_OUT, "last words", 10);
	close(second);
	close(stream);
	/* Answered on another connection after the first was dropped. */
	do {
		msg_init(&msg, MSG_REC_STATUS);
		call(b->monitor, &msg, MSG_REC_STATUS_OK);
	} while (reader_u64(&msg.reader) && (msg_done(&msg), true));
	msg_done(&msg);
	buf_init(&text, 1000);
	assert_int_equal(collect(b, id, RECORD_OUT, &text), SGR_INTACT);
	assert_memory_equal(text.data, "last words", 10);
	assert_int_equal(collect(b, id, RECORD_NOTE, &text), SGR_INTACT);
	assert_memory_equal(text.data, "monitor vanished", 16);
	buf_done(&text);
	stop_recorder(b);
}

static void test_malformed_item(void **state)
{
	struct bench *b = *state;
	char id[SGR_ID_TEXT];
	struct buf text;
	struct msg msg;
	int stream;

	start_and_wait(b);
	stream = open_recording(b->monitor, id, "{}");
	send_item(stream, 1, RECORD_OUT, "good", 4);
	assert_int_equal(await_ack(stream, 1), 1);
	assert_int_equal(
		send(stream, "\0\0\0\1\3\0\0\0\11x", 10, MSG_NOSIGNAL), 10);
	assert_int_equal(await_ack(stream, 2), 0);
	msg_init(&msg, MSG_NONE);
	call(b->monitor, &msg, MSG_REC_FAILED);
	msg_done(&msg);
	close(stream);
	buf_init(&text, 1000);
	assert_int_equal(collect(b, id, RECORD_OUT, &text), SGR_INTACT);
	assert_memory_equal(text.data, "good", 4);
	buf_done(&text);
	/* The recorder and the connection go on. */
	stream = open_recording(b->monitor, id, "{}");
	send_item(stream, 1, RECORD_OUT, "x", 1);
	assert_int_equal(await_ack(stream, 1), 1);
	close_recording(b->monitor, RECORDER_CLOSE_EXIT, "");
	close(stream);
	stop_recorder(b);
}

/* Much data, several messages in flight, many segments. */
static void test_volume(void **state)
{
	enum { PIECE = 60000, COUNT = 60 };
	struct bench *b = *state;
	char id[SGR_ID_TEXT], *piece = malloc(PIECE);
	struct buf text;
	int stream, i;

	assert_non_null(piece);
	start_and_wait(b);
	stream = open_recording(b->monitor, id, "{}");
	for (i = 0; i < COUNT; i++) {
		memset(piece, 'a' + i % 26, PIECE);
		send_item(stream, 1, RECORD_OUT, piece, PIECE);
	}
	assert_int_equal(await_ack(stream, COUNT), COUNT);
	close_recording(b->monitor, RECORDER_CLOSE_CLIENT, "");
	close(stream);
	buf_init(&text, PIECE * (COUNT + 1));
	assert_int_equal(collect(b, id, RECORD_OUT, &text), SGR_INTACT);
	assert_int_equal(text.len, PIECE * COUNT);
	for (i = 0; i < COUNT; i++) {
		memset(piece, 'a' + i % 26, PIECE);
		assert_memory_equal(text.data + i * PIECE, piece, PIECE);
	}
	buf_done(&text);
	free(piece);
	stop_recorder(b);
}

static void test_two_requests(void **state)
{
	struct bench *b = *state;
	char id[SGR_ID_TEXT];
	struct msg msg;
	int stream;

	start_and_wait(b);
	stream = open_recording(b->monitor, id, "{}");
	msg_init(&msg, MSG_REC_OPEN);
	buf_put_cstring(&msg.body, "conn-2");
	buf_put_cstring(&msg.body, "");
	buf_put_cstring(&msg.body, "{}");
	call(b->monitor, &msg, MSG_REC_REFUSED);
	msg_done(&msg);
	/* An event that is not one costs the connection, not the recorder. */
	msg_init(&msg, MSG_REC_EVENT);
	buf_put_cstring(&msg.body, "{\"metadata\":{\"a\":1}}\n{}");
	call(b->monitor, &msg, MSG_REC_FAILED);
	msg_done(&msg);
	close(stream);
	close(b->monitor);
	assert_int_equal(msg_connect(path_of("socket"), &b->monitor), SGB_OK);
	send_event(b->monitor, "bob", 1);
	stop_recorder(b);
}

/* What was sent while the recorder slept is all there when it wakes. */
static void hold(const struct bench *b)
{
	int status;

	assert_int_equal(kill(b->pid, SIGSTOP), 0);
	assert_int_equal(waitpid(b->pid, &status, WUNTRACED), b->pid);
	assert_true(WIFSTOPPED(status));
}

static void let_go(const struct bench *b)
{
	assert_int_equal(kill(b->pid, SIGCONT), 0);
}

/* A monitor that asks for the end and does not wait for the answer. */
static void test_gone_before_closed(void **state)
{
	struct bench *b = *state;
	char id[SGR_ID_TEXT];
	struct msg msg;
	int second, stream;

	start_and_wait(b);
	assert_int_equal(msg_connect(path_of("socket"), &second), SGB_OK);
	stream = open_recording(second, id, "{}");
	hold(b);
	msg_init(&msg, MSG_REC_CLOSE);
	buf_put_u32(&msg.body, RECORDER_CLOSE_EXIT);
	buf_put_cstring(&msg.body, "");
	assert_int_equal(msg_send(second, &msg), SGB_OK);
	msg_done(&msg);
	close(second);
	let_go(b);
	/* The end is known when the stream is closed. */
	assert_int_equal(await_ack(stream, 1), 0);
	close(stream);
	assert_int_equal(open_count(b), 0);
	stop_recorder(b);
	assert_int_equal(count_text("events", "recording-stop"), 1);
	assert_int_equal(count_text("events", "recording-fail"), 0);
	assert_int_equal(
		count_text("rec/ordings/index", "\"op\":\"close\""), 1);
}

/* A monitor that goes without its answer causes an event of its own; nobody
 * must come to have it written. */
static void test_gone_before_confirmed(void **state)
{
	struct event event = {.kind = EVENT_LOGON, .ok = true, .user = "eve"};
	struct bench *b = *state;
	char id[SGR_ID_TEXT];
	struct buf json;
	struct msg msg;
	int second, stream, turn;

	start_and_wait(b);
	assert_int_equal(msg_connect(path_of("socket"), &second), SGB_OK);
	stream = open_recording(second, id, "{}");
	buf_init(&json, 2 * EVENT_MAX_BYTES);
	assert_int_equal(event_json(&event, &json), SGB_OK);
	msg_init(&msg, MSG_REC_EVENT);
	buf_put_string(&msg.body, json.data, json.len);
	hold(b);
	assert_int_equal(msg_send(second, &msg), SGB_OK);
	close(second);
	let_go(b);
	assert_int_equal(await_ack(stream, 1), 0);
	for (turn = 0; turn < 200; turn++) {
		if (count_text("events", "recording-stop"))
			break;
		(void)poll(NULL, 0, 10); /* a file tells nobody */
	}
	assert_int_equal(count_text("events", "recording-stop"), 1);
	msg_done(&msg);
	buf_done(&json);
	close(stream);
	stop_recorder(b);
}

static void ask_open(int sock)
{
	struct msg msg;

	msg_init(&msg, MSG_REC_OPEN);
	buf_put_cstring(&msg.body, "conn-1");
	buf_put_cstring(&msg.body, "");
	buf_put_cstring(&msg.body, "{}");
	assert_int_equal(msg_send(sock, &msg), SGB_OK);
	msg_done(&msg);
}

static void ask_event(int sock)
{
	struct event event = {.kind = EVENT_LOGON, .ok = true, .user = "eve"};
	struct buf json;
	struct msg msg;

	buf_init(&json, 2 * EVENT_MAX_BYTES);
	assert_int_equal(event_json(&event, &json), SGB_OK);
	msg_init(&msg, MSG_REC_EVENT);
	buf_put_string(&msg.body, json.data, json.len);
	assert_int_equal(msg_send(sock, &msg), SGB_OK);
	msg_done(&msg);
	buf_done(&json);
}

/* Who asks at the same time shares the signature and the sync of his line. */
static void test_many_at_once(void **state)
{
	enum { COUNT = 40 };
	struct bench *b = *state;
	int socks[COUNT], i;
	char line[9000];
	struct msg msg;

	start_and_wait(b);
	for (i = 0; i < COUNT; i++) {
		assert_int_equal(
			msg_connect(path_of("socket"), &socks[i]), SGB_OK);
		msg_init(&msg, MSG_REC_STATUS);
		call(socks[i], &msg, MSG_REC_STATUS_OK);
		msg_done(&msg);
	}
	hold(b);
	for (i = 0; i < COUNT; i++)
		ask_event(socks[i]);
	let_go(b);
	for (i = 0; i < COUNT; i++) {
		msg_init(&msg, MSG_NONE);
		call(socks[i], &msg, MSG_REC_EVENT_OK);
		msg_done(&msg);
	}
	assert_number_in_range(count_text("events", "\"sig\":"), 2, 10);
	hold(b);
	for (i = 0; i < COUNT; i++)
		ask_open(socks[i]);
	let_go(b);
	for (i = 0; i < COUNT; i++) {
		msg_init(&msg, MSG_NONE);
		call(socks[i], &msg, MSG_REC_OPENED);
		msg_done(&msg);
	}
	assert_int_equal(
		count_text("rec/ordings/index", "\"op\":\"open\""), COUNT);
	assert_number_in_range(
		count_text("rec/ordings/index", "\"sig\":"), 1, COUNT - 1);
	assert_int_equal(open_count(b), COUNT);
	/* All are ended, and the chain holds. */
	stop_recorder(b);
	assert_int_equal(check_chain(b, "rec/ordings/index", JOURNAL_PLAIN,
				 line, sizeof(line)),
		2 * COUNT);
	/* start; each logon, start, stop and head; head of the index; stop */
	assert_int_equal(
		check_chain(b, "events", JOURNAL_EVENTS, line, sizeof(line)),
		4 * COUNT + 3);
	for (i = 0; i < COUNT; i++)
		close(socks[i]);
}

/* While the disk is slow nobody is told what is not on it, those who wait get
 * a sign, and sessions and events go on. */
static void test_slow_disk(void **state)
{
	struct bench *b = *state;
	struct pollfd fd = {.events = POLLIN};
	char id[SGR_ID_TEXT];
	size_t signs = 0;
	struct msg msg;
	int second, stream;

	b->slow = true;
	start_and_wait(b);
	stream = open_recording(b->monitor, id, "{}");
	close_recording(b->monitor, RECORDER_CLOSE_EXIT, "");
	close(stream);
	put_file("slow", "1700", 0644);
	assert_int_equal(msg_connect(path_of("socket"), &second), SGB_OK);
	ask_open(second);
	fd.fd = second;
	msg_init(&msg, MSG_NONE);
	/* Asked for later, answered before. */
	send_event(b->monitor, "alice", 1);
	assert_int_equal(msg_recv(second, &msg), SGB_OK);
	for (; msg.type == MSG_REC_BUSY; signs++) {
		assert_int_equal(
			count_text("rec/ordings/index", "\"open\""), 1);
		assert_int_equal(poll(&fd, 1, 10000), 1);
		assert_int_equal(msg_recv(second, &msg), SGB_OK);
	}
	assert_string_equal(msg_name(msg.type), "REC_OPENED");
	assert_number_in_range(signs, 1, 5);
	assert_int_equal(count_text("rec/ordings/index", "\"open\""), 2);
	stream = msg_take_fd(&msg, 0);
	msg_done(&msg);
	/* The end takes as long; what is said meanwhile does not. */
	msg_init(&msg, MSG_REC_CLOSE);
	buf_put_u32(&msg.body, RECORDER_CLOSE_EXIT);
	buf_put_cstring(&msg.body, "");
	assert_int_equal(msg_send(second, &msg), SGB_OK);
	send_event(b->monitor, "bob", 1);
	assert_int_equal(count_text("rec/ordings/index", "\"close\""), 1);
	assert_int_equal(
		recv(second, &signs, sizeof(signs), MSG_PEEK | MSG_DONTWAIT),
		-1);
	do {
		assert_int_equal(poll(&fd, 1, 10000), 1);
		assert_int_equal(msg_recv(second, &msg), SGB_OK);
	} while (msg.type == MSG_REC_BUSY);
	assert_string_equal(msg_name(msg.type), "REC_CLOSED");
	assert_int_equal(count_text("rec/ordings/index", "\"close\""), 2);
	msg_done(&msg);
	close(stream);
	close(second);
	assert_int_equal(unlink(path_of("slow")), 0);
	stop_recorder(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_session),
		TEST(test_killed),
		TEST(test_monitor_vanishes),
		TEST(test_malformed_item),
		TEST(test_volume),
		TEST(test_two_requests),
		TEST(test_gone_before_closed),
		TEST(test_gone_before_confirmed),
		TEST(test_many_at_once),
		TEST(test_slow_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
