/* The bench of the tests of sgbridge-recorder: recorder_bench.h. */
#include "recorder_bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../audit/evidence.h"
#include "core/event.h"
#include "core/file.h"

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
	put_file("recipients", line, 0644);
	buf_init(&pem, 4096);
	assert_int_equal(suite_key_to_pem(b->writer, &pem), SGB_OK);
	buf_put_u8(&pem, 0);
	put_file("key", (const char *)pem.data, 0400);
	buf_done(&pem);
}

void put_conf(const char *more)
{
	char text[2000];

	(void)snprintf(text, sizeof(text),
		"recorder-user 65533:65533\nrecorder-socket %s/socket\n"
		"recordings %s/rec/ordings\nevents %s/events\n"
		"recipients %s/recipients\nsigning-key %s/key\n"
		"writer-name bastion-1\ndisk-reserve 1M\naudit off\n%s",
		folder, folder, folder, folder, folder, more);
	put_file("conf", text, 0644);
}

static void slow_down(const struct bench *b)
{
	if (!b->slow)
		return;
	(void)setenv("SLOW_FSYNC", path_of("slow"), 1);
	(void)setenv("LD_PRELOAD", built("tests/fault/slow_sync.so"), 1);
	/* A sanitizer wants to be the first library. */
	(void)setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
}

void start(struct bench *b)
{
	b->pid = fork();
	assert_true(b->pid >= 0);
	if (!b->pid) {
		int fd = open(
			path_of("log"), O_WRONLY | O_CREAT | O_APPEND, 0600);

		struct rlimit limit = {b->limit, b->limit};

		(void)dup2(fd, 2);
		if (b->limit)
			(void)setrlimit(RLIMIT_NOFILE, &limit);
		(void)setenv("NOTIFY_SOCKET", b->notify, 1);
		slow_down(b);
		(void)execl(built("sgbridge-recorder"), "sgbridge-recorder",
			"-e", "-c", path_of("conf"), (char *)NULL);
		_exit(127);
	}
}

void start_and_wait(struct bench *b)
{
	struct pollfd fd = {.fd = b->notify_fd, .events = POLLIN};
	char text[64] = "";

	start(b);
	assert_int_equal(poll(&fd, 1, 10000), 1);
	assert_true(recv(b->notify_fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "READY=1");
	assert_int_equal(msg_connect(path_of("socket"), &b->monitor), SGB_OK);
}

int wait_exit(struct bench *b)
{
	int status;

	assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
	b->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void stop_recorder(struct bench *b)
{
	char text[64];

	assert_int_equal(kill(b->pid, SIGTERM), 0);
	assert_int_equal(wait_exit(b), 0);
	while (recv(b->notify_fd, text, sizeof(text), MSG_DONTWAIT) > 0)
		;
	close(b->monitor);
	b->monitor = -1;
}

int make_bench(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	*state = b;
	b->monitor = -1;
	if (!b || files_make(NULL))
		return -1;
	(void)snprintf(b->notify, sizeof(b->notify), "%s/notify", folder);
	strcpy(un.sun_path, b->notify);
	b->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(b->notify_fd, (struct sockaddr *)&un, sizeof(un)))
		return -1;
	/* The recorder has its own user when it says so. */
	(void)chmod(b->notify, 0666);
	(void)chmod(folder, 0711);
	put_keys(b);
	put_conf("");
	return 0;
}

int remove_bench(void **state)
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
	free(b);
	return files_remove(state);
}

void call(int sock, struct msg *msg, enum msg_type expect)
{
	struct pollfd fd = {.fd = sock, .events = POLLIN};

	if (msg->type != MSG_NONE)
		assert_int_equal(msg_send(sock, msg), SGB_OK);
	assert_int_equal(poll(&fd, 1, 10000), 1);
	assert_int_equal(msg_recv(sock, msg), SGB_OK);
	assert_string_equal(msg_name(msg->type), msg_name(expect));
}

int open_recording(int sock, char id[SGR_ID_TEXT], const char *meta)
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

void put_item(struct buf *out, uint32_t channel, enum record_kind kind,
	const void *data, size_t len)
{
	buf_put_u32(out, channel);
	buf_put_u8(out, (uint8_t)kind);
	buf_put_string(out, data, len);
}

void send_item(int stream, uint32_t channel, enum record_kind kind,
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

uint64_t await_ack(int stream, uint64_t n)
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

void close_recording(int sock, uint32_t reason, const char *text)
{
	struct msg msg;

	msg_init(&msg, MSG_REC_CLOSE);
	buf_put_u32(&msg.body, reason);
	buf_put_cstring(&msg.body, text);
	call(sock, &msg, MSG_REC_CLOSED);
	msg_done(&msg);
}

static int open_file(const char *id)
{
	char path[SGR_PATH_MAX], name[128];
	uint8_t bytes[SGR_ID_LEN];
	int fd;

	assert_int_equal(sgr_id_parse(id, bytes), SGB_OK);
	sgr_path(bytes, path);
	(void)snprintf(name, sizeof(name), "rec/ordings/%s", path);
	fd = open(path_of(name), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

enum sgr_verdict collect(const struct bench *b, const char *id,
	enum record_kind kind, struct buf *out)
{
	struct identity *keys[1] = {b->identity};
	struct evidence *evidence;
	struct sgr_item item;
	enum sgr_verdict verdict;
	int fd = open_file(id);

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

void send_event(int sock, const char *user, uint64_t expect_after)
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

uint64_t check_chain(const struct bench *b, const char *where,
	enum journal_form form, char *last, size_t last_len)
{
	uint8_t hash[SUITE_HASH_LEN] = {0};
	struct dirent **entries;
	uint64_t seq = 0;
	int count, i;

	count = scandir(path_of(where), &entries, NULL, alphasort);
	assert_true(count > 0);
	for (i = 0; i < count; i++) {
		char name[400], *line = NULL;
		size_t cap = 0;
		ssize_t got;
		FILE *file;

		(void)snprintf(
			name, sizeof(name), "%s/%s", where, entries[i]->d_name);
		if (journal_is_file(entries[i]->d_name)) {
			file = fopen(path_of(name), "r");
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

uint64_t open_count(struct bench *b)
{
	uint64_t count;
	struct msg msg;

	msg_init(&msg, MSG_REC_STATUS);
	call(b->monitor, &msg, MSG_REC_STATUS_OK);
	count = reader_u64(&msg.reader);
	msg_done(&msg);
	return count;
}

size_t count_text(const char *where, const char *text)
{
	struct dirent **entries;
	size_t found = 0;
	int count = scandir(path_of(where), &entries, NULL, alphasort);
	int i;

	assert_true(count >= 0);
	for (i = 0; i < count; i++) {
		char name[400], *line = NULL, *at;
		size_t cap = 0;
		FILE *file;

		(void)snprintf(
			name, sizeof(name), "%s/%s", where, entries[i]->d_name);
		file = fopen(path_of(name), "r");
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
