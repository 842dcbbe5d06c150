/*
 * What pam_sgbridge.so decides, phase by phase: who is admitted, who is
 * refused and why, and what the person and the log are told.
 */
#include "pam_room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_login(void **state)
{
	struct flow flow = sshd_flow("alice", fresh_code("alice"));

	(void)state;
	assert_int_equal(run(&flow), PAM_SUCCESS);
	assert_int_equal(flow.account, PAM_SUCCESS);
	assert_int_equal(flow.session, PAM_SUCCESS);
	assert_int_equal(flow.prompts, 1);
	assert_string_equal(flow.factor, "");
	assert_string_equal(shown, "[1]One-time code: \n");
	assert_logged("phase=auth verdict=granted user=\"alice\" "
		      "source=192.0.2.7 port=40000 key=SHA256:");
	assert_logged("method=totp reason=granted rule=");
	assert_null(strstr(log_text, flow.answer));
	assert_int_equal(waits, 0);
	/* The same code again. */
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_int_equal(waits, 1);
	assert_int_equal(flow.account, PAM_PERM_DENIED);
	assert_logged("reason=replayed-code");
	assert_non_null(strstr(shown, "[3]Access denied (reference "));
	/* HOTP. */
	flow = sshd_flow("bob", code_of("bob", 3));
	assert_int_equal(run(&flow), PAM_SUCCESS);
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_logged("method=hotp reason=replayed-code");
}

/* What is refused in auth, why, and that each was asked the same. */
static void test_refusals(void **state)
{
	static const struct {
		const char *user, *connection, *auth_info, *reason;
	} rows[] = {
		{"alice", ELSEWHERE, ED_LINE, "policy"},
		{"alice", "::ffff:198.51.100.9 1 ::1 22", ED_LINE, "policy"},
		{"alice", "UNKNOWN 65535 UNKNOWN 65535", ED_LINE,
			"no-valid-connection"},
		{"alice", "bastion.example 1 192.0.2.1 22", ED_LINE,
			"no-valid-connection"},
		{"alice", CONNECTION, NULL, "no-publickey"},
		{"alice", CONNECTION, "", "no-publickey"},
		{"alice", CONNECTION, "password\n", "no-publickey"},
		{"alice", CONNECTION, PAM_LINE, "no-publickey"},
		{"alice", CONNECTION, RSA_LINE, "key-not-accepted"},
		{"alice", CONNECTION, EC_LINE, "key-not-accepted"},
		{"alice", CONNECTION, ED_LINE RSA_LINE, "key-not-accepted"},
		{"alice", CONNECTION, "publickey ssh-rsa " ED_B64 "\n",
			"malformed-auth-info"},
		{"alice", CONNECTION, "publickey ssh-ed25519 " ED_B64 " x\n",
			"malformed-auth-info"},
		{"alice", CONNECTION, ED_LINE "\n" PAM_LINE,
			"malformed-auth-info"},
		{"root", CONNECTION, ED_LINE, "root"},
		{"toor", CONNECTION, ED_LINE, "root"},
		{"ghost", CONNECTION, ED_LINE, "unknown-user"},
		{"Alice", CONNECTION, ED_LINE, "unknown-user"},
		{"alice\n", CONNECTION, ED_LINE, "bad-user-name"},
		{"../alice", CONNECTION, ED_LINE, "bad-user-name"},
		{"nsserror", CONNECTION, ED_LINE, "user-lookup-failed"},
		{"dave", CONNECTION, ED_LINE, "not-enrolled"},
		{"proxyonly", CONNECTION, ED_LINE, "unknown-user"},
	};
	struct flow flow;
	char expected[100];
	size_t i;

	(void)state;
	fake_now += 90;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		flow = sshd_flow(rows[i].user, code_of("alice", 0));
		flow.connection = rows[i].connection;
		flow.auth_info = rows[i].auth_info;
		run(&flow);
		snprintf(expected, sizeof(expected),
			"phase=auth verdict=denied");
		assert_logged(expected);
		snprintf(expected, sizeof(expected), "reason=%s ",
			rows[i].reason);
		assert_logged(expected);
		assert_int_not_equal(flow.auth, PAM_SUCCESS);
		assert_int_not_equal(flow.auth, PAM_IGNORE);
		assert_int_not_equal(flow.account, PAM_SUCCESS);
		assert_int_equal(flow.prompts, 1);
		assert_int_equal(waits, 1);
		assert_memory_equal(shown,
			"[1]One-time code: \n[3]Access denied (reference ", 45);
	}
	/* None of these used the code up. */
	flow = sshd_flow("alice", code_of("alice", 0));
	assert_int_equal(run(&flow), PAM_SUCCESS);
}

