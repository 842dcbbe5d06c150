/*
 * See wire.h. Trusts the server's bytes no further than memory goes.
 */
#include "wire.h"

#include <string.h>
#include <sys/socket.h>

#define BANNER_MAX 512
#define PACKET_MAX 40000
#define TAG	   16
#define KEXINIT	   20
#define NEWKEYS	   21
#define ECDH_INIT  30
#define ECDH_REPLY 31

void wire_init(struct wire *wire, int fd, bool strict)
{
	static const uint8_t secret[32] = "the secret of the key exchange.";

	memset(wire, 0, sizeof(*wire));
	wire->fd = fd;
	wire->strict = strict;
	buf_init(&wire->in, 1 << 20);
	buf_init(&wire->banner, BANNER_MAX);
	buf_init(&wire->client_init, PACKET_MAX);
	buf_init(&wire->server_init, PACKET_MAX);
	wire->secret = EVP_PKEY_new_raw_private_key(
		EVP_PKEY_X25519, NULL, secret, sizeof(secret));
}

void wire_done(struct wire *wire)
{
	buf_done(&wire->in);
	buf_done(&wire->banner);
	buf_done(&wire->client_init);
	buf_done(&wire->server_init);
	EVP_PKEY_free(wire->secret);
}

void wire_kexinit(struct wire *wire, struct buf *out)
{
	static const char *const rest[] = {"ssh-ed25519",
		"aes128-gcm@openssh.com", "aes128-gcm@openssh.com",
		"hmac-sha2-256-etm@openssh.com",
		"hmac-sha2-256-etm@openssh.com", "none", "none", "", ""};
	size_t i, from = out->len;

	buf_put_u8(out, KEXINIT);
	buf_put(out, "0123456789abcdef", 16);
	buf_put_cstring(out, wire->strict ? "curve25519-sha256,"
					    "kex-strict-c-v00@openssh.com"
					  : "curve25519-sha256");
	for (i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
		buf_put_cstring(out, rest[i]);
	buf_put_u8(out, 0);
	buf_put_u32(out, 0);
	buf_reset(&wire->client_init);
	buf_put(&wire->client_init, out->data + from, out->len - from);
}

void wire_ecdh(struct wire *wire, struct buf *out)
{
	uint8_t public[32];
	size_t len = sizeof(public);

	(void)EVP_PKEY_get_raw_public_key(wire->secret, public, &len);
	buf_put_u8(out, ECDH_INIT);
	buf_put_string(out, public, len);
}

/* RFC 4251 section 5. */
static void put_mpint(struct buf *out, const uint8_t *number, size_t len)
{
	while (len && !*number) {
		number++;
		len--;
	}
	buf_put_u32(out, (uint32_t)len + (len && *number & 0x80));
	if (len && *number & 0x80)
		buf_put_u8(out, 0);
	buf_put(out, number, len);
}

/* RFC 8731 section 3; its mpint is the 32 bytes as they are. */
static void agree(struct wire *wire, const uint8_t *payload, size_t len)
{
	const uint8_t *key, *point;
	size_t key_len, point_len, shared_len = sizeof(wire->shared);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(wire->secret, NULL);
	EVP_PKEY *peer;
	struct reader rd;
	struct buf all, public;

	reader_init(&rd, payload, len);
	(void)reader_u8(&rd);
	key = reader_string(&rd, &key_len);
	point = reader_string(&rd, &point_len);
	peer = rd.err ? NULL
		      : EVP_PKEY_new_raw_public_key(
				EVP_PKEY_X25519, NULL, point, point_len);
	buf_init(&all, 4 * PACKET_MAX);
	buf_init(&public, 64);
	if (peer && EVP_PKEY_derive_init(ctx) == 1 &&
		EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
		EVP_PKEY_derive(ctx, wire->shared, &shared_len) == 1) {
		buf_put_cstring(&all, WIRE_BANNER);
		buf_put_string(&all, wire->banner.data, wire->banner.len);
		buf_put_string(
			&all, wire->client_init.data, wire->client_init.len);
		buf_put_string(
			&all, wire->server_init.data, wire->server_init.len);
		buf_put_string(&all, key, key_len);
		wire_ecdh(wire, &public);
		buf_put(&all, public.data + 1, public.len - 1);
		buf_put_string(&all, point, point_len);
		put_mpint(&all, wire->shared, sizeof(wire->shared));
		wire->has_hash = !buf_error(&all) &&
				 EVP_Digest(all.data, all.len, wire->hash, NULL,
					 EVP_sha256(), NULL) == 1;
	}
	if (wire->has_hash && !wire->has_id) {
		memcpy(wire->session_id, wire->hash, WIRE_HASH);
		wire->has_id = true;
	}
	buf_done(&all);
	buf_done(&public);
	EVP_PKEY_free(peer);
	EVP_PKEY_CTX_free(ctx);
}

/* RFC 4253 section 7.2. */
static void derive(
	const struct wire *wire, char letter, uint8_t *out, size_t len)
{
	uint8_t hash[WIRE_HASH];
	struct buf all;

	buf_init(&all, 256);
	put_mpint(&all, wire->shared, sizeof(wire->shared));
	buf_put(&all, wire->hash, WIRE_HASH);
	buf_put_u8(&all, (uint8_t)letter);
	buf_put(&all, wire->session_id, WIRE_HASH);
	(void)EVP_Digest(all.data, all.len, hash, NULL, EVP_sha256(), NULL);
	memcpy(out, hash, len);
	buf_done(&all);
}

static void turn_key(
	struct wire *wire, struct wire_way *way, char nonce, char key)
{
	if (!wire->has_hash)
		return;
	derive(wire, nonce, way->nonce, WIRE_NONCE);
	derive(wire, key, way->key, WIRE_KEY);
	way->sealed = true;
}

void wire_newkeys(struct wire *wire)
{
	turn_key(wire, &wire->to, 'A', 'C');
}

static void next_nonce(uint8_t nonce[WIRE_NONCE])
{
	int i;

	for (i = WIRE_NONCE - 1; i >= 4 && !++nonce[i]; i--)
		;
}

/* data: the length in the clear, then what is sealed, in place; room for the
 * tag behind it. */
static bool gcm(struct wire_way *way, bool seal, uint8_t *data, size_t len)
{
	/* OpenSSL's own, not the one that the session process offers it. */
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(
		NULL, "AES-128-GCM", "provider=default");
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t *tag = data + len;
	int n;
	bool good;

	good = ctx && cipher &&
	       EVP_CipherInit_ex(
		       ctx, cipher, NULL, way->key, way->nonce, seal) == 1 &&
	       EVP_CipherUpdate(ctx, NULL, &n, data, 4) == 1 &&
	       EVP_CipherUpdate(ctx, data + 4, &n, data + 4, (int)len - 4) ==
		       1 &&
	       (seal || EVP_CIPHER_CTX_ctrl(
				ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1) &&
	       EVP_CipherFinal_ex(ctx, tag, &n) == 1 &&
	       (!seal || EVP_CIPHER_CTX_ctrl(
				 ctx, EVP_CTRL_AEAD_GET_TAG, TAG, tag) == 1);
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	next_nonce(way->nonce);
	return good;
}

void wire_raw(struct wire *wire, const void *data, size_t len)
{
	/* What does not fit is lost: the server reads in between. */
	(void)!sendto(
		wire->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
}

void wire_send(struct wire *wire, const uint8_t *payload, size_t len)
{
	bool sealed = wire->to.sealed;
	size_t block = sealed ? 16 : 8;
	size_t pad = block - (1 + len + (sealed ? 0 : 4)) % block;
	static const uint8_t zeros[64];
	struct buf out;
	uint8_t *tag;

	if (pad < 4)
		pad += block;
	buf_init(&out, PACKET_MAX + 100);
	buf_put_u32(&out, (uint32_t)(1 + len + pad));
	buf_put_u8(&out, (uint8_t)pad);
	buf_put(&out, payload, len);
	buf_put(&out, zeros, pad);
	if (sealed) {
		size_t bare = out.len;

		tag = buf_extend(&out, TAG);
		if (!tag || !gcm(&wire->to, true, out.data, bare))
			out.len = 0;
	}
	if (!buf_error(&out) && out.len)
		wire_raw(wire, out.data, out.len);
	buf_done(&out);
}

static void take_payload(struct wire *wire, const uint8_t *payload, size_t len)
{
	if (!len)
		return;
	if (payload[0] == KEXINIT) {
		buf_reset(&wire->server_init);
		buf_put(&wire->server_init, payload, len);
	} else if (payload[0] == ECDH_REPLY) {
		agree(wire, payload, len);
	} else if (payload[0] == NEWKEYS) {
		turn_key(wire, &wire->from, 'B', 'D');
	}
	wire->heard(wire->arg, payload, len);
}

static bool take_banner(struct wire *wire)
{
	uint8_t *end = wire->in.len ? memchr(wire->in.data, '\n', wire->in.len)
				    : NULL;
	size_t len = end ? (size_t)(end - wire->in.data) : 0;

	if (!end)
		return false;
	buf_put(&wire->banner, wire->in.data,
		len && wire->in.data[len - 1] == '\r' ? len - 1 : len);
	buf_consume(&wire->in, len + 1);
	return true;
}

static bool take_packet(struct wire *wire)
{
	size_t tag = wire->from.sealed ? TAG : 0, len, pad;
	uint8_t *data = wire->in.data;
	bool good;

	if (wire->in.len < 5)
		return false;
	len = (size_t)data[0] << 24 | (size_t)data[1] << 16 |
	      (size_t)data[2] << 8 | data[3];
	if (len > PACKET_MAX || wire->in.len < 4 + len + tag)
		return false;
	good = !wire->from.sealed || gcm(&wire->from, false, data, 4 + len);
	pad = data[4];
	if (good && pad + 1 < len) {
		struct buf payload;

		buf_init(&payload, PACKET_MAX);
		buf_put(&payload, data + 5, len - pad - 1);
		buf_consume(&wire->in, 4 + len + tag);
		if (!buf_error(&payload))
			take_payload(wire, payload.data, payload.len);
		buf_done(&payload);
	} else {
		buf_consume(&wire->in, 4 + len + tag);
	}
	return true;
}

bool wire_read(struct wire *wire)
{
	uint8_t bytes[65536];
	ssize_t got = recvfrom(
		wire->fd, bytes, sizeof(bytes), MSG_DONTWAIT, NULL, NULL);

	if (got <= 0)
		return false;
	buf_put(&wire->in, bytes, (size_t)got);
	if (!wire->banner.len && !take_banner(wire))
		return true;
	while (take_packet(wire))
		;
	return true;
}
