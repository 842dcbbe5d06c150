/*
 * Giving up power. Raw system calls where libcap would be a library more;
 * each step is checked by asking the kernel afterwards, not by believing the
 * call.
 */
#include "core/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A descriptor 0-2 that is closed would be reused by the next open. */
static enum sgb_err open_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			return SGB_ERR_SYSTEM;
	} while (fd <= 2);
	close(fd);
	return SGB_OK;
}

enum sgb_err priv_harden(void)
{
	struct rlimit none = {0, 0};

	if (open_standard())
		return SGB_ERR_SYSTEM;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || setrlimit(RLIMIT_CORE, &none))
		return SGB_ERR_SYSTEM;
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
		signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		return SGB_ERR_SYSTEM;
	umask(077);
	return SGB_OK;
}

enum sgb_err priv_empty_root(const char *path)
{
	struct stat st;

	if (chdir(path) || stat(".", &st))
		return SGB_ERR_SYSTEM;
	if (st.st_uid != 0 || (st.st_mode & 022))
		return SGB_ERR_UNSAFE;
	if (chroot(".") || chdir("/"))
		return SGB_ERR_SYSTEM;
	return SGB_OK;
}

static enum sgb_err set_caps(const int *caps, size_t count)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2], now[2];
	size_t i;

	memset(data, 0, sizeof(data));
	for (i = 0; i < count; i++) {
		data[caps[i] / 32].permitted |= 1u << (caps[i] % 32);
		data[caps[i] / 32].effective |= 1u << (caps[i] % 32);
	}
	/* Where it is so already, a filter may forbid to say it. */
	if (!syscall(SYS_capget, &head, now) && !memcmp(now, data, sizeof(now)))
		return SGB_OK;
	return syscall(SYS_capset, &head, data) ? SGB_ERR_SYSTEM : SGB_OK;
}

static int wanted(const int *caps, size_t count, int cap)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (caps[i] == cap)
			return 1;
	return 0;
}

static enum sgb_err bound_caps(const int *caps, size_t count)
{
	int cap;

	for (cap = 0; cap <= 63; cap++) {
		int has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (has < 0)
			break; /* beyond this kernel's last capability */
		if (has && !wanted(caps, count, cap) &&
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			return SGB_ERR_SYSTEM;
	}
	return SGB_OK;
}

static enum sgb_err no_way_back(uid_t uid, gid_t gid)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (getresuid(&r, &e, &s) || getresgid(&rg, &eg, &sg))
		return SGB_ERR_SYSTEM;
	if (r != uid || e != uid || s != uid || rg != gid || eg != gid ||
		sg != gid)
		return SGB_ERR_DENIED;
	if (setuid(0) != -1 || setgid(0) != -1)
		return SGB_ERR_DENIED;
	return SGB_OK;
}

bool priv_has_cap(int cap)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	return !syscall(SYS_capget, &head, data) &&
	       (data[cap / 32].permitted & 1u << (cap % 32)) != 0;
}

enum sgb_err priv_become(uid_t uid, gid_t gid)
{
	return priv_become_with(uid, gid, NULL, 0);
}

enum sgb_err priv_become_with(
	uid_t uid, gid_t gid, const int *caps, size_t count)
{
	int kept[4];
	enum sgb_err err;
	size_t i, n = 0;

	if (!uid || !gid)
		return SGB_ERR_DENIED;
	for (i = 0; i < count && n < sizeof(kept) / sizeof(kept[0]); i++)
		if (priv_has_cap(caps[i]))
			kept[n++] = caps[i];
	err = bound_caps(kept, n);
	if (err)
		return err;
	if (prctl(PR_SET_KEEPCAPS, n > 0, 0, 0, 0) || setgroups(0, NULL) ||
		setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return SGB_ERR_SYSTEM;
	err = set_caps(kept, n);
	if (err)
		return err;
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0))
		return SGB_ERR_SYSTEM;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return SGB_ERR_SYSTEM;
	return no_way_back(uid, gid);
}

enum sgb_err priv_keep_caps(const int *caps, size_t count)
{
	enum sgb_err err = bound_caps(caps, count);

	if (!err)
		err = set_caps(caps, count);
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = SGB_ERR_SYSTEM;
	return err;
}

enum sgb_err priv_keep_some(const int *caps, size_t count)
{
	int kept[16];
	size_t i, n = 0;

	if (count > sizeof(kept) / sizeof(kept[0]))
		return SGB_ERR_LIMIT;
	for (i = 0; i < count; i++)
		if (priv_has_cap(caps[i]))
			kept[n++] = caps[i];
	return priv_keep_caps(kept, n);
}

enum sgb_err priv_reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) ||
		signal(SIGCHLD, SIG_IGN) == SIG_ERR)
		return SGB_ERR_SYSTEM;
	return SGB_OK;
}

enum sgb_err priv_limits(uint64_t memory, uint64_t descriptors)
{
	struct rlimit limit = {0, 0};

	if (setrlimit(RLIMIT_FSIZE, &limit) || setrlimit(RLIMIT_NPROC, &limit))
		return SGB_ERR_SYSTEM;
	limit.rlim_cur = limit.rlim_max = descriptors;
	if (descriptors && setrlimit(RLIMIT_NOFILE, &limit))
		return SGB_ERR_SYSTEM;
	limit.rlim_cur = limit.rlim_max = memory;
	if (memory && setrlimit(RLIMIT_AS, &limit))
		return SGB_ERR_SYSTEM;
	return SGB_OK;
}
