/*
 * Checking answers. Every code of the window is computed and compared with
 * CRYPTO_memcmp, hit or not, so that time tells nothing. Trusts the token and
 * the state it is given; keeps nothing.
 */
#include "otp_check.h"

#include <stdio.h>
#include <string.h>

#include <liboath/oath.h>
#include <openssl/crypto.h>

#include "otp_throttle.h"

/* Beyond this a counter cannot be a time that liboath takes. */
#define COUNTER_MAX (UINT64_C(1) << 62)

/* HOTP is TOTP with a step of one second at second `counter`; so one function
 * of liboath serves both, with all three hashes. */
enum sgb_err otp_code(const struct otp_token *token, uint64_t counter,
	char ret[OTP_DIGITS_MAX + 1])
{
	static const int flags[] = {
		[OTP_SHA1] = 0,
		[OTP_SHA256] = OATH_TOTP_HMAC_SHA256,
		[OTP_SHA512] = OATH_TOTP_HMAC_SHA512,
	};

	/* liboath takes an empty secret without complaint. */
	if (token->secret_len < OTP_SECRET_MIN || counter > COUNTER_MAX)
		return SGB_ERR_LIMIT;
	if (oath_totp_generate2((const char *)token->secret, token->secret_len,
		    (time_t)counter, 1, 0, token->digits, flags[token->hash],
		    ret) != OATH_OK)
		return SGB_ERR_CRYPTO;
	return SGB_OK;
}

enum sgb_err otp_normalise(const char *answer, char ret[OTP_SCRATCH_LEN + 1])
{
	size_t used = 0;
	const char *c;

	for (c = answer; *c; c++) {
		if (*c == ' ' || *c == '-')
			continue;
		if (!strcmp(c, "\r\n") || !strcmp(c, "\n") || !strcmp(c, "\r"))
			break;
		if (used == OTP_SCRATCH_LEN)
			return SGB_ERR_FORMAT;
		ret[used++] = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
	}
	ret[used] = '\0';
	return SGB_OK;
}

static bool is_code(const char *text, unsigned int digits)
{
	return strlen(text) == digits && strspn(text, "0123456789") == digits;
}

struct hit {
	bool fresh; /* a code that may be used */
	bool spent; /* a code at or before the last used */
	uint64_t counter;
};

/* Compares text with the codes of first..first+count-1; those below `least`
 * are spent. */
static enum sgb_err search(const struct otp_token *token, const char *text,
	uint64_t first, unsigned int count, uint64_t least, struct hit *ret)
{
	char code[OTP_DIGITS_MAX + 1];
	enum sgb_err err = SGB_OK;
	unsigned int i;

	memset(ret, 0, sizeof(*ret));
	for (i = 0; i < count && !err; i++) {
		uint64_t counter = first + i;

		err = otp_code(token, counter, code);
		if (err || CRYPTO_memcmp(code, text, token->digits))
			continue;
		if (counter < least) {
			ret->spent = true;
		} else if (!ret->fresh) {
			ret->fresh = true;
			ret->counter = counter;
		}
	}
	secret_wipe(code, sizeof(code));
	return err;
}

static uint64_t step_of(
	const struct otp_token *token, int64_t drift, uint64_t now)
{
	int64_t step = (int64_t)(now / token->period) + drift;

	return step < 0 ? 0 : (uint64_t)step;
}

static enum sgb_err check_totp(const struct otp_token *token,
	struct otp_state *state, const struct otp_question *question,
	const char *text, enum otp_result *ret)
{
	unsigned int window = question->window > OTP_WINDOW_MAX
				      ? OTP_WINDOW_MAX
				      : question->window;
	uint64_t present = step_of(token, state->drift, question->now);
	uint64_t first = present > window ? present - window : 0;
	struct hit hit;
	enum sgb_err err;

	err = search(token, text, first, 2 * window + 1, state->used + 1, &hit);
	if (err)
		return err;
	if (hit.fresh) {
		state->used = hit.counter;
		*ret = OTP_RIGHT;
	} else if (hit.spent) {
		/* Nothing of this window can be fresh: we were ahead once. */
		*ret = state->used > present + window ? OTP_CLOCK
						      : OTP_REPLAYED;
	}
	return SGB_OK;
}

static enum sgb_err check_hotp(const struct otp_token *token,
	struct otp_state *state, const char *text, enum otp_result *ret)
{
	uint64_t first = state->used ? state->used - 1 : 0;
	unsigned int count = OTP_LOOK_AHEAD + (state->used ? 1 : 0);
	struct hit hit;
	enum sgb_err err;

	/* The last used counter is looked at too, so that a button pressed
	 * once and sent twice is told from a guess. */
	err = search(token, text, first, count, state->used, &hit);
	if (err)
		return err;
	if (hit.fresh) {
		state->used = hit.counter + 1;
		*ret = OTP_RIGHT;
	} else if (hit.spent) {
		*ret = OTP_REPLAYED;
	}
	return SGB_OK;
}

/* All hashes are compared, the used ones too. */
static enum sgb_err check_scratch(const struct otp_token *token,
	struct otp_state *state, const char *text, struct otp_outcome *out)
{
	uint8_t mac[OTP_MAC_LEN];
	uint32_t match = 0;
	enum sgb_err err;
	unsigned int i;

