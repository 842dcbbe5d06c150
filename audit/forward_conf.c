/*
 * The lines "syslog" and the setting "journald" of sgbridge.conf. Words in
 * pairs after the address; every mistake is one sentence with its line.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forward.h"

#define WHY_ROOM (FORWARD_TEXT_MAX + 200)
#define HOLD_MS	 10000
/* RFC 5426, section 3.2: what receivers should be able to take. */
#define DATAGRAM_BYTES 2048
/* The number that is set aside for examples (RFC 5612): there is no registered
 * one for this product. */
#define SD_ID "sgbridge@32473"

static const char *const facilities[] = {"kern", "user", "mail", "daemon",
	"auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"ntp", "audit", "alert", "clock", "local0", "local1", "local2",
	"local3", "local4", "local5", "local6", "local7"};

struct place {
	const char *path;
	unsigned int line;
	char *why;
};

static bool wrong(const struct place *place, const char *fmt, ...)
	SGB_PRINTF(2, 3);

static bool wrong(const struct place *place, const char *fmt, ...)
{
	va_list args;
	int len = snprintf(place->why, WHY_ROOM,
		"%.150s:%u: syslog: ", place->path, place->line);

	va_start(args, fmt);
	(void)vsnprintf(place->why + len, WHY_ROOM - (size_t)len, fmt, args);
	va_end(args);
	return false;
}

static bool parse_number(
	const char *text, unsigned long least, unsigned long most, size_t *ret)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || number < least ||
		number > most)
		return false;
	*ret = number;
	return true;
}

static bool set_facility(struct forward_dest *dest, const char *value)
{
	unsigned int i;

	for (i = 0; i < sizeof(facilities) / sizeof(facilities[0]); i++)
		if (!strcmp(value, facilities[i])) {
			dest->facility = i;
			return true;
		}
	return false;
}

static bool set_path(const char **field, const char *value)
{
	*field = value;
	return *value == '/';
}

