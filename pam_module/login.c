/*
 * Who is it, from where, with which key, and what does the policy say? Reads
 * PAM items and PAM's own environment, never the process's: under su that is
 * the caller's. Trusts sshd (and, with the argument `proxy`, the monitor) for
 * what they put there. Does no DNS and holds no lock, so NSS may block here.
 */
#include "login.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/diag.h"
#include "core/places.h"
#include "core/policy_reduce.h"
#include "core/secret.h"
#include "core/userlock.h"

#define PASSWD_MAX 65536

static void parse_args(struct args *args, int argc, const char **argv)
{
	int i;

	args->conf_path = CONF_DEFAULT_PATH;
	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "conf=/", 6))
			args->conf_path = argv[i] + 5;
		else if (!strcmp(argv[i], "proxy"))
			args->proxy = true;
		else if (!strcmp(argv[i], "debug"))
			args->debug = true;
		else if (!args->unknown)
			args->unknown = argv[i];
	}
}

/* Letters that are read out on the telephone without a question. */
static void make_reference(struct login *login)
{
	static const char letters[] = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
	uint8_t raw[LOGIN_REF_LEN] = {0};
	size_t i;

	(void)!secret_random(raw, sizeof(raw));
	for (i = 0; i < LOGIN_REF_LEN; i++)
		login->ref[i] = letters[raw[i] % 32];
	login->ref[LOGIN_REF_LEN] = '\0';
}

static const char *item(pam_handle_t *pamh, int type)
{
	const void *value = NULL;

	if (pam_get_item(pamh, type, &value) != PAM_SUCCESS)
		return NULL;
	return value;
}

/* A descriptor that the proxy's monitor, this very process, left for us. */
static int sealed_fd(struct login *login, const char *name)
{
	const char *text = pam_getenv(login->pamh, name);
	char *end = NULL;
	long fd;

	if (!text || *text < '0' || *text > '9')
		return -1;
	fd = strtol(text, &end, 10);
	return *end || fd > INT_MAX ? -1 : (int)fd;
}

/* The proxy goes by the policy that is in force, not by what somebody is
 * editing: its monitor hands down sealed copies, and they must be good. Who
 * has none reads the files. */
static enum sgb_err load_files(struct login *login, struct diag *diag)
{
	enum sgb_err err;

	if (login->args.proxy && pam_getenv(login->pamh, "SGB_CONF_FD")) {
		err = conf_load_sealed(
			sealed_fd(login, "SGB_CONF_FD"), &login->conf, diag);
		if (!err)
			err = policy_load_sealed(
				sealed_fd(login, "SGB_POLICY_FD"),
				&login->policy, diag);
		return err;
	}
	err = conf_load(login->args.conf_path, &login->conf, diag);
	if (!err)
		err = policy_load_for(login->conf->policy,
			login->conf->policy_mark, login->user, &login->policy,
			diag);
	return err;
}

static enum reason load_conf(struct login *login)
{
	struct diag diag;
	enum sgb_err err;

	diag_init(&diag);
	err = load_files(login, &diag);
	if (err)
		diag_first_line(&diag, login->why, sizeof(login->why));
	diag_done(&diag);
	return err ? REASON_CONFIG : REASON_GRANTED;
}

/* For su the person who must prove it is the one who invoked it. */
static enum reason find_person(struct login *login)
{
	const char *ruser = item(login->pamh, PAM_RUSER);
	const char *name = NULL;

	if (pam_get_user(login->pamh, &name, NULL) != PAM_SUCCESS || !name)
		return REASON_BAD_NAME;
	if (login->local && ruser && *ruser) {
		login->invoked = true;
		name = ruser;
	}
	login->user = name;
	if (!policy_name_valid(name))
		return REASON_BAD_NAME;
	return REASON_GRANTED;
}

static enum reason find_source(struct login *login)
{
	const char *text = pam_getenv(login->pamh, "SSH_CONNECTION");
	const char *rhost = item(login->pamh, PAM_RHOST);
	enum sgb_err err;

	if (text && *text) {
		err = authinfo_connection(text, &login->source, &login->port);
	} else if (rhost && *rhost) {
		/* A remote service other than sshd. It shows no key, so
		 * this only makes the log say from where. */
		err = authinfo_address(rhost, strlen(rhost), &login->source);
	} else {
		login->local = true;
		err = SGB_OK;
	}
	if (login->local && login->args.proxy)
		err = SGB_ERR_NOTFOUND;
	if (err)
		snprintf(login->why, sizeof(login->why),
			"neither SSH_CONNECTION nor PAM_RHOST has a numeric "
			"address");
	return err ? REASON_CONNECTION : REASON_GRANTED;
}

/* The account, as the system knows it: not root, and spelled like that. */
static enum reason check_account(struct login *login)
{
	struct passwd pw, *found = NULL;
	enum reason reason = REASON_GRANTED;
	char *room = malloc(PASSWD_MAX);
	int error;