static void test_root_login(void **state)
{
	struct flow flow = sshd_flow("root", fresh_code("root"));

	(void)state;
	root_login = "yes";
	write_policy("");
	assert_int_equal(run(&flow), PAM_SUCCESS);
	flow = sshd_flow("root", fresh_code("root"));
	flow.connection = ELSEWHERE;
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	root_login = "no";
	write_policy("permit carol from office to self via sshd "
		     "{ mfa remember 10m }\n");
	flow = sshd_flow("root", fresh_code("root"));
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_logged("reason=root");
}

static void test_certificate(void **state)
{
	struct flow flow = sshd_flow("alice", fresh_code("alice"));

	(void)state;
	flow.auth_info = CERT_LINE;
	flow.final_info = CERT_LINE PAM_LINE;
	assert_int_equal(run(&flow), PAM_SUCCESS);
	assert_int_equal(flow.session, PAM_SUCCESS);
	/* A CA that sshd trusts and the policy does not name. */
	put_file("ca.pub", "ssh-ed25519 " ED_B64 "\n", 0644);
	flow.answer = fresh_code("alice");
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_logged("certificate by SHA256:");
	put_file("ca.pub", "ssh-ed25519 " CA_B64 " ca\n", 0644);
	assert_int_equal(run(&flow), PAM_SUCCESS);
	/* It ended on 2030-01-01. */
	fake_now += 100000000;
	flow.answer = fresh_code("alice");
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_logged("reason=key-not-accepted");
	fake_now -= 100000000;
}

/* sshd without an AuthenticationMethods line never runs the auth phase. */
static void test_no_auth_phase(void **state)
{
	struct flow flow = sshd_flow("alice", NULL);

	(void)state;
	flow.skip_auth = true;
	flow.auth_info = "";
	flow.final_info = ED_LINE;
	run(&flow);
	assert_int_equal(flow.account, PAM_PERM_DENIED);
	assert_logged("no-second-factor");
	assert_logged("AuthenticationMethods");
	assert_int_equal(flow.session, PAM_SESSION_ERR);

	flow = sshd_flow("robot", NULL);
	flow.skip_auth = true;
	flow.auth_info = "";
	flow.final_info = ED_LINE;
	run(&flow);
	assert_int_equal(flow.account, PAM_SUCCESS);
	assert_int_equal(flow.session, PAM_SUCCESS);
	assert_logged("phase=session verdict=granted user=\"robot\"");
	/* Its key is known in the session phase only. */
	flow.final_info = RSA_LINE;
	run(&flow);
	assert_int_equal(flow.account, PAM_SUCCESS);
	assert_int_equal(flow.session, PAM_SESSION_ERR);
	flow.final_info = ED_LINE;
	flow.connection = "192.0.2.8 40000 192.0.2.1 22";
	run(&flow);
	assert_int_equal(flow.account, PAM_PERM_DENIED);
}

