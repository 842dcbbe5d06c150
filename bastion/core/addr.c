/*
 * Numeric addresses and networks: strict parsing, matching, printing. Pure
 * functions, no DNS, no sockets.
 */
#include "core/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static unsigned int addr_width(const struct addr *addr)
{
	return addr->family == AF_INET ? 32 : 128;
}

static void addr_unmap(struct addr *addr)
{
	if (addr->family != AF_INET6 ||
		memcmp(addr->bytes, mapped_prefix, sizeof(mapped_prefix)))
		return;
	addr->family = AF_INET;
	memmove(addr->bytes, addr->bytes + 12, 4);
	memset(addr->bytes + 4, 0, 12);
}

/*
 * inet_pton is strict (no 127.1, no octal, no zone ids); inet_aton and
 * getaddrinfo are not, so they are not used anywhere.
 */
static enum sgb_err parse_raw(const char *text, struct addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, ret->bytes) == 1) {
		ret->family = AF_INET;
		return SGB_OK;
	}
	if (inet_pton(AF_INET6, text, ret->bytes) == 1) {
		ret->family = AF_INET6;
		return SGB_OK;
	}
	memset(ret, 0, sizeof(*ret));
	return SGB_ERR_FORMAT;
}

enum sgb_err addr_parse(const char *text, struct addr *ret)
{
	struct addr addr;
	enum sgb_err err = parse_raw(text, &addr);

	if (err)
		return err;
	addr_unmap(&addr);
	*ret = addr;
	return SGB_OK;
}

static enum sgb_err parse_bits(
	const char *text, unsigned int max, unsigned int *ret)
{
	unsigned int bits = 0;
	const char *c;

	if (!*text || strlen(text) > 3 || (text[0] == '0' && text[1]))
		return SGB_ERR_FORMAT;
	for (c = text; *c; c++) {
		if (*c < '0' || *c > '9')
			return SGB_ERR_FORMAT;
		bits = bits * 10 + (unsigned int)(*c - '0');
	}
	if (bits > max)
		return SGB_ERR_FORMAT;
	*ret = bits;
	return SGB_OK;
}

static bool host_bits_clear(const struct addr *addr, unsigned int bits)
{
	unsigned int i;

	for (i = bits; i < addr_width(addr); i++)
		if (addr->bytes[i / 8] & (0x80u >> (i % 8)))
			return false;
	return true;
}

enum sgb_err addr_net_parse(const char *text, struct addr_net *ret)
{
	char copy[ADDR_TEXT_MAX + 4];
	struct addr_net net;
	char *slash;

	if (strlen(text) >= sizeof(copy))
		return SGB_ERR_FORMAT;
	strcpy(copy, text);
	slash = strchr(copy, '/');
	if (slash)
		*slash++ = '\0';
	if (parse_raw(copy, &net.base))
		return SGB_ERR_FORMAT;
	net.bits = addr_width(&net.base);
	if (slash && parse_bits(slash, net.bits, &net.bits))
		return SGB_ERR_FORMAT;
	if (!host_bits_clear(&net.base, net.bits))
		return SGB_ERR_LIMIT;
	/* ::ffff:10.0.0.0/104 is 10.0.0.0/8; a wider mapped prefix has no
	 * IPv4 meaning and stays what it says. */
	if (net.base.family == AF_INET6 && net.bits >= 96) {
		addr_unmap(&net.base);
		if (net.base.family == AF_INET)
			net.bits -= 96;
	}
	*ret = net;
	return SGB_OK;
}

enum sgb_err addr_from_sockaddr(
	const struct sockaddr_storage *ss, struct addr *ret, uint16_t *ret_port)
{
	struct addr addr = {0};
	uint16_t port;

	if (ss->ss_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, ss, sizeof(in));
		memcpy(addr.bytes, &in.sin_addr, 4);
		port = ntohs(in.sin_port);
	} else if (ss->ss_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, ss, sizeof(in6));
		memcpy(addr.bytes, &in6.sin6_addr, 16);
		port = ntohs(in6.sin6_port);
	} else {
		return SGB_ERR_UNSUPPORTED;
	}
	addr.family = ss->ss_family;
	addr_unmap(&addr);
	*ret = addr;
	if (ret_port)
		*ret_port = port;
	return SGB_OK;
}

