/*
 * pam_sgbridge.so: key-only logins, source and hours by policy, and a second
 * factor, for sshd, sudo and su, and for the proxy's monitor (argument
 * `proxy`). Runs as root inside a host it does not know: no threads, forks,
 * signal handlers, DNS, network, environment changes, or files that a user
 * controls. Every path that is not a clear yes denies; nothing is ever
 * ignored. pam_sgbridge(8) is the specification.
 */
#include <errno.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "core/err.h"
#include "core/secret.h"
#include "login.h"
#include "login_enrol.h"
#include "otp_store.h"

#define PROMPT "One-time code: "

/* From the answer to a refusal, whatever the work in between. */
#define REFUSAL_FLOOR_NS 400000000L

SGB_EXPORT int pam_sm_authenticate(
	pam_handle_t *pamh, int flags, int argc, const char **argv);
SGB_EXPORT int pam_sm_setcred(
	pam_handle_t *pamh, int flags, int argc, const char **argv);
SGB_EXPORT int pam_sm_acct_mgmt(
	pam_handle_t *pamh, int flags, int argc, const char **argv);
SGB_EXPORT int pam_sm_open_session(
	pam_handle_t *pamh, int flags, int argc, const char **argv);
SGB_EXPORT int pam_sm_close_session(
	pam_handle_t *pamh, int flags, int argc, const char **argv);
SGB_EXPORT int pam_sm_chauthtok(
	pam_handle_t *pamh, int flags, int argc, const char **argv);

static void floor_wait(const struct timespec *since)
{
	struct timespec until = *since;

	until.tv_nsec += REFUSAL_FLOOR_NS;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) ==
		EINTR)
		;
}

static enum reason reason_of_result(
	struct login *login, const struct otp_outcome *out)
{
	login->method = out->method ? out->method : "none";
	login->lock_begins = out->lock_begins;
	login->scratch_left = out->scratch_left;
	switch (out->result) {
	case OTP_RIGHT:
		login->scratch_spent = !strcmp(login->method, "scratch");
		return REASON_GRANTED;
	case OTP_REPLAYED: return REASON_REPLAYED;
	case OTP_CLOCK: return REASON_CLOCK;
	case OTP_LOCKED:
		if (out->wait)
			snprintf(login->why, sizeof(login->why),
				"for %llu more seconds",
				(unsigned long long)out->wait);
		else
			snprintf(login->why, sizeof(login->why),
				"until: sgbridge-otp unlock %s", login->user);
		return REASON_LOCKED;
	case OTP_WRONG: break;
	}
	return REASON_WRONG;
}

static enum reason check_code(
	struct login *login, const struct otp_store *store, const char *answer)
{
	struct otp_question question = {
		.answer = answer,
		.source = login->source,
		.now = (uint64_t)time(NULL),
		.window = store->window,
		.tries = store->tries,
	};
	char subject[1024];
	struct otp_grace_request grace = {.subject = subject};
	struct otp_outcome out;
	enum sgb_err err;

	if (login->decision.mfa == POLICY_MFA_REMEMBER &&
		login_subject(login, subject, sizeof(subject)))
		grace.seconds = login->decision.mfa_seconds;
	err = otp_store_check(
		store, login->user, &question, &out, &grace, login->why);
	if (err == SGB_ERR_NOTFOUND)
		return login_enrol(login, store, answer);
	return err ? REASON_STORE : reason_of_result(login, &out);
}

static bool remembered(struct login *login, const struct otp_store *store)
{
	char subject[1024];
	struct otp_grace_request grace = {.subject = subject};

	if (login->decision.mfa != POLICY_MFA_REMEMBER ||
		!login_subject(login, subject, sizeof(subject)))
		return false;
	grace.seconds = login->decision.mfa_seconds;
	return otp_store_remembers(
		store, login->user, &grace, (uint64_t)login->now);
}

/* Whoever is refused already is asked all the same, and waits as long. */
static enum reason ask_and_check(
	struct login *login, struct otp_store *store, enum reason so_far)
{
	struct timespec answered;
	char *answer = NULL;
	enum reason reason = login_ask(login, PROMPT, &answer);

	clock_gettime(CLOCK_MONOTONIC, &answered);
	if (reason == REASON_GRANTED) {
		if (so_far == REASON_GRANTED)
			reason = check_code(login, store, answer);
		else
			reason = so_far;
		if (reason != REASON_GRANTED)
			floor_wait(&answered);
	} else if (so_far != REASON_GRANTED) {
		reason = so_far;
	}
	secret_free_cstring(answer);
	return reason;
}

static enum reason second_factor(struct login *login, enum reason so_far)
{
	struct otp_store store = {.dir = -1};
	enum reason reason;

	if (so_far == REASON_GRANTED) {
		if (login->root_already ||
			login->decision.mfa == POLICY_MFA_NEVER) {
			login->method = "exempt";
			return REASON_GRANTED;
		}
		if (otp_store_open(login->conf, &store, login->why))
			so_far = REASON_STORE;
	}
	if (so_far == REASON_GRANTED && remembered(login, &store)) {
		login->method = "remembered";
		reason = REASON_GRANTED;
	} else {
		reason = ask_and_check(login, &store, so_far);
	}
	otp_store_close(&store);
	return reason;
}

