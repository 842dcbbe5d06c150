/*
 * Security groups as the cloud means them, seen from the bastion: priority 1
 * is highest, at equal priority drop beats accept, an instance in several
 * groups has their rules merged, and what no rule speaks of is closed, except
 * between members of one group that is not isolated. Each group becomes a
 * sorted table of TCP port ranges for either address family; so do the groups
 * of an instance behind a jump host together, as that host sees them.
 */
#include "core/policy_int.h"

#include <stdlib.h>
#include <string.h>

struct sweep {
	struct policy *policy;
	const struct policy_node *from; /* who connects; NULL: the bastion */
	uint64_t *rules; /* keys of those that speak of us, best first */
	uint32_t rule_count;
	uint64_t *bounds; /* first ports of the elementary ranges */
	uint32_t bound_count;
	uint32_t *winner; /* of each range: rule or POLICY_NONE */
	uint32_t *next;	  /* the next range without a winner */
};

static bool sg_is_bastion(const struct policy *policy, uint32_t sg)
{
	uint32_t i;

	for (i = 0; i < policy->bastion_sgs.count; i++)
		if (policy->ids.at[policy->bastion_sgs.first + i] == sg)
			return true;
	return false;
}

/* Is who connects in this group? */
static bool sg_has(const struct policy *policy, const struct policy_node *from,
	uint32_t sg)
{
	uint32_t i;

	if (!from)
		return sg_is_bastion(policy, sg);
	for (i = 0; i < from->sgs.count; i++)
		if (policy->ids.at[from->sgs.first + i] == sg)
			return true;
	return false;
}

static bool nets_contain(
	const struct policy_nets *nets, const struct addr *addr)
{
	uint32_t i;

	for (i = 0; i < nets->list.count; i++)
		if (addr_in_net(addr, &nets->list.at[i].net))
			return true;
	return false;
}

static bool every_address(const struct policy_nets *nets, int family)
{
	uint32_t i;

	for (i = 0; i < nets->list.count; i++)
		if (nets->list.at[i].net.bits == 0 &&
			nets->list.at[i].net.base.family == family)
			return true;
	return false;
}

/* An accept must hold for every address that may connect, a drop counts as
 * soon as it holds for one: the doubtful case is closed. */
static bool network_has(struct policy *policy, const struct policy_node *from,
	uint32_t network, int family, bool drop)
{
	const struct policy_range *ours = from ? &from->nets
					       : &policy->bastion_nets;
	struct policy_nets nets = {0};
	uint32_t i, all = 0, within = 0;
	bool answer;

	policy_network_nets(policy, network, 0, &nets);
	for (i = 0; i < ours->count; i++) {
		const struct addr *addr =
			&policy->nets.at[ours->first + i].base;

		if (addr->family != family)
			continue;
		all++;
		within += nets_contain(&nets, addr);
	}
	answer = drop ? within > 0 : all > 0 && within == all;
	answer = answer || every_address(&nets, family);
	free(nets.list.at);
	return answer;
}

static bool rule_speaks_of(struct policy *policy,
	const struct policy_node *connecting, const struct policy_sg_rule *rule,
	int family)
{
	uint32_t i;

	if (rule->proto == PROTO_UDP)
		return false;
	for (i = 0; i < rule->from.count; i++) {
		struct policy_elem elem =
			policy->elems.at[rule->from.first + i];
		uint32_t sg, network;

		if (elem.kind == ELEM_ANY)
			return true;
		sg = policy_named(policy, elem.sym, NAME_SG);
		network = policy_named(policy, elem.sym, NAME_NETWORK);
		if (sg != POLICY_NONE && sg_has(policy, connecting, sg))
			return true;
		if (sg == POLICY_NONE && network != POLICY_NONE &&
			network_has(policy, connecting, network, family,
				rule->drop))
			return true;
	}
	return false;
}

/* Sorts by priority, then drop before accept, then reading order. */
static uint64_t rule_key(const struct policy *policy, uint32_t index)
{
	const struct policy_sg_rule *rule = &policy->sg_rules.at[index];

	return (uint64_t)rule->priority << 33 |
	       (uint64_t)(rule->drop ? 0 : 1) << 32 | index;
}

static int key_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static const struct policy_ports all_ports = {0, 65535};

static const struct policy_ports *rule_ports(
	const struct policy *policy, uint32_t rule, uint32_t *ret_count)
{
	const struct policy_range *ports = &policy->sg_rules.at[rule].ports;

	*ret_count = ports->count ? ports->count : 1;
	return ports->count ? &policy->ports.at[ports->first] : &all_ports;
}

