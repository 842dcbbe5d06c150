/*
 * From numbers to look-up structures. What a decision needs about a user, a
 * source and a target is worked out here, once: which subjects a user is,
 * which networks cover an address, which objects an instance is.
 */
#include "core/policy_parse.h"

#include <stdlib.h>
#include <string.h>

/* A rule with more sources than this is looked at for every source. */
#define SOURCES_MANY 8

struct pairs {
	POLICY_PAIRS list;
};

static void pair_put(struct policy *policy, struct pairs *pairs, uint64_t key,
	uint32_t value)
{
	struct policy_pair *pair = vec_add(policy, &pairs->list);

	pair->key = key;
	pair->value = value;
}

/* ---- users and groups ---- */

struct flatten {
	struct policy *policy;
	struct pairs *pairs;
	uint32_t *visited; /* 1 + the group that was here last */
	uint32_t root;
};

static void flatten_group(struct flatten *flatten, uint32_t index)
{
	struct policy *policy = flatten->policy;
	struct policy_range elems = policy->groups.at[index].elems;
	uint32_t i;

	if (flatten->visited[index] == flatten->root + 1)
		return;
	flatten->visited[index] = flatten->root + 1;
	for (i = 0; i < elems.count; i++) {
		const struct policy_elem *elem =
			&policy->elems.at[elems.first + i];
		uint32_t group = elem->kind == ELEM_NAME
					 ? policy_named(policy, elem->sym,
						   NAME_GROUP)
					 : POLICY_NONE;
		uint32_t leaf;

		if (group != POLICY_NONE) {
			flatten_group(flatten, group);
			continue;
		}
		leaf = elem->kind == ELEM_UNIX
			       ? policy_leaf_unix(
					 policy, policy_named(policy, elem->sym,
							 NAME_UNIX))
			       : policy_named(policy, elem->sym, NAME_USER);
		pair_put(policy, flatten->pairs, leaf,
			policy_subject_group(flatten->root));
	}
}

static enum sgb_err store_leaves(struct policy *policy, struct pairs *pairs)
{
	uint32_t leaves = policy_leaf_count(policy);
	uint32_t i, count = pairs->list.count;

	policy->leaf_first = calloc(leaves + 2, sizeof(uint32_t));
	policy->leaf_subjects = calloc(count + 1, sizeof(uint32_t));
	if (!policy->leaf_first || !policy->leaf_subjects || policy->failed)
		return SGB_ERR_NOMEM;
	/* Counting sort: count, sum up, put. */
	for (i = 0; i < count; i++)
		policy->leaf_first[pairs->list.at[i].key + 2]++;
	for (i = 2; i < leaves + 2; i++)
		policy->leaf_first[i] += policy->leaf_first[i - 1];
	for (i = 0; i < count; i++) {
		const struct policy_pair *pair = &pairs->list.at[i];

		policy->leaf_subjects[policy->leaf_first[pair->key + 1]++] =
			pair->value;
	}
	return SGB_OK;
}

static enum sgb_err compile_leaves(struct policy *policy)
{
	struct pairs pairs = {0};
	struct flatten flatten = {.policy = policy, .pairs = &pairs};
	enum sgb_err err = SGB_ERR_NOMEM;
	uint32_t i;

	flatten.visited = calloc(policy->groups.count + 1, sizeof(uint32_t));
	if (!flatten.visited)
		return SGB_ERR_NOMEM;
	for (i = 0; i < policy_leaf_count(policy); i++)
		pair_put(policy, &pairs, i, policy_subject_leaf(policy, i));
	for (i = 0; i < policy->groups.count && !policy->failed; i++) {
		flatten.root = i;
		flatten_group(&flatten, i);
	}
	if (!policy->failed)
		err = store_leaves(policy, &pairs);
	free(flatten.visited);
	free(pairs.list.at);
	return err;
}

/* ---- sources ---- */

static enum sgb_err compile_sources(struct policy *policy)
{
	struct policy_nets nets = {0};
	enum sgb_err err = SGB_ERR_NOMEM;
	uint32_t i;

