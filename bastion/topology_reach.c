/*
 * Who reaches whom by the security groups alone: policy_sg_accepts for any
 * address instead of the bastion's, written plainly, rule by rule, so that it
 * can be compared with packets.
 */
#include "topology.h"

#include <stdlib.h>
#include <string.h>

bool topology_is_bastion(const struct policy *policy, uint32_t sg)
{
	uint32_t i;

	for (i = 0; i < policy->bastion_sgs.count; i++)
		if (policy->ids.at[policy->bastion_sgs.first + i] == sg)
			return true;
	return false;
}

bool topology_in_group(const struct policy *policy,
	const struct policy_node *node, uint32_t sg)
{
	uint32_t i;

	for (i = 0; i < node->sgs.count; i++)
		if (policy->ids.at[node->sgs.first + i] == sg)
			return true;
	return false;
}

static bool node_has(const struct policy *policy,
	const struct policy_node *node, const struct addr *addr)
{
	uint32_t i;

	for (i = 0; i < node->nets.count; i++)
		if (addr_in_net(addr, &policy->nets.at[node->nets.first + i]))
			return true;
	return false;
}

/* The nodes of each group, made once for the policy that is asked about:
 * every question about a group would otherwise look at all nodes there are. */
static struct {
	const struct policy *policy;
	uint32_t *first; /* of each group, into nodes; one more at the end */
	uint32_t *nodes;
} members;

static uint32_t count_members(const struct policy *policy, uint32_t *first)
{
	uint32_t i, j, total = 0;

	for (i = 0; i < policy->nodes.count; i++)
		for (j = 0; j < policy->nodes.at[i].sgs.count; j++)
			first[policy->ids
					.at[policy->nodes.at[i].sgs.first + j] +
				1]++;
	for (i = 0; i < policy->sgs.count; i++) {
		total += first[i + 1];
		first[i + 1] = total;
	}
	return total;
}

static bool fill_members(const struct policy *policy)
{
	uint32_t *first = calloc(policy->sgs.count + 2u, sizeof(*first));
	uint32_t *next = calloc(policy->sgs.count + 2u, sizeof(*next));
	uint32_t *nodes = NULL;
	uint32_t i, j;

	if (first && next)
		nodes = calloc(
			count_members(policy, first) + 1u, sizeof(*nodes));
	if (!nodes) {
		free(first);
		free(next);
		return false;
	}
	for (i = 0; i < policy->nodes.count; i++)
		for (j = 0; j < policy->nodes.at[i].sgs.count; j++) {
			uint32_t sg =
				policy->ids
					.at[policy->nodes.at[i].sgs.first + j];

			nodes[first[sg] + next[sg]++] = i;
		}
	free(next);
	free(members.first);
	free(members.nodes);
	members.policy = policy;
	members.first = first;
	members.nodes = nodes;
	return true;
}

const uint32_t *topology_members(
	const struct policy *policy, uint32_t sg, uint32_t *ret_count)
{
	*ret_count = 0;
	if (members.policy != policy && !fill_members(policy)) {
		cli_fail("out of memory");
		exit(CLI_ERROR);
	}
	*ret_count = members.first[sg + 1] - members.first[sg];
	return &members.nodes[members.first[sg]];
}

static bool group_has(
	const struct policy *policy, uint32_t sg, const struct addr *addr)
{
	uint32_t i, count;
	const uint32_t *nodes = topology_members(policy, sg, &count);

	for (i = 0; i < count; i++)
		if (node_has(policy, &policy->nodes.at[nodes[i]], addr))
			return true;
	return false;
}

static bool network_has(
	const struct policy *policy, uint32_t network, const struct addr *addr)
{
	struct policy_nets nets = {0};
	bool found = false;
	uint32_t i;

	if (network == POLICY_NONE)
		return false;
	policy_network_nets((struct policy *)policy, network, 0, &nets);
	for (i = 0; i < nets.list.count && !found; i++)
		found = addr_in_net(addr, &nets.list.at[i].net);
	free(nets.list.at);
	return found;
}

bool topology_elem_covers(const struct policy *policy,
	const struct policy_elem *elem, const struct addr *addr)
{
	uint32_t sg;

	if (elem->kind == ELEM_ANY)
		return true;
	sg = policy_named(policy, elem->sym, NAME_SG);
	if (sg != POLICY_NONE)
		return group_has(policy, sg, addr);
	return network_has(
		policy, policy_named(policy, elem->sym, NAME_NETWORK), addr);
}

static bool rule_matches(const struct policy *policy,
	const struct policy_sg_rule *rule, const struct topology_flow *flow)
{
	bool port = rule->ports.count == 0;
	uint32_t i;

	if (rule->proto != PROTO_ALL && rule->proto != flow->proto)
		return false;
	for (i = 0; i < rule->ports.count && !port; i++) {
		const struct policy_ports *ports =
			&policy->ports.at[rule->ports.first + i];

		port = flow->port >= ports->from && flow->port <= ports->to;
	}
	for (i = 0; i < rule->from.count && port; i++)
		if (topology_elem_covers(policy,
			    &policy->elems.at[rule->from.first + i],
			    &flow->from))
			return true;
	return false;
}