static void tell_scratch(struct login *login)
{
	char text[80];

	if (!login->scratch_spent || login->scratch_left > 2)
		return;
	snprintf(text, sizeof(text), "You have %u scratch code%s left.",
		login->scratch_left, login->scratch_left == 1 ? "" : "s");
	login_tell(login, PAM_TEXT_INFO, text);
}

/* The proxy's monitor says in its events which factor it was. Elsewhere the
 * variable would reach the person's shell. */
static int tell_monitor(struct login *login)
{
	char text[40];

	if (!login->args.proxy)
		return PAM_SUCCESS;
	snprintf(text, sizeof(text), "SGB_FACTOR=%s", login->method);
	return pam_putenv(login->pamh, text);
}

int pam_sm_authenticate(
	pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct login login;
	enum reason reason;
	int result;

	login_pass_clear(pamh);
	reason = login_begin(&login, pamh, PHASE_AUTH, flags, argc, argv);
	reason = second_factor(&login, reason);
	if (reason == REASON_GRANTED)
		reason = login_pass_set(&login);
	result = login_finish(&login, reason);
	if (result == PAM_SUCCESS && tell_monitor(&login) != PAM_SUCCESS)
		result = PAM_BUF_ERR;
	if (result == PAM_SUCCESS)
		tell_scratch(&login);
	else
		login_pass_clear(pamh);
	login_end(&login);
	return result;
}

/* After keyboard-interactive a failing setcred ends sshd's child with a fatal
 * error; there is nothing to establish here. */
int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
	return PAM_SUCCESS;
}

/* Was a second factor asked for in this transaction? sudo and su have their
 * own reasons not to ask (timestamps, NOPASSWD), which are theirs to judge. */
static enum reason account_verdict(struct login *login)
{
	bool passed = login_pass_there(login);

	if (login->local) {
		login->method = passed ? login->passed : "local";
		return REASON_GRANTED;
	}
	if (passed) {
		login->method = login->passed;
		return REASON_GRANTED;
	}
	if (!login->args.proxy && login->decision.mfa == POLICY_MFA_NEVER) {
		login->method = "exempt";
		return REASON_GRANTED;
	}
	snprintf(login->why, sizeof(login->why),
		"no second factor was asked for: check AuthenticationMethods "
		"in sshd_config");
	return REASON_NO_FACTOR;
}

int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct login login;
	enum reason reason;
	int result;

	reason = login_begin(&login, pamh, PHASE_ACCOUNT, flags, argc, argv);
	if (reason == REASON_GRANTED)
		reason = account_verdict(&login);
	result = login_finish(&login, reason);
	login_end(&login);
	return result;
}

/* sshd's final list: the key, and keyboard-interactive through PAM unless the
 * policy exempts. The only place where an exempt person's key is known. */
static enum reason session_verdict(struct login *login)
{
	if (login->local) {
		login->method = "local";
		return REASON_GRANTED;
	}
	if (login->args.proxy ? login_pass_there(login)
			      : login->auth.kbdint_pam) {
		login->method = "asked";
		return REASON_GRANTED;
	}
	if (!login->args.proxy && login->decision.mfa == POLICY_MFA_NEVER) {
		login->method = "exempt";
		return REASON_GRANTED;
	}
	return REASON_NO_FACTOR;
}

int pam_sm_open_session(
	pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct login login;
	enum reason reason;
	int result;

	reason = login_begin(&login, pamh, PHASE_SESSION, flags, argc, argv);
	if (reason == REASON_GRANTED)
		reason = session_verdict(&login);
	result = login_finish(&login, reason);
	login_end(&login);
	return result;
}

int pam_sm_close_session(
	pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
	return PAM_SUCCESS;
}

/* 8 to 30 characters is the rule; pam_pwquality knows no upper end. */
#define PASSWORD_MAX 30

/* Printable ASCII: what a console and every keyboard can type again. */
static bool password_fits(const char *text)
{
	size_t len = strnlen(text, PASSWORD_MAX + 1), i;

	for (i = 0; i < len; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	return len && len <= PASSWORD_MAX;
}

/* A check between pam_pwquality, which has asked, and pam_unix, which will
 * store: it sets nothing, so it is never the last password line. */
int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	const void *item = NULL;
	const char *text = NULL;
	int i;

	/* Those of the other lines mean nothing here, and do no harm. */
	for (i = 0; i < argc; i++)
		if (strncmp(argv[i], "conf=", 5) && strcmp(argv[i], "debug")) {
			pam_syslog(pamh, LOG_ERR, "argument %s", argv[i]);
			return PAM_SERVICE_ERR;
		}
	if ((unsigned int)flags & PAM_PRELIM_CHECK)
		return PAM_SUCCESS;
	if (pam_get_item(pamh, PAM_AUTHTOK, &item) == PAM_SUCCESS)
		text = item;
	if (!text) {
		pam_syslog(pamh, LOG_ERR,
			"no new password to look at: pam_sgbridge stands "
			"below pam_pwquality. One-time codes are changed with "
			"sgbridge-otp");
		return PAM_AUTHTOK_ERR;
	}
	if (password_fits(text))
		return PAM_SUCCESS;
	if (!((unsigned int)flags & PAM_SILENT))
		(void)pam_error(pamh,
			"A password has at most %d characters, letters, "
			"digits and signs of ASCII.",
			PASSWORD_MAX);
	return PAM_AUTHTOK_ERR;
}
