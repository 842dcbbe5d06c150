/* Identities in files, and the choice between the kinds. */
#include "identity.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"

struct soft {
	struct identity identity; /* first: freed through it */
	struct suite_key *x25519;
	struct suite_p256 *p256;
};

static enum sgb_err soft_agree(struct identity *identity,
	const uint8_t rec_id[SGR_ID_LEN], const uint8_t *prefix, size_t len,
	uint8_t ret[SUITE_KEY_LEN])
{
	struct soft *soft = (struct soft *)identity;

	(void)rec_id;
	if (soft->x25519 && len == SUITE_KEY_LEN)
		return suite_agree(soft->x25519, prefix, ret);
	if (soft->p256 && len == SUITE_POINT_LEN)
		return suite_p256_agree(soft->p256, prefix, ret);
	return SGB_ERR_FORMAT;
}

static void soft_destroy(struct identity *identity)
{
	struct soft *soft = (struct soft *)identity;

	suite_key_free(soft->x25519);
	suite_p256_free(soft->p256);
	free(soft);
}

static struct soft *soft_new(void)
{
	struct soft *soft = calloc(1, sizeof(*soft));

	if (soft) {
		soft->identity.agree = soft_agree;
		soft->identity.destroy = soft_destroy;
	}
	return soft;
}

enum sgb_err identity_from_key(
	struct suite_key *key_take, struct identity **ret)
{
	struct soft *soft = soft_new();
	struct sgr_recipient *half;

	if (!soft) {
		suite_key_free(key_take);
		return SGB_ERR_NOMEM;
	}
	half = &soft->identity.public_half;
	soft->x25519 = key_take;
	half->kind = SGR_KIND_X25519;
	half->key_len = SUITE_KEY_LEN;
	memcpy(half->key, suite_key_public(key_take), SUITE_KEY_LEN);
	*ret = &soft->identity;
	return SGB_OK;
}

enum sgb_err identity_from_p256(
	struct suite_p256 *key_take, struct identity **ret)
{
	struct soft *soft = soft_new();
	enum sgb_err err;

	if (!soft) {
		suite_p256_free(key_take);
		return SGB_ERR_NOMEM;
	}
	soft->p256 = key_take;
	soft->identity.public_half.kind = SGR_KIND_P256;
	soft->identity.public_half.key_len = SUITE_POINT_LEN;
	err = suite_p256_public(key_take, soft->identity.public_half.key);
	if (err)
		identity_free(&soft->identity);
	else
		*ret = &soft->identity;
	return err;
}

void identity_free(struct identity *identity)
{
	if (identity)
		identity->destroy(identity);
}

static enum sgb_err from_pem(const struct buf *file, struct identity **ret)
{
	struct suite_key *key;
	struct suite_p256 *p256;
	enum sgb_err err;

	err = suite_key_from_pem(file->data, file->len, SUITE_KEY_X25519, &key);
	if (!err)
		return identity_from_key(key, ret);
	err = suite_p256_from_pem(file->data, file->len, &p256);
	return err ? err : identity_from_p256(p256, ret);
}

static bool is_pem(const struct buf *file)
{
	return memmem(file->data, file->len, "-----BEGIN ", 11) != NULL;
}

enum sgb_err identity_load(
	const char *spec, struct identity **ret, char *why, size_t why_len)
{
	struct buf file;
	enum sgb_err err;

	if (!strncmp(spec, "pkcs11:", 7))
		return identity_token(spec, ret, why, why_len);
	buf_init(&file, 16384);
	err = file_read(spec, FILE_TRUST_SECRET, &file, why, why_len);
	if (err) {
		buf_done(&file);
		return err;
	}
	if (!is_pem(&file)) {
		err = identity_command(spec, (const char *)file.data, file.len,
			ret, why, why_len);
	} else {
		err = from_pem(&file, ret);
		if (err)
			(void)snprintf(why, why_len,
				"%s: not an X25519 or P-256 private key in PEM "
				"without passphrase; \"sgbridge-audit keygen\" "
				"makes one",
				spec);
	}
	buf_done(&file);
	return err;
}
