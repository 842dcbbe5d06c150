/* UTF-8 out of raw bytes (RFC 3629). */
#include "utf8.h"

#include <string.h>

/* Length that a first byte announces; 0 if it can't be one. */
static size_t announced(uint8_t byte)
{
	if (byte < 0x80)
		return 1;
	if (byte >= 0xc2 && byte < 0xe0)
		return 2;
	if (byte >= 0xe0 && byte < 0xf0)
		return 3;
	return byte >= 0xf0 && byte < 0xf5 ? 4 : 0;
}

/* Could these bytes be the start of a character, or one? Overlong forms,
 * surrogates and what is beyond the last code point show in the second. */
static int well_begun(const uint8_t *bytes, size_t count)
{
	size_t i;

	if (count < 2)
		return 1;
	if ((bytes[0] == 0xe0 && bytes[1] < 0xa0) ||
		(bytes[0] == 0xed && bytes[1] >= 0xa0) ||
		(bytes[0] == 0xf0 && bytes[1] < 0x90) ||
		(bytes[0] == 0xf4 && bytes[1] >= 0x90))
		return 0;
	for (i = 1; i < count; i++)
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
	return 1;
}

int utf8_printable(uint32_t code)
{
	if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code > 0x10ffff)
		return 0;
	if (code == 0xad || code == 0x61c || code == 0x180e || code == 0xfeff)
		return 0;
	if ((code >= 0x200b && code <= 0x200f) ||
		(code >= 0x2028 && code <= 0x202e) ||
		(code >= 0x2060 && code <= 0x206f) ||
		(code >= 0xfff9 && code <= 0xfffb))
		return 0;
	return code < 0xd800 || code >= 0xe000;
}

static uint32_t decode(const uint8_t *bytes, size_t count)
{
	uint32_t code = count == 1 ? bytes[0] : bytes[0] & (0x7fU >> count);
	size_t i;

	for (i = 1; i < count; i++)
		code = code << 6 | (bytes[i] & 0x3fU);
	return code;
}

/* Most of what is shown. */
static size_t plain_length(const uint8_t *data, size_t len)
{
	size_t i = 0;

	while (i < len && data[i] >= 0x20 && data[i] < 0x7f)
		i++;
	return i;
}

void utf8_clean(const uint8_t *data, size_t len, struct buf *out)
{
	struct utf8_joiner joiner = {{0}, 0};
	struct buf text;
	size_t i, count;

	buf_init(&text, 4 * len + 16);
	utf8_join(&joiner, data, len, &text);
	for (i = 0; !buf_error(&text) && i < text.len; i += count) {
		uint32_t code;

		count = plain_length(text.data + i, text.len - i);
		if (count) {
			buf_put(out, text.data + i, count);
			continue;
		}
		count = announced(text.data[i]);
		code = decode(text.data + i, count);
		utf8_put(out, utf8_printable(code) ? code : 0xfffd);
	}
	buf_done(&text);
}

static void replace(struct utf8_joiner *joiner, struct buf *out)
{
	buf_put(out, "\xef\xbf\xbd", 3);
	joiner->count = 0;
}

static void join_byte(struct utf8_joiner *joiner, uint8_t byte, struct buf *out)
{
	joiner->held[joiner->count++] = byte;
	if (!announced(joiner->held[0])) {
		replace(joiner, out);
		return;
	}
	if (!well_begun(joiner->held, joiner->count)) {
		/* What was held is broken; this byte may begin anew. */
		replace(joiner, out);
		join_byte(joiner, byte, out);
		return;
	}
	if (joiner->count == announced(joiner->held[0])) {
		buf_put(out, joiner->held, joiner->count);
		joiner->count = 0;
	}
}

void utf8_join(struct utf8_joiner *joiner, const uint8_t *data, size_t len,
	struct buf *out)
{
	size_t i = 0, plain;

	while (i < len) {
		plain = joiner->count ? 0 : plain_length(data + i, len - i);
		if (plain)
			buf_put(out, data + i, plain);
		else
			join_byte(joiner, data[i], out);
		i += plain ? plain : 1;
	}
}

/* C1 and what turns a line's direction would act where the JSON is shown. */
static size_t put_json_wide(struct buf *out, const uint8_t *text, size_t len)
{
	size_t count = announced(text[0]);
	uint32_t code = count && count <= len ? decode(text, count) : 0xfffd;

	if (!count || count > len)
		count = 1;
	if (utf8_printable(code))
		utf8_put(out, code);
	else if (code < 0x10000)
		buf_printf(out, "\\u%04x", (unsigned int)code);
	else
		buf_printf(out, "\\u%04x\\u%04x",
			(unsigned int)(0xd800 + ((code - 0x10000) >> 10)),
			(unsigned int)(0xdc00 + (code & 0x3ff)));
	return count;
}

void utf8_put_json(struct buf *out, const char *text, size_t len)
{
	size_t i;

	buf_put_u8(out, '"');
	for (i = 0; i < len; i++) {
		uint8_t c = (uint8_t)text[i];

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f || c == '<')
			buf_printf(out, "\\u%04x", c);
		else if (c < 0x80)
			buf_put_u8(out, c);
		else
			i += put_json_wide(
				     out, (const uint8_t *)text + i, len - i) -
			     1;
	}
	buf_put_u8(out, '"');
}

void utf8_put(struct buf *out, uint32_t code)
{
	if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		code = 0xfffd;
	if (code < 0x80) {
		buf_put_u8(out, (uint8_t)code);
	} else if (code < 0x800) {
		buf_put_u8(out, (uint8_t)(0xc0 | code >> 6));
		buf_put_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
	} else if (code < 0x10000) {
		buf_put_u8(out, (uint8_t)(0xe0 | code >> 12));
		buf_put_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
		buf_put_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
	} else {
		buf_put_u8(out, (uint8_t)(0xf0 | code >> 18));
		buf_put_u8(out, (uint8_t)(0x80 | (code >> 12 & 0x3f)));
		buf_put_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
		buf_put_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
	}
}
