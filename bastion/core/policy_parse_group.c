/* Security groups: what there is to reach, and what the cloud lets through. */
#include "core/policy_parse.h"

#include <string.h>

#define PIN_PREFIX "SHA256:"
#define PIN_LEN	   43

struct group_context {
	struct policy_sg sg;
	uint32_t index;
};

/* ---- instances and subnets ---- */

/* A shortened fingerprint is a placeholder of somebody who is still writing:
 * it matches no key, and check says so. */
static bool pin_valid(const char *text, size_t len)
{
	size_t prefix = strlen(PIN_PREFIX);
	size_t i;

	if (len < prefix || memcmp(text, PIN_PREFIX, prefix))
		return false;
	if (len > prefix + 3 && len < prefix + PIN_LEN &&
		!memcmp(text + len - 3, "...", 3))
		len -= 3;
	else if (len != prefix + PIN_LEN)
		return false;
	for (i = prefix; i < len; i++)
		if (!((text[i] >= 'a' && text[i] <= 'z') ||
			    (text[i] >= 'A' && text[i] <= 'Z') ||
			    (text[i] >= '0' && text[i] <= '9') ||
			    text[i] == '+' || text[i] == '/'))
			return false;
	return true;
}

static void node_host_key(struct policy_parser *parser, void *subject)
{
	struct policy_node *node = subject;
	struct policy *policy = parser->policy;

	if (parser->token.kind != TOKEN_WORD ||
		!pin_valid(parser->token.text, parser->token.len)) {
		parse_expected(parser,
			"a fingerprint like ssh-keygen -l prints: SHA256: and "
			"43 characters");
		return;
	}
	if (policy->texts.count == node->pins.first + node->pins.count + 1)
		policy->texts.count--; /* the NULL moves on */
	*vec_add(policy, &policy->texts) = policy_text(
		policy, parser->token.text, parser->token.len);
	vec_add(policy, &policy->texts);
	node->pins.count++;
	parse_next(parser);
}

static void node_login(struct policy_parser *parser, void *subject)
{
	struct policy_node *node = subject;

	(void)parse_new_name(parser, "login", &node->login);
}

static void node_port(struct policy_parser *parser, void *subject)
{
	struct policy_node *node = subject;
	unsigned int port;

	if (parse_count(parser, "a port", 1, 65535, &port))
		node->port = (uint16_t)port;
}

static void node_local(struct policy_parser *parser, void *subject)
{
	struct policy_node *node = subject;

	(void)parser;
	node->local = true;
}

/* via INSTANCE | direct: what its groups say is not for it. */
static void node_via(struct policy_parser *parser, void *subject)
{
	struct policy_node *node = subject;

	node->via_place = parse_place(parser);
	node->via_direct = parse_accept(parser, POLICY_DIRECT);
	if (!node->via_direct)
		(void)parse_new_name(parser, "jump host", &node->via_sym);
}

/* credential certificate | key NAME | agent */
static void logon(struct policy_parser *parser, struct policy_logon *ret)
{
	static const char *const words[] = {
		"certificate", "key", "agent", NULL};
	struct policy_logon logon = {.set = true};
	unsigned int kind;

	if (!parse_choice(parser, "certificate, key or agent", words, &kind))
		return;
	logon.kind = (enum policy_credential)kind;
	if (logon.kind == POLICY_STORED_KEY &&
		!parse_new_name(parser, "key", &logon.key))
		return;
	*ret = logon;
}

static void node_credential(struct policy_parser *parser, void *subject)
{
	struct policy_node *node = subject;

	logon(parser, &node->logon);
}

static const struct parse_word node_items[] = {
	{"host-key", node_host_key, true},
	{"login", node_login, false},
	{"port", node_port, false},
	{"local", node_local, false},
	{"via", node_via, false},
	{"credential", node_credential, false},
	{NULL, NULL, false},
};

static void node_init(struct policy_parser *parser, struct policy_node *node)
{
	memset(node, 0, sizeof(*node));
	node->login = POLICY_NONE;
	node->via_sym = node->via = POLICY_NONE;
	node->place = parse_place(parser);
	node->nets.first = parser->policy->nets.count;
}

static bool node_block(struct policy_parser *parser, struct policy_node *node)
{
	struct policy *policy = parser->policy;

	node->pins.first = policy->texts.count;
	vec_add(policy, &policy->texts);
	if (parser->token.kind == TOKEN_OPEN)
		parse_block(parser, "setting of an instance", node_items, node);
	return !policy->failed;
}

static void node_join(struct policy_parser *parser, uint32_t index,
	const struct group_context *context, struct policy_place place)
{
	struct policy *policy = parser->policy;
	struct policy_pair pair = {.key = index, .value = context->index};
	struct policy_pair *last = NULL;

	if (policy->memberships.count)
		last = &policy->memberships.at[policy->memberships.count - 1];
	if (last && last->key == pair.key && last->value == pair.value)
		ERROR(parser, place, "duplicate",
			"\"%s\" is already in this group",
			policy_symbol_text(
				policy, policy->nodes.at[index].sym));
	*vec_add(policy, &policy->memberships) = pair;
}

