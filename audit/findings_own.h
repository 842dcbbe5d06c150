/* Between the files that judge. */
#ifndef SGB_FINDINGS_OWN_H
#define SGB_FINDINGS_OWN_H

#include "findings.h"

/* What is new to a person once, and known from then on. */
enum known_kind {
	KNOWN_NETWORK = 1,
	KNOWN_KEY,
	KNOWN_HOUR, /* "workday 09" */
};

struct person {
	bool there;
	int64_t logons, days, last_day, first_ms, last_ms;
	int64_t factor, factor_ms;
	int64_t most, most_ms, burst, told;
};

struct judge {
	struct baseline *base;
	const struct findings_rules *rules;
	const struct fact *fact;
	bool learning;
	char network[ADDR_TEXT_MAX + 8]; /* "203.0.113.0/24", or "local" */
	char source[ADDR_TEXT_MAX];
	struct person person;
};

/* Puts a finding down. facts is ended here. related: sequences. */
void judge_raise(struct judge *judge, enum finding_kind kind,
	struct facts *facts, const char *related, const char *fmt, ...)
	SGB_PRINTF(5, 6);
/* Was it so long ago that it is new again? */
bool judge_stale(const struct judge *judge, int64_t last_ms);
bool judge_used_factor(const struct fact *fact);
/* How far apart, whichever way the clock went. */
int64_t judge_apart(int64_t a, int64_t b);

/* findings_usual.c: networks, hours, keys, factors. */
void judge_usual(struct judge *judge);
void judge_learn(struct judge *judge);
void judge_target_factor(struct judge *judge);

/* findings_runs.c: what counts within a time. */
void judge_targets(struct judge *judge);
void judge_failure(struct judge *judge);
void judge_success(struct judge *judge);

#endif
