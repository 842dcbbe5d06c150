/*
 * The policy parser on any bytes. What compiles survives encode and decode
 * as the same policy, decides any request, and what is permitted is so for
 * each of the other questions, too. The first line of the input, up to a NUL,
 * is turned into requests; the rest is the policy.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) \
	do { \
		if (!(condition)) \
			abort(); \
	} while (0)

struct words {
	char text[256];
	const char *list[17];
};

/* "alice 203.0.113.9 web1 ops dev": who, from, to, as, groups. */
static void split(struct words *words, const uint8_t *data, size_t len)
{
	size_t i = 0;
	char *rest = words->text, *word;

	memset(words, 0, sizeof(*words));
	if (len > sizeof(words->text) - 1)
		len = sizeof(words->text) - 1;
	memcpy(words->text, data, len);
	while (i < 16 && (word = strsep(&rest, " ")))
		words->list[i++] = word;
	while (i < 5)
		words->list[i++] = "";
}

static bool count_reach(const struct policy_reach *reach, void *arg)
{
	size_t *count = arg;

	REQUIRE(reach->instance && reach->login);
	return ++*count < 50;
}

static void ask(const struct policy *policy, const struct words *words,
	const struct policy *twin, unsigned int variant)
{
	struct policy_request request = {
		.via = variant & 1 ? POLICY_VIA_PAM : POLICY_VIA_PROXY,
		.service = variant & 1 ? "sshd" : NULL,
		.user = words->list[0],
		.groups = words->list + 4,
		.local = (variant & 3) == 3,
		.target = words->list[2],
		.port = (uint16_t)(variant & 4 ? 3389 : 0),
		.login = words->list[3],
		.want = variant & 8 ? POLICY_FORWARD : 0,
		.now = 1795419887,
	};
	struct policy_decision one, two;
	enum policy_mfa mfa;
	uint64_t seconds;
	size_t reached = 0;

	if (addr_parse(words->list[1], &request.source))
		memset(&request.source, 0, sizeof(request.source));
	policy_decide(policy, &request, &one);
	policy_decide(twin, &request, &two);
	REQUIRE(one.verdict == two.verdict && one.reason == two.reason);
	REQUIRE((one.reason == POLICY_GRANTED) ==
		(one.verdict == POLICY_PERMIT));
	REQUIRE(!one.rule == !two.rule &&
		(!one.rule || !strcmp(one.rule, two.rule)));
	(void)policy_allows(&one, POLICY_EXEC, words->text);
	(void)policy_allows(&one, POLICY_EXEC, words->list[0]);
	(void)policy_audit_rights(policy, &request);
	policy_each_reachable(policy, &request, count_reach, &reached);
	if (one.verdict != POLICY_PERMIT) {
		REQUIRE(!policy_allows(&one, POLICY_SHELL, NULL));
		return;
	}
	REQUIRE(request.local || policy_source_known(policy, &request.source));
	REQUIRE(policy_mfa_floor(policy, &request, &mfa, &seconds) ==
		POLICY_PERMIT);
	REQUIRE(mfa <= one.mfa);
}

static struct policy *round_trip(const struct policy_source *source)
{
	struct policy_source *copy = NULL;
	struct policy *policy = NULL;
	struct diag diag;
	struct buf bundle;

	buf_init(&bundle, 1 << 24);
	diag_init(&diag);
	REQUIRE(!policy_source_encode(source, &bundle));
	REQUIRE(!policy_source_decode(bundle.data, bundle.len, &copy));
	REQUIRE(!policy_compile(copy, &policy, &diag));
	policy_source_free(copy);
	diag_done(&diag);
	buf_done(&bundle);
	return policy;
}

/* Bundles come from our own memfd, yet a wrong one must only be refused. */
static void bundle(const uint8_t *data, size_t size)
{
	struct policy_source *source;
	struct policy *policy;
	struct diag diag;

	if (policy_source_decode(data, size, &source))
		return;
	diag_init(&diag);
	if (!policy_compile(source, &policy, &diag))
		policy_free(policy);
	policy_source_free(source);
	diag_done(&diag);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	struct policy_source *source;
	struct policy *policy = NULL, *twin;
	struct words words;
	struct diag diag;
	unsigned int i;

	bundle(data, size);
	if (!end)
		return 0;
	split(&words, data, (size_t)(end - data));
	size -= (size_t)(end + 1 - data);
	if (policy_source_text("fuzz", end + 1, size, &source))
		return 0;
	diag_init(&diag);
	if (policy_compile(source, &policy, &diag)) {
		REQUIRE(diag.errors > 0 && !policy);
	} else {
		REQUIRE(diag.errors == 0);
		twin = round_trip(source);
		for (i = 0; i < 16; i++)
			ask(policy, &words, twin, i);
		policy_free(policy);
		policy_free(twin);
	}
	policy_source_free(source);
	diag_done(&diag);
	return 0;
}
