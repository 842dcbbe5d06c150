/*
 * sshkey.c against keys and certificates that ssh-keygen made (their
 * fingerprints are as ssh-keygen -l printed them), hand-built security keys,
 * and every way of being slightly wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/sshkey.h"

static const char ed_b64[] =
	"AAAAC3NzaC1lZDI1NTE5AAAAIL+qO2GwWMn3EfK3S1rcop5dJnP7I5hUmZyUGiRF"
	"mav8";

static const char ec256_b64[] =
	"AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHepFy0EbpK+"
	"saNeXKjIXSzKuuaVetkWApd8j+QzQjcUzlq89ltd+zvGTBnvy4uMBHAezxJZOWV4"
	"1+pw0hX+Z3E=";

static const char ec384_b64[] =
	"AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBHWr0remXuQc"
	"BPaV25zmCSVSZTQhxMU0jzGGFXBUp9elp3COZj/uoG3HLivBTxcRMyl+dB7zYTf+"
	"SN1hisSdMcZtIBguKDyeeoi65DdnMQMBXNlhGDAA0f55KWEFMUbzNg==";

static const char ec521_b64[] =
	"AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAFx+u8Cu0sF"
	"M3CGN1allrpWv7W9jM9nwOwKg7b78SHyLYPLFT3g1tgdPjIODuCtr7pEvxWcXhWu"
	"qb4SfRSG3xZWrgFHK2eWVjau/MTgfW+F6DKgVHSZVvxphTo5XcIKq/zcqXYk0M0V"
	"NEXtqDEqeGGTvUYZsZn7IVBY6bUezwUGjpYJQg==";

static const char rsa_b64[] =
	"AAAAB3NzaC1yc2EAAAADAQABAAABAQC5Al/eaVN30XoPft5I9WuYgo1T5+4Won3E"
	"XREmY3kJ8a3XpcHy283mHoGzAvnbN4/o/Q5HidPilSgdgGuBaaXRqDqpwQ69RAfx"
	"9ex0cryh0z9k54pVpxJxeuV+O5nEe9WFegzICiJoLPaMpKG4Utj6RaH2XjOyKELc"
	"hJ13MxFF3Tyxi+TvfGoAP3fZeVwxS4DSrXp/VAQdD9EohOFRY95rgRCdS+JT3HpF"
	"HrpZoYtwyevvYrF4hIEuyxMufquFlho51vEHE5NlMDiYu7cTS2AlJ/RteuJjeUDl"
	"hZJGTXtvPn4gEPj6OG0+rw9VBNSFSoSd+lSWuEYavyEHvhOeqeIJ";

static const char ed_cert_b64[] =
	"AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIBJXSbMxMkN+"
	"JI0yg+WcDSQcJW+Ln4c+MboE8SHQdlzmAAAAIL+qO2GwWMn3EfK3S1rcop5dJnP7"
	"I5hUmZyUGiRFmav8AAAAAAAAAAAAAAABAAAAAmlkAAAACQAAAAVhbGljZQAAAABe"
	"C+EAAAAAAHDb2IAAAAAXAAAAD3ZlcmlmeS1yZXF1aXJlZAAAAAAAAACCAAAAFXBl"
	"cm1pdC1YMTEtZm9yd2FyZGluZwAAAAAAAAAXcGVybWl0LWFnZW50LWZvcndhcmRp"
	"bmcAAAAAAAAAFnBlcm1pdC1wb3J0LWZvcndhcmRpbmcAAAAAAAAACnBlcm1pdC1w"
	"dHkAAAAAAAAADnBlcm1pdC11c2VyLXJjAAAAAAAAAAAAAAAzAAAAC3NzaC1lZDI1"
	"NTE5AAAAIKPVVmNgYngNiibxM9LmaWvLcGbxt1IfZtPjBbSc57QwAAAAUwAAAAtz"
	"c2gtZWQyNTUxOQAAAECN50j0T5axRRWqazlcA2KCiuQBRt7wrNfWybyjZC3OcmBs"
	"hm4CCS41RUA0MMmsrQm2Tki/NNuEL5mpIzxXDlcI";

static const char ec384_cert_b64[] =
	"AAAAKGVjZHNhLXNoYTItbmlzdHAzODQtY2VydC12MDFAb3BlbnNzaC5jb20AAAAg"
	"MzwXS0C0iemlKwoEMmBe9VbXANPB/nWizoK7GTXClZ0AAAAIbmlzdHAzODQAAABh"
	"BHWr0remXuQcBPaV25zmCSVSZTQhxMU0jzGGFXBUp9elp3COZj/uoG3HLivBTxcR"
	"Myl+dB7zYTf+SN1hisSdMcZtIBguKDyeeoi65DdnMQMBXNlhGDAA0f55KWEFMUbz"
	"NgAAAAAAAAAAAAAAAgAAAANpZDIAAAAIAAAABHdlYjEAAAAAAAAAAP//////////"
	"AAAAAAAAAAAAAAAAAAABlwAAAAdzc2gtcnNhAAAAAwEAAQAAAYEApVTHGx3rWTVK"
	"9xHaizLHqxtIBWk48pBtYNHMXC8qH0/87jwD8qTksCgt4ENF6tE2KquxI977jh0d"
	"ebIUjNvUn2gZLgt31m5+7Z74jTQGlqiqeIVCDytsvj2boyAf3jP76IfYmAj1s/qp"
	"QGsKJSxrU3oNLveL+Ci4UiYjJey8gufGSTQnFJomU/qNbXwTTyS8lA4eI74kPSIg"
	"9psg6cLVAcLUHX7B9aFwR/L+80Db4CmG8dOwCMvASmsoeE8e0xK+2ZpgoYHVvffp"
	"YpYOQeiJkzXieAWg/XzmNld4TggfiEUhwqtWi2A4QAF1A81wPpgsjyCD4ev7bAXa"
	"2/4XEEsdsdX5yNCoezKl7ymLvmoHxTwxNztCUwLLFhMRXeFhLJMeyRpAxswRlhSD"
	"/2ckNtSVlKjLgVhJoqP+w8aZ1B3tzMfRfPe5Ulhb+a9NHmgn/VML6fx9fPeq4tZI"
	"v0OAWpKFGs5igsgElmwGD8OWNe6nQ5xzqW7B6R9lPLS+FQKthoZZAAABlAAAAAxy"
	"c2Etc2hhMi01MTIAAAGATSvvrEaALoN9x2BziPmcBeYMzY8L+LLLtw6TKyehZHSG"
	"bZORiDGf1koPnXjUL0gilRPu2wJOFuEvXw/RZ4TgzBFJ935JVdzGL/75NOnTcxQP"
	"ZRNsWFW33QFcKHUdmTq4FReWOBd3DbKxw3PXvk9nrTf6bUhPkZRf07INzLZ+AIoM"
	"0RwFMMpLkxA1wO62p5Pl1itNGnbJWpwj6xDPCO5kRj9U1ndmegL8l4DGMU86oldo"
	"KPtZSz4bZpE8xFex3dE4QkmnS6K1NePqaAyNSWQcbSPHTJLxFTzKmLF4QvStJFwD"
	"WHSCxb+7tM+bNx7mVM2Y0igQiDFOFPTy3TsXGLXomcfUJGfgqVq6POsFZ6ocLDft"
	"tA05/ye4tVfIAK7y/uFOH5YJXy45BZiwv52kd9I5oUEOCosz0WOK5E9Ffh9YdDu6"
	"nUUn5r4hEPTCtjVNv5KUu2IBj5HKMAqDMKb89kKo0cmehDnABKtDlVEhg0ScYMHI"
	"P6zn356zpxL12+tIlmbQ";

#define ED_FP	      "SHA256:Akab/UqbTh+MCkny4dEfTalxVLXM4qn6RuRHySaqyH4"

#define EC256_FP      "SHA256:lksqqpSlPAO6OrAWXfCbCP/s200XNOmm62Btf5OUzBo"

#define EC384_FP      "SHA256:GuAQS8vVwjXu4YRTepG2KbxWebFWvXQRZbf8gBf+xYs"

#define EC521_FP      "SHA256:qWLrHWoSK1BEx4jlLFNZpp5DZpViWY55p3uiYspkRFs"

#define RSA_FP	      "SHA256:2lTLCotHJdeejDOZOFETn3rOfoo/l3gVKO/nuIKCPNI"

#define ED_CERT_FP    "SHA256:Akab/UqbTh+MCkny4dEfTalxVLXM4qn6RuRHySaqyH4"

#define EC384_CERT_FP "SHA256:GuAQS8vVwjXu4YRTepG2KbxWebFWvXQRZbf8gBf+xYs"

#define CA_FP	      "SHA256:DOcjKRMnDDx7MJQu0IREQqMswVuaPun18WYa52hSDn8"

#define RSACA_FP      "SHA256:W5iQT93u7NzoY7QrquPD89EXOzd0X4Zgh4CWjm9XXOY"

static uint8_t *decode(const char *text, size_t *ret_len)
{
	uint8_t *blob = NULL;

	assert_int_equal(
		sshkey_base64_decode(text, strlen(text), &blob, ret_len),
		SGB_OK);
	return blob;
}

static void test_plain_keys(void **state)
{
	static const struct {
		const char *text, *name, *fp, *signs;
		enum sshkey_type type;
		unsigned int bits;
	} rows[] = {
		{ed_b64, "ssh-ed25519", ED_FP, "ssh-ed25519", SSHKEY_ED25519,
			256},
		{ec256_b64, "ecdsa-sha2-nistp256", EC256_FP,
			"ecdsa-sha2-nistp256", SSHKEY_ECDSA, 256},
		{ec384_b64, "ecdsa-sha2-nistp384", EC384_FP,
			"ecdsa-sha2-nistp384", SSHKEY_ECDSA, 384},
		{ec521_b64, "ecdsa-sha2-nistp521", EC521_FP,
			"ecdsa-sha2-nistp521", SSHKEY_ECDSA, 521},
		{rsa_b64, "ssh-rsa", RSA_FP, "rsa-sha2-512", SSHKEY_RSA, 2048},
	};
	struct sshkey key;
	uint8_t *blob;
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		blob = decode(rows[i].text, &len);
		assert_int_equal(sshkey_parse(blob, len, &key), SGB_OK);
		assert_int_equal(key.type, rows[i].type);
		assert_string_equal(key.name, rows[i].name);
		assert_string_equal(key.fingerprint, rows[i].fp);
		assert_int_equal(key.bits, rows[i].bits);
		assert_false(key.is_cert);
		assert_string_equal(key.ca_fingerprint, "");
		assert_true(sshkey_algorithm_fits(&key, rows[i].signs));
		assert_false(sshkey_algorithm_fits(&key, "ssh-dss"));
		free(blob);
	}
}

static void test_certificates(void **state)
{
	struct sshkey key;
	size_t len;
	uint8_t *blob = decode(ed_cert_b64, &len);

	(void)state;
	assert_int_equal(sshkey_parse(blob, len, &key), SGB_OK);
	assert_true(key.is_cert);
	assert_string_equal(key.fingerprint, ED_CERT_FP);
	assert_string_equal(key.ca_fingerprint, CA_FP);
	assert_string_equal(key.ca_name, "ssh-ed25519");
	assert_int_equal(key.cert_type, 1);
	assert_true(key.verify_required);
	assert_true(key.valid_after == 1577836800);
	assert_true(key.valid_before == 1893456000);
	assert_true(sshkey_algorithm_fits(
		&key, "ssh-ed25519-cert-v01@openssh.com"));
	assert_false(sshkey_algorithm_fits(&key, "ssh-ed25519"));
	free(blob);

	blob = decode(ec384_cert_b64, &len);
	assert_int_equal(sshkey_parse(blob, len, &key), SGB_OK);
	assert_string_equal(key.fingerprint, EC384_CERT_FP);
	assert_string_equal(key.ca_fingerprint, RSACA_FP);
	assert_int_equal(key.ca_bits, 3072);
	assert_int_equal(key.cert_type, 2);
	assert_false(key.verify_required);
	assert_true(key.valid_before == UINT64_MAX);
	free(blob);
}

static void put_sk(struct buf *buf, const char *application)
{
	uint8_t zero[32] = {0};

	buf_init(buf, SSHKEY_MAX_BLOB);
	buf_put_cstring(buf, "sk-ssh-ed25519@openssh.com");
	buf_put_string(buf, zero, sizeof(zero));
	buf_put_cstring(buf, application);
}

static void test_security_keys(void **state)
{
	struct sshkey key;
	uint8_t point[65] = {4};
	struct buf buf;

	(void)state;
	put_sk(&buf, "ssh:work");
	assert_int_equal(sshkey_parse(buf.data, buf.len, &key), SGB_OK);
	assert_int_equal(key.type, SSHKEY_SK_ED25519);
	assert_string_equal(key.sk_application, "ssh:work");
	buf_done(&buf);
	put_sk(&buf, "ssh:\n");
	assert_int_equal(sshkey_parse(buf.data, buf.len, &key), SGB_ERR_FORMAT);
	buf_done(&buf);

	buf_init(&buf, SSHKEY_MAX_BLOB);
	buf_put_cstring(&buf, "sk-ecdsa-sha2-nistp256@openssh.com");
	buf_put_cstring(&buf, "nistp256");
	buf_put_string(&buf, point, sizeof(point));
	buf_put_cstring(&buf, "ssh:");
	assert_int_equal(sshkey_parse(buf.data, buf.len, &key), SGB_OK);
	assert_int_equal(key.type, SSHKEY_SK_ECDSA);
	assert_true(sshkey_algorithm_fits(
		&key, "sk-ecdsa-sha2-nistp256@openssh.com"));
	buf_done(&buf);
}

static enum sgb_err parse_rsa(
	const void *e, size_t e_len, const void *n, size_t n_len)
{
	struct sshkey key;
	enum sgb_err err;
	struct buf buf;

	buf_init(&buf, SSHKEY_MAX_BLOB);
	buf_put_cstring(&buf, "ssh-rsa");
	buf_put_string(&buf, e, e_len);
	buf_put_string(&buf, n, n_len);
	err = sshkey_parse(buf.data, buf.len, &key);
	if (!err)
		assert_int_equal(key.bits, n_len * 8 - (n_len > 256 ? 8 : 1));
	buf_done(&buf);
	return err;
}

static void test_rsa_numbers(void **state)
{
	uint8_t n[4000], lead[257];

	(void)state;
	memset(n, 0x55, sizeof(n));
	memset(lead, 0xff, sizeof(lead));
	lead[0] = 0;
	assert_int_equal(parse_rsa("\x03", 1, n, 256), SGB_OK);
	assert_int_equal(parse_rsa("\x01\x00\x01", 3, lead, 257), SGB_OK);
	assert_int_equal(parse_rsa("\x01", 1, n, 256), SGB_ERR_FORMAT);
	assert_int_equal(parse_rsa("\x04", 1, n, 256), SGB_ERR_FORMAT);
	assert_int_equal(parse_rsa("", 0, n, 256), SGB_ERR_FORMAT);
	assert_int_equal(parse_rsa("\x00\x03", 2, n, 256), SGB_ERR_FORMAT);
	assert_int_equal(parse_rsa("\x03", 1, lead + 1, 256), SGB_ERR_FORMAT);
	assert_int_equal(parse_rsa("\x03", 1, n, 4000), SGB_ERR_FORMAT);
	n[255] = 0x54;
	assert_int_equal(parse_rsa("\x03", 1, n, 256), SGB_ERR_FORMAT);
}

/* No prefix and no extension of a good blob is a good blob. */
static void test_cut_and_longer(void **state)
{
	static const char *const texts[] = {
		ed_b64, ec521_b64, rsa_b64, ed_cert_b64, ec384_cert_b64};
	struct sshkey key;
	uint8_t *blob, *longer;
	size_t i, len, cut;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		blob = decode(texts[i], &len);
		longer = calloc(1, len + 1);
		assert_non_null(longer);
		memcpy(longer, blob, len);
		for (cut = 0; cut < len; cut++)
			assert_int_not_equal(
				sshkey_parse(blob, cut, &key), SGB_OK);
		assert_int_equal(
			sshkey_parse(longer, len + 1, &key), SGB_ERR_FORMAT);
		free(longer);
		free(blob);
	}
}

