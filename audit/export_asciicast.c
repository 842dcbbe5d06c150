/*
 * asciicast versions 2 and 3 (docs.asciinema.org/manual/asciicast): a header
 * line, then [seconds, code, text]; seconds since the start, in version 3 since
 * the line before. The format is UTF-8 only: bytes that are not
 * become U+FFFD, and a character split over two items is put together first.
 * The first channel with a terminal or output is what is shown.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/record.h"

#include "export.h"
#include "utf8.h"

struct cast {
	bool started;
	bool has_pty;
	unsigned int cols, rows;
	unsigned int version;
	uint64_t last_us;
	struct utf8_joiner joiner[2]; /* out, err */
};

unsigned int export_u32(const struct sgr_item *item, size_t offset)
{
	const uint8_t *at = item->data + offset;

	if (item->len < offset + 4)
		return 0;
	return (unsigned int)at[0] << 24 | (unsigned int)at[1] << 16 |
	       (unsigned int)at[2] << 8 | at[3];
}

static unsigned int size_of(unsigned int value, unsigned int fallback)
{
	return value && value <= 1000 ? value : fallback;
}

static struct cast *cast_of(struct export_out *out)
{
	if (!out->state) {
		struct cast *cast = calloc(1, sizeof(*cast));

		if (!cast)
			abort();
		cast->cols = 80;
		cast->rows = 24;
		out->state = cast;
	}
	return out->state;
}

static void start(struct export_out *out, struct cast *cast)
{
	if (cast->started)
		return;
	cast->started = true;
	(void)fprintf(out->file,
		cast->version == 3
			? "{\"version\": 3, \"term\": {\"cols\": %u, "
			  "\"rows\": %u}, \"timestamp\": %" PRIu64 "}\n"
			: "{\"version\": 2, \"width\": %u, \"height\": %u, "
			  "\"timestamp\": %" PRIu64 "}\n",
		cast->cols, cast->rows,
		out->scan->header.start_ns / 1000000000);
}

static void put_event(struct export_out *out, uint64_t time_us, char code,
	const char *text, size_t len)
{
	struct cast *cast = cast_of(out);
	struct buf json;

	if (!len)
		return;
	start(out, cast);
	if (cast->version == 3) {
		uint64_t since = time_us - cast->last_us;

		cast->last_us = time_us;
		time_us = since;
	}
	buf_init(&json, 8 * len + 64);
	utf8_put_json(&json, text, len);
	(void)fprintf(out->file, "[%" PRIu64 ".%06u, \"%c\", ",
		time_us / 1000000, (unsigned int)(time_us % 1000000), code);
	if (!buf_error(&json))
		(void)fwrite(json.data, 1, json.len, out->file);
	(void)fputs("]\n", out->file);
	buf_done(&json);
}

static void put_output(
	struct export_out *out, struct cast *cast, const struct sgr_item *item)
{
	unsigned int which = item->kind == RECORD_ERR ? 1 : 0;
	struct buf text;

	buf_init(&text, 4 * item->len + 64);
	utf8_join(&cast->joiner[which], item->data, item->len, &text);
	if (!buf_error(&text))
		put_event(out, item->time_us, 'o', (const char *)text.data,
			text.len);
	buf_done(&text);
}

static void cast_item(struct export_out *out, const struct sgr_item *item)
{
	struct cast *cast = cast_of(out);
	char size[32];
	int len;

	if (!out->channel &&
		(item->kind == RECORD_PTY || item->kind == RECORD_OUT ||
			item->kind == RECORD_ERR))
		out->channel = item->channel;
	if (item->channel != out->channel)
		return;
	switch (item->kind) {
	case RECORD_PTY:
		if (cast->has_pty)
			return;
		cast->has_pty = true;
		cast->cols = size_of(export_u32(item, 0), 80);
		cast->rows = size_of(export_u32(item, 4), 24);
		start(out, cast);
		break;
	case RECORD_RESIZE:
		len = snprintf(size, sizeof(size), "%ux%u",
			size_of(export_u32(item, 0), 80),
			size_of(export_u32(item, 4), 24));
		put_event(out, item->time_us, 'r', size, (size_t)len);
		break;
	case RECORD_EXIT:
		if (cast->version != 3)
			return;
		len = snprintf(size, sizeof(size), "%u", export_u32(item, 0));
		put_event(out, item->time_us, 'x', size, (size_t)len);
		break;
	case RECORD_OUT:
	case RECORD_ERR: put_output(out, cast, item); break;
	default: break;
	}
}

static void cast_end(struct export_out *out)
{
	start(out, cast_of(out));
}

static void cast3_item(struct export_out *out, const struct sgr_item *item)
{
	cast_of(out)->version = 3;
	cast_item(out, item);
}

static void cast3_end(struct export_out *out)
{
	cast_of(out)->version = 3;
	cast_end(out);
}

const struct export_format export_asciicast3 = {
	"asciicast3", cast3_item, cast3_end, false, NULL};
const struct export_format export_asciicast2 = {
	"asciicast", cast_item, cast_end, false, NULL};
