/*
 * Lines of the index of recordings (docs/RECORDING.md, "The index"). A line is
 * signed and durable, with all that were added meanwhile, before anybody hears
 * of what it says.
 */
#include <string.h>
#include <time.h>

#include "recorder.h"

static enum sgb_err put_line(struct recorder *recorder, const char *op,
	const char *id, const struct buf *more, uint64_t *ret_seq)
{
	time_t seconds = (time_t)(recorder_wall_ns() / 1000000000);
	char stamp[40] = "";
	struct buf line;
	enum sgb_err err;
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		(void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_init(&line, 1024);
	buf_printf(&line, "{\"op\":\"%s\",\"time\":\"%s\",\"rec\":\"%s\",", op,
		stamp, id);
	buf_put(&line, more->data, more->len);
	buf_put_u8(&line, '}');
	err = buf_error(&line);
	if (!err)
		err = journal_add(recorder->index, (const char *)line.data,
			line.len, ret_seq);
	buf_done(&line);
	return err;
}

enum sgb_err recorder_index_open(struct recorder *recorder, const char *id,
	const uint8_t first_link[SUITE_HASH_LEN],
	const uint8_t prev_head[SUITE_HASH_LEN], uint64_t *ret_seq)
{
	char head[2 * SUITE_HASH_LEN + 1], prev[2 * SUITE_HASH_LEN + 1];
	char path[SGR_PATH_MAX];
	uint8_t bytes[SGR_ID_LEN];
	struct buf more;
	enum sgb_err err = sgr_id_parse(id, bytes);

	if (err)
		return err;
	sgr_path(bytes, path);
	suite_hex(first_link, SUITE_HASH_LEN, head);
	suite_hex(prev_head, SUITE_HASH_LEN, prev);
	buf_init(&more, 512);
	buf_printf(&more,
		"\"path\":\"%s\",\"head\":\"%s\",\"prev_head\":\"%s\"", path,
		head, prev);
	err = buf_error(&more);
	if (!err)
		err = put_line(recorder, "open", id, &more, ret_seq);
	buf_done(&more);
	return err;
}

enum sgb_err recorder_index_end(struct recorder *recorder, const char *op,
	const char *id, const struct recorder_end *end, uint64_t *ret_seq)
{
	char head[2 * SUITE_HASH_LEN + 1];
	struct buf more;
	enum sgb_err err;

	suite_hex(end->head, SUITE_HASH_LEN, head);
	buf_init(&more, 512);
	buf_printf(&more,
		"\"reason\":%u,\"frames\":%u,\"bytes\":%llu,\"discarded\":%llu,"
		"\"head\":\"%s\"",
		end->reason, end->frames, (unsigned long long)end->bytes,
		(unsigned long long)end->discarded, head);
	err = buf_error(&more);
	if (!err)
		err = put_line(recorder, op, id, &more, ret_seq);
	buf_done(&more);
	return err;
}
