/*
 * What logs on to the target: a certificate that is made for this login, a
 * stored key that may be used for this instance, or the user's own key by his
 * agent (monitor_borrow.c). Secrets are here from the permit to the login, and
 * nowhere else of this connection.
 */
#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "cert.h"
#include "core/log.h"
#include "core/secret.h"
#include "targetkey.h"

#define CERT_MAX   32768
#define CLOCK_SKEW 60 /* seconds a target's clock may be behind */

static bool has(const struct monitor *m, unsigned int bit)
{
	return (m->decision.allow & bit) != 0;
}

void monitor_credential_name(const struct monitor *m, char *out, size_t len)
{
	switch (m->decision.credential) {
	case POLICY_CERTIFICATE: snprintf(out, len, "certificate"); break;
	case POLICY_STORED_KEY:
		snprintf(out, len, "key %s", m->decision.credential_key);
		break;
	case POLICY_OWN_AGENT:
		snprintf(out, len, "agent key %s", m->key.fingerprint);
		break;
	}
}

enum sgb_err monitor_credential_add(struct monitor *m, EVP_PKEY *key,
	const uint8_t *blob, size_t len, const char *text)
{
	struct monitor_identity *identity =
		&m->logon.identities[m->logon.identity_count];
	enum sgb_err err = SGB_ERR_LIMIT;

	if (m->logon.identity_count < MONITOR_IDENTITIES_MAX)
		err = sshkey_parse(blob, len, &identity->parsed);
	if (!err) {
		identity->blob = malloc(len);
		err = identity->blob ? SGB_OK : SGB_ERR_NOMEM;
	}
	if (err) {
		EVP_PKEY_free(key);
		return err;
	}
	memcpy(identity->blob, blob, len);
	identity->blob_len = len;
	identity->key = key;
	snprintf(identity->text, sizeof(identity->text), "%s", text);
	m->logon.identity_count++;
	return SGB_OK;
}

void monitor_credential_done(struct monitor *m)
{
	size_t i;

	for (i = 0; i < m->logon.identity_count; i++) {
		EVP_PKEY_free(m->logon.identities[i].key);
		free(m->logon.identities[i].blob);
		free(m->logon.identities[i].data);
		free(m->logon.identities[i].signature);
	}
	m->logon.asking = NULL;
	memset(m->logon.identities, 0, sizeof(m->logon.identities));
	m->logon.identity_count = 0;
}

/* ---- certificates ---- */

static enum sgb_err make_certificate(
	struct monitor *m, EVP_PKEY *ca, EVP_PKEY *leaf, const char *source)
{
	char from[ADDR_TEXT_MAX], key_id[512];
	uint64_t now = (uint64_t)time(NULL);
	struct cert_request request = {
		.ca = ca,
		.leaf = leaf,
		.key_id = key_id,
		.principal = m->decision.login,
		.source_address = source,
		.valid_after = now - CLOCK_SKEW,
		.valid_before = now + m->conf->cert_validity,
		.agent = has(m, POLICY_AGENT) && !m->limits.no_agent,
		.x11 = has(m, POLICY_X11) && !m->limits.no_x11,
		.pty = has(m, POLICY_SHELL) && !m->limits.no_pty,
		.forward = has(m, POLICY_FORWARD | POLICY_REMOTE_FORWARD) &&
			   !m->limits.no_forward,
	};
	struct buf blob;
	enum sgb_err err;

	snprintf(key_id, sizeof(key_id), "%s from %s session %s mfa %s key %s",
		m->user, addr_text(&m->source, from), m->conn_id,
		*m->mfa ? m->mfa : "none", m->key.fingerprint);
	err = secret_random(&request.serial, sizeof(request.serial));
	buf_init(&blob, CERT_MAX);
	if (!err)
		err = cert_sign(&request, &blob);
	if (!err && EVP_PKEY_up_ref(leaf) != 1)
		err = SGB_ERR_CRYPTO;
	if (!err)
		err = monitor_credential_add(
			m, leaf, blob.data, blob.len, "certificate");
	buf_done(&blob);
	return err;
}

