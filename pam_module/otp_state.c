/*
 * State slots as bytes: magic, token id, fields, MAC, zeros to the end. Foreign
 * bytes until the MAC fits, and checked field by field all the same.
 */
#include "otp_state.h"

#include <string.h>
#include <sys/socket.h>

#include <openssl/crypto.h>

#include "core/buf.h"

#define MAGIC	0x53474254u /* "SGBT" */
#define VERSION 1
#define MAC_AT	(OTP_SLOT_USED - OTP_MAC_LEN)

void otp_state_init(struct otp_state *state, const struct otp_token *token)
{
	memset(state, 0, sizeof(*state));
	state->scratch_set = token->scratch_set;
	if (token->kind == OTP_HOTP)
		state->used = token->counter;
}

static void put_source(struct buf *buf, const struct otp_source *source)
{
	uint8_t family = source->addr.family == AF_INET	   ? 4
			 : source->addr.family == AF_INET6 ? 6
							   : 0;

	buf_put_u8(buf, family);
	buf_put(buf, source->addr.bytes, sizeof(source->addr.bytes));
	buf_put_u32(buf, source->failures);
	buf_put_u64(buf, source->last);
}

static void get_source(struct reader *rd, struct otp_source *source)
{
	uint8_t family = reader_u8(rd);
	const uint8_t *bytes = reader_bytes(rd, sizeof(source->addr.bytes));

	if (family != 0 && family != 4 && family != 6)
		rd->err = SGB_ERR_FORMAT;
	source->addr.family = family == 4   ? AF_INET
			      : family == 6 ? AF_INET6
					    : 0;
	if (bytes)
		memcpy(source->addr.bytes, bytes, sizeof(source->addr.bytes));
	source->failures = reader_u32(rd);
	source->last = reader_u64(rd);
}

/* The MAC covers the name as well: a slot moved to another person fails. */
static enum sgb_err slot_mac(const uint8_t *slot, const struct otp_token *token,
	const char *user, uint8_t mac[OTP_MAC_LEN])
{
	char domain[80] = "state:";

	strncat(domain, user, 70);
	return otp_token_mac(token, domain, slot, MAC_AT, mac);
}

enum sgb_err otp_state_encode(const struct otp_state *state,
	const struct otp_token *token, const char *user,
	uint8_t slot[OTP_SLOT_SIZE])
{
	struct buf buf;
	enum sgb_err err;
	size_t i;

	buf_init(&buf, MAC_AT);
	buf_put_u32(&buf, MAGIC);
	buf_put_u8(&buf, VERSION);
	buf_put(&buf, token->id, sizeof(token->id));
	buf_put_u64(&buf, state->generation);
	buf_put_u64(&buf, state->used);
	buf_put_u32(&buf, (uint32_t)state->drift);
	buf_put_u32(&buf, state->failures);
	buf_put_u64(&buf, state->last_failure);
	buf_put_u64(&buf, state->last_success);
	buf_put_u32(&buf, state->scratch_set);
	buf_put_u32(&buf, state->scratch_used);
	for (i = 0; i < OTP_SOURCES; i++)
		put_source(&buf, &state->sources[i]);
	for (i = 0; i < OTP_GRACES; i++) {
		buf_put(&buf, state->graces[i].id, OTP_GRACE_ID);
		buf_put_u64(&buf, state->graces[i].granted);
		buf_put_u64(&buf, state->graces[i].until);
	}
	err = buf_error(&buf);
	if (!err && buf.len != MAC_AT)
		err = SGB_ERR_LIMIT; /* OTP_SLOT_USED forgot a field */
	if (!err) {
		memset(slot, 0, OTP_SLOT_SIZE);
		memcpy(slot, buf.data, buf.len);
		err = slot_mac(slot, token, user, slot + MAC_AT);
	}
	buf_done(&buf);
	return err;
}

static enum sgb_err decode_fields(
	struct reader *rd, const struct otp_token *token, struct otp_state *ret)
{
	const uint8_t *bytes;
	size_t i;

	if (reader_u32(rd) != MAGIC || reader_u8(rd) != VERSION)
		return SGB_ERR_FORMAT;
	bytes = reader_bytes(rd, OTP_ID_LEN);
	if (!bytes || memcmp(bytes, token->id, OTP_ID_LEN))
		return SGB_ERR_FORMAT;
	ret->generation = reader_u64(rd);
	ret->used = reader_u64(rd);
	ret->drift = (int32_t)reader_u32(rd);
	ret->failures = reader_u32(rd);
	ret->last_failure = reader_u64(rd);
	ret->last_success = reader_u64(rd);
	ret->scratch_set = reader_u32(rd);
	ret->scratch_used = reader_u32(rd);
	for (i = 0; i < OTP_SOURCES; i++)
		get_source(rd, &ret->sources[i]);
	for (i = 0; i < OTP_GRACES; i++) {
		bytes = reader_bytes(rd, OTP_GRACE_ID);
		if (bytes)
			memcpy(ret->graces[i].id, bytes, OTP_GRACE_ID);
		ret->graces[i].granted = reader_u64(rd);
		ret->graces[i].until = reader_u64(rd);
	}
	return reader_end(rd);
}

enum sgb_err otp_state_decode(const uint8_t slot[OTP_SLOT_SIZE],
	const struct otp_token *token, const char *user, struct otp_state *ret)
{
	struct otp_state state = {0};
	uint8_t mac[OTP_MAC_LEN];
	struct reader rd;
	enum sgb_err err;

	err = slot_mac(slot, token, user, mac);
	if (err)
		return err;
	if (CRYPTO_memcmp(mac, slot + MAC_AT, sizeof(mac)))
		return SGB_ERR_CRYPTO;
	reader_init(&rd, slot, MAC_AT);
	err = decode_fields(&rd, token, &state);
	if (!err)
		*ret = state;
	return err;
}

enum sgb_err otp_state_pick(const uint8_t file[OTP_FILE_SIZE],
	const struct otp_token *token, const char *user, struct otp_state *ret,
	unsigned int *ret_slot)
{
	enum sgb_err err = SGB_ERR_CRYPTO, err_slot;
	struct otp_state best = {0}, state;
	unsigned int i;

	for (i = 0; i < OTP_SLOTS; i++) {
		err_slot = otp_state_decode(
			file + (size_t)i * OTP_SLOT_SIZE, token, user, &state);
		if (err_slot || (!err && state.generation <= best.generation))
			continue;
		best = state;
		*ret_slot = i;
		err = SGB_OK;
	}
	if (!err)
		*ret = best;
	return err;
}
