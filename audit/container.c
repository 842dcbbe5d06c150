/*
 * Layout of the recording container, shared by writer and readers. Holds no
 * keys and no state.
 */
#include "container.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/secret.h"

void sgr_head_put(const struct sgr_head *head, uint8_t ret[SGR_HEAD_LEN])
{
	size_t i;

	ret[0] = head->type;
	ret[1] = head->flags;
	ret[2] = ret[3] = 0;
	for (i = 0; i < 4; i++) {
		ret[4 + i] = (uint8_t)(head->segment >> (8 * i));
		ret[8 + i] = (uint8_t)(head->index >> (8 * i));
		ret[12 + i] = (uint8_t)(head->len >> (8 * i));
	}
}

bool sgr_type_encrypted(unsigned int type)
{
	return type >= 0x40;
}

static bool type_allows(const struct sgr_head *head)
{
	if (head->len > SGR_BODY_MAX)
		return false;
	if (sgr_type_encrypted(head->type))
		return head->type < 0x80 && head->len >= SUITE_TAG_LEN &&
		       !(head->flags & ~(SGR_ZSTD | SGR_PADDED | SGR_INPUT));
	if (head->flags)
		return false;
	switch (head->type) {
	case SGR_CHECKPOINT: return head->len == SGR_CHECKPOINT_LEN;
	case SGR_CLOSE: return head->len == SGR_CLOSE_LEN;
	case SGR_RECOVERED: return head->len == SGR_RECOVERED_LEN;
	default: return head->type > SGR_CHECKPOINT && head->type < SGR_CLOSE;
	}
}

bool sgr_head_get(const uint8_t bytes[SGR_HEAD_LEN], struct sgr_head *ret)
{
	struct reader rd;

	reader_init(&rd, bytes, SGR_HEAD_LEN);
	ret->type = reader_u8(&rd);
	ret->flags = reader_u8(&rd);
	if (reader_le16(&rd))
		return false;
	ret->segment = reader_le32(&rd);
	ret->index = reader_le32(&rd);
	ret->len = reader_le32(&rd);
	return type_allows(ret);
}

enum sgb_err sgr_link_first(
	const void *data, size_t len, uint8_t ret[SUITE_HASH_LEN])
{
	struct iovec part = {(void *)data, len};

	return suite_sha256(&part, 1, ret);
}

enum sgb_err sgr_link_next(uint8_t link[SUITE_HASH_LEN],
	const uint8_t head[SGR_HEAD_LEN], const uint8_t *body, size_t len)
{
	uint8_t inner[SUITE_HASH_LEN];
	struct iovec frame[2] = {
		{(void *)head, SGR_HEAD_LEN},
		{(void *)body, len},
	};
	struct iovec outer[2] = {
		{link, SUITE_HASH_LEN},
		{inner, sizeof(inner)},
	};
	enum sgb_err err = suite_sha256(frame, 2, inner);

	return err ? err : suite_sha256(outer, 2, link);
}

void sgr_aad(const uint8_t rec_id[SGR_ID_LEN], const uint8_t head[SGR_HEAD_LEN],
	const uint8_t link[SUITE_HASH_LEN], uint8_t ret[SGR_AAD_LEN])
{
	memcpy(ret, rec_id, SGR_ID_LEN);
	memcpy(ret + SGR_ID_LEN, head, SGR_HEAD_LEN);
	memcpy(ret + SGR_ID_LEN + SGR_HEAD_LEN, link, SUITE_HASH_LEN);
}

void sgr_nonce(uint32_t index, uint8_t ret[SUITE_NONCE_LEN])
{
	size_t i;

	memset(ret, 0, SUITE_NONCE_LEN);
	for (i = 0; i < 4; i++)
		ret[8 + i] = (uint8_t)(index >> (8 * i));
}

