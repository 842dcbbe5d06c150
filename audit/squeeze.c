/* zstd streams with an allocator that wipes. */
#define ZSTD_STATIC_LINKING_ONLY /* for the allocator alone */
#include "squeeze.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <zstd.h>

#include "container.h"

#define LARGE_FROM (32 * 1024)
#define LARGE_MAX  32 /* some 30 MiB in all */
#define PIECE	   (32 * 1024)
#define MAP_FROM   (128 * 1024)
#define SPARE_FROM (512 * 1024)

/*
 * Measured on 19 MiB of shell work in segments of 256 KiB, one core, in
 * alternating runs: rounds of 256 KiB give 417 MiB/s and a size of 1/5.0 with
 * the large one; level 1 gave 424 and 1/4.9, a hash table of twice the size,
 * which leaves the cache, 395 and 1/5.0, level 3 300 and 1/5.3. A block is no
 * larger than the window, so the small one has many. What comes in small pieces
 * is no work for the processor: level 3 makes them 2 to 4 % smaller there.
 */
static const struct shape {
	int level, window_log, hash_log, chain_log;
} small = {3, 14, 13, 13},		    /* 200 KiB of memory */
	large = {2, SGR_WINDOW_LOG, 12, 0}; /* 905 KiB */

struct squeeze {
	ZSTD_CCtx *ctx;
	bool large;
};

static atomic_uint large_ones;

struct unsqueeze {
	ZSTD_DCtx *ctx;
};

struct block {
	size_t len;
	_Alignas(max_align_t) uint8_t bytes[];
};

/* One large block, wiped, is kept for the next segment: getting 900 KiB of new
 * memory from the kernel takes longer than filling it. */
static _Atomic(struct block *) spare;

/* A small one is mapped: a terminal at rest has touched the half of it, and
 * malloc would hand out what others had touched. */
static bool is_mapped(size_t len)
{
	return len >= MAP_FROM && len < SPARE_FROM;
}

static struct block *get_block(size_t len)
{
	struct block *block;

