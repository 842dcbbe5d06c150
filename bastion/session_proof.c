/*
 * What proves that a key was used, for the monitor, which verifies it again.
 * libssh checks signatures and tells neither them nor what they cover (0.10
 * to 0.12); both pass through a call of OpenSSL's, which is wrapped here. Its
 * outcome is not changed, and what is not seen counts as not there. Works
 * until the client is logged on; afterwards nothing is kept but the signature
 * of a server's first key exchange.
 *
 * The call that signs is wrapped as well: the key is not in this process. And
 * so is the one by which libssh makes an Ed25519 key of its private half (from
 * 0.12 on): the public half would be another one's.
 */
#include "session_proof.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "core/buf.h"

/* PROTOCOL.u2f in OpenSSH's source: SHA-256 of the application, flags,
 * counter, SHA-256 of the message. Nothing else that is verified here is this
 * long: a login's message holds two names and the key besides. */
#define SECURITY_KEY_LEN (32 + 1 + 4 + 32)
#define DATA_MAX	 (32 * 1024)
/* SHA-512. A login's message, and what a security key signs, are longer. */
#define EXCHANGE_HASH_MAX 64
#define SIGNATURE_MAX	  2048
#define WAITING_MAX	  8

static int (*real_verify)(EVP_MD_CTX *ctx, const unsigned char *signature,
	size_t len, const unsigned char *data, size_t data_len);
static int (*real_sign)(EVP_MD_CTX *ctx, unsigned char *signature, size_t *len,
	const unsigned char *data, size_t data_len);

static EVP_PKEY *(*real_new)(
	int type, ENGINE *engine, const unsigned char *private, size_t len);

/* In the order in which libssh verified them, which is the order in which
 * they are asked about. When one is too many, none counts any more: one might
 * be taken for another's. */
static struct session_proof waiting[WAITING_MAX];
static unsigned int count;
static bool watching, lost;
static struct session_proof host;
static bool host_watched;
static bool (*signer)(void *arg, const struct proof_request *request,
	uint8_t *signature, size_t *len);
static void *signer_arg;
static const uint8_t *stand_in;

enum sgb_err proof_init(void)
{
	*(void **)&real_verify = dlsym(RTLD_NEXT, "EVP_DigestVerify");
	*(void **)&real_sign = dlsym(RTLD_NEXT, "EVP_DigestSign");
	return real_verify && real_sign ? SGB_OK : SGB_ERR_UNSUPPORTED;
}

void proof_free(struct session_proof *proof)
{
	free(proof->data);
	free(proof->signature);
	memset(proof, 0, sizeof(*proof));
}

void proof_watch(bool on)
{
	while (count)
		proof_free(&waiting[--count]);
	watching = on;
	lost = false;
}

/* RFC 4252 section 7: the session id, 50, user, service, method, TRUE,
 * algorithm, key; and, bound to it, the host key. */
static bool names(
	const struct session_proof *proof, const uint8_t *blob, size_t len)
{
	const uint8_t *key;
	struct reader rd;
	size_t n;

	reader_init(&rd, proof->data, proof->len);
	(void)reader_string(&rd, &n);
	(void)reader_u8(&rd);
	(void)reader_string(&rd, &n);
	(void)reader_string(&rd, &n);
	(void)reader_string(&rd, &n);
	(void)reader_u8(&rd);
	(void)reader_string(&rd, &n);
	key = reader_string(&rd, &n);
	return !rd.err && n == len && !memcmp(key, blob, len);
}

static bool is_about(const struct session_proof *proof, const uint8_t *blob,
	size_t len, bool security_key)
{
	if (security_key || proof->len == SECURITY_KEY_LEN)
		return security_key && proof->len == SECURITY_KEY_LEN;
	return names(proof, blob, len);
}

bool proof_take(const uint8_t *blob, size_t len, bool security_key,
	struct session_proof *ret)
{
	unsigned int i;

	memset(ret, 0, sizeof(*ret));
	for (i = 0; i < count && !lost; i++) {
		if (!is_about(&waiting[i], blob, len, security_key))
			continue;
		*ret = waiting[i];
		count--;
		memmove(&waiting[i], &waiting[i + 1],
			(count - i) * sizeof(waiting[0]));
		return true;
	}
	return false;
}

void proof_sign_with(
	bool (*sign)(void *arg, const struct proof_request *request,
		uint8_t *signature, size_t *len),
	void *arg)
{
	signer = sign;
	signer_arg = arg;
}