/* The pass of the auth phase is for one person in one transaction. */
static void test_pass(void **state)
{
	struct flow flow = sshd_flow("alice", fresh_code("alice"));
	pam_handle_t *pamh = start(&flow);

	(void)state;
	assert_int_equal(pam_authenticate(pamh, 0), PAM_SUCCESS);
	assert_int_equal(pam_acct_mgmt(pamh, 0), PAM_SUCCESS);
	assert_int_equal(pam_set_item(pamh, PAM_USER, "bob"), PAM_SUCCESS);
	assert_int_equal(pam_acct_mgmt(pamh, 0), PAM_PERM_DENIED);
	assert_int_equal(pam_set_item(pamh, PAM_USER, "alice"), PAM_SUCCESS);
	put_env(pamh, "SSH_CONNECTION", "192.0.2.8 1 192.0.2.1 22");
	assert_int_equal(pam_acct_mgmt(pamh, 0), PAM_PERM_DENIED);
	put_env(pamh, "SSH_CONNECTION", CONNECTION);
	assert_int_equal(pam_acct_mgmt(pamh, 0), PAM_SUCCESS);
	/* A second, failing attempt ends it. */
	assert_int_equal(pam_authenticate(pamh, 0), PAM_AUTH_ERR);
	assert_int_equal(pam_acct_mgmt(pamh, 0), PAM_PERM_DENIED);
	/* The session's own list counts, not a variable of ours. */
	put_env(pamh, "SSH_AUTH_INFO_0", ED_LINE "password\n");
	assert_int_equal(pam_open_session(pamh, 0), PAM_SESSION_ERR);
	/* It was given no new password to look at. */
	assert_int_equal(pam_chauthtok(pamh, 0), PAM_AUTHTOK_ERR);
	assert_int_equal(pam_end(pamh, PAM_SUCCESS), PAM_SUCCESS);
}

static void test_proxy(void **state)
{
	struct flow flow = proxy_flow("proxyonly", fresh_code("proxyonly"));

	(void)state;
	assert_int_equal(run(&flow), PAM_SUCCESS);
	assert_int_equal(flow.account, PAM_SUCCESS);
	assert_int_equal(flow.session, PAM_SUCCESS);
	assert_string_equal(flow.factor, "totp");
	assert_logged("conn=conn-4711");
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_int_equal(flow.session, PAM_SESSION_ERR);
	flow = proxy_flow("root", fresh_code("root"));
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_logged("reason=root");
	flow = proxy_flow("proxyonly", fresh_code("proxyonly"));
	flow.connection = ELSEWHERE;
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_logged("reason=policy");
	flow = proxy_flow("proxyonly", fresh_code("proxyonly"));
	flow.connection = NULL;
	flow.rhost = NULL;
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_logged("reason=no-valid-connection");
	flow = proxy_flow("proxyonly", NULL);
	flow.mfa = "never";
	assert_int_equal(run(&flow), PAM_SUCCESS);
	assert_int_equal(flow.session, PAM_SUCCESS);
	assert_int_equal(flow.prompts, 0);
	flow.mfa = "sometimes";
	assert_int_not_equal(run(&flow), PAM_SUCCESS);
	flow.skip_auth = true;
	flow.mfa = "never";
	run(&flow);
	assert_int_equal(flow.account, PAM_PERM_DENIED);
	/* Without the argument these variables are anybody's. */
	flow = sshd_flow("alice", "nonsense");
	flow.mfa = "never";
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_logged("conn=host-");
}

static void test_remember(void **state)
{
	struct flow flow = sshd_flow("carol", fresh_code("carol"));

	(void)state;
	assert_int_equal(run(&flow), PAM_SUCCESS);
	assert_int_equal(flow.prompts, 1);
	fake_now += 500;
	flow.answer = "no";
	assert_int_equal(run(&flow), PAM_SUCCESS);
	assert_int_equal(flow.prompts, 0);
	assert_logged("method=remembered");
	/* Another key, another source, another service, too late. */
	flow.auth_info = ED_LINE "publickey ssh-ed25519 "
				 "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAA"
				 "AAAAAAAAAAAAAAAAAAAAAAA\n";
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_int_equal(flow.prompts, 1);
	flow.auth_info = ED_LINE;
	flow.connection = "192.0.2.8 40000 192.0.2.1 22";
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	flow.connection = CONNECTION;
	fake_now += 100;
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	/* The proxy's is a service of its own. */
	flow = proxy_flow("carol", fresh_code("carol"));
	flow.mfa = "remember:600";
	assert_int_equal(run(&flow), PAM_SUCCESS);
	assert_int_equal(flow.prompts, 1);
	assert_int_equal(run(&flow), PAM_SUCCESS);
	assert_int_equal(flow.prompts, 0);
	flow.mfa = "always";
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_int_equal(flow.prompts, 1);
}

