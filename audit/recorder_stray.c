/*
 * A file is made before its line in the index, because the line names its
 * header's hash. A crash in between leaves a file that no session ever used:
 * nobody was told of it. It must not look like one that somebody added.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/log.h"

#include "recorder.h"
#include "scan.h"

static int by_id(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Ours, with header, META and CHECKPOINT: first gets L(-1). */
static bool is_whole(const struct recorder *recorder, int fd,
	uint8_t first[SUITE_HASH_LEN], uint8_t prev[SUITE_HASH_LEN])
{
	struct sgr_source *source;
	struct sgr_frame frame;
	struct sgr_scan scan;
	bool whole = false;

	if (sgr_source_file(fd, &source))
		return false;
	if (!sgr_scan_begin(&scan, source)) {
		memcpy(first, scan.link, SUITE_HASH_LEN);
		memcpy(prev, scan.header.prev_head, SUITE_HASH_LEN);
		whole = !memcmp(scan.header.writer_key,
				suite_key_public(recorder->key),
				SUITE_KEY_LEN) &&
			!sgr_scan_next(&scan, &frame) &&
			!sgr_scan_next(&scan, &frame);
	}
	sgr_scan_done(&scan);
	sgr_source_free(source);
	return whole;
}

static void remove_torn(
	struct recorder *recorder, int day_fd, const char *name, const char *id)
{
	struct event event = {.kind = EVENT_RECORDING_FAIL,
		.rec_id = id,
		.reason = "a crash left a file without a whole header, which "
			  "no session had used; it was removed"};

	if (unlinkat(day_fd, name, 0)) {
		log_put(LOG_ERR, "%s: %s", name, strerror(errno));
		return;
	}
	log_put(LOG_WARNING, "%s: %s", id, event.reason);
	recorder_event(recorder, &event);
}

static bool take_stray(
	struct recorder *recorder, int day_fd, const char *name, const char *id)
{
	uint8_t first[SUITE_HASH_LEN], prev[SUITE_HASH_LEN];
	int fd = openat(
		day_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	bool whole = fd >= 0 && is_whole(recorder, fd, first, prev);
	uint64_t seq;

	if (fd >= 0)
		close(fd);
	if (!whole) {
		remove_torn(recorder, day_fd, name, id);
		return false;
	}
	if (recorder_index_open(recorder, id, first, prev, &seq) ||
		journal_commit(recorder->index, recorder_wall_ns()))
		log_fatal(EX_IOERR, "the index cannot be written: %s",
			strerror(errno));
	return true;
}

static int only_recordings(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len == SGR_ID_TEXT - 1 + 4 &&
	       !strcmp(entry->d_name + len - 4, ".sgr");
}

void recorder_strays(struct recorder *recorder, const char *day,
	const char (*known)[SGR_ID_TEXT], size_t known_count,
	void (*found)(void *data, const char *id), void *data)
{
	struct dirent **entries;
	int day_fd, count, i;

	day_fd = openat(recorder->recordings_fd, day,
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (day_fd < 0)
		return; /* no recordings on this day */
	count = scandirat(day_fd, ".", &entries, only_recordings, alphasort);
	for (i = 0; i < count; i++) {
		char id[SGR_ID_TEXT];

		(void)snprintf(id, sizeof(id), "%.36s", entries[i]->d_name);
		if (!(known_count && bsearch(id, known, known_count,
					     sizeof(*known), by_id)) &&
			take_stray(recorder, day_fd, entries[i]->d_name, id))
			found(data, id);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	close(day_fd);
}
