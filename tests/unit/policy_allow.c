/*
 * What a permit lets somebody do: commands by pattern, which of them transfer
 * files, and the other actions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/policy.h"

struct command {
	unsigned int allow;
	const char *pattern, *command;
	bool allowed;
};

/* A star must not let a shell do anything else. */
static void test_commands(void **state)
{
	static const struct command commands[] = {
		{POLICY_EXEC, NULL, "anything; at all", true},
		{POLICY_EXEC, NULL, "", false},
		{POLICY_SHELL, NULL, "id", false},
		{POLICY_EXEC_PATTERN, "/bin/deploy *", "/bin/deploy a b", true},
		{POLICY_EXEC_PATTERN, "/bin/deploy *", "/bin/deploy ", true},
		{POLICY_EXEC_PATTERN, "/bin/deploy *", "/bin/deploy", false},
		{POLICY_EXEC_PATTERN, "/bin/deploy *", "/bin/deploy a; id",
			false},
		{POLICY_EXEC_PATTERN, "/bin/deploy *", "/bin/deploy $(id)",
			false},
		{POLICY_EXEC_PATTERN, "/bin/deploy *", "/bin/deploy `id`",
			false},
		{POLICY_EXEC_PATTERN, "/bin/deploy *", "/bin/deploy a\nid",
			false},
		{POLICY_EXEC_PATTERN, "/bin/deploy *", "/bin/deploy a|sh",
			false},
		{POLICY_EXEC_PATTERN, "/bin/deploy *", "/bin/deploy a&sh",
			false},
		{POLICY_EXEC_PATTERN, "/bin/deploy *", "/bin/deploy a>b",
			false},
		{POLICY_EXEC_PATTERN, "/bin/deploy *", "x/bin/deploy a", false},
		{POLICY_EXEC_PATTERN, "a?c", "abc", true},
		{POLICY_EXEC_PATTERN, "a?c", "a;c", false},
		{POLICY_EXEC_PATTERN, "a; b", "a; b", true},
		{POLICY_EXEC_PATTERN, "*a*b*", "xxaxxbxx", true},
		{POLICY_EXEC_PATTERN, "*a*b*", "xxbxxa", false},
		{POLICY_EXEC_PATTERN, "*", "one two", true},
		{POLICY_EXEC_PATTERN, "*", "", false},
		{POLICY_SCP, NULL, "scp -t /tmp/x", true},
		{POLICY_SCP, NULL, "scp -r -p -f -- file", true},
		{POLICY_SCP, NULL, "scp -tr /tmp/x y", true},
		{POLICY_SCP, NULL, "scp -t /tmp/x; id", false},
		{POLICY_SCP, NULL, "scp -t", false},
		{POLICY_SCP, NULL, "scp a b", false},
		{POLICY_SCP, NULL, "scp -S /bin/sh -t x", false},
		{POLICY_SCP, NULL, "/usr/bin/scp -t x", false},
		{POLICY_EXEC, NULL, "scp -t /tmp/x", false},
		{POLICY_EXEC, NULL, "scp -t '/tmp/x y'", false},
		{POLICY_EXEC, NULL, "scp a b", true},
		{POLICY_RSYNC, NULL, "rsync --server -vlogDtpre.iLsfxC . /x",
			true},
		{POLICY_RSYNC, NULL, "rsync --server --sender -e.L . a\\ b",
			true},
		{POLICY_RSYNC, NULL, "rsync --server --daemon .", false},
		{POLICY_RSYNC, NULL, "rsync --server . x && id", false},
		{POLICY_RSYNC, NULL, "rsync -a x y", false},
		{POLICY_EXEC, NULL, "rsync --server . x", false},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const char *patterns[] = {commands[i].pattern, NULL};
		struct policy_decision d = {.verdict = POLICY_PERMIT,
			.allow = commands[i].allow,
			.exec_patterns = patterns};

		if (policy_allows(&d, POLICY_EXEC, commands[i].command) !=
			commands[i].allowed)
			fail_msg("command %zu: %s", i, commands[i].command);
		d.verdict = POLICY_DENY;
		assert_false(
			policy_allows(&d, POLICY_EXEC, commands[i].command));
	}
}

static void test_transfers(void **state)
{
	static const struct {
		const char *command;
		enum policy_transfer transfer;
	} commands[] = {
		{"scp -t .", POLICY_TRANSFER_SCP_SINK},
		{"scp -v -r -f -- -t", POLICY_TRANSFER_SCP_SOURCE},
		{"scp -tf .", POLICY_TRANSFER_NONE},
		{"scp -S ./evil x:y -- -t", POLICY_TRANSFER_NONE},
		{"scp x -t", POLICY_TRANSFER_NONE},
		{"scp -t .; sh", POLICY_TRANSFER_NONE},
		{"rsync --server -e.L . x", POLICY_TRANSFER_RSYNC},
		{"rsync --server --rsh=sh . x", POLICY_TRANSFER_NONE},
		{"bash", POLICY_TRANSFER_NONE},
		{"", POLICY_TRANSFER_NONE},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		assert_int_equal(policy_transfer(commands[i].command),
			commands[i].transfer);
}

static void test_actions(void **state)
{
	struct policy_decision d = {.verdict = POLICY_PERMIT,
		.allow = POLICY_SFTP_READ | POLICY_FORWARD};

	(void)state;
	assert_true(policy_allows(&d, POLICY_SFTP_READ, "sftp"));
	assert_false(policy_allows(&d, POLICY_SFTP_READ, "sftp ../x"));
	assert_false(policy_allows(&d, POLICY_SFTP_WRITE, "sftp"));
	assert_true(policy_allows(&d, POLICY_FORWARD, NULL));
	assert_false(policy_allows(&d, POLICY_SHELL, NULL));
	assert_false(policy_allows(&d, POLICY_AGENT, NULL));
	assert_false(policy_allows(&d, (enum policy_action)0, NULL));
	assert_false(policy_allows(&d, (enum policy_action)(1 << 20), NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_transfers),
		cmocka_unit_test(test_actions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
