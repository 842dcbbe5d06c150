/*
 * SSH public keys and OpenSSH certificates: strict parsing of foreign bytes.
 * Pure functions over memory; trusts nothing it is given, verifies no
 * signature (sshd or libssh has done that), keeps nothing secret.
 */
#include "core/sshkey.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/buf.h"

/* RSA moduli beyond this cost more than anybody needs (OpenSSH's limit). */
#define RSA_MAX_BITS 16384

struct key_kind {
	enum sshkey_type type;
	const char *name;  /* in a plain blob */
	const char *cert;  /* in a certificate's blob */
	const char *curve; /* ECDSA curve as in the blob */
	unsigned int bits; /* 0: from the modulus */
};

static const struct key_kind kinds[] = {
	{SSHKEY_ED25519, "ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com",
		NULL, 256},
	{SSHKEY_ECDSA, "ecdsa-sha2-nistp256",
		"ecdsa-sha2-nistp256-cert-v01@openssh.com", "nistp256", 256},
	{SSHKEY_ECDSA, "ecdsa-sha2-nistp384",
		"ecdsa-sha2-nistp384-cert-v01@openssh.com", "nistp384", 384},
	{SSHKEY_ECDSA, "ecdsa-sha2-nistp521",
		"ecdsa-sha2-nistp521-cert-v01@openssh.com", "nistp521", 521},
	{SSHKEY_RSA, "ssh-rsa", "ssh-rsa-cert-v01@openssh.com", NULL, 0},
	{SSHKEY_SK_ED25519, "sk-ssh-ed25519@openssh.com",
		"sk-ssh-ed25519-cert-v01@openssh.com", NULL, 256},
	{SSHKEY_SK_ECDSA, "sk-ecdsa-sha2-nistp256@openssh.com",
		"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", "nistp256", 256},
};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

/* RSA keys sign with algorithms that are not the key's name (RFC 8332). */
static const struct {
	const char *name;
	bool cert;
} rsa_algorithms[] = {
	{"rsa-sha2-256", false},
	{"rsa-sha2-512", false},
	{"rsa-sha2-256-cert-v01@openssh.com", true},
	{"rsa-sha2-512-cert-v01@openssh.com", true},
};

static bool bytes_are(const uint8_t *data, size_t len, const char *text)
{
	return data && len == strlen(text) && !memcmp(data, text, len);
}

static const struct key_kind *kind_find(
	const uint8_t *name, size_t len, bool *ret_cert)
{
	size_t i;

	for (i = 0; i < KIND_COUNT; i++) {
		*ret_cert = bytes_are(name, len, kinds[i].cert);
		if (*ret_cert || bytes_are(name, len, kinds[i].name))
			return &kinds[i];
	}
	return NULL;
}

/* A positive mpint in its shortest form (RFC 4251 section 5), without the
 * leading zero. NULL if it is anything else. */
static const uint8_t *read_mpint(struct reader *rd, size_t *ret_len)
{
	size_t len;
	const uint8_t *data = reader_string(rd, &len);

	if (!data || !len || data[0] & 0x80)
		return NULL;
	if (data[0] == 0) {
		if (len < 2 || !(data[1] & 0x80))
			return NULL;
		data++;
		len--;
	}
	*ret_len = len;
	return data;
}

static enum sgb_err parse_rsa(struct reader *rd, struct sshkey *key)
{
	size_t e_len, n_len;
	const uint8_t *e = read_mpint(rd, &e_len);
	const uint8_t *n = e ? read_mpint(rd, &n_len) : NULL;
	unsigned int bits, top;

	if (!n || n_len > RSA_MAX_BITS / 8)
		return SGB_ERR_FORMAT;
	if (!(n[n_len - 1] & 1) || !(e[e_len - 1] & 1))
		return SGB_ERR_FORMAT;
	if ((e_len == 1 && e[0] < 3) || e_len >= n_len)
		return SGB_ERR_FORMAT;
	bits = (unsigned int)n_len * 8;
	for (top = n[0]; !(top & 0x80); top <<= 1)
		bits--;
	key->bits = bits;
	return SGB_OK;
}

static enum sgb_err parse_point(
	struct reader *rd, const struct key_kind *kind, struct sshkey *key)
{
	size_t len, q_len;
	const uint8_t *curve = reader_string(rd, &len);
	const uint8_t *q = reader_string(rd, &q_len);

	if (!bytes_are(curve, len, kind->curve))
		return SGB_ERR_FORMAT;
	if (!q || q_len != 1 + 2 * ((kind->bits + 7) / 8) || q[0] != 4)
		return SGB_ERR_FORMAT;
	key->bits = kind->bits;
	return SGB_OK;
}

