/*
 * Reads what may still grow, may have been cut, replaced or removed since, and
 * holds whatever somebody with the recorder's rights wrote there. Nothing is
 * skipped in silence.
 */
#include "forward_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_ROOM (JOURNAL_LINE_MAX + 1)
#define ROUNDS	  4096

void source_init(struct source *source, const struct forward_place *from)
{
	memset(source, 0, sizeof(*source));
	source->fd = -1;
	buf_init(&source->chunk, FORWARD_CHUNK);
	source->anchor = *from;
	source_resume(source, from);
}

void source_anchor(struct source *source, const struct forward_place *place)
{
	source->anchor = *place;
}

static void drop_file(struct source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	source->fd = -1;
	buf_reset(&source->chunk);
	source->offset = source->released = 0;
	source->old = source->replaced = false;
	*source->name = '\0';
}

void source_done(struct source *source)
{
	drop_file(source);
	buf_done(&source->chunk);
}

void source_resume(struct source *source, const struct forward_place *from)
{
	drop_file(source);
	source->unwanted = source->asked;
	source->at = *from;
	source->mode = from->seq ? SOURCE_RESUME : SOURCE_READ;
	source->certain = source->accept = source->seen_any = false;
}

static void seek(struct source *source)
{
	drop_file(source);
	source->mode = SOURCE_SEEK;
	source->seen_any = false;
}

static enum source_item ask(struct source *source, const char *name, bool exact)
{
	if (source->asked)
		return SOURCE_NOTHING;
	source->asked = true;
	source->ask_exact = exact;
	(void)snprintf(source->ask_name, sizeof(source->ask_name), "%s", name);
	return SOURCE_ASK;
}

void source_wake(struct source *source, const char *newest, uint64_t inode)
{
	struct stat st;

	(void)snprintf(source->newest, sizeof(source->newest), "%s", newest);
	/* What was read ahead may have been taken back since. */
	buf_reset(&source->chunk);
	if (source->fd < 0)
		return;
	source->replaced = !strcmp(newest, source->name) &&
			   !fstat(source->fd, &st) && st.st_ino != inode;
	/* The recorder writes to the newest alone, and is done with this one
	 * before it makes that. */
	source->old = source->replaced || strcmp(newest, source->name) > 0;
}

/* Bytes from offset on, a line or more of them; false if reading fails. */
static bool fill(struct source *source, uint64_t offset)
{
	ssize_t got;

	buf_reset(&source->chunk);
	source->chunk_at = offset;
	if (!buf_extend(&source->chunk, FORWARD_CHUNK))
		return false;
	got = pread(
		source->fd, source->chunk.data, FORWARD_CHUNK, (off_t)offset);
	source->chunk.len = got > 0 ? (size_t)got : 0;
	return got >= 0;
}

/* The line at offset, if it is whole. *ret_len is 0 if there is none; a line
 * that is longer than any of ours comes in pieces. */
static bool line_at(struct source *source, uint64_t offset, const char **ret,
	size_t *ret_len)
{
	int tries;

	*ret_len = 0;
	for (tries = 0; tries < 2; tries++) {
		if (offset >= source->chunk_at &&
			offset - source->chunk_at < source->chunk.len) {
			size_t skip = (size_t)(offset - source->chunk_at);
			size_t left = source->chunk.len - skip;
			const uint8_t *at = source->chunk.data + skip;
			const uint8_t *end = memchr(at, '\n', left);

			if (end)
				*ret_len = (size_t)(end - at) + 1;
			else if (left > LINE_ROOM)
				*ret_len = left;
			*ret = (const char *)at;
			if (*ret_len)
				return true;
		}
		if (!tries && !fill(source, offset))
			return false;
	}
	return true;
}

static bool is_signed(const char *line, size_t len)
{
	/* ...,"sig":"88 characters"}}} */
	static const char name[] = ",\"sig\":\"";
	size_t back = sizeof(name) - 1 + 88 + 1 + 3 + 1;

	return len > back && !memcmp(line + len - back, name, sizeof(name) - 1);
}

/* Moves released to the end of the next group that is whole. */
static bool release(struct source *source)
{
	uint64_t at = source->offset;
	const char *line;
	size_t len;

	for (;;) {
		if (!line_at(source, at, &line, &len))
			return false;
		if (!len)
			return true;
		at += len;
		if (!is_signed(line, len))
			continue;
		source->released = at;
		return true;
	}
}

