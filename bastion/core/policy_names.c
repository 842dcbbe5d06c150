/*
 * Memory and names of a policy: vectors, a pool of strings, and the hash
 * table that turns each name into a number once. Trusts nothing about the
 * text; a policy that ran out of memory remembers it and is not used.
 */
#include "core/policy_int.h"

#include <stdlib.h>
#include <string.h>

#define POOL_CHUNK (256u * 1024)

struct policy_pool {
	struct policy_pool *next;
	size_t used, size;
	char data[];
};

void *policy_vec_grow(struct policy *policy, void **at, uint32_t *count,
	uint32_t *cap, size_t size)
{
	if (*count == *cap) {
		uint32_t more = *cap ? *cap * 2 : 16;
		void *grown = *cap > UINT32_MAX / 4
				      ? NULL
				      : reallocarray(*at, more, size);

		if (!grown) {
			policy->failed = true;
			memset(policy->scratch, 0, sizeof(policy->scratch));
			return policy->scratch;
		}
		*at = grown;
		*cap = more;
	}
	memset((char *)*at + (size_t)*count * size, 0, size);
	return (char *)*at + (size_t)(*count)++ * size;
}

static struct policy_pool *pool_new(size_t size, struct policy_pool *next)
{
	struct policy_pool *pool = malloc(sizeof(*pool) + size);

	if (!pool)
		return NULL;
	pool->next = next;
	pool->used = 0;
	pool->size = size;
	return pool;
}

const char *policy_text(struct policy *policy, const char *text, size_t len)
{
	struct policy_pool *pool = policy->pool;
	char *copy;

	if (!pool || pool->size - pool->used <= len) {
		pool = pool_new(
			len < POOL_CHUNK ? POOL_CHUNK : len + 1, policy->pool);
		if (!pool) {
			policy->failed = true;
			return "";
		}
		policy->pool = pool;
	}
	copy = pool->data + pool->used;
	memcpy(copy, text, len);
	copy[len] = '\0';
	pool->used += len + 1;
	return copy;
}

/* FNV-1a. Names come from root's own file, so nobody picks collisions. */
static uint32_t hash_text(const char *text, size_t len)
{
	uint32_t hash = 2166136261u;
	size_t i;

	for (i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)text[i]) * 16777619u;
	return hash ^ hash >> 15;
}

static void slots_put(struct policy_symbol_slot *slots, uint32_t mask,
	uint32_t hash, uint32_t sym)
{
	uint32_t i = hash & mask;

	while (slots[i].sym)
		i = (i + 1) & mask;
	slots[i].hash = hash;
	slots[i].sym = sym + 1;
}

static enum sgb_err slots_grow(struct policy *policy)
{
	uint32_t cap = policy->symbol_slots ? (policy->symbol_mask + 1) * 2
					    : 1024;
	struct policy_symbol_slot *slots = calloc(cap, sizeof(*slots));
	uint32_t i;

	if (!slots)
		return SGB_ERR_NOMEM;
	for (i = 0; i < policy->symbols.count; i++)
		slots_put(slots, cap - 1, policy->symbols.at[i].hash, i);
	free(policy->symbol_slots);
	policy->symbol_slots = slots;
	policy->symbol_mask = cap - 1;
	return SGB_OK;
}

static uint32_t symbol_lookup(const struct policy *policy, const char *text,
	size_t len, uint32_t hash)
{
	const struct policy_symbol_slot *slot;
	uint32_t i;

	if (!policy->symbol_slots)
		return POLICY_NONE;
	for (i = hash & policy->symbol_mask; policy->symbol_slots[i].sym;
		i = (i + 1) & policy->symbol_mask) {
		const char *known;

		slot = &policy->symbol_slots[i];
		if (slot->hash != hash)
			continue;
		known = policy->symbols.at[slot->sym - 1].text;
		if (!strncmp(known, text, len) && !known[len])
			return slot->sym - 1;
	}
	return POLICY_NONE;
}

uint32_t policy_symbol_find(const struct policy *policy, const char *text)
{
	size_t len = strlen(text);

	return symbol_lookup(policy, text, len, hash_text(text, len));
}

uint32_t policy_symbol(struct policy *policy, const char *text, size_t len)
{
	uint32_t hash = hash_text(text, len);
	uint32_t sym = symbol_lookup(policy, text, len, hash);
	struct policy_symbol *added;

	if (sym != POLICY_NONE)
		return sym;
	if (policy->symbols.count >= policy->symbol_mask / 2 &&
		slots_grow(policy)) {
		policy->failed = true;
		return 0;
	}
	sym = policy->symbols.count;
	added = vec_add(policy, &policy->symbols);
	added->text = policy_text(policy, text, len);
	added->hash = hash;
	if (policy->failed)
		return 0;
	slots_put(policy->symbol_slots, policy->symbol_mask, hash, sym);
	return sym;
}

void policy_names_free(struct policy *policy)
{
	while (policy->pool) {
		struct policy_pool *next = policy->pool->next;

		free(policy->pool);
		policy->pool = next;
	}
	free(policy->symbols.at);
	free(policy->symbol_slots);
}
