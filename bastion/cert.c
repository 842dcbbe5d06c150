/*
 * User certificates for targets. The CA's key is read in the monitor alone;
 * what it signs is made here field by field and never comes from a peer.
 */
#include "cert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/secret.h"
#include "core/sshkey.h"
#include "private_key.h"

#define CERT_TYPE "ssh-ed25519-cert-v01@openssh.com"
#define KEY_TYPE  "ssh-ed25519"
#define KEY_LEN	  32
#define SIG_LEN	  64
#define USER_CERT 1
#define NONCE_LEN 32

enum sgb_err cert_ca_load(
	const char *path, EVP_PKEY **ret, char *why, size_t why_len)
{
	struct private_key key;
	enum sgb_err err;

	err = private_key_load(path, &key, why, why_len);
	if (!err && key.public.type != SSHKEY_ED25519) {
		err = SGB_ERR_UNSUPPORTED;
		snprintf(why, why_len,
			"%s: expected an Ed25519 key, this is %s; make one "
			"with: ssh-keygen -t ed25519 -N '' -f %s",
			path, key.public.name, path);
	}
	if (!err) {
		*ret = key.key;
		key.key = NULL;
	}
	private_key_done(&key);
	return err;
}

enum sgb_err cert_new_key(EVP_PKEY **ret)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	if (!key)
		return SGB_ERR_CRYPTO;
	*ret = key;
	return SGB_OK;
}

static enum sgb_err public_bytes(EVP_PKEY *key, uint8_t out[KEY_LEN])
{
	size_t len = KEY_LEN;

	if (EVP_PKEY_get_raw_public_key(key, out, &len) != 1 || len != KEY_LEN)
		return SGB_ERR_CRYPTO;
	return SGB_OK;
}

enum sgb_err cert_public_blob(EVP_PKEY *key, struct buf *out)
{
	uint8_t raw[KEY_LEN];
	enum sgb_err err = public_bytes(key, raw);

	if (err)
		return err;
	buf_put_cstring(out, KEY_TYPE);
	buf_put_string(out, raw, sizeof(raw));
	return buf_error(out);
}

enum sgb_err cert_signature(
	EVP_PKEY *key, const uint8_t *data, size_t len, struct buf *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[SIG_LEN];
	size_t sig_len = sizeof(sig);
	enum sgb_err err = SGB_ERR_CRYPTO;

	if (!ctx)
		return SGB_ERR_NOMEM;
	if (EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
		EVP_DigestSign(ctx, sig, &sig_len, data, len) == 1 &&
		sig_len == SIG_LEN) {
		buf_put_cstring(out, KEY_TYPE);
		buf_put_string(out, sig, sig_len);
		err = buf_error(out);
	}
	EVP_MD_CTX_free(ctx);
	return err;
}

/* Appends a nested field: what make() writes, as one string. */
static void put_nested(struct buf *out, const struct cert_request *request,
	void (*make)(struct buf *, const struct cert_request *))
{
	struct buf inner;

	buf_init(&inner, 4096);
	make(&inner, request);
	if (buf_error(&inner))
		out->err = out->err ? out->err : buf_error(&inner);
	else
		buf_put_string(out, inner.data, inner.len);
	buf_done(&inner);
}

static void put_principals(struct buf *out, const struct cert_request *request)
{
	buf_put_cstring(out, request->principal);
}

static void put_source(struct buf *out, const struct cert_request *request)
{
	buf_put_cstring(out, request->source_address);
}

static void put_critical(struct buf *out, const struct cert_request *request)
{
	buf_put_cstring(out, "source-address");
	put_nested(out, request, put_source);
}

/* In lexical order, as the format demands; each with empty data. */
static void put_extensions(struct buf *out, const struct cert_request *request)
{
	const struct {
		bool on;
		const char *name;
	} rows[] = {
		{request->x11, "permit-X11-forwarding"},
		{request->agent, "permit-agent-forwarding"},
		{request->forward, "permit-port-forwarding"},
		{request->pty, "permit-pty"},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!rows[i].on)
			continue;
		buf_put_cstring(out, rows[i].name);
		buf_put_cstring(out, "");
	}
}

static void put_ca(struct buf *out, const struct cert_request *request)
{
	enum sgb_err err = cert_public_blob(request->ca, out);

	if (err && !out->err)
		out->err = err;
}

enum sgb_err cert_sign(const struct cert_request *request, struct buf *out)
{
	uint8_t nonce[NONCE_LEN], leaf[KEY_LEN];
	struct buf body, signature;
	enum sgb_err err;

	if (!request->principal || !*request->principal ||
		!request->source_address || !*request->source_address ||
		request->valid_before <= request->valid_after)
		return SGB_ERR_FORMAT;
	buf_init(&body, 16384);
	buf_init(&signature, 1024);
	err = secret_random(nonce, sizeof(nonce));
	if (!err)
		err = public_bytes(request->leaf, leaf);
	if (err)
		goto out;
	buf_put_cstring(&body, CERT_TYPE);
	buf_put_string(&body, nonce, sizeof(nonce));
	buf_put_string(&body, leaf, sizeof(leaf));
	buf_put_u64(&body, request->serial);
	buf_put_u32(&body, USER_CERT);
	buf_put_cstring(&body, request->key_id);
	put_nested(&body, request, put_principals);
	buf_put_u64(&body, request->valid_after);
	buf_put_u64(&body, request->valid_before);
	put_nested(&body, request, put_critical);
	put_nested(&body, request, put_extensions);
	buf_put_cstring(&body, ""); /* reserved */
	put_nested(&body, request, put_ca);
	err = buf_error(&body);
	if (!err)
		err = cert_signature(
			request->ca, body.data, body.len, &signature);
	if (!err) {
		buf_put_string(&body, signature.data, signature.len);
		buf_put(out, body.data, body.len);
		err = buf_error(&body) ? buf_error(&body) : buf_error(out);
	}
out:
	buf_done(&signature);
	buf_done(&body);
	return err;
}
