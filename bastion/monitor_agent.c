/*
 * The agent that the session process authenticates with downstream: it holds
 * one certificate and signs only a user-authentication request for exactly
 * this login, this certificate and one SSH session (RFC 4252 section 7;
 * draft-ietf-sshm-ssh-agent). The private keys never leave this process.
 */
#include "monitor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "cert.h"
#include "core/log.h"
#include "core/secret.h"

enum {
	AGENT_FAILURE = 5,
	AGENT_REQUEST_IDENTITIES = 11,
	AGENT_IDENTITIES_ANSWER = 12,
	AGENT_SIGN_REQUEST = 13,
	AGENT_SIGN_RESPONSE = 14,
	USERAUTH_REQUEST = 50,
};

#define AGENT_MAX  32768
#define CLOCK_SKEW 60 /* seconds a target's clock may be behind */

static bool has(const struct monitor *m, unsigned int bit)
{
	return (m->decision.allow & bit) != 0;
}

static enum sgb_err make_certificate(struct monitor *m, const char *source)
{
	char from[ADDR_TEXT_MAX], key_id[512];
	uint64_t now = (uint64_t)time(NULL);
	struct cert_request request = {
		.ca = m->ca,
		.leaf = m->leaf,
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
	buf_init(&blob, AGENT_MAX);
	if (!err)
		err = cert_sign(&request, &blob);
	if (!err) {
		m->cert = malloc(blob.len);
		err = m->cert ? SGB_OK : SGB_ERR_NOMEM;
	}
	if (!err) {
		memcpy(m->cert, blob.data, blob.len);
		m->cert_len = blob.len;
	}
	buf_done(&blob);
	return err;
}

enum sgb_err monitor_agent_prepare(
	struct monitor *m, const char *source, int *ret_session_end)
{
	char why[512];
	int pair[2];
	enum sgb_err err;

	err = cert_ca_load(m->conf->user_ca, &m->ca, why, sizeof(why));
	if (err) {
		log_put(LOG_ERR, "%s: %s", m->conn_id, why);
		return err;
	}
	err = cert_new_key(&m->leaf);
	if (!err)
		err = make_certificate(m, source);
	/* The CA has done its work for this connection. */
	EVP_PKEY_free(m->ca);
	m->ca = NULL;
	if (err)
		return err;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return SGB_ERR_SYSTEM;
	m->agent = pair[0];
	*ret_session_end = pair[1];
	return SGB_OK;
}

static bool next_is(struct reader *rd, const void *expected, size_t len)
{
	size_t got;
	const uint8_t *at = reader_string(rd, &got);

	return !rd->err && got == len && (!len || !memcmp(at, expected, len));
}

static bool next_text(struct reader *rd, const char *expected)
{
	return next_is(rd, expected, strlen(expected));
}

/* One SSH session only: the first that is signed for is the one. */
static bool same_session(struct monitor *m, const uint8_t *id, size_t len)
{
	if (!len || len > 64)
		return false;
	if (m->signed_id)
		return len == m->signed_id_len &&
		       !CRYPTO_memcmp(id, m->signed_id, len);
	m->signed_id = malloc(len);
	if (!m->signed_id)
		return false;
	memcpy(m->signed_id, id, len);
	m->signed_id_len = len;
	return true;
}

/* Is data a request to log on as our login with our certificate, and nothing
 * else? */
static bool may_sign(struct monitor *m, const uint8_t *data, size_t len)
{
	const uint8_t *session_id;
	struct reader rd;
	size_t id_len;

	reader_init(&rd, data, len);
	session_id = reader_string(&rd, &id_len);
	if (reader_u8(&rd) != USERAUTH_REQUEST ||
		!next_text(&rd, m->decision.login) ||
		!next_text(&rd, "ssh-connection") ||
		!next_text(&rd, "publickey") || reader_u8(&rd) != 1 ||
		!next_text(&rd, "ssh-ed25519-cert-v01@openssh.com") ||
		!next_is(&rd, m->cert, m->cert_len) || reader_end(&rd))
		return false;
	return same_session(m, session_id, id_len);
}

static enum sgb_err sign(
	struct monitor *m, struct reader *rd, struct buf *answer)
{
	struct event event = {.kind = EVENT_CERT_SIGNED};
	const uint8_t *blob, *data;
	size_t blob_len, data_len;
	struct buf signature;
	enum sgb_err err;

