/*
 * Targets behind jump hosts: the way to them, and what of it a group says for
 * its instances.
 */
#include "policy_room.h"

/* far is behind two; near may be reached itself as well. */
static void test_via(void **state)
{
	struct policy *policy = compile(
		"security-group SG_Bridge { instance jump 10.0.0.5 }\n"
		"security-group Near { instance near 10.1.0.1, 10.1.0.2 "
		"{ port 2222; login hop }\n"
		"accept tcp 2222 from SG_Bridge }\n"
		"security-group Middle { instance mid 10.2.0.1 { via near }\n"
		"accept tcp 22 from Near }\n"
		"security-group Far { instance far 10.3.0.1 { via mid }\n"
		"instance shut 10.3.0.2 { via near }\n"
		"subnet 10.3.1.0/24 { via mid }\n"
		"accept tcp 22 from 10.2.0.1 }\n"
		"permit alice from any to Far, Near as ops { allow shell }\n");
	struct policy_decision hops[POLICY_HOPS_MAX], decision;

	(void)state;
	decision = ask(policy, "alice", "10.9.0.1", "ops", "far");
	assert_int_equal(decision.verdict, POLICY_PERMIT);
	assert_string_equal(decision.group_rule, "policy.conf:9");
	assert_int_equal(policy_hops(policy, &decision, hops), 2);
	assert_string_equal(hops[0].instance, "near");
	assert_string_equal(hops[0].login, "hop");
	assert_int_equal(hops[0].target_port, 2222);
	assert_int_equal(hops[0].allow, POLICY_FORWARD);
	assert_true(policy_next_address(policy, &hops[0]));
	assert_false(policy_next_address(policy, &hops[0]));
	assert_string_equal(hops[1].instance, "mid");
	assert_string_equal(hops[1].login, "");
	assert_string_equal(hops[1].group_rule, "policy.conf:5");
	/* From near, not from mid: its group does not say so. */
	assert_int_equal(ask(policy, "alice", "10.9.0.1", "ops", "shut").reason,
		POLICY_GROUP_CLOSED);
	decision = ask(policy, "alice", "10.9.0.1", "ops", "10.3.1.7");
	assert_int_equal(decision.verdict, POLICY_PERMIT);
	assert_int_equal(policy_hops(policy, &decision, hops), 2);
	/* A jump host is no target of its own for that. */
	assert_int_equal(ask(policy, "alice", "10.9.0.1", "ops", "mid").reason,
		POLICY_NO_PERMIT);
	decision = ask(policy, "alice", "10.9.0.1", "ops", "near");
	assert_int_equal(policy_hops(policy, &decision, hops), 0);
	policy_free(policy);
}

static unsigned int hops_to(const struct policy *policy, const char *target)
{
	struct policy_decision hops[POLICY_HOPS_MAX];
	struct policy_decision decision = ask(
		policy, "alice", "10.9.0.1", "ops", target);

	assert_int_equal(decision.verdict, POLICY_PERMIT);
	return policy_hops(policy, &decision, hops);
}

/* What a group says counts where an instance says nothing itself. */
static void test_via_group(void **state)
{
	struct policy *policy = compile(
		"security-group SG_Bridge { instance jump 10.0.0.5 }\n"
		"security-group Far { via near\n"
		"instance far 10.3.0.1; instance deep 10.3.0.2 { via far }\n"
		"instance near 10.1.0.1 { via direct }\n"
		"instance open 10.3.0.3 { via direct }\n"
		"subnet 10.3.1.0/24; subnet 10.3.2.0/24 { via direct }\n"
		"instance here 127.0.0.1 { local }\n"
		"accept tcp 22 from any }\n"
		"security-group Other { instance far; instance late 10.4.0.1\n"
		"accept tcp 22 from any }\n"
		"security-group Third { via near; instance late\n"
		"instance far }\n"
		"permit alice from any to Far, Other as ops { allow shell }\n");

	(void)state;
	assert_int_equal(hops_to(policy, "far"), 1);
	assert_int_equal(hops_to(policy, "10.3.1.7"), 1);
	assert_int_equal(hops_to(policy, "deep"), 2);
	assert_int_equal(hops_to(policy, "near"), 0);
	assert_int_equal(hops_to(policy, "open"), 0);
	assert_int_equal(hops_to(policy, "10.3.2.7"), 0);
	assert_int_equal(hops_to(policy, "here"), 0);
	/* Any of the groups that it is declared in. */
	assert_int_equal(hops_to(policy, "late"), 1);
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_via),
		cmocka_unit_test(test_via_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
