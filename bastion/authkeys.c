/*
 * authorized_keys. The file is root's, but a line pasted into it may be
 * anything: each is taken whole or not at all.
 */
#include "authkeys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <limits.h>

#include "core/buf.h"
#include "core/file.h"
#include "core/policy.h"
#include "core/sshkey.h"

/* One option and its unquoted value (NULL: none). */
struct option {
	char name[32];
	char value[1024];
	bool has_value;
};

struct line_state {
	const struct addr *source;
	time_t now;
	struct authkeys_limits limits;
	char *why;
	size_t why_len;
};

/* Reads one option at *at; leaves *at behind it, at ',' or a blank. */
static bool read_option(const char **at, struct option *option)
{
	size_t n = strcspn(*at, "=, \t");
	size_t i = 0;

	memset(option, 0, sizeof(*option));
	if (!n || n >= sizeof(option->name))
		return false;
	memcpy(option->name, *at, n);
	*at += n;
	if (**at != '=')
		return true;
	option->has_value = true;
	if (*++*at != '"')
		return false;
	for (++*at; **at && **at != '"'; ++*at) {
		/* sshd(8): a quote inside is written \" */
		if (**at == '\\' && (*at)[1] == '"')
			++*at;
		if (i + 1 >= sizeof(option->value))
			return false;
		option->value[i++] = **at;
	}
	if (**at != '"')
		return false;
	++*at;
	return true;
}

static enum sgb_err check_from(const char *list, const struct addr *source)
{
	char copy[1024];
	char *save = NULL, *item;
	bool inside = false;

	snprintf(copy, sizeof(copy), "%s", list);
	for (item = strtok_r(copy, ",", &save); item;
		item = strtok_r(NULL, ",", &save)) {
		struct addr_net net;
		bool negated = *item == '!';

		/* Names and wildcards would need DNS or guessing: refused. */
		if (addr_net_parse(item + negated, &net))
			return SGB_ERR_UNSUPPORTED;
		if (!addr_in_net(source, &net))
			continue;
		if (negated)
			return SGB_ERR_DENIED;
		inside = true;
	}
	return inside ? SGB_OK : SGB_ERR_DENIED;
}

/* YYYYMMDD[HHMM[SS]][Z]; without Z in the bastion's own time zone. */
static enum sgb_err check_expiry(const char *text, time_t now)
{
	size_t len = strspn(text, "0123456789");
	bool utc = !strcmp(text + len, "Z");
	struct tm tm = {.tm_isdst = -1};
	const char *format = len == 8	 ? "%Y%m%d"
			     : len == 12 ? "%Y%m%d%H%M"
			     : len == 14 ? "%Y%m%d%H%M%S"
					 : NULL;
	char digits[16];
	const char *end;
	time_t when;

	if (!format || (text[len] && !utc))
		return SGB_ERR_UNSUPPORTED;
	memcpy(digits, text, len);
	digits[len] = '\0';
	end = strptime(digits, format, &tm);
	if (!end || *end)
		return SGB_ERR_UNSUPPORTED;
	when = utc ? timegm(&tm) : mktime(&tm);
	return when != (time_t)-1 && now < when ? SGB_OK : SGB_ERR_DENIED;
}

static enum sgb_err opt_from(
	const struct option *option, struct line_state *state)
{
	return check_from(option->value, state->source);
}

static enum sgb_err opt_expiry(
	const struct option *option, struct line_state *state)
{
	return check_expiry(option->value, state->now);
}

static enum sgb_err opt_flag(
	const struct option *option, struct line_state *state)
{
	struct authkeys_limits *limits = &state->limits;
	bool off = !strncmp(option->name, "no-", 3);
	const char *name = option->name + (off ? 3 : 0);

	if (!strcmp(name, "restrict"))
		limits->no_pty = limits->no_forward = limits->no_agent =
			limits->no_x11 = true;
	else if (!strcmp(name, "pty"))
		limits->no_pty = off;
	else if (!strcmp(name, "port-forwarding"))
		limits->no_forward = off;
	else if (!strcmp(name, "agent-forwarding"))
		limits->no_agent = off;
	else if (!strcmp(name, "X11-forwarding"))
		limits->no_x11 = off;
	return SGB_OK;
}

static const struct option_row {
	const char *name;
	bool has_value;
	enum sgb_err (*apply)(const struct option *, struct line_state *);
} option_rows[] = {
	{"from", true, opt_from},
	{"expiry-time", true, opt_expiry},
	{"restrict", false, opt_flag},
	{"no-pty", false, opt_flag},
	{"pty", false, opt_flag},
	{"no-port-forwarding", false, opt_flag},
	{"port-forwarding", false, opt_flag},
	{"no-agent-forwarding", false, opt_flag},
	{"agent-forwarding", false, opt_flag},
	{"no-X11-forwarding", false, opt_flag},
	{"X11-forwarding", false, opt_flag},
	/* There is no user's rc file on the way. */
	{"no-user-rc", false, opt_flag},
};

static enum sgb_err apply_option(
	const struct option *option, struct line_state *state)
{
	size_t i;

	for (i = 0; i < sizeof(option_rows) / sizeof(option_rows[0]); i++) {
		const struct option_row *row = &option_rows[i];

		/* sshd compares option names without regard to case. */
		if (strcasecmp(row->name, option->name) ||
			row->has_value != option->has_value)
			continue;
		return row->apply(option, state);
	}
	return SGB_ERR_UNSUPPORTED;
}

