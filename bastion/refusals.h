/*
 * Which refusals of connections become events. A flood of the one must not
 * become a flood of the other, nor hide somebody else's: each source has one
 * event in ten seconds, and what is left out is counted and told by the next.
 * A source is an IPv4 address or an IPv6 /64. Bounded: sources beyond the
 * table are counted together.
 */
#ifndef SGB_REFUSALS_H
#define SGB_REFUSALS_H

#include <stdint.h>

#include "core/addr.h"

#define REFUSALS_MAX   16
#define REFUSALS_EVERY 10000 /* ms */

struct refusal {
	struct addr source; /* family 0: free */
	uint64_t told_ms;   /* monotonic */
	uint64_t left_out;  /* since then */
};

/* Zero is empty. */
struct refusals {
	struct refusal at[REFUSALS_MAX];
	uint64_t others; /* of sources that have no place any more */
};

/* Counts one from source. Returns how many of that source an event has to
 * speak for, this one included, or 0: none is due. *ret_others is then how
 * many of other sources no event spoke for. now in ms, monotonic. */
uint64_t refusals_count(struct refusals *refusals, const struct addr *source,
	uint64_t now, uint64_t *ret_others);

#endif
