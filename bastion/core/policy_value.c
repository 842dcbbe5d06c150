/*
 * The values of the policy language: names, addresses, ports, durations,
 * dates. Nothing is guessed: what is not exactly in its form is an error that
 * says which form that is.
 */
#include "core/policy_parse.h"

#include <stdio.h>
#include <string.h>

#include "core/conf.h"

#define YEARS_10 (10ull * 366 * 86400)

static const char *const reserved[] = {"any", "self", "zone", "not", "from",
	"to", "as", "during", "via", "port", "by", "proxy", NULL};

bool policy_name_valid(const char *name)
{
	size_t len = strlen(name);
	size_t i;

	if (len == 0 || len > POLICY_MAX_NAME || name[0] == '-' ||
		name[0] == '.')
		return false;
	for (i = 0; i < len; i++) {
		char c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || c == '_' || c == '-' ||
			    c == '.'))
			return false;
	}
	return true;
}

static bool is_reserved(const char *name)
{
	const char *const *word;

	for (word = reserved; *word; word++)
		if (!strcmp(name, *word))
			return true;
	return false;
}

bool parse_looks_like_net(const struct policy_parser *parser)
{
	const char *text = parser->token.text;
	uint32_t len = parser->token.len;

	if (memchr(text, '/', len) || memchr(text, ':', len) ||
		memchr(text, '%', len))
		return true;
	if (*text < '0' || *text > '9')
		return false;
	return memchr(text, '.', len) || strspn(text, "0123456789") >= len;
}

static bool name_form(struct policy_parser *parser, const char *name)
{
	if (policy_name_valid(name))
		return true;
	ERROR(parser, parse_place(parser), "bad-name",
		"\"%s\" is not a name: letters, digits, \"_\", \"-\" and "
		"\".\", at most 64",
		name);
	return false;
}

bool parse_new_name(
	struct policy_parser *parser, const char *what, uint32_t *ret_sym)
{
	char name[POLICY_MAX_NAME + 20], expected[80];

	if (parser->token.kind != TOKEN_WORD) {
		snprintf(expected, sizeof(expected), "the name of a %s", what);
		return parse_expected(parser, expected);
	}
	parse_text(parser, name, sizeof(name));
	if (is_reserved(name)) {
		ERROR(parser, parse_place(parser), "bad-name",
			"\"%s\" is a word of the language, not a name", name);
		return false;
	}
	if (parse_looks_like_net(parser)) {
		ERROR(parser, parse_place(parser), "bad-name",
			"a name must not look like an address or a number");
		return false;
	}
	if (!name_form(parser, name))
		return false;
	*ret_sym = policy_symbol(parser->policy, name, strlen(name));
	parse_next(parser);
	return true;
}

bool parse_declare(struct policy_parser *parser, uint32_t sym,
	enum policy_name_kind kind, uint32_t index, struct policy_place place,
	const char *what, const struct policy_place *first)
{
	struct policy_symbol *symbol = &parser->policy->symbols.at[sym];
	unsigned int line, column;

	if (parser->policy->failed)
		return false;
	if (!symbol->id[kind]) {
		symbol->id[kind] = index + 1;
		return true;
	}
	policy_locate(parser->source, *first, &line, &column);
	ERROR(parser, place, "duplicate",
		"%s \"%s\" is already declared at %s:%u", what, symbol->text,
		parser->source->files[first->file].label, line);
	return false;
}

/* ---- addresses ---- */

static bool octet_with_zero(const char *text)
{
	const char *c;

	for (c = text; *c && *c != '/'; c++)
		if (*c == '0' && (c == text || c[-1] == '.') && c[1] >= '0' &&
			c[1] <= '9')
			return !strchr(text, ':');
	return false;
}

static void report_net(struct policy_parser *parser, const char *text)
{
	struct policy_place place = parse_place(parser);

	if (strchr(text, '%'))
		ERROR(parser, place, "bad-address",
			"an address in a policy has no zone id");
	else if (octet_with_zero(text))
		ERROR(parser, place, "bad-address",
			"leading zero in \"%s\": some programs read it as "
			"octal",
			text);
	else
		ERROR(parser, place, "bad-address",
			"\"%s\" is not an address or CIDR", text);
}

