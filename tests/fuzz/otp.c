/*
 * The code store's foreign bytes: plain tokens, state slots (with the MAC made
 * right, so that the fields behind it are reached), imported files, answers.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../pam_module/otp_check.h"
#include "../../pam_module/otp_import.h"
#include "../../pam_module/otp_state.h"
#include "../../pam_module/otp_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct otp_token fixed = {
	.kind = OTP_TOTP,
	.hash = OTP_SHA1,
	.digits = 6,
	.period = 30,
	.secret_len = 20,
};

/* What decodes encodes to the same bytes. */
static void token(const uint8_t *data, size_t size)
{
	struct otp_token token;
	struct buf again;

	if (otp_token_decode(data, size, &token))
		return;
	buf_init(&again, 4096);
	if (otp_token_encode(&token, &again) || again.len != size ||
		memcmp(again.data, data, size))
		abort();
	buf_done(&again);
}

static void state(const uint8_t *data, size_t size)
{
	static uint8_t slot[OTP_SLOT_SIZE];
	struct otp_state now;
	size_t body = OTP_SLOT_USED - OTP_MAC_LEN;

	memset(slot, 0, sizeof(slot));
	memcpy(slot, data, size < body ? size : body);
	if (otp_token_mac(&fixed, "state:alice", slot, body, slot + body))
		abort();
	if (otp_state_decode(slot, &fixed, "alice", &now))
		return;
	(void)otp_wait(&now, &now.sources[0].addr, 1800000000, 5);
}

static void answer(const char *text)
{
	struct otp_question question = {
		.answer = text, .now = 1800000000, .window = 5, .tries = 5};
	struct otp_state now;
	struct otp_outcome out;

	otp_state_init(&now, &fixed);
	if (otp_check(&fixed, &now, &question, &out))
		abort();
	if (out.result == OTP_RIGHT && !now.used)
		abort();
}

static void import(const char *text)
{
	struct otp_token got;
	char user[80];

	if (!otp_import_oath(text, 1, user, sizeof(user), &got) &&
		(got.secret_len < OTP_SECRET_MIN || !*user))
		abort();
	if (!otp_import_google(text, 1, &got) &&
		got.secret_len < OTP_SECRET_MIN)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	token(data, size);
	state(data, size);
	answer(text);
	import(text);
	free(text);
	return 0;
}
