/*
 * What proves that a key was used, for the monitor, which verifies it again.
 * libssh checks signatures and tells neither them nor what they cover (0.10
 * to 0.12); both pass through two calls of OpenSSL's, which are wrapped here.
 * Nothing of their outcome is changed, and what is not seen counts as not
 * there. Works until the client is logged on; afterwards nothing is kept.
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
/* The first exchange hash that the host key signs (RFC 4253 section 7.2). */
static unsigned char session_id[EVP_MAX_MD_SIZE];
static size_t session_id_len;

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
	session_id_len = 0;
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

const uint8_t *proof_session_id(size_t *ret_len)
{
	*ret_len = session_id_len;
	return session_id;
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

int proof_sign(EVP_MD_CTX *ctx, unsigned char *signature, size_t *len,
	const unsigned char *data, size_t data_len)
{
	if (watching && !session_id_len && data_len >= 20 &&
		data_len <= sizeof(session_id)) {
		memcpy(session_id, data, data_len);
		session_id_len = data_len;
	}
	return real_sign ? real_sign(ctx, signature, len, data, data_len) : -1;
}
