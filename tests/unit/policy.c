/*
 * The policy language as POLICY.md shows it: its example parses as written
 * and decides what it says. Each table row is one promise of the manual.
 */
#include "policy_room.h"

#include <string.h>

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

/* Nothing, and nearly nothing, deny. */
static void test_little(void **state)
{
	static const char *const texts[] = {"", "\n", "# nothing\n", ";\n",
		"permit any from any to any\n",
		"permit any from any to any { allow shell }\n",
		"deny any from any to any"};
	struct policy_request none = {0};
	struct policy_decision decision;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct policy *policy = compile(texts[i]);

		decision = ask(policy, "alice", "10.0.0.1", "ops", "web1");
		assert_int_equal(decision.verdict, POLICY_DENY);
		assert_int_equal(decision.reason, POLICY_NO_TARGET);
		policy_decide(policy, &none, &decision);
		assert_int_equal(decision.verdict, POLICY_DENY);
		assert_int_equal(decision.reason, POLICY_BAD_REQUEST);
		policy_free(policy);
	}
	policy_decide(NULL, &none, &decision);
	assert_int_equal(decision.verdict, POLICY_DENY);
	policy_free(NULL);
}

/* The instance's own word, else that of a group it is declared in. */
static void test_credentials(void **state)
{
	struct policy *policy = compile(
		"network office 203.0.113.0/24\n"
		"security-group SG_Bridge { instance jump1 10.0.0.5 }\n"
		"security-group A {\n\tcredential key old\n"
		"\tinstance a1 10.0.1.1\n"
		"\tinstance a2 10.0.1.2 { credential key own }\n"
		"\tinstance a3 10.0.1.3 { credential certificate }\n"
		"\tinstance a4 10.0.1.4 { credential agent }\n"
		"\tsubnet 10.0.9.0/24 { credential key net }\n"
		"\taccept tcp 22 from SG_Bridge\n}\n"
		"security-group B {\n\tinstance a1\n"
		"\tinstance b1 10.0.2.1\n\taccept tcp 22 from SG_Bridge\n}\n"
		"permit alice from office to A, B as ops { allow shell }\n");
	static const struct {
		const char *target;
		enum policy_credential credential;
		const char *key;
	} rows[] = {
		{"a1", POLICY_STORED_KEY, "old"},
		{"10.0.1.1", POLICY_STORED_KEY, "old"},
		{"a2", POLICY_STORED_KEY, "own"},
		{"a3", POLICY_CERTIFICATE, NULL},
		{"a4", POLICY_OWN_AGENT, NULL},
		{"10.0.9.7", POLICY_STORED_KEY, "net"},
		{"b1", POLICY_CERTIFICATE, NULL},
	};
	struct policy_decision d;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		d = ask(policy, "alice", "203.0.113.9", NULL, rows[i].target);
		assert_int_equal(d.verdict, POLICY_PERMIT);
		assert_int_equal(d.credential, rows[i].credential);
		if (rows[i].key)
			assert_string_equal(d.credential_key, rows[i].key);
		else
			assert_null(d.credential_key);
	}
	d = ask(policy, "alice", "203.0.113.9", NULL, "a1");
	assert_true(policy_decided_on(policy, &d, "a1"));
	assert_true(policy_decided_on(policy, &d, "A"));
	assert_true(policy_decided_on(policy, &d, "B"));
	assert_false(policy_decided_on(policy, &d, "b1"));
	assert_false(policy_decided_on(policy, &d, ""));
	policy_free(policy);
}

