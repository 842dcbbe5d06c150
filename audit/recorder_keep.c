/*
 * Whose recordings are of today, so that a recorder that is killed and starts
 * again counts on for user-quota. Recordings do not say whose they are and
 * counters would be old when they are needed; so a file beside the trail, where
 * names are in clear as well, names who each recording of the day belongs to,
 * and how much it had grown is told by its own size. It is of one day and
 * begins anew with the next:
 *
 *	sgbridge-quota 1 DAY\n
 *	REC-ID BASE - NAME\n		from here on, or since midnight
 *	REC-ID BASE SIZE NAME\n		it has ended
 *
 * DAY counts from 1970, BASE is what the recording had before that day. A line
 * without its end is one that a crash cut. The disk gets lines within a round
 * of the loop; who begins does not wait for that, so a power cut may forget
 * those of the last second. Trusts its numbers: it is the recorder's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"

#include "recorder.h"
#include "recording_int.h"

#define FILE_NAME "quota"
#define HEAD	  "sgbridge-quota 1 "
#define ROW_MAX	  (SGR_ID_TEXT + QUOTA_NAME_MAX + 50)

/* No part of a line stays before the next one. */
static enum sgb_err append(struct keep *keep, const char *line, size_t len)
{
	enum sgb_err err;
	int saved;

	if (keep->torn && ftruncate(keep->fd, (off_t)keep->size))
		return SGB_ERR_SYSTEM;
	keep->torn = false;
	err = file_write_all(keep->fd, line, len);
	saved = errno;
	if (!err) {
		keep->size += len;
		keep->unsynced = true;
		return SGB_OK;
	}
	keep->torn = ftruncate(keep->fd, (off_t)keep->size) != 0;
	errno = saved;
	return err;
}

static enum sgb_err begin_day(struct keep *keep, uint64_t day)
{
	char line[ROW_MAX];
	int len = snprintf(line, sizeof(line), HEAD "%" PRIu64 "\n", day);
	enum sgb_err err;

	if (ftruncate(keep->fd, 0))
		return SGB_ERR_SYSTEM;
	keep->size = 0;
	keep->day = 0;
	err = append(keep, line, (size_t)len);
	if (!err)
		keep->day = day;
	return err;
}

/* size: NULL while it goes on. */
static enum sgb_err note(struct recorder *recorder, const struct recording *rec,
	const uint64_t *size)
{
	struct keep *keep = &recorder->keep;
	char line[ROW_MAX], end[24] = "-";
	enum sgb_err err = SGB_OK;
	int len;

	if (keep->fd < 0)
		return SGB_OK;
	if (keep->day != rec->day)
		err = begin_day(keep, rec->day);
	if (err)
		return err;
	if (size)
		(void)snprintf(end, sizeof(end), "%" PRIu64, *size);
	len = snprintf(line, sizeof(line), "%s %" PRIu64 " %s %s\n", rec->id,
		rec->base, end, recorder_quota_name(recorder, rec));
	return append(keep, line, (size_t)len);
}

static void complain(const struct recording *rec)
{
	log_put(LOG_ERR, "%s: user-quota: whose it is cannot be noted: %s",
		rec->id, strerror(errno));
}

enum sgb_err recorder_keep_begin(
	struct recorder *recorder, struct recording *rec)
{
	if (!rec->person)
		return SGB_OK;
	rec->day = recorder_day();
	return note(recorder, rec, NULL);
}

void recorder_keep_day(struct recorder *recorder, struct recording *rec)
{
	uint64_t today = recorder_day();

	if (rec->day == today)
		return;
	rec->day = today;
	rec->base = rec->counted;
	/* It was let in: that a restart would not count this is no reason to
	 * end it. */
	if (note(recorder, rec, NULL))
		complain(rec);
}

void recorder_keep_end(struct recorder *recorder, struct recording *rec)
{
	if (rec->person && note(recorder, rec, &rec->size))
		complain(rec);
}

static void keep_done(struct sync_job *job)
{
	if (job->error)
		log_put(LOG_ERR, "user-quota: %s", strerror(job->error));
}

void recorder_keep_commit(struct recorder *recorder)
{
	struct keep *keep = &recorder->keep;

	if (!keep->unsynced || keep->job.flying)
		return;
	keep->unsynced = false;
	recorder_sync(recorder, &keep->job);
}

struct row {
	char id[SGR_ID_TEXT], name[QUOTA_NAME_MAX];
	uint64_t base, size;
	bool ended;
};

static bool read_number(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno;
}

static bool read_row(char *line, struct row *row)
{
	uint8_t bytes[SGR_ID_LEN];
	const char *id = strsep(&line, " "), *base = strsep(&line, " ");
	const char *size = strsep(&line, " ");

	if (!line || !*line || strlen(line) >= sizeof(row->name) ||
		sgr_id_parse(id, bytes) || !read_number(base, &row->base))
		return false;
	memset(row->id, 0, sizeof(row->id));
	sgr_id_text(bytes, row->id);
	strcpy(row->name, line);
	row->ended = strcmp(size, "-") != 0;
	return !row->ended || read_number(size, &row->size);
}

