/*
 * What proves that a key was used, for the monitor, which verifies it again.
 * libssh checks signatures and tells neither them nor what they cover (0.10
 * to 0.12); both pass through a call of OpenSSL's, which is wrapped here. Its
 * outcome is not changed, and what is not seen counts as not there. Works
 * until the client is logged on; afterwards nothing is kept.
 *
 * The call that signs is wrapped as well: the key is not in this process.
 */
#include "session_proof.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

/* PROTOCOL.u2f in OpenSSH's source: SHA-256 of the application, flags,
 * counter, SHA-256 of the message. Nothing else that is verified here is this
 * long: a login's message holds two names and the key besides. */
#define SECURITY_KEY_LEN (32 + 1 + 4 + 32)
#define DATA_MAX	 (32 * 1024)
#define SIGNATURE_MAX	 2048
#define WAITING_MAX	 8

static int (*real_verify)(EVP_MD_CTX *ctx, const unsigned char *signature,
	size_t len, const unsigned char *data, size_t data_len);
static int (*real_sign)(EVP_MD_CTX *ctx, unsigned char *signature, size_t *len,
	const unsigned char *data, size_t data_len);

/* In the order in which libssh verified them, which is the order in which
 * they are asked about. When one is too many, none counts any more: one might
 * be taken for another's. */
static struct session_proof waiting[WAITING_MAX];
static unsigned int count;
static bool watching, lost;
static bool (*signer)(void *arg, const struct proof_request *request,
	uint8_t *signature, size_t *len);
static void *signer_arg;

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

/* A login's message ends with the key that it is about. */
static bool is_about(const struct session_proof *proof, const uint8_t *blob,
	size_t len, bool security_key)
{
	if (security_key || proof->len == SECURITY_KEY_LEN)
		return security_key && proof->len == SECURITY_KEY_LEN;
	return proof->len > len &&
	       !memcmp(proof->data + proof->len - len, blob, len);
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

static void remember(const unsigned char *signature, size_t len,
	const unsigned char *data, size_t data_len)
{
	struct session_proof proof = {0};

	if (!watching || data_len > DATA_MAX || len > SIGNATURE_MAX ||
		!data_len || !len)
		return;
	proof.data = malloc(data_len);
	proof.signature = malloc(len);
	if (count == WAITING_MAX || !proof.data || !proof.signature) {
		proof_free(&proof);
		lost = true;
		return;
	}
	memcpy(proof.data, data, data_len);
	memcpy(proof.signature, signature, len);
	proof.len = data_len;
	proof.signature_len = len;
	waiting[count++] = proof;
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
