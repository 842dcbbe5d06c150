/*
 * Keys of every kind as PEM, for suite.c, which has it, and suite_public.c.
 */
#ifndef SGB_SUITE_PEM_H
#define SGB_SUITE_PEM_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/types.h>

#include "core/err.h"

struct buf;

/* One that has a passphrase is SGB_ERR_FORMAT: nobody is asked. The caller
 * frees *ret. */
enum sgb_err suite_pem_read(const void *pem, size_t len, bool private,
	EVP_PKEY **ret) SGB_MUST_CHECK;
/* PKCS #8, through memory that is wiped. */
enum sgb_err suite_pem_write(
	const EVP_PKEY *pkey, struct buf *out) SGB_MUST_CHECK;

#endif
