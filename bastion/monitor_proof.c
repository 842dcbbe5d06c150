/*
 * The proof of a key, verified outside the process that speaks SSH: one that
 * was taken over before anybody logged on cannot claim a key, it must have a
 * signature by it over this very request, in the session whose id the host
 * key signed here (monitor_sign.c).
 */
#include "monitor_proof.h"

#include <stdio.h>
#include <string.h>

#include <openssl/sha.h>

#include "core/buf.h"
#include "core/msg.h"
#include "usercert.h"
#include "usercert_sign.h"

#define MSG_USERAUTH_REQUEST 50
#define FLAGS_AT	     SHA256_DIGEST_LENGTH
#define SECURITY_KEY_LEN     (2 * SHA256_DIGEST_LENGTH + 1 + 4)
#define FLAG_USER_PRESENT    0x01
#define FLAG_USER_VERIFIED   0x04
#define ALGORITHM_MAX	     64
#define METHOD		     "publickey"
#define METHOD_BOUND	     "publickey-hostbound-v00@openssh.com"

static bool is_security_key(const struct sshkey *key)
{
	return key->type == SSHKEY_SK_ED25519 || key->type == SSHKEY_SK_ECDSA;
}

static bool word(struct reader *rd, char ret[ALGORITHM_MAX])
{
	size_t len;
	const uint8_t *text = reader_string(rd, &len);

	if (rd->err || !len || len >= ALGORITHM_MAX || memchr(text, 0, len))
		return false;
	memcpy(ret, text, len);
	ret[len] = '\0';
	return true;
}

static bool is_hostbound(const char *method)
{
	return !strcmp(method, METHOD_BOUND);
}

/* RFC 4252 section 7, field by field, and the host key where it is bound to
 * one; algorithm gets the one that was used. */
static bool request_is(const uint8_t *data, size_t data_len,
	const struct proof *proof, const char *name, const uint8_t *blob,
	size_t blob_len, char algorithm[ALGORITHM_MAX])
{
	char method[ALGORITHM_MAX];
	struct reader rd;

	reader_init(&rd, data, data_len);
	if (!reader_is(&rd, proof->session_id, proof->session_id_len) ||
		reader_u8(&rd) != MSG_USERAUTH_REQUEST ||
		!reader_is_text(&rd, name) ||
		!reader_is_text(&rd, "ssh-connection") || !word(&rd, method) ||
		(strcmp(method, METHOD) && !is_hostbound(method)) ||
		reader_u8(&rd) != 1 || !word(&rd, algorithm) ||
		!reader_is(&rd, blob, blob_len))
		return false;
	if (is_hostbound(method) &&
		(!proof->host_key_len ||
			!reader_is(&rd, proof->host_key, proof->host_key_len)))
		return false;
	return !reader_end(&rd);
}

/* What a security key signs instead: the request by its digest alone, so it
 * is made here. */
static bool security_key_request(const struct proof *proof, const char *method,
	const char *name, const char *algorithm, const uint8_t *blob,
	size_t blob_len, const struct sshkey *key)
{
	uint8_t application[SHA256_DIGEST_LENGTH];
	uint8_t message[SHA256_DIGEST_LENGTH];
	struct buf buf;
	bool good;

	if (proof->data_len != SECURITY_KEY_LEN)
		return false;
	buf_init(&buf, 2 * SSHKEY_MAX_BLOB);
	buf_put_string(&buf, proof->session_id, proof->session_id_len);
	buf_put_u8(&buf, MSG_USERAUTH_REQUEST);
	buf_put_cstring(&buf, name);
	buf_put_cstring(&buf, "ssh-connection");
	buf_put_cstring(&buf, method);
	buf_put_u8(&buf, 1);
	buf_put_cstring(&buf, algorithm);
	buf_put_string(&buf, blob, blob_len);
	if (is_hostbound(method))
		buf_put_string(&buf, proof->host_key, proof->host_key_len);
	good = !buf_error(&buf) && SHA256(buf.data, buf.len, message) &&
	       SHA256((const uint8_t *)key->sk_application,
		       strlen(key->sk_application), application) &&
	       !memcmp(proof->data, application, sizeof(application)) &&
	       !memcmp(proof->data + SECURITY_KEY_LEN - sizeof(message),
		       message, sizeof(message));
	buf_done(&buf);
	return good;
}

/* The name without "-cert-v01@openssh.com": that of the signature. */
static void signature_name(const struct sshkey *key, const char *algorithm,
	char out[ALGORITHM_MAX])
{
	static const char suffix[] = "-cert-v01@openssh.com";
	size_t len = strlen(algorithm), tail = sizeof(suffix) - 1;

	if (is_security_key(key) || len <= tail ||
		strcmp(algorithm + len - tail, suffix)) {
		snprintf(out, ALGORITHM_MAX, "%s",
			is_security_key(key) ? key->name : algorithm);
		return;
	}
	snprintf(out, ALGORITHM_MAX, "%.*s", (int)(len - tail), algorithm);
}

