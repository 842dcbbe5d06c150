/*
 * Reads private keys in OpenSSH's format. The bytes are root's own, but every
 * length is checked as if they were not; what was held of them is wiped.
 */
#include "private_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "core/file.h"
#include "core/secret.h"

#define FILE_MAX 16384
#define ED_LEN	 32

static const char pem_begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
static const char pem_end[] = "-----END OPENSSH PRIVATE KEY-----";
static const char magic[] = "openssh-key-v1"; /* with its NUL */

static bool string_is(struct reader *rd, const char *expected)
{
	size_t len;
	const uint8_t *at = reader_string(rd, &len);

	return !rd->err && len == strlen(expected) &&
	       (!len || !memcmp(at, expected, len));
}

static EVP_PKEY *from_params(const char *kind, OSSL_PARAM_BLD *bld)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
	EVP_PKEY *key = NULL;

	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return key;
}

/* Public half, then both halves. */
static EVP_PKEY *read_ed25519(struct reader *rd, const struct sshkey *public)
{
	size_t len;
	const uint8_t *key;

	(void)public;
	(void)reader_string(rd, &len);
	key = reader_string(rd, &len);
	if (rd->err || len != 2 * ED_LEN)
		return NULL;
	return EVP_PKEY_new_raw_private_key(
		EVP_PKEY_ED25519, NULL, key, ED_LEN);
}

/* Curve, point, scalar (RFC 5656). */
static EVP_PKEY *read_ecdsa(struct reader *rd, const struct sshkey *public)
{
	const char *curve = public->bits == 256	  ? "P-256"
			    : public->bits == 384 ? "P-384"
						  : "P-521";
	size_t len, point_len;
	const uint8_t *point, *scalar;
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY *key = NULL;
	BIGNUM *d;

	(void)reader_string(rd, &len);
	point = reader_string(rd, &point_len);
	scalar = reader_string(rd, &len);
	d = rd->err ? NULL : BN_secure_new();
	if (bld && d && BN_bin2bn(scalar, (int)len, d) &&
		OSSL_PARAM_BLD_push_utf8_string(
			bld, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) == 1 &&
		OSSL_PARAM_BLD_push_octet_string(
			bld, OSSL_PKEY_PARAM_PUB_KEY, point, point_len) == 1 &&
		OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, d) == 1)
		key = from_params("EC", bld);
	OSSL_PARAM_BLD_free(bld);
	BN_clear_free(d);
	return key;
}

enum {
	RSA_N,
	RSA_E,
	RSA_D,
	RSA_IQMP,
	RSA_P,
	RSA_Q,
	RSA_DMP1,
	RSA_DMQ1,
	RSA_ALL
};

/* What the file leaves out: d modulo p - 1 and q - 1. */
static bool rsa_exponents(BIGNUM *n[RSA_ALL])
{
	BN_CTX *ctx = BN_CTX_secure_new();
	BIGNUM *less = BN_secure_new();
	bool good = ctx && less;
	size_t i;

	for (i = 0; good && i < 2; i++) {
		good = BN_copy(less, n[RSA_P + i]) && BN_sub_word(less, 1) &&
		       BN_mod(n[RSA_DMP1 + i], n[RSA_D], less, ctx) == 1;
	}
	BN_clear_free(less);
	BN_CTX_free(ctx);
	return good;
}

static EVP_PKEY *read_rsa(struct reader *rd, const struct sshkey *public)
{
	static const char *const names[RSA_ALL] = {OSSL_PKEY_PARAM_RSA_N,
		OSSL_PKEY_PARAM_RSA_E, OSSL_PKEY_PARAM_RSA_D,
		OSSL_PKEY_PARAM_RSA_COEFFICIENT1, OSSL_PKEY_PARAM_RSA_FACTOR1,
		OSSL_PKEY_PARAM_RSA_FACTOR2, OSSL_PKEY_PARAM_RSA_EXPONENT1,
		OSSL_PKEY_PARAM_RSA_EXPONENT2};
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	BIGNUM *n[RSA_ALL] = {NULL};
	EVP_PKEY *key = NULL;
	bool good = bld;
	size_t i, len;

	(void)public;
	for (i = 0; good && i < RSA_ALL; i++) {
		const uint8_t *at = i < RSA_DMP1 ? reader_string(rd, &len)
						 : NULL;

		n[i] = BN_secure_new();
		good = n[i] && !rd->err &&
		       (!at || BN_bin2bn(at, (int)len, n[i]));
	}
	good = good && rsa_exponents(n);
	for (i = 0; good && i < RSA_ALL; i++)
		good = OSSL_PARAM_BLD_push_BN(bld, names[i], n[i]) == 1;
	if (good)
		key = from_params("RSA", bld);
	OSSL_PARAM_BLD_free(bld);
	for (i = 0; i < RSA_ALL; i++)
		BN_clear_free(n[i]);
	return key;
}

