/*
 * Items as JSON lines, byte-exact (hexadecimal): what other programs and other
 * implementations of the format compare with.
 */
#include <inttypes.h>
#include <stdlib.h>

#include <jansson.h>

#include "core/record.h"

#include "audit.h"
#include "export.h"

static void put_first(struct export_out *out)
{
	json_t *root;
	char *text;

	if (out->state_number++)
		return;
	/* Whoever holds a recorder's key may have written it otherwise. */
	root = json_loads(out->meta, JSON_REJECT_DUPLICATES, NULL);
	text = json_is_object(root)
		       ? json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII)
		       : NULL;
	(void)fputs("{\"meta\": ", out->file);
	print_dump(out->file, text ? text : "null");
	(void)fputs("}\n", out->file);
	free(text);
	json_decref(root);
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

const struct export_format export_items = {
	"items", put_item, put_end, false, NULL};
