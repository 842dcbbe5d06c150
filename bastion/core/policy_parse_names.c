/* Statements that give names: network, group, user, hours, bastion, keys. */
#include "core/policy_parse.h"

#include <string.h>

void parse_network(struct policy_parser *parser, void *unused)
{
	struct policy *policy = parser->policy;
	struct policy_network network = {.place = parse_place(parser)};
	uint32_t index;

	(void)unused;
	if (!parse_new_name(parser, "network", &network.sym))
		return;
	network.nets.first = policy->nets.count;
	network.elems.first = policy->elems.count;
	do {
		struct addr_net net;

		if (parser->token.kind == TOKEN_WORD &&
			!parse_looks_like_net(parser)) {
			struct policy_elem elem = {
				.place = parse_place(parser)};

			if (!parse_new_name(parser, "network", &elem.sym))
				return;
			*vec_add(policy, &policy->elems) = elem;
			continue;
		}
		if (!parse_net(parser, false, &net))
			return;
		*vec_add(policy, &policy->nets) = net;
	} while (parse_comma(parser));
	network.nets.count = policy->nets.count - network.nets.first;
	network.elems.count = policy->elems.count - network.elems.first;
	index = policy_named(policy, network.sym, NAME_NETWORK);
	if (parse_declare(parser, network.sym, NAME_NETWORK,
		    policy->networks.count, network.place, "network",
		    index == POLICY_NONE ? NULL
					 : &policy->networks.at[index].place))
		*vec_add(policy, &policy->networks) = network;
}

void parse_group(struct policy_parser *parser, void *unused)
{
	struct policy *policy = parser->policy;
	struct policy_group group = {.place = parse_place(parser)};
	uint32_t index;

	(void)unused;
	if (!parse_new_name(parser, "group", &group.sym) ||
		!parse_elems(parser, ELEMS_NAME | ELEMS_UNIX,
			"a user, a group or @unixgroup", &group.elems))
		return;
	index = policy_named(policy, group.sym, NAME_GROUP);
	if (parse_declare(parser, group.sym, NAME_GROUP, policy->groups.count,
		    group.place, "group",
		    index == POLICY_NONE ? NULL
					 : &policy->groups.at[index].place))
		*vec_add(policy, &policy->groups) = group;
}

/* Says that these are people, for names that stand in no group. */
void parse_user(struct policy_parser *parser, void *unused)
{
	struct policy *policy = parser->policy;
	uint32_t sym;

	(void)unused;
	do {
		if (!parse_new_name(parser, "user", &sym))
			return;
		if (policy->failed ||
			policy_named(policy, sym, NAME_USER) != POLICY_NONE)
			continue;
		*vec_add(policy, &policy->users) = sym;
		policy->symbols.at[sym].id[NAME_USER] = policy->users.count;
	} while (parse_comma(parser));
}

/* ---- hours ---- */

static const char *const days[] = {
	"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", NULL};

static bool day_number(const char *text, size_t len, unsigned int *ret)
{
	unsigned int i;

	for (i = 0; days[i]; i++)
		if (len == 3 && !memcmp(text, days[i], 3)) {
			*ret = i;
			return true;
		}
	return false;
}

/* "Mon", "Mon-Fri", "Sat-Mon", "daily" */
static bool day_range(const struct policy_parser *parser, uint8_t *ret)
{
	const char *text = parser->token.text;
	uint32_t len = parser->token.len;
	unsigned int from, to, day;

	if (parse_is(parser, "daily")) {
		*ret = 0x7f;
		return true;
	}
	if (len == 3 && day_number(text, 3, &from)) {
		*ret = (uint8_t)(1u << from);
		return true;
	}
	if (len != 7 || text[3] != '-' || !day_number(text, 3, &from) ||
		!day_number(text + 4, 3, &to))
		return false;
	*ret = 0;
	for (day = from;; day = (day + 1) % 7) {
		*ret |= (uint8_t)(1u << day);
		if (day == to)
			return true;
	}
}

/* "08:00-19:00" */
static bool time_range(
	struct policy_parser *parser, struct policy_hours_span *span)
{
	const char *text = parser->token.text;

	if (parser->token.len != 11 || text[5] != '-' ||
		!parse_clock(text, 5, &span->from) ||
		!parse_clock(text + 6, 5, &span->to) || span->from == 1440)
		return parse_expected(parser, "a time of day like 08:00-19:00");
	if (span->from == span->to) {
		ERROR(parser, parse_place(parser), "bad-value",
			"this is no time at all: write 00:00-24:00 for the "
			"whole day");
		return false;
	}
	parse_next(parser);
	return true;
}

static bool is_time(const struct policy_parser *parser)
{
	return parser->token.kind == TOKEN_WORD &&
	       parser->token.text[0] >= '0' && parser->token.text[0] <= '9';
}

/* Days, then times of these days; commas between, days carry over. */
static bool hours_spans(struct policy_parser *parser, struct policy_range *ret)
{
	struct policy *policy = parser->policy;
	struct policy_hours_span span = {0};
	bool after_time = true;

	ret->first = policy->spans.count;
	while (parser->token.kind == TOKEN_WORD) {
		uint8_t more;

		if (is_time(parser)) {
			if (!span.days)
				return parse_expected(parser,
					"days before the time: daily, Mon-Fri, "
					"Sat");
			if (!time_range(parser, &span))
				return false;
			*vec_add(policy, &policy->spans) = span;
			ret->count++;
			after_time = true;
		} else if (day_range(parser, &more)) {
			if (after_time)
				span.days = 0;
			span.days |= more;
			after_time = false;
			parse_next(parser);
		} else {
			break;
		}
		parse_comma(parser);
	}
	if (ret->count == 0 || !after_time)
		return parse_expected(
			parser, ret->count || span.days
					? "a time of day like 08:00-19:00"
					: "days: daily, Mon-Fri, Sat");
	return true;
}

