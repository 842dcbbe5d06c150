/*
 * Writes an Ed25519 key pair as ssh-keygen does: the private half in
 * OpenSSH's own format (PROTOCOL.key) without a passphrase, the public half as
 * one line. Into memory alone; where it goes is the caller's to answer for.
 */
#include "cert.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/secret.h"

#define KEY_TYPE     "ssh-ed25519"
#define KEY_LEN	     32
#define BLOCK	     8
#define LINE	     70 /* as ssh-keygen breaks its lines */
#define FILE_MAX     4096
#define PUT_MAGIC(b) buf_put(b, "openssh-key-v1", sizeof("openssh-key-v1"))

/* Two equal numbers, type, public, private and public, comment, padding. */
static enum sgb_err put_private(
	EVP_PKEY *key, const char *comment, struct buf *out)
{
	uint8_t pair[2 * KEY_LEN], check[4], pad;
	size_t len = KEY_LEN, public_len = KEY_LEN, start = out->len;
	enum sgb_err err = secret_random(check, sizeof(check));

	if (!err && (EVP_PKEY_get_raw_private_key(key, pair, &len) != 1 ||
			    EVP_PKEY_get_raw_public_key(
				    key, pair + KEY_LEN, &public_len) != 1))
		err = SGB_ERR_CRYPTO;
	if (!err) {
		buf_put(out, check, sizeof(check));
		buf_put(out, check, sizeof(check));
		buf_put_cstring(out, KEY_TYPE);
		buf_put_string(out, pair + KEY_LEN, KEY_LEN);
		buf_put_string(out, pair, sizeof(pair));
		buf_put_cstring(out, comment);
		for (pad = 1; (out->len - start) % BLOCK; pad++)
			buf_put_u8(out, pad);
	}
	secret_wipe(pair, sizeof(pair));
	return err ? err : buf_error(out);
}

static enum sgb_err put_base64(const struct buf *bytes, struct buf *out)
{
	size_t size = 4 * ((bytes->len + 2) / 3) + 1, at, len;
	unsigned char *text = malloc(size);

	if (!text)
		return SGB_ERR_NOMEM;
	(void)EVP_EncodeBlock(text, bytes->data, (int)bytes->len);
	for (at = 0; at + 1 < size; at += len) {
		len = size - 1 - at < LINE ? size - 1 - at : LINE;
		buf_put(out, text + at, len);
		buf_put_u8(out, '\n');
	}
	secret_wipe(text, size);
	free(text);
	return buf_error(out);
}

enum sgb_err cert_private_text(
	EVP_PKEY *key, const char *comment, struct buf *out)
{
	struct buf private, whole;
	enum sgb_err err;

	buf_init(&private, FILE_MAX);
	buf_init(&whole, FILE_MAX);
	PUT_MAGIC(&whole);
	buf_put_cstring(&whole, "none");
	buf_put_cstring(&whole, "none");
	buf_put_cstring(&whole, "");
	buf_put_u32(&whole, 1);
	err = cert_public_blob(key, &private);
	buf_put_string(&whole, private.data, private.len);
	buf_reset(&private);
	if (!err)
		err = put_private(key, comment, &private);
	buf_put_string(&whole, private.data, private.len);
	if (!err)
		err = buf_error(&whole);
	if (!err) {
		buf_printf(out, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
		err = put_base64(&whole, out);
		buf_printf(out, "-----END OPENSSH PRIVATE KEY-----\n");
	}
	buf_done(&private);
	buf_done(&whole);
	return err ? err : buf_error(out);
}

enum sgb_err cert_public_text(
	EVP_PKEY *key, const char *comment, struct buf *out)
{
	unsigned char text[128];
	struct buf blob;
	enum sgb_err err;

	buf_init(&blob, 64);
	err = cert_public_blob(key, &blob);
	if (!err) {
		(void)EVP_EncodeBlock(text, blob.data, (int)blob.len);
		buf_printf(out, KEY_TYPE " %s%s%s\n", (const char *)text,
			*comment ? " " : "", comment);
	}
	buf_done(&blob);
	return err ? err : buf_error(out);
}
