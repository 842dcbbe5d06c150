/*
 * Every call that pam_sgbridge.so makes into another library fails at every
 * place, one at a time: a login that went well all the same has used its code
 * up, one with a wrong code or from elsewhere never goes well, and the next
 * login works. What the module imports is read from the module itself, so that
 * a call that nobody thought of fails the test.
 *
 * The functions here stand before those of the libraries and fail only for a
 * caller inside the module.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "pam_room.h"
#include "range.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libaudit.h>
#include <liboath/oath.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>

#ifdef __SANITIZE_ADDRESS__
#define UNDER_ASAN 1
#else
#define UNDER_ASAN 0
#endif

static const char *armed;  /* the call that fails */
static unsigned int left;  /* calls until it does */
static unsigned int fired; /* failures so far */

static bool in_module(const void *address)
{
	Dl_info info;

	return dladdr(address, &info) && info.dli_fname &&
	       strstr(info.dli_fname, "/pam_sgbridge.so");
}

static bool fails(const char *call, const void *caller)
{
	if (!armed || strcmp(call, armed) || !in_module(caller))
		return false;
	if (left-- != 1)
		return false;
	fired++;
	errno = EIO;
	return true;
}

static void *next(const char *call)
{
	void *real = dlsym(RTLD_NEXT, call);

	if (!real)
		abort();
	return real;
}

#define FAILS(call) fails(#call, __builtin_return_address(0))
/* CALL(type, name, (parameters), (arguments), what it returns failing) */
#define CALL(type, call, parameters, arguments, failure) \
	type call parameters \
	{ \
		static type(*real) parameters; \
\
		if (FAILS(call)) \
			return failure; \
		if (!real) \
			*(void **)&real = next(#call); \
		return real arguments; \
	}

#pragma GCC visibility push(default)

#if !UNDER_ASAN
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);

void *malloc(size_t size)
{
	return FAILS(malloc) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return FAILS(calloc) ? NULL : __libc_calloc(count, size);
}
#endif

/* clang-format off */
CALL(void *, reallocarray, (void *at, size_t count, size_t size),
	(at, count, size), NULL)
CALL(char *, strdup, (const char *text), (text), NULL)
CALL(char *, strndup, (const char *text, size_t len), (text, len), NULL)

CALL(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_new, (void), (), NULL)
CALL(EVP_MD_CTX *, EVP_MD_CTX_new, (void), (), NULL)
CALL(int, EVP_CIPHER_CTX_ctrl, (EVP_CIPHER_CTX *ctx, int type, int arg,
	void *ptr), (ctx, type, arg, ptr), 0)
CALL(int, EVP_CipherInit_ex, (EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher,
	ENGINE *impl, const unsigned char *key, const unsigned char *iv,
	int enc), (ctx, cipher, impl, key, iv, enc), 0)
CALL(int, EVP_CipherUpdate, (EVP_CIPHER_CTX *ctx, unsigned char *out,
	int *outl, const unsigned char *in, int inl),
	(ctx, out, outl, in, inl), 0)
CALL(int, EVP_CipherFinal_ex, (EVP_CIPHER_CTX *ctx, unsigned char *out,
	int *outl), (ctx, out, outl), 0)
CALL(int, EVP_Digest, (const void *data, size_t len, unsigned char *out,
	unsigned int *out_len, const EVP_MD *type, ENGINE *impl),
	(data, len, out, out_len, type, impl), 0)
CALL(int, EVP_DigestInit_ex, (EVP_MD_CTX *ctx, const EVP_MD *type,
	ENGINE *impl), (ctx, type, impl), 0)
CALL(int, EVP_DigestUpdate, (EVP_MD_CTX *ctx, const void *data, size_t len),
	(ctx, data, len), 0)
CALL(int, EVP_DigestFinal_ex, (EVP_MD_CTX *ctx, unsigned char *out,
	unsigned int *len), (ctx, out, len), 0)
CALL(unsigned char *, HMAC, (const EVP_MD *type, const void *key, int key_len,
	const unsigned char *data, size_t len, unsigned char *out,
	unsigned int *out_len),
	(type, key, key_len, data, len, out, out_len), NULL)
