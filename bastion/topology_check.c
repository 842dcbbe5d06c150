/*
 * sgbridge topology check: what the security groups of a policy leave open
 * that the bastion is there to close, and rules that do nothing. Judges what
 * is really open by topology_accepts, so that a rule another one overrides is
 * not complained about twice.
 */
#include "topology.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PORT_RDP 3389

struct check {
	struct lint lint;
	const struct policy *policy;
};

static bool rule_has_port(const struct policy *policy,
	const struct policy_sg_rule *rule, uint16_t port)
{
	uint32_t i;

	if (rule->proto == PROTO_UDP)
		return false;
	for (i = 0; i < rule->ports.count; i++) {
		const struct policy_ports *ports =
			&policy->ports.at[rule->ports.first + i];

		if (port >= ports->from && port <= ports->to)
			return true;
	}
	return rule->ports.count == 0;
}

static bool is_everywhere(
	const struct policy *policy, const struct policy_elem *elem)
{
	uint32_t network;
	uint32_t i;

	if (elem->kind == ELEM_ANY)
		return true;
	network = policy_named(policy, elem->sym, NAME_NETWORK);
	if (network == POLICY_NONE)
		return false;
	for (i = 0; i < policy->networks.at[network].nets.count; i++)
		if (policy->nets.at[policy->networks.at[network].nets.first + i]
				.bits == 0)
			return true;
	return false;
}

static uint32_t elem_group(
	const struct policy *policy, const struct policy_elem *elem)
{
	return elem->kind == ELEM_ANY
		       ? POLICY_NONE
		       : policy_named(policy, elem->sym, NAME_SG);
}

/* ---- what is open to the world ---- */

static void check_world(struct check *check, const struct policy_sg_rule *rule)
{
	const struct policy *policy = check->policy;
	bool bastion = topology_is_bastion(policy, rule->sg);
	bool login = rule_has_port(policy, rule, POLICY_SSH_PORT) ||
		     rule_has_port(policy, rule, PORT_RDP);
	uint32_t i;

	for (i = 0; i < rule->from.count && !rule->drop; i++) {
		const struct policy_elem *elem =
			&policy->elems.at[rule->from.first + i];

		if (!is_everywhere(policy, elem))
			continue;
		if (bastion)
			lint_warn(&check->lint, "bastion-open", elem->place,
				"the bastion is open to the world here: name "
				"the networks that people come from");
		else if (login)
			lint_warn(&check->lint, "unrestricted", elem->place,
				"this restricts nobody on a login port");
	}
}

/* ---- ways around the bastion ---- */

/* From the bastion, or from the jump host through which it comes? */
static bool from_bastion(const struct policy *policy,
	const struct policy_node *to, const struct addr *from)
{
	struct policy_range nets[2] = {policy->bastion_nets};
	uint32_t i, j;

	if (to->via != POLICY_NONE)
		nets[1] = policy->nodes.at[to->via].nets;
	for (i = 0; i < 2; i++)
		for (j = 0; j < nets[i].count; j++)
			if (addr_in_net(
				    from, &policy->nets.at[nets[i].first + j]))
				return true;
	return false;
}

/* IPv6 does not reach a host that has none. */
static bool has_family(
	const struct policy *policy, const struct policy_node *node, int family)
{
	uint32_t i;

	for (i = 0; i < node->nets.count; i++)
		if (policy->nets.at[node->nets.first + i].base.family == family)
			return true;
	return false;
}

/* A way to a port of an instance that does not begin at the bastion. */
struct way {
	const struct policy_node *to;
	struct topology_flow flow;
	const struct policy_node *who; /* NULL: no instance */
	bool anywhere;
};

static bool is_way(const struct policy *policy, struct way *way)
{
	uint32_t rule;

	return has_family(policy, way->to, way->flow.from.family) &&
	       !from_bastion(policy, way->to, &way->flow.from) &&
	       topology_accepts(policy, way->to, &way->flow, &rule);
}

static bool is_way_from(
	const struct policy *policy, const struct addr *from, void *arg)
{
	struct way *way = arg;

	way->flow.from = *from;
	return is_way(policy, way);
}

static bool from_group(
	const struct policy *policy, uint32_t sg, struct way *way)
{
	uint32_t i, j, count;
	const uint32_t *nodes = topology_members(policy, sg, &count);

	for (i = 0; i < count; i++) {
		way->who = &policy->nodes.at[nodes[i]];
		if (way->who == way->to)
			continue;
		for (j = 0; j < way->who->nets.count; j++) {
			way->flow.from =
				policy->nets.at[way->who->nets.first + j].base;
			if (is_way(policy, way))
				return true;
		}
	}
	return false;
}

