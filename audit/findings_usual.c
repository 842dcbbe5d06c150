/*
 * What is usual for a person: networks, keys, hours, a second factor. Each is
 * held against what the same person, or others at the same target, did before.
 */
#include <stdio.h>
#include <string.h>

#include "core/policy_zone.h"

#include "findings_own.h"

#define KNOWN_MAX 512 /* of a kind and person; the oldest goes */
#define DAYS_MIN  5   /* before hours are judged */
#define AROUND	  2   /* hours either side that make one usual */
#define DAY	  86400

struct known {
	bool there;
	int64_t count, first_ms, last_ms;
};

static bool look_up(struct judge *judge, enum known_kind kind,
	const char *value, struct known *ret)
{
	sqlite3_stmt *row = baseline_query(judge->base, BASELINE_KNOWN_GET,
		"tit", judge->fact->user, (int64_t)kind, value);

	memset(ret, 0, sizeof(*ret));
	ret->there = baseline_next(judge->base, row);
	if (ret->there) {
		ret->count = sqlite3_column_int64(row, 0);
		ret->first_ms = sqlite3_column_int64(row, 1);
		ret->last_ms = sqlite3_column_int64(row, 2);
	}
	return ret->there && !judge_stale(judge, ret->last_ms);
}

static void remember(
	struct judge *judge, enum known_kind kind, const char *value)
{
	const char *user = judge->fact->user;
	sqlite3_stmt *row;

	baseline_do(judge->base, BASELINE_KNOWN_SET, "titi", user,
		(int64_t)kind, value, judge->fact->ms);
	row = baseline_query(
		judge->base, BASELINE_KNOWN_COUNT, "ti", user, (int64_t)kind);
	if (baseline_next(judge->base, row) &&
		sqlite3_column_int64(row, 0) > KNOWN_MAX)
		baseline_do(judge->base, BASELINE_KNOWN_DROP, "ti", user,
			(int64_t)kind);
}

static void put_known(struct judge *judge, struct facts *facts,
	enum known_kind kind, const char *list, const char *member)
{
	sqlite3_stmt *row = baseline_query(judge->base, BASELINE_KNOWN_LIST,
		"ti", judge->fact->user, (int64_t)kind);

	if (!facts_list_open(facts, list))
		return;
	while (baseline_next(judge->base, row) &&
		facts_list_add(facts, member, baseline_text(row, 0),
			sqlite3_column_int64(row, 1),
			sqlite3_column_int64(row, 2)))
		;
	facts_list_close(facts);
}

static void put_person(const struct judge *judge, struct facts *facts)
{
	const struct person *person = &judge->person;

	facts_number(facts, "logons_before", person->logons);
	if (!person->logons)
		return;
	facts_number(facts, "on_days", person->days);
	facts_time(facts, "first_logon", person->first_ms);
	facts_time(facts, "last_logon", person->last_ms);
}

static void related(const struct judge *judge, char text[24])
{
	(void)snprintf(text, 24, "%llu", (unsigned long long)judge->fact->seq);
}

static void judge_network(struct judge *judge)
{
	char last[FACTS_TIME_MAX], events[24];
	struct known known;
	struct facts facts;

	if (look_up(judge, KNOWN_NETWORK, judge->network, &known) ||
		judge->learning || judge->person.logons < judge->rules->logons)
		return;
	facts_init(&facts);
	facts_text(&facts, "network", judge->network);
	put_person(judge, &facts);
	if (known.there)
		facts_time(&facts, "last_from_there", known.last_ms);
	put_known(judge, &facts, KNOWN_NETWORK, "usual_networks", "network");
	related(judge, events);
	if (known.there)
		judge_raise(judge, FINDING_NETWORK, &facts, events,
			"from %s, which this person was last seen from %s",
			judge->network, facts_time_text(known.last_ms, last));
	else
		judge_raise(judge, FINDING_NETWORK, &facts, events,
			"from %s; all %lld logons of this person before came "
			"from elsewhere",
			judge->network, (long long)judge->person.logons);
}

