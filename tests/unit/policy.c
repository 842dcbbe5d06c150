/*
 * The policy language as POLICY.md shows it: its example parses as written
 * and decides what it says. Each table row is one promise of the manual.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/policy.h"

static const char example[] =
	"# Names: networks, people, hours\n"
	"network office     203.0.113.0/24, 2001:db8:7::/48\n"
	"network vpn        198.51.100.0/25\n"
	"group   SysAdmins  alice, bob\n"
	"group   Developers carol, dave, @dev            # @dev: Unix\n"
	"group   Robots     ansible\n"
	"group   Auditors   erin\n"
	"hours   working    Mon-Fri 08:00-19:00 Asia/Shanghai\n"
	"\n"
	"security-group SG_Bridge {\n"
	"	instance jump1 10.0.0.5\n"
	"}\n"
	"security-group SG_Current {\n"
	"	zone     production\n"
	"	instance web1 10.0.1.11 { host-key SHA256:Jm0b...; login ops "
	"}\n"
	"	instance web2 10.0.1.12 { port 2222 }\n"
	"	instance win1 10.0.1.30 { port 3389 }\n"
	"	subnet   10.0.2.0/24\n"
	"	accept tcp 22, 2222, 3389 from SG_Bridge priority 1\n"
	"	drop   all from 0.0.0.0/0 priority 100\n"
	"}\n"
	"keys {\n"
	"	accept       ed25519, ecdsa, sk-ed25519, sk-ecdsa, rsa >= "
	"3072\n"
	"	user-ca      /etc/sgbridge/user_ca.pub\n"
	"	root-login   no\n"
	"}\n"
	"permit SysAdmins from office, vpn to SG_Current as ops, root {\n"
	"	mfa          always\n"
	"	allow        shell, exec, sftp, scp, rsync\n"
	"	max-session  8h\n"
	"	idle         15m\n"
	"}\n"
	"permit SysAdmins from office to SG_Current port 3389 { allow forward "
	"}\n"
	"permit Developers from office to SG_Current as deploy during working "
	"{\n"
	"	mfa          remember 8h           # per user, key and source\n"
	"	allow        shell, sftp-read\n"
	"	approval     by SysAdmins\n"
	"	record       output, input\n"
	"	expires      2027-06-30\n"
	"}\n"
	"permit Robots from 10.9.0.7 to SG_Current as deploy {\n"
	"	mfa          never                 # must be written out\n"
	"	allow        exec \"/usr/bin/deploy *\", rsync\n"
	"}\n"
	"permit SysAdmins from office, vpn to self via sshd, sudo { mfa "
	"remember 15m }\n"
	"audit  Auditors  from office { list, replay, watch, export }\n"
	"deny   any from any to zone production as root during not working\n"
	"deny   mallory from any to any\n";

static struct policy *compile(const char *text)
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
		fail_msg("the policy does not compile");
	}
	policy_source_free(source);
	diag_done(&diag);
	return policy;
}

/* "2026-11-23 20:00" in UTC. */
static time_t utc(const char *text)
{
	struct tm tm = {0};

	assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &tm));
	return timegm(&tm);
}

static struct addr address(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(text, &addr), SGB_OK);
	return addr;
}

/* In Shanghai (UTC+8) Monday 20:00 and 11:00. */
#define NIGHT "2026-11-23 12:00"
#define DAY   "2026-11-23 03:00"

struct row {
	const char *user, *source, *login, *target, *when;
	uint16_t port;
	unsigned int want;
	enum policy_reason reason;
	const char *rule;
};

static void decide_row(const struct policy *policy, const struct row *row,
	struct policy_decision *decision)
{
	static const char *const dev[] = {"dev", "games", NULL};
	struct policy_request request = {
		.via = POLICY_VIA_PROXY,
		.user = row->user,
		.groups = strcmp(row->user, "frank") ? NULL : dev,
		.source = address(row->source),
		.target = row->target,
		.port = row->port,
		.login = row->login,
		.want = row->want,
		.now = utc(row->when),
	};

	policy_decide(policy, &request, decision);
}

static void check_rows(
	const struct policy *policy, const struct row *rows, size_t count)
{
	struct policy_decision decision;
	size_t i;

	for (i = 0; i < count; i++) {
		decide_row(policy, &rows[i], &decision);
		if (decision.reason != rows[i].reason ||
			(decision.reason == POLICY_GRANTED) !=
				(decision.verdict == POLICY_PERMIT) ||
			strcmp(decision.rule ? decision.rule : "",
				rows[i].rule ? rows[i].rule : ""))
			fail_msg("row %zu: %s %s as %s to %s: %s (%s)", i,
				rows[i].user, rows[i].source,
				rows[i].login ? rows[i].login : "-",
				rows[i].target,
				policy_reason_text(decision.reason),
				decision.rule ? decision.rule : "no rule");
	}
}

