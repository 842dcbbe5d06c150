/*
 * Key URIs as authenticator apps read them (the "Key Uri Format" of Google
 * Authenticator), base32, and QR codes for terminals. For sgbridge-otp and
 * self-enrolment; what they return is secret.
 */
#ifndef SGB_OTP_URI_H
#define SGB_OTP_URI_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/err.h"
#include "otp_token.h"

enum otp_qr {
	OTP_QR_UTF8 = 0, /* half blocks */
	OTP_QR_ASCII,
	OTP_QR_NONE,
};

/* Base32 without padding and a NUL, appended to out. */
enum sgb_err otp_uri_secret(
	const struct otp_token *token, struct buf *out) SGB_MUST_CHECK;
/* The URI and a NUL, appended. Parameters with the apps' defaults are left
 * out: several apps ignore them, and the QR code gets smaller. */
enum sgb_err otp_uri(const struct otp_token *token, const char *issuer,
	const char *user, struct buf *out) SGB_MUST_CHECK;
/* Lines of text for the QR code of text, appended without a NUL. colour sets
 * black and white whatever the terminal's colours are. */
enum sgb_err otp_qr_text(const char *text, enum otp_qr form, bool colour,
	struct buf *out) SGB_MUST_CHECK;
/* Base32 (upper or lower case, spaces and padding ignored) into a secret. */
enum sgb_err otp_uri_read_secret(
	const char *text, struct otp_token *ret) SGB_MUST_CHECK;

#endif
