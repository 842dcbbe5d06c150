/*
 * The agent that the session process authenticates with downstream: it holds
 * what the policy says logs on (monitor_credential.c), and signs only a
 * user-authentication request for exactly this login, one of these keys and
 * the SSH session whose id the target's host key signed (RFC 4252 section 7;
 * draft-ietf-sshm-ssh-agent), and not before that key is accepted. Private keys
 * never leave this process; what the user's own agent signs passes the same
 * checks first.
 */
#include "monitor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "core/log.h"
#include "privkey.h"
#include "ssh_agent.h"

#define MSG_USERAUTH_REQUEST 50
#define AGENT_MAX	     32768
#define SIGNATURE_MAX	     4096

enum sgb_err monitor_agent_open(struct monitor *m, int *ret_session_end)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return SGB_ERR_SYSTEM;
	m->logon.agent = pair[0];
	*ret_session_end = pair[1];
	return SGB_OK;
}

/* The one that the host key signed (monitor_hostkey.c), not what the session
 * calls its own. */
static bool same_session(const struct monitor *m, const uint8_t *id, size_t len)
{
	return len && len == m->logon.ssh_id_len &&
	       !CRYPTO_memcmp(id, m->logon.ssh_id, len);
}

static struct monitor_identity *find_identity(
	struct monitor *m, const uint8_t *blob, size_t len)
{
	size_t i;

	for (i = 0; i < m->logon.identity_count; i++)
		if (m->logon.identities[i].blob_len == len &&
			!memcmp(m->logon.identities[i].blob, blob, len))
			return &m->logon.identities[i];
	return NULL;
}

/* "publickey", or the same with the host's key behind it, by which an agent
 * can tell where it leads (PROTOCOL of OpenSSH; libssh from 0.12 on). */
static bool next_method(struct reader *rd, bool *ret_bound)
{
	static const char plain[] = "publickey";
	static const char bound[] = "publickey-hostbound-v00@openssh.com";
	size_t len;
	const uint8_t *got = reader_string(rd, &len);

	*ret_bound = len == strlen(bound) && !memcmp(got, bound, len);
	return *ret_bound || (len == strlen(plain) && !memcmp(got, plain, len));
}

/* Is data a request to log on as our login with this identity, and nothing
 * else? Then algorithm is what to sign by; the caller frees. */
static bool may_sign(struct monitor *m, const struct monitor_identity *identity,
	const uint8_t *data, size_t len, char **ret_algorithm)
{
	const uint8_t *session_id;
	char *algorithm;
	struct reader rd;
	size_t id_len;
	bool good, bound;

	reader_init(&rd, data, len);
	session_id = reader_string(&rd, &id_len);
	if (reader_u8(&rd) != MSG_USERAUTH_REQUEST ||
		!reader_is_text(&rd, m->decision.login) ||
		!reader_is_text(&rd, "ssh-connection") ||
		!next_method(&rd, &bound) || reader_u8(&rd) != 1)
		return false;
	algorithm = reader_cstring(&rd, 64);
	good = algorithm &&
	       sshkey_algorithm_fits(&identity->parsed, algorithm) &&
	       reader_is(&rd, identity->blob, identity->blob_len) &&
	       (!bound || reader_is(&rd, m->logon.host_blob,
				  m->logon.host_blob_len)) &&
	       !reader_end(&rd) && same_session(m, session_id, id_len);
	if (good)
		*ret_algorithm = algorithm;
	else
		free(algorithm);
	return good;
}

static enum sgb_err refuse(struct monitor *m)
{
	struct event event = {
		.kind = EVENT_CERT_SIGNED,
		.reason = "the session asked for another signature than its "
			  "own",
	};

	if (monitor_event(m, &event))
		log_put(LOG_ERR, "%s: event lost", m->conn_id);
	return SGB_ERR_DENIED;
}

