/*
 * Unit tests of what people log on with: lines of authorized_keys, and lists of
 * revoked keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../bastion/authkeys.h"
#include "../../bastion/revoked.h"
#include "files.h"
#include "keys_blob.h"

/* Grants, or why not; from 203.0.113.9 at 2026-06-15 12:00 UTC. */
static enum sgb_err try_line(const char *line, struct authkeys_limits *limits)
{
	struct authkeys_limits local;
	struct addr source;
	const struct authkeys_query query = {
		.user = "alice",
		.blob = blob,
		.blob_len = sizeof(blob),
		.source = &source,
		.now = 1781524800,
	};
	char why[256];

	assert_int_equal(addr_parse("203.0.113.9", &source), SGB_OK);
	memset(&local, 0, sizeof(local));
	return authkeys_line(
		line, &query, limits ? limits : &local, why, sizeof(why));
}

static void test_authkeys_plain(void **state)
{
	(void)state;
	assert_int_equal(try_line(KEY_TEXT, NULL), SGB_OK);
	assert_int_equal(try_line("  " KEY_TEXT " a comment", NULL), SGB_OK);
	assert_int_equal(try_line("# " KEY_TEXT, NULL), SGB_ERR_NOTFOUND);
	assert_int_equal(try_line("", NULL), SGB_ERR_NOTFOUND);
	assert_int_equal(try_line(KEY_TEXT "AA", NULL), SGB_ERR_NOTFOUND);
	assert_int_equal(try_line("ssh-rsa AAAAC3NzaC1lZDI1NTE5", NULL),
		SGB_ERR_NOTFOUND);
	/* The type in front must be the type inside. */
	assert_int_equal(
		try_line("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCww"
			 "NDg8QERITFBUWFxgZGhscHR4f",
			NULL),
		SGB_ERR_NOTFOUND);
}

static void test_authkeys_from(void **state)
{
	(void)state;
	assert_int_equal(
		try_line("from=\"203.0.113.0/24\" " KEY_TEXT, NULL), SGB_OK);
	assert_int_equal(
		try_line("from=\"10.0.0.0/8,203.0.113.9\" " KEY_TEXT, NULL),
		SGB_OK);
	assert_int_equal(try_line("from=\"10.0.0.0/8\" " KEY_TEXT, NULL),
		SGB_ERR_DENIED);
	assert_int_equal(
		try_line(
			"from=\"!203.0.113.9,203.0.113.0/24\" " KEY_TEXT, NULL),
		SGB_ERR_DENIED);
	assert_int_equal(try_line("from=\"*.example.org\" " KEY_TEXT, NULL),
		SGB_ERR_DENIED);
	assert_int_equal(try_line("from=\"\" " KEY_TEXT, NULL), SGB_ERR_DENIED);
}

static void test_authkeys_expiry(void **state)
{
	struct authkeys_limits limits;

	(void)state;
	assert_int_equal(
		try_line("expiry-time=\"202606151201Z\" " KEY_TEXT, &limits),
		SGB_OK);
	assert_int_equal(limits.until, 1781524860);
	assert_int_equal(try_line(KEY_TEXT, &limits), SGB_OK);
	assert_int_equal(limits.until, 0);
	assert_int_equal(
		try_line("expiry-time=\"20260616Z\" " KEY_TEXT, NULL), SGB_OK);
	assert_int_equal(try_line("expiry-time=\"20260615Z\" " KEY_TEXT, NULL),
		SGB_ERR_DENIED);
	assert_int_equal(
		try_line("expiry-time=\"202606151200Z\" " KEY_TEXT, NULL),
		SGB_ERR_DENIED);
	assert_int_equal(
		try_line("expiry-time=\"202606151201Z\" " KEY_TEXT, NULL),
		SGB_OK);
	assert_int_equal(try_line("expiry-time=\"tomorrow\" " KEY_TEXT, NULL),
		SGB_ERR_DENIED);
	assert_int_equal(try_line("expiry-time=\"20261345Z\" " KEY_TEXT, NULL),
		SGB_ERR_DENIED);
}

