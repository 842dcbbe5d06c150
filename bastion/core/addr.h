/*
 * Numeric addresses and networks. There is no DNS here and never will be: a
 * name where an address is expected is an error (Linux-PAM CVE-2024-10963).
 * An IPv4-mapped IPv6 address is its IPv4 address. Zone ids are refused.
 */
#ifndef SGB_ADDR_H
#define SGB_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/err.h"

/* family 0 is "no address": it matches nothing and prints as "?". */
struct addr {
	int family;	   /* AF_INET, AF_INET6, or 0 */
	uint8_t bytes[16]; /* network order; IPv4 uses the first four */
};

struct addr_net {
	struct addr base;
	unsigned int bits; /* prefix length */
};

#define ADDR_TEXT_MAX 46 /* INET6_ADDRSTRLEN, with the NUL */

/* Strict inet_pton forms only; mapped addresses come out as IPv4. */
enum sgb_err addr_parse(const char *text, struct addr *ret) SGB_MUST_CHECK;
/* "10.0.0.0/8", "2001:db8::/32", or an address alone (/32, /128).
 * SGB_ERR_FORMAT for anything malformed; SGB_ERR_LIMIT for host bits set. */
enum sgb_err addr_net_parse(
	const char *text, struct addr_net *ret) SGB_MUST_CHECK;
/* AF_INET and AF_INET6 only, others are SGB_ERR_UNSUPPORTED. ret_port may be
 * NULL; it is in host order. */
enum sgb_err addr_from_sockaddr(const struct sockaddr_storage *ss,
	struct addr *ret, uint16_t *ret_port) SGB_MUST_CHECK;
/* Returns the length of the sockaddr, 0 if there is no address. */
socklen_t addr_to_sockaddr(
	const struct addr *addr, uint16_t port, struct sockaddr_storage *ret);
/* Always NUL-terminated; returns text. */
const char *addr_text(const struct addr *addr, char text[ADDR_TEXT_MAX]);
bool addr_equal(const struct addr *a, const struct addr *b);
bool addr_in_net(const struct addr *addr, const struct addr_net *net);
/* Does outer contain the whole of inner? */
bool addr_net_covers(
	const struct addr_net *outer, const struct addr_net *inner);
/* Loopback, unspecified, link-local, multicast, broadcast and cloud metadata
 * addresses, which no policy may make reachable unless the instance is
 * declared `local` (loopback alone); the same when they are written as NAT64,
 * 6to4 or IPv4-mapped addresses. The list stands in addr.c. */
bool addr_is_forbidden_target(const struct addr *addr);
/* 127.0.0.0/8 or ::1. */
bool addr_is_loopback(const struct addr *addr);

#endif