void proof_watch_host(void)
{
	proof_free(&host);
	host_watched = true;
}

void proof_take_host(struct session_proof *ret)
{
	*ret = host;
	host = (struct session_proof){0};
	host_watched = false;
}

static bool copy(struct session_proof *ret, const unsigned char *signature,
	size_t len, const unsigned char *data, size_t data_len)
{
	*ret = (struct session_proof){
		.data = malloc(data_len),
		.len = data_len,
		.signature = malloc(len),
		.signature_len = len,
	};
	if (!ret->data || !ret->signature) {
		proof_free(ret);
		return false;
	}
	memcpy(ret->data, data, data_len);
	memcpy(ret->signature, signature, len);
	return true;
}

static void remember(const unsigned char *signature, size_t len,
	const unsigned char *data, size_t data_len)
{
	if (data_len > DATA_MAX || len > SIGNATURE_MAX || !data_len || !len)
		return;
	if (host_watched && data_len <= EXCHANGE_HASH_MAX) {
		host_watched = false;
		(void)copy(&host, signature, len, data, data_len);
		return;
	}
	if (!watching)
		return;
	if (count == WAITING_MAX ||
		!copy(&waiting[count], signature, len, data, data_len))
		lost = true;
	else
		count++;
}

SGB_EXPORT int proof_verify(EVP_MD_CTX *ctx, const unsigned char *signature,
	size_t len, const unsigned char *data,
	size_t data_len) __asm__("EVP_DigestVerify");

int proof_verify(EVP_MD_CTX *ctx, const unsigned char *signature, size_t len,
	const unsigned char *data, size_t data_len)
{
	int good = real_verify
			   ? real_verify(ctx, signature, len, data, data_len)
			   : -1;

	if (good == 1)
		remember(signature, len, data, data_len);
	return good;
}

SGB_EXPORT int proof_sign(EVP_MD_CTX *ctx, unsigned char *signature,
	size_t *len, const unsigned char *data,
	size_t data_len) __asm__("EVP_DigestSign");

static bool describe(EVP_MD_CTX *ctx, struct proof_request *request)
{
	EVP_PKEY_CTX *key_ctx = EVP_MD_CTX_get_pkey_ctx(ctx);
	EVP_PKEY *key = key_ctx ? EVP_PKEY_CTX_get0_pkey(key_ctx) : NULL;
	const EVP_MD *digest = EVP_MD_CTX_get0_md(ctx);

	if (!key)
		return false;
	request->kind = EVP_PKEY_get_base_id(key);
	request->digest_bits = digest ? 8 * (unsigned int)EVP_MD_get_size(
						    digest)
				      : 0;
	return true;
}

int proof_sign(EVP_MD_CTX *ctx, unsigned char *signature, size_t *len,
	const unsigned char *data, size_t data_len)
{
	struct proof_request request = {.data = data, .len = data_len};

	/* Without room for it, its length is asked for. */
	if (signer && signature)
		return describe(ctx, &request) &&
		       signer(signer_arg, &request, signature, len);
	return real_sign ? real_sign(ctx, signature, len, data, data_len) : -1;
}

void proof_stand_in(const uint8_t *public)
{
	stand_in = public;
}

SGB_EXPORT EVP_PKEY *proof_new(int type, ENGINE *engine,
	const unsigned char *private,
	size_t len) __asm__("EVP_PKEY_new_raw_private_key");

EVP_PKEY *proof_new(
	int type, ENGINE *engine, const unsigned char *private, size_t len)
{
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *key = NULL;
	OSSL_PARAM halves[3];

	/* Our own keys may be made before proof_init. */
	if (!real_new)
		*(void **)&real_new = dlsym(
			RTLD_NEXT, "EVP_PKEY_new_raw_private_key");
	if (!stand_in || type != EVP_PKEY_ED25519)
		return real_new ? real_new(type, engine, private, len) : NULL;
	halves[0] = OSSL_PARAM_construct_octet_string(
		OSSL_PKEY_PARAM_PUB_KEY, (void *)stand_in, PROOF_ED25519_LEN);
	halves[1] = OSSL_PARAM_construct_octet_string(
		OSSL_PKEY_PARAM_PRIV_KEY, (void *)private, len);
	halves[2] = OSSL_PARAM_construct_end();
	ctx = EVP_PKEY_CTX_new_id(type, NULL);
	if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, halves) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}
