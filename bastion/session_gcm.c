/*
 * AES-GCM for libssh's packets (session_gcm.h): an OpenSSL provider with two
 * ciphers, as far as packets need them. What differs from the order in which
 * libssh does things (a fixed IV, then for each packet: the next IV, the
 * length as associated data, the packet, the tag) is refused. Trusts its
 * caller for buffers, as each provider does; must not let one bit pass that is
 * not what its tag says.
 */
#include "session_gcm_int.h"

#ifdef SGB_IPSEC_MB

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* RFC 5647: the packet's length; room for more is not needed. */
#define AAD_MAX 16
/* libssh takes packets of up to 256 KiB. */
#define MESSAGE_MAX (1 << 20)

struct gcm_engine gcm_engines[2];

enum step {
	STEP_DEAD = 0, /* no key, or something failed: nothing goes */
	STEP_IDLE,     /* an IV is needed */
	STEP_IV,       /* associated data or the message may come */
	STEP_MESSAGE,
	STEP_DONE, /* the tag may be asked for */
};

struct gcm {
	struct gcm_key_data key;
	struct gcm_context_data work;
	const struct gcm_engine *engine;
	enum step step;
	bool sealing, iv_fixed, has_tag;
	uint8_t next_iv[GCM_IV_LEN], iv[GCM_IV_LEN];
	uint8_t aad[AAD_MAX], tag[GCM_TAG_LEN];
	size_t aad_len, done;
};

static void *gcm_new(const struct gcm_engine *engine)
{
	/* The key's tables want whole cache lines. */
	size_t len = (sizeof(struct gcm) + 63) / 64 * 64;
	struct gcm *gcm = aligned_alloc(64, len);

	if (!gcm)
		return NULL;
	memset(gcm, 0, len);
	gcm->engine = engine;
	return gcm;
}

static void *gcm_new_128(void *provider)
{
	(void)provider;
	return gcm_new(&gcm_engines[0]);
}

static void *gcm_new_256(void *provider)
{
	(void)provider;
	return gcm_new(&gcm_engines[1]);
}

static void gcm_free(void *ctx)
{
	if (ctx)
		OPENSSL_cleanse(ctx, sizeof(struct gcm));
	free(ctx);
}

static int gcm_get_params(OSSL_PARAM params[], size_t key_len)
{
	static const struct {
		const char *name;
		size_t value;
	} sizes[] = {{OSSL_CIPHER_PARAM_BLOCK_SIZE, 1},
		{OSSL_CIPHER_PARAM_IVLEN, GCM_IV_LEN},
		{OSSL_CIPHER_PARAM_MODE, EVP_CIPH_GCM_MODE}};
	static const char *const flags[] = {
		OSSL_CIPHER_PARAM_AEAD, OSSL_CIPHER_PARAM_CUSTOM_IV};
	OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_CIPHER_PARAM_KEYLEN);
	int good = !p || OSSL_PARAM_set_size_t(p, key_len);
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		p = OSSL_PARAM_locate(params, sizes[i].name);
		good = good && (!p || OSSL_PARAM_set_size_t(p, sizes[i].value));
	}
	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		p = OSSL_PARAM_locate(params, flags[i]);
		good = good && (!p || OSSL_PARAM_set_int(p, 1));
	}
	return good;
}

static int gcm_get_params_128(OSSL_PARAM params[])
{
	return gcm_get_params(params, 16);
}

static int gcm_get_params_256(OSSL_PARAM params[])
{
	return gcm_get_params(params, 32);
}

/* A key, and nothing that was under way before. */
static int gcm_key(void *ctx, const unsigned char *key, size_t key_len,
	const unsigned char *iv, size_t iv_len, bool sealing)
{
	struct gcm *gcm = ctx;

	if (!key || key_len != gcm->engine->key_len ||
		(iv && iv_len != GCM_IV_LEN)) {
		gcm->step = STEP_DEAD;
		return 0;
	}
	gcm->engine->pre(key, &gcm->key);
	gcm->sealing = sealing;
	gcm->iv_fixed = gcm->has_tag = false;
	gcm->aad_len = gcm->done = 0;
	gcm->step = STEP_IDLE;
	return 1;
}

