/*
 * From names to numbers: groups, networks, security groups and instances.
 * Names may be used before they are declared, so this runs when everything
 * has been read. Reports what is unknown, doubled, circular or forbidden.
 */
#include "core/policy_parse.h"

#include <stdlib.h>
#include <string.h>

const char *policy_nearest(
	const struct policy *policy, const char *text, unsigned int kinds)
{
	const char **words = calloc(policy->symbols.count + 1, sizeof(*words));
	const char *nearest;
	uint32_t i, kind, count = 0;

	if (!words)
		return NULL;
	for (i = 0; i < policy->symbols.count; i++)
		for (kind = 0; kind < NAME_KINDS; kind++)
			if ((kinds >> kind & 1) &&
				policy->symbols.at[i].id[kind]) {
				words[count++] = policy->symbols.at[i].text;
				break;
			}
	nearest = diag_nearest(text, words);
	free(words);
	return nearest;
}

/* ---- groups ---- */

static void member_user(struct policy *policy, uint32_t sym)
{
	if (policy->failed ||
		policy_named(policy, sym, NAME_USER) != POLICY_NONE)
		return;
	*vec_add(policy, &policy->users) = sym;
	policy->symbols.at[sym].id[NAME_USER] = policy->users.count;
}

static void member_unix(struct policy *policy, uint32_t sym)
{
	if (policy->failed ||
		policy_named(policy, sym, NAME_UNIX) != POLICY_NONE)
		return;
	*vec_add(policy, &policy->unix_groups) = sym;
	policy->symbols.at[sym].id[NAME_UNIX] = policy->unix_groups.count;
}

static void declare_members(struct policy *policy)
{
	uint32_t i, j;

	for (i = 0; i < policy->groups.count; i++) {
		const struct policy_range *elems = &policy->groups.at[i].elems;

		for (j = 0; j < elems->count; j++) {
			const struct policy_elem *elem =
				&policy->elems.at[elems->first + j];

			if (elem->kind == ELEM_UNIX)
				member_unix(policy, elem->sym);
			else if (policy_named(policy, elem->sym, NAME_GROUP) ==
				 POLICY_NONE)
				member_user(policy, elem->sym);
		}
	}
}

/* ---- circles: groups of groups, networks of networks ---- */

struct circle {
	struct policy_parser *parser;
	enum policy_name_kind kind;
	const char *what;
	uint8_t *state; /* 0 new, 1 on the way, 2 done */
};

static const struct policy_range *circle_elems(
	const struct circle *circle, uint32_t index)
{
	const struct policy *policy = circle->parser->policy;

	return circle->kind == NAME_GROUP ? &policy->groups.at[index].elems
					  : &policy->networks.at[index].elems;
}

/* Depth is bounded: a chain that deep is a mistake too. */
static void circle_visit(
	struct circle *circle, uint32_t index, unsigned int depth)
{
	const struct policy *policy = circle->parser->policy;
	const struct policy_range *elems = circle_elems(circle, index);
	uint32_t i;

	circle->state[index] = 1;
	for (i = 0; i < elems->count; i++) {
		const struct policy_elem *elem =
			&policy->elems.at[elems->first + i];
		uint32_t next = elem->kind == ELEM_NAME
					? policy_named(policy, elem->sym,
						  circle->kind)
					: POLICY_NONE;

		if (next == POLICY_NONE || circle->state[next] == 2)
			continue;
		if (circle->state[next] == 1)
			ERROR(circle->parser, elem->place, "conflict",
				"%s \"%s\" contains itself", circle->what,
				policy_symbol_text(policy, elem->sym));
		else if (depth >= 32)
			ERROR(circle->parser, elem->place, "conflict",
				"more than 32 %ss inside each other",
				circle->what);
		else
			circle_visit(circle, next, depth + 1);
	}
	circle->state[index] = 2;
}

