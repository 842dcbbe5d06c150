/*
 * The PROXY protocol's version 2 (haproxy's proxy-protocol.txt, section 2.2).
 * Foreign bytes, though only from a front end that the settings name: strict,
 * bounded, a fuzz target. TCP over IPv4 and IPv6 alone; extensions are
 * skipped, whatever they say.
 */
#include "proxy_header.h"

#include <netinet/in.h>
#include <string.h>

#include "core/buf.h"

enum {
	VERSION_LOCAL = 0x20,
	VERSION_PROXY = 0x21,
	FAMILY_TCP4 = 0x11,
	FAMILY_TCP6 = 0x21,
};

static const uint8_t signature[12] = {
	'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

enum sgb_err proxy_header_size(const uint8_t *data, size_t len, size_t *ret)
{
	size_t known = len < sizeof(signature) ? len : sizeof(signature);
	size_t size = PROXY_FIXED_LEN;

	if (known && memcmp(data, signature, known))
		return SGB_ERR_FORMAT;
	if (len > 12 && data[12] != VERSION_LOCAL && data[12] != VERSION_PROXY)
		return SGB_ERR_FORMAT;
	if (len >= PROXY_FIXED_LEN)
		size += (size_t)data[14] << 8 | data[15];
	if (size > PROXY_MAX)
		return SGB_ERR_LIMIT;
	*ret = size;
	return SGB_OK;
}

/* Nobody comes from these, so a front end that says so is mistaken. */
static bool is_nobody(const struct addr *addr)
{
	static const uint8_t zeros[16];

	if (addr_is_loopback(addr))
		return true;
	if (addr->family == AF_INET)
		return !addr->bytes[0] || addr->bytes[0] >= 224;
	return addr->bytes[0] == 0xff ||
	       !memcmp(addr->bytes, zeros, sizeof(zeros));
}

static enum sgb_err parse_source(
	struct reader *rd, int family, struct proxy_header *ret)
{
	struct sockaddr_storage ss;
	struct addr addr = {.family = family};
	size_t width = family == AF_INET ? 4 : 16;
	const uint8_t *source = reader_bytes(rd, width);
	uint16_t port;

	(void)reader_bytes(rd, width); /* where to: our own socket knows */
	port = reader_u16(rd);
	(void)reader_u16(rd);
	if (rd->err || !port)
		return SGB_ERR_FORMAT;
	memcpy(addr.bytes, source, width);
	/* There and back: an IPv4-mapped address becomes its IPv4 one. */
	if (!addr_to_sockaddr(&addr, port, &ss) ||
		addr_from_sockaddr(&ss, &ret->source, &ret->port) ||
		is_nobody(&ret->source))
		return SGB_ERR_FORMAT;
	return SGB_OK;
}

enum sgb_err proxy_header_parse(
	const uint8_t *data, size_t len, struct proxy_header *ret)
{
	struct proxy_header header = {0};
	struct reader rd;
	size_t size = 0;
	enum sgb_err err = proxy_header_size(data, len, &size);

	if (err)
		return err;
	if (len != size)
		return SGB_ERR_FORMAT;
	reader_init(&rd, data + PROXY_FIXED_LEN, len - PROXY_FIXED_LEN);
	header.local = data[12] == VERSION_LOCAL;
	if (!header.local && data[13] == FAMILY_TCP4)
		err = parse_source(&rd, AF_INET, &header);
	else if (!header.local && data[13] == FAMILY_TCP6)
		err = parse_source(&rd, AF_INET6, &header);
	else if (!header.local)
		err = SGB_ERR_UNSUPPORTED;
	if (!err)
		*ret = header;
	return err;
}