static enum sgb_err parse_application(struct reader *rd, struct sshkey *key)
{
	size_t len, i;
	const uint8_t *text = reader_string(rd, &len);

	if (!text || len >= sizeof(key->sk_application))
		return SGB_ERR_FORMAT;
	for (i = 0; i < len; i++)
		if (text[i] <= 0x20 || text[i] >= 0x7f)
			return SGB_ERR_FORMAT;
	memcpy(key->sk_application, text, len);
	key->sk_application[len] = '\0';
	return SGB_OK;
}

/* The fields that a plain key and a certificate have in common. */
static enum sgb_err parse_fields(
	struct reader *rd, const struct key_kind *kind, struct sshkey *key)
{
	enum sgb_err err = SGB_OK;
	size_t len;

	key->bits = kind->bits;
	if (kind->type == SSHKEY_RSA) {
		err = parse_rsa(rd, key);
	} else if (kind->curve) {
		err = parse_point(rd, kind, key);
	} else {
		reader_string(rd, &len);
		if (len != 32)
			err = SGB_ERR_FORMAT;
	}
	if (!err && (kind->type == SSHKEY_SK_ED25519 ||
			    kind->type == SSHKEY_SK_ECDSA))
		err = parse_application(rd, key);
	if (!err && rd->err)
		err = rd->err;
	return err;
}

/* "name" and data pairs in ascending order, as PROTOCOL.certkeys wants. Looks
 * for one that is only a flag. */
static enum sgb_err parse_options(
	const uint8_t *data, size_t len, const char *wanted, bool *ret_found)
{
	struct reader rd;
	size_t name_len, value_len;
	const uint8_t *name;

	reader_init(&rd, data, len);
	while (rd.left && !rd.err) {
		name = reader_string(&rd, &name_len);
		reader_string(&rd, &value_len);
		if (!rd.err && bytes_are(name, name_len, wanted) && !value_len)
			*ret_found = true;
	}
	return reader_end(&rd);
}

static enum sgb_err parse_plain(
	const uint8_t *blob, size_t len, struct sshkey *key)
{
	struct reader rd;
	size_t name_len;
	const uint8_t *name;
	const struct key_kind *kind;
	bool is_cert;
	enum sgb_err err;

	reader_init(&rd, blob, len);
	name = reader_string(&rd, &name_len);
	kind = kind_find(name, name_len, &is_cert);
	if (!kind)
		return SGB_ERR_UNSUPPORTED;
	if (is_cert)
		return SGB_ERR_FORMAT;
	key->type = kind->type;
	key->name = kind->name;
	err = parse_fields(&rd, kind, key);
	if (!err)
		err = reader_end(&rd);
	if (!err)
		err = sshkey_fingerprint(blob, len, key->fingerprint);
	return err;
}

/* A CA's key is a plain key: a certificate cannot sign certificates. */
static enum sgb_err parse_ca(
	const uint8_t *blob, size_t len, struct sshkey *key)
{
	struct sshkey ca = {0};
	enum sgb_err err = parse_plain(blob, len, &ca);

	if (err)
		return err;
	key->ca_name = ca.name;
	key->ca_bits = ca.bits;
	memcpy(key->ca_fingerprint, ca.fingerprint, sizeof(ca.fingerprint));
	return SGB_OK;
}

/* What follows the key in a certificate (PROTOCOL.certkeys). */
static enum sgb_err parse_cert_tail(struct reader *rd, struct sshkey *key)
{
	const uint8_t *critical, *ca;
	size_t critical_len, ca_len, len;
	enum sgb_err err;

	reader_u64(rd); /* serial */
	key->cert_type = reader_u32(rd);
	reader_string(rd, &len); /* key id */
	reader_string(rd, &len); /* principals */
	key->valid_after = reader_u64(rd);
	key->valid_before = reader_u64(rd);
	critical = reader_string(rd, &critical_len);
	reader_string(rd, &len); /* extensions */
	reader_string(rd, &len); /* reserved */
	ca = reader_string(rd, &ca_len);
	reader_string(rd, &len); /* signature */
	err = reader_end(rd);
	if (err)
		return err;
	if (!len || (key->cert_type != 1 && key->cert_type != 2))
		return SGB_ERR_FORMAT;
	err = parse_options(critical, critical_len, "verify-required",
		&key->verify_required);
	if (err)
		return err;
	return parse_ca(ca, ca_len, key);
}

