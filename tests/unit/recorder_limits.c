/*
 * sgbridge-recorder at its limits: sessions that do not hear or do not end, no
 * descriptors left, and what it refuses to start on.
 */
#include "recorder_bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "range.h"

/* Clock ticks of the processor that the recorder has had. */
static unsigned long ticks(const struct bench *b)
{
	unsigned long user = 0, kernel = 0;
	char path[64], line[1000] = "";
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)b->pid);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	(void)fclose(file);
	assert_int_equal(sscanf(strrchr(line, ')') + 1,
				 " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
				 "%lu %lu",
				 &user, &kernel),
		2);
	return user + kernel;
}

static void assert_idle(const struct bench *b)
{
	unsigned long before = ticks(b);

	(void)poll(NULL, 0, 500); /* what is measured, not waited for */
	assert_true(ticks(b) - before < 15);
}

/* A session that will not hear: its bytes count, and nobody spins. */
static void test_deaf_session(void **state)
{
	struct bench *b = *state;
	char id[SGR_ID_TEXT];
	struct buf text;
	int stream;

	start_and_wait(b);
	stream = open_recording(b->monitor, id, "{}");
	assert_int_equal(shutdown(stream, SHUT_RD), 0);
	send_item(stream, 1, RECORD_OUT, "heard", 5);
	assert_int_equal(open_count(b), 1);
	assert_idle(b);
	send_item(stream, 1, RECORD_OUT, " still", 6);
	close_recording(b->monitor, RECORDER_CLOSE_EXIT, "");
	close(stream);
	buf_init(&text, 100);
	assert_int_equal(collect(b, id, RECORD_OUT, &text), SGR_INTACT);
	assert_int_equal(text.len, 11);
	buf_done(&text);
	stop_recorder(b);
}

/* A session that never stops sending does not put its end off. */
static void test_endless_session(void **state)
{
	enum { PIECE = 60000, SENDERS = 3 };
	struct bench *b = *state;
	struct pollfd fd = {.events = POLLIN};
	char id[SGR_ID_TEXT], *piece = malloc(PIECE);
	struct buf out;
	pid_t pids[SENDERS];
	int stream, status;
	size_t i;

	assert_non_null(piece);
	for (i = 0; i < PIECE; i++)
		piece[i] = (char)(rand() % 256);
	start_and_wait(b);
	stream = open_recording(b->monitor, id, "{}");
	buf_init(&out, RECORD_MESSAGE_MAX);
	put_item(&out, 1, RECORD_OUT, piece, PIECE);
	for (i = 0; i < SENDERS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i])
			continue;
		while (send(stream, out.data, out.len, MSG_NOSIGNAL) > 0)
			;
		_exit(0);
	}
	buf_done(&out);
	fd.fd = stream;
	assert_int_equal(poll(&fd, 1, 10000), 1);
	close(stream);
	close_recording(b->monitor, RECORDER_CLOSE_POLICY, "enough");
	for (i = 0; i < SENDERS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	free(piece);
	stop_recorder(b);
}

/* Items without bytes cost, too. */
static void test_empty_items(void **state)
{
	enum { ITEMS = 7000, MESSAGES = 200 };
	struct bench *b = *state;
	char id[SGR_ID_TEXT];
	struct buf out;
	int stream, i;

	buf_init(&out, RECORD_MESSAGE_MAX);
	for (i = 0; i < ITEMS; i++)
		put_item(&out, 0x7fffffff, RECORD_OUT, "", 0);
	assert_int_equal(buf_error(&out), SGB_OK);
	start_and_wait(b);
	stream = open_recording(b->monitor, id, "{}");
	for (i = 0; i < MESSAGES; i++)
		assert_int_equal(send(stream, out.data, out.len, MSG_NOSIGNAL),
			(ssize_t)out.len);
	assert_int_equal(await_ack(stream, MESSAGES), MESSAGES);
	close_recording(b->monitor, RECORDER_CLOSE_EXIT, "");
	close(stream);
	buf_done(&out);
	stop_recorder(b);
}

#define FEW 48 /* descriptors */

/* Those that count; one with a higher number was inherited. */
static size_t descriptors(const struct bench *b)
{
	struct dirent **entries;
	size_t found = 0;
	char path[64];
	int count, i;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)b->pid);
	count = scandir(path, &entries, NULL, alphasort);
	assert_true(count > 2);
	for (i = 0; i < count; i++) {
		found += entries[i]->d_name[0] != '.' &&
			 atoi(entries[i]->d_name) < FEW;
		free(entries[i]);
	}
	free(entries);
	return found;
}

/* The recorder takes what its start gives it, and more if it may: then it is
 * taken back. */
static void start_with_few(struct bench *b)
{
	struct rlimit limit = {FEW, FEW};

	b->limit = FEW;
	start_and_wait(b);
	(void)prlimit(b->pid, RLIMIT_NOFILE, &limit, NULL);
	assert_int_equal(open_count(b), 0);
}

/* Connections until no descriptor is free. */
static size_t fill(const struct bench *b, int socks[FEW])
{
	size_t count = 0;

	while (descriptors(b) < FEW) {
		struct msg msg;

		assert_int_equal(
			msg_connect(path_of("socket"), &socks[count]), SGB_OK);
		msg_init(&msg, MSG_REC_STATUS);
		call(socks[count++], &msg, MSG_REC_STATUS_OK);
		msg_done(&msg);
	}
	return count;
}

