/*
 * Was this key really used to log on here, under this name? The session
 * process says so; here it is verified.
 */
#ifndef SGB_MONITOR_PROOF_H
#define SGB_MONITOR_PROOF_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/sshkey.h"

#define PROOF_SESSION_ID_MAX 64

/* What the session process hands over, the session id, and the host key that
 * signed it; borrowed. */
struct proof {
	const uint8_t *data, *signature, *session_id, *host_key;
	size_t data_len, signature_len, session_id_len, host_key_len;
};

/*
 * Verifies that signature (in OpenSSL's form) by the key of blob (plain, or a
 * certificate; parsed as key) covers the request of RFC 4252 section 7 for
 * exactly this user name, blob and session id, and an algorithm that fits, or
 * the same bound to exactly this host key (libssh 0.12; section 3.1 of
 * PROTOCOL in OpenSSH's source: publickey-hostbound-v00@openssh.com); for
 * security keys, PROTOCOL.u2f over it with the algorithm that is claimed.
 * *ret_flags gets SESSION_PROOF_*. Else SGB_ERR_CRYPTO or _FORMAT, and why.
 */
enum sgb_err proof_check(const struct proof *proof, const char *name,
	const char *claimed, const uint8_t *blob, size_t blob_len,
	const struct sshkey *key, unsigned int *ret_flags, char *why,
	size_t why_len) SGB_MUST_CHECK;

/* Is signature (in OpenSSL's form) by this host key (a plain blob) over an
 * exchange hash (RFC 4253 section 8)? Else SGB_ERR_CRYPTO, _UNSUPPORTED or
 * _FORMAT. */
enum sgb_err proof_exchange(const uint8_t *blob, size_t blob_len,
	const uint8_t *hash, size_t len, const uint8_t *signature,
	size_t signature_len) SGB_MUST_CHECK;

/* Is signature (an SSH signature blob) by the key of blob over data, by this
 * algorithm of a login ("rsa-sha2-512", "...-cert-v01@openssh.com")? */
enum sgb_err proof_signature(const uint8_t *blob, size_t blob_len,
	const struct sshkey *key, const char *algorithm, const uint8_t *data,
	size_t len, const uint8_t *signature, size_t signature_len, char *why,
	size_t why_len) SGB_MUST_CHECK;

#endif