/* The next line that counts, without its newline; *ret_len 0: none. */
static bool next_line(struct source *source, const char **ret, size_t *ret_len)
{
	*ret_len = 0;
	if (!source->old && source->offset >= source->released &&
		!release(source))
		return false;
	if (!source->old && source->offset >= source->released)
		return true;
	return line_at(source, source->offset, ret, ret_len);
}

static bool was_cut(const struct source *source)
{
	struct stat st;

	return fstat(source->fd, &st) || (uint64_t)st.st_size < source->offset;
}

/* Does the line that was handed out last still end where it did? */
static bool verify_place(struct source *source)
{
	uint8_t bytes[LINE_ROOM + 1];
	struct journal_line line;
	uint64_t from = source->at.offset > sizeof(bytes)
				? source->at.offset - sizeof(bytes)
				: 0;
	size_t len = (size_t)(source->at.offset - from), start;
	ssize_t got = pread(source->fd, bytes, len, (off_t)from);

	if (got != (ssize_t)len || !len || bytes[len - 1] != '\n')
		return false;
	len--;
	for (start = len; start && bytes[start - 1] != '\n';)
		start--;
	return !journal_parse(JOURNAL_EVENTS, (const char *)bytes + start,
		       len - start, &line) &&
	       line.seq == source->at.seq &&
	       !memcmp(line.hash, source->at.hash, SUITE_HASH_LEN);
}

void source_file(struct source *source, int fd, const char *name)
{
	source->asked = false;
	if (source->unwanted) {
		source->unwanted = false;
		if (fd >= 0)
			close(fd);
		return;
	}
	if (fd >= 0) {
		drop_file(source);
		source->fd = fd;
		(void)snprintf(source->name, sizeof(source->name), "%s", name);
	}
	if (source->mode != SOURCE_RESUME)
		return;
	if (fd >= 0 && !strcmp(name, source->at.file) && verify_place(source)) {
		source->mode = SOURCE_READ;
		source->offset = source->released = source->at.offset;
		source->certain = true;
	} else {
		seek(source);
	}
}

static enum source_item gap(struct source *source, struct forward_line *ret,
	uint64_t first, uint64_t last, const char *why)
{
	memset(ret, 0, sizeof(*ret));
	ret->gap_first = first;
	ret->gap_last = last;
	(void)snprintf(source->why, sizeof(source->why), "%s", why);
	return SOURCE_GAP;
}

/* A line that is none of the trail. */
static enum source_item foreign(
	struct source *source, struct forward_line *ret, size_t len)
{
	char why[FORWARD_TEXT_MAX];

	(void)snprintf(why, sizeof(why),
		"%zu bytes at %" PRIu64 " of %s are no line of the trail", len,
		source->offset, source->name);
	source->offset += len;
	return gap(source, ret, 0, 0, why);
}

static void hand_out(
	struct source *source, const struct journal_line *line, size_t len)
{
	source->offset += len;
	memcpy(source->at.file, source->name, sizeof(source->at.file));
	source->at.offset = source->offset;
	source->at.seq = line->seq;
	memcpy(source->at.hash, line->hash, SUITE_HASH_LEN);
	source->mode = SOURCE_READ;
	source->certain = source->accept = false;
}

static bool follows(
	const struct source *source, const struct journal_line *line)
{
	if (!source->at.seq)
		return line->seq == 1;
	return line->seq == source->at.seq + 1 &&
	       !memcmp(line->prev, source->at.hash, SUITE_HASH_LEN);
}

/* What was sent is not there. A disk that fails takes back a moment: so from
 * what is older, and from the first line only if that is gone, too. */
static enum source_item restart(
	struct source *source, struct forward_line *ret, const char *why)
{
	static const struct forward_place none = {.seq = 0};
	uint64_t last = source->at.seq;
	bool older = source->anchor.seq && source->anchor.seq < last;

	source_resume(source, older ? &source->anchor : &none);
	return gap(source, ret, older ? source->at.seq + 1 : 0, last, why);
}

