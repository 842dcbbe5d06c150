/*
 * Is this answer the right code, and may it be tried now? Pure: works on a
 * token and a state in memory, at a time it is given. The caller holds the
 * lock and writes the state before it believes the result (otp_store.h).
 *
 * liboath computes codes; its validators are not used, since they take the
 * number of digits from the answer and stop at the first match.
 */
#ifndef SGB_OTP_CHECK_H
#define SGB_OTP_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/err.h"
#include "otp_state.h"
#include "otp_token.h"

#define OTP_LOOK_AHEAD	 10  /* HOTP: counters tried after the next one */
#define OTP_HARD_STOP	 100 /* consecutive failures; NIST SP 800-63B 5.2.2 */
#define OTP_WINDOW_MAX	 5
#define OTP_RESYNC_REACH 200 /* steps or counters searched by otp_resync */

enum otp_result {
	OTP_WRONG = 0,
	OTP_REPLAYED, /* was right, and has been used */
	OTP_CLOCK,    /* was right, but our clock is behind the last login */
	OTP_LOCKED,   /* too many failures: not even looked at */
	OTP_RIGHT,
};

struct otp_question {
	const char *answer; /* as typed, NUL-terminated */
	struct addr source; /* family 0: local */
	uint64_t now;	    /* seconds */
	unsigned int window;
	unsigned int tries;
};

struct otp_outcome {
	enum otp_result result;
	const char *method;	   /* "totp", "hotp", "scratch" */
	bool changed;		   /* the state has to be written */
	bool lock_begins;	   /* this failure starts a waiting time */
	uint64_t wait;		   /* OTP_LOCKED: seconds; 0: until unlocked */
	unsigned int scratch_left; /* after a scratch code */
};

/* Changes state to what has to be written before result may be told. On an
 * error the result is OTP_WRONG. */
enum sgb_err otp_check(const struct otp_token *token, struct otp_state *state,
	const struct otp_question *question,
	struct otp_outcome *ret) SGB_MUST_CHECK;
/* As much work as otp_check does, for people without a token. */
void otp_check_dummy(const struct otp_question *question);

/* An answer without spaces, dashes and one line ending, in upper case.
 * SGB_ERR_FORMAT if that is longer than any code. */
enum sgb_err otp_normalise(
	const char *answer, char ret[OTP_SCRATCH_LEN + 1]) SGB_MUST_CHECK;
/* The code for a step or counter as text. */
enum sgb_err otp_code(const struct otp_token *token, uint64_t counter,
	char ret[OTP_DIGITS_MAX + 1]) SGB_MUST_CHECK;
/* Seconds until this source may try again; 0: now; UINT64_MAX: only after
 * sgbridge-otp unlock. */
uint64_t otp_wait(const struct otp_state *state, const struct addr *source,
	uint64_t now, unsigned int tries);
/* Forgets failures. */
void otp_unlock(struct otp_state *state);
/* Two consecutive codes set drift or counter anew. OTP_WRONG if they are not
 * found within OTP_RESYNC_REACH, or were used. */
enum sgb_err otp_resync(const struct otp_token *token, struct otp_state *state,
	const char *first, const char *second, uint64_t now,
	enum otp_result *ret) SGB_MUST_CHECK;

/* Remembered second factors. subject is what they are bound to. */
bool otp_grace_holds(const struct otp_state *state,
	const uint8_t id[OTP_GRACE_ID], uint64_t now, uint64_t seconds);
void otp_grace_add(struct otp_state *state, const uint8_t id[OTP_GRACE_ID],
	uint64_t now, uint64_t seconds);

#endif
