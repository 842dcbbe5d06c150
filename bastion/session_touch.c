/*
 * Was the security key touched, and its user verified? libssh checks the
 * signature of such a key, which covers both answers, and tells neither
 * (0.10 to 0.12). They are in what it gives to OpenSSL to verify (PROTOCOL.u2f
 * in OpenSSH's source): SHA-256 of the application, a byte of flags, a
 * counter, SHA-256 of the message. So that one call is wrapped; nothing of
 * its outcome is changed, and what cannot be seen counts as not there.
 */
#include "session.h"

#include <dlfcn.h>
#include <openssl/evp.h>

#define SIGNED_LEN	   (32 + 1 + 4 + 32)
#define FLAGS_AT	   32
#define FLAG_USER_PRESENT  0x01
#define FLAG_USER_VERIFIED 0x04
#define WAITING_MAX	   8

static int (*real)(EVP_MD_CTX *ctx, const unsigned char *signature, size_t len,
	const unsigned char *data, size_t data_len);

/* In the order in which libssh parses requests, which is the order in which
 * they are asked about. One that is too many is lost, and so is not taken for
 * another's: after that nothing is known any more. */
static unsigned char waiting[WAITING_MAX];
static unsigned int count;
static bool lost;

enum sgb_err touch_init(void)
{
	*(void **)&real = dlsym(RTLD_NEXT, "EVP_DigestVerify");
	return real ? SGB_OK : SGB_ERR_UNSUPPORTED;
}

unsigned int touch_take(void)
{
	unsigned int i, flags;

	if (!count || lost)
		return 0;
	flags = waiting[0];
	for (i = 1; i < count; i++)
		waiting[i - 1] = waiting[i];
	count--;
	return (flags & FLAG_USER_PRESENT ? SESSION_PROOF_TOUCHED : 0) |
	       (flags & FLAG_USER_VERIFIED ? SESSION_PROOF_VERIFIED : 0);
}

static void remember(unsigned char flags)
{
	if (count == WAITING_MAX)
		lost = true;
	else
		waiting[count++] = flags;
}

/* Nothing else that is verified here is this long: a login's message holds a
 * session id, two names and the key besides, a key exchange's a digest. */
SGB_EXPORT int touch_verify(EVP_MD_CTX *ctx, const unsigned char *signature,
	size_t len, const unsigned char *data,
	size_t data_len) __asm__("EVP_DigestVerify");

int touch_verify(EVP_MD_CTX *ctx, const unsigned char *signature, size_t len,
	const unsigned char *data, size_t data_len)
{
	int good = real ? real(ctx, signature, len, data, data_len) : -1;

	if (good == 1 && data_len == SIGNED_LEN)
		remember(data[FLAGS_AT]);
	return good;
}
