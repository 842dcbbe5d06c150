/*
 * Unit tests of host keys: which source vouches for which key, certificates,
 * and the fetching of one.
 */
#include "hostkey_room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../bastion/hostkey.h"
#include "../../bastion/knownhosts.h"
#include "../../bastion/session_hostcert.h"

static struct hostkey_result judged;

/* Judges a.pub of web1 by this text, with these pins. */
static enum hostkey_verdict judge_at(const char *text, const char *pin,
	const char *name, uint16_t port, const char *cert)
{
	const char *pins[] = {pin, NULL};
	char *files[] = {path_of("known"), NULL};
	const struct conf_list list = {files, 1};
	struct hostkey_node node = {
		.name = name,
		.port = port,
		.pins = pins,
		.files = &list,
		.cache = path_of("cache"),
	};
	size_t len, cert_len = 0;
	uint8_t *blob = blob_of("a.pub", &len), *bytes = NULL;

	put_file("known", text, 0644);
	if (cert)
		bytes = blob_of(cert, &cert_len);
	if (cert)
		hostkey_judge_certificate(
			&node, blob, len, bytes, cert_len, 1781524800, &judged);
	else
		hostkey_judge(&node, blob, len, 1781524800, &judged);
	free(blob);
	free(bytes);
	if (judged.verdict == HOSTKEY_REFUSED &&
		(!judged.why[0] || !judged.public_text))
		fail_msg("refused without a reason");
	if (judged.verdict == HOSTKEY_ACCEPTED && !judged.by[0])
		fail_msg("accepted by nobody");
	return judged.verdict;
}

static char *text_of(const char *fmt, ...)
{
	static char out[4096];
	const char *at;
	size_t used = 0;

	(void)fmt;
	for (at = fmt; *at; at++) {
		if (*at == '%' && at[1] >= '0' && at[1] <= '2')
			used += (size_t)snprintf(out + used, sizeof(out) - used,
				"%s", key_text[*++at - '0']);
		else if (used + 1 < sizeof(out))
			out[used++] = *at;
	}
	out[used] = '\0';
	return out;
}

static enum hostkey_verdict judge(const char *fmt)
{
	return judge_at(text_of(fmt), NULL, "web1", 22, NULL);
}

static void test_judge(void **state)
{
	(void)state;
	assert_int_equal(judge("web1 %0\n"), HOSTKEY_ACCEPTED);
	assert_non_null(strstr(judged.by, "known:1"));
	assert_int_equal(judge("# here\nweb1 %1\nweb* %0\n"), HOSTKEY_ACCEPTED);
	assert_non_null(strstr(judged.by, "known:3"));
	assert_int_equal(judge(""), HOSTKEY_REFUSED);
	assert_string_equal(judged.public_text, "is not known");
	assert_int_equal(judge("10.0.1.11 %0\n"), HOSTKEY_REFUSED);
	assert_int_equal(judge("web1 %1\n"), HOSTKEY_REFUSED);
	assert_string_equal(judged.public_text, "is not the one that is known");
	assert_non_null(strstr(judged.why, "known:1"));
	/* Revoked, by whichever line, before or behind. */
	assert_int_equal(judge("web1 %0\n@revoked * %0\n"), HOSTKEY_REFUSED);
	assert_string_equal(judged.public_text, "is revoked");
	assert_int_equal(judge("@revoked db1 %0\nweb1 %0\n"), HOSTKEY_ACCEPTED);
	/* A CA's own key is no host's. */
	assert_int_equal(judge("@cert-authority web1 %0\n"), HOSTKEY_WANTED);
	/* A mistake anywhere. */
	assert_int_equal(judge("web1 %0\n@revoke web2 %1\n"), HOSTKEY_REFUSED);
	assert_string_equal(judged.public_text, "cannot be checked");
	assert_non_null(
		strstr(judged.why, "known:2: expected @cert-authority"));
	assert_int_equal(judge("web1 %0\nweb1 nonsense\n"), HOSTKEY_REFUSED);
	assert_non_null(strstr(judged.why, "known:2: expected names"));
	/* A key of somebody else's is his affair. */
	assert_int_equal(judge("web1 %0\nweb2 nonsense\n"), HOSTKEY_ACCEPTED);
}

