/*
 * A second decision function, as simple as can be, over a model that random
 * policies are printed from: it must agree with the fast one about verdict,
 * reason, rule, login and group rule. SGB_NAIVE_REQUESTS raises the number of
 * requests, SGB_NAIVE_SEED repeats a run.
 */
#include "policy_naive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/policy_int.h"
#include "core/policy_reduce.h"
#include "policy_room.h"

static bool same_reason(enum policy_reason fast, enum policy_reason naive)
{
	/* Why exactly nothing permits is not the naive one's business. */
	if (naive == POLICY_NO_PERMIT)
		return fast == POLICY_NO_PERMIT || fast == POLICY_EXPIRED ||
		       fast == POLICY_HOURS || fast == POLICY_SOURCE ||
		       fast == POLICY_LOGIN;
	return fast == naive;
}

static bool agree(
	const struct policy_decision *fast, const struct answer *naive)
{
	bool permit = naive->reason == POLICY_GRANTED;

	if (!same_reason(fast->reason, naive->reason) ||
		(fast->verdict == POLICY_PERMIT) != permit)
		return false;
	if (naive->reason == POLICY_NO_PERMIT ||
		naive->reason == POLICY_NO_TARGET ||
		naive->reason == POLICY_ROOT)
		return true;
	if (strcmp(fast->rule, naive->rule->name))
		return false;
	if (naive->sg_rule ? !fast->group_rule || strcmp(fast->group_rule,
							  naive->sg_rule->name)
			   : fast->group_rule != NULL)
		return false;
	if (!permit)
		return true;
	return !strcmp(fast->login, naive->login) &&
	       (int)fast->mfa == naive->rule->mfa &&
	       fast->allow == naive->rule->allow &&
	       fast->expires == naive->rule->expires;
}

struct ask {
	struct policy_request request;
	char user[16], target[64], groups[UNIX][8];
	const char *group_list[UNIX + 1];
};

static void random_target(struct ask *ask)
{
	char text[ADDR_TEXT_MAX];
	struct addr addr;

	switch (chance(4)) {
	case 0:
		addr = chance(4) ? behind(chance(4), 1 + chance(20))
				 : behind6(1 + chance(10));
		snprintf(ask->target, sizeof(ask->target), "%s",
			addr_text(&addr, text));
		break;
	default:
		snprintf(ask->target, sizeof(ask->target), "i%u",
			chance(NODES + 1));
	}
	ask->request.target = ask->target;
}

static void random_ask(struct ask *ask)
{
	static const uint16_t ports[] = {0, 0, 0, 22, 2222, 3389, 80};
	int i, count = 0;

	memset(ask, 0, sizeof(*ask));
	snprintf(ask->user, sizeof(ask->user), "u%u", chance(USERS + 1));
	if (!chance(20))
		strcpy(ask->user, "root");
	for (i = 0; i < UNIX; i++)
		if (!chance(4)) {
			snprintf(ask->groups[i], 8, "x%d", i);
			ask->group_list[count++] = ask->groups[i];
		}
	ask->request.user = ask->user;
	ask->request.groups = ask->group_list;
	ask->request.source = random_source();
	ask->request.now = 1767225600 + (time_t)chance(366 * 86400);
	ask->request.login = chance(3) ? login_names[chance(LOGINS)] : NULL;
	if (!chance(4)) {
		ask->request.via = POLICY_VIA_PAM;
		ask->request.service = service_names[chance(3)];
		ask->request.local = !chance(3);
		return;
	}
	ask->request.via = POLICY_VIA_PROXY;
	random_target(ask);
	ask->request.port = ports[chance(7)];
	if (!chance(4)) {
		ask->request.want = POLICY_FORWARD;
		ask->request.login = NULL;
	}
}

/* Promises about the other questions that follow from a permit. */
static void check_floor(const struct policy *policy,
	const struct policy_request *request,
	const struct policy_decision *decision)
{
	enum policy_mfa mfa;
	uint64_t seconds;

	if (decision->verdict != POLICY_PERMIT)
		return;
	assert_int_equal(policy_mfa_floor(policy, request, &mfa, &seconds),
		POLICY_PERMIT);
	assert_true(mfa <= decision->mfa);
	if (!request->local)
		assert_true(policy_source_known(policy, &request->source));
}

struct reach {
	const struct policy_request *request;
	const struct policy *policy;
	const struct policy_decision *wanted;
	bool found;
};

static bool each_reach(const struct policy_reach *one, void *arg)
{
	struct reach *reach = arg;
	struct policy_request request = *reach->request;
	struct policy_decision decision;

	request.target = one->instance;
	request.login = *one->login ? one->login : NULL;
	request.port = one->port;
	request.want = *one->login ? 0 : POLICY_FORWARD;
	policy_decide(reach->policy, &request, &decision);
	assert_int_equal(decision.verdict, POLICY_PERMIT);
	assert_string_equal(decision.login, one->login);
	if (!strcmp(one->instance, reach->wanted->instance) &&
		!strcmp(one->login, reach->wanted->login) &&
		one->port == reach->wanted->target_port)
		reach->found = true;
	return true;
}

