/*
 * Reading other programs' token files: google-authenticator's file of one
 * person, and lines of pam_oath's usersfile. Foreign bytes; a fuzz target.
 */
#ifndef SGB_OTP_IMPORT_H
#define SGB_OTP_IMPORT_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "otp_token.h"

/* A whole ~/.google_authenticator. Its eight-digit scratch codes are not
 * taken over: make new ones. */
enum sgb_err otp_import_google(
	const char *text, uint64_t now, struct otp_token *ret) SGB_MUST_CHECK;
/* One line "HOTP/T30/6 user - hexsecret [counter [code [time]]]".
 * SGB_ERR_UNSUPPORTED for a PIN or another type. */
enum sgb_err otp_import_oath(const char *line, uint64_t now, char *ret_user,
	size_t user_len, struct otp_token *ret) SGB_MUST_CHECK;

#endif
