/*
 * Suite 1 over libcrypto. Algorithms are fetched once: OpenSSL 3.0 looks them
 * up by name at each use otherwise, which costs more than hashing a frame.
 */
#include "suite.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "core/buf.h"
#include "suite_pem.h"

struct suite_cipher {
	EVP_CIPHER_CTX *seal;
	EVP_CIPHER_CTX *unseal;
};

struct suite_key {
	EVP_PKEY *pkey;
	uint8_t public_key[SUITE_KEY_LEN];
};

static EVP_MD *sha256;
static EVP_CIPHER *gcm;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fetch(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

static bool ready(void)
{
	(void)pthread_once(&once, fetch);
	return sha256 && gcm;
}

static _Thread_local EVP_MD_CTX *hasher; /* of suite_sha256 */

void suite_thread_done(void)
{
	EVP_MD_CTX_free(hasher);
	hasher = NULL;
}

enum sgb_err suite_sha256(
	const struct iovec *parts, size_t count, uint8_t ret[SUITE_HASH_LEN])
{
	size_t i;

	if (!ready())
		return SGB_ERR_CRYPTO;
	if (!hasher)
		hasher = EVP_MD_CTX_new();
	if (!hasher)
		return SGB_ERR_NOMEM;
	if (EVP_DigestInit_ex2(hasher, sha256, NULL) != 1)
		return SGB_ERR_CRYPTO;
	for (i = 0; i < count; i++)
		if (EVP_DigestUpdate(
			    hasher, parts[i].iov_base, parts[i].iov_len) != 1)
			return SGB_ERR_CRYPTO;
	if (EVP_DigestFinal_ex(hasher, ret, NULL) != 1)
		return SGB_ERR_CRYPTO;
	return SGB_OK;
}

static enum sgb_err hmac(const void *key, size_t key_len, const void *data,
	size_t len, uint8_t ret[SUITE_HASH_LEN])
{
	unsigned int got = SUITE_HASH_LEN;

	if (!HMAC(EVP_sha256(), key, (int)key_len, data, len, ret, &got) ||
		got != SUITE_HASH_LEN)
		return SGB_ERR_CRYPTO;
	return SGB_OK;
}

enum sgb_err suite_hmac(const uint8_t key[SUITE_KEY_LEN], const void *data,
	size_t len, uint8_t ret[SUITE_HASH_LEN])
{
	return hmac(key, SUITE_KEY_LEN, data, len, ret);
}

enum sgb_err suite_extract(const void *salt, size_t salt_len, const void *ikm,
	size_t ikm_len, uint8_t ret[SUITE_HASH_LEN])
{
	return hmac(salt, salt_len, ikm, ikm_len, ret);
}

enum sgb_err suite_expand(const uint8_t prk[SUITE_KEY_LEN], const void *info,
	size_t info_len, uint8_t ret[SUITE_KEY_LEN])
{
	uint8_t block[65];

	if (info_len >= sizeof(block))
		return SGB_ERR_LIMIT;
	memcpy(block, info, info_len);
	block[info_len] = 1;
	return hmac(prk, SUITE_KEY_LEN, block, info_len + 1, ret);
}

enum sgb_err suite_cipher_new(
	const uint8_t key[SUITE_KEY_LEN], struct suite_cipher **ret)
{
	struct suite_cipher *cipher;

	if (!ready())
		return SGB_ERR_CRYPTO;
	cipher = calloc(1, sizeof(*cipher));
	if (!cipher)
		return SGB_ERR_NOMEM;
	cipher->seal = EVP_CIPHER_CTX_new();
	cipher->unseal = EVP_CIPHER_CTX_new();
	if (!cipher->seal || !cipher->unseal ||
		EVP_EncryptInit_ex2(cipher->seal, gcm, key, NULL, NULL) != 1 ||
		EVP_DecryptInit_ex2(cipher->unseal, gcm, key, NULL, NULL) !=
			1) {
		suite_cipher_free(cipher);
		return SGB_ERR_CRYPTO;
	}
	*ret = cipher;
	return SGB_OK;
}

void suite_cipher_free(struct suite_cipher *cipher)
{
	if (!cipher)
		return;
	EVP_CIPHER_CTX_free(cipher->seal);
	EVP_CIPHER_CTX_free(cipher->unseal);
	free(cipher);
}

enum sgb_err suite_seal(struct suite_cipher *cipher,
	const uint8_t nonce[SUITE_NONCE_LEN], const void *aad, size_t aad_len,
	const uint8_t *in, size_t len, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = cipher->seal;
	int got, tail;

	if (len > INT32_MAX || aad_len > INT32_MAX)
		return SGB_ERR_LIMIT;
	if (EVP_EncryptInit_ex2(ctx, NULL, NULL, nonce, NULL) != 1 ||
		(aad_len && EVP_EncryptUpdate(
				    ctx, NULL, &got, aad, (int)aad_len) != 1) ||
		EVP_EncryptUpdate(ctx, out, &got, in, (int)len) != 1 ||
		EVP_EncryptFinal_ex(ctx, out + got, &tail) != 1 ||
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SUITE_TAG_LEN,
			out + len) != 1)
		return SGB_ERR_CRYPTO;
	return SGB_OK;
}