static bool from_network(
	const struct policy *policy, uint32_t network, struct way *way)
{
	struct policy_nets nets = {0};
	bool found = false;
	uint32_t i;

	way->who = NULL;
	policy_network_nets((struct policy *)policy, network, 0, &nets);
	for (i = 0; i < nets.list.count && !found; i++)
		found = topology_each_part(policy, way->to,
			&nets.list.at[i].net, is_way_from, way);
	free(nets.list.at);
	return found;
}

static bool from_anywhere(const struct policy *policy, struct way *way)
{
	static const int families[] = {AF_INET, AF_INET6};
	size_t i;

	way->who = NULL;
	way->anywhere = true;
	for (i = 0; i < 2; i++) {
		struct addr_net all = {.base = {.family = families[i]}};

		if (topology_each_part(policy, way->to, &all, is_way_from, way))
			return true;
	}
	way->anywhere = false;
	return false;
}

static bool from_rule(const struct policy *policy,
	const struct policy_sg_rule *rule, struct way *way)
{
	uint32_t i;

	if (rule->drop || !rule_has_port(policy, rule, way->flow.port))
		return false;
	for (i = 0; i < rule->from.count; i++) {
		const struct policy_elem *elem =
			&policy->elems.at[rule->from.first + i];
		uint32_t sg = elem_group(policy, elem);

		if (is_everywhere(policy, elem) ? from_anywhere(policy, way)
			: sg == POLICY_NONE
				? from_network(policy,
					  policy_named(policy, elem->sym,
						  NAME_NETWORK),
					  way)
				: from_group(policy, sg, way))
			return true;
	}
	return false;
}

static bool find_way(const struct policy *policy, struct way *way)
{
	uint32_t i, j;

	for (i = 0; i < way->to->sgs.count; i++) {
		uint32_t sg = policy->ids.at[way->to->sgs.first + i];
		const struct policy_range *rules = &policy->sgs.at[sg].rules;

		for (j = 0; j < rules->count; j++)
			if (from_rule(policy,
				    &policy->sg_rules.at[rules->first + j],
				    way))
				return true;
		if (!policy->sgs.at[sg].isolated && from_group(policy, sg, way))
			return true;
	}
	return false;
}

static bool in_bastion(
	const struct policy *policy, const struct policy_node *node)
{
	uint32_t i;

	for (i = 0; i < node->sgs.count; i++)
		if (topology_is_bastion(
			    policy, policy->ids.at[node->sgs.first + i]))
			return true;
	return false;
}

static void check_around(struct check *check, const struct policy_node *node)
{
	static const uint16_t ports[] = {POLICY_SSH_PORT, PORT_RDP};
	const struct policy *policy = check->policy;
	char text[ADDR_TEXT_MAX];
	size_t i;

	for (i = 0; i < 2 && !in_bastion(policy, node); i++) {
		struct way way = {.to = node,
			.flow = {.proto = PROTO_TCP, .port = ports[i]}};

		if (!find_way(policy, &way))
			continue;
		lint_warn(&check->lint, "around-bastion", node->place,
			"port %u is open from %s%s%s, around the bastion",
			ports[i],
			way.anywhere ? "anywhere"
				     : addr_text(&way.flow.from, text),
			way.who ? ", which is " : "",
			way.who ? policy_symbol_text(policy, way.who->sym)
				: "");
	}
}

/* ---- between zones ---- */

static bool node_in_zone(const struct policy *policy,
	const struct policy_node *node, uint32_t zone)
{
	uint32_t i;

	for (i = 0; i < node->sgs.count; i++)
		if (policy->sgs.at[policy->ids.at[node->sgs.first + i]].zone ==
			zone)
			return true;
	return false;
}

/* Does any member of the rule's group take this at one of the rule's ports?
 * The ends of its ranges stand for what is between. */
static bool zone_takes(const struct policy *policy,
	const struct policy_sg_rule *rule, struct topology_flow *flow)
{
	static const struct policy_ports ssh = {
		POLICY_SSH_PORT, POLICY_SSH_PORT};
	uint32_t ports = rule->ports.count ? rule->ports.count : 1;
	uint32_t i, j, count, ignored;
	const uint32_t *nodes = topology_members(policy, rule->sg, &count);

	for (i = 0; i < count; i++) {
		const struct policy_node *to = &policy->nodes.at[nodes[i]];

		if (!has_family(policy, to, flow->from.family) ||
			from_bastion(policy, to, &flow->from))
			continue;
		for (j = 0; j < 2 * ports; j++) {
			const struct policy_ports *range =
				rule->ports.count
					? &policy->ports.at[rule->ports.first +
							    j / 2]
					: &ssh;

			flow->port = j % 2 ? range->to : range->from;
			if (topology_accepts(policy, to, flow, &ignored))
				return true;
		}
	}
	return false;
}

