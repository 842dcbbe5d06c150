/*
 * pam_sgbridge.so through the real libpam (pam_start_confdir), with an own
 * service folder, store and policy in a temporary folder; no root. The flows
 * of sshd, sudo, su and the proxy's monitor are imitated by the PAM items and
 * environment that those set (measured on OpenSSH 9.2).
 *
 * getpwnam_r, time, clock_nanosleep and __syslog_chk of the module resolve to
 * the ones here: accounts, the clock, and a log that can be read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/diag.h"
#include "core/err.h"
#include "../../pam_module/otp_store.h"

#define CONNECTION "192.0.2.7 40000 192.0.2.1 22"
#define ELSEWHERE  "198.51.100.9 40000 192.0.2.1 22"

#define ED_B64 \
	"AAAAC3NzaC1lZDI1NTE5AAAAIL+qO2GwWMn3EfK3S1rcop5dJnP7I5hUmZyU" \
	"GiRFmav8"

#define RSA_B64 \
	"AAAAB3NzaC1yc2EAAAADAQABAAABAQC5Al/eaVN30XoPft5I9WuYgo1T5+4W" \
	"on3EXREmY3kJ8a3XpcHy283mHoGzAvnbN4/o/Q5HidPilSgdgGuBaaXRqDqp" \
	"wQ69RAfx9ex0cryh0z9k54pVpxJxeuV+O5nEe9WFegzICiJoLPaMpKG4Utj6" \
	"RaH2XjOyKELchJ13MxFF3Tyxi+TvfGoAP3fZeVwxS4DSrXp/VAQdD9EohOFR" \
	"Y95rgRCdS+JT3HpFHrpZoYtwyevvYrF4hIEuyxMufquFlho51vEHE5NlMDiY" \
	"u7cTS2AlJ/RteuJjeUDlhZJGTXtvPn4gEPj6OG0+rw9VBNSFSoSd+lSWuEYa" \
	"vyEHvhOeqeIJ"

#define CERT_B64 \
	"AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIBJXSbMx" \
	"MkN+JI0yg+WcDSQcJW+Ln4c+MboE8SHQdlzmAAAAIL+qO2GwWMn3EfK3S1rc" \
	"op5dJnP7I5hUmZyUGiRFmav8AAAAAAAAAAAAAAABAAAAAmlkAAAACQAAAAVh" \
	"bGljZQAAAABeC+EAAAAAAHDb2IAAAAAXAAAAD3ZlcmlmeS1yZXF1aXJlZAAA" \
	"AAAAAACCAAAAFXBlcm1pdC1YMTEtZm9yd2FyZGluZwAAAAAAAAAXcGVybWl0" \
	"LWFnZW50LWZvcndhcmRpbmcAAAAAAAAAFnBlcm1pdC1wb3J0LWZvcndhcmRp" \
	"bmcAAAAAAAAACnBlcm1pdC1wdHkAAAAAAAAADnBlcm1pdC11c2VyLXJjAAAA" \
	"AAAAAAAAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIKPVVmNgYngNiibxM9LmaWvL" \
	"cGbxt1IfZtPjBbSc57QwAAAAUwAAAAtzc2gtZWQyNTUxOQAAAECN50j0T5ax" \
	"RRWqazlcA2KCiuQBRt7wrNfWybyjZC3OcmBshm4CCS41RUA0MMmsrQm2Tki/" \
	"NNuEL5mpIzxXDlcI"

#define EC_B64 \
	"AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHepFy0E" \
	"bpK+saNeXKjIXSzKuuaVetkWApd8j+QzQjcUzlq89ltd+zvGTBnvy4uMBHAe" \
	"zxJZOWV41+pw0hX+Z3E="

#define CA_B64 \
	"AAAAC3NzaC1lZDI1NTE5AAAAIKPVVmNgYngNiibxM9LmaWvLcGbxt1IfZtPj" \
	"BbSc57Qw"

#define ED_LINE	  "publickey ssh-ed25519 " ED_B64 "\n"
#define EC_LINE	  "publickey ecdsa-sha2-nistp256 " EC_B64 "\n"
#define RSA_LINE  "publickey ssh-rsa " RSA_B64 "\n"
#define CERT_LINE "publickey ssh-ed25519-cert-v01@openssh.com " CERT_B64 "\n"
#define PAM_LINE  "keyboard-interactive/pam\n"

static char folder[] = "/tmp/sgb-pam-XXXXXX";
static char conf_path[100];
static struct conf *conf;
static time_t fake_now = 1800000000;
static char log_text[65536];
static unsigned int waits; /* refusals that were held back */
static char shown[2048];   /* what the person saw, prompts included */

