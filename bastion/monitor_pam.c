/*
 * The second factor: one PAM transaction a connection, run where the secrets
 * are and the SSH protocol is not. Prompts go to the session process and
 * answers come back; the deadline of the login holds meanwhile, and a module
 * that hangs is ended by sgbridged with this process.
 *
 * PAM sees what sshd would show it (SSH_CONNECTION, SSH_AUTH_INFO_0, RHOST,
 * TTY), what policy decided (SGB_MFA), which connection it is (SGB_CONN), and
 * the sealed settings and policy that are in force (SGB_CONF_FD,
 * SGB_POLICY_FD). The module believes SGB_* only where its service line says
 * `proxy`.
 */
#include "monitor.h"

#include <errno.h>
#include <poll.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/log.h"
#include "core/secret.h"

#define PROMPTS_MAX 8
#define TEXT_MAX    480

/* What a conversation needs; PAM hands it back to us as appdata. */
struct talk {
	struct monitor *m;
	char text[TEXT_MAX]; /* messages not shown yet */
	bool broken;	     /* the session or the deadline is gone */
};

static void add_text(struct talk *talk, const char *text)
{
	size_t used = strlen(talk->text);

	if (!text || !*text)
		return;
	snprintf(talk->text + used, sizeof(talk->text) - used, "%s%s",
		used ? "\n" : "", text);
}

static enum sgb_err send_prompts(
	struct talk *talk, int count, const struct pam_message **msgs)
{
	struct msg msg;
	uint32_t prompts = 0;
	enum sgb_err err;
	int i;

	for (i = 0; i < count; i++)
		prompts += msgs[i]->msg_style == PAM_PROMPT_ECHO_OFF ||
			   msgs[i]->msg_style == PAM_PROMPT_ECHO_ON;
	msg_init(&msg, MSG_SES_PROMPT);
	buf_put_cstring(&msg.body, "");
	buf_put_cstring(&msg.body, talk->text);
	buf_put_u32(&msg.body, prompts);
	for (i = 0; i < count; i++) {
		if (msgs[i]->msg_style != PAM_PROMPT_ECHO_OFF &&
			msgs[i]->msg_style != PAM_PROMPT_ECHO_ON)
			continue;
		buf_put_cstring(&msg.body, msgs[i]->msg);
		buf_put_u8(&msg.body, msgs[i]->msg_style == PAM_PROMPT_ECHO_ON);
	}
	err = msg_send(talk->m->session, &msg);
	msg_done(&msg);
	talk->text[0] = '\0';
	return err;
}

/* Waits for one message of the session, no longer than the login may take;
 * what sgbridged says meanwhile (end, reload) waits in its socket. */
static enum sgb_err wait_answer(struct monitor *m, struct msg *msg)
{
	struct pollfd fd = {.fd = m->session, .events = POLLIN};

	for (;;) {
		uint64_t now = monitor_now_ms();
		enum sgb_err err;
		int ready;

		if (m->deadline_ms && now >= m->deadline_ms)
			return SGB_ERR_TIMEOUT;
		ready = poll(&fd, 1,
			m->deadline_ms ? (int)(m->deadline_ms - now) : -1);
		if (ready < 0 && errno != EINTR)
			return SGB_ERR_SYSTEM;
		if (ready <= 0)
			continue;
		err = msg_recv(m->session, msg);
		if (err != SGB_ERR_AGAIN)
			return err;
	}
}

static enum sgb_err read_answers(
	struct msg *msg, char **answers, uint32_t count)
{
	uint32_t i;

	if (msg->type != MSG_REQ_ANSWER || reader_u32(&msg->reader) != count)
		return SGB_ERR_PHASE;
	for (i = 0; i < count; i++)
		answers[i] = reader_cstring(
			&msg->reader, PAM_MAX_RESP_SIZE - 1);
	return reader_end(&msg->reader);
}

static void free_responses(struct pam_response *responses, int count)
{
	int i;

	for (i = 0; i < count; i++)
		secret_free_cstring(responses[i].resp);
	free(responses);
}

/* Prompts of one conversation call, asked together and answered together. */
static int ask(struct talk *talk, int count, const struct pam_message **msgs,
	struct pam_response *responses)
{
	char *answers[PROMPTS_MAX] = {NULL};
	uint32_t prompts = 0;
	struct msg msg;
	enum sgb_err err;
	int i;