/* Does this element let a host of another zone, or of none, reach a member of
 * the rule's group? */
static const struct policy_node *zone_crossing(const struct policy *policy,
	const struct policy_sg_rule *rule, const struct policy_elem *elem)
{
	uint32_t zone = policy->sgs.at[rule->sg].zone;
	struct topology_flow flow = {
		.proto = rule->proto == PROTO_UDP ? PROTO_UDP : PROTO_TCP};
	uint32_t i, j;

	for (i = 0; i < policy->nodes.count; i++) {
		const struct policy_node *from = &policy->nodes.at[i];

		if (from->subnet || node_in_zone(policy, from, zone) ||
			in_bastion(policy, from))
			continue;
		for (j = 0; j < from->nets.count; j++) {
			flow.from = policy->nets.at[from->nets.first + j].base;
			if (topology_elem_covers(policy, elem, &flow.from) &&
				zone_takes(policy, rule, &flow))
				return from;
		}
	}
	return NULL;
}

static void check_zones(struct check *check, const struct policy_sg_rule *rule)
{
	const struct policy *policy = check->policy;
	uint32_t zone = policy->sgs.at[rule->sg].zone;
	uint32_t i;

	if (rule->drop || zone == POLICY_NONE)
		return;
	for (i = 0; i < rule->from.count; i++) {
		const struct policy_elem *elem =
			&policy->elems.at[rule->from.first + i];
		const struct policy_node *from = zone_crossing(
			policy, rule, elem);

		if (from)
			lint_warn(&check->lint, "zone-crossing", elem->place,
				"zone %s is open from %s, which is not in it",
				policy_symbol_text(policy, zone),
				policy_symbol_text(policy, from->sym));
	}
}

/* ---- rules that do nothing ---- */

static bool group_is_empty(const struct policy *policy, uint32_t sg)
{
	uint32_t count;

	(void)topology_members(policy, sg, &count);
	return count == 0;
}

static void check_unused(struct check *check, const struct policy_sg_rule *rule)
{
	const struct policy *policy = check->policy;
	uint32_t i;

	if (group_is_empty(policy, rule->sg)) {
		lint_warn(&check->lint, "unused", rule->place,
			"no instance is in this group: its rules do nothing");
		return;
	}
	for (i = 0; i < rule->from.count; i++) {
		const struct policy_elem *elem =
			&policy->elems.at[rule->from.first + i];
		uint32_t sg = elem_group(policy, elem);

		if (sg != POLICY_NONE && group_is_empty(policy, sg))
			lint_warn(&check->lint, "unused", elem->place,
				"no instance is in %s: nobody comes from "
				"there",
				policy_symbol_text(policy, elem->sym));
	}
}

static bool ports_cover(const struct policy *policy,
	const struct policy_sg_rule *outer, const struct policy_sg_rule *inner)
{
	static const struct policy_ports all = {0, 65535};
	uint32_t count = inner->ports.count ? inner->ports.count : 1;
	uint32_t i, j;

	for (i = 0; i < count && outer->ports.count; i++) {
		const struct policy_ports *in =
			inner->ports.count
				? &policy->ports.at[inner->ports.first + i]
				: &all;
		bool found = false;

		for (j = 0; j < outer->ports.count && !found; j++) {
			const struct policy_ports *out =
				&policy->ports.at[outer->ports.first + j];

			found = out->from <= in->from && out->to >= in->to;
		}
		if (!found)
			return false;
	}
	return true;
}

static bool network_in(const struct policy *policy, uint32_t inner,
	const struct policy_elem *outer)
{
	uint32_t other = outer->kind == ELEM_ANY
				 ? POLICY_NONE
				 : policy_named(
					   policy, outer->sym, NAME_NETWORK);
	struct policy_nets in = {0}, out = {0};
	bool all = true;
	uint32_t i, j;

	if (inner == POLICY_NONE || other == POLICY_NONE)
		return false;
	policy_network_nets((struct policy *)policy, inner, 0, &in);
	policy_network_nets((struct policy *)policy, other, 0, &out);
	for (i = 0; i < in.list.count && all; i++) {
		bool found = false;

		for (j = 0; j < out.list.count && !found; j++)
			found = addr_net_covers(
				&out.list.at[j].net, &in.list.at[i].net);
		all = found;
	}
	free(in.list.at);
	free(out.list.at);
	return all;
}

