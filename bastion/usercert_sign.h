/*
 * Signatures of SSH keys, verified with what is in the SSH blobs: RFC 8709,
 * RFC 5656, RFC 8332, PROTOCOL.u2f. For the CAs of users' certificates, and for
 * logins.
 */
#ifndef SGB_USERCERT_SIGN_H
#define SGB_USERCERT_SIGN_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/* Is signature (an SSH signature blob) of data, by key (a plain public key
 * that sshkey_parse accepts)? SGB_ERR_UNSUPPORTED: a kind that does not count,
 * SHA-1 and security keys among them; SGB_ERR_CRYPTO: it is not. */
enum sgb_err usercert_verify(const uint8_t *key, size_t key_len,
	const uint8_t *data, size_t len, const uint8_t *signature,
	size_t signature_len) SGB_MUST_CHECK;

/* The same for a login: the signature must be of this algorithm, and security
 * keys, which sign data with their flags and a counter, are taken. */
enum sgb_err usercert_verify_login(const uint8_t *key, size_t key_len,
	const char *signature_name, const uint8_t *data, size_t len,
	const uint8_t *signature, size_t signature_len) SGB_MUST_CHECK;

/* The same for a signature in OpenSSL's form (DER for ECDSA, else raw) by this
 * algorithm ("rsa-sha2-256", without a certificate's suffix). Security keys
 * are taken: data is then what such a key signs. */
enum sgb_err usercert_verify_raw(const uint8_t *key, size_t key_len,
	const char *signature_name, const uint8_t *data, size_t len,
	const uint8_t *raw, size_t raw_len) SGB_MUST_CHECK;

#endif