static void test_local(void **state)
{
	struct flow flow = {
		.service = "sudo", .user = "alice", .ruser = "alice"};

	(void)state;
	flow.flags = (int)PAM_SILENT;
	flow.answer = fresh_code("alice");
	assert_int_equal(run(&flow), PAM_SUCCESS);
	assert_int_equal(flow.session, PAM_SUCCESS);
	assert_logged("source=local");
	assert_logged("debug phase=auth user=\"alice\" service=sudo");
	assert_logged(" proxy=0 local=1 keys=0 kbdint=0 mfa=always");
	assert_null(strstr(log_text, flow.answer));
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_null(strstr(shown, "Access denied"));
	/* sudo's timestamp: account without auth. */
	flow.skip_auth = true;
	run(&flow);
	assert_int_equal(flow.account, PAM_SUCCESS);
	/* su to root asks the invoking user. */
	flow = (struct flow){.service = "su", .user = "root", .ruser = "alice"};
	flow.answer = fresh_code("root");
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	flow.answer = fresh_code("alice");
	assert_int_equal(run(&flow), PAM_SUCCESS);
	assert_logged("user=\"alice\"");
	/* Somebody whom no rule names, and a console login as root. */
	flow.ruser = flow.user = "robot";
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_logged("reason=policy");
	flow.ruser = NULL;
	flow.user = "root";
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_logged("reason=root");
}

static void invite(const char *user, uint64_t expires, const char *text,
	char code[OTP_SCRATCH_LEN + 1], struct otp_token *token)
{
	char why[OTP_WHY_MAX];
	struct otp_store store;
	struct otp_entry entry;
	struct buf shown_text;

	buf_init(&shown_text, 100);
	buf_printf(&shown_text, "%s", text);
	assert_int_equal(otp_store_open(conf, &store, why), SGB_OK);
	assert_int_equal(
		otp_entry_lock(&store, user, true, &entry, why), SGB_OK);
	assert_int_equal(otp_token_make(token, 1), SGB_OK);
	token->expires = expires;
	assert_int_equal(otp_token_invite(token, code), SGB_OK);
	assert_int_equal(otp_entry_put_text(&entry, &shown_text), SGB_OK);
	assert_int_equal(otp_entry_put_pending(&entry, token), SGB_OK);
	otp_entry_unlock(&entry);
	otp_store_close(&store);
	buf_done(&shown_text);
}

static void test_invitation(void **state)
{
	char invitation[OTP_SCRATCH_LEN + 1], code[OTP_DIGITS_MAX + 1];
	struct otp_token token;
	struct flow flow;

	(void)state;
	/* Too late. */
	invite("dave", (uint64_t)fake_now - 1, "QR", invitation, &token);
	flow = sshd_flow("dave", invitation);
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_logged("reason=not-enrolled");
	invite("dave", (uint64_t)fake_now + 1000, "QR", invitation, &token);
	/* Not without a key, and not without the app. */
	flow.auth_info = "";
	flow.answer = invitation;
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_int_equal(flow.prompts, 1);
	flow.auth_info = ED_LINE;
	flow.then = "??????";
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_int_equal(flow.prompts, 4);
	assert_logged("reason=wrong-code");
	assert_int_equal(otp_code(&token, (uint64_t)fake_now / 30, code), 0);
	flow.answer = code;
	flow.then = code;
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_int_equal(flow.prompts, 1);
	flow.answer = invitation;
	assert_int_equal(run(&flow), PAM_SUCCESS);
	assert_string_equal(shown, "[1]One-time code: \n[4]QR\n"
				   "[1]Code that the app shows now: \n");
	assert_logged("enrolled by invitation");
	/* Spent: the invitation, and the code. */
	flow.then = NULL;
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_logged("reason=wrong-code");
	flow.answer = code;
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_logged("reason=replayed-code");
	flow.answer = fresh_code("dave");
	assert_int_equal(run(&flow), PAM_SUCCESS);
}