/* One that a crash ended is as large as it is; its end is in it by now. */
static uint64_t size_now(const struct recorder *recorder, const char *id)
{
	uint8_t bytes[SGR_ID_LEN];
	char path[SGR_PATH_MAX];
	struct stat st;

	if (sgr_id_parse(id, bytes))
		return 0;
	sgr_path(bytes, path);
	if (fstatat(recorder->recordings_fd, path, &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	return (uint64_t)st.st_size;
}

struct rows {
	struct row *rows;
	size_t count, cap;
};

static bool add_row(struct rows *rows, const struct row *row)
{
	if (rows->count == rows->cap) {
		size_t cap = rows->cap ? 2 * rows->cap : 256;
		struct row *more = reallocarray(rows->rows, cap, sizeof(*more));

		if (!more)
			return false;
		rows->rows = more;
		rows->cap = cap;
	}
	rows->rows[rows->count++] = *row;
	return true;
}

/* Of one recording, the line that says that it ended comes last. */
static int by_id(const void *a, const void *b)
{
	const struct row *left = a, *right = b;
	int order = strcmp(left->id, right->id);

	return order ? order : (int)left->ended - (int)right->ended;
}

static void count_rows(struct recorder *recorder, struct rows *rows)
{
	size_t i;

	if (rows->count)
		qsort(rows->rows, rows->count, sizeof(*rows->rows), by_id);
	for (i = 0; i < rows->count; i++) {
		struct row *row = &rows->rows[i];

		if (i + 1 < rows->count && !strcmp(row->id, row[1].id))
			continue;
		if (!row->ended)
			row->size = size_now(recorder, row->id);
		if (row->size > row->base &&
			recorder_quota_add(
				recorder, row->name, row->size - row->base))
			log_put(LOG_ERR, "user-quota: too many persons");
	}
}

/* Up to the last whole line. False: up to the first that is none of ours. */
static bool read_rows(struct keep *keep, FILE *file, struct rows *rows)
{
	char *line = NULL;
	bool good = true;
	size_t cap = 0;
	ssize_t len;
	struct row row;

	while (good && (len = getline(&line, &cap, file)) > 0 &&
		line[len - 1] == '\n') {
		line[len - 1] = '\0';
		if (!keep->size)
			good = !strncmp(line, HEAD, sizeof(HEAD) - 1) &&
			       read_number(line + sizeof(HEAD) - 1, &keep->day);
		else
			good = read_row(line, &row) && add_row(rows, &row);
		if (good)
			keep->size += (uint64_t)len;
	}
	/* A day without its head has none: what comes begins one. */
	if (!keep->size)
		keep->day = 0;
	free(line);
	return good && !ferror(file);
}

/* A recorder that does not start would lock everybody out: it goes on. */
static void alert(struct recorder *recorder, const char *what)
{
	char why[200];
	struct event event = {
		.kind = EVENT_CONFIG, .what = "user-quota", .reason = why};

	(void)snprintf(why, sizeof(why), "events/" FILE_NAME ": %s", what);
	log_put(LOG_ALERT, "user-quota: %s", why);
	recorder_event(recorder, &event);
}

static int open_file(const struct recorder *recorder)
{
	return openat(recorder->events_fd, FILE_NAME,
		O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK |
			O_CLOEXEC,
		0600);
}

/* What is good of it goes to a new file; all of it stays for who asks why. */
static void set_aside(struct recorder *recorder)
{
	struct keep *keep = &recorder->keep;
	uint64_t size = keep->size, at = 0;
	int old_fd = keep->fd;
	char bytes[4096];

	keep->size = 0;
	keep->fd = renameat(recorder->events_fd, FILE_NAME, recorder->events_fd,
			   FILE_NAME ".bad")
			   ? -1
			   : open_file(recorder);
	while (keep->fd >= 0 && at < size) {
		size_t want = size - at < sizeof(bytes) ? size - at
							: sizeof(bytes);
		ssize_t got = pread(old_fd, bytes, want, (off_t)at);

		if (got <= 0 || append(keep, bytes, (size_t)got)) {
			close(keep->fd);
			keep->fd = -1;
			keep->size = 0;
			keep->unsynced = false;
		}
		at += (uint64_t)got;
	}
	close(old_fd);
	alert(recorder, keep->fd < 0
				? "damaged, and cannot be written anew: until "
				  "the next start it is counted in memory alone"
				: "damaged: what follows the first bad line is "
				  "not counted; it is kept as quota.bad");
}

void recorder_keep_load(struct recorder *recorder)
{
	struct keep *keep = &recorder->keep;
	struct rows rows = {0};
	struct stat st;
	FILE *file;
	int fd;

	keep->fd = -1;
	if (!recorder->conf->user_quota)
		return;
	keep->fd = open_file(recorder);
	fd = keep->fd < 0 || fstat(keep->fd, &st) || !S_ISREG(st.st_mode)
		     ? -1
		     : fcntl(keep->fd, F_DUPFD_CLOEXEC, 3);
	file = fd < 0 ? NULL : fdopen(fd, "r");
	if (!file) {
		if (keep->fd >= 0)
			close(keep->fd);
		keep->fd = -1;
		alert(recorder,
			"cannot be read: what was of today before is not "
			"counted, and what comes is in memory alone");
		return;
	}
	if (!read_rows(keep, file, &rows))
		set_aside(recorder);
	else
		keep->torn = true; /* perhaps: the next line cuts it off */
	(void)fclose(file);
	/* Of another day, it stays until that is sure: a clock may be wrong
	 * until the network has told it. */
	if (keep->day == recorder_day())
		count_rows(recorder, &rows);
	free(rows.rows);
	keep->job.fd = keep->fd;
	keep->job.done = keep_done;
}
