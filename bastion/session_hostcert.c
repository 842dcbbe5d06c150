/*
 * A key exchange that is begun to see the host's certificate, and left. The
 * host is foreign: what it sends is bounded, read strictly, and only handed
 * on. The point that is sent in the exchange is each group's generator: no
 * secret comes of it, and none is needed.
 */
#include "session_hostcert.h"

#include <stdio.h>
#include <string.h>

#include "core/secret.h"

enum {
	MSG_DISCONNECT = 1,
	MSG_IGNORE = 2,
	MSG_UNIMPLEMENTED = 3,
	MSG_DEBUG = 4,
	MSG_KEXINIT = 20,
	MSG_KEX_ECDH_INIT = 30,
	MSG_KEX_ECDH_REPLY = 31,
};

#define BANNER	    "SSH-2.0-sgbridge_hostcert\r\n"
#define TEXT_MAX    8192 /* as OpenSSH: of each, and at most so many */
#define LINES_MAX   1024
#define PACKET_MAX  35000 /* RFC 4253 section 6.1 */
#define PACKETS_MAX 64
#define IN_MAX	    (64 * 1024)
#define COOKIE_LEN  16

static const uint8_t x25519_generator[32] = {9};
static const uint8_t p256_generator[65] = {0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1,
	0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77,
	0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8,
	0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e,
	0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b,
	0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};

/* In the order of preference, which is the client's (RFC 4253 section 7.1). */
static const struct exchange {
	const char *name;
	const uint8_t *point;
	size_t len;
} exchanges[] = {
	{"curve25519-sha256", x25519_generator, sizeof(x25519_generator)},
	{"curve25519-sha256@libssh.org", x25519_generator,
		sizeof(x25519_generator)},
	{"ecdh-sha2-nistp256", p256_generator, sizeof(p256_generator)},
};

#define EXCHANGES (sizeof(exchanges) / sizeof(exchanges[0]))

static enum hostcert_state fail(struct hostcert *hc)
{
	hc->state = HOSTCERT_FAILED;
	return hc->state;
}

/* An unencrypted packet: length, padding length, payload, padding. */
static void put_packet(struct buf *out, const struct buf *payload)
{
	static const uint8_t zeros[16];
	size_t pad = 8 - (payload->len + 5) % 8;

	if (pad < 4)
		pad += 8;
	buf_put_u32(out, (uint32_t)(1 + payload->len + pad));
	buf_put_u8(out, (uint8_t)pad);
	buf_put(out, payload->data, payload->len);
	buf_put(out, zeros, pad);
}

static void put_exchanges(struct buf *out)
{
	char names[160] = "";
	size_t i, used = 0;

	for (i = 0; i < EXCHANGES; i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used,
			"%s%s", i ? "," : "", exchanges[i].name);
	buf_put_cstring(out, names);
}

static void put_kexinit(struct hostcert *hc)
{
	static const char *const both_ways[] = {
		"aes128-ctr,aes256-ctr,aes128-gcm@openssh.com,"
		"aes256-gcm@openssh.com,chacha20-poly1305@openssh.com",
		"hmac-sha2-256,hmac-sha2-512,hmac-sha2-256-etm@openssh.com,"
		"hmac-sha2-512-etm@openssh.com",
		"none",
		"",
	};
	uint8_t cookie[COOKIE_LEN];
	struct buf payload;
	size_t i;

	buf_init(&payload, 4096);
	if (secret_random(cookie, sizeof(cookie)))
		memset(cookie, 0, sizeof(cookie));
	buf_put_u8(&payload, MSG_KEXINIT);
	buf_put(&payload, cookie, sizeof(cookie));
	put_exchanges(&payload);
	buf_put_cstring(&payload, hc->algorithms);
	for (i = 0; i < sizeof(both_ways) / sizeof(both_ways[0]); i++) {
		buf_put_cstring(&payload, both_ways[i]);
		buf_put_cstring(&payload, both_ways[i]);
	}
	buf_put_u8(&payload, 0);
	buf_put_u32(&payload, 0);
	if (buf_error(&payload))
		fail(hc);
	else
		put_packet(&hc->out, &payload);
	buf_done(&payload);
}

void hostcert_init(struct hostcert *hc, const char *key_type)
{
	memset(hc, 0, sizeof(*hc));
	buf_init(&hc->in, IN_MAX);
	buf_init(&hc->out, IN_MAX);
	buf_init(&hc->blob, PACKET_MAX);
	hc->state = HOSTCERT_BANNER;
	if (!strcmp(key_type, "ssh-rsa"))
		snprintf(hc->algorithms, sizeof(hc->algorithms),
			"rsa-sha2-512-cert-v01@openssh.com,"
			"rsa-sha2-256-cert-v01@openssh.com");
	else
		snprintf(hc->algorithms, sizeof(hc->algorithms),
			"%.64s-cert-v01@openssh.com", key_type);
	buf_put(&hc->out, BANNER, sizeof(BANNER) - 1);
	put_kexinit(hc);
}

void hostcert_done(struct hostcert *hc)
{
	buf_done(&hc->in);
	buf_done(&hc->out);
	buf_done(&hc->blob);
	memset(hc, 0, sizeof(*hc));
}

