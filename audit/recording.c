/*
 * One recording. Bytes are acknowledged after write(2) took them; the blocks
 * for them and for the CLOSE frame are allocated before, so that a full disk
 * shows before evidence is half-written.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "core/record.h"
#include "core/secret.h"

#include "recording_int.h"
#include "viewers.h"

#define END_ROOM       4096 /* CLOSE and its note, always allocated */
#define GROW_SMALL     (64 * 1024)
#define GROW_LARGE     (1024 * 1024)
#define ROUND_MESSAGES 128
#define ROUND_BYTES    (256 * 1024)
#define HEAD_SECONDS   60

void recording_set_why(struct recording *rec, const char *what, bool with_errno)
{
	if (with_errno)
		(void)snprintf(rec->why, sizeof(rec->why), "%s: %s", what,
			strerror(errno));
	else
		(void)snprintf(rec->why, sizeof(rec->why), "%s", what);
	rec->failed = true;
}

void recording_clock(const struct recorder *recorder,
	const struct recording *rec, struct sgr_clock *ret)
{
	struct timex timex = {.modes = 0};
	int state = adjtimex(&timex);

	ret->wall_ns = recorder_wall_ns();
	ret->mono_us = recorder_mono_us() - rec->start_us;
	memcpy(ret->boot_id, recorder->boot_id, sizeof(ret->boot_id));
	ret->synchronised = state < 0 ? 0 : state == TIME_ERROR ? 2 : 1;
}

enum sgb_err recording_room(struct recording *rec, size_t len)
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

enum sgb_err recording_put(struct recording *rec, const struct buf *out)
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
		err = recording_room(rec, out->len);
	if (!err)
		err = recording_put(rec, out);
	if (err == SGB_ERR_SYSTEM && recording_hold(rec, mark, out))
		return SGB_OK;
	if (err) {
		recording_set_why(rec, "cannot write the recording",
			err == SGB_ERR_SYSTEM);
		writer_rewind(rec->writer, mark);
	}
	return err;
}

/* A head that was told must survive a power cut, or the loss of what it speaks
 * of looks like somebody's work. */
static void note_head(struct recording *rec, uint64_t mono_us)
{
	if (mono_us - rec->head_us < HEAD_SECONDS * 1000000ULL)
		return;
	rec->head_us = mono_us;
	rec->head_frames = writer_frames(rec->writer);
	memcpy(rec->head_link, writer_link(rec->writer), SUITE_HASH_LEN);
}

static void tell_head(struct recording *rec)
{
	if (rec->head_frames && !rec->error && !rec->freed)
		recorder_head(rec->recorder, "rec", rec->id, rec->head_frames,
			rec->head_link);
	rec->head_frames = 0;
}

static enum sgb_err checkpoint(struct recorder *recorder, struct recording *rec)
{
	struct writer_mark mark;
	struct sgr_clock clock;
	enum sgb_err err;

	recording_clock(recorder, rec, &clock);
	writer_mark(rec->writer, &mark);
	buf_reset(&recorder->out);
	err = writer_checkpoint(rec->writer, &clock, &recorder->out);
	err = write_frames(rec, &mark, &recorder->out, err);
	if (err || recording_waits(rec))
		return err;
	rec->checkpoint_again = rec->checkpoint.flying;
	if (rec->checkpoint.flying)
		return SGB_OK;
	note_head(rec, clock.mono_us);
	recorder_sync(recorder, &rec->checkpoint);
	return SGB_OK;
}

static enum sgb_err write_round(
	struct recorder *recorder, struct recording *rec, uint64_t mono_us)
{
	struct writer_mark mark;
	enum sgb_err err;

	if (!recorder->scratch.items)
		return SGB_OK;
	recorder->worked = true;
	writer_mark(rec->writer, &mark);
	buf_reset(&recorder->out);
	err = writer_flush(
		rec->writer, &recorder->scratch, mono_us, &recorder->out);
	return write_frames(rec, &mark, &recorder->out, err);
}

bool recording_say(struct recording *rec, const struct buf *words)
{
	if (rec->stream < 0 || rec->deaf || buf_error(words))
		return false;
	if (send(rec->stream, words->data, words->len,
		    MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)words->len)
		return true;
	if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
		/* It shut that side: nobody is to be told, ever, and what it
		 * still sends is evidence like the rest. */
		rec->deaf = true;
	/* A full socket: the loop tries again when it has room. */
	return false;
}

