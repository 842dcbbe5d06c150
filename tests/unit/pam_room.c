/* The room of the tests of pam_sgbridge.so: pam_room.h. */
#include "pam_room.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/diag.h"

static char conf_path[100];
struct conf *conf;
time_t fake_now = 1800000000;
char log_text[65536];
unsigned int waits; /* refusals that were held back */
char shown[2048];   /* what the person saw, prompts included */
const char *room_settings = "audit off\n";
bool (*room_fails)(const char *call, const void *caller);

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

/* Where the state is being written. */
int fdatasync(int fd)
{
	if (room_fails &&
		room_fails("fdatasync", __builtin_return_address(0))) {
		errno = EIO;
		return -1;
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
	if (!strcmp(name, "nsserror") ||
		(room_fails &&
			room_fails("getpwnam_r", __builtin_return_address(0))))
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

void put_env(pam_handle_t *pamh, const char *name, const char *value)
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

pam_handle_t *start(struct flow *flow)
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
int run(struct flow *flow)
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
_Noreturn void attempt_and_exit(struct flow *flow)
{
	pam_handle_t *pamh = start(flow);
	int result = pam_authenticate(pamh, 0);

	_exit(result);
}

struct flow sshd_flow(const char *user, const char *answer)
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

struct flow proxy_flow(const char *user, const char *answer)
{
	struct flow flow = sshd_flow(user, answer);

	flow.service = "sgbridge";
	flow.final_info = NULL;
	flow.mfa = "always";
	return flow;
}

/* The code of user's token, steps away from now. */
const char *code_of(const char *user, int steps)
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
const char *fresh_code(const char *user)
{
	fake_now += 90;
	return code_of(user, 0);
}

void write_service(const char *name, const char *arguments)
{
	static const char *const phases[] = {
		"auth", "account", "session", "password"};
	char text[4096] = "", path[100];
	size_t i;

	for (i = 0; i < 4; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			"%s requisite %s conf=%s%s\n", phases[i],
			built("pam_sgbridge.so"), conf_path, arguments);
	snprintf(path, sizeof(path), "pam.d/%s", name);
	put_file(path, text, 0644);
}

/* The module among others: lines of one phase, %s standing for it. */
void write_stack(const char *name, const char *lines)
{
	char text[4096] = "", path[100];
	const char *mark;

	while ((mark = strstr(lines, "OWN"))) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			"%.*s%s conf=%s", (int)(mark - lines), lines,
			built("pam_sgbridge.so"), conf_path);
		lines = mark + 3;
	}
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s", lines);
	snprintf(path, sizeof(path), "pam.d/%s", name);
	put_file(path, text, 0644);
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

const char *root_login = "no";

void write_policy(const char *carol)
{
	char text[4000];
	char rest[2000];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(rest, sizeof(rest), policy_text, root_login, folder);
#pragma GCC diagnostic pop
	snprintf(text, sizeof(text), "%s%s", carol, rest);
	put_file("policy.conf", text, 0644);
}

void enrol(const char *user, enum otp_kind kind)
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

int setup(void **state)
{
	char text[1000];
	struct diag diag;

	assert_int_equal(files_make(state), 0);
	snprintf(conf_path, sizeof(conf_path), "%s/sgbridge.conf", folder);
	snprintf(text, sizeof(text), "%s/pam.d", folder);
	assert_int_equal(mkdir(text, 0755), 0);
	snprintf(text, sizeof(text), "%s/otp", folder);
	assert_int_equal(mkdir(text, 0700), 0);
	snprintf(text, sizeof(text),
		"policy %s/policy.conf\nmaster-key %s/master.key\n"
		"otp-directory %s/otp\n%s",
		folder, folder, folder, room_settings);
	put_file("sgbridge.conf", text, 0644);
	put_file("ca.pub",
		"# none\nssh-ed25519\nssh-ed25519 "
		"AAAAC3NzaC1lZDI1NTE5AAAAIKPVVmNgYngNiibxM9LmaWvLcGbxt1IfZtPjBb"
		"Sc57Qw ca\n",
		0644);
	put_file("master.key",
		"00112233445566778899aabbccddeeff"
		"00112233445566778899aabbccddeeff\n",
		0400);
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

int teardown(void **state)
{
	conf_free(conf);
	return files_remove(state);
}

void assert_logged(const char *text)
{
	if (!strstr(log_text, text))
		fail_msg("not in the log: %s\n%s", text, log_text);
}
