/*
 * Judging one fact after the other. Everything that is remembered is in the
 * baseline, and everything that a stranger can add to it is bounded.
 */
#include "findings_own.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *slug, *title;
} kinds[FINDING_KIND_COUNT] = {
#define X(name, slug, title) [FINDING_##name] = {slug, title},
#include "finding.def"
#undef X
};

const char *finding_slug(int kind)
{
	return kind < 0 || kind >= FINDING_KIND_COUNT ? "?" : kinds[kind].slug;
}

const char *finding_title(int kind)
{
	return kind < 0 || kind >= FINDING_KIND_COUNT ? "?" : kinds[kind].title;
}

bool judge_used_factor(const struct fact *fact)
{
	static const char *const factors[] = {
		"totp", "hotp", "scratch", "remembered"};
	size_t i;

	for (i = 0; i < sizeof(factors) / sizeof(factors[0]); i++)
		if (!strcmp(fact->mfa, factors[i]))
			return true;
	return false;
}

int64_t judge_apart(int64_t a, int64_t b)
{
	return a > b ? a - b : b - a;
}

/* A clock that went back makes nothing new: it was seen all the same. */
bool judge_stale(const struct judge *judge, int64_t last_ms)
{
	return judge->fact->ms > last_ms &&
	       judge->fact->ms - last_ms > judge->rules->memory_ms;
}

void judge_raise(struct judge *judge, enum finding_kind kind,
	struct facts *facts, const char *related, const char *fmt, ...)
{
	const struct fact *fact = judge->fact;
	char id[FINDING_ID_MAX], text[700];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	(void)snprintf(id, sizeof(id), "%s-%llu", finding_slug((int)kind),
		(unsigned long long)fact->seq);
	baseline_do(judge->base, BASELINE_FINDING_SET, "tiiitttttttttt", id,
		(int64_t)kind, (int64_t)fact->seq, fact->ms, fact->user,
		judge->source, fact->key, fact->target, fact->login, fact->mfa,
		fact->conn, text, facts_end(facts), related);
	facts_done(facts);
}

static void put_network(struct judge *judge)
{
	const struct addr *source = &judge->fact->source;
	unsigned int bits = source->family == AF_INET ? judge->rules->prefix4
						      : judge->rules->prefix6;
	struct addr base = *source;
	char text[ADDR_TEXT_MAX];
	unsigned int i;

	if (!source->family) {
		(void)snprintf(judge->network, sizeof(judge->network), "local");
		(void)snprintf(judge->source, sizeof(judge->source), "%s", "");
		return;
	}
	for (i = 0; i < sizeof(base.bytes); i++) {
		unsigned int keep = bits > 8 * i ? bits - 8 * i : 0;

		if (keep < 8)
			base.bytes[i] &= (uint8_t)(0xff00u >> keep);
	}
	(void)snprintf(judge->network, sizeof(judge->network), "%s/%u",
		addr_text(&base, text), bits);
	(void)addr_text(source, judge->source);
}

static void read_person(struct judge *judge)
{
	sqlite3_stmt *row = baseline_query(
		judge->base, BASELINE_PERSON_GET, "t", judge->fact->user);
	struct person *person = &judge->person;
	int64_t *const fields[] = {&person->logons, &person->days,
		&person->last_day, &person->first_ms, &person->last_ms,
		&person->factor, &person->factor_ms, &person->most,
		&person->most_ms, &person->burst, &person->told};
	size_t i;

	person->there = baseline_next(judge->base, row);
	for (i = 0; person->there && i < sizeof(fields) / sizeof(fields[0]);
		i++)
		*fields[i] = sqlite3_column_int64(row, (int)i);
}

static void write_person(struct judge *judge)
{
	const struct person *person = &judge->person;

	baseline_do(judge->base, BASELINE_PERSON_SET, "tiiiiiiiiiii",
		judge->fact->user, person->logons, person->days,
		person->last_day, person->first_ms, person->last_ms,
		person->factor, person->factor_ms, person->most,
		person->most_ms, person->burst, person->told);
}

static void judge_logon(struct judge *judge)
{
	judge_usual(judge);
	judge_success(judge);
	judge_learn(judge);
	write_person(judge);
}

/* Who reaches targets has logged on; without that there is nobody. */
static void judge_target(struct judge *judge)
{
	if (!*judge->fact->target || !judge->person.there)
		return;
	if (judge->fact->kind == FACT_TARGET)
		judge_target_factor(judge);
	judge_targets(judge);
	write_person(judge);
}

void findings_judge(struct baseline *baseline,
	const struct findings_rules *rules, int64_t begins_ms,
	const struct fact *fact)
{
	struct judge judge = {.base = baseline, .rules = rules, .fact = fact};

	if (*fact->stamp)
		baseline_do(baseline, BASELINE_TAKEN_SET, "ti", fact->stamp,
			fact->ms);
	if (fact->kind == FACT_FINDING) {
		baseline_do(baseline, BASELINE_FINDING_TOLD, "t", fact->id);
		return;
	}
	if (fact->kind == FACT_NONE || !*fact->user)
		return;
	judge.learning = fact->ms >= begins_ms &&
			 fact->ms - begins_ms < rules->learning_ms;
	put_network(&judge);
	read_person(&judge);
	switch (fact->kind) {
	case FACT_LOGON: judge_logon(&judge); break;
	case FACT_FAILURE: judge_failure(&judge); break;
	default: judge_target(&judge);
	}
}
