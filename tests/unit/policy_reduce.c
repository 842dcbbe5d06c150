/*
 * The part of a policy that a login through PAM reads: it says what the whole
 * says, however the whole is written; and the mark that it may be used holds
 * for one exact policy alone. Random policies are in policy_naive.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/policy_int.h"
#include "core/policy_reduce.h"

static struct policy_source *source_of(const char *text)
{
	struct policy_source *source = NULL;

	assert_int_equal(policy_source_text("/etc/sgbridge/policy.conf", text,
				 strlen(text), &source),
		SGB_OK);
	return source;
}

static struct policy *compile(const struct policy_source *source)
{
	struct policy *policy = NULL;
	struct diag diag;

	diag_init(&diag);
	if (policy_compile(source, &policy, &diag)) {
		diag_print(&diag, stderr, false);
		fail_msg("does not compile:\n%s", source->files[0].text);
	}
	diag_done(&diag);
	return policy;
}

static const char *const users[] = {
	"alice", "bob", "carol", "mallory", "root", "self", "any2", NULL};
static const char *const services[] = {"sshd", "sudo", NULL};
static const char *const sources[] = {
	"203.0.113.9", "198.51.100.7", "2001:db8:7::1", NULL};

static void compare(const struct policy *whole, const struct policy *part,
	const char *user, const char *service, const char *from)
{
	static const char *const unix_groups[] = {"@ops", NULL};
	struct policy_request request = {.via = POLICY_VIA_PAM,
		.service = service,
		.user = user,
		.groups = unix_groups,
		.now = 1795431086};
	struct policy_decision a, b;

	assert_int_equal(addr_parse(from, &request.source), SGB_OK);
	policy_decide(whole, &request, &a);
	policy_decide(part, &request, &b);
	if (a.verdict != b.verdict || a.reason != b.reason || a.mfa != b.mfa ||
		strcmp(a.rule ? a.rule : "-", b.rule ? b.rule : "-"))
		fail_msg("%s via %s from %s: whole %d by %s, part %d by %s",
			user, service, from, a.verdict, a.rule, b.verdict,
			b.rule);
}

static void check_all(const char *text)
{
	struct policy_source *source = source_of(text), *less = NULL;
	struct policy *whole = compile(source);
	size_t u, s, f;

	for (u = 0; users[u]; u++) {
		struct policy *part;

		assert_int_equal(
			policy_source_reduce(source, users[u], &less), SGB_OK);
		assert_true(less->files[0].len <= source->files[0].len);
		part = compile(less);
		for (s = 0; services[s]; s++)
			for (f = 0; sources[f]; f++)
				compare(whole, part, users[u], services[s],
					sources[f]);
		assert_int_equal(
			policy_root_login(whole), policy_root_login(part));
		policy_free(part);
		policy_source_free(less);
	}
	policy_free(whole);
	policy_source_free(source);
}

#define NETS \
	"network office 203.0.113.0/24, 2001:db8:7::/48\n" \
	"network vpn 198.51.100.0/25\n"

static void test_forms(void **state)
{
	static const char *const texts[] = {
		NETS "permit alice from office to self via sshd\n",
		/* over several lines, with comments between */
		NETS
		"permit alice, # first\n\tbob,\n\n\tcarol from office,\n"
		"\tvpn to self via sshd, # both\n\tsudo {\n\tmfa always\n}\n"
		"deny bob\tfrom vpn to self\n",
		/* groups that are declared behind, and through each other */
		NETS "permit Ops from any to self\npermit Dev from vpn to self "
		     "{ mfa remember 5m }\ngroup Ops alice, Dev\n"
		     "group Dev carol, @ops\n",
		/* blocks with braces, semicolons and strings in them */
		NETS "security-group Self {\n\tinstance self1 10.0.0.1 { login "
		     "ops; port 22 }\n\taccept tcp 22 from office priority 1\n"
		     "}\npermit alice from office to Self as ops { allow exec "
		     "\"a } # { ;\" }\npermit bob from any to self\n"
		     "deny mallory from any to any\n"
		     "deny carol from vpn to self via sudo\n",
		/* a jump host of a group that no rule names */
		NETS "security-group bob {\n\tinstance far1 10.3.0.1 { via "
		     "hop1 }\n\taccept tcp 22 from Near\n}\n"
		     "security-group Near {\n\tinstance hop1 10.2.0.1\n}\n"
		     "permit bob from any to self\n",
		/* several statements on a line */
		NETS "permit alice from office to self; permit bob from vpn to "
		     "self; deny carol from any to self\n",
		/* hours, expiry, keys, root */
		NETS "hours work Mon-Sun 00:00-24:00 UTC\nhours never Sat "
		     "03:00-03:01 UTC\npermit alice from office to self during "
		     "work\npermit bob from office to self during never\n"
		     "permit carol from office to self { expires 2020-01-01 }\n"
		     "permit root from office to self via sudo\n"
		     "keys { accept ed25519; root-login yes }\n",
		/* names that look like words of the language */
		NETS "group self2 alice\npermit self2 from office to self\n"
		     "permit any2 from office to "
		     "self via sudo\n",
		/* no line feed at the end; nothing for anybody */
		"network a 10.0.0.0/8\npermit zed from a to self",
		"",
		"# nothing\n\n",
		"permit any from any to self",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		check_all(texts[i]);
}

