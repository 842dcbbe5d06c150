/*
 * Networks in parts that security groups treat alike. What a drop takes out of
 * a network is no reason to believe that all of it is closed, and its first
 * address says nothing about the others: so each part is asked about once.
 */
#include "topology.h"

#include <stdlib.h>
#include <string.h>

struct parts {
	const struct policy *policy;
	const struct addr_net *net;
	bool (*each)(const struct policy *policy, const struct addr *addr,
		void *arg);
	void *arg;
};

static bool ask(const struct parts *parts, const struct addr *addr)
{
	return addr_in_net(addr, parts->net) &&
	       parts->each(parts->policy, addr, parts->arg);
}

/* The first address after a network; false after the last of all. */
static bool addr_after(const struct addr_net *net, struct addr *ret)
{
	unsigned int bit = net->bits;

	*ret = net->base;
	/* Adds one to the prefix. */
	while (bit-- > 0) {
		uint8_t mask = (uint8_t)(0x80u >> bit % 8);

		ret->bytes[bit / 8] ^= mask;
		if (ret->bytes[bit / 8] & mask)
			return true;
	}
	return false;
}

static bool ask_ends(const struct parts *parts, const struct addr_net *net)
{
	struct addr after;

	return ask(parts, &net->base) ||
	       (addr_after(net, &after) && ask(parts, &after));
}

static bool ask_nets(const struct parts *parts, struct policy_range nets)
{
	uint32_t i;

	for (i = 0; i < nets.count; i++)
		if (ask_ends(parts, &parts->policy->nets.at[nets.first + i]))
			return true;
	return false;
}

static bool ask_network(const struct parts *parts, uint32_t network)
{
	struct policy_nets nets = {0};
	bool found = false;
	uint32_t i;

	if (network == POLICY_NONE)
		return false;
	policy_network_nets((struct policy *)parts->policy, network, 0, &nets);
	for (i = 0; i < nets.list.count && !found; i++)
		found = ask_ends(parts, &nets.list.at[i].net);
	free(nets.list.at);
	return found;
}

static bool ask_group(const struct parts *parts, uint32_t sg)
{
	const struct policy *policy = parts->policy;
	uint32_t i, count;
	const uint32_t *nodes = topology_members(policy, sg, &count);

	for (i = 0; i < count; i++)
		if (ask_nets(parts, policy->nodes.at[nodes[i]].nets))
			return true;
	return false;
}

static bool ask_rule(
	const struct parts *parts, const struct policy_sg_rule *rule)
{
	const struct policy *policy = parts->policy;
	uint32_t i;

	for (i = 0; i < rule->from.count && rule->drop; i++) {
		const struct policy_elem *elem =
			&policy->elems.at[rule->from.first + i];
		uint32_t sg;

		if (elem->kind == ELEM_ANY)
			continue;
		sg = policy_named(policy, elem->sym, NAME_SG);
		if (sg != POLICY_NONE ? ask_group(parts, sg)
				      : ask_network(parts,
						policy_named(policy, elem->sym,
							NAME_NETWORK)))
			return true;
	}
	return false;
}

bool topology_each_part(const struct policy *policy,
	const struct policy_node *node, const struct addr_net *net,
	bool (*each)(const struct policy *policy, const struct addr *addr,
		void *arg),
	void *arg)
{
	const struct parts parts = {policy, net, each, arg};
	uint32_t i, j;

	if (ask(&parts, &net->base) || ask_nets(&parts, policy->bastion_nets))
		return true;
	if (node->via != POLICY_NONE &&
		ask_nets(&parts, policy->nodes.at[node->via].nets))
		return true;
	for (i = 0; i < node->sgs.count; i++) {
		const struct policy_range *rules =
			&policy->sgs.at[policy->ids.at[node->sgs.first + i]]
				 .rules;

		for (j = 0; j < rules->count; j++)
			if (ask_rule(&parts,
				    &policy->sg_rules.at[rules->first + j]))
				return true;
	}
	return false;
}