/* The private part: two equal check numbers, type, public, private. */
static enum sgb_err parse_private(
	const uint8_t *data, size_t len, struct private_key *ret)
{
	static const struct {
		enum sshkey_type type;
		EVP_PKEY *(*read)(struct reader *, const struct sshkey *);
	} readers[] = {
		{SSHKEY_ED25519, read_ed25519},
		{SSHKEY_ECDSA, read_ecdsa},
		{SSHKEY_RSA, read_rsa},
	};
	struct reader rd;
	uint32_t check;
	size_t i;

	reader_init(&rd, data, len);
	check = reader_u32(&rd);
	if (check != reader_u32(&rd) || !string_is(&rd, ret->public.name))
		return SGB_ERR_FORMAT;
	for (i = 0; i < sizeof(readers) / sizeof(readers[0]); i++)
		if (readers[i].type == ret->public.type)
			ret->key = readers[i].read(&rd, &ret->public);
	if (rd.err)
		return SGB_ERR_FORMAT;
	return ret->key ? SGB_OK : SGB_ERR_UNSUPPORTED;
}

/* magic, cipher, kdf, kdf options, count, public, private */
static enum sgb_err parse_container(
	const uint8_t *data, size_t len, struct private_key *ret)
{
	const uint8_t *at, *private;
	enum sgb_err err;
	struct reader rd;
	size_t n;

	reader_init(&rd, data, len);
	at = reader_bytes(&rd, sizeof(magic));
	if (!at || memcmp(at, magic, sizeof(magic)))
		return SGB_ERR_FORMAT;
	if (!string_is(&rd, "none") || !string_is(&rd, "none"))
		return SGB_ERR_UNSUPPORTED;
	(void)reader_string(&rd, &n);
	if (reader_u32(&rd) != 1)
		return SGB_ERR_UNSUPPORTED;
	at = reader_string(&rd, &ret->blob_len);
	private = reader_string(&rd, &n);
	if (rd.err || sshkey_parse(at, ret->blob_len, &ret->public) ||
		ret->public.is_cert)
		return SGB_ERR_FORMAT;
	ret->blob = malloc(ret->blob_len);
	if (!ret->blob)
		return SGB_ERR_NOMEM;
	memcpy(ret->blob, at, ret->blob_len);
	err = parse_private(private, n, ret);
	return err;
}

enum sgb_err private_key_parse(const struct buf *text, struct private_key *ret)
{
	const char *at = (const char *)text->data, *end;
	size_t left = text->len, len = 0;
	enum sgb_err err = SGB_ERR_FORMAT;
	uint8_t *bytes = NULL;
	struct buf base64;

	memset(ret, 0, sizeof(*ret));
	if (left < sizeof(pem_begin) ||
		memcmp(at, pem_begin, sizeof(pem_begin) - 1))
		return SGB_ERR_FORMAT;
	at += sizeof(pem_begin) - 1;
	left -= sizeof(pem_begin) - 1;
	end = memmem(at, left, pem_end, sizeof(pem_end) - 1);
	if (!end)
		return SGB_ERR_FORMAT;
	buf_init(&base64, text->max);
	for (; at < end; at++)
		if (*at != '\n' && *at != '\r')
			buf_put_u8(&base64, (uint8_t)*at);
	if (!buf_error(&base64))
		err = sshkey_base64_decode(
			(const char *)base64.data, base64.len, &bytes, &len);
	if (!err)
		err = parse_container(bytes, len, ret);
	if (err)
		private_key_done(ret);
	secret_wipe(bytes, len);
	free(bytes);
	buf_done(&base64);
	return err;
}

enum sgb_err private_key_load(
	const char *path, struct private_key *ret, char *why, size_t why_len)
{
	struct buf text;
	enum sgb_err err;

	memset(ret, 0, sizeof(*ret));
	buf_init(&text, FILE_MAX);
	err = file_read(path, FILE_TRUST_SECRET, &text, why, why_len);
	if (!err) {
		err = private_key_parse(&text, ret);
		if (err)
			snprintf(why, why_len,
				"%s: expected a private key in OpenSSH's "
				"format without a passphrase; make one with: "
				"ssh-keygen -t ed25519 -N '' -f %s",
				path, path);
	}
	buf_done(&text);
	return err;
}

void private_key_done(struct private_key *key)
{
	EVP_PKEY_free(key->key);
	free(key->blob);
	memset(key, 0, sizeof(*key));
}
