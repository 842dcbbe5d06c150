/*
 * sgbridge topology show: the security groups that a policy declares, as
 * tables, JSON, or a picture for Graphviz. Whatever stands in a picture's
 * labels is quoted, also what no policy could hold today.
 */
#include "topology.h"

#include <stdlib.h>
#include <string.h>

#define OUT_MAX (64u * 1024 * 1024)

static const char *const protos[] = {"all", "tcp", "udp"};

/* ---- words ---- */

void topology_text_ports(const struct policy *policy,
	const struct policy_sg_rule *rule, struct buf *out)
{
	uint32_t i;

	for (i = 0; i < rule->ports.count; i++) {
		const struct policy_ports *ports =
			&policy->ports.at[rule->ports.first + i];

		buf_printf(out, "%s%u", i ? ", " : "", ports->from);
		if (ports->to != ports->from)
			buf_printf(out, "-%u", ports->to);
	}
	if (!rule->ports.count)
		buf_printf(out, "all");
}

static void put_elem(const struct policy *policy,
	const struct policy_elem *elem, struct buf *out)
{
	buf_printf(out, "%s",
		elem->kind == ELEM_ANY ? "any"
				       : policy_symbol_text(policy, elem->sym));
}

void topology_text_from(const struct policy *policy,
	const struct policy_sg_rule *rule, struct buf *out)
{
	uint32_t i;

	for (i = 0; i < rule->from.count; i++) {
		buf_printf(out, "%s", i ? ", " : "");
		put_elem(policy, &policy->elems.at[rule->from.first + i], out);
	}
}

void topology_text_addrs(const struct policy *policy,
	const struct policy_node *node, struct buf *out)
{
	uint32_t i;

	for (i = 0; i < node->nets.count; i++) {
		const struct addr_net *net =
			&policy->nets.at[node->nets.first + i];
		char text[ADDR_TEXT_MAX];

		buf_printf(out, "%s%s", i ? ", " : "",
			addr_text(&net->base, text));
		if (node->subnet)
			buf_printf(out, "/%u", net->bits);
	}
}

const char *topology_text_via(
	const struct policy *policy, const struct policy_node *node)
{
	return node->via == POLICY_NONE
		       ? ""
		       : policy_symbol_text(
				 policy, policy->nodes.at[node->via].sym);
}

static const char *zone_text(const struct policy *policy, uint32_t sg)
{
	uint32_t zone = policy->sgs.at[sg].zone;

	return zone == POLICY_NONE ? "" : policy_symbol_text(policy, zone);
}

/* ---- tables ---- */

static void put_groups(const struct policy *policy,
	const struct policy_node *node, struct table *table, struct buf *cell)
{
	uint32_t i;

	for (i = 0; i < node->sgs.count; i++)
		buf_printf(cell, "%s%s", i ? ", " : "",
			policy_symbol_text(policy,
				policy->sgs
					.at[policy->ids.at[node->sgs.first + i]]
					.sym));
	table_put_buf(table, cell);
	for (i = 0; i < node->sgs.count; i++) {
		const char *zone = zone_text(
			policy, policy->ids.at[node->sgs.first + i]);

		if (*zone && (!cell->len || !memmem(cell->data, cell->len, zone,
						    strlen(zone))))
			buf_printf(cell, "%s%s", cell->len ? ", " : "", zone);
	}
	table_put_buf(table, cell);
}

static void put_nodes(const struct policy *policy, struct table *table)
{
	struct buf cell;
	uint32_t i, ignored;

	buf_init(&cell, 1 << 20);
	for (i = 0; i < policy->nodes.count; i++) {
		const struct policy_node *node = &policy->nodes.at[i];
		uint16_t port = node->port ? node->port : POLICY_SSH_PORT;
		int family = policy->nets.at[node->nets.first].base.family;

		table_put(table, policy_symbol_text(policy, node->sym));
		topology_text_addrs(policy, node, &cell);
		table_put_buf(table, &cell);
		buf_printf(&cell, "%u", port);
		table_put_buf(table, &cell);
		put_groups(policy, node, table, &cell);
		table_put(table,
			policy_sg_accepts(policy, node, family, port, &ignored)
				? "open"
				: "closed");
		table_put(table, topology_text_via(policy, node));
	}
	buf_done(&cell);
}

static void put_rules(const struct policy *policy, struct table *table)
{
	struct buf cell;
	uint32_t i;

	buf_init(&cell, 1 << 20);
	for (i = 0; i < policy->sg_rules.count; i++) {
		const struct policy_sg_rule *rule = &policy->sg_rules.at[i];

		table_put(table, policy_symbol_text(
					 policy, policy->sgs.at[rule->sg].sym));
		buf_printf(&cell, "%u", rule->priority);
		table_put_buf(table, &cell);
		table_put(table, rule->drop ? "drop" : "accept");
		table_put(table, protos[rule->proto]);
		topology_text_ports(policy, rule, &cell);
		table_put_buf(table, &cell);
		topology_text_from(policy, rule, &cell);
		table_put_buf(table, &cell);
		table_put(table, rule->name);
	}
	buf_done(&cell);
}

/* ---- a picture ---- */

/* Quotes and backslashes are all that a DOT string knows; the rest is kept
 * out, for programs that read DOT differ. */
static void put_quoted(struct buf *out, const char *prefix, const char *text)
{
	buf_printf(out, "\"%s", prefix);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			buf_put_u8(out, '\\');
		buf_put_u8(out, c < 0x20 || c >= 0x7f ? '?' : c);
	}
	buf_put_u8(out, '"');
}

