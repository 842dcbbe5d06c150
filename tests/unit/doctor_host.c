/*
 * doctor_host.c with the kernel's answers replaced (--wrap): what does doctor
 * say of a clock and of an audit that this machine does not have?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <sys/timex.h>

#include <cmocka.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "doctor.h"

int __wrap_socket(int domain, int type, int protocol);
ssize_t __wrap_sendto(int fd, const void *data, size_t len, int flags,
	const struct sockaddr *to, socklen_t to_len);
ssize_t __wrap_recv(int fd, void *data, size_t room, int flags);
int __wrap_adjtimex(struct timex *timex);

/* ---- the kernel ---- */

static int socket_errno, refusal; /* 0: it answers */
static struct audit_status status;
static int clock_state, clock_status;

int __wrap_socket(int domain, int type, int protocol)
{
	assert_int_equal(domain, AF_NETLINK);
	assert_int_equal(type, SOCK_RAW | SOCK_CLOEXEC);
	assert_int_equal(protocol, NETLINK_AUDIT);
	errno = socket_errno;
	return socket_errno ? -1 : 1000;
}

ssize_t __wrap_sendto(int fd, const void *data, size_t len, int flags,
	const struct sockaddr *to, socklen_t to_len)
{
	const struct nlmsghdr *ask = data;

	assert_int_equal(fd, 1000);
	assert_int_equal(flags, 0);
	assert_int_equal(to->sa_family, AF_NETLINK);
	assert_int_equal(to_len, sizeof(struct sockaddr_nl));
	assert_int_equal(ask->nlmsg_type, AUDIT_GET);
	return (ssize_t)len;
}

ssize_t __wrap_recv(int fd, void *data, size_t room, int flags)
{
	struct nlmsghdr *head = data;
	size_t len = refusal ? sizeof(struct nlmsgerr) : sizeof(status);
	int error = -refusal;

	assert_int_equal(fd, 1000);
	assert_int_equal(flags, 0);
	assert_true(room >= NLMSG_LENGTH(len));
	memset(data, 0, NLMSG_LENGTH(len));
	head->nlmsg_len = (uint32_t)NLMSG_LENGTH(len);
	head->nlmsg_type = refusal ? NLMSG_ERROR : AUDIT_GET;
	memcpy((char *)data + NLMSG_HDRLEN,
		refusal ? (void *)&error : (void *)&status,
		refusal ? sizeof(error) : sizeof(status));
	return (ssize_t)NLMSG_LENGTH(len);
}

int __wrap_adjtimex(struct timex *timex)
{
	assert_int_equal(timex->modes, 0); /* it asks, and changes nothing */
	timex->status = clock_status;
	return clock_state;
}

/* ---- what doctor finds, by the names that people see ---- */

static char found[400], said[400], fixed[400];

void doctor_find(struct doctor *doctor, enum doctor_code code, const char *fix,
	const char *fmt, ...)
{
	static const char *const names[] = {
#define X(code, name, severity, standard, why) [DOCTOR_##code] = name,
#include "doctor.def"
#undef X
	};
	size_t len = strlen(found);
	va_list args;

	(void)doctor;
	snprintf(found + len, sizeof(found) - len, "%s%s", len ? " " : "",
		names[code]);
	va_start(args, fmt);
	vsnprintf(said, sizeof(said), fmt, args);
	va_end(args);
	snprintf(fixed, sizeof(fixed), "%s", fix);
}

static void audit_says(enum conf_audit wanted, const char *expected)
{
	struct conf conf = {.audit = wanted};
	struct doctor doctor = {.conf = &conf};

	*found = *said = *fixed = '\0';
	doctor_audit(&doctor);
	assert_string_equal(found, expected);
}

static void clock_says(const char *expected)
{
	struct doctor doctor = {.conf = NULL};

	*found = *said = *fixed = '\0';
	doctor_clock(&doctor);
	assert_string_equal(found, expected);
}

static int begin(void **state)
{
	(void)state;
	socket_errno = refusal = clock_status = 0;
	clock_state = TIME_OK;
	status = (struct audit_status){.enabled = 1, .pid = 300};
	return 0;
}

/* ---- cases ---- */

static void test_audit_good(void **state)
{
	(void)state;
	audit_says(CONF_AUDIT_TRY, "");
	audit_says(CONF_AUDIT_REQUIRED, "");
	status.enabled = 2; /* locked until the next boot */
	audit_says(CONF_AUDIT_REQUIRED, "");
}

static void test_audit_off(void **state)
{
	(void)state;
	audit_says(CONF_AUDIT_OFF, "audit-off");
	assert_non_null(strstr(said, "the setting"));
	status.enabled = 0;
	audit_says(CONF_AUDIT_TRY, "audit-off");
	assert_non_null(strstr(said, "not enabled"));
	status.enabled = 1;
	status.pid = 0;
	audit_says(CONF_AUDIT_TRY, "audit-off");
	assert_non_null(strstr(fixed, "auditd"));
}

static void test_audit_lost(void **state)
{
	(void)state;
	status.lost = 7;
	audit_says(CONF_AUDIT_TRY, "audit-lost");
	assert_non_null(strstr(said, "lost 7 records"));
	status.pid = 0;
	audit_says(CONF_AUDIT_TRY, "audit-off audit-lost");
}

static void test_audit_silent(void **state)
{
	(void)state;
	refusal = ECONNREFUSED; /* not in the first user namespace */
	status.lost = 7;
	audit_says(CONF_AUDIT_TRY, "audit-unknown");
	assert_non_null(strstr(said, strerror(ECONNREFUSED)));
	audit_says(CONF_AUDIT_REQUIRED, "audit-required");
	refusal = 0;
	socket_errno = EPROTONOSUPPORT; /* a kernel without audit */
	audit_says(CONF_AUDIT_TRY, "audit-unknown");
	assert_non_null(strstr(said, strerror(EPROTONOSUPPORT)));
	audit_says(CONF_AUDIT_REQUIRED, "audit-required");
}

static void test_clock(void **state)
{
	(void)state;
	clock_says("");
	clock_status = STA_PLL;
	clock_says("");
	clock_status = STA_PLL | STA_UNSYNC;
	clock_says("clock");
	assert_non_null(strstr(fixed, "chrony"));
	clock_status = 0;
	clock_state = TIME_ERROR;
	clock_says("clock");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_audit_good, begin),
		cmocka_unit_test_setup(test_audit_off, begin),
		cmocka_unit_test_setup(test_audit_lost, begin),
		cmocka_unit_test_setup(test_audit_silent, begin),
		cmocka_unit_test_setup(test_clock, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
