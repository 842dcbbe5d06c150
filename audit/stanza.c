/*
 * Stanzas of all kinds. They differ in the 32 bytes that writer and reader
 * come to share, and in nothing after that.
 */
#include "stanza.h"

#include <string.h>

#include "core/secret.h"

#define SEALED_LEN (SUITE_KEY_LEN + SUITE_TAG_LEN)
#define INFO_MAX   (16 + SGR_ID_LEN)

struct shared {
	uint8_t prefix[SUITE_RSA_MAX]; /* what the stanza shows of it */
	size_t len;
	uint8_t secret[SUITE_KEY_LEN];
};

static enum sgb_err share_x25519(
	const struct sgr_recipient *to, struct shared *ret)
{
	struct suite_key *ephemeral = NULL;
	enum sgb_err err = suite_key_generate(SUITE_KEY_X25519, &ephemeral);

	if (err)
		return err;
	memcpy(ret->prefix, suite_key_public(ephemeral), SUITE_KEY_LEN);
	ret->len = SUITE_KEY_LEN;
	err = suite_agree(ephemeral, to->key, ret->secret);
	suite_key_free(ephemeral);
	return err;
}

static enum sgb_err share_p256(
	const struct sgr_recipient *to, struct shared *ret)
{
	ret->len = SUITE_POINT_LEN;
	return suite_p256_share(to->key, ret->prefix, ret->secret);
}

static enum sgb_err share_rsa(
	const struct sgr_recipient *to, struct shared *ret)
{
	enum sgb_err err = secret_random(ret->secret, sizeof(ret->secret));

	ret->len = sizeof(ret->prefix);
	return err ? err
		   : suite_rsa_seal(to->key, to->key_len, ret->secret,
			     ret->prefix, &ret->len);
}

static const struct kind {
	enum sgr_kind kind;
	const char *label;
	size_t key_min, prefix_min, prefix_max;
	enum sgb_err (*share)(
		const struct sgr_recipient *to, struct shared *ret);
} kinds[] = {
	{SGR_KIND_X25519, "SGR1 x25519", SUITE_KEY_LEN, SUITE_KEY_LEN,
		SUITE_KEY_LEN, share_x25519},
	{SGR_KIND_P256, "SGR1 p256", SUITE_POINT_LEN, SUITE_POINT_LEN,
		SUITE_POINT_LEN, share_p256},
	{SGR_KIND_RSA, "SGR1 rsa", SUITE_POINT_LEN, SUITE_RSA_MIN,
		SUITE_RSA_MAX, share_rsa},
};

static const struct kind *find_kind(unsigned int kind)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if ((unsigned int)kinds[i].kind == kind)
			return &kinds[i];
	return NULL;
}

enum sgb_err sgr_key_id(
	const struct sgr_recipient *recipient, uint8_t ret[SGR_KEY_ID_LEN])
{
	struct iovec part = {(void *)recipient->key, recipient->key_len};
	uint8_t hash[SUITE_HASH_LEN];
	enum sgb_err err = suite_sha256(&part, 1, hash);

	if (!err)
		memcpy(ret, hash, SGR_KEY_ID_LEN);
	return err;
}

/* The key that wraps the share: salt is what the stanza shows and the
 * recipient's public key, so that neither can be exchanged. */
static enum sgb_err wrap_cipher(const struct kind *kind,
	const uint8_t rec_id[SGR_ID_LEN], const struct shared *shared,
	const struct sgr_recipient *recipient, struct suite_cipher **ret)
{
	uint8_t salt[SUITE_RSA_MAX + SGR_PUBLIC_MAX], info[INFO_MAX];
	uint8_t prk[SUITE_HASH_LEN] = {0}, kek[SUITE_KEY_LEN] = {0};
	size_t label = strlen(kind->label);
	enum sgb_err err;

	memcpy(salt, shared->prefix, shared->len);
	memcpy(salt + shared->len, recipient->key, recipient->key_len);
	memcpy(info, kind->label, label);
	memcpy(info + label, rec_id, SGR_ID_LEN);
	err = suite_extract(salt, shared->len + recipient->key_len,
		shared->secret, sizeof(shared->secret), prk);
	if (!err)
		err = suite_expand(prk, info, label + SGR_ID_LEN, kek);
	if (!err)
		err = suite_cipher_new(kek, ret);
	secret_wipe(prk, sizeof(prk));
	secret_wipe(kek, sizeof(kek));
	return err;
}

enum sgb_err sgr_stanza_put(const struct sgr_recipient *recipient,
	const uint8_t rec_id[SGR_ID_LEN], const uint8_t share[SUITE_KEY_LEN],
	struct buf *out)
{
	static const uint8_t nonce[SUITE_NONCE_LEN];
	const struct kind *kind = find_kind(recipient->kind);
	uint8_t id[SGR_KEY_ID_LEN], sealed[SEALED_LEN];
	struct suite_cipher *kek = NULL;
	struct shared shared = {.len = 0};
	enum sgb_err err;

	if (!kind || recipient->key_len < kind->key_min)
		return SGB_ERR_UNSUPPORTED;
	err = sgr_key_id(recipient, id);
	if (!err)
		err = kind->share(recipient, &shared);
	if (!err)
		err = wrap_cipher(kind, rec_id, &shared, recipient, &kek);
	if (!err)
		err = suite_seal(
			kek, nonce, NULL, 0, share, SUITE_KEY_LEN, sealed);
	if (!err) {
		buf_put_u8(out, (uint8_t)kind->kind);
		buf_put_u8(out, recipient->group);
		buf_put_le16(out, 0);
		buf_put(out, id, sizeof(id));
		buf_put(out, shared.prefix, shared.len);
		buf_put(out, sealed, sizeof(sealed));
		err = buf_error(out);
	}
	suite_cipher_free(kek);
	secret_wipe(&shared, sizeof(shared));
	return err;
}

static bool is_for(
	const struct sgr_stanza *stanza, const struct identity *identity)
{
	uint8_t id[SGR_KEY_ID_LEN];

	return stanza->kind == (unsigned int)identity->public_half.kind &&
	       !sgr_key_id(&identity->public_half, id) &&
	       !memcmp(id, stanza->key_id, sizeof(id));
}

enum sgb_err sgr_stanza_open(const struct sgr_stanza *stanza,
	const uint8_t rec_id[SGR_ID_LEN], struct identity *identity,
	uint8_t ret[SUITE_KEY_LEN])
{
	static const uint8_t nonce[SUITE_NONCE_LEN];
	const struct kind *kind = find_kind(stanza->kind);
	struct suite_cipher *kek = NULL;
	struct shared shared = {.len = 0};
	enum sgb_err err;

	if (!kind || !is_for(stanza, identity))
		return SGB_ERR_NOTFOUND;
	if (stanza->len < kind->prefix_min + SEALED_LEN ||
		stanza->len > kind->prefix_max + SEALED_LEN)
		return SGB_ERR_FORMAT;
	shared.len = stanza->len - SEALED_LEN;
	memcpy(shared.prefix, stanza->body, shared.len);
	err = identity->agree(
		identity, rec_id, shared.prefix, shared.len, shared.secret);
	if (!err)
		err = wrap_cipher(
			kind, rec_id, &shared, &identity->public_half, &kek);
	if (!err)
		err = suite_unseal(kek, nonce, NULL, 0,
			stanza->body + shared.len, SUITE_KEY_LEN, ret);
	suite_cipher_free(kek);
	secret_wipe(&shared, sizeof(shared));
	return err;
}
