/*
 * What was usual so far, and where in the trail "so far" ends: SQLite, in a
 * file or in memory. Derived from the trail; deleted, it is made again.
 *
 *	place(id, file, line_at, next_at, seq, hash, begins_ms, rules)
 *		row 1: the last line that was read, when the trail begins,
 *		and the settings that the rest was made with; row 2, until
 *		the trail was told: when the baseline was made anew (begins_ms)
 *	person(user, logons, days, last_day, first_ms, last_ms, factor,
 *		factor_ms, most, most_ms, burst, told)
 *		factor: logons with a second one; most: targets within the
 *		time, ever; burst, told: of the present burst
 *	known(user, kind, value, count, first_ms, last_ms)
 *		kind: enum known_kind
 *	use(target, user, factor, plain, last_plain_ms)
 *	recent(user, target, ms, seq, refused): targets of the last minutes
 *	failing(kind, name, first_ms, last_ms, count, first_seq, last_seq,
 *		names): runs of failures; kind: enum failing_kind
 *	finding(id, kind, seq, ms, user, source, key, target, login, mfa, conn,
 *		text, facts, events, state): state 1: in the trail, 2: too
 *		old to be told
 *	taken(stamp, ms): kernel audit records that are in the trail
 *
 * An error stays: after one, nothing is done any more, and commit fails.
 */
#ifndef SGB_BASELINE_H
#define SGB_BASELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "core/err.h"

enum baseline_sql {
#define X(name, sql) BASELINE_##name,
#include "baseline_sql.def"
#undef X
	BASELINE_SQL_COUNT
};

struct baseline;
/* path NULL: in memory. A file must be ours alone; it is made if it is not
 * there. Until it is closed no other run has it: waits for one that does,
 * by PATH.lock. why tells what is wrong. */
enum sgb_err baseline_open(const char *path, struct baseline **ret, char *why,
	size_t why_len) SGB_MUST_CHECK;
void baseline_close(struct baseline *baseline);
enum sgb_err baseline_begin(struct baseline *baseline) SGB_MUST_CHECK;
enum sgb_err baseline_commit(struct baseline *baseline) SGB_MUST_CHECK;
/* Everything away. */
void baseline_clear(struct baseline *baseline);
enum sgb_err baseline_error(const struct baseline *baseline) SGB_MUST_CHECK;

/* types has a letter for each value: t text (NULL is ""), i int64_t, h a hash
 * of 32 bytes. The statement's rows come from baseline_next; it is borrowed
 * until the same one is asked again. Values are copied. */
sqlite3_stmt *baseline_query(struct baseline *baseline, enum baseline_sql which,
	const char *types, ...);
bool baseline_next(struct baseline *baseline, sqlite3_stmt *statement);
void baseline_do(struct baseline *baseline, enum baseline_sql which,
	const char *types, ...);
/* Never NULL. */
const char *baseline_text(sqlite3_stmt *statement, int column);

#endif
