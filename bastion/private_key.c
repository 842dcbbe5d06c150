/*
 * A private key out of a file of root's, with both halves as the bastion needs
 * them. privkey.c reads the formats.
 */
#include "private_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/file.h"
#include "privkey.h"

#define FILE_MAX 16384

/* The public half is made from the private one: a file cannot say another. */
static enum sgb_err take_public(struct private_key *key)
{
	struct buf blob;
	enum sgb_err err;

	buf_init(&blob, SSHKEY_MAX_BLOB);
	err = privkey_public(key->key, &blob);
	if (!err)
		err = sshkey_parse(blob.data, blob.len, &key->public);
	key->blob_len = blob.len;
	if (!err) {
		key->blob = (uint8_t *)buf_take(&blob);
		err = key->blob ? SGB_OK : SGB_ERR_NOMEM;
	}
	buf_done(&blob);
	return err;
}

enum sgb_err private_key_parse(const struct buf *text, struct private_key *ret,
	char *why, size_t why_len)
{
	enum sgb_err err;

	memset(ret, 0, sizeof(*ret));
	err = privkey_parse(text->data, text->len, &ret->key, why, why_len);
	if (!err)
		err = take_public(ret);
	if (err)
		private_key_done(ret);
	return err;
}

enum sgb_err private_key_load(
	const char *path, struct private_key *ret, char *why, size_t why_len)
{
	char what[300];
	struct buf text;
	enum sgb_err err;

	memset(ret, 0, sizeof(*ret));
	buf_init(&text, FILE_MAX);
	err = file_read(path, FILE_TRUST_SECRET, &text, why, why_len);
	if (!err) {
		snprintf(what, sizeof(what), "out of memory");
		err = private_key_parse(&text, ret, what, sizeof(what));
		if (err)
			snprintf(why, why_len, "%s: %s", path, what);
	}
	buf_done(&text);
	return err;
}

void private_key_done(struct private_key *key)
{
	EVP_PKEY_free(key->key);
	free(key->blob);
	memset(key, 0, sizeof(*key));
}
