/* What findings go by: settings, checked, and as one line of text. */
#include "findings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/policy_zone.h"

#define MS_MAX (100LL * 366 * 86400 * 1000)

static int64_t to_ms(uint64_t seconds)
{
	return seconds > (uint64_t)MS_MAX / 1000 ? MS_MAX
						 : (int64_t)seconds * 1000;
}

static int64_t at_least_one(uint64_t count)
{
	return count < 1 ? 1 : count > INT32_MAX ? INT32_MAX : (int64_t)count;
}

enum sgb_err findings_rules_init(struct findings_rules *rules,
	const struct conf *conf, char *why, size_t why_len)
{
	const char *zone = conf->findings_zone;

	memset(rules, 0, sizeof(*rules));
	rules->learning_ms = to_ms(conf->findings_learning);
	rules->memory_ms = to_ms(conf->findings_memory);
	rules->targets_ms = to_ms(conf->findings_targets_time);
	rules->failures_ms = to_ms(conf->findings_failures_time);
	rules->logons = at_least_one(conf->findings_logons);
	rules->hours_logons = at_least_one(conf->findings_hours);
	rules->targets = at_least_one(conf->findings_targets);
	rules->failures = at_least_one(conf->findings_failures);
	if (conf->findings_prefix4 > 32 || conf->findings_prefix6 > 128) {
		(void)snprintf(why, why_len,
			"findings-prefix4 is 0 to 32, findings-prefix6 0 to "
			"128");
		return SGB_ERR_FORMAT;
	}
	rules->prefix4 = (unsigned int)conf->findings_prefix4;
	rules->prefix6 = (unsigned int)conf->findings_prefix6;
	if (!zone || !*zone)
		zone = "UTC";
	(void)snprintf(rules->zone_name, sizeof(rules->zone_name), "%s", zone);
	/* Needs no table of the system's. */
	if (!strcmp(zone, "UTC"))
		return SGB_OK;
	if (!policy_zone_load(zone, &rules->zone))
		return SGB_OK;
	(void)snprintf(why, why_len,
		"findings-zone %.60s: the system knows no such time zone; "
		"expected a name such as Europe/Berlin",
		zone);
	return SGB_ERR_NOTFOUND;
}

void findings_rules_done(struct findings_rules *rules)
{
	policy_zone_free(rules->zone);
	rules->zone = NULL;
}

void findings_rules_text(
	const struct findings_rules *rules, char text[FINDINGS_RULES_TEXT])
{
	(void)snprintf(text, FINDINGS_RULES_TEXT,
		"1 zone=%s learning=%" PRId64 " memory=%" PRId64
		" logons=%" PRId64 " hours=%" PRId64 " prefix=%u,%u "
		"targets=%" PRId64 "/%" PRId64 " failures=%" PRId64 "/%" PRId64,
		rules->zone_name, rules->learning_ms, rules->memory_ms,
		rules->logons, rules->hours_logons, rules->prefix4,
		rules->prefix6, rules->targets, rules->targets_ms,
		rules->failures, rules->failures_ms);
}