	for (i = 0; i < count; i++) {
		if (msgs[i]->msg_style == PAM_PROMPT_ECHO_OFF ||
			msgs[i]->msg_style == PAM_PROMPT_ECHO_ON)
			prompts++;
		else
			add_text(talk, msgs[i]->msg);
	}
	if (!prompts)
		return PAM_SUCCESS;
	msg_init(&msg, MSG_NONE);
	err = send_prompts(talk, count, msgs);
	if (!err)
		err = wait_answer(talk->m, &msg);
	if (!err)
		err = read_answers(&msg, answers, prompts);
	for (i = 0, prompts = 0; i < count; i++)
		if (msgs[i]->msg_style == PAM_PROMPT_ECHO_OFF ||
			msgs[i]->msg_style == PAM_PROMPT_ECHO_ON)
			responses[i].resp = answers[prompts++];
	msg_done(&msg);
	if (err)
		talk->broken = true;
	return err ? PAM_CONV_ERR : PAM_SUCCESS;
}

static int converse(int count, const struct pam_message **msgs,
	struct pam_response **ret, void *appdata)
{
	struct pam_response *responses;
	struct talk *talk = appdata;
	int result;

	if (!talk || count < 1 || count > PROMPTS_MAX || talk->broken)
		return PAM_CONV_ERR;
	responses = calloc((size_t)count, sizeof(*responses));
	if (!responses)
		return PAM_BUF_ERR;
	result = ask(talk, count, msgs, responses);
	if (result == PAM_SUCCESS)
		*ret = responses;
	else
		free_responses(responses, count);
	return result;
}

static int put_env(pam_handle_t *pamh, const char *fmt, ...) SGB_PRINTF(2, 3);

static int put_env(pam_handle_t *pamh, const char *fmt, ...)
{
	va_list args;
	char *line = NULL;
	int result;

	va_start(args, fmt);
	if (vasprintf(&line, fmt, args) < 0)
		line = NULL;
	va_end(args);
	result = line ? pam_putenv(pamh, line) : PAM_BUF_ERR;
	free(line);
	return result;
}

/* The line sshd would put there: method, algorithm, blob. */
static int put_auth_info(pam_handle_t *pamh, const struct monitor *m)
{
	int result = PAM_BUF_ERR;
	char *base64 = NULL;
	struct buf plain;

	buf_init(&plain, SSHKEY_MAX_BLOB);
	if (!monitor_key_plain(m, &plain))
		base64 = malloc(4 * ((plain.len + 2) / 3) + 1);
	if (base64) {
		(void)EVP_EncodeBlock(
			(unsigned char *)base64, plain.data, (int)plain.len);
		result = put_env(pamh, "SSH_AUTH_INFO_0=publickey %s %s\n",
			m->key.name, base64);
	}
	free(base64);
	buf_done(&plain);
	return result;
}

static int put_mfa(pam_handle_t *pamh, enum policy_mfa mfa, uint64_t seconds)
{
	if (mfa == POLICY_MFA_NEVER)
		return put_env(pamh, "SGB_MFA=never");
	if (mfa == POLICY_MFA_REMEMBER)
		return put_env(pamh, "SGB_MFA=remember:%llu",
			(unsigned long long)seconds);
	return put_env(pamh, "SGB_MFA=always");
}

static int describe(pam_handle_t *pamh, const struct monitor *m,
	enum policy_mfa mfa, uint64_t seconds)
{
	char source[ADDR_TEXT_MAX];
	int result;

	addr_text(&m->source, source);
	result = pam_set_item(pamh, PAM_RHOST, source);
	if (result == PAM_SUCCESS)
		result = pam_set_item(pamh, PAM_TTY, "ssh");
	if (result == PAM_SUCCESS)
		result = put_env(pamh, "SSH_CONNECTION=%s %u %s 22", source,
			m->source_port, m->local_addr);
	if (result == PAM_SUCCESS)
		result = put_auth_info(pamh, m);
	if (result == PAM_SUCCESS)
		result = put_mfa(pamh, mfa, seconds);
	if (result == PAM_SUCCESS)
		result = put_env(pamh, "SGB_CONN=%s", m->conn_id);
	if (result == PAM_SUCCESS)
		result = put_env(pamh, "SGB_CONF_FD=%d", m->conf_fd);
	if (result == PAM_SUCCESS)
		result = put_env(pamh, "SGB_POLICY_FD=%d", m->policy_fd);
	return result;
}

