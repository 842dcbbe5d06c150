/*
 * Private keys. What is read is root's own file, but strictly all the same;
 * copies of secrets are wiped. Runs in the monitor and in the administrator's
 * command, never in a session process.
 */
#include "privkey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "core/secret.h"
#include "core/sshkey.h"

#define RSA_MIN_BITS  2048
#define SIGNATURE_MAX 2048
#define MAGIC	      "openssh-key-v1" /* with its NUL */

static const char pem_begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
static const char pem_end[] = "-----END OPENSSH PRIVATE KEY-----";

static const struct curve {
	const char *name, *group, *key, *digest;
	size_t field; /* bytes */
} curves[] = {
	{"nistp256", "prime256v1", "ecdsa-sha2-nistp256", "SHA256", 32},
	{"nistp384", "secp384r1", "ecdsa-sha2-nistp384", "SHA384", 48},
	{"nistp521", "secp521r1", "ecdsa-sha2-nistp521", "SHA512", 66},
};

#define CURVES (sizeof(curves) / sizeof(curves[0]))

/* ---- reading ---- */

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *builder)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
		key = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* Secure: what OpenSSL copies of it is wiped, too. */
static BIGNUM *read_number(struct reader *rd)
{
	size_t len;
	const uint8_t *at = reader_string(rd, &len);
	BIGNUM *number;

	/* A negative one would have its first bit set (RFC 4251). */
	if (rd->err || !len || len > SIGNATURE_MAX || at[0] & 0x80)
		return NULL;
	number = BN_secure_new();
	if (number && !BN_bin2bn(at, (int)len, number)) {
		BN_free(number);
		number = NULL;
	}
	return number;
}

/* d modulo one factor less one, which the file leaves out. */
static BIGNUM *exponent(const BIGNUM *d, const BIGNUM *factor)
{
	BN_CTX *ctx = BN_CTX_secure_new();
	BIGNUM *less = factor ? BN_dup(factor) : NULL;
	BIGNUM *out = BN_secure_new();

	if (!ctx || !less || !out || !d || BN_sub_word(less, 1) != 1 ||
		BN_mod(out, d, less, ctx) != 1) {
		BN_clear_free(out);
		out = NULL;
	}
	BN_clear_free(less);
	BN_CTX_free(ctx);
	return out;
}

/* n, e, d, iqmp, p, q in the file's order, then both exponents. */
static EVP_PKEY *read_rsa(struct reader *rd)
{
	static const char *const names[] = {OSSL_PKEY_PARAM_RSA_N,
		OSSL_PKEY_PARAM_RSA_E, OSSL_PKEY_PARAM_RSA_D,
		OSSL_PKEY_PARAM_RSA_COEFFICIENT1, OSSL_PKEY_PARAM_RSA_FACTOR1,
		OSSL_PKEY_PARAM_RSA_FACTOR2, OSSL_PKEY_PARAM_RSA_EXPONENT1,
		OSSL_PKEY_PARAM_RSA_EXPONENT2};
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM *numbers[8] = {NULL};
	EVP_PKEY *key = NULL;
	bool good = builder;
	size_t i;

	for (i = 0; i < 6; i++)
		numbers[i] = read_number(rd);
	numbers[6] = exponent(numbers[2], numbers[4]);
	numbers[7] = exponent(numbers[2], numbers[5]);
	for (i = 0; i < 8 && good; i++)
		good = numbers[i] && OSSL_PARAM_BLD_push_BN(builder, names[i],
					     numbers[i]) == 1;
	if (good)
		key = from_params("RSA", builder);
	for (i = 0; i < 8; i++)
		BN_clear_free(numbers[i]);
	OSSL_PARAM_BLD_free(builder);
	return key;
}

