/*
 * sgbridge topology nftables: the topology of a policy as an nftables
 * ruleset, a second wall that holds when the first has a hole. Here: what an
 * instance's security groups let in, and the choice of whose it is. Prints;
 * what changes a host is topology_apply.c.
 */
#include "topology_ruleset.h"

#include <stdlib.h>
#include <string.h>

#include "topology.h"

/* Returns false for a source that is everywhere. */
static bool rule_sources(struct ruleset *set, const struct policy_sg_rule *rule,
	struct policy_nets *nets)
{
	struct policy *policy = set->policy;
	uint32_t i;

	for (i = 0; i < rule->from.count; i++) {
		struct policy_elem elem =
			policy->elems.at[rule->from.first + i];
		uint32_t sg = policy_named(policy, elem.sym, NAME_SG);

		if (elem.kind == ELEM_ANY)
			return false;
		if (sg != POLICY_NONE)
			ruleset_add_group(set, sg, nets);
		else
			policy_network_nets(policy,
				policy_named(policy, elem.sym, NAME_NETWORK), 0,
				nets);
	}
	return true;
}

static void ports_match(const struct policy *policy,
	const struct policy_sg_rule *rule, struct buf *out)
{
	static const char *const protos[] = {"", "tcp", "udp"};
	uint32_t i;

	if (rule->proto == PROTO_ALL) {
		buf_put_u8(out, 0);
		return;
	}
	if (!rule->ports.count) {
		buf_printf(out, "meta l4proto %s ", protos[rule->proto]);
		buf_put_u8(out, 0);
		return;
	}
	buf_printf(out, "%s dport { ", protos[rule->proto]);
	for (i = 0; i < rule->ports.count; i++) {
		const struct policy_ports *ports =
			&policy->ports.at[rule->ports.first + i];

		buf_printf(out, "%s%u", i ? ", " : "", ports->from);
		if (ports->to != ports->from)
			buf_printf(out, "-%u", ports->to);
	}
	buf_printf(out, " } ");
	buf_put_u8(out, 0);
}

static void put_rule(struct ruleset *set, const struct policy_sg_rule *rule)
{
	const char *verdict = rule->drop ? "drop" : "accept";
	struct policy_nets nets = {0};
	struct buf match;

	buf_init(&match, 1 << 20);
	ports_match(set->policy, rule, &match);
	if (buf_error(&match)) {
		set->policy->failed = true;
	} else if (rule_sources(set, rule, &nets)) {
		ruleset_put_nets(set, &nets, "saddr", (const char *)match.data,
			verdict, rule->name);
	} else {
		buf_printf(&set->out, "\t\t%s", (const char *)match.data);
		ruleset_end_line(set, verdict, rule->name);
	}
	free(nets.list.at);
	buf_done(&match);
}

static int best_first(const void *a, const void *b)
{
	const struct policy_sg_rule *x = *(
		const struct policy_sg_rule *const *)a;
	const struct policy_sg_rule *y = *(
		const struct policy_sg_rule *const *)b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	if (x->drop != y->drop)
		return x->drop ? -1 : 1;
	return x < y ? -1 : x > y;
}

static void put_rules(struct ruleset *set, const struct policy_node *node)
{
	const struct policy *policy = set->policy;
	const struct policy_sg_rule **list = calloc(
		policy->sg_rules.count + 1, sizeof(*list));
	uint32_t i, count = 0;

	if (!list) {
		set->policy->failed = true;
		return;
	}
	for (i = 0; i < policy->sg_rules.count; i++)
		if (topology_in_group(policy, node, policy->sg_rules.at[i].sg))
			list[count++] = &policy->sg_rules.at[i];
	qsort(list, count, sizeof(*list), best_first);
	for (i = 0; i < count; i++)
		put_rule(set, list[i]);
	free(list);
}

static void put_members(struct ruleset *set, const struct policy_node *node)
{
	const struct policy *policy = set->policy;
	uint32_t i;

	for (i = 0; i < node->sgs.count; i++) {
		uint32_t sg = policy->ids.at[node->sgs.first + i];
		struct policy_nets nets = {0};

		if (policy->sgs.at[sg].isolated)
			continue;
		ruleset_add_group(set, sg, &nets);
		ruleset_drop_loopback(&nets);
		ruleset_put_nets(set, &nets, "saddr", "", "accept",
			policy_symbol_text(policy, policy->sgs.at[sg].sym));
		free(nets.list.at);
	}
}

/* Neighbour discovery is what makes IPv6 work at all; no cloud closes it. */
void ruleset_instance(struct ruleset *set, const struct policy_node *node)
{
	ruleset_begin(set);
	buf_printf(&set->out,
		"\tchain input {\n"
		"\t\ttype filter hook input priority filter; policy drop;\n"
		"\t\tct state established,related accept\n"
		"\t\tiif \"lo\" accept\n"
		"\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, "
		"nd-router-advert } accept\n");
	put_rules(set, node);
	put_members(set, node);
	buf_printf(&set->out, "\t}\n}\n");
}

bool ruleset_make(struct cli *cli, const struct conf *conf, const char *name,
	struct ruleset *set)
{
	const struct policy *policy = cli->policy;
	uint32_t node = POLICY_NONE;

	set->policy = cli->policy;
	buf_init(&set->out, RULESET_MAX);
	if (name) {
		node = policy_named(
			policy, policy_symbol_find(policy, name), NAME_NODE);
		if (node == POLICY_NONE) {
			cli_fail("no instance \"%s\"", name);
			return false;
		}
		ruleset_instance(set, &policy->nodes.at[node]);
	} else if (!ruleset_bastion(set, conf)) {
		return false;
	}
	if (!policy->failed && !buf_error(&set->out))
		return true;
	cli_fail("out of memory, or a ruleset of more than %u MiB",
		RULESET_MAX >> 20);
	return false;
}
