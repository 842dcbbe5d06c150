/*
 * ttyrec: 12 bytes (seconds, microseconds, length; little-endian) and the bytes
 * of the terminal as they were. raw: those bytes alone. script: the typescript
 * of script(1), whose first line a player skips, and the timing beside it. What
 * a viewer of these does with hostile bytes is the viewer's affair.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "core/record.h"

#include "export.h"

static void put_le32(FILE *file, uint32_t value)
{
	int i;

	for (i = 0; i < 4; i++)
		(void)fputc((int)(value >> (8 * i) & 0xff), file);
}

/* The first channel with output. */
static bool chosen(struct export_out *out, const struct sgr_item *item)
{
	if (item->kind != RECORD_OUT && item->kind != RECORD_ERR)
		return false;
	if (!out->channel)
		out->channel = item->channel;
	return out->channel == item->channel;
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

const struct export_format export_ttyrec = {
	"ttyrec", ttyrec_item, NULL, true, NULL};

static void raw_item(struct export_out *out, const struct sgr_item *item)
{
	if (chosen(out, item))
		(void)fwrite(item->data, 1, item->len, out->file);
}

const struct export_format export_raw = {"raw", raw_item, NULL, true, NULL};

static void script_start(struct export_out *out)
{
	char id[SGR_ID_TEXT];

	if (ftell(out->file))
		return;
	sgr_id_text(out->scan->header.rec_id, id);
	(void)fprintf(out->file, "Script started: recording %s\n", id);
}

static void script_item(struct export_out *out, const struct sgr_item *item)
{
	uint64_t *last = out->state;
	uint64_t since;

	if (!chosen(out, item))
		return;
	script_start(out);
	if (!last)
		last = out->state = calloc(1, sizeof(*last));
	if (!last)
		abort();
	since = item->time_us - *last;
	*last = item->time_us;
	(void)fwrite(item->data, 1, item->len, out->file);
	(void)fprintf(out->side, "%" PRIu64 ".%06u %zu\n", since / 1000000,
		(unsigned int)(since % 1000000), item->len);
}

const struct export_format export_script = {
	"script", script_item, script_start, true, ".timing"};