static void report_host_bits(struct policy_parser *parser, char *text)
{
	unsigned int bits = 0, i;
	char *slash = strchr(text, '/');
	char hint[120], base[ADDR_TEXT_MAX];
	struct addr addr;

	if (!slash || sscanf(slash + 1, "%u", &bits) != 1)
		return;
	*slash = '\0';
	if (addr_parse(text, &addr))
		return;
	*slash = '/';
	for (i = bits; i < (addr.family == AF_INET ? 32u : 128u); i++)
		addr.bytes[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
	snprintf(hint, sizeof(hint), "did you mean \"%s/%u\"?",
		addr_text(&addr, base), bits);
	ERROR_HINT(parser, parse_place(parser), "bad-address", hint,
		"host bits are set in \"%s\"", text);
}

bool parse_net(
	struct policy_parser *parser, bool all_nets, struct addr_net *ret)
{
	char text[80];
	enum sgb_err err;

	if (parser->token.kind != TOKEN_WORD)
		return parse_expected(parser, "an address or CIDR");
	parse_text(parser, text, sizeof(text));
	err = addr_net_parse(text, ret);
	if (err == SGB_ERR_LIMIT)
		report_host_bits(parser, text);
	else if (err)
		report_net(parser, text);
	if (err)
		return false;
	if (ret->bits == 0 && !all_nets) {
		ERROR(parser, parse_place(parser), "bad-address",
			"\"%s\" is every address: write \"any\" if you mean it",
			text);
		return false;
	}
	parse_next(parser);
	return true;
}

/* A CIDR in a list is a network that has its text for a name. */
static bool inline_net(
	struct policy_parser *parser, bool all_nets, struct policy_elem *elem)
{
	struct policy *policy = parser->policy;
	struct policy_place place = parse_place(parser);
	struct policy_network *network;
	struct addr_net net;
	const char *text = parser->token.text;
	uint32_t len = parser->token.len;

	if (!parse_net(parser, all_nets, &net))
		return false;
	elem->kind = ELEM_NET;
	elem->sym = policy_symbol(policy, text, len);
	if (policy->failed ||
		policy_named(policy, elem->sym, NAME_NETWORK) != POLICY_NONE)
		return true;
	network = vec_add(policy, &policy->networks);
	network->sym = elem->sym;
	network->place = place;
	network->anonymous = true;
	network->nets.first = policy->nets.count;
	network->nets.count = 1;
	*vec_add(policy, &policy->nets) = net;
	if (!policy->failed)
		policy->symbols.at[elem->sym].id[NAME_NETWORK] =
			policy->networks.count;
	return !policy->failed;
}

/* ---- lists ---- */

static bool plain_elem(struct policy_parser *parser, const char *what,
	struct policy_elem *elem)
{
	char name[POLICY_MAX_NAME + 20];

	parse_text(parser, name, sizeof(name));
	if (is_reserved(name))
		return parse_expected(parser, what);
	if (!name_form(parser, name))
		return false;
	elem->sym = policy_symbol(parser->policy, name, strlen(name));
	parse_next(parser);
	return true;
}

static bool unix_elem(struct policy_parser *parser, struct policy_elem *elem)
{
	char name[POLICY_MAX_NAME + 20];

	parse_text(parser, name, sizeof(name));
	if (!policy_name_valid(name + 1)) {
		ERROR(parser, parse_place(parser), "bad-name",
			"\"%s\" is not the name of a Unix group", name);
		return false;
	}
	elem->kind = ELEM_UNIX;
	elem->sym = policy_symbol(parser->policy, name + 1, strlen(name) - 1);
	parse_next(parser);
	return true;
}

static bool one_elem(struct policy_parser *parser, unsigned int kinds,
	const char *what, struct policy_elem *elem)
{
	elem->place = parse_place(parser);
	if (parser->token.kind != TOKEN_WORD)
		return parse_expected(parser, what);
	if ((kinds & ELEMS_ANY) && parse_accept(parser, "any")) {
		elem->kind = ELEM_ANY;
		return true;
	}
	if ((kinds & ELEMS_SELF) && parse_accept(parser, "self")) {
		elem->kind = ELEM_SELF;
		return true;
	}
	if ((kinds & ELEMS_ZONE) && parse_accept(parser, "zone")) {
		elem->kind = ELEM_ZONE;
		elem->place = parse_place(parser);
		if (parser->token.kind != TOKEN_WORD)
			return parse_expected(parser, "the name of a zone");
		return plain_elem(parser, "the name of a zone", elem);
	}
	if ((kinds & ELEMS_UNIX) && parser->token.text[0] == '@')
		return unix_elem(parser, elem);
	if ((kinds & ELEMS_NET) && parse_looks_like_net(parser))
		return inline_net(parser, kinds & ELEMS_ALL_NETS, elem);
	return plain_elem(parser, what, elem);
}

bool parse_elems(struct policy_parser *parser, unsigned int kinds,
	const char *what, struct policy_range *ret)
{
	ret->first = parser->policy->elems.count;
	ret->count = 0;
	do {
		struct policy_elem elem = {0};

		if (!one_elem(parser, kinds, what, &elem))
			return false;
		*vec_add(parser->policy, &parser->policy->elems) = elem;
		ret->count = parser->policy->elems.count - ret->first;
	} while (parse_comma(parser));
	return !parser->policy->failed;
}

/* ---- numbers ---- */

static bool number(
	const char *text, size_t len, unsigned int max, unsigned int *ret)
{
	unsigned int value = 0;
	size_t i;

	if (len == 0 || len > 6 || (text[0] == '0' && len > 1))
		return false;
	for (i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned int)(text[i] - '0');
	}
	*ret = value;
	return value <= max;
}

