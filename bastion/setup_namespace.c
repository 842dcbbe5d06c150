/*
 * setup: a host within the host, for the trial. A mount namespace in which new
 * files lie over the old ones, and a network namespace in which the
 * administrator's own address is on the loopback interface: so the policy
 * sees who will come, from where, while nothing outside has changed.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/addr.h"
#include "setup.h"

/* The kernel's (linux/ipv6.h), which cannot be included beside libc's. */
struct in6_request {
	struct in6_addr addr;
	uint32_t prefix;
	int index;
};

static bool link_up(int sock, const char *name)
{
	struct ifreq request = {.ifr_flags = 0};

	strcpy(request.ifr_name, name);
	if (ioctl(sock, SIOCGIFFLAGS, &request))
		return false;
	request.ifr_flags |= IFF_UP;
	return !ioctl(sock, SIOCSIFFLAGS, &request);
}

static bool add_four(int sock, const char *label, const struct addr *addr)
{
	struct sockaddr_storage ss;
	struct ifreq request = {.ifr_flags = 0};

	strcpy(request.ifr_name, label);
	(void)addr_to_sockaddr(addr, 0, &ss);
	memcpy(&request.ifr_addr, &ss, sizeof(struct sockaddr_in));
	if (ioctl(sock, SIOCSIFADDR, &request))
		return false;
	((struct sockaddr_in *)(void *)&request.ifr_netmask)->sin_addr.s_addr =
		INADDR_NONE; /* all ones: /32 */
	return !ioctl(sock, SIOCSIFNETMASK, &request);
}

static bool add_six(const struct addr *addr)
{
	struct sockaddr_storage ss;
	struct in6_request request = {.prefix = 128};
	int sock = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool good;

	(void)addr_to_sockaddr(addr, 0, &ss);
	request.addr = ((struct sockaddr_in6 *)(void *)&ss)->sin6_addr;
	request.index = (int)if_nametoindex("lo");
	good = sock >= 0 &&
	       (!ioctl(sock, SIOCSIFADDR, &request) || errno == EEXIST);
	if (sock >= 0)
		close(sock);
	return good;
}

static bool add_address(int sock, const char *text, unsigned int number)
{
	char label[IFNAMSIZ];
	struct addr addr, loopback;

	if (addr_parse(text, &addr))
		return false;
	if (addr.family == AF_INET6)
		return add_six(&addr);
	if (!addr_parse("127.0.0.1", &loopback) &&
		!memcmp(&loopback, &addr, sizeof(addr)))
		return true;
	snprintf(label, sizeof(label), "lo:%u", number % 100);
	return add_four(sock, label, &addr);
}

bool namespace_enter(const char *const *addresses, size_t count)
{
	bool good;
	size_t i;
	int sock;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET) ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		setup_fail("no namespace for a trial (%s); --unproven goes on "
			   "without, keep a root shell open then",
			strerror(errno));
		return false;
	}
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	good = sock >= 0 && link_up(sock, "lo");
	for (i = 0; good && i < count; i++)
		good = add_address(sock, addresses[i], (unsigned int)i + 1);
	if (!good)
		setup_fail("the trial's network: %s: %s",
			i ? addresses[i - 1] : "lo", strerror(errno));
	if (sock >= 0)
		close(sock);
	return good;
}

static bool copy_entry(const char *from, const char *to)
{
	char link[4096];
	struct buf content;
	struct stat st;
	bool good = true;
	ssize_t len;

	if (lstat(from, &st))
		return false;
	if (S_ISLNK(st.st_mode)) {
		len = readlink(from, link, sizeof(link) - 1);
		if (len < 0)
			return false;
		link[len] = '\0';
		return !symlink(link, to);
	}
	if (S_ISDIR(st.st_mode)) /* mounted over or not needed */
		return !mkdir(to, st.st_mode & 0777);
	if (!S_ISREG(st.st_mode))
		return true;
	buf_init(&content, 4 * SETUP_FILE_MAX);
	good = !setup_read(from, &content) &&
	       !setup_put(to, &content, st.st_mode & 07777, st.st_uid,
		       st.st_gid, 0);
	buf_done(&content);
	return good;
}

const char *namespace_copy(
	struct setup *s, const char *work, const char *folder)
{
	static unsigned int number;
	const char *copy = setup_text(s, "%s/view%u", work, number++);
	const struct dirent *entry;
	bool good = true;
	struct stat st;
	DIR *dir = opendir(folder);

	if (!dir || fstat(dirfd(dir), &st) || mkdir(copy, st.st_mode & 0777) ||
		chown(copy, st.st_uid, st.st_gid))
		good = false;
	while (good && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			good = copy_entry(
				setup_text(s, "%s/%s", folder, entry->d_name),
				setup_text(s, "%s/%s", copy, entry->d_name));
	if (dir)
		closedir(dir);
	if (good && !mount(copy, folder, NULL, MS_BIND, NULL))
		return copy;
	setup_fail("%s cannot be copied for the trial: %s", folder,
		strerror(errno));
	return NULL;
}
