/* P-256 and RSA over libcrypto. */
#include "suite_public.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "core/buf.h"
#include "suite_pem.h"

struct suite_p256 {
	EVP_PKEY *pkey;
};

static EVP_PKEY *from_point(const uint8_t point[SUITE_POINT_LEN])
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(
			OSSL_PKEY_PARAM_GROUP_NAME, (char *)"P-256", 5),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point,
			SUITE_POINT_LEN),
		OSSL_PARAM_END,
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *pkey = NULL;

	/* Decoding a point checks that it is on the curve. */
	if (!ctx || point[0] != 4 || EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static enum sgb_err get_point(EVP_PKEY *pkey, uint8_t ret[SUITE_POINT_LEN])
{
	size_t len = 0;

	/* Keys of a file may carry the compressed form. */
	if (EVP_PKEY_set_utf8_string_param(pkey,
		    OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
		    "uncompressed") != 1 ||
		EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY,
			ret, SUITE_POINT_LEN, &len) != 1 ||
		len != SUITE_POINT_LEN)
		return SGB_ERR_CRYPTO;
	return SGB_OK;
}

static enum sgb_err agree(EVP_PKEY *own, const uint8_t peer[SUITE_POINT_LEN],
	uint8_t ret[SUITE_KEY_LEN])
{
	EVP_PKEY *other = from_point(peer);
	EVP_PKEY_CTX *ctx = other ? EVP_PKEY_CTX_new(own, NULL) : NULL;
	enum sgb_err err = SGB_ERR_CRYPTO;
	size_t len = SUITE_KEY_LEN;

	if (ctx && EVP_PKEY_derive_init(ctx) == 1 &&
		EVP_PKEY_derive_set_peer(ctx, other) == 1 &&
		EVP_PKEY_derive(ctx, ret, &len) == 1 && len == SUITE_KEY_LEN)
		err = SGB_OK;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(other);
	return err;
}

enum sgb_err suite_p256_share(const uint8_t peer[SUITE_POINT_LEN],
	uint8_t ret_point[SUITE_POINT_LEN], uint8_t ret_secret[SUITE_KEY_LEN])
{
	EVP_PKEY *ephemeral = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	enum sgb_err err = SGB_ERR_CRYPTO;

	if (ephemeral)
		err = get_point(ephemeral, ret_point);
	if (!err)
		err = agree(ephemeral, peer, ret_secret);
	EVP_PKEY_free(ephemeral);
	return err;
}

enum sgb_err suite_p256_check(const uint8_t point[SUITE_POINT_LEN])
{
	EVP_PKEY *pkey = from_point(point);

	if (!pkey)
		return SGB_ERR_CRYPTO;
	EVP_PKEY_free(pkey);
	return SGB_OK;
}

static enum sgb_err wrap(EVP_PKEY *pkey, struct suite_p256 **ret)
{
	struct suite_p256 *key = malloc(sizeof(*key));

	if (!key) {
		EVP_PKEY_free(pkey);
		return SGB_ERR_NOMEM;
	}
	key->pkey = pkey;
	*ret = key;
	return SGB_OK;
}

enum sgb_err suite_p256_generate(struct suite_p256 **ret)
{
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");

	return pkey ? wrap(pkey, ret) : SGB_ERR_CRYPTO;
}

static bool is_p256(EVP_PKEY *pkey)
{
	char group[32] = "";
	size_t len;

	return EVP_PKEY_is_a(pkey, "EC") &&
	       EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME,
		       group, sizeof(group), &len) == 1 &&
	       (!strcmp(group, "prime256v1") || !strcmp(group, "P-256"));
}

enum sgb_err suite_p256_from_pem(
	const void *pem, size_t len, struct suite_p256 **ret)
{
	EVP_PKEY *pkey;
	enum sgb_err err = suite_pem_read(pem, len, true, &pkey);

	if (err)
		return err;
	if (!is_p256(pkey)) {
		EVP_PKEY_free(pkey);
		return SGB_ERR_UNSUPPORTED;
	}
	return wrap(pkey, ret);
}

