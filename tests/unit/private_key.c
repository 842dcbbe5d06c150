/*
 * Private keys as ssh-keygen writes them: each kind signs what its public half
 * verifies, and a file that is cut or bent anywhere is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "../../bastion/private_key.h"
#include "../../bastion/usercert_sign.h"
#include "files.h"

static char why[300];

static void generate(const char *words, struct buf *out)
{
	size_t len;
	char *text;

	sh("rm -f key; ssh-keygen -q %s -C x -f key", words);
	text = get_file("key", &len);
	buf_init(out, 8192);
	buf_put(out, text, len);
	assert_int_equal(buf_error(out), SGB_OK);
	free(text);
}

static void test_kinds(void **state)
{
	static const struct {
		const char *words, *scheme;
		enum sshkey_type type;
		const EVP_MD *(*digest)(void);
	} rows[] = {
		{"-t ed25519 -N ''", "ssh-ed25519", SSHKEY_ED25519, NULL},
		{"-t rsa -b 2048 -N ''", "rsa-sha2-512", SSHKEY_RSA,
			EVP_sha512},
		{"-t ecdsa -b 256 -N ''", "ecdsa-sha2-nistp256", SSHKEY_ECDSA,
			EVP_sha256},
		{"-t ecdsa -b 384 -N ''", "ecdsa-sha2-nistp384", SSHKEY_ECDSA,
			EVP_sha384},
		{"-t ecdsa -b 521 -N ''", "ecdsa-sha2-nistp521", SSHKEY_ECDSA,
			EVP_sha512},
	};
	static const uint8_t data[32] = "what is signed";
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const EVP_MD *digest = rows[i].digest ? rows[i].digest() : NULL;
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		struct private_key key;
		uint8_t signature[1024];
		size_t len = sizeof(signature);
		struct buf text;

		generate(rows[i].words, &text);
		assert_int_equal(
			private_key_parse(&text, &key, why, sizeof(why)),
			SGB_OK);
		assert_int_equal(key.public.type, rows[i].type);
		assert_int_equal(
			EVP_DigestSignInit(ctx, NULL, digest, NULL, key.key),
			1);
		assert_int_equal(EVP_DigestSign(ctx, signature, &len, data,
					 sizeof(data)),
			1);
		assert_int_equal(usercert_verify_raw(key.blob, key.blob_len,
					 rows[i].scheme, data, sizeof(data),
					 signature, len),
			SGB_OK);
		EVP_MD_CTX_free(ctx);
		private_key_done(&key);
		buf_done(&text);
	}
}

static void test_refused(void **state)
{
	struct private_key key;
	struct buf text;

	(void)state;
	generate("-t ed25519 -N secret", &text);
	assert_int_equal(private_key_parse(&text, &key, why, sizeof(why)),
		SGB_ERR_DENIED);
	assert_null(key.blob);
	assert_non_null(strstr(why, "passphrase"));
	buf_done(&text);
	generate("-t rsa -b 1024 -N ''", &text);
	assert_int_equal(private_key_parse(&text, &key, why, sizeof(why)),
		SGB_ERR_UNSUPPORTED);
	buf_done(&text);
}

/* No cut and no other letter makes more than an error, or another key. */
static void test_bent(void **state)
{
	static const char *const words[] = {
		"-t ed25519 -N ''", "-t ecdsa -N ''", "-t rsa -b 2048 -N ''"};
	struct private_key key;
	size_t i, at;

	(void)state;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct buf text;
		size_t len;

		generate(words[i], &text);
		len = text.len;
		for (at = 0; at < len - 34; at++) {
			text.len = at;
			assert_int_not_equal(private_key_parse(&text, &key, why,
						     sizeof(why)),
				SGB_OK);
		}
		text.len = len;
		for (at = 0; at < len; at++) {
			uint8_t was = text.data[at];

			text.data[at] = was == 'A' ? 'B' : 'A';
			if (!private_key_parse(&text, &key, why, sizeof(why)))
				private_key_done(&key);
			text.data[at] = was;
		}
		buf_done(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bent),
	};

	return cmocka_run_group_tests(tests, files_make, files_remove);
}