	for (i = 0; i < policy->networks.count; i++)
		if (policy->networks.at[i].source)
			policy_network_nets(policy, i, i, &nets);
	if (!policy->failed)
		err = policy_prefixes_build(policy, &policy->sources,
			nets.list.at, nets.list.count);
	free(nets.list.at);
	return err;
}

/* ---- targets ---- */

struct targets {
	struct policy *policy;
	struct policy_nets nets;
	struct policy_index sets;    /* object -> sets that hold it */
	struct policy_index members; /* node -> security groups */
};

static void target_net(
	struct targets *targets, const struct addr_net *net, uint32_t object)
{
	struct policy_net_id *added = vec_add(
		targets->policy, &targets->nets.list);
	const uint32_t *sets;
	uint32_t i, count;

	added->net = *net;
	added->id = object;
	sets = policy_index_find(&targets->sets, object, &count);
	for (i = 0; i < count; i++) {
		added = vec_add(targets->policy, &targets->nets.list);
		added->net = *net;
		added->id = policy_object_set(targets->policy, sets[i]);
	}
}

static void target_node(struct targets *targets, uint32_t index)
{
	struct policy *policy = targets->policy;
	const struct policy_node *node = &policy->nodes.at[index];
	uint32_t i, j, count;
	const uint32_t *sgs = policy_index_find(
		&targets->members, index, &count);

	for (i = 0; i < node->nets.count; i++) {
		const struct addr_net *net =
			&policy->nets.at[node->nets.first + i];

		target_net(targets, net, policy_object_node(index));
		for (j = 0; j < count; j++) {
			uint32_t zone = policy->sgs.at[sgs[j]].zone;

			target_net(
				targets, net, policy_object_sg(policy, sgs[j]));
			if (zone != POLICY_NONE)
				target_net(targets, net,
					policy_object_zone(policy,
						policy_named(policy, zone,
							NAME_ZONE)));
		}
	}
}

/* CIDRs that rules name as targets. */
static void target_elem(struct targets *targets, const struct policy_elem *elem)
{
	struct policy *policy = targets->policy;
	uint32_t network;

	if (elem->kind != ELEM_NET)
		return;
	network = policy_named(policy, elem->sym, NAME_NETWORK);
	target_net(targets,
		&policy->nets.at[policy->networks.at[network].nets.first],
		policy_object_network(policy, network));
}

static uint32_t set_object(
	const struct policy *policy, const struct policy_elem *elem)
{
	uint32_t sg;

	if (elem->kind == ELEM_ZONE)
		return policy_object_zone(
			policy, policy_named(policy, elem->sym, NAME_ZONE));
	if (elem->kind == ELEM_NET)
		return policy_object_network(
			policy, policy_named(policy, elem->sym, NAME_NETWORK));
	sg = policy_named(policy, elem->sym, NAME_SG);
	if (sg != POLICY_NONE)
		return policy_object_sg(policy, sg);
	return policy_object_node(policy_named(policy, elem->sym, NAME_NODE));
}

static enum sgb_err targets_init(struct targets *targets, struct policy *policy)
{
	struct pairs sets = {0}, members = {0};
	enum sgb_err err = SGB_ERR_NOMEM;
	uint32_t i, j;

	memset(targets, 0, sizeof(*targets));
	targets->policy = policy;
	for (i = 0; i < policy->target_sets.count; i++) {
		struct policy_range elems = policy->target_sets.at[i];

		for (j = 0; j < elems.count; j++)
			pair_put(policy, &sets,
				set_object(policy,
					&policy->elems.at[elems.first + j]),
				i);
	}
	for (i = 0; i < policy->memberships.count; i++)
		pair_put(policy, &members, policy->memberships.at[i].key,
			policy->memberships.at[i].value);
	if (!policy->failed)
		err = policy_index_build(
			&targets->sets, sets.list.at, sets.list.count);
	if (!err)
		err = policy_index_build(
			&targets->members, members.list.at, members.list.count);
	free(sets.list.at);
	free(members.list.at);
	return err;
}

static enum sgb_err compile_targets(struct policy *policy)
{
	struct targets targets;
	enum sgb_err err = targets_init(&targets, policy);
	uint32_t i, j;