enum sgb_err sgr_signed_bytes(const uint8_t rec_id[SGR_ID_LEN],
	const uint8_t head[SGR_HEAD_LEN], const uint8_t link[SUITE_HASH_LEN],
	const uint8_t *body, size_t len, struct buf *out)
{
	static const char domain[] = "SGR1 signed frame"; /* with its NUL */

	if (len < SUITE_SIG_LEN)
		return SGB_ERR_FORMAT;
	buf_put(out, domain, sizeof(domain));
	buf_put(out, rec_id, SGR_ID_LEN);
	buf_put(out, head, SGR_HEAD_LEN);
	buf_put(out, link, SUITE_HASH_LEN);
	buf_put(out, body, len - SUITE_SIG_LEN);
	return buf_error(out);
}

void sgr_put_varint(struct buf *out, uint64_t value)
{
	uint8_t bytes[10];
	size_t len = 0;

	do {
		bytes[len] = (uint8_t)(value & 0x7f);
		value >>= 7;
		if (value)
			bytes[len] |= 0x80;
		len++;
	} while (value);
	buf_put(out, bytes, len);
}

uint64_t sgr_get_varint(struct reader *rd)
{
	uint64_t value = 0;
	unsigned int shift;

	for (shift = 0; shift < 64; shift += 7) {
		uint8_t byte = reader_u8(rd);

		if (shift == 63 && byte > 1)
			break;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		if (!byte && shift)
			break; /* not the shortest form */
		return rd->err ? 0 : value;
	}
	if (!rd->err)
		rd->err = SGB_ERR_FORMAT;
	return 0;
}

enum sgb_err sgr_id_new(uint64_t wall_ns, uint8_t ret[SGR_ID_LEN])
{
	uint64_t ms = wall_ns / 1000000;
	enum sgb_err err = secret_random(ret, SGR_ID_LEN);
	size_t i;

	for (i = 0; i < 6; i++)
		ret[i] = (uint8_t)(ms >> (8 * (5 - i)));
	ret[6] = (uint8_t)(0x70 | (ret[6] & 0x0f));
	ret[8] = (uint8_t)(0x80 | (ret[8] & 0x3f));
	return err;
}

void sgr_id_text(const uint8_t id[SGR_ID_LEN], char ret[SGR_ID_TEXT])
{
	char hex[2 * SGR_ID_LEN + 1];

	suite_hex(id, SGR_ID_LEN, hex);
	(void)snprintf(ret, SGR_ID_TEXT, "%.8s-%.4s-%.4s-%.4s-%.12s", hex,
		hex + 8, hex + 12, hex + 16, hex + 20);
}

enum sgb_err sgr_id_parse(const char *text, uint8_t ret[SGR_ID_LEN])
{
	char hex[2 * SGR_ID_LEN], again[SGR_ID_TEXT];
	uint8_t id[SGR_ID_LEN];
	size_t i, len = 0;

	if (strlen(text) != SGR_ID_TEXT - 1)
		return SGB_ERR_FORMAT;
	for (i = 0; text[i]; i++) {
		if (text[i] == '-')
			continue;
		if (len == sizeof(hex))
			return SGB_ERR_FORMAT;
		hex[len++] = text[i];
	}
	if (len != sizeof(hex) || suite_unhex(hex, len, id))
		return SGB_ERR_FORMAT;
	sgr_id_text(id, again);
	if (strcmp(again, text) != 0)
		return SGB_ERR_FORMAT;
	memcpy(ret, id, SGR_ID_LEN);
	return SGB_OK;
}

void sgr_path(const uint8_t id[SGR_ID_LEN], char ret[SGR_PATH_MAX])
{
	char text[SGR_ID_TEXT];
	time_t seconds;
	uint64_t ms = 0;
	struct tm tm;
	size_t i;

	for (i = 0; i < 6; i++)
		ms = ms << 8 | id[i];
	seconds = (time_t)(ms / 1000);
	sgr_id_text(id, text);
	if (!gmtime_r(&seconds, &tm))
		memset(&tm, 0, sizeof(tm));
	(void)snprintf(ret, SGR_PATH_MAX, "%04d/%02d/%02d/%s.sgr",
		(tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100,
		tm.tm_mday % 100, text);
}
