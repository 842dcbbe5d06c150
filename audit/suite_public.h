/*
 * The public keys of tokens and of key services: P-256 and RSA. X25519 is in
 * suite.h; these are what smart cards and cloud services have instead.
 */
#ifndef SGB_SUITE_PUBLIC_H
#define SGB_SUITE_PUBLIC_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#include "suite.h"

#define SUITE_POINT_LEN	  65  /* 04 | x | y */
#define SUITE_RSA_MIN	  256 /* bytes of a modulus: 2048 bits */
#define SUITE_RSA_MAX	  512
#define SUITE_RSA_DER_MAX 600 /* SubjectPublicKeyInfo of 4096 bits */

struct suite_p256; /* a private key */

/* An ephemeral key agreed with peer: its point and the x coordinate that both
 * sides get. SGB_ERR_CRYPTO if peer is no point of the curve. */
enum sgb_err suite_p256_share(const uint8_t peer[SUITE_POINT_LEN],
	uint8_t ret_point[SUITE_POINT_LEN],
	uint8_t ret_secret[SUITE_KEY_LEN]) SGB_MUST_CHECK;
/* SGB_ERR_CRYPTO unless it is a point of the curve. */
enum sgb_err suite_p256_check(
	const uint8_t point[SUITE_POINT_LEN]) SGB_MUST_CHECK;
enum sgb_err suite_p256_generate(struct suite_p256 **ret) SGB_MUST_CHECK;
/* PEM without passphrase; SGB_ERR_UNSUPPORTED for another kind of key. */
enum sgb_err suite_p256_from_pem(
	const void *pem, size_t len, struct suite_p256 **ret) SGB_MUST_CHECK;
void suite_p256_free(struct suite_p256 *key);
struct buf;
enum sgb_err suite_p256_to_pem(
	const struct suite_p256 *key, struct buf *out) SGB_MUST_CHECK;
enum sgb_err suite_p256_public(const struct suite_p256 *key,
	uint8_t ret[SUITE_POINT_LEN]) SGB_MUST_CHECK;
enum sgb_err suite_p256_agree(const struct suite_p256 *key,
	const uint8_t peer[SUITE_POINT_LEN],
	uint8_t ret[SUITE_KEY_LEN]) SGB_MUST_CHECK;

/* RSA-OAEP with SHA-256 in both places and no label. *ret_len: room, then
 * length. */
enum sgb_err suite_rsa_seal(const uint8_t *der, size_t der_len,
	const uint8_t secret[SUITE_KEY_LEN], uint8_t *ret,
	size_t *ret_len) SGB_MUST_CHECK;
/* SGB_ERR_UNSUPPORTED unless RSA of 2048 to 4096 bits in canonical form. */
enum sgb_err suite_rsa_check(const uint8_t *der, size_t len) SGB_MUST_CHECK;
/* A public key in PEM ("BEGIN PUBLIC KEY"): the point, or the canonical DER.
 * Which one it is says *ret_len. */
enum sgb_err suite_public_from_pem(const void *pem, size_t len,
	uint8_t ret[SUITE_RSA_DER_MAX], size_t *ret_len) SGB_MUST_CHECK;

#endif
