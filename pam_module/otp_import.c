/*
 * Other programs' token files. Pure; the caller has checked the file and
 * wipes the text.
 */
#include "otp_import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/policy.h"
#include "otp_uri.h"

/* Digits only, at most `most`. */
static enum sgb_err read_number(const char *text, uint64_t most, uint64_t *ret)
{
	uint64_t value = 0;

	if (!*text || strlen(text) > 19)
		return SGB_ERR_FORMAT;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return SGB_ERR_FORMAT;
		value = value * 10 + (uint64_t)(*text - '0');
	}
	if (value > most)
		return SGB_ERR_FORMAT;
	*ret = value;
	return SGB_OK;
}

/* A line that starts with `" `: an option of google-authenticator. */
static enum sgb_err google_option(const char *line, struct otp_token *token)
{
	uint64_t value;

	if (!strncmp(line, "HOTP_COUNTER ", 13)) {
		if (read_number(line + 13, UINT32_MAX, &value))
			return SGB_ERR_FORMAT;
		token->kind = OTP_HOTP;
		token->counter = value;
	} else if (!strncmp(line, "STEP_SIZE ", 10)) {
		if (read_number(line + 10, 300, &value) || value < 10)
			return SGB_ERR_FORMAT;
		token->period = (uint32_t)value;
	}
	/* The others are policy, which is ours to say. */
	return SGB_OK;
}

static enum sgb_err parse_google(char *text, struct otp_token *token)
{
	char *line, *rest = text;
	enum sgb_err err;

	line = strsep(&rest, "\n");
	err = otp_uri_read_secret(line, token);
	while (!err && (line = strsep(&rest, "\n"))) {
		line[strcspn(line, "\r")] = '\0';
		if (!strncmp(line, "\" ", 2))
			err = google_option(line + 2, token);
		else if (line[strspn(line, "0123456789")])
			err = SGB_ERR_FORMAT;
	}
	return err;
}

enum sgb_err otp_import_google(
	const char *text, uint64_t now, struct otp_token *ret)
{
	struct otp_token token;
	char *copy = strdup(text);
	enum sgb_err err;

	if (!copy)
		return SGB_ERR_NOMEM;
	err = otp_token_make(&token, now);
	if (!err)
		err = parse_google(copy, &token);
	if (!err)
		*ret = token;
	otp_token_wipe(&token);
	secret_wipe(copy, strlen(text));
	free(copy);
	return err;
}

/* "HOTP", "HOTP/E", "HOTP/E/6", "HOTP/T30", "HOTP/T60/8" */
static enum sgb_err oath_type(const char *text, struct otp_token *token)
{
	static const struct {
		const char *name;
		enum otp_kind kind;
		uint32_t period;
	} types[] = {
		{"HOTP/T30", OTP_TOTP, 30},
		{"HOTP/T60", OTP_TOTP, 60},
		{"HOTP/E", OTP_HOTP, 30},
		{"HOTP", OTP_HOTP, 30},
	};
	uint64_t digits = 6;
	size_t i, len;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		len = strlen(types[i].name);
		if (strncmp(text, types[i].name, len) ||
			(text[len] && text[len] != '/'))
			continue;
		if (text[len] &&
			(read_number(text + len + 1, 8, &digits) || digits < 6))
			return SGB_ERR_UNSUPPORTED;
		token->kind = types[i].kind;
		token->period = types[i].period;
		token->digits = (unsigned int)digits;
		return SGB_OK;
	}
	return SGB_ERR_UNSUPPORTED;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static enum sgb_err oath_secret(const char *text, struct otp_token *token)
{
	size_t len = strlen(text), i;

	if (len % 2 || len / 2 < OTP_SECRET_MIN || len / 2 > OTP_SECRET_MAX)
		return SGB_ERR_FORMAT;
	for (i = 0; i < len / 2; i++) {
		int high = hex_digit(text[2 * i]);
		int low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return SGB_ERR_FORMAT;
		token->secret[i] = (uint8_t)(high << 4 | low);
	}
	token->secret_len = len / 2;
	return SGB_OK;
}

static size_t split(char *line, char **words, size_t max)
{
	size_t count = 0;
	char *save = NULL, *word;

	for (word = strtok_r(line, " \t", &save); word;
		word = strtok_r(NULL, " \t", &save)) {
		if (count < max)
			words[count] = word;
		count++;
	}
	return count;
}

static enum sgb_err parse_oath(
	char *line, char *ret_user, size_t user_len, struct otp_token *token)
{
	char *words[7] = {0};
	size_t count = split(line, words, 7);
	enum sgb_err err;

	if (count < 4 || count > 7)
		return SGB_ERR_FORMAT;
	if (!policy_name_valid(words[1]) || strlen(words[1]) >= user_len)
		return SGB_ERR_FORMAT;
	err = oath_type(words[0], token);
	if (!err && strcmp(words[2], "-") && strcmp(words[2], "+"))
		err = SGB_ERR_UNSUPPORTED;
	if (!err)
		err = oath_secret(words[3], token);
	/* The field is the counter that was used last (HOTP only). */
	if (!err && count > 4 && token->kind == OTP_HOTP) {
		err = read_number(words[4], UINT32_MAX, &token->counter);
		if (!err && count > 5)
			token->counter++;
	}
	if (!err)
		strcpy(ret_user, words[1]);
	return err;
}

enum sgb_err otp_import_oath(const char *line, uint64_t now, char *ret_user,
	size_t user_len, struct otp_token *ret)
{
	struct otp_token token;
	char *copy = strdup(line);
	enum sgb_err err;

	if (!copy)
		return SGB_ERR_NOMEM;
	err = otp_token_make(&token, now);
	if (!err)
		err = parse_oath(copy, ret_user, user_len, &token);
	if (!err)
		*ret = token;
	otp_token_wipe(&token);
	secret_wipe(copy, strlen(line));
	free(copy);
	return err;
}