static void find_circles(struct policy_parser *parser,
	enum policy_name_kind kind, const char *what, uint32_t count)
{
	struct circle circle = {.parser = parser, .kind = kind, .what = what};
	uint32_t i;

	circle.state = calloc(count + 1, 1);
	if (!circle.state) {
		parser->policy->failed = true;
		return;
	}
	for (i = 0; i < count; i++)
		if (!circle.state[i])
			circle_visit(&circle, i, 0);
	free(circle.state);
}

static void unknown_network(
	struct policy_parser *parser, const struct policy_elem *elem)
{
	const char *text = policy_symbol_text(parser->policy, elem->sym);
	const char *near = policy_nearest(
		parser->policy, text, 1u << NAME_NETWORK);
	char hint[120];

	snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
	if (near)
		ERROR_HINT(parser, elem->place, "unknown-name", hint,
			"unknown network \"%s\"", text);
	else if (strchr(text, '.'))
		ERROR(parser, elem->place, "unknown-name",
			"unknown network \"%s\": a DNS name is no source, "
			"write its addresses",
			text);
	else
		ERROR(parser, elem->place, "unknown-name",
			"unknown network \"%s\"", text);
}

static void resolve_networks(struct policy_parser *parser)
{
	const struct policy *policy = parser->policy;
	uint32_t i, j;

	for (i = 0; i < policy->networks.count; i++) {
		const struct policy_range *elems =
			&policy->networks.at[i].elems;

		for (j = 0; j < elems->count; j++) {
			const struct policy_elem *elem =
				&policy->elems.at[elems->first + j];

			if (policy_named(policy, elem->sym, NAME_NETWORK) ==
				POLICY_NONE)
				unknown_network(parser, elem);
		}
	}
	find_circles(parser, NAME_NETWORK, "network", policy->networks.count);
}

static void add_nets(struct policy *policy, uint32_t network, uint32_t id,
	struct policy_nets *nets, unsigned int depth)
{
	const struct policy_network *from = &policy->networks.at[network];
	uint32_t i;

	for (i = 0; i < from->nets.count; i++) {
		struct policy_net_id *added = vec_add(policy, &nets->list);

		added->net = policy->nets.at[from->nets.first + i];
		added->id = id;
	}
	for (i = 0; i < from->elems.count && depth < 40; i++)
		add_nets(policy,
			policy_named(policy,
				policy->elems.at[from->elems.first + i].sym,
				NAME_NETWORK),
			id, nets, depth + 1);
}

void policy_network_nets(struct policy *policy, uint32_t network, uint32_t id,
	struct policy_nets *nets)
{
	add_nets(policy, network, id, nets, 0);
}

/* ---- security groups ---- */

static void resolve_sg_from(
	struct policy_parser *parser, const struct policy_elem *elem)
{
	struct policy *policy = parser->policy;
	const char *text = policy_symbol_text(policy, elem->sym);
	uint32_t sg = policy_named(policy, elem->sym, NAME_SG);
	uint32_t network = policy_named(policy, elem->sym, NAME_NETWORK);
	const char *near;
	char hint[120];

	if (elem->kind == ELEM_ANY)
		return;
	if (sg != POLICY_NONE)
		policy->sgs.at[sg].used = true;
	if (network != POLICY_NONE)
		policy->networks.at[network].used = true;
	if (sg != POLICY_NONE || network != POLICY_NONE)
		return;
	near = policy_nearest(policy, text, 1u << NAME_SG | 1u << NAME_NETWORK);
	snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
	ERROR_HINT(parser, elem->place, "unknown-name", near ? hint : NULL,
		"unknown security group or network \"%s\"", text);
}

