/*
 * What the forwarder reads: lines, positions, and a whole trail. Whatever is in
 * them, messages keep their form: one header, no control character in it, no
 * field of the journal that a value made.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../audit/forward_line.h"
#include "../../audit/forward_source.h"

static const struct forward_dest dest = {.kind = FORWARD_UDP,
	.facility = 10,
	.sd_id = "x@1",
	.max_message = 600};

static void check_header(const struct buf *message)
{
	static const char end[] = "] ";
	size_t i;

	if (message->len > dest.max_message || message->len < 20 ||
		message->data[0] != '<')
		abort();
	for (i = 0; i + 1 < message->len; i++) {
		if (message->data[i] < 0x20 || message->data[i] == 0x7f)
			abort();
		if (!memcmp(message->data + i, end, 2))
			return;
	}
	/* Nothing fitted behind it. */
}

static void check_fields(const struct buf *message)
{
	const uint8_t *at = message->data, *stop = at + message->len;

	while (at < stop) {
		const uint8_t *end = memchr(at, '\n', (size_t)(stop - at));
		const uint8_t *name = memchr(at, '=', (size_t)(stop - at));

		if (!end || !name || name > end || *at < 'A' || *at > 'Z')
			abort();
		at = end + 1;
	}
}

static void check_line(struct forward_line *line)
{
	struct buf message;
	size_t cut;

	buf_init(&message, 200000);
	if (forward_syslog(&dest, "host", line, &message, &cut))
		abort();
	check_header(&message);
	buf_reset(&message);
	if (forward_journald(&dest, line, &message))
		abort();
	check_fields(&message);
	buf_done(&message);
}

static void whole_trail(const uint8_t *data, size_t len, uint64_t seq)
{
	struct forward_place from = {
		.file = "2026-11-23.jsonl", .offset = len / 2, .seq = seq};
	struct forward_line line;
	struct source source;
	enum source_item item;
	unsigned int rounds = 0;
	struct stat st;
	int fd = memfd_create("trail", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len || fstat(fd, &st))
		abort();
	source_init(&source, &from);
	source_wake(&source, "2026-11-24.jsonl", st.st_ino);
	do {
		memset(&line, 0, sizeof(line));
		item = source_next(&source, &line);
		if (item == SOURCE_ASK && source.ask_exact)
			source_file(&source, dup(fd), "2026-11-23.jsonl");
		else if (item == SOURCE_ASK && !*source.ask_name)
			source_file(&source, dup(fd), "2026-11-23.jsonl");
		else if (item == SOURCE_ASK)
			source_file(&source, -1, "");
		if (item == SOURCE_ASK)
			source_wake(&source,
				rounds % 2 ? "2026-11-23.jsonl"
					   : "2026-11-24.jsonl",
				st.st_ino);
		if (item == SOURCE_LINE)
			check_line(&line);
	} while (item && item != SOURCE_BROKEN && ++rounds < 100);
	source_done(&source);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct forward_line line;
	struct forward_place place;

	if (!len || len > 20000)
		return 0;
	memset(&line, 0, sizeof(line));
	line.gap_first = 1;
	/* Only what the chain let through becomes a message. */
	if (forward_line_read(&line, (const char *)data, len) &&
		!memchr(data, 0x7f, len))
		check_line(&line);
	if (!forward_place_parse((const char *)data, len, &place) &&
		strchr(place.file, '/'))
		abort();
	whole_trail(data, len, data[0] % 4);
	return 0;
}
