/*
 * Stanzas: how a recording's file key, or half of it, is handed to one
 * recipient (docs/RECORDING.md, "Who can read"). Writing needs public keys
 * alone; opening asks an identity for the secret that only it can find.
 */
#ifndef SGB_STANZA_H
#define SGB_STANZA_H

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

#include "container.h"
#include "suite.h"
#include "suite_public.h"

#define SGR_KEY_ID_LEN	16
#define SGR_STANZA_HEAD (4 + SGR_KEY_ID_LEN)

enum sgr_kind {
	SGR_KIND_NONE = 0,
	SGR_KIND_X25519 = 1,
	SGR_KIND_P256 = 2,
	SGR_KIND_RSA = 3, /* OAEP, SHA-256 */
};

/* Raw for X25519, the uncompressed point for P-256, SubjectPublicKeyInfo for
 * RSA. */
#define SGR_PUBLIC_MAX SUITE_RSA_DER_MAX

struct sgr_recipient {
	uint8_t group; /* 0, or 1 for the second of a quorum */
	enum sgr_kind kind;
	uint8_t key[SGR_PUBLIC_MAX];
	size_t key_len;
};

struct sgr_stanza {
	uint8_t kind;
	uint8_t group;
	uint8_t key_id[SGR_KEY_ID_LEN];
	const uint8_t *body; /* borrowed */
	size_t len;
};

/*
 * Who reads. agree turns what stands in front of a stanza's sealed share (an
 * ephemeral public key, or the ciphertext of RSA-OAEP) into 32 secret bytes:
 * in memory, on a token, or by a command. SGB_ERR_CRYPTO if it does not fit,
 * SGB_ERR_DENIED or SGB_ERR_SYSTEM if whoever holds the key does not do it.
 */
struct identity {
	struct sgr_recipient public_half; /* its group is of no meaning */
	enum sgb_err (*agree)(struct identity *identity,
		const uint8_t rec_id[SGR_ID_LEN], const uint8_t *prefix,
		size_t len, uint8_t ret[SUITE_KEY_LEN]);
	void (*destroy)(struct identity *identity);
};

/* First half of SHA-256 over the public key's bytes. */
enum sgb_err sgr_key_id(const struct sgr_recipient *recipient,
	uint8_t ret[SGR_KEY_ID_LEN]) SGB_MUST_CHECK;
/* Appends the value of one stanza field. */
enum sgb_err sgr_stanza_put(const struct sgr_recipient *recipient,
	const uint8_t rec_id[SGR_ID_LEN], const uint8_t share[SUITE_KEY_LEN],
	struct buf *out) SGB_MUST_CHECK;
/* SGB_ERR_NOTFOUND: the stanza is for somebody else. */
enum sgb_err sgr_stanza_open(const struct sgr_stanza *stanza,
	const uint8_t rec_id[SGR_ID_LEN], struct identity *identity,
	uint8_t ret[SUITE_KEY_LEN]) SGB_MUST_CHECK;

#endif