static EVP_PKEY *read_ecdsa(struct reader *rd, const struct curve *curve)
{
	size_t name_len, point_len;
	const uint8_t *name = reader_string(rd, &name_len);
	const uint8_t *point = reader_string(rd, &point_len);
	BIGNUM *number = read_number(rd);
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	EVP_PKEY *key = NULL;

	if (number && builder && name_len == strlen(curve->name) &&
		!memcmp(name, curve->name, name_len) &&
		point_len == 2 * curve->field + 1 &&
		OSSL_PARAM_BLD_push_utf8_string(builder,
			OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) == 1 &&
		OSSL_PARAM_BLD_push_octet_string(builder,
			OSSL_PKEY_PARAM_PUB_KEY, point, point_len) == 1 &&
		OSSL_PARAM_BLD_push_BN(
			builder, OSSL_PKEY_PARAM_PRIV_KEY, number) == 1)
		key = from_params("EC", builder);
	OSSL_PARAM_BLD_free(builder);
	BN_clear_free(number);
	return key;
}

static EVP_PKEY *read_ed25519(struct reader *rd)
{
	size_t len;
	const uint8_t *key;

	(void)reader_string(rd, &len);
	key = reader_string(rd, &len);
	if (rd->err || len != 64)
		return NULL;
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key, 32);
}

/* Two equal numbers, the type, its fields; comment and padding are left. */
static EVP_PKEY *read_fields(const uint8_t *data, size_t len)
{
	const uint8_t *type;
	struct reader rd;
	uint32_t check;
	size_t type_len, i;

	reader_init(&rd, data, len);
	check = reader_u32(&rd);
	if (check != reader_u32(&rd))
		return NULL;
	type = reader_string(&rd, &type_len);
	if (rd.err)
		return NULL;
	if (type_len == 11 && !memcmp(type, "ssh-ed25519", 11))
		return read_ed25519(&rd);
	if (type_len == 7 && !memcmp(type, "ssh-rsa", 7))
		return read_rsa(&rd);
	for (i = 0; i < CURVES; i++)
		if (type_len == strlen(curves[i].key) &&
			!memcmp(type, curves[i].key, type_len))
			return read_ecdsa(&rd, &curves[i]);
	return NULL;
}

/* PROTOCOL.key: magic, cipher, kdf, options, count, public, private. */
static enum sgb_err read_container(
	const uint8_t *data, size_t len, EVP_PKEY **ret)
{
	const uint8_t *at;
	struct reader rd;
	size_t n;

	reader_init(&rd, data, len);
	at = reader_bytes(&rd, sizeof(MAGIC));
	if (!at || memcmp(at, MAGIC, sizeof(MAGIC)))
		return SGB_ERR_FORMAT;
	at = reader_string(&rd, &n);
	if (rd.err || n != 4 || memcmp(at, "none", 4))
		return SGB_ERR_DENIED;
	(void)reader_string(&rd, &n);
	(void)reader_string(&rd, &n);
	if (reader_u32(&rd) != 1)
		return SGB_ERR_UNSUPPORTED;
	(void)reader_string(&rd, &n);
	at = reader_string(&rd, &n);
	if (rd.err)
		return SGB_ERR_FORMAT;
	*ret = read_fields(at, n);
	return *ret ? SGB_OK : SGB_ERR_FORMAT;
}

static enum sgb_err parse_openssh(const char *text, size_t len, EVP_PKEY **ret)
{
	const char *end = memmem(text, len, pem_end, sizeof(pem_end) - 1);
	uint8_t *bytes = NULL;
	size_t bytes_len = 0;
	struct buf base64;
	enum sgb_err err = SGB_ERR_FORMAT;

	buf_init(&base64, len);
	for (text += sizeof(pem_begin) - 1; end && text < end; text++)
		if (*text != '\n' && *text != '\r')
			buf_put_u8(&base64, (uint8_t)*text);
	if (!buf_error(&base64))
		err = sshkey_base64_decode((const char *)base64.data,
			base64.len, &bytes, &bytes_len);
	if (!err)
		err = read_container(bytes, bytes_len, ret);
	secret_wipe(bytes, bytes_len);
	free(bytes);
	buf_done(&base64);
	return err;
}

