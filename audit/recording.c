/*
 * One recording. Bytes are acknowledged after write(2) took them; the blocks
 * for them and for the CLOSE frame are allocated before, so that a full disk
 * shows before evidence is half-written.
 */
#include "recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "core/record.h"
#include "core/secret.h"

#include "syncer.h"
#include "viewers.h"

#define END_ROOM       4096 /* CLOSE and its note, always allocated */
#define GROW_SMALL     (64 * 1024)
#define GROW_LARGE     (1024 * 1024)
#define ROUND_MESSAGES 128
#define ROUND_BYTES    (256 * 1024)
#define HEAD_SECONDS   60

struct recording {
	char id[SGR_ID_TEXT];
	char path[SGR_PATH_MAX];
	int fd;
	int stream; /* -1 when closed */
	struct writer *writer;
	uint64_t start_us;
	uint64_t size;	    /* bytes in the file */
	uint64_t allocated; /* blocks are there up to here */
	bool no_fallocate;
	uint64_t messages; /* taken */
	uint64_t acked;
	uint64_t head_us;	 /* when its head was sent last */
	struct viewers *viewers; /* live, or NULL */
	bool deaf; /* the session does not take acknowledgements */
	bool failed;
	char why[200];
};

static void set_why(struct recording *rec, const char *what, bool with_errno)
{
	if (with_errno)
		(void)snprintf(rec->why, sizeof(rec->why), "%s: %s", what,
			strerror(errno));
	else
		(void)snprintf(rec->why, sizeof(rec->why), "%s", what);
	rec->failed = true;
}

static void read_clock(const struct recorder *recorder,
	const struct recording *rec, struct sgr_clock *ret)
{
	struct timex timex = {.modes = 0};
	int state = adjtimex(&timex);

	ret->wall_ns = recorder_wall_ns();
	ret->mono_us = recorder_mono_us() - rec->start_us;
	memcpy(ret->boot_id, recorder->boot_id, sizeof(ret->boot_id));
	ret->synchronised = state < 0 ? 0 : state == TIME_ERROR ? 2 : 1;
}

/* Blocks for len bytes and for the end. */
static enum sgb_err make_room(struct recording *rec, size_t len)
{
	uint64_t need = rec->size + len + END_ROOM;
	uint64_t grow = len > GROW_SMALL ? GROW_LARGE : GROW_SMALL;
	int saved;

	if (need <= rec->allocated || rec->no_fallocate)
		return SGB_OK;
	grow = need - rec->allocated > grow ? need - rec->allocated : grow;
	if (!fallocate(rec->fd, FALLOC_FL_KEEP_SIZE, (off_t)rec->allocated,
		    (off_t)grow)) {
		rec->allocated += grow;
		return SGB_OK;
	}
	saved = errno;
	if (saved == EOPNOTSUPP || saved == ENOSYS) {
		rec->no_fallocate = true;
		return SGB_OK;
	}
	/* Perhaps just what is needed is still there. */
	grow = need - rec->allocated;
	if (!fallocate(rec->fd, FALLOC_FL_KEEP_SIZE, (off_t)rec->allocated,
		    (off_t)grow)) {
		rec->allocated += grow;
		return SGB_OK;
	}
	errno = saved;
	return SGB_ERR_SYSTEM;
}

static enum sgb_err write_out(struct recording *rec, const struct buf *out)
{
	enum sgb_err err = file_write_all(rec->fd, out->data, out->len);
	int saved = errno;

	if (!err) {
		rec->size += out->len;
		return SGB_OK;
	}
	/* No part of a frame may stay in front of the end. */
	if (ftruncate(rec->fd, (off_t)rec->size))
		saved = errno;
	(void)lseek(rec->fd, (off_t)rec->size, SEEK_SET);
	errno = saved;
	return err;
}

/* Takes frames out of the writer and puts them into the file, or takes both
 * back. */
static enum sgb_err write_frames(struct recording *rec,
	const struct writer_mark *mark, const struct buf *out, enum sgb_err err)
{
	if (!err)
		err = make_room(rec, out->len);
	if (!err)
		err = write_out(rec, out);
	if (err) {
		set_why(rec, "cannot write the recording",
			err == SGB_ERR_SYSTEM);
		writer_rewind(rec->writer, mark);
	}
	return err;
}

static enum sgb_err checkpoint(struct recorder *recorder, struct recording *rec)
{
	struct writer_mark mark;
	struct sgr_clock clock;
	enum sgb_err err;

