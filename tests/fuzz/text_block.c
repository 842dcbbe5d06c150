/* Blocks of the index: as they come, as what zstd expands them to, and whether
 * what was packed is what is read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "../../audit/text_block.h"

#define PIECE_MAX 65536

static bool any(const void *data, const char *line)
{
	(void)data;
	return line != NULL;
}

/* Every line is one: no line feed, no more than there may be. */
static void read_block(
	const void *text, size_t text_len, const void *lines, size_t lines_len)
{
	struct text_reader *reader = text_reader_new();
	struct found_text found;
	struct needle needle;

	needle_init(&needle, "aB");
	if (!reader)
		abort();
	if (!text_reader_open(reader, text, text_len, lines, lines_len))
		while (!text_reader_match(reader, any, NULL, &found))
			if (strchr(found.text, '\n') || !found.where)
				abort();
	if (!text_reader_open(reader, text, text_len, lines, lines_len))
		while (!text_reader_find(reader, &needle, &found))
			if (!strcasestr(found.text, "ab"))
				abort();
	text_reader_free(reader);
}

/* The frames are good, and what is in them is not. */
static void read_packed(
	const void *text, size_t text_len, const void *lines, size_t lines_len)
{
	static uint8_t frames[2][PIECE_MAX + 1024];
	size_t first = ZSTD_compress(
		frames[0], sizeof(frames[0]), text, text_len, 1);
	size_t second = ZSTD_compress(
		frames[1], sizeof(frames[1]), lines, lines_len, 1);

	if (ZSTD_isError(first) || ZSTD_isError(second))
		abort();
	read_block(frames[0], first, frames[1], second);
}

static size_t next_line(const char *text, size_t len)
{
	return strnlen(text, len);
}

static void same(const struct text_block *block, const char *text, size_t len)
{
	struct text_reader *reader = text_reader_new();
	struct found_text found;
	uint64_t us = 0;
	size_t at = 0;

	if (!reader ||
		text_reader_open(reader, block->text.data, block->text.len,
			block->lines.data, block->lines.len))
		abort();
	while (!text_reader_match(reader, any, NULL, &found)) {
		size_t line = next_line(text + at, len - at);

		if (strlen(found.text) != line ||
			memcmp(found.text, text + at, line) != 0 ||
			found.time_us != us * 7919 || found.channel != us % 5 ||
			strcmp(found.where, "screen") != 0)
			abort();
		us++;
		at += line + 1;
	}
	if (at < len)
		abort();
	text_reader_free(reader);
}

/* Lines are parted by NUL here. */
static void round_trip(const uint8_t *data, size_t len)
{
	static char text[PIECE_MAX + 1];
	struct text_packer *packer = text_packer_new();
	struct found_text found = {.where = "screen"};
	struct text_block block = {.text_len = 0};
	size_t at, i;

	if (!packer)
		abort();
	memcpy(text, data, len);
	text[len] = '\0';
	for (i = 0; i < len; i++)
		if (text[i] == '\n')
			text[i] = ' ';
	for (at = i = 0; at < len; i++) {
		found.text = text + at;
		found.time_us = i * 7919;
		found.channel = i % 5;
		if (text_packer_full(packer, &found) ||
			text_packer_add(packer, &found))
			abort();
		at += next_line(text + at, len - at) + 1;
	}
	if (text_packer_seal(packer, &block))
		abort();
	same(&block, text, len);
	text_block_done(&block);
	text_packer_free(packer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t first;

	if (len < 4 || len > PIECE_MAX)
		return 0;
	first = (size_t)(data[1] << 8 | data[2]) % (len - 3);
	if (data[0] % 3 == 0)
		read_block(data + 3, first, data + 3 + first, len - 3 - first);
	else if (data[0] % 3 == 1)
		read_packed(data + 3, first, data + 3 + first, len - 3 - first);
	else
		round_trip(data + 3, len - 3);
	return 0;
}
