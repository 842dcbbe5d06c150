/* Items of a recording, in the order of its frames. */
#include "evidence.h"

#include <stdlib.h>
#include <string.h>

struct evidence {
	struct sgr_source *source;
	struct sgr_scan scan;
	struct sgr_decoder *decoder;
	char *meta;
	struct buf plain;
	struct reader items; /* what is left of the present frame */
	uint64_t time_us;
	struct sgr_frame frame;
	void (*follow)(void *data, const struct sgr_scan *scan);
	void *follow_data;
};

static enum sgb_err open_frame(struct evidence *evidence)
{
	enum sgb_err err;

	err = sgr_decoder_frame(
		evidence->decoder, &evidence->frame, &evidence->plain);
	if (err == SGB_ERR_CRYPTO)
		sgr_scan_fault(&evidence->scan, &evidence->frame,
			"does not open: it was changed, or sealed by another");
	else if (err && err != SGB_ERR_NOTFOUND)
		sgr_scan_fault(&evidence->scan, &evidence->frame,
			"opens but is malformed inside");
	return err;
}

static enum sgb_err read_meta(struct evidence *evidence)
{
	enum sgb_err err = sgr_scan_next(&evidence->scan, &evidence->frame);

	if (!err)
		err = open_frame(evidence);
	if (err)
		return err;
	evidence->meta = malloc(evidence->plain.len + 1);
	if (!evidence->meta)
		return SGB_ERR_NOMEM;
	if (evidence->plain.len)
		memcpy(evidence->meta, evidence->plain.data,
			evidence->plain.len);
	evidence->meta[evidence->plain.len] = '\0';
	return SGB_OK;
}

static enum sgb_err open_file(int fd, struct evidence **ret)
{
	struct evidence *evidence = calloc(1, sizeof(*evidence));
	enum sgb_err err;

	*ret = evidence;
	if (!evidence)
		return SGB_ERR_NOMEM;
	buf_init(&evidence->plain, SGR_PLAIN_MAX);
	reader_init(&evidence->items, NULL, 0);
	err = sgr_source_file(fd, &evidence->source);
	if (!err)
		err = sgr_scan_begin(&evidence->scan, evidence->source);
	return err;
}

enum sgb_err evidence_open(int fd, struct identity *const *identities,
	size_t count, struct evidence **ret)
{
	enum sgb_err err = open_file(fd, ret);

	if (!err)
		err = sgr_decoder_new(&(*ret)->scan.header, identities, count,
			&(*ret)->decoder);
	return err ? err : read_meta(*ret);
}

enum sgb_err evidence_open_disclosed(
	int fd, const struct disclosure *disclosure, struct evidence **ret)
{
	enum sgb_err err = open_file(fd, ret);

	if (!err)
		err = sgr_decoder_disclosed(
			&(*ret)->scan.header, disclosure, &(*ret)->decoder);
	if (!err)
		err = read_meta(*ret);
	return err == SGB_ERR_NOTFOUND ? SGB_OK : err;
}

void evidence_free(struct evidence *evidence)
{
	if (!evidence)
		return;
	sgr_decoder_free(evidence->decoder);
	sgr_scan_done(&evidence->scan);
	sgr_source_free(evidence->source);
	buf_done(&evidence->plain);
	free(evidence->meta);
	free(evidence);
}

void evidence_follow(struct evidence *evidence,
	void (*follow)(void *data, const struct sgr_scan *scan), void *data)
{
	evidence->follow = follow;
	evidence->follow_data = data;
}

/* On to the next frame with items. */
static enum sgb_err next_frame(struct evidence *evidence)
{
	enum sgb_err err;

	do {
		err = sgr_scan_next(&evidence->scan, &evidence->frame);
		if (err)
			return err;
		if (evidence->follow)
			evidence->follow(
				evidence->follow_data, &evidence->scan);
		if (!sgr_type_encrypted(evidence->frame.head.type))
			continue;
		err = open_frame(evidence);
		if (err && err != SGB_ERR_NOTFOUND)
			return err;
	} while (err || evidence->frame.head.type != SGR_EVENTS);
	reader_init(
		&evidence->items, evidence->plain.data, evidence->plain.len);
	evidence->time_us = sgr_get_varint(&evidence->items);
	return SGB_OK;
}

enum sgb_err evidence_next(struct evidence *evidence, struct sgr_item *ret)
{
	struct reader *rd = &evidence->items;
	enum sgb_err err = SGB_OK;

	while (!err && !rd->left)
		err = next_frame(evidence);
	if (err)
		return err;
	ret->channel = sgr_get_varint(rd);
	evidence->time_us += sgr_get_varint(rd);
	ret->time_us = evidence->time_us;
	ret->kind = reader_u8(rd);
	ret->len = (size_t)sgr_get_varint(rd);
	ret->data = reader_bytes(rd, ret->len);
	if (!rd->err)
		return SGB_OK;
	sgr_scan_fault(&evidence->scan, &evidence->frame,
		"opens but its items are malformed");
	return SGB_ERR_FORMAT;
}

enum sgb_err evidence_refresh(struct evidence *evidence)
{
	if (evidence->scan.ended || evidence->scan.verdict != SGR_OPEN)
		return SGB_ERR_CLOSED;
	return sgr_source_refresh(evidence->source);
}

const struct sgr_scan *evidence_scan(const struct evidence *evidence)
{
	return &evidence->scan;
}

const char *evidence_meta(const struct evidence *evidence)
{
	return evidence->meta ? evidence->meta : "{}";
}

uint32_t evidence_frame(const struct evidence *evidence)
{
	return evidence->frame.head.index;
}

uint32_t evidence_segment(const struct evidence *evidence)
{
	return evidence->frame.head.segment;
}