static void test_ports(void **state)
{
	(void)state;
	assert_int_equal(
		judge_at(text_of("[web1]:2222 %0\n"), NULL, "web1", 2222, NULL),
		HOSTKEY_ACCEPTED);
	assert_int_equal(
		judge_at(text_of("web1 %0\n"), NULL, "web1", 2222, NULL),
		HOSTKEY_ACCEPTED);
	/* The more exact line counts alone. */
	assert_int_equal(judge_at(text_of("web1 %0\n[web1]:2222 %1\n"), NULL,
				 "web1", 2222, NULL),
		HOSTKEY_REFUSED);
	assert_int_equal(judge_at(text_of("[web1]:2222 %0\n@revoked web1 %0\n"),
				 NULL, "web1", 2222, NULL),
		HOSTKEY_REFUSED);
}

static void test_pins(void **state)
{
	char fp_a[SSHKEY_FP_MAX], fp_b[SSHKEY_FP_MAX];
	size_t len;
	uint8_t *blob = blob_of("a.pub", &len);

	(void)state;
	assert_int_equal(sshkey_fingerprint(blob, len, fp_a), SGB_OK);
	free(blob);
	blob = blob_of("b.pub", &len);
	assert_int_equal(sshkey_fingerprint(blob, len, fp_b), SGB_OK);
	free(blob);
	assert_int_equal(
		judge_at("", fp_a, "web1", 22, NULL), HOSTKEY_ACCEPTED);
	assert_string_equal(judged.by, "pinned in the policy");
	/* Pinned is pinned, whatever a file says. */
	assert_int_equal(judge_at(text_of("web1 %0\n"), fp_b, "web1", 22, NULL),
		HOSTKEY_REFUSED);
	assert_int_equal(judge_at(text_of("@cert-authority * %2\n"), fp_b,
				 "web1", 22, NULL),
		HOSTKEY_REFUSED);
	assert_int_equal(
		judge_at(text_of("@revoked * %0\n"), fp_a, "web1", 22, NULL),
		HOSTKEY_REFUSED);
}

static void sign(const char *ca, const char *words)
{
	sh("ssh-keygen -q -s %s -I 'web one' %s a.pub", ca, words);
}

static enum hostkey_verdict judge_cert(const char *ca, const char *words)
{
	sign(ca, words);
	return judge_at(text_of("@cert-authority * %2\n"), NULL, "web1", 22,
		"a-cert.pub");
}

#define NOON "-V 20260615110000Z:20260615130000Z"

static void test_certificates(void **state)
{
	(void)state;
	assert_int_equal(
		judge_cert("ca", "-h -n web1 " NOON), HOSTKEY_ACCEPTED);
	assert_non_null(strstr(judged.by, "certificate \"web one\""));
	assert_non_null(strstr(judged.by, "known:1"));
	/* What was good is kept, and then vouches without being fetched. */
	assert_int_equal(judge("@cert-authority * %2\n"), HOSTKEY_ACCEPTED);
	assert_int_equal(judge("@cert-authority * %1\n"), HOSTKEY_WANTED);
	assert_int_equal(
		judge("@cert-authority * %2\n@revoked * %2\n"), HOSTKEY_WANTED);
	assert_int_equal(judge("web1 %1\n"), HOSTKEY_REFUSED);
	sh("rm cache/*");
	assert_int_equal(judge("@cert-authority * %2\n"), HOSTKEY_WANTED);
	assert_int_equal(
		judge_cert("ca", "-h -n 'w?b*' " NOON), HOSTKEY_ACCEPTED);
	sh("rm -f cache/*");
	assert_int_equal(
		judge_cert("ca", "-h -n db1,web2 " NOON), HOSTKEY_REFUSED);
	assert_non_null(strstr(judged.why, "it is not for web1"));
	assert_int_equal(judge_cert("ca", "-h " NOON), HOSTKEY_REFUSED);
	assert_non_null(strstr(judged.why, "names no principal"));
	assert_int_equal(judge_cert("ca", "-n web1 " NOON), HOSTKEY_REFUSED);
	assert_non_null(strstr(judged.why, "for a user, not a host"));
	assert_int_equal(
		judge_cert("ca2", "-h -n web1 " NOON), HOSTKEY_REFUSED);
	assert_non_null(strstr(judged.why, "its CA"));
	assert_int_equal(judge_cert("ca", "-h -n web1 -V "
					  "20260615100000Z:20260615110000Z"),
		HOSTKEY_REFUSED);
	assert_non_null(strstr(judged.why, "expired"));
	assert_int_equal(judge_cert("ca", "-h -n web1 -V "
					  "20260615130000Z:20260615140000Z"),
		HOSTKEY_REFUSED);
	assert_non_null(strstr(judged.why, "not valid yet"));
	assert_int_equal(judge_cert("ca", "-h -n web1 -O critical:odd=1 " NOON),
		HOSTKEY_REFUSED);
	assert_non_null(strstr(judged.why, "critical option odd"));
	assert_int_equal(
		judge_cert("ca", "-h -n web1 -O extension:odd=1 " NOON),
		HOSTKEY_ACCEPTED);
	/* None of the refused ones was kept. */
	sh("rm cache/web1; test -z \"$(ls cache)\"");
}