static int gcm_seal_key(void *ctx, const unsigned char *key, size_t key_len,
	const unsigned char *iv, size_t iv_len, const OSSL_PARAM params[])
{
	(void)params;
	return gcm_key(ctx, key, key_len, iv, iv_len, true);
}

static int gcm_open_key(void *ctx, const unsigned char *key, size_t key_len,
	const unsigned char *iv, size_t iv_len, const OSSL_PARAM params[])
{
	(void)params;
	return gcm_key(ctx, key, key_len, iv, iv_len, false);
}

/* The first message's, whole: where messages are counted from. */
static int fix_iv(struct gcm *gcm, const OSSL_PARAM *p)
{
	/* OpenSSL's way to say "all of it" is a length of -1. */
	if (gcm->step == STEP_DEAD || p->data_type != OSSL_PARAM_OCTET_STRING ||
		!p->data ||
		(p->data_size != (size_t)-1 && p->data_size != GCM_IV_LEN))
		return 0;
	memcpy(gcm->next_iv, p->data, GCM_IV_LEN);
	gcm->iv_fixed = true;
	gcm->step = STEP_IDLE;
	return 1;
}

static int take_tag(struct gcm *gcm, const OSSL_PARAM *p)
{
	if (gcm->sealing || p->data_type != OSSL_PARAM_OCTET_STRING ||
		!p->data || p->data_size != GCM_TAG_LEN)
		return 0;
	memcpy(gcm->tag, p->data, GCM_TAG_LEN);
	gcm->has_tag = true;
	return 1;
}

static int check_iv_len(struct gcm *gcm, const OSSL_PARAM *p)
{
	size_t len;

	(void)gcm;
	return OSSL_PARAM_get_size_t(p, &len) && len == GCM_IV_LEN;
}

static int gcm_set_ctx_params(void *ctx, const OSSL_PARAM params[])
{
	static const struct {
		const char *name;
		int (*take)(struct gcm *gcm, const OSSL_PARAM *p);
	} known[] = {{OSSL_CIPHER_PARAM_AEAD_TAG, take_tag},
		{OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED, fix_iv},
		{OSSL_CIPHER_PARAM_IVLEN, check_iv_len}};
	const OSSL_PARAM *p;
	size_t i;

	for (p = params; p && p->key; p++)
		for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			if (strcmp(p->key, known[i].name) != 0)
				continue;
			if (!known[i].take(ctx, p))
				return 0;
			break;
		}
	return 1;
}

/* RFC 5647 section 7.1: the invocation counter, the last eight bytes. */
static int step_iv(struct gcm *gcm, OSSL_PARAM *p)
{
	size_t len = p->data_size;
	unsigned int i;

	if (!gcm->iv_fixed || gcm->step == STEP_DEAD ||
		p->data_type != OSSL_PARAM_OCTET_STRING || !p->data)
		return 0;
	if (!len || len > GCM_IV_LEN)
		len = GCM_IV_LEN;
	memcpy(gcm->iv, gcm->next_iv, GCM_IV_LEN);
	memcpy(p->data, gcm->iv + GCM_IV_LEN - len, len);
	p->return_size = len;
	for (i = GCM_IV_LEN; i > GCM_IV_LEN - 8 && !++gcm->next_iv[i - 1]; i--)
		;
	gcm->aad_len = gcm->done = 0;
	gcm->has_tag = false;
	gcm->step = STEP_IV;
	return 1;
}

static int tell_key_len(struct gcm *gcm, OSSL_PARAM *p)
{
	return OSSL_PARAM_set_size_t(p, gcm->engine->key_len);
}

static int tell_iv_len(struct gcm *gcm, OSSL_PARAM *p)
{
	(void)gcm;
	return OSSL_PARAM_set_size_t(p, GCM_IV_LEN);
}

static int tell_tag_len(struct gcm *gcm, OSSL_PARAM *p)
{
	(void)gcm;
	return OSSL_PARAM_set_size_t(p, GCM_TAG_LEN);
}

static int tell_tag(struct gcm *gcm, OSSL_PARAM *p)
{
	return gcm->sealing && gcm->step == STEP_DONE &&
	       p->data_size == GCM_TAG_LEN &&
	       OSSL_PARAM_set_octet_string(p, gcm->tag, GCM_TAG_LEN);
}

