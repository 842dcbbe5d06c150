/*
 * Exceptional logons: listed with their facts, or, on the bastion, appended to
 * the trail as they are found. Appending happens exactly once: a finding is
 * told until its event is seen in the trail, and the trail is read before.
 */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <jansson.h>

#include "findings_run.h"
#include "select.h"

#define RECENT_S 86400 /* what a fresh baseline still tells the trail */

static bool matches(const char *glob, const char *text)
{
	return !glob || !fnmatch(glob, text, 0);
}

static bool wanted(const struct audit *audit, const struct finding *finding)
{
	return matches(audit->user, finding->user) &&
	       matches(audit->source, finding->source) &&
	       matches(audit->target, finding->target) &&
	       matches(audit->login, finding->login);
}

static void put_member(const char *name, const char *text)
{
	if (!*text)
		return;
	(void)printf(",\"%s\":", name);
	print_json(stdout, text);
}

static void print_object(const struct finding *finding)
{
	char when[FACTS_TIME_MAX];

	(void)printf("{\"id\":\"%s\",\"kind\":\"%s\",\"title\":\"%s\","
		     "\"time\":\"%s\"",
		finding->id, finding_slug(finding->kind),
		finding_title(finding->kind),
		facts_time_text(finding->ms, when));
	put_member("user", finding->user);
	put_member("source", finding->source);
	put_member("target", finding->target);
	put_member("login", finding->login);
	put_member("mfa", finding->mfa);
	put_member("key", finding->key);
	put_member("conn", finding->conn);
	put_member("text", finding->text);
	(void)printf(",\"events\":[%s],\"facts\":%s,\"in_trail\":%s}\n",
		finding->events, finding->facts,
		finding->told ? "true" : "false");
}

static void print_value(json_t *value)
{
	json_t *each, *part;
	const char *name;
	size_t i;

	if (json_is_string(value)) {
		print_cstring(stdout, json_string_value(value));
	} else if (json_is_integer(value)) {
		(void)printf(
			"%" JSON_INTEGER_FORMAT, json_integer_value(value));
	} else if (json_is_array(value)) {
		json_array_foreach(value, i, each)
		{
			(void)printf("%s", i ? ", " : "");
			print_value(each);
		}
	} else {
		/* "203.0.113.0/24 (41, last 2026-11-22T08:01:17Z)" */
		bool first = true;

		json_object_foreach(value, name, part)
		{
			if (!first)
				(void)printf(" %s ", name);
			print_value(part);
			first = false;
		}
	}
}

static void print_facts(const char *facts)
{
	json_t *root = json_loads(facts, 0, NULL), *value;
	const char *name, *at;

	json_object_foreach(root, name, value)
	{
		(void)printf("    ");
		for (at = name; *at; at++)
			(void)putchar(*at == '_' ? ' ' : *at);
		(void)printf("%*s", (int)(24 - strlen(name) % 24), "");
		print_value(value);
		(void)printf("\n");
	}
	json_decref(root);
}

static void print_finding(const struct finding *finding)
{
	char when[PRINT_TIME_MAX];

	(void)printf("%s  %-15s  ",
		print_time((uint64_t)finding->ms * 1000000, when),
		finding_slug(finding->kind));
	print_cstring(stdout, finding->user);
	if (*finding->source) {
		(void)printf(" from ");
		print_cstring(stdout, finding->source);
	}
	(void)printf(": ");
	print_cstring(stdout, finding->text);
	(void)printf("\n");
	print_facts(finding->facts);
	(void)printf("    events%18s", "");
	print_cstring(stdout, finding->events);
	if (*finding->conn) {
		(void)printf("\n    connection%14s", "");
		print_cstring(stdout, finding->conn);
	}
	(void)printf("\n\n");
}

/* In the filters who and where are in clear here: no key is asked for. */
static void times(struct audit *audit, struct filter *filter)
{
	struct audit only = {.since = audit->since, .until = audit->until};

	filter_init(&only, filter);
	if (filter->until_ns > INT64_MAX)
		filter->until_ns = INT64_MAX;
}

