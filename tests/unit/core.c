/*
 * Unit tests of core/: buffers, readers, addresses, files, sealed records,
 * settings, messages. No root needed; everything happens in a private folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/addr.h"
#include "core/buf.h"
#include "core/conf.h"
#include "core/file.h"
#include "core/msg.h"
#include "core/log.h"
#include "core/secret.h"
#include "files.h"

static void test_buf_limit_is_sticky(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 8);
	buf_put_u32(&buf, 1);
	buf_put_u64(&buf, 2);
	assert_int_equal(buf_error(&buf), SGB_ERR_LIMIT);
	buf_put_u8(&buf, 3);
	assert_int_equal(buf.len, 4);
	assert_int_equal(buf_error(&buf), SGB_ERR_LIMIT);
	buf_done(&buf);
}

static void test_buf_round_trip(void **state)
{
	struct reader rd;
	struct buf buf;
	char *text;

	(void)state;
	buf_init(&buf, 4096);
	buf_put_u8(&buf, 0xfe);
	buf_put_u16(&buf, 0xfedc);
	buf_put_u32(&buf, 0xfedcba98);
	buf_put_u64(&buf, 0xfedcba9876543210);
	buf_put_le16(&buf, 0x1234);
	buf_put_le32(&buf, 0x12345678);
	buf_put_le64(&buf, 0x123456789abcdef0);
	buf_put_cstring(&buf, "web1");
	buf_printf(&buf, "%d", 42);
	assert_int_equal(buf_error(&buf), SGB_OK);
	assert_int_equal(buf.data[1], 0xfe);
	assert_int_equal(buf.data[15], 0x34);
	reader_init(&rd, buf.data, buf.len);
	assert_int_equal(reader_u8(&rd), 0xfe);
	assert_int_equal(reader_u16(&rd), 0xfedc);
	assert_int_equal(reader_u32(&rd), 0xfedcba98);
	assert_true(reader_u64(&rd) == 0xfedcba9876543210);
	assert_int_equal(reader_le16(&rd), 0x1234);
	assert_int_equal(reader_le32(&rd), 0x12345678);
	assert_true(reader_le64(&rd) == 0x123456789abcdef0);
	text = reader_cstring(&rd, 16);
	assert_string_equal(text, "web1");
	free(text);
	assert_int_equal(reader_end(&rd), SGB_ERR_FORMAT);
	assert_memory_equal(reader_bytes(&rd, 2), "42", 2);
	assert_int_equal(reader_end(&rd), SGB_OK);
	buf_done(&buf);
}

static void test_reader_refuses(void **state)
{
	static const uint8_t longer[] = {0, 0, 0, 9, 'a'};
	static const uint8_t nul[] = {0, 0, 0, 2, 'a', 0};
	struct reader rd;
	size_t len;

	(void)state;
	reader_init(&rd, longer, sizeof(longer));
	assert_null(reader_string(&rd, &len));
	assert_int_equal(len, 0);
	assert_int_equal(reader_end(&rd), SGB_ERR_FORMAT);
	reader_init(&rd, nul, sizeof(nul));
	assert_null(reader_cstring(&rd, 16));
	assert_int_equal(reader_end(&rd), SGB_ERR_FORMAT);
	reader_init(&rd, nul, sizeof(nul));
	assert_null(reader_cstring(&rd, 1));
}

static void test_reader_is(void **state)
{
	struct buf buf;
	struct reader rd;

	(void)state;
	buf_init(&buf, 64);
	buf_put_cstring(&buf, "one");
	buf_put_cstring(&buf, "");
	buf_put_cstring(&buf, "longer");
	reader_init(&rd, buf.data, buf.len);
	assert_true(reader_is_text(&rd, "one"));
	assert_true(reader_is(&rd, NULL, 0));
	assert_false(reader_is_text(&rd, "long"));
	/* The end of all strings is not the empty one. */
	assert_false(reader_is(&rd, NULL, 0));
	assert_int_equal(rd.err, SGB_ERR_FORMAT);
	reader_init(&rd, buf.data, buf.len);
	assert_false(reader_is_text(&rd, "onf"));
	buf_done(&buf);
}

