/*
 * Reading a recording with a recipient's key (level 1): frames are opened,
 * expanded and cut into items. The items' bytes were chosen by the target host
 * and the user: they are hostile, and only carried here.
 */
#ifndef SGB_EVIDENCE_H
#define SGB_EVIDENCE_H

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

#include "scan.h"

/* Opens frames in their order. */
struct sgr_decoder;
struct disclosure;
enum sgb_err sgr_decoder_new(const struct sgr_header *header,
	struct identity *const *identities, size_t count,
	struct sgr_decoder **ret) SGB_MUST_CHECK;
/* With keys that were disclosed (borrowed): frames of other segments are
 * SGB_ERR_NOTFOUND. SGB_ERR_STALE if they are another recording's. */
enum sgb_err sgr_decoder_disclosed(const struct sgr_header *header,
	const struct disclosure *disclosure,
	struct sgr_decoder **ret) SGB_MUST_CHECK;
void sgr_decoder_free(struct sgr_decoder *decoder);
/* The content of an encrypted frame; out is emptied first and its max bounds
 * what a frame may expand to. SGB_ERR_CRYPTO: the tag does not fit. */
enum sgb_err sgr_decoder_frame(struct sgr_decoder *decoder,
	const struct sgr_frame *frame, struct buf *out) SGB_MUST_CHECK;

struct sgr_item {
	uint64_t channel;
	uint64_t time_us; /* since the start */
	unsigned int
		kind; /* enum record_kind, or a number of a later version */
	const uint8_t *data;
	size_t len;
};

/* A recording from its start to its end. */
struct evidence;
/* Takes no descriptor over. SGB_OK: header and META are good. On failure *ret
 * is there too when the scan has something to say; free it in any case. */
enum sgb_err evidence_open(int fd, struct identity *const *identities,
	size_t count, struct evidence **ret) SGB_MUST_CHECK;
/* The same with disclosed segments; the others are left out, META too. */
enum sgb_err evidence_open_disclosed(int fd,
	const struct disclosure *disclosure,
	struct evidence **ret) SGB_MUST_CHECK;
void evidence_free(struct evidence *evidence);
/* Called after each frame that is good so far. */
void evidence_follow(struct evidence *evidence,
	void (*follow)(void *data, const struct sgr_scan *scan), void *data);
/* The next item, borrowed until the next call. SGB_ERR_CLOSED at the end of
 * what is good: the scan says which end that is. */
enum sgb_err evidence_next(
	struct evidence *evidence, struct sgr_item *ret) SGB_MUST_CHECK;
/* After SGB_ERR_CLOSED in a file that is still written: evidence_next goes on
 * where it stopped. SGB_ERR_CLOSED if the end has been seen. */
enum sgb_err evidence_refresh(struct evidence *evidence) SGB_MUST_CHECK;
const struct sgr_scan *evidence_scan(const struct evidence *evidence);
/* META, NUL-terminated. */
const char *evidence_meta(const struct evidence *evidence);
/* Segment and frame that the last item came from. */
uint32_t evidence_frame(const struct evidence *evidence);
uint32_t evidence_segment(const struct evidence *evidence);

#endif
