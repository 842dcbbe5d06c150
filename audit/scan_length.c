/*
 * A frame that seems to reach beyond the end of the file was cut by a crash,
 * or its length was altered. In the second case either the next frame's head
 * stands somewhere in the rest, or the frame is the last one and its link fits
 * once the length is corrected. A head that fits by chance in random bytes is
 * one in 2^80.
 */
#include "scan_length.h"

#include <string.h>

/* Bytes that can only be the head of this frame, in place. */
static bool head_at(struct sgr_source *source, uint64_t offset, uint32_t index,
	uint32_t segment)
{
	const uint8_t *bytes = sgr_source_get(source, offset, SGR_HEAD_LEN);
	struct sgr_head head;

	return bytes && sgr_head_get(bytes, &head) && head.index == index &&
	       head.segment >= segment && head.segment - segment <= 1;
}

static bool next_head_follows(struct sgr_scan *scan)
{
	uint64_t size = sgr_source_size(scan->source);
	uint64_t at = scan->offset + SGR_HEAD_LEN + SGR_LINK_LEN;

	for (; at + SGR_HEAD_LEN <= size; at++)
		if (head_at(scan->source, at, scan->index + 1, scan->segment))
			return true;
	return false;
}

/* The last frame, with the length that the file leaves for it. */
static bool fits_when_last(struct sgr_scan *scan)
{
	uint64_t left = sgr_source_size(scan->source) - scan->offset;
	uint8_t head[SGR_HEAD_LEN], link[SUITE_HASH_LEN];
	const uint8_t *bytes;
	size_t len, i;

	if (left < SGR_HEAD_LEN + SGR_LINK_LEN || left > SGR_BODY_MAX)
		return false;
	len = (size_t)left - SGR_HEAD_LEN - SGR_LINK_LEN;
	bytes = sgr_source_get(scan->source, scan->offset, (size_t)left);
	if (!bytes)
		return false;
	memcpy(head, bytes, sizeof(head));
	for (i = 0; i < 4; i++)
		head[12 + i] = (uint8_t)(len >> (8 * i));
	memcpy(link, scan->link, sizeof(link));
	return !sgr_link_next(link, head, bytes + SGR_HEAD_LEN, len) &&
	       !memcmp(link, bytes + SGR_HEAD_LEN + len, SGR_LINK_LEN);
}

bool scan_length_altered(struct sgr_scan *scan)
{
	return next_head_follows(scan) || fits_when_last(scan);
}

bool scan_header_follows(struct sgr_source *source)
{
	uint64_t size = sgr_source_size(source), at;

	for (at = SGR_PREAMBLE_LEN;
		at + SGR_HEAD_LEN <= size && at < SGR_HEADER_MAX + 64; at++) {
		const uint8_t *bytes = sgr_source_get(source, at, SGR_HEAD_LEN);
		struct sgr_head head;

		if (bytes && sgr_head_get(bytes, &head) &&
			head.type == SGR_META && !head.index && !head.segment)
			return true;
	}
	return false;
}