static void test_addr_strict(void **state)
{
	static const char *const bad[] = {"127.1", "0x7f.1", "0177.0.0.1",
		"010.0.0.1", "2130706433", "1.2.3", "", " 1.2.3.4", "1.2.3.4 ",
		"fe80::1%eth0", "1.2.3.256", "web1", "::g"};
	struct addr a, b;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(addr_parse(bad[i], &a), SGB_ERR_FORMAT);
	assert_int_equal(addr_parse("::ffff:10.0.0.5", &a), SGB_OK);
	assert_int_equal(addr_parse("10.0.0.5", &b), SGB_OK);
	assert_true(addr_equal(&a, &b));
	assert_int_equal(addr_parse("2001:DB8:0::1", &a), SGB_OK);
	assert_int_equal(addr_parse("2001:db8::1", &b), SGB_OK);
	assert_true(addr_equal(&a, &b));
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	assert_false(addr_equal(&a, &b));
}

static void check_net(const char *net_text, const char *addr_text_in, bool in)
{
	struct addr_net net;
	struct addr addr;

	assert_int_equal(addr_net_parse(net_text, &net), SGB_OK);
	assert_int_equal(addr_parse(addr_text_in, &addr), SGB_OK);
	assert_int_equal(addr_in_net(&addr, &net), in);
}

static void test_networks(void **state)
{
	static const char *const bad[] = {"10.0.0.0/33", "10.0.0.0/-1",
		"10.0.0.0/08", "10.0.0.0/", "/8", "10.0.0.0/8x",
		"2001:db8::/129", "10.0.0.0/255.0.0.0"};
	struct addr_net net, wide;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(addr_net_parse(bad[i], &net), SGB_ERR_FORMAT);
	assert_int_equal(addr_net_parse("10.0.0.1/8", &net), SGB_ERR_LIMIT);
	check_net("10.0.0.0/8", "10.255.0.1", true);
	check_net("10.0.0.0/8", "11.0.0.1", false);
	check_net("10.0.0.0/9", "10.128.0.1", false);
	check_net("0.0.0.0/0", "8.8.8.8", true);
	check_net("0.0.0.0/0", "2001:db8::1", false);
	check_net("2001:db8:7::/48", "2001:db8:7:ffff::1", true);
	check_net("2001:db8:7::/48", "2001:db8:8::1", false);
	check_net("203.0.113.9", "203.0.113.9", true);
	check_net("203.0.113.9", "203.0.113.8", false);
	check_net("::ffff:10.0.0.0/104", "10.1.2.3", true);
	assert_int_equal(addr_net_parse("10.0.0.0/8", &wide), SGB_OK);
	assert_int_equal(addr_net_parse("10.1.0.0/16", &net), SGB_OK);
	assert_true(addr_net_covers(&wide, &net));
	assert_false(addr_net_covers(&net, &wide));
}

static void test_forbidden_targets(void **state)
{
	static const char *const forbidden[] = {"127.0.0.1", "127.9.9.9",
		"0.0.0.0", "169.254.169.254", "100.100.100.200", "::1",
		"::", "fd00:ec2::254", "168.63.129.16", "224.0.0.1", "fe80::1",
		"::ffff:127.0.0.1", "255.255.255.255", "::127.0.0.1",
		"::169.254.169.254", "::ffff:0:169.254.169.254",
		"64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254",
		"64:ff9b::100.100.100.200", "64:ff9b::a9fe:a9fe",
		"64:ff9b:1::1", "64:ff9b:1:fffe::169.254.169.254",
		"2002:7f00:1::1", "2002:a9fe:a9fe::1",
		"2002:6464:64c8::", "2001::1", "fd00:ec2::253", "fd20:ce::254",
		"fd00:42::42", "192.0.0.192"};
	static const char *const allowed[] = {"10.0.1.11", "100.100.100.201",
		"64:ff9b::10.0.1.11", "2002:a00:10b::1", "2001:db8::1",
		"fd00:ec3::254", "::ffff:10.0.1.11"};
	struct addr addr = {0};
	size_t i;

	(void)state;
	assert_true(addr_is_forbidden_target(&addr));
	for (i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		assert_int_equal(addr_parse(forbidden[i], &addr), SGB_OK);
		assert_true(addr_is_forbidden_target(&addr));
	}
	for (i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		assert_int_equal(addr_parse(allowed[i], &addr), SGB_OK);
		assert_false(addr_is_forbidden_target(&addr));
	}
}

static enum sgb_err try_read(const char *name, enum file_trust trust)
{
	char why[512] = "";
	struct buf buf;
	enum sgb_err err;

