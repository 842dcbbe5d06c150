/* Findings over a trail: reading on, listing, telling the trail. */
#ifndef SGB_FINDINGS_RUN_H
#define SGB_FINDINGS_RUN_H

#include "audit.h"
#include "baseline.h"
#include "findings.h"

/* Reads the trail on to its end, in one transaction. Exits on failure. Counts
 * lines that were not read (unread), or whose chain does not go on (broken).
 * fresh_ms: when the baseline was made anew, whoever's run that was, until
 * findings_not_fresh; else 0. */
struct caught_up {
	size_t lines, unread, broken;
	int64_t fresh_ms;
};
void findings_catch_up(
	struct audit *audit, struct baseline *baseline, struct caught_up *ret);
/* It was decided what of a fresh baseline the trail is told. */
void findings_not_fresh(struct baseline *baseline);
/* --index=FILE; with kept, the folder of the settings; else memory. */
struct baseline *findings_open(const struct audit *audit, bool kept);

/* A row of BASELINE_FINDING_LIST and _NEW, borrowed from its statement. */
struct finding {
	const char *id, *user, *source, *key, *target, *login, *mfa, *conn;
	const char *text, *facts, *events;
	int kind;
	uint64_t seq;
	int64_t ms;
	bool told;
};
void finding_row(sqlite3_stmt *row, struct finding *ret);

/* audit_tell.c: events to the recorder, each waited for. Exits if there is no
 * recorder that takes them. */
struct telling {
	int sock;
};
void telling_open(struct telling *telling, const struct audit *audit);
/* False if it was refused; then nothing more can be told. */
bool telling_event(struct telling *telling, const struct event *event);
void telling_close(struct telling *telling);

#endif
