/*
 * Time zones by their names, from the system's tables. For the policy's hours,
 * and for whoever says at which hour of a person's day something happened.
 */
#ifndef SGB_POLICY_ZONE_H
#define SGB_POLICY_ZONE_H

#include <stdint.h>
#include <time.h>

#include "core/err.h"

struct policy_zone;

/* SGB_ERR_NOTFOUND for a zone the system does not have. */
enum sgb_err policy_zone_load(
	const char *name, struct policy_zone **ret) SGB_MUST_CHECK;
void policy_zone_free(struct policy_zone *zone);
const char *policy_zone_name(const struct policy_zone *zone);
/* Seconds east of Greenwich at this moment. */
int32_t policy_zone_offset(const struct policy_zone *zone, time_t now);
int64_t policy_days_from_civil(
	int64_t year, unsigned int month, unsigned int day);

#endif