static bool instance_addresses(
	struct policy_parser *parser, struct policy_node *node)
{
	struct policy *policy = parser->policy;

	if (parser->token.kind != TOKEN_WORD)
		return true;
	do {
		struct policy_place place = parse_place(parser);
		struct addr_net net;

		if (!parse_net(parser, false, &net))
			return false;
		if (net.bits != (net.base.family == AF_INET ? 32 : 128)) {
			ERROR(parser, place, "bad-address",
				"an instance has an address, not a network");
			return false;
		}
		*vec_add(policy, &policy->nets) = net;
		node->nets.count++;
	} while (parse_comma(parser));
	return true;
}

static bool same_addresses(const struct policy *policy,
	const struct policy_node *a, const struct policy_node *b)
{
	uint32_t i;

	if (a->nets.count != b->nets.count)
		return false;
	for (i = 0; i < a->nets.count; i++)
		if (!addr_equal(&policy->nets.at[a->nets.first + i].base,
			    &policy->nets.at[b->nets.first + i].base))
			return false;
	return true;
}

/* An instance that is in several groups is described in the first. */
static void instance_again(struct policy_parser *parser,
	const struct policy_node *node, uint32_t index,
	const struct group_context *context)
{
	const struct policy_node *first = &parser->policy->nodes.at[index];
	unsigned int line, column;

	policy_locate(parser->source, first->place, &line, &column);
	if (node->nets.count && !same_addresses(parser->policy, node, first)) {
		ERROR(parser, node->place, "duplicate",
			"instance \"%s\" has other addresses at %s:%u",
			policy_symbol_text(parser->policy, node->sym),
			parser->source->files[first->place.file].label, line);
		parse_skip(parser);
		return;
	}
	if (parser->token.kind == TOKEN_OPEN) {
		ERROR(parser, parse_place(parser), "duplicate",
			"the settings of \"%s\" stand at %s:%u",
			policy_symbol_text(parser->policy, node->sym),
			parser->source->files[first->place.file].label, line);
		parse_skip(parser);
		return;
	}
	node_join(parser, index, context, node->place);
}

static void group_instance(struct policy_parser *parser, void *subject)
{
	struct policy *policy = parser->policy;
	struct group_context *context = subject;
	struct policy_node node;
	uint32_t index;

	node_init(parser, &node);
	if (!parse_new_name(parser, "instance", &node.sym) ||
		!instance_addresses(parser, &node))
		return;
	index = policy_named(policy, node.sym, NAME_NODE);
	if (index != POLICY_NONE) {
		instance_again(parser, &node, index, context);
		return;
	}
	if (!node.nets.count) {
		parse_expected(parser, "the address of the instance");
		return;
	}
	if (!node_block(parser, &node))
		return;
	index = policy->nodes.count;
	*vec_add(policy, &policy->nodes) = node;
	if (!policy->failed)
		policy->symbols.at[node.sym].id[NAME_NODE] = index + 1;
	node_join(parser, index, context, node.place);
}

static void subnet_add(struct policy_parser *parser,
	const struct policy_node *node, const struct group_context *context)
{
	struct policy *policy = parser->policy;
	uint32_t index = policy_named(policy, node->sym, NAME_NODE);

	if (index == POLICY_NONE) {
		index = policy->nodes.count;
		*vec_add(policy, &policy->nodes) = *node;
		if (!policy->failed)
			policy->symbols.at[node->sym].id[NAME_NODE] = index + 1;
	}
	node_join(parser, index, context, node->place);
}

static void group_subnet(struct policy_parser *parser, void *subject)
{
	struct policy *policy = parser->policy;
	uint32_t first = policy->nodes.count;
	struct policy_node node, settings;
	uint32_t i;

	do {
		const char *text = parser->token.text;
		uint32_t len = parser->token.len;
		struct addr_net net;

		node_init(parser, &node);
		if (!parse_net(parser, false, &net))
			return;
		node.subnet = true;
		node.sym = policy_symbol(policy, text, len);
		node.nets.count = 1;
		*vec_add(policy, &policy->nets) = net;
		node.pins.first = policy->texts.count;
		vec_add(policy, &policy->texts);
		if (policy->failed)
			return;
		subnet_add(parser, &node, subject);
	} while (parse_comma(parser));
	node_init(parser, &settings);
	if (parser->token.kind != TOKEN_OPEN || !node_block(parser, &settings))
		return;
	for (i = first; i < policy->nodes.count; i++) {
		policy->nodes.at[i].pins = settings.pins;
		policy->nodes.at[i].login = settings.login;
		policy->nodes.at[i].port = settings.port;
		policy->nodes.at[i].local = settings.local;
		policy->nodes.at[i].via_sym = settings.via_sym;
		policy->nodes.at[i].via_place = settings.via_place;
		policy->nodes.at[i].via_direct = settings.via_direct;
		policy->nodes.at[i].logon = settings.logon;
	}
}

