/*
 * Exceptional logons, by rules that a person can check: events of the trail go
 * in, in their order, and what is exceptional about one against those before
 * it comes out as a finding with its facts. No clock, no randomness: the same
 * trail, settings and time zone give the same findings. Only what succeeded
 * teaches what is usual, so nobody teaches without being let in.
 */
#ifndef SGB_FINDINGS_H
#define SGB_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/buf.h"
#include "core/conf.h"
#include "core/event.h"

#include "baseline.h"

#define FINDING_ID_MAX 48

enum finding_kind {
#define X(name, slug, title) FINDING_##name,
#include "finding.def"
#undef X
	FINDING_KIND_COUNT
};
const char *finding_slug(int kind); /* "?" for none of ours */
const char *finding_title(int kind);

/* What an event of the trail means for findings. */
enum fact_kind {
	FACT_NONE = 0,
	FACT_LOGON,
	FACT_FAILURE, /* of a proof, or of a logon */
	FACT_TARGET,  /* reached */
	FACT_REFUSED, /* a target */
	FACT_FINDING, /* of ours, in the trail by now: id */
};

#define FACT_TEXT_MAX 300
struct fact {
	enum fact_kind kind;
	uint64_t seq;
	int64_t ms;
	struct addr source;
	char user[FACT_TEXT_MAX], key[FACT_TEXT_MAX], mfa[40];
	char target[FACT_TEXT_MAX], login[FACT_TEXT_MAX], conn[100];
	char account[40]; /* "locked", "disabled", "unknown", or "" */
	char reason[FACT_TEXT_MAX];
	char id[FINDING_ID_MAX];
	char stamp[64]; /* of the kernel audit record it came from, or "" */
};
/* One line of the trail. False: it is no event of ours. kind may be
 * FACT_NONE. */
bool fact_read(const char *line, size_t len, struct fact *ret);

struct policy_zone;
struct findings_rules {
	int64_t learning_ms, memory_ms, targets_ms, failures_ms;
	int64_t logons, hours_logons, targets, failures;
	unsigned int prefix4, prefix6;
	struct policy_zone *zone; /* NULL: UTC */
	char zone_name[64];
};
/* From settings; findings_rules_done. why names the setting. */
enum sgb_err findings_rules_init(struct findings_rules *rules,
	const struct conf *conf, char *why, size_t why_len) SGB_MUST_CHECK;
void findings_rules_done(struct findings_rules *rules);
/* As a line, to see whether they are those that a baseline was made with. */
#define FINDINGS_RULES_TEXT 400
void findings_rules_text(
	const struct findings_rules *rules, char text[FINDINGS_RULES_TEXT]);

/* Judges one fact and learns from it; begins_ms: the trail's first event.
 * Findings go into the baseline, whose error stays. */
void findings_judge(struct baseline *baseline,
	const struct findings_rules *rules, int64_t begins_ms,
	const struct fact *fact);

/* findings_facts.c: the facts of one finding, as a JSON object that is at most
 * EVENT_FACTS_MAX bytes; what does not fit is left out, last first. */
struct facts {
	struct buf json;
};
void facts_init(struct facts *facts);
void facts_done(struct facts *facts);
void facts_text(struct facts *facts, const char *name, const char *text);
void facts_number(struct facts *facts, const char *name, int64_t number);
/* "2026-11-23T02:14:07Z" */
void facts_time(struct facts *facts, const char *name, int64_t ms);
/* "name":[{"MEMBER":text,"count":..,"last":..},...]; false when full. */
bool facts_list_open(struct facts *facts, const char *name);
bool facts_list_add(struct facts *facts, const char *member, const char *text,
	int64_t count, int64_t last_ms);
void facts_list_close(struct facts *facts);
/* The object, NUL-terminated; nothing can be added after it. */
const char *facts_end(struct facts *facts);
#define FACTS_TIME_MAX 24
const char *facts_time_text(int64_t ms, char text[FACTS_TIME_MAX]);

#endif