/* Asked for a passphrase, there is none; and nobody is asked on a terminal. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	*(bool *)arg = true;
	return -1;
}

static enum sgb_err parse_pem(const char *text, size_t len, EVP_PKEY **ret)
{
	BIO *bio = len <= 65536 ? BIO_new_mem_buf(text, (int)len) : NULL;
	bool asked = false;

	if (!bio)
		return SGB_ERR_LIMIT;
	*ret = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
	BIO_free(bio);
	ERR_clear_error();
	if (asked)
		return SGB_ERR_DENIED;
	return *ret ? SGB_OK : SGB_ERR_FORMAT;
}

enum sgb_err privkey_parse(
	const void *text, size_t len, EVP_PKEY **ret, char *why, size_t why_len)
{
	EVP_PKEY *key = NULL;
	struct buf blob;
	enum sgb_err err;

	if (len > sizeof(pem_begin) &&
		!memcmp(text, pem_begin, sizeof(pem_begin) - 1))
		err = parse_openssh(text, len, &key);
	else
		err = parse_pem(text, len, &key);
	buf_init(&blob, SSHKEY_MAX_BLOB);
	if (!err)
		err = privkey_public(key, &blob);
	buf_done(&blob);
	if (!err) {
		*ret = key;
		return SGB_OK;
	}
	EVP_PKEY_free(key);
	snprintf(why, why_len, "%s",
		err == SGB_ERR_DENIED
			? "the key has a passphrase; take it off a copy "
			  "with: ssh-keygen -p -N '' -f COPY"
			: "expected a private key as ssh-keygen writes it: "
			  "Ed25519, ECDSA, or RSA of 2048 bits and more");
	return err;
}

enum sgb_err privkey_generate(const char *type, EVP_PKEY **ret)
{
	EVP_PKEY *key = NULL;

	if (!strcmp(type, "ed25519"))
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else if (!strcmp(type, "ecdsa"))
		key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	else if (!strcmp(type, "rsa"))
		key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)3072);
	else
		return SGB_ERR_UNSUPPORTED;
	if (!key)
		return SGB_ERR_CRYPTO;
	*ret = key;
	return SGB_OK;
}

enum sgb_err privkey_put(EVP_PKEY *key, struct buf *out)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	unsigned char *der = NULL;
	int len = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;

	if (len > 0)
		buf_put_string(out, der, (size_t)len);
	if (len > 0)
		secret_wipe(der, (size_t)len);
	OPENSSL_free(der);
	PKCS8_PRIV_KEY_INFO_free(info);
	return len > 0 ? buf_error(out) : SGB_ERR_CRYPTO;
}

enum sgb_err privkey_get(const void *der, size_t len, EVP_PKEY **ret)
{
	const unsigned char *at = der;
	EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, (long)len);

	if (!key || at != (const unsigned char *)der + len) {
		EVP_PKEY_free(key);
		return SGB_ERR_FORMAT;
	}
	*ret = key;
	return SGB_OK;
}

/* ---- the public half ---- */

static const struct curve *curve_of(EVP_PKEY *key)
{
	char group[64];
	size_t i, len;

	if (EVP_PKEY_get_group_name(key, group, sizeof(group), &len) != 1)
		return NULL;
	for (i = 0; i < CURVES; i++)
		if (!strcmp(curves[i].group, group))
			return &curves[i];
	return NULL;
}

static void put_number(struct buf *out, const BIGNUM *number)
{
	uint8_t bytes[SIGNATURE_MAX + 1] = {0};
	int len = BN_num_bytes(number);

	if (len <= 0 || len > SIGNATURE_MAX) {
		out->err = SGB_ERR_LIMIT;
		return;
	}
	BN_bn2bin(number, bytes + 1);
	/* A first bit that is set would mean a negative number. */
	if (bytes[1] & 0x80)
		buf_put_string(out, bytes, (size_t)len + 1);
	else
		buf_put_string(out, bytes + 1, (size_t)len);
}

static enum sgb_err put_rsa(EVP_PKEY *key, struct buf *out)
{
	BIGNUM *n = NULL, *e = NULL;
	enum sgb_err err = SGB_ERR_UNSUPPORTED;

	if (EVP_PKEY_get_bits(key) >= RSA_MIN_BITS &&
		EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
		EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) == 1) {
		buf_put_cstring(out, "ssh-rsa");
		put_number(out, e);
		put_number(out, n);
		err = buf_error(out);
	}
	BN_free(n);
	BN_free(e);
	return err;
}

