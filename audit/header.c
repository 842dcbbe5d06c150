/*
 * Header of a recording. The writer's half makes the file key and hands it to
 * the recipients; the reader's half trusts nothing but the length it was given.
 */
#include "header.h"

#include <string.h>

#include <openssl/crypto.h>

#include "core/secret.h"

static void put_tlv(
	struct buf *out, enum sgr_tlv type, const void *data, size_t len)
{
	buf_put_le16(out, (uint16_t)type);
	buf_put_le16(out, (uint16_t)len);
	buf_put(out, data, len);
}

static enum sgb_err put_stanza(struct buf *out,
	const uint8_t rec_id[SGR_ID_LEN], const struct sgr_recipient *to,
	const uint8_t share[SUITE_KEY_LEN])
{
	struct buf stanza;
	enum sgb_err err;

	buf_init(&stanza, 1024);
	err = sgr_stanza_put(to, rec_id, share, &stanza);
	if (!err)
		put_tlv(out, SGR_TLV_STANZA, stanza.data, stanza.len);
	buf_done(&stanza);
	return err;
}

static bool wants_quorum(const struct sgr_header_params *params)
{
	size_t i;

	for (i = 0; i < params->recipient_count; i++)
		if (params->recipients[i].group)
			return true;
	return false;
}

/* One stanza a recipient; with a quorum the second group has the other half. */
static enum sgb_err put_stanzas(struct buf *out,
	const struct sgr_header_params *params,
	const uint8_t file_key[SUITE_KEY_LEN])
{
	uint8_t shares[2][SUITE_KEY_LEN] = {{0}, {0}};
	bool quorum = wants_quorum(params);
	enum sgb_err err = SGB_OK;
	size_t i;

	if (quorum)
		err = secret_random(shares[1], SUITE_KEY_LEN);
	for (i = 0; i < SUITE_KEY_LEN; i++)
		shares[0][i] = file_key[i] ^ shares[1][i];
	for (i = 0; !err && i < params->recipient_count; i++)
		err = put_stanza(out, params->rec_id, &params->recipients[i],
			shares[params->recipients[i].group ? 1 : 0]);
	secret_wipe(shares, sizeof(shares));
	return err;
}

static void put_fields(struct buf *out, const struct sgr_header_params *params,
	const uint8_t writer_id[SUITE_HASH_LEN])
{
	uint8_t number[8];
	size_t i;

	put_tlv(out, SGR_TLV_REC_ID, params->rec_id, SGR_ID_LEN);
	put_tlv(out, SGR_TLV_WRITER_ID, writer_id, SUITE_HASH_LEN);
	put_tlv(out, SGR_TLV_WRITER_NAME, params->writer_name,
		strnlen(params->writer_name, SGR_NAME_MAX - 1));
	for (i = 0; i < 8; i++)
		number[i] = (uint8_t)(params->start_ns >> (8 * i));
	put_tlv(out, SGR_TLV_START_TIME, number, sizeof(number));
	put_tlv(out, SGR_TLV_RETENTION, params->retention,
		strnlen(params->retention, SGR_NAME_MAX - 1));
	put_tlv(out, SGR_TLV_SUITE, "\1\0", 2);
	put_tlv(out, SGR_TLV_PREV_HEAD, params->prev_head, SUITE_HASH_LEN);
	put_tlv(out, SGR_TLV_WRITER_KEY, params->writer_key, SUITE_KEY_LEN);
}

/* HMAC or commitment: both are keyed by the file key and a label. */
static enum sgb_err header_mac(const uint8_t file_key[SUITE_KEY_LEN],
	const void *data, size_t len, uint8_t ret[SUITE_HASH_LEN])
{
	uint8_t key[SUITE_KEY_LEN] = {0};
	enum sgb_err err = suite_expand(file_key, "SGR1 header", 11, key);

	if (!err)
		err = suite_hmac(key, data, len, ret);
	secret_wipe(key, sizeof(key));
	return err;
}

static enum sgb_err put_proofs(
	struct buf *out, const uint8_t file_key[SUITE_KEY_LEN])
{
	uint8_t proof[SUITE_HASH_LEN];
	uint32_t total;
	enum sgb_err err;
	size_t i;

	err = suite_expand(file_key, "SGR1 commit", 11, proof);
	if (err)
		return err;
	put_tlv(out, SGR_TLV_COMMIT, proof, sizeof(proof));
	err = buf_error(out);
	if (err)
		return err;
	/* The length covers the MAC, and the MAC covers the length. */
	total = (uint32_t)(out->len - SGR_PREAMBLE_LEN + 4 + SUITE_HASH_LEN);
	if (total > SGR_HEADER_MAX)
		return SGB_ERR_LIMIT;
	for (i = 0; i < 4; i++)
		out->data[12 + i] = (uint8_t)(total >> (8 * i));
	err = header_mac(file_key, out->data, out->len, proof);
	if (!err)
		put_tlv(out, SGR_TLV_HEADER_MAC, proof, sizeof(proof));
	return err ? err : buf_error(out);
}

