/*
 * The SFTP observer against hostile client and server: the first byte of each
 * chunk says whose bytes follow and how many.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "session_sftp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is reported must be text that ends. */
static void report(void *arg, const struct sftp_event *event)
{
	const char *c;

	(void)arg;
	for (c = event->json; *c; c++)
		if ((unsigned char)*c < 0x20)
			abort();
	if (strlen(event->path) > strlen(event->json))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sftp_watch *watch = sftp_watch_new(report, NULL);

	if (!watch)
		return 0;
	while (size) {
		size_t len = (data[0] & 0x7f) + 1u;
		int client = data[0] >> 7;

		data++;
		size--;
		if (len > size)
			len = size;
		sftp_watch_bytes(watch, client, data, len);
		data += len;
		size -= len;
	}
	sftp_watch_end(watch);
	sftp_watch_free(watch);
	return 0;
}
