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
	if (reader_end(rd) || blob_len != m->cert_len ||
		memcmp(blob, m->cert, blob_len) ||
		!may_sign(m, data, data_len)) {
		event.reason = "the session asked for another signature than "
			       "its own";
		if (monitor_event(m, &event))
			log_put(LOG_ERR, "%s: event lost", m->conn_id);
		return SGB_ERR_DENIED;
	}
	event.ok = true;
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

static bool read_exactly(int fd, void *out, size_t len)
{
	uint8_t *at = out;

	while (len) {
		ssize_t got = read(fd, at, len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		len -= (size_t)got;
	}
	return true;
}

/*
 * Blocking reads are bounded: the socket has a receive timeout, its only
 * writer is our own session process, and that one hurts only itself.
 */
bool monitor_agent_poll(struct monitor *m)
{
	struct timeval patience = {.tv_sec = 2};
	uint8_t head[4];
	struct buf request, answer, out;
	struct reader rd;
	bool good = false;
	uint32_t len;

	(void)setsockopt(
		m->agent, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(
		m->agent, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!read_exactly(m->agent, head, sizeof(head)))
		return false;
	reader_init(&rd, head, sizeof(head));
	len = reader_u32(&rd);
	if (!len || len > AGENT_MAX)
		return false;
	buf_init(&request, AGENT_MAX);
	buf_init(&answer, AGENT_MAX);
	buf_init(&out, AGENT_MAX);
	if (buf_extend(&request, len) &&
		read_exactly(m->agent, request.data, len)) {
		answer_request(m, request.data, len, &answer);
		buf_put_string(&out, answer.data, answer.len);
		good = !buf_error(&out) &&
		       send(m->agent, out.data, out.len, MSG_NOSIGNAL) ==
			       (ssize_t)out.len;
	}
	buf_done(&out);
	buf_done(&answer);
	buf_done(&request);
	return good;
}