SGB_EXPORT time_t time(time_t *ret);
SGB_EXPORT int clock_nanosleep(clockid_t clock, int flags,
	const struct timespec *until, struct timespec *left);
SGB_EXPORT int fdatasync(int fd);
SGB_EXPORT int getpwnam_r(const char *name, struct passwd *pw, char *room,
	size_t len, struct passwd **ret);
SGB_EXPORT void __syslog_chk(int priority, int flag, const char *fmt, ...);

time_t time(time_t *ret)
{
	if (ret)
		*ret = fake_now;
	return fake_now;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until,
	struct timespec *left)
{
	(void)until;
	(void)left;
	assert_int_equal(clock, CLOCK_MONOTONIC);
	assert_int_equal(flags, TIMER_ABSTIME);
	waits++;
	return 0;
}

static bool signal_armed;
static volatile sig_atomic_t signals_seen;

static void count_signal(int number)
{
	(void)number;
	signals_seen++;
}

/* LoginGraceTime strikes while the state is being written. */
int fdatasync(int fd)
{
	if (signal_armed) {
		assert_int_equal(kill(getpid(), SIGTERM), 0);
		assert_int_equal(kill(getpid(), SIGALRM), 0);
		assert_int_equal(signals_seen, 0);
	}
	return fsync(fd);
}

int getpwnam_r(const char *name, struct passwd *pw, char *room, size_t len,
	struct passwd **ret)
{
	static const struct {
		const char *name;
		uid_t uid;
	} people[] = {{"root", 0}, {"toor", 0}, {"alice", 1001}, {"bob", 1002},
		{"carol", 1003}, {"dave", 1004}, {"robot", 1005}};
	size_t i;

	(void)room;
	(void)len;
	*ret = NULL;
	if (!strcmp(name, "nsserror"))
		return EIO;
	for (i = 0; i < sizeof(people) / sizeof(people[0]); i++) {
		/* A directory service that folds cases. */
		if (strcasecmp(people[i].name, name))
			continue;
		memset(pw, 0, sizeof(*pw));
		pw->pw_name = (char *)(uintptr_t)people[i].name;
		pw->pw_uid = people[i].uid;
		*ret = pw;
	}
	return 0;
}

void __syslog_chk(int priority, int flag, const char *fmt, ...)
{
	size_t used = strlen(log_text);
	va_list args;

	(void)priority;
	(void)flag;
	va_start(args, fmt);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	vsnprintf(log_text + used, sizeof(log_text) - used, fmt, args);
#pragma GCC diagnostic pop
	va_end(args);
	used = strlen(log_text);
	snprintf(log_text + used, sizeof(log_text) - used, "\n");
}

/* One login as an application would do it. */
struct flow {
	const char *service;
	const char *user;
	const char *ruser;
	const char *rhost;
	const char *connection;
	const char *auth_info;	/* in auth and account */
	const char *final_info; /* in session; NULL: as auth_info */
	const char *mfa;
	const char *answer; /* NULL: the conversation fails */
	const char *then;   /* to further prompts; NULL: as answer */
	int flags;
	bool skip_auth;
	int prompts;	 /* counted */
	char factor[20]; /* SGB_FACTOR, or "" */
	int auth, account, session, setcred;
};

static int converse(int count, const struct pam_message **messages,
	struct pam_response **ret, void *data)
{
	struct flow *flow = data;
	struct pam_response *replies;
	size_t used;
	int i;

	replies = calloc((size_t)count, sizeof(*replies));
	if (!replies)
		return PAM_BUF_ERR;
	for (i = 0; i < count; i++) {
		used = strlen(shown);
		snprintf(shown + used, sizeof(shown) - used, "[%d]%s\n",
			messages[i]->msg_style, messages[i]->msg);
		if (messages[i]->msg_style != PAM_PROMPT_ECHO_OFF)
			continue;
		flow->prompts++;
		if (!flow->answer) {
			free(replies);
			return PAM_CONV_ERR;
		}
		replies[i].resp = strdup(flow->prompts > 1 && flow->then
						 ? flow->then
						 : flow->answer);
	}
	*ret = replies;
	return PAM_SUCCESS;
}