enum sgb_err suite_unseal(struct suite_cipher *cipher,
	const uint8_t nonce[SUITE_NONCE_LEN], const void *aad, size_t aad_len,
	const uint8_t *in, size_t len, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = cipher->unseal;
	uint8_t tag[SUITE_TAG_LEN];
	int got, tail;

	if (len > INT32_MAX || aad_len > INT32_MAX)
		return SGB_ERR_LIMIT;
	memcpy(tag, in + len, sizeof(tag));
	if (EVP_DecryptInit_ex2(ctx, NULL, NULL, nonce, NULL) != 1 ||
		(aad_len && EVP_DecryptUpdate(
				    ctx, NULL, &got, aad, (int)aad_len) != 1) ||
		EVP_DecryptUpdate(ctx, out, &got, in, (int)len) != 1 ||
		EVP_CIPHER_CTX_ctrl(
			ctx, EVP_CTRL_AEAD_SET_TAG, SUITE_TAG_LEN, tag) != 1 ||
		EVP_DecryptFinal_ex(ctx, out + got, &tail) != 1) {
		OPENSSL_cleanse(out, len);
		return SGB_ERR_CRYPTO;
	}
	return SGB_OK;
}

static int kind_id(enum suite_key_kind kind)
{
	return kind == SUITE_KEY_ED25519 ? EVP_PKEY_ED25519 : EVP_PKEY_X25519;
}

static enum sgb_err key_wrap(EVP_PKEY *pkey, struct suite_key **ret)
{
	struct suite_key *key = calloc(1, sizeof(*key));
	size_t len = SUITE_KEY_LEN;

	if (!key) {
		EVP_PKEY_free(pkey);
		return SGB_ERR_NOMEM;
	}
	key->pkey = pkey;
	if (EVP_PKEY_get_raw_public_key(pkey, key->public_key, &len) != 1 ||
		len != SUITE_KEY_LEN) {
		suite_key_free(key);
		return SGB_ERR_CRYPTO;
	}
	*ret = key;
	return SGB_OK;
}

enum sgb_err suite_key_generate(
	enum suite_key_kind kind, struct suite_key **ret)
{
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(
		NULL, NULL, kind == SUITE_KEY_ED25519 ? "ED25519" : "X25519");

	if (!pkey)
		return SGB_ERR_CRYPTO;
	return key_wrap(pkey, ret);
}

enum sgb_err suite_key_from_raw(enum suite_key_kind kind,
	const uint8_t raw[SUITE_KEY_LEN], struct suite_key **ret)
{
	EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(
		kind_id(kind), NULL, raw, SUITE_KEY_LEN);

	if (!pkey)
		return SGB_ERR_CRYPTO;
	return key_wrap(pkey, ret);
}

/* A key with a passphrase must fail, not ask on the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *data)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)data;
	return -1;
}

enum sgb_err suite_pem_read(
	const void *pem, size_t len, bool private, EVP_PKEY **ret)
{
	BIO *bio = len > INT32_MAX ? NULL : BIO_new_mem_buf(pem, (int)len);
	EVP_PKEY *pkey;

	if (!bio)
		return SGB_ERR_NOMEM;
	pkey = private ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL)
		       : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (!pkey)
		return SGB_ERR_FORMAT;
	*ret = pkey;
	return SGB_OK;
}

enum sgb_err suite_pem_write(const EVP_PKEY *pkey, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	enum sgb_err err = SGB_ERR_CRYPTO;
	char *data;
	long len;

	if (!bio)
		return SGB_ERR_NOMEM;
	if (PEM_write_bio_PKCS8PrivateKey(
		    bio, pkey, NULL, NULL, 0, NULL, NULL) == 1) {
		len = BIO_get_mem_data(bio, &data);
		buf_put(out, data, (size_t)len);
		err = buf_error(out);
	}
	BIO_free(bio);
	return err;
}

enum sgb_err suite_key_from_pem(const void *pem, size_t len,
	enum suite_key_kind kind, struct suite_key **ret)
{
	EVP_PKEY *pkey;
	enum sgb_err err = suite_pem_read(pem, len, true, &pkey);

	if (err)
		return err;
	if (EVP_PKEY_get_base_id(pkey) != kind_id(kind)) {
		EVP_PKEY_free(pkey);
		return SGB_ERR_UNSUPPORTED;
	}
	return key_wrap(pkey, ret);
}

void suite_key_free(struct suite_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

enum sgb_err suite_key_to_pem(const struct suite_key *key, struct buf *out)
{
	return suite_pem_write(key->pkey, out);
}

const uint8_t *suite_key_public(const struct suite_key *key)
{
	return key->public_key;
}

enum sgb_err suite_writer_id(
	const uint8_t public_key[SUITE_KEY_LEN], uint8_t ret[SUITE_HASH_LEN])
{
	/* RFC 8410: AlgorithmIdentifier 1.3.101.112 and the BIT STRING. */
	static const uint8_t head[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b,
		0x65, 0x70, 0x03, 0x21, 0x00};
	struct iovec parts[2] = {
		{(void *)head, sizeof(head)},
		{(void *)public_key, SUITE_KEY_LEN},
	};

	return suite_sha256(parts, 2, ret);
}

