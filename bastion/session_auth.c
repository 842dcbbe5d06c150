/*
 * Who the client is: publickey, then keyboard-interactive; inside a proved
 * connection, `none`. Everything is put to the monitor, and only its answer
 * counts. The one judgement made here is libssh's: whether a signature is
 * valid, and for that only the exact state VALID counts (CVE-2018-10933 and
 * others came from less).
 */
#include "session.h"
#include "session_proof.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/sshkey.h"
#include "session_channel.h"

#define AUTH_PROMPTS_MAX 16

static void refuse(struct session *s, ssh_message msg, bool counts)
{
	if (counts)
		s->auth.tries++;
	if (s->auth.tries >= s->start.max_auth_tries) {
		session_end(s, "Too many authentication failures.");
		ssh_message_free(msg);
		return;
	}
	/* What is listed: the key first, and then only the next factor. */
	ssh_message_auth_set_methods(msg, s->auth.key_proved
						  ? SSH_AUTH_METHOD_INTERACTIVE
						  : SSH_AUTH_METHOD_PUBLICKEY);
	ssh_message_reply_default(msg);
	ssh_message_free(msg);
}

static void protocol_error(struct session *s, ssh_message msg, const char *what)
{
	link_report(s, 0, SESSION_REPORT_ANOMALY, 0, 0, what);
	session_end(s, "Protocol error.");
	ssh_message_free(msg);
}

/* The algorithm of the signature is not for us to see in libssh; the name of
 * the key type is, and SHA-1 is not on the list that libssh enforces. */
static const char *algorithm_name(ssh_key key)
{
	switch (ssh_key_type(key)) {
	case SSH_KEYTYPE_ED25519: return "ssh-ed25519";
	case SSH_KEYTYPE_RSA: return "rsa-sha2-512";
	case SSH_KEYTYPE_ECDSA_P256: return "ecdsa-sha2-nistp256";
	case SSH_KEYTYPE_ECDSA_P384: return "ecdsa-sha2-nistp384";
	case SSH_KEYTYPE_ECDSA_P521: return "ecdsa-sha2-nistp521";
	case SSH_KEYTYPE_SK_ECDSA: return "sk-ecdsa-sha2-nistp256@openssh.com";
	case SSH_KEYTYPE_SK_ED25519: return "sk-ssh-ed25519@openssh.com";
	/* What libssh does not look at in these, the monitor does. */
	case SSH_KEYTYPE_ED25519_CERT01:
		return "ssh-ed25519-cert-v01@openssh.com";
	case SSH_KEYTYPE_RSA_CERT01: return "rsa-sha2-512-cert-v01@openssh.com";
	case SSH_KEYTYPE_ECDSA_P256_CERT01:
		return "ecdsa-sha2-nistp256-cert-v01@openssh.com";
	case SSH_KEYTYPE_ECDSA_P384_CERT01:
		return "ecdsa-sha2-nistp384-cert-v01@openssh.com";
	case SSH_KEYTYPE_ECDSA_P521_CERT01:
		return "ecdsa-sha2-nistp521-cert-v01@openssh.com";
	case SSH_KEYTYPE_SK_ECDSA_CERT01:
		return "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com";
	case SSH_KEYTYPE_SK_ED25519_CERT01:
		return "sk-ssh-ed25519-cert-v01@openssh.com";
	default: return NULL;
	}
}

static bool is_security_key(ssh_key key)
{
	enum ssh_keytypes_e type = ssh_key_type(key);

	return type == SSH_KEYTYPE_SK_ECDSA || type == SSH_KEYTYPE_SK_ED25519 ||
	       type == SSH_KEYTYPE_SK_ECDSA_CERT01 ||
	       type == SSH_KEYTYPE_SK_ED25519_CERT01;
}

/* The signature goes along: the monitor believes nobody's word for it. */
static void put_proof(
	struct msg *msg, ssh_key key, const uint8_t *blob, size_t len)
{
	struct session_proof proof;

	(void)proof_take(blob, len, is_security_key(key), &proof);
	buf_put_string(&msg->body, proof.data, proof.len);
	buf_put_string(&msg->body, proof.signature, proof.signature_len);
	proof_free(&proof);
}

