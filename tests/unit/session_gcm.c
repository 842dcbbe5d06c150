/*
 * AES-GCM by the multi-buffer library, as OpenSSL sees it: the same bytes as
 * OpenSSL's own, and a refusal of all that packets do not need. Where the
 * library or the processor is not there, the offer must say so and leave all
 * to OpenSSL.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/rand.h>

#include "session_gcm.h"

#ifdef SGB_IPSEC_MB
#include <cpuid.h>
#endif

#define PACKET_MAX (256 * 1024)

static bool offered;

static const char *const names[] = {"AES-128-GCM", "AES-256-GCM"};
static uint8_t key[32], iv[12], plain[PACKET_MAX], sealed[PACKET_MAX + 64],
	opened[PACKET_MAX + 64];

static const EVP_CIPHER *implicit(unsigned int which)
{
	return which ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
}

static const char *provider_of(EVP_CIPHER_CTX *ctx)
{
	return OSSL_PROVIDER_get0_name(
		EVP_CIPHER_get0_provider(EVP_CIPHER_CTX_get0_cipher(ctx)));
}

/* As libssh does it, with what an unsuspecting EVP_aes_128_gcm() gives, or
 * with OpenSSL's own. */
static EVP_CIPHER_CTX *side(unsigned int which, bool own, bool seal)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	EVP_CIPHER *cipher = own ? EVP_CIPHER_fetch(NULL, names[which],
					   "provider=default")
				 : NULL;

	assert_non_null(ctx);
	assert_int_equal(EVP_CipherInit_ex(ctx, own ? cipher : implicit(which),
				 NULL, key, iv, seal),
		1);
	assert_int_equal(
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_IV_FIXED, -1, iv), 1);
	EVP_CIPHER_CTX_set_padding(ctx, 0);
	EVP_CIPHER_free(cipher);
	return ctx;
}

static int packet(EVP_CIPHER_CTX *ctx, bool seal, const uint8_t aad[4],
	const uint8_t *in, uint8_t *out, size_t len, uint8_t tag[16])
{
	uint8_t last;
	int got = 0;

	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_IV_GEN, 1, &last) != 1)
		return 0;
	if (!seal &&
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, 16, tag) != 1)
		return 0;
	if (EVP_CipherUpdate(ctx, NULL, &got, aad, 4) != 1 || got != 4)
		return 0;
	if (EVP_CipherUpdate(ctx, out, &got, in, (int)len) != 1 ||
		got != (int)len)
		return 0;
	if (EVP_CipherFinal(ctx, NULL, &got) != 1 || got)
		return 0;
	return seal ? EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16, tag)
		    : 1;
}

static size_t some_length(unsigned int round)
{
	uint32_t number;

	if (round < 200)
		return round + 1;
	RAND_bytes((unsigned char *)&number, sizeof(number));
	return number % (round % 8 ? 40000 : PACKET_MAX) + 1;
}

/* Two connections, one each way, of many packets under one key. */
static void same_as_openssl(void **state)
{
	unsigned int which, round, from;

	(void)state;
	for (which = 0; which < 2; which++)
		for (from = 0; from < 2; from++) {
			EVP_CIPHER_CTX *a, *b;

			RAND_bytes(key, sizeof(key));
			RAND_bytes(iv, sizeof(iv));
			a = side(which, from, true);
			b = side(which, !from, false);
			for (round = 0; round < 400; round++) {
				size_t len = some_length(round);
				uint8_t tag[16],
					aad[4] = {0, 1, 2, (uint8_t)round};

				assert_int_equal(packet(a, true, aad, plain,
							 sealed, len, tag),
					1);
				assert_int_equal(packet(b, false, aad, sealed,
							 opened, len, tag),
					1);
				assert_memory_equal(opened, plain, len);
			}
			EVP_CIPHER_CTX_free(a);
			EVP_CIPHER_CTX_free(b);
		}
}

/* The counter of packets is the last eight bytes, and carries through them
 * and no further. */
static void counts_as_openssl(void **state)
{
	static const uint8_t ends[][12] = {
		{1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 255},
		{1, 2, 3, 4, 0, 0, 0, 255, 255, 255, 255, 254},
		{1, 2, 3, 255, 255, 255, 255, 255, 255, 255, 255, 254},
	};
	uint8_t aad[4] = {0}, tag[16], other[16], out[64];
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		EVP_CIPHER_CTX *a, *b;

		memcpy(iv, ends[i], sizeof(iv));
		a = side(0, false, true);
		b = side(0, true, true);
		for (n = 0; n < 4; n++) {
			assert_int_equal(
				packet(a, true, aad, plain, sealed, 64, tag),
				1);
			assert_int_equal(
				packet(b, true, aad, plain, out, 64, other), 1);
			assert_memory_equal(sealed, out, 64);
			assert_memory_equal(tag, other, 16);
		}
		EVP_CIPHER_CTX_free(a);
		EVP_CIPHER_CTX_free(b);
	}
}

