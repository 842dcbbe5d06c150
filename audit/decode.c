/*
 * Frames back into plaintext. The tag is checked before anything is looked at,
 * but a recorder that was taken over could have sealed anything: padding,
 * compression and lengths are checked like a stranger's.
 */
#include <stdlib.h>
#include <string.h>

#include "core/secret.h"

#include "disclosure.h"
#include "evidence.h"
#include "squeeze.h"

struct sgr_decoder {
	uint8_t rec_id[SGR_ID_LEN];
	struct ratchet ratchet;
	uint32_t segment;		     /* of cipher and streams */
	const struct disclosure *disclosure; /* instead of the ratchet */
	struct suite_cipher *cipher;	     /* of the ratchet's segment */
	struct unsqueeze *streams[2];
	struct buf sealed;
};

enum sgb_err sgr_decoder_new(const struct sgr_header *header,
	struct identity *const *identities, size_t count,
	struct sgr_decoder **ret)
{
	struct sgr_decoder *decoder = calloc(1, sizeof(*decoder));
	enum sgb_err err;

	if (!decoder)
		return SGB_ERR_NOMEM;
	memcpy(decoder->rec_id, header->rec_id, SGR_ID_LEN);
	buf_init(&decoder->sealed, SGR_BODY_MAX);
	err = sgr_header_open(header, identities, count, &decoder->ratchet);
	if (!err)
		err = ratchet_cipher(&decoder->ratchet, &decoder->cipher);
	if (err)
		sgr_decoder_free(decoder);
	else
		*ret = decoder;
	return err;
}

enum sgb_err sgr_decoder_disclosed(const struct sgr_header *header,
	const struct disclosure *disclosure, struct sgr_decoder **ret)
{
	struct sgr_decoder *decoder;

	if (!disclosure_is_for(disclosure, header))
		return SGB_ERR_STALE;
	decoder = calloc(1, sizeof(*decoder));
	if (!decoder)
		return SGB_ERR_NOMEM;
	memcpy(decoder->rec_id, header->rec_id, SGR_ID_LEN);
	buf_init(&decoder->sealed, SGR_BODY_MAX);
	decoder->disclosure = disclosure;
	*ret = decoder;
	return SGB_OK;
}

static void forget_streams(struct sgr_decoder *decoder)
{
	unsqueeze_free(decoder->streams[0]);
	unsqueeze_free(decoder->streams[1]);
	decoder->streams[0] = decoder->streams[1] = NULL;
}

void sgr_decoder_free(struct sgr_decoder *decoder)
{
	if (!decoder)
		return;
	forget_streams(decoder);
	suite_cipher_free(decoder->cipher);
	ratchet_wipe(&decoder->ratchet);
	buf_done(&decoder->sealed);
	free(decoder);
}

/* The cipher of a later segment. */
static enum sgb_err next_cipher(struct sgr_decoder *decoder, uint32_t segment)
{
	const uint8_t *key;
	enum sgb_err err = SGB_OK;

	if (decoder->disclosure) {
		key = disclosure_key(decoder->disclosure, segment);
		return key ? suite_cipher_new(key, &decoder->cipher)
			   : SGB_ERR_NOTFOUND;
	}
	while (!err && decoder->ratchet.segment < segment)
		err = ratchet_step(&decoder->ratchet);
	return err ? err : ratchet_cipher(&decoder->ratchet, &decoder->cipher);
}

static enum sgb_err go_to_segment(struct sgr_decoder *decoder, uint32_t segment)
{
	if (segment < decoder->segment)
		return SGB_ERR_PHASE;
	if (segment == decoder->segment && decoder->cipher)
		return SGB_OK;
	forget_streams(decoder);
	suite_cipher_free(decoder->cipher);
	decoder->cipher = NULL;
	decoder->segment = segment;
	return next_cipher(decoder, segment);
}

/* u32 length | bytes | zeros up to a multiple of SGR_PAD */
static enum sgb_err unpad(const uint8_t **data, size_t *len)
{
	struct reader rd;
	uint32_t want;
	size_t i;

	if (*len % SGR_PAD)
		return SGB_ERR_FORMAT;
	reader_init(&rd, *data, *len);
	want = reader_le32(&rd);
	*data = reader_bytes(&rd, want);
	*len = want;
	if (rd.err || rd.left >= SGR_PAD)
		return SGB_ERR_FORMAT;
	for (i = 0; i < rd.left; i++)
		if (rd.data[i])
			return SGB_ERR_FORMAT;
	return SGB_OK;
}

static enum sgb_err expand(struct sgr_decoder *decoder, unsigned int flags,
	const uint8_t *data, size_t len, struct buf *out)
{
	unsigned int which = flags & SGR_INPUT ? 1 : 0;
	enum sgb_err err = SGB_OK;

	if (flags & SGR_PADDED)
		err = unpad(&data, &len);
	if (err)
		return err;
	if (!(flags & SGR_ZSTD)) {
		buf_put(out, data, len);
		return buf_error(out);
	}
	if (!decoder->streams[which])
		err = unsqueeze_new(&decoder->streams[which]);
	if (!err)
		err = unsqueeze_piece(decoder->streams[which], data, len, out);
	return err;
}

enum sgb_err sgr_decoder_frame(struct sgr_decoder *decoder,
	const struct sgr_frame *frame, struct buf *out)
{
	uint8_t aad[SGR_AAD_LEN], nonce[SUITE_NONCE_LEN];
	struct buf *sealed = &decoder->sealed;
	size_t len = frame->head.len - SUITE_TAG_LEN;
	enum sgb_err err;

	buf_reset(out);
	err = go_to_segment(decoder, frame->head.segment);
	if (err)
		return err;
	buf_reset(sealed);
	if (!buf_extend(sealed, len ? len : 1))
		return buf_error(sealed);
	sgr_aad(decoder->rec_id, frame->head_bytes, frame->link, aad);
	sgr_nonce(frame->head.index, nonce);
	err = suite_unseal(decoder->cipher, nonce, aad, sizeof(aad),
		frame->body, len, sealed->data);
	if (!err)
		err = expand(
			decoder, frame->head.flags, sealed->data, len, out);
	secret_wipe(sealed->data, len ? len : 1);
	return err;
}