/* A certificate's signature is by the plain algorithm of its key. */
static enum sgb_err put_signature(const struct monitor_identity *identity,
	const char *algorithm, const uint8_t *data, size_t len,
	struct buf *answer)
{
	struct buf signature;
	enum sgb_err err;

	buf_init(&signature, SIGNATURE_MAX);
	err = privkey_sign(identity->key,
		identity->parsed.is_cert ? identity->parsed.name : algorithm,
		data, len, &signature);
	if (!err) {
		buf_put_u8(answer, AGENT_SIGN_RESPONSE);
		buf_put_string(answer, signature.data, signature.len);
		err = buf_error(answer);
	}
	buf_done(&signature);
	return err;
}

static enum sgb_err sign(
	struct monitor *m, struct reader *rd, struct buf *answer)
{
	struct monitor_identity *identity;
	const uint8_t *blob, *data;
	size_t blob_len, data_len;
	char *algorithm;
	enum sgb_err err;

	blob = reader_string(rd, &blob_len);
	data = reader_string(rd, &data_len);
	(void)reader_u32(rd); /* flags say what the algorithm says */
	if (reader_end(rd) || !m->logon.host_verified)
		return refuse(m);
	identity = find_identity(m, blob, blob_len);
	if (!identity || !may_sign(m, identity, data, data_len, &algorithm))
		return refuse(m);
	if (!identity->key) {
		err = monitor_borrow_sign(
			m, identity, algorithm, data, data_len, answer);
	} else {
		err = monitor_credential_used(m, identity);
		if (!err)
			err = put_signature(
				identity, algorithm, data, data_len, answer);
	}
	free(algorithm);
	return err;
}

static void put_identities(const struct monitor *m, struct buf *answer)
{
	uint32_t count = 0;
	size_t i;

	for (i = 0; i < m->logon.identity_count; i++)
		count += !m->logon.identities[i].refused;
	buf_put_u8(answer, AGENT_IDENTITIES_ANSWER);
	buf_put_u32(answer, count);
	for (i = 0; i < m->logon.identity_count; i++) {
		if (m->logon.identities[i].refused)
			continue;
		buf_put_string(answer, m->logon.identities[i].blob,
			m->logon.identities[i].blob_len);
		buf_put_cstring(answer, "sgbridge");
	}
}

static void answer_request(
	struct monitor *m, const uint8_t *data, size_t len, struct buf *answer)
{
	struct reader rd;
	enum sgb_err err = SGB_ERR_UNSUPPORTED;

	reader_init(&rd, data, len);
	switch (reader_u8(&rd)) {
	case AGENT_REQUEST_IDENTITIES:
		put_identities(m, answer);
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
	if (m->logon.agent >= 0)
		close(m->logon.agent);
	m->logon.agent = -1;
	buf_done(&m->logon.agent_in);
}

void monitor_logon_done(struct monitor *m)
{
	monitor_agent_close(m);
	monitor_credential_done(m);
	free(m->logon.ssh_id);
	free(m->logon.host_blob);
	m->logon = (struct monitor_logon){.agent = -1};
}

/* One whole request at the front of what came, if there is one. False for a
 * peer that is not to be listened to any longer. */
static bool serve_request(struct monitor *m, bool *ret_more)
{
	struct buf answer, out;
	struct reader rd;
	uint32_t len;
	bool good;

	reader_init(&rd, m->logon.agent_in.data, m->logon.agent_in.len);
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
	       send(m->logon.agent, out.data, out.len,
		       MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)out.len;
	buf_consume(&m->logon.agent_in, 4 + (size_t)len);
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
		got = recv(m->logon.agent, bytes, sizeof(bytes), MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN;
	if (!got)
		return false;
	if (!m->logon.agent_in.max)
		buf_init(&m->logon.agent_in, AGENT_MAX + 4);
	buf_put(&m->logon.agent_in, bytes, (size_t)got);
	if (buf_error(&m->logon.agent_in))
		return false;
	while (more)
		if (!serve_request(m, &more))
			return false;
	return true;
}
