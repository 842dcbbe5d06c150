/*
 * From SSH's blobs to OpenSSL and back with one answer. Trusts nothing it is
 * given; anything but OpenSSL's exact 1 is a no.
 */
#include "usercert_sign.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/sha.h>

#include "core/buf.h"
#include "core/sshkey.h"

#define SIGNATURE_MAX 2048

/* Which signature goes with which key; SHA-1 is not among them. */
static const struct scheme {
	const char *key, *signature;
	const char *group;  /* of OpenSSL, for ECDSA */
	const char *digest; /* NULL: Ed25519 */
	bool security_key;  /* no CA is one */
} schemes[] = {
	{"ssh-ed25519", "ssh-ed25519", NULL, NULL, false},
	{"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "prime256v1", "SHA256",
		false},
	{"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", "secp384r1", "SHA384",
		false},
	{"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", "secp521r1", "SHA512",
		false},
	{"ssh-rsa", "rsa-sha2-256", NULL, "SHA256", false},
	{"ssh-rsa", "rsa-sha2-512", NULL, "SHA512", false},
	{"sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519@openssh.com", NULL, NULL,
		true},
	{"sk-ecdsa-sha2-nistp256@openssh.com",
		"sk-ecdsa-sha2-nistp256@openssh.com", "prime256v1", "SHA256",
		true},
};

static const struct scheme *find_scheme(
	const char *key, const uint8_t *name, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (!strcmp(schemes[i].key, key) &&
			len == strlen(schemes[i].signature) &&
			!memcmp(schemes[i].signature, name, len))
			return &schemes[i];
	return NULL;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *builder)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *rsa_key(struct reader *rd)
{
	size_t e_len, n_len;
	const uint8_t *e_bytes = reader_string(rd, &e_len);
	const uint8_t *n_bytes = reader_string(rd, &n_len);
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM *e = NULL, *n = NULL;
	EVP_PKEY *key = NULL;

	if (!reader_end(rd)) {
		e = BN_bin2bn(e_bytes, (int)e_len, NULL);
		n = BN_bin2bn(n_bytes, (int)n_len, NULL);
	}
	if (builder && e && n &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) ==
			1 &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1)
		key = from_params("RSA", builder);
	BN_free(e);
	BN_free(n);
	OSSL_PARAM_BLD_free(builder);
	return key;
}

/* Behind the key of a security key stands its application. */
static bool key_ends(struct reader *rd, const struct scheme *scheme)
{
	size_t len;

	if (scheme->security_key)
		reader_string(rd, &len);
	return !reader_end(rd);
}

static EVP_PKEY *ec_key(struct reader *rd, const struct scheme *scheme)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	EVP_PKEY *key = NULL;
	const uint8_t *point;
	size_t len;

	reader_string(rd, &len); /* the curve: in the key's name, too */
	point = reader_string(rd, &len);
	/* OpenSSL checks that the point is on the curve. */
	if (builder && key_ends(rd, scheme) &&
		OSSL_PARAM_BLD_push_utf8_string(builder,
			OSSL_PKEY_PARAM_GROUP_NAME, scheme->group, 0) == 1 &&
		OSSL_PARAM_BLD_push_octet_string(
			builder, OSSL_PKEY_PARAM_PUB_KEY, point, len) == 1)
		key = from_params("EC", builder);
	OSSL_PARAM_BLD_free(builder);
	return key;
}

static EVP_PKEY *load_key(
	const struct scheme *scheme, const uint8_t *blob, size_t blob_len)
{
	struct reader rd;
	const uint8_t *raw;
	size_t len;

	reader_init(&rd, blob, blob_len);
	reader_string(&rd, &len); /* the type */
	if (scheme->group)
		return ec_key(&rd, scheme);
	if (scheme->digest)
		return rsa_key(&rd);
	raw = reader_string(&rd, &len);
	if (!key_ends(&rd, scheme))
		return NULL;
	return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, len);
}

