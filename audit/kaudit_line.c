/*
 * Records of pam_sgbridge out of the kernel audit log. libauparse would do it
 * with a state machine over all records there are; ours are one line each, in
 * a form that we wrote, so they are read strictly instead.
 */
#include "kaudit_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_LEN 9000

static bool starts(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

/* "1732370000.123:456): " behind "audit(". */
static bool read_stamp(const char *text, struct kaudit_line *ret)
{
	size_t seconds = strspn(text, "0123456789"), ms, serial;

	if (!seconds || seconds > 12 || text[seconds] != '.')
		return false;
	ms = strspn(text + seconds + 1, "0123456789");
	if (ms != 3 || text[seconds + 4] != ':')
		return false;
	serial = strspn(text + seconds + 5, "0123456789");
	if (!serial || serial > 20 || text[seconds + 5 + serial] != ')')
		return false;
	(void)snprintf(ret->stamp, sizeof(ret->stamp), "%.*s",
		(int)(seconds + 5 + serial), text);
	ret->ms = strtoll(text, NULL, 10) * 1000 +
		  strtoll(text + seconds + 1, NULL, 10);
	return true;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Hexadecimal, as libaudit writes what needs it. No NUL comes out. */
static bool decode(const char *text, size_t len, char *out, size_t size)
{
	size_t i;

	if (len % 2 || len / 2 >= size)
		return false;
	for (i = 0; i < len; i += 2) {
		int high = digit(text[i]), low = digit(text[i + 1]);

		if (high < 0 || low < 0 || !(high || low))
			return false;
		out[i / 2] = (char)(high << 4 | low);
	}
	out[len / 2] = '\0';
	return true;
}

/* A value at text, which ends before a blank; returns what follows, or NULL. */
static const char *take_value(
	const char *text, bool encoded, char *out, size_t size)
{
	size_t len;

	out[0] = '\0';
	if (*text == '"') {
		len = strcspn(++text, "\"");
		if (text[len] != '"' || len >= size)
			return NULL;
		memcpy(out, text, len);
		out[len] = '\0';
		return text + len + 1;
	}
	len = strcspn(text, " '");
	if (len == 1 && *text == '?')
		return text + 1;
	if (encoded)
		return decode(text, len, out, size) ? text + len : NULL;
	if (len >= size)
		return NULL;
	memcpy(out, text, len);
	out[len] = '\0';
	return text + len;
}

static bool take_fields(const char *at, struct kaudit_line *ret)
{
	char result[16] = "";
	const struct {
		const char *name;
		bool encoded;
		char *out;
		size_t size;
	} fields[] = {
		{"acct=", true, ret->acct, sizeof(ret->acct)},
		{"method=", true, ret->method, sizeof(ret->method)},
		{"reason=", true, ret->reason, sizeof(ret->reason)},
		{"rule=", true, ret->rule, sizeof(ret->rule)},
		{"fingerprint=", true, ret->fingerprint,
			sizeof(ret->fingerprint)},
		{"ref=", true, ret->ref, sizeof(ret->ref)},
		{"conn=", true, ret->conn, sizeof(ret->conn)},
		{"service=", true, ret->service, sizeof(ret->service)},
		{"exe=", true, ret->exe, sizeof(ret->exe)},
		{"hostname=", false, ret->addr, sizeof(ret->addr)},
		{"addr=", false, ret->addr, sizeof(ret->addr)},
		{"terminal=", false, ret->terminal, sizeof(ret->terminal)},
		{"res=", false, result, sizeof(result)},
	};
	size_t i;

	/* In this order, each there but the service: what the module and
	 * libaudit write. */
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (*at != ' ')
			return false;
		if (fields[i].out == ret->service &&
			!starts(at + 1, fields[i].name))
			continue;
		if (!starts(at + 1, fields[i].name))
			return false;
		at = take_value(at + 1 + strlen(fields[i].name),
			fields[i].encoded, fields[i].out, fields[i].size);
		if (!at)
			return false;
	}
	ret->ok = !strcmp(result, "success");
	return *at == '\'' && (ret->ok || !strcmp(result, "failed"));
}

/* What the kernel wrote before the message: the sender was root. */
static bool from_root(const char *text, const char *end)
{
	const char *at = strstr(text, " uid=");

	return at && at < end && starts(at, " uid=0 ");
}

bool kaudit_line_read(const char *line, size_t len, struct kaudit_line *ret)
{
	static const char message[] = " msg='op=sgbridge:";
	char copy[LINE_MAX_LEN + 1];
	const char *at, *stamp, *op;
	size_t op_len;

	memset(ret, 0, sizeof(*ret));
	if (len > LINE_MAX_LEN || memchr(line, 0, len))
		return false;
	memcpy(copy, line, len);
	copy[len] = '\0';
	/* "node=..." may stand before it. */
	at = copy;
	if (starts(at, "node="))
		at += strcspn(at, " ") + (strchr(at, ' ') != NULL);
	if (!starts(at, "type=USER_AUTH msg=audit(") &&
		!starts(at, "type=USER_ACCT msg=audit("))
		return false;
	stamp = strchr(at, '(') + 1;
	op = strstr(stamp, " msg='");
	if (!op || !starts(op, message) || !read_stamp(stamp, ret) ||
		!from_root(stamp, op))
		return false;
	op += sizeof(message) - 1;
	op_len = strcspn(op, " '");
	if (op_len >= sizeof(ret->op))
		return false;
	memcpy(ret->op, op, op_len);
	return take_fields(op + op_len, ret);
}
