/*
 * Private SSH keys that the bastion keeps: reading them as people have them,
 * their public halves, and signatures (RFC 8709, RFC 5656, RFC 8332). Ed25519,
 * ECDSA on the three NIST curves, RSA of 2048 bits and more.
 */
#ifndef SGB_PRIVKEY_H
#define SGB_PRIVKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>

#include "core/buf.h"
#include "core/err.h"

/* Of text: OpenSSH's own format, or PEM; without a passphrase. why says what
 * is wrong and what to do. The caller frees with EVP_PKEY_free. */
enum sgb_err privkey_parse(const void *text, size_t len, EVP_PKEY **ret,
	char *why, size_t why_len) SGB_MUST_CHECK;
/* type: "ed25519", "ecdsa" (P-256) or "rsa" (3072 bits). */
enum sgb_err privkey_generate(const char *type, EVP_PKEY **ret) SGB_MUST_CHECK;
/* DER (PKCS #8), for keeping; append and parse. */
enum sgb_err privkey_put(EVP_PKEY *key, struct buf *out) SGB_MUST_CHECK;
enum sgb_err privkey_get(
	const void *der, size_t len, EVP_PKEY **ret) SGB_MUST_CHECK;

/* Appends the public half as an SSH blob. SGB_ERR_UNSUPPORTED for a kind that
 * is not listed above. */
enum sgb_err privkey_public(EVP_PKEY *key, struct buf *out) SGB_MUST_CHECK;
/* Appends an SSH signature blob of this algorithm, which must be one of the
 * key's: "ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", ... */
enum sgb_err privkey_sign(EVP_PKEY *key, const char *algorithm,
	const uint8_t *data, size_t len, struct buf *out) SGB_MUST_CHECK;

#endif
