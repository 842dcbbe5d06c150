/*
 * Talking to the person, and to the administrator about the person. The
 * person learns yes or no and a reference number; why goes to syslog and the
 * kernel's audit trail. Replies of a conversation are foreign bytes: bounded,
 * copied, wiped.
 */
#include "login.h"

#include <libaudit.h>
#include <security/pam_ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "core/kaudit.h"
#include "core/log.h"
#include "core/secret.h"

#define ANSWER_MAX 1024

static const struct {
	const char *slug;
	int code[3];
} reasons[REASON_COUNT] = {
#define X(name, slug, auth, account, session) \
	[REASON_##name] = {slug, {auth, account, session}},
#include "reason.def"
#undef X
};

const char *reason_slug(enum reason reason)
{
	return reasons[reason].slug;
}

static const struct pam_conv *conversation(struct login *login)
{
	const void *conv = NULL;

	if (pam_get_item(login->pamh, PAM_CONV, &conv) != PAM_SUCCESS)
		return NULL;
	return conv;
}

/* pam_prompt() does the same but leaves the reply's memory unwiped. */
static int converse(
	struct login *login, int style, const char *text, char **ret)
{
	const struct pam_conv *conv = conversation(login);
	const struct pam_message message = {.msg_style = style, .msg = text};
	const struct pam_message *messages = &message;
	struct pam_response *reply = NULL;
	int result;

	if (!conv || !conv->conv)
		return PAM_CONV_ERR;
	result = conv->conv(1, &messages, &reply, conv->appdata_ptr);
	if (result == PAM_SUCCESS && ret && reply && reply->resp &&
		strnlen(reply->resp, ANSWER_MAX) < ANSWER_MAX)
		*ret = strdup(reply->resp);
	if (reply) {
		secret_free_cstring(reply->resp);
		free(reply);
	}
	return result;
}

enum reason login_ask(
	struct login *login, const char *prompt, char **ret_answer)
{
	char *answer = NULL;
	int result = converse(login, PAM_PROMPT_ECHO_OFF, prompt, &answer);

	if (result != PAM_SUCCESS) {
		secret_free_cstring(answer);
		return REASON_CONVERSATION;
	}
	/* Too long, or none: a wrong answer like others. */
	if (!answer)
		answer = strdup("");
	if (!answer)
		return REASON_MEMORY;
	/* sshd's stand-in for the answers of people who may not log in. */
	if (answer[0] == '\b')
		snprintf(login->why, sizeof(login->why),
			"sshd replaced the answer: no such account, or root");
	*ret_answer = answer;
	return REASON_GRANTED;
}

void login_tell(struct login *login, int style, const char *text)
{
	if (!((unsigned int)login->flags & PAM_SILENT))
		(void)converse(login, style, text, NULL);
}

static int log_level(enum reason reason)
{
	switch (reason) {
	case REASON_GRANTED: return LOG_INFO;
	case REASON_ARGUMENT: return LOG_ERR;
	case REASON_CONFIG: return LOG_ALERT;
	case REASON_INTERNAL:
	case REASON_MEMORY:
	case REASON_STORE:
	case REASON_AUDIT:
	case REASON_LOOKUP: return LOG_CRIT;
	default: return LOG_NOTICE;
	}
}

static const char *phase_text(enum phase phase)
{
	static const char *const texts[] = {"auth", "account", "session"};

	return texts[phase];
}

static const char *fingerprint(const struct login *login)
{
	return login->auth.key_count ? login->auth.keys[0].fingerprint : "-";
}

static const char *or_dash(const char *text)
{
	return text && *text ? text : "-";
}

/* One line a decision, key=value. */
static void write_log(
	struct login *login, enum reason reason, const char *audit_note)
{
	char user[200], why[600], conn[100], source[ADDR_TEXT_MAX];

	log_escape(or_dash(login->user), user, sizeof(user));
	log_escape(login->why, why, sizeof(why));
	log_escape(or_dash(login->conn), conn, sizeof(conn));
	pam_syslog(login->pamh, log_level(reason),
		"phase=%s verdict=%s user=\"%s\" source=%s port=%u key=%s "
		"method=%s reason=%s rule=%s ref=%s conn=%s%s%s%s%s",
		phase_text(login->phase),
		reason == REASON_GRANTED ? "granted" : "denied", user,
		login->local ? "local" : addr_text(&login->source, source),
		login->port, fingerprint(login), login->method,
		reason_slug(reason), or_dash(login->decision.rule), login->ref,
		conn, audit_note, *why ? " detail=\"" : "", why,
		*why ? "\"" : "");
}

/* What this denial is in the kernel's own words, beside the plain record. */
static int anomaly(const struct login *login, enum reason reason)
{
	if (reason == REASON_ROOT)
		return AUDIT_ANOM_LOGIN_ROOT;
	if (login->lock_begins)
		return AUDIT_ANOM_LOGIN_FAILURES;
	if (reason != REASON_POLICY)
		return 0;
	return login->decision.reason == POLICY_HOURS
		       ? AUDIT_ANOM_LOGIN_TIME
		       : AUDIT_ANOM_LOGIN_LOCATION;
}

static enum sgb_err write_audit(struct login *login, enum reason reason)
{
	static const struct {
		int type;
		const char *op;
	} kinds[] = {
		[PHASE_AUTH] = {AUDIT_USER_AUTH, "sgbridge:mfa"},
		[PHASE_ACCOUNT] = {AUDIT_USER_ACCT, "sgbridge:policy"},
		[PHASE_SESSION] = {AUDIT_USER_ACCT, "sgbridge:session"},
	};
	char source[ADDR_TEXT_MAX];
	/* Not "fp", which ausearch -i takes for capabilities. */
	const char *fields[] = {"method", login->method, "reason",
		reason_slug(reason), "rule", or_dash(login->decision.rule),
		"fingerprint", fingerprint(login), "ref", login->ref, "conn",
		or_dash(login->conn), "service", or_dash(login->service), NULL};
	struct kaudit_record record = {
		.type = kinds[login->phase].type,
		.op = kinds[login->phase].op,
		.ok = reason == REASON_GRANTED,
		.user = login->user,
		.addr = addr_text(&login->source, source),
		.terminal = login->local ? login->tty : "ssh",
		.fields = fields,
	};
	enum sgb_err err = kaudit_send(&record);

	record.type = anomaly(login, reason);
	if (record.type)
		(void)!kaudit_send(&record);
	return err;
}

/* With the argument `debug`: what the decision was made from. */
static void login_debug(struct login *login)
{
	static const char *const factors[] = {"always", "remember", "never"};
	char user[200], service[100];

	if (!login->args.debug)
		return;
	log_escape(or_dash(login->user), user, sizeof(user));
	log_escape(or_dash(login->service), service, sizeof(service));
	pam_syslog(login->pamh, LOG_DEBUG,
		"debug phase=%s user=\"%s\" service=%s conf=%s proxy=%d "
		"local=%d keys=%zu kbdint=%d mfa=%s seconds=%llu",
		phase_text(login->phase), user, service, login->args.conf_path,
		login->args.proxy, login->local, login->auth.key_count,
		login->auth.kbdint_pam, factors[login->decision.mfa],
		(unsigned long long)login->decision.mfa_seconds);
}

int login_finish(struct login *login, enum reason reason)
{
	/* Without a readable configuration nobody has switched audit off. */
	enum conf_audit audit = login->conf ? login->conf->audit
					    : CONF_AUDIT_TRY;
	const char *note = "";
	char text[64];

	login_debug(login);
	if (audit != CONF_AUDIT_OFF) {
		enum sgb_err err = write_audit(login, reason);

		if (err)
			note = " audit=unavailable";
		if (reason == REASON_GRANTED && kaudit_denies(audit, err))
			reason = REASON_AUDIT;
	}
	write_log(login, reason, note);
	if (reason != REASON_GRANTED) {
		snprintf(text, sizeof(text), "Access denied (reference %s)",
			login->ref);
		login_tell(login, PAM_ERROR_MSG, text);
	}
	return reasons[reason].code[login->phase];
}
