/*
 * Unit tests of the monitor's and the daemon's pure parts: user names,
 * certificates for targets (judged by ssh-keygen), source limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/evp.h>

#include "../../bastion/monitor.h"
#include "../../bastion/cert.h"
#include "../../bastion/refusals.h"
#include "../../bastion/sources.h"
#include "files.h"

static void check_name(const char *text, const char *user, const char *login,
	const char *target, unsigned int port)
{
	char *u = NULL, *l = NULL, *t = NULL;
	uint16_t p = 0;

	assert_int_equal(monitor_name_parse(text, &u, &l, &t, &p), SGB_OK);
	assert_string_equal(u, user);
	assert_true(login ? l && !strcmp(l, login) : !l);
	assert_true(target ? t && !strcmp(t, target) : !t);
	assert_int_equal(p, port);
	free(u);
	free(l);
	free(t);
}

static void test_names(void **state)
{
	static const char *const bad[] = {"", "+web1", "alice+", "alice+@web1",
		"alice+ops@", "../x", "/", "-alice", "al ice", "alice\n",
		"alice+web1:0", "alice+web1:65536", "alice+web1:022",
		"alice+web1:", "alice+a+b", "alice+ops@a@b", "alice+[::1",
		"alice+[::1]x", "alice+ops;x@web1", "alice+web1:22a",
		"alice+fe80::1%eth0", "%s", "alice\033"};
	char *u, *l, *t;
	uint16_t p;
	size_t i;

	(void)state;
	check_name("alice", "alice", NULL, NULL, 0);
	check_name("alice+web1", "alice", NULL, "web1", 0);
	check_name("alice+ops@web1", "alice", "ops", "web1", 0);
	check_name("alice+ops@web1:2222", "alice", "ops", "web1", 2222);
	check_name("alice+ops@10.0.1.11", "alice", "ops", "10.0.1.11", 0);
	check_name("alice+[2001:db8::1]:22", "alice", NULL, "2001:db8::1", 22);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(
			monitor_name_parse(bad[i], &u, &l, &t, &p), SGB_OK);
}

/* The certificate as ssh-keygen sees it. */
static void read_certificate(const struct buf *cert, char *out, size_t out_len)
{
	char path[] = "/tmp/sgb-cert.XXXXXX", command[128], base64[2048];
	FILE *file;
	size_t got;
	int fd;

	assert_true(4 * (cert->len + 2) / 3 + 1 < sizeof(base64));
	(void)EVP_EncodeBlock(
		(unsigned char *)base64, cert->data, (int)cert->len);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	dprintf(fd, "ssh-ed25519-cert-v01@openssh.com %s\n", base64);
	close(fd);
	snprintf(command, sizeof(command), "ssh-keygen -L -f %s", path);
	file = popen(command, "r");
	assert_non_null(file);
	got = fread(out, 1, out_len - 1, file);
	out[got] = '\0';
	assert_int_equal(pclose(file), 0);
	(void)unlink(path);
}

static void test_certificate(void **state)
{
	struct cert_request request = {
		.serial = 42,
		.key_id = "alice from 203.0.113.9",
		.principal = "ops",
		.source_address = "10.0.1.1",
		.valid_after = 1000,
		.valid_before = 2000,
		.pty = true,
	};
	char text[4096];
	struct buf cert;

	(void)state;
	buf_init(&cert, 16384);
	assert_int_equal(cert_new_key(&request.ca), SGB_OK);
	assert_int_equal(cert_new_key(&request.leaf), SGB_OK);
	assert_int_equal(cert_sign(&request, &cert), SGB_OK);
	read_certificate(&cert, text, sizeof(text));
	assert_non_null(strstr(text, "user certificate"));
	assert_non_null(strstr(text, "Serial: 42"));
	assert_non_null(strstr(text, "Key ID: \"alice from 203.0.113.9\""));
	assert_non_null(strstr(text, "ops"));
	assert_non_null(strstr(text, "source-address 10.0.1.1"));
	assert_non_null(strstr(text, "permit-pty"));
	assert_null(strstr(text, "permit-agent-forwarding"));
	assert_null(strstr(text, "permit-port-forwarding"));
	buf_reset(&cert);
	request.agent = request.x11 = request.forward = true;
	assert_int_equal(cert_sign(&request, &cert), SGB_OK);
	read_certificate(&cert, text, sizeof(text));
	assert_non_null(strstr(text, "permit-X11-forwarding"));
	/* A certificate for anyone, from anywhere or for ever is refused. */
	request.principal = "";
	assert_int_equal(cert_sign(&request, &cert), SGB_ERR_FORMAT);
	request.principal = "ops";
	request.source_address = "";
	assert_int_equal(cert_sign(&request, &cert), SGB_ERR_FORMAT);
	request.source_address = "10.0.1.1";
	request.valid_before = 1000;
	assert_int_equal(cert_sign(&request, &cert), SGB_ERR_FORMAT);
	EVP_PKEY_free(request.ca);
	EVP_PKEY_free(request.leaf);
	buf_done(&cert);
}