static enum sgb_err apply_options(const char **at, struct line_state *state)
{
	struct option option;
	enum sgb_err err;

	for (;;) {
		if (!read_option(at, &option)) {
			snprintf(state->why, state->why_len,
				"malformed options");
			return SGB_ERR_DENIED;
		}
		err = apply_option(&option, state);
		if (err) {
			snprintf(state->why, state->why_len,
				err == SGB_ERR_DENIED
					? "option %s forbids this login"
					: "option %s is not supported here",
				option.name);
			return SGB_ERR_DENIED;
		}
		if (**at != ',')
			break;
		++*at;
	}
	return **at == ' ' || **at == '\t' ? SGB_OK : SGB_ERR_DENIED;
}

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

enum sgb_err authkeys_line(const char *line, const uint8_t *blob,
	size_t blob_len, const struct addr *source, time_t now,
	struct authkeys_limits *ret, char *why, size_t why_len)
{
	struct line_state state = {
		.source = source,
		.now = now,
		.why = why,
		.why_len = why_len,
	};
	const char *key;
	enum sgb_err err = SGB_OK;

	line += strspn(line, " \t");
	if (!*line || *line == '#')
		return SGB_ERR_NOTFOUND;
	key = starts_with_type(line) ? line : skip_options(line);
	if (!same_key(key, blob, blob_len))
		return SGB_ERR_NOTFOUND;
	if (key != line)
		err = apply_options(&line, &state);
	if (!err)
		*ret = state.limits;
	return err;
}

static enum sgb_err scan(const struct buf *text, const uint8_t *blob,
	size_t blob_len, const struct addr *source, time_t now,
	struct authkeys_limits *ret, char *why, size_t why_len)
{
	const char *at = (const char *)text->data;
	enum sgb_err result = SGB_ERR_NOTFOUND;
	size_t left = text->len;

	while (left) {
		const char *end = memchr(at, '\n', left);
		size_t len = end ? (size_t)(end - at) : left;
		char line[AUTHKEYS_MAX_LINE];

		/* An overlong line is skipped whole: its tail must never
		 * become a line (dropbear 2025). NUL and CR end nothing. */
		if (len < sizeof(line) && !memchr(at, '\0', len)) {
			enum sgb_err err;

			memcpy(line, at, len);
			line[len] = '\0';
			err = authkeys_line(line, blob, blob_len, source, now,
				ret, why, why_len);
			if (!err)
				return SGB_OK;
			if (err != SGB_ERR_NOTFOUND)
				result = err;
		}
		len += end != NULL;
		at += len;
		left -= len;
	}
	return result;
}

enum sgb_err authkeys_check(const char *folder, const char *user,
	const uint8_t *blob, size_t blob_len, const struct addr *source,
	time_t now, struct authkeys_limits *ret, char *why, size_t why_len)
{
	char path[PATH_MAX];
	struct buf text;
	enum sgb_err err;

	if (!policy_name_valid(user) ||
		(size_t)snprintf(path, sizeof(path), "%s/%s", folder, user) >=
			sizeof(path)) {
		snprintf(why, why_len, "not a user name");
		return SGB_ERR_FORMAT;
	}
	buf_init(&text, AUTHKEYS_MAX_BYTES);
	err = file_read(path, FILE_TRUST_ROOT, &text, why, why_len);
	if (!err) {
		snprintf(why, why_len, "no such key in %s", path);
		err = scan(
			&text, blob, blob_len, source, now, ret, why, why_len);
	}
	buf_done(&text);
	return err;
}

/* "SHA256:..." or "type base64 [comment]"; SGB_OK: another key. */
static enum sgb_err revoked_line(const char *line, const uint8_t *blob,
	size_t blob_len, const char *fingerprint)
{
	size_t len;

	line += strspn(line, " \t");
	len = strcspn(line, " \t\r");
	if (!len || *line == '#')
		return SGB_OK;
	if (starts_with_type(line))
		return same_key(line, blob, blob_len) ? SGB_ERR_DENIED : SGB_OK;
	if (strncmp(line, "SHA256:", 7) || len != strlen(fingerprint))
		return SGB_ERR_FORMAT;
	return strncmp(line, fingerprint, len) ? SGB_OK : SGB_ERR_DENIED;
}

enum sgb_err authkeys_revoked(const char *path, const uint8_t *blob,
	size_t blob_len, const char *fingerprint, char *why, size_t why_len)
{
	enum sgb_err err;
	unsigned int number = 0;
	char *line, *next;
	struct buf text;

	buf_init(&text, AUTHKEYS_MAX_BYTES);
	err = file_read(path, FILE_TRUST_ROOT, &text, why, why_len);
	buf_put_u8(&text, '\0');
	if (!err)
		err = buf_error(&text);
	/* A NUL inside would hide what follows. */
	if (!err && strlen((char *)text.data) + 1 != text.len)
		err = SGB_ERR_FORMAT;
	for (line = (char *)text.data; !err && line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		number++;
		err = revoked_line(line, blob, blob_len, fingerprint);
	}
	if (err == SGB_ERR_DENIED)
		snprintf(why, why_len, "%s:%u: the key is revoked", path,
			number);
	else if (err == SGB_ERR_FORMAT)
		snprintf(why, why_len,
			"%s:%u: expected a public key or its SHA256: "
			"fingerprint; all keys are refused",
			path, number);
	buf_done(&text);
	return err;
}
