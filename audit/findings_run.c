/*
 * A run over the trail: the baseline says where the last one stopped. If the
 * trail is not the one it was made from, or the settings are others, it is
 * made anew from the trail's beginning.
 */
#include "findings_run.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>

#include "core/diag.h"

#include "trail.h"

struct run {
	struct baseline *baseline;
	struct findings_rules rules;
	char rules_text[FINDINGS_RULES_TEXT];
	struct trail_place place;
	int64_t begins_ms; /* 0: no event yet */
	size_t unread;
};

static void on_line(void *data, const char *line, size_t len)
{
	struct run *run = data;
	static struct fact fact;
	const char *time = memmem(line, len, "},\"time\":", 9);

	/* Of any event: what teaches begins with the trail. */
	if (!run->begins_ms && time)
		run->begins_ms = strtoll(time + 9, NULL, 10);
	if (!fact_read(line, len, &fact))
		run->unread++;
	else
		findings_judge(
			run->baseline, &run->rules, run->begins_ms, &fact);
}

/* False: there is none, or it was made by other rules. */
static bool place_get(struct run *run)
{
	sqlite3_stmt *row = baseline_query(
		run->baseline, BASELINE_PLACE_GET, "");
	struct trail_place *place = &run->place;

	memset(place, 0, sizeof(*place));
	run->begins_ms = 0;
	if (!baseline_next(run->baseline, row) ||
		strcmp(baseline_text(row, 6), run->rules_text) != 0 ||
		sqlite3_column_bytes(row, 4) != SUITE_HASH_LEN)
		return false;
	(void)snprintf(place->file, sizeof(place->file), "%.31s",
		baseline_text(row, 0));
	place->line_at = sqlite3_column_int64(row, 1);
	place->next_at = sqlite3_column_int64(row, 2);
	place->seq = (uint64_t)sqlite3_column_int64(row, 3);
	memcpy(place->hash, sqlite3_column_blob(row, 4), SUITE_HASH_LEN);
	run->begins_ms = sqlite3_column_int64(row, 5);
	return true;
}

static void place_set(struct run *run)
{
	const struct trail_place *place = &run->place;

	baseline_do(run->baseline, BASELINE_PLACE_SET, "tiiihit", place->file,
		place->line_at, place->next_at, (int64_t)place->seq,
		place->hash, run->begins_ms, run->rules_text);
}

/* Also what another command made anew is fresh: collect reads on before the
 * findings are appended, and all history would be told. */
static int64_t fresh_since(struct baseline *baseline, bool anew)
{
	sqlite3_stmt *row;
	int64_t ms = 0;

	if (anew)
		baseline_do(baseline, BASELINE_FRESH_SET, "i",
			(int64_t)time(NULL) * 1000);
	row = baseline_query(baseline, BASELINE_FRESH_GET, "");
	if (baseline_next(baseline, row))
		ms = sqlite3_column_int64(row, 0);
	return ms;
}

void findings_not_fresh(struct baseline *baseline)
{
	baseline_do(baseline, BASELINE_FRESH_DROP, "");
}

/* An auditor's machine has no settings: then their defaults. */
static void init_rules(const struct audit *audit, struct run *run)
{
	struct conf *conf = NULL;
	char why[200] = "no settings";
	struct diag diag;

	diag_init(&diag);
	if (!audit->conf && conf_parse("defaults", "", 0, &conf, &diag))
		audit_fatal(EX_SOFTWARE, "the defaults are not good settings");
	diag_done(&diag);
	if (findings_rules_init(&run->rules, audit->conf ? audit->conf : conf,
		    why, sizeof(why)))
		audit_fatal(EX_CONFIG, "%s", why);
	conf_free(conf);
	findings_rules_text(&run->rules, run->rules_text);
}

static enum sgb_err read_on(struct audit *audit, struct run *run,
	struct trail_reading *reading, bool *ret_anew, char *why,
	size_t why_len)
{
	enum sgb_err err;

	*ret_anew = !place_get(run);
	if (*ret_anew)
		baseline_clear(run->baseline);
	err = trail_read(audit->events, &run->place, reading, why, why_len);
	if (err != SGB_ERR_STALE)
		return err;
	(void)fprintf(stderr,
		"sgbridge-audit: the trail is not the one that the baseline "
		"was made from; it is made anew\n");
	baseline_clear(run->baseline);
	memset(&run->place, 0, sizeof(run->place));
	run->begins_ms = 0;
	*ret_anew = true;
	return trail_read(audit->events, &run->place, reading, why, why_len);
}

void findings_catch_up(
	struct audit *audit, struct baseline *baseline, struct caught_up *ret)
{
	struct run run = {.baseline = baseline};
	struct trail_reading reading = {.line = on_line, .data = &run};
	char why[400];
	enum sgb_err err;
	bool anew;

	memset(ret, 0, sizeof(*ret));
	if (!audit->events)
		audit_fatal(EX_USAGE, "%s needs the trail (--events, -c)",
			audit->command);
	init_rules(audit, &run);
	if (baseline_begin(baseline))
		audit_fatal(EX_TEMPFAIL,
			"the baseline is in use by another, or cannot be "
			"written");
	err = read_on(audit, &run, &reading, &anew, why, sizeof(why));
	if (err)
		audit_fatal(EX_NOINPUT, "%s", why);
	place_set(&run);
	ret->fresh_ms = fresh_since(baseline, anew);
	if (baseline_commit(baseline))
		audit_fatal(EX_IOERR, "the baseline cannot be written");
	findings_rules_done(&run.rules);
	ret->lines = reading.lines;
	ret->unread = reading.unread + run.unread;
	ret->broken = reading.broken;
}

static void default_place(char path[PATH_MAX])
{
	const char *base = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

	if (base && *base == '/')
		(void)snprintf(path, PATH_MAX, "%s/sgbridge/findings.db", base);
	else
		(void)snprintf(path, PATH_MAX,
			"%s/.local/share/sgbridge/findings.db",
			home && *home == '/' ? home : "");
}

static void make_folders(char *path)
{
	char *slash;

	for (slash = strchr(path + 1, '/'); slash;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0700);
		*slash = '/';
	}
}

struct baseline *findings_open(const struct audit *audit, bool kept)
{
	struct baseline *baseline;
	char path[PATH_MAX], why[400];

	if (audit->index && *audit->index)
		(void)snprintf(path, sizeof(path), "%s", audit->index);
	else if (kept && audit->conf)
		(void)snprintf(path, sizeof(path), "%s/findings.db",
			audit->conf->findings);
	else
		default_place(path);
	if (audit->index || kept)
		make_folders(path);
	if (baseline_open(audit->index || kept ? path : NULL, &baseline, why,
		    sizeof(why)))
		audit_fatal(EX_CANTCREAT, "%s", why);
	return baseline;
}

void finding_row(sqlite3_stmt *row, struct finding *ret)
{
	const char **const texts[] = {&ret->user, &ret->source, &ret->key,
		&ret->target, &ret->login, &ret->mfa, &ret->conn, &ret->text,
		&ret->facts, &ret->events};
	size_t i;

	ret->id = baseline_text(row, 0);
	ret->kind = sqlite3_column_int(row, 1);
	ret->seq = (uint64_t)sqlite3_column_int64(row, 2);
	ret->ms = sqlite3_column_int64(row, 3);
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		*texts[i] = baseline_text(row, 4 + (int)i);
	ret->told = sqlite3_column_int(row, 14) == 1;
}
