/*
 * A person's one-time-code token: the static half of what is stored (the
 * changing half is otp_state.h). It is kept sealed under the master key, bound
 * to the person's name.
 */
#ifndef SGB_OTP_TOKEN_H
#define SGB_OTP_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/secret.h"

#define OTP_ID_LEN	 8
#define OTP_SECRET_MIN	 10 /* what old tokens have; new ones get 20 */
#define OTP_SECRET_MAX	 64
#define OTP_MAC_LEN	 32
#define OTP_SCRATCH_MAX	 16
#define OTP_SCRATCH_HASH 16
#define OTP_SCRATCH_LEN	 12 /* base32 characters: 60 bits */
#define OTP_DIGITS_MAX	 8

enum otp_kind {
	OTP_NONE = 0,
	OTP_TOTP = 1, /* RFC 6238 */
	OTP_HOTP = 2, /* RFC 4226 */
};

enum otp_hash {
	OTP_SHA1 = 1,
	OTP_SHA256 = 2,
	OTP_SHA512 = 3,
};

struct otp_token {
	uint8_t id[OTP_ID_LEN]; /* random; names the state file */
	enum otp_kind kind;
	enum otp_hash hash;
	unsigned int digits; /* 6 to 8 */
	uint32_t period;     /* TOTP: seconds of a step, 10 to 300 */
	uint64_t counter;    /* HOTP: first counter */
	uint8_t secret[OTP_SECRET_MAX];
	size_t secret_len;
	uint8_t mac_key[OTP_MAC_LEN]; /* of the state file and the hashes */
	uint64_t created;
	uint64_t expires;     /* unconfirmed ones: seconds; else 0 */
	uint32_t scratch_set; /* counts renewals of the scratch codes */
	unsigned int scratch_count;
	uint8_t scratch[OTP_SCRATCH_MAX][OTP_SCRATCH_HASH];
	bool invited; /* unconfirmed, and the person may confirm it */
	uint8_t invite[OTP_SCRATCH_HASH]; /* of the invitation code */
};

/* A fresh TOTP token: random id, MAC key and 20-byte secret; SHA-1, six
 * digits, 30 seconds, which every app understands; no scratch codes. */
enum sgb_err otp_token_make(struct otp_token *ret, uint64_t now) SGB_MUST_CHECK;
/* Appends the plain form (docs/OTP.md) to out, or reads it back;
 * SGB_ERR_FORMAT for values outside the limits above. */
enum sgb_err otp_token_encode(
	const struct otp_token *token, struct buf *out) SGB_MUST_CHECK;
enum sgb_err otp_token_decode(
	const void *data, size_t len, struct otp_token *ret) SGB_MUST_CHECK;
/* The same, sealed and bound to user. */
enum sgb_err otp_token_seal(const struct otp_token *token,
	const struct secret_keys *keys, const char *user,
	struct buf *out) SGB_MUST_CHECK;
enum sgb_err otp_token_open(const void *data, size_t len,
	const struct secret_keys *keys, const char *user,
	struct otp_token *ret) SGB_MUST_CHECK;
void otp_token_wipe(struct otp_token *token);

/* HMAC-SHA256 under the token's MAC key, with a domain so that one use cannot
 * stand for another. */
enum sgb_err otp_token_mac(const struct otp_token *token, const char *domain,
	const void *data, size_t len, uint8_t ret[OTP_MAC_LEN]) SGB_MUST_CHECK;
/* Replaces all scratch codes by count new ones and counts the set up. codes
 * gets them as text, which the caller shows once and wipes. */
enum sgb_err otp_token_scratch(struct otp_token *token, unsigned int count,
	char codes[][OTP_SCRATCH_LEN + 1]) SGB_MUST_CHECK;
/* Sets an invitation code, which is a scratch code in form. code gets it. */
enum sgb_err otp_token_invite(
	struct otp_token *token, char code[OTP_SCRATCH_LEN + 1]) SGB_MUST_CHECK;
/* "totp", "hotp"; "SHA1", "SHA256", "SHA512" as key URIs spell them. */
const char *otp_kind_text(enum otp_kind kind);
const char *otp_hash_text(enum otp_hash hash);

#endif