static void test_certificate_of_another(void **state)
{
	(void)state;
	sh("ssh-keygen -q -s ca -I b -h -n web1 " NOON " b.pub");
	assert_int_equal(judge_at(text_of("@cert-authority * %2\n"), NULL,
				 "web1", 22, "b-cert.pub"),
		HOSTKEY_REFUSED);
	assert_non_null(strstr(judged.why, "it is for another key"));
	sign("ca", "-h -n web1 " NOON);
	assert_int_equal(
		judge_at(text_of("@cert-authority * %2\n@revoked web1 %2\n"),
			NULL, "web1", 22, "a-cert.pub"),
		HOSTKEY_REFUSED);
	assert_string_equal(judged.public_text, "is revoked");
	assert_int_equal(judge_at(text_of("@cert-authority db* %2\n"), NULL,
				 "web1", 22, "a-cert.pub"),
		HOSTKEY_REFUSED);
}

/* A symbolic link, or a file that others may write, is no source. */
static void test_unsafe(void **state)
{
	char *files[] = {path_of("known"), NULL};
	const struct conf_list list = {files, 1};
	struct hostkey_node node = {
		.name = "web1", .port = 22, .files = &list, .cache = "/none"};
	char why[512];

	(void)state;
	put_file("known", text_of("web1 %0\n"), 0644);
	assert_true(hostkey_any(&node));
	sh("chmod 0666 known");
	assert_false(hostkey_any(&node));
	assert_int_not_equal(
		hostkey_check_file(files[0], why, sizeof(why)), SGB_OK);
	sh("rm known");
	assert_false(hostkey_any(&node));
	assert_int_not_equal(
		hostkey_check_file(files[0], why, sizeof(why)), SGB_OK);
}

static void test_algorithms(void **state)
{
	char *files[] = {path_of("known"), NULL};
	const struct conf_list list = {files, 1};
	struct hostkey_node node = {
		.name = "web1", .port = 22, .files = &list, .cache = "/none"};
	char out[256];
	size_t len;
	char *rsa = get_file("r.pub", &len), line[2048];

	(void)state;
	snprintf(line, sizeof(line), "web1 %s", rsa);
	put_file("known", line, 0644);
	hostkey_algorithms(&node, out, sizeof(out));
	assert_int_equal(
		strncmp(out, "rsa-sha2-512,rsa-sha2-256,ssh-ed25519,", 38), 0);
	put_file("known", "", 0644);
	hostkey_algorithms(&node, out, sizeof(out));
	assert_int_equal(strncmp(out, "ssh-ed25519,ecdsa-", 18), 0);
	free(rsa);
}

static void put_packet(struct buf *out, const struct buf *payload)
{
	size_t pad = 16 - (payload->len + 5) % 8;

	buf_put_u32(out, (uint32_t)(payload->len + pad + 1));
	buf_put_u8(out, (uint8_t)pad);
	buf_put(out, payload->data, payload->len);
	buf_put(out, "0123456789abcdef", pad);
}

static void put_kexinit(struct buf *out, const char *kex, const char *keys)
{
	struct buf payload;
	int i;

	buf_init(&payload, 4096);
	buf_put_u8(&payload, 20);
	buf_put(&payload, "cookiecookiecook", 16);
	buf_put_cstring(&payload, kex);
	buf_put_cstring(&payload, keys);
	for (i = 0; i < 8; i++)
		buf_put_cstring(&payload, "none");
	buf_put_u8(&payload, 0);
	buf_put_u32(&payload, 0);
	put_packet(out, &payload);
	buf_done(&payload);
}

