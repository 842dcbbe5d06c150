/*
 * Unit tests of user certificates: as ssh-keygen signs them and bent by hand,
 * revoked by lists and by KRLs of ssh-keygen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>

#include "../../bastion/authkeys.h"
#include "../../bastion/cert.h"
#include "../../bastion/revoked.h"
#include "../../bastion/usercert_sign.h"
#include "files.h"
#include "keys_blob.h"

/* CAs and keys of every kind. */
static int make_keys(void **state)
{
	if (files_make(state))
		return -1;
	sh("for k in ca ca2 user; do ssh-keygen -q -t ed25519 -N '' -C $k "
	   "-f $k; done; "
	   "ssh-keygen -q -t rsa -b 2048 -N '' -f ca-rsa; "
	   "ssh-keygen -q -t rsa -b 2048 -N '' -f user-rsa; "
	   "for b in 256 384 521; do "
	   "ssh-keygen -q -t ecdsa -b $b -N '' -f ca-$b; done");
	return 0;
}

/* Signs folder/user.pub by CA with these words of ssh-keygen. */
static uint8_t *sign(const char *ca, const char *words, size_t *ret_len)
{
	sh("ssh-keygen -q -s %s -I 'alice laptop' %s user.pub", ca, words);
	return blob_of("user-cert.pub", ret_len);
}

static enum sgb_err parse(
	const char *ca, const char *words, struct usercert *ret)
{
	char why[512] = "";
	size_t len;
	uint8_t *bytes = sign(ca, words, &len);
	enum sgb_err err = usercert_parse(bytes, len, ret, why, sizeof(why));

	if (err && !*why)
		fail_msg("no reason given");
	/* Borrowed: not to be looked at any more. */
	ret->ca = ret->principals = NULL;
	free(bytes);
	return err;
}

static void test_cert_good(void **state)
{
	static const char *const signers[] = {"ca", "ca-256", "ca-384",
		"ca-521", "ca-rsa", "ca-rsa -t rsa-sha2-256"};
	struct usercert cert;
	char why[512];
	uint8_t *bytes;
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(signers) / sizeof(signers[0]); i++)
		assert_int_equal(
			parse(signers[i], "-n alice -V +1h -z 7", &cert),
			SGB_OK);
	assert_string_equal(cert.key_id, "alice laptop");
	assert_int_equal(cert.serial, 7);
	assert_true(cert.pty && cert.forward && cert.agent && cert.x11);
	bytes = sign("ca", "-n alice,bob,a:b -V +1h", &len);
	assert_int_equal(
		usercert_parse(bytes, len, &cert, why, sizeof(why)), SGB_OK);
	assert_true(usercert_names(&cert, "alice"));
	assert_true(usercert_names(&cert, "bob"));
	assert_false(usercert_names(&cert, "alic"));
	assert_false(usercert_names(&cert, "alice,bob"));
	assert_false(usercert_names(&cert, ""));
	free(bytes);
	/* An RSA key inside. */
	sh("ssh-keygen -q -s ca -I x -n alice -V +1h user-rsa.pub");
	bytes = blob_of("user-rsa-cert.pub", &len);
	assert_int_equal(
		usercert_parse(bytes, len, &cert, why, sizeof(why)), SGB_OK);
	free(bytes);
}

static void test_cert_refused(void **state)
{
	struct usercert cert;

	(void)state;
	/* No principal is anybody. */
	assert_int_not_equal(parse("ca", "-V +1h", &cert), SGB_OK);
	assert_int_equal(
		parse("ca", "-h -n alice -V +1h", &cert), SGB_ERR_DENIED);
	assert_int_equal(parse("ca", "-n alice -O critical:surprise=1", &cert),
		SGB_ERR_UNSUPPORTED);
	/* SHA-1 */
	assert_int_equal(parse("ca-rsa", "-t ssh-rsa -n alice", &cert),
		SGB_ERR_UNSUPPORTED);
}