/* Rules for other people, and what only they name, are not read. */
static void test_less(void **state)
{
	struct policy_source *source, *less = NULL;
	size_t size;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);
	int i;

	(void)state;
	assert_non_null(out);
	for (i = 0; i < 1000; i++)
		fprintf(out,
			"network n%d 10.%d.%d.0/24\n"
			"permit u%d from n%d to self via sshd\n",
			i, i / 250, i % 250, i, i);
	fclose(out);
	source = source_of(text);
	assert_int_equal(policy_source_reduce(source, "u617", &less), SGB_OK);
	assert_true(less->files[0].len < 2200);
	assert_non_null(strstr(less->files[0].text, "network n617 "));
	assert_null(strstr(less->files[0].text, "n616"));
	policy_source_free(less);
	policy_source_free(source);
	free(text);
}

struct room {
	char dir[64], policy[100], extra[100], mark[100];
};

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
}

static bool holds(const struct room *room)
{
	struct policy_source *source = NULL;
	struct diag diag;
	bool result;

	diag_init(&diag);
	assert_int_equal(
		policy_source_read(room->policy, &source, &diag), SGB_OK);
	result = policy_mark_holds(room->mark, source);
	policy_source_free(source);
	diag_done(&diag);
	return result;
}

static void mark(const struct room *room)
{
	struct policy_source *source = NULL;
	struct diag diag;

	diag_init(&diag);
	assert_int_equal(
		policy_source_read(room->policy, &source, &diag), SGB_OK);
	assert_int_equal(policy_mark_write(room->mark, source), SGB_OK);
	policy_source_free(source);
	diag_done(&diag);
	assert_true(holds(room));
}

static void test_mark(void **state)
{
	static const char first[] =
		"include \"*.inc\"\npermit alice from any to self\n";
	struct room room;
	char line[300];
	FILE *file;

	(void)state;
	strcpy(room.dir, "/tmp/sgb-mark.XXXXXX");
	assert_non_null(mkdtemp(room.dir));
	snprintf(room.policy, sizeof(room.policy), "%s/policy.conf", room.dir);
	snprintf(room.extra, sizeof(room.extra), "%s/a.inc", room.dir);
	snprintf(room.mark, sizeof(room.mark), "%s/good", room.dir);
	write_file(room.policy, first, 0644);
	assert_false(holds(&room)); /* none */
	mark(&room);
	/* One byte, the same length; whatever the times of the files say. */
	write_file(room.policy,
		"include \"*.inc\"\npermit alicf from any to self\n", 0644);
	assert_false(holds(&room));
	write_file(room.policy, first, 0644);
	assert_true(holds(&room));
	/* A file that comes, changes and goes; its text in another place. */
	write_file(room.extra, "deny alice from any to self\n", 0644);
	assert_false(holds(&room));
	mark(&room);
	write_file(room.extra, "deny alicf from any to self\n", 0644);
	assert_false(holds(&room));
	assert_int_equal(unlink(room.extra), 0);
	assert_false(holds(&room));
	mark(&room);
	/* Another version's, a cut one, one that others may write. */
	file = fopen(room.mark, "r");
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	fclose(file);
	line[strlen(line) - 3] ^= 1;
	write_file(room.mark, line, 0644);
	assert_false(holds(&room));
	mark(&room);
	assert_int_equal(truncate(room.mark, 40), 0);
	assert_false(holds(&room));
	mark(&room);
	assert_int_equal(chmod(room.mark, 0666), 0);
	assert_false(holds(&room));
	assert_int_equal(unlink(room.mark), 0);
	assert_int_equal(symlink(room.policy, room.mark), 0);
	assert_false(holds(&room));
	assert_int_equal(unlink(room.mark), 0);
	assert_int_equal(unlink(room.policy), 0);
	assert_int_equal(rmdir(room.dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_less),
		cmocka_unit_test(test_mark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
