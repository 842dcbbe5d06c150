/*
 * The SFTP observer, fed with packets cut into pieces of every size: what it
 * reports must not depend on how the bytes arrive.
 */
#include "sftp_script.h"

#include <stdio.h>
#include <string.h>

#include "session_sftp.h"

static void open_file(
	struct script *s, uint32_t id, const char *path, const char *handle)
{
	struct buf *buf;

	request(s, 3, id, path);
	buf_put_u32(&s->bytes[s->count - 1], 26);
	buf_put_u32(&s->bytes[s->count - 1], 0);
	buf = packet(s, false, 102);
	buf_put_u32(buf, id);
	buf_put_cstring(buf, handle);
}

static void write_file(struct script *s, uint32_t id, const char *handle,
	uint64_t offset, const void *data, size_t len)
{
	struct buf *buf = packet(s, true, 6);

	buf_put_u32(buf, id);
	buf_put_cstring(buf, handle);
	buf_put_u64(buf, offset);
	buf_put_string(buf, data, len);
	status(s, id, 0);
}

static void read_file(struct script *s, uint32_t id, const char *handle,
	uint64_t offset, const void *data, size_t len)
{
	struct buf *buf = packet(s, true, 5);

	buf_put_u32(buf, id);
	buf_put_cstring(buf, handle);
	buf_put_u64(buf, offset);
	buf_put_u32(buf, 32768);
	buf = packet(s, false, 103);
	buf_put_u32(buf, id);
	buf_put_string(buf, data, len);
}

static void note(void *arg, const struct sftp_event *event)
{
	struct script *s = arg;
	size_t used = strlen(s->reports);

	snprintf(s->reports + used, sizeof(s->reports) - used, "%s%s\n",
		event->file ? "F" : "O", event->json);
}

/* Runs the script in pieces of so many bytes; returns what was reported. */
static const char *run(struct script *s, size_t piece)
{
	struct sftp_watch *watch = sftp_watch_new(note, s);
	enum sgb_err err;
	size_t i, at;

	s->lost = false;
	s->reports[0] = 0;
	for (i = 0; i < s->count; i++)
		for (at = 0; at < s->bytes[i].len; at += piece) {
			size_t left = s->bytes[i].len - at;

			err = sftp_watch_bytes(watch, s->client[i],
				s->bytes[i].data + at,
				left < piece ? left : piece);
			if (err)
				s->lost = true;
			else
				assert_false(s->lost);
		}
	sftp_watch_end(watch);
	sftp_watch_free(watch);
	return s->reports;
}

static void check(struct script *s, const char *wanted)
{
	static const size_t pieces[] = {1, 2, 3, 5, 7, 16, 63, 1000, 100000};
	size_t i;

	seal(s);
	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		assert_string_equal(run(s, pieces[i]), wanted);
	for (i = 0; i < s->count; i++)
		buf_done(&s->bytes[i]);
}

#define ABC_SHA256 \
	"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void upload(void **state)
{
	struct script s = {.count = 0};

	(void)state;
	open_file(&s, 1, "/tmp/a", "h1");
	write_file(&s, 2, "h1", 0, "a", 1);
	write_file(&s, 3, "h1", 1, "bc", 2);
	request(&s, 4, 4, "h1");
	status(&s, 4, 0);
	check(&s, "F{\"path\":\"/tmp/a\",\"direction\":\"upload\","
		  "\"bytes\":3,\"sha256\":\"" ABC_SHA256
		  "\",\"result\":\"ok\"}\n");
}

static void download(void **state)
{
	struct script s = {.count = 0};

	(void)state;
	open_file(&s, 1, "/tmp/a", "h1");
	read_file(&s, 2, "h1", 0, "abc", 3);
	request(&s, 4, 4, "h1");
	status(&s, 4, 0);
	check(&s, "F{\"path\":\"/tmp/a\",\"direction\":\"download\","
		  "\"bytes\":3,\"sha256\":\"" ABC_SHA256
		  "\",\"result\":\"ok\"}\n");
}

static void no_hash_out_of_order(void **state)
{
	struct script s = {.count = 0};

	(void)state;
	open_file(&s, 1, "a", "h1");
	write_file(&s, 2, "h1", 2, "bc", 2);
	write_file(&s, 3, "h1", 0, "a", 1);
	request(&s, 4, 4, "h1");
	status(&s, 4, 4);
	check(&s, "F{\"path\":\"a\",\"direction\":\"upload\",\"bytes\":3,"
		  "\"result\":\"failure\"}\n");
}