CALL(int, oath_totp_generate2, (const char *secret, size_t len, time_t now,
	unsigned step, time_t start, unsigned digits, int flags, char *out),
	(secret, len, now, step, start, digits, flags, out),
	OATH_CRYPTO_ERROR)
CALL(ssize_t, getrandom, (void *data, size_t len, unsigned flags),
	(data, len, flags), -1)

CALL(int, fstat, (int fd, struct stat *st), (fd, st), -1)
CALL(int, stat, (const char *path, struct stat *st), (path, st), -1)
CALL(int, lstat, (const char *path, struct stat *st), (path, st), -1)
CALL(int, fstatat, (int dir, const char *path, struct stat *st, int flags),
	(dir, path, st, flags), -1)
CALL(int, faccessat, (int dir, const char *path, int mode, int flags),
	(dir, path, mode, flags), -1)
CALL(int, fchmod, (int fd, mode_t mode), (fd, mode), -1)
CALL(int, fsync, (int fd), (fd), -1)
CALL(int, flock, (int fd, int how), (fd, how), -1)
CALL(int, mkdir, (const char *path, mode_t mode), (path, mode), -1)
CALL(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1)
CALL(int, renameat, (int from, const char *old, int to, const char *new),
	(from, old, to, new), -1)
CALL(int, unlinkat, (int dir, const char *path, int flags),
	(dir, path, flags), -1)
CALL(ssize_t, read, (int fd, void *data, size_t len), (fd, data, len), -1)
CALL(ssize_t, pread, (int fd, void *data, size_t len, off_t at),
	(fd, data, len, at), -1)
CALL(ssize_t, write, (int fd, const void *data, size_t len),
	(fd, data, len), -1)
CALL(ssize_t, pwrite, (int fd, const void *data, size_t len, off_t at),
	(fd, data, len, at), -1)
CALL(DIR *, fdopendir, (int fd), (fd), NULL)
CALL(int, glob, (const char *pattern, int flags,
	int (*bad)(const char *path, int why), glob_t *found),
	(pattern, flags, bad, found), GLOB_ABORTED)
CALL(int, scandirat, (int dir, const char *path, struct dirent ***list,
	int (*wanted)(const struct dirent *entry),
	int (*order)(const struct dirent **a, const struct dirent **b)),
	(dir, path, list, wanted, order), -1)

CALL(struct passwd *, getpwnam, (const char *name), (name), NULL)
CALL(int, getgrouplist, (const char *name, gid_t group, gid_t *groups,
	int *count), (name, group, groups, count), -1)
CALL(int, getgrgid_r, (gid_t id, struct group *group, char *room, size_t len,
	struct group **ret), (id, group, room, len, ret),
	(*ret = NULL, EIO))
CALL(int, clock_gettime, (clockid_t clock, struct timespec *now),
	(clock, now), -1)
CALL(int, sigprocmask, (int how, const sigset_t *set, sigset_t *old),
	(how, set, old), -1)
CALL(int, inet_pton, (int family, const char *text, void *out),
	(family, text, out), 0)
CALL(const char *, inet_ntop, (int family, const void *in, char *out,
	socklen_t len), (family, in, out, len), NULL)

CALL(int, pam_get_item, (const pam_handle_t *pamh, int type,
	const void **item), (pamh, type, item), PAM_BUF_ERR)
CALL(int, pam_get_user, (pam_handle_t *pamh, const char **user,
	const char *prompt), (pamh, user, prompt), PAM_CONV_ERR)
CALL(const char *, pam_getenv, (pam_handle_t *pamh, const char *name),
	(pamh, name), NULL)
CALL(int, pam_putenv, (pam_handle_t *pamh, const char *text), (pamh, text),
	PAM_BUF_ERR)
CALL(int, pam_get_data, (const pam_handle_t *pamh, const char *name,
	const void **data), (pamh, name, data), PAM_NO_MODULE_DATA)
CALL(int, pam_set_data, (pam_handle_t *pamh, const char *name, void *data,
	void (*cleanup)(pam_handle_t *pamh, void *data, int status)),
	(pamh, name, data, cleanup), PAM_BUF_ERR)
/* clang-format on */

