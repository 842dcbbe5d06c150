/*
 * The walls around a session process: empty root, own uid, limits, and a
 * system call filter that kills. What is allowed is what a relay needs after
 * its start (docs/THREATS.md): bytes on descriptors it holds, time, memory.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/priv.h"
#include "core/sanitizer.h"

#define SESSION_DESCRIPTORS 128

#if SGB_SANITIZER
/* Looking for leaks needs ptrace, which a hardened process refuses. */
const char *__asan_default_options(void);
SGB_EXPORT const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

static const int allowed[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(close),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockopt),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockname),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(nanosleep),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(getrandom),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(futex),
	SCMP_SYS(setitimer), /* the watchdog of session.c */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* Libraries look for files now and then; an error is enough of an answer. */
static const int refused[] = {
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(readlink),
	SCMP_SYS(uname),
	SCMP_SYS(sysinfo),
	SCMP_SYS(ioctl),
};

static int allow_calls(scmp_filter_ctx filter)
{
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	/* libseccomp takes no rule that says what the default says. */
	for (i = 0; !rc && !SGB_SANITIZER &&
		    i < sizeof(refused) / sizeof(refused[0]);
		i++)
		rc = seccomp_rule_add(
			filter, SCMP_ACT_ERRNO(EACCES), refused[i], 0);
	return rc;
}

/* Calls that are harmless with some arguments only. */
static int allow_arguments(scmp_filter_ctx filter)
{
	static const int fcntls[] = {
		F_GETFL, F_SETFL, F_GETFD, F_DUPFD_CLOEXEC};
	static const int maps[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < sizeof(fcntls) / sizeof(fcntls[0]); i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl),
			1, SCMP_A1(SCMP_CMP_EQ, (unsigned int)fcntls[i], 0));
	for (i = 0; !rc && i < sizeof(maps) / sizeof(maps[0]); i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, maps[i], 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!rc)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
			SCMP_SYS(setsockopt), 2,
			SCMP_A1(SCMP_CMP_EQ, IPPROTO_TCP, 0),
			SCMP_A2(SCMP_CMP_EQ, TCP_NODELAY, 0));
	/* libssh asks for others (keepalive, IP_TOS): not worth dying. */
	if (!rc && !SGB_SANITIZER)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES),
			SCMP_SYS(setsockopt), 1,
			SCMP_A1(SCMP_CMP_NE, IPPROTO_TCP, 0));
	return rc;
}

/* The rules as the program that the kernel runs: made once, since libseccomp
 * takes as long for them as a login does for its signature. */
static struct sock_fprog program;

/* Of some kilobytes, so that it fits a pipe. */
static enum sgb_err keep_program(scmp_filter_ctx filter)
{
	const size_t max = BPF_MAXINSNS * sizeof(struct sock_filter);
	struct sock_filter *code = malloc(max);
	ssize_t len = -1;
	int ends[2];

	if (!code)
		return SGB_ERR_NOMEM;
	if (!pipe2(ends, O_CLOEXEC)) {
		if (!seccomp_export_bpf(filter, ends[1]))
			len = read(ends[0], code, max);
		close(ends[0]);
		close(ends[1]);
	}
	/* One that fills the room may be longer. */
	if (len <= 0 || (size_t)len >= max || (size_t)len % sizeof(*code)) {
		free(code);
		return SGB_ERR_SYSTEM;
	}
	program.len = (unsigned short)((size_t)len / sizeof(*code));
	program.filter = code;
	return SGB_OK;
}

enum sgb_err sandbox_prepare(void)
{
	/* A sanitizer's run-time needs many calls and is no production build;
	 * with it, what is not listed fails instead of killing. */
	scmp_filter_ctx filter = seccomp_init(
		SGB_SANITIZER ? SCMP_ACT_ERRNO(EACCES) : SCMP_ACT_KILL_PROCESS);
	enum sgb_err err = SGB_ERR_SYSTEM;
	int rc = -ENOMEM;

	if (filter)
		rc = allow_calls(filter);
	if (!rc)
		rc = allow_arguments(filter);
	if (!rc && SGB_SANITIZER) {
		rc = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(sigaltstack), 0);
		if (!rc)
			rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
				SCMP_SYS(sched_yield), 0);
	}
	if (!rc)
		err = keep_program(filter);
	seccomp_release(filter);
	return err;
}

/* Without a program nothing would be filtered: the kernel refuses that. */
static enum sgb_err filter_calls(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
		return SGB_ERR_SYSTEM;
	return SGB_OK;
}

enum sgb_err sandbox_enter(
	const struct session_start *start, const struct session_place *place)
{
	enum sgb_err err = priv_empty_root(place->empty_root);

	if (!err)
		err = priv_become(place->uid, place->gid);
	/* Whoever has no monitor has no business with a target. Changing the
	 * uid would have cleared this, so it comes after. */
	if (!err && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		err = SGB_ERR_SYSTEM;
	/* A sanitizer reserves terabytes of addresses. */
	if (!err)
		err = priv_limits(SGB_SANITIZER ? 0 : start->max_memory,
			SESSION_DESCRIPTORS);
	if (!err)
		err = filter_calls();
	return err;
}
