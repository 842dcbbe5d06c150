/*
 * Tokens as bytes. The plain form exists only in memory that is wiped; what
 * reaches a disk is sealed. Trusts the master key, not the file: every value
 * is checked again after opening.
 */
#include "otp_token.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define VERSION	  1
#define PLAIN_MAX 1024

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

const char *otp_kind_text(enum otp_kind kind)
{
	return kind == OTP_TOTP ? "totp" : kind == OTP_HOTP ? "hotp" : "none";
}

const char *otp_hash_text(enum otp_hash hash)
{
	return hash == OTP_SHA512   ? "SHA512"
	       : hash == OTP_SHA256 ? "SHA256"
				    : "SHA1";
}

void otp_token_wipe(struct otp_token *token)
{
	secret_wipe(token, sizeof(*token));
}

enum sgb_err otp_token_make(struct otp_token *ret, uint64_t now)
{
	struct otp_token token = {
		.kind = OTP_TOTP,
		.hash = OTP_SHA1,
		.digits = 6,
		.period = 30,
		.secret_len = 20,
		.created = now,
	};
	enum sgb_err err = secret_random(token.id, sizeof(token.id));

	if (!err)
		err = secret_random(token.secret, token.secret_len);
	if (!err)
		err = secret_random(token.mac_key, sizeof(token.mac_key));
	if (!err)
		*ret = token;
	otp_token_wipe(&token);
	return err;
}

static bool token_sane(const struct otp_token *token)
{
	if (token->kind != OTP_TOTP && token->kind != OTP_HOTP)
		return false;
	if (token->hash < OTP_SHA1 || token->hash > OTP_SHA512)
		return false;
	if (token->digits < 6 || token->digits > OTP_DIGITS_MAX)
		return false;
	if (token->period < 10 || token->period > 300)
		return false;
	return token->secret_len >= OTP_SECRET_MIN &&
	       token->secret_len <= OTP_SECRET_MAX &&
	       token->scratch_count <= OTP_SCRATCH_MAX;
}

enum sgb_err otp_token_encode(const struct otp_token *token, struct buf *out)
{
	unsigned int i;

	if (!token_sane(token))
		return SGB_ERR_FORMAT;
	buf_put_u8(out, VERSION);
	buf_put(out, token->id, sizeof(token->id));
	buf_put_u8(out, (uint8_t)token->kind);
	buf_put_u8(out, (uint8_t)token->hash);
	buf_put_u8(out, (uint8_t)token->digits);
	buf_put_u32(out, token->period);
	buf_put_u64(out, token->counter);
	buf_put_string(out, token->secret, token->secret_len);
	buf_put(out, token->mac_key, sizeof(token->mac_key));
	buf_put_u64(out, token->created);
	buf_put_u64(out, token->expires);
	buf_put_u32(out, token->scratch_set);
	buf_put_u8(out, (uint8_t)token->scratch_count);
	for (i = 0; i < token->scratch_count; i++)
		buf_put(out, token->scratch[i], OTP_SCRATCH_HASH);
	buf_put_u8(out, token->invited);
	buf_put(out, token->invite, OTP_SCRATCH_HASH);
	return buf_error(out);
}

static void read_into(struct reader *rd, void *to, size_t len)
{
	const uint8_t *from = reader_bytes(rd, len);

	if (from)
		memcpy(to, from, len);
}

static void read_secret(struct reader *rd, struct otp_token *token)
{
	const uint8_t *secret = reader_string(rd, &token->secret_len);

	if (token->secret_len > sizeof(token->secret)) {
		rd->err = SGB_ERR_FORMAT;
		token->secret_len = 0;
	}
	if (secret && token->secret_len)
		memcpy(token->secret, secret, token->secret_len);
}

static void read_scratch(struct reader *rd, struct otp_token *token)
{
	unsigned int i;

	token->scratch_set = reader_u32(rd);
	token->scratch_count = reader_u8(rd);
	if (token->scratch_count > OTP_SCRATCH_MAX) {
		rd->err = SGB_ERR_FORMAT;
		token->scratch_count = 0;
	}
	for (i = 0; i < token->scratch_count; i++)
		read_into(rd, token->scratch[i], OTP_SCRATCH_HASH);
}

static void read_invite(struct reader *rd, struct otp_token *token)
{
	uint8_t invited = reader_u8(rd);

	if (invited > 1)
		rd->err = SGB_ERR_FORMAT;
	token->invited = invited == 1;
	read_into(rd, token->invite, OTP_SCRATCH_HASH);
}