static bool ask_about_key(struct session *s, ssh_key key, bool proved)
{
	const char *algorithm = algorithm_name(key);
	char *base64 = NULL;
	uint8_t *blob = NULL;
	size_t len;
	struct msg msg;
	bool asked = false;

	/* Of a certificate, this is all of it. */
	if (!algorithm || ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK)
		return false;
	if (!sshkey_base64_decode(base64, strlen(base64), &blob, &len)) {
		msg_init(&msg, MSG_REQ_AUTH_KEY);
		buf_put_cstring(&msg.body, s->auth.user);
		buf_put_cstring(&msg.body, algorithm);
		buf_put_string(&msg.body, blob, len);
		buf_put_u8(&msg.body, proved ? SESSION_PROOF_SIGNED : 0);
		if (proved) {
			put_proof(&msg, key, blob, len);
		} else {
			buf_put_cstring(&msg.body, "");
			buf_put_cstring(&msg.body, "");
		}
		link_send(s, &msg);
		asked = true;
	}
	free(blob);
	ssh_string_free_char(base64);
	return asked;
}

static void try_key(struct session *s, ssh_message msg)
{
	enum ssh_publickey_state_e state = ssh_message_auth_publickey_state(
		msg);
	bool proved = state == SSH_PUBLICKEY_STATE_VALID;

	if (s->auth.key_proved || s->start.mode != SESSION_MODE_DOOR ||
		(!proved && state != SSH_PUBLICKEY_STATE_NONE) ||
		!ask_about_key(s, ssh_message_auth_pubkey(msg), proved)) {
		refuse(s, msg, true);
		return;
	}
	s->auth.waiting = msg;
	s->auth.waiting_probe = !proved;
	s->auth.waiting_kbd = false;
}

static void try_none(struct session *s, ssh_message msg)
{
	struct msg out;

	if (s->start.mode != SESSION_MODE_INNER || s->auth.key_proved) {
		refuse(s, msg, false);
		/* The first `none` asks for the list; more of them do not. */
		s->auth.tries += s->auth.tries ? 1 : 0;
		return;
	}
	msg_init(&out, MSG_REQ_AUTH_NONE);
	buf_put_cstring(&out.body, s->auth.user);
	link_send(s, &out);
	s->auth.waiting = msg;
	s->auth.waiting_probe = false;
	s->auth.waiting_kbd = false;
}

static void start_interactive(struct session *s, ssh_message msg)
{
	struct msg out;

	if (!s->auth.key_proved) {
		refuse(s, msg, true);
		return;
	}
	msg_init(&out, MSG_REQ_AUTH_KBD);
	buf_put_cstring(&out.body, s->auth.user);
	link_send(s, &out);
	s->auth.waiting = msg;
	s->auth.waiting_probe = false;
	s->auth.waiting_kbd = true;
}

static void take_answers(struct session *s, ssh_message msg)
{
	int count = ssh_userauth_kbdint_getnanswers(s->client.ssh);
	struct msg out;
	unsigned int i;

	if (!s->auth.prompting || count < 0 ||
		(unsigned int)count != s->auth.prompts) {
		protocol_error(s, msg, "answers that nobody asked for");
		return;
	}
	s->auth.prompting = false;
	msg_init(&out, MSG_REQ_ANSWER);
	buf_put_u32(&out.body, (uint32_t)count);
	for (i = 0; i < (unsigned int)count; i++) {
		const char *answer = ssh_userauth_kbdint_getanswer(
			s->client.ssh, i);

		buf_put_cstring(&out.body, answer);
		if (answer)
			OPENSSL_cleanse((char *)answer, strlen(answer));
	}
	link_send(s, &out);
	s->auth.waiting = msg;
	s->auth.waiting_kbd = true;
}

/* The name may not change: what was proved belongs to one name. */
static bool same_user(struct session *s, ssh_message msg)
{
	const char *user = ssh_message_auth_user(msg);

	if (!user || strlen(user) > 255)
		return false;
	if (!s->auth.user)
		s->auth.user = strdup(user);
	return s->auth.user && !strcmp(user, s->auth.user);
}

void auth_message(struct session *s, ssh_message msg)
{
	int method = ssh_message_subtype(msg);

	if (!s->auth.services || s->auth.waiting) {
		protocol_error(s, msg, "authentication out of order");
		return;
	}
	if (method == SSH_AUTH_METHOD_INTERACTIVE &&
		ssh_message_auth_kbdint_is_response(msg) == 1) {
		take_answers(s, msg);
		return;
	}
	if (!same_user(s, msg)) {
		protocol_error(s, msg, "user name changed or too long");
		return;
	}
	s->auth.prompting = false;
	switch (method) {
	case SSH_AUTH_METHOD_NONE: try_none(s, msg); break;
	case SSH_AUTH_METHOD_PUBLICKEY: try_key(s, msg); break;
	case SSH_AUTH_METHOD_INTERACTIVE: start_interactive(s, msg); break;
	default: refuse(s, msg, true); break;
	}
}

