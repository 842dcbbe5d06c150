/*
 * What the two kinds of process may ask of the kernel; what is not listed kills
 * them. The child: what it was handed, memory, time. The parent, besides: files
 * below its folders, sockets to connect, children. Neither starts a program.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "core/sanitizer.h"
#include "confine.h"
#include "forward.h"

static const int both[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(pread64),
	SCMP_SYS(close),
	SCMP_SYS(lseek),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(getsockopt),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(getrandom),
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(sched_yield),
};

static const int parent[] = {
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(stat),
	SCMP_SYS(statx),
	SCMP_SYS(getdents64),
	SCMP_SYS(fcntl),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(fchmod),
	SCMP_SYS(rename),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(unlinkat),
	SCMP_SYS(connect),
	SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown),
	/* children: forked, watched, ended, confined further */
	SCMP_SYS(clone),
	SCMP_SYS(clone3),
	SCMP_SYS(fork),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(wait4),
	SCMP_SYS(kill),
	SCMP_SYS(prctl),
	SCMP_SYS(seccomp),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(geteuid),
	SCMP_SYS(getuid),
	SCMP_SYS(umask),
	SCMP_SYS(clock_nanosleep),
};

/* Sockets to receivers, to the journal and to the log. */
static const int families[] = {AF_UNIX, AF_INET, AF_INET6};

static enum sgb_err confine(bool child)
{
	/* A sanitizer's run-time traces and forks when it looks for leaks, and
	 * is no production build. */
	scmp_filter_ctx filter = SGB_SANITIZER
					 ? NULL
					 : seccomp_init(SCMP_ACT_KILL_PROCESS);
	int rc = filter ? 0 : -ENOMEM;

	if (SGB_SANITIZER)
		return SGB_OK;
	if (!rc)
		rc = confine_calls(
			filter, both, sizeof(both) / sizeof(both[0]));
	if (!rc)
		rc = confine_memory(filter);
	if (!rc && !child)
		rc = confine_calls(
			filter, parent, sizeof(parent) / sizeof(parent[0]));
	if (!rc && !child)
		rc = confine_sockets(filter, families,
			sizeof(families) / sizeof(families[0]));
	/* How much of a stream the other side has. */
	if (!rc)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl),
			1, SCMP_A1(SCMP_CMP_EQ, SIOCOUTQ, 0));
	if (!rc && !child)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOTTY),
			SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_NE, SIOCOUTQ, 0));
	if (!rc)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc ? SGB_ERR_SYSTEM : SGB_OK;
}

enum sgb_err forward_confine_parent(void)
{
	return confine(false);
}

enum sgb_err forward_confine_child(void)
{
	return confine(true);
}
