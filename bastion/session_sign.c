/*
 * The host key towards the client. The monitor has it: libssh gets a stand-in
 * with the true public half and a private half of no use, and what it signs
 * with it is signed by the monitor (session_proof.h). It so happens that
 * libssh asks OpenSSL for a signature only for a key exchange.
 */
#include "session_sign.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/buf.h"
#include "core/sshkey.h"

#define FILE_MAX 16384
#define BLOCK	 8
#define ED_LEN	 32

static void put_ed25519(struct buf *out, struct reader *public)
{
	uint8_t pair[2 * ED_LEN] = {0};
	size_t len;
	const uint8_t *point = reader_string(public, &len);

	if (public->err || len != ED_LEN)
		return;
	memcpy(pair + ED_LEN, point, ED_LEN);
	buf_put_string(out, point, len);
	buf_put_string(out, pair, sizeof(pair));
}

static void put_one(struct buf *out)
{
	buf_put_string(out, "\1", 1);
}

static void put_copy(struct buf *out, const uint8_t *field, size_t len)
{
	if (field)
		buf_put_string(out, field, len);
}

/* The scalar is 1. */
static void put_ecdsa(struct buf *out, struct reader *public)
{
	size_t curve_len, point_len;
	const uint8_t *curve = reader_string(public, &curve_len);
	const uint8_t *point = reader_string(public, &point_len);

	put_copy(out, curve, curve_len);
	put_copy(out, point, point_len);
	put_one(out);
}

/* Exponent 1, and factors that are numbers of the right size. */
static void put_rsa(struct buf *out, struct reader *public)
{
	size_t e_len, n_len;
	const uint8_t *e = reader_string(public, &e_len);
	const uint8_t *n = reader_string(public, &n_len);
	uint8_t factor[1 + 8192 / 8 / 2];
	size_t len = n_len / 2 + 1;

	if (public->err || len > sizeof(factor))
		return;
	memset(factor, 0xff, len);
	factor[0] = 0;
	put_copy(out, n, n_len);
	put_copy(out, e, e_len);
	put_one(out);
	put_one(out);
	buf_put_string(out, factor, len);
	buf_put_string(out, factor, len);
}

/* PROTOCOL.key: two equal numbers, type, public and private, comment, padding
 * of 1, 2, 3 ... */
static enum sgb_err put_private(struct buf *out, const struct sshkey *key,
	const uint8_t *blob, size_t len)
{
	struct reader public;
	size_t name_len;
	uint8_t pad;

	reader_init(&public, blob, len);
	(void)reader_string(&public, &name_len);
	buf_put_u64(out, 0);
	buf_put_cstring(out, key->name);
	if (key->type == SSHKEY_ED25519)
		put_ed25519(out, &public);
	else if (key->type == SSHKEY_ECDSA)
		put_ecdsa(out, &public);
	else if (key->type == SSHKEY_RSA)
		put_rsa(out, &public);
	else
		return SGB_ERR_UNSUPPORTED;
	buf_put_cstring(out, "");
	for (pad = 1; out->len % BLOCK; pad++)
		buf_put_u8(out, pad);
	return public.err ? public.err : buf_error(out);
}

static enum sgb_err put_container(struct buf *out, const struct sshkey *key,
	const uint8_t *blob, size_t len)
{
	struct buf private;
	enum sgb_err err;

	buf_init(&private, FILE_MAX);
	err = put_private(&private, key, blob, len);
	buf_put(out, "openssh-key-v1", sizeof("openssh-key-v1"));
	buf_put_cstring(out, "none");
	buf_put_cstring(out, "none");
	buf_put_cstring(out, "");
	buf_put_u32(out, 1);
	buf_put_string(out, blob, len);
	buf_put_string(out, private.data, private.len);
	buf_done(&private);
	return err ? err : buf_error(out);
}

enum sgb_err sign_stand_in(
	const uint8_t *blob, size_t len, struct session_hostkey *ret)
{
	struct buf container, text;
	unsigned char *base64 = NULL;
	struct sshkey key;
	enum sgb_err err;

	if (sshkey_parse(blob, len, &key))
		return SGB_ERR_FORMAT;
	buf_init(&container, FILE_MAX);
	buf_init(&text, 2 * FILE_MAX);
	err = put_container(&container, &key, blob, len);
	if (!err)
		base64 = malloc(container.len * 2);
	if (!err && !base64)
		err = SGB_ERR_NOMEM;
	if (!err) {
		(void)EVP_EncodeBlock(
			base64, container.data, (int)container.len);
		buf_printf(&text,
			"-----BEGIN OPENSSH PRIVATE KEY-----\n%s\n"
			"-----END OPENSSH PRIVATE KEY-----\n",
			(const char *)base64);
		buf_put_u8(&text, 0);
		err = buf_error(&text);
	}
	/* It ends with the point. */
	if (key.type == SSHKEY_ED25519 && len > PROOF_ED25519_LEN)
		proof_stand_in(blob + len - PROOF_ED25519_LEN);
	if (!err && ssh_pki_import_privkey_base64((const char *)text.data, NULL,
			    NULL, NULL, &ret->key) != SSH_OK)
		err = SGB_ERR_CRYPTO;
	proof_stand_in(NULL);
	ret->kind = key.type == SSHKEY_ED25519 ? EVP_PKEY_ED25519
		    : key.type == SSHKEY_ECDSA ? EVP_PKEY_EC
					       : EVP_PKEY_RSA;
	free(base64);
	buf_done(&container);
	buf_done(&text);
	return err;
}

/* libssh keeps one key of a kind, the last that it was given. */
static bool number_of(const struct session *s, int kind, uint32_t *ret)
{
	uint32_t i;

	for (i = (uint32_t)s->start.key_count; i; i--)
		if (s->start.keys[i - 1].kind == kind) {
			*ret = i - 1;
			return true;
		}
	return false;
}

bool sign_request(void *arg, const struct proof_request *request,
	uint8_t *signature, size_t *len)
{
	struct session *s = arg;
	const uint8_t *got;
	struct msg ask, answer;
	uint32_t number;
	size_t got_len;
	bool good;

	if (!number_of(s, request->kind, &number))
		return false;
	msg_init(&ask, MSG_REQ_SIGN);
	buf_put_u32(&ask.body, number);
	buf_put_u32(&ask.body, request->digest_bits);
	buf_put_string(&ask.body, request->data, request->len);
	if (!link_ask(s, &ask, MSG_SES_SIGNED, &answer))
		return false;
	got = reader_string(&answer.reader, &got_len);
	good = !reader_end(&answer.reader) && got_len && got_len <= *len;
	if (good) {
		memcpy(signature, got, got_len);
		*len = got_len;
	}
	msg_done(&answer);
	return good;
}
