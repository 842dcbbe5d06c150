/*
 * authorized_keys. The file is root's, but a line pasted into it may be
 * anything: each is taken whole or not at all.
 */
#include "authkeys.h"

#include <stdio.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/buf.h"
#include "core/file.h"
#include "core/policy.h"
#include "core/sshkey.h"

/* Is text a key type? Then the line has no options. */
static bool starts_with_type(const char *text)
{
	static const char *const prefixes[] = {
		"ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"};
	size_t i;

	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (!strncmp(text, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

/* The end of the options: the first blank outside quotes. */
static const char *skip_options(const char *at)
{
	bool quoted = false;

	for (; *at && (quoted || (*at != ' ' && *at != '\t')); at++) {
		if (*at == '\\' && at[1] == '"')
			at++;
		else if (*at == '"')
			quoted = !quoted;
	}
	return at + strspn(at, " \t");
}

/* Does "type base64 [comment]" hold exactly this blob? */
static bool same_key(const char *at, const uint8_t *blob, size_t blob_len)
{
	size_t type_len = strcspn(at, " \t");
	const char *base64 = at + type_len + strspn(at + type_len, " \t");
	uint8_t *bytes = NULL;
	struct sshkey key;
	size_t len = 0;
	bool same;

	if (sshkey_base64_decode(base64, strcspn(base64, " \t"), &bytes, &len))
		return false;
	same = len == blob_len && !memcmp(bytes, blob, len) &&
	       !sshkey_parse(bytes, len, &key) && !key.is_cert &&
	       strlen(key.name) == type_len && !strncmp(key.name, at, type_len);
	free(bytes);
	return same;
}

/* The options of a line that begins with its key: none. */
static const char no_options[] = " ";

enum sgb_err authkeys_line(const char *line, const struct authkeys_query *query,
	struct authkeys_limits *ret, char *why, size_t why_len)
{
	const char *key, *options;

	line += strspn(line, " \t");
	if (!*line || *line == '#')
		return SGB_ERR_NOTFOUND;
	key = starts_with_type(line) ? line : skip_options(line);
	if (!same_key(key, query->blob, query->blob_len))
		return SGB_ERR_NOTFOUND;
	options = key == line ? no_options : line;
	return authkeys_options(&options, query, ret, why, why_len);
}

/* One line of text; an overlong one is skipped whole: its tail must never
 * become a line (dropbear 2025). NUL and CR end nothing. */
static enum sgb_err try_line(const char *at, size_t len, const char *name,
	unsigned int number, const struct authkeys_query *query,
	struct authkeys_limits *ret, char *why, size_t why_len)
{
	char line[AUTHKEYS_MAX_LINE], reason[200] = "";
	enum sgb_err err;

	if (len >= sizeof(line) || memchr(at, '\0', len))
		return SGB_ERR_NOTFOUND;
	memcpy(line, at, len);
	line[len] = '\0';
	err = authkeys_line(line, query, ret, reason, sizeof(reason));
	if (err && err != SGB_ERR_NOTFOUND)
		snprintf(why, why_len, "%s:%u: %s", name, number, reason);
	return err;
}

enum sgb_err authkeys_scan(const struct buf *text, const char *name,
	const struct authkeys_query *query, struct authkeys_limits *ret,
	char *why, size_t why_len)
{
	const char *at = (const char *)text->data;
	enum sgb_err err, result = SGB_ERR_NOTFOUND;
	size_t left = text->len;
	unsigned int number = 0;

	snprintf(why, why_len, "no such key in %s", name);
	while (left) {
		const char *end = memchr(at, '\n', left);
		size_t len = end ? (size_t)(end - at) : left;

		err = try_line(
			at, len, name, ++number, query, ret, why, why_len);
		if (!err)
			return SGB_OK;
		if (err != SGB_ERR_NOTFOUND)
			result = err;
		len += end != NULL;
		at += len;
		left -= len;
	}
	return result;
}

static enum sgb_err read_user_file(const char *folder, const char *user,
	struct buf *text, char path[PATH_MAX], char *why, size_t why_len)
{
	if (!policy_name_valid(user) ||
		snprintf(path, PATH_MAX, "%s/%s", folder, user) >= PATH_MAX) {
		snprintf(why, why_len, "not a user name");
		return SGB_ERR_FORMAT;
	}
	return file_read(path, FILE_TRUST_ROOT, text, why, why_len);
}

enum sgb_err authkeys_check(const char *folder,
	const struct authkeys_query *query, struct authkeys_limits *ret,
	char *why, size_t why_len)
{
	char path[PATH_MAX];
	struct buf text;
	enum sgb_err err;

	buf_init(&text, AUTHKEYS_MAX_BYTES);
	err = read_user_file(folder, query->user, &text, path, why, why_len);
	if (!err)
		err = authkeys_scan(&text, path, query, ret, why, why_len);
	buf_done(&text);
	return err;
}

bool authkeys_permits(const char *list, const char *host, uint32_t port)
{
	char copy[AUTHKEYS_TEXT_MAX], number[16];
	char *at = copy, *item;

	if (!*list)
		return true;
	snprintf(copy, sizeof(copy), "%s", list);
	snprintf(number, sizeof(number), "%u", port);
	while ((item = strsep(&at, ","))) {
		char *colon = strrchr(item, ':');
		size_t len;

		if (!colon)
			continue;
		*colon++ = '\0';
		len = strlen(item);
		/* [2001:db8::1]:22 */
		if (len > 2 && *item == '[' && item[len - 1] == ']') {
			item[len - 1] = '\0';
			item++;
		}
		if ((!strcmp(colon, "*") || !strcmp(colon, number)) &&
			(!strcmp(item, "*") || !strcasecmp(item, host)))
			return true;
	}
	return false;
}

enum sgb_err authkeys_principals(const char *folder, const char *user,
	const struct usercert *cert, char *why, size_t why_len)
{
	char path[PATH_MAX];
	char *at, *line;
	struct buf text;
	enum sgb_err err;

	buf_init(&text, AUTHKEYS_MAX_BYTES);
	err = read_user_file(folder, user, &text, path, why, why_len);
	buf_put_u8(&text, '\0');
	if (!err)
		err = buf_error(&text);
	if (!err && strlen((char *)text.data) + 1 != text.len)
		err = SGB_ERR_FORMAT;
	if (!err) {
		snprintf(why, why_len, "no principal of the certificate in %s",
			path);
		err = SGB_ERR_NOTFOUND;
	}
	at = (char *)text.data;
	while (err == SGB_ERR_NOTFOUND && at && (line = strsep(&at, "\n"))) {
		line += strspn(line, " \t");
		line[strcspn(line, " \t\r")] = '\0';
		if (*line && *line != '#' && usercert_names(cert, line))
			err = SGB_OK;
	}
	buf_done(&text);
	return err;
}
