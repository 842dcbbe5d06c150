/*
 * What counts within a time: targets of a person, failures, attempts on
 * accounts that may not log on. Strangers choose names and, with IPv6, source
 * networks, so each table has a limit; what no longer fits is counted together,
 * and is told like the others. A run is told at its 1st, 10th, 100th...
 * event, so that a flood makes a few findings and hides none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "findings_own.h"

#define RUNS_MAX   2048
#define NAMES_MAX  240 /* bytes of examples */
#define RECENT_MAX 1000

/* Where what has no room is counted; no name of anybody's is stored so. */
static const char REST[] = "*";

enum failing_kind {
	FAILING_USER = 1,
	FAILING_SOURCE,
	FAILING_UNKNOWN, /* names that are nobody's, by network */
	FAILING_BARRED,	 /* a known name that may not, by network */
};

struct run {
	int64_t first_ms, last_ms, count, first_seq, last_seq;
	char names[NAMES_MAX + FACT_TEXT_MAX];
};

#define STORED_MAX (2 * FACT_TEXT_MAX)
static const char *stored(const char *name, char text[STORED_MAX])
{
	if (name == REST)
		return REST;
	(void)snprintf(text, STORED_MAX, "=%s", name);
	return text;
}

static bool run_get(struct judge *judge, enum failing_kind kind,
	const char *name, struct run *run)
{
	char text[STORED_MAX];
	sqlite3_stmt *row = baseline_query(judge->base, BASELINE_FAILING_GET,
		"it", (int64_t)kind, stored(name, text));

	memset(run, 0, sizeof(*run));
	if (!baseline_next(judge->base, row))
		return false;
	run->first_ms = sqlite3_column_int64(row, 0);
	run->last_ms = sqlite3_column_int64(row, 1);
	run->count = sqlite3_column_int64(row, 2);
	run->first_seq = sqlite3_column_int64(row, 3);
	run->last_seq = sqlite3_column_int64(row, 4);
	(void)snprintf(
		run->names, sizeof(run->names), "%s", baseline_text(row, 5));
	return true;
}

static bool run_is_over(const struct judge *judge, const struct run *run)
{
	return judge_apart(judge->fact->ms, run->last_ms) >
	       judge->rules->failures_ms;
}

static int64_t count_runs(struct judge *judge, enum failing_kind kind)
{
	sqlite3_stmt *row = baseline_query(
		judge->base, BASELINE_FAILING_COUNT, "i", (int64_t)kind);

	return baseline_next(judge->base, row) ? sqlite3_column_int64(row, 0)
					       : RUNS_MAX;
}

/* Is there room for one more name? Runs that are over go first. */
static bool room(struct judge *judge, enum failing_kind kind)
{
	struct run rest;

	if (count_runs(judge, kind) < RUNS_MAX)
		return true;
	/* Full, and looked through a moment ago: not again for each name. */
	if (run_get(judge, kind, REST, &rest) && !run_is_over(judge, &rest) &&
		rest.count % 1000)
		return false;
	baseline_do(judge->base, BASELINE_FAILING_OLD, "iii", (int64_t)kind,
		judge->fact->ms, judge->rules->failures_ms);
	return count_runs(judge, kind) < RUNS_MAX;
}

static void add_name(struct run *run, const char *name)
{
	size_t len = strlen(run->names), more = strlen(name);
	const char *at = run->names;

	/* One a line: no name that is taken for one has a line feed. */
	if (!more || more + len + 2 > NAMES_MAX || strchr(name, '\n'))
		return;
	for (; *at; at += strcspn(at, "\n"), at += *at == '\n')
		if (strcspn(at, "\n") == more && !memcmp(at, name, more))
			return;
	(void)snprintf(run->names + len, sizeof(run->names) - len, "%s%s",
		len ? "\n" : "", name);
}

/* One more; returns the run as it is now, under name or under REST. known: a
 * name that no stranger can make up, which always has its place. */
static const char *run_add(struct judge *judge, enum failing_kind kind,
	const char *name, bool known, struct run *run)
{
	const struct fact *fact = judge->fact;
	char text[STORED_MAX];

	if (!run_get(judge, kind, name, run) && !known && !room(judge, kind)) {
		name = REST;
		(void)run_get(judge, kind, name, run);
	}
	if (run->count && run_is_over(judge, run))
		memset(run, 0, sizeof(*run));
	if (!run->count) {
		run->first_ms = fact->ms;
		run->first_seq = (int64_t)fact->seq;
	}
	run->count++;
	run->last_ms = fact->ms;
	run->last_seq = (int64_t)fact->seq;
	add_name(run, fact->user);
	baseline_do(judge->base, BASELINE_FAILING_SET, "itiiiiit",
		(int64_t)kind, stored(name, text), run->first_ms, run->last_ms,
		run->count, run->first_seq, run->last_seq, run->names);
	return name;
}