static void test_cert_options(void **state)
{
	struct usercert cert;

	(void)state;
	assert_int_equal(parse("ca",
				 "-n alice -O clear -O permit-pty -O "
				 "force-command='id -u' "
				 "-O source-address=10.0.0.0/8,203.0.113.9 "
				 "-O verify-required -O no-touch-required "
				 "-O extension:who@example.org=me",
				 &cert),
		SGB_OK);
	assert_true(cert.pty && cert.verify_required && cert.no_touch);
	assert_false(cert.forward || cert.agent || cert.x11);
	assert_string_equal(cert.command, "id -u");
	assert_string_equal(cert.source_address, "10.0.0.0/8,203.0.113.9");
	assert_string_equal(cert.unknown_extension, "who@example.org");
}

static enum sgb_err valid(const char *words, const char *from, time_t now)
{
	struct usercert cert;
	struct addr source;
	char why[256];

	assert_int_equal(parse("ca", words, &cert), SGB_OK);
	assert_int_equal(addr_parse(from, &source), SGB_OK);
	return usercert_valid(&cert, &source, now, why, sizeof(why));
}

static void test_cert_valid(void **state)
{
	const char *hour = "-n alice -V 20260615110000Z:20260615120000Z";
	const time_t noon = 1781524800;

	(void)state;
	assert_int_equal(valid(hour, "203.0.113.9", noon - 1), SGB_OK);
	assert_int_equal(valid(hour, "203.0.113.9", noon), SGB_ERR_DENIED);
	assert_int_equal(valid(hour, "203.0.113.9", noon - 3600), SGB_OK);
	assert_int_equal(
		valid(hour, "203.0.113.9", noon - 3601), SGB_ERR_DENIED);
	assert_int_equal(valid("-n alice", "203.0.113.9", noon), SGB_OK);
	assert_int_equal(valid("-n alice -O source-address=203.0.113.0/24",
				 "203.0.113.9", noon),
		SGB_OK);
	assert_int_equal(valid("-n alice -O source-address=203.0.113.0/24",
				 "203.0.114.9", noon),
		SGB_ERR_DENIED);
}

/* What ssh-keygen would not sign: fields put together by hand. */
struct bent {
	const char *critical, *critical2, *critical_value;
	const char *extension, *extension2;
	const char *principal;
	uint32_t type;
	bool cert_as_ca, extra, wrong_key;
};

static void put_option(struct buf *out, const char *name, const char *value)
{
	struct buf inner;

	if (!name)
		return;
	buf_put_cstring(out, name);
	buf_init(&inner, 1024);
	if (value)
		buf_put_cstring(&inner, value);
	buf_put_string(out, inner.data, inner.len);
	buf_done(&inner);
}

static enum sgb_err parse_bent(const struct bent *bent)
{
	EVP_PKEY *ca = NULL, *other = NULL;
	struct buf cert, part;
	struct usercert out;
	char why[512];
	enum sgb_err err;

