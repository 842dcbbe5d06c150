/*
 * Logging on to a target with the user's own key, which stays in his agent:
 * it is asked through the session process, over the client's connection, and
 * only for a request that monitor_agent.c has checked, by the very key that he
 * logged on with here. What libssh calls an agent must answer at once, so the
 * first time it hears "no" and the user's agent is asked; once the signature
 * is here, it is asked for again. Believes nobody that it is one.
 */
#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "monitor_proof.h"
#include "ssh_agent.h"

enum {
	FLAG_RSA_SHA2_256 = 2,
	FLAG_RSA_SHA2_512 = 4,
};

#define SIGNATURE_MAX 4096

static enum sgb_err add(struct monitor *m, const uint8_t *blob, size_t len)
{
	char text[300];
	struct sshkey key;
	enum sgb_err err = sshkey_parse(blob, len, &key);

	if (err)
		return err;
	snprintf(text, sizeof(text), "the user's agent: %s %s%s", key.name,
		key.is_cert ? "certificate of " : "", key.fingerprint);
	return monitor_credential_add(m, NULL, blob, len, text);
}

/* The key that was proved here; of a certificate, the key inside as well. */
enum sgb_err monitor_borrow_prepare(
	struct monitor *m, char *why, size_t why_len)
{
	struct buf plain;
	enum sgb_err err;

	if (m->limits.no_agent) {
		snprintf(why, why_len,
			"the user's key may not forward an agent, and the "
			"target is logged on to with it");
		return SGB_ERR_DENIED;
	}
	snprintf(why, why_len, "the user's key");
	err = add(m, m->key_blob, m->key_blob_len);
	if (err || !m->key.is_cert)
		return err;
	buf_init(&plain, SSHKEY_MAX_BLOB);
	err = monitor_key_plain(m, &plain);
	if (!err)
		err = add(m, plain.data, plain.len);
	buf_done(&plain);
	return err;
}

void monitor_borrow_keys(const struct monitor *m, struct buf *out)
{
	uint32_t count = 0;
	size_t i;

	for (i = 0; i < m->logon.identity_count; i++)
		count += !m->logon.identities[i].key;
	buf_put_u32(out, count);
	for (i = 0; i < m->logon.identity_count; i++)
		if (!m->logon.identities[i].key)
			buf_put_string(out, m->logon.identities[i].blob,
				m->logon.identities[i].blob_len);
}

static bool starts(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static enum sgb_err ask(struct monitor *m, struct monitor_identity *identity)
{
	const char *algorithm = identity->algorithm;
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_SES_AGENT);
	buf_put_string(&msg.body, identity->blob, identity->blob_len);
	buf_put_string(&msg.body, identity->data, identity->data_len);
	/* RFC 8332 names the algorithm; the agent knows it by a flag. */
	buf_put_u32(&msg.body,
		starts(algorithm, "rsa-sha2-256")   ? FLAG_RSA_SHA2_256
		: starts(algorithm, "rsa-sha2-512") ? FLAG_RSA_SHA2_512
						    : 0);
	err = msg_send(m->session, &msg);
	msg_done(&msg);
	return err;
}

static enum sgb_err remember(struct monitor_identity *identity,
	const char *algorithm, const uint8_t *data, size_t len)
{
	if (strlen(algorithm) >= sizeof(identity->algorithm))
		return SGB_ERR_LIMIT;
	identity->data = malloc(len);
	if (!identity->data)
		return SGB_ERR_NOMEM;
	memcpy(identity->data, data, len);
	identity->data_len = len;
	strcpy(identity->algorithm, algorithm);
	return SGB_OK;
}

enum sgb_err monitor_borrow_sign(struct monitor *m,
	struct monitor_identity *identity, const char *algorithm,
	const uint8_t *data, size_t len, struct buf *answer)
{
	enum sgb_err err;

	if (identity->signature && len == identity->data_len &&
		!memcmp(data, identity->data, len)) {
		buf_put_u8(answer, AGENT_SIGN_RESPONSE);
		buf_put_string(
			answer, identity->signature, identity->signature_len);
		return buf_error(answer);
	}
	/* A person is perhaps asked for each: one signature a key. */
	if (identity->asked || m->logon.asking)
		return SGB_ERR_DENIED;
	err = remember(identity, algorithm, data, len);
	if (!err)
		err = monitor_credential_used(m, identity);
	if (!err)
		err = ask(m, identity);
	if (err)
		return err;
	identity->asked = true;
	m->logon.asking = identity;
	return SGB_ERR_AGAIN;
}

static enum sgb_err judge(struct monitor_identity *identity,
	const uint8_t *signature, size_t len, char *why, size_t why_len)
{
	enum sgb_err err;

	snprintf(why, why_len, "refused to sign");
	if (!len)
		return SGB_ERR_DENIED;
	err = proof_signature(identity->blob, identity->blob_len,
		&identity->parsed, identity->algorithm, identity->data,
		identity->data_len, signature, len, why, why_len);
	if (err)
		return err;
	identity->signature = malloc(len);
	if (!identity->signature)
		return SGB_ERR_NOMEM;
	memcpy(identity->signature, signature, len);
	identity->signature_len = len;
	return SGB_OK;
}

static void tell_refused(
	struct monitor *m, struct monitor_identity *identity, const char *why)
{
	struct event event = {
		.kind = EVENT_CREDENTIAL,
		.what = identity->text,
		.reason = why,
	};

	identity->refused = true;
	if (monitor_event(m, &event))
		log_put(LOG_ERR, "%s: event lost", m->conn_id);
}

enum sgb_err monitor_borrowed(struct monitor *m, struct msg *msg)
{
	struct monitor_identity *identity = m->logon.asking;
	char why[MONITOR_WHY_MAX] = "";
	const uint8_t *signature;
	struct msg out;
	enum sgb_err err;
	size_t len;
	bool good;

	signature = reader_string(&msg->reader, &len);
	err = reader_end(&msg->reader);
	if (!err && len > SIGNATURE_MAX)
		err = SGB_ERR_LIMIT;
	if (!err && !identity)
		err = SGB_ERR_PHASE;
	if (err)
		return err;
	m->logon.asking = NULL;
	good = !judge(identity, signature, len, why, sizeof(why));
	if (!good)
		tell_refused(m, identity, why);
	msg_init(&out, MSG_SES_AGENT_DONE);
	buf_put_u32(&out.body, good);
	buf_put_cstring(&out.body, good ? "" : why);
	err = msg_send(m->session, &out);
	msg_done(&out);
	return err;
}