static bool told_now(int64_t count)
{
	while (count >= 10 && count % 10 == 0)
		count /= 10;
	return count == 1;
}

static void put_names(struct facts *facts, const struct run *run)
{
	char names[sizeof(run->names)], *save = NULL, *name;

	memcpy(names, run->names, sizeof(names));
	if (!facts_list_open(facts, "names"))
		return;
	for (name = strtok_r(names, "\n", &save); name;
		name = strtok_r(NULL, "\n", &save))
		if (!facts_list_add(facts, "name", name, 0, 0))
			break;
	facts_list_close(facts);
}

static void put_run(struct facts *facts, const struct run *run)
{
	facts_number(facts, "attempts", run->count);
	facts_time(facts, "since", run->first_ms);
	facts_time(facts, "last", run->last_ms);
}

/* First, last and this one. */
static void run_events(
	const struct judge *judge, const struct run *run, char text[80])
{
	int64_t seq = (int64_t)judge->fact->seq;
	int len = snprintf(text, 80, "%lld", (long long)run->first_seq);

	if (run->last_seq != run->first_seq)
		len += snprintf(text + len, 80 - (size_t)len, ",%lld",
			(long long)run->last_seq);
	if (seq != run->last_seq)
		(void)snprintf(
			text + len, 80 - (size_t)len, ",%lld", (long long)seq);
}

static void judge_account(struct judge *judge)
{
	const struct fact *fact = judge->fact;
	bool unknown = !strcmp(fact->account, "unknown");
	enum failing_kind kind = unknown ? FAILING_UNKNOWN : FAILING_BARRED;
	char name[FACT_TEXT_MAX + sizeof(judge->network) + 1], events[80];
	char since[FACTS_TIME_MAX];
	struct facts facts;
	const char *under;
	struct run run;

	(void)snprintf(name, sizeof(name), "%s%s%s", unknown ? "" : fact->user,
		unknown ? "" : " ", judge->network);
	under = run_add(judge, kind, name, false, &run);
	if (!told_now(run.count))
		return;
	facts_init(&facts);
	facts_text(&facts, "account", fact->account);
	facts_text(&facts, "network",
		under != REST ? judge->network
			      : "many: they are counted together");
	put_run(&facts, &run);
	facts_text(&facts, "reason", fact->reason);
	put_names(&facts, &run);
	run_events(judge, &run, events);
	judge_raise(judge, FINDING_ACCOUNT, &facts, events,
		"%s account tried from %s: attempt %lld of a run since %s",
		fact->account, under != REST ? judge->network : "many networks",
		(long long)run.count, facts_time_text(run.first_ms, since));
}

void judge_failure(struct judge *judge)
{
	struct run run;

	(void)run_add(judge, FAILING_USER, judge->fact->user,
		judge->person.there, &run);
	if (judge->fact->source.family)
		(void)run_add(
			judge, FAILING_SOURCE, judge->source, false, &run);
	if (*judge->fact->account)
		judge_account(judge);
}

static bool counts(struct judge *judge, enum failing_kind kind,
	const char *name, struct run *run)
{
	return run_get(judge, kind, name, run) && !run_is_over(judge, run) &&
	       run->count >= judge->rules->failures;
}

static void raise_failures(struct judge *judge, const struct run *run,
	const char *against, const char *what)
{
	struct facts facts;
	char events[80];

	facts_init(&facts);
	facts_text(&facts, "failures_of", against);
	put_run(&facts, run);
	facts_number(&facts, "logons_before", judge->person.logons);
	facts_text(&facts, "network", judge->network);
	put_names(&facts, run);
	run_events(judge, run, events);
	judge_raise(judge, FINDING_FAILURES, &facts, events,
		"success after %lld failures of %s", (long long)run->count,
		what);
}

/* The person's own, or of one source over other names. A table that is full
 * counts the rest together: then it is told rather than missed. */