#define ROWS(policy, rows) \
	check_rows(policy, rows, sizeof(rows) / sizeof((rows)[0]))

static void test_example(void **state)
{
	static const struct row rows[] = {
		{"alice", "203.0.113.9", "ops", "web1", NIGHT, 0, 0,
			POLICY_GRANTED, "policy.conf:27"},
		{"alice", "203.0.113.9", NULL, "web1", NIGHT, 0, 0,
			POLICY_GRANTED, "policy.conf:27"},
		{"alice", "::ffff:203.0.113.9", "ops", "web1", NIGHT, 0, 0,
			POLICY_GRANTED, "policy.conf:27"},
		{"alice", "2001:db8:7::1", "ops", "web1", NIGHT, 0, 0,
			POLICY_GRANTED, "policy.conf:27"},
		{"alice", "203.0.113.9", "root", "web1", NIGHT, 0, 0,
			POLICY_DENY_RULE, "policy.conf:47"},
		{"alice", "203.0.113.9", "root", "web1", DAY, 0, 0,
			POLICY_GRANTED, "policy.conf:27"},
		{"alice", "192.0.2.1", "ops", "web1", DAY, 0, 0, POLICY_SOURCE,
			"policy.conf:27"},
		{"alice", "203.0.113.9", "deploy", "web1", DAY, 0, 0,
			POLICY_LOGIN, "policy.conf:27"},
		{"alice", "203.0.113.9", "ops", "web2", DAY, 0, 0,
			POLICY_GRANTED, "policy.conf:27"},
		{"alice", "203.0.113.9", "ops", "web2", DAY, 22, 0,
			POLICY_NO_PERMIT, "policy.conf:27"},
		{"alice", "203.0.113.9", "ops", "10.0.2.77", DAY, 0, 0,
			POLICY_GRANTED, "policy.conf:27"},
		{"alice", "203.0.113.9", "ops", "10.0.1.11", DAY, 0, 0,
			POLICY_GRANTED, "policy.conf:27"},
		{"alice", "203.0.113.9", "ops", "10.0.3.1", DAY, 0, 0,
			POLICY_NO_TARGET, NULL},
		{"alice", "203.0.113.9", "ops", "web9", DAY, 0, 0,
			POLICY_NO_TARGET, NULL},
		{"alice", "203.0.113.9", "ops", "169.254.169.254", DAY, 0, 0,
			POLICY_FORBIDDEN_ADDRESS, NULL},
		{"alice", "203.0.113.9", "ops", "127.0.0.1", DAY, 0, 0,
			POLICY_FORBIDDEN_ADDRESS, NULL},
		{"alice", "203.0.113.9", NULL, "win1", DAY, 3389,
			POLICY_FORWARD, POLICY_GRANTED, "policy.conf:33"},
		{"alice", "198.51.100.1", NULL, "win1", DAY, 3389,
			POLICY_FORWARD, POLICY_NO_PERMIT, "policy.conf:27"},
		{"carol", "203.0.113.9", "deploy", "web1", DAY, 0, 0,
			POLICY_GRANTED, "policy.conf:34"},
		{"frank", "203.0.113.9", "deploy", "web1", DAY, 0, 0,
			POLICY_GRANTED, "policy.conf:34"},
		{"carol", "203.0.113.9", "deploy", "web1", NIGHT, 0, 0,
			POLICY_HOURS, "policy.conf:34"},
		{"carol", "203.0.113.9", "deploy", "web1", "2027-06-30 02:00",
			0, 0, POLICY_GRANTED, "policy.conf:34"},
		{"carol", "203.0.113.9", "deploy", "web1", "2027-07-01 02:00",
			0, 0, POLICY_EXPIRED, "policy.conf:34"},
		{"ansible", "10.9.0.7", "deploy", "web1", DAY, 0, 0,
			POLICY_GRANTED, "policy.conf:41"},
		{"ansible", "10.9.0.8", "deploy", "web1", DAY, 0, 0,
			POLICY_SOURCE, "policy.conf:41"},
		{"alice", "203.0.113.9", "ops", "jump1", DAY, 0, 0,
			POLICY_NO_PERMIT, NULL},
		{"mallory", "203.0.113.9", "ops", "web1", DAY, 0, 0,
			POLICY_DENY_RULE, "policy.conf:48"},
		{"nobody", "203.0.113.9", "ops", "web1", DAY, 0, 0,
			POLICY_NO_PERMIT, NULL},
		{"SysAdmins", "203.0.113.9", "ops", "web1", DAY, 0, 0,
			POLICY_NO_PERMIT, NULL},
		{"", "203.0.113.9", "ops", "web1", DAY, 0, 0,
			POLICY_BAD_REQUEST, NULL},
		{"alice", "203.0.113.9", "-oProxyCommand=x", "web1", DAY, 0, 0,
			POLICY_BAD_REQUEST, NULL},
	};
	struct policy *policy = compile(example);

	(void)state;
	ROWS(policy, rows);
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
