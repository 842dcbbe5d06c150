/*
 * ttyrec: 12 bytes (seconds, microseconds, length; little-endian) and the bytes
 * of the terminal as they were. raw: those bytes alone. What a viewer of these
 * does with hostile bytes is the viewer's affair.
 */
#include "core/record.h"

#include "export.h"

static void put_le32(FILE *file, uint32_t value)
{
	int i;

	for (i = 0; i < 4; i++)
		(void)fputc((int)(value >> (8 * i) & 0xff), file);
}

/* The first channel with output, as the player chooses. */
static int chosen(struct export_out *out, const struct sgr_item *item)
{
	if (item->kind != RECORD_OUT && item->kind != RECORD_ERR)
		return 0;
	if (!out->state_number)
		out->state_number = item->channel + 1;
	return out->state_number == item->channel + 1;
}

static void ttyrec_item(struct export_out *out, const struct sgr_item *item)
{
	uint64_t us = out->scan->header.start_ns / 1000 + item->time_us;

	if (!chosen(out, item))
		return;
	put_le32(out->file, (uint32_t)(us / 1000000));
	put_le32(out->file, (uint32_t)(us % 1000000));
	put_le32(out->file, (uint32_t)item->len);
	(void)fwrite(item->data, 1, item->len, out->file);
}

const struct export_format export_ttyrec = {"ttyrec", ttyrec_item, NULL, true};

static void raw_item(struct export_out *out, const struct sgr_item *item)
{
	if (chosen(out, item))
		(void)fwrite(item->data, 1, item->len, out->file);
}

const struct export_format export_raw = {"raw", raw_item, NULL, true};
