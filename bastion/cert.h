/*
 * The user CA: loading its key, and OpenSSH user certificates
 * (PROTOCOL.certkeys in OpenSSH's source) for one login on one target.
 */
#ifndef SGB_CERT_H
#define SGB_CERT_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/types.h>

#include "core/buf.h"
#include "core/err.h"

struct cert_request {
	EVP_PKEY *ca;	/* Ed25519 */
	EVP_PKEY *leaf; /* Ed25519, the key that is certified */
	uint64_t serial;
	const char *key_id;	    /* shows in the target's log */
	const char *principal;	    /* exactly one: the login */
	const char *source_address; /* critical option, comma-separated */
	uint64_t valid_after;	    /* seconds since 1970 */
	uint64_t valid_before;
	bool pty, agent, x11, forward; /* permit-* extensions */
};

/* Reads an unencrypted Ed25519 private key in OpenSSH's format; the file must
 * be a secret of root's. why says what is wrong and what to do. */
enum sgb_err cert_ca_load(const char *path, EVP_PKEY **ret, char *why,
	size_t why_len) SGB_MUST_CHECK;
/* Appends the certificate's blob. Refuses an empty principal, since a
 * certificate without one means anyone (CVE-2024-7594). */
enum sgb_err cert_sign(
	const struct cert_request *request, struct buf *out) SGB_MUST_CHECK;
/* A fresh Ed25519 key pair. */
enum sgb_err cert_new_key(EVP_PKEY **ret) SGB_MUST_CHECK;
/* Ed25519 signature of data as an SSH signature blob (RFC 8709). */
enum sgb_err cert_signature(EVP_PKEY *key, const uint8_t *data, size_t len,
	struct buf *out) SGB_MUST_CHECK;
/* The public half as an SSH blob. */
enum sgb_err cert_public_blob(EVP_PKEY *key, struct buf *out) SGB_MUST_CHECK;
/* cert_write.c: appends an Ed25519 key as ssh-keygen writes it, the private
 * half without a passphrase (the caller wipes), the public half as one line
 * with its newline. comment may be "". */
enum sgb_err cert_private_text(
	EVP_PKEY *key, const char *comment, struct buf *out) SGB_MUST_CHECK;
enum sgb_err cert_public_text(
	EVP_PKEY *key, const char *comment, struct buf *out) SGB_MUST_CHECK;

#endif