static void put_env(pam_handle_t *pamh, const char *name, const char *value)
{
	char *text = NULL;

	if (!value)
		return;
	assert_true(asprintf(&text, "%s=%s", name, value) > 0);
	assert_int_equal(pam_putenv(pamh, text), PAM_SUCCESS);
	free(text);
}

static void set_item(pam_handle_t *pamh, int type, const char *value)
{
	if (value)
		assert_int_equal(pam_set_item(pamh, type, value), PAM_SUCCESS);
}

static pam_handle_t *start(struct flow *flow)
{
	struct pam_conv conv = {converse, flow};
	pam_handle_t *pamh = NULL;
	char services[100];

	snprintf(services, sizeof(services), "%s/pam.d", folder);
	assert_int_equal(pam_start_confdir(flow->service, flow->user, &conv,
				 services, &pamh),
		PAM_SUCCESS);
	set_item(pamh, PAM_RUSER, flow->ruser);
	set_item(pamh, PAM_RHOST, flow->rhost);
	put_env(pamh, "SSH_CONNECTION", flow->connection);
	put_env(pamh, "SSH_AUTH_INFO_0", flow->auth_info);
	put_env(pamh, "SGB_MFA", flow->mfa);
	put_env(pamh, "SGB_CONN", flow->mfa ? "conn-4711" : NULL);
	return pamh;
}

/* Runs all phases, whatever the earlier ones said. */
static int run(struct flow *flow)
{
	pam_handle_t *pamh;
	const char *value;

	log_text[0] = '\0';
	shown[0] = '\0';
	flow->prompts = 0;
	flow->auth = -1;
	waits = 0;
	pamh = start(flow);
	if (!flow->skip_auth)
		flow->auth = pam_authenticate(pamh, flow->flags);
	flow->account = pam_acct_mgmt(pamh, 0);
	flow->setcred = pam_setcred(pamh, PAM_ESTABLISH_CRED);
	put_env(pamh, "SSH_AUTH_INFO_0", flow->final_info);
	flow->session = pam_open_session(pamh, 0);
	value = pam_getenv(pamh, "SGB_FACTOR");
	snprintf(flow->factor, sizeof(flow->factor), "%s", value ? value : "");
	/* libpam repeats the verdict of a failed auth here, and runs the
	 * modules after a good one. */
	if (flow->auth == PAM_SUCCESS)
		assert_int_equal(flow->setcred, PAM_SUCCESS);
	if (flow->session == PAM_SUCCESS)
		assert_int_equal(
			pam_close_session(pamh, PAM_SILENT), PAM_SUCCESS);
	assert_int_equal(pam_end(pamh, PAM_SUCCESS), PAM_SUCCESS);
	return flow->auth;
}

/* For child processes, which must not come back into the test. */
static void attempt_and_exit(struct flow *flow)
{
	pam_handle_t *pamh = start(flow);
	int result = pam_authenticate(pamh, 0);

	_exit(result);
}

static struct flow sshd_flow(const char *user, const char *answer)
{
	return (struct flow){
		.service = "sshd",
		.user = user,
		.connection = CONNECTION,
		.rhost = "192.0.2.7",
		.auth_info = ED_LINE,
		.final_info = ED_LINE PAM_LINE,
		.answer = answer,
	};
}

static struct flow proxy_flow(const char *user, const char *answer)
{
	struct flow flow = sshd_flow(user, answer);

	flow.service = "sgbridge";
	flow.final_info = NULL;
	flow.mfa = "always";
	return flow;
}

/* The code of user's token, steps away from now. */
static const char *code_of(const char *user, int steps)
{
	static char code[OTP_DIGITS_MAX + 1];
	char why[OTP_WHY_MAX];
	struct otp_store store;
	struct otp_entry entry;
	uint64_t counter;

	assert_int_equal(otp_store_open(conf, &store, why), SGB_OK);
	assert_int_equal(
		otp_entry_lock(&store, user, false, &entry, why), SGB_OK);
	counter = entry.token.kind == OTP_HOTP
			  ? entry.state.used
			  : (uint64_t)fake_now / entry.token.period;
	assert_int_equal(
		otp_code(&entry.token, counter + (uint64_t)steps, code),
		SGB_OK);
	otp_entry_unlock(&entry);
	otp_store_close(&store);
	return code;
}

