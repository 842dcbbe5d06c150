/*
 * The connection to a target: the only place of the bastion that connects to
 * an address somebody chose. The policy judged it; what no policy can know is
 * judged here: whether the address is the bastion's own, on any interface. An
 * instance's addresses are tried in order within one deadline.
 */
#include "monitor.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"

static enum sgb_err sockaddr_addr(const struct sockaddr *sa, struct addr *ret)
{
	struct sockaddr_storage ss = {0};

	if (sa->sa_family != AF_INET && sa->sa_family != AF_INET6)
		return SGB_ERR_UNSUPPORTED;
	memcpy(&ss, sa,
		sa->sa_family == AF_INET ? sizeof(struct sockaddr_in)
					 : sizeof(struct sockaddr_in6));
	return addr_from_sockaddr(&ss, ret, NULL);
}

/* Is it an address of this host? If that cannot be told, it counts as one. */
static bool is_own(const struct addr *addr)
{
	struct ifaddrs *all, *at;
	struct addr one;
	bool own = false;

	if (getifaddrs(&all))
		return true;
	for (at = all; at && !own; at = at->ifa_next)
		own = at->ifa_addr && !sockaddr_addr(at->ifa_addr, &one) &&
		      addr_equal(&one, addr);
	freeifaddrs(all);
	return own;
}

/* Loopback gets this far for an instance that is declared `local` alone. */
static bool may_connect(const struct addr *addr)
{
	if (addr_is_loopback(addr))
		return true;
	return !addr_is_forbidden_target(addr) && !is_own(addr);
}

static enum sgb_err wait_connected(int fd, uint64_t until)
{
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t len = sizeof(error);

	for (;;) {
		uint64_t now = monitor_now_ms();
		int ready;

		if (now >= until) {
			errno = ETIMEDOUT;
			return SGB_ERR_TIMEOUT;
		}
		ready = poll(&pfd, 1, (int)(until - now));
		if (ready > 0)
			break;
		if (ready < 0 && errno != EINTR)
			return SGB_ERR_SYSTEM;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
		return SGB_ERR_SYSTEM;
	errno = error;
	return error ? SGB_ERR_SYSTEM : SGB_OK;
}

/* Who is connected from the target's own address talks to this host, by a
 * local route that no interface shows. */
static enum sgb_err local_end(
	int fd, const struct addr *target, struct addr *ret)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) ||
		addr_from_sockaddr(&ss, ret, NULL))
		return SGB_ERR_SYSTEM;
	if (!addr_is_loopback(target) && addr_equal(ret, target)) {
		errno = EACCES;
		return SGB_ERR_DENIED;
	}
	return SGB_OK;
}

static enum sgb_err connect_one(const struct policy_decision *decision,
	uint64_t until, int *ret_fd, struct addr *ret_local)
{
	struct sockaddr_storage ss;
	socklen_t len;
	enum sgb_err err = SGB_OK;
	int fd, saved, one = 1;

	if (!may_connect(&decision->target_addr)) {
		errno = EACCES;
		return SGB_ERR_DENIED;
	}
	len = addr_to_sockaddr(
		&decision->target_addr, decision->target_port, &ss);
	fd = socket(
		ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return SGB_ERR_SYSTEM;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&ss, len) && errno != EINPROGRESS)
		err = SGB_ERR_SYSTEM;
	if (!err)
		err = wait_connected(fd, until);
	if (!err)
		err = local_end(fd, &decision->target_addr, ret_local);
	if (!err) {
		*ret_fd = fd;
		return SGB_OK;
	}
	saved = errno;
	close(fd);
	errno = saved;
	return err;
}

/* How many addresses are left, this one included: each gets its share of the
 * time, so that a dead one leaves some for the next. */
static unsigned int addresses_left(
	const struct monitor *m, const struct policy_decision *decision)
{
	struct policy_decision copy = *decision;
	unsigned int count = 1;

	while (policy_next_address(m->policy, &copy))
		count++;
	return count;
}

/* Connecting has a time of its own, inside that of the whole. */
static uint64_t connect_until(const struct monitor *m, uint64_t until_ms)
{
	uint64_t within = m->conf->connect_timeout, end;

	if (within > m->conf->target_timeout)
		within = m->conf->target_timeout;
	end = monitor_now_ms() + within * 1000;
	return until_ms && until_ms < end ? until_ms : end;
}

enum sgb_err monitor_connect(struct monitor *m,
	struct policy_decision *decision, int *ret_fd,
	char source[ADDR_TEXT_MAX], char via[MONITOR_VIA_MAX],
	uint64_t until_ms)
{
	uint64_t end = connect_until(m, until_ms);
	struct policy_decision at = *decision;
	struct addr local;
	enum sgb_err err;

	m->lost[0] = via[0] = '\0';
	if (decision->via)
		return monitor_connect_via(
			m, decision, ret_fd, source, via, until_ms);
	for (;;) {
		uint64_t now = monitor_now_ms();
		uint64_t left = end > now ? end - now : 0;
		char text[ADDR_TEXT_MAX];
		int saved;

		err = connect_one(&at, now + left / addresses_left(m, &at),
			ret_fd, &local);
		if (!err)
			break;
		saved = errno;
		log_put(LOG_NOTICE, "%s: %s port %u: %s", m->conn_id,
			addr_text(&at.target_addr, text), at.target_port,
			err == SGB_ERR_DENIED ? "an address of the bastion"
					      : strerror(saved));
		errno = saved;
		/* An own address is a mistake in the policy, not a failure. */
		if (err == SGB_ERR_DENIED ||
			!policy_next_address(m->policy, &at))
			return err;
	}
	*decision = at;
	addr_text(&local, source);
	return SGB_OK;
}

enum sgb_err monitor_connect_again(
	struct monitor *m, int *ret_fd, uint64_t until_ms)
{
	struct policy_decision again = m->decision;
	char source[ADDR_TEXT_MAX], via[MONITOR_VIA_MAX];

	return monitor_connect(m, &again, ret_fd, source, via, until_ms);
}
