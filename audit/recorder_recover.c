/*
 * When the recorder starts: which recordings did it leave open? The index
 * knows. Each gets its end, in its file and in the index, before a new one may
 * start.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"

#include "recorder.h"
#include "recover.h"

struct open_row {
	char id[SGR_ID_TEXT];
};

struct open_rows {
	struct open_row *rows;
	size_t count, cap;
};

/* The value of a text member, up to its quote; NULL if it is not there. The
 * lines are our own, written by recording.c. */
static const char *member(
	const char *line, const char *name, char *ret, size_t want)
{
	char key[32];
	const char *at;

	(void)snprintf(key, sizeof(key), "\"%s\":\"", name);
	at = strstr(line, key);
	if (!at)
		return NULL;
	at += strlen(key);
	if (strnlen(at, want + 1) <= want || at[want] != '"')
		return NULL;
	memcpy(ret, at, want);
	ret[want] = '\0';
	return ret;
}

static void add_row(struct open_rows *open, const char *id)
{
	if (open->count == open->cap) {
		size_t cap = open->cap ? open->cap * 2 : 64;
		struct open_row *rows = reallocarray(
			open->rows, cap, sizeof(*rows));

		if (!rows)
			log_fatal(EX_OSERR, "out of memory");
		open->rows = rows;
		open->cap = cap;
	}
	memcpy(open->rows[open->count++].id, id, SGR_ID_TEXT);
}

static void remove_row(struct open_rows *open, const char *id)
{
	size_t i;

	for (i = open->count; i-- > 0;)
		if (!strcmp(open->rows[i].id, id)) {
			open->rows[i] = open->rows[--open->count];
			return;
		}
}

/* What the index read so far says. */
struct index_state {
	struct open_rows open;	/* without an end */
	struct open_rows known; /* all of the last two days */
	char days[2][11];	/* "2026/11/23" */
};

static bool is_recent(const struct index_state *index, const char *id)
{
	uint8_t bytes[SGR_ID_LEN];
	char path[SGR_PATH_MAX];

	if (sgr_id_parse(id, bytes))
		return false;
	sgr_path(bytes, path);
	return !memcmp(path, index->days[0], 10) ||
	       !memcmp(path, index->days[1], 10);
}

static void take_line(
	struct recorder *recorder, const char *line, struct index_state *index)
{
	char id[SGR_ID_TEXT], head[2 * SUITE_HASH_LEN + 1];

	if (!member(line, "rec", id, SGR_ID_TEXT - 1))
		return;
	if (strstr(line, "\"op\":\"open\"")) {
		add_row(&index->open, id);
		if (is_recent(index, id))
			add_row(&index->known, id);
		return;
	}
	remove_row(&index->open, id);
	if (member(line, "head", head, 2 * SUITE_HASH_LEN))
		(void)!suite_unhex(
			head, 2 * SUITE_HASH_LEN, recorder->prev_head);
}