static void resolve_sgs(struct policy_parser *parser)
{
	const struct policy *policy = parser->policy;
	uint32_t i, j;

	for (i = 0; i < policy->sg_rules.count; i++) {
		struct policy_range from = policy->sg_rules.at[i].from;

		for (j = 0; j < from.count; j++)
			resolve_sg_from(
				parser, &policy->elems.at[from.first + j]);
	}
	for (i = 0; i < policy->nodes.count; i++) {
		const struct policy_node *node = &policy->nodes.at[i];

		if (policy_named(policy, node->sym, NAME_SG) != POLICY_NONE)
			ERROR(parser, node->place, "duplicate",
				"\"%s\" is a security group too",
				policy_symbol_text(policy, node->sym));
	}
	for (i = 0; i < policy->networks.count; i++) {
		const struct policy_network *network = &policy->networks.at[i];

		if (policy_named(policy, network->sym, NAME_SG) != POLICY_NONE)
			ERROR(parser, network->place, "duplicate",
				"\"%s\" is a security group too",
				policy_symbol_text(policy, network->sym));
	}
}

/* ---- instances ---- */

static void judge_address(
	struct policy_parser *parser, const struct policy_node *node)
{
	const struct policy *policy = parser->policy;
	uint32_t i;

	for (i = 0; i < node->nets.count; i++) {
		const struct addr *addr =
			&policy->nets.at[node->nets.first + i].base;
		char text[ADDR_TEXT_MAX];

		if (node->local && !addr_is_loopback(addr))
			ERROR(parser, node->place, "conflict",
				"%s is no loopback address, so it is not "
				"\"local\"",
				addr_text(addr, text));
		else if (!node->subnet && !node->local &&
			 addr_is_loopback(addr))
			ERROR_HINT(parser, node->place, "forbidden-address",
				"declare it \"local\" if it is meant",
				"%s is the bastion itself",
				addr_text(addr, text));
		else if (!node->subnet && !node->local &&
			 addr_is_forbidden_target(addr))
			ERROR(parser, node->place, "forbidden-address",
				"%s is a metadata, multicast or unspecified "
				"address and can be no target",
				addr_text(addr, text));
	}
}

/* What an instance does not say itself, the groups say that it is declared
 * in; they must not say two things. */
static void resolve_logons(struct policy_parser *parser)
{
	struct policy *policy = parser->policy;
	uint32_t i;

	for (i = 0; i < policy->nodes.count; i++)
		policy->nodes.at[i].own_logon = policy->nodes.at[i].logon.set;
	for (i = 0; i < policy->memberships.count; i++) {
		const struct policy_pair *pair = &policy->memberships.at[i];
		struct policy_node *node =
			&policy->nodes.at[(uint32_t)pair->key];
		const struct policy_logon *group =
			&policy->sgs.at[pair->value].logon;

		if (node->own_logon || !group->set)
			continue;
		if (node->logon.set && (node->logon.kind != group->kind ||
					       node->logon.key != group->key))
			ERROR(parser, node->place, "conflict",
				"the groups of \"%s\" name different "
				"credentials: give it one of its own",
				policy_symbol_text(policy, node->sym));
		node->logon = *group;
	}
}

struct owned {
	struct addr_net net;
	uint32_t node;
};

static int owned_order(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;
	int order = memcmp(&x->net.base, &y->net.base, sizeof(x->net.base));

	if (order)
		return order;
	return x->node < y->node ? -1 : x->node > y->node;
}

static void report_twins(
	struct policy_parser *parser, const struct owned *owned, uint32_t count)
{
	const struct policy *policy = parser->policy;
	uint32_t i;

	for (i = 1; i < count; i++) {
		const struct policy_node *node, *first;
		char text[ADDR_TEXT_MAX];

		if (!addr_equal(&owned[i - 1].net.base, &owned[i].net.base))
			continue;
		first = &policy->nodes.at[owned[i - 1].node];
		node = &policy->nodes.at[owned[i].node];
		ERROR(parser, node->place, "duplicate",
			"%s is the address of \"%s\" already",
			addr_text(&owned[i].net.base, text),
			policy_symbol_text(policy, first->sym));
	}
}

