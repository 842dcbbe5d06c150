/*
 * Pieces of rulesets for nftables. Names come from the policy, whose names
 * hold nothing that nft could take for syntax; file names are anybody's, and
 * stand in comments only. Both go through one function that lets nothing
 * through but a short list of characters.
 */
#include "topology_ruleset.h"

#include <stdlib.h>
#include <string.h>

void ruleset_begin(struct ruleset *set)
{
	buf_printf(&set->out, "table inet " RULESET_TABLE "\n"
			      "delete table inet " RULESET_TABLE "\n"
			      "table inet " RULESET_TABLE " {\n");
}

/* nft takes comments of up to 127 bytes. */
void ruleset_end_line(
	struct ruleset *set, const char *verdict, const char *comment)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_-./: ";
	size_t i;

	buf_printf(&set->out, "%s comment \"", verdict);
	for (i = 0; comment[i] && i < 120; i++)
		buf_put_u8(&set->out,
			(uint8_t)(strchr(safe, comment[i]) ? comment[i] : '_'));
	buf_printf(&set->out, "\"\n");
}

void ruleset_add_net(struct ruleset *set, const struct addr_net *net,
	struct policy_nets *nets)
{
	struct policy_net_id *added = vec_add(set->policy, &nets->list);

	added->net = *net;
}

void ruleset_add_node(struct ruleset *set, const struct policy_node *node,
	struct policy_nets *nets)
{
	uint32_t i;

	for (i = 0; i < node->nets.count; i++)
		ruleset_add_net(
			set, &set->policy->nets.at[node->nets.first + i], nets);
}

void ruleset_add_group(
	struct ruleset *set, uint32_t sg, struct policy_nets *nets)
{
	const struct policy *policy = set->policy;
	uint32_t i, j;

	for (i = 0; i < policy->nodes.count; i++)
		for (j = 0; j < policy->nodes.at[i].sgs.count; j++)
			if (policy->ids.at[policy->nodes.at[i].sgs.first + j] ==
				sg)
				ruleset_add_node(
					set, &policy->nodes.at[i], nets);
}

void ruleset_drop_loopback(struct policy_nets *nets)
{
	uint32_t i, used = 0;

	for (i = 0; i < nets->list.count; i++)
		if (!addr_is_loopback(&nets->list.at[i].net.base))
			nets->list.at[used++] = nets->list.at[i];
	nets->list.count = used;
}

/* By family and address, the wider first. */
static int net_order(const void *a, const void *b)
{
	const struct addr_net *x = &((const struct policy_net_id *)a)->net;
	const struct addr_net *y = &((const struct policy_net_id *)b)->net;
	int order;

	if (x->base.family != y->base.family)
		return x->base.family == AF_INET ? -1 : 1;
	order = memcmp(x->base.bytes, y->base.bytes,
		x->base.family == AF_INET ? 4 : 16);
	return order ? order : (x->bits > y->bits) - (x->bits < y->bits);
}

/* CIDRs are inside each other or apart, so the last one kept is the only one
 * that can contain the next. */
static void tidy(struct policy_nets *nets)
{
	uint32_t i, used = 0;

	if (nets->list.count)
		qsort(nets->list.at, nets->list.count, sizeof(*nets->list.at),
			net_order);
	for (i = 0; i < nets->list.count; i++)
		if (!used || !addr_net_covers(&nets->list.at[used - 1].net,
				     &nets->list.at[i].net))
			nets->list.at[used++] = nets->list.at[i];
	nets->list.count = used;
}

static void put_net(struct ruleset *set, const struct addr_net *net)
{
	char text[ADDR_TEXT_MAX];

	buf_printf(&set->out, "%s", addr_text(&net->base, text));
	if (net->bits != (net->base.family == AF_INET ? 32 : 128))
		buf_printf(&set->out, "/%u", net->bits);
}

static void put_family(struct ruleset *set, const struct policy_net_id *nets,
	uint32_t count, const char *side)
{
	bool v4 = nets->net.base.family == AF_INET;
	uint32_t i;

	if (nets->net.bits == 0) {
		buf_printf(&set->out, "\t\tmeta nfproto %s ",
			v4 ? "ipv4" : "ipv6");
		return;
	}
	buf_printf(&set->out, "\t\t%s %s %s", v4 ? "ip" : "ip6", side,
		count > 1 ? "{ " : "");
	for (i = 0; i < count; i++) {
		buf_printf(&set->out, "%s",
			!i	     ? ""
			: i % 4 == 0 ? ",\n\t\t\t"
				     : ", ");
		put_net(set, &nets[i].net);
	}
	buf_printf(&set->out, "%s ", count > 1 ? " }" : "");
}

void ruleset_put_nets(struct ruleset *set, struct policy_nets *nets,
	const char *side, const char *match, const char *verdict,
	const char *comment)
{
	uint32_t i = 0, end;

	tidy(nets);
	while (i < nets->list.count) {
		end = i + 1;
		while (end < nets->list.count &&
			nets->list.at[end].net.base.family ==
				nets->list.at[i].net.base.family)
			end++;
		put_family(set, &nets->list.at[i], end - i, side);
		buf_printf(&set->out, "%s", match);
		ruleset_end_line(set, verdict, comment);
		i = end;
	}
}

void ruleset_put_list(struct ruleset *set, struct policy_nets *nets)
{
	uint32_t i;

	tidy(nets);
	for (i = 0; i < nets->list.count; i++) {
		if (i)
			buf_put_u8(&set->out, ',');
		put_net(set, &nets->list.at[i].net);
	}
}
