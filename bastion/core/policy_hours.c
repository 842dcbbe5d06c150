/*
 * Is this moment within some hours? The server's clock and the zone written
 * in the policy decide; a client's idea of time never does. A range over
 * midnight belongs to the day it begins on. Local clock time counts, so on
 * the day clocks go forward a range within the skipped hour is empty, and on
 * the day they go back one within the repeated hour lasts twice as long.
 */
#include "core/policy_int.h"

#define DAY_MINUTES 1440

static bool span_contains(
	const struct policy_hours_span *span, unsigned int day, int minute)
{
	unsigned int yesterday = (day + 6) % 7;

	if (span->to > span->from)
		return (span->days >> day & 1) && minute >= span->from &&
		       minute < span->to;
	return ((span->days >> day & 1) && minute >= span->from) ||
	       ((span->days >> yesterday & 1) && minute < span->to);
}

bool policy_hours_contain(
	const struct policy *policy, uint32_t index, time_t now)
{
	const struct policy_hours *hours = &policy->hours.at[index];
	int64_t local = (int64_t)now +
			policy_zone_offset(policy->zones.at[hours->zone], now);
	int64_t minutes = local / 60 - (local % 60 < 0);
	int64_t days = minutes / DAY_MINUTES - (minutes % DAY_MINUTES < 0);
	int minute = (int)(minutes - days * DAY_MINUTES);
	/* 1970-01-01 was a Thursday; bit 0 is Sunday. */
	unsigned int day = (unsigned int)((days % 7 + 11) % 7);
	uint32_t i;

	for (i = 0; i < hours->spans.count; i++)
		if (span_contains(&policy->spans.at[hours->spans.first + i],
			    day, minute))
			return true;
	return false;
}

static bool hours_change(const struct policy *policy, time_t a, time_t b)
{
	uint32_t i;

	for (i = 0; i < policy->hours.count; i++)
		if (policy_hours_contain(policy, i, a) !=
			policy_hours_contain(policy, i, b))
			return true;
	return false;
}

time_t policy_next_change(const struct policy *policy, time_t now, time_t until)
{
	time_t minute = now - now % 60 + 60;
	time_t next = 0;
	uint32_t i;

	/* They begin and end on the minute, in every zone of today. */
	for (; minute <= until && !next; minute += 60)
		if (hours_change(policy, now, minute))
			next = minute;
	for (i = 0; i < policy->rules.count; i++) {
		time_t expires = policy->rules.at[i].expires;

		if (expires > now && expires <= until &&
			(!next || expires < next))
			next = expires;
	}
	return next;
}
