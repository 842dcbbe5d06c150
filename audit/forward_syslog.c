/*
 * RFC 5424 messages. The header has its own alphabet (printable ASCII) and its
 * own limits: a value that does not fit them is "-", never bent. MSG is the
 * line of the trail, byte for byte, unless a limit cuts it, which is then
 * stated.
 */
#include <inttypes.h>
#include <string.h>

#include "forward_line.h"

static const char bom[] = "\xef\xbb\xbf";

/* "2026-11-23T14:00:00.123Z": what RFC 5424, section 6.2.3 takes. */
static bool good_time(const struct forward_value *value)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	size_t i, digits;

	if (!value->at || value->len < sizeof(form))
		return false;
	for (i = 0; i < sizeof(form) - 1; i++)
		if (form[i] == 'd' ? value->at[i] < '0' || value->at[i] > '9'
				   : value->at[i] != form[i])
			return false;
	if (value->at[i] == '.') {
		for (digits = 0; ++i < value->len && value->at[i] >= '0' &&
				 value->at[i] <= '9';)
			digits++;
		if (!digits || digits > 6)
			return false;
	}
	return i == value->len - 1 && value->at[i] == 'Z';
}

static void put_word(struct buf *out, const char *at, size_t len, size_t max)
{
	size_t i;

	for (i = 0; at && i < len; i++)
		if (at[i] <= 0x20 || at[i] >= 0x7f)
			at = NULL;
	if (at && len && len <= max)
		buf_put(out, at, len);
	else
		buf_put_u8(out, '-');
}

/* A PARAM-VALUE: UTF-8 with ", \ and ] escaped (section 6.3.3). */
static void put_param(
	struct buf *out, const char *name, const char *at, size_t len)
{
	size_t i;

	buf_printf(out, " %s=\"", name);
	for (i = 0; i < len; i++) {
		if (strchr("\"\\]", at[i]) && at[i])
			buf_put_u8(out, '\\');
		buf_put_u8(out, (uint8_t)at[i]);
	}
	buf_put_u8(out, '"');
}

static void put_data(const struct forward_dest *dest,
	const struct forward_line *line, size_t cut, struct buf *out)
{
	const struct forward_value *conn = &line->fields[FIELD_CONN];
	char hex[2 * SUITE_HASH_LEN + 1];

	buf_printf(out, "[%s", dest->sd_id);
	if (line->chained) {
		suite_hex(line->chain.hash, SUITE_HASH_LEN, hex);
		buf_printf(out, " seq=\"%" PRIu64 "\"", line->chain.seq);
		put_param(
			out, "writer", line->chain.writer, JOURNAL_WRITER_LEN);
		put_param(out, "head", hex, 2 * SUITE_HASH_LEN);
	} else {
		buf_printf(out, " first=\"%" PRIu64 "\" last=\"%" PRIu64 "\"",
			line->gap_first, line->gap_last);
	}
	if (conn->at)
		put_param(out, "session", conn->at,
			conn->len > 64 ? 64 : conn->len);
	if (cut)
		buf_printf(out, " cut=\"%zu\"", line->len);
	buf_put_u8(out, ']');
}

static void put_header(const struct forward_dest *dest, const char *host,
	const struct forward_line *line, size_t cut, struct buf *out)
{
	const struct forward_value *when = &line->fields[FIELD_TIME];
	const struct forward_value *event = &line->fields[FIELD_EVENT];

	buf_printf(out, "<%u>1 ", dest->facility * 8 + forward_severity(line));
	if (good_time(when))
		buf_put(out, when->at, when->len);
	else
		buf_put_u8(out, '-');
	buf_put_u8(out, ' ');
	put_word(out, host, strlen(host), 64);
	buf_printf(out, " sgbridge - ");
	put_word(out, event->at, event->len, 32);
	buf_put_u8(out, ' ');
	put_data(dest, line, cut, out);
	buf_put_u8(out, ' ');
}

/* Section 6.4: text beyond ASCII is UTF-8, and says so by a BOM. What is ASCII
 * needs none, and parsers of JSON are happier. */
static bool wants_bom(const struct forward_line *line)
{
	size_t i;

	for (i = 0; i < line->len; i++)
		if ((unsigned char)line->text[i] >= 0x80)
			return true;
	return false;
}

/* As much as there is room for, between characters. */
static size_t fitting(const struct forward_line *line, size_t room)
{
	size_t len = line->len;

	if (len <= room)
		return len;
	for (len = room;
		len && ((unsigned char)line->text[len] & 0xc0) == 0x80;)
		len--;
	return len;
}

enum sgb_err forward_syslog(const struct forward_dest *dest, const char *host,
	const struct forward_line *line, struct buf *out, size_t *ret_cut)
{
	size_t mark = wants_bom(line) ? sizeof(bom) - 1 : 0;
	size_t start = out->len, used, len = line->len;

	put_header(dest, host, line, 0, out);
	*ret_cut = 0;
	used = out->len - start + mark;
	if (!buf_error(out) && dest->max_message &&
		used + len > dest->max_message) {
		out->len = start;
		put_header(dest, host, line, len, out);
		used = out->len - start + mark;
		len = fitting(line, used < dest->max_message
					    ? dest->max_message - used
					    : 0);
		*ret_cut = line->len - len;
	}
	buf_put(out, bom, mark);
	buf_put(out, line->text, len);
	return buf_error(out);
}

enum sgb_err forward_frame(const struct buf *message, struct buf *out)
{
	buf_printf(out, "%zu ", message->len);
	buf_put(out, message->data, message->len);
	return buf_error(out);
}