static mode_t mode_of(int flags, va_list args)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	int (*real)(const char *, int, ...);
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	if (FAILS(open))
		return -1;
	*(void **)&real = next("open");
	return real(path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	int (*real)(int, const char *, int, ...);
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	if (FAILS(openat))
		return -1;
	*(void **)&real = next("openat");
	return real(dir, path, flags, mode);
}

int fcntl(int fd, int what, ...)
{
	int (*real)(int, int, ...);
	va_list args;
	void *arg;

	va_start(args, what);
	arg = va_arg(args, void *);
	va_end(args);
	if (FAILS(fcntl))
		return -1;
	*(void **)&real = next("fcntl");
	return real(fd, what, arg);
}

/* The descriptor is gone all the same. */
int close(int fd)
{
	int (*real)(int);
	int result;

	*(void **)&real = next("close");
	result = real(fd);
	return FAILS(close) ? -1 : result;
}

int pam_prompt(
	pam_handle_t *pamh, int style, char **response, const char *fmt, ...)
{
	va_list args;
	int result;

	if (FAILS(pam_prompt))
		return PAM_CONV_ERR;
	va_start(args, fmt);
	result = pam_vprompt(pamh, style, response, fmt, args);
	va_end(args);
	return result;
}

/* The kernel's audit is machine-wide: for the module this one only says yes or
 * no, for libpam there is none. */
int audit_open(void)
{
	if (!in_module(__builtin_return_address(0))) {
		errno = EPROTONOSUPPORT;
		return -1;
	}
	return FAILS(audit_open) ? -1 : dup(2);
}

void audit_close(int fd)
{
	close(fd);
}

int audit_log_user_message(int fd, int type, const char *text,
	const char *hostname, const char *addr, const char *tty, int result)
{
	(void)fd, (void)type, (void)text, (void)hostname, (void)addr;
	(void)tty, (void)result;
	return FAILS(audit_log_user_message) ? -1 : 1;
}

char *audit_encode_nv_string(
	const char *name, const char *value, unsigned int len)
{
	char *(*real)(const char *, const char *, unsigned int);

	if (FAILS(audit_encode_nv_string))
		return NULL;
	*(void **)&real = next("audit_encode_nv_string");
	return real(name, value, len);
}

#pragma GCC visibility pop

/* What can fail; those of the room too. */
static const char *const calls[] = {"malloc", "calloc", "reallocarray",
	"strdup", "strndup", "EVP_CIPHER_CTX_new", "EVP_MD_CTX_new",
	"EVP_CIPHER_CTX_ctrl", "EVP_CipherInit_ex", "EVP_CipherUpdate",
	"EVP_CipherFinal_ex", "EVP_Digest", "EVP_DigestInit_ex",
	"EVP_DigestUpdate", "EVP_DigestFinal_ex", "HMAC", "oath_totp_generate2",
	"getrandom", "close", "fstat", "stat", "lstat", "fstatat", "faccessat",
	"fchmod", "fsync", "fdatasync", "flock", "mkdir", "memfd_create",
	"renameat", "unlinkat", "read", "pread", "write", "pwrite", "fdopendir",
	"glob", "scandirat", "getpwnam", "getpwnam_r", "getgrouplist",
	"getgrgid_r", "clock_gettime", "sigprocmask", "inet_pton", "inet_ntop",
	"pam_get_item", "pam_get_user", "pam_getenv", "pam_putenv",
	"pam_get_data", "pam_set_data", "open", "openat", "fcntl", "pam_prompt",
	"audit_open", "audit_log_user_message", "audit_encode_nv_string"};
/* What cannot, or says nothing: ends in * where more of a kind follow. */
static const char *const sure[] = {"CRYPTO_memcmp", "EVP_CIPHER_CTX_free",
	"EVP_EncodeBlock", "EVP_MD_CTX_free", "EVP_aes_256_gcm", "EVP_sha256",
	"OPENSSL_cleanse", "_ITM_*", "__ctype_b_loc", "__cxa_finalize",
	"__errno_location", "__gmon_start__", "__*_chk", "__stack_chk_fail",
	"__isoc99_sscanf", "__isoc23_*", "alphasort", "audit_close",
	"clock_nanosleep", "closedir", "exit", "fputc", "fputs", "fwrite",
	"free", "geteuid", "getpid", "getuid", "globfree", "mem*", "nanosleep",
	"openlog", "pam_syslog", "qsort", "readdir", "sigdelset", "sigfillset",
	"snprintf", "stderr", "str*", "time", "vsnprintf"};