static void judge_key(struct judge *judge)
{
	const struct person *person = &judge->person;
	char events[24], last[FACTS_TIME_MAX];
	struct known known;
	struct facts facts;

	if (!*judge->fact->key ||
		look_up(judge, KNOWN_KEY, judge->fact->key, &known) ||
		judge->learning)
		return;
	facts_init(&facts);
	facts_text(&facts, "key", judge->fact->key);
	put_person(judge, &facts);
	if (known.there)
		facts_time(&facts, "last_used", known.last_ms);
	put_known(judge, &facts, KNOWN_KEY, "usual_keys", "key");
	related(judge, events);
	if (!person->logons)
		judge_raise(judge, FINDING_KEY, &facts, events,
			"the first logon of this person that the trail knows");
	else if (known.there)
		judge_raise(judge, FINDING_KEY, &facts, events,
			"a key that was last used %s; %lld logons before",
			facts_time_text(known.last_ms, last),
			(long long)person->logons);
	else
		judge_raise(judge, FINDING_KEY, &facts, events,
			"a key that none of %lld logons before used",
			(long long)person->logons);
}

/* The hour in the zone of the settings, and what kind of day it is there. */
struct hour {
	int64_t day;
	int hour, minute;
	bool weekend;
};

static struct hour local_hour(const struct judge *judge)
{
	int64_t seconds = judge->fact->ms / 1000;
	int64_t local = seconds +
			(judge->rules->zone
					? policy_zone_offset(judge->rules->zone,
						  (time_t)seconds)
					: 0);
	int64_t in_day = (local % DAY + DAY) % DAY;
	struct hour hour = {.day = (local - in_day) / DAY,
		.hour = (int)(in_day / 3600),
		.minute = (int)(in_day / 60 % 60)};
	/* Day 0 was a Thursday. */
	int64_t weekday = ((hour.day + 4) % 7 + 7) % 7;

	hour.weekend = weekday == 0 || weekday == 6;
	return hour;
}

static const char *day_kind(const struct hour *hour)
{
	return hour->weekend ? "weekend" : "workday";
}

static void bin_name(const struct hour *hour, int offset, char text[16])
{
	(void)snprintf(text, 16, "%s %02d", day_kind(hour),
		(hour->hour + offset + 24) % 24);
}

static bool hour_is_usual(struct judge *judge, const struct hour *hour)
{
	struct known known;
	char bin[16];
	int offset;

	for (offset = -AROUND; offset <= AROUND; offset++) {
		bin_name(hour, offset, bin);
		if (look_up(judge, KNOWN_HOUR, bin, &known))
			return true;
	}
	return false;
}

static void judge_hour(struct judge *judge)
{
	const struct person *person = &judge->person;
	struct hour hour = local_hour(judge);
	char events[24], at[48];
	struct facts facts;

	if (judge->learning || person->logons < judge->rules->hours_logons ||
		person->days < DAYS_MIN || hour_is_usual(judge, &hour))
		return;
	(void)snprintf(at, sizeof(at), "%02d:%02d", hour.hour, hour.minute);
	facts_init(&facts);
	facts_text(&facts, "local_time", at);
	facts_text(&facts, "zone", judge->rules->zone_name);
	facts_text(&facts, "day", day_kind(&hour));
	put_person(judge, &facts);
	facts_number(&facts, "logons_within_two_hours", 0);
	put_known(judge, &facts, KNOWN_HOUR, "usual_hours", "hour");
	related(judge, events);
	judge_raise(judge, FINDING_HOUR, &facts, events,
		"%s on a %s in %s; none of %lld logons on %lld days was "
		"within two hours of it on a %s",
		at, day_kind(&hour), judge->rules->zone_name,
		(long long)person->logons, (long long)person->days,
		day_kind(&hour));
}

