/*
 * Two look-up structures of a compiled policy: 64-bit keys to sorted lists of
 * rules (a hash table), and addresses to the networks that cover them. CIDRs
 * are nested or apart, never half over each other, so sorted entries with
 * links to the next wider one are a prefix tree: a binary search finds the
 * narrowest, the links the others.
 */
#include "core/policy_int.h"

#include <stdlib.h>
#include <string.h>

static int pair_order(const void *a, const void *b)
{
	const struct policy_pair *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->value < y->value ? -1 : x->value > y->value;
}

static uint32_t key_slot(uint64_t key, uint32_t mask)
{
	key *= 0x9e3779b97f4a7c15u;
	return (uint32_t)(key >> 32) & mask;
}

static void index_put(struct policy_index *index, uint64_t key, uint32_t first,
	uint32_t count)
{
	uint32_t i = key_slot(key, index->mask);

	while (index->slots[i].count)
		i = (i + 1) & index->mask;
	index->slots[i].key = key;
	index->slots[i].first = first;
	index->slots[i].count = count;
}

static uint32_t distinct_keys(const struct policy_pair *pairs, uint32_t count)
{
	uint32_t i, keys = 0;

	for (i = 0; i < count; i++)
		keys += i == 0 || pairs[i].key != pairs[i - 1].key;
	return keys;
}

static bool pairs_sorted(const struct policy_pair *pairs, uint32_t count)
{
	uint32_t i;

	for (i = 1; i < count; i++)
		if (pair_order(&pairs[i - 1], &pairs[i]) > 0)
			return false;
	return true;
}

enum sgb_err policy_index_build(
	struct policy_index *index, struct policy_pair *pairs, uint32_t count)
{
	uint32_t size = 2, used = 0, first = 0, keys, i;

	if (count == 0)
		return SGB_OK;
	if (!pairs_sorted(pairs, count))
		qsort(pairs, count, sizeof(*pairs), pair_order);
	keys = distinct_keys(pairs, count);
	while (size < keys * 2)
		size *= 2;
	index->slots = calloc(size, sizeof(*index->slots));
	index->rules = calloc(count, sizeof(*index->rules));
	if (!index->slots || !index->rules)
		return SGB_ERR_NOMEM;
	index->mask = size - 1;
	for (i = 0; i < count; i++) {
		bool again = i && !pair_order(&pairs[i - 1], &pairs[i]);

		if (!again)
			index->rules[used++] = pairs[i].value;
		if (i + 1 == count || pairs[i + 1].key != pairs[i].key) {
			index_put(index, pairs[i].key, first, used - first);
			first = used;
		}
	}
	return SGB_OK;
}

void policy_index_done(struct policy_index *index)
{
	free(index->slots);
	free(index->rules);
	memset(index, 0, sizeof(*index));
}

const uint32_t *policy_index_find(
	const struct policy_index *index, uint64_t key, uint32_t *ret_count)
{
	uint32_t i;

	*ret_count = 0;
	if (!index->slots)
		return NULL;
	for (i = key_slot(key, index->mask); index->slots[i].count;
		i = (i + 1) & index->mask)
		if (index->slots[i].key == key) {
			*ret_count = index->slots[i].count;
			return index->rules + index->slots[i].first;
		}
	return NULL;
}

/* ---- prefixes ---- */

static void addr_words(const struct addr *addr, uint64_t *hi, uint64_t *lo)
{
	unsigned int i;

	*hi = *lo = 0;
	for (i = 0; i < 8; i++) {
		*hi = *hi << 8 | addr->bytes[i];
		*lo = *lo << 8 | addr->bytes[i + 8];
	}
	if (addr->family == AF_INET) {
		*hi &= 0xffffffff00000000u;
		*lo = 0;
	}
}

static int net_order(const void *a, const void *b)
{
	const struct policy_net_id *x = a, *y = b;
	int order;

	if (x->net.base.family != y->net.base.family)
		return x->net.base.family < y->net.base.family ? -1 : 1;
	order = memcmp(x->net.base.bytes, y->net.base.bytes,
		x->net.base.family == AF_INET ? 4 : 16);
	if (order)
		return order;
	if (x->net.bits != y->net.bits)
		return x->net.bits < y->net.bits ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static bool same_net(const struct addr_net *a, const struct addr_net *b)
{
	return a->bits == b->bits && addr_equal(&a->base, &b->base);
}

static bool prefix_covers(
	const struct policy_prefix *prefix, uint64_t hi, uint64_t lo)
{
	unsigned int bits = prefix->bits;

	if (bits == 0)
		return true;
	if (bits <= 64)
		return !((prefix->hi ^ hi) >> (64 - bits));
	return prefix->hi == hi && !((prefix->lo ^ lo) >> (128 - bits));
}

static void prefix_add(struct policy *policy, struct policy_prefixes *prefixes,
	const struct addr_net *net)
{
	unsigned int v6 = net->base.family == AF_INET6;
	uint32_t index = prefixes->entries[v6].count;
	struct policy_prefix *entry = vec_add(policy, &prefixes->entries[v6]);
	uint32_t parent = index - 1;

	addr_words(&net->base, &entry->hi, &entry->lo);
	entry->bits = (uint8_t)net->bits;
	entry->first = prefixes->ids.count;
	while (!policy->failed && parent != POLICY_NONE &&
		!prefix_covers(&prefixes->entries[v6].at[parent], entry->hi,
			entry->lo))
		parent = prefixes->entries[v6].at[parent].parent;
	entry->parent = parent;
}

enum sgb_err policy_prefixes_build(struct policy *policy,
	struct policy_prefixes *prefixes, struct policy_net_id *nets,
	uint32_t count)
{
	uint32_t i;

	if (count)
		qsort(nets, count, sizeof(*nets), net_order);
	for (i = 0; i < count && !policy->failed; i++) {
		unsigned int v6 = nets[i].net.base.family == AF_INET6;
		bool same = i && same_net(&nets[i - 1].net, &nets[i].net);

		if (same && nets[i - 1].id == nets[i].id)
			continue;
		if (!same)
			prefix_add(policy, prefixes, &nets[i].net);
		*vec_add(policy, &prefixes->ids) = nets[i].id;
		if (!policy->failed)
			prefixes->entries[v6]
				.at[prefixes->entries[v6].count - 1]
				.count++;
	}
	return policy->failed ? SGB_ERR_NOMEM : SGB_OK;
}

void policy_prefixes_done(struct policy_prefixes *prefixes)
{
	free(prefixes->entries[0].at);
	free(prefixes->entries[1].at);
	free(prefixes->ids.at);
	memset(prefixes, 0, sizeof(*prefixes));
}

uint32_t policy_prefixes_find(
	const struct policy_prefixes *prefixes, const struct addr *addr)
{
	const struct policy_prefix *entries;
	uint32_t low = 0, high, found;
	uint64_t hi, lo;

	if (addr->family != AF_INET && addr->family != AF_INET6)
		return POLICY_NONE;
	entries = prefixes->entries[addr->family == AF_INET6].at;
	high = prefixes->entries[addr->family == AF_INET6].count;
	addr_words(addr, &hi, &lo);
	/* The last entry that does not begin after addr ... */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct policy_prefix *entry = &entries[middle];

		if (entry->hi < hi || (entry->hi == hi && entry->lo <= lo))
			low = middle + 1;
		else
			high = middle;
	}
	/* ... or the nearest of its parents that covers it. */
	found = low - 1;
	while (found != POLICY_NONE && !prefix_covers(&entries[found], hi, lo))
		found = entries[found].parent;
	return found;
}
