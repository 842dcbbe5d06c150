/*
 * The SFTP observer and the filter against hostile client and server: the first
 * byte of each chunk says whose bytes follow and how many.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "session_sftp.h"
#include "session_sftp_filter.h"

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

static void held_back(void *arg, const char *text)
{
	(void)arg;
	if (!*text)
		abort();
}

/* What passes is never more than what came and what is answered. */
static void filter(
	struct sftp_filter *sftp, int client, const uint8_t *data, size_t len)
{
	enum sgb_err err;
	struct buf out;

	buf_init(&out, 1 << 20);
	if (client)
		err = sftp_filter_client(sftp, data, len, &out);
	else
		err = sftp_filter_server(sftp, data, len, &out);
	if (client && !err && out.len > len + 64 * 1024)
		abort();
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sftp_watch *watch = sftp_watch_new(report, NULL);
	struct sftp_filter *sftp = sftp_filter_new(
		size & 1, ~size & 1, held_back, NULL);

	bool lost = false;

	if (!watch || !sftp)
		return 0;
	while (size) {
		size_t len = (data[0] & 0x7f) + 1u;
		int client = data[0] >> 7;

		data++;
		size--;
		if (len > size)
			len = size;
		if (sftp_watch_bytes(watch, client, data, len))
			lost = true;
		else if (lost)
			abort();
		filter(sftp, client, data, len);
		data += len;
		size -= len;
	}
	sftp_watch_end(watch);
	sftp_watch_free(watch);
	sftp_filter_free(sftp);
	return 0;
}