static bool hours_zone(struct policy_parser *parser, uint32_t *ret)
{
	struct policy *policy = parser->policy;
	struct policy_zone *zone = NULL;
	char name[80] = "UTC";
	uint32_t i;

	if (parser->token.kind == TOKEN_WORD)
		parse_text(parser, name, sizeof(name));
	for (i = 0; i < policy->zones.count; i++)
		if (!strcmp(policy_zone_name(policy->zones.at[i]), name))
			break;
	if (i == policy->zones.count) {
		if (policy_zone_load(name, &zone)) {
			ERROR(parser, parse_place(parser), "unknown-name",
				"unknown time zone \"%s\": expected one like "
				"Europe/Berlin",
				name);
			return false;
		}
		*vec_add(policy, &policy->zones) = zone;
		if (policy->zones.count == i) { /* out of memory */
			policy_zone_free(zone);
			return false;
		}
	}
	*ret = i;
	if (parser->token.kind == TOKEN_WORD)
		parse_next(parser);
	return true;
}

void parse_hours(struct policy_parser *parser, void *unused)
{
	struct policy *policy = parser->policy;
	struct policy_hours hours = {.place = parse_place(parser)};
	uint32_t index;

	(void)unused;
	if (!parse_new_name(parser, "span of hours", &hours.sym) ||
		!hours_spans(parser, &hours.spans) ||
		!hours_zone(parser, &hours.zone))
		return;
	index = policy_named(policy, hours.sym, NAME_HOURS);
	if (parse_declare(parser, hours.sym, NAME_HOURS, policy->hours.count,
		    hours.place, "hours",
		    index == POLICY_NONE ? NULL
					 : &policy->hours.at[index].place))
		*vec_add(policy, &policy->hours) = hours;
}

/* ---- bastion, keys ---- */

void parse_bastion(struct policy_parser *parser, void *unused)
{
	struct policy_place place = parse_place(parser);
	uint32_t sym;

	(void)unused;
	if (!parse_new_name(parser, "security group or instance", &sym))
		return;
	if (parser->policy->bastion != POLICY_NONE) {
		ERROR(parser, place, "duplicate",
			"the bastion is declared twice");
		return;
	}
	parser->policy->bastion = sym;
	parser->policy->bastion_place = place;
}

static const char *const key_types[] = {
	"ed25519", "ecdsa", "sk-ed25519", "sk-ecdsa", "rsa", NULL};

static bool key_type(struct policy_parser *parser, const char **ret)
{
	struct policy_place place = parse_place(parser);
	unsigned int type;

	if (parse_is(parser, "dsa") || parse_is(parser, "ssh-dss")) {
		ERROR(parser, place, "bad-value",
			"DSA keys are never accepted");
		return false;
	}
	if (!parse_choice(parser, "ed25519, ecdsa, sk-ed25519, sk-ecdsa or rsa",
		    key_types, &type))
		return false;
	*ret = key_types[type];
	return true;
}

static void keys_accept(struct policy_parser *parser, void *unused)
{
	struct policy *policy = parser->policy;
	struct policy_key_rule rule;

	(void)unused;
	do {
		bool rsa = parse_is(parser, "rsa");

		rule.min_bits = rsa ? 2048 : 0;
		if (!key_type(parser, &rule.type))
			return;
		if (rsa && parser->token.kind != TOKEN_AT_LEAST) {
			parse_expected(parser, "a size: rsa >= 3072");
			return;
		}
		if (parse_accept_kind(parser, TOKEN_AT_LEAST) &&
			!parse_count(parser, "a number of bits",
				rsa ? 2048 : 256, 16384, &rule.min_bits))
			return;
		*vec_add(policy, &policy->keys) = rule;
	} while (parse_comma(parser));
}

static void keys_user_ca(struct policy_parser *parser, void *unused)
{
	struct policy *policy = parser->policy;

	(void)unused;
	if (parser->token.kind != TOKEN_WORD || parser->token.text[0] != '/') {
		parse_expected(parser, "an absolute path");
		return;
	}
	*vec_add(policy, &policy->user_cas) = policy_text(
		policy, parser->token.text, parser->token.len);
	parse_next(parser);
}

static void keys_root_login(struct policy_parser *parser, void *unused)
{
	static const char *const words[] = {"no", "yes", NULL};
	unsigned int yes = 0;

	(void)unused;
	if (parse_choice(parser, "yes or no", words, &yes))
		parser->policy->root_login = yes == 1;
}

static const struct parse_word key_items[] = {
	{"accept", keys_accept, false},
	{"user-ca", keys_user_ca, true},
	{"root-login", keys_root_login, false},
	{NULL, NULL, false},
};

void parse_keys(struct policy_parser *parser, void *unused)
{
	(void)unused;
	if (parser->token.kind != TOKEN_OPEN) {
		parse_expected(parser, "\"{\"");
		return;
	}
	if (parser->policy->has_keys)
		ERROR(parser, parse_place(parser), "duplicate",
			"a policy has one keys block");
	parser->policy->has_keys = true;
	parse_block(parser, "setting of keys", key_items, NULL);
}
