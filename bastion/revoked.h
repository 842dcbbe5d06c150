/*
 * Keys and certificates that are refused everywhere: a list that people write,
 * or a KRL as ssh-keygen -k makes it (PROTOCOL.krl in OpenSSH's source).
 */
#ifndef SGB_REVOKED_H
#define SGB_REVOKED_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/err.h"
#include "usercert.h"

#define REVOKED_MAX_BYTES (4 * 1024 * 1024)

struct revoked_query {
	const uint8_t *blob; /* the plain key; borrowed like the rest */
	size_t blob_len;
	const char *fingerprint;     /* of it, as ssh-keygen prints it */
	const struct usercert *cert; /* it came in, or NULL */
	uint64_t max_age;	     /* seconds that a list is good; 0: ever */
	time_t now;
};

/*
 * Is it on the list at path? SGB_OK: no. SGB_ERR_DENIED: yes. Other errors:
 * the list cannot be read or understood, or was not written for max_age, and
 * the caller denies. A list of
 * lines holds public keys and SHA256: fingerprints, of people's keys or of
 * CAs; "serial: N[-M]" and "id: TEXT" of certificates, whoever signed them.
 */
enum sgb_err revoked_check(const char *path, const struct revoked_query *query,
	char *why, size_t why_len) SGB_MUST_CHECK;

/* krl.c: the same for a KRL in memory; krl_is says whether it looks like one.
 * A fuzz target. */
bool krl_is(const uint8_t *data, size_t len);
enum sgb_err krl_check(const uint8_t *data, size_t len,
	const struct revoked_query *query) SGB_MUST_CHECK;

#endif
