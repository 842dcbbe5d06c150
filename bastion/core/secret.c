/*
 * Random bytes, wiping, and sealed records. AES-256-GCM with a random nonce:
 * a master key seals far fewer than 2^32 records (NIST SP 800-38D, 8.3).
 * Works in OpenSSL's default library context: in a host program that has not
 * used OpenSSL yet, this reads openssl.cnf, a file of root's.
 */
#include "core/secret.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "core/file.h"

#define NONCE_LEN 12
#define TAG_LEN	  16
#define HEAD_LEN  (4 + 1 + SECRET_KEY_ID_LEN + NONCE_LEN)
#define PLAIN_MAX (1024 * 1024)

static const char magic[4] = {'S', 'G', 'B', 'S'};

struct secret_keys {
	size_t count;
	uint8_t keys[SECRET_KEYS_MAX][SECRET_KEY_LEN];
	uint8_t ids[SECRET_KEYS_MAX][SECRET_KEY_ID_LEN];
};

enum sgb_err secret_random(void *out, size_t len)
{
	uint8_t *at = out;

	while (len) {
		ssize_t got = getrandom(at, len > 256 ? 256 : len, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return SGB_ERR_SYSTEM;
		at += got;
		len -= (size_t)got;
	}
	return SGB_OK;
}

void secret_wipe(void *data, size_t len)
{
	if (data)
		OPENSSL_cleanse(data, len);
}

void secret_free_cstring(char *text)
{
	if (text)
		OPENSSL_cleanse(text, strlen(text));
	free(text);
}

static enum sgb_err key_id(
	const uint8_t key[SECRET_KEY_LEN], uint8_t id[SECRET_KEY_ID_LEN])
{
	static const char prefix[] = "sgb key id";
	uint8_t input[sizeof(prefix) - 1 + SECRET_KEY_LEN];
	uint8_t digest[32];
	int done;

	memcpy(input, prefix, sizeof(prefix) - 1);
	memcpy(input + sizeof(prefix) - 1, key, SECRET_KEY_LEN);
	done = EVP_Digest(
		input, sizeof(input), digest, NULL, EVP_sha256(), NULL);
	OPENSSL_cleanse(input, sizeof(input));
	if (done != 1)
		return SGB_ERR_CRYPTO;
	memcpy(id, digest, SECRET_KEY_ID_LEN);
	return SGB_OK;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static enum sgb_err parse_key(
	const char *line, size_t len, uint8_t key[SECRET_KEY_LEN])
{
	size_t i;

	if (len != 2 * SECRET_KEY_LEN)
		return SGB_ERR_FORMAT;
	for (i = 0; i < SECRET_KEY_LEN; i++) {
		int high = hex_digit(line[2 * i]);
		int low = hex_digit(line[2 * i + 1]);

		if (high < 0 || low < 0)
			return SGB_ERR_FORMAT;
		key[i] = (uint8_t)(high << 4 | low);
	}
	return SGB_OK;
}

static enum sgb_err parse_lines(
	const struct buf *text, struct secret_keys *keys, unsigned int *line)
{
	const char *at = (const char *)text->data;
	size_t left = text->len;

	for (*line = 1; left; (*line)++) {
		const char *end = memchr(at, '\n', left);
		size_t len = end ? (size_t)(end - at) : left;
		enum sgb_err err;

		if (len && *at != '#') {
			if (keys->count == SECRET_KEYS_MAX)
				return SGB_ERR_LIMIT;
			err = parse_key(at, len, keys->keys[keys->count]);
			if (!err)
				err = key_id(keys->keys[keys->count],
					keys->ids[keys->count]);
			if (err)
				return err;
			keys->count++;
		}
		left -= end ? len + 1 : len;
		at += end ? len + 1 : len;
	}
	return keys->count ? SGB_OK : SGB_ERR_NOTFOUND;
}

enum sgb_err secret_keys_load(
	const char *path, struct secret_keys **ret, char *why, size_t why_len)
{
	struct secret_keys *keys = NULL;
	unsigned int line = 0;
	struct buf text;
	enum sgb_err err;

	buf_init(&text, 4096);
	err = file_read(path, FILE_TRUST_SECRET, &text, why, why_len);
	if (err)
		goto out;
	keys = calloc(1, sizeof(*keys));
	err = keys ? parse_lines(&text, keys, &line) : SGB_ERR_NOMEM;
	if (err)
		snprintf(why, why_len,
			"%s:%u: expected a master key: 64 hexadecimal digits "
			"in lower case, at most %d lines of them",
			path, line, SECRET_KEYS_MAX);
	if (!err) {
		*ret = keys;
		keys = NULL;
	}
out:
	buf_done(&text);
	secret_keys_free(keys);
	return err;
}

void secret_keys_free(struct secret_keys *keys)
{
	if (keys)
		OPENSSL_cleanse(keys, sizeof(*keys));
	free(keys);
}

const uint8_t *secret_keys_id(const struct secret_keys *keys)
{
	return keys->ids[0];
}

bool secret_is_current(
	const struct secret_keys *keys, const void *record, size_t len)
{
	const uint8_t *at = record;

	return len >= HEAD_LEN + TAG_LEN && !memcmp(at, magic, 4) &&
	       at[4] == 1 && !memcmp(at + 5, keys->ids[0], SECRET_KEY_ID_LEN);
}

/* One AES-256-GCM operation; tag is written when sealing, checked else. */
static enum sgb_err gcm(int seal, const uint8_t *key, const uint8_t *nonce,
	const char *label, const uint8_t *in, size_t len, uint8_t *out,
	uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	enum sgb_err err = SGB_ERR_CRYPTO;
	int n;

	if (!ctx)
		return SGB_ERR_NOMEM;
	if (EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce, seal) !=
		1)
		goto out;
	if (EVP_CipherUpdate(ctx, NULL, &n, (const uint8_t *)label,
		    (int)strlen(label)) != 1)
		goto out;
	if (len && EVP_CipherUpdate(ctx, out, &n, in, (int)len) != 1)
		goto out;
	if (!seal && EVP_CIPHER_CTX_ctrl(
			     ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) != 1)
		goto out;
	if (EVP_CipherFinal_ex(ctx, out + len, &n) != 1)
		goto out;
	if (seal && EVP_CIPHER_CTX_ctrl(
			    ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) != 1)
		goto out;
	err = SGB_OK;
out:
	EVP_CIPHER_CTX_free(ctx);
	return err;
}

enum sgb_err secret_seal(const struct secret_keys *keys, const char *label,
	const void *plain, size_t len, struct buf *out)
{
	uint8_t nonce[NONCE_LEN];
	uint8_t *record;
	enum sgb_err err;

	if (len > PLAIN_MAX)
		return SGB_ERR_LIMIT;
	err = secret_random(nonce, sizeof(nonce));
	if (err)
		return err;
	record = buf_extend(out, HEAD_LEN + len + TAG_LEN);
	if (!record)
		return buf_error(out);
	memcpy(record, magic, 4);
	record[4] = 1;
	memcpy(record + 5, keys->ids[0], SECRET_KEY_ID_LEN);
	memcpy(record + 5 + SECRET_KEY_ID_LEN, nonce, NONCE_LEN);
	err = gcm(1, keys->keys[0], nonce, label, plain, len, record + HEAD_LEN,
		record + HEAD_LEN + len);
	if (err)
		out->len -= HEAD_LEN + len + TAG_LEN;
	return err;
}

static const uint8_t *find_key(
	const struct secret_keys *keys, const uint8_t *id)
{
	size_t i;

	for (i = 0; i < keys->count; i++)
		if (!memcmp(keys->ids[i], id, SECRET_KEY_ID_LEN))
			return keys->keys[i];
	return NULL;
}

enum sgb_err secret_open(const struct secret_keys *keys, const char *label,
	const void *record, size_t len, struct buf *out)
{
	const uint8_t *at = record;
	const uint8_t *key;
	uint8_t tag[TAG_LEN];
	size_t plain_len;
	uint8_t *room;
	enum sgb_err err;

	if (len < HEAD_LEN + TAG_LEN || memcmp(at, magic, 4) || at[4] != 1)
		return SGB_ERR_FORMAT;
	key = find_key(keys, at + 5);
	if (!key)
		return SGB_ERR_CRYPTO;
	plain_len = len - HEAD_LEN - TAG_LEN;
	if (plain_len > PLAIN_MAX)
		return SGB_ERR_LIMIT;
	memcpy(tag, at + len - TAG_LEN, TAG_LEN);
	room = buf_extend(out, plain_len);
	if (!room)
		return buf_error(out);
	err = gcm(0, key, at + 5 + SECRET_KEY_ID_LEN, label, at + HEAD_LEN,
		plain_len, room, tag);
	if (err) {
		/* What GCM wrote before the tag failed is not to be seen. */
		OPENSSL_cleanse(room, plain_len);
		out->len -= plain_len;
	}
	return err;
}
