/* Where two policies may differ, and what sgbridge diff keeps in hand. */
#ifndef SGB_SGBRIDGE_DIFF_H
#define SGB_SGBRIDGE_DIFF_H

#include "sgbridge.h"

#define DIFF_ATOMS_MAX 512

/* The places at which both policies are asked about one person and target:
 * between two of them neither can change its answer. */
struct places {
	time_t now;
	const struct policy *policy; /* whose rules are being collected */
	bool permits;		     /* some rule permits something */
	bool truncated;
	const char *logins[DIFF_ATOMS_MAX]; /* "_other": all the others */
	size_t login_count;
	uint16_t ports[DIFF_ATOMS_MAX];
	size_t port_count;
	struct addr addrs[DIFF_ATOMS_MAX];
	size_t addr_count;
	time_t times[DIFF_ATOMS_MAX];
	size_t time_count;
};

/* Forgets all but now and truncated; request->source becomes an address that
 * hardly anybody writes down, which stands for all such. */
void places_reset(struct places *places, struct policy_request *request);
/* Adds what the rules of one policy say about a request's user and target. */
void places_collect(struct places *places, const struct policy *policy,
	const struct policy_request *request);
void places_add_login(struct places *places, const char *login);

#endif