static void put_reply(struct buf *out, const char *blob)
{
	struct buf payload;

	buf_init(&payload, 4096);
	buf_put_u8(&payload, 2); /* IGNORE, before it */
	buf_put_cstring(&payload, "x");
	put_packet(out, &payload);
	buf_reset(&payload);
	buf_put_u8(&payload, 31);
	buf_put_cstring(&payload, blob);
	buf_put_cstring(&payload, "point");
	buf_put_cstring(&payload, "signature");
	put_packet(out, &payload);
	buf_done(&payload);
}

#define CERT_NAME "ssh-ed25519-cert-v01@openssh.com"

/* A host of these words, by pieces of so many bytes. */
static enum hostcert_state fetch(const char *banner, const char *kex,
	const char *keys, size_t piece, struct hostcert *hc)
{
	struct buf host;
	size_t at, n;

	buf_init(&host, 65536);
	buf_put(&host, banner, strlen(banner));
	put_kexinit(&host, kex, keys);
	put_reply(&host, "the certificate");
	hostcert_init(hc, "ssh-ed25519");
	for (at = 0; at < host.len; at += n) {
		n = host.len - at < piece ? host.len - at : piece;
		hostcert_feed(hc, host.data + at, n);
	}
	buf_done(&host);
	return hc->state;
}

static void test_fetch(void **state)
{
	static const char banner[] = "hello\r\nSSH-2.0-OpenSSH_9.2p1\r\n";
	struct hostcert hc;
	size_t piece;

	(void)state;
	for (piece = 1; piece < 4000; piece = piece * 3 + 1) {
		assert_int_equal(fetch(banner, "x,curve25519-sha256", CERT_NAME,
					 piece, &hc),
			HOSTCERT_DONE);
		assert_int_equal(hc.blob.len, strlen("the certificate"));
		assert_memory_equal(hc.blob.data, "the certificate", 15);
		/* Its greeting, its KEXINIT, its point: unencrypted. */
		assert_memory_equal(hc.out.data, "SSH-2.0-", 8);
		hostcert_done(&hc);
	}
	assert_int_equal(fetch(banner, "ecdh-sha2-nistp256",
				 "ssh-rsa," CERT_NAME, 99, &hc),
		HOSTCERT_DONE);
	hostcert_done(&hc);
	/* No certificate, no exchange in common, not SSH 2, no SSH at all. */
	assert_int_equal(
		fetch(banner, "curve25519-sha256", "ssh-ed25519", 99, &hc),
		HOSTCERT_FAILED);
	hostcert_done(&hc);
	assert_int_equal(fetch(banner, "diffie-hellman-group14-sha256",
				 CERT_NAME, 99, &hc),
		HOSTCERT_FAILED);
	hostcert_done(&hc);
	assert_int_equal(fetch("SSH-1.5-old\r\n", "curve25519-sha256",
				 CERT_NAME, 99, &hc),
		HOSTCERT_FAILED);
	hostcert_done(&hc);
}

static void test_fetch_limits(void **state)
{
	static uint8_t noise[70000];
	struct hostcert hc;
	size_t i;

	(void)state;
	/* A line, or a packet, without end. */
	memset(noise, 'x', sizeof(noise));
	hostcert_init(&hc, "ssh-ed25519");
	assert_int_equal(hostcert_feed(&hc, noise, 9000), HOSTCERT_FAILED);
	hostcert_done(&hc);
	hostcert_init(&hc, "ssh-ed25519");
	for (i = 0; i < 2000; i++)
		hostcert_feed(&hc, "x\r\n", 3);
	assert_int_equal(hc.state, HOSTCERT_FAILED);
	hostcert_done(&hc);
	hostcert_init(&hc, "ssh-ed25519");
	hostcert_feed(&hc, "SSH-2.0-x\n", 10);
	assert_int_equal(hc.state, HOSTCERT_KEXINIT);
	assert_int_equal(hostcert_feed(&hc, noise, 8), HOSTCERT_FAILED);
	hostcert_done(&hc);
	/* An end in between. */
	hostcert_init(&hc, "ssh-ed25519");
	assert_int_equal(hostcert_feed(&hc, NULL, 0), HOSTCERT_FAILED);
	hostcert_done(&hc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_certificate_of_another),
		cmocka_unit_test(test_unsafe),
		cmocka_unit_test(test_algorithms),
		cmocka_unit_test(test_fetch),
		cmocka_unit_test(test_fetch_limits),
	};

	return cmocka_run_group_tests(tests, setup, files_remove);
}
