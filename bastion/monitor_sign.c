/*
 * The host keys: they stay here, and the session process, which speaks to
 * whoever connects, asks for each signature that a key exchange needs (RFC
 * 4253 section 8). What it asks for is an exchange hash and nothing longer;
 * before the login there is one, and it is the session id from then on.
 */
#include "monitor.h"

#include <limits.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/log.h"

#define SIGNATURE_MAX 1024 /* RSA of 8192 bits */

static enum sgb_err load(struct monitor *m)
{
	char why[PATH_MAX + 200];
	enum sgb_err err = SGB_OK;
	size_t i;

	if (m->conf->host_keys.count > MONITOR_HOST_KEYS_MAX)
		return SGB_ERR_LIMIT;
	for (i = 0; i < m->conf->host_keys.count && !err; i++) {
		err = private_key_load(m->conf->host_keys.items[i],
			&m->host_keys[i], why, sizeof(why));
		if (err)
			log_put(LOG_ERR, "%s", why);
		else
			m->host_key_count++;
	}
	return err;
}

enum sgb_err monitor_sign_keys(struct monitor *m, struct buf *out)
{
	enum sgb_err err = m->host_key_count ? SGB_OK : load(m);
	size_t i;

	if (err)
		return err;
	buf_put_u32(out, (uint32_t)m->host_key_count);
	for (i = 0; i < m->host_key_count; i++)
		buf_put_string(
			out, m->host_keys[i].blob, m->host_keys[i].blob_len);
	return buf_error(out);
}

void monitor_sign_done(struct monitor *m)
{
	while (m->host_key_count)
		private_key_done(&m->host_keys[--m->host_key_count]);
}

/* The digest that a signature by this key goes over; false: none that is
 * asked for here. RFC 8709, RFC 5656 section 6.2.1, RFC 8332; not SHA-1. */
static bool digest_fits(
	const struct sshkey *key, uint32_t bits, const EVP_MD **ret)
{
	unsigned int curve = key->bits == 521 ? 512 : key->bits;

	*ret = bits == 256   ? EVP_sha256()
	       : bits == 384 ? EVP_sha384()
	       : bits == 512 ? EVP_sha512()
			     : NULL;
	switch (key->type) {
	case SSHKEY_ED25519: return bits == 0;
	case SSHKEY_ECDSA: return bits == curve;
	case SSHKEY_RSA: return bits == 256 || bits == 512;
	default: return false;
	}
}

static enum sgb_err sign(EVP_PKEY *key, const EVP_MD *digest,
	const uint8_t *hash, size_t len, struct buf *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t signature[SIGNATURE_MAX];
	size_t signature_len = sizeof(signature);
	enum sgb_err err = SGB_ERR_CRYPTO;

	if (ctx && EVP_DigestSignInit(ctx, NULL, digest, NULL, key) == 1 &&
		EVP_DigestSign(ctx, signature, &signature_len, hash, len) ==
			1) {
		buf_put_string(out, signature, signature_len);
		err = buf_error(out);
	}
	EVP_MD_CTX_free(ctx);
	return err;
}

/* The length of what SHA-256, 384 and 512 give: no message that any other
 * protocol has signed by this key is so short. */
static bool is_exchange_hash(const uint8_t *hash, size_t len)
{
	return hash && (len == 32 || len == 48 || len == 64);
}

enum sgb_err monitor_sign(struct monitor *m, struct msg *in)
{
	uint32_t number = reader_u32(&in->reader);
	uint32_t bits = reader_u32(&in->reader);
	const EVP_MD *digest;
	const uint8_t *hash;
	struct msg msg;
	size_t len;
	enum sgb_err err;

	hash = reader_string(&in->reader, &len);
	err = reader_end(&in->reader);
	if (!err &&
		(number >= m->host_key_count || !is_exchange_hash(hash, len) ||
			!digest_fits(
				&m->host_keys[number].public, bits, &digest)))
		err = SGB_ERR_FORMAT;
	/* A second exchange before the login would be another session's. */
	if (!err && m->session_id_len && m->phase < MONITOR_PHASE_PROVED)
		err = SGB_ERR_PHASE;
	if (err)
		return err;
	if (!m->session_id_len) {
		memcpy(m->session_id, hash, len);
		m->session_id_len = len;
		m->session_key = number;
	}
	msg_init(&msg, MSG_SES_SIGNED);
	err = sign(m->host_keys[number].key, digest, hash, len, &msg.body);
	if (!err)
		err = msg_send(m->session, &msg);
	msg_done(&msg);
	return err;
}