static bool listed(const char *const *list, size_t count, const char *name)
{
	size_t i;

	for (i = 0; i < count; i++) {
		const char *star = strchr(list[i], '*');

		if (!star && !strcmp(list[i], name))
			return true;
		if (star && !strncmp(list[i], name, (size_t)(star - list[i])) &&
			strlen(name) >= strlen(star + 1) &&
			!strcmp(star + 1,
				name + strlen(name) - strlen(star + 1)))
			return true;
	}
	return false;
}

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void test_every_import(void **state)
{
	char command[700], name[256];
	unsigned int seen = 0;
	FILE *out;

	(void)state;
	if (UNDER_ASAN)
		skip();
	snprintf(command, sizeof(command),
		"nm -D --undefined-only --without-symbol-versions "
		"\"$(dirname \"$(readlink /proc/%d/exe)\")\""
		"/../../pam_sgbridge.so",
		(int)getpid());
	out = popen(command, "r");
	assert_non_null(out);
	while (fscanf(out, " %*s %255s", name) == 1) {
		seen++;
		if (!listed(calls, COUNT(calls), name) &&
			!listed(sure, COUNT(sure), name))
			fail_msg("%s: can it fail? see calls and sure", name);
	}
	assert_int_equal(pclose(out), 0);
	assert_number_in_range(seen, 60, 1000);
}

static bool admitted(const struct flow *flow)
{
	return flow->auth == PAM_SUCCESS && flow->account == PAM_SUCCESS;
}

/* One login with that call failing; false: it is not called so often. */
static bool failing(struct flow *flow, const char *call, unsigned int nth)
{
	armed = call;
	left = nth;
	fired = 0;
	(void)run(flow);
	armed = NULL;
	return fired;
}

static void try_call(
	const char *call, unsigned int *tried, unsigned int *denied)
{
	struct flow good = sshd_flow("alice", NULL), wrong = good, far = good;
	unsigned int nth;
	bool more = true;

	for (nth = 1; more; nth++) {
		assert_number_in_range(nth, 1, 2000);
		good.answer = fresh_code("alice");
		more = failing(&good, call, nth);
		*tried += more;
		*denied += more && !admitted(&good);
		if (admitted(&good) && run(&good) == PAM_SUCCESS)
			fail_msg("%s:%u: a code counted twice", call, nth);
		wrong.answer = "000000";
		more |= failing(&wrong, call, nth);
		if (admitted(&wrong))
			fail_msg("%s:%u: a wrong code was admitted", call, nth);
		far.connection = ELSEWHERE;
		far.answer = fresh_code("alice");
		more |= failing(&far, call, nth);
		if (admitted(&far))
			fail_msg("%s:%u: admitted from elsewhere", call, nth);
		good.answer = fresh_code("alice");
		(void)run(&good);
		if (!admitted(&good) || good.session != PAM_SUCCESS)
			fail_msg("%s:%u: the next login fails: %d %d %d %s",
				call, nth, good.auth, good.account,
				good.session, log_text);
	}
}

static void test_each_call_fails(void **state)
{
	unsigned int tried = 0, denied = 0;
	size_t i;

	(void)state;
	room_fails = fails;
	for (i = 0; i < COUNT(calls); i++)
		try_call(calls[i], &tried, &denied);
	room_fails = NULL;
	print_message("%u failures, %u denied\n", tried, denied);
	assert_number_in_range(denied, 100, 100000);
}

/* With auditing required, what is not recorded is not admitted. */
static void test_audit_required(void **state)
{
	static const char *const which[] = {
		"audit_open", "audit_log_user_message"};
	struct flow flow = sshd_flow("alice", NULL);
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(which); i++) {
		flow.answer = fresh_code("alice");
		assert_true(failing(&flow, which[i], 1));
		assert_false(admitted(&flow));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_import),
		cmocka_unit_test(test_each_call_fails),
		cmocka_unit_test(test_audit_required),
	};

	room_settings = "audit required\n";
	return cmocka_run_group_tests(tests, setup, teardown);
}
