/*
 * Waiting times after failures, and remembered second factors: the parts of
 * the state that are about time. Only connections that have shown a valid key
 * (or run locally) get here, so an outsider can lock nobody out.
 *
 * Per source: after `tries` failures 30 s, doubling up to an hour, forgotten
 * a day after the last. Per person, from anywhere: the same after four times
 * as many, never forgotten without a success, and a hard stop at 100.
 */
#include "otp_check.h"
#include "otp_throttle.h"

#include <string.h>

#define WAIT_FIRST   30
#define WAIT_MAX     3600
#define FORGET_AFTER 86400
#define PERSON_TRIES 4

static bool same_source(const struct addr *a, const struct addr *b)
{
	if (!a->family && !b->family)
		return true;
	return addr_equal(a, b);
}

static uint64_t wait_after(uint64_t failures, uint64_t tries)
{
	uint64_t wait = WAIT_FIRST, i;

	if (failures < tries)
		return 0;
	for (i = tries; i < failures && wait < WAIT_MAX; i++)
		wait *= 2;
	return wait < WAIT_MAX ? wait : WAIT_MAX;
}

/* A failure in the future means that the clock was set back: it counts as of
 * now until the next write, never for longer than its waiting time. */
static uint64_t remaining(uint64_t last, uint64_t wait, uint64_t now)
{
	if (!wait)
		return 0;
	if (last > now)
		return wait;
	return now - last >= wait ? 0 : wait - (now - last);
}

static const struct otp_source *find_source(
	const struct otp_state *state, const struct addr *addr)
{
	size_t i;

	for (i = 0; i < OTP_SOURCES; i++)
		if (state->sources[i].failures &&
			same_source(&state->sources[i].addr, addr))
			return &state->sources[i];
	return NULL;
}

uint64_t otp_wait(const struct otp_state *state, const struct addr *source,
	uint64_t now, unsigned int tries)
{
	const struct otp_source *found = find_source(state, source);
	uint64_t person, here = 0;

	if (state->failures >= OTP_HARD_STOP)
		return UINT64_MAX;
	person = remaining(state->last_failure,
		wait_after(state->failures, (uint64_t)tries * PERSON_TRIES),
		now);
	if (found)
		here = remaining(
			found->last, wait_after(found->failures, tries), now);
	return here > person ? here : person;
}

void otp_unlock(struct otp_state *state)
{
	state->failures = 0;
	state->last_failure = 0;
	memset(state->sources, 0, sizeof(state->sources));
}

/* The row of this source, or the one that failed longest ago. */
static struct otp_source *claim_source(
	struct otp_state *state, const struct addr *addr)
{
	struct otp_source *row = (struct otp_source *)find_source(state, addr);
	size_t i;

	if (row)
		return row;
	row = &state->sources[0];
	for (i = 1; i < OTP_SOURCES; i++)
		if (state->sources[i].last < row->last)
			row = &state->sources[i];
	memset(row, 0, sizeof(*row));
	row->addr = *addr;
	return row;
}

void otp_note_failure(
	struct otp_state *state, const struct addr *source, uint64_t now)
{
	struct otp_source *row = claim_source(state, source);

	if (row->last < now && now - row->last > FORGET_AFTER)
		row->failures = 0;
	row->failures++;
	row->last = now;
	state->failures++;
	state->last_failure = now;
}

void otp_note_success(
	struct otp_state *state, const struct addr *source, uint64_t now)
{
	struct otp_source *row = (struct otp_source *)find_source(
		state, source);

	if (row)
		memset(row, 0, sizeof(*row));
	state->failures = 0;
	state->last_success = now;
}

bool otp_clock_stepped_back(struct otp_state *state, uint64_t now)
{
	bool changed = state->last_failure > now;
	size_t i;

	if (changed)
		state->last_failure = now;
	for (i = 0; i < OTP_SOURCES; i++)
		if (state->sources[i].last > now) {
			state->sources[i].last = now;
			changed = true;
		}
	return changed;
}

bool otp_grace_holds(const struct otp_state *state,
	const uint8_t id[OTP_GRACE_ID], uint64_t now, uint64_t seconds)
{
	size_t i;

	for (i = 0; i < OTP_GRACES; i++) {
		const struct otp_grace *grace = &state->graces[i];

		if (!grace->granted || memcmp(grace->id, id, OTP_GRACE_ID))
			continue;
		/* Not in the future, and no longer than the policy of today
		 * says. */
		if (grace->granted <= now && now < grace->until &&
			now - grace->granted < seconds)
			return true;
	}
	return false;
}

void otp_grace_add(struct otp_state *state, const uint8_t id[OTP_GRACE_ID],
	uint64_t now, uint64_t seconds)
{
	struct otp_grace *row = &state->graces[0];
	size_t i;

	for (i = 0; i < OTP_GRACES; i++) {
		if (!memcmp(state->graces[i].id, id, OTP_GRACE_ID)) {
			row = &state->graces[i];
			break;
		}
		if (state->graces[i].until < row->until)
			row = &state->graces[i];
	}
	memcpy(row->id, id, OTP_GRACE_ID);
	row->granted = now;
	row->until = now + seconds;
}
