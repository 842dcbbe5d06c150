/*
 * The list of revoked keys. It is root's file, written by hand: whatever in
 * it is not understood refuses everybody, so that a slip of the pen shows at
 * once instead of letting somebody in.
 */
#include "revoked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/buf.h"
#include "core/file.h"

#define FINGERPRINT_LEN 50

static bool is_one_of_ours(
	const char *fingerprint, const struct revoked_query *query)
{
	return !strcmp(fingerprint, query->fingerprint) ||
	       (query->cert &&
		       !strcmp(fingerprint, query->cert->key.ca_fingerprint));
}

static enum sgb_err fingerprint_line(
	const char *text, const struct revoked_query *query)
{
	char copy[SSHKEY_FP_MAX];
	size_t len = strcspn(text, " \t\r");

	if (len != FINGERPRINT_LEN)
		return SGB_ERR_FORMAT;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return is_one_of_ours(copy, query) ? SGB_ERR_DENIED : SGB_OK;
}

/* "type base64 [comment]" */
static enum sgb_err key_line(
	const char *text, const struct revoked_query *query)
{
	size_t type_len = strcspn(text, " \t");
	const char *base64 = text + type_len + strspn(text + type_len, " \t");
	uint8_t *blob = NULL;
	struct sshkey key;
	size_t len;
	enum sgb_err err;

	err = sshkey_base64_decode(
		base64, strcspn(base64, " \t\r"), &blob, &len);
	if (!err)
		err = sshkey_parse(blob, len, &key);
	free(blob);
	if (err)
		return SGB_ERR_FORMAT;
	return is_one_of_ours(key.fingerprint, query) ? SGB_ERR_DENIED : SGB_OK;
}

static bool read_number(const char **at, uint64_t *ret)
{
	uint64_t value = 0;
	const char *start = *at;

	for (; **at >= '0' && **at <= '9'; ++*at)
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(
				value, (uint64_t)(**at - '0'), &value))
			return false;
	*ret = value;
	return *at != start;
}

static enum sgb_err serial_line(
	const char *text, const struct revoked_query *query)
{
	uint64_t from, until;

	if (!read_number(&text, &from))
		return SGB_ERR_FORMAT;
	until = from;
	if (*text == '-') {
		text++;
		if (!read_number(&text, &until) || until < from)
			return SGB_ERR_FORMAT;
	}
	if (text[strspn(text, " \t\r")])
		return SGB_ERR_FORMAT;
	return query->cert && query->cert->serial >= from &&
			       query->cert->serial <= until
		       ? SGB_ERR_DENIED
		       : SGB_OK;
}

/* Key ids may hold blanks: all up to the end of the line. */
static enum sgb_err id_line(const char *text, const struct revoked_query *query)
{
	size_t len = strlen(text);

	while (len && strchr(" \t\r", text[len - 1]))
		len--;
	if (!len)
		return SGB_ERR_FORMAT;
	return query->cert && strlen(query->cert->key_id) == len &&
			       !memcmp(query->cert->key_id, text, len)
		       ? SGB_ERR_DENIED
		       : SGB_OK;
}

static const struct line_row {
	const char *begins;
	bool keeps; /* the beginning belongs to what is read */
	enum sgb_err (*check)(const char *, const struct revoked_query *);
} rows[] = {
	{"SHA256:", true, fingerprint_line},
	{"ssh-", true, key_line},
	{"ecdsa-", true, key_line},
	{"sk-", true, key_line},
	{"serial:", false, serial_line},
	{"id:", false, id_line},
};

static enum sgb_err check_line(
	const char *line, const struct revoked_query *query)
{
	size_t i;

	line += strspn(line, " \t\r");
	if (!*line || *line == '#')
		return SGB_OK;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i].begins);

		if (strncmp(line, rows[i].begins, len))
			continue;
		if (!rows[i].keeps)
			line += len + strspn(line + len, " \t");
		return rows[i].check(line, query);
	}
	return SGB_ERR_FORMAT;
}

static enum sgb_err check_lines(char *text, const char *path,
	const struct revoked_query *query, char *why, size_t why_len)
{
	unsigned int number = 0;
	enum sgb_err err = SGB_OK;
	char *line;

	while (!err && (line = strsep(&text, "\n"))) {
		number++;
		err = check_line(line, query);
	}
	if (err == SGB_ERR_DENIED)
		snprintf(why, why_len, "%s:%u: the key is revoked", path,
			number);
	else if (err)
		snprintf(why, why_len,
			"%s:%u: expected a public key, its SHA256: "
			"fingerprint, serial: or id:; all keys are refused",
			path, number);
	return err;
}

/* Somebody was to bring a new one, and did not: what is on it now, who knows?
 */
static enum sgb_err check_age(const char *path,
	const struct revoked_query *query, char *why, size_t why_len)
{
	struct stat st;

	if (!query->max_age)
		return SGB_OK;
	/* One of the future, by a clock that went back, is as bad if it is far
	 * off. */
	if (!stat(path, &st) &&
		(uint64_t)llabs((long long)query->now -
				(long long)st.st_mtime) <= query->max_age)
		return SGB_OK;
	snprintf(why, why_len,
		"%s: older than revoked-keys-max-age; all keys are refused",
		path);
	return SGB_ERR_UNSAFE;
}

enum sgb_err revoked_check(const char *path, const struct revoked_query *query,
	char *why, size_t why_len)
{
	struct buf text;
	enum sgb_err err;

	buf_init(&text, REVOKED_MAX_BYTES);
	err = file_read(path, FILE_TRUST_ROOT, &text, why, why_len);
	if (!err)
		err = check_age(path, query, why, why_len);
	if (err) {
		buf_done(&text);
		return err;
	}
	if (krl_is(text.data, text.len)) {
		err = krl_check(text.data, text.len, query);
		if (err)
			snprintf(why, why_len,
				err == SGB_ERR_DENIED
					? "%s: the key is revoked"
					: "%s: a KRL that cannot be "
					  "understood; all keys are refused",
				path);
		buf_done(&text);
		return err;
	}
	buf_put_u8(&text, '\0');
	if (!err)
		err = buf_error(&text);
	/* A NUL inside would hide what follows. */
	if (!err && strlen((char *)text.data) + 1 != text.len) {
		snprintf(why, why_len, "%s: not a list of keys", path);
		err = SGB_ERR_FORMAT;
	}
	if (!err)
		err = check_lines((char *)text.data, path, query, why, why_len);
	buf_done(&text);
	return err;
}