static void test_ca_file(void **state)
{
	const char *path;
	char why[512] = "";
	EVP_PKEY *key = NULL;

	assert_int_equal(files_make(state), 0);
	path = path_of("ca");
	sh("ssh-keygen -q -t ed25519 -N '' -f ca");
	assert_int_equal(cert_ca_load(path, &key, why, sizeof(why)), SGB_OK);
	EVP_PKEY_free(key);
	key = NULL;
	sh("ssh-keygen -q -p -N secret123 -f ca");
	assert_int_not_equal(
		cert_ca_load(path, &key, why, sizeof(why)), SGB_OK);
	assert_non_null(strstr(why, "has a passphrase"));
	assert_null(key);
	assert_int_equal(files_remove(state), 0);
}

static void test_sources(void **state)
{
	char *exempt[] = {"10.0.0.0/8", NULL};
	struct conf_list list = {.items = exempt, .count = 1};
	struct sources *sources = NULL;
	struct addr a, b, c;
	const char *bad;

	(void)state;
	assert_int_equal(addr_parse("2001:db8::1", &a), SGB_OK);
	assert_int_equal(addr_parse("2001:db8::ffff:2", &b), SGB_OK);
	assert_int_equal(addr_parse("10.1.1.1", &c), SGB_OK);
	assert_int_equal(sources_new(&sources), SGB_OK);
	assert_int_equal(sources_set_exempt(sources, &list, &bad), SGB_OK);
	/* One /64 is one source. */
	assert_int_equal(sources_admit(sources, &a, 1000, 2), SOURCES_ADMIT);
	assert_int_equal(sources_admit(sources, &b, 1000, 2), SOURCES_ADMIT);
	assert_int_equal(
		sources_admit(sources, &a, 1000, 2), SOURCES_REFUSE_LIMIT);
	sources_release(sources, &b);
	assert_int_equal(sources_admit(sources, &a, 1000, 2), SOURCES_ADMIT);
	sources_release(sources, &a);
	sources_release(sources, &a);
	/* Two failures are forgiven, the third is felt, and it ends. */
	sources_penalise(sources, &a, MONITOR_PENALTY_AUTH, 1000);
	sources_penalise(sources, &a, MONITOR_PENALTY_AUTH, 1000);
	assert_int_equal(sources_admit(sources, &a, 1000, 9), SOURCES_ADMIT);
	sources_penalise(sources, &a, MONITOR_PENALTY_AUTH, 1000);
	assert_int_equal(
		sources_admit(sources, &a, 1001, 9), SOURCES_REFUSE_PENALTY);
	assert_int_equal(sources_penalised(sources, 1001), 1);
	assert_int_equal(sources_admit(sources, &a, 16000, 9), SOURCES_ADMIT);
	/* An exempt network is not penalised. */
	sources_penalise(sources, &c, MONITOR_PENALTY_CRASH, 1000);
	assert_int_equal(sources_admit(sources, &c, 1001, 9), SOURCES_ADMIT);
	exempt[0] = "office";
	assert_int_equal(
		sources_set_exempt(sources, &list, &bad), SGB_ERR_FORMAT);
	assert_string_equal(bad, "office");
	sources_free(sources);
}

/* More sources than the table holds: bounded, and the newest still counts. */
static void test_sources_overflow(void **state)
{
	struct sources *sources = NULL;
	struct addr addr = {.family = 2};
	uint32_t i;

	(void)state;
	assert_int_equal(sources_new(&sources), SGB_OK);
	for (i = 0; i < 200000; i++) {
		memcpy(addr.bytes, &i, sizeof(i));
		sources_penalise(
			sources, &addr, MONITOR_PENALTY_CRASH, 1000 + i);
	}
	assert_int_equal(sources_admit(sources, &addr, 201001, 9),
		SOURCES_REFUSE_PENALTY);
	sources_free(sources);
}

/* One event for each source in ten seconds; what is left out is counted. */
static void test_refusals(void **state)
{
	struct refusals refusals = {0};
	struct addr loud, quiet, neighbour, many = {.family = AF_INET};
	uint64_t others = 99, left = 0;
	uint32_t i;

	(void)state;
	assert_int_equal(addr_parse("2001:db8::1", &loud), SGB_OK);
	assert_int_equal(addr_parse("2001:db8::9:2", &neighbour), SGB_OK);
	assert_int_equal(addr_parse("203.0.113.9", &quiet), SGB_OK);
	assert_int_equal(refusals_count(&refusals, &loud, 5, &others), 1);
	assert_int_equal(others, 0);
	for (i = 0; i < 50; i++)
		assert_int_equal(
			refusals_count(&refusals, &neighbour, 6, &others), 0);
	/* Nobody else is hidden by that. */
	assert_int_equal(refusals_count(&refusals, &quiet, 7, &others), 1);
	assert_int_equal(refusals_count(&refusals, &loud, 10004, &others), 0);
	assert_int_equal(refusals_count(&refusals, &loud, 10005, &others), 52);
	assert_int_equal(others, 0);
	/* More of them than there are places: counted all the same. */
	for (i = 0; i < 100; i++) {
		memcpy(many.bytes, &i, sizeof(i));
		left += !refusals_count(&refusals, &many, 10006, &others);
	}
	assert_int_equal(left, 100 - (REFUSALS_MAX - 2));
	assert_int_equal(refusals_count(&refusals, &loud, 20005, &others), 1);
	assert_int_equal(others, left);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_certificate),
		cmocka_unit_test(test_ca_file),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_sources_overflow),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
