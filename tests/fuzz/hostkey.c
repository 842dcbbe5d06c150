/*
 * Fuzzer: files of known hosts, patterns, and what a host sends while its
 * certificate is fetched. A line that is about a name is about it in any case;
 * nothing is found in a file that is refused; a fetch ends by itself.
 */
#include <stdlib.h>
#include <string.h>

#include "../../bastion/knownhosts.h"
#include "../../bastion/session_hostcert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	unsigned int count, numbers;
};

static void note(const struct knownhosts_line *line, void *arg)
{
	struct seen *seen = arg;

	if (!line->blob || !line->number || !line->key.fingerprint[0])
		abort();
	seen->count++;
	seen->numbers += line->number;
}

static enum sgb_err lines(const uint8_t *data, size_t size, const char *name,
	uint16_t port, struct seen *seen)
{
	struct knownhosts_mistake mistake = {0};
	enum sgb_err err;

	memset(seen, 0, sizeof(*seen));
	err = knownhosts_each(
		(const char *)data, size, name, port, note, seen, &mistake);
	if (err == SGB_ERR_FORMAT && (!mistake.line || !mistake.text))
		abort();
	return err;
}

static void fetch(const uint8_t *data, size_t size)
{
	struct hostcert hc;
	size_t at, n;

	hostcert_init(&hc, "ssh-ed25519");
	for (at = 0; at < size; at += n) {
		n = size - at < 7 ? size - at : 7;
		hostcert_feed(&hc, data + at, n);
	}
	if (hc.state == HOSTCERT_DONE && !hc.blob.len)
		abort();
	if (hc.state != HOSTCERT_DONE &&
		hostcert_feed(&hc, NULL, 0) != HOSTCERT_FAILED)
		abort();
	hostcert_done(&hc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen low, high, all;
	enum sgb_err err = lines(data, size, "web1", 2222, &low);

	if (lines(data, size, "WEB1", 2222, &high) != err)
		abort();
	/* Every line's key is read: what is wrong for one is so for all. */
	if (lines(data, size, NULL, 0, &all))
		return 0;
	if (err)
		abort();
	if (low.count != high.count || low.numbers != high.numbers ||
		low.count > all.count)
		abort();
	if (size && knownhosts_match((const char *)data, size, "web1") !=
			    knownhosts_match((const char *)data, size, "WEB1"))
		abort();
	fetch(data, size);
	return 0;
}
