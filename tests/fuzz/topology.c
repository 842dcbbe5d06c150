/*
 * The importers on any bytes, under each format. What they accept compiles as
 * a policy that permits nobody anything; what they write are security groups
 * alone.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "topology.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) \
	do { \
		if (!(condition)) \
			abort(); \
	} while (0)

/* Two documents, split at the first NUL, as two files. */
static bool read_both(struct topology *topology, const char *format,
	const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, 0, size) : NULL;
	size_t first = end ? (size_t)(end - data) : size;
	bool good = topology_read_text(topology, format, "one", data, first);

	if (end)
		good = topology_read_text(topology, format, "two", end + 1,
			       size - first - 1) &&
		       good;
	return good;
}

static void one(const char *format, const uint8_t *data, size_t size)
{
	struct policy_source *source = NULL;
	struct policy *policy = NULL;
	struct topology topology;
	struct buf text;

	topology_init(&topology);
	topology.quiet = true;
	buf_init(&text, 1 << 24);
	if (read_both(&topology, format, data, size)) {
		REQUIRE(topology_compile(&topology, &text, &source, &policy));
		REQUIRE(policy->rules.count == 0 && !policy->has_keys);
		REQUIRE(policy->groups.count == 0 && policy->users.count == 0);
		REQUIRE(policy->sgs.count == topology.groups.count);
	}
	policy_free(policy);
	policy_source_free(source);
	buf_done(&text);
	topology_done(&topology);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 65536)
		return 0;
	one("aliyun", data, size);
	one("aws", data, size);
	return 0;
}
