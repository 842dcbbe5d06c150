/*
 * Recipients in text. A key is checked here, when the file is read: one that
 * is wrong would else be found when a session starts, or by the auditor who
 * cannot read.
 */
#include "recipients.h"

#include <stdio.h>
#include <string.h>

#include "core/file.h"

#define LINE_MAX_LEN 2048

static const struct {
	const char *word;
	enum sgr_kind kind;
} words[] = {
	{"x25519", SGR_KIND_X25519},
	{"p256", SGR_KIND_P256},
	{"rsa", SGR_KIND_RSA},
};
#define WORDS (sizeof(words) / sizeof(words[0]))

static bool parse_word(char *word, struct sgr_recipient *ret)
{
	char *slash = strchr(word, '/');
	size_t i;

	if (slash) {
		if (strcmp(slash, "/1") != 0)
			return false;
		*slash = '\0';
		ret->group = 1;
	}
	for (i = 0; i < WORDS; i++)
		if (!strcmp(words[i].word, word)) {
			ret->kind = words[i].kind;
			return true;
		}
	return false;
}

static enum sgb_err parse_key(const char *text, struct sgr_recipient *ret)
{
	size_t len = strlen(text), want = len / 4 * 3;

	if (len < 4 || len % 4)
		return SGB_ERR_FORMAT;
	want -= (size_t)((text[len - 1] == '=') + (text[len - 2] == '='));
	if (want > sizeof(ret->key) ||
		suite_unbase64(text, len, ret->key, want))
		return SGB_ERR_FORMAT;
	ret->key_len = want;
	switch (ret->kind) {
	case SGR_KIND_X25519:
		return want == SUITE_KEY_LEN ? SGB_OK : SGB_ERR_CRYPTO;
	case SGR_KIND_P256:
		return want == SUITE_POINT_LEN ? suite_p256_check(ret->key)
					       : SGB_ERR_CRYPTO;
	case SGR_KIND_RSA:
		return suite_rsa_check(ret->key, want) ? SGB_ERR_CRYPTO
						       : SGB_OK;
	case SGR_KIND_NONE: break;
	}
	return SGB_ERR_FORMAT;
}

enum sgb_err recipient_parse(const char *line, struct sgr_recipient *ret)
{
	char copy[LINE_MAX_LEN], *save = NULL, *word, *key;

	memset(ret, 0, sizeof(*ret));
	if (strlen(line) >= sizeof(copy))
		return SGB_ERR_FORMAT;
	strcpy(copy, line);
	word = strtok_r(copy, " \t\r", &save);
	key = strtok_r(NULL, " \t\r", &save);
	/* The name is for people, and who has none is not to be found. */
	if (!word || !key || !strtok_r(NULL, " \t\r", &save) ||
		!parse_word(word, ret))
		return SGB_ERR_FORMAT;
	return parse_key(key, ret);
}

void recipient_print(const struct sgr_recipient *recipient, struct buf *out)
{
	char text[4 * ((SGR_PUBLIC_MAX + 2) / 3) + 1];
	const char *word = "?";
	size_t i;

	for (i = 0; i < WORDS; i++)
		if (words[i].kind == recipient->kind)
			word = words[i].word;
	suite_base64(recipient->key, recipient->key_len, text);
	buf_printf(out, "%s %s", word, text);
}

static enum sgb_err take_line(const char *path, unsigned int number,
	const char *line, struct recipients *ret, char *why, size_t why_len)
{
	enum sgb_err err;

	line += strspn(line, " \t\r");
	if (!*line || *line == '#')
		return SGB_OK;
	if (ret->count == SGR_RECIPIENTS_MAX) {
		(void)snprintf(why, why_len, "%s:%u: more than %d recipients",
			path, number, SGR_RECIPIENTS_MAX);
		return SGB_ERR_LIMIT;
	}
	err = recipient_parse(line, &ret->rows[ret->count]);
	if (err == SGB_ERR_CRYPTO)
		(void)snprintf(why, why_len,
			"%s:%u: the key is damaged or not of this kind; take "
			"the line anew from \"sgbridge-audit keygen\"",
			path, number);
	else if (err)
		(void)snprintf(why, why_len,
			"%s:%u: expected \"x25519 BASE64-KEY NAME\" (or p256, "
			"rsa), as \"sgbridge-audit keygen\" prints it",
			path, number);
	else
		ret->count++;
	return err;
}

static bool group_complete(const struct recipients *recipients)
{
	bool first = false, second = false;
	size_t i;

	for (i = 0; i < recipients->count; i++)
		*(recipients->rows[i].group ? &second : &first) = true;
	return first || !second;
}

static enum sgb_err check_whole(const char *path, unsigned int number,
	const struct recipients *all, char *why, size_t why_len)
{
	if (!all->count) {
		(void)snprintf(why, why_len,
			"%s:%u: no recipient: nobody could read the "
			"recordings; add the line that \"sgbridge-audit "
			"keygen\" prints",
			path, number);
		return SGB_ERR_FORMAT;
	}
	if (!group_complete(all)) {
		(void)snprintf(why, why_len,
			"%s: recipients of group 1 need others of group 0",
			path);
		return SGB_ERR_FORMAT;
	}
	return SGB_OK;
}

enum sgb_err recipients_parse(const char *path, const char *text, size_t len,
	struct recipients *ret, char *why, size_t why_len)
{
	const char *end = text + len;
	struct recipients all = {.count = 0};
	unsigned int number = 0;
	enum sgb_err err = SGB_OK;

	while (!err && text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t line_len = (size_t)((stop ? stop : end) - text);
		char line[LINE_MAX_LEN];

		number++;
		if (line_len >= sizeof(line) || memchr(text, 0, line_len)) {
			(void)snprintf(why, why_len,
				"%s:%u: too long, or not text", path, number);
			return SGB_ERR_FORMAT;
		}
		memcpy(line, text, line_len);
		line[line_len] = '\0';
		err = take_line(path, number, line, &all, why, why_len);
		text += line_len + 1;
	}
	if (!err)
		err = check_whole(path, number, &all, why, why_len);
	if (!err)
		*ret = all;
	return err;
}

enum sgb_err recipients_load(
	const char *path, struct recipients *ret, char *why, size_t why_len)
{
	struct buf file;
	enum sgb_err err;

	buf_init(&file, RECIPIENTS_FILE_MAX);
	err = file_read(path, FILE_TRUST_ROOT, &file, why, why_len);
	if (!err)
		err = recipients_parse(path, (const char *)file.data, file.len,
			ret, why, why_len);
	else
		err = SGB_ERR_SYSTEM;
	buf_done(&file);
	return err;
}

void recipients_describe(const struct recipients *recipients, struct buf *out)
{
	bool quorum = false;
	const char *comma = "";
	size_t i, k;

	for (i = 0; i < WORDS; i++) {
		unsigned int count = 0;

		for (k = 0; k < recipients->count; k++) {
			count += recipients->rows[k].kind == words[i].kind;
			quorum = quorum || recipients->rows[k].group;
		}
		if (!count)
			continue;
		buf_printf(out, "%s%u %s", comma, count, words[i].word);
		comma = ", ";
	}
	if (quorum)
		buf_printf(out, ", two groups");
}