/* A step on, so that every test has a fresh code. */
static const char *fresh_code(const char *user)
{
	fake_now += 90;
	return code_of(user, 0);
}

static void write_file(const char *name, mode_t mode, const char *text)
{
	char path[200];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void write_service(const char *name, const char *arguments)
{
	static const char *const phases[] = {
		"auth", "account", "session", "password"};
	char module[600], text[4096] = "", path[100];
	ssize_t len;
	size_t i;

	/* The program is BUILD/tests/unit/pam. */
	len = readlink("/proc/self/exe", module, 512);
	assert_true(len > 0);
	module[len] = '\0';
	for (i = 0; i < 3; i++)
		*strrchr(module, '/') = '\0';
	strcat(module, "/pam_sgbridge.so");
	for (i = 0; i < 4; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			"%s requisite %s conf=%s%s\n", phases[i], module,
			conf_path, arguments);
	snprintf(path, sizeof(path), "pam.d/%s", name);
	write_file(path, 0644, text);
}

/* The module among others: lines of one phase, %s standing for it. */
static void write_stack(const char *name, const char *lines)
{
	char text[4096] = "", path[100], own[600];
	const char *mark;
	ssize_t len;
	size_t i;

	len = readlink("/proc/self/exe", own, 512);
	assert_true(len > 0);
	own[len] = '\0';
	for (i = 0; i < 3; i++)
		*strrchr(own, '/') = '\0';
	while ((mark = strstr(lines, "OWN"))) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			"%.*s%s/pam_sgbridge.so conf=%s", (int)(mark - lines),
			lines, own, conf_path);
		lines = mark + 3;
	}
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s", lines);
	snprintf(path, sizeof(path), "pam.d/%s", name);
	write_file(path, 0644, text);
}

static const char policy_text[] =
	"network office 192.0.2.0/24\n"
	"group People alice, bob, carol, dave, ghost, root, toor, Alice\n"
	"keys {\n"
	"	accept ed25519, rsa >= 3072\n"
	"	root-login %s\n"
	"	user-ca %s/ca.pub\n"
	"}\n"
	"permit People from office to self via sshd, sudo, su "
	"{ mfa always }\n"
	"permit robot from 192.0.2.7 to self via sshd { mfa never }\n"
	"permit zoe from office to self via sshd { mfa remember 10m }\n";

static const char *root_login = "no";

static void write_policy(const char *carol)
{
	char text[4000];
	char rest[2000];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(rest, sizeof(rest), policy_text, root_login, folder);
#pragma GCC diagnostic pop
	snprintf(text, sizeof(text), "%s%s", carol, rest);
	write_file("policy.conf", 0644, text);
}

static void enrol(const char *user, enum otp_kind kind)
{
	char why[OTP_WHY_MAX];
	struct otp_store store;
	struct otp_entry entry;
	struct otp_token token;

	assert_int_equal(otp_store_open(conf, &store, why), SGB_OK);
	assert_int_equal(
		otp_entry_lock(&store, user, true, &entry, why), SGB_OK);
	assert_int_equal(otp_token_make(&token, 1), SGB_OK);
	token.kind = kind;
	assert_int_equal(otp_entry_activate(&entry, &token), SGB_OK);
	otp_entry_unlock(&entry);
	otp_store_close(&store);
}

static int setup(void **state)
{
	char text[1000];
	struct diag diag;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(conf_path, sizeof(conf_path), "%s/sgbridge.conf", folder);
	snprintf(text, sizeof(text), "%s/pam.d", folder);
	assert_int_equal(mkdir(text, 0755), 0);
	snprintf(text, sizeof(text), "%s/otp", folder);
	assert_int_equal(mkdir(text, 0700), 0);
	snprintf(text, sizeof(text),
		"policy %s/policy.conf\nmaster-key %s/master.key\n"
		"otp-directory %s/otp\naudit off\n",
		folder, folder, folder);
	write_file("sgbridge.conf", 0644, text);
	write_file("ca.pub", 0644,
		"# none\nssh-ed25519\nssh-ed25519 "
		"AAAAC3NzaC1lZDI1NTE5AAAAIKPVVmNgYngNiibxM9LmaWvLcGbxt1IfZtPjBb"
		"Sc57Qw ca\n");
	write_file("master.key", 0400,
		"00112233445566778899aabbccddeeff"
		"00112233445566778899aabbccddeeff\n");
	write_policy("permit carol from office to self via sshd "
		     "{ mfa remember 10m }\n");
	write_service("sshd", "");
	write_service("sudo", " debug");
	write_service("su", "");
	write_service("sgbridge", " proxy");
	write_service("strange", " nullok");
	diag_init(&diag);
	assert_int_equal(conf_load(conf_path, &conf, &diag), SGB_OK);
	diag_done(&diag);
	enrol("alice", OTP_TOTP);
	enrol("bob", OTP_HOTP);
	enrol("carol", OTP_TOTP);
	enrol("root", OTP_TOTP);
	enrol("proxyonly", OTP_TOTP);
	return 0;
}