enum sgb_err otp_token_decode(
	const void *data, size_t len, struct otp_token *ret)
{
	struct otp_token token = {0};
	struct reader rd;
	enum sgb_err err = SGB_ERR_FORMAT;

	reader_init(&rd, data, len);
	if (reader_u8(&rd) != VERSION)
		return SGB_ERR_UNSUPPORTED;
	read_into(&rd, token.id, sizeof(token.id));
	token.kind = (enum otp_kind)reader_u8(&rd);
	token.hash = (enum otp_hash)reader_u8(&rd);
	token.digits = reader_u8(&rd);
	token.period = reader_u32(&rd);
	token.counter = reader_u64(&rd);
	read_secret(&rd, &token);
	read_into(&rd, token.mac_key, sizeof(token.mac_key));
	token.created = reader_u64(&rd);
	token.expires = reader_u64(&rd);
	read_scratch(&rd, &token);
	read_invite(&rd, &token);
	if (!reader_end(&rd) && token_sane(&token)) {
		*ret = token;
		err = SGB_OK;
	}
	otp_token_wipe(&token);
	return err;
}

static void make_label(const char *user, char label[80])
{
	strcpy(label, "otp:");
	strncat(label, user, 70);
}

enum sgb_err otp_token_seal(const struct otp_token *token,
	const struct secret_keys *keys, const char *user, struct buf *out)
{
	char label[80];
	struct buf plain;
	enum sgb_err err;

	make_label(user, label);
	buf_init(&plain, PLAIN_MAX);
	err = otp_token_encode(token, &plain);
	if (!err)
		err = secret_seal(keys, label, plain.data, plain.len, out);
	buf_done(&plain);
	return err;
}

enum sgb_err otp_token_open(const void *data, size_t len,
	const struct secret_keys *keys, const char *user, struct otp_token *ret)
{
	char label[80];
	struct buf plain;
	enum sgb_err err;

	make_label(user, label);
	buf_init(&plain, PLAIN_MAX);
	err = secret_open(keys, label, data, len, &plain);
	if (!err)
		err = otp_token_decode(plain.data, plain.len, ret);
	buf_done(&plain);
	return err;
}

enum sgb_err otp_token_mac(const struct otp_token *token, const char *domain,
	const void *data, size_t len, uint8_t ret[OTP_MAC_LEN])
{
	enum sgb_err err = SGB_ERR_CRYPTO;
	unsigned int mac_len = OTP_MAC_LEN;
	struct buf input;

	buf_init(&input, 65536);
	buf_put_cstring(&input, domain);
	buf_put(&input, data, len);
	if (buf_error(&input))
		err = buf_error(&input);
	else if (HMAC(EVP_sha256(), token->mac_key, OTP_MAC_LEN, input.data,
			 input.len, ret, &mac_len))
		err = SGB_OK;
	buf_done(&input);
	return err;
}

/* 256 is a multiple of 32: no letter is likelier than another. */
static enum sgb_err make_code(char code[OTP_SCRATCH_LEN + 1])
{
	uint8_t raw[OTP_SCRATCH_LEN];
	enum sgb_err err = secret_random(raw, sizeof(raw));
	size_t i;

	for (i = 0; i < OTP_SCRATCH_LEN; i++)
		code[i] = base32[raw[i] % 32];
	code[OTP_SCRATCH_LEN] = '\0';
	secret_wipe(raw, sizeof(raw));
	return err;
}

enum sgb_err otp_token_scratch(struct otp_token *token, unsigned int count,
	char codes[][OTP_SCRATCH_LEN + 1])
{
	uint8_t mac[OTP_MAC_LEN];
	enum sgb_err err = SGB_OK;
	unsigned int i;

	if (count > OTP_SCRATCH_MAX)
		return SGB_ERR_LIMIT;
	for (i = 0; i < count && !err; i++) {
		err = make_code(codes[i]);
		if (!err)
			err = otp_token_mac(token, "scratch", codes[i],
				OTP_SCRATCH_LEN, mac);
		if (!err)
			memcpy(token->scratch[i], mac, OTP_SCRATCH_HASH);
	}
	token->scratch_count = err ? 0 : count;
	token->scratch_set++;
	return err;
}

enum sgb_err otp_token_invite(
	struct otp_token *token, char code[OTP_SCRATCH_LEN + 1])
{
	uint8_t mac[OTP_MAC_LEN];
	enum sgb_err err = make_code(code);

	if (!err)
		err = otp_token_mac(
			token, "invite", code, OTP_SCRATCH_LEN, mac);
	if (err)
		return err;
	memcpy(token->invite, mac, OTP_SCRATCH_HASH);
	token->invited = true;
	return SGB_OK;
}