	if (!is_mapped(len))
		return malloc(sizeof(*block) + len);
	block = mmap(NULL, sizeof(*block) + len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return block == MAP_FAILED ? NULL : block;
}

static void *wiping_alloc(void *opaque, size_t len)
{
	struct block *block = NULL;

	(void)opaque;
	if (len >= SPARE_FROM)
		block = atomic_exchange(&spare, NULL);
	if (block && block->len != len) {
		free(block);
		block = NULL;
	}
	if (!block)
		block = get_block(len);
	if (!block)
		return NULL;
	block->len = len;
	return block->bytes;
}

static void wiping_free(void *opaque, void *bytes)
{
	struct block *block;

	(void)opaque;
	if (!bytes)
		return;
	block = (struct block *)((uint8_t *)bytes -
				 offsetof(struct block, bytes));
	/* As sure as OPENSSL_cleanse, and faster on so much. */
	explicit_bzero(block->bytes, block->len);
	if (is_mapped(block->len)) {
		(void)munmap(block, sizeof(*block) + block->len);
		return;
	}
	if (block->len >= SPARE_FROM)
		block = atomic_exchange(&spare, block);
	free(block);
}

static const ZSTD_customMem wiping = {wiping_alloc, wiping_free, NULL};

static bool set_parameters(ZSTD_CCtx *ctx, const struct shape *shape)
{
	const struct {
		ZSTD_cParameter name;
		int value;
	} rows[] = {
		{ZSTD_c_compressionLevel, shape->level},
		{ZSTD_c_windowLog, shape->window_log},
		{ZSTD_c_hashLog, shape->hash_log},
		{ZSTD_c_chainLog, shape->chain_log},
		{ZSTD_c_contentSizeFlag, 0},
		{ZSTD_c_checksumFlag, 0},
		{ZSTD_c_dictIDFlag, 0},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (ZSTD_isError(ZSTD_CCtx_setParameter(
			    ctx, rows[i].name, rows[i].value)))
			return false;
	return true;
}

/* A large one, if that is worth it and there is one to be had. */
static bool take_large(size_t first)
{
	if (first < LARGE_FROM)
		return false;
	if (atomic_fetch_add(&large_ones, 1) < LARGE_MAX)
		return true;
	atomic_fetch_sub(&large_ones, 1);
	return false;
}

enum sgb_err squeeze_new(size_t first, struct squeeze **ret)
{
	struct squeeze *squeeze = calloc(1, sizeof(*squeeze));

	if (!squeeze)
		return SGB_ERR_NOMEM;
	squeeze->large = take_large(first);
	squeeze->ctx = ZSTD_createCCtx_advanced(wiping);
	if (!squeeze->ctx || !set_parameters(squeeze->ctx,
				     squeeze->large ? &large : &small)) {
		squeeze_free(squeeze);
		return SGB_ERR_NOMEM;
	}
	*ret = squeeze;
	return SGB_OK;
}

void squeeze_free(struct squeeze *squeeze)
{
	if (!squeeze)
		return;
	ZSTD_freeCCtx(squeeze->ctx);
	if (squeeze->large)
		atomic_fetch_sub(&large_ones, 1);
	free(squeeze);
}

bool squeeze_is_large(const struct squeeze *squeeze)
{
	return squeeze && squeeze->large;
}

size_t squeeze_size(const struct squeeze *squeeze)
{
	return squeeze ? ZSTD_sizeof_CCtx(squeeze->ctx) : 0;
}

enum sgb_err squeeze_piece(
	struct squeeze *squeeze, const void *data, size_t len, struct buf *out)
{
	ZSTD_inBuffer in = {data, len, 0};
	size_t left;

	do {
		size_t room = ZSTD_compressBound(len - in.pos) + 64;
		ZSTD_outBuffer piece = {buf_extend(out, room), room, 0};

		if (!piece.dst)
			return buf_error(out);
		left = ZSTD_compressStream2(
			squeeze->ctx, &piece, &in, ZSTD_e_flush);
		out->len -= room - piece.pos;
		if (ZSTD_isError(left))
			return SGB_ERR_NOMEM;
	} while (left || in.pos < in.size);
	return SGB_OK;
}

enum sgb_err unsqueeze_new(struct unsqueeze **ret)
{
	struct unsqueeze *unsqueeze = calloc(1, sizeof(*unsqueeze));

	if (!unsqueeze)
		return SGB_ERR_NOMEM;
	unsqueeze->ctx = ZSTD_createDCtx_advanced(wiping);
	if (!unsqueeze->ctx ||
		ZSTD_isError(ZSTD_DCtx_setParameter(
			unsqueeze->ctx, ZSTD_d_windowLogMax, SGR_WINDOW_LOG))) {
		unsqueeze_free(unsqueeze);
		return SGB_ERR_NOMEM;
	}
	*ret = unsqueeze;
	return SGB_OK;
}

void unsqueeze_free(struct unsqueeze *unsqueeze)
{
	if (!unsqueeze)
		return;
	ZSTD_freeDCtx(unsqueeze->ctx);
	free(unsqueeze);
}

enum sgb_err unsqueeze_piece(struct unsqueeze *unsqueeze, const void *data,
	size_t len, struct buf *out)
{
	ZSTD_inBuffer in = {data, len, 0};
	bool full;

	do {
		size_t room = out->max - out->len < PIECE ? out->max - out->len
							  : PIECE;
		ZSTD_outBuffer piece = {buf_extend(out, room), room, 0};
		size_t hint, before = in.pos;

		if (!room || !piece.dst)
			return SGB_ERR_LIMIT;
		hint = ZSTD_decompressStream(unsqueeze->ctx, &piece, &in);
		out->len -= room - piece.pos;
		full = piece.pos == piece.size;
		/* A stream that ends (hint 0) is not one of ours. */
		if (ZSTD_isError(hint) || !hint ||
			(in.pos == before && !piece.pos && in.pos < in.size))
			return SGB_ERR_FORMAT;
	} while (in.pos < in.size || full);
	return SGB_OK;
}
