/*
 * Where an auditor's private key is: a file, a token behind PKCS#11, or a key
 * service behind a command. Reader's side only; the bastion has none of this.
 *
 * A specification is the name of a PEM file (X25519, P-256), a PKCS#11 URI
 * (RFC 7512), or the name of a file that describes a command.
 */
#ifndef SGB_IDENTITY_H
#define SGB_IDENTITY_H

#include "core/err.h"

#include "stanza.h"
#include "suite.h"

/* why gets one sentence. The caller frees with identity_free. */
enum sgb_err identity_load(const char *spec, struct identity **ret, char *why,
	size_t why_len) SGB_MUST_CHECK;
/* Takes the key, also on failure. */
enum sgb_err identity_from_key(
	struct suite_key *key_take, struct identity **ret) SGB_MUST_CHECK;
enum sgb_err identity_from_p256(
	struct suite_p256 *key_take, struct identity **ret) SGB_MUST_CHECK;
void identity_free(struct identity *identity);

/* identity_token.c: "pkcs11:token=...;object=...?module-path=...". The private
 * key never leaves the token. The PIN is read from pin-source, or asked for on
 * the terminal. */
enum sgb_err identity_token(const char *uri, struct identity **ret, char *why,
	size_t why_len) SGB_MUST_CHECK;
/* identity_command.c: from the text of a description (docs/RECORDING.md, "A
 * key service"). */
enum sgb_err identity_command(const char *path, const char *text, size_t len,
	struct identity **ret, char *why, size_t why_len) SGB_MUST_CHECK;

#endif
