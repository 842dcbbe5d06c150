/*
 * A user's own agent: its answers cut, prolonged and bent, and signatures of a
 * login by each kind of key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "../../bastion/privkey.h"
#include "../../bastion/session_agent_form.h"
#include "../../bastion/usercert_sign.h"
#include "core/buf.h"

#define MIB (1024 * 1024)

static const uint8_t blob[] = "a key", other[] = "another";

/* Length and kind around body, as an agent sends it. */
static void frame(struct buf *out, uint8_t kind, const struct buf *body)
{
	buf_reset(out);
	buf_put_u32(out, (uint32_t)body->len + 1);
	buf_put_u8(out, kind);
	buf_put(out, body->data, body->len);
	assert_int_equal(buf_error(out), SGB_OK);
}

static void put_keys(struct buf *body, uint32_t claimed)
{
	buf_reset(body);
	buf_put_u32(body, claimed);
	buf_put_string(body, other, sizeof(other));
	buf_put_cstring(body, "comment");
	buf_put_string(body, blob, sizeof(blob));
	buf_put_cstring(body, "");
}

static enum agent_form keys(const struct buf *answer, size_t len, bool *held)
{
	return agent_form_keys(answer->data, len, blob, sizeof(blob), held);
}

static void test_keys(void **state)
{
	struct buf body, answer;
	bool held;
	size_t i;

	(void)state;
	buf_init(&body, MIB);
	buf_init(&answer, MIB);
	put_keys(&body, 2);
	frame(&answer, 12, &body);
	for (i = 0; i < answer.len; i++) {
		assert_int_equal(keys(&answer, i, &held), AGENT_FORM_MORE);
		assert_false(held);
	}
	assert_int_equal(keys(&answer, answer.len, &held), AGENT_FORM_GOOD);
	assert_true(held);
	assert_int_equal(agent_form_keys(answer.data, answer.len, blob,
				 sizeof(blob) - 1, &held),
		AGENT_FORM_GOOD);
	assert_false(held);
	/* One behind, in the frame and outside it; more or fewer than there
	 * are. */
	buf_put_u8(&answer, 0);
	assert_int_equal(keys(&answer, answer.len, &held), AGENT_FORM_BAD);
	buf_put_u8(&body, 0);
	frame(&answer, 12, &body);
	assert_int_equal(keys(&answer, answer.len, &held), AGENT_FORM_BAD);
	put_keys(&body, 1);
	frame(&answer, 12, &body);
	assert_int_equal(keys(&answer, answer.len, &held), AGENT_FORM_BAD);
	put_keys(&body, 3);
	frame(&answer, 12, &body);
	assert_int_equal(keys(&answer, answer.len, &held), AGENT_FORM_BAD);
	assert_false(held);
	put_keys(&body, UINT32_MAX);
	frame(&answer, 12, &body);
	assert_int_equal(keys(&answer, answer.len, &held), AGENT_FORM_BAD);
	put_keys(&body, 2);
	frame(&answer, 14, &body);
	assert_int_equal(keys(&answer, answer.len, &held), AGENT_FORM_BAD);
	buf_done(&body);
	buf_done(&answer);
}

static void test_no(void **state)
{
	static const uint8_t rows[][6] = {
		{0, 0, 0, 1, 5},
		{0, 0, 0, 1, 102},
	};
	static const uint8_t bad[][5] = {
		{0, 0, 0, 0, 5},  /* nothing */
		{0, 4, 0, 1, 12}, /* more than an agent sends */
		{0xff, 0xff, 0xff, 0xff, 5},
		{0, 0, 0, 1, 6}, /* yes, to what? */
	};
	const uint8_t *signature = NULL;
	bool held;
	size_t i, len;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(agent_form_keys(rows[i], 5, blob, 5, &held),
			AGENT_FORM_REFUSED);
		assert_int_equal(
			agent_form_signature(rows[i], 5, &signature, &len),
			AGENT_FORM_REFUSED);
		assert_int_equal(
			agent_form_signature(rows[i], 6, &signature, &len),
			AGENT_FORM_BAD);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			agent_form_signature(bad[i], 5, &signature, &len),
			AGENT_FORM_BAD);
	assert_null(signature);
}

static void test_signature(void **state)
{
	static const size_t sizes[] = {1, 64, AGENT_FORM_SIGNATURE};
	static uint8_t bytes[AGENT_FORM_SIGNATURE + 1];
	const uint8_t *signature;
	struct buf body, answer;
	size_t i, len;

	(void)state;
	buf_init(&body, MIB);
	buf_init(&answer, MIB);
	for (i = 0; i < 3; i++) {
		buf_reset(&body);
		buf_put_string(&body, bytes, sizes[i]);
		frame(&answer, 14, &body);
		assert_int_equal(agent_form_signature(answer.data, answer.len,
					 &signature, &len),
			AGENT_FORM_GOOD);
		assert_int_equal(len, sizes[i]);
		assert_ptr_equal(signature, answer.data + 9);
		assert_int_equal(agent_form_signature(answer.data,
					 answer.len - 1, &signature, &len),
			AGENT_FORM_MORE);
	}
	buf_reset(&body);
	buf_put_string(&body, bytes, AGENT_FORM_SIGNATURE + 1);
	frame(&answer, 14, &body);
	assert_int_equal(
		agent_form_signature(answer.data, answer.len, &signature, &len),
		AGENT_FORM_BAD);
	buf_reset(&body);
	buf_put_string(&body, "", 0);
	frame(&answer, 14, &body);
	assert_int_equal(
		agent_form_signature(answer.data, answer.len, &signature, &len),
		AGENT_FORM_BAD);
	buf_done(&body);
	buf_done(&answer);
}