/* ---- rules of the group ---- */

static bool rule_protocol(
	struct policy_parser *parser, struct policy_sg_rule *rule)
{
	static const char *const words[] = {"all", "tcp", "udp", NULL};
	unsigned int proto;

	if (!parse_choice(parser, "tcp, udp or all", words, &proto))
		return false;
	rule->proto = (enum policy_proto)proto;
	if (parse_is(parser, "from"))
		return true;
	if (rule->proto == PROTO_ALL) {
		ERROR(parser, parse_place(parser), "syntax",
			"\"all\" means every port: expected \"from\"");
		return false;
	}
	return parse_ports(parser, &rule->ports);
}

static bool rule_body(struct policy_parser *parser, struct policy_sg_rule *rule)
{
	if (!rule_protocol(parser, rule))
		return false;
	if (!parse_accept(parser, "from"))
		return parse_expected(parser, "\"from\"");
	if (!parse_elems(parser,
		    ELEMS_NAME | ELEMS_ANY | ELEMS_NET | ELEMS_ALL_NETS,
		    "a security group, a network, an address or any",
		    &rule->from))
		return false;
	rule->priority = 1;
	return !parse_accept(parser, "priority") ||
	       parse_count(parser, "a priority", 1, 100, &rule->priority);
}

static void group_rule(
	struct policy_parser *parser, struct group_context *context, bool drop)
{
	struct policy *policy = parser->policy;
	struct policy_sg_rule rule = {.place = parse_place(parser),
		.name = policy_here_name(parser),
		.sg = context->index,
		.drop = drop};

	if (!rule_body(parser, &rule)) {
		parse_skip(parser);
		return;
	}
	*vec_add(policy, &policy->sg_rules) = rule;
	context->sg.rules.count++;
}

static void group_accept(struct policy_parser *parser, void *subject)
{
	group_rule(parser, subject, false);
}

static void group_drop(struct policy_parser *parser, void *subject)
{
	group_rule(parser, subject, true);
}

static void group_zone(struct policy_parser *parser, void *subject)
{
	struct policy *policy = parser->policy;
	struct group_context *context = subject;
	uint32_t sym;

	if (!parse_new_name(parser, "zone", &sym) || policy->failed)
		return;
	context->sg.zone = sym;
	if (policy_named(policy, sym, NAME_ZONE) != POLICY_NONE)
		return;
	*vec_add(policy, &policy->sg_zones) = sym;
	policy->symbols.at[sym].id[NAME_ZONE] = policy->sg_zones.count;
}

static void group_isolated(struct policy_parser *parser, void *subject)
{
	struct group_context *context = subject;

	(void)parser;
	context->sg.isolated = true;
}

static void group_via(struct policy_parser *parser, void *subject)
{
	struct group_context *context = subject;

	if (parse_is(parser, POLICY_DIRECT)) {
		ERROR_HINT(parser, parse_place(parser), "conflict",
			"leave \"via\" out",
			"\"" POLICY_DIRECT "\" is for an instance of a group "
			"that has a jump host");
		return;
	}
	context->sg.via_place = parse_place(parser);
	(void)parse_new_name(parser, "jump host", &context->sg.via_sym);
}

static void group_credential(struct policy_parser *parser, void *subject)
{
	struct group_context *context = subject;

	logon(parser, &context->sg.logon);
}

static const struct parse_word group_items[] = {
	{"zone", group_zone, false},
	{"instance", group_instance, true},
	{"subnet", group_subnet, true},
	{"accept", group_accept, true},
	{"drop", group_drop, true},
	{"isolated", group_isolated, false},
	{"via", group_via, false},
	{"credential", group_credential, false},
	{NULL, NULL, false},
};

void parse_security_group(struct policy_parser *parser, void *unused)
{
	struct policy *policy = parser->policy;
	struct group_context context = {.index = policy->sgs.count};
	uint32_t known;

	(void)unused;
	context.sg.place = parse_place(parser);
	context.sg.zone = POLICY_NONE;
	context.sg.via_sym = context.sg.via = POLICY_NONE;
	context.sg.rules.first = policy->sg_rules.count;
	if (!parse_new_name(parser, "security group", &context.sg.sym)) {
		parse_skip(parser);
		return;
	}
	known = policy_named(policy, context.sg.sym, NAME_SG);
	parse_declare(parser, context.sg.sym, NAME_SG, context.index,
		context.sg.place, "security group",
		known == POLICY_NONE ? NULL : &policy->sgs.at[known].place);
	/* In place before its instances name it. */
	*vec_add(policy, &policy->sgs) = context.sg;
	if (parser->token.kind != TOKEN_OPEN) {
		parse_expected(parser, "\"{\"");
		return;
	}
	parse_block(parser, "line of a security group", group_items, &context);
	if (!policy->failed)
		policy->sgs.at[context.index] = context.sg;
}