bool parse_count(struct policy_parser *parser, const char *what,
	unsigned int min, unsigned int max, unsigned int *ret)
{
	char expected[80];

	if (parser->token.kind != TOKEN_WORD ||
		!number(parser->token.text, parser->token.len, max, ret) ||
		*ret < min) {
		snprintf(expected, sizeof(expected), "%s from %u to %u", what,
			min, max);
		return parse_expected(parser, expected);
	}
	parse_next(parser);
	return true;
}

static bool port_range(const char *text, size_t len, struct policy_ports *ret)
{
	const char *dash = memchr(text, '-', len);
	size_t first = dash ? (size_t)(dash - text) : len;
	unsigned int from, to;

	if (!number(text, first, 65535, &from) || from == 0)
		return false;
	to = from;
	if (dash && !number(dash + 1, len - first - 1, 65535, &to))
		return false;
	if (to < from)
		return false;
	ret->from = (uint16_t)from;
	ret->to = (uint16_t)to;
	return true;
}

bool parse_ports(struct policy_parser *parser, struct policy_range *ret)
{
	struct policy *policy = parser->policy;
	struct policy_ports ports;

	ret->first = policy->ports.count;
	ret->count = 0;
	do {
		if (parser->token.kind != TOKEN_WORD ||
			!port_range(
				parser->token.text, parser->token.len, &ports))
			return parse_expected(parser,
				"a port from 1 to 65535 or a range like "
				"8000-8010");
		*vec_add(policy, &policy->ports) = ports;
		ret->count++;
		parse_next(parser);
	} while (parse_comma(parser));
	return !policy->failed;
}

bool parse_seconds(struct policy_parser *parser, uint64_t *ret)
{
	char text[32];
	size_t len;

	if (parser->token.kind != TOKEN_WORD)
		return parse_expected(parser, "a duration like 8h or 15m");
	parse_text(parser, text, sizeof(text));
	len = strlen(text);
	/* Nobody knows what a bare 8 meant. */
	if (text[0] < '0' || text[0] > '9' || !strchr("smhd", text[len - 1]) ||
		conf_seconds(text, ret) || *ret == 0 || *ret > YEARS_10)
		return parse_expected(
			parser, "a duration like 90s, 15m, 8h or 30d");
	parse_next(parser);
	return true;
}

bool parse_clock(const char *text, size_t len, uint16_t *ret)
{
	unsigned int hour, minute;

	if (len != 5 || text[2] != ':')
		return false;
	if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9' ||
		text[3] < '0' || text[3] > '9' || text[4] < '0' ||
		text[4] > '9')
		return false;
	hour = (unsigned int)((text[0] - '0') * 10 + text[1] - '0');
	minute = (unsigned int)((text[3] - '0') * 10 + text[4] - '0');
	if (minute > 59 || hour > 24 || (hour == 24 && minute))
		return false;
	*ret = (uint16_t)(hour * 60 + minute);
	return true;
}

static bool day_exists(unsigned int year, unsigned int month, unsigned int day)
{
	unsigned int next_year = month == 12 ? year + 1 : year;
	unsigned int next = month == 12 ? 1 : month + 1;

	return month >= 1 && month <= 12 && day >= 1 && year >= 2000 &&
	       policy_days_from_civil(year, month, day) <
		       policy_days_from_civil(next_year, next, 1);
}

/* A grant is good to the end of its last day, or to a minute; both in UTC. */
bool parse_date(struct policy_parser *parser, time_t *ret)
{
	static const char form[] = "0000-00-00T00:00";
	unsigned int year, month, day;
	uint16_t minute = 1440;
	char text[32];
	size_t i, len;

	parse_text(parser, text, sizeof(text));
	len = parser->token.kind == TOKEN_WORD ? strlen(text) : 0;
	for (i = 0; i < len && i < sizeof(form) - 1; i++)
		if (form[i] == '0' ? text[i] < '0' || text[i] > '9'
				   : text[i] != form[i])
			break;
	if ((len != 10 && len != 16) || i != len ||
		sscanf(text, "%4u-%2u-%2u", &year, &month, &day) != 3 ||
		!day_exists(year, month, day) ||
		(len == 16 && !parse_clock(text + 11, 5, &minute)))
		return parse_expected(
			parser, "a date like 2027-06-30 or 2027-06-30T18:00");
	*ret = (time_t)(policy_days_from_civil(year, month, day) * 86400 +
			minute * 60);
	parse_next(parser);
	return true;
}

bool parse_choice(struct policy_parser *parser, const char *what,
	const char *const *words, unsigned int *ret)
{
	char word[80], hint[120], expected[80];
	const char *nearest;
	unsigned int i;

	for (i = 0; words[i]; i++)
		if (parse_is(parser, words[i])) {
			*ret = i;
			parse_next(parser);
			return true;
		}
	if (parser->token.kind != TOKEN_WORD)
		return parse_expected(parser, what);
	parse_text(parser, word, sizeof(word));
	nearest = diag_nearest(word, words);
	snprintf(hint, sizeof(hint), "did you mean \"%s\"?", nearest);
	ERROR_HINT(parser, parse_place(parser), "unknown-word",
		nearest ? hint : NULL, "expected %s, found %s", what,
		parse_token_text(parser, expected));
	return false;
}