enum sgb_err sgr_header_write(const struct sgr_header_params *params,
	struct ratchet *ret, struct buf *out)
{
	uint8_t file_key[SUITE_KEY_LEN] = {0}, writer_id[SUITE_HASH_LEN];
	enum sgb_err err;

	if (!params->recipient_count ||
		params->recipient_count > SGR_RECIPIENTS_MAX || out->len)
		return SGB_ERR_LIMIT;
	buf_put(out, SGR_MAGIC, 8);
	buf_put_u8(out, 1);
	buf_put_u8(out, 0);
	buf_put_le16(out, wants_quorum(params) ? SGR_FLAG_QUORUM : 0);
	buf_put_le32(out, 0);
	err = suite_writer_id(params->writer_key, writer_id);
	if (!err)
		err = secret_random(file_key, sizeof(file_key));
	if (!err) {
		put_fields(out, params, writer_id);
		err = put_stanzas(out, params, file_key);
	}
	if (!err)
		err = put_proofs(out, file_key);
	if (!err)
		err = ratchet_start(ret, params->rec_id, file_key);
	secret_wipe(file_key, sizeof(file_key));
	return err;
}

struct tlv {
	unsigned int type;
	const uint8_t *data;
	size_t len;
};

static enum sgb_err take_exact(const struct tlv *tlv, void *ret, size_t len)
{
	if (tlv->len != len)
		return SGB_ERR_FORMAT;
	memcpy(ret, tlv->data, len);
	return SGB_OK;
}

static enum sgb_err take_text(const struct tlv *tlv, char ret[SGR_NAME_MAX])
{
	if (tlv->len >= SGR_NAME_MAX || memchr(tlv->data, 0, tlv->len))
		return SGB_ERR_FORMAT;
	memcpy(ret, tlv->data, tlv->len);
	ret[tlv->len] = '\0';
	return SGB_OK;
}

static enum sgb_err take_number(
	const struct tlv *tlv, size_t size, uint64_t *ret)
{
	size_t i;

	if (tlv->len != size)
		return SGB_ERR_FORMAT;
	for (*ret = 0, i = size; i-- > 0;)
		*ret = *ret << 8 | tlv->data[i];
	return SGB_OK;
}

static enum sgb_err take_stanza(
	const struct tlv *tlv, struct sgr_header *header)
{
	struct sgr_stanza *stanza = &header->stanzas[header->stanza_count];

	if (header->stanza_count == SGR_RECIPIENTS_MAX ||
		tlv->len < SGR_STANZA_HEAD || tlv->data[1] > 1 ||
		tlv->data[2] || tlv->data[3])
		return SGB_ERR_FORMAT;
	stanza->kind = tlv->data[0];
	stanza->group = tlv->data[1];
	memcpy(stanza->key_id, tlv->data + 4, SGR_KEY_ID_LEN);
	stanza->body = tlv->data + SGR_STANZA_HEAD;
	stanza->len = tlv->len - SGR_STANZA_HEAD;
	header->stanza_count++;
	return SGB_OK;
}

static enum sgb_err take_tlv(const struct tlv *tlv, struct sgr_header *header)
{
	uint64_t suite;
	enum sgb_err err;

	switch (tlv->type) {
	case SGR_TLV_REC_ID: return take_exact(tlv, header->rec_id, SGR_ID_LEN);
	case SGR_TLV_WRITER_ID:
		return take_exact(tlv, header->writer_id, SUITE_HASH_LEN);
	case SGR_TLV_WRITER_KEY:
		return take_exact(tlv, header->writer_key, SUITE_KEY_LEN);
	case SGR_TLV_PREV_HEAD:
		return take_exact(tlv, header->prev_head, SUITE_HASH_LEN);
	case SGR_TLV_WRITER_NAME: return take_text(tlv, header->writer_name);
	case SGR_TLV_RETENTION: return take_text(tlv, header->retention);
	case SGR_TLV_START_TIME: return take_number(tlv, 8, &header->start_ns);
	case SGR_TLV_SUITE:
		err = take_number(tlv, 2, &suite);
		return err ? err : suite == 1 ? SGB_OK : SGB_ERR_UNSUPPORTED;
	case SGR_TLV_STANZA: return take_stanza(tlv, header);
	case SGR_TLV_COMMIT:
		header->commit = tlv->data;
		return tlv->len == SUITE_HASH_LEN ? SGB_OK : SGB_ERR_FORMAT;
	case SGR_TLV_HEADER_MAC:
		header->mac = tlv->data;
		return tlv->len == SUITE_HASH_LEN ? SGB_OK : SGB_ERR_FORMAT;
	default: return tlv->type & 0x8000 ? SGB_ERR_UNSUPPORTED : SGB_OK;
	}
}

/* Exactly once: which of the known fields were seen, as bits. */
static enum sgb_err count_tlv(unsigned int type, uint32_t *seen)
{
	uint32_t bit = type < 32 ? 1U << type : 0;