/* Those that each packet has come first: this is asked a few times for every
 * one. What is not known is left alone, as providers do. */
static int gcm_get_ctx_params(void *ctx, OSSL_PARAM params[])
{
	static const struct {
		const char *name;
		int (*tell)(struct gcm *gcm, OSSL_PARAM *p);
	} known[] = {{OSSL_CIPHER_PARAM_AEAD_TLS1_GET_IV_GEN, step_iv},
		{OSSL_CIPHER_PARAM_AEAD_TAG, tell_tag},
		{OSSL_CIPHER_PARAM_IVLEN, tell_iv_len},
		{OSSL_CIPHER_PARAM_KEYLEN, tell_key_len},
		{OSSL_CIPHER_PARAM_AEAD_TAGLEN, tell_tag_len}};
	OSSL_PARAM *p;
	size_t i;

	for (p = params; p && p->key; p++)
		for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			if (strcmp(p->key, known[i].name) != 0)
				continue;
			if (!known[i].tell(ctx, p))
				return 0;
			break;
		}
	return 1;
}

static int take_aad(struct gcm *gcm, const unsigned char *in, size_t len)
{
	if (gcm->step != STEP_IV || gcm->aad_len || len > AAD_MAX)
		return 0;
	memcpy(gcm->aad, in, len);
	gcm->aad_len = len;
	return 1;
}

static bool begin(struct gcm *gcm)
{
	if (gcm->step == STEP_IV) {
		gcm->engine->init(
			&gcm->key, &gcm->work, gcm->iv, gcm->aad, gcm->aad_len);
		gcm->step = STEP_MESSAGE;
	}
	return gcm->step == STEP_MESSAGE;
}

static int take_message(struct gcm *gcm, unsigned char *out, size_t room,
	const unsigned char *in, size_t len)
{
	if (!begin(gcm) || room < len || len > MESSAGE_MAX - gcm->done)
		return 0;
	(gcm->sealing ? gcm->engine->seal : gcm->engine->open)(
		&gcm->key, &gcm->work, out, in, len);
	gcm->done += len;
	return 1;
}

static int gcm_update(void *ctx, unsigned char *out, size_t *ret_len,
	size_t room, const unsigned char *in, size_t len)
{
	struct gcm *gcm = ctx;
	int good;

	*ret_len = 0;
	if (!len)
		return gcm->step != STEP_DEAD;
	good = in && (out ? take_message(gcm, out, room, in, len)
			  : take_aad(gcm, in, len));
	if (good)
		*ret_len = len;
	else
		gcm->step = STEP_DEAD;
	return good;
}

/* After a tag that is wrong there is no next packet. OpenSSL hands the value
 * on, and -1 is a failure even to a libssh that looks for less than 0
 * (CVE-2026-59847). */
static int gcm_final(
	void *ctx, unsigned char *out, size_t *ret_len, size_t room)
{
	struct gcm *gcm = ctx;
	uint8_t tag[GCM_TAG_LEN];
	bool good = begin(gcm);

	(void)out;
	(void)room;
	*ret_len = 0;
	if (good && gcm->sealing) {
		gcm->engine->seal_end(
			&gcm->key, &gcm->work, gcm->tag, GCM_TAG_LEN);
	} else if (good) {
		gcm->engine->open_end(&gcm->key, &gcm->work, tag, GCM_TAG_LEN);
		good = gcm->has_tag &&
		       !CRYPTO_memcmp(tag, gcm->tag, GCM_TAG_LEN);
		OPENSSL_cleanse(tag, GCM_TAG_LEN);
	}
	gcm->step = good ? STEP_DONE : STEP_DEAD;
	return good ? 1 : -1;
}

static const OSSL_PARAM *gcm_gettable(void *provider)
{
	static const OSSL_PARAM known[] = {
		OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_KEYLEN, NULL),
		OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_IVLEN, NULL),
		OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_BLOCK_SIZE, NULL),
		OSSL_PARAM_uint(OSSL_CIPHER_PARAM_MODE, NULL),
		OSSL_PARAM_int(OSSL_CIPHER_PARAM_AEAD, NULL),
		OSSL_PARAM_int(OSSL_CIPHER_PARAM_CUSTOM_IV, NULL),
		OSSL_PARAM_END};

	(void)provider;
	return known;
}

