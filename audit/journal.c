/*
 * Writing chained journals. Trusts the folder to be this writer's alone. A
 * line is only ever appended; what a crash tore is cut when the journal is
 * opened again, and stated.
 */
#include "journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"

#include "journal_form.h"

#define GROUP_MAX (4 * 1024 * 1024)
#define TAIL_MAX  (4 * JOURNAL_LINE_MAX)
/* What a line is more than its JSON, at most: sequence, writer, hash and
 * signature with their names. */
#define LINE_MORE \
	(20 + sizeof(",,\"writer\":\"\",\"prev\":\"\",\"sig\":\"\"") - 1 + \
		JOURNAL_WRITER_LEN + 2 * (size_t)SUITE_HASH_LEN + \
		JOURNAL_SIG_LEN)

struct journal {
	struct journal_params params;
	char writer[JOURNAL_WRITER_LEN + 1];
	char name[JOURNAL_NAME_MAX]; /* of the open file */
	int fd;			     /* or -1 */
	uint64_t seq;		     /* last durable line */
	uint8_t hash[SUITE_HASH_LEN];
	/* The group: finished lines, and the last one still without its end. */
	struct buf lines;
	struct buf open_line;
	uint64_t group_seq;
	uint8_t group_hash[SUITE_HASH_LEN];
	/* The group before, written but not durable yet. */
	bool flying;
	uint64_t flying_seq;
	uint8_t flying_hash[SUITE_HASH_LEN];
	off_t flying_start; /* where the file ended before it */
};

static void forget_group(struct journal *journal)
{
	bool flying = journal->flying;

	buf_reset(&journal->lines);
	buf_reset(&journal->open_line);
	journal->group_seq = flying ? journal->flying_seq : journal->seq;
	memcpy(journal->group_hash,
		flying ? journal->flying_hash : journal->hash, SUITE_HASH_LEN);
}

/* Ends the open line, signed or not, and moves the chain on. */
static enum sgb_err finish_line(struct journal *journal, bool sign)
{
	const struct journal_shape *shape = journal_shape(journal->params.form);
	struct buf *line = &journal->open_line;
	struct iovec part;
	enum sgb_err err;

	if (!line->len)
		return SGB_OK;
	if (sign && journal->params.key) {
		uint8_t sig[SUITE_SIG_LEN];
		char text[JOURNAL_SIG_LEN + 1];

		err = journal_sign(journal->params.key, line, sig);
		if (err)
			return err;
		suite_base64(sig, sizeof(sig), text);
		buf_printf(line, ",\"sig\":\"%s\"", text);
	}
	buf_put(line, shape->tail, strlen(shape->tail));
	err = buf_error(line);
	if (err)
		return err;
	part = (struct iovec){line->data, line->len};
	err = suite_sha256(&part, 1, journal->group_hash);
	buf_put(&journal->lines, line->data, line->len);
	buf_put_u8(&journal->lines, '\n');
	buf_reset(line);
	return err ? err : buf_error(&journal->lines);
}

/* Asked before the group is touched: others wait for the lines in it. */
static bool has_room(const struct journal *journal,
	const struct journal_shape *shape, size_t len)
{
	size_t line = len - strlen(shape->head) + strlen(shape->head_out) +
		      LINE_MORE;

	/* The open line lacks its end, at least. */
	return line <= JOURNAL_LINE_MAX &&
	       journal->lines.len + journal->open_line.len + LINE_MORE + line <
		       GROUP_MAX;
}

enum sgb_err journal_add(struct journal *journal, const char *json, size_t len,
	uint64_t *ret_seq)
{
	const struct journal_shape *shape = journal_shape(journal->params.form);
	size_t head = strlen(shape->head), tail = strlen(shape->tail);
	char prev[2 * SUITE_HASH_LEN + 1];
	struct buf *line = &journal->open_line;
	enum sgb_err err;

	if (!journal_fits(shape, json, len))
		return SGB_ERR_FORMAT;
	if (!has_room(journal, shape, len))
		return SGB_ERR_LIMIT;
	err = finish_line(journal, false);
	if (err)
		return err;
	suite_hex(journal->group_hash, SUITE_HASH_LEN, prev);
	buf_printf(line, "%s%" PRIu64 ",", shape->head_out,
		journal->group_seq + 1);
	buf_put(line, json + head, len - head - tail);
	buf_printf(line, ",\"writer\":\"%s\",\"prev\":\"%s\"", journal->writer,
		prev);
	err = buf_error(line);
	if (err) {
		/* Who waits for the group hears that it failed. */
		buf_reset(line);
		journal->lines.err = err;
		return err;
	}
	*ret_seq = ++journal->group_seq;
	return SGB_OK;
}