	if (type == SGR_TLV_STANZA)
		return SGB_OK;
	if (*seen & bit)
		return SGB_ERR_FORMAT;
	*seen |= bit;
	return SGB_OK;
}

static enum sgb_err parse_fields(struct sgr_header *header, struct reader *rd)
{
	const uint32_t needed = 1U << SGR_TLV_REC_ID | 1U << SGR_TLV_WRITER_ID |
				1U << SGR_TLV_START_TIME | 1U << SGR_TLV_SUITE |
				1U << SGR_TLV_WRITER_KEY |
				1U << SGR_TLV_COMMIT | 1U << SGR_TLV_HEADER_MAC;
	enum sgb_err err = SGB_OK;
	uint32_t seen = 0;

	while (!err && rd->left) {
		struct tlv tlv;

		header->mac_at = (size_t)(rd->data - header->raw);
		tlv.type = reader_le16(rd);
		tlv.len = reader_le16(rd);
		tlv.data = reader_bytes(rd, tlv.len);
		/* The MAC is last: nothing may stand behind it unmacked. */
		if (!tlv.data || header->mac)
			return SGB_ERR_FORMAT;
		err = count_tlv(tlv.type, &seen);
		if (!err)
			err = take_tlv(&tlv, header);
	}
	if (!err && ((seen & needed) != needed || !header->mac ||
			    !header->stanza_count))
		err = SGB_ERR_FORMAT;
	return err;
}

enum sgb_err sgr_header_parse(
	const uint8_t *raw, size_t len, struct sgr_header *ret)
{
	uint8_t id[SUITE_HASH_LEN];
	struct reader rd;
	enum sgb_err err;

	memset(ret, 0, sizeof(*ret));
	if (len < SGR_PREAMBLE_LEN || len > SGR_PREAMBLE_LEN + SGR_HEADER_MAX ||
		memcmp(raw, SGR_MAGIC, 8) != 0)
		return SGB_ERR_FORMAT;
	reader_init(&rd, raw + 8, len - 8);
	if (reader_u8(&rd) != 1)
		return SGB_ERR_UNSUPPORTED;
	(void)reader_u8(&rd);
	ret->flags = reader_le16(&rd);
	if (ret->flags & ~SGR_FLAG_QUORUM)
		return SGB_ERR_UNSUPPORTED;
	if (reader_le32(&rd) != len - SGR_PREAMBLE_LEN)
		return SGB_ERR_FORMAT;
	ret->raw = raw;
	ret->raw_len = len;
	err = parse_fields(ret, &rd);
	if (!err)
		err = suite_writer_id(ret->writer_key, id);
	if (!err && memcmp(id, ret->writer_id, sizeof(id)) != 0)
		err = SGB_ERR_CRYPTO;
	return err;
}

static enum sgb_err open_group(const struct sgr_header *header,
	struct identity *const *identities, size_t count, unsigned int group,
	uint8_t ret[SUITE_KEY_LEN])
{
	enum sgb_err err = SGB_ERR_NOTFOUND;
	size_t i, k;

	for (i = 0; i < header->stanza_count; i++) {
		if (header->stanzas[i].group != group)
			continue;
		for (k = 0; k < count; k++) {
			enum sgb_err one = sgr_stanza_open(&header->stanzas[i],
				header->rec_id, identities[k], ret);

			if (!one)
				return SGB_OK;
			if (one != SGB_ERR_NOTFOUND)
				err = one;
		}
	}
	return err;
}

static enum sgb_err check_proofs(
	const struct sgr_header *header, const uint8_t file_key[SUITE_KEY_LEN])
{
	uint8_t proof[SUITE_HASH_LEN];
	enum sgb_err err;

	err = suite_expand(file_key, "SGR1 commit", 11, proof);
	if (!err && CRYPTO_memcmp(proof, header->commit, sizeof(proof)) != 0)
		err = SGB_ERR_CRYPTO;
	if (!err)
		err = header_mac(file_key, header->raw, header->mac_at, proof);
	if (!err && CRYPTO_memcmp(proof, header->mac, sizeof(proof)) != 0)
		err = SGB_ERR_CRYPTO;
	return err;
}

enum sgb_err sgr_header_open(const struct sgr_header *header,
	struct identity *const *identities, size_t count, struct ratchet *ret)
{
	uint8_t file_key[SUITE_KEY_LEN] = {0}, other[SUITE_KEY_LEN] = {0};
	enum sgb_err err;
	size_t i;

	err = open_group(header, identities, count, 0, file_key);
	if (!err && (header->flags & SGR_FLAG_QUORUM))
		err = open_group(header, identities, count, 1, other);
	for (i = 0; i < SUITE_KEY_LEN; i++)
		file_key[i] ^= other[i];
	if (!err)
		err = check_proofs(header, file_key);
	if (!err)
		err = ratchet_start(ret, header->rec_id, file_key);
	secret_wipe(file_key, sizeof(file_key));
	secret_wipe(other, sizeof(other));
	return err;
}