	if (!room)
		return REASON_MEMORY;
	error = getpwnam_r(login->user, &pw, room, PASSWD_MAX, &found);
	if (error && error != ENOENT && error != ESRCH)
		reason = REASON_LOOKUP;
	else if (!found || strcmp(found->pw_name, login->user))
		reason = REASON_UNKNOWN_USER;
	else if (found->pw_uid == 0)
		reason = REASON_ROOT;
	free(room);
	return reason;
}

static enum reason check_person(struct login *login)
{
	enum reason reason;

	if (login->args.proxy)
		return strcmp(login->user, "root") ? REASON_GRANTED
						   : REASON_ROOT;
	reason = check_account(login);
	if (reason == REASON_ROOT && policy_root_login(login->policy))
		return REASON_GRANTED; /* a rule must name root all the same */
	if (reason != REASON_ROOT || !login->local)
		return reason;
	/* sudo and su name the invoking user, and the kernel agrees. */
	login->root_already = login->invoked && getuid() == 0;
	return login->root_already ? REASON_GRANTED : REASON_ROOT;
}

static enum reason ask_policy(struct login *login)
{
	struct policy_request request = {
		.via = POLICY_VIA_PAM,
		.service = login->service,
		.user = login->user,
		.source = login->source,
		.local = login->local,
		.now = login->now,
	};
	char **groups = NULL;

	if (policy_unix_groups(login->policy, login->user, &groups))
		return REASON_LOOKUP;
	request.groups = (const char *const *)groups;
	policy_decide(login->policy, &request, &login->decision);
	policy_unix_groups_free(groups);
	if (login->decision.verdict == POLICY_PERMIT)
		return REASON_GRANTED;
	snprintf(login->why, sizeof(login->why), "%s",
		policy_reason_text(login->decision.reason));
	return REASON_POLICY;
}

/* The monitor has asked the policy about the target; it says what that means
 * for the second factor. What it does not say is `always`. */
static enum reason ask_monitor(struct login *login)
{
	const char *mfa = pam_getenv(login->pamh, "SGB_MFA");
	uint64_t seconds;

	login->conn = pam_getenv(login->pamh, "SGB_CONN");
	login->decision.verdict = POLICY_PERMIT;
	login->decision.reason = POLICY_GRANTED;
	login->decision.mfa = POLICY_MFA_ALWAYS;
	if (mfa && !strcmp(mfa, "never")) {
		login->decision.mfa = POLICY_MFA_NEVER;
	} else if (mfa && !strncmp(mfa, "remember:", 9)) {
		if (conf_seconds(mfa + 9, &seconds))
			return REASON_INTERNAL;
		login->decision.mfa = POLICY_MFA_REMEMBER;
		login->decision.mfa_seconds = seconds;
	} else if (mfa && strcmp(mfa, "always")) {
		return REASON_INTERNAL;
	}
	if (!policy_source_known(login->policy, &login->source)) {
		snprintf(login->why, sizeof(login->why), "%s",
			policy_reason_text(POLICY_SOURCE));
		return REASON_POLICY;
	}
	return REASON_GRANTED;
}

enum reason login_begin(struct login *login, pam_handle_t *pamh,
	enum phase phase, int flags, int argc, const char **argv)
{
	enum reason reason;

	memset(login, 0, sizeof(*login));
	login->pamh = pamh;
	login->phase = phase;
	login->flags = flags;
	login->method = "none";
	login->now = time(NULL);
	login->service = item(pamh, PAM_SERVICE);
	login->tty = item(pamh, PAM_TTY);
	parse_args(&login->args, argc, argv);
	make_reference(login);
	if (login->args.unknown) {
		snprintf(login->why, sizeof(login->why), "argument %s",
			login->args.unknown);
		return REASON_ARGUMENT;
	}
	reason = find_source(login);
	if (find_person(login) != REASON_GRANTED)
		return REASON_BAD_NAME;
	login_conn(login);
	if (reason == REASON_GRANTED)
		reason = load_conf(login);
	if (reason == REASON_GRANTED)
		reason = check_person(login);
	if (reason != REASON_GRANTED || login->root_already)
		return reason;
	if (!login->local)
		reason = login_keys(login);
	if (reason == REASON_GRANTED)
		reason = login->args.proxy ? ask_monitor(login)
					   : ask_policy(login);
	if (reason == REASON_GRANTED &&
		userlock_is(login->conf->locks, login->user, login->why,
			sizeof(login->why)))
		reason = REASON_BARRED;
	return reason;
}

void login_end(struct login *login)
{
	policy_free(login->policy);
	conf_free(login->conf);
	secret_wipe(login, sizeof(*login));
}

/* sudo and su have nothing that a memory could be bound to: no key and no
 * source. sudo's own timestamp is made for that. */
bool login_subject(const struct login *login, char *out, size_t len)
{
	char source[ADDR_TEXT_MAX];
	size_t used, i;

	if (login->local || !login->auth.key_count)
		return false;
	used = (size_t)snprintf(out, len, "%s %s", login->service,
		addr_text(&login->source, source));
	for (i = 0; i < login->auth.key_count && used < len; i++)
		used += (size_t)snprintf(out + used, len - used, " %s",
			login->auth.keys[i].fingerprint);
	return used < len;
}