static void test_questions(void **state)
{
	static const uint8_t want[] = {0, 0, 0, 20, 13, 0, 0, 0, 3, 'k', 'e',
		'y', 0, 0, 0, 4, 'd', 'a', 't', 'a', 0, 0, 0, 4};
	static const uint8_t list[] = {0, 0, 0, 1, 11};
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	agent_form_ask_keys(&out);
	assert_int_equal(out.len, sizeof(list));
	assert_memory_equal(out.data, list, sizeof(list));
	buf_reset(&out);
	agent_form_ask_signature(
		&out, (const uint8_t *)"key", 3, (const uint8_t *)"data", 4, 4);
	assert_int_equal(out.len, sizeof(want));
	assert_memory_equal(out.data, want, sizeof(want));
	buf_done(&out);
}

/* ---- signatures ---- */

static const uint8_t data[] = "a login";

static enum sgb_err login(const struct buf *key, const char *name,
	const struct buf *signature, size_t len)
{
	return usercert_verify_login(key->data, key->len, name, data,
		sizeof(data), signature->data, len);
}

static void test_logins(void **state)
{
	static const struct {
		const char *type, *algorithm, *wrong;
	} rows[] = {
		{"ed25519", "ssh-ed25519", "rsa-sha2-256"},
		{"ecdsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384"},
		{"rsa", "rsa-sha2-256", "rsa-sha2-512"},
		{"rsa", "rsa-sha2-512", "ssh-rsa"},
	};
	struct buf key, signature;
	EVP_PKEY *pkey;
	size_t i, at;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(privkey_generate(rows[i].type, &pkey), SGB_OK);
		buf_init(&key, 4096);
		buf_init(&signature, 4096);
		assert_int_equal(privkey_public(pkey, &key), SGB_OK);
		assert_int_equal(privkey_sign(pkey, rows[i].algorithm, data,
					 sizeof(data), &signature),
			SGB_OK);
		assert_int_equal(login(&key, rows[i].algorithm, &signature,
					 signature.len),
			SGB_OK);
		assert_int_equal(
			login(&key, rows[i].wrong, &signature, signature.len),
			SGB_ERR_UNSUPPORTED);
		for (at = 0; at < signature.len; at++)
			assert_int_not_equal(
				login(&key, rows[i].algorithm, &signature, at),
				SGB_OK);
		for (at = 0; at < signature.len; at++) {
			signature.data[at] ^= 1;
			assert_int_not_equal(login(&key, rows[i].algorithm,
						     &signature, signature.len),
				SGB_OK);
			signature.data[at] ^= 1;
		}
		EVP_PKEY_free(pkey);
		buf_done(&key);
		buf_done(&signature);
	}
}

#define SK "sk-ssh-ed25519@openssh.com"

static void make_security_key(
	struct buf *key, EVP_PKEY **ret, struct buf *signature)
{
	uint8_t raw[64], message[69], point[32];
	size_t len = sizeof(raw), point_len = sizeof(point);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	assert_int_equal(privkey_generate("ed25519", ret), SGB_OK);
	assert_int_equal(
		EVP_PKEY_get_raw_public_key(*ret, point, &point_len), 1);
	buf_put_cstring(key, SK);
	buf_put_string(key, point, sizeof(point));
	buf_put_cstring(key, "ssh:");
	SHA256((const uint8_t *)"ssh:", 4, message);
	memcpy(message + 32, "\1\0\0\0\7", 5);
	SHA256(data, sizeof(data), message + 37);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, *ret), 1);
	assert_int_equal(
		EVP_DigestSign(ctx, raw, &len, message, sizeof(message)), 1);
	EVP_MD_CTX_free(ctx);
	buf_put_cstring(signature, SK);
	buf_put_string(signature, raw, len);
	buf_put(signature, "\1\0\0\0\7", 5);
}

static void test_security_key(void **state)
{
	struct buf key, signature;
	EVP_PKEY *pkey;
	size_t at;

	(void)state;
	buf_init(&key, 4096);
	buf_init(&signature, 4096);
	make_security_key(&key, &pkey, &signature);
	assert_int_equal(login(&key, SK, &signature, signature.len), SGB_OK);
	/* Touched or not, and the counter, are signed as well. */
	for (at = 0; at < signature.len; at++) {
		signature.data[at] ^= 4;
		assert_int_not_equal(
			login(&key, SK, &signature, signature.len), SGB_OK);
		signature.data[at] ^= 4;
		assert_int_not_equal(login(&key, SK, &signature, at), SGB_OK);
	}
	/* No CA is one. */
	assert_int_equal(usercert_verify(key.data, key.len, data, sizeof(data),
				 signature.data, signature.len),
		SGB_ERR_UNSUPPORTED);
	EVP_PKEY_free(pkey);
	buf_done(&key);
	buf_done(&signature);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_no),
		cmocka_unit_test(test_signature),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_logins),
		cmocka_unit_test(test_security_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
