/* Blocks of the index, read. */
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "core/record.h"

#include "container.h"
#include "text_block_own.h"

#define FIRST_KIND 16

static const char *const places[] = {"meta", "screen", "raw", "command"};

#define PLACES (sizeof(places) / sizeof(places[0]))

uint8_t text_place_number(const char *name)
{
	unsigned int i;

	for (i = 0; i < PLACES; i++)
		if (!strcmp(places[i], name))
			return (uint8_t)i;
	for (i = 0; i < 256 - FIRST_KIND; i++)
		if (record_slug(i) && !strcmp(record_slug(i), name))
			return (uint8_t)(FIRST_KIND + i);
	return 2;
}

const char *text_place_name(uint8_t number)
{
	if (number < PLACES)
		return places[number];
	return number < FIRST_KIND ? NULL : record_slug(number - FIRST_KIND);
}

struct text_reader {
	ZSTD_DCtx *ctx;
	struct buf text, lines;
	const void *packed; /* lines, until a hit wants them */
	size_t packed_len;
	bool expanded, started;
	struct needle_run run;
	struct reader meta;	/* in lines, */
	const uint8_t *at;	/* which is that of the line here */
	struct found_text line; /* time and channel of the one before */
};

struct text_reader *text_reader_new(void)
{
	struct text_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return NULL;
	buf_init(&reader->text, TEXT_BLOCK_MAX + 1);
	buf_init(&reader->lines, TEXT_BLOCK_MAX + 1);
	reader->ctx = ZSTD_createDCtx();
	if (reader->ctx)
		return reader;
	text_reader_free(reader);
	return NULL;
}

void text_reader_free(struct text_reader *reader)
{
	if (!reader)
		return;
	(void)ZSTD_freeDCtx(reader->ctx);
	buf_done(&reader->text);
	buf_done(&reader->lines);
	free(reader);
}

/* The size is the frame's word, and limited before any memory is taken. */
static enum sgb_err expand(
	ZSTD_DCtx *ctx, const void *data, size_t len, struct buf *out)
{
	unsigned long long size = ZSTD_getFrameContentSize(data, len);
	uint8_t *room;

	buf_reset(out);
	if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN)
		return SGB_ERR_FORMAT;
	if (!size || size > TEXT_BLOCK_MAX)
		return SGB_ERR_LIMIT;
	room = buf_extend(out, (size_t)size);
	if (!room)
		return SGB_ERR_NOMEM;
	if (ZSTD_decompressDCtx(ctx, room, (size_t)size, data, len) != size)
		return SGB_ERR_FORMAT;
	return SGB_OK;
}

enum sgb_err text_reader_open(struct text_reader *reader, const void *text,
	size_t text_len, const void *lines, size_t lines_len)
{
	enum sgb_err err = expand(reader->ctx, text, text_len, &reader->text);

	reader->started = reader->expanded = false;
	reader->packed = lines;
	reader->packed_len = lines_len;
	/* Lines become strings: a byte that ends one would hide what follows.
	 */
	if (!err && (reader->text.data[reader->text.len - 1] != '\n' ||
			    memchr(reader->text.data, '\0', reader->text.len)))
		err = SGB_ERR_FORMAT;
	reader->at = reader->text.data;
	reader->line = (struct found_text){0};
	return err;
}

static enum sgb_err next_meta(struct text_reader *reader)
{
	uint64_t step = sgr_get_varint(&reader->meta);

	reader->line.time_us += step >> 1 ^ (0 - (step & 1));
	reader->line.channel = sgr_get_varint(&reader->meta);
	reader->line.where = text_place_name(reader_u8(&reader->meta));
	if (reader->meta.err || !reader->line.where)
		return SGB_ERR_FORMAT;
	return SGB_OK;
}

/* What is known of the line that has this place, which becomes a string. */
static enum sgb_err take_line(struct text_reader *reader, uint8_t *start,
	uint8_t *stop, struct found_text *ret)
{
	enum sgb_err err = SGB_OK;

	if (!reader->expanded) {
		err = expand(reader->ctx, reader->packed, reader->packed_len,
			&reader->lines);
		reader->expanded = true;
		reader_init(&reader->meta, reader->lines.data,
			err ? 0 : reader->lines.len);
	}
	while (!err && reader->at <= start) {
		reader->at = memchr(
			reader->at, '\n', (size_t)(stop - reader->at) + 1);
		reader->at++;
		err = next_meta(reader);
	}
	if (err)
		return err;
	*stop = '\0';
	*ret = reader->line;
	ret->text = (const char *)start;
	return SGB_OK;
}

enum sgb_err text_reader_find(struct text_reader *reader,
	const struct needle *needle, struct found_text *ret)
{
	uint8_t *text = reader->text.data, *start, *stop;
	const uint8_t *hit;

	if (!reader->started)
		needle_start(&reader->run, needle, text, reader->text.len);
	reader->started = true;
	hit = needle_next(&reader->run, reader->at);
	if (!hit)
		return SGB_ERR_NOTFOUND;
	start = memrchr(text, '\n', (size_t)(hit - text));
	start = start ? start + 1 : text;
	if (start < reader->at)
		start = text + (reader->at - text);
	stop = text + (hit - text);
	stop = memchr(stop, '\n', (size_t)(text + reader->text.len - stop));
	return take_line(reader, start, stop, ret);
}

enum sgb_err text_reader_match(struct text_reader *reader, text_match match,
	const void *data, struct found_text *ret)
{
	uint8_t *text = reader->text.data, *end = text + reader->text.len;
	uint8_t *start = text + (reader->at - text), *stop;
	enum sgb_err err;

	for (; start < end; start = stop + 1) {
		stop = memchr(start, '\n', (size_t)(end - start));
		err = take_line(reader, start, stop, ret);
		if (err || match(data, ret->text))
			return err;
	}
	return SGB_ERR_NOTFOUND;
}
