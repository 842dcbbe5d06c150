/*
 * Any bytes as a key blob, and as base64. What parses must be consistent: a
 * name, a size, a fingerprint, and base64 that is its own encoding.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/sshkey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(const uint8_t *blob, size_t len)
{
	struct sshkey key;

	if (sshkey_parse(blob, len, &key))
		return;
	if (!key.name || key.type == SSHKEY_UNKNOWN || key.bits < 8 ||
		key.bits > 16384 || strlen(key.fingerprint) != 50)
		abort();
	if (key.is_cert != (strlen(key.ca_fingerprint) == 50))
		abort();
	if (!sshkey_algorithm_fits(&key, key.name) && !key.is_cert &&
		key.type != SSHKEY_RSA)
		abort();
}

static void check_base64(const uint8_t *text, size_t len)
{
	unsigned char *again;
	uint8_t *blob;
	size_t blob_len;

	if (sshkey_base64_decode((const char *)text, len, &blob, &blob_len))
		return;
	again = malloc(len + 1);
	if (!again ||
		(size_t)EVP_EncodeBlock(again, blob, (int)blob_len) != len ||
		memcmp(again, text, len))
		abort();
	check_key(blob, blob_len);
	free(again);
	free(blob);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_key(data, size);
	check_base64(data, size);
	return 0;
}
