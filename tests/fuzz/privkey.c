/*
 * Fuzzer: private keys as text, and as they are kept. What is a key has a
 * public half that is one, survives being kept, and signs without harm, also
 * where its halves do not belong together.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "../../bastion/privkey.h"
#include "core/sshkey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *algorithm_of(const struct sshkey *key)
{
	return key->type == SSHKEY_RSA ? "rsa-sha2-512" : key->name;
}

static void try_sign(EVP_PKEY *key, const struct sshkey *parsed)
{
	struct buf signature;

	buf_init(&signature, 8192);
	if (!privkey_sign(key, algorithm_of(parsed), (const uint8_t *)"x", 1,
		    &signature) &&
		!signature.len)
		abort();
	/* An algorithm of another kind of key is refused. */
	if (!privkey_sign(key, "ssh-dss", (const uint8_t *)"x", 1, &signature))
		abort();
	buf_done(&signature);
}

static void check(EVP_PKEY *key)
{
	struct buf public, kept, again;
	struct sshkey parsed;
	EVP_PKEY *read = NULL;

	buf_init(&public, SSHKEY_MAX_BLOB);
	buf_init(&kept, SSHKEY_MAX_BLOB);
	buf_init(&again, SSHKEY_MAX_BLOB);
	if (!privkey_public(key, &public) &&
		!sshkey_parse(public.data, public.len, &parsed)) {
		try_sign(key, &parsed);
		if (!privkey_put(key, &kept) && kept.len > 4 &&
			!privkey_get(kept.data + 4, kept.len - 4, &read) &&
			(privkey_public(read, &again) ||
				again.len != public.len ||
				memcmp(again.data, public.data, again.len)))
			abort();
	}
	EVP_PKEY_free(read);
	buf_done(&public);
	buf_done(&kept);
	buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	EVP_PKEY *key = NULL;
	char why[300];

	if (!privkey_parse(data, size, &key, why, sizeof(why)))
		check(key);
	else if (key || !why[0])
		abort();
	EVP_PKEY_free(key);
	key = NULL;
	if (!privkey_get(data, size, &key))
		check(key);
	EVP_PKEY_free(key);
	return 0;
}
