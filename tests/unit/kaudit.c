/*
 * kaudit.c with libaudit's two sending calls replaced (--wrap): what would
 * the kernel get, and what becomes of each way of failing?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>
#include <libaudit.h>

#include "core/kaudit.h"

#include "range.h"

int __wrap_audit_open(void);
int __wrap_audit_log_user_message(int fd, int type, const char *message,
	const char *hostname, const char *addr, const char *tty, int result);
void __wrap_audit_close(int fd);

static char sent[9000];
static char sent_addr[64];
static int open_result, send_result, send_errno, opened;

int __wrap_audit_open(void)
{
	if (open_result < 0)
		errno = send_errno;
	else
		opened++;
	return open_result;
}

void __wrap_audit_close(int fd)
{
	(void)fd;
	opened--;
}

int __wrap_audit_log_user_message(int fd, int type, const char *message,
	const char *hostname, const char *addr, const char *tty, int result)
{
	(void)fd;
	assert_int_equal(type, AUDIT_USER_AUTH);
	assert_string_equal(hostname, addr);
	assert_non_null(tty);
	assert_int_not_equal(strlen(addr), 0);
	assert_int_equal(result, 0);
	snprintf(sent, sizeof(sent), "%s", message);
	snprintf(sent_addr, sizeof(sent_addr), "%s", addr);
	errno = send_errno;
	return send_result;
}

static enum sgb_err send_one(const char *user, const char *addr,
	const char *const *fields, int result, int error)
{
	struct kaudit_record record = {
		.type = AUDIT_USER_AUTH,
		.op = "sgbridge:mfa",
		.user = user,
		.addr = addr,
		.fields = fields,
	};

	open_result = 3;
	send_result = result;
	send_errno = error;
	sent[0] = '\0';
	return kaudit_send(&record);
}

static void test_text(void **state)
{
	static const char *const fields[] = {"reason", "x res=success", "rule",
		"policy.conf:31", "fp", NULL, "ref", "", NULL};

	(void)state;
	assert_int_equal(send_one("alice", "192.0.2.1", fields, 7, 0), 0);
	assert_string_equal(sent, "op=sgbridge:mfa acct=\"alice\" "
				  "reason=78207265733D73756363657373 "
				  "rule=\"policy.conf:31\" fp=? ref=?");
	assert_string_equal(sent_addr, "192.0.2.1");
	assert_int_equal(send_one("a\"b\n", NULL, NULL, 7, 0), 0);
	assert_string_equal(sent, "op=sgbridge:mfa acct=6122620A");
	assert_string_equal(sent_addr, "?");
	assert_int_equal(send_one(NULL, "", NULL, 7, 0), 0);
	assert_string_equal(sent, "op=sgbridge:mfa acct=?");
	assert_string_equal(sent_addr, "?");
}

static void test_long_values(void **state)
{
	const char *fields[] = {"reason", NULL, NULL};
	char big[5000];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	fields[1] = big;
	assert_int_equal(send_one(big, "192.0.2.1", fields, 7, 0), 0);
	assert_number_in_range(strlen(sent), 1024, 1100);
}

static void test_failures(void **state)
{
	(void)state;
	assert_int_equal(
		send_one("a", "?", NULL, 0, EPERM), SGB_ERR_UNSUPPORTED);
	assert_int_equal(
		send_one("a", "?", NULL, 0, ECONNREFUSED), SGB_ERR_UNSUPPORTED);
	assert_int_equal(send_one("a", "?", NULL, -1, ENOBUFS), SGB_ERR_SYSTEM);
	assert_int_equal(send_one("a", "?", NULL, -22, 0), SGB_ERR_SYSTEM);
	assert_int_equal(errno, 22);
	assert_int_equal(send_one("a", "?", NULL, 0, 0), SGB_ERR_SYSTEM);
	assert_int_equal(opened, 0);
	open_result = -1;
	send_errno = EPROTONOSUPPORT;
	assert_int_equal(kaudit_send(&(struct kaudit_record){.op = "x"}),
		SGB_ERR_UNSUPPORTED);
}

static void test_denies(void **state)
{
	(void)state;
	assert_false(kaudit_denies(CONF_AUDIT_REQUIRED, SGB_OK));
	assert_true(kaudit_denies(CONF_AUDIT_REQUIRED, SGB_ERR_UNSUPPORTED));
	assert_true(kaudit_denies(CONF_AUDIT_REQUIRED, SGB_ERR_SYSTEM));
	assert_false(kaudit_denies(CONF_AUDIT_TRY, SGB_ERR_SYSTEM));
	assert_false(kaudit_denies(CONF_AUDIT_OFF, SGB_ERR_SYSTEM));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_long_values),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_denies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