static void find_twins(struct policy_parser *parser)
{
	const struct policy *policy = parser->policy;
	struct owned *owned = calloc(policy->nets.count + 1, sizeof(*owned));
	uint32_t i, j, count = 0;

	if (!owned) {
		parser->policy->failed = true;
		return;
	}
	for (i = 0; i < policy->nodes.count; i++) {
		const struct policy_node *node = &policy->nodes.at[i];

		for (j = 0; j < node->nets.count && !node->subnet; j++) {
			owned[count].net =
				policy->nets.at[node->nets.first + j];
			owned[count++].node = i;
		}
	}
	qsort(owned, count, sizeof(*owned), owned_order);
	report_twins(parser, owned, count);
	free(owned);
}

/* ---- the bastion itself ---- */

static void bastion_of_sg(struct policy *policy, uint32_t sg)
{
	uint32_t i, j;

	policy->bastion_sgs.first = policy->ids.count;
	policy->bastion_sgs.count = 1;
	*vec_add(policy, &policy->ids) = sg;
	policy->bastion_nets.first = policy->nets.count;
	for (i = 0; i < policy->memberships.count; i++) {
		const struct policy_pair *pair = &policy->memberships.at[i];
		const struct policy_node *node =
			&policy->nodes.at[(uint32_t)pair->key];

		for (j = 0; pair->value == sg && !node->subnet &&
			    j < node->nets.count;
			j++) {
			struct addr_net *added = vec_add(policy, &policy->nets);

			*added = policy->nets.at[node->nets.first + j];
		}
	}
	policy->bastion_nets.count = policy->nets.count -
				     policy->bastion_nets.first;
}

static void bastion_of_node(struct policy *policy, uint32_t node)
{
	uint32_t i;

	policy->bastion_nets = policy->nodes.at[node].nets;
	policy->bastion_sgs.first = policy->ids.count;
	for (i = 0; i < policy->memberships.count; i++)
		if (policy->memberships.at[i].key == node) {
			*vec_add(policy,
				&policy->ids) = policy->memberships.at[i].value;
			policy->bastion_sgs.count++;
		}
}

static void resolve_bastion(struct policy_parser *parser)
{
	struct policy *policy = parser->policy;
	uint32_t sym = policy->bastion;
	const char *near;
	char hint[120];

	if (sym == POLICY_NONE)
		sym = policy_symbol_find(policy, POLICY_BASTION);
	if (policy_named(policy, sym, NAME_SG) != POLICY_NONE) {
		uint32_t sg = policy_named(policy, sym, NAME_SG);

		policy->sgs.at[sg].used = true;
		bastion_of_sg(policy, sg);
		return;
	}
	if (policy->bastion == POLICY_NONE)
		return;
	if (policy_named(policy, sym, NAME_NODE) != POLICY_NONE) {
		bastion_of_node(policy, policy_named(policy, sym, NAME_NODE));
		return;
	}
	near = policy_nearest(policy, policy_symbol_text(policy, sym),
		1u << NAME_SG | 1u << NAME_NODE);
	snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
	ERROR_HINT(parser, policy->bastion_place, "unknown-name",
		near ? hint : NULL, "unknown security group or instance \"%s\"",
		policy_symbol_text(policy, sym));
}

void policy_resolve(struct policy_parser *parser)
{
	struct policy *policy = parser->policy;
	uint32_t i;

	parser->quiet = false;
	declare_members(policy);
	find_circles(parser, NAME_GROUP, "group", policy->groups.count);
	resolve_networks(parser);
	resolve_sgs(parser);
	for (i = 0; i < policy->nodes.count; i++)
		judge_address(parser, &policy->nodes.at[i]);
	find_twins(parser);
	resolve_logons(parser);
	resolve_bastion(parser);
	policy_resolve_via(parser);
	policy_resolve_rules(parser);
}
