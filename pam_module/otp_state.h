/*
 * What changes at each login: the last code used, failures, used scratch codes
 * and remembered second factors. One slot of a fixed size; the file holds two,
 * so that a slot torn by a power cut leaves the older one, and a full disk
 * needs no new block. A MAC under the token's key binds a slot to the person
 * and the token. Times are seconds since 1970.
 */
#ifndef SGB_OTP_STATE_H
#define SGB_OTP_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/err.h"
#include "otp_token.h"

#define OTP_SLOT_SIZE 4096 /* a sector of today's disks */
#define OTP_SLOT_USED 1069 /* what of it is read and written with care */
#define OTP_SLOTS     2
#define OTP_FILE_SIZE (OTP_SLOTS * OTP_SLOT_SIZE)
#define OTP_SOURCES   16
#define OTP_GRACES    16
#define OTP_GRACE_ID  16

/* Failures from one source. */
struct otp_source {
	struct addr addr; /* family 0 with failures > 0: local (sudo, su) */
	uint32_t failures;
	uint64_t last;
};

/* A second factor remembered for one key, source and service. */
struct otp_grace {
	uint8_t id[OTP_GRACE_ID];
	uint64_t granted; /* 0: empty */
	uint64_t until;
};

struct otp_state {
	uint64_t generation; /* the greater of two valid slots counts */
	uint64_t used;	     /* TOTP: last step accepted; HOTP: next counter */
	int32_t drift;	     /* TOTP: steps that the token is ahead */
	uint32_t failures;   /* since the last success, from anywhere */
	uint64_t last_failure;
	uint64_t last_success;
	uint32_t scratch_set; /* set that scratch_used speaks of */
	uint32_t scratch_used;
	struct otp_source sources[OTP_SOURCES];
	struct otp_grace graces[OTP_GRACES];
};

/* The state of a token that was never used. */
void otp_state_init(struct otp_state *state, const struct otp_token *token);
enum sgb_err otp_state_encode(const struct otp_state *state,
	const struct otp_token *token, const char *user,
	uint8_t slot[OTP_SLOT_SIZE]) SGB_MUST_CHECK;
/* Reads the first OTP_SLOT_USED bytes. SGB_ERR_CRYPTO if the MAC is wrong,
 * SGB_ERR_FORMAT if the rest is. */
enum sgb_err otp_state_decode(const uint8_t slot[OTP_SLOT_SIZE],
	const struct otp_token *token, const char *user,
	struct otp_state *ret) SGB_MUST_CHECK;
/* The newest valid slot of a whole file; *ret_slot is its number. */
enum sgb_err otp_state_pick(const uint8_t file[OTP_FILE_SIZE],
	const struct otp_token *token, const char *user, struct otp_state *ret,
	unsigned int *ret_slot) SGB_MUST_CHECK;

#endif
