/*
 * sgbridge-recorder as a whole: started on a private configuration, with this
 * program as monitor and session. Needs no root; as root the recorder drops to
 * a numeric user.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/event.h"
#include "core/file.h"
#include "core/msg.h"
#include "core/record.h"

#include "../../audit/evidence.h"
#include "../../audit/identity.h"
#include "../../audit/journal.h"

#include "range.h"

struct bench {
	char dir[64];
	char notify[128];
	int notify_fd;
	pid_t pid;
	int monitor;
	struct suite_key *reader, *writer;
	struct identity *identity; /* owns reader */
	rlim_t limit;		   /* of descriptors; 0: as they are */
	bool slow; /* its fsync takes what the file "slow" says */
};

static const char *below(const struct bench *b, const char *name)
{
	static char path[4][PATH_MAX];
	static int turn;

	turn = (turn + 1) % 4;
	(void)snprintf(path[turn], PATH_MAX, "%s/%s", b->dir, name);
	return path[turn];
}

static void put_file(
	const struct bench *b, const char *name, const char *text, mode_t mode)
{
	const char *path = below(b, name);
	int fd;

	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, mode);
	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, text, strlen(text)), SGB_OK);
	close(fd);
}

static void put_keys(struct bench *b)
{
	char text[48], line[100];
	struct buf pem;

	assert_int_equal(
		suite_key_generate(SUITE_KEY_X25519, &b->reader), SGB_OK);
	assert_int_equal(
		suite_key_generate(SUITE_KEY_ED25519, &b->writer), SGB_OK);
	assert_int_equal(identity_from_key(b->reader, &b->identity), SGB_OK);
	suite_base64(suite_key_public(b->reader), 32, text);
	(void)snprintf(
		line, sizeof(line), "# auditors\nx25519 %s erin\n", text);
	put_file(b, "recipients", line, 0644);
	buf_init(&pem, 4096);
	assert_int_equal(suite_key_to_pem(b->writer, &pem), SGB_OK);
	buf_put_u8(&pem, 0);
	put_file(b, "key", (const char *)pem.data, 0400);
	buf_done(&pem);
}

static void put_conf(const struct bench *b, const char *more)
{
	char text[2000];

	(void)snprintf(text, sizeof(text),
		"recorder-user 65533:65533\nrecorder-socket %s/socket\n"
		"recordings %s/rec/ordings\nevents %s/events\n"
		"recipients %s/recipients\nsigning-key %s/key\n"
		"writer-name bastion-1\ndisk-reserve 1M\naudit off\n%s",
		b->dir, b->dir, b->dir, b->dir, b->dir, more);
	put_file(b, "conf", text, 0644);
}

static const char *built(const char *name)
{
	static char path[PATH_MAX + 40];
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int up;

	assert_true(len > 0);
	self[len] = '\0';
	for (up = 0; up < 3; up++)
		*strrchr(self, '/') = '\0';
	(void)snprintf(path, sizeof(path), "%s/%s", self, name);
	return path;
}

static void slow_down(const struct bench *b)
{
	if (!b->slow)
		return;
	(void)setenv("SLOW_FSYNC", below(b, "slow"), 1);
	(void)setenv("LD_PRELOAD", built("tests/fault/slow_sync.so"), 1);
	/* A sanitizer wants to be the first library. */
	(void)setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
}

/* stderr of the recorder goes to this file. */
static void start(struct bench *b)
{
	b->pid = fork();
	assert_true(b->pid >= 0);
	if (!b->pid) {
		int fd = open(
			below(b, "log"), O_WRONLY | O_CREAT | O_APPEND, 0600);

		struct rlimit limit = {b->limit, b->limit};

		(void)dup2(fd, 2);
		if (b->limit)
			(void)setrlimit(RLIMIT_NOFILE, &limit);
		(void)setenv("NOTIFY_SOCKET", b->notify, 1);
		slow_down(b);
		(void)execl(built("sgbridge-recorder"), "sgbridge-recorder",
			"-e", "-c", below(b, "conf"), (char *)NULL);
		_exit(127);
	}
}

