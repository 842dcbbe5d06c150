/*
 * The texts of a recording. Lines that the emulator wrapped are put together;
 * raw lines are cut at line feeds, wherever the items were cut. Of a line that
 * is longer than a piece, each piece begins with the end of the one before, so
 * that what is searched for is in one of them.
 */
#include "texts.h"

#include <stdlib.h>
#include <string.h>

#include "core/record.h"

#include "channels.h"
#include "utf8.h"
#include "view.h"

#define LINE_MAX_LEN 16384
#define OVERLAP	     1024 /* more than one may search for */

struct texts {
	text_sink sink;
	void *data;
	uint64_t now_us, channel;
	struct buf line, apart; /* in the text's order, and out of it */
};

struct texts *texts_new(text_sink sink, void *data)
{
	struct texts *texts = calloc(1, sizeof(*texts));

	if (!texts)
		return NULL;
	texts->sink = sink;
	texts->data = data;
	buf_init(&texts->line, LINE_MAX_LEN + 65536);
	buf_init(&texts->apart, LINE_MAX_LEN + 65536);
	return texts;
}

void texts_free(struct texts *texts)
{
	if (!texts)
		return;
	buf_done(&texts->line);
	buf_done(&texts->apart);
	free(texts);
}

static void deliver(struct texts *texts, const char *where, const char *text)
{
	struct found_text found = {.time_us = texts->now_us,
		.channel = texts->channel,
		.where = where,
		.text = text};

	if (*text)
		texts->sink(texts->data, &found);
}

static void deliver_bytes(
	struct texts *texts, const char *where, const uint8_t *data, size_t len)
{
	struct buf text;

	buf_init(&text, 4 * len + 64);
	utf8_clean(data, len, &text);
	buf_put_u8(&text, 0);
	if (!buf_error(&text))
		deliver(texts, where, (const char *)text.data);
	buf_done(&text);
}

/* Leaves the end of what was delivered, from where a character begins. */
static void keep_overlap(struct buf *line)
{
	size_t at = line->len - OVERLAP;

	while (at < line->len && (line->data[at] & 0xc0) == 0x80)
		at++;
	memmove(line->data, line->data + at, line->len - at);
	line->len -= at;
}

static void deliver_line(struct texts *texts, struct buf *line)
{
	buf_put_u8(line, 0);
	if (!buf_error(line))
		deliver(texts, "screen", (const char *)line->data);
}

static void on_line(
	void *data, const char *text, size_t len, unsigned int flags)
{
	struct texts *texts = data;
	struct buf *line = flags & EMULATOR_APART ? &texts->apart
						  : &texts->line;

	buf_put(line, text, len);
	if (!(flags & EMULATOR_WRAPPED)) {
		deliver_line(texts, line);
		buf_reset(line);
	} else if (line->len >= LINE_MAX_LEN) {
		deliver_line(texts, line);
		if (buf_error(line)) {
			buf_reset(line);
			return;
		}
		line->len--;
		keep_overlap(line);
	}
}

/* What ends in the middle of a line. */
static void end_lines(struct texts *texts)
{
	deliver_line(texts, &texts->line);
	deliver_line(texts, &texts->apart);
	buf_reset(&texts->line);
	buf_reset(&texts->apart);
}

void texts_handler(struct texts *texts, struct emulator_handler *handler)
{
	*handler = (struct emulator_handler){.data = texts, .line = on_line};
}

static void raw_bytes(struct texts *texts, const struct sgr_item *item)
{
	const uint8_t *at = item->data, *end = at + item->len, *stop;
	struct buf *line = &texts->line;

	while (at < end) {
		size_t room = LINE_MAX_LEN - line->len, len;

		stop = memchr(at, '\n', (size_t)(end - at));
		len = (size_t)((stop ? stop : end) - at);
		buf_put(line, at, len < room ? len : room);
		at += len < room ? len : room;
		if (at == end)
			return;
		deliver_bytes(texts, "raw", line->data, line->len);
		if (*at == '\n')
			buf_reset(line);
		else
			keep_overlap(line);
		at += *at == '\n';
	}
}

static bool is_text(unsigned int kind)
{
	return kind == RECORD_EXEC || kind == RECORD_SUBSYSTEM ||
	       kind == RECORD_FILE || kind == RECORD_FILE_OP ||
	       kind == RECORD_FORWARD || kind == RECORD_REFUSED ||
	       kind == RECORD_NOTE || kind == RECORD_ENV;
}

/* One channel after the other, on one screen. */
struct reading {
	struct texts *texts;
	struct view view;
};

static enum sgb_err begin_channel(void *data, uint64_t id)
{
	struct reading *reading = data;
	struct texts *texts = reading->texts;

	texts->channel = id;
	reading->view.channel = id;
	reading->view.has_pty = false;
	return reading->view.emulator ? emulator_clear(reading->view.emulator)
				      : SGB_OK;
}

static enum sgb_err take_item(void *data, const struct sgr_item *item)
{
	struct reading *reading = data;
	bool shown;

	reading->texts->now_us = item->time_us;
	if (reading->view.emulator)
		return view_item(&reading->view, item, &shown);
	if (item->kind == RECORD_OUT || item->kind == RECORD_ERR)
		raw_bytes(reading->texts, item);
	return SGB_OK;
}

static enum sgb_err end_channel(void *data)
{
	struct reading *reading = data;
	struct texts *texts = reading->texts;
	enum sgb_err err;

	if (!reading->view.emulator) {
		deliver_bytes(texts, "raw", texts->line.data, texts->line.len);
		buf_reset(&texts->line);
		return SGB_OK;
	}
	err = emulator_lines(reading->view.emulator);
	end_lines(texts);
	return err;
}

enum sgb_err texts_run(struct texts *texts, struct audit *audit, int fd,
	struct evidence *evidence, struct emulator *emulator)
{
	struct reading reading = {texts, {.emulator = emulator}};
	const struct channels_reader reader = {
		&reading, begin_channel, take_item, end_channel};
	struct channels channels = {0};
	struct sgr_item item;
	enum sgb_err err;

	texts->now_us = texts->channel = 0;
	deliver(texts, "meta", evidence_meta(evidence));
	while (!evidence_next(evidence, &item)) {
		channels_note_output(&channels, &item);
		texts->now_us = item.time_us;
		texts->channel = item.channel;
		if (is_text(item.kind))
			deliver_bytes(texts, record_slug(item.kind), item.data,
				item.len);
	}
	buf_reset(&texts->line);
	buf_reset(&texts->apart);
	err = emulator ? emulator_reset(emulator) : SGB_OK;
	if (!err)
		err = channels_run(&channels, audit, fd, &reader);
	/* What was there when the emulator was given up. */
	if (emulator)
		end_lines(texts);
	channels_done(&channels);
	return err;
}