static void test_authkeys_options(void **state)
{
	static const char *const refused[] = {"environment=\"A=b\"",
		"tunnel=\"0\"", "agent", "surprise", "cert-authority",
		"principals=\"alice\"", "no-pty=\"x\"", "no-pty,,", "no-pty,",
		"command=\"\"", "command", "from=\"203.0.113.9\",from=\"::/0\"",
		"command=\"a\",command=\"b\"", "permitopen=\"win1\"",
		"permitopen=\"win1:0\"", "permitopen=\"win1:65536\"",
		"permitopen=\"win1:022\"", "permitopen=\"win1:4294967295\"",
		"permitopen=\":22\"", "permitopen=\"none\"",
		"permitlisten=\"\""};
	struct authkeys_limits limits = {0};
	char line[300];
	size_t i;

	(void)state;
	assert_int_equal(try_line("restrict,pty " KEY_TEXT, &limits), SGB_OK);
	assert_false(limits.no_pty);
	assert_true(limits.no_forward && limits.no_agent && limits.no_x11);
	memset(&limits, 0, sizeof(limits));
	assert_int_equal(try_line("no-pty " KEY_TEXT, &limits), SGB_OK);
	assert_true(limits.no_pty);
	memset(&limits, 0, sizeof(limits));
	assert_int_equal(
		try_line("command=\"echo \\\"a, b\\\"\",verify-required,"
			 "no-touch-required " KEY_TEXT,
			&limits),
		SGB_OK);
	assert_string_equal(limits.command, "echo \"a, b\"");
	assert_true(limits.verify_required && limits.no_touch);
	/* What is not honoured refuses, whatever it means. */
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		snprintf(line, sizeof(line), "%s " KEY_TEXT, refused[i]);
		if (try_line(line, NULL) != SGB_ERR_DENIED)
			fail_msg("granted: %s", refused[i]);
	}
	assert_int_equal(try_line("from=\"203.0.113.9 " KEY_TEXT, NULL),
		SGB_ERR_NOTFOUND);
}

static void test_authkeys_places(void **state)
{
	struct authkeys_limits limits = {0};

	(void)state;
	assert_int_equal(
		try_line("permitopen=\"win1:3389\",permitopen=\"*:80\","
			 "permitopen=\"[2001:db8::1]:*\","
			 "permitlisten=\"8080\" " KEY_TEXT,
			&limits),
		SGB_OK);
	assert_true(authkeys_permits(limits.permit_open, "win1", 3389));
	assert_true(authkeys_permits(limits.permit_open, "any", 80));
	assert_true(authkeys_permits(limits.permit_open, "2001:db8::1", 22));
	assert_false(authkeys_permits(limits.permit_open, "win1", 22));
	assert_false(authkeys_permits(limits.permit_open, "win10", 3389));
	assert_true(authkeys_permits(limits.permit_listen, "localhost", 8080));
	assert_false(authkeys_permits(limits.permit_listen, "localhost", 80));
	assert_true(authkeys_permits("", "any", 1));
}

static enum sgb_err try_revoked(const char *text)
{
	char why[256];
	struct sshkey key;
	struct revoked_query query = {.blob = blob, .blob_len = sizeof(blob)};

	(void)unlink(path_of("list"));
	if (text)
		put_file("list", text, 0644);
	assert_int_equal(sshkey_parse(blob, sizeof(blob), &key), SGB_OK);
	query.fingerprint = key.fingerprint;
	return revoked_check(path_of("list"), &query, why, sizeof(why));
}

static void test_revoked(void **state)
{
	char line[128];
	struct sshkey key;

	(void)state;
	assert_int_equal(sshkey_parse(blob, sizeof(blob), &key), SGB_OK);
	assert_int_equal(try_revoked(""), SGB_OK);
	assert_int_equal(try_revoked("# none yet\n\n"), SGB_OK);
	assert_int_equal(
		try_revoked(KEY_TEXT " lost laptop\n"), SGB_ERR_DENIED);
	snprintf(line, sizeof(line), "# one\n%s lost", key.fingerprint);
	assert_int_equal(try_revoked(line), SGB_ERR_DENIED);
	line[20] ^= 1;
	assert_int_equal(try_revoked(line), SGB_OK);
	/* What is not understood, or not there, refuses. */
	assert_int_equal(try_revoked("MD5:aa:bb\n"), SGB_ERR_FORMAT);
	assert_int_equal(try_revoked("SHA256:short\n"), SGB_ERR_FORMAT);
	assert_int_equal(try_revoked("serial: 5x\n"), SGB_ERR_FORMAT);
	assert_int_equal(try_revoked("serial: 9-5\n"), SGB_ERR_FORMAT);
	assert_int_equal(
		try_revoked("serial: 18446744073709551616\n"), SGB_ERR_FORMAT);
	assert_int_equal(try_revoked("id:\n"), SGB_ERR_FORMAT);
	assert_int_equal(try_revoked("ssh-ed25519 AAAA\n"), SGB_ERR_FORMAT);
	assert_int_equal(try_revoked("SSHKRL\n"), SGB_ERR_FORMAT);
	/* Of certificates alone. */
	assert_int_equal(try_revoked("serial: 0\nid: x\n"), SGB_OK);
	assert_int_equal(try_revoked(NULL), SGB_ERR_NOTFOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_authkeys_plain),
		cmocka_unit_test(test_authkeys_from),
		cmocka_unit_test(test_authkeys_expiry),
		cmocka_unit_test(test_authkeys_options),
		cmocka_unit_test(test_authkeys_places),
		cmocka_unit_test(test_revoked),
	};

	make_blob();
	return cmocka_run_group_tests(tests, files_make, files_remove);
}