static enum sgb_err put_plain(struct buf *out, const uint8_t *blob, size_t len,
	const struct sshkey *key, char *why, size_t why_len)
{
	struct usercert cert;
	enum sgb_err err;

	if (!key->is_cert) {
		buf_put(out, blob, len);
		return buf_error(out);
	}
	err = usercert_parse(blob, len, &cert, why, why_len);
	if (err)
		return err;
	usercert_plain(&cert, out);
	return buf_error(out);
}

/* Bytes, and a signature over them in the form that is verified. */
struct signed_data {
	const uint8_t *data, *signature;
	size_t len, signature_len;
};

/* A certificate's key signs as the plain key that is in it. */
static enum sgb_err verify(bool raw, const struct signed_data *what,
	const uint8_t *blob, size_t len, const struct sshkey *key,
	const char *algorithm, char *why, size_t why_len)
{
	char scheme[ALGORITHM_MAX];
	struct buf plain;
	enum sgb_err err;

	signature_name(key, algorithm, scheme);
	buf_init(&plain, SSHKEY_MAX_BLOB);
	err = put_plain(&plain, blob, len, key, why, why_len);
	if (!err) {
		err = (raw ? usercert_verify_raw : usercert_verify_login)(
			plain.data, plain.len, scheme, what->data, what->len,
			what->signature, what->signature_len);
		if (err)
			snprintf(why, why_len, "%s",
				err == SGB_ERR_UNSUPPORTED
					? "a signature of another algorithm"
					: "the signature is not by this key");
	}
	buf_done(&plain);
	return err;
}

enum sgb_err proof_check(const struct proof *proof, const char *name,
	const char *claimed, const uint8_t *blob, size_t blob_len,
	const struct sshkey *key, unsigned int *ret_flags, char *why,
	size_t why_len)
{
	char algorithm[ALGORITHM_MAX] = "";
	const struct signed_data request = {proof->data, proof->signature,
		proof->data_len, proof->signature_len};
	unsigned int flags = 0;
	bool good;
	enum sgb_err err;

	*ret_flags = 0;
	snprintf(why, why_len, "the signature is not of this login");
	if (!proof->session_id_len ||
		proof->session_id_len > PROOF_SESSION_ID_MAX)
		return SGB_ERR_FORMAT;
	if (is_security_key(key)) {
		snprintf(algorithm, sizeof(algorithm), "%s", claimed);
		good = security_key_request(proof, METHOD, name, algorithm,
			       blob, blob_len, key) ||
		       (proof->host_key_len &&
			       security_key_request(proof, METHOD_BOUND, name,
				       algorithm, blob, blob_len, key));
		flags = good ? proof->data[FLAGS_AT] : 0;
	} else {
		good = request_is(proof->data, proof->data_len, proof, name,
			blob, blob_len, algorithm);
	}
	if (!good || !sshkey_algorithm_fits(key, algorithm))
		return SGB_ERR_FORMAT;
	err = verify(
		true, &request, blob, blob_len, key, algorithm, why, why_len);
	if (err)
		return err;
	*ret_flags = SESSION_PROOF_SIGNED |
		     (flags & FLAG_USER_PRESENT ? SESSION_PROOF_TOUCHED : 0) |
		     (flags & FLAG_USER_VERIFIED ? SESSION_PROOF_VERIFIED : 0);
	return SGB_OK;
}

enum sgb_err proof_signature(const uint8_t *blob, size_t blob_len,
	const struct sshkey *key, const char *algorithm, const uint8_t *data,
	size_t len, const uint8_t *signature, size_t signature_len, char *why,
	size_t why_len)
{
	const struct signed_data what = {data, signature, len, signature_len};

	return verify(
		false, &what, blob, blob_len, key, algorithm, why, why_len);
}

enum sgb_err proof_exchange(const uint8_t *blob, size_t blob_len,
	const uint8_t *hash, size_t len, const uint8_t *signature,
	size_t signature_len)
{
	struct sshkey key;
	enum sgb_err err = sshkey_parse(blob, blob_len, &key);

	/* Nothing else that a host key signs is as short as a digest. */
	if (!err &&
		(!len || len > PROOF_SESSION_ID_MAX || is_security_key(&key)))
		err = SGB_ERR_FORMAT;
	if (err || key.type != SSHKEY_RSA)
		return err ? err
			   : usercert_verify_raw(blob, blob_len, key.name, hash,
				     len, signature, signature_len);
	err = usercert_verify_raw(blob, blob_len, "rsa-sha2-512", hash, len,
		signature, signature_len);
	return err ? usercert_verify_raw(blob, blob_len, "rsa-sha2-256", hash,
			     len, signature, signature_len)
		   : SGB_OK;
}