static size_t list(struct audit *audit, struct baseline *baseline)
{
	struct filter filter;
	struct finding finding;
	sqlite3_stmt *row;
	size_t shown = 0;

	times(audit, &filter);
	row = baseline_query(baseline, BASELINE_FINDING_LIST, "ii",
		(int64_t)(filter.since_ns / 1000000),
		(int64_t)(filter.until_ns / 1000000));
	while (baseline_next(baseline, row)) {
		finding_row(row, &finding);
		if (!wanted(audit, &finding))
			continue;
		(audit->json ? print_object : print_finding)(&finding);
		shown++;
	}
	return shown;
}

static bool tell(struct telling *telling, const struct finding *finding)
{
	struct event event = {.kind = EVENT_FINDING,
		.time_ns = (uint64_t)finding->ms * 1000000,
		.conn = finding->conn,
		.user = finding->user,
		.key_fp = finding->key,
		.mfa = finding->mfa,
		.target = finding->target,
		.login = finding->login,
		.reason = finding->text,
		.finding = finding->id,
		.title = finding_slug(finding->kind),
		.related = finding->events,
		.facts = finding->facts};

	if (*finding->source && addr_parse(finding->source, &event.source))
		memset(&event.source, 0, sizeof(event.source));
	return telling_event(telling, &event);
}

#define BATCH 1000
struct told {
	char ids[BATCH][FINDING_ID_MAX];
	size_t count;
};

/* A thousand at a time, so that a statement is not read while it is written. */
static bool tell_batch(
	struct telling *telling, struct baseline *baseline, struct told *told)
{
	sqlite3_stmt *row = baseline_query(baseline, BASELINE_FINDING_NEW, "");
	struct finding finding;
	bool good = true;
	size_t i;

	told->count = 0;
	while (good && told->count < BATCH && baseline_next(baseline, row)) {
		finding_row(row, &finding);
		good = tell(telling, &finding);
		if (good)
			(void)snprintf(told->ids[told->count++], FINDING_ID_MAX,
				"%s", finding.id);
	}
	(void)sqlite3_reset(row);
	for (i = 0; i < told->count; i++)
		baseline_do(baseline, BASELINE_FINDING_TOLD, "t", told->ids[i]);
	return good;
}

static int append(
	struct audit *audit, struct baseline *baseline, int64_t fresh_ms)
{
	static struct told told;
	struct telling telling;
	struct filter filter;
	size_t all = 0;
	int64_t since;
	bool good = true;

	times(audit, &filter);
	since = (int64_t)(filter.since_ns / 1000000);
	if (!audit->since && fresh_ms)
		since = fresh_ms - RECENT_S * 1000LL;
	baseline_do(baseline, BASELINE_FINDING_OLD, "i", since);
	findings_not_fresh(baseline);
	telling_open(&telling, audit);
	do {
		good = tell_batch(&telling, baseline, &told);
		all += told.count;
	} while (good && told.count);
	telling_close(&telling);
	if (!good)
		audit_fatal(EX_TEMPFAIL,
			"the recorder did not take a finding; it is told the "
			"next time");
	if (all)
		(void)printf("%zu findings are in the trail\n", all);
	return baseline_error(baseline) ? EX_IOERR : 0;
}

int cmd_findings(struct audit *audit, int argc, char **argv)
{
	struct caught_up caught_up;
	struct baseline *baseline;
	int status;

	(void)argv;
	if (argc)
		audit_fatal(EX_USAGE, "findings takes filters, not names; see "
				      "\"sgbridge-audit findings --help\"");
	audit_places(audit);
	baseline = findings_open(audit, audit->append);
	findings_catch_up(audit, baseline, &caught_up);
	if (audit->append)
		status = append(audit, baseline, caught_up.fresh_ms);
	else
		status = list(audit, baseline) ? 0 : AUDIT_EXIT_NONE;
	if (caught_up.unread || caught_up.broken) {
		(void)fprintf(stderr,
			"sgbridge-audit: %zu lines of the trail could not be "
			"read, %zu do not follow the line before; see "
			"\"verify events\"\n",
			caught_up.unread, caught_up.broken);
		status = EX_DATAERR;
	}
	baseline_close(baseline);
	return status;
}