static enum sgb_err put_ecdsa(EVP_PKEY *key, struct buf *out)
{
	const struct curve *curve = curve_of(key);
	BIGNUM *x = NULL, *y = NULL;
	uint8_t point[1 + 2 * 66] = {0x04};
	enum sgb_err err = SGB_ERR_UNSUPPORTED;

	if (curve &&
		EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
		EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
		BN_bn2binpad(x, point + 1, (int)curve->field) > 0 &&
		BN_bn2binpad(y, point + 1 + curve->field, (int)curve->field) >
			0) {
		buf_put_cstring(out, curve->key);
		buf_put_cstring(out, curve->name);
		buf_put_string(out, point, 1 + 2 * curve->field);
		err = buf_error(out);
	}
	BN_free(x);
	BN_free(y);
	return err;
}

static enum sgb_err put_ed25519(EVP_PKEY *key, struct buf *out)
{
	uint8_t raw[32];
	size_t len = sizeof(raw);

	if (EVP_PKEY_get_raw_public_key(key, raw, &len) != 1 ||
		len != sizeof(raw))
		return SGB_ERR_CRYPTO;
	buf_put_cstring(out, "ssh-ed25519");
	buf_put_string(out, raw, sizeof(raw));
	return buf_error(out);
}

enum sgb_err privkey_public(EVP_PKEY *key, struct buf *out)
{
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_ED25519: return put_ed25519(key, out);
	case EVP_PKEY_EC: return put_ecdsa(key, out);
	case EVP_PKEY_RSA: return put_rsa(key, out);
	default: return SGB_ERR_UNSUPPORTED;
	}
}

/* ---- signing ---- */

/* RFC 5656 section 3.1.2: r and s instead of OpenSSL's DER. */
static void put_pair(struct buf *out, const uint8_t *der, size_t len)
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
	struct buf pair;

	buf_init(&pair, 512);
	if (sig) {
		put_number(&pair, ECDSA_SIG_get0_r(sig));
		put_number(&pair, ECDSA_SIG_get0_s(sig));
	}
	if (!sig || buf_error(&pair))
		out->err = SGB_ERR_CRYPTO;
	else
		buf_put_string(out, pair.data, pair.len);
	ECDSA_SIG_free(sig);
	buf_done(&pair);
}

/* NULL: without one. False for an algorithm that is not the key's. */
static bool find_digest(
	EVP_PKEY *key, const char *algorithm, const char **ret_digest)
{
	const struct curve *curve;

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_ED25519:
		*ret_digest = NULL;
		return !strcmp(algorithm, "ssh-ed25519");
	case EVP_PKEY_EC:
		curve = curve_of(key);
		*ret_digest = curve ? curve->digest : NULL;
		return curve && !strcmp(algorithm, curve->key);
	case EVP_PKEY_RSA:
		*ret_digest = !strcmp(algorithm, "rsa-sha2-512") ? "SHA512"
								 : "SHA256";
		return !strcmp(algorithm, "rsa-sha2-512") ||
		       !strcmp(algorithm, "rsa-sha2-256");
	default: return false;
	}
}

enum sgb_err privkey_sign(EVP_PKEY *key, const char *algorithm,
	const uint8_t *data, size_t len, struct buf *out)
{
	uint8_t sig[SIGNATURE_MAX];
	size_t sig_len = sizeof(sig);
	const char *digest;
	EVP_MD_CTX *ctx;
	enum sgb_err err = SGB_ERR_CRYPTO;

	if (!find_digest(key, algorithm, &digest))
		return SGB_ERR_UNSUPPORTED;
	ctx = EVP_MD_CTX_new();
	if (ctx &&
		EVP_DigestSignInit_ex(
			ctx, NULL, digest, NULL, NULL, key, NULL) == 1 &&
		EVP_DigestSign(ctx, sig, &sig_len, data, len) == 1) {
		buf_put_cstring(out, algorithm);
		if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC)
			put_pair(out, sig, sig_len);
		else
			buf_put_string(out, sig, sig_len);
		err = buf_error(out);
	}
	EVP_MD_CTX_free(ctx);
	return err;
}
