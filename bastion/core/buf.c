/*
 * Buffers and readers: the only place that touches lengths of foreign bytes
 * by hand. Trusts nothing about the bytes; allocates no more than the limit.
 */
#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#define BUF_FIRST 256

void buf_init(struct buf *buf, size_t max)
{
	memset(buf, 0, sizeof(*buf));
	buf->max = max;
}

void buf_done(struct buf *buf)
{
	if (buf->data)
		OPENSSL_cleanse(buf->data, buf->cap);
	free(buf->data);
	memset(buf, 0, sizeof(*buf));
}

void buf_reset(struct buf *buf)
{
	buf->len = 0;
	buf->err = SGB_OK;
}

char *buf_take(struct buf *buf)
{
	uint8_t *data;

	buf_put_u8(buf, 0);
	if (buf->err)
		return NULL;
	data = buf->data;
	buf_init(buf, buf->max);
	return (char *)data;
}

/* realloc would leave old content behind: buffers may hold secrets. */
static enum sgb_err buf_grow(struct buf *buf, size_t need)
{
	size_t cap = buf->cap ? buf->cap : BUF_FIRST;
	uint8_t *data;

	while (cap < need)
		cap = cap > buf->max / 2 ? buf->max : cap * 2;
	data = malloc(cap);
	if (!data)
		return SGB_ERR_NOMEM;
	if (buf->data) {
		memcpy(data, buf->data, buf->len);
		OPENSSL_cleanse(buf->data, buf->cap);
		free(buf->data);
	}
	buf->data = data;
	buf->cap = cap;
	return SGB_OK;
}

uint8_t *buf_extend(struct buf *buf, size_t len)
{
	uint8_t *room;

	if (buf->err)
		return NULL;
	if (len > buf->max || buf->len > buf->max - len) {
		buf->err = SGB_ERR_LIMIT;
		return NULL;
	}
	if (buf->len + len > buf->cap || !buf->data) {
		buf->err = buf_grow(buf, buf->len + len);
		if (buf->err)
			return NULL;
	}
	room = buf->data + buf->len;
	buf->len += len;
	return room;
}

void buf_consume(struct buf *buf, size_t len)
{
	if (len > buf->len)
		len = buf->len;
	if (!len)
		return;
	memmove(buf->data, buf->data + len, buf->len - len);
	buf->len -= len;
}

void buf_put(struct buf *buf, const void *data, size_t len)
{
	uint8_t *room = buf_extend(buf, len);

	if (room && len)
		memcpy(room, data, len);
}

static void put_int(struct buf *buf, uint64_t value, size_t size, int little)
{
	uint8_t *room = buf_extend(buf, size);
	size_t i;

	if (!room)
		return;
	for (i = 0; i < size; i++) {
		size_t shift = 8 * (little ? i : size - 1 - i);

		room[i] = (uint8_t)(value >> shift);
	}
}

void buf_put_u8(struct buf *buf, uint8_t value)
{
	put_int(buf, value, 1, 0);
}

void buf_put_u16(struct buf *buf, uint16_t value)
{
	put_int(buf, value, 2, 0);
}

void buf_put_u32(struct buf *buf, uint32_t value)
{
	put_int(buf, value, 4, 0);
}

void buf_put_u64(struct buf *buf, uint64_t value)
{
	put_int(buf, value, 8, 0);
}

void buf_put_le16(struct buf *buf, uint16_t value)
{
	put_int(buf, value, 2, 1);
}

void buf_put_le32(struct buf *buf, uint32_t value)
{
	put_int(buf, value, 4, 1);
}

void buf_put_le64(struct buf *buf, uint64_t value)
{
	put_int(buf, value, 8, 1);
}

void buf_put_string(struct buf *buf, const void *data, size_t len)
{
	if (len > UINT32_MAX) {
		if (!buf->err)
			buf->err = SGB_ERR_LIMIT;
		return;
	}
	buf_put_u32(buf, (uint32_t)len);
	buf_put(buf, data, len);
}

void buf_put_cstring(struct buf *buf, const char *text)
{
	buf_put_string(buf, text, text ? strlen(text) : 0);
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
	va_list args;
	uint8_t *room;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0) {
		if (!buf->err)
			buf->err = SGB_ERR_FORMAT;
		return;
	}
	/* vsnprintf wants room for its NUL, which is then taken back. */
	room = buf_extend(buf, (size_t)len + 1);
	if (!room)
		return;
	va_start(args, fmt);
	(void)vsnprintf((char *)room, (size_t)len + 1, fmt, args);
	va_end(args);
	buf->len--;
}

enum sgb_err buf_error(const struct buf *buf)
{
	return buf->err;
}

void reader_init(struct reader *rd, const void *data, size_t len)
{
	rd->data = data;
	rd->left = len;
	rd->err = SGB_OK;
}

const uint8_t *reader_bytes(struct reader *rd, size_t len)
{
	const uint8_t *at = rd->data;

	if (rd->err)
		return NULL;
	if (len > rd->left) {
		rd->err = SGB_ERR_FORMAT;
		return NULL;
	}
	if (len) {
		rd->data += len;
		rd->left -= len;
	}
	return at;
}

static uint64_t get_int(struct reader *rd, size_t size, int little)
{
	const uint8_t *at = reader_bytes(rd, size);
	uint64_t value = 0;
	size_t i;

	if (!at)
		return 0;
	for (i = 0; i < size; i++)
		value = value << 8 | at[little ? size - 1 - i : i];
	return value;
}

uint8_t reader_u8(struct reader *rd)
{
	return (uint8_t)get_int(rd, 1, 0);
}

uint16_t reader_u16(struct reader *rd)
{
	return (uint16_t)get_int(rd, 2, 0);
}

uint32_t reader_u32(struct reader *rd)
{
	return (uint32_t)get_int(rd, 4, 0);
}

uint64_t reader_u64(struct reader *rd)
{
	return get_int(rd, 8, 0);
}

uint16_t reader_le16(struct reader *rd)
{
	return (uint16_t)get_int(rd, 2, 1);
}

uint32_t reader_le32(struct reader *rd)
{
	return (uint32_t)get_int(rd, 4, 1);
}

uint64_t reader_le64(struct reader *rd)
{
	return get_int(rd, 8, 1);
}

const uint8_t *reader_string(struct reader *rd, size_t *ret_len)
{
	uint32_t len = reader_u32(rd);
	const uint8_t *at = reader_bytes(rd, len);

	*ret_len = at ? len : 0;
	return at;
}

bool reader_is(struct reader *rd, const void *want, size_t len)
{
	size_t got;
	const uint8_t *at = reader_string(rd, &got);

	return !rd->err && got == len && (!len || !memcmp(at, want, len));
}

bool reader_is_text(struct reader *rd, const char *want)
{
	return reader_is(rd, want, strlen(want));
}

char *reader_cstring(struct reader *rd, size_t max)
{
	size_t len;
	const uint8_t *at = reader_string(rd, &len);
	char *text;

	if (!at && rd->err)
		return NULL;
	if (len > max || (len && memchr(at, '\0', len))) {
		rd->err = SGB_ERR_FORMAT;
		return NULL;
	}
	text = malloc(len + 1);
	if (!text) {
		rd->err = SGB_ERR_NOMEM;
		return NULL;
	}
	if (len)
		memcpy(text, at, len);
	text[len] = '\0';
	return text;
}

enum sgb_err reader_end(const struct reader *rd)
{
	if (rd->err)
		return rd->err;
	return rd->left ? SGB_ERR_FORMAT : SGB_OK;
}
