/*
 * Suite 1 of the recording container (docs/RECORDING.md): SHA-256, HKDF,
 * AES-256-GCM, Ed25519, X25519, all from libcrypto. The only file of this part
 * that knows how OpenSSL spells them.
 */
#ifndef SGB_SUITE_H
#define SGB_SUITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/err.h"

#define SUITE_HASH_LEN	 32
#define SUITE_KEY_LEN	 32
#define SUITE_TAG_LEN	 16
#define SUITE_NONCE_LEN	 12
#define SUITE_SIG_LEN	 64
#define SUITE_BASE64_MAX 768

/* SHA-256 of the parts one after the other. */
enum sgb_err suite_sha256(const struct iovec *parts, size_t count,
	uint8_t ret[SUITE_HASH_LEN]) SGB_MUST_CHECK;
/* Before a thread that hashed ends. */
void suite_thread_done(void);
enum sgb_err suite_hmac(const uint8_t key[SUITE_KEY_LEN], const void *data,
	size_t len, uint8_t ret[SUITE_HASH_LEN]) SGB_MUST_CHECK;
/* RFC 5869; the output is one block long. info is at most 64 bytes. */
enum sgb_err suite_extract(const void *salt, size_t salt_len, const void *ikm,
	size_t ikm_len, uint8_t ret[SUITE_HASH_LEN]) SGB_MUST_CHECK;
enum sgb_err suite_expand(const uint8_t prk[SUITE_KEY_LEN], const void *info,
	size_t info_len, uint8_t ret[SUITE_KEY_LEN]) SGB_MUST_CHECK;

/* AES-256-GCM with the key schedule kept; _free erases it. */
struct suite_cipher;
enum sgb_err suite_cipher_new(const uint8_t key[SUITE_KEY_LEN],
	struct suite_cipher **ret) SGB_MUST_CHECK;
void suite_cipher_free(struct suite_cipher *cipher);
/* out gets len bytes and the tag; it may be in itself. */
enum sgb_err suite_seal(struct suite_cipher *cipher,
	const uint8_t nonce[SUITE_NONCE_LEN], const void *aad, size_t aad_len,
	const uint8_t *in, size_t len, uint8_t *out) SGB_MUST_CHECK;
/* in is len bytes and the tag; out gets len. SGB_ERR_CRYPTO if the tag does
 * not fit: out is then wiped. */
enum sgb_err suite_unseal(struct suite_cipher *cipher,
	const uint8_t nonce[SUITE_NONCE_LEN], const void *aad, size_t aad_len,
	const uint8_t *in, size_t len, uint8_t *out) SGB_MUST_CHECK;

/* A private key of either kind. */
struct suite_key;
enum suite_key_kind {
	SUITE_KEY_NONE = 0,
	SUITE_KEY_ED25519,
	SUITE_KEY_X25519,
};
enum sgb_err suite_key_generate(
	enum suite_key_kind kind, struct suite_key **ret) SGB_MUST_CHECK;
/* From PEM (PKCS#8, no passphrase). SGB_ERR_UNSUPPORTED for another kind. */
enum sgb_err suite_key_from_pem(const void *pem, size_t len,
	enum suite_key_kind kind, struct suite_key **ret) SGB_MUST_CHECK;
enum sgb_err suite_key_from_raw(enum suite_key_kind kind,
	const uint8_t raw[SUITE_KEY_LEN],
	struct suite_key **ret) SGB_MUST_CHECK;
void suite_key_free(struct suite_key *key);
struct buf;
enum sgb_err suite_key_to_pem(
	const struct suite_key *key, struct buf *out) SGB_MUST_CHECK;
/* The raw public key, in the key's own memory. */
const uint8_t *suite_key_public(const struct suite_key *key);
/* SHA-256 of an Ed25519 public key as SubjectPublicKeyInfo. */
enum sgb_err suite_writer_id(const uint8_t public_key[SUITE_KEY_LEN],
	uint8_t ret[SUITE_HASH_LEN]) SGB_MUST_CHECK;
/* Its first 16 hex digits, as lines and people name a writer; "?" if libcrypto
 * fails. */
#define SUITE_WRITER_TEXT 17
void suite_writer_text(
	const uint8_t public_key[SUITE_KEY_LEN], char ret[SUITE_WRITER_TEXT]);

enum sgb_err suite_sign(const struct suite_key *key, const void *data,
	size_t len, uint8_t ret[SUITE_SIG_LEN]) SGB_MUST_CHECK;
/* SGB_ERR_CRYPTO if the signature is not good. */
enum sgb_err suite_verify(const uint8_t public_key[SUITE_KEY_LEN],
	const void *data, size_t len,
	const uint8_t sig[SUITE_SIG_LEN]) SGB_MUST_CHECK;
/* X25519; fails on a low-order point. */
enum sgb_err suite_agree(const struct suite_key *key,
	const uint8_t peer[SUITE_KEY_LEN],
	uint8_t ret[SUITE_KEY_LEN]) SGB_MUST_CHECK;

void suite_hex(const uint8_t *bytes, size_t len, char *ret);
/* Standard base64 with padding; ret has room for 4 * ((len + 2) / 3) + 1. */
void suite_base64(const uint8_t *bytes, size_t len, char *ret);
/* Exactly want bytes, at most SUITE_BASE64_MAX, from text_len characters of
 * base64. */
enum sgb_err suite_unbase64(const char *text, size_t text_len, uint8_t *ret,
	size_t want) SGB_MUST_CHECK;
enum sgb_err suite_unhex(
	const char *text, size_t len, uint8_t *ret) SGB_MUST_CHECK;

#endif