/* What is permitted is in the list, what is in the list is permitted. */
static void check_reach(const struct policy *policy, const struct ask *ask,
	const struct policy_decision *decision)
{
	struct reach reach = {
		.request = &ask->request, .policy = policy, .wanted = decision};
	bool named = ask->target[0] == 'i' && !ask->request.want &&
		     !ask->request.port;

	if (ask->request.via != POLICY_VIA_PROXY ||
		decision->verdict != POLICY_PERMIT)
		return;
	policy_each_reachable(policy, &ask->request, each_reach, &reach);
	/* A rule that takes any login is listed under the usual one; what is
	 * for forwards alone needs none. */
	if (named && !ask->request.login && (decision->allow & POLICY_SHELL))
		assert_true(reach.found);
}

/* What PAM reads for one person says the same as all of it. */
static void check_reduced(const char *text, const struct ask *ask,
	const struct policy_decision *whole)
{
	struct policy_source *source = NULL, *less = NULL;
	struct policy_decision decision;
	struct policy *policy = NULL;
	struct diag diag;

	if (ask->request.via != POLICY_VIA_PAM || !ask->request.user)
		return;
	diag_init(&diag);
	assert_int_equal(
		policy_source_text("policy.conf", text, strlen(text), &source),
		SGB_OK);
	assert_int_equal(
		policy_source_reduce(source, ask->request.user, &less), SGB_OK);
	if (policy_compile(less, &policy, &diag)) {
		diag_print(&diag, stderr, false);
		fail_msg("a reduced policy does not compile");
	}
	policy_decide(policy, &ask->request, &decision);
	if (decision.verdict != whole->verdict ||
		decision.reason != whole->reason ||
		decision.mfa != whole->mfa ||
		decision.mfa_seconds != whole->mfa_seconds ||
		decision.expires != whole->expires ||
		strcmp(decision.rule ? decision.rule : "-",
			whole->rule ? whole->rule : "-")) {
		fprintf(stderr, "%s---- for %s:\n%s", text, ask->request.user,
			less->files[0].text);
		fail_msg("reduced says %s by %s, whole %s by %s",
			policy_reason_text(decision.reason),
			decision.rule ? decision.rule : "-",
			policy_reason_text(whole->reason),
			whole->rule ? whole->rule : "-");
	}
	policy_free(policy);
	policy_source_free(less);
	policy_source_free(source);
	diag_done(&diag);
}

static void one_request(const struct policy *policy, const struct model *model,
	const char *text, unsigned int *permits)
{
	struct policy_decision fast;
	struct answer naive;
	struct naive n;
	struct ask ask;

	random_ask(&ask);
	memset(&n, 0, sizeof(n));
	n.model = model;
	n.request = &ask.request;
	policy_decide(policy, &ask.request, &fast);
	naive_decide(&n, &naive);
	if (!agree(&fast, &naive)) {
		char source[ADDR_TEXT_MAX];

		fprintf(stderr, "%s", text);
		fail_msg("user %s from %s%s to %s:%u as %s via %s at %lld "
			 "want %u: fast %s %s %s login %s; naive %s %s %s "
			 "login %s",
			ask.user, addr_text(&ask.request.source, source),
			ask.request.local ? " (local)" : "", ask.target,
			ask.request.port,
			ask.request.login ? ask.request.login : "-",
			ask.request.service ? ask.request.service : "proxy",
			(long long)ask.request.now, ask.request.want,
			policy_reason_text(fast.reason),
			fast.rule ? fast.rule : "-",
			fast.group_rule ? fast.group_rule : "-", fast.login,
			policy_reason_text(naive.reason),
			naive.rule ? naive.rule->name : "-",
			naive.sg_rule ? naive.sg_rule->name : "-", naive.login);
	}
	*permits += fast.verdict == POLICY_PERMIT;
	check_floor(policy, &ask.request, &fast);
	check_reduced(text, &ask, &fast);
	if (!chance(16))
		check_reach(policy, &ask, &fast);
}

static unsigned long from_env(const char *name, unsigned long fallback)
{
	const char *text = getenv(name);

	return text && *text ? strtoul(text, NULL, 10) : fallback;
}

static void test_agree(void **state)
{
	unsigned long requests = from_env("SGB_NAIVE_REQUESTS", 100000);
	unsigned long each = from_env("SGB_NAIVE_EACH", 200);
	unsigned long seed = from_env("SGB_NAIVE_SEED", 20261123);
	unsigned long done = 0;
	unsigned int permits = 0;

	(void)state;
	chance_state = seed * 0x9e3779b97f4a7c15ull + 1;
	while (done < requests) {
		struct model model;
		struct policy *policy;
		char *text;
		unsigned long i;

		random_model(&model);
		text = print_model(&model);
		policy = compile(text);
		for (i = 0; i < each; i++, done++)
			one_request(policy, &model, text, &permits);
		policy_free(policy);
		free(text);
	}
	/* Enough of either kind, or the comparison says little. */
	print_message("%lu requests, %u permitted\n", done, permits);
	assert_true(permits > requests / 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