	assert_int_equal(cert_new_key(&ca), SGB_OK);
	assert_int_equal(cert_new_key(&other), SGB_OK);
	buf_init(&cert, 8192);
	buf_init(&part, 4096);
	buf_put_cstring(&cert, "ssh-ed25519-cert-v01@openssh.com");
	buf_put_cstring(&cert, "nonce");
	buf_put_string(&cert, blob + 19, 32);
	buf_put_u64(&cert, 1);
	buf_put_u32(&cert, bent->type ? bent->type : 1);
	buf_put_cstring(&cert, "id");
	if (bent->principal)
		buf_put_cstring(&part, bent->principal);
	buf_put_string(&cert, part.data, part.len);
	buf_put_u64(&cert, 0);
	buf_put_u64(&cert, UINT64_MAX);
	buf_reset(&part);
	put_option(&part, bent->critical, bent->critical_value);
	put_option(&part, bent->critical2, bent->critical_value);
	buf_put_string(&cert, part.data, part.len);
	buf_reset(&part);
	put_option(&part, bent->extension, NULL);
	put_option(&part, bent->extension2, NULL);
	buf_put_string(&cert, part.data, part.len);
	buf_put_cstring(&cert, "");
	buf_reset(&part);
	if (bent->cert_as_ca)
		buf_put(&part, cert.data, cert.len);
	else
		assert_int_equal(cert_public_blob(ca, &part), SGB_OK);
	buf_put_string(&cert, part.data, part.len);
	buf_reset(&part);
	assert_int_equal(cert_signature(bent->wrong_key ? other : ca, cert.data,
				 cert.len, &part),
		SGB_OK);
	buf_put_string(&cert, part.data, part.len);
	if (bent->extra)
		buf_put_u8(&cert, 0);
	assert_int_equal(buf_error(&cert), SGB_OK);
	err = usercert_parse(cert.data, cert.len, &out, why, sizeof(why));
	buf_done(&part);
	buf_done(&cert);
	EVP_PKEY_free(ca);
	EVP_PKEY_free(other);
	return err;
}

static void test_cert_bent(void **state)
{
	static const struct bent refused[] = {
		{.principal = NULL},
		{.principal = ""},
		{.principal = "alice", .type = 2},
		{.principal = "alice", .type = 3},
		{.principal = "alice", .wrong_key = true},
		{.principal = "alice", .extra = true},
		{.principal = "alice", .cert_as_ca = true},
		{.principal = "alice", .critical = "unknown"},
		/* No value, and a value where there is none. */
		{.principal = "alice", .critical = "force-command"},
		{.principal = "alice",
			.critical = "force-command",
			.critical_value = ""},
		{.principal = "alice", .critical = "source-address"},
		{.principal = "alice",
			.critical = "verify-required",
			.critical_value = "yes"},
		/* Twice, and out of order. */
		{.principal = "alice",
			.critical = "force-command",
			.critical2 = "force-command",
			.critical_value = "id"},
		{.principal = "alice",
			.critical = "source-address",
			.critical2 = "force-command",
			.critical_value = "203.0.113.9"},
		{.principal = "alice",
			.extension = "permit-pty",
			.extension2 = "permit-pty"},
		{.principal = "alice",
			.extension = "permit-pty",
			.extension2 = "permit-agent-forwarding"},
		{.principal = "alice", .extension = ""},
	};
	const struct bent good = {.principal = "alice",
		.critical = "force-command",
		.critical_value = "id",
		.extension = "permit-pty",
		.extension2 = "unknown@example.org"};
	size_t i;

	(void)state;
	assert_int_equal(parse_bent(&good), SGB_OK);
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (!parse_bent(&refused[i]))
			fail_msg("accepted: number %zu", i);
}

/* One bit anywhere: never another certificate. */
static void test_cert_flipped(void **state)
{
	struct usercert cert;
	char why[512];
	size_t len, i;
	uint8_t *bytes = sign("ca", "-n alice -V +1h", &len);

	(void)state;
	for (i = 0; i < len; i++) {
		bytes[i] ^= 1;
		if (!usercert_parse(bytes, len, &cert, why, sizeof(why)))
			fail_msg("accepted with byte %zu changed", i);
		bytes[i] ^= 1;
		if (!usercert_parse(bytes, i, &cert, why, sizeof(why)))
			fail_msg("accepted with %zu bytes", i);
	}
	free(bytes);
}

