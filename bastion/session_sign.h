/*
 * The host keys, which the monitor keeps: stand-ins for libssh, and the way
 * to a signature.
 */
#ifndef SGB_SESSION_SIGN_H
#define SGB_SESSION_SIGN_H

#include "session.h"
#include "session_proof.h"

/* A key for libssh's server with this public half and no private one. ret->key
 * is the caller's to free. SGB_ERR_UNSUPPORTED: a kind that signs no exchange
 * of keys. */
enum sgb_err sign_stand_in(const uint8_t *blob, size_t len,
	struct session_hostkey *ret) SGB_MUST_CHECK;
/* For proof_sign_with: the monitor's signature. *len is the room, then the
 * length. Waits for the answer; false: there is none. */
bool sign_request(void *session, const struct proof_request *request,
	uint8_t *signature, size_t *len);

#endif