/* RFC 4253 section 4.2: lines of another kind may come before. */
static bool take_line(struct hostcert *hc)
{
	const char *text = (const char *)hc->in.data;
	const char *end = hc->in.len ? memchr(text, '\n', hc->in.len) : NULL;
	size_t len = end ? (size_t)(end - text) + 1 : hc->in.len;

	if (len > TEXT_MAX || hc->lines > LINES_MAX) {
		fail(hc);
		return false;
	}
	if (!end)
		return false;
	hc->lines++;
	if (len > 4 && !memcmp(text, "SSH-", 4)) {
		if (len > 8 &&
			(!memcmp(text, "SSH-2.0-", 8) ||
				(len > 9 && !memcmp(text, "SSH-1.99-", 9))))
			hc->state = HOSTCERT_KEXINIT;
		else
			fail(hc);
	}
	buf_consume(&hc->in, len);
	return true;
}

static bool list_has(const uint8_t *list, size_t len, const char *name)
{
	size_t name_len = strlen(name);

	while (len) {
		const uint8_t *comma = memchr(list, ',', len);
		size_t one = comma ? (size_t)(comma - list) : len;

		if (one == name_len && !memcmp(list, name, one))
			return true;
		list += one + (comma != NULL);
		len -= one + (comma != NULL);
	}
	return false;
}

/* Any of ours, which are separated by commas too? */
static bool lists_meet(const uint8_t *list, size_t len, const char *ours)
{
	char copy[160], *at = copy, *name;

	snprintf(copy, sizeof(copy), "%s", ours);
	while ((name = strsep(&at, ",")))
		if (list_has(list, len, name))
			return true;
	return false;
}

/* What both can do is decided as the host decides it: by our order. */
static void take_kexinit(struct hostcert *hc, struct reader *rd)
{
	const uint8_t *kex, *keys;
	size_t kex_len, keys_len, i;
	struct buf payload;

	(void)reader_bytes(rd, COOKIE_LEN);
	kex = reader_string(rd, &kex_len);
	keys = reader_string(rd, &keys_len);
	for (i = 0; i < EXCHANGES; i++)
		if (!rd->err && list_has(kex, kex_len, exchanges[i].name))
			break;
	if (rd->err || i == EXCHANGES ||
		!lists_meet(keys, keys_len, hc->algorithms)) {
		fail(hc);
		return;
	}
	buf_init(&payload, 1024);
	buf_put_u8(&payload, MSG_KEX_ECDH_INIT);
	buf_put_string(&payload, exchanges[i].point, exchanges[i].len);
	hc->state = HOSTCERT_REPLY;
	if (buf_error(&payload))
		fail(hc);
	else
		put_packet(&hc->out, &payload);
	buf_done(&payload);
}

static void take_reply(struct hostcert *hc, struct reader *rd)
{
	const uint8_t *blob;
	size_t len;

	blob = reader_string(rd, &len);
	if (rd->err || !len) {
		fail(hc);
		return;
	}
	buf_put(&hc->blob, blob, len);
	hc->state = HOSTCERT_DONE;
	if (buf_error(&hc->blob))
		fail(hc);
}

static void take_payload(struct hostcert *hc, const uint8_t *data, size_t len)
{
	struct reader rd;
	uint8_t type;

	reader_init(&rd, data, len);
	type = reader_u8(&rd);
	if (type == MSG_IGNORE || type == MSG_DEBUG ||
		type == MSG_UNIMPLEMENTED)
		return;
	if (type == MSG_KEXINIT && hc->state == HOSTCERT_KEXINIT)
		take_kexinit(hc, &rd);
	else if (type == MSG_KEX_ECDH_REPLY && hc->state == HOSTCERT_REPLY)
		take_reply(hc, &rd);
	else
		fail(hc);
}

static bool take_packet(struct hostcert *hc)
{
	struct reader rd;
	uint32_t len;
	uint8_t pad;

	reader_init(&rd, hc->in.data, hc->in.len);
	len = reader_u32(&rd);
	if (rd.err)
		return false;
	if (len < 12 || len > PACKET_MAX || ++hc->packets > PACKETS_MAX) {
		fail(hc);
		return false;
	}
	if (rd.left < len) {
		hc->packets--;
		return false;
	}
	pad = reader_u8(&rd);
	if (pad < 4 || (uint32_t)pad + 2 > len) {
		fail(hc);
		return false;
	}
	take_payload(hc, rd.data, len - 1 - pad);
	buf_consume(&hc->in, 4 + (size_t)len);
	return true;
}

enum hostcert_state hostcert_feed(
	struct hostcert *hc, const void *data, size_t len)
{
	bool more = true;

	if (hc->state == HOSTCERT_FAILED || hc->state == HOSTCERT_DONE)
		return hc->state;
	if (!len)
		return fail(hc);
	buf_put(&hc->in, data, len);
	if (buf_error(&hc->in))
		return fail(hc);
	while (more && hc->state != HOSTCERT_FAILED &&
		hc->state != HOSTCERT_DONE)
		more = hc->state == HOSTCERT_BANNER ? take_line(hc)
						    : take_packet(hc);
	if (buf_error(&hc->out))
		return fail(hc);
	return hc->state;
}