bool journal_pending(const struct journal *journal)
{
	return journal->open_line.len || journal->lines.len ||
	       buf_error(&journal->lines);
}

uint64_t journal_head(
	const struct journal *journal, uint8_t ret_hash[SUITE_HASH_LEN])
{
	memcpy(ret_hash, journal->hash, SUITE_HASH_LEN);
	return journal->seq;
}

/* Who may list the folder as its group may read what is in it: that is how
 * the folder's owner says so, since the umask is the service's. */
static int share(int dir_fd, int fd)
{
	struct stat dir, st;

	if (fstat(dir_fd, &dir) || fstat(fd, &st))
		return -1;
	if (!(dir.st_mode & S_IRGRP) || dir.st_gid != st.st_gid)
		return 0;
	return fchmod(fd, 0640);
}

/* The file of this day or month. A clock that went back stays in the newest
 * file: names must not go backwards, or the order of lines would be lost. */
static enum sgb_err right_file(struct journal *journal, uint64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / 1000000000);
	char name[JOURNAL_NAME_MAX];
	struct tm tm;
	int fd;

	if (!gmtime_r(&seconds, &tm) ||
		!strftime(name, sizeof(name),
			journal->params.monthly ? "%Y-%m.jsonl"
						: "%Y-%m-%d.jsonl",
			&tm))
		return SGB_ERR_FORMAT;
	if (journal->fd >= 0 && strcmp(name, journal->name) <= 0)
		return SGB_OK;
	if (journal->fd < 0 && strcmp(name, journal->name) < 0)
		memcpy(name, journal->name, sizeof(name));
	fd = openat(journal->params.dir_fd, name,
		O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return SGB_ERR_SYSTEM;
	if (share(journal->params.dir_fd, fd) ||
		fsync(journal->params.dir_fd)) {
		close(fd);
		return SGB_ERR_SYSTEM;
	}
	if (journal->fd >= 0)
		close(journal->fd);
	journal->fd = fd;
	memcpy(journal->name, name, sizeof(name));
	return SGB_OK;
}

/* Back to where the file was. If this fails too, the torn line shows when it
 * is read. */
static void take_back(struct journal *journal)
{
	int saved = errno;

	if (ftruncate(journal->fd, journal->flying_start))
		close(journal->fd), journal->fd = -1;
	errno = saved;
}

static enum sgb_err write_group(struct journal *journal)
{
	struct stat st;
	enum sgb_err err;

	if (fstat(journal->fd, &st))
		return SGB_ERR_SYSTEM;
	journal->flying_start = st.st_size;
	err = file_write_all(
		journal->fd, journal->lines.data, journal->lines.len);
	if (err)
		take_back(journal);
	return err;
}

enum sgb_err journal_write(
	struct journal *journal, uint64_t wall_ns, int *ret_fd)
{
	enum sgb_err err;

	if (journal->flying || !journal_pending(journal))
		return SGB_ERR_PHASE;
	err = finish_line(journal, true);
	/* A line that did not fit was counted in the chain: none of them is. */
	if (!err)
		err = buf_error(&journal->lines);
	if (!err)
		err = right_file(journal, wall_ns);
	if (!err)
		err = write_group(journal);
	if (!err) {
		journal->flying = true;
		journal->flying_seq = journal->group_seq;
		memcpy(journal->flying_hash, journal->group_hash,
			SUITE_HASH_LEN);
		*ret_fd = journal->fd;
	}
	forget_group(journal);
	return err;
}

void journal_settle(struct journal *journal, bool durable)
{
	if (!journal->flying)
		return;
	journal->flying = false;
	if (durable) {
		journal->seq = journal->flying_seq;
		memcpy(journal->hash, journal->flying_hash, SUITE_HASH_LEN);
	} else {
		take_back(journal);
		forget_group(journal);
	}
}

enum sgb_err journal_commit(struct journal *journal, uint64_t wall_ns)
{
	enum sgb_err err;
	int fd;

	if (!journal_pending(journal))
		return SGB_OK;
	err = journal_write(journal, wall_ns, &fd);
	if (err)
		return err;
	err = fdatasync(fd) ? SGB_ERR_SYSTEM : SGB_OK;
	journal_settle(journal, !err);
	return err;
}

static int only_journals(const struct dirent *entry)
{
	return journal_is_file(entry->d_name);
}