static size_t count_log(const char *text)
{
	char log[8000] = "", *at = log;
	int fd = open(path_of("log"), O_RDONLY);
	size_t found = 0;

	assert_true(read(fd, log, sizeof(log) - 1) > 0);
	close(fd);
	for (; (at = strstr(at, text)); at++)
		found++;
	return found;
}

/* Without descriptors: no spinning, one line, and on when there are some. */
static void test_no_descriptor_for_a_connection(void **state)
{
	struct bench *b = *state;
	int socks[FEW], waits;
	size_t count;
	struct msg msg;

	start_with_few(b);
	count = fill(b, socks);
	assert_true(count > 1);
	assert_int_equal(msg_connect(path_of("socket"), &waits), SGB_OK);
	assert_int_equal(open_count(b), 0);
	assert_idle(b);
	assert_int_equal(count_log("connections have to wait"), 1);
	close(socks[--count]);
	msg_init(&msg, MSG_REC_STATUS);
	call(waits, &msg, MSG_REC_STATUS_OK);
	msg_done(&msg);
	close(waits);
	while (count)
		close(socks[--count]);
	stop_recorder(b);
}

/* True if it started. */
static bool try_recording(struct bench *b)
{
	struct pollfd fd = {.fd = b->monitor, .events = POLLIN};
	struct msg msg;
	bool started;

	msg_init(&msg, MSG_REC_OPEN);
	buf_put_cstring(&msg.body, "conn-1");
	buf_put_cstring(&msg.body, "");
	buf_put_cstring(&msg.body, "{}");
	assert_int_equal(msg_send(b->monitor, &msg), SGB_OK);
	assert_int_equal(poll(&fd, 1, 10000), 1);
	assert_int_equal(msg_recv(b->monitor, &msg), SGB_OK);
	started = msg.type == MSG_REC_OPENED;
	if (!started)
		assert_int_equal(msg.type, MSG_REC_REFUSED);
	else
		close(msg_take_fd(&msg, 0));
	msg_done(&msg);
	assert_int_equal(open_count(b), started);
	if (started)
		close_recording(b->monitor, RECORDER_CLOSE_EXIT, "");
	return started;
}

/* However few there are for a recording: it starts, or leaves nothing open. */
static void test_no_descriptor_for_a_recording(void **state)
{
	struct bench *b = *state;
	size_t count, started = 0, tried = 0, opened, closed;
	int socks[FEW];

	start_with_few(b);
	for (count = fill(b, socks); tried < 8; tried++) {
		started += try_recording(b);
		assert_true(count > 0);
		close(socks[--count]);
		assert_int_equal(open_count(b), 0);
	}
	while (count)
		close(socks[--count]);
	assert_number_in_range(started, 1, tried - 1);
	opened = count_text("rec/ordings/index", "\"op\":\"open\"");
	closed = count_text("rec/ordings/index", "\"op\":\"close\"");
	assert_int_equal(opened, closed);
	assert_number_in_range(opened, started, started + 1);
	stop_recorder(b);
}

/* Each mistake: exit code, one line, nothing started. */
static void refused(struct bench *b, int status, const char *text)
{
	char log[4000] = "";
	int fd;

	(void)unlink(path_of("log"));
	start(b);
	assert_int_equal(wait_exit(b), status);
	fd = open(path_of("log"), O_RDONLY);
	assert_true(fd >= 0);
	assert_true(read(fd, log, sizeof(log) - 1) > 0);
	close(fd);
	if (!strstr(log, text))
		fail_msg("expected \"%s\" in \"%s\"", text, log);
	assert_ptr_equal(strchr(log, '\n'), log + strlen(log) - 1);
}

static void test_refuses_to_start(void **state)
{
	struct bench *b = *state;
	struct stat st;

	put_conf("no-such-setting 1\n");
	refused(b, EX_CONFIG, "conf:10");
	put_conf("");
	put_file("recipients", "# nobody\n", 0644);
	refused(b, EX_CONFIG, "recipients:1: no recipient");
	put_file("recipients", "# one\nx25519 abc erin\n", 0644);
	refused(b, EX_CONFIG, "recipients:2: expected");
	assert_int_equal(unlink(path_of("recipients")), 0);
	refused(b, EX_NOINPUT, "recipients: ");
	assert_int_equal(chmod(path_of("key"), 0644), 0);
	refused(b, EX_NOINPUT, "signing-key: ");
	put_file("key", "no key\n", 0400);
	refused(b, EX_DATAERR, "key:1: not an Ed25519");
	assert_int_equal(unlink(path_of("key")), 0);
	refused(b, EX_NOINPUT, "writer-keygen");
	assert_int_not_equal(stat(path_of("rec"), &st), 0);
	assert_int_not_equal(stat(path_of("socket"), &st), 0);
}

static void test_socket_is_busy(void **state)
{
	struct bench *b = *state;
	struct bench other = *b;

	start_and_wait(b);
	refused(&other, EX_UNAVAILABLE, "another recorder answers there");
	stop_recorder(b);
}

static void test_folder_of_another(void **state)
{
	struct bench *b = *state;

	assert_int_equal(mkdir(path_of("events"), 0700), 0);
	assert_int_equal(chmod(path_of("events"), 0777), 0);
	if (!geteuid())
		assert_int_equal(chown(path_of("events"), 65533, 65533), 0);
	refused(b, EX_NOPERM, "mode is 0777");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_deaf_session),
		TEST(test_endless_session),
		TEST(test_empty_items),
		TEST(test_no_descriptor_for_a_connection),
		TEST(test_no_descriptor_for_a_recording),
		TEST(test_refuses_to_start),
		TEST(test_socket_is_busy),
		TEST(test_folder_of_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
