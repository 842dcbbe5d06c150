/*
 * Out of memory at any moment, once or from then on: the policy does not
 * compile, nothing leaks, nothing is used that is not there. The linker puts
 * these functions in the place of the allocator's (see the Makefile).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/policy.h"

static long countdown = -1; /* allocations until one fails; -1: never */
static bool for_ever;
static bool failed;

static bool fails(void)
{
	if (failed && for_ever)
		return true;
	if (countdown < 0 || --countdown > 0)
		return false;
	countdown = -1;
	failed = true;
	return true;
}

#define WRAP(type, name, params, args) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params \
	{ \
		return fails() ? NULL : __real_##name args; \
	}

WRAP(void *, malloc, (size_t size), (size))
WRAP(void *, calloc, (size_t count, size_t size), (count, size))
WRAP(void *, realloc, (void *old, size_t size), (old, size))
WRAP(void *, reallocarray, (void *old, size_t count, size_t size),
	(old, count, size))
WRAP(char *, strdup, (const char *text), (text))
WRAP(char *, strndup, (const char *text, size_t len), (text, len))

static const char text[] =
	"network office 203.0.113.0/24, 2001:db8:7::/48\n"
	"network all office, 198.51.100.7\n"
	"group Ops alice, bob, @dev\n"
	"group More Ops, carol, dave, erin, frank\n"
	"hours working Mon-Fri 08:00-19:00 Asia/Shanghai\n"
	"hours night daily 22:00-06:00 Europe/Berlin\n"
	"security-group SG_Bridge { instance jump1 10.0.0.5 }\n"
	"security-group SG_Web {\n"
	"	zone production\n"
	"	instance web1 10.0.1.11, fd12::1 { login ops; port 2222 }\n"
	"	subnet 10.0.2.0/24 { login x }\n"
	"	accept tcp 22, 2000-4000 from SG_Bridge, office priority 1\n"
	"	drop all from 0.0.0.0/0 priority 100\n"
	"}\n"
	"keys { accept ed25519, rsa >= 3072; user-ca /etc/ca.pub }\n"
	"permit Ops, More, @dev, mallory, zoe from all, 10.9.0.7 to SG_Web, "
	"zone production, web1, 10.0.2.0/24, jump1 as a, b during working {\n"
	"	mfa remember 8h; allow shell, exec \"ls *\"\n"
	"	approval by Ops\n"
	"}\n"
	"permit Ops from any to self via sshd, sudo\n"
	"audit Ops from any { list }\n"
	"deny mallory from any to any\n";

/* True once everything could be allocated. */
static bool compile_failing_at(long when)
{
	struct policy_source *source = NULL;
	struct policy *policy = NULL;
	struct diag diag;
	enum sgb_err err;
	bool hit;

	diag_init(&diag);
	countdown = when;
	failed = false;
	err = policy_source_text("p", text, strlen(text), &source);
	if (!err)
		err = policy_compile(source, &policy, &diag);
	hit = failed;
	countdown = -1;
	failed = false;
	assert_int_equal(hit, err != SGB_OK);
	assert_int_equal(policy == NULL, err != SGB_OK);
	policy_free(policy);
	policy_source_free(source);
	diag_done(&diag);
	return !hit;
}

static void fail_everywhere(bool ever)
{
	long when = 1;

	for_ever = ever;
	while (!compile_failing_at(when))
		when++;
	for_ever = false;
	assert_true(when > 50);
}

static void test_once(void **state)
{
	(void)state;
	fail_everywhere(false);
}

static void test_for_ever(void **state)
{
	(void)state;
	fail_everywhere(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