/* A denial stays one whatever stands around it, and a stack that leaves the
 * auth line out lets nobody in. */
static void test_stacks(void **state)
{
	static const struct {
		const char *stack;
		bool admits; /* with the right code */
	} rows[] = {
		{"auth required OWN\nauth required pam_permit.so\n"
		 "account required OWN\naccount required pam_permit.so\n",
			true},
		{"auth requisite OWN\nauth sufficient pam_permit.so\n"
		 "account requisite OWN\n",
			true},
		{"auth sufficient OWN\nauth required pam_deny.so\n"
		 "account requisite OWN\n",
			true},
		{"auth [success=1 default=ignore] OWN\n"
		 "auth requisite pam_deny.so\nauth required pam_permit.so\n"
		 "account [success=ok default=die] OWN\n",
			true},
		{"auth required pam_deny.so\nauth required OWN\n"
		 "account required OWN\n",
			false},
		{"auth required pam_permit.so\naccount required OWN\n", false},
	};
	struct flow flow;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_stack("sudo", rows[i].stack);
		flow = sshd_flow("alice", fresh_code("alice"));
		flow.service = "sudo";
		run(&flow);
		assert_int_equal(
			rows[i].admits, flow.auth == PAM_SUCCESS &&
						flow.account == PAM_SUCCESS);
		flow.answer = "??????";
		run(&flow);
		assert_false(flow.auth == PAM_SUCCESS &&
			     flow.account == PAM_SUCCESS);
		flow.answer = fresh_code("alice");
		flow.auth_info = RSA_LINE;
		run(&flow);
		assert_false(flow.auth == PAM_SUCCESS &&
			     flow.account == PAM_SUCCESS);
	}
	write_service("sudo", "");
}

static void test_lock_out(void **state)
{
	struct flow flow = sshd_flow("alice", fresh_code("alice"));
	unsigned int i;

	(void)state;
	assert_int_equal(run(&flow), PAM_SUCCESS);
	flow.answer = "??????";
	fake_now += 90;
	for (i = 0; i < conf->otp_tries; i++)
		assert_int_equal(run(&flow), PAM_AUTH_ERR);
	flow.answer = code_of("alice", 0);
	assert_int_equal(run(&flow), PAM_MAXTRIES);
	assert_int_equal(waits, 1);
	assert_logged("reason=locked");
	assert_memory_equal(
		shown, "[1]One-time code: \n[3]Access denied (reference ", 45);
	/* Without a key there was never a look at the code. */
	fake_now += 30;
	flow.answer = code_of("alice", 0);
	flow.auth_info = "";
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	flow.auth_info = ED_LINE;
	assert_int_equal(run(&flow), PAM_SUCCESS);
}

static void test_odd_conversations(void **state)
{
	struct flow flow = sshd_flow("alice", NULL);
	char *big = malloc(1024 * 1024 + 1);

	(void)state;
	assert_non_null(big);
	assert_int_equal(run(&flow), PAM_CONV_ERR);
	flow.answer = "";
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	memset(big, '1', 1024 * 1024);
	big[1024 * 1024] = '\0';
	flow.answer = big;
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	free(big);
	flow.answer = "\b\n\r\177INCORR";
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_logged("sshd replaced the answer");
	flow.answer = fresh_code("alice");
	assert_int_equal(run(&flow), PAM_SUCCESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_root_login),
		cmocka_unit_test(test_certificate),
		cmocka_unit_test(test_no_auth_phase),
		cmocka_unit_test(test_pass),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_remember),
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_invitation),
		cmocka_unit_test(test_stacks),
		cmocka_unit_test(test_lock_out),
		cmocka_unit_test(test_odd_conversations),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
