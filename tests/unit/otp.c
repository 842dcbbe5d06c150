/*
 * The pure half of the one-time codes: RFC vectors, windows, replay, scratch
 * codes, waiting times, resynchronisation, remembered factors, and the stored
 * forms with every byte flipped once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../pam_module/otp_check.h"
#include "../../pam_module/otp_state.h"
#include "../../pam_module/otp_token.h"

#include "range.h"

#define NOW   UINT64_C(1800000000)
#define TRIES 5

static struct addr source_a, source_b;

static void make_token(struct otp_token *token)
{
	assert_int_equal(otp_token_make(token, NOW), SGB_OK);
}

static enum otp_result ask(const struct otp_token *token,
	struct otp_state *state, const char *answer, const struct addr *source,
	uint64_t now, struct otp_outcome *out)
{
	struct otp_question question = {
		.answer = answer,
		.now = now,
		.window = 1,
		.tries = TRIES,
	};
	struct otp_outcome ignored;

	if (source)
		question.source = *source;
	assert_int_equal(
		otp_check(token, state, &question, out ? out : &ignored),
		SGB_OK);
	return out ? out->result : ignored.result;
}

static const char *code_at(const struct otp_token *token, uint64_t counter)
{
	static char code[OTP_DIGITS_MAX + 1];

	assert_int_equal(otp_code(token, counter, code), SGB_OK);
	return code;
}

/* RFC 6238, appendix B; RFC 4226, appendix D. */
static void test_vectors(void **state)
{
	static const struct {
		enum otp_hash hash;
		size_t len;
		uint64_t time;
		const char *code;
	} rows[] = {
		{OTP_SHA1, 20, 59, "94287082"},
		{OTP_SHA256, 32, 59, "46119246"},
		{OTP_SHA512, 64, 59, "90693936"},
		{OTP_SHA1, 20, 1111111111, "14050471"},
		{OTP_SHA256, 32, 1234567890, "91819424"},
		{OTP_SHA512, 64, UINT64_C(20000000000), "47863826"},
		{OTP_SHA1, 20, UINT64_C(20000000000), "65353130"},
	};
	static const char *const hotp[] = {"755224", "287082", "359152",
		"969429", "338314", "254676", "287922", "162583", "399871",
		"520489"};
	struct otp_token token;
	size_t i, k;

	(void)state;
	make_token(&token);
	token.digits = 8;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		token.hash = rows[i].hash;
		token.secret_len = rows[i].len;
		for (k = 0; k < rows[i].len; k++)
			token.secret[k] = (uint8_t)('0' + (k + 1) % 10);
		assert_string_equal(
			code_at(&token, rows[i].time / 30), rows[i].code);
	}
	token.hash = OTP_SHA1;
	token.secret_len = 20;
	token.digits = 6;
	for (i = 0; i < 10; i++)
		assert_string_equal(code_at(&token, i), hotp[i]);
	token.secret_len = 0;
	{
		char code[OTP_DIGITS_MAX + 1];

		assert_int_equal(otp_code(&token, 1, code), SGB_ERR_LIMIT);
	}
}

static void test_window(void **state)
{
	struct otp_token token;
	struct otp_state fresh;
	int step;

	(void)state;
	make_token(&token);
	for (step = -4; step <= 4; step++) {
		uint64_t counter = (uint64_t)((int64_t)(NOW / 30) + step);

		otp_state_init(&fresh, &token);
		assert_int_equal(ask(&token, &fresh, code_at(&token, counter),
					 NULL, NOW, NULL),
			step >= -1 && step <= 1 ? OTP_RIGHT : OTP_WRONG);
	}
}

static void test_replay(void **state)
{
	struct otp_token token;
	struct otp_state now;
	uint64_t step = NOW / 30;
	struct otp_outcome out;

	(void)state;
	make_token(&token);
	otp_state_init(&now, &token);
	assert_int_equal(
		ask(&token, &now, code_at(&token, step), NULL, NOW, &out),
		OTP_RIGHT);
	assert_true(out.changed);
	assert_int_equal(
		ask(&token, &now, code_at(&token, step), NULL, NOW, &out),
		OTP_REPLAYED);
	assert_false(out.changed);
	/* An older code of the window is as spent as the used one. */
	assert_int_equal(
		ask(&token, &now, code_at(&token, step - 1), NULL, NOW, NULL),
		OTP_REPLAYED);
	assert_int_equal(
		ask(&token, &now, code_at(&token, step + 1), NULL, NOW, NULL),
		OTP_RIGHT);
	/* An hour back: nothing is fresh, and we can say why. */
	assert_int_equal(ask(&token, &now, code_at(&token, step - 120), NULL,
				 NOW - 3600, NULL),
		OTP_CLOCK);
	assert_int_equal(now.used, step + 1);
}