void suite_writer_text(
	const uint8_t public_key[SUITE_KEY_LEN], char ret[SUITE_WRITER_TEXT])
{
	uint8_t id[SUITE_HASH_LEN];

	memcpy(ret, "?", 2);
	if (!suite_writer_id(public_key, id))
		suite_hex(id, SUITE_WRITER_TEXT / 2, ret);
}

enum sgb_err suite_sign(const struct suite_key *key, const void *data,
	size_t len, uint8_t ret[SUITE_SIG_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	enum sgb_err err = SGB_ERR_CRYPTO;
	size_t sig_len = SUITE_SIG_LEN;

	if (!ctx)
		return SGB_ERR_NOMEM;
	if (EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->pkey) == 1 &&
		EVP_DigestSign(ctx, ret, &sig_len, data, len) == 1 &&
		sig_len == SUITE_SIG_LEN)
		err = SGB_OK;
	EVP_MD_CTX_free(ctx);
	return err;
}

enum sgb_err suite_verify(const uint8_t public_key[SUITE_KEY_LEN],
	const void *data, size_t len, const uint8_t sig[SUITE_SIG_LEN])
{
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(
		EVP_PKEY_ED25519, NULL, public_key, SUITE_KEY_LEN);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	enum sgb_err err = SGB_ERR_CRYPTO;

	if (pkey && ctx &&
		EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
		EVP_DigestVerify(ctx, sig, SUITE_SIG_LEN, data, len) == 1)
		err = SGB_OK;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return err;
}

enum sgb_err suite_agree(const struct suite_key *key,
	const uint8_t peer[SUITE_KEY_LEN], uint8_t ret[SUITE_KEY_LEN])
{
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(
		EVP_PKEY_X25519, NULL, peer, SUITE_KEY_LEN);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
	enum sgb_err err = SGB_ERR_CRYPTO;
	size_t len = SUITE_KEY_LEN;

	if (pkey && ctx && EVP_PKEY_derive_init(ctx) == 1 &&
		EVP_PKEY_derive_set_peer(ctx, pkey) == 1 &&
		EVP_PKEY_derive(ctx, ret, &len) == 1 && len == SUITE_KEY_LEN)
		err = SGB_OK;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return err;
}

void suite_hex(const uint8_t *bytes, size_t len, char *ret)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < len; i++) {
		ret[2 * i] = digits[bytes[i] >> 4];
		ret[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret[2 * len] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

enum sgb_err suite_unhex(const char *text, size_t len, uint8_t *ret)
{
	size_t i;

	if (len % 2)
		return SGB_ERR_FORMAT;
	for (i = 0; i < len; i += 2) {
		int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);

		if (high < 0 || low < 0)
			return SGB_ERR_FORMAT;
		ret[i / 2] = (uint8_t)(high << 4 | low);
	}
	return SGB_OK;
}

void suite_base64(const uint8_t *bytes, size_t len, char *ret)
{
	EVP_EncodeBlock((unsigned char *)ret, bytes, (int)len);
}

enum sgb_err suite_unbase64(
	const char *text, size_t text_len, uint8_t *ret, size_t want)
{
	uint8_t room[SUITE_BASE64_MAX + 4];
	char again[4 * ((SUITE_BASE64_MAX + 2) / 3) + 4];

	/* Decoding tolerates much; encoding again tells what was meant. */
	if (want > SUITE_BASE64_MAX || text_len != 4 * ((want + 2) / 3) ||
		EVP_DecodeBlock(room, (const unsigned char *)text,
			(int)text_len) < (int)want)
		return SGB_ERR_FORMAT;
	suite_base64(room, want, again);
	if (memcmp(again, text, text_len) != 0)
		return SGB_ERR_FORMAT;
	memcpy(ret, room, want);
	return SGB_OK;
}