static void start_and_wait(struct bench *b)
{
	struct pollfd fd = {.fd = b->notify_fd, .events = POLLIN};
	char text[64] = "";

	start(b);
	assert_int_equal(poll(&fd, 1, 10000), 1);
	assert_true(recv(b->notify_fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "READY=1");
	assert_int_equal(msg_connect(below(b, "socket"), &b->monitor), SGB_OK);
}

static int wait_exit(struct bench *b)
{
	int status;

	assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
	b->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void stop_recorder(struct bench *b)
{
	char text[64];

	assert_int_equal(kill(b->pid, SIGTERM), 0);
	assert_int_equal(wait_exit(b), 0);
	while (recv(b->notify_fd, text, sizeof(text), MSG_DONTWAIT) > 0)
		;
	close(b->monitor);
	b->monitor = -1;
}

static int make_bench(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	*state = b;
	b->monitor = -1;
	strcpy(b->dir, "/tmp/sgb-recorder-XXXXXX");
	if (!b || !mkdtemp(b->dir))
		return -1;
	(void)snprintf(b->notify, sizeof(b->notify), "%s/notify", b->dir);
	strcpy(un.sun_path, b->notify);
	b->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(b->notify_fd, (struct sockaddr *)&un, sizeof(un)))
		return -1;
	/* The recorder has its own user when it says so. */
	(void)chmod(b->notify, 0666);
	(void)chmod(b->dir, 0711);
	put_keys(b);
	put_conf(b, "");
	return 0;
}

static int remove_one(
	const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int remove_bench(void **state)
{
	struct bench *b = *state;

	if (b->pid) {
		(void)kill(b->pid, SIGKILL);
		(void)waitpid(b->pid, NULL, 0);
	}
	if (b->monitor >= 0)
		close(b->monitor);
	close(b->notify_fd);
	identity_free(b->identity);
	suite_key_free(b->writer);
	(void)nftw(b->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(b);
	return 0;
}

/* Sends a request and receives its answer into *msg. */
static void call(int sock, struct msg *msg, enum msg_type expect)
{
	struct pollfd fd = {.fd = sock, .events = POLLIN};

	if (msg->type != MSG_NONE)
		assert_int_equal(msg_send(sock, msg), SGB_OK);
	assert_int_equal(poll(&fd, 1, 10000), 1);
	assert_int_equal(msg_recv(sock, msg), SGB_OK);
	assert_string_equal(msg_name(msg->type), msg_name(expect));
}

static int open_recording(int sock, char id[SGR_ID_TEXT], const char *meta)
{
	struct msg msg;
	char *text;
	int stream;

	msg_init(&msg, MSG_REC_OPEN);
	buf_put_cstring(&msg.body, "conn-1");
	buf_put_cstring(&msg.body, "standard");
	buf_put_cstring(&msg.body, meta);
	call(sock, &msg, MSG_REC_OPENED);
	text = reader_cstring(&msg.reader, SGR_ID_TEXT - 1);
	assert_non_null(text);
	strcpy(id, text);
	free(text);
	stream = msg_take_fd(&msg, 0);
	assert_true(stream >= 0);
	msg_done(&msg);
	return stream;
}

static void put_item(struct buf *out, uint32_t channel, enum record_kind kind,
	const void *data, size_t len)
{
	buf_put_u32(out, channel);
	buf_put_u8(out, (uint8_t)kind);
	buf_put_string(out, data, len);
}

static void send_item(int stream, uint32_t channel, enum record_kind kind,
	const void *data, size_t len)
{
	struct buf out;

	buf_init(&out, RECORD_MESSAGE_MAX);
	put_item(&out, channel, kind, data, len);
	assert_int_equal(buf_error(&out), SGB_OK);
	assert_int_equal(send(stream, out.data, out.len, MSG_NOSIGNAL),
		(ssize_t)out.len);
	buf_done(&out);
}

/* Waits until the n-th message is acknowledged; 0 if the stream closed. */
static uint64_t await_ack(int stream, uint64_t n)
{
	uint64_t acked = 0;

	while (acked < n) {
		struct pollfd fd = {.fd = stream, .events = POLLIN};
		uint8_t bytes[16];
		struct reader rd;
		ssize_t got;

		assert_int_equal(poll(&fd, 1, 10000), 1);
		got = recv(stream, bytes, sizeof(bytes), 0);
		if (got <= 0)
			return 0;
		assert_int_equal(got, 8);
		reader_init(&rd, bytes, 8);
		acked = reader_u64(&rd);
		assert_true(acked <= n);
	}
	return acked;
}

static void close_recording(int sock, uint32_t reason, const char *text)
{
	struct msg msg;

	msg_init(&msg, MSG_REC_CLOSE);
	buf_put_u32(&msg.body, reason);
	buf_put_cstring(&msg.body, text);
	call(sock, &msg, MSG_REC_CLOSED);
	msg_done(&msg);
}

static int open_file(const struct bench *b, const char *id)
{
	char path[SGR_PATH_MAX], name[128];
	uint8_t bytes[SGR_ID_LEN];
	int fd;

	assert_int_equal(sgr_id_parse(id, bytes), SGB_OK);
	sgr_path(bytes, path);
	(void)snprintf(name, sizeof(name), "rec/ordings/%s", path);
	fd = open(below(b, name), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* All bytes of a kind, and the verdict. */
static enum sgr_verdict collect(const struct bench *b, const char *id,
	enum record_kind kind, struct buf *out)
{
	struct identity *keys[1] = {b->identity};
	struct evidence *evidence;
	struct sgr_item item;
	enum sgr_verdict verdict;
	int fd = open_file(b, id);

	buf_reset(out);
	assert_int_equal(evidence_open(fd, keys, 1, &evidence), SGB_OK);
	while (!evidence_next(evidence, &item))
		if (item.kind == kind)
			buf_put(out, item.data, item.len);
	assert_int_equal(buf_error(out), SGB_OK);
	verdict = evidence_scan(evidence)->verdict;
	evidence_free(evidence);
	close(fd);
	return verdict;
}

static void send_event(int sock, const char *user, uint64_t expect_after)
{
	struct event event = {.kind = EVENT_LOGON, .ok = true, .user = user};
	struct buf json;
	struct msg msg;

	buf_init(&json, 2 * EVENT_MAX_BYTES);
	assert_int_equal(event_json(&event, &json), SGB_OK);
	msg_init(&msg, MSG_REC_EVENT);
	buf_put_string(&msg.body, json.data, json.len);
	call(sock, &msg, MSG_REC_EVENT_OK);
	assert_true(reader_u64(&msg.reader) > expect_after);
	assert_int_equal(reader_end(&msg.reader), SGB_OK);
	msg_done(&msg);
	buf_done(&json);
}

/* Lines of all journals of a folder, the chain checked. */
static uint64_t check_chain(const struct bench *b, const char *folder,
	enum journal_form form, char *last, size_t last_len)
{
	uint8_t hash[SUITE_HASH_LEN] = {0};
	struct dirent **entries;
	uint64_t seq = 0;
	int count, i;

	count = scandir(below(b, folder), &entries, NULL, alphasort);
	assert_true(count > 0);
	for (i = 0; i < count; i++) {
		char name[400], *line = NULL;
		size_t cap = 0;
		ssize_t got;
		FILE *file;

		(void)snprintf(name, sizeof(name), "%s/%s", folder,
			entries[i]->d_name);
		if (journal_is_file(entries[i]->d_name)) {
			file = fopen(below(b, name), "r");
			assert_non_null(file);
			while ((got = getline(&line, &cap, file)) > 0) {
				struct journal_line parsed;

				assert_int_equal(line[got - 1], '\n');
				line[got - 1] = '\0';
				assert_int_equal(
					journal_parse(form, line,
						(size_t)got - 1, &parsed),
					SGB_OK);
				assert_int_equal(parsed.seq, ++seq);
				assert_memory_equal(
					parsed.prev, hash, SUITE_HASH_LEN);
				memcpy(hash, parsed.hash, SUITE_HASH_LEN);
				if (parsed.has_sig)
					assert_int_equal(
						journal_check_sig(line, &parsed,
							suite_key_public(
								b->writer)),
						SGB_OK);
				(void)snprintf(last, last_len, "%s", line);
			}
			free(line);
			(void)fclose(file);
		}
		free(entries[i]);
	}
	free(entries);
	return seq;
}

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
	assert_int_equal(msg_connect(below(b, "socket"), &second), SGB_OK);
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
	assert_int_equal(msg_connect(below(b, "socket"), &b->monitor), SGB_OK);
	send_event(b->monitor, "bob", 1);
	stop_recorder(b);
}

static uint64_t open_count(struct bench *b)
{
	uint64_t count;
	struct msg msg;

	msg_init(&msg, MSG_REC_STATUS);
	call(b->monitor, &msg, MSG_REC_STATUS_OK);
	count = reader_u64(&msg.reader);
	msg_done(&msg);
	return count;
}

/* How often text is in the files of a folder. */
static size_t count_text(
	const struct bench *b, const char *folder, const char *text)
{
	struct dirent **entries;
	size_t found = 0;
	int count = scandir(below(b, folder), &entries, NULL, alphasort);
	int i;

	assert_true(count >= 0);
	for (i = 0; i < count; i++) {
		char name[400], *line = NULL, *at;
		size_t cap = 0;
		FILE *file;

		(void)snprintf(name, sizeof(name), "%s/%s", folder,
			entries[i]->d_name);
		file = fopen(below(b, name), "r");
		while (file && entries[i]->d_name[0] != '.' &&
			getline(&line, &cap, file) > 0)
			for (at = line; (at = strstr(at, text)); at++)
				found++;
		if (file)
			(void)fclose(file);
		free(line);
		free(entries[i]);
	}
	free(entries);
	return found;
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
	assert_int_equal(msg_connect(below(b, "socket"), &second), SGB_OK);
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
	assert_int_equal(count_text(b, "events", "recording-stop"), 1);
	assert_int_equal(count_text(b, "events", "recording-fail"), 0);
	assert_int_equal(
		count_text(b, "rec/ordings/index", "\"op\":\"close\""), 1);
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
	assert_int_equal(msg_connect(below(b, "socket"), &second), SGB_OK);
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
		if (count_text(b, "events", "recording-stop"))
			break;
		(void)poll(NULL, 0, 10); /* a file tells nobody */
	}
	assert_int_equal(count_text(b, "events", "recording-stop"), 1);
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
			msg_connect(below(b, "socket"), &socks[i]), SGB_OK);
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
	assert_number_in_range(count_text(b, "events", "\"sig\":"), 2, 10);
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
		count_text(b, "rec/ordings/index", "\"op\":\"open\""), COUNT);
	assert_number_in_range(
		count_text(b, "rec/ordings/index", "\"sig\":"), 1, COUNT - 1);
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
	put_file(b, "slow", "1700", 0644);
	assert_int_equal(msg_connect(below(b, "socket"), &second), SGB_OK);
	ask_open(second);
	fd.fd = second;
	msg_init(&msg, MSG_NONE);
	/* Asked for later, answered before. */
	send_event(b->monitor, "alice", 1);
	assert_int_equal(msg_recv(second, &msg), SGB_OK);
	for (; msg.type == MSG_REC_BUSY; signs++) {
		assert_int_equal(
			count_text(b, "rec/ordings/index", "\"open\""), 1);
		assert_int_equal(poll(&fd, 1, 10000), 1);
		assert_int_equal(msg_recv(second, &msg), SGB_OK);
	}
	assert_string_equal(msg_name(msg.type), "REC_OPENED");
	assert_number_in_range(signs, 1, 5);
	assert_int_equal(count_text(b, "rec/ordings/index", "\"open\""), 2);
	stream = msg_take_fd(&msg, 0);
	msg_done(&msg);
	/* The end takes as long; what is said meanwhile does not. */
	msg_init(&msg, MSG_REC_CLOSE);
	buf_put_u32(&msg.body, RECORDER_CLOSE_EXIT);
	buf_put_cstring(&msg.body, "");
	assert_int_equal(msg_send(second, &msg), SGB_OK);
	send_event(b->monitor, "bob", 1);
	assert_int_equal(count_text(b, "rec/ordings/index", "\"close\""), 1);
	assert_int_equal(
		recv(second, &signs, sizeof(signs), MSG_PEEK | MSG_DONTWAIT),
		-1);
	do {
		assert_int_equal(poll(&fd, 1, 10000), 1);
		assert_int_equal(msg_recv(second, &msg), SGB_OK);
	} while (msg.type == MSG_REC_BUSY);
	assert_string_equal(msg_name(msg.type), "REC_CLOSED");
	assert_int_equal(count_text(b, "rec/ordings/index", "\"close\""), 2);
	msg_done(&msg);
	close(stream);
	close(second);
	assert_int_equal(unlink(below(b, "slow")), 0);
	stop_recorder(b);
}

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
			msg_connect(below(b, "socket"), &socks[count]), SGB_OK);
		msg_init(&msg, MSG_REC_STATUS);
		call(socks[count++], &msg, MSG_REC_STATUS_OK);
		msg_done(&msg);
	}
	return count;
}