/* The ports at which something may change, sorted, each once. */
static void sweep_bounds(struct sweep *sweep)
{
	uint32_t i, j, count, used = 1;

	sweep->bounds[0] = 0;
	sweep->bound_count = 1;
	for (i = 0; i < sweep->rule_count; i++) {
		const struct policy_ports *ports = rule_ports(
			sweep->policy, (uint32_t)sweep->rules[i], &count);

		for (j = 0; j < count; j++) {
			sweep->bounds[sweep->bound_count++] = ports[j].from;
			sweep->bounds[sweep->bound_count++] = ports[j].to +
							      1ull;
		}
	}
	qsort(sweep->bounds, sweep->bound_count, sizeof(*sweep->bounds),
		key_order);
	for (i = 1; i < sweep->bound_count; i++)
		if (sweep->bounds[i] != sweep->bounds[used - 1])
			sweep->bounds[used++] = sweep->bounds[i];
	sweep->bound_count = used;
}

/* next[] skips what has a winner already, so that all rules together cost
 * little more than the number of ranges. */
static uint32_t sweep_next(uint32_t *next, uint32_t i)
{
	while (next[i] != i) {
		next[i] = next[next[i]];
		i = next[i];
	}
	return i;
}

static uint32_t sweep_find(const struct sweep *sweep, uint64_t port)
{
	uint32_t low = 0, high = sweep->bound_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (sweep->bounds[middle] < port)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void sweep_paint(struct sweep *sweep)
{
	uint32_t i, j, k, count;

	for (i = 0; i <= sweep->bound_count; i++) {
		sweep->next[i] = i;
		sweep->winner[i] = POLICY_NONE;
	}
	for (i = 0; i < sweep->rule_count; i++) {
		const struct policy_ports *ports = rule_ports(
			sweep->policy, (uint32_t)sweep->rules[i], &count);

		for (j = 0; j < count; j++) {
			uint32_t end = sweep_find(sweep, ports[j].to + 1ull);

			k = sweep_next(
				sweep->next, sweep_find(sweep, ports[j].from));
			while (k < end) {
				sweep->winner[k] = (uint32_t)sweep->rules[i];
				sweep->next[k] = k + 1;
				k = sweep_next(sweep->next, k);
			}
		}
	}
}

static void sweep_store(struct sweep *sweep, struct policy_range *table)
{
	struct policy *policy = sweep->policy;
	uint32_t i;

	table->first = policy->sg_ports.count;
	for (i = 0; i < sweep->bound_count; i++) {
		struct policy_sg_ports *row;

		if (sweep->bounds[i] > 65535 ||
			(i && sweep->winner[i] == sweep->winner[i - 1]))
			continue;
		row = vec_add(policy, &policy->sg_ports);
		row->from = (uint16_t)sweep->bounds[i];
		row->rule = sweep->winner[i];
		table->count++;
	}
}

/* Room for the rules of these groups. */
static enum sgb_err sweep_init(struct sweep *sweep, struct policy *policy,
	const uint32_t *sgs, uint32_t sg_count)
{
	size_t ranges = 2, rules = 1;
	uint32_t i, j, count;

	memset(sweep, 0, sizeof(*sweep));
	sweep->policy = policy;
	for (i = 0; i < sg_count; i++) {
		const struct policy_sg *sg = &policy->sgs.at[sgs[i]];

		rules += sg->rules.count;
		for (j = 0; j < sg->rules.count; j++) {
			(void)rule_ports(policy, sg->rules.first + j, &count);
			ranges += 2 * (size_t)count;
		}
	}
	sweep->rules = calloc(rules, sizeof(*sweep->rules));
	sweep->bounds = calloc(ranges, sizeof(*sweep->bounds));
	sweep->winner = calloc(ranges, sizeof(*sweep->winner));
	sweep->next = calloc(ranges, sizeof(*sweep->next));
	if (!sweep->rules || !sweep->bounds || !sweep->winner || !sweep->next)
		return SGB_ERR_NOMEM;
	return SGB_OK;
}

static void sweep_done(struct sweep *sweep)
{
	free(sweep->rules);
	free(sweep->bounds);
	free(sweep->winner);
	free(sweep->next);
}

static void sweep_add(
	struct sweep *sweep, const struct policy_sg *sg, int family)
{
	struct policy *policy = sweep->policy;
	uint32_t i;

	for (i = 0; i < sg->rules.count; i++) {
		uint32_t rule = sg->rules.first + i;

		if (rule_speaks_of(policy, sweep->from,
			    &policy->sg_rules.at[rule], family))
			sweep->rules[sweep->rule_count++] = rule_key(
				policy, rule);
	}
}

/* What these groups together say to from, as a table. */
static enum sgb_err sgs_compile(struct policy *policy, const uint32_t *sgs,
	uint32_t sg_count, const struct policy_node *from, unsigned int v6,
	struct policy_range *table)
{
	struct sweep sweep;
	enum sgb_err err = sweep_init(&sweep, policy, sgs, sg_count);
	uint32_t i;

	sweep.from = from;
	for (i = 0; i < sg_count && !err; i++)
		sweep_add(&sweep, &policy->sgs.at[sgs[i]],
			v6 ? AF_INET6 : AF_INET);
	if (!err) {
		qsort(sweep.rules, sweep.rule_count, sizeof(*sweep.rules),
			key_order);
		sweep_bounds(&sweep);
		sweep_paint(&sweep);
		sweep_store(&sweep, table);
	}
	sweep_done(&sweep);
	return err;
}

static bool same_way(const struct policy *policy, const struct policy_node *a,
	const struct policy_node *b)
{
	uint32_t i;

	if (a->via != b->via || a->sgs.count != b->sgs.count)
		return false;
	for (i = 0; i < a->sgs.count; i++)
		if (policy->ids.at[a->sgs.first + i] !=
			policy->ids.at[b->sgs.first + i])
			return false;
	return true;
}

/* Those behind one jump host mostly stand together, and share a table. */
static enum sgb_err via_compile(struct policy *policy, struct policy_node *node,
	const struct policy_node **last)
{
	const struct policy_node *hop = &policy->nodes.at[node->via];
	const uint32_t *sgs = &policy->ids.at[node->sgs.first];
	enum sgb_err err = SGB_OK;
	uint32_t i;

	if (*last && same_way(policy, node, *last)) {
		memcpy(node->via_table, (*last)->via_table,
			sizeof(node->via_table));
		node->via_inside = (*last)->via_inside;
		return SGB_OK;
	}
	for (i = 0; i < node->sgs.count; i++)
		node->via_inside = node->via_inside ||
				   (!policy->sgs.at[sgs[i]].isolated &&
					   sg_has(policy, hop, sgs[i]));
	for (i = 0; i < 2 && !err; i++)
		err = sgs_compile(policy, sgs, node->sgs.count, hop, i,
			&node->via_table[i]);
	*last = node;
	return err;
}

enum sgb_err policy_sg_compile(struct policy *policy)
{
	const struct policy_node *last = NULL;
	enum sgb_err err = SGB_OK;
	uint32_t i;

	for (i = 0; i < policy->sgs.count && !err; i++) {
		struct policy_range *tables = policy->sgs.at[i].table;

		err = sgs_compile(policy, &i, 1, NULL, 0, &tables[0]);
		if (!err)
			err = sgs_compile(policy, &i, 1, NULL, 1, &tables[1]);
	}
	for (i = 0; i < policy->nodes.count && !err; i++)
		if (policy->nodes.at[i].via != POLICY_NONE)
			err = via_compile(policy, &policy->nodes.at[i], &last);
	return policy->failed ? SGB_ERR_NOMEM : err;
}

/* The rule of one group about a port, or POLICY_NONE. */
static uint32_t table_find(const struct policy *policy,
	const struct policy_range *table, uint16_t port)
{
	const struct policy_sg_ports *rows = policy->sg_ports.at + table->first;
	uint32_t low = 0, high = table->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (rows[middle].from <= port)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? rows[low - 1].rule : POLICY_NONE;
}

/* Through a jump host: it must be open to whoever is in front of it, on any
 * of its addresses, and the target's groups to it. */
static bool via_accepts(const struct policy *policy,
	const struct policy_node *node, int family, uint16_t port,
	uint32_t *ret_rule)
{
	const struct policy_node *hop = &policy->nodes.at[node->via];
	uint16_t hop_port = hop->port ? hop->port : POLICY_SSH_PORT;
	bool open = false;
	uint32_t i;

	for (i = 0; i < hop->nets.count && !open; i++)
		open = policy_sg_accepts(policy, hop,
			policy->nets.at[hop->nets.first + i].base.family,
			hop_port, ret_rule);
	if (!open)
		return false;
	*ret_rule = table_find(
		policy, &node->via_table[family == AF_INET6], port);
	return *ret_rule == POLICY_NONE ? node->via_inside
					: !policy->sg_rules.at[*ret_rule].drop;
}

bool policy_sg_accepts(const struct policy *policy,
	const struct policy_node *node, int family, uint16_t port,
	uint32_t *ret_rule)
{
	uint32_t best = POLICY_NONE;
	bool inside = false;
	uint32_t i;

	if (node->via != POLICY_NONE)
		return via_accepts(policy, node, family, port, ret_rule);
	for (i = 0; i < node->sgs.count; i++) {
		uint32_t index = policy->ids.at[node->sgs.first + i];
		const struct policy_sg *sg = &policy->sgs.at[index];
		uint32_t rule = table_find(
			policy, &sg->table[family == AF_INET6], port);

		inside = inside ||
			 (!sg->isolated && sg_is_bastion(policy, index));
		if (rule == POLICY_NONE)
			continue;
		if (best == POLICY_NONE ||
			rule_key(policy, rule) < rule_key(policy, best))
			best = rule;
	}
	*ret_rule = best;
	return best == POLICY_NONE ? inside : !policy->sg_rules.at[best].drop;
}
