/*
 * The SFTP filter: what a rule does not permit reaches no server and is
 * answered here, between the server's own packets.
 */
#include "sftp_script.h"

#include <stdio.h>
#include <string.h>

#include "session_sftp_filter.h"

struct filtered {
	char refused[1024];
	struct buf server, client; /* what arrives there */
};

static void held_back(void *arg, const char *text)
{
	struct filtered *got = arg;
	size_t used = strlen(got->refused);

	snprintf(got->refused + used, sizeof(got->refused) - used, "%s;", text);
}

/* Both directions of a script through the filter, in pieces. */
static void filter_run(struct script *s, bool may_read, bool may_write,
	size_t piece, struct filtered *got)
{
	struct sftp_filter *filter = sftp_filter_new(
		may_read, may_write, held_back, got);
	size_t i, at;

	got->refused[0] = 0;
	buf_init(&got->server, 1 << 20);
	buf_init(&got->client, 1 << 20);
	for (i = 0; i < s->count; i++)
		for (at = 0; at < s->bytes[i].len; at += piece) {
			size_t len = s->bytes[i].len - at;
			const uint8_t *data = s->bytes[i].data + at;

			len = len < piece ? len : piece;
			if (s->client[i]) {
				assert_int_equal(
					sftp_filter_client(filter, data, len,
						&got->server),
					SGB_OK);
				len = 0;
			}
			assert_int_equal(sftp_filter_server(filter, data, len,
						 &got->client),
				SGB_OK);
		}
	sftp_filter_free(filter);
}

/* How many answers "permission denied" with this id are among the bytes. */
static int denied(const struct buf *bytes, uint32_t wanted)
{
	struct reader rd;
	int count = 0;

	reader_init(&rd, bytes->data, bytes->len);
	while (rd.left) {
		uint32_t len = reader_u32(&rd);
		const uint8_t *packet = reader_bytes(&rd, len);
		struct reader in;

		assert_non_null(packet);
		reader_init(&in, packet, len);
		if (reader_u8(&in) == 101 && reader_u32(&in) == wanted &&
			reader_u32(&in) == 3)
			count++;
	}
	assert_int_equal(rd.err, SGB_OK);
	return count;
}

static void may_only_read(void **state)
{
	static const size_t pieces[] = {1, 2, 3, 7, 100, 100000};
	struct script s = {.count = 0};
	struct filtered got;
	size_t i;

	(void)state;
	request(&s, 3, 1, "/up");
	buf_put_u32(&s.bytes[0], 26); /* WRITE, CREAT, TRUNC */
	buf_put_u32(&s.bytes[0], 0);
	request(&s, 3, 2, "/down");
	buf_put_u32(&s.bytes[1], 1); /* READ */
	buf_put_u32(&s.bytes[1], 0);
	request(&s, 13, 3, "/gone");
	request(&s, 17, 4, "/stat");
	request(&s, 99, 5, "/new");
	status(&s, 2, 0);
	seal(&s);
	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		filter_run(&s, true, false, pieces[i], &got);
		assert_string_equal(
			got.refused, "sftp open /up;sftp remove;sftp unknown;");
		/* exactly the two that are permitted, unchanged */
		assert_int_equal(
			got.server.len, s.bytes[1].len + s.bytes[3].len);
		assert_memory_equal(
			got.server.data, s.bytes[1].data, s.bytes[1].len);
		assert_int_equal(denied(&got.client, 1), 1);
		assert_int_equal(denied(&got.client, 2), 0);
		assert_int_equal(denied(&got.client, 3), 1);
		assert_int_equal(denied(&got.client, 4), 0);
		assert_int_equal(denied(&got.client, 5), 1);
		buf_done(&got.server);
		buf_done(&got.client);
	}
	for (i = 0; i < s.count; i++)
		buf_done(&s.bytes[i]);
}

static void may_only_write(void **state)
{
	struct script s = {.count = 0};
	struct filtered got;
	size_t i;

	(void)state;
	request(&s, 3, 1, "/up");
	buf_put_u32(&s.bytes[0], 26);
	buf_put_u32(&s.bytes[0], 0);
	request(&s, 3, 2, "/down");
	buf_put_u32(&s.bytes[1], 1);
	buf_put_u32(&s.bytes[1], 0);
	request(&s, 3, 3, "/both");
	buf_put_u32(&s.bytes[2], 3);
	buf_put_u32(&s.bytes[2], 0);
	request(&s, 5, 4, "h");
	request(&s, 13, 5, "/gone");
	seal(&s);
	filter_run(&s, false, true, 100, &got);
	assert_string_equal(
		got.refused, "sftp open /down;sftp open /both;sftp read;");
	assert_int_equal(got.server.len, s.bytes[0].len + s.bytes[4].len);
	for (i = 0; i < s.count; i++)
		buf_done(&s.bytes[i]);
	buf_done(&got.server);
	buf_done(&got.client);
}

static void answers_wait_for_a_gap(void **state)
{
	struct script s = {.count = 0};
	struct sftp_filter *filter;
	struct filtered got;
	struct buf out;

	(void)state;
	status(&s, 9, 0);
	request(&s, 13, 3, "/gone");
	seal(&s);
	filter = sftp_filter_new(true, false, held_back, &got);
	got.refused[0] = 0;
	buf_init(&out, 10000);
	/* half of the server's packet, then a refusal, then the rest */
	assert_int_equal(
		sftp_filter_server(filter, s.bytes[0].data, 10, &out), SGB_OK);
	assert_int_equal(sftp_filter_client(
				 filter, s.bytes[1].data, s.bytes[1].len, &out),
		SGB_OK);
	assert_int_equal(sftp_filter_server(filter, NULL, 0, &out), SGB_OK);
	assert_int_equal(out.len, 10);
	assert_int_equal(sftp_filter_server(filter, s.bytes[0].data + 10,
				 s.bytes[0].len - 10, &out),
		SGB_OK);
	assert_memory_equal(out.data, s.bytes[0].data, s.bytes[0].len);
	assert_int_equal(denied(&out, 3), 1);
	sftp_filter_free(filter);
	buf_done(&out);
	buf_done(&s.bytes[0]);
	buf_done(&s.bytes[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(may_only_read),
		cmocka_unit_test(may_only_write),
		cmocka_unit_test(answers_wait_for_a_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