static size_t count_log(const struct bench *b, const char *text)
{
	char log[8000] = "", *at = log;
	int fd = open(below(b, "log"), O_RDONLY);
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
	assert_int_equal(msg_connect(below(b, "socket"), &waits), SGB_OK);
	assert_int_equal(open_count(b), 0);
	assert_idle(b);
	assert_int_equal(count_log(b, "connections have to wait"), 1);
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
	opened = count_text(b, "rec/ordings/index", "\"op\":\"open\"");
	closed = count_text(b, "rec/ordings/index", "\"op\":\"close\"");
	assert_int_equal(opened, closed);
	assert_number_in_range(opened, started, started + 1);
	stop_recorder(b);
}

/* Each mistake: exit code, one line, nothing started. */
static void refused(struct bench *b, int status, const char *text)
{
	char log[4000] = "";
	int fd;

	(void)unlink(below(b, "log"));
	start(b);
	assert_int_equal(wait_exit(b), status);
	fd = open(below(b, "log"), O_RDONLY);
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

	put_conf(b, "no-such-setting 1\n");
	refused(b, EX_CONFIG, "conf:10");
	put_conf(b, "");
	put_file(b, "recipients", "# nobody\n", 0644);
	refused(b, EX_CONFIG, "recipients:1: no recipient");
	put_file(b, "recipients", "# one\nx25519 abc erin\n", 0644);
	refused(b, EX_CONFIG, "recipients:2: expected");
	assert_int_equal(unlink(below(b, "recipients")), 0);
	refused(b, EX_NOINPUT, "recipients: ");
	assert_int_equal(chmod(below(b, "key"), 0644), 0);
	refused(b, EX_NOINPUT, "signing-key: ");
	put_file(b, "key", "no key\n", 0400);
	refused(b, EX_DATAERR, "key:1: not an Ed25519");
	assert_int_equal(unlink(below(b, "key")), 0);
	refused(b, EX_NOINPUT, "writer-keygen");
	assert_int_not_equal(stat(below(b, "rec"), &st), 0);
	assert_int_not_equal(stat(below(b, "socket"), &st), 0);
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

	assert_int_equal(mkdir(below(b, "events"), 0700), 0);
	assert_int_equal(chmod(below(b, "events"), 0777), 0);
	if (!geteuid())
		assert_int_equal(chown(below(b, "events"), 65533, 65533), 0);
	refused(b, EX_NOPERM, "mode is 0777");
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, make_bench, remove_bench)

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
