/*
 * The emulator's cage: compute, read and write one socket, nothing else.
 * Whatever fails here ends the child before it has seen a byte.
 */
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <seccomp.h>

#include "core/sanitizer.h"
#include "emulator_wire.h"

#define MEMORY (512UL * 1024 * 1024)

/* Everything else ends the process. A sanitizer's runtime does more. */
void emulator_confine(void)
{
	static const int calls[] = {SCMP_SYS(read), SCMP_SYS(recvfrom),
		SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(write),
		SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap),
		SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex),
		SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(rt_sigreturn)};
	struct rlimit memory = {MEMORY, MEMORY}, none = {0, 0};
	scmp_filter_ctx filter;
	size_t i;

	if (setrlimit(RLIMIT_CORE, &none) ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		_exit(1);
	if (SGB_SANITIZER)
		return;
	if (setrlimit(RLIMIT_AS, &memory) || setrlimit(RLIMIT_FSIZE, &none) ||
		setrlimit(RLIMIT_NPROC, &none))
		_exit(1);
	filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		_exit(1);
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0))
			_exit(1);
	if (seccomp_load(filter))
		_exit(1);
	seccomp_release(filter);
}
