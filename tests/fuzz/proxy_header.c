/*
 * Fuzzer of PROXY headers: what is taken is whole, and has an address that
 * somebody can come from.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../bastion/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header header;
	size_t want = 0;

	if (!proxy_header_size(data, size, &want) &&
		(want < PROXY_FIXED_LEN || want > PROXY_MAX))
		abort();
	if (proxy_header_parse(data, size, &header))
		return 0;
	if (want != size)
		abort();
	if (!header.local && (!header.source.family || !header.port ||
				     addr_is_loopback(&header.source)))
		abort();
	return 0;
}