static enum sgb_err prepare_certificate(
	struct monitor *m, const char *source, char *why, size_t why_len)
{
	EVP_PKEY *ca = NULL, *leaf = NULL;
	enum sgb_err err;

	err = cert_ca_load(m->conf->user_ca, &ca, why, why_len);
	if (err) {
		log_put(LOG_ERR, "%s: %s", m->conn_id, why);
		snprintf(why, why_len, "no certificate");
		return err;
	}
	snprintf(why, why_len, "no certificate");
	err = cert_new_key(&leaf);
	if (!err)
		err = make_certificate(m, ca, leaf, source);
	/* The CA has done its work for this connection. */
	EVP_PKEY_free(ca);
	EVP_PKEY_free(leaf);
	return err;
}

/* ---- stored keys ---- */

/* One purpose: a policy that names the key elsewhere does not make it fit. */
static bool is_for(const struct monitor *m, const struct targetkey *key,
	char *why, size_t why_len)
{
	size_t i, used;

	for (i = 0; i < key->purpose_count; i++)
		if (policy_decided_on(
			    m->policy, &m->decision, key->purposes[i]))
			return true;
	used = (size_t)snprintf(why, why_len,
		"stored key \"%s\" is not for %s; it is for", key->name,
		m->decision.instance);
	for (i = 0; i < key->purpose_count && used < why_len; i++)
		used += (size_t)snprintf(why + used, why_len - used, "%s %s",
			i ? "," : "", key->purposes[i]);
	return false;
}

static enum sgb_err prepare_stored(struct monitor *m, char *why, size_t why_len)
{
	struct targetkey *key = NULL;
	char text[300];
	enum sgb_err err;
	size_t i;

	err = targetkey_load(m->conf->target_keys, m->decision.credential_key,
		m->conf->master_key, &key, why, why_len);
	if (!err && !is_for(m, key, why, why_len))
		err = SGB_ERR_DENIED;
	if (err)
		log_put(LOG_ERR, "%s: %s", m->conn_id, why);
	for (i = 0; !err && i < key->count; i++) {
		const struct targetkey_version *one = &key->versions[i];

		snprintf(text, sizeof(text), "stored key %s, %s%s", key->name,
			one->parsed.fingerprint,
			i ? " (the one that is being replaced)" : "");
		if (EVP_PKEY_up_ref(one->key) != 1)
			err = SGB_ERR_CRYPTO;
		else
			err = monitor_credential_add(
				m, one->key, one->blob, one->blob_len, text);
	}
	targetkey_free(key);
	return err;
}

enum sgb_err monitor_credential_prepare(
	struct monitor *m, const char *source, char *why, size_t why_len)
{
	switch (m->decision.credential) {
	case POLICY_CERTIFICATE:
		return prepare_certificate(m, source, why, why_len);
	case POLICY_STORED_KEY: return prepare_stored(m, why, why_len);
	case POLICY_OWN_AGENT: return monitor_borrow_prepare(m, why, why_len);
	}
	snprintf(why, why_len, "no such credential");
	return SGB_ERR_UNSUPPORTED;
}

static void stamp(
	const struct monitor *m, const struct monitor_identity *identity)
{
	struct targetkey_version version = {.parsed = identity->parsed};

	if (m->decision.credential == POLICY_STORED_KEY)
		targetkey_use(m->conf->target_keys, m->decision.credential_key,
			&version);
}

enum sgb_err monitor_credential_used(
	struct monitor *m, const struct monitor_identity *identity)
{
	bool certificate = m->decision.credential == POLICY_CERTIFICATE;
	char what[sizeof(identity->text) + sizeof(m->logon.host_by) + 4];
	struct event event = {
		.kind = certificate ? EVENT_CERT_SIGNED : EVENT_CREDENTIAL,
		.ok = true,
		.what = what,
	};

	snprintf(
		what, sizeof(what), "%s; %s", identity->text, m->logon.host_by);
	if (monitor_event(m, &event))
		return SGB_ERR_DENIED;
	stamp(m, identity);
	return SGB_OK;
}
