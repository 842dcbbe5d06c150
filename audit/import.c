/* What the parsers share, ttyrec, and which parser it is. */
#include "import.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/buf.h"

void import_size(import_item item, void *data, enum record_kind kind,
	uint64_t time_us, unsigned int cols, unsigned int rows)
{
	struct buf bytes;

	buf_init(&bytes, 64);
	buf_put_u32(&bytes, cols);
	buf_put_u32(&bytes, rows);
	if (kind == RECORD_PTY) {
		buf_put_string(&bytes, "xterm", 5);
		buf_put_string(&bytes, "", 0);
	}
	if (!buf_error(&bytes))
		item(data, kind, time_us, bytes.data, bytes.len);
	buf_done(&bytes);
}

void import_pieces(import_item item, void *data, enum record_kind kind,
	uint64_t time_us, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	while (len) {
		size_t piece = len < IMPORT_ITEM_MAX ? len : IMPORT_ITEM_MAX;

		item(data, kind, time_us, at, piece);
		at += piece;
		len -= piece;
	}
}

static uint32_t le32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

/* Frames of u32 seconds, u32 microseconds, u32 length, bytes; no header, so
 * every one is held against what a clock can have said. */
enum sgb_err import_ttyrec(const uint8_t *data, size_t len, import_item item,
	void *item_data, struct import_info *info)
{
	uint64_t first = 0, before = 0;
	size_t at = 0;

	info->format = "ttyrec";
	info->cols = 80;
	info->rows = 24;
	import_size(item, item_data, RECORD_PTY, 0, 80, 24);
	while (at < len) {
		const char *wrong = NULL;
		uint64_t now;
		uint32_t size;

		if (len - at < 12) {
			wrong = "ends inside a frame's head";
			goto bad;
		}
		now = (uint64_t)le32(data + at) * 1000000 + le32(data + at + 4);
		size = le32(data + at + 8);
		if (!at)
			first = before = now;
		if (le32(data + at + 4) >= 1000000)
			wrong = "has a million microseconds or more";
		else if (now < before)
			wrong = "goes back in time";
		else if (size > len - at - 12)
			wrong = "is longer than the file";
		if (wrong)
			goto bad;
		import_pieces(item, item_data, RECORD_OUT, now - first,
			data + at + 12, size);
		info->events++;
		info->last_us = now - first;
		before = now;
		at += 12 + size;
		continue;
	bad:
		(void)snprintf(info->why, sizeof(info->why),
			"frame %" PRIu64 " at byte %zu %s", info->events, at,
			wrong);
		return SGB_ERR_FORMAT;
	}
	info->claimed_s = first / 1000000;
	return SGB_OK;
}

/* The seconds of a ttyrec may begin with a brace, too. */
static bool is_asciicast(const uint8_t *data, size_t len)
{
	const uint8_t *end = memchr(data, '\n', len);
	size_t first = end ? (size_t)(end - data) : len;

	return *data == '{' && memmem(data, first, "\"version\"", 9);
}

enum sgb_err import_parse(const uint8_t *data, size_t len, import_item item,
	void *item_data, struct import_info *info)
{
	memset(info, 0, sizeof(*info));
	if (!len) {
		(void)snprintf(
			info->why, sizeof(info->why), "the file is empty");
		return SGB_ERR_FORMAT;
	}
	if (is_asciicast(data, len))
		return import_asciicast(
			(const char *)data, len, item, item_data, info);
	return import_ttyrec(data, len, item, item_data, info);
}
