/* Counting refusals for events: a small table, the longest silent go first.
 * Trusts nothing but the clock. */
#include "refusals.h"

#include <string.h>

/* Who has one IPv6 address mostly has a /64 of them. */
static struct addr source_of(const struct addr *addr)
{
	struct addr source = *addr;

	if (source.family == AF_INET6)
		memset(source.bytes + 8, 0, 8);
	return source;
}

/* Its own place, or the one that was told of the longest time ago. */
static struct refusal *find(
	struct refusals *refusals, const struct addr *source)
{
	struct refusal *oldest = &refusals->at[0];
	size_t i;

	for (i = 0; i < REFUSALS_MAX; i++) {
		struct refusal *at = &refusals->at[i];

		if (addr_equal(&at->source, source))
			return at;
		if (oldest->source.family &&
			(!at->source.family || at->told_ms < oldest->told_ms))
			oldest = at;
	}
	return oldest;
}

uint64_t refusals_count(struct refusals *refusals, const struct addr *source,
	uint64_t now, uint64_t *ret_others)
{
	const struct addr key = source_of(source);
	struct refusal *at = find(refusals, &key);
	bool own = at->source.family && addr_equal(&at->source, &key);
	uint64_t count = 1;

	if (at->source.family && now - at->told_ms < REFUSALS_EVERY) {
		*(own ? &at->left_out : &refusals->others) += 1;
		return 0;
	}
	*(own ? &count : &refusals->others) += at->left_out;
	*ret_others = refusals->others;
	refusals->others = 0;
	*at = (struct refusal){.source = key, .told_ms = now};
	return count;
}
