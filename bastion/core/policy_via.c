/*
 * Jump hosts: instances that the bastion reaches through another one, as they
 * say themselves or as the groups do that they are declared in. Found
 * and judged when a policy is compiled, so that deciding only follows numbers
 * that end.
 */
#include "core/policy_int.h"

#include <stdio.h>
#include <string.h>

#include "core/policy_parse.h"

static bool is_bastion_itself(const struct policy *policy, uint32_t index)
{
	const struct policy_node *node = &policy->nodes.at[index];
	uint32_t i, j;

	for (i = 0; i < node->nets.count; i++)
		for (j = 0; j < policy->bastion_nets.count; j++)
			if (addr_equal(
				    &policy->nets.at[node->nets.first + i].base,
				    &policy->nets
					     .at[policy->bastion_nets.first + j]
					     .base))
				return true;
	return false;
}

static void unknown_hop(
	struct policy_parser *parser, uint32_t sym, struct policy_place place)
{
	const char *text = policy_symbol_text(parser->policy, sym);
	const char *near = policy_nearest(
		parser->policy, text, 1u << NAME_NODE);
	char hint[120];

	snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
	ERROR_HINT(parser, place, "unknown-name", near ? hint : NULL,
		"unknown instance \"%s\"", text);
}

/* Groups of a jump host are in use: the way leads through them. */
static void mark_used(struct policy *policy, uint32_t hop)
{
	uint32_t i;

	for (i = 0; i < policy->memberships.count; i++)
		if (policy->memberships.at[i].key == hop)
			policy->sgs.at[policy->memberships.at[i].value].used =
				true;
}

/* The node of a jump host; POLICY_NONE after an error. local: what is behind
 * it is the bastion itself. */
static uint32_t find_hop(struct policy_parser *parser, uint32_t sym,
	struct policy_place place, bool local)
{
	struct policy *policy = parser->policy;
	uint32_t hop = policy_named(policy, sym, NAME_NODE);

	if (hop == POLICY_NONE) {
		unknown_hop(parser, sym, place);
	} else if (local || policy->nodes.at[hop].local) {
		ERROR(parser, place, "conflict",
			"what is \"local\" is neither a jump host nor behind "
			"one");
	} else if (is_bastion_itself(policy, hop)) {
		ERROR_HINT(parser, place, "conflict", "leave \"via\" out",
			"\"%s\" is the bastion itself",
			policy_symbol_text(policy, sym));
	} else if (policy->nodes.at[hop].logon.kind == POLICY_OWN_AGENT) {
		ERROR_HINT(parser, place, "conflict",
			"give it another credential",
			"\"%s\" is logged on to with people's agents, which a "
			"jump host cannot be",
			policy_symbol_text(policy, sym));
	} else {
		mark_used(policy, hop);
		return hop;
	}
	return POLICY_NONE;
}

static bool has_own_way(const struct policy_node *node)
{
	return node->via_sym != POLICY_NONE || node->via_direct || node->local;
}

/* What an instance does not say itself, the groups say that it is declared
 * in. Mistakes about that are told at the instance: one mends them there. */
static void inherit_hop(struct policy_parser *parser, struct policy_node *node,
	const struct policy_sg *sg)
{
	if (sg->via == POLICY_NONE || has_own_way(node))
		return;
	if (node->via != POLICY_NONE && node->via != sg->via) {
		ERROR_HINT(parser, node->place, "conflict",
			"give it a \"via\" of its own",
			"the groups of \"%s\" name different jump hosts",
			policy_symbol_text(parser->policy, node->sym));
		node->via_direct = true; /* once is enough */
		node->via = POLICY_NONE;
		return;
	}
	node->via = sg->via;
	node->via_place = node->place;
}

/* An instance of this name would make `via direct` mean two things. */
static void judge_direct(struct policy_parser *parser)
{
	const struct policy *policy = parser->policy;
	uint32_t sym = policy_symbol_find(policy, POLICY_DIRECT), i;

	if (policy_named(policy, sym, NAME_NODE) == POLICY_NONE)
		return;
	for (i = 0; i < policy->nodes.count; i++)
		if (policy->nodes.at[i].via_direct)
			ERROR_HINT(parser, policy->nodes.at[i].via_place,
				"conflict", "give the instance another name",
				"\"" POLICY_DIRECT
				"\" says that there is no jump host, and is "
				"the name of an instance too");
}

