/*
 * sgbridge topology nftables: the topology of a policy as an nftables
 * ruleset, a second wall that holds when the first has a hole. Loaded with
 * nft -f it replaces the table at once or not at all. Names come from the
 * policy, whose names hold nothing that nft could take for syntax.
 */
#include "sgbridge.h"

#include <stdlib.h>
#include <string.h>

#define OUT_MAX (64u * 1024 * 1024)
#define TABLE	"sgbridge"

struct ruleset {
	struct policy *policy;
	struct buf out;
};

static void put_begin(struct ruleset *set)
{
	buf_printf(&set->out, "table inet " TABLE "\n"
			      "delete table inet " TABLE "\n"
			      "table inet " TABLE " {\n");
}

static void put_net(struct ruleset *set, const struct addr_net *net)
{
	char text[ADDR_TEXT_MAX];

	buf_printf(&set->out, "%s", addr_text(&net->base, text));
	if (net->bits != (net->base.family == AF_INET ? 32 : 128))
		buf_printf(&set->out, "/%u", net->bits);
}

/* File names are anybody's: what could end a comment becomes "_". nft takes
 * comments of up to 127 bytes. */
static void put_comment(struct ruleset *set, const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_-./:";
	size_t i;

	buf_printf(&set->out, " comment \"");
	for (i = 0; text[i] && i < 120; i++)
		buf_put_u8(&set->out,
			(uint8_t)(strchr(safe, text[i]) ? text[i] : '_'));
	buf_printf(&set->out, "\"\n");
}

/* ---- an instance: its groups' rules, best first ---- */

static void add_node(
	struct ruleset *set, uint32_t node, struct policy_nets *nets)
{
	const struct policy_range *range = &set->policy->nodes.at[node].nets;
	uint32_t i;

	for (i = 0; i < range->count; i++) {
		struct policy_net_id *added = vec_add(set->policy, &nets->list);

		added->net = set->policy->nets.at[range->first + i];
	}
}

/* The addresses of a group's members. */
static void add_sg(struct ruleset *set, uint32_t sg, struct policy_nets *nets)
{
	const struct policy *policy = set->policy;
	uint32_t i, j;

	for (i = 0; i < policy->nodes.count; i++)
		for (j = 0; j < policy->nodes.at[i].sgs.count; j++)
			if (policy->ids.at[policy->nodes.at[i].sgs.first + j] ==
				sg)
				add_node(set, i, nets);
}

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
			add_sg(set, sg, nets);
		else
			policy_network_nets(policy,
				policy_named(policy, elem.sym, NAME_NETWORK), 0,
				nets);
	}
	return true;
}

static void put_ports(struct ruleset *set, const struct policy_sg_rule *rule)
{
	static const char *const protos[] = {"", "tcp", "udp"};
	uint32_t i;

	if (rule->proto == PROTO_ALL)
		return;
	if (!rule->ports.count) {
		buf_printf(&set->out, "meta l4proto %s ", protos[rule->proto]);
		return;
	}
	buf_printf(&set->out, "%s dport { ", protos[rule->proto]);
	for (i = 0; i < rule->ports.count; i++) {
		const struct policy_ports *ports =
			&set->policy->ports.at[rule->ports.first + i];

		buf_printf(&set->out, "%s%u", i ? ", " : "", ports->from);
		if (ports->to != ports->from)
			buf_printf(&set->out, "-%u", ports->to);
	}
	buf_printf(&set->out, " } ");
}

/* One address a rule: sets would have to be free of overlaps, which the
 * policy's networks need not be. */
static void put_rule(struct ruleset *set, const struct policy_sg_rule *rule)
{
	struct policy_nets nets = {0};
	const char *verdict = rule->drop ? "drop" : "accept";
	uint32_t i;

	if (!rule_sources(set, rule, &nets)) {
		buf_printf(&set->out, "\t\t");
		put_ports(set, rule);
		buf_printf(&set->out, "%s", verdict);
		put_comment(set, rule->name);
		free(nets.list.at);
		return;
	}
	for (i = 0; i < nets.list.count; i++) {
		const struct addr_net *net = &nets.list.at[i].net;

		buf_printf(&set->out, "\t\t");
		if (net->bits == 0) {
			buf_printf(&set->out, "meta nfproto %s ",
				net->base.family == AF_INET ? "ipv4" : "ipv6");
		} else {
			buf_printf(&set->out, "%s saddr ",
				net->base.family == AF_INET ? "ip" : "ip6");
			put_net(set, net);
			buf_printf(&set->out, " ");
		}
		put_ports(set, rule);
		buf_printf(&set->out, "%s", verdict);
		put_comment(set, rule->name);
	}
	free(nets.list.at);
}