static void test_conditions(void **state)
{
	struct policy *policy = compile(example);
	struct policy_decision d = ask(
		policy, "alice", "203.0.113.9", NULL, "web1");
	char address_text[ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(d.verdict, POLICY_PERMIT);
	assert_string_equal(d.login, "ops");
	assert_string_equal(d.instance, "web1");
	assert_string_equal(d.security_group, "SG_Current");
	assert_string_equal(d.group_rule, "policy.conf:19");
	assert_string_equal(
		addr_text(&d.target_addr, address_text), "10.0.1.11");
	assert_int_equal(d.target_port, 22);
	assert_string_equal(d.host_keys[0], "SHA256:Jm0b...");
	assert_null(d.host_keys[1]);
	assert_int_equal(d.mfa, POLICY_MFA_ALWAYS);
	assert_int_equal(d.allow, POLICY_SHELL | POLICY_EXEC |
					  POLICY_SFTP_READ | POLICY_SFTP_WRITE |
					  POLICY_SCP | POLICY_RSYNC);
	assert_int_equal(d.max_session, 8 * 3600);
	assert_int_equal(d.idle, 15 * 60);
	assert_int_equal(d.expires, 0);
	assert_int_equal(d.record, POLICY_RECORD_OUTPUT);
	assert_null(d.approval);
	d = ask(policy, "carol", "203.0.113.9", NULL, "web2");
	assert_string_equal(d.login, "deploy");
	assert_int_equal(d.target_port, 2222);
	assert_null(d.host_keys[0]);
	assert_int_equal(d.mfa, POLICY_MFA_REMEMBER);
	assert_int_equal(d.mfa_seconds, 8 * 3600);
	assert_string_equal(d.approval, "SysAdmins");
	assert_int_equal(d.record, POLICY_RECORD_INPUT);
	assert_int_equal(d.expires, utc("2027-07-01 00:00"));
	d = ask(policy, "ansible", "10.9.0.7", "deploy", "web1");
	assert_int_equal(d.mfa, POLICY_MFA_NEVER);
	assert_string_equal(d.exec_patterns[0], "/usr/bin/deploy *");
	assert_null(d.exec_patterns[1]);
	policy_free(policy);
}

static void test_keys(void **state)
{
	struct policy *policy = compile(example);
	struct policy *plain = compile("");
	struct policy *strict = compile(
		"keys { accept ecdsa >= 384; root-login yes }\n");

	(void)state;
	assert_true(policy_key_accepted(policy, "ssh-ed25519", 256));
	assert_true(policy_key_accepted(policy, "rsa-sha2-512", 3072));
	assert_true(policy_key_accepted(policy, "ssh-rsa", 4096));
	assert_false(policy_key_accepted(policy, "ssh-rsa", 2048));
	assert_false(policy_key_accepted(policy, "ssh-dss", 1024));
	assert_false(policy_key_accepted(policy, "ed25519", 256));
	assert_false(policy_key_accepted(policy, "", 0));
	assert_true(
		policy_key_accepted(policy, "sk-ssh-ed25519@openssh.com", 256));
	assert_true(policy_key_accepted(plain, "ssh-ed25519", 256));
	assert_false(policy_key_accepted(plain, "ssh-rsa", 2048));
	assert_true(policy_key_accepted(strict, "ecdsa-sha2-nistp384", 384));
	assert_false(policy_key_accepted(strict, "ecdsa-sha2-nistp256", 256));
	assert_false(policy_key_accepted(strict, "ssh-ed25519", 256));
	assert_false(policy_root_login(policy));
	assert_false(policy_root_login(plain));
	assert_true(policy_root_login(strict));
	assert_string_equal(
		policy_user_cas(policy)[0], "/etc/sgbridge/user_ca.pub");
	assert_null(policy_user_cas(policy)[1]);
	assert_null(policy_user_cas(plain)[0]);
	policy_free(policy);
	policy_free(plain);
	policy_free(strict);
}

static void test_questions(void **state)
{
	static const char *const dev[] = {"dev", NULL};
	struct policy *policy = compile(example);
	struct policy_request request = {.via = POLICY_VIA_PROXY,
		.user = "erin",
		.source = address("203.0.113.9"),
		.now = utc(DAY)};
	enum policy_mfa mfa;
	uint64_t seconds;
	struct addr addr;

	(void)state;
	assert_int_equal(policy_audit_rights(policy, &request),
		POLICY_AUDIT_LIST | POLICY_AUDIT_REPLAY | POLICY_AUDIT_WATCH |
			POLICY_AUDIT_EXPORT);
	assert_int_equal(policy_mfa_floor(policy, &request, &mfa, &seconds),
		POLICY_DENY);
	request.user = "alice";
	assert_int_equal(policy_audit_rights(policy, &request), 0);
	assert_int_equal(policy_mfa_floor(policy, &request, &mfa, &seconds),
		POLICY_PERMIT);
	assert_int_equal(mfa, POLICY_MFA_ALWAYS);
	request.user = "carol";
	assert_int_equal(policy_mfa_floor(policy, &request, &mfa, &seconds),
		POLICY_PERMIT);
	assert_int_equal(mfa, POLICY_MFA_REMEMBER);
	assert_int_equal(seconds, 8 * 3600);
	request.user = "mallory";
	assert_int_equal(policy_mfa_floor(policy, &request, &mfa, &seconds),
		POLICY_DENY);
	addr = address("203.0.113.200");
	assert_true(policy_source_known(policy, &addr));
	addr = address("10.9.0.7");
	assert_true(policy_source_known(policy, &addr));
	addr = address("10.9.0.8");
	assert_false(policy_source_known(policy, &addr));
	memset(&addr, 0, sizeof(addr));
	assert_false(policy_source_known(policy, &addr));
	assert_true(policy_in_group(policy, "SysAdmins", "alice", NULL));
	assert_false(policy_in_group(policy, "SysAdmins", "carol", NULL));
	assert_true(policy_in_group(policy, "Developers", "frank", dev));
	assert_false(policy_in_group(policy, "Developers", "frank", NULL));
	assert_false(policy_in_group(policy, "Nobody", "alice", NULL));
	policy_free(policy);
}

static void test_local(void **state)
{
	struct policy *policy = compile(
		"security-group SG_Bridge { instance here 127.0.0.1 { local } "
		"}\n"
		"security-group Wide { subnet 100.64.0.0/10, 127.0.0.0/8, "
		"169.254.0.0/16; accept tcp from any }\n"
		"permit alice from any to any as ops { allow shell }\n");

	(void)state;
	assert_int_equal(
		ask(policy, "alice", "10.0.0.1", "ops", "here").verdict,
		POLICY_PERMIT);
	assert_int_equal(
		ask(policy, "alice", "10.0.0.1", "ops", "127.0.0.1").verdict,
		POLICY_PERMIT);
	assert_int_equal(
		ask(policy, "alice", "10.0.0.1", "ops", "127.0.0.2").reason,
		POLICY_FORBIDDEN_ADDRESS);
	assert_int_equal(
		ask(policy, "alice", "10.0.0.1", "ops", "100.64.0.1").verdict,
		POLICY_PERMIT);
	assert_int_equal(
		ask(policy, "alice", "10.0.0.1", "ops", "100.100.100.200")
			.reason,
		POLICY_FORBIDDEN_ADDRESS);
	assert_int_equal(
		ask(policy, "alice", "10.0.0.1", "ops", "169.254.169.254")
			.reason,
		POLICY_FORBIDDEN_ADDRESS);
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_little),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_local),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