static void dot_group(const struct policy *policy, uint32_t sg, struct buf *out)
{
	const char *name = policy_symbol_text(policy, policy->sgs.at[sg].sym);
	uint32_t i;

	buf_printf(out, "\tsubgraph ");
	put_quoted(out, "cluster_", name);
	buf_printf(out, " {\n\t\tlabel=");
	put_quoted(out, "", name);
	if (topology_is_bastion(policy, sg))
		buf_printf(out, "; penwidth=2");
	if (*zone_text(policy, sg)) {
		buf_printf(out, "; tooltip=");
		put_quoted(out, "zone ", zone_text(policy, sg));
		buf_printf(out, "; style=filled; fillcolor=\"#fff3e0\"");
	}
	buf_printf(out, ";\n\t\t");
	put_quoted(out, "group ", name);
	buf_printf(out, " [label=\"\", shape=point];\n");
	for (i = 0; i < policy->nodes.count; i++) {
		const struct policy_node *node = &policy->nodes.at[i];

		/* A box is in one cluster only: that of its first group. */
		if (!node->sgs.count || policy->ids.at[node->sgs.first] != sg)
			continue;
		buf_printf(out, "\t\t");
		put_quoted(out, "node ", policy_symbol_text(policy, node->sym));
		buf_printf(out, " [label=");
		put_quoted(out, "", policy_symbol_text(policy, node->sym));
		buf_printf(out, "];\n");
	}
	buf_printf(out, "\t}\n");
}

static void dot_edge(const struct policy *policy,
	const struct policy_sg_rule *rule, const struct policy_elem *elem,
	struct buf *out)
{
	bool group = elem->kind != ELEM_ANY &&
		     policy_named(policy, elem->sym, NAME_SG) != POLICY_NONE;

	buf_printf(out, "\t");
	put_quoted(out, group ? "group " : "from ",
		elem->kind == ELEM_ANY ? "any"
				       : policy_symbol_text(policy, elem->sym));
	buf_printf(out, " -> ");
	put_quoted(out, "group ",
		policy_symbol_text(policy, policy->sgs.at[rule->sg].sym));
	buf_printf(out, " [label=\"%s ", protos[rule->proto]);
	topology_text_ports(policy, rule, out);
	buf_printf(
		out, "\"%s];\n", rule->drop ? ", style=dashed, color=red" : "");
}

static void dot_way(const struct policy *policy, const struct policy_node *node,
	struct buf *out)
{
	if (node->via == POLICY_NONE)
		return;
	buf_printf(out, "\t");
	put_quoted(out, "node ", topology_text_via(policy, node));
	buf_printf(out, " -> ");
	put_quoted(out, "node ", policy_symbol_text(policy, node->sym));
	buf_printf(out, " [style=bold, color=blue, label=\"via\"];\n");
}

static void put_dot(const struct policy *policy, struct buf *out)
{
	uint32_t i, j;

	buf_printf(out, "digraph topology {\n\trankdir=LR;\n\tcompound=true;\n"
			"\tnode [shape=box, fontname=\"sans-serif\"];\n"
			"\tedge [fontname=\"sans-serif\", fontsize=10];\n");
	for (i = 0; i < policy->sgs.count; i++)
		dot_group(policy, i, out);
	for (i = 0; i < policy->nodes.count; i++) {
		const struct policy_node *node = &policy->nodes.at[i];

		dot_way(policy, node, out);
		for (j = 1; j < node->sgs.count; j++) {
			uint32_t sg = policy->ids.at[node->sgs.first + j];

			buf_printf(out, "\t");
			put_quoted(out, "node ",
				policy_symbol_text(policy, node->sym));
			buf_printf(out, " -> ");
			put_quoted(out, "group ",
				policy_symbol_text(
					policy, policy->sgs.at[sg].sym));
			buf_printf(out, " [style=dotted, dir=none, "
					"label=\"member\"];\n");
		}
	}
	for (i = 0; i < policy->sg_rules.count; i++) {
		const struct policy_sg_rule *rule = &policy->sg_rules.at[i];

		for (j = 0; j < rule->from.count; j++)
			dot_edge(policy, rule,
				&policy->elems.at[rule->from.first + j], out);
	}
	buf_printf(out, "}\n");
}

static void print_tables(struct cli *cli, const struct table *nodes,
	const struct table *rules, struct buf *out)
{
	if (!cli->json) {
		table_print(nodes, cli->colour);
		putchar('\n');
		table_print(rules, cli->colour);
		return;
	}
	buf_printf(out, "{\"instances\":");
	table_json(nodes, out);
	buf_printf(out, ",\"rules\":");
	table_json(rules, out);
	buf_printf(out, "}\n");
	cli_print(out);
}

int topology_show(struct cli *cli)
{
	static const char *const node_columns[] = {"instance", "addresses",
		"port", "groups", "zone", "bastion", "via", NULL};
	static const char *const rule_columns[] = {"group", "priority",
		"verdict", "protocol", "ports", "from", "rule", NULL};
	struct table nodes, rules;
	struct buf out;
	bool good;

	if (cli->argc != 1)
		return cli_fail("usage: sgbridge topology show [--dot|--svg]");
	if (!cli_load(cli))
		return CLI_ERROR;
	if (cli->svg)
		return topology_svg(cli->policy);
	buf_init(&out, OUT_MAX);
	table_init(&nodes, node_columns);
	table_init(&rules, rule_columns);
	if (cli->dot) {
		put_dot(cli->policy, &out);
		cli_print(&out);
	} else {
		put_nodes(cli->policy, &nodes);
		put_rules(cli->policy, &rules);
		print_tables(cli, &nodes, &rules, &out);
	}
	good = !nodes.failed && !rules.failed && !buf_error(&out);
	table_done(&nodes);
	table_done(&rules);
	buf_done(&out);
	return good ? CLI_YES : CLI_ERROR;
}