void judge_success(struct judge *judge)
{
	const char *user = judge->fact->user;
	struct run mine, source;
	bool has_mine = run_get(judge, FAILING_USER, user, &mine);
	char text[STORED_MAX];
	int64_t own = has_mine && !run_is_over(judge, &mine) ? mine.count : 0;

	if (counts(judge, FAILING_USER, user, &mine))
		raise_failures(judge, &mine, "the same person", "this person");
	else if (counts(judge, FAILING_SOURCE, judge->source, &source) &&
		 source.count - own >= judge->rules->failures)
		raise_failures(judge, &source, "the same source",
			"other names from this source");
	else if (!judge->person.there &&
		 counts(judge, FAILING_USER, REST, &mine))
		raise_failures(judge, &mine, "names too many to tell apart",
			"a flood of names; this one's are not told apart");
	else if (!run_get(judge, FAILING_SOURCE, judge->source, &source) &&
		 counts(judge, FAILING_SOURCE, REST, &source) &&
		 !judge->person.there)
		raise_failures(judge, &source, "sources too many to tell apart",
			"a flood of sources; this one's are not told apart");
	if (has_mine)
		baseline_do(judge->base, BASELINE_FAILING_DROP, "it",
			(int64_t)FAILING_USER, stored(user, text));
}

/* ---- many targets ---- */

struct recent {
	int64_t count, refused, first_ms;
};

static struct recent count_recent(struct judge *judge)
{
	sqlite3_stmt *row = baseline_query(
		judge->base, BASELINE_RECENT_COUNT, "t", judge->fact->user);
	struct recent recent = {0};

	if (baseline_next(judge->base, row)) {
		recent.count = sqlite3_column_int64(row, 0);
		recent.refused = sqlite3_column_int64(row, 1);
		recent.first_ms = sqlite3_column_int64(row, 2);
	}
	return recent;
}

static struct recent add_recent(struct judge *judge)
{
	const struct fact *fact = judge->fact;
	struct person *person = &judge->person;
	struct recent recent;
	sqlite3_stmt *row;

	baseline_do(judge->base, BASELINE_RECENT_OLD, "tii", fact->user,
		fact->ms, judge->rules->targets_ms);
	recent = count_recent(judge);
	if (!recent.count) {
		/* The burst before is over, and is what this one has to
		 * exceed. */
		if (person->burst > person->most) {
			person->most = person->burst;
			person->most_ms = fact->ms;
		}
		person->burst = person->told = 0;
	}
	row = baseline_query(judge->base, BASELINE_RECENT_HAS, "tt", fact->user,
		fact->target);
	if (recent.count < RECENT_MAX || baseline_next(judge->base, row))
		baseline_do(judge->base, BASELINE_RECENT_SET, "ttiii",
			fact->user, fact->target, fact->ms, (int64_t)fact->seq,
			(int64_t)(fact->kind == FACT_REFUSED));
	recent = count_recent(judge);
	if (recent.count > person->burst)
		person->burst = recent.count;
	return recent;
}

static void put_targets(struct judge *judge, struct facts *facts, char *events,
	size_t events_len)
{
	sqlite3_stmt *row = baseline_query(
		judge->base, BASELINE_RECENT_LIST, "t", judge->fact->user);
	size_t at = 0;
	bool room_left = facts_list_open(facts, "targets");
	bool open = room_left;

	events[0] = '\0';
	while (baseline_next(judge->base, row)) {
		if (at + 24 < events_len)
			at += (size_t)snprintf(events + at, events_len - at,
				"%s%lld", at ? "," : "",
				(long long)sqlite3_column_int64(row, 1));
		room_left = room_left && facts_list_add(facts, "target",
						 baseline_text(row, 0), 0, 0);
	}
	if (open)
		facts_list_close(facts);
}

void judge_targets(struct judge *judge)
{
	struct person *person = &judge->person;
	struct recent recent = add_recent(judge);
	struct facts facts;
	char events[400];

	if (recent.count < judge->rules->targets ||
		recent.count <= person->most ||
		(person->told && recent.count < 2 * person->told))
		return;
	/* Who starts many each night is told once, not each night; the first
	 * days of the trail teach what is usual. */
	if (judge->learning)
		return;
	person->told = recent.count;
	facts_init(&facts);
	facts_number(&facts, "targets_count", recent.count);
	facts_number(&facts, "refused", recent.refused);
	facts_number(&facts, "within_seconds",
		judge_apart(judge->fact->ms, recent.first_ms) / 1000);
	facts_number(&facts, "most_before", person->most);
	if (person->most_ms)
		facts_time(&facts, "most_before_until", person->most_ms);
	put_targets(judge, &facts, events, sizeof(events));
	judge_raise(judge, FINDING_TARGETS, &facts, events,
		"%lld targets within %lld s, %lld of them refused; the most "
		"before was %lld",
		(long long)recent.count,
		(long long)judge_apart(judge->fact->ms, recent.first_ms) / 1000,
		(long long)recent.refused, (long long)person->most);
}