	buf_init(&buf, 64);
	err = file_read(path_of(name), trust, &buf, why, sizeof(why));
	if (err)
		/* What is wrong may be the folder; it is named either way. */
		assert_non_null(strstr(why, folder));
	buf_done(&buf);
	return err;
}

static void test_files(void **state)
{
	(void)state;
	put_file("good", "text", 0644);
	assert_int_equal(try_read("good", FILE_TRUST_ROOT), SGB_OK);
	assert_int_equal(try_read("good", FILE_TRUST_SECRET), SGB_ERR_UNSAFE);
	put_file("secret", "text", 0400);
	assert_int_equal(try_read("secret", FILE_TRUST_SECRET), SGB_OK);
	put_file("world", "text", 0646);
	assert_int_equal(try_read("world", FILE_TRUST_ROOT), SGB_ERR_UNSAFE);
	put_file("group", "text", 0664);
	assert_int_equal(try_read("group", FILE_TRUST_ROOT), SGB_ERR_UNSAFE);
	put_file("large",
		"0123456789012345678901234567890123456789012345678901234567890"
		"12345678",
		0644);
	assert_int_equal(try_read("large", FILE_TRUST_ROOT), SGB_ERR_LIMIT);
	assert_int_equal(try_read("none", FILE_TRUST_ROOT), SGB_ERR_NOTFOUND);
	assert_int_equal(symlink(path_of("good"), path_of("link")), 0);
	assert_int_equal(try_read("link", FILE_TRUST_ROOT), SGB_ERR_UNSAFE);
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	assert_int_equal(try_read("fifo", FILE_TRUST_ROOT), SGB_ERR_UNSAFE);
	assert_int_equal(chmod(folder, 0777), 0);
	assert_int_equal(try_read("good", FILE_TRUST_ROOT), SGB_ERR_UNSAFE);
	assert_int_equal(chmod(folder, 0700), 0);
}

