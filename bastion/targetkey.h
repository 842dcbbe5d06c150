/*
 * Stored keys for targets: each a record sealed under the master key, bound to
 * its name (core/secret.h), with what it may be used for inside. While a key is
 * replaced there are two in it, the new one first.
 */
#ifndef SGB_TARGETKEY_H
#define SGB_TARGETKEY_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <openssl/types.h>

#include "core/err.h"
#include "core/sshkey.h"

#define TARGETKEY_VERSIONS 2
#define TARGETKEY_PURPOSES 64
#define TARGETKEY_WHY	   (4096 + 300)

struct targetkey_version {
	EVP_PKEY *key;
	time_t made;
	uint8_t *blob; /* the public half */
	size_t blob_len;
	struct sshkey parsed;
};

struct targetkey {
	char name[65];
	char *purposes[TARGETKEY_PURPOSES]; /* instances and groups */
	size_t purpose_count;
	struct targetkey_version versions[TARGETKEY_VERSIONS];
	size_t count;
};

/* Opens dir/NAME.key with the master keys of that file. why tells a person;
 * SGB_ERR_NOTFOUND if there is no such key. */
enum sgb_err targetkey_load(const char *dir, const char *name,
	const char *master, struct targetkey **ret, char *why,
	size_t why_len) SGB_MUST_CHECK;
void targetkey_free(struct targetkey *key);
/* Takes an EVP_PKEY as the newest version, also on failure. SGB_ERR_BUSY if
 * there are two already. */
enum sgb_err targetkey_add(
	struct targetkey *key, EVP_PKEY *pkey, time_t made) SGB_MUST_CHECK;
/* Forgets all but the newest. */
void targetkey_finish(struct targetkey *key);
/* Replaces dir/NAME.key. */
enum sgb_err targetkey_save(const char *dir, const struct targetkey *key,
	const char *master, char *why, size_t why_len) SGB_MUST_CHECK;
enum sgb_err targetkey_delete(const char *dir, const char *name, char *why,
	size_t why_len) SGB_MUST_CHECK;
/* Calls each for the names of all keys, in order; SGB_ERR_NOTFOUND without the
 * folder. */
enum sgb_err targetkey_each(const char *dir,
	void (*each)(const char *name, void *arg), void *arg) SGB_MUST_CHECK;

/* When a version was used last, 0: never; best effort, both. */
time_t targetkey_used(const char *dir, const char *name,
	const struct targetkey_version *version);
void targetkey_use(const char *dir, const char *name,
	const struct targetkey_version *version);

#endif