	blob = reader_string(rd, &blob_len);
	data = reader_string(rd, &data_len);
	(void)reader_u32(rd); /* flags choose among RSA hashes only */
	if (reader_end(rd) || !m->host_verified || blob_len != m->cert_len ||
		memcmp(blob, m->cert, blob_len) ||
		!may_sign(m, data, data_len)) {
		event.reason = "the session asked for another signature than "
			       "its own";
		if (monitor_event(m, &event))
			log_put(LOG_ERR, "%s: event lost", m->conn_id);
		return SGB_ERR_DENIED;
	}
	event.ok = true;
	event.what = m->host_by;
	if (monitor_event(m, &event))
		return SGB_ERR_DENIED;
	buf_init(&signature, 1024);
	err = cert_signature(m->leaf, data, data_len, &signature);
	if (!err) {
		buf_put_u8(answer, AGENT_SIGN_RESPONSE);
		buf_put_string(answer, signature.data, signature.len);
		err = buf_error(answer);
	}
	buf_done(&signature);
	return err;
}

static void answer_request(
	struct monitor *m, const uint8_t *data, size_t len, struct buf *answer)
{
	struct reader rd;
	enum sgb_err err = SGB_ERR_UNSUPPORTED;

	reader_init(&rd, data, len);
	switch (reader_u8(&rd)) {
	case AGENT_REQUEST_IDENTITIES:
		buf_put_u8(answer, AGENT_IDENTITIES_ANSWER);
		buf_put_u32(answer, 1);
		buf_put_string(answer, m->cert, m->cert_len);
		buf_put_cstring(answer, "sgbridge");
		err = reader_end(&rd);
		break;
	case AGENT_SIGN_REQUEST: err = sign(m, &rd, answer); break;
	default: break;
	}
	if (err || buf_error(answer)) {
		buf_reset(answer);
		buf_put_u8(answer, AGENT_FAILURE);
	}
}

void monitor_agent_close(struct monitor *m)
{
	if (m->agent >= 0)
		close(m->agent);
	m->agent = -1;
	buf_done(&m->agent_in);
}

void monitor_agent_forget(struct monitor *m)
{
	monitor_agent_close(m);
	EVP_PKEY_free(m->leaf);
	free(m->cert);
	free(m->signed_id);
	m->leaf = NULL;
	m->cert = m->signed_id = NULL;
	m->cert_len = m->signed_id_len = 0;
}

/* One whole request at the front of what came, if there is one. False for a
 * peer that is not to be listened to any longer. */
static bool serve_request(struct monitor *m, bool *ret_more)
{
	struct buf answer, out;
	struct reader rd;
	uint32_t len;
	bool good;

	reader_init(&rd, m->agent_in.data, m->agent_in.len);
	len = reader_u32(&rd);
	*ret_more = !rd.err && len <= rd.left;
	if (!*ret_more)
		return rd.err || (len && len <= AGENT_MAX);
	buf_init(&answer, AGENT_MAX);
	buf_init(&out, AGENT_MAX);
	answer_request(m, rd.data, len, &answer);
	buf_put_string(&out, answer.data, answer.len);
	/* The answers are small and the asker waits for each. */
	good = !buf_error(&out) &&
	       send(m->agent, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT) ==
		       (ssize_t)out.len;
	buf_consume(&m->agent_in, 4 + (size_t)len);
	buf_done(&out);
	buf_done(&answer);
	return good;
}

/* Takes what is there and never waits for more: who drips a request delays
 * nobody but himself. */
bool monitor_agent_poll(struct monitor *m)
{
	uint8_t bytes[4096];
	bool more = true;
	ssize_t got;

	do {
		got = recv(m->agent, bytes, sizeof(bytes), MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN;
	if (!got)
		return false;
	if (!m->agent_in.max)
		buf_init(&m->agent_in, AGENT_MAX + 4);
	buf_put(&m->agent_in, bytes, (size_t)got);
	if (buf_error(&m->agent_in))
		return false;
	while (more)
		if (!serve_request(m, &more))
			return false;
	return true;
}
