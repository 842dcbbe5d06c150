/*
 * Per-source limits and penalties. Open addressing over a fixed table: no
 * allocation after start, however many addresses come.
 */
#include "sources.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/secret.h"

#define TABLE_SIZE 65536u /* a power of two */
#define PROBE_MAX  64u
#define EXEMPT_MAX 256u

/* As sshd's defaults, in ms: penalties add up, are felt from MIN on, and
 * never grow beyond MAX. */
#define PENALTY_MIN 15000u
#define PENALTY_MAX 600000u

static const uint32_t penalty_ms[] = {
	[MONITOR_PENALTY_NONE] = 0,
	[MONITOR_PENALTY_AUTH] = 5000,
	[MONITOR_PENALTY_NO_AUTH] = 1000,
	[MONITOR_PENALTY_CRASH] = 90000,
	[MONITOR_PENALTY_GRACE] = 10000,
};

struct source {
	struct addr key;
	uint64_t until; /* end of all penalties so far */
	uint32_t pending;
	bool active; /* refused while it lasts */
};

struct sources {
	uint64_t seed;
	struct addr_net exempt[EXEMPT_MAX];
	size_t exempt_count;
	struct source table[TABLE_SIZE];
};

enum sgb_err sources_new(struct sources **ret)
{
	struct sources *sources = calloc(1, sizeof(*sources));
	enum sgb_err err;

	if (!sources)
		return SGB_ERR_NOMEM;
	/* A seed of its own: nobody can aim at one bucket. */
	err = secret_random(&sources->seed, sizeof(sources->seed));
	if (err)
		free(sources);
	else
		*ret = sources;
	return err;
}

void sources_free(struct sources *sources)
{
	free(sources);
}

enum sgb_err sources_set_exempt(struct sources *sources,
	const struct conf_list *nets, const char **ret_bad)
{
	struct addr_net parsed[EXEMPT_MAX];
	size_t i;

	for (i = 0; i < nets->count; i++) {
		*ret_bad = nets->items[i];
		if (i == EXEMPT_MAX)
			return SGB_ERR_LIMIT;
		if (addr_net_parse(nets->items[i], &parsed[i]))
			return SGB_ERR_FORMAT;
	}
	memcpy(sources->exempt, parsed, i * sizeof(parsed[0]));
	sources->exempt_count = i;
	return SGB_OK;
}

static bool is_exempt(const struct sources *sources, const struct addr *addr)
{
	size_t i;

	for (i = 0; i < sources->exempt_count; i++)
		if (addr_in_net(addr, &sources->exempt[i]))
			return true;
	return false;
}

/* Who has one IPv6 address has its /64. */
static struct addr key_of(const struct addr *addr)
{
	struct addr key = *addr;

	if (key.family == AF_INET6)
		memset(key.bytes + 8, 0, 8);
	return key;
}

static uint32_t hash(const struct sources *sources, const struct addr *key)
{
	uint64_t h = sources->seed ^ 0xcbf29ce484222325u;
	size_t i;

	for (i = 0; i < sizeof(key->bytes); i++)
		h = (h ^ key->bytes[i]) * 0x100000001b3u;
	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9u;
	return (uint32_t)(h >> 32) & (TABLE_SIZE - 1);
}

/*
 * The entry of addr, or a free one, or the one within reach whose penalty
 * ends first. An entry that counts live connections is never taken; NULL if
 * there are only such.
 */
static struct source *find(
	struct sources *sources, const struct addr *addr, bool make)
{
	struct addr key = key_of(addr);
	uint32_t at = hash(sources, &key);
	struct source *victim = NULL;
	uint32_t i;

	for (i = 0; i < PROBE_MAX; i++) {
		struct source *entry =
			&sources->table[(at + i) & (TABLE_SIZE - 1)];

		if (addr_equal(&entry->key, &key))
			return entry;
		if (!entry->pending &&
			(!victim || entry->until < victim->until))
			victim = entry;
	}
	if (!make || !victim)
		return NULL;
	memset(victim, 0, sizeof(*victim));
	victim->key = key;
	return victim;
}

enum sources_verdict sources_admit(struct sources *sources,
	const struct addr *addr, uint64_t now, uint64_t max_per_source)
{
	struct source *entry = find(sources, addr, true);

	if (!entry)
		return SOURCES_REFUSE_LIMIT;
	if (entry->active && now < entry->until)
		return SOURCES_REFUSE_PENALTY;
	if (now >= entry->until) {
		entry->active = false;
		entry->until = 0;
	}
	if (entry->pending >= max_per_source)
		return SOURCES_REFUSE_LIMIT;
	entry->pending++;
	return SOURCES_ADMIT;
}

void sources_release(struct sources *sources, const struct addr *addr)
{
	struct source *entry = find(sources, addr, false);

	if (entry && entry->pending)
		entry->pending--;
}

void sources_penalise(struct sources *sources, const struct addr *addr,
	enum monitor_penalty kind, uint64_t now)
{
	struct source *entry;

	if ((size_t)kind >= sizeof(penalty_ms) / sizeof(penalty_ms[0]) ||
		is_exempt(sources, addr))
		return;
	entry = find(sources, addr, true);
	if (!entry)
		return;
	if (entry->until < now)
		entry->until = now;
	entry->until += penalty_ms[kind];
	if (entry->until > now + PENALTY_MAX)
		entry->until = now + PENALTY_MAX;
	if (entry->until >= now + PENALTY_MIN)
		entry->active = true;
}

size_t sources_penalised(const struct sources *sources, uint64_t now)
{
	size_t i, count = 0;

	for (i = 0; i < TABLE_SIZE; i++)
		count += sources->table[i].active &&
			 now < sources->table[i].until;
	return count;
}
