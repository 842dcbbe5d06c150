/*
 * The parsers of foreign recordings. What they hand over is in order of time,
 * of a kind that may be imported, and no longer than an item may be.
 */
#include <stdlib.h>
#include <string.h>

#include "../../audit/import.h"

struct seen {
	uint64_t last_us;
	const uint8_t *sum;
};

static void on_item(void *data, enum record_kind kind, uint64_t time_us,
	const void *bytes, size_t len)
{
	struct seen *seen = data;
	const uint8_t *at = bytes;

	if (time_us < seen->last_us || len > IMPORT_ITEM_MAX)
		abort();
	if (kind != RECORD_OUT && kind != RECORD_IN && kind != RECORD_PTY &&
		kind != RECORD_RESIZE && kind != RECORD_NOTE &&
		kind != RECORD_EXIT)
		abort();
	if (kind == RECORD_EXIT && len != 4)
		abort();
	while (len)
		if (at[--len] == 1)
			seen->sum = at;
	seen->last_us = time_us;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct import_info info;
	struct seen seen = {0};

	if (import_parse(data, len, on_item, &seen, &info) && !*info.why)
		abort();
	return 0;
}