socklen_t addr_to_sockaddr(
	const struct addr *addr, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	memset(ret, 0, sizeof(*ret));
	if (addr->family == AF_INET) {
		in.sin_port = htons(port);
		memcpy(&in.sin_addr, addr->bytes, 4);
		memcpy(ret, &in, sizeof(in));
		return sizeof(in);
	}
	if (addr->family == AF_INET6) {
		in6.sin6_port = htons(port);
		memcpy(&in6.sin6_addr, addr->bytes, 16);
		memcpy(ret, &in6, sizeof(in6));
		return sizeof(in6);
	}
	return 0;
}

const char *addr_text(const struct addr *addr, char text[ADDR_TEXT_MAX])
{
	if (!addr->family ||
		!inet_ntop(addr->family, addr->bytes, text, ADDR_TEXT_MAX))
		strcpy(text, "?");
	return text;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	if (!a->family || a->family != b->family)
		return false;
	return !memcmp(a->bytes, b->bytes, addr_width(a) / 8);
}

bool addr_in_net(const struct addr *addr, const struct addr_net *net)
{
	unsigned int whole = net->bits / 8;
	unsigned int rest = net->bits % 8;
	uint8_t mask;

	if (!addr->family || addr->family != net->base.family)
		return false;
	if (memcmp(addr->bytes, net->base.bytes, whole))
		return false;
	if (!rest)
		return true;
	mask = (uint8_t)(0xff00u >> rest);
	return !((addr->bytes[whole] ^ net->base.bytes[whole]) & mask);
}

bool addr_net_covers(const struct addr_net *outer, const struct addr_net *inner)
{
	return inner->bits >= outer->bits && addr_in_net(&inner->base, outer);
}

bool addr_is_loopback(const struct addr *addr)
{
	static const uint8_t v6_loopback[16] = {[15] = 1};

	if (addr->family == AF_INET)
		return addr->bytes[0] == 127;
	return addr->family == AF_INET6 &&
	       !memcmp(addr->bytes, v6_loopback, sizeof(v6_loopback));
}

/* Networks no policy may make reachable: loopback, "this network", multicast
 * and class E; link-local, where the metadata services of most clouds live;
 * the metadata addresses of Alibaba Cloud, Azure, Oracle, AWS, Google and
 * Scaleway elsewhere. Tunnels hide an IPv4 address where no rule of ours
 * would look: IPv4-compatible and -translated addresses, Teredo, and NAT64
 * prefixes whose layout is a local matter (RFC 8215). */
static const char *const forbidden_nets[] = {
	"0.0.0.0/8",
	"127.0.0.0/8",
	"169.254.0.0/16",
	"224.0.0.0/4",
	"240.0.0.0/4",
	"100.100.100.200",
	"168.63.129.16",
	"192.0.0.192",
	"::/96",
	"::ffff:0:0:0/96",
	"64:ff9b:1::/48",
	"2001::/32",
	"fe80::/10",
	"ff00::/8",
	"fd00:ec2::/32",
	"fd00:42::42",
	"fd20:ce::254",
};

/* The IPv4 address inside an IPv6 one that a translator (RFC 6052, 64:ff9b)
 * or a 6to4 relay (RFC 3056, 2002) would deliver to. */
static bool embedded_v4(const struct addr *addr, struct addr *ret)
{
	static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
	static const uint8_t sixtofour[2] = {0x20, 0x02};
	struct addr inner = {.family = AF_INET};

	if (addr->family != AF_INET6)
		return false;
	if (!memcmp(addr->bytes, nat64, sizeof(nat64)))
		memcpy(inner.bytes, addr->bytes + 12, 4);
	else if (!memcmp(addr->bytes, sixtofour, sizeof(sixtofour)))
		memcpy(inner.bytes, addr->bytes + 2, 4);
	else
		return false;
	*ret = inner;
	return true;
}

static bool is_forbidden(const struct addr *addr)
{
	struct addr_net net;
	size_t i;

	for (i = 0; i < sizeof(forbidden_nets) / sizeof(forbidden_nets[0]); i++)
		if (addr_net_parse(forbidden_nets[i], &net) ||
			addr_in_net(addr, &net))
			return true;
	return false;
}

bool addr_is_forbidden_target(const struct addr *addr)
{
	struct addr plain = *addr, inner;

	if (!addr->family)
		return true;
	/* One that came from a socket, not from our parser. */
	addr_unmap(&plain);
	if (is_forbidden(&plain))
		return true;
	return embedded_v4(&plain, &inner) && is_forbidden(&inner);
}