static int teardown(void **state)
{
	char command[200];

	(void)state;
	conf_free(conf);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static void assert_logged(const char *text)
{
	if (!strstr(log_text, text))
		fail_msg("not in the log: %s\n%s", text, log_text);
}

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
	write_file("ca.pub", 0644, "ssh-ed25519 " ED_B64 "\n");
	flow.answer = fresh_code("alice");
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	assert_logged("certificate by SHA256:");
	write_file("ca.pub", 0644, "ssh-ed25519 " CA_B64 " ca\n");
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
	assert_logged("conn=-");
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

/* Whatever is broken denies, with the place in the log. */
static void test_broken_configuration(void **state)
{
	struct flow flow = sshd_flow("alice", "000000");
	char path[200];

	(void)state;
	flow.service = "strange";
	assert_int_equal(run(&flow), PAM_AUTHINFO_UNAVAIL);
	assert_int_equal(flow.account, PAM_SYSTEM_ERR);
	assert_int_equal(flow.session, PAM_SESSION_ERR);
	assert_logged("reason=bad-module-argument");
	assert_logged("nullok");
	flow.service = "sshd";
	write_file("policy.conf", 0644, "permit everybody\n");
	assert_int_equal(run(&flow), PAM_AUTHINFO_UNAVAIL);
	assert_int_equal(flow.account, PAM_SYSTEM_ERR);
	assert_logged("reason=configuration");
	assert_logged("policy.conf:1:");
	write_policy("");
	snprintf(path, sizeof(path), "%s/policy.conf", folder);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(run(&flow), PAM_AUTHINFO_UNAVAIL);
	assert_int_equal(chmod(path, 0644), 0);
	snprintf(path, sizeof(path), "%s/otp", folder);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(run(&flow), PAM_AUTHINFO_UNAVAIL);
	assert_logged("reason=code-store");
	assert_int_equal(chmod(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/master.key", folder);
	assert_int_equal(chmod(path, 0444), 0);
	assert_int_equal(run(&flow), PAM_AUTHINFO_UNAVAIL);
	assert_int_equal(chmod(path, 0400), 0);
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	flow.answer = fresh_code("alice");
	assert_int_equal(run(&flow), PAM_SUCCESS);
	write_policy("permit carol from office to self via sshd "
		     "{ mfa remember 10m }\n");
}

/* Many processes at once, started by closing a pipe. Returns how many got
 * in; the others must have been refused as `refusal`. */
static int race(struct flow *flow, int count, int refusal)
{
	int gate[2], i, status, good = 0;
	char byte;

	assert_int_equal(pipe(gate), 0);
	for (i = 0; i < count; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid)
			continue;
		close(gate[1]);
		(void)!read(gate[0], &byte, 1);
		attempt_and_exit(flow);
	}
	close(gate[0]);
	close(gate[1]);
	for (i = 0; i < count; i++) {
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == PAM_SUCCESS)
			good++;
		else
			assert_int_equal(WEXITSTATUS(status), refusal);
	}
	return good;
}

static void test_one_code_many_logins(void **state)
{
	struct flow flow;
	int round;

	(void)state;
	for (round = 0; round < 5; round++) {
		flow = sshd_flow("alice", fresh_code("alice"));
		assert_int_equal(race(&flow, 24, PAM_AUTH_ERR), 1);
	}
	flow = sshd_flow("alice", fresh_code("alice"));
	assert_int_equal(race(&flow, 200, PAM_AUTH_ERR), 1);
	/* None of that counted as guessing. */
	flow.answer = fresh_code("alice");
	assert_int_equal(run(&flow), PAM_SUCCESS);
}

/* Killed at any moment: the next login works, the used code stays used. */
static void test_killed(void **state)
{
	struct flow flow = sshd_flow("alice", NULL);
	int round;

	(void)state;
	for (round = 0; round < 40; round++) {
		const struct timespec wait = {0, round * 100000L};
		int status;
		pid_t pid;

		flow.answer = fresh_code("alice");
		pid = fork();
		assert_true(pid >= 0);
		if (!pid)
			attempt_and_exit(&flow);
		nanosleep(&wait, NULL);
		kill(pid, round % 2 ? SIGKILL : SIGTERM);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), PAM_SUCCESS);
			assert_int_equal(run(&flow), PAM_AUTH_ERR);
			assert_logged("reason=replayed-code");
		}
		flow.answer = fresh_code("alice");
		assert_int_equal(run(&flow), PAM_SUCCESS);
	}
}