/* Cuts what follows the last newline; the last whole line is left in tail. */
static enum sgb_err read_tail(
	int fd, struct buf *tail, struct journal_torn *torn)
{
	struct stat st;
	size_t len, keep;
	ssize_t got;

	if (fstat(fd, &st))
		return SGB_ERR_SYSTEM;
	len = st.st_size > TAIL_MAX ? TAIL_MAX : (size_t)st.st_size;
	if (!buf_extend(tail, len))
		return buf_error(tail);
	got = pread(fd, tail->data, len, st.st_size - (off_t)len);
	if (got != (ssize_t)len)
		return SGB_ERR_SYSTEM;
	for (keep = len; keep && tail->data[keep - 1] != '\n';)
		keep--;
	if (!keep && len == TAIL_MAX)
		return SGB_ERR_FORMAT; /* no line is that long */
	if (keep < len) {
		struct iovec part = {tail->data + keep, len - keep};
		enum sgb_err err = suite_sha256(&part, 1, torn->hash);

		torn->bytes = len - keep;
		if (err)
			return err;
		if (ftruncate(fd, st.st_size - (off_t)(len - keep)) ||
			fdatasync(fd))
			return SGB_ERR_SYSTEM;
	}
	tail->len = keep;
	return SGB_OK;
}

/* SGB_ERR_NOTFOUND if this file holds no whole line. */
static enum sgb_err resume_from(
	struct journal *journal, const char *name, struct journal_torn *torn)
{
	struct journal_line line;
	struct buf tail;
	enum sgb_err err;
	size_t start, end;
	int fd;

	fd = openat(journal->params.dir_fd, name,
		O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return SGB_ERR_SYSTEM;
	buf_init(&tail, TAIL_MAX + 1);
	err = read_tail(fd, &tail, torn);
	close(fd);
	if (torn->bytes && !*torn->name)
		(void)snprintf(torn->name, sizeof(torn->name), "%.31s", name);
	if (err || !tail.len) {
		buf_done(&tail);
		return err ? err : SGB_ERR_NOTFOUND;
	}
	end = tail.len - 1;
	for (start = end; start && tail.data[start - 1] != '\n';)
		start--;
	err = journal_parse(journal->params.form,
		(const char *)tail.data + start, end - start, &line);
	if (!err) {
		journal->seq = line.seq;
		memcpy(journal->hash, line.hash, SUITE_HASH_LEN);
	}
	buf_done(&tail);
	return err;
}

static enum sgb_err resume(struct journal *journal, struct journal_torn *torn)
{
	enum sgb_err err = SGB_ERR_NOTFOUND;
	struct dirent **entries;
	int count, i;

	count = scandirat(journal->params.dir_fd, ".", &entries, only_journals,
		alphasort);
	if (count < 0)
		return SGB_ERR_SYSTEM;
	for (i = count; i-- > 0;) {
		if (i == count - 1)
			(void)snprintf(journal->name, sizeof(journal->name),
				"%.31s", entries[i]->d_name);
		if (err == SGB_ERR_NOTFOUND)
			err = resume_from(journal, entries[i]->d_name, torn);
		free(entries[i]);
	}
	free(entries);
	return err == SGB_ERR_NOTFOUND ? SGB_OK : err;
}

enum sgb_err journal_open(const struct journal_params *params,
	struct journal **ret, struct journal_torn *torn)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	uint8_t id[SUITE_HASH_LEN] = {0};
	enum sgb_err err = SGB_OK;

	memset(torn, 0, sizeof(*torn));
	if (!journal)
		return SGB_ERR_NOMEM;
	journal->params = *params;
	journal->fd = -1;
	buf_init(&journal->lines, GROUP_MAX);
	buf_init(&journal->open_line, JOURNAL_LINE_MAX);
	if (params->key)
		err = suite_writer_id(suite_key_public(params->key), id);
	suite_hex(id, JOURNAL_WRITER_LEN / 2, journal->writer);
	if (!err)
		err = resume(journal, torn);
	forget_group(journal);
	if (err)
		journal_free(journal);
	else
		*ret = journal;
	return err;
}

void journal_rekey(struct journal *journal, const struct suite_key *key)
{
	uint8_t id[SUITE_HASH_LEN] = {0};

	journal->params.key = key;
	/* It was computed before; were it not, verify says "unknown". */
	if (suite_writer_id(suite_key_public(key), id))
		memset(id, 0, sizeof(id));
	suite_hex(id, JOURNAL_WRITER_LEN / 2, journal->writer);
}

void journal_free(struct journal *journal)
{
	if (!journal)
		return;
	if (journal->fd >= 0)
		close(journal->fd);
	buf_done(&journal->lines);
	buf_done(&journal->open_line);
	free(journal);
}