/* A line of authorized_keys for the CA. */
static enum sgb_err try_ca(
	const char *options, const char *principals, const char *ca)
{
	char words[100], line[600], why[256], path[128], key[300];
	struct authkeys_limits limits;
	struct usercert cert;
	struct addr source;
	uint8_t *bytes;
	enum sgb_err err;
	size_t len;
	FILE *file;

	snprintf(words, sizeof(words), "-n %s", principals);
	bytes = sign("ca", words, &len);
	assert_int_equal(
		usercert_parse(bytes, len, &cert, why, sizeof(why)), SGB_OK);
	assert_int_equal(addr_parse("203.0.113.9", &source), SGB_OK);
	snprintf(path, sizeof(path), "%s/%s.pub", folder, ca);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(key, sizeof(key), file));
	fclose(file);
	key[strcspn(key, "\n")] = '\0';
	snprintf(line, sizeof(line), "%s%s", options, key);
	{
		const struct authkeys_query query = {.user = "alice",
			.blob = cert.ca,
			.blob_len = cert.ca_len,
			.cert = &cert,
			.source = &source,
			.now = 1781524800};

		err = authkeys_line(line, &query, &limits, why, sizeof(why));
	}
	free(bytes);
	return err;
}

static void test_cert_authority(void **state)
{
	(void)state;
	assert_int_equal(try_ca("cert-authority ", "alice", "ca"), SGB_OK);
	assert_int_equal(
		try_ca("cert-authority ", "bob", "ca"), SGB_ERR_DENIED);
	assert_int_equal(
		try_ca("cert-authority ", "alice", "ca2"), SGB_ERR_NOTFOUND);
	assert_int_equal(try_ca("", "alice", "ca"), SGB_ERR_DENIED);
	assert_int_equal(
		try_ca("cert-authority,principals=\"ops,bob\" ", "bob", "ca"),
		SGB_OK);
	assert_int_equal(
		try_ca("cert-authority,principals=\"ops,bob\" ", "alice", "ca"),
		SGB_ERR_DENIED);
	assert_int_equal(
		try_ca("cert-authority,from=\"10.0.0.0/8\" ", "alice", "ca"),
		SGB_ERR_DENIED);
}

/* Is the certificate of serial 7 and id "alice laptop" on this list? */
static enum sgb_err cert_on_list(const char *path)
{
	struct revoked_query query = {0};
	char why[5000];
	struct usercert cert;
	struct buf plain;
	uint8_t *bytes;
	enum sgb_err err;
	size_t len;

	bytes = sign("ca", "-n alice -z 7", &len);
	assert_int_equal(
		usercert_parse(bytes, len, &cert, why, sizeof(why)), SGB_OK);
	buf_init(&plain, 4096);
	usercert_plain(&cert, &plain);
	query.blob = plain.data;
	query.blob_len = plain.len;
	query.fingerprint = cert.key.fingerprint;
	query.cert = &cert;
	err = revoked_check(path_of(path), &query, why, sizeof(why));
	buf_done(&plain);
	free(bytes);
	return err;
}

static void test_cert_revoked(void **state)
{
	static const struct {
		const char *list;
		bool hit;
	} rows[] = {
		{"cat user.pub", true},
		{"cat ca.pub", true},
		{"ssh-keygen -lf ca.pub | cut -d' ' -f2", true},
		{"ssh-keygen -lf user.pub | cut -d' ' -f2", true},
		{"echo serial: 7", true},
		{"echo serial: 5-9", true},
		{"echo 'id: alice laptop'", true},
		{"echo serial: 8; echo id: alice; cat ca2.pub", false},
	};
	static const struct {
		const char *spec, *options;
		bool hit;
	} krls[] = {
		{"echo serial: 7", "-s ca.pub", true},
		{"echo serial: 5-9", "-s ca.pub", true},
		{"seq -f 'serial: %g' 1 2 31", "-s ca.pub", true},
		{"seq -f 'serial: %g' 2 2 30", "-s ca.pub", false},
		{"echo serial: 5-9", "-s ca2.pub", false},
		{"echo 'id: alice laptop'", "-s ca.pub", true},
		{"echo 'id: alice'", "-s ca.pub", false},
		{"cat user.pub", "", true},
		{"cat ca.pub", "", true},
		{"cat ca2.pub", "", false},
		{"echo sha1: $(cat user.pub)", "", true},
		{"echo sha256: $(cat user.pub)", "", true},
		{"echo sha256: $(cat ca.pub)", "", true},
		{"echo sha256: $(cat ca2.pub)", "", false},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sh("{ %s; } >list; chmod 644 list", rows[i].list);
		if (cert_on_list("list") !=
			(rows[i].hit ? SGB_ERR_DENIED : SGB_OK))
			fail_msg("list: %s", rows[i].list);
	}
	for (i = 0; i < sizeof(krls) / sizeof(krls[0]); i++) {
		sh("{ %s; } >spec; rm -f krl; ssh-keygen -q -k -f krl %s spec; "
		   "chmod 644 krl",
			krls[i].spec, krls[i].options);
		if (cert_on_list("krl") !=
			(krls[i].hit ? SGB_ERR_DENIED : SGB_OK))
			fail_msg("krl: %s", krls[i].spec);
	}
}

