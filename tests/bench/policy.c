/*
 * What the policy costs: parse and compile, memory, and one decision, for
 * policies of growing size. Prints a table; asserts nothing.
 */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/policy.h"

#define DECISIONS 20000

struct size {
	unsigned int users, instances, rules, networks;
};

static const struct size sizes[] = {
	{100, 50, 100, 1000},
	{1000, 500, 1000, 10000},
	{10000, 5000, 10000, 100000},
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static unsigned int chance(unsigned int below)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned int)(state >> 33) % below;
}

/* Users in three groups of about fifty, instances in groups of ten, networks
 * of /24 nested in /16, rules between all of them. */
static char *make(const struct size *size, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);
	unsigned int groups = size->users / 16 + 1;
	unsigned int sgs = size->instances / 10;
	unsigned int i, j;

	for (i = 0; i < size->networks; i++)
		fprintf(out, "network n%u %u.%u.%u.0/%u\n", i, 1 + i / 65536,
			i / 256 % 256, i % 256, i % 256 ? 24 : 16);
	for (i = 0; i < groups; i++) {
		fprintf(out, "group g%u @x%u", i, i % 100);
		for (j = 0; j < 48; j++)
			fprintf(out, ", user%u", chance(size->users));
		fprintf(out, "\n");
	}
	fprintf(out, "hours working Mon-Fri 08:00-19:00 Asia/Shanghai\n"
		     "security-group SG_Bridge { instance jump 10.0.0.5 }\n");
	for (i = 0; i < sgs; i++) {
		fprintf(out, "security-group SG%u {\n\tzone z%u\n", i, i % 3);
		for (j = 0; j < 10; j++)
			fprintf(out,
				"\tinstance i%u 10.%u.%u.%u { login ops; "
				"host-key SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
				"AAAAAAAAAAAAAA }\n",
				i * 10 + j, 1 + i / 256, i % 256, j + 1);
		fprintf(out, "\taccept tcp 22, 3389 from SG_Bridge\n"
			     "\tdrop all from 0.0.0.0/0 priority 100\n}\n");
	}
	for (i = 0; i < size->rules; i++) {
		unsigned int kind = chance(10);

		fprintf(out, "%s ", kind ? "permit" : "deny");
		if (kind < 7)
			fprintf(out, "g%u", chance(groups));
		else
			fprintf(out, "user%u", chance(size->users));
		fprintf(out, " from n%u, n%u to ", chance(size->networks),
			chance(size->networks));
		if (kind < 5)
			fprintf(out, "SG%u", chance(sgs));
		else if (kind < 6)
			fprintf(out, "zone z%u", chance(3));
		else
			fprintf(out, "i%u", chance(sgs * 10));
		fprintf(out, "%s%s%s\n", kind & 1 ? " as ops" : "",
			kind == 3 ? " during working" : "",
			kind ? " { mfa always; allow shell, sftp }" : "");
	}
	fclose(out);
	return text;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t decide(const struct policy *policy, const struct size *size)
{
	struct policy_decision decision;
	struct policy_request request = {
		.via = POLICY_VIA_PROXY, .login = "ops", .now = 1795419887};
	char user[32], target[32], source[32];
	unsigned int net = chance(size->networks);
	uint64_t start;

	snprintf(user, sizeof(user), "user%u", chance(size->users));
	snprintf(target, sizeof(target), "i%u", chance(size->instances));
	snprintf(source, sizeof(source), "%u.%u.%u.7", 1 + net / 65536,
		net / 256 % 256, net % 256);
	request.user = user;
	request.target = target;
	if (addr_parse(source, &request.source))
		return 0;
	start = now_ns();
	policy_decide(policy, &request, &decision);
	return now_ns() - start;
}

static void measure(const struct size *size)
{
	static uint64_t times[DECISIONS];
	struct policy_source *source = NULL;
	struct policy *policy = NULL;
	struct mallinfo2 before, after;
	struct diag diag;
	size_t len, i;
	char *text = make(size, &len);
	uint64_t start, elapsed;

	diag_init(&diag);
	if (policy_source_text("bench", text, len, &source))
		return;
	before = mallinfo2();
	start = now_ns();
	if (policy_compile(source, &policy, &diag)) {
		diag_print(&diag, stderr, false);
		exit(1);
	}
	elapsed = now_ns() - start;
	after = mallinfo2();
	for (i = 0; i < DECISIONS; i++)
		times[i] = decide(policy, size);
	qsort(times, DECISIONS, sizeof(times[0]), by_value);
	printf("%7u %10u %7u %9u %8.1f %8.1f %8.1f %8llu %8llu\n", size->users,
		size->instances, size->rules, size->networks, (double)len / 1e6,
		(double)elapsed / 1e6,
		((double)(after.uordblks + after.hblkhd) -
			(double)(before.uordblks + before.hblkhd)) /
			1048576,
		(unsigned long long)times[DECISIONS / 2],
		(unsigned long long)times[DECISIONS * 99 / 100]);
	policy_free(policy);
	policy_source_free(source);
	diag_done(&diag);
	free(text);
}

int main(void)
{
	size_t i;

	printf("  users  instances   rules  networks  text MB  compile "
	       "ms  MiB   median ns   p99 ns\n");
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		measure(&sizes[i]);
	return 0;
}