static void find_hops(struct policy_parser *parser)
{
	struct policy *policy = parser->policy;
	uint32_t i;

	for (i = 0; i < policy->nodes.count; i++) {
		struct policy_node *node = &policy->nodes.at[i];

		if (node->via_sym != POLICY_NONE)
			node->via = find_hop(parser, node->via_sym,
				node->via_place, node->local);
	}
	for (i = 0; i < policy->sgs.count; i++) {
		struct policy_sg *sg = &policy->sgs.at[i];

		if (sg->via_sym != POLICY_NONE)
			sg->via = find_hop(
				parser, sg->via_sym, sg->via_place, false);
	}
	for (i = 0; i < policy->memberships.count; i++) {
		const struct policy_pair *pair = &policy->memberships.at[i];

		inherit_hop(parser, &policy->nodes.at[(uint32_t)pair->key],
			&policy->sgs.at[pair->value]);
	}
}

/* Writes "a via b via a" as far as it fits. */
static void chain_text(const struct policy *policy, uint32_t start,
	unsigned int steps, char *out, size_t len)
{
	uint32_t at = start;
	size_t used = 0;

	while (used < len) {
		used += (size_t)snprintf(out + used, len - used, "%s%s",
			at == start && !used ? "" : " via ",
			policy_symbol_text(policy, policy->nodes.at[at].sym));
		if (!steps--)
			break;
		at = policy->nodes.at[at].via;
	}
}

/* Follows a chain to its end. A circle is reported by its first member; what
 * only leads into one says nothing. */
static void follow(struct policy_parser *parser, uint32_t start)
{
	const struct policy *policy = parser->policy;
	const struct policy_node *node = &policy->nodes.at[start];
	uint32_t at = node->via, lowest = start;
	unsigned int steps = 1;
	char text[300];

	while (at != POLICY_NONE && at != start &&
		steps <= policy->nodes.count) {
		lowest = at < lowest ? at : lowest;
		at = policy->nodes.at[at].via;
		steps += at != POLICY_NONE;
	}
	if (at == start && lowest == start) {
		chain_text(policy, start, steps, text, sizeof(text));
		ERROR_HINT(parser, node->via_place, "circle",
			has_own_way(node) ? NULL
					  : "its group says so: give it "
					    "\"via " POLICY_DIRECT "\"",
			"jump hosts in a circle: %s", text);
	} else if (at == POLICY_NONE && steps > POLICY_HOPS_MAX) {
		ERROR(parser, node->via_place, "too-deep",
			"%u jump hosts in front of \"%s\": expected at most "
			"%d",
			steps, policy_symbol_text(policy, node->sym),
			POLICY_HOPS_MAX);
	}
}

void policy_resolve_via(struct policy_parser *parser)
{
	struct policy *policy = parser->policy;
	uint32_t i;

	judge_direct(parser);
	find_hops(parser);
	for (i = 0; i < policy->nodes.count; i++)
		if (policy->nodes.at[i].via != POLICY_NONE)
			follow(parser, i);
}

static void fill_hop(const struct policy *policy,
	const struct policy_node *node, struct policy_decision *ret)
{
	uint32_t i, rule;

	memset(ret, 0, sizeof(*ret));
	ret->verdict = POLICY_PERMIT;
	ret->reason = POLICY_GRANTED;
	ret->allow = POLICY_FORWARD;
	ret->instance = policy_symbol_text(policy, node->sym);
	if (node->sgs.count)
		ret->security_group = policy_symbol_text(policy,
			policy->sgs.at[policy->ids.at[node->sgs.first]].sym);
	ret->node = node;
	if (node->via != POLICY_NONE)
		ret->via = &policy->nodes.at[node->via];
	ret->target_port = node->port ? node->port : POLICY_SSH_PORT;
	ret->login = node->login == POLICY_NONE
			     ? ""
			     : policy_symbol_text(policy, node->login);
	ret->host_keys = (const char *const *)policy->texts.at +
			 node->pins.first;
	/* The permit saw that one of them is open. */
	for (i = 0; i < node->nets.count; i++) {
		const struct addr *addr =
			&policy->nets.at[node->nets.first + i].base;

		if (!policy_sg_accepts(policy, node, addr->family,
			    ret->target_port, &rule))
			continue;
		ret->address = i;
		ret->target_addr = *addr;
		if (rule != POLICY_NONE)
			ret->group_rule = policy->sg_rules.at[rule].name;
		return;
	}
	ret->verdict = POLICY_DENY;
	ret->reason = POLICY_GROUP_CLOSED;
}

unsigned int policy_hops(const struct policy *policy,
	const struct policy_decision *decision,
	struct policy_decision ret[POLICY_HOPS_MAX])
{
	const struct policy_node *nodes[POLICY_HOPS_MAX];
	const struct policy_node *node = decision->via;
	unsigned int count = 0, i;

	while (node && count < POLICY_HOPS_MAX) {
		nodes[count++] = node;
		node = node->via == POLICY_NONE ? NULL
						: &policy->nodes.at[node->via];
	}
	for (i = 0; i < count; i++)
		fill_hop(policy, nodes[count - 1 - i], &ret[i]);
	return count;
}