static void test_replace_and_memfd(void **state)
{
	char why[512];
	struct buf buf;
	int dir, fd;

	(void)state;
	assert_int_equal(file_open_dir(folder, FILE_TRUST_SECRET, &dir, why,
				 sizeof(why)),
		SGB_OK);
	assert_int_equal(file_replace(dir, "made", 0600, "one", 3), SGB_OK);
	assert_int_equal(file_replace(dir, "made", 0600, "second", 6), SGB_OK);
	fd = openat(dir, "made", O_RDONLY);
	buf_init(&buf, 6);
	assert_int_equal(file_read_fd(fd, &buf), SGB_OK);
	assert_memory_equal(buf.data, "second", 6);
	buf_done(&buf);
	close(fd);
	close(dir);
	assert_int_equal(file_memfd("x", "sealed", 6, &fd), SGB_OK);
	assert_int_equal(write(fd, "y", 1), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	close(fd);
}

#define KEY_A \
	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define KEY_B \
	"ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

static struct secret_keys *load_keys(const char *text)
{
	struct secret_keys *keys = NULL;
	char why[512] = "";

	put_file("master", text, 0400);
	if (secret_keys_load(path_of("master"), &keys, why, sizeof(why)))
		return NULL;
	return keys;
}

static void test_secret_rotation(void **state)
{
	struct secret_keys *old = load_keys(KEY_A);
	struct secret_keys *both = load_keys("# new first\n" KEY_B KEY_A);
	struct secret_keys *other = load_keys(KEY_B);
	struct buf record, plain;

	(void)state;
	assert_non_null(old);
	assert_non_null(both);
	buf_init(&record, 4096);
	buf_init(&plain, 4096);
	assert_int_equal(
		secret_seal(old, "otp:alice", "seed", 4, &record), SGB_OK);
	assert_int_equal(
		secret_open(both, "otp:alice", record.data, record.len, &plain),
		SGB_OK);
	assert_int_equal(plain.len, 4);
	assert_memory_equal(plain.data, "seed", 4);
	assert_int_equal(secret_open(other, "otp:alice", record.data,
				 record.len, &plain),
		SGB_ERR_CRYPTO);
	assert_int_equal(
		secret_open(old, "otp:bob", record.data, record.len, &plain),
		SGB_ERR_CRYPTO);
	assert_int_equal(plain.len, 4);
	buf_done(&plain);
	buf_done(&record);
	secret_keys_free(old);
	secret_keys_free(both);
	secret_keys_free(other);
}

static void test_secret_every_bit(void **state)
{
	struct secret_keys *keys = load_keys(KEY_A);
	struct buf record, plain;
	size_t bit;

	(void)state;
	buf_init(&record, 4096);
	buf_init(&plain, 4096);
	assert_int_equal(
		secret_seal(keys, "otp:alice", "seed", 4, &record), SGB_OK);
	for (bit = 0; bit < record.len * 8; bit++) {
		record.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_int_not_equal(secret_open(keys, "otp:alice", record.data,
					     record.len, &plain),
			SGB_OK);
		record.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	for (bit = 0; bit < record.len; bit++)
		assert_int_not_equal(secret_open(keys, "otp:alice", record.data,
					     bit, &plain),
			SGB_OK);
	assert_int_equal(plain.len, 0);
	buf_done(&plain);
	buf_done(&record);
	secret_keys_free(keys);
}

static void test_secret_bad_files(void **state)
{
	(void)state;
	assert_null(load_keys(""));
	assert_null(load_keys("# only a comment\n"));
	assert_null(load_keys("0001\n"));
	assert_null(load_keys("zz" KEY_A));
	assert_null(load_keys(KEY_A KEY_A KEY_A KEY_A KEY_A));
}

static size_t conf_errors(const char *text, char first[512])
{
	struct conf *conf = NULL;
	struct diag diag;
	size_t errors;

	diag_init(&diag);
	if (!conf_parse("t.conf", text, strlen(text), &conf, &diag))
		assert_int_equal(diag.errors, 0);
	else
		assert_null(conf);
	diag_first_line(&diag, first, 512);
	errors = diag.errors;
	conf_free(conf);
	diag_done(&diag);
	return errors;
}

static void test_conf_values(void **state)
{
	static const char text[] = "# comment\n"
				   "listen 10.0.0.1:1 10.0.0.2:2 # two\n"
				   "listen [::1]:3\n"
				   "banner \"no # comment\"\n"
				   "max-sessions 7\nlogin-grace 2m\n"
				   "disk-reserve 64K\naudit off\n";
	struct conf *conf = NULL;
	struct diag diag;

	(void)state;
	diag_init(&diag);
	assert_int_equal(
		conf_parse("t", text, sizeof(text) - 1, &conf, &diag), SGB_OK);
	assert_int_equal(conf->listen.count, 3);
	assert_string_equal(conf->listen.items[2], "[::1]:3");
	assert_null(conf->listen.items[3]);
	assert_int_equal(conf->accept_env.count, 2);
	assert_string_equal(conf->accept_env.items[1], "LC_*");
	assert_string_equal(conf->banner, "no # comment");
	assert_int_equal(conf->max_sessions, 7);
	assert_int_equal(conf->login_grace, 120);
	assert_int_equal(conf->disk_reserve, 65536);
	assert_int_equal(conf->audit, CONF_AUDIT_OFF);
	assert_int_equal(conf->host_keys.count, 1);
	conf_free(conf);
	diag_done(&diag);
}

static void test_conf_mistakes(void **state)
{
	char first[512];

	(void)state;
	assert_int_equal(conf_errors("lisen 1.2.3.4:5\n", first), 1);
	assert_non_null(strstr(first, "t.conf:1:1"));
	assert_int_equal(conf_errors("\n\nmax-sessions many\n", first), 1);
	assert_non_null(strstr(first, "t.conf:3:14"));
	assert_int_equal(conf_errors("policy policy.conf\n", first), 1);
	assert_int_equal(conf_errors("policy\n", first), 1);
	assert_int_equal(conf_errors("policy /a /b\n", first), 1);
	assert_int_equal(conf_errors("audit maybe\n", first), 1);
	assert_int_equal(conf_errors("banner \"open\n", first), 1);
	assert_int_equal(
		conf_errors("max-sessions 1\nmax-sessions 2\n", first), 1);
	assert_int_equal(conf_errors("a 1\nb 2\nc 3\n", first), 3);
	assert_int_equal(conf_errors("login-grace 1y\n", first), 1);
	assert_int_equal(conf_errors("disk-reserve -1\n", first), 1);
	assert_int_equal(conf_errors("max-sessions 99999999999\n", first), 1);
}

static void test_conf_user(void **state)
{
	unsigned int uid, gid;

	(void)state;
	assert_int_equal(conf_user("64301:64302", &uid, &gid), SGB_OK);
	assert_int_equal(uid, 64301);
	assert_int_equal(gid, 64302);
	assert_int_equal(conf_user("0:0", &uid, &gid), SGB_ERR_DENIED);
	assert_int_equal(conf_user("5:0", &uid, &gid), SGB_ERR_DENIED);
	assert_int_equal(conf_user("root", &uid, &gid), SGB_ERR_DENIED);
	assert_int_equal(
		conf_user("no-such-user-x", &uid, &gid), SGB_ERR_NOTFOUND);
}

static void test_messages(void **state)
{
	struct msg msg;
	int pair[2], fd, i;
	char *text;

	(void)state;
	assert_int_equal(msg_pair(pair), SGB_OK);
	msg_init(&msg, MSG_MON_CHILD);
	buf_put_cstring(&msg.body, "id");
	/* The table says that one descriptor goes with it. */
	assert_int_equal(msg_send(pair[0], &msg), SGB_ERR_FORMAT);
	assert_int_equal(msg_put_fd(&msg, pair[0]), SGB_OK);
	assert_int_equal(msg_send(pair[0], &msg), SGB_OK);
	msg_done(&msg);
	msg_init(&msg, MSG_NONE);
	assert_int_equal(msg_recv(pair[1], &msg), SGB_OK);
	assert_int_equal(msg.type, MSG_MON_CHILD);
	text = reader_cstring(&msg.reader, 10);
	assert_string_equal(text, "id");
	assert_int_equal(reader_end(&msg.reader), SGB_OK);
	fd = msg_take_fd(&msg, 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	free(text);
	close(fd);
	assert_int_equal(send(pair[0], "\xff\xff", 2, 0), 2);
	assert_int_equal(msg_recv(pair[1], &msg), SGB_ERR_FORMAT);
	assert_int_equal(send(pair[0], "x", 1, 0), 1);
	assert_int_equal(msg_recv(pair[1], &msg), SGB_ERR_FORMAT);
	/* One that is too long is gone like any other. */
	text = calloc(1, MSG_MAX_BYTES + 1);
	assert_int_equal(
		send(pair[0], text, MSG_MAX_BYTES + 1, 0), MSG_MAX_BYTES + 1);
	free(text);
	assert_int_equal(msg_recv(pair[1], &msg), SGB_ERR_FORMAT);
	assert_int_equal(recv(pair[1], NULL, 0, MSG_PEEK | MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	msg_done(&msg);
	/* Signs of work are no answer. */
	for (i = 0; i < 3; i++) {
		msg_init(&msg, i < 2 ? MSG_REC_BUSY : MSG_REC_EVENT_OK);
		if (i == 2)
			buf_put_u64(&msg.body, 7);
		assert_int_equal(msg_send(pair[0], &msg), SGB_OK);
		msg_done(&msg);
	}
	msg_init(&msg, MSG_NONE);
	assert_int_equal(msg_recv_answer(pair[1], &msg), SGB_OK);
	assert_int_equal(msg.type, MSG_REC_EVENT_OK);
	assert_int_equal(reader_u64(&msg.reader), 7);
	close(pair[0]);
	assert_int_equal(msg_recv_answer(pair[1], &msg), SGB_ERR_CLOSED);
	msg_done(&msg);
	close(pair[1]);
}

static void test_log_escape(void **state)
{
	char out[64], small[6];

	(void)state;
	log_escape("a\nb\033[2J\x9b", out, sizeof(out));
	assert_string_equal(out, "a\\012b\\033[2J\\233");
	log_escape("ab\ncd", small, sizeof(small));
	assert_string_equal(small, "ab");
}

/* Nothing else was left there. */
static int remove_folder(void **state)
{
	static const char *const names[] = {"good", "secret", "world", "group",
		"large", "link", "fifo", "made", "master"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(path_of(names[i]));
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf_limit_is_sticky),
		cmocka_unit_test(test_buf_round_trip),
		cmocka_unit_test(test_reader_refuses),
		cmocka_unit_test(test_reader_is),
		cmocka_unit_test(test_addr_strict),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_forbidden_targets),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_replace_and_memfd),
		cmocka_unit_test(test_secret_rotation),
		cmocka_unit_test(test_secret_every_bit),
		cmocka_unit_test(test_secret_bad_files),
		cmocka_unit_test(test_conf_values),
		cmocka_unit_test(test_conf_mistakes),
		cmocka_unit_test(test_conf_user),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_log_escape),
	};

	return cmocka_run_group_tests(tests, files_make, remove_folder);
}
