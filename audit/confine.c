/*
 * What the filters of the recorder and of the forwarder have in common.
 */
#include "confine.h"

#include <sys/mman.h>
#include <sys/socket.h>

int confine_calls(scmp_filter_ctx filter, const int *calls, size_t count)
{
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < count; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return rc;
}

int confine_memory(scmp_filter_ctx filter)
{
	static const int maps[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < sizeof(maps) / sizeof(maps[0]); i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, maps[i], 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return rc;
}

int confine_sockets(scmp_filter_ctx filter, const int *families, size_t count)
{
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < count; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket),
			1, SCMP_A0(SCMP_CMP_EQ, (unsigned int)families[i], 0));
	if (!rc)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
			SCMP_SYS(socketpair), 1,
			SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
	return rc;
}
