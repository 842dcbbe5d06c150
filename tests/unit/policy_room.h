/*
 * What the tests of the policy share: policies of a text, moments and requests.
 */
#ifndef SGB_TEST_POLICY_ROOM_H
#define SGB_TEST_POLICY_ROOM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "core/policy.h"

/* In Shanghai (UTC+8) Monday 20:00 and 11:00. */
#define NIGHT "2026-11-23 12:00"
#define DAY   "2026-11-23 03:00"

/* Fails, with its mistakes on stderr, unless it compiles. The caller frees. */
struct policy *compile(const char *text);
/* "2026-11-23 20:00" in UTC. */
time_t utc(const char *text);
struct addr address(const char *text);
/* What the proxy is told at DAY. */
struct policy_decision ask(const struct policy *policy, const char *user,
	const char *source, const char *login, const char *target);

#endif