/* mpint r, mpint s (RFC 5656 section 3.1.2) as OpenSSL wants them. */
static int ecdsa_der(
	const uint8_t *data, size_t len, uint8_t out[SIGNATURE_MAX])
{
	ECDSA_SIG *signature = ECDSA_SIG_new();
	const uint8_t *r_bytes, *s_bytes;
	size_t r_len, s_len;
	BIGNUM *r = NULL, *s = NULL;
	struct reader rd;
	uint8_t *at = out;
	int written = -1;

	reader_init(&rd, data, len);
	r_bytes = reader_string(&rd, &r_len);
	s_bytes = reader_string(&rd, &s_len);
	if (!reader_end(&rd) && r_len && s_len && r_len < 80 && s_len < 80 &&
		!(r_bytes[0] & 0x80) && !(s_bytes[0] & 0x80)) {
		r = BN_bin2bn(r_bytes, (int)r_len, NULL);
		s = BN_bin2bn(s_bytes, (int)s_len, NULL);
	}
	if (signature && r && s && ECDSA_SIG_set0(signature, r, s) == 1) {
		r = s = NULL;
		written = i2d_ECDSA_SIG(signature, &at);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(signature);
	return written;
}

/* Some signers leave leading zeros out (RFC 8332 section 3 forbids it;
 * OpenSSH accepts it). */
static int rsa_padded(const EVP_PKEY *key, const uint8_t *data, size_t len,
	uint8_t out[SIGNATURE_MAX])
{
	int size = EVP_PKEY_get_size(key);

	if (size <= 0 || size > SIGNATURE_MAX || len > (size_t)size || !len)
		return -1;
	memset(out, 0, (size_t)size);
	memcpy(out + (size_t)size - len, data, len);
	return size;
}

static int convert(const struct scheme *scheme, const EVP_PKEY *key,
	const uint8_t *data, size_t len, uint8_t out[SIGNATURE_MAX])
{
	if (scheme->group)
		return ecdsa_der(data, len, out);
	if (scheme->digest)
		return rsa_padded(key, data, len, out);
	if (len != 64)
		return -1;
	memcpy(out, data, len);
	return 64;
}

static bool verify(const struct scheme *scheme, EVP_PKEY *key,
	const uint8_t *raw, size_t raw_len, const uint8_t *data, size_t len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = false;

	if (ctx && EVP_DigestVerifyInit_ex(ctx, NULL, scheme->digest, NULL,
			   NULL, key, NULL) == 1)
		good = EVP_DigestVerify(ctx, raw, raw_len, data, len) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

static enum sgb_err verify_bytes(const struct scheme *scheme,
	const uint8_t *key, size_t key_len, const uint8_t *bytes,
	size_t bytes_len, const uint8_t *data, size_t len)
{
	EVP_PKEY *pkey = load_key(scheme, key, key_len);
	uint8_t raw[SIGNATURE_MAX];
	int raw_len = -1;
	bool good;

	if (pkey)
		raw_len = convert(scheme, pkey, bytes, bytes_len, raw);
	good = raw_len > 0 &&
	       verify(scheme, pkey, raw, (size_t)raw_len, data, len);
	EVP_PKEY_free(pkey);
	return good ? SGB_OK : SGB_ERR_CRYPTO;
}

/* A signature blob in its parts; rd is left behind them. */
struct parts {
	const uint8_t *bytes;
	size_t len;
	const struct scheme *scheme;
};

static enum sgb_err take_apart(
	const struct sshkey *key, struct reader *rd, struct parts *ret)
{
	const uint8_t *name;
	size_t name_len;

	name = reader_string(rd, &name_len);
	ret->bytes = reader_string(rd, &ret->len);
	if (rd->err)
		return SGB_ERR_FORMAT;
	ret->scheme = key->is_cert ? NULL
				   : find_scheme(key->name, name, name_len);
	return ret->scheme ? SGB_OK : SGB_ERR_UNSUPPORTED;
}

enum sgb_err usercert_verify(const uint8_t *key, size_t key_len,
	const uint8_t *data, size_t len, const uint8_t *signature,
	size_t signature_len)
{
	struct sshkey parsed;
	struct parts parts;
	struct reader rd;
	enum sgb_err err;

	err = sshkey_parse(key, key_len, &parsed);
	if (err)
		return err;
	reader_init(&rd, signature, signature_len);
	err = take_apart(&parsed, &rd, &parts);
	if (!err && parts.scheme->security_key)
		err = SGB_ERR_UNSUPPORTED;
	if (!err)
		err = reader_end(&rd);
	return err ? err
		   : verify_bytes(parts.scheme, key, key_len, parts.bytes,
			     parts.len, data, len);
}

/* What a security key signs for data (PROTOCOL.u2f). */
static bool wrap_message(const struct sshkey *key, uint8_t flags,
	uint32_t counter, const uint8_t *data, size_t len, struct buf *out)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	const char *application = key->sk_application;

	if (!SHA256((const uint8_t *)application, strlen(application), digest))
		return false;
	buf_put(out, digest, sizeof(digest));
	buf_put_u8(out, flags);
	buf_put_u32(out, counter);
	if (!SHA256(data, len, digest))
		return false;
	buf_put(out, digest, sizeof(digest));
	return !buf_error(out);
}

enum sgb_err usercert_verify_login(const uint8_t *key, size_t key_len,
	const char *signature_name, const uint8_t *data, size_t len,
	const uint8_t *signature, size_t signature_len)
{
	struct sshkey parsed;
	struct parts parts;
	struct reader rd;
	struct buf message;
	uint8_t flags = 0;
	uint32_t counter = 0;
	enum sgb_err err;

	err = sshkey_parse(key, key_len, &parsed);
	if (err)
		return err;
	reader_init(&rd, signature, signature_len);
	err = take_apart(&parsed, &rd, &parts);
	if (!err && strcmp(parts.scheme->signature, signature_name))
		err = SGB_ERR_UNSUPPORTED;
	if (!err && parts.scheme->security_key) {
		flags = reader_u8(&rd);
		counter = reader_u32(&rd);
	}
	if (!err)
		err = reader_end(&rd);
	if (err)
		return err;
	if (!parts.scheme->security_key)
		return verify_bytes(parts.scheme, key, key_len, parts.bytes,
			parts.len, data, len);
	buf_init(&message, 128);
	err = SGB_ERR_CRYPTO;
	if (wrap_message(&parsed, flags, counter, data, len, &message))
		err = verify_bytes(parts.scheme, key, key_len, parts.bytes,
			parts.len, message.data, message.len);
	buf_done(&message);
	return err;
}

enum sgb_err usercert_verify_raw(const uint8_t *key, size_t key_len,
	const char *signature_name, const uint8_t *data, size_t len,
	const uint8_t *raw, size_t raw_len)
{
	const struct scheme *scheme;
	struct sshkey parsed;
	EVP_PKEY *pkey;
	enum sgb_err err;
	bool good;

	err = sshkey_parse(key, key_len, &parsed);
	if (err)
		return err;
	scheme = parsed.is_cert ? NULL
				: find_scheme(parsed.name,
					  (const uint8_t *)signature_name,
					  strlen(signature_name));
	if (!scheme)
		return SGB_ERR_UNSUPPORTED;
	pkey = load_key(scheme, key, key_len);
	good = pkey && verify(scheme, pkey, raw, raw_len, data, len);
	EVP_PKEY_free(pkey);
	return good ? SGB_OK : SGB_ERR_CRYPTO;
}
