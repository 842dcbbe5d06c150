/*
 * Self-enrolment: a person who has no token yet, has shown a key, and types an
 * invitation that an administrator gave out, sees the QR code and confirms it
 * by its first code. The invitation is the second factor of this one login.
 * No lock is held while the person looks for the phone.
 */
#include "login_enrol.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#define TEXT_MAX      8192
#define CONFIRM_TRIES 3

static bool invitation_fits(
	const struct otp_token *token, const char *answer, uint64_t now)
{
	char code[OTP_SCRATCH_LEN + 1];
	uint8_t mac[OTP_MAC_LEN];

	if (!token->invited || now > token->expires)
		return false;
	if (otp_normalise(answer, code) || strlen(code) != OTP_SCRATCH_LEN ||
		otp_token_mac(token, "invite", code, OTP_SCRATCH_LEN, mac))
		return false;
	return !CRYPTO_memcmp(mac, token->invite, OTP_SCRATCH_HASH);
}

/* The pending token's id and what to show, if answer is its invitation. */
static bool find_invitation(struct login *login, const struct otp_store *store,
	const char *answer, uint8_t id[OTP_ID_LEN], struct buf *text)
{
	struct otp_token token = {0};
	struct otp_entry entry;
	bool found = false;

	if (otp_entry_lock(store, login->user, false, &entry, login->why))
		return false;
	if (!entry.enrolled && !otp_entry_get_pending(&entry, &token) &&
		invitation_fits(&token, answer, (uint64_t)login->now) &&
		!otp_entry_get_text(&entry, text)) {
		memcpy(id, token.id, OTP_ID_LEN);
		buf_put_u8(text, 0);
		found = !buf_error(text);
	}
	otp_token_wipe(&token);
	otp_entry_unlock(&entry);
	return found;
}

/* Everything is looked at again: somebody else may have been quicker. */
static enum reason confirm(struct login *login, const struct otp_store *store,
	const uint8_t id[OTP_ID_LEN], const char *answer)
{
	struct otp_question question = {
		.answer = answer,
		.source = login->source,
		.now = (uint64_t)time(NULL),
		.window = store->window,
		.tries = store->tries,
	};
	enum reason reason = REASON_WRONG;
	struct otp_token token = {0};
	struct otp_outcome out = {0};
	struct otp_entry entry;

	if (otp_entry_lock(store, login->user, false, &entry, login->why))
		return REASON_STORE;
	if (!entry.enrolled && !otp_entry_get_pending(&entry, &token) &&
		token.invited && question.now <= token.expires &&
		!memcmp(token.id, id, OTP_ID_LEN)) {
		if (otp_entry_confirm(&entry, &token, &question, &out))
			reason = REASON_STORE;
		else if (out.result == OTP_RIGHT)
			reason = REASON_GRANTED;
	}
	if (reason == REASON_GRANTED)
		login->method = otp_kind_text(token.kind);
	otp_token_wipe(&token);
	otp_entry_unlock(&entry);
	return reason;
}

enum reason login_enrol(
	struct login *login, const struct otp_store *store, const char *answer)
{
	enum reason reason = REASON_NOT_ENROLLED;
	uint8_t id[OTP_ID_LEN];
	struct buf text;
	int i;

	/* sudo shows no texts and has seen no key. */
	if (login->local)
		return reason;
	buf_init(&text, TEXT_MAX);
	if (find_invitation(login, store, answer, id, &text)) {
		login_tell(login, PAM_TEXT_INFO, (const char *)text.data);
		reason = REASON_WRONG;
	}
	for (i = 0; i < CONFIRM_TRIES && reason == REASON_WRONG; i++) {
		char *code = NULL;
		enum reason asked = login_ask(
			login, "Code that the app shows now: ", &code);

		reason = asked;
		if (asked == REASON_GRANTED)
			reason = confirm(login, store, id, code);
		secret_free_cstring(code);
	}
	if (reason == REASON_GRANTED)
		snprintf(login->why, sizeof(login->why),
			"enrolled by invitation");
	buf_done(&text);
	return reason;
}