static const OSSL_PARAM *gcm_gettable_ctx(void *ctx, void *provider)
{
	static const OSSL_PARAM known[] = {
		OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_KEYLEN, NULL),
		OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_IVLEN, NULL),
		OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_AEAD_TAGLEN, NULL),
		OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, NULL, 0),
		OSSL_PARAM_octet_string(
			OSSL_CIPHER_PARAM_AEAD_TLS1_GET_IV_GEN, NULL, 0),
		OSSL_PARAM_END};

	(void)ctx;
	(void)provider;
	return known;
}

static const OSSL_PARAM *gcm_settable_ctx(void *ctx, void *provider)
{
	static const OSSL_PARAM known[] = {
		OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_IVLEN, NULL),
		OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, NULL, 0),
		OSSL_PARAM_octet_string(
			OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED, NULL, 0),
		OSSL_PARAM_END};

	(void)ctx;
	(void)provider;
	return known;
}

/* No dupctx: a copy could seal two messages under one IV. */
#define COMMON \
	{OSSL_FUNC_CIPHER_FREECTX, (void (*)(void))gcm_free}, \
		{OSSL_FUNC_CIPHER_ENCRYPT_INIT, (void (*)(void))gcm_seal_key}, \
		{OSSL_FUNC_CIPHER_DECRYPT_INIT, (void (*)(void))gcm_open_key}, \
		{OSSL_FUNC_CIPHER_UPDATE, (void (*)(void))gcm_update}, \
		{OSSL_FUNC_CIPHER_FINAL, (void (*)(void))gcm_final}, \
		{OSSL_FUNC_CIPHER_GETTABLE_PARAMS, \
			(void (*)(void))gcm_gettable}, \
		{OSSL_FUNC_CIPHER_GET_CTX_PARAMS, \
			(void (*)(void))gcm_get_ctx_params}, \
		{OSSL_FUNC_CIPHER_GETTABLE_CTX_PARAMS, \
			(void (*)(void))gcm_gettable_ctx}, \
		{OSSL_FUNC_CIPHER_SET_CTX_PARAMS, \
			(void (*)(void))gcm_set_ctx_params}, \
		{OSSL_FUNC_CIPHER_SETTABLE_CTX_PARAMS, \
			(void (*)(void))gcm_settable_ctx}, \
	{ \
		0, NULL \
	}

static const OSSL_DISPATCH gcm_128[] = {
	{OSSL_FUNC_CIPHER_NEWCTX, (void (*)(void))gcm_new_128},
	{OSSL_FUNC_CIPHER_GET_PARAMS, (void (*)(void))gcm_get_params_128},
	COMMON,
};

static const OSSL_DISPATCH gcm_256[] = {
	{OSSL_FUNC_CIPHER_NEWCTX, (void (*)(void))gcm_new_256},
	{OSSL_FUNC_CIPHER_GET_PARAMS, (void (*)(void))gcm_get_params_256},
	COMMON,
};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache)
{
	static const OSSL_ALGORITHM ciphers[] = {
		{"AES-128-GCM:id-aes128-GCM:2.16.840.1.101.3.4.1.6",
			"provider=" GCM_PROVIDER, gcm_128,
			"AES-128-GCM of packets"},
		{"AES-256-GCM:id-aes256-GCM:2.16.840.1.101.3.4.1.46",
			"provider=" GCM_PROVIDER, gcm_256,
			"AES-256-GCM of packets"},
		{NULL, NULL, NULL, NULL},
	};

	(void)provider;
	*no_cache = 0;
	return operation == OSSL_OP_CIPHER ? ciphers : NULL;
}

int gcm_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
	const OSSL_DISPATCH **out, void **provider)
{
	static const OSSL_DISPATCH functions[] = {
		{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
		{0, NULL}};
	static int something;

	(void)handle;
	(void)in;
	*out = functions;
	*provider = &something;
	return 1;
}

#endif