static bool set_name(struct forward_dest *dest, const char *value)
{
	dest->peer = value;
	return *value && strlen(value) < 254 &&
	       !value[strspn(value, "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    ".:_-")];
}

static bool set_ca(struct forward_dest *dest, const char *value)
{
	return set_path(&dest->ca, value);
}

static bool set_cert(struct forward_dest *dest, const char *value)
{
	return set_path(&dest->cert, value);
}

static bool set_key(struct forward_dest *dest, const char *value)
{
	return set_path(&dest->key, value);
}

static bool set_max(struct forward_dest *dest, const char *value)
{
	/* RFC 5426 again: 480 is what every receiver takes. 65000 leaves room
	 * for the headers of a datagram. */
	return parse_number(value, 480, 65000, &dest->max_message);
}

static bool set_hold(struct forward_dest *dest, const char *value)
{
	uint64_t seconds;

	if (conf_seconds(value, &seconds) || seconds > 3600)
		return false;
	dest->hold_ms = seconds * 1000;
	return true;
}

/* NAME@NUMBER, or a name that IANA registered (RFC 5424, section 7). */
static bool set_sd_id(struct forward_dest *dest, const char *value)
{
	const char *at;

	dest->sd_id = value;
	if (!*value || strlen(value) >= FORWARD_SD_ID_MAX)
		return false;
	for (at = value; *at; at++)
		if (*at <= 0x20 || *at >= 0x7f || strchr("=]\"", *at))
			return false;
	return true;
}

static const struct option {
	const char *name;
	bool tls; /* of no use elsewhere */
	bool (*set)(struct forward_dest *dest, const char *value);
	const char *expected;
} options[] = {
	{"name", true, set_name,
		"the name or address in the receiver's certificate"},
	{"ca", true, set_ca, "a file, by its whole path"},
	{"client-cert", true, set_cert, "a file, by its whole path"},
	{"client-key", true, set_key, "a file, by its whole path"},
	{"facility", false, set_facility,
		"one of syslog's facilities, such as authpriv, audit, local0"},
	{"max-message", false, set_max, "bytes, from 480 to 65000"},
	{"hold", false, set_hold, "a time up to 1h, such as 10s"},
	{"sd-id", false, set_sd_id, "NAME@ENTERPRISE-NUMBER, at most 32 long"},
};

#define OPTIONS (sizeof(options) / sizeof(options[0]))

static bool set_option(const struct place *place, struct forward_dest *dest,
	const char *name, const char *value, unsigned int *seen)
{
	const char *names[OPTIONS + 1] = {NULL};
	const char *near;
	size_t i;

	for (i = 0; i < OPTIONS; i++) {
		names[i] = options[i].name;
		if (strcmp(name, options[i].name) != 0)
			continue;
		if (*seen & 1u << i)
			return wrong(place, "\"%s\" is given twice", name);
		*seen |= 1u << i;
		if (options[i].tls && dest->kind != FORWARD_TLS)
			return wrong(place, "\"%s\" is for tls alone", name);
		if (!value || !options[i].set(dest, value))
			return wrong(place, "\"%s\" takes %s", name,
				options[i].expected);
		return true;
	}
	near = diag_nearest(name, names);
	return wrong(place, "unknown option \"%.64s\"%s%s%s", name,
		near ? "; did you mean \"" : "", near ? near : "",
		near ? "\"?" : "");
}

static bool set_kind(struct forward_dest *dest, const char *word)
{
	static const char *const kinds[] = {[FORWARD_UDP] = "udp",
		[FORWARD_TCP] = "tcp",
		[FORWARD_TLS] = "tls"};
	unsigned int i;

	for (i = FORWARD_UDP; i <= FORWARD_TLS; i++)
		if (!strcmp(word, kinds[i]))
			dest->kind = (enum forward_kind)i;
	return dest->kind != FORWARD_NONE;
}

static bool set_address(const struct place *place, struct forward_dest *dest,
	const struct conf_list *words)
{
	size_t port = 0;

	if (words->count < 3)
		return wrong(place, "expected udp, tcp or tls, an address, a "
				    "port, and options");
	if (!set_kind(dest, words->items[0]))
		return wrong(place, "\"%.64s\": expected udp, tcp or tls",
			words->items[0]);
	if (addr_parse(words->items[1], &dest->addr))
		return wrong(place,
			"\"%.64s\": expected a numeric address; names are not "
			"looked up, so that the DNS cannot send the trail "
			"elsewhere",
			words->items[1]);
	if (!parse_number(words->items[2], 1, 65535, &port))
		return wrong(
			place, "\"%.64s\": expected a port", words->items[2]);
	dest->port = (uint16_t)port;
	return true;
}

void forward_file_name(const char *name, char ret[FORWARD_NAME_MAX])
{
	char *at;

	(void)snprintf(ret, FORWARD_NAME_MAX, "%s", name);
	for (at = ret; *at; at++)
		if (*at == ' ' || *at == ':')
			*at = '-';
}

static void set_names(struct forward_dest *dest, const char *kind)
{
	char text[ADDR_TEXT_MAX];

	(void)snprintf(dest->name, sizeof(dest->name), "%s %s %u", kind,
		addr_text(&dest->addr, text), (unsigned int)dest->port);
	forward_file_name(dest->name, dest->file);
}

static bool check_tls(
	const struct place *place, const struct forward_dest *dest)
{
	if (dest->kind != FORWARD_TLS)
		return true;
	if (!dest->peer || !dest->ca)
		return wrong(place, "tls wants \"name\", for whom the "
				    "receiver's certificate must be, and "
				    "\"ca\", who signed it");
	if (!dest->cert != !dest->key)
		return wrong(place,
			"\"client-cert\" and \"client-key\" go together");
	return true;
}

static bool read_line(const struct place *place, const struct conf_list *words,
	struct forward_dest *dest)
{
	unsigned int seen = 0;
	size_t i;

	memset(dest, 0, sizeof(*dest));
	dest->line = place->line;
	dest->facility = 10;
	dest->hold_ms = HOLD_MS;
	dest->sd_id = SD_ID;
	if (!set_address(place, dest, words))
		return false;
	if (dest->kind == FORWARD_UDP)
		dest->max_message = DATAGRAM_BYTES;
	for (i = 3; i < words->count; i += 2)
		if (!set_option(place, dest, words->items[i],
			    words->items[i + 1], &seen))
			return false;
	set_names(dest, words->items[0]);
	return check_tls(place, dest);
}

static bool is_new(const struct place *place, const struct forward_dest *dests,
	size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!strcmp(dests[i].file, dests[count].file))
			return wrong(place, "line %u has the same receiver",
				dests[i].line);
	return true;
}

enum sgb_err forward_dests(const struct conf *conf, const char *path,
	struct forward_dest ret[FORWARD_MAX], size_t *ret_count,
	char why[WHY_ROOM])
{
	size_t count = 0, i;

	for (i = 0; i < conf->syslog.count; i++) {
		const struct conf_line *line = &conf->syslog.items[i];
		struct place place = {path, line->number, why};

		if (count == FORWARD_MAX - 1) {
			(void)wrong(&place, "more than %d receivers",
				FORWARD_MAX - 1);
			return SGB_ERR_LIMIT;
		}
		if (!read_line(&place, &line->words, &ret[count]) ||
			!is_new(&place, ret, count))
			return SGB_ERR_FORMAT;
		count++;
	}
	if (conf->journald) {
		ret[count] = (struct forward_dest){.kind = FORWARD_JOURNALD,
			.facility = 10,
			.hold_ms = HOLD_MS};
		strcpy(ret[count].name, "journald");
		strcpy(ret[count].file, "journald");
		count++;
	}
	*ret_count = count;
	return SGB_OK;
}