/* What does not follow is stated before it is handed out. */
static enum source_item misfit(struct source *source,
	const struct journal_line *line, struct forward_line *ret)
{
	bool first = !source->at.seq;

	if (!source->certain && !first) {
		seek(source); /* it may be elsewhere, or have been cut */
		return SOURCE_NOTHING;
	}
	source->accept = true;
	if (line->seq > source->at.seq + 1)
		return gap(source, ret, source->at.seq + 1, line->seq - 1,
			"these were gone from the trail before they were sent");
	return gap(source, ret, line->seq, line->seq,
		"this line does not follow the one that was sent before it");
}

/* One line while it is looked for where to go on. *ret_item is what to do with
 * it, if true. */
static bool sought(struct source *source, const struct journal_line *line,
	size_t len, struct forward_line *ret, enum source_item *ret_item)
{
	source->seen_any = true;
	if (line->seq < source->at.seq) {
		source->offset += len;
		return false;
	}
	*ret_item = SOURCE_NOTHING;
	if (line->seq == source->at.seq) {
		if (memcmp(line->hash, source->at.hash, SUITE_HASH_LEN) != 0) {
			*ret_item = restart(source, ret,
				"another line has this number now: what "
				"follows is sent again");
			return true;
		}
		hand_out(source, line, len);
		source->certain = true;
		return true;
	}
	source->mode = SOURCE_READ;
	source->certain = true;
	if (follows(source, line))
		source->accept = true;
	else
		*ret_item = misfit(source, line, ret);
	return true;
}

/* No line is left in this file, and no file behind it. */
static enum source_item at_end(struct source *source, struct forward_line *ret)
{
	if (source->replaced) {
		seek(source);
		return SOURCE_NOTHING;
	}
	if (source->fd >= 0 && source->old)
		return ask(source, source->name, false);
	if (source->mode == SOURCE_SEEK && source->seen_any)
		return restart(source, ret,
			"the trail is shorter than what was sent: it is sent "
			"again from there, or from its first line");
	if (source->fd >= 0 && was_cut(source))
		seek(source);
	return SOURCE_NOTHING;
}

static enum source_item take(struct source *source, const char *text,
	size_t len, struct forward_line *ret)
{
	enum source_item item = SOURCE_NOTHING;
	struct journal_line line;
	bool good = len <= LINE_ROOM && text[len - 1] == '\n' &&
		    !journal_parse(JOURNAL_EVENTS, text, len - 1, &line);

	if (!good && source->mode == SOURCE_SEEK) {
		source->offset += len;
		return SOURCE_NOTHING;
	}
	if (!good && !source->certain && source->at.seq) {
		seek(source);
		return SOURCE_NOTHING;
	}
	if (!good)
		return foreign(source, ret, len);
	if (source->mode == SOURCE_SEEK) {
		(void)!sought(source, &line, len, ret, &item);
		return item;
	}
	if (!source->accept && !follows(source, &line))
		return misfit(source, &line, ret);
	(void)!forward_line_read(ret, text, len - 1);
	ret->chained = true;
	ret->chain = line;
	hand_out(source, &line, len);
	return SOURCE_LINE;
}

/* The file that is wanted next, if none is open. */
static enum source_item open_next(struct source *source)
{
	if (!*source->newest)
		return SOURCE_NOTHING; /* no trail yet */
	if (source->mode == SOURCE_RESUME)
		return ask(source, source->at.file, true);
	return ask(source, "", false);
}

enum source_item source_next(struct source *source, struct forward_line *ret)
{
	enum source_item item = SOURCE_NOTHING;
	const char *text;
	unsigned int i;
	size_t len;

	for (i = 0; !item && i < ROUNDS; i++) {
		if (source->asked)
			return SOURCE_NOTHING;
		if (source->fd < 0)
			return open_next(source);
		if (!next_line(source, &text, &len)) {
			(void)snprintf(source->why, sizeof(source->why),
				"cannot read %s", source->name);
			return SOURCE_BROKEN;
		}
		if (len) {
			item = take(source, text, len, ret);
			continue;
		}
		item = at_end(source, ret);
		/* Unless it looks for its place anew. */
		if (!item && source->fd >= 0)
			return SOURCE_NOTHING;
	}
	return item ? item : SOURCE_BUSY;
}
