/*
 * Signatures that libssh found valid, as OpenSSL was given them: for the
 * monitor to verify itself.
 */
#ifndef SGB_SESSION_PROOF_H
#define SGB_SESSION_PROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct session_proof {
	uint8_t *data; /* what was signed */
	size_t len;
	uint8_t *signature; /* in OpenSSL's form: DER for ECDSA, else raw */
	size_t signature_len;
};

/* Once, at the start. SGB_ERR_UNSUPPORTED: nothing could ever be proved. */
enum sgb_err proof_init(void) SGB_MUST_CHECK;
/* Begins to watch, for a new connection, or ends it; forgets what there is. */
void proof_watch(bool on);
/* The oldest one by this key (its blob, or its certificate) that nobody has
 * asked about, the caller's to free; false when there is none. */
bool proof_take(const uint8_t *blob, size_t len, bool security_key,
	struct session_proof *ret);
void proof_free(struct session_proof *proof);
/* Keeps the first signature of a key exchange from now on, which is that of a
 * server we are about to connect to: over its first exchange hash, the id of
 * the SSH session (RFC 4253 section 7.2). */
void proof_watch_host(void);
/* It, the caller's to free; nothing in it when there was none. */
void proof_take_host(struct session_proof *ret);

/* What libssh wants signed with a host key: OpenSSL's kind of key, the bits of
 * the digest (0: none), and the exchange hash, borrowed. */
struct proof_request {
	int kind;
	unsigned int digest_bits;
	const uint8_t *data;
	size_t len;
};
/* From now on sign signs instead of OpenSSL: *len is the room for signature,
 * then its length. */
void proof_sign_with(
	bool (*sign)(void *arg, const struct proof_request *request,
		uint8_t *signature, size_t *len),
	void *arg);

#define PROOF_ED25519_LEN 32
/* While set, an Ed25519 key that libssh makes has this public half, whatever
 * its private half is; borrowed. NULL: as usual. */
void proof_stand_in(const uint8_t *public);

#endif