static void test_signals_wait(void **state)
{
	struct sigaction count = {.sa_handler = count_signal}, term, alarm;
	struct flow flow = sshd_flow("alice", fresh_code("alice"));

	(void)state;
	assert_int_equal(sigaction(SIGTERM, &count, &term), 0);
	assert_int_equal(sigaction(SIGALRM, &count, &alarm), 0);
	signal_armed = true;
	assert_int_equal(run(&flow), PAM_SUCCESS);
	signal_armed = false;
	assert_int_equal(signals_seen, 2);
	assert_int_equal(sigaction(SIGTERM, &term, &count), 0);
	/* The module has left the handlers alone. */
	assert_ptr_equal(count.sa_handler, count_signal);
	assert_int_equal(sigaction(SIGALRM, &alarm, NULL), 0);
}

/* Everything of a process that a module could leave behind changed. */
struct trace {
	size_t files;
	sigset_t mask;
	uintptr_t handlers[65];
	struct rlimit limits[RLIM_NLIMITS];
	uid_t uids[3];
	gid_t gids[3];
	char cwd[4096];
	char locale[256];
	char environment[65536];
};

static void look(struct trace *trace)
{
	struct sigaction action;
	size_t used = 0;
	int i;

	memset(trace, 0, sizeof(*trace));
	for (i = 0; i < 256; i++)
		trace->files += fcntl(i, F_GETFD) >= 0;
	assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &trace->mask), 0);
	for (i = 1; i < 65; i++)
		if (!sigaction(i, NULL, &action))
			trace->handlers[i] = (uintptr_t)action.sa_handler;
	for (i = 0; i < RLIM_NLIMITS; i++)
		(void)getrlimit((__rlimit_resource_t)i, &trace->limits[i]);
	(void)getresuid(&trace->uids[0], &trace->uids[1], &trace->uids[2]);
	(void)getresgid(&trace->gids[0], &trace->gids[1], &trace->gids[2]);
	assert_non_null(getcwd(trace->cwd, sizeof(trace->cwd)));
	snprintf(trace->locale, sizeof(trace->locale), "%s",
		setlocale(LC_ALL, NULL));
	for (i = 0; environ[i] && used < sizeof(trace->environment); i++)
		used += (size_t)snprintf(trace->environment + used,
			sizeof(trace->environment) - used, "%s\n", environ[i]);
}

#ifdef __SANITIZE_ADDRESS__
static const bool under_asan = true;
#else
static const bool under_asan = false;
#endif

/* Resident memory in kilobytes. */
static unsigned long resident(void)
{
	unsigned long size = 0, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &size, &pages), 2);
	fclose(file);
	return pages * 4;
}

/* A thousand logins later the host finds itself as it was. */
static void test_leaves_no_trace(void **state)
{
	static struct trace before, after;
	struct flow flow = sshd_flow("alice", NULL);
	mode_t mask = umask(027);
	unsigned long memory = 0;
	int i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		flow.answer = fresh_code("alice");
		assert_int_equal(run(&flow), PAM_SUCCESS);
		if (i == 0)
			look(&before);
		if (i == 100)
			memory = resident();
	}
	flow.answer = "";
	assert_int_equal(run(&flow), PAM_AUTH_ERR);
	look(&after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(umask(mask), 027);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	/* ASan's quarantine grows. */
	if (!under_asan)
		assert_in_range(resident(), 0, memory + 512);
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
		cmocka_unit_test(test_broken_configuration),
		cmocka_unit_test(test_one_code_many_logins),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_signals_wait),
		cmocka_unit_test(test_leaves_no_trace),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