/* In place, and in pieces. */
static void in_place(void **state)
{
	EVP_CIPHER_CTX *a = side(1, false, true), *b = side(1, true, false);
	uint8_t aad[4] = {9, 9, 9, 9}, tag[16];
	int got;

	(void)state;
	memcpy(opened, plain, 5000);
	assert_int_equal(packet(a, true, aad, opened, opened, 5000, tag), 1);
	assert_int_equal(packet(b, false, aad, opened, sealed, 5000, tag), 1);
	assert_memory_equal(sealed, plain, 5000);
	assert_int_equal(
		EVP_CIPHER_CTX_ctrl(a, EVP_CTRL_GCM_IV_GEN, 1, tag), 1);
	assert_int_equal(EVP_CipherUpdate(a, NULL, &got, aad, 4), 1);
	assert_int_equal(EVP_CipherUpdate(a, opened, &got, plain, 7), 1);
	assert_int_equal(
		EVP_CipherUpdate(a, opened + 7, &got, plain + 7, 93), 1);
	assert_int_equal(EVP_CipherFinal(a, NULL, &got), 1);
	assert_int_equal(
		EVP_CIPHER_CTX_ctrl(a, EVP_CTRL_GCM_GET_TAG, 16, tag), 1);
	assert_int_equal(packet(b, false, aad, opened, sealed, 100, tag), 1);
	assert_memory_equal(sealed, plain, 100);
	EVP_CIPHER_CTX_free(a);
	EVP_CIPHER_CTX_free(b);
}

/* One bit, anywhere; and then nothing more under this key. */
static void one_bit(void **state)
{
	uint8_t aad[4] = {0, 0, 4, 0}, tag[16], *where[3] = {aad, sealed, tag};
	static const size_t sizes[3] = {4, 1024, 16};
	unsigned int what, i;

	(void)state;
	for (what = 0; what < 3; what++)
		for (i = 0; i < 24; i++) {
			EVP_CIPHER_CTX *a = side(0, true, true);
			EVP_CIPHER_CTX *b = side(0, false, false);
			size_t at = (i * 331U) % sizes[what];

			assert_int_equal(
				packet(a, true, aad, plain, sealed, 1024, tag),
				1);
			where[what][at] ^= (uint8_t)(1U << i % 8);
			assert_int_equal(packet(b, false, aad, sealed, opened,
						 1024, tag),
				0);
			where[what][at] ^= (uint8_t)(1U << i % 8);
			if (offered) {
				assert_int_equal(packet(a, true, aad, plain,
							 sealed, 1024, tag),
					1);
				assert_int_equal(packet(b, false, aad, sealed,
							 opened, 1024, tag),
					0);
			}
			EVP_CIPHER_CTX_free(a);
			EVP_CIPHER_CTX_free(b);
		}
}

/* A tag that is wrong is an error even to who asks whether it is below 0. */
static void wrong_tag_is_negative(void **state)
{
	EVP_CIPHER_CTX *b = side(0, false, false);
	uint8_t tag[16] = {0}, last;
	int got;

	(void)state;
	if (!offered)
		skip();
	EVP_CIPHER_CTX_ctrl(b, EVP_CTRL_GCM_IV_GEN, 1, &last);
	EVP_CIPHER_CTX_ctrl(b, EVP_CTRL_GCM_SET_TAG, 16, tag);
	assert_int_equal(EVP_DecryptUpdate(b, opened, &got, plain, 32), 1);
	assert_true(EVP_DecryptFinal(b, NULL, &got) < 0);
	EVP_CIPHER_CTX_free(b);
}

static void next_packet(EVP_CIPHER_CTX *ctx)
{
	uint8_t last;

	assert_int_equal(
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_IV_GEN, 1, &last), 1);
}

