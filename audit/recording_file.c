/*
 * The file of a recording: how it begins, and how it is left. What is written
 * here is not durable before its owner had it synced, and nobody hears of it
 * before that.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"

#include "recording_int.h"

/* Durable in its parent, also if it is there already: whoever made it may have
 * crashed, or failed, before it was. */
static int open_part(int fd, const char *name)
{
	if (mkdirat(fd, name, 0700) && errno != EEXIST)
		return -1;
	if (fsync(fd))
		return -1;
	return openat(
		fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The folders of the path, made if they are missing: once a day and start. */
static enum sgb_err open_day(int root_fd, const char *path, int *ret_fd)
{
	static const size_t ends[] = {4, 7, 10}; /* 2026/11/23/ */
	int fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 3);
	size_t i, start = 0;

	for (i = 0; fd >= 0 && i < sizeof(ends) / sizeof(ends[0]); i++) {
		char name[8] = {0};
		int next, saved;

		memcpy(name, path + start, ends[i] - start);
		start = ends[i] + 1;
		next = open_part(fd, name);
		saved = errno;
		close(fd);
		errno = saved;
		fd = next;
	}
	*ret_fd = fd;
	return fd < 0 ? SGB_ERR_SYSTEM : SGB_OK;
}

/* Preamble, header, META and CHECKPOINT. */
static enum sgb_err write_header(struct recording *rec,
	const struct sgr_header_params *params, const uint8_t *meta,
	size_t meta_len)
{
	struct recorder *recorder = rec->recorder;
	struct buf *out = &recorder->out;
	struct sgr_clock clock;
	size_t header_len;
	enum sgb_err err;

	recording_clock(recorder, rec, &clock);
	buf_reset(out);
	err = writer_begin(params, recorder->key, (const char *)meta, meta_len,
		&clock, out, &rec->writer);
	if (err)
		return err;
	header_len = SGR_PREAMBLE_LEN + ((size_t)out->data[12] |
						(size_t)out->data[13] << 8 |
						(size_t)out->data[14] << 16);
	err = sgr_link_first(out->data, header_len, rec->first_link);
	if (!err)
		err = recording_room(rec, out->len);
	if (!err)
		err = recording_put(rec, out);
	return err;
}

static void fill_params(struct recording *rec, uint64_t wall_ns,
	const char *retention, struct sgr_header_params *ret)
{
	const struct recorder *recorder = rec->recorder;

	memset(ret, 0, sizeof(*ret));
	ret->start_ns = wall_ns;
	ret->writer_name = recorder->writer_name;
	ret->retention = retention;
	memcpy(rec->prev_head, recorder->prev_head, SUITE_HASH_LEN);
	memcpy(ret->prev_head, rec->prev_head, SUITE_HASH_LEN);
	memcpy(ret->writer_key, suite_key_public(recorder->key), SUITE_KEY_LEN);
	ret->recipients = recorder->recipients.rows;
	ret->recipient_count = recorder->recipients.count;
}

/* The day's folder, opened once. */
static enum sgb_err take_day(struct recording *rec)
{
	struct recorder *recorder = rec->recorder;
	int day_fd;
	enum sgb_err err;

	if (recorder_folder_is(recorder, rec->path))
		return SGB_OK;
	err = open_day(recorder->recordings_fd, rec->path, &day_fd);
	return err ? err : recorder_folder_set(recorder, rec->path, day_fd);
}

enum sgb_err recording_make_file(struct recording *rec, const char *retention,
	const uint8_t *meta, size_t meta_len)
{
	uint64_t wall_ns = recorder_wall_ns();
	struct sgr_header_params params;
	enum sgb_err err;

	fill_params(rec, wall_ns, retention, &params);
	err = sgr_id_new(wall_ns, params.rec_id);
	if (err)
		return err;
	sgr_id_text(params.rec_id, rec->id);
	sgr_path(params.rec_id, rec->path);
	err = take_day(rec);
	if (err)
		return err;
	rec->fd = openat(rec->recorder->folder.fd, rec->path + 11,
		O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (rec->fd < 0)
		return SGB_ERR_SYSTEM;
	err = write_header(rec, &params, meta, meta_len);
	if (err)
		recording_unmake(rec);
	return err;
}

void recording_unmake(struct recording *rec)
{
	int saved = errno;

	if (rec->fd >= 0)
		(void)unlinkat(rec->recorder->recordings_fd, rec->path, 0);
	errno = saved;
}

enum sgb_err recording_settle(struct recording *rec)
{
	if (ftruncate(rec->fd, (off_t)rec->size) || fchmod(rec->fd, 0440))
		return SGB_ERR_SYSTEM;
	return SGB_OK;
}