static void changes(void **state)
{
	struct script s = {.count = 0};
	struct buf *buf;

	(void)state;
	request(&s, 14, 1, "/d");
	status(&s, 1, 0);
	request(&s, 18, 2, "/d/a");
	buf_put_cstring(&s.bytes[s.count - 1], "/d/b");
	status(&s, 2, 0);
	buf = packet(&s, true, 200);
	buf_put_u32(buf, 3);
	buf_put_cstring(buf, "posix-rename@openssh.com");
	buf_put_cstring(buf, "/d/b");
	buf_put_cstring(buf, "/d/c");
	status(&s, 3, 3);
	request(&s, 13, 4, "/d/c");
	status(&s, 4, 0);
	/* changes nothing: not reported */
	request(&s, 17, 5, "/d");
	status(&s, 5, 0);
	request(&s, 3, 6, "/etc/shadow");
	status(&s, 6, 3);
	check(&s, "O{\"op\":\"mkdir\",\"path\":\"/d\",\"result\":\"ok\"}\n"
		  "O{\"op\":\"rename\",\"path\":\"/d/a\",\"to\":\"/d/b\","
		  "\"result\":\"ok\"}\n"
		  "O{\"op\":\"rename\",\"path\":\"/d/b\",\"to\":\"/d/c\","
		  "\"result\":\"permission denied\"}\n"
		  "O{\"op\":\"remove\",\"path\":\"/d/c\","
		  "\"result\":\"ok\"}\n"
		  "O{\"op\":\"open\",\"path\":\"/etc/shadow\","
		  "\"result\":\"permission denied\"}\n");
}

static void hostile_names(void **state)
{
	struct script s = {.count = 0};

	(void)state;
	request(&s, 13, 1, "a\"b\\c\n\033[2J");
	status(&s, 1, 0);
	request(&s, 13, 2, "\xc3\xa9\xff");
	status(&s, 2, 0);
	request(&s, 13, 3, "caf\xc3\xa9");
	status(&s, 3, 0);
	check(&s, "O{\"op\":\"remove\","
		  "\"path\":\"a\\\"b\\\\c\\u000a\\u001b[2J\","
		  "\"result\":\"ok\"}\n"
		  "O{\"op\":\"remove\",\"path\":\"\\u00c3\\u00a9\\u00ff\","
		  "\"result\":\"ok\"}\n"
		  "O{\"op\":\"remove\",\"path\":\"caf\xc3\xa9\","
		  "\"result\":\"ok\"}\n");
}

static void cut_short(void **state)
{
	struct script s = {.count = 0};

	(void)state;
	open_file(&s, 1, "a", "h1");
	write_file(&s, 2, "h1", 0, "abc", 3);
	check(&s, "F{\"path\":\"a\",\"direction\":\"upload\",\"bytes\":3,"
		  "\"sha256\":\"" ABC_SHA256 "\",\"result\":\"not closed\"}\n");
}

static void large_packets(void **state)
{
	static uint8_t big[200 * 1024];
	struct script s = {.count = 0};
	struct buf *buf;

	(void)state;
	/* a long answer to a READDIR passes by, and the next is understood */
	buf = packet(&s, false, 104);
	buf_put(buf, big, sizeof(big));
	request(&s, 14, 1, "/d");
	status(&s, 1, 0);
	check(&s, "O{\"op\":\"mkdir\",\"path\":\"/d\",\"result\":\"ok\"}\n");
}

static void nonsense_ends_watching(void **state)
{
	struct script s = {.count = 0};

	(void)state;
	buf_init(&s.bytes[0], 100);
	buf_put(&s.bytes[0], "SSH-2.0-x\r\n", 11);
	s.client[0] = true;
	s.count = 1;
	assert_string_equal(
		run(&s, 100), "O{\"op\":\"unwatched\",\"why\":\"not SFTP\"}\n");
	assert_true(s.lost);
	buf_done(&s.bytes[0]);
}

