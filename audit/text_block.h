/*
 * Blocks of text in the index: many lines of one recording, compressed
 * together, beside what tells them apart and the trigrams that occur in them.
 *
 *	text	one zstd frame: the lines, each ended by a line feed
 *	lines	one zstd frame: for each line a varint of the time in us less
 *		that of the line before (zigzag), a varint of the channel, and
 *		u8 place: 0 meta, 1 screen, 2 raw, 3 command, 16 + kind of item
 *	grams	a word a trigram (three bytes of a line, ASCII in lower case):
 *		24 bits as five characters of a-z2-7
 *
 * What is read may come from a file that somebody changed; it is checked like
 * a stranger's.
 */
#ifndef SGB_TEXT_BLOCK_H
#define SGB_TEXT_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

#include "needle.h"
#include "texts.h"

#define TEXT_BLOCK_LEN (128 * 1024)	 /* a block has at least one line */
#define TEXT_LINE_MAX  (4 * 1024 * 1024) /* what is more is cut */
#define TEXT_GRAM_LEN  5

struct text_block {
	struct buf text, lines, grams;
	size_t text_len; /* before it was compressed */
};
void text_block_done(struct text_block *block);

/* Takes lines until a block is full. */
struct text_packer;
struct text_packer *text_packer_new(void);
void text_packer_free(struct text_packer *packer);
/* True if the line must wait for the next block. */
bool text_packer_full(
	const struct text_packer *packer, const struct found_text *found);
enum sgb_err text_packer_add(struct text_packer *packer,
	const struct found_text *found) SGB_MUST_CHECK;
bool text_packer_empty(const struct text_packer *packer);
/* What was added as a block, which is the caller's; empty afterwards. */
enum sgb_err text_packer_seal(
	struct text_packer *packer, struct text_block *ret) SGB_MUST_CHECK;
void text_packer_reset(struct text_packer *packer);

/* Appends the words of a pattern's trigrams, at most max of them, or nothing if
 * it is too short for one. */
void text_grams(const char *pattern, size_t max, struct buf *out);

/* Reads blocks, one at a time. */
struct text_reader;
struct text_reader *text_reader_new(void);
void text_reader_free(struct text_reader *reader);
/* Expands the text. SGB_ERR_FORMAT, SGB_ERR_LIMIT: it is not one of ours. */
enum sgb_err text_reader_open(struct text_reader *reader, const void *text,
	size_t text_len, const void *lines, size_t lines_len) SGB_MUST_CHECK;
/* The next line that has the needle, or that the function takes. ret is
 * borrowed until the next call. SGB_ERR_NOTFOUND: no more. */
typedef bool (*text_match)(const void *data, const char *line);
enum sgb_err text_reader_find(struct text_reader *reader,
	const struct needle *needle, struct found_text *ret) SGB_MUST_CHECK;
enum sgb_err text_reader_match(struct text_reader *reader, text_match match,
	const void *data, struct found_text *ret) SGB_MUST_CHECK;

#endif