static void test_names(void **state)
{
	struct sshkey key;
	struct buf buf;
	uint8_t *blob;
	size_t len;

	(void)state;
	buf_init(&buf, 200);
	buf_put_cstring(&buf, "ssh-dss");
	assert_int_equal(
		sshkey_parse(buf.data, buf.len, &key), SGB_ERR_UNSUPPORTED);
	buf_done(&buf);
	assert_int_equal(sshkey_parse("", 0, &key), SGB_ERR_FORMAT);
	blob = decode(rsa_b64, &len);
	assert_int_equal(sshkey_parse(blob, len, &key), SGB_OK);
	assert_true(sshkey_algorithm_fits(&key, "rsa-sha2-256"));
	assert_false(sshkey_algorithm_fits(&key, "ssh-rsa"));
	assert_false(sshkey_algorithm_fits(
		&key, "rsa-sha2-256-cert-v01@openssh.com"));
	assert_false(sshkey_algorithm_fits(&key, NULL));
	free(blob);
}

static void test_base64(void **state)
{
	static const char *const bad[] = {"", "A", "AA", "AAA",
		"A===", "AA==AA==", "AAA AAAA", "AAAA\n",
		"AB==", "AAB=", "====", "AA=A", "-_AA",
		"AAAA====", "AA\xc3\xa4"};
	uint8_t *out = NULL;
	size_t i, len = 0;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(sshkey_base64_decode(
					 bad[i], strlen(bad[i]), &out, &len),
			SGB_ERR_FORMAT);
	assert_null(out);
	assert_int_equal(sshkey_base64_decode("Zm9vYg==", 8, &out, &len), 0);
	assert_int_equal(len, 4);
	assert_memory_equal(out, "foob", 4);
	free(out);
	assert_int_equal(sshkey_base64_decode("+/+/", 4, &out, &len), 0);
	assert_memory_equal(out, "\xfb\xff\xbf", 3);
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_keys),
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_security_keys),
		cmocka_unit_test(test_rsa_numbers),
		cmocka_unit_test(test_cut_and_longer),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