static void send_ack(struct recording *rec)
{
	struct buf words;

	if (!recording_tell_wait(rec) || recording_waits(rec) ||
		rec->acked == rec->messages)
		return;
	buf_init(&words, 8);
	buf_put_u64(&words, rec->messages);
	if (recording_say(rec, &words))
		rec->acked = rec->messages;
	buf_done(&words);
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
		recording_set_why(
			rec, "the session sent a malformed item", false);
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
	if (recording_waits(rec))
		return SGB_ERR_AGAIN;
	for (count = 0; !err && count < ROUND_MESSAGES &&
			scratch_fill(&recorder->scratch) < ROUND_BYTES;
		count++)
		err = receive(recorder, rec, mono_us);
	wrote = write_round(recorder, rec, mono_us);
	if (wrote)
		return wrote;
	/* Nobody sees what is not recorded. */
	if (!recording_waits(rec))
		viewers_send(rec->viewers);
	if (err != SGB_ERR_FORMAT)
		send_ack(rec);
	if (err && err != SGB_ERR_AGAIN)
		return err;
	if (!recording_waits(rec) &&
		writer_wants_checkpoint(rec->writer, mono_us)) {
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
		recording_set_why(rec, sgb_err_text(err), false);
	if (!err && writer_wants_checkpoint(rec->writer, mono_us))
		err = checkpoint(recorder, rec);
	return err;
}

/* A checkpoint is on the disk, or can't be. */
static void checkpoint_done(struct sync_job *job)
{
	struct recording *rec = job->owner;

	if (job->error)
		rec->error = job->error;
	tell_head(rec);
	if (rec->freed) {
		recording_free(rec);
	} else if (rec->checkpoint_again && !rec->error) {
		rec->checkpoint_again = false;
		recorder_sync(rec->recorder, job);
	} else {
		recorder_synced(rec);
	}
}

static void gate_done(struct sync_job *job)
{
	struct recording *rec = job->owner;

	if (job->error)
		rec->error = job->error;
	if (rec->freed)
		recording_free(rec);
	else
		recorder_synced(rec);
}

static void fsync_whole(struct recording *rec)
{
	rec->gate.fd = rec->fd;
	rec->gate.whole = true;
	recorder_sync(rec->recorder, &rec->gate);
}

static struct recording *recording_new(struct recorder *recorder)
{
	struct recording *rec = calloc(1, sizeof(*rec));

	if (!rec)
		return NULL;
	rec->recorder = recorder;
	rec->fd = rec->stream = rec->session = -1;
	rec->start_us = recorder_mono_us();
	rec->gate.done = gate_done;
	rec->checkpoint.done = checkpoint_done;
	rec->gate.owner = rec->checkpoint.owner = rec;
	return rec;
}

/* The pair first: after the file the index will be told. */
static enum sgb_err make(struct recording *rec, const char *retention,
	const uint8_t *meta, size_t meta_len)
{
	int pair[2];
	enum sgb_err err = msg_pair(pair);

	if (err)
		return err;
	rec->stream = pair[0];
	rec->session = pair[1];
	return recording_make_file(rec, retention, meta, meta_len);
}

enum sgb_err recording_open(struct recorder *recorder, const char *retention,
	const uint8_t *meta, size_t meta_len, struct recording **ret, char *why,
	size_t why_len)
{
	struct recording *rec = recording_new(recorder);
	enum sgb_err err;

	if (!rec) {
		(void)snprintf(why, why_len, "no memory");
		return SGB_ERR_NOMEM;
	}
	recording_wait_init(rec, meta, meta_len);
	err = recorder_limits(
		recorder, rec, retention, meta, meta_len, why, why_len);
	if (err) {
		recording_free(rec);
		return err;
	}
	err = make(rec, retention, meta, meta_len);
	if (!err) {
		err = recorder_keep_begin(recorder, rec);
		if (err)
			recording_unmake(rec);
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
	rec->checkpoint.fd = rec->fd;
	fsync_whole(rec);
	rec->folder_turn = recorder_folder_want(recorder);
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

static enum sgb_err write_end(struct recorder *recorder, struct recording *rec,
	enum recorder_close reason)
{
	struct sgr_clock clock;
	enum sgb_err err;

	recording_clock(recorder, rec, &clock);
	buf_reset(&recorder->out);
	err = writer_close(
		rec->writer, (uint32_t)reason, &clock, &recorder->out);
	if (!err)
		err = recording_put(rec, &recorder->out);
	if (!err)
		err = recording_settle(rec);
	return err;
}

enum sgb_err recording_note(struct recording *rec, const char *text)
{
	uint64_t mono_us = recorder_mono_us() - rec->start_us;

	writer_add(&rec->recorder->scratch, RECORD_CONNECTION, RECORD_NOTE,
		mono_us, text, strlen(text));
	return write_round(rec->recorder, rec, mono_us);
}

enum sgb_err recording_close(struct recorder *recorder, struct recording *rec,
	enum recorder_close reason, const char *text)
{
	enum sgb_err err;

	recording_wait_end(rec);
	if (!rec->failed && rec->stream >= 0)
		drain(recorder, rec);
	if (rec->stream >= 0)
		close(rec->stream);
	rec->stream = -1;
	if (rec->failed)
		reason = RECORDER_CLOSE_FAILED;
	/* On failure CLOSE says so, and set_why has told why. */
	if (!rec->failed && text && *text && recording_note(rec, text))
		reason = RECORDER_CLOSE_FAILED;
	rec->end_reason = reason;
	err = write_end(recorder, rec, reason);
	if (!err)
		fsync_whole(rec);
	else if (!rec->failed)
		recording_set_why(
			rec, "cannot end the recording", err == SGB_ERR_SYSTEM);
	return err;
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
	rec->freed = true;
	if (rec->gate.flying || rec->checkpoint.flying)
		return;
	if (rec->fd >= 0)
		close(rec->fd);
	if (rec->stream >= 0)
		close(rec->stream);
	if (rec->session >= 0)
		close(rec->session);
	viewers_free(rec->viewers);
	writer_free(rec->writer);
	buf_done(&rec->held);
	free(rec->end_text);
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
	return rec->stream >= 0 && !rec->deaf &&
	       (rec->acked != rec->messages ||
		       rec->wait_told != recording_waits(rec));
}

uint64_t recording_size(const struct recording *rec)
{
	return rec->size;
}

const uint8_t *recording_link(const struct recording *rec)
{
	return writer_link(rec->writer);
}