static bool in_group(const struct policy *policy,
	const struct policy_node *node, uint32_t sg)
{
	uint32_t i;

	for (i = 0; i < node->sgs.count; i++)
		if (policy->ids.at[node->sgs.first + i] == sg)
			return true;
	return false;
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
		if (in_group(policy, node, policy->sg_rules.at[i].sg))
			list[count++] = &policy->sg_rules.at[i];
	qsort(list, count, sizeof(*list), best_first);
	for (i = 0; i < count; i++)
		put_rule(set, list[i]);
	free(list);
}

static void put_members(struct ruleset *set, const struct policy_node *node)
{
	const struct policy *policy = set->policy;
	uint32_t i, j;

	for (i = 0; i < node->sgs.count; i++) {
		uint32_t sg = policy->ids.at[node->sgs.first + i];
		struct policy_nets nets = {0};

		if (policy->sgs.at[sg].isolated)
			continue;
		add_sg(set, sg, &nets);
		for (j = 0; j < nets.list.count; j++) {
			const struct addr_net *net = &nets.list.at[j].net;

			if (addr_is_loopback(&net->base))
				continue;
			buf_printf(&set->out, "\t\t%s saddr ",
				net->base.family == AF_INET ? "ip" : "ip6");
			put_net(set, net);
			buf_printf(&set->out, " accept");
			put_comment(set, policy_symbol_text(policy,
						 policy->sgs.at[sg].sym));
		}
		free(nets.list.at);
	}
}

/* Neighbour discovery is what makes IPv6 work at all; no cloud closes it. */
static void put_instance(struct ruleset *set, const struct policy_node *node)
{
	put_begin(set);
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

/* ---- the bastion: who may go where ---- */

static void put_metadata(struct ruleset *set)
{
	buf_printf(&set->out,
		"\t\tip daddr { 169.254.0.0/16, 100.100.100.200, "
		"168.63.129.16 } meta skuid != 0 drop\n"
		"\t\tip6 daddr fd00:ec2::254 meta skuid != 0 drop\n");
}

/* Only root, whose monitor asks the policy first, connects to targets. */
static void put_targets(struct ruleset *set)
{
	const struct policy *policy = set->policy;
	uint32_t i, j;

	for (i = 0; i < policy->nodes.count; i++) {
		const struct policy_node *node = &policy->nodes.at[i];

		for (j = 0; j < node->nets.count && !node->local; j++) {
			const struct addr_net *net =
				&policy->nets.at[node->nets.first + j];

			buf_printf(&set->out, "\t\t%s daddr ",
				net->base.family == AF_INET ? "ip" : "ip6");
			put_net(set, net);
			buf_printf(&set->out, " meta skuid != 0 drop");
			put_comment(set, policy_symbol_text(policy, node->sym));
		}
	}
}

static void put_bastion(struct ruleset *set)
{
	put_begin(set);
	buf_printf(&set->out,
		"\tchain output {\n"
		"\t\ttype filter hook output priority filter; policy accept;\n"
		"\t\tct state established,related accept\n"
		"\t\toif \"lo\" accept\n");
	put_metadata(set);
	put_targets(set);
	buf_printf(&set->out, "\t}\n}\n");
}

static const struct policy_node *node_named(
	const struct policy *policy, const char *name)
{
	uint32_t node = policy_named(
		policy, policy_symbol_find(policy, name), NAME_NODE);

	return node == POLICY_NONE ? NULL : &policy->nodes.at[node];
}

int cmd_nftables(struct cli *cli)
{
	const struct policy_node *node = NULL;
	struct ruleset set;

	if (!cli_load(cli))
		return CLI_ERROR;
	if (cli->argc == 1) {
		node = node_named(cli->policy, cli->argv[0]);
		if (!node)
			return cli_fail("no instance \"%s\"", cli->argv[0]);
	}
	set.policy = cli->policy;
	buf_init(&set.out, OUT_MAX);
	if (node)
		put_instance(&set, node);
	else
		put_bastion(&set);
	if (cli->policy->failed)
		cli_fail("out of memory");
	else
		cli_print(&set.out);
	buf_done(&set.out);
	return cli->policy->failed ? CLI_ERROR : CLI_YES;
}
