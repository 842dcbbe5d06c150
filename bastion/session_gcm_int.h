/*
 * Inside session_gcm*.c: the ciphers, and whose instructions do them.
 */
#ifndef SGB_SESSION_GCM_INT_H
#define SGB_SESSION_GCM_INT_H

#include "session_gcm.h"

#ifdef SGB_IPSEC_MB

#include <intel-ipsec-mb.h>
#include <openssl/core_dispatch.h>

#define GCM_PROVIDER "sgbridge"
#define GCM_IV_LEN   12
#define GCM_TAG_LEN  16

struct gcm_engine {
	size_t key_len;
	aes_gcm_pre_t pre;
	aes_gcm_init_t init;
	aes_gcm_enc_dec_update_t seal, open;
	aes_gcm_enc_dec_finalize_t seal_end, open_end;
};

/* AES-128 and AES-256, of this processor; set before the provider is loaded. */
extern struct gcm_engine gcm_engines[2];

OSSL_provider_init_fn gcm_provider_init;

#endif
#endif