/* A KRL that ends early, or knows more than we do, refuses. */
static void test_krl_cut(void **state)
{
	struct revoked_query query = {.blob = blob, .blob_len = sizeof(blob)};
	uint8_t bytes[4096];
	size_t len, i;
	FILE *file;

	(void)state;
	sh("{ cat ca2.pub; echo serial: 1; echo id: x; } >spec; rm -f krl; "
	   "ssh-keygen -q -k -f krl -s ca.pub spec");
	file = fopen(path_of("krl"), "re");
	assert_non_null(file);
	len = fread(bytes, 1, sizeof(bytes) - 5, file);
	fclose(file);
	query.fingerprint = "";
	assert_int_equal(krl_check(bytes, len, &query), SGB_OK);
	for (i = 0; i < len; i++)
		if (!krl_check(bytes, i, &query) && i < 44)
			fail_msg("accepted at %zu bytes", i);
	memcpy(bytes + len, "\x09\0\0\0\0", 5);
	assert_int_equal(
		krl_check(bytes, len + 5, &query), SGB_ERR_UNSUPPORTED);
}

/* A security key's signature does not make a CA; nor does SHA-1. */
static void test_signature_kinds(void **state)
{
	static const uint8_t data[] = "data";
	EVP_PKEY *key = NULL;
	struct buf public, signature;

	(void)state;
	assert_int_equal(cert_new_key(&key), SGB_OK);
	buf_init(&public, 1024);
	buf_init(&signature, 1024);
	assert_int_equal(cert_public_blob(key, &public), SGB_OK);
	assert_int_equal(cert_signature(key, data, 4, &signature), SGB_OK);
	assert_int_equal(usercert_verify(public.data, public.len, data, 4,
				 signature.data, signature.len),
		SGB_OK);
	assert_int_equal(usercert_verify(public.data, public.len, data, 3,
				 signature.data, signature.len),
		SGB_ERR_CRYPTO);
	buf_put_u8(&signature, 0);
	assert_int_equal(usercert_verify(public.data, public.len, data, 4,
				 signature.data, signature.len),
		SGB_ERR_FORMAT);
	buf_reset(&signature);
	buf_put_cstring(&signature, "ssh-rsa");
	buf_put_cstring(&signature, "x");
	assert_int_equal(usercert_verify(public.data, public.len, data, 4,
				 signature.data, signature.len),
		SGB_ERR_UNSUPPORTED);
	buf_done(&public);
	buf_done(&signature);
	EVP_PKEY_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cert_good),
		cmocka_unit_test(test_cert_refused),
		cmocka_unit_test(test_cert_options),
		cmocka_unit_test(test_cert_valid),
		cmocka_unit_test(test_cert_bent),
		cmocka_unit_test(test_cert_flipped),
		cmocka_unit_test(test_cert_authority),
		cmocka_unit_test(test_cert_revoked),
		cmocka_unit_test(test_krl_cut),
		cmocka_unit_test(test_signature_kinds),
	};

	make_blob();
	return cmocka_run_group_tests(tests, make_keys, files_remove);
}
