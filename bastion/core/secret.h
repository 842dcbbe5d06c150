/*
 * Secrets: random bytes, wiping, and AES-256-GCM records at rest under a
 * master key (docs/ARCHITECTURE.md, "Secrets at rest").
 *
 * A record is bound to a purpose and a name (its associated data), so that
 * one user's record cannot be moved to another.
 */
#ifndef SGB_SECRET_H
#define SGB_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

#define SECRET_KEY_LEN	  32
#define SECRET_KEY_ID_LEN 8
#define SECRET_KEYS_MAX	  4

/* Up to four master keys at once, for rotation; the first seals. */
struct secret_keys;

/* Fills out with len bytes from the kernel's generator. */
enum sgb_err secret_random(void *out, size_t len) SGB_MUST_CHECK;
void secret_wipe(void *data, size_t len);
/* free() after wiping a C string or len bytes; NULL is fine. */
void secret_free_cstring(char *text);

/*
 * Reads a master key file: one key a line, 64 hexadecimal digits each; the
 * file must be a regular file, owned by root, mode 0400 or 0600.
 * On failure *ret is untouched; why (size PATH_MAX + 200) tells a person.
 */
enum sgb_err secret_keys_load(const char *path, struct secret_keys **ret,
	char *why, size_t why_len) SGB_MUST_CHECK;
void secret_keys_free(struct secret_keys *keys);
/* The id of the sealing key: first 8 bytes of SHA-256("sgb key id" | key). */
const uint8_t *secret_keys_id(const struct secret_keys *keys);
/* Is this record sealed under the key that seals now? Opens nothing. */
bool secret_is_current(
	const struct secret_keys *keys, const void *record, size_t len);

/*
 * Appends a sealed record to out: "SGBS", u8 version 1, key id (8), nonce
 * (12), ciphertext, tag (16). label is the associated data: purpose and name,
 * such as "otp:alice".
 */
enum sgb_err secret_seal(const struct secret_keys *keys, const char *label,
	const void *plain, size_t len, struct buf *out) SGB_MUST_CHECK;
/* Opens a record into out. SGB_ERR_CRYPTO if it was altered, is for another
 * label, or its key is not among keys. */
enum sgb_err secret_open(const struct secret_keys *keys, const char *label,
	const void *record, size_t len, struct buf *out) SGB_MUST_CHECK;

#endif
