/*
 * When each person's keys were used, by the event trail. What it tells is a
 * lower bound of a key's age, and what it does not tell is only worth as much
 * as the time that it covers.
 */
#ifndef SGB_SGBRIDGE_USAGE_H
#define SGB_SGBRIDGE_USAGE_H

#include "sgbridge.h"

struct usage;

/* NULL after a message. The caller frees it with usage_free. */
struct usage *usage_read(struct cli *cli);
void usage_free(struct usage *usage);
/* The time of the trail's first event. */
time_t usage_begins(const struct usage *usage);
/* False if the trail knows of no login of this user with this key. */
bool usage_of(const struct usage *usage, const char *user,
	const char *fingerprint, time_t *ret_first, time_t *ret_last);

#endif
