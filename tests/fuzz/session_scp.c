/*
 * The scp observer against a hostile client and target: the first byte says
 * who sends, that of each chunk whose bytes follow and how many.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "session_scp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int lost;

/* What is reported must be text that ends, and nothing after the last word. */
static void report(void *arg, const struct sftp_event *event)
{
	uint64_t *content = arg;
	const char *c;

	if (lost)
		abort();
	lost = !!strstr(event->json, "{\"op\":\"unwatched\"");
	for (c = event->json; *c; c++)
		if ((unsigned char)*c < 0x20)
			abort();
	if (event->file && !*event->path)
		abort();
	/* more bytes than came */
	if (event->bytes > *content)
		abort();
	*content -= event->bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int upload = size && data[0] == 'u';
	uint64_t content = 0;
	struct scp_watch *watch = scp_watch_new(upload,
		upload ? "scp -r -t -- /d" : "scp -f a \"b", report, &content);

	if (!watch)
		return 0;
	lost = 0;
	if (size) {
		data++;
		size--;
	}
	while (size) {
		size_t len = (data[0] & 0x7f) + 1u;
		int client = data[0] >> 7;

		data++;
		size--;
		if (len > size)
			len = size;
		if (client == upload)
			content += len;
		if (scp_watch_bytes(watch, client, data, len) == lost)
			abort();
		data += len;
		size -= len;
	}
	scp_watch_end(watch);
	scp_watch_free(watch);
	return 0;
}