static bool sources_cover(const struct policy *policy,
	const struct policy_sg_rule *outer, const struct policy_sg_rule *inner)
{
	uint32_t i, j;

	for (i = 0; i < inner->from.count; i++) {
		const struct policy_elem *in =
			&policy->elems.at[inner->from.first + i];
		bool found = false;

		for (j = 0; j < outer->from.count && !found; j++) {
			const struct policy_elem *out =
				&policy->elems.at[outer->from.first + j];

			found = out->kind == ELEM_ANY ||
				(in->kind != ELEM_ANY && in->sym == out->sym) ||
				(in->kind != ELEM_ANY &&
					elem_group(policy, in) == POLICY_NONE &&
					elem_group(policy, out) ==
						POLICY_NONE &&
					network_in(policy,
						policy_named(policy, in->sym,
							NAME_NETWORK),
						out));
		}
		if (!found)
			return false;
	}
	return true;
}

/* Is outer asked first, and does it answer all that inner would? */
static bool rule_shadows(const struct policy *policy,
	const struct policy_sg_rule *outer, const struct policy_sg_rule *inner)
{
	bool first = outer->priority < inner->priority;

	if (outer->priority == inner->priority)
		first = outer->drop != inner->drop ? outer->drop
						   : outer < inner;
	return first && outer->sg == inner->sg &&
	       (outer->proto == PROTO_ALL || outer->proto == inner->proto) &&
	       ports_cover(policy, outer, inner) &&
	       sources_cover(policy, outer, inner);
}

static void check_shadow(struct check *check, const struct policy_sg_rule *rule)
{
	const struct policy *policy = check->policy;
	const struct policy_range *rules = &policy->sgs.at[rule->sg].rules;
	uint32_t i;

	for (i = 0; i < rules->count; i++) {
		const struct policy_sg_rule *other =
			&policy->sg_rules.at[rules->first + i];

		if (other == rule || !rule_shadows(policy, other, rule))
			continue;
		lint_warn(&check->lint, "shadowed", rule->place,
			"this rule never decides: %s is asked first and covers "
			"it",
			other->name);
		return;
	}
}

/* ---- all of it ---- */

static void check_all(struct check *check)
{
	static void (*const of_rule[])(
		struct check * check, const struct policy_sg_rule *rule) = {
		check_world, check_zones, check_unused, check_shadow};
	const struct policy *policy = check->policy;
	uint32_t i;
	size_t j;

	if (policy->sgs.count && !policy->bastion_nets.count)
		lint_warn(&check->lint, "no-bastion", policy->sgs.at[0].place,
			"no instance is the bastion: say \"bastion NAME\"");
	for (i = 0; i < policy->sg_rules.count; i++)
		for (j = 0; j < sizeof(of_rule) / sizeof(of_rule[0]); j++)
			of_rule[j](check, &policy->sg_rules.at[i]);
	for (i = 0; i < policy->nodes.count; i++)
		check_around(check, &policy->nodes.at[i]);
}

static void print_json(const struct diag *diag)
{
	static const char *const columns[] = {
		"code", "file", "line", "text", NULL};
	struct table table;
	struct buf out;
	size_t i;

	table_init(&table, columns);
	buf_init(&out, 1 << 20);
	for (i = 0; i < diag->count; i++) {
		const struct diag_item *item = &diag->items[i];

		table_put(&table, item->code ? item->code : "");
		table_put(&table, item->file ? item->file : "");
		buf_printf(&out, "%u", item->line);
		table_put_buf(&table, &out);
		table_put(&table, item->text);
	}
	buf_printf(&out, "{\"warnings\":%zu,\"items\":", diag->warnings);
	table_json(&table, &out);
	buf_printf(&out, "}\n");
	cli_print(&out);
	buf_done(&out);
	table_done(&table);
}

int topology_check(struct cli *cli)
{
	struct check check = {0};
	struct diag diag;
	bool found;

	if (cli->argc != 1)
		return cli_fail("usage: sgbridge topology check");
	if (!cli_load(cli))
		return CLI_ERROR;
	diag_init(&diag);
	check.policy = cli->policy;
	check.lint.now = time(NULL);
	check.lint.parser.policy = cli->policy;
	check.lint.parser.source = cli->source;
	check.lint.parser.diag = &diag;
	check_all(&check);
	found = diag.warnings > 0;
	if (cli->json) {
		print_json(&diag);
	} else {
		diag_print(&diag, stdout, cli->colour);
		printf("%s: %zu warning%s\n", cli->policy_path, diag.warnings,
			diag.warnings == 1 ? "" : "s");
	}
	diag_done(&diag);
	return found ? CLI_NO : CLI_YES;
}
