/*
 * Lines of the trail and of the kernel audit log, as facts, and judged: what
 * is put into the baseline comes out as JSON that can be printed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "../../audit/findings.h"
#include "../../audit/kaudit_line.h"

static const struct findings_rules rules = {
	.memory_ms = 1000000,
	.targets_ms = 300000,
	.failures_ms = 3600000,
	.logons = 1,
	.hours_logons = 1,
	.targets = 2,
	.failures = 2,
	.prefix4 = 24,
	.prefix6 = 48,
	.zone_name = "UTC",
};

static void check_findings(struct baseline *baseline)
{
	sqlite3_stmt *row = baseline_query(baseline, BASELINE_FINDING_LIST,
		"ii", (int64_t)INT64_MIN, (int64_t)INT64_MAX);

	while (baseline_next(baseline, row)) {
		const char *facts = baseline_text(row, 12);
		json_t *root = json_loads(facts, 0, NULL);

		if (!root || strlen(facts) > EVENT_FACTS_MAX)
			abort();
		json_decref(root);
	}
}

static void trail(const uint8_t *data, size_t len)
{
	static struct fact fact;
	static struct baseline *baseline;
	char why[300];

	if ((!baseline && baseline_open(NULL, &baseline, why, sizeof(why))) ||
		baseline_begin(baseline))
		abort();
	while (len) {
		const uint8_t *end = memchr(data, '\n', len);
		size_t line = end ? (size_t)(end - data) : len;

		if (fact_read((const char *)data, line, &fact))
			findings_judge(baseline, &rules, 0, &fact);
		data += line + (end != NULL);
		len -= line + (end != NULL);
	}
	check_findings(baseline);
	baseline_clear(baseline);
	if (baseline_commit(baseline))
		abort();
}

static void kernel(const uint8_t *data, size_t len)
{
	static struct kaudit_line record;

	if (kaudit_line_read((const char *)data, len, &record) &&
		(strlen(record.acct) >= sizeof(record.acct) || !*record.stamp))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len > 16384)
		return 0;
	kernel(data, len);
	trail(data, len);
	return 0;
}
