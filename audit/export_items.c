/*
 * Items as JSON lines, byte-exact (hexadecimal): what other programs and other
 * implementations of the format compare with.
 */
#include <inttypes.h>

#include "core/record.h"

#include "export.h"

static void put_first(struct export_out *out)
{
	if (out->state_number++)
		return;
	/* META is an object of our own writing; it goes in as it is. */
	(void)fprintf(out->file, "{\"meta\": %s}\n", out->meta);
}

static void put_item(struct export_out *out, const struct sgr_item *item)
{
	const char *slug = record_slug(item->kind);
	size_t i;

	put_first(out);
	(void)fprintf(out->file,
		"{\"channel\": %" PRIu64 ", \"us\": %" PRIu64
		", \"kind\": \"%s\", \"hex\": \"",
		item->channel, item->time_us, slug ? slug : "?");
	for (i = 0; i < item->len; i++)
		(void)fprintf(out->file, "%02x", item->data[i]);
	(void)fputs("\"}\n", out->file);
}

static void put_end(struct export_out *out)
{
	put_first(out);
	(void)fprintf(out->file, "{\"end\": \"%s\"}\n",
		out->scan->verdict == SGR_INTACT	 ? "intact"
		: out->scan->verdict == SGR_IS_RECOVERED ? "recovered"
		: out->scan->verdict == SGR_ALTERED	 ? "altered"
							 : "open");
}

const struct export_format export_items = {"items", put_item, put_end};