/* "alice+web1": the name carries its target. What it means, and whether it
 * may be, is the monitor's to say. */
static bool names_target(const struct session *s)
{
	return s->start.mode == SESSION_MODE_INNER || strchr(s->auth.user, '+');
}

static void logged_on(struct session *s, ssh_message msg)
{
	s->auth.done = true;
	proof_watch(false);
	s->client.state = LEG_READY;
	s->user_active = s->now;
	ssh_message_auth_reply_success(msg, 0);
	if (names_target(s))
		target_ask(s);
}

void auth_show(struct session *s, const char *text)
{
	ssh_string banner;

	if (!text || !text[0])
		return;
	banner = ssh_string_from_char(text);
	if (banner)
		ssh_send_issue_banner(s->client.ssh, banner);
	ssh_string_free(banner);
}

/* Does this answer fit what was asked? A probe can be answered "go on", but
 * never "proved", whatever the monitor's state. */
static bool answer_fits(const struct session *s, uint32_t result)
{
	bool proof = s->auth.waiting && !s->auth.waiting_probe;

	switch (result) {
	case SESSION_AUTH_REFUSED: return s->auth.waiting;
	case SESSION_AUTH_PROBE_OK:
		return s->auth.waiting && s->auth.waiting_probe;
	case SESSION_AUTH_PARTIAL:
		return proof && !s->auth.waiting_kbd &&
		       s->start.mode == SESSION_MODE_DOOR;
	case SESSION_AUTH_DONE: return proof;
	default: return false;
	}
}

enum sgb_err auth_answer(struct session *s, struct msg *msg)
{
	uint32_t result = reader_u32(&msg->reader);
	char *text = reader_cstring(&msg->reader, 4096);
	enum sgb_err err = reader_end(&msg->reader);
	ssh_message waiting = s->auth.waiting;

	if (!err && !answer_fits(s, result))
		err = SGB_ERR_PHASE;
	if (err) {
		free(text);
		return err;
	}
	s->auth.waiting = NULL;
	s->busy = true;
	auth_show(s, text);
	free(text);
	switch (result) {
	case SESSION_AUTH_PROBE_OK:
		ssh_message_auth_reply_pk_ok_simple(waiting);
		break;
	case SESSION_AUTH_PARTIAL:
		s->auth.key_proved = true;
		ssh_message_auth_set_methods(
			waiting, SSH_AUTH_METHOD_INTERACTIVE);
		ssh_message_auth_reply_success(waiting, 1);
		break;
	case SESSION_AUTH_DONE: logged_on(s, waiting); break;
	default: refuse(s, waiting, true); return SGB_OK;
	}
	ssh_message_free(waiting);
	return SGB_OK;
}

struct prompts {
	char *name, *instruction;
	const char *texts[AUTH_PROMPTS_MAX];
	char echo[AUTH_PROMPTS_MAX];
	uint32_t count;
};

static enum sgb_err read_prompts(struct prompts *prompts, struct reader *rd)
{
	uint32_t i;

	memset(prompts, 0, sizeof(*prompts));
	prompts->name = reader_cstring(rd, 1024);
	prompts->instruction = reader_cstring(rd, 8192);
	prompts->count = reader_u32(rd);
	if (prompts->count > AUTH_PROMPTS_MAX) {
		prompts->count = 0;
		return SGB_ERR_LIMIT;
	}
	for (i = 0; i < prompts->count; i++) {
		prompts->texts[i] = reader_cstring(rd, 1024);
		prompts->echo[i] = (char)reader_u8(rd);
	}
	return reader_end(rd);
}

static void free_prompts(struct prompts *prompts)
{
	uint32_t i;

	for (i = 0; i < prompts->count; i++)
		free((char *)prompts->texts[i]);
	free(prompts->name);
	free(prompts->instruction);
}

enum sgb_err auth_prompt(struct session *s, struct msg *msg)
{
	struct prompts prompts;
	enum sgb_err err = read_prompts(&prompts, &msg->reader);

	if (!err && (!s->auth.waiting || !s->auth.waiting_kbd))
		err = SGB_ERR_PHASE;
	if (!err) {
		ssh_message_auth_interactive_request(s->auth.waiting,
			prompts.name, prompts.instruction, prompts.count,
			prompts.texts, prompts.echo);
		ssh_message_free(s->auth.waiting);
		s->auth.waiting = NULL;
		s->auth.prompting = true;
		s->auth.prompts = prompts.count;
		s->busy = true;
	}
	free_prompts(&prompts);
	return err;
}
