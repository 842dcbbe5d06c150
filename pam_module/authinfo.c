/*
 * Parsing what sshd says. Trusts that sshd verified the signatures and wrote
 * the lines; trusts no byte of them for its form. Knows nothing of policy.
 */
#include "authinfo.h"

#include <stdlib.h>
#include <string.h>

#define KEY_LINE "publickey "

static bool span_is(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && !memcmp(text, word, len);
}

/* The name in front must be the one inside. */
static bool names_agree(
	const uint8_t *blob, size_t blob_len, const char *name, size_t len)
{
	uint32_t inner;

	if (blob_len < 4)
		return false;
	inner = (uint32_t)blob[0] << 24 | (uint32_t)blob[1] << 16 |
		(uint32_t)blob[2] << 8 | blob[3];
	return inner == len && blob_len - 4 >= len &&
	       !memcmp(blob + 4, name, len);
}

/* "NAME BASE64", what follows "publickey ". */
static enum sgb_err parse_key(const char *text, size_t len, struct sshkey *ret)
{
	const char *space = memchr(text, ' ', len);
	uint8_t *blob = NULL;
	size_t name_len, blob_len;
	enum sgb_err err;

	if (!space)
		return SGB_ERR_FORMAT;
	name_len = (size_t)(space - text);
	err = sshkey_base64_decode(
		space + 1, len - name_len - 1, &blob, &blob_len);
	if (err)
		return err;
	if (names_agree(blob, blob_len, text, name_len))
		err = sshkey_parse(blob, blob_len, ret);
	else
		err = SGB_ERR_FORMAT;
	free(blob);
	return err;
}

static enum sgb_err parse_line(
	const char *line, size_t len, struct authinfo *info)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			return SGB_ERR_FORMAT;
	if (!len)
		return SGB_ERR_FORMAT;
	if (span_is(line, len, "keyboard-interactive/pam"))
		info->kbdint_pam = true;
	else if (span_is(line, len, "password"))
		info->password = true;
	if (len < strlen("publickey") || memcmp(line, "publickey", 9))
		return SGB_OK; /* another method: proves nothing here */
	if (len <= strlen(KEY_LINE) || memcmp(line, KEY_LINE, strlen(KEY_LINE)))
		return SGB_ERR_FORMAT;
	if (info->key_count == AUTHINFO_MAX_KEYS)
		return SGB_ERR_LIMIT;
	return parse_key(line + strlen(KEY_LINE), len - strlen(KEY_LINE),
		&info->keys[info->key_count++]);
}

enum sgb_err authinfo_parse(const char *text, struct authinfo *ret)
{
	size_t left = text ? strnlen(text, AUTHINFO_MAX_BYTES + 1) : 0;
	struct authinfo info = {0};
	unsigned int lines = 0;
	enum sgb_err err = SGB_OK;

	memset(ret, 0, sizeof(*ret));
	if (left > AUTHINFO_MAX_BYTES)
		return SGB_ERR_LIMIT;
	while (left && !err) {
		const char *end = memchr(text, '\n', left);
		size_t len = end ? (size_t)(end - text) : left;

		if (++lines > AUTHINFO_MAX_LINES)
			return SGB_ERR_LIMIT;
		err = parse_line(text, len, &info);
		text += len + (end ? 1 : 0);
		left -= len + (end ? 1 : 0);
	}
	if (!err)
		*ret = info;
	return err;
}

enum sgb_err authinfo_address(const char *text, size_t len, struct addr *ret)
{
	char copy[ADDR_TEXT_MAX];
	const char *zone = memchr(text, '%', len);

	if (zone) {
		/* Only fe80::/10 has zones; one bastion link is meant. */
		if (len < 4 || strncasecmp(text, "fe80", 4))
			return SGB_ERR_FORMAT;
		len = (size_t)(zone - text);
	}
	if (!len || len >= sizeof(copy))
		return SGB_ERR_FORMAT;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return addr_parse(copy, ret);
}

static enum sgb_err parse_port(const char *text, size_t len, uint16_t *ret)
{
	unsigned int port = 0;
	size_t i;

	if (!len || len > 5)
		return SGB_ERR_FORMAT;
	for (i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return SGB_ERR_FORMAT;
		port = port * 10 + (unsigned int)(text[i] - '0');
	}
	if (!port || port > 65535)
		return SGB_ERR_FORMAT;
	*ret = (uint16_t)port;
	return SGB_OK;
}

enum sgb_err authinfo_connection(
	const char *text, struct addr *ret_source, uint16_t *ret_port)
{
	const char *parts[4];
	size_t lens[4], i;
	struct addr source, server;
	uint16_t port, server_port;

	for (i = 0; i < 4; i++) {
		parts[i] = text;
		lens[i] = strcspn(text, " ");
		text += lens[i];
		/* One space between, nothing after the fourth. */
		if ((i < 3) != (*text == ' '))
			return SGB_ERR_FORMAT;
		text += i < 3;
	}
	if (authinfo_address(parts[0], lens[0], &source) ||
		parse_port(parts[1], lens[1], &port) ||
		authinfo_address(parts[2], lens[2], &server) ||
		parse_port(parts[3], lens[3], &server_port))
		return SGB_ERR_FORMAT;
	*ret_source = source;
	*ret_port = port;
	return SGB_OK;
}
