/*
 * SSH public keys and OpenSSH certificates as bytes (RFC 4253 section 6.6,
 * RFC 5656, RFC 8709, PROTOCOL.u2f, PROTOCOL.certkeys): strict parsing and
 * fingerprints. Foreign bytes; a fuzz target. Verifies no signatures.
 */
#ifndef SGB_SSHKEY_H
#define SGB_SSHKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define SSHKEY_MAX_BLOB 65536
#define SSHKEY_FP_MAX	52 /* "SHA256:" + 43 + NUL, rounded up */

enum sshkey_type {
	SSHKEY_UNKNOWN = 0,
	SSHKEY_ED25519,
	SSHKEY_ECDSA,
	SSHKEY_RSA,
	SSHKEY_SK_ED25519,
	SSHKEY_SK_ECDSA,
};

struct sshkey {
	enum sshkey_type type; /* of the inner key for a certificate */
	const char *name;      /* "ssh-ed25519", ...: plain name, static */
	unsigned int bits;     /* RSA modulus, curve size */
	bool is_cert;
	char fingerprint[SSHKEY_FP_MAX]; /* of the plain key, as ssh prints */
	char ca_fingerprint[SSHKEY_FP_MAX]; /* certificates, else "" */
	uint64_t valid_after, valid_before; /* certificates, seconds */
	char sk_application[64];	    /* security keys, else "" */
	/* Certificates only: 1 is a user's, 2 a host's; the CA's plain key;
	 * and whether the critical option verify-required is there. */
	unsigned int cert_type;
	const char *ca_name;
	unsigned int ca_bits;
	bool verify_required;
};

/* Strict: right lengths, no trailing bytes, positive odd RSA modulus with
 * e >= 3, points in uncompressed form of the right size. */
enum sgb_err sshkey_parse(
	const void *blob, size_t len, struct sshkey *ret) SGB_MUST_CHECK;
/* "ssh-ed25519", "rsa-sha2-256", "...-cert-v01@openssh.com": does this
 * signature algorithm belong to this key? SHA-1 never does. */
bool sshkey_algorithm_fits(const struct sshkey *key, const char *algorithm);
/* SHA256:base64 of any blob, as ssh-keygen -l prints it. */
enum sgb_err sshkey_fingerprint(
	const void *blob, size_t len, char fp[SSHKEY_FP_MAX]) SGB_MUST_CHECK;
/* Strict base64 (RFC 4648, padding required, no spaces) of len characters
 * into heap memory, which the caller frees. */
enum sgb_err sshkey_base64_decode(const char *text, size_t len, uint8_t **ret,
	size_t *ret_len) SGB_MUST_CHECK;

#endif