static void read_index_file(
	struct recorder *recorder, const char *name, struct index_state *index)
{
	int fd = openat(
		recorder->index_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL;
	size_t cap = 0;

	if (!file)
		log_fatal(EX_IOERR, "index/%s: %s", name, strerror(errno));
	while (getline(&line, &cap, file) > 0)
		take_line(recorder, line, index);
	free(line);
	(void)fclose(file);
}

static int only_journals(const struct dirent *entry)
{
	return journal_is_file(entry->d_name);
}

static void read_index(struct recorder *recorder, struct index_state *index)
{
	struct dirent **entries;
	int count, i;

	count = scandirat(
		recorder->index_fd, ".", &entries, only_journals, alphasort);
	if (count < 0)
		log_fatal(EX_IOERR, "index: %s", strerror(errno));
	for (i = 0; i < count; i++) {
		read_index_file(recorder, entries[i]->d_name, index);
		free(entries[i]);
	}
	free(entries);
}

static void state(struct recorder *recorder, const char *id, const char *op,
	const struct sgr_recovery *recovery)
{
	struct recorder_end end = {.frames = recovery->frames,
		.bytes = recovery->size,
		.discarded = recovery->discarded};
	uint64_t seq;

	memcpy(end.head, recovery->link, SUITE_HASH_LEN);
	if (recorder_index_end(recorder, op, id, &end, &seq) ||
		journal_commit(recorder->index, recorder_wall_ns()))
		log_fatal(EX_IOERR, "the index cannot be written: %s",
			strerror(errno));
}

/* A file whose mode is 0440 already is ours to open for writing. */
static int open_recording(const struct recorder *recorder, const char *path)
{
	struct stat st;
	int fd = openat(recorder->recordings_fd, path,
		O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 &&
		(fstat(fd, &st) || !S_ISREG(st.st_mode) || fchmod(fd, 0600))) {
		close(fd);
		return -1;
	}
	if (fd >= 0)
		close(fd);
	return openat(recorder->recordings_fd, path,
		O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
}

static enum sgb_err recover_file(struct recorder *recorder, const char *id,
	struct sgr_recovery *recovery)
{
	uint8_t bytes[SGR_ID_LEN];
	char path[SGR_PATH_MAX];
	enum sgb_err err;
	int fd;

	memset(recovery, 0, sizeof(*recovery));
	if (sgr_id_parse(id, bytes))
		return SGB_ERR_FORMAT;
	sgr_path(bytes, path);
	fd = open_recording(recorder, path);
	if (fd < 0) {
		(void)snprintf(recovery->text, sizeof(recovery->text), "%s",
			strerror(errno));
		return SGB_ERR_NOTFOUND;
	}
	err = sgr_recover(fd, recorder->key, recorder->boot_id,
		recorder_wall_ns(), recovery);
	close(fd);
	return err;
}

static void recover_one(struct recorder *recorder, const char *id)
{
	struct event event = {
		.kind = EVENT_RECORDING_STOP, .ok = true, .rec_id = id};
	struct sgr_recovery recovery;
	enum sgb_err err = recover_file(recorder, id, &recovery);
	char why[400];

	if (!err || err == SGB_ERR_STALE) {
		(void)snprintf(why, sizeof(why),
			"recovered after a crash: %u frames, %llu bytes of an "
			"unfinished frame discarded",
			recovery.frames,
			(unsigned long long)recovery.discarded);
		memcpy(recorder->prev_head, recovery.link, SUITE_HASH_LEN);
		state(recorder, id, err ? "close" : "recovered", &recovery);
		recorder_head(
			recorder, "rec", id, recovery.frames, recovery.link);
	} else {
		(void)snprintf(why, sizeof(why), "not recovered: %s",
			*recovery.text ? recovery.text : sgb_err_text(err));
		event.kind = EVENT_RECORDING_FAIL;
		event.ok = false;
		state(recorder, id, "failed", &recovery);
	}
	log_put(LOG_WARNING, "%s: %s", id, why);
	event.reason = why;
	recorder_event(recorder, &event);
}

static int by_id(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void found_stray(void *data, const char *id)
{
	add_row(data, id);
}

static void name_days(struct index_state *index)
{
	time_t now = time(NULL);
	struct tm tm;
	int i;

	for (i = 0; i < 2; i++, now -= 86400)
		if (gmtime_r(&now, &tm))
			(void)strftime(index->days[i], sizeof(index->days[i]),
				"%Y/%m/%d", &tm);
}

void recorder_recover(struct recorder *recorder)
{
	struct index_state index = {0};
	size_t i;

	name_days(&index);
	read_index(recorder, &index);
	if (index.known.count)
		qsort(index.known.rows, index.known.count,
			sizeof(*index.known.rows), by_id);
	for (i = 0; i < 2; i++)
		recorder_strays(recorder, index.days[i],
			(const char(*)[SGR_ID_TEXT])index.known.rows,
			index.known.count, found_stray, &index.open);
	for (i = 0; i < index.open.count; i++)
		recover_one(recorder, index.open.rows[i].id);
	free(index.open.rows);
	free(index.known.rows);
}