static void test_strange_times(void **state)
{
	static const uint64_t times[] = {0, 1, 29, 30, 59, UINT64_C(1) << 31,
		UINT64_C(1) << 32, UINT64_C(253402300800)};
	struct otp_token token;
	struct otp_state fresh;
	size_t i;

	(void)state;
	make_token(&token);
	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		otp_state_init(&fresh, &token);
		assert_int_equal(
			ask(&token, &fresh, "12345", NULL, times[i], NULL),
			OTP_WRONG);
		/* Step 0 counts as used. */
		assert_int_equal(
			ask(&token, &fresh, code_at(&token, times[i] / 30 + 1),
				NULL, times[i], NULL),
			OTP_RIGHT);
	}
}

static void test_spelling(void **state)
{
	static const struct {
		const char *form; /* %s stands for the code */
		bool good;
	} rows[] = {{"%s", true}, {" %s", true}, {"%s ", true},
		{"%s\r\n", true}, {"%s\n", true}, {"+%s", false},
		{"%s0", false}, {"0%s", false}, {"%s\t", false}, {"%sx", false},
		{"\b%s", false}, {"%s\n\n", false}};
	struct otp_token token;
	struct otp_state fresh;
	char text[200], *code;
	size_t i;

	(void)state;
	make_token(&token);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		otp_state_init(&fresh, &token);
		code = (char *)code_at(&token, NOW / 30);
		/* The tables above are the only formats. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text, sizeof(text), rows[i].form, code);
#pragma GCC diagnostic pop
		assert_int_equal(ask(&token, &fresh, text, NULL, NOW, NULL),
			rows[i].good ? OTP_RIGHT : OTP_WRONG);
	}
	otp_state_init(&fresh, &token);
	assert_int_equal(ask(&token, &fresh, "", NULL, NOW, NULL), OTP_WRONG);
	assert_int_equal(
		ask(&token, &fresh, "\xef\xbc\x91\xef\xbc\x92\xef\xbc\x93",
			NULL, NOW, NULL),
		OTP_WRONG);
}

/* liboath takes the number of digits from the answer. */
static void test_digits(void **state)
{
	struct otp_token token;
	struct otp_state fresh;
	char code[OTP_DIGITS_MAX + 1];

	(void)state;
	make_token(&token);
	token.digits = 8;
	otp_state_init(&fresh, &token);
	strcpy(code, code_at(&token, NOW / 30));
	assert_int_equal(
		ask(&token, &fresh, code + 2, NULL, NOW, NULL), OTP_WRONG);
	assert_int_equal(ask(&token, &fresh, code, NULL, NOW, NULL), OTP_RIGHT);
}

static void test_hotp(void **state)
{
	struct otp_token token;
	struct otp_state now;

	(void)state;
	make_token(&token);
	token.kind = OTP_HOTP;
	token.counter = 7;
	otp_state_init(&now, &token);
	assert_int_equal(ask(&token, &now, code_at(&token, 6), NULL, NOW, NULL),
		OTP_REPLAYED);
	assert_int_equal(ask(&token, &now, code_at(&token, 7), NULL, NOW, NULL),
		OTP_RIGHT);
	assert_int_equal(ask(&token, &now, code_at(&token, 7), NULL, NOW, NULL),
		OTP_REPLAYED);
	assert_int_equal(ask(&token, &now, code_at(&token, 8 + OTP_LOOK_AHEAD),
				 NULL, NOW, NULL),
		OTP_WRONG);
	assert_int_equal(ask(&token, &now, code_at(&token, 7 + OTP_LOOK_AHEAD),
				 NULL, NOW, NULL),
		OTP_RIGHT);
	assert_int_equal(now.used, 8 + OTP_LOOK_AHEAD);
	/* Never backwards, never round. */
	now.used = UINT64_MAX;
	{
		struct otp_question question = {
			.answer = "123456", .now = NOW, .tries = TRIES};
		struct otp_outcome out;

		assert_int_equal(otp_check(&token, &now, &question, &out),
			SGB_ERR_LIMIT);
		assert_int_equal(out.result, OTP_WRONG);
	}
}

static void test_scratch(void **state)
{
	char codes[3][OTP_SCRATCH_LEN + 1], spaced[40];
	struct otp_token token;
	struct otp_state now;
	struct otp_outcome out;

	(void)state;
	make_token(&token);
	assert_int_equal(otp_token_scratch(&token, 3, codes), SGB_OK);
	otp_state_init(&now, &token);
	assert_int_equal(
		ask(&token, &now, codes[1], NULL, NOW, &out), OTP_RIGHT);
	assert_string_equal(out.method, "scratch");
	assert_int_equal(out.scratch_left, 2);
	assert_int_equal(
		ask(&token, &now, codes[1], NULL, NOW, &out), OTP_REPLAYED);
	snprintf(spaced, sizeof(spaced), " %.4s-%.4s-%.4s", codes[2],
		codes[2] + 4, codes[2] + 8);
	assert_int_equal(ask(&token, &now, spaced, NULL, NOW, &out), OTP_RIGHT);
	assert_int_equal(out.scratch_left, 1);
	/* A new set ends the old one and forgets what was used. */
	{
		char old[OTP_SCRATCH_LEN + 1];

		strcpy(old, codes[0]);
		assert_int_equal(otp_token_scratch(&token, 2, codes), SGB_OK);
		assert_int_equal(
			ask(&token, &now, old, NULL, NOW, &out), OTP_WRONG);
		assert_int_equal(ask(&token, &now, codes[1], NULL, NOW, &out),
			OTP_RIGHT);
		assert_int_equal(out.scratch_left, 1);
	}
}

/* Every guess of a million from one source: how many are looked at in a day? */
static void test_throttle_source(void **state)
{
	struct otp_token token;
	struct otp_state now;
	uint64_t time, looked_at = 0;
	struct otp_outcome out;

	(void)state;
	make_token(&token);
	otp_state_init(&now, &token);
	for (time = NOW; time < NOW + 86400; time += 7)
		if (ask(&token, &now, "??????", &source_a, time, &out) !=
			OTP_LOCKED)
			looked_at++;
	assert_number_in_range(looked_at, 10, 40);
	/* Another source is not held up. */
	assert_int_equal(ask(&token, &now, code_at(&token, NOW / 30 + 2880),
				 &source_b, NOW + 86400, NULL),
		now.failures >= 20 ? OTP_LOCKED : OTP_RIGHT);
}

static void test_throttle_steps(void **state)
{
	struct otp_token token;
	struct otp_state now;
	struct otp_outcome out;
	int i;

	(void)state;
	make_token(&token);
	otp_state_init(&now, &token);
	for (i = 1; i <= TRIES; i++) {
		assert_int_equal(
			ask(&token, &now, "??????", &source_a, NOW, &out),
			OTP_WRONG);
		assert_int_equal(out.lock_begins, i == TRIES);
	}
	/* The right code does not help now, nor does trying prolong it. */
	assert_int_equal(ask(&token, &now, code_at(&token, NOW / 30), &source_a,
				 NOW + 29, &out),
		OTP_LOCKED);
	assert_int_equal(out.wait, 1);
	assert_int_equal(ask(&token, &now, code_at(&token, NOW / 30), &source_b,
				 NOW + 1, &out),
		OTP_RIGHT);
	/* That success was elsewhere: here it still counts. */
	assert_int_equal(ask(&token, &now, "??????", &source_a, NOW + 30, &out),
		OTP_WRONG);
	assert_int_equal(ask(&token, &now, code_at(&token, NOW / 30 + 2),
				 &source_a, NOW + 60, &out),
		OTP_LOCKED);
	assert_int_equal(out.wait, 30);
	assert_int_equal(ask(&token, &now, code_at(&token, NOW / 30 + 3),
				 &source_a, NOW + 90, &out),
		OTP_RIGHT);
	assert_int_equal(ask(&token, &now, "??????", &source_a, NOW + 91, &out),
		OTP_WRONG);
	assert_false(out.lock_begins);
}

static void test_hard_stop(void **state)
{
	struct otp_token token;
	struct otp_state now;
	struct addr source = {.family = 2};
	struct otp_outcome out;
	uint64_t time = NOW;
	int looked_at = 0, i;

	(void)state;
	make_token(&token);
	otp_state_init(&now, &token);
	for (i = 0; i < 5000; i++) {
		source.bytes[2] = (uint8_t)(i >> 8);
		source.bytes[3] = (uint8_t)i;
		if (ask(&token, &now, "??????", &source, time, &out) ==
			OTP_WRONG)
			looked_at++;
		time += 3600;
	}
	assert_int_equal(looked_at, OTP_HARD_STOP);
	assert_int_equal(out.result, OTP_LOCKED);
	assert_int_equal(out.wait, 0);
	otp_unlock(&now);
	assert_int_equal(ask(&token, &now, code_at(&token, time / 30), &source,
				 time, &out),
		OTP_RIGHT);
}

/* A failure in the future must not lock anybody out until then. */
static void test_clock_back(void **state)
{
	struct otp_token token;
	struct otp_state now;
	struct otp_outcome out;
	int i;

	(void)state;
	make_token(&token);
	otp_state_init(&now, &token);
	for (i = 0; i < TRIES; i++)
		ask(&token, &now, "??????", &source_a, NOW + 1000000, NULL);
	assert_int_equal(ask(&token, &now, code_at(&token, NOW / 30), &source_a,
				 NOW, &out),
		OTP_LOCKED);
	assert_true(out.changed);
	assert_int_equal(ask(&token, &now, code_at(&token, NOW / 30 + 1),
				 &source_a, NOW + 30, &out),
		OTP_RIGHT);
}

static void test_resync(void **state)
{
	char a[OTP_DIGITS_MAX + 1], b[OTP_DIGITS_MAX + 1];
	struct otp_token token;
	struct otp_state now;
	enum otp_result result;

	(void)state;
	make_token(&token);
	otp_state_init(&now, &token);
	strcpy(a, code_at(&token, NOW / 30 + 50));
	strcpy(b, code_at(&token, NOW / 30 + 51));
	assert_int_equal(otp_resync(&token, &now, b, a, NOW, &result), SGB_OK);
	assert_int_equal(result, OTP_WRONG);
	assert_int_equal(otp_resync(&token, &now, a, b, NOW, &result), SGB_OK);
	assert_int_equal(result, OTP_RIGHT);
	assert_int_equal(now.drift, 51);
	assert_int_equal(ask(&token, &now, b, NULL, NOW, NULL), OTP_REPLAYED);
	assert_int_equal(ask(&token, &now, code_at(&token, NOW / 30 + 52), NULL,
				 NOW + 30, NULL),
		OTP_RIGHT);
	assert_int_equal(otp_resync(&token, &now, a, b, NOW, &result), SGB_OK);
	assert_int_equal(result, OTP_REPLAYED);
	strcpy(a, code_at(&token, NOW / 30 + 500));
	strcpy(b, code_at(&token, NOW / 30 + 501));
	assert_int_equal(otp_resync(&token, &now, a, b, NOW, &result), SGB_OK);
	assert_int_equal(result, OTP_WRONG);

	token.kind = OTP_HOTP;
	otp_state_init(&now, &token);
	strcpy(a, code_at(&token, 100));
	strcpy(b, code_at(&token, 101));
	assert_int_equal(otp_resync(&token, &now, a, b, NOW, &result), SGB_OK);
	assert_int_equal(result, OTP_RIGHT);
	assert_int_equal(now.used, 102);
}

static void test_grace(void **state)
{
	uint8_t id[OTP_GRACE_ID] = {1}, other[OTP_GRACE_ID] = {2};
	struct otp_state now = {0};
	unsigned int i;

	(void)state;
	memset(id, 0, sizeof(id));
	assert_false(otp_grace_holds(&now, id, 0, 100));
	id[0] = 1;
	otp_grace_add(&now, id, NOW, 600);
	assert_true(otp_grace_holds(&now, id, NOW + 599, 600));
	assert_false(otp_grace_holds(&now, id, NOW + 600, 600));
	assert_false(otp_grace_holds(&now, other, NOW + 1, 600));
	/* A stricter policy counts at once; the clock set back ends it. */
	assert_false(otp_grace_holds(&now, id, NOW + 100, 60));
	assert_false(otp_grace_holds(&now, id, NOW - 1, 600));
	for (i = 0; i < OTP_GRACES; i++) {
		other[1] = (uint8_t)(i + 1);
		otp_grace_add(&now, other, NOW, 700 + i);
	}
	assert_false(otp_grace_holds(&now, id, NOW + 1, 600));
	assert_true(otp_grace_holds(&now, other, NOW + 1, 600));
}

static void test_token_bytes(void **state)
{
	char codes[3][OTP_SCRATCH_LEN + 1];
	struct otp_token token, back;
	struct buf plain;
	size_t i;

	(void)state;
	make_token(&token);
	token.hash = OTP_SHA512;
	token.expires = 5;
	assert_int_equal(otp_token_scratch(&token, 3, codes), SGB_OK);
	buf_init(&plain, 2000);
	assert_int_equal(otp_token_encode(&token, &plain), SGB_OK);
	memset(&back, 0, sizeof(back));
	assert_int_equal(
		otp_token_decode(plain.data, plain.len, &back), SGB_OK);
	assert_memory_equal(back.secret, token.secret, 20);
	assert_memory_equal(back.scratch, token.scratch, 48);
	assert_int_equal(back.expires, 5);
	assert_int_equal(back.hash, OTP_SHA512);
	for (i = 0; i < plain.len; i++)
		assert_int_not_equal(
			otp_token_decode(plain.data, i, &back), SGB_OK);
	buf_put_u8(&plain, 0);
	assert_int_not_equal(
		otp_token_decode(plain.data, plain.len, &back), SGB_OK);
	buf_done(&plain);
	token.secret_len = OTP_SECRET_MIN - 1;
	buf_init(&plain, 2000);
	assert_int_equal(otp_token_encode(&token, &plain), SGB_ERR_FORMAT);
	buf_done(&plain);
}

static void test_state_bytes(void **state)
{
	static uint8_t file[OTP_FILE_SIZE];
	struct otp_token token, other;
	struct otp_state now, back;
	unsigned int slot = 9;
	size_t i;

	(void)state;
	make_token(&token);
	make_token(&other);
	otp_state_init(&now, &token);
	now.generation = 7;
	now.used = 4711;
	now.drift = -3;
	now.sources[3] = (struct otp_source){source_a, 4, NOW};
	otp_grace_add(&now, (const uint8_t *)"0123456789abcdef", NOW, 60);
	assert_int_equal(otp_state_encode(&now, &token, "alice", file), SGB_OK);
	assert_int_equal(
		otp_state_pick(file, &token, "alice", &back, &slot), SGB_OK);
	assert_int_equal(slot, 0);
	assert_memory_equal(&now, &back, sizeof(now));
	/* Not another person's, not another token's. */
	assert_int_equal(otp_state_pick(file, &token, "bob", &back, &slot),
		SGB_ERR_CRYPTO);
	assert_int_equal(otp_state_pick(file, &other, "alice", &back, &slot),
		SGB_ERR_CRYPTO);
	for (i = 0; i < OTP_SLOT_USED; i++) {
		file[i] ^= 0x10;
		assert_int_equal(otp_state_decode(file, &token, "alice", &back),
			SGB_ERR_CRYPTO);
		file[i] ^= 0x10;
	}
	/* The newer slot wins wherever it is. */
	now.generation = 6;
	assert_int_equal(
		otp_state_encode(&now, &token, "alice", file + OTP_SLOT_SIZE),
		SGB_OK);
	assert_int_equal(
		otp_state_pick(file, &token, "alice", &back, &slot), SGB_OK);
	assert_int_equal(slot, 0);
	now.generation = 8;
	assert_int_equal(
		otp_state_encode(&now, &token, "alice", file + OTP_SLOT_SIZE),
		SGB_OK);
	assert_int_equal(
		otp_state_pick(file, &token, "alice", &back, &slot), SGB_OK);
	assert_int_equal(slot, 1);
	file[OTP_SLOT_SIZE + 20] ^= 1;
	assert_int_equal(
		otp_state_pick(file, &token, "alice", &back, &slot), SGB_OK);
	assert_int_equal(back.generation, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_strange_times),
		cmocka_unit_test(test_spelling),
		cmocka_unit_test(test_digits),
		cmocka_unit_test(test_hotp),
		cmocka_unit_test(test_scratch),
		cmocka_unit_test(test_throttle_source),
		cmocka_unit_test(test_throttle_steps),
		cmocka_unit_test(test_hard_stop),
		cmocka_unit_test(test_clock_back),
		cmocka_unit_test(test_resync),
		cmocka_unit_test(test_grace),
		cmocka_unit_test(test_token_bytes),
		cmocka_unit_test(test_state_bytes),
	};

	if (addr_parse("192.0.2.1", &source_a) ||
		addr_parse("2001:db8::1", &source_b))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