	read_clock(recorder, rec, &clock);
	writer_mark(rec->writer, &mark);
	buf_reset(&recorder->out);
	err = writer_checkpoint(rec->writer, &clock, &recorder->out);
	err = write_frames(rec, &mark, &recorder->out, err);
	if (err)
		return err;
	if (syncer_add(recorder->syncer, rec->fd, rec->id) &&
		fdatasync(rec->fd)) {
		recording_damaged(rec);
		return SGB_ERR_SYSTEM;
	}
	if (clock.mono_us - rec->head_us >= HEAD_SECONDS * 1000000ULL) {
		rec->head_us = clock.mono_us;
		recorder_head(recorder, "rec", rec->id,
			writer_frames(rec->writer), writer_link(rec->writer));
	}
	return SGB_OK;
}

static enum sgb_err write_round(
	struct recorder *recorder, struct recording *rec, uint64_t mono_us)
{
	struct writer_mark mark;
	enum sgb_err err;

	if (!recorder->scratch.items)
		return SGB_OK;
	writer_mark(rec->writer, &mark);
	buf_reset(&recorder->out);
	err = writer_flush(
		rec->writer, &recorder->scratch, mono_us, &recorder->out);
	return write_frames(rec, &mark, &recorder->out, err);
}

static void send_ack(struct recording *rec)
{
	uint8_t bytes[8];
	size_t i;

	if (rec->acked == rec->messages || rec->stream < 0 || rec->deaf)
		return;
	for (i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(rec->messages >> (8 * (7 - i)));
	if (send(rec->stream, bytes, sizeof(bytes),
		    MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(bytes))
		rec->acked = rec->messages;
	else if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
		/* It shut that side: nobody is to be told, ever, and what it
		 * still sends is evidence like the rest. */
		rec->deaf = true;
	/* A full socket: the loop tries again when it has room. */
}

static void take_message(struct recorder *recorder, struct recording *rec,
	const uint8_t *data, size_t len, uint64_t mono_us)
{
	struct reader rd;

	reader_init(&rd, data, len);
	while (rd.left) {
		uint32_t channel = reader_u32(&rd);
		uint8_t kind = reader_u8(&rd);
		size_t item_len;
		const uint8_t *item = reader_string(&rd, &item_len);

		writer_add(&recorder->scratch, channel, (enum record_kind)kind,
			mono_us, item, item_len);
		viewers_note(rec->viewers, channel, (enum record_kind)kind,
			item, item_len);
	}
}

/* One message into scratch. */
static enum sgb_err receive(
	struct recorder *recorder, struct recording *rec, uint64_t mono_us)
{
	static uint8_t data[RECORD_MESSAGE_MAX + 1];
	enum sgb_err err = SGB_OK;
	ssize_t got;

	do {
		got = recv(rec->stream, data, sizeof(data), MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return SGB_ERR_AGAIN;
	if (got <= 0)
		return SGB_ERR_CLOSED;
	if ((size_t)got > RECORD_MESSAGE_MAX ||
		!record_message_valid(data, (size_t)got)) {
		set_why(rec, "the session sent a malformed item", false);
		err = SGB_ERR_FORMAT;
	} else {
		take_message(recorder, rec, data, (size_t)got, mono_us);
		rec->messages++;
	}
	/* Perhaps a password; it need not lie here until the next one. */
	secret_wipe(data, (size_t)got);
	return err;
}

/* With what each item costs beside its bytes: empty ones cost, too. */
static size_t scratch_fill(const struct writer_scratch *scratch)
{
	return scratch->plain[0].len + scratch->plain[1].len;
}

enum sgb_err recording_pump(struct recorder *recorder, struct recording *rec)
{
	uint64_t mono_us = recorder_mono_us() - rec->start_us;
	enum sgb_err err = SGB_OK, wrote;
	int count;

	if (rec->failed || rec->stream < 0)
		return SGB_ERR_PHASE;
	for (count = 0; !err && count < ROUND_MESSAGES &&
			scratch_fill(&recorder->scratch) < ROUND_BYTES;
		count++)
		err = receive(recorder, rec, mono_us);
	wrote = write_round(recorder, rec, mono_us);
	if (wrote)
		return wrote;
	viewers_send(rec->viewers);
	if (err != SGB_ERR_FORMAT)
		send_ack(rec);
	if (err && err != SGB_ERR_AGAIN)
		return err;
	if (writer_wants_checkpoint(rec->writer, mono_us)) {
		wrote = checkpoint(recorder, rec);
		if (wrote)
			return wrote;
	}
	return err;
}

enum sgb_err recording_tick(struct recorder *recorder, struct recording *rec)
{
	uint64_t mono_us = recorder_mono_us() - rec->start_us;
	enum sgb_err err;

	if (rec->failed)
		return SGB_ERR_PHASE;
	err = writer_tick(rec->writer, mono_us);
	if (err)
		set_why(rec, sgb_err_text(err), false);
	if (!err && writer_wants_checkpoint(rec->writer, mono_us))
		err = checkpoint(recorder, rec);
	return err;
}

/* Missing folders of the path, each durable in its parent. */
static enum sgb_err open_day(int root_fd, const char *path, int *ret_fd)
{
	static const size_t ends[] = {4, 7, 10}; /* 2026/11/23/ */
	int fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 3);
	size_t i, start = 0;

	for (i = 0; fd >= 0 && i < sizeof(ends) / sizeof(ends[0]); i++) {
		char name[8] = {0};
		int next;

		memcpy(name, path + start, ends[i] - start);
		start = ends[i] + 1;
		if (!mkdirat(fd, name, 0700))
			(void)fsync(fd);
		next = openat(fd, name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	*ret_fd = fd;
	return fd < 0 ? SGB_ERR_SYSTEM : SGB_OK;
}

static enum sgb_err index_opened(struct recorder *recorder,
	struct recording *rec, const uint8_t first_link[SUITE_HASH_LEN])
{
	return recorder_index_open(
		recorder, rec->id, first_link, recorder->prev_head);
}

static enum sgb_err index_closed(
	struct recorder *recorder, struct recording *rec, unsigned int reason)
{
	struct recorder_end end = {.reason = reason,
		.frames = writer_frames(rec->writer),
		.bytes = rec->size};

	memcpy(end.head, writer_link(rec->writer), SUITE_HASH_LEN);
	return recorder_index_end(recorder, "close", rec->id, &end);
}

/* Preamble, header, META and CHECKPOINT, durable with the file's name. */
static enum sgb_err write_header(struct recorder *recorder,
	struct recording *rec, const struct sgr_header_params *params,
	const uint8_t *meta, size_t meta_len, int day_fd,
	uint8_t first_link[SUITE_HASH_LEN])
{
	struct sgr_clock clock;
	enum sgb_err err;
	struct buf *out = &recorder->out;
	size_t header_len;

	read_clock(recorder, rec, &clock);
	buf_reset(out);
	err = writer_begin(params, recorder->key, (const char *)meta, meta_len,
		&clock, out, &rec->writer);
	if (err)
		return err;
	header_len = SGR_PREAMBLE_LEN + ((size_t)out->data[12] |
						(size_t)out->data[13] << 8 |
						(size_t)out->data[14] << 16);
	err = sgr_link_first(out->data, header_len, first_link);
	if (!err)
		err = make_room(rec, out->len);
	if (!err)
		err = write_out(rec, out);
	if (!err && (fsync(rec->fd) || fsync(day_fd)))
		err = SGB_ERR_SYSTEM;
	return err;
}

static void fill_params(const struct recorder *recorder, uint64_t wall_ns,
	const char *retention, struct sgr_header_params *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->start_ns = wall_ns;
	ret->writer_name = recorder->writer_name;
	ret->retention = retention;
	memcpy(ret->prev_head, recorder->prev_head, SUITE_HASH_LEN);
	memcpy(ret->writer_key, suite_key_public(recorder->key), SUITE_KEY_LEN);
	ret->recipients = recorder->recipients.rows;
	ret->recipient_count = recorder->recipients.count;
}

static enum sgb_err make_file(struct recorder *recorder, struct recording *rec,
	const char *retention, const uint8_t *meta, size_t meta_len)
{
	uint8_t first_link[SUITE_HASH_LEN];
	uint64_t wall_ns = recorder_wall_ns();
	struct sgr_header_params params;
	int day_fd = -1;
	enum sgb_err err;

	fill_params(recorder, wall_ns, retention, &params);
	err = sgr_id_new(wall_ns, params.rec_id);
	if (err)
		return err;
	sgr_id_text(params.rec_id, rec->id);
	sgr_path(params.rec_id, rec->path);
	err = open_day(recorder->recordings_fd, rec->path, &day_fd);
	if (err)
		return err;
	rec->fd = openat(day_fd, rec->path + 11,
		O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (rec->fd < 0)
		err = SGB_ERR_SYSTEM;
	if (!err)
		err = write_header(recorder, rec, &params, meta, meta_len,
			day_fd, first_link);
	if (!err)
		err = index_opened(recorder, rec, first_link);
	if (err && rec->fd >= 0) {
		int saved = errno;

		/* Never opened: no evidence is lost, and no name stays. */
		(void)unlinkat(day_fd, rec->path + 11, 0);
		errno = saved;
	}
	close(day_fd);
	return err;
}

static void close_keeping_errno(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

enum sgb_err recording_open(struct recorder *recorder, const char *retention,
	const uint8_t *meta, size_t meta_len, struct recording **ret,
	int *ret_session, char *why, size_t why_len)
{
	struct recording *rec = calloc(1, sizeof(*rec));
	enum sgb_err err;
	int pair[2];

	if (!rec)
		return SGB_ERR_NOMEM;
	rec->fd = rec->stream = -1;
	rec->start_us = recorder_mono_us();
	if (recorder_free_bytes(recorder) < recorder->conf->disk_reserve) {
		(void)snprintf(why, why_len,
			"less than disk-reserve is free in %s",
			recorder->conf->recordings);
		recording_free(rec);
		return SGB_ERR_LIMIT;
	}
	/* The pair first: after make_file the index has told of the file. */
	err = msg_pair(pair);
	if (!err) {
		rec->stream = pair[0];
		err = make_file(recorder, rec, retention, meta, meta_len);
		if (err)
			close_keeping_errno(pair[1]);
	}
	if (err) {
		(void)snprintf(why, why_len,
			"cannot start a recording in %s: %s",
			recorder->conf->recordings,
			err == SGB_ERR_SYSTEM ? strerror(errno)
					      : sgb_err_text(err));
		recording_free(rec);
		return err;
	}
	*ret_session = pair[1];
	*ret = rec;
	return SGB_OK;
}

static void drain(struct recorder *recorder, struct recording *rec)
{
	enum sgb_err err;

	/* What is there and no more: a session could send for ever. */
	(void)shutdown(rec->stream, SHUT_RD);
	do {
		err = recording_pump(recorder, rec);
	} while (!err);
}

/* Unused blocks go back; the file becomes read-only. */
static enum sgb_err settle(struct recording *rec)
{
	if (ftruncate(rec->fd, (off_t)rec->size) || fchmod(rec->fd, 0440) ||
		fsync(rec->fd))
		return SGB_ERR_SYSTEM;
	return SGB_OK;
}

static enum sgb_err write_end(struct recorder *recorder, struct recording *rec,
	enum recorder_close reason)
{
	struct sgr_clock clock;
	enum sgb_err err;

	read_clock(recorder, rec, &clock);
	buf_reset(&recorder->out);
	err = writer_close(
		rec->writer, (uint32_t)reason, &clock, &recorder->out);
	if (!err)
		err = write_out(rec, &recorder->out);
	if (!err)
		err = settle(rec);
	return err;
}

enum sgb_err recording_close(struct recorder *recorder, struct recording *rec,
	enum recorder_close reason, const char *text)
{
	uint64_t mono_us;
	enum sgb_err err;

	if (!rec->failed && rec->stream >= 0)
		drain(recorder, rec);
	if (rec->stream >= 0)
		close(rec->stream);
	rec->stream = -1;
	if (rec->failed)
		reason = RECORDER_CLOSE_FAILED;
	mono_us = recorder_mono_us() - rec->start_us;
	if (!rec->failed && text && *text) {
		writer_add(&recorder->scratch, RECORD_CONNECTION, RECORD_NOTE,
			mono_us, text, strlen(text));
		/* On failure CLOSE says so, and set_why has told why. */
		if (write_round(recorder, rec, mono_us))
			reason = RECORDER_CLOSE_FAILED;
	}
	err = write_end(recorder, rec, reason);
	if (!err) {
		memcpy(recorder->prev_head, writer_link(rec->writer),
			SUITE_HASH_LEN);
		err = index_closed(recorder, rec, reason);
		recorder_head(recorder, "rec", rec->id,
			writer_frames(rec->writer), writer_link(rec->writer));
	}
	if (err && !rec->failed)
		set_why(rec, "cannot end the recording", err == SGB_ERR_SYSTEM);
	return err;
}

void recording_damaged(struct recording *rec)
{
	set_why(rec, "cannot make the recording durable", true);
}

enum sgb_err recording_watch(struct recording *rec, int *ret_fd)
{
	return rec->failed || rec->stream < 0
		       ? SGB_ERR_PHASE
		       : viewers_add(&rec->viewers, ret_fd);
}

void recording_free(struct recording *rec)
{
	if (!rec)
		return;
	if (rec->fd >= 0)
		close(rec->fd);
	if (rec->stream >= 0)
		close(rec->stream);
	viewers_free(rec->viewers);
	writer_free(rec->writer);
	free(rec);
}

const char *recording_id(const struct recording *rec)
{
	return rec->id;
}

const char *recording_why(const struct recording *rec)
{
	return *rec->why ? rec->why : "unknown";
}

int recording_stream(const struct recording *rec)
{
	return rec->stream;
}

bool recording_ack_waits(const struct recording *rec)
{
	return rec->stream >= 0 && !rec->deaf && rec->acked != rec->messages;
}

uint64_t recording_size(const struct recording *rec)
{
	return rec->size;
}

const uint8_t *recording_link(const struct recording *rec)
{
	return writer_link(rec->writer);
}
