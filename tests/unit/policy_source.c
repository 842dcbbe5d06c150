/*
 * Where a policy comes from: includes in sorted order, files that somebody
 * else could write, and the bundle that monitors get.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/policy.h"
#include "files.h"

static int set_up(void **state)
{
	if (files_make(state))
		return -1;
	return mkdir(path_of("d"), 0755);
}

static enum sgb_err load(struct policy **ret, char why[300])
{
	struct diag diag;
	enum sgb_err err;

	*ret = NULL;
	diag_init(&diag);
	err = policy_load(path_of("policy.conf"), ret, &diag);
	diag_first_line(&diag, why, 300);
	diag_done(&diag);
	return err;
}

static struct policy_decision ask(const struct policy *policy)
{
	struct policy_request request = {.via = POLICY_VIA_PROXY,
		.user = "alice",
		.target = "web1",
		.now = 1795419887};
	struct policy_decision decision;

	assert_int_equal(addr_parse("10.0.0.1", &request.source), SGB_OK);
	policy_decide(policy, &request, &decision);
	return decision;
}

static const char target[] =
	"security-group SG_Bridge { instance web1 10.0.1.1 }\n";

/* Reading order is the main file up to the include, then the files in the
 * order of their names, then the rest. */
static void test_order(void **state)
{
	char why[300];
	struct policy *policy;

	(void)state;
	put_file("policy.conf", "\n  include \"d/*.conf\" # all of them\n",
		0644);
	put_file("d/20.conf", "permit alice from any to web1 as b\n", 0644);
	put_file("d/10.conf", target, 0644);
	put_file("d/.hidden.conf", "nonsense\n", 0644);
	assert_int_equal(load(&policy, why), SGB_OK);
	assert_string_equal(ask(policy).rule, "d/20.conf:1");
	assert_string_equal(ask(policy).login, "b");
	policy_free(policy);
	put_file("d/10.conf", "permit alice from any to web1 as a\n", 0644);
	put_file("d/30.conf", target, 0600);
	assert_int_equal(load(&policy, why), SGB_OK);
	assert_string_equal(ask(policy).rule, "d/10.conf:1");
	policy_free(policy);
}

static void test_bundle(void **state)
{
	struct policy_source *source = NULL, *copy = NULL;
	struct policy *policy = NULL;
	struct diag diag;
	struct buf bundle;
	size_t len;

	(void)state;
	put_file("policy.conf", "include \"d/10.conf\"\n", 0644);
	put_file("d/10.conf", "include \"20.conf\"\n", 0644);
	put_file("d/20.conf",
		"permit alice from any to web1 as a\n"
		"security-group SG_Bridge { instance web1 10.0.1.1 }\n",
		0644);
	diag_init(&diag);
	buf_init(&bundle, 1 << 20);
	assert_int_equal(
		policy_source_read(path_of("policy.conf"), &source, &diag),
		SGB_OK);
	assert_int_equal(policy_source_encode(source, &bundle), SGB_OK);
	policy_source_free(source);
	assert_int_equal(
		policy_source_decode(bundle.data, bundle.len, &copy), SGB_OK);
	assert_int_equal(policy_compile(copy, &policy, &diag), SGB_OK);
	assert_string_equal(ask(policy).rule, "d/20.conf:1");
	policy_free(policy);
	policy_source_free(copy);
	for (len = 0; len < bundle.len; len++)
		assert_int_not_equal(
			policy_source_decode(bundle.data, len, &copy), SGB_OK);
	buf_done(&bundle);
	diag_done(&diag);
}

static void refuse(const char *expected)
{
	struct policy *policy;
	char why[300];

	assert_int_not_equal(load(&policy, why), SGB_OK);
	assert_null(policy);
	if (!strstr(why, expected))
		fail_msg("\"%s\" does not say \"%s\"", why, expected);
}

static void test_unsafe(void **state)
{
	(void)state;
	refuse("No such file");
	put_file("policy.conf", target, 0664);
	refuse("write");
	put_file("policy.conf", target, 0646);
	refuse("write");
	put_file("policy.conf", "include \"d/10.conf\"\n", 0644);
	refuse("policy.conf:1: ");
	put_file("d/10.conf", target, 0666);
	refuse("policy.conf:1: ");
	put_file("d/10.conf", target, 0644);
	assert_int_equal(chmod(path_of("d"), 0777), 0);
	refuse("policy.conf:1: ");
	assert_int_equal(chmod(path_of("d"), 0755), 0);
	assert_int_equal(remove(path_of("d/10.conf")), 0);
	assert_int_equal(symlink("/etc/passwd", path_of("d/10.conf")), 0);
	refuse("policy.conf:1: ");
}

static void test_circles(void **state)
{
	(void)state;
	put_file("policy.conf", "include \"policy.conf\"\n", 0644);
	refuse("included twice");
	put_file("policy.conf", "include \"d/10.conf\"\n", 0644);
	put_file("d/10.conf", "include \"20.conf\"\n", 0644);
	put_file("d/20.conf", "\ninclude \"10.conf\"\n", 0644);
	refuse("included twice");
	put_file("policy.conf", "include \"d/*.conf\"\n", 0644);
	put_file("d/10.conf", "include \"20.conf\"\n", 0644);
	put_file("d/20.conf", "\n", 0644);
	refuse("included twice");
}

/* A mistake in an included file is shown in that file. */
static void test_place(void **state)
{
	(void)state;
	put_file("policy.conf", "include \"d/*.conf\"\n", 0644);
	put_file("d/10.conf", "\n\n permitt\n", 0644);
	refuse("d/10.conf:3:2: unknown statement \"permitt\"");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, files_remove)
	const struct CMUnitTest tests[] = {
		TEST(test_order),
		TEST(test_bundle),
		TEST(test_unsafe),
		TEST(test_circles),
		TEST(test_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