/* sftp-server ignores what follows the fields of a request. */
static void long_requests_are_seen(void **state)
{
	static uint8_t junk[100 * 1024];
	struct script s = {.count = 0};
	struct buf *buf;

	(void)state;
	request(&s, 13, 1, "/gone");
	buf_put(&s.bytes[0], junk, sizeof(junk));
	status(&s, 1, 0);
	request(&s, 3, 2, "/tmp/a");
	buf_put_u32(&s.bytes[2], 26);
	buf_put_u32(&s.bytes[2], 0);
	buf_put(&s.bytes[2], junk, sizeof(junk));
	buf = packet(&s, false, 102);
	buf_put_u32(buf, 2);
	buf_put_cstring(buf, "h1");
	write_file(&s, 3, "h1", 0, "abc", 3);
	request(&s, 4, 4, "h1");
	buf_put(&s.bytes[s.count - 1], junk, sizeof(junk));
	status(&s, 4, 0);
	check(&s, "O{\"op\":\"remove\",\"path\":\"/gone\","
		  "\"result\":\"ok\"}\n"
		  "F{\"path\":\"/tmp/a\",\"direction\":\"upload\","
		  "\"bytes\":3,\"sha256\":\"" ABC_SHA256
		  "\",\"result\":\"ok\"}\n");
	assert_false(s.lost);
}

static void loses(struct script *s, const char *why)
{
	char wanted[200];

	snprintf(wanted, sizeof(wanted),
		"O{\"op\":\"unwatched\",\"why\":\"%s\"}\n", why);
	check(s, wanted);
	assert_true(s->lost);
}

/* What cannot be read whole must not be done unseen. */
static void unreadable_ends_watching(void **state)
{
	static char path[100 * 1024];
	struct script s = {.count = 0};
	struct buf *buf;

	(void)state;
	/* an extension whose name is not all there */
	buf = packet(&s, true, 200);
	buf_put_u32(buf, 1);
	buf_put_u32(buf, 1000);
	loses(&s, "a request that cannot be read");
	/* a path that does not end within what is looked into */
	memset(path, 'a', sizeof(path) - 1);
	s.count = 0;
	request(&s, 17, 1, "/");
	buf = packet(&s, true, 4);
	buf_put_u32(buf, 2);
	buf_put_cstring(buf, path);
	loses(&s, "a request that cannot be read");
}

/* sftp-server's handles are easy to guess: written to before they are known,
 * a file would go unwatched. */
static void guessed_handles_end_watching(void **state)
{
	struct script s = {.count = 0};

	(void)state;
	request(&s, 5, 1, "h1");
	buf_put_u64(&s.bytes[0], 0);
	buf_put_u32(&s.bytes[0], 100);
	loses(&s, "a handle that was not given");
	s.count = 0;
	write_file(&s, 1, "h1", 0, "abc", 3);
	loses(&s, "a handle that was not given");
}

static void too_many_requests_end_watching(void **state)
{
	struct script s = {.count = 1};
	struct buf *buf = &s.bytes[0];
	const char *said;
	uint32_t i;

	(void)state;
	s.client[0] = true;
	buf_init(buf, 1 << 20);
	for (i = 0; i < 66000; i++) {
		buf_put_u32(buf, 1 + 4 + 4 + 1);
		buf_put_u8(buf, 13);
		buf_put_u32(buf, i);
		buf_put_cstring(buf, "f");
	}
	said = run(&s, 1000);
	assert_true(s.lost);
	assert_non_null(strstr(said, "\"result\":\"no answer\""));
	buf_done(buf);
}

/* The refusal of a STAT for that of an OPEN, and the file goes unwatched. */
static void shared_numbers_end_watching(void **state)
{
	struct script s = {.count = 0};

	(void)state;
	request(&s, 17, 7, "/none");
	request(&s, 3, 7, "/tmp/a");
	loses(&s, "two requests with one number");
	s.count = 0;
	request(&s, 17, 7, "/none");
	status(&s, 7, 2);
	request(&s, 17, 7, "/again");
	status(&s, 7, 2);
	check(&s, "");
	assert_false(s.lost);
}

static void unanswered(void **state)
{
	struct script s = {.count = 0};

	(void)state;
	request(&s, 13, 1, "/gone");
	request(&s, 3, 2, "/tmp/a");
	check(&s, "O{\"op\":\"remove\",\"path\":\"/gone\","
		  "\"result\":\"no answer\"}\n"
		  "O{\"op\":\"open\",\"path\":\"/tmp/a\","
		  "\"result\":\"no answer\"}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(upload),
		cmocka_unit_test(download),
		cmocka_unit_test(no_hash_out_of_order),
		cmocka_unit_test(changes),
		cmocka_unit_test(hostile_names),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(large_packets),
		cmocka_unit_test(nonsense_ends_watching),
		cmocka_unit_test(long_requests_are_seen),
		cmocka_unit_test(unreadable_ends_watching),
		cmocka_unit_test(guessed_handles_end_watching),
		cmocka_unit_test(too_many_requests_end_watching),
		cmocka_unit_test(shared_numbers_end_watching),
		cmocka_unit_test(unanswered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