/* ssh prints a certificate's fingerprint as that of the plain key in it. */
static enum sgb_err fingerprint_plain(const struct key_kind *kind,
	const uint8_t *fields, size_t len, char fp[SSHKEY_FP_MAX])
{
	struct buf plain;
	enum sgb_err err;

	buf_init(&plain, SSHKEY_MAX_BLOB);
	buf_put_cstring(&plain, kind->name);
	buf_put(&plain, fields, len);
	err = buf_error(&plain);
	if (!err)
		err = sshkey_fingerprint(plain.data, plain.len, fp);
	buf_done(&plain);
	return err;
}

static enum sgb_err parse_cert(
	struct reader *rd, const struct key_kind *kind, struct sshkey *key)
{
	const uint8_t *fields;
	size_t len;
	enum sgb_err err;

	key->type = kind->type;
	key->name = kind->name;
	key->is_cert = true;
	reader_string(rd, &len); /* nonce */
	fields = rd->data;
	err = parse_fields(rd, kind, key);
	if (err)
		return err;
	err = fingerprint_plain(
		kind, fields, (size_t)(rd->data - fields), key->fingerprint);
	if (err)
		return err;
	return parse_cert_tail(rd, key);
}

enum sgb_err sshkey_parse(const void *blob, size_t len, struct sshkey *ret)
{
	struct sshkey key = {0};
	struct reader rd;
	size_t name_len;
	const uint8_t *name;
	const struct key_kind *kind;
	bool is_cert = false;
	enum sgb_err err;

	if (!blob || len > SSHKEY_MAX_BLOB)
		return SGB_ERR_LIMIT;
	reader_init(&rd, blob, len);
	name = reader_string(&rd, &name_len);
	if (!name)
		return SGB_ERR_FORMAT;
	kind = kind_find(name, name_len, &is_cert);
	if (!kind)
		return SGB_ERR_UNSUPPORTED;
	if (is_cert)
		err = parse_cert(&rd, kind, &key);
	else
		err = parse_plain(blob, len, &key);
	if (!err)
		*ret = key;
	return err;
}

bool sshkey_algorithm_fits(const struct sshkey *key, const char *algorithm)
{
	size_t i;

	if (!algorithm)
		return false;
	if (key->type == SSHKEY_RSA) {
		/* ssh-rsa as a signature is SHA-1. */
		for (i = 0;
			i < sizeof(rsa_algorithms) / sizeof(rsa_algorithms[0]);
			i++)
			if (rsa_algorithms[i].cert == key->is_cert &&
				!strcmp(rsa_algorithms[i].name, algorithm))
				return true;
		return false;
	}
	for (i = 0; i < KIND_COUNT; i++)
		if (key->name && !strcmp(kinds[i].name, key->name))
			return !strcmp(algorithm,
				key->is_cert ? kinds[i].cert : kinds[i].name);
	return false;
}

enum sgb_err sshkey_fingerprint(
	const void *blob, size_t len, char fp[SSHKEY_FP_MAX])
{
	uint8_t digest[32];
	unsigned char text[45]; /* 44 characters and NUL */

	if (EVP_Digest(blob, len, digest, NULL, EVP_sha256(), NULL) != 1)
		return SGB_ERR_CRYPTO;
	EVP_EncodeBlock(text, digest, sizeof(digest));
	memcpy(fp, "SHA256:", 7);
	memcpy(fp + 7, text, 43); /* ssh leaves the padding out */
	fp[50] = '\0';
	return SGB_OK;
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* OpenSSL's decoder skips spaces and ignores trailing bits, so that many
 * texts stand for one key; this one takes a key's one text. */
enum sgb_err sshkey_base64_decode(
	const char *text, size_t len, uint8_t **ret, size_t *ret_len)
{
	size_t pad, i, used = 0;
	uint32_t bits = 0;
	uint8_t *out;
	int value;

	if (!len || len % 4)
		return SGB_ERR_FORMAT;
	if (len > SSHKEY_MAX_BLOB / 3 * 4)
		return SGB_ERR_LIMIT;
	pad = text[len - 1] != '=' ? 0 : text[len - 2] != '=' ? 1 : 2;
	out = calloc(len / 4, 3);
	if (!out)
		return SGB_ERR_NOMEM;
	for (i = 0; i < len; i++) {
		value = i < len - pad ? base64_value(text[i]) : 0;
		if (value < 0)
			break;
		bits = bits << 6 | (uint32_t)value;
		if (i % 4 != 3)
			continue;
		out[used++] = (uint8_t)(bits >> 16);
		out[used++] = (uint8_t)(bits >> 8);
		out[used++] = (uint8_t)bits;
	}
	/* Bits that the padding cuts off must be zero. */
	if (i < len || (pad && out[used - 1]) || (pad == 2 && out[used - 2])) {
		free(out);
		return SGB_ERR_FORMAT;
	}
	*ret = out;
	*ret_len = used - pad;
	return SGB_OK;
}
