/*
 * The PROXY protocol's version 2, as a configured front end sends it: who the
 * client is. Pure: bytes in, addresses out.
 */
#ifndef SGB_PROXY_HEADER_H
#define SGB_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/err.h"

#define PROXY_FIXED_LEN 16
/* Addresses and what extensions (TLV) a front end may add; skipped. */
#define PROXY_MAX (PROXY_FIXED_LEN + 2048)

struct proxy_header {
	bool local; /* the front end speaks for itself: a health check */
	struct addr source;
	uint16_t port;
};

/* How many bytes the header has in all, from its first PROXY_FIXED_LEN (or
 * fewer: then at least as many as that). SGB_ERR_FORMAT as soon as they cannot
 * be the beginning of one. */
enum sgb_err proxy_header_size(
	const uint8_t *data, size_t len, size_t *ret) SGB_MUST_CHECK;
/* A whole header, no more and no less. */
enum sgb_err proxy_header_parse(const uint8_t *data, size_t len,
	struct proxy_header *ret) SGB_MUST_CHECK;

#endif
