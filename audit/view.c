/* A channel on the emulator's screen. */
#include "view.h"

#include <string.h>

#include "core/record.h"

static uint32_t u32_at(const struct sgr_item *item, size_t offset)
{
	struct reader rd;

	if (item->len < offset + 4)
		return 0;
	reader_init(&rd, item->data + offset, 4);
	return reader_u32(&rd);
}

static enum sgb_err set_size(struct view *view, const struct sgr_item *item)
{
	return emulator_resize(
		view->emulator, u32_at(item, 0), u32_at(item, 4));
}

/* Without a terminal nobody turned LF into CR LF. */
static enum sgb_err feed_plain(
	struct view *view, const uint8_t *data, size_t len)
{
	struct buf out;
	enum sgb_err err;
	size_t i;

	buf_init(&out, 2 * len + 16);
	for (i = 0; i < len; i++) {
		if (data[i] == '\n')
			buf_put_u8(&out, '\r');
		buf_put_u8(&out, data[i]);
	}
	err = buf_error(&out);
	if (!err)
		err = emulator_feed(view->emulator, out.data, out.len);
	buf_done(&out);
	return err;
}

enum sgb_err view_item(
	struct view *view, const struct sgr_item *item, bool *ret_shown)
{
	bool output = item->kind == RECORD_OUT || item->kind == RECORD_ERR;

	*ret_shown = false;
	if (!view->channel && (output || item->kind == RECORD_PTY))
		view->channel = item->channel;
	if (item->channel != view->channel)
		return SGB_OK;
	*ret_shown = output || item->kind == RECORD_RESIZE;
	if (item->kind == RECORD_PTY) {
		view->has_pty = true;
		return set_size(view, item);
	}
	if (item->kind == RECORD_RESIZE)
		return set_size(view, item);
	if (!output)
		return SGB_OK;
	return view->has_pty
		       ? emulator_feed(view->emulator, item->data, item->len)
		       : feed_plain(view, item->data, item->len);
}
