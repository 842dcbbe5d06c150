/*
 * zstd streams of one segment: each piece is flushed, so that it can be written
 * and acknowledged, but later pieces still refer to earlier ones. Memory is
 * bounded by SGR_WINDOW_LOG and wiped when it is given back, because a window
 * holds what was typed and shown.
 */
#ifndef SGB_SQUEEZE_H
#define SGB_SQUEEZE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "core/err.h"

struct squeeze;
/* first: how many bytes its first piece will have. Many get a window of 128
 * KiB, which is faster and packs better, as long as few others have one; else
 * it is 16 KiB, which is right for thousands of terminals at rest. */
enum sgb_err squeeze_new(size_t first, struct squeeze **ret) SGB_MUST_CHECK;
void squeeze_free(struct squeeze *squeeze);
/* Appends the compressed and flushed piece to out. */
enum sgb_err squeeze_piece(struct squeeze *squeeze, const void *data,
	size_t len, struct buf *out) SGB_MUST_CHECK;
/* Whether it has the larger window; NULL has none. */
bool squeeze_is_large(const struct squeeze *squeeze);
/* Bytes of memory it holds at present. */
size_t squeeze_size(const struct squeeze *squeeze);

struct unsqueeze;
enum sgb_err unsqueeze_new(struct unsqueeze **ret) SGB_MUST_CHECK;
void unsqueeze_free(struct unsqueeze *unsqueeze);
/* Appends what a piece expands to. SGB_ERR_LIMIT when out is full,
 * SGB_ERR_FORMAT for anything that is not such a stream. */
enum sgb_err unsqueeze_piece(struct unsqueeze *unsqueeze, const void *data,
	size_t len, struct buf *out) SGB_MUST_CHECK;

#endif
