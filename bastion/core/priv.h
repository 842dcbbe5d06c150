/*
 * Giving up power, in one place. Each call either does all it says or fails;
 * a caller that fails must exit.
 */
#ifndef SGB_PRIV_H
#define SGB_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/err.h"

/* No core dumps, no ptrace, SIGPIPE ignored, descriptors 0-2 open. */
enum sgb_err priv_harden(void) SGB_MUST_CHECK;
/* chroot to an empty root-owned folder and chdir to /. */
enum sgb_err priv_empty_root(const char *path) SGB_MUST_CHECK;
/* Becomes uid and gid for ever: no groups, no capabilities (all sets and the
 * bounding set), no_new_privs. Verifies that there is no way back. */
enum sgb_err priv_become(uid_t uid, gid_t gid) SGB_MUST_CHECK;
/* As priv_become, but keeps those of these capabilities that it has. */
enum sgb_err priv_become_with(
	uid_t uid, gid_t gid, const int *caps, size_t count) SGB_MUST_CHECK;
/* Stays root but keeps only these capabilities (CAP_*, linux/capability.h),
 * in every set and in the bounding set; sets no_new_privs. */
enum sgb_err priv_keep_caps(const int *caps, size_t count) SGB_MUST_CHECK;
/* The same with those of them that it has. */
enum sgb_err priv_keep_some(const int *caps, size_t count) SGB_MUST_CHECK;
/* Is it permitted to us? */
bool priv_has_cap(int cap);
/* Nothing is blocked and no child is waited for, whatever who started us had
 * set: sgbridged reads its signals by descriptor. */
enum sgb_err priv_reset_signals(void) SGB_MUST_CHECK;
/* Address space, no new files (FSIZE 0), open descriptors, no forks. 0 leaves
 * a limit as it is. */
enum sgb_err priv_limits(uint64_t memory, uint64_t descriptors) SGB_MUST_CHECK;

#endif