/* Nine of ten logons of the same person had one. */
static void judge_factor(struct judge *judge)
{
	const struct person *person = &judge->person;
	struct facts facts;
	char events[24];

	if (judge_used_factor(judge->fact) || judge->learning ||
		person->factor < judge->rules->logons ||
		person->factor * 10 < person->logons * 9 ||
		judge_stale(judge, person->factor_ms))
		return;
	facts_init(&facts);
	facts_text(&facts, "compared_with", "the same person");
	facts_text(&facts, "factor",
		*judge->fact->mfa ? judge->fact->mfa : "none");
	put_person(judge, &facts);
	facts_number(&facts, "with_factor", person->factor);
	facts_time(&facts, "last_with_factor", person->factor_ms);
	related(judge, events);
	judge_raise(judge, FINDING_FACTOR, &facts, events,
		"without a second factor; %lld of %lld logons before had one",
		(long long)person->factor, (long long)person->logons);
}

void judge_usual(struct judge *judge)
{
	judge_network(judge);
	judge_key(judge);
	judge_hour(judge);
	judge_factor(judge);
}

/* After judging: from now on it is usual. */
void judge_learn(struct judge *judge)
{
	struct person *person = &judge->person;
	const struct fact *fact = judge->fact;
	struct hour hour = local_hour(judge);
	char bin[16];

	remember(judge, KNOWN_NETWORK, judge->network);
	if (*fact->key)
		remember(judge, KNOWN_KEY, fact->key);
	bin_name(&hour, 0, bin);
	remember(judge, KNOWN_HOUR, bin);
	if (!person->logons || hour.day != person->last_day)
		person->days++;
	person->last_day = hour.day;
	if (!person->logons || fact->ms < person->first_ms)
		person->first_ms = fact->ms;
	if (fact->ms > person->last_ms)
		person->last_ms = fact->ms;
	if (judge_used_factor(fact)) {
		person->factor++;
		if (fact->ms > person->factor_ms)
			person->factor_ms = fact->ms;
	}
	person->logons++;
	person->there = true;
}

static void raise_target_factor(struct judge *judge, int64_t factor,
	int64_t persons, int64_t plain, int64_t last_plain_ms)
{
	const struct fact *fact = judge->fact;
	struct facts facts;
	char events[24];

	facts_init(&facts);
	facts_text(&facts, "compared_with", "others at the same target");
	facts_text(&facts, "factor", *fact->mfa ? fact->mfa : "none");
	facts_text(&facts, "target", fact->target);
	facts_number(&facts, "others_with_factor", factor);
	facts_number(&facts, "other_persons", persons);
	facts_number(&facts, "others_without", plain);
	if (last_plain_ms)
		facts_time(&facts, "last_without", last_plain_ms);
	related(judge, events);
	judge_raise(judge, FINDING_FACTOR, &facts, events,
		"reached %.200s without a second factor; %lld of %lld "
		"connections of others had one",
		fact->target, (long long)factor, (long long)(factor + plain));
}

/* Others need one here; this person has not been known to go without. */
void judge_target_factor(struct judge *judge)
{
	const struct fact *fact = judge->fact;
	bool used = judge_used_factor(fact);
	sqlite3_stmt *row;
	int64_t factor = 0, persons = 0, plain = 0, last = 0;
	bool known;

	row = baseline_query(
		judge->base, BASELINE_USE_GET, "tt", fact->target, fact->user);
	known = baseline_next(judge->base, row) && sqlite3_column_int64(row, 0);
	if (known)
		last = sqlite3_column_int64(row, 1);
	row = baseline_query(judge->base, BASELINE_USE_OTHERS, "tt",
		fact->target, fact->user);
	if (baseline_next(judge->base, row)) {
		factor = sqlite3_column_int64(row, 0);
		persons = sqlite3_column_int64(row, 1);
		plain = sqlite3_column_int64(row, 2);
	}
	if (!used && !judge->learning && factor >= judge->rules->logons &&
		factor * 10 >= (factor + plain) * 9 &&
		(!known || judge_stale(judge, last)))
		raise_target_factor(judge, factor, persons, plain, last);
	baseline_do(judge->base, BASELINE_USE_SET, "ttiii", fact->target,
		fact->user, (int64_t)used, (int64_t)!used,
		used ? (int64_t)0 : fact->ms);
}