/* What would reuse an IV, or pass without a tag. */
static void misuse_is_refused(void **state)
{
	EVP_CIPHER_CTX *a = side(0, false, true), *copy = EVP_CIPHER_CTX_new();
	uint8_t tag[16], aad[32] = {0};
	int got;

	(void)state;
	if (!offered)
		skip();
	/* no IV yet */
	assert_int_equal(EVP_EncryptUpdate(a, sealed, &got, plain, 16), 0);
	assert_int_equal(
		EVP_CIPHER_CTX_ctrl(a, EVP_CTRL_GCM_IV_GEN, 1, tag), 0);
	EVP_CIPHER_CTX_free(a);
	/* a second message without a new one, or the tag before the end */
	a = side(0, false, true);
	next_packet(a);
	assert_int_equal(EVP_EncryptUpdate(a, sealed, &got, plain, 16), 1);
	assert_int_not_equal(
		EVP_CIPHER_CTX_ctrl(a, EVP_CTRL_GCM_GET_TAG, 16, tag), 1);
	assert_int_equal(EVP_EncryptFinal(a, NULL, &got), 1);
	assert_int_equal(EVP_EncryptUpdate(a, sealed, &got, plain, 16), 0);
	assert_int_equal(EVP_CIPHER_CTX_copy(copy, a), 0);
	EVP_CIPHER_CTX_free(a);
	/* associated data twice, late or too long */
	a = side(0, false, true);
	next_packet(a);
	assert_int_equal(EVP_EncryptUpdate(a, NULL, &got, aad, 17), 0);
	EVP_CIPHER_CTX_free(a);
	a = side(0, false, true);
	next_packet(a);
	assert_int_equal(EVP_EncryptUpdate(a, NULL, &got, aad, 4), 1);
	assert_int_equal(EVP_EncryptUpdate(a, NULL, &got, aad, 4), 0);
	EVP_CIPHER_CTX_free(a);
	/* no tag to compare with */
	a = side(0, false, false);
	next_packet(a);
	assert_int_equal(EVP_DecryptUpdate(a, opened, &got, plain, 16), 1);
	assert_true(EVP_DecryptFinal(a, NULL, &got) < 1);
	assert_int_not_equal(
		EVP_CIPHER_CTX_ctrl(a, EVP_CTRL_GCM_SET_TAG, 12, tag), 1);
	EVP_CIPHER_CTX_free(a);
	EVP_CIPHER_CTX_free(copy);
}

/* An IV of the caller's own, and one of another length. */
static void other_ways_are_refused(void **state)
{
	EVP_CIPHER_CTX *a = EVP_CIPHER_CTX_new();
	int got;

	(void)state;
	if (!offered)
		skip();
	assert_int_equal(
		EVP_EncryptInit_ex(a, EVP_aes_128_gcm(), NULL, key, iv), 1);
	assert_int_equal(EVP_EncryptUpdate(a, sealed, &got, plain, 16), 0);
	assert_int_not_equal(
		EVP_CIPHER_CTX_ctrl(a, EVP_CTRL_AEAD_SET_IVLEN, 16, NULL), 1);
	EVP_CIPHER_CTX_free(a);
}

/* An offer that was taken back because a trial failed is a defect. */
static bool has_to_be_offered(void)
{
#ifdef SGB_IPSEC_MB
	/* AVX512: IFMA, BW, VL; GFNI, VAES, VPCLMULQDQ */
	const unsigned int b = 1U << 21 | 1U << 30 | 1U << 31;
	const unsigned int c = 1U << 8 | 1U << 9 | 1U << 10;
	unsigned int eax, ebx, ecx, edx;

	return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
	       (ebx & b) == b && (ecx & c) == c;
#else
	return false;
#endif
}

static void is_ours(void **state)
{
	EVP_CIPHER_CTX *a = side(0, false, true);

	(void)state;
	assert_int_equal(offered, has_to_be_offered());
	assert_string_equal(provider_of(a), offered ? "sgbridge" : "default");
	EVP_CIPHER_CTX_free(a);
}

/* Last: new keys are OpenSSL's, and those that are in use stay good. */
static void withdrawn(void **state)
{
	EVP_CIPHER_CTX *a = side(0, false, true), *b = side(0, true, false), *c;
	uint8_t aad[4] = {0}, tag[16];

	(void)state;
	gcm_withdraw();
	c = side(0, false, true);
	assert_string_equal(provider_of(c), "default");
	assert_int_equal(packet(a, true, aad, plain, sealed, 99, tag), 1);
	assert_int_equal(packet(b, false, aad, sealed, opened, 99, tag), 1);
	assert_memory_equal(opened, plain, 99);
	EVP_CIPHER_CTX_free(a);
	EVP_CIPHER_CTX_free(b);
	EVP_CIPHER_CTX_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_ours),
		cmocka_unit_test(same_as_openssl),
		cmocka_unit_test(counts_as_openssl),
		cmocka_unit_test(in_place),
		cmocka_unit_test(one_bit),
		cmocka_unit_test(wrong_tag_is_negative),
		cmocka_unit_test(misuse_is_refused),
		cmocka_unit_test(other_ways_are_refused),
		cmocka_unit_test(withdrawn),
	};

	RAND_bytes(plain, sizeof(plain));
	offered = gcm_offer();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