/* Is a to be asked before b? */
static bool is_better(
	const struct policy_sg_rule *a, const struct policy_sg_rule *b)
{
	if (a->priority != b->priority)
		return a->priority < b->priority;
	return a->drop && !b->drop;
}

static bool are_members(const struct policy *policy,
	const struct policy_node *node, const struct addr *from)
{
	uint32_t i;

	for (i = 0; i < node->sgs.count; i++) {
		uint32_t sg = policy->ids.at[node->sgs.first + i];

		if (!policy->sgs.at[sg].isolated && group_has(policy, sg, from))
			return true;
	}
	return false;
}

/* The better one of best and the group's rules that match. */
static const struct policy_sg_rule *best_of(const struct policy *policy,
	uint32_t sg, const struct topology_flow *flow,
	const struct policy_sg_rule *best)
{
	const struct policy_range *rules = &policy->sgs.at[sg].rules;
	uint32_t i;

	for (i = 0; i < rules->count; i++) {
		const struct policy_sg_rule *rule =
			&policy->sg_rules.at[rules->first + i];

		if ((!best || is_better(rule, best)) &&
			rule_matches(policy, rule, flow))
			best = rule;
	}
	return best;
}

bool topology_accepts(const struct policy *policy,
	const struct policy_node *node, const struct topology_flow *flow,
	uint32_t *ret_rule)
{
	const struct policy_sg_rule *best = NULL;
	uint32_t i;

	for (i = 0; i < node->sgs.count; i++)
		best = best_of(policy, policy->ids.at[node->sgs.first + i],
			flow, best);
	*ret_rule = best ? (uint32_t)(best - policy->sg_rules.at) : POLICY_NONE;
	return best ? !best->drop : are_members(policy, node, &flow->from);
}

/* ---- sgbridge topology reach FROM TO:PORT ---- */

static const struct policy_node *find_node(
	const struct policy *policy, const char *text)
{
	uint32_t node = policy_named(
		policy, policy_symbol_find(policy, text), NAME_NODE);
	struct addr addr;
	uint32_t i;

	if (node != POLICY_NONE)
		return &policy->nodes.at[node];
	if (addr_parse(text, &addr))
		return NULL;
	for (i = 0; i < policy->nodes.count; i++)
		if (!policy->nodes.at[i].subnet &&
			node_has(policy, &policy->nodes.at[i], &addr))
			return &policy->nodes.at[i];
	for (i = 0; i < policy->nodes.count; i++)
		if (node_has(policy, &policy->nodes.at[i], &addr))
			return &policy->nodes.at[i];
	return NULL;
}

/* The address of a node in this family, or the first. */
static struct addr node_addr(
	const struct policy *policy, const struct policy_node *node, int family)
{
	uint32_t i;

	for (i = 0; i < node->nets.count; i++)
		if (policy->nets.at[node->nets.first + i].base.family == family)
			return policy->nets.at[node->nets.first + i].base;
	return policy->nets.at[node->nets.first].base;
}

static void print_answer(struct cli *cli, bool yes, uint32_t rule)
{
	const char *why = rule != POLICY_NONE
				  ? cli->policy->sg_rules.at[rule].name
			  : yes ? "members of one group"
				: "no group rule";
	struct buf out;

	if (!cli->json) {
		printf("%s: %s\n", yes ? "open" : "closed", why);
		return;
	}
	buf_init(&out, 1 << 20);
	buf_put_u8(&out, '{');
	text_json_member(&out, "verdict", yes ? "open" : "closed");
	buf_put_u8(&out, ',');
	text_json_member(&out, "rule", why);
	buf_printf(&out, "}\n");
	cli_print(&out);
	buf_done(&out);
}

int topology_reach(struct cli *cli)
{
	struct topology_flow flow = {.proto = PROTO_TCP};
	const struct policy_node *from, *to;
	char *login, *target;
	uint32_t rule;
	bool yes;

	if (cli->argc != 3)
		return cli_fail(
			"usage: sgbridge topology reach FROM TO[:PORT]");
	if (!cli_target(cli->argv[2], &login, &target, &flow.port) || login)
		return cli_fail("\"%s\" is not TARGET[:PORT]", cli->argv[2]);
	if (!cli_load(cli))
		return CLI_ERROR;
	from = find_node(cli->policy, cli->argv[1]);
	to = find_node(cli->policy, target);
	if (!to)
		return cli_fail("no instance \"%s\"", target);
	if (!flow.port)
		flow.port = to->port ? to->port : POLICY_SSH_PORT;
	flow.to = node_addr(cli->policy, to, AF_INET);
	if (addr_parse(cli->argv[1], &flow.from)) {
		if (!from)
			return cli_fail("no instance \"%s\"", cli->argv[1]);
		flow.from = node_addr(cli->policy, from, flow.to.family);
	}
	yes = topology_accepts(cli->policy, to, &flow, &rule);
	print_answer(cli, yes, rule);
	return yes ? CLI_YES : CLI_NO;
}
