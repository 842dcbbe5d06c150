/*
 * Key URIs and base32. Trusts its caller to keep the result secret and to
 * wipe it (buf_done does).
 */
#include "otp_uri.h"

#include <stdlib.h>
#include <string.h>

#include <liboath/oath.h>

enum sgb_err otp_uri_secret(const struct otp_token *token, struct buf *out)
{
	char *text = NULL;
	size_t len;

	if (oath_base32_encode((const char *)token->secret, token->secret_len,
		    &text, &len) != OATH_OK)
		return SGB_ERR_NOMEM;
	while (len && text[len - 1] == '=')
		text[--len] = '\0';
	buf_put(out, text, len + 1);
	secret_free_cstring(text);
	return buf_error(out);
}

/* RFC 3986, unreserved characters stay. A colon would part the label. */
static void put_escaped(struct buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
			(c >= 'a' && c <= 'z') || strchr("-._~@", c))
			buf_put_u8(out, c);
		else if (c != ':')
			buf_printf(out, "%%%02X", c);
	}
}

enum sgb_err otp_uri(const struct otp_token *token, const char *issuer,
	const char *user, struct buf *out)
{
	enum sgb_err err;

	buf_printf(out, "otpauth://%s/", otp_kind_text(token->kind));
	put_escaped(out, issuer);
	buf_put_u8(out, ':');
	put_escaped(out, user);
	buf_printf(out, "?secret=");
	err = otp_uri_secret(token, out);
	if (err)
		return err;
	out->len--; /* its NUL */
	buf_printf(out, "&issuer=");
	put_escaped(out, issuer);
	if (token->hash != OTP_SHA1)
		buf_printf(out, "&algorithm=%s", otp_hash_text(token->hash));
	if (token->digits != 6)
		buf_printf(out, "&digits=%u", token->digits);
	if (token->kind == OTP_TOTP && token->period != 30)
		buf_printf(out, "&period=%u", token->period);
	if (token->kind == OTP_HOTP)
		buf_printf(out, "&counter=%llu",
			(unsigned long long)token->counter);
	buf_put_u8(out, 0);
	return buf_error(out);
}

/* liboath pads, but knows no '=' of the caller's. */
enum sgb_err otp_uri_read_secret(const char *text, struct otp_token *ret)
{
	size_t len = strcspn(text, "=\r\n"), out_len = 0;
	enum sgb_err err = SGB_ERR_FORMAT;
	char *out = NULL;

	if (text[len + strspn(text + len, "= \r\n")])
		return SGB_ERR_FORMAT;
	if (len && oath_base32_decode(text, len, &out, &out_len) == OATH_OK &&
		out_len >= OTP_SECRET_MIN && out_len <= OTP_SECRET_MAX) {
		memcpy(ret->secret, out, out_len);
		ret->secret_len = out_len;
		err = SGB_OK;
	}
	if (out)
		secret_wipe(out, out_len);
	free(out);
	return err;
}