/* All phases in their order; the first that says no is the answer. */
static int run_phases(pam_handle_t *pamh, struct monitor *m)
{
	const char *factor;
	int result;

	result = pam_authenticate(pamh, PAM_DISALLOW_NULL_AUTHTOK);
	if (result == PAM_SUCCESS)
		result = pam_acct_mgmt(pamh, 0);
	if (result == PAM_SUCCESS)
		result = pam_setcred(pamh, PAM_ESTABLISH_CRED);
	if (result == PAM_SUCCESS)
		result = pam_open_session(pamh, 0);
	if (result != PAM_SUCCESS)
		return result;
	m->pam_session = true;
	/* Set by pam_sgbridge. A stack that does not say which factor it was
	 * (and what libpam falls back to, "other", does not) gave none. */
	factor = pam_getenv(pamh, "SGB_FACTOR");
	snprintf(m->mfa, sizeof(m->mfa), "%s", factor ? factor : "");
	return PAM_SUCCESS;
}

struct pam_handle {
	pam_handle_t *pamh;
	struct talk talk;
	struct pam_conv conv;
	int last;
};

static struct pam_handle *start(struct monitor *m)
{
	struct pam_handle *handle = calloc(1, sizeof(*handle));

	if (!handle)
		return NULL;
	handle->talk.m = m;
	handle->conv.conv = converse;
	handle->conv.appdata_ptr = &handle->talk;
	handle->last = pam_start_confdir(m->conf->pam_service, m->user,
		&handle->conv, m->conf->pam_directory, &handle->pamh);
	if (handle->last == PAM_SUCCESS)
		return handle;
	log_put(LOG_ERR, "PAM service %s in %s cannot be started",
		m->conf->pam_service, m->conf->pam_directory);
	free(handle);
	return NULL;
}

/* Never ended, or libpam would unload them. What is wrong with the service is
 * said, and counts, where somebody logs on. */
void monitor_pam_preload(const struct monitor *m)
{
	static const struct pam_conv nobody = {.conv = converse};
	static pam_handle_t *kept;

	if (pam_start_confdir(m->conf->pam_service, NULL, &nobody,
		    m->conf->pam_directory, &kept) != PAM_SUCCESS)
		kept = NULL;
}

void monitor_pam_done(struct monitor *m)
{
	struct pam_handle *handle = m->pam;

	if (!handle)
		return;
	if (m->pam_session) {
		(void)pam_close_session(handle->pamh, PAM_SILENT);
		(void)pam_setcred(handle->pamh, PAM_DELETE_CRED | PAM_SILENT);
	}
	(void)pam_end(handle->pamh, handle->last);
	free(handle);
	m->pam = NULL;
	m->pam_session = false;
}

enum sgb_err monitor_pam_login(struct monitor *m, enum policy_mfa mfa,
	uint64_t mfa_seconds, char *text, size_t text_len)
{
	struct pam_handle *handle;
	const void *name = NULL;

	monitor_pam_done(m);
	handle = start(m);
	if (!handle)
		return SGB_ERR_DENIED;
	m->pam = handle;
	handle->last = describe(handle->pamh, m, mfa, mfa_seconds);
	if (handle->last == PAM_SUCCESS)
		handle->last = run_phases(handle->pamh, m);
	/* A module that renames the user would log on somebody else. */
	if (handle->last == PAM_SUCCESS &&
		(pam_get_item(handle->pamh, PAM_USER, &name) != PAM_SUCCESS ||
			!name || strcmp(name, m->user)))
		handle->last = PAM_PERM_DENIED;
	snprintf(text, text_len, "%s", handle->talk.text);
	if (handle->last == PAM_SUCCESS)
		return SGB_OK;
	log_put(LOG_NOTICE, "%s: PAM refused %s: %s", m->conn_id, m->user,
		pam_strerror(handle->pamh, handle->last));
	if (handle->talk.broken)
		monitor_end(m, RECORDER_CLOSE_CLIENT,
			"The login took too long or was broken off.");
	monitor_pam_done(m);
	return SGB_ERR_DENIED;
}
