/* Blocks of the index, made; read in text_reader.c. */
#include "text_block.h"

#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "container.h"
#include "text_block_own.h"

#define LEVEL	  3
#define GRAM_BITS 24

struct text_packer {
	ZSTD_CCtx *ctx;
	struct buf text, lines;
	uint64_t last_us;
	uint8_t *seen;	 /* a bit a trigram */
	uint32_t *grams; /* those that were seen */
	size_t gram_count, gram_cap;
};

void text_block_done(struct text_block *block)
{
	buf_done(&block->text);
	buf_done(&block->lines);
	buf_done(&block->grams);
}

struct text_packer *text_packer_new(void)
{
	struct text_packer *packer = calloc(1, sizeof(*packer));

	if (!packer)
		return NULL;
	buf_init(&packer->text, TEXT_BLOCK_MAX);
	buf_init(&packer->lines, TEXT_BLOCK_MAX);
	packer->ctx = ZSTD_createCCtx();
	packer->seen = calloc(1, (1U << GRAM_BITS) / 8);
	if (!packer->ctx || !packer->seen) {
		text_packer_free(packer);
		return NULL;
	}
	return packer;
}

void text_packer_free(struct text_packer *packer)
{
	if (!packer)
		return;
	(void)ZSTD_freeCCtx(packer->ctx);
	buf_done(&packer->text);
	buf_done(&packer->lines);
	free(packer->seen);
	free(packer->grams);
	free(packer);
}

void text_packer_reset(struct text_packer *packer)
{
	buf_reset(&packer->text);
	buf_reset(&packer->lines);
	packer->last_us = 0;
}

bool text_packer_empty(const struct text_packer *packer)
{
	return !packer->text.len;
}

bool text_packer_full(
	const struct text_packer *packer, const struct found_text *found)
{
	return packer->text.len &&
	       packer->text.len + strlen(found->text) + 1 > TEXT_BLOCK_LEN;
}

static uint64_t zigzag(uint64_t now, uint64_t before)
{
	int64_t step = (int64_t)(now - before);

	return (uint64_t)step << 1 ^ (uint64_t)(step >> 63);
}

enum sgb_err text_packer_add(
	struct text_packer *packer, const struct found_text *found)
{
	size_t len = strnlen(found->text, TEXT_LINE_MAX), from;

	from = packer->text.len;
	buf_put(&packer->text, found->text, len);
	buf_put_u8(&packer->text, '\n');
	sgr_put_varint(&packer->lines, zigzag(found->time_us, packer->last_us));
	sgr_put_varint(&packer->lines, found->channel);
	buf_put_u8(&packer->lines, text_place_number(found->where));
	packer->last_us = found->time_us;
	if (buf_error(&packer->text))
		return buf_error(&packer->text);
	/* A line feed would be the end of it. */
	for (; from + 1 < packer->text.len; from++)
		if (packer->text.data[from] == '\n')
			packer->text.data[from] = ' ';
	return buf_error(&packer->lines);
}

static enum sgb_err squeeze_all(
	ZSTD_CCtx *ctx, const struct buf *from, struct buf *to)
{
	size_t room = ZSTD_compressBound(from->len), len;
	uint8_t *out;

	buf_init(to, room + 1);
	out = buf_extend(to, room);
	if (!out)
		return SGB_ERR_NOMEM;
	len = ZSTD_compressCCtx(ctx, out, room, from->data, from->len, LEVEL);
	if (ZSTD_isError(len))
		return SGB_ERR_NOMEM;
	to->len = len;
	return SGB_OK;
}

static void put_gram(struct buf *out, uint32_t gram)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
	char word[TEXT_GRAM_LEN];
	int i;

	for (i = TEXT_GRAM_LEN - 1; i >= 0; i--) {
		word[i] = digits[gram & 31];
		gram >>= 5;
	}
	if (out->len)
		buf_put_u8(out, ' ');
	buf_put(out, word, sizeof(word));
}

static enum sgb_err note_gram(struct text_packer *packer, uint32_t gram)
{
	uint8_t bit = (uint8_t)(1U << (gram & 7));

	if (packer->seen[gram >> 3] & bit)
		return SGB_OK;
	if (packer->gram_count == packer->gram_cap) {
		size_t cap = packer->gram_cap ? 2 * packer->gram_cap : 16384;
		uint32_t *grams = reallocarray(
			packer->grams, cap, sizeof(*grams));

		if (!grams)
			return SGB_ERR_NOMEM;
		packer->grams = grams;
		packer->gram_cap = cap;
	}
	packer->seen[gram >> 3] |= bit;
	packer->grams[packer->gram_count++] = gram;
	return SGB_OK;
}

static enum sgb_err collect_grams(struct text_packer *packer)
{
	const struct buf *text = &packer->text;
	enum sgb_err err = SGB_OK;
	uint32_t gram = 0;
	unsigned int run = 0; /* bytes of this line so far, up to 3 */
	size_t i;

	for (i = 0; !err && i < text->len; i++) {
		uint8_t byte = needle_fold(text->data[i]);

		gram = (gram << 8 | byte) & ((1U << GRAM_BITS) - 1);
		run = byte == '\n' ? 0 : run < 3 ? run + 1 : 3;
		if (run == 3)
			err = note_gram(packer, gram);
	}
	return err;
}

/* And forgets them. */
static enum sgb_err put_grams(struct text_packer *packer, struct buf *out)
{
	size_t i;

	buf_init(out, packer->gram_count * (TEXT_GRAM_LEN + 1) + 1);
	for (i = 0; i < packer->gram_count; i++) {
		put_gram(out, packer->grams[i]);
		packer->seen[packer->grams[i] >> 3] = 0;
	}
	packer->gram_count = 0;
	return buf_error(out);
}

enum sgb_err text_packer_seal(
	struct text_packer *packer, struct text_block *ret)
{
	struct text_block block = {.text_len = packer->text.len};
	enum sgb_err err, grams;

	err = squeeze_all(packer->ctx, &packer->text, &block.text);
	if (!err)
		err = squeeze_all(packer->ctx, &packer->lines, &block.lines);
	if (!err)
		err = collect_grams(packer);
	grams = put_grams(packer, &block.grams);
	text_packer_reset(packer);
	if (!err)
		err = grams;
	if (err)
		text_block_done(&block);
	else
		*ret = block;
	return err;
}

void text_grams(const char *pattern, size_t max, struct buf *out)
{
	size_t len = strlen(pattern), count = len < 3 ? 0 : len - 2, i;
	size_t step = count > max ? (count + max - 1) / max : 1;

	for (i = 0; i < count; i += step)
		put_gram(out,
			(uint32_t)needle_fold((uint8_t)pattern[i]) << 16 |
				(uint32_t)needle_fold((uint8_t)pattern[i + 1])
					<< 8 |
				needle_fold((uint8_t)pattern[i + 2]));
}
