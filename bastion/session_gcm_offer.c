/*
 * Whether AES-GCM is Intel's or OpenSSL's (session_gcm.h): the processor, the
 * administrator's word on OpenSSL, and a trial of one against the other
 * decide. Trusts OpenSSL's own ciphers to be right; must not offer anything
 * that was not compared with them in this process.
 */
#include "session_gcm_int.h"

#ifdef SGB_IPSEC_MB

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

/* False on a processor without the wide instructions: OpenSSL's are as good
 * there. */
static bool find_engines(void)
{
	const uint64_t wanted = IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ;
	IMB_MGR *mgr = alloc_mb_mgr(0);
	IMB_ARCH arch = IMB_ARCH_NONE;
	bool found;

	if (!mgr)
		return false;
	init_mb_mgr_auto(mgr, &arch);
	found = arch == IMB_ARCH_AVX512 && (mgr->features & wanted) == wanted;
	gcm_engines[0] = (struct gcm_engine){16, mgr->gcm128_pre,
		mgr->gcm128_init, mgr->gcm128_enc_update,
		mgr->gcm128_dec_update, mgr->gcm128_enc_finalize,
		mgr->gcm128_dec_finalize};
	gcm_engines[1] = (struct gcm_engine){32, mgr->gcm256_pre,
		mgr->gcm256_init, mgr->gcm256_enc_update,
		mgr->gcm256_dec_update, mgr->gcm256_enc_finalize,
		mgr->gcm256_dec_finalize};
	/* 200 KiB for what is not used here. */
	free_mb_mgr(mgr);
	return found;
}

struct trial {
	uint8_t key[32], iv[GCM_IV_LEN], text[2][35000], tag[GCM_TAG_LEN];
};

/* One packet as libssh does it; the fixed IV makes each the first. */
static bool one_packet(EVP_CIPHER *cipher, struct trial *t, size_t len,
	const uint8_t *in, uint8_t *out, bool seal)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t aad[4] = {0, 1, 2, 3}, last;
	int got = 0;
	bool good;

	good = ctx &&
	       EVP_CipherInit_ex(ctx, cipher, NULL, t->key, t->iv, seal) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_IV_FIXED, -1, t->iv) ==
		       1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_IV_GEN, 1, &last) == 1 &&
	       last == t->iv[GCM_IV_LEN - 1] &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_IV_GEN, 1, &last) == 1 &&
	       (seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG,
				GCM_TAG_LEN, t->tag) == 1) &&
	       EVP_CipherUpdate(ctx, NULL, &got, aad, sizeof(aad)) == 1 &&
	       EVP_CipherUpdate(ctx, out, &got, in, (int)len) == 1 &&
	       got == (int)len && EVP_CipherFinal(ctx, NULL, &got) == 1 &&
	       (!seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG,
				 GCM_TAG_LEN, t->tag) == 1);
	EVP_CIPHER_CTX_free(ctx);
	return good;
}

/* What one seals the other opens to the same, and neither opens what was
 * changed. */
static bool agree(
	EVP_CIPHER *sealer, EVP_CIPHER *opener, struct trial *t, size_t len)
{
	static const uint8_t zero[35000];

	if (!one_packet(sealer, t, len, zero, t->text[0], true) ||
		!one_packet(opener, t, len, t->text[0], t->text[1], false) ||
		memcmp(t->text[1], zero, len))
		return false;
	t->text[0][len / 2] ^= 1;
	return !one_packet(opener, t, len, t->text[0], t->text[1], false);
}

static bool try_cipher(const char *name)
{
	static const size_t lengths[] = {16, 48, 64, 272, 1040, 4112, 32784};
	EVP_CIPHER *ours = EVP_CIPHER_fetch(
		NULL, name, "provider=" GCM_PROVIDER);
	EVP_CIPHER *theirs = EVP_CIPHER_fetch(NULL, name, "provider=default");
	struct trial *t = malloc(sizeof(*t));
	bool good = ours && theirs && t;
	size_t i;

	for (i = 0; good && i < sizeof(lengths) / sizeof(lengths[0]); i++)
		good = RAND_bytes(t->key, sizeof(t->key)) == 1 &&
		       RAND_bytes(t->iv, sizeof(t->iv)) == 1 &&
		       agree(ours, theirs, t, lengths[i]) &&
		       agree(theirs, ours, t, lengths[i]);
	if (t)
		OPENSSL_cleanse(t, sizeof(*t));
	free(t);
	EVP_CIPHER_free(ours);
	EVP_CIPHER_free(theirs);
	return good;
}

static OSSL_PROVIDER *loaded, *theirs;
static bool offered;

bool gcm_offer(void)
{
	/* An administrator who confined OpenSSL has his reasons. */
	if (EVP_default_properties_is_fips_enabled(NULL) ||
		OSSL_PROVIDER_available(NULL, "default") != 1 ||
		!find_engines())
		return false;
	/* It is there by itself only until another is loaded by name. */
	theirs = OSSL_PROVIDER_load(NULL, "default");
	if (!theirs || OSSL_PROVIDER_add_builtin(
			       NULL, GCM_PROVIDER, gcm_provider_init) != 1)
		return false;
	loaded = OSSL_PROVIDER_load(NULL, GCM_PROVIDER);
	offered = loaded && try_cipher("AES-128-GCM") &&
		  try_cipher("AES-256-GCM") &&
		  EVP_set_default_properties(NULL, "?provider=" GCM_PROVIDER) ==
			  1;
	if (!offered)
		gcm_withdraw();
	return offered;
}

void gcm_withdraw(void)
{
	if (offered)
		(void)EVP_set_default_properties(NULL, "");
	if (loaded)
		OSSL_PROVIDER_unload(loaded);
	/* Once: it was there before, and stays. */
	if (theirs)
		OSSL_PROVIDER_unload(theirs);
	offered = false;
	loaded = theirs = NULL;
}

#else

bool gcm_offer(void)
{
	return false;
}

void gcm_withdraw(void)
{
}

#endif