void suite_p256_free(struct suite_p256 *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

enum sgb_err suite_p256_to_pem(const struct suite_p256 *key, struct buf *out)
{
	return suite_pem_write(key->pkey, out);
}

enum sgb_err suite_p256_public(
	const struct suite_p256 *key, uint8_t ret[SUITE_POINT_LEN])
{
	return get_point(key->pkey, ret);
}

enum sgb_err suite_p256_agree(const struct suite_p256 *key,
	const uint8_t peer[SUITE_POINT_LEN], uint8_t ret[SUITE_KEY_LEN])
{
	return agree(key->pkey, peer, ret);
}

static EVP_PKEY *rsa_from_der(const uint8_t *der, size_t len)
{
	const uint8_t *at = der;
	EVP_PKEY *pkey = len > SUITE_RSA_DER_MAX
				 ? NULL
				 : d2i_PUBKEY(NULL, &at, (long)len);

	if (pkey && (at != der + len || !EVP_PKEY_is_a(pkey, "RSA") ||
			    EVP_PKEY_get_size(pkey) < SUITE_RSA_MIN ||
			    EVP_PKEY_get_size(pkey) > SUITE_RSA_MAX)) {
		EVP_PKEY_free(pkey);
		return NULL;
	}
	return pkey;
}

enum sgb_err suite_rsa_seal(const uint8_t *der, size_t der_len,
	const uint8_t secret[SUITE_KEY_LEN], uint8_t *ret, size_t *ret_len)
{
	EVP_PKEY *pkey = rsa_from_der(der, der_len);
	EVP_PKEY_CTX *ctx = pkey ? EVP_PKEY_CTX_new(pkey, NULL) : NULL;
	enum sgb_err err = SGB_ERR_CRYPTO;

	if (ctx && EVP_PKEY_encrypt_init(ctx) == 1 &&
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) ==
			1 &&
		EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
		EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1 &&
		EVP_PKEY_encrypt(ctx, ret, ret_len, secret, SUITE_KEY_LEN) == 1)
		err = SGB_OK;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return err;
}

/* One key, one spelling: or it would have two ids. */
static enum sgb_err rsa_to_der(
	EVP_PKEY *pkey, uint8_t ret[SUITE_RSA_DER_MAX], size_t *ret_len)
{
	uint8_t *at = ret;
	int len = EVP_PKEY_is_a(pkey, "RSA") ? i2d_PUBKEY(pkey, NULL) : -1;

	if (len <= 0 || len > SUITE_RSA_DER_MAX ||
		EVP_PKEY_get_size(pkey) < SUITE_RSA_MIN ||
		i2d_PUBKEY(pkey, &at) != len)
		return SGB_ERR_UNSUPPORTED;
	*ret_len = (size_t)len;
	return SGB_OK;
}

enum sgb_err suite_rsa_check(const uint8_t *der, size_t len)
{
	EVP_PKEY *pkey = rsa_from_der(der, len);
	uint8_t again[SUITE_RSA_DER_MAX];
	size_t again_len = 0;
	enum sgb_err err = SGB_ERR_UNSUPPORTED;

	if (pkey)
		err = rsa_to_der(pkey, again, &again_len);
	if (!err && (again_len != len || memcmp(again, der, len) != 0))
		err = SGB_ERR_UNSUPPORTED;
	EVP_PKEY_free(pkey);
	return err;
}

enum sgb_err suite_public_from_pem(const void *pem, size_t len,
	uint8_t ret[SUITE_RSA_DER_MAX], size_t *ret_len)
{
	EVP_PKEY *pkey;
	enum sgb_err err = suite_pem_read(pem, len, false, &pkey);

	if (err)
		return err;
	if (is_p256(pkey)) {
		*ret_len = SUITE_POINT_LEN;
		err = get_point(pkey, ret);
	} else {
		err = rsa_to_der(pkey, ret, ret_len);
	}
	EVP_PKEY_free(pkey);
	return err;
}