	for (i = 0; i < policy->nodes.count && !err; i++)
		target_node(&targets, i);
	for (i = 0; i < policy->rules.count && !err; i++) {
		struct policy_range to = policy->rules.at[i].to;

		for (j = 0; j < to.count; j++)
			target_elem(&targets, &policy->elems.at[to.first + j]);
	}
	if (!err && policy->failed)
		err = SGB_ERR_NOMEM;
	if (!err)
		err = policy_prefixes_build(policy, &policy->targets,
			targets.nets.list.at, targets.nets.list.count);
	policy_index_done(&targets.sets);
	policy_index_done(&targets.members);
	free(targets.nets.list.at);
	return err;
}

/* ---- what each instance is called by rules ---- */

static int id_order(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void collect_chain(
	struct policy *policy, const struct addr_net *net, uint32_t self)
{
	const struct policy_prefixes *prefixes = &policy->targets;
	int family = net->base.family;
	uint32_t entry = policy_prefixes_find(prefixes, &net->base);
	uint32_t i;

	for (; entry != POLICY_NONE;
		entry = policy_prefix_at(prefixes, family, entry)->parent) {
		const struct policy_prefix *prefix = policy_prefix_at(
			prefixes, family, entry);

		/* A subnet is what covers all of it, not what is in it. */
		if (prefix->bits > net->bits)
			continue;
		for (i = 0; i < prefix->count; i++) {
			uint32_t id = prefixes->ids.at[prefix->first + i];

			if (id != self)
				*vec_add(policy, &policy->ids) = id;
		}
	}
}

static void unique_ids(struct policy *policy, struct policy_range *range)
{
	uint32_t *ids = policy->ids.at + range->first;
	uint32_t i, used = 0;

	range->count = policy->ids.count - range->first;
	qsort(ids, range->count, sizeof(*ids), id_order);
	for (i = 0; i < range->count; i++)
		if (i == 0 || ids[i] != ids[i - 1])
			ids[used++] = ids[i];
	range->count = used;
	policy->ids.count = range->first + used;
}

static void node_sgs(struct policy *policy, struct policy_node *node)
{
	uint32_t first = policy_object_sg(policy, 0);
	uint32_t end = policy_object_zone(policy, 0);
	uint32_t i;

	node->sgs.first = policy->ids.count;
	for (i = 0; i < node->objects.count; i++) {
		uint32_t object = policy->ids.at[node->objects.first + i];

		if (object < first || object >= end)
			continue;
		*vec_add(policy, &policy->ids) = object - first;
		node->sgs.count++;
	}
}

static void compile_node(struct policy *policy, uint32_t index)
{
	struct policy_node *node = &policy->nodes.at[index];
	uint32_t self = policy_object_node(index);
	uint32_t i;

	node->objects.first = policy->ids.count;
	*vec_add(policy, &policy->ids) = OBJECT_ALL;
	*vec_add(policy, &policy->ids) = OBJECT_BEHIND;
	*vec_add(policy, &policy->ids) = self;
	for (i = 0; i < node->nets.count; i++)
		collect_chain(
			policy, &policy->nets.at[node->nets.first + i], self);
	if (policy->failed)
		return;
	unique_ids(policy, &node->objects);
	node_sgs(policy, node);
}

/* ---- rules ---- */

static void flag_rule(struct policy *policy, const struct policy_rule *rule)
{
	uint8_t bit = (uint8_t)(1u << rule->kind);
	uint32_t i;

	for (i = 0; i < rule->subjects.count; i++)
		policy->subject_kinds[policy->ids.at[rule->subjects.first +
						     i]] |= bit;
	for (i = 0; i < rule->objects.count; i++)
		policy->object_kinds[policy->ids.at[rule->objects.first + i]] |=
			bit;
	for (i = 0; i < rule->sources.count; i++)
		policy->network_kinds[policy->ids.at[rule->sources.first +
						     i]] |= bit;
	if (rule->any_source)
		policy->source_any_kinds |= bit;
}

static void pair_rule(struct policy *policy, uint32_t index,
	struct pairs *pairs, struct pairs *subjects)
{
	const struct policy_rule *rule = &policy->rules.at[index];
	uint32_t i, j;

	for (i = 0; i < rule->subjects.count; i++) {
		uint64_t subject = policy->ids.at[rule->subjects.first + i];

		pair_put(policy, subjects, subject, index);
		for (j = 0; j < rule->objects.count; j++)
			pair_put(policy, pairs,
				subject << 32 |
					policy->ids.at[rule->objects.first + j],
				index);
	}
}

static void split_rule(struct policy *policy, uint64_t list, uint32_t index,
	struct pairs *pairs)
{
	const struct policy_rule *rule = &policy->rules.at[index];
	uint32_t i;

	if (rule->any_source) {
		pair_put(policy, pairs, list << 32 | SOURCE_ANY, index);
		return;
	}
	if (rule->sources.count > SOURCES_MANY) {
		pair_put(policy, pairs, list << 32 | POLICY_SOURCE_MANY, index);
		return;
	}
	for (i = 0; i < rule->sources.count; i++)
		pair_put(policy, pairs,
			list << 32 |
				(policy->ids.at[rule->sources.first + i] + 1),
			index);
}

static enum sgb_err split_long(
	struct policy *policy, enum policy_rule_kind kind)
{
	const struct policy_index *index = &policy->pairs[kind];
	struct pairs pairs = {0};
	enum sgb_err err = SGB_ERR_NOMEM;
	uint32_t i, j;

	if (!index->slots)
		return SGB_OK;
	for (i = 0; i <= index->mask; i++) {
		const struct policy_index_slot *slot = &index->slots[i];

		if (slot->count <= POLICY_LIST_LONG)
			continue;
		for (j = 0; j < slot->count; j++)
			split_rule(policy, slot->first,
				index->rules[slot->first + j], &pairs);
	}
	if (!policy->failed)
		err = policy_index_build(&policy->by_source[kind],
			pairs.list.at, pairs.list.count);
	free(pairs.list.at);
	return err;
}

static enum sgb_err compile_kind(
	struct policy *policy, enum policy_rule_kind kind)
{
	struct pairs pairs = {0}, subjects = {0};
	enum sgb_err err = SGB_ERR_NOMEM;
	uint32_t i;

	for (i = 0; i < policy->rules.count; i++) {
		if (policy->rules.at[i].kind != kind)
			continue;
		flag_rule(policy, &policy->rules.at[i]);
		pair_rule(policy, i, &pairs, &subjects);
	}
	if (!policy->failed)
		err = policy_index_build(
			&policy->pairs[kind], pairs.list.at, pairs.list.count);
	if (!err)
		err = policy_index_build(&policy->by_subject[kind],
			subjects.list.at, subjects.list.count);
	free(pairs.list.at);
	free(subjects.list.at);
	return err ? err : split_long(policy, kind);
}

static enum sgb_err compile_rules(struct policy *policy)
{
	enum sgb_err err = SGB_OK;
	unsigned int kind;

	policy->subject_kinds = calloc(policy_subject_count(policy), 1);
	policy->object_kinds = calloc(policy_object_count(policy), 1);
	policy->network_kinds = calloc(policy->networks.count + 1, 1);
	if (!policy->subject_kinds || !policy->object_kinds ||
		!policy->network_kinds)
		return SGB_ERR_NOMEM;
	for (kind = 0; kind < RULE_KINDS && !err; kind++)
		err = compile_kind(policy, (enum policy_rule_kind)kind);
	return err;
}

enum sgb_err policy_index_all(struct policy *policy)
{
	enum sgb_err err = compile_leaves(policy);
	uint32_t i;

	if (!err)
		err = compile_sources(policy);
	if (!err)
		err = compile_targets(policy);
	for (i = 0; i < policy->nodes.count && !err; i++)
		compile_node(policy, i);
	if (!err)
		err = policy_sg_compile(policy);
	if (!err)
		err = compile_rules(policy);
	return policy->failed ? SGB_ERR_NOMEM : err;
}
