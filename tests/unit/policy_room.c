/* What the tests of the policy share: policy_room.h. */
#include "policy_room.h"

#include <stdio.h>
#include <string.h>

struct policy *compile(const char *text)
{
	struct policy_source *source = NULL;
	struct policy *policy = NULL;
	struct diag diag;

	diag_init(&diag);
	assert_int_equal(
		policy_source_text("policy.conf", text, strlen(text), &source),
		SGB_OK);
	if (policy_compile(source, &policy, &diag)) {
		diag_print(&diag, stderr, false);
		fprintf(stderr, "%s", text);
		fail_msg("the policy does not compile");
	}
	policy_source_free(source);
	diag_done(&diag);
	return policy;
}

time_t utc(const char *text)
{
	struct tm tm = {0};

	assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &tm));
	return timegm(&tm);
}

struct addr address(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(text, &addr), SGB_OK);
	return addr;
}

struct policy_decision ask(const struct policy *policy, const char *user,
	const char *source, const char *login, const char *target)
{
	struct policy_request request = {
		.via = POLICY_VIA_PROXY,
		.user = user,
		.source = address(source),
		.target = target,
		.login = login,
		.now = utc(DAY),
	};
	struct policy_decision decision;

	policy_decide(policy, &request, &decision);
	return decision;
}