	err = otp_token_mac(token, "scratch", text, OTP_SCRATCH_LEN, mac);
	if (err)
		return err;
	if (state->scratch_set != token->scratch_set) {
		state->scratch_set = token->scratch_set;
		state->scratch_used = 0;
	}
	for (i = 0; i < token->scratch_count; i++)
		if (!CRYPTO_memcmp(mac, token->scratch[i], OTP_SCRATCH_HASH))
			match |= UINT32_C(1) << i;
	out->method = "scratch";
	if (match & state->scratch_used)
		out->result = OTP_REPLAYED;
	else if (match)
		out->result = OTP_RIGHT;
	state->scratch_used |= match;
	out->scratch_left = token->scratch_count -
			    (unsigned int)__builtin_popcount(
				    state->scratch_used);
	return SGB_OK;
}

static enum sgb_err check_answer(const struct otp_token *token,
	struct otp_state *state, const struct otp_question *question,
	struct otp_outcome *out)
{
	char text[OTP_SCRATCH_LEN + 1];
	enum sgb_err err;

	if (otp_normalise(question->answer, text))
		text[0] = '\0';
	if (strlen(text) == OTP_SCRATCH_LEN) {
		err = check_scratch(token, state, text, out);
	} else {
		/* The same work for what cannot be a code. */
		if (!is_code(text, token->digits))
			strcpy(text, "????????");
		if (token->kind == OTP_TOTP)
			err = check_totp(
				token, state, question, text, &out->result);
		else
			err = check_hotp(token, state, text, &out->result);
	}
	secret_wipe(text, sizeof(text));
	return err;
}

static void settle(struct otp_state *state, const struct otp_question *question,
	struct otp_outcome *out)
{
	if (out->result == OTP_RIGHT) {
		otp_note_success(state, &question->source, question->now);
		out->changed = true;
	} else if (out->result == OTP_WRONG) {
		otp_note_failure(state, &question->source, question->now);
		out->changed = true;
		out->lock_begins = otp_wait(state, &question->source,
					   question->now, question->tries) > 0;
	}
	/* A code sent twice is a person's haste or a parallel login, and
	 * tells a guesser nothing: it does not count as a failure. */
}

enum sgb_err otp_check(const struct otp_token *token, struct otp_state *state,
	const struct otp_question *question, struct otp_outcome *ret)
{
	struct otp_outcome out = {.method = otp_kind_text(token->kind)};
	uint64_t wait;
	enum sgb_err err = SGB_OK;

	out.changed = otp_clock_stepped_back(state, question->now);
	wait = otp_wait(
		state, &question->source, question->now, question->tries);
	if (wait) {
		out.result = OTP_LOCKED;
		out.wait = wait == UINT64_MAX ? 0 : wait;
		otp_check_dummy(question);
	} else {
		err = check_answer(token, state, question, &out);
		if (err)
			out.result = OTP_WRONG;
		else
			settle(state, question, &out);
	}
	*ret = out;
	return err;
}

void otp_check_dummy(const struct otp_question *question)
{
	struct otp_token token = {
		.kind = OTP_TOTP,
		.hash = OTP_SHA1,
		.digits = 6,
		.period = 30,
		.secret_len = 20,
	};
	struct otp_state state = {0};
	struct otp_outcome out = {0};

	(void)!check_answer(&token, &state, question, &out);
}

static bool pair_at(const struct otp_token *token, uint64_t counter,
	const char *first, const char *second)
{
	char a[OTP_DIGITS_MAX + 1], b[OTP_DIGITS_MAX + 1];

	if (otp_code(token, counter, a) || otp_code(token, counter + 1, b))
		return false;
	return !strcmp(a, first) && !strcmp(b, second);
}

/* Nearest first, so that a chance pair far away does not win. */
static bool find_pair(const struct otp_token *token, uint64_t centre,
	const char *first, const char *second, uint64_t *ret)
{
	uint64_t i;

	for (i = 0; i <= OTP_RESYNC_REACH; i++) {
		if (pair_at(token, centre + i, first, second)) {
			*ret = centre + i;
			return true;
		}
		if (token->kind == OTP_TOTP && i && i <= centre &&
			pair_at(token, centre - i, first, second)) {
			*ret = centre - i;
			return true;
		}
	}
	return false;
}

enum sgb_err otp_resync(const struct otp_token *token, struct otp_state *state,
	const char *first, const char *second, uint64_t now,
	enum otp_result *ret)
{
	bool totp = token->kind == OTP_TOTP;
	uint64_t centre = totp ? step_of(token, 0, now) : state->used;
	uint64_t found, last;

	*ret = OTP_WRONG;
	if (!is_code(first, token->digits) || !is_code(second, token->digits))
		return SGB_ERR_FORMAT;
	if (!find_pair(token, centre, first, second, &found))
		return SGB_OK;
	last = found + 1;
	/* Whoever holds two codes that were used holds nothing; but a clock
	 * that was wrong once must not stay in the way for ever. */
	if (totp && last <= state->used &&
		state->used <= centre + OTP_RESYNC_REACH) {
		*ret = OTP_REPLAYED;
		return SGB_OK;
	}
	state->drift = totp ? (int32_t)((int64_t)last - (int64_t)centre) : 0;
	state->used = totp ? last : last + 1;
	*ret = OTP_RIGHT;
	return SGB_OK;
}
