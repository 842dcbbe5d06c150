/*
 * The passive scp observer (session_scp.h). One side sends lines, and after
 * the line of a file its content; the other answers each with one byte, or
 * with an error and its text. Whether content follows a line is up to its
 * answer, so both are read: the n-th answer is that to the n-th question, as
 * the sender itself counts. Bytes of files are hashed as they pass and never
 * kept. Everything a peer can make this hold has a limit; beyond it, and where
 * a peer does not speak scp, it says so and looks no further. It must not
 * touch what passes, and has no way to.
 */
#include <stdlib.h>
#include <string.h>

#include "session_scp_int.h"
#include "session_sftp_int.h"

static void question_free(struct scp_watch *watch, struct scp_question *q)
{
	TAILQ_REMOVE(&watch->questions, q, entry);
	watch->question_count--;
	if (watch->current == q)
		watch->current = NULL;
	EVP_MD_CTX_free(q->hash);
	free(q->path);
	free(q->failure);
	free(q);
}

/* Unfinished, and what may have been done all the same. */
static void report_open(struct scp_watch *watch, struct scp_question *q)
{
	if (q->kind == SCP_FOLDER && watch->upload)
		scp_report_op(watch, "folder", q->path, "no answer");
	if (q->kind != SCP_FILE)
		return;
	if (!q->accepted && !q->bytes && !q->ended)
		scp_report_op(watch, "open", q->path, "no answer");
	else if (q->failure)
		scp_report_file(watch, q, q->failure);
	else
		scp_report_file(
			watch, q, q->ended ? "no answer" : "not finished");
}

void scp_watch_end(struct scp_watch *watch)
{
	struct scp_question *q;

	while ((q = TAILQ_FIRST(&watch->questions))) {
		report_open(watch, q);
		question_free(watch, q);
	}
}

static void lose(struct scp_watch *watch, const char *why)
{
	if (watch->lost)
		return;
	watch->lost = true;
	scp_watch_end(watch);
	scp_report_lost(watch, why);
	buf_done(&watch->line);
	buf_done(&watch->answer);
}

static struct scp_question *ask(struct scp_watch *watch, enum scp_kind kind)
{
	struct scp_question *q;

	if (watch->question_count >= SCP_QUESTIONS_MAX) {
		lose(watch, "it does not wait for answers");
		return NULL;
	}
	q = calloc(1, sizeof(*q));
	if (!q) {
		lose(watch, "out of memory");
		return NULL;
	}
	q->kind = kind;
	TAILQ_INSERT_TAIL(&watch->questions, q, entry);
	watch->question_count++;
	return q;
}

struct scp_watch *scp_watch_new(bool upload, const char *command,
	void (*report)(void *arg, const struct sftp_event *event), void *arg)
{
	struct scp_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->report = report;
	watch->arg = arg;
	watch->upload = upload;
	TAILQ_INIT(&watch->questions);
	buf_init(&watch->line, SCP_LINE_MAX);
	buf_init(&watch->answer, SCP_ANSWER_MAX);
	watch->operands = scp_operands(command);
	if (!watch->operands || !ask(watch, SCP_START)) {
		scp_watch_free(watch);
		return NULL;
	}
	return watch;
}

void scp_watch_free(struct scp_watch *watch)
{
	struct scp_question *q;

	if (!watch)
		return;
	while ((q = TAILQ_FIRST(&watch->questions)))
		question_free(watch, q);
	buf_done(&watch->line);
	buf_done(&watch->answer);
	free(watch->operands);
	free(watch);
}

/* What a peer said, for the record. */
static char *said(const struct buf *text)
{
	size_t len = text->len < 1024 ? text->len : 1024;

	return sftp_escape(text->data, len);
}

static void leave_folder(struct scp_watch *watch)
{
	watch->folder_len -= watch->parts[--watch->depth];
}

/* "name/" behind what is there. */
static bool enter_folder(struct scp_watch *watch, const struct scp_line *line)
{
	if (watch->depth == SCP_DEPTH_MAX ||
		line->name_len >= SCP_PATH_MAX - watch->folder_len)
		return false;
	memcpy(watch->folder + watch->folder_len, line->name, line->name_len);
	watch->folder[watch->folder_len + line->name_len] = '/';
	watch->parts[watch->depth++] = (uint16_t)(line->name_len + 1);
	watch->folder_len += line->name_len + 1;
	return true;
}

/* A name beyond the limit is none that a system has: it is told in part. */
static char *path_of(
	const struct scp_watch *watch, const uint8_t *name, size_t len)
{
	uint8_t path[SCP_PATH_MAX];

	if (len > sizeof(path) - watch->folder_len)
		len = sizeof(path) - watch->folder_len;
	memcpy(path, watch->folder, watch->folder_len);
	memcpy(path + watch->folder_len, name, len);
	return sftp_escape(path, watch->folder_len + len);
}

/* Has the sender gone on, though it was refused? Then what it sent is not what
 * the receiver takes it for. */
static bool gone_on(const struct scp_watch *watch, const struct scp_question *q)
{
	return TAILQ_NEXT(q, entry) || watch->line.len || q->bytes ||
	       q->ended || watch->state == SCP_AT_REASON;
}

static void refused(
	struct scp_watch *watch, struct scp_question *q, const char *text)
{
	bool first = q->kind != SCP_FOLDER_END && !q->accepted;

	if (q->kind == SCP_FILE && q->accepted) {
		scp_report_file(watch, q, q->failure ? q->failure : text);
		question_free(watch, q);
		return;
	}
	if (first && gone_on(watch, q)) {
		lose(watch, "it goes on after a refusal");
		return;
	}
	scp_report_op(watch, q->kind == SCP_FOLDER ? "folder" : "open", q->path,
		text);
	if (q->kind == SCP_FOLDER)
		leave_folder(watch);
	if (q->kind == SCP_TIMES)
		watch->timed = false;
	if (watch->current == q)
		watch->state = SCP_AT_LINE;
	question_free(watch, q);
}

static void agreed(struct scp_watch *watch, struct scp_question *q)
{
	if (q->kind == SCP_FILE && !q->accepted) {
		q->accepted = true;
		return;
	}
	if (q->kind == SCP_FILE)
		scp_report_file(watch, q, q->failure ? q->failure : "ok");
	else if (q->kind == SCP_FOLDER && watch->upload)
		scp_report_op(watch, "folder", q->path, "ok");
	question_free(watch, q);
}

/* The question that the next answer is to, or NULL. */
static struct scp_question *open_question(const struct scp_watch *watch)
{
	struct scp_question *q = TAILQ_FIRST(&watch->questions);

	return q && q->kind == SCP_FILE && q->accepted && !q->ended ? NULL : q;
}

/* Answers that were there before their questions: some receivers write all
 * they will ever need at once. */
static void settle(struct scp_watch *watch)
{
	struct scp_question *q;

	while (!watch->lost && watch->early && (q = open_question(watch))) {
		watch->early--;
		agreed(watch, q);
	}
}

static void begin_file(struct scp_watch *watch, struct scp_question *q)
{
	q->hash = EVP_MD_CTX_new();
	if (q->hash && EVP_DigestInit_ex(q->hash, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(q->hash);
		q->hash = NULL;
	}
	watch->current = q;
	watch->state = q->size ? SCP_AT_CONTENT : SCP_AT_MARK;
}

static void entry_line(struct scp_watch *watch, const struct scp_line *line)
{
	struct scp_question *q = ask(watch, line->kind);

	if (!q)
		return;
	q->mode = line->mode;
	q->size = line->size;
	q->timed = watch->timed;
	q->mtime = watch->mtime;
	q->atime = watch->atime;
	watch->timed = false;
	q->path = path_of(watch, line->name, line->name_len);
	if (!q->path)
		lose(watch, "out of memory");
	else if (line->kind == SCP_FILE)
		begin_file(watch, q);
	else if (!enter_folder(watch, line))
		lose(watch, "folders too deep");
}

static void times_line(struct scp_watch *watch, const struct scp_line *line)
{
	if (!ask(watch, SCP_TIMES))
		return;
	watch->timed = true;
	watch->mtime = line->mtime;
	watch->atime = line->atime;
}

/* The sender could not read something; nobody answers that. */
static void error_line(struct scp_watch *watch, const struct buf *line)
{
	size_t len = line->len - 1 < 1024 ? line->len - 1 : 1024;
	char *text = sftp_escape(line->data + 1, len);

	if (++watch->errors > SCP_ERRORS_MAX)
		lose(watch, "errors without end");
	else
		scp_report_op(watch, "open", NULL, text ? text : "");
	free(text);
}

static void whole_line(struct scp_watch *watch)
{
	struct scp_line line;

	if (watch->line.data[0] == 1 || watch->line.data[0] == 2)
		error_line(watch, &watch->line);
	else if (!scp_line_read(watch->line.data, watch->line.len, &line))
		lose(watch, "a line that is not scp's");
	else if (line.kind == SCP_TIMES)
		times_line(watch, &line);
	else if (line.kind != SCP_FOLDER_END)
		entry_line(watch, &line);
	else if (!watch->depth)
		lose(watch, "the end of a folder outside of one");
	else if (ask(watch, SCP_FOLDER_END))
		leave_folder(watch);
	/* Only now: the name that was read is inside it. */
	if (!watch->lost)
		buf_reset(&watch->line);
	settle(watch);
}

/* Up to and with a newline, which is not put. Returns how much was taken;
 * *ret_whole: it was there. */
static size_t gather(struct scp_watch *watch, struct buf *buf, size_t max,
	const uint8_t *data, size_t len, bool *ret_whole)
{
	const uint8_t *end = memchr(data, '\n', len);
	size_t part = end ? (size_t)(end - data) : len;

	*ret_whole = false;
	/* with its end it has to be within the limit */
	if (part >= max - buf->len) {
		lose(watch, "a line without end");
		return len;
	}
	buf_put(buf, data, part);
	if (buf_error(buf)) {
		lose(watch, "out of memory");
		return len;
	}
	*ret_whole = end;
	return end ? part + 1 : part;
}

static size_t take_line(
	struct scp_watch *watch, const uint8_t *data, size_t len)
{
	bool whole;
	size_t used;

	/* A receiver takes an empty line for a breach of the protocol. */
	if (!watch->line.len && *data == '\n') {
		lose(watch, "a line that is not scp's");
		return len;
	}
	used = gather(watch, &watch->line, SCP_LINE_MAX, data, len, &whole);
	if (whole)
		whole_line(watch);
	return used;
}

static size_t take_content(
	struct scp_watch *watch, const uint8_t *data, size_t len)
{
	struct scp_question *q = watch->current;

	if (len > q->size - q->bytes)
		len = (size_t)(q->size - q->bytes);
	if (q->hash)
		EVP_DigestUpdate(q->hash, data, len);
	q->bytes += len;
	if (q->bytes == q->size)
		watch->state = SCP_AT_MARK;
	return len;
}

static void ended(struct scp_watch *watch)
{
	watch->current->ended = true;
	watch->current = NULL;
	watch->state = SCP_AT_LINE;
	settle(watch);
}

static size_t take_mark(struct scp_watch *watch, const uint8_t *data)
{
	if (*data == 0)
		ended(watch);
	else if (*data <= 2)
		watch->state = SCP_AT_REASON;
	else
		lose(watch, "a file that does not end");
	return 1;
}

static size_t take_reason(
	struct scp_watch *watch, const uint8_t *data, size_t len)
{
	bool whole;
	size_t used;

	used = gather(
		watch, &watch->line, SCP_ANSWER_MAX - 1, data, len, &whole);
	if (!whole)
		return used;
	watch->current->failure = said(&watch->line);
	buf_reset(&watch->line);
	/* A file without a failure is one that arrived whole. */
	if (watch->current->failure)
		ended(watch);
	else
		lose(watch, "out of memory");
	return used;
}

static size_t sender_bytes(
	struct scp_watch *watch, const uint8_t *data, size_t len)
{
	switch (watch->state) {
	case SCP_AT_LINE: return take_line(watch, data, len);
	case SCP_AT_CONTENT: return take_content(watch, data, len);
	case SCP_AT_MARK: return take_mark(watch, data);
	case SCP_AT_REASON: break;
	}
	return take_reason(watch, data, len);
}

static void answer_ok(struct scp_watch *watch)
{
	if (watch->early == SCP_EARLY_MAX)
		lose(watch, "answers to nothing");
	else
		watch->early++;
	settle(watch);
}

static void answer_error(struct scp_watch *watch)
{
	struct scp_question *q = open_question(watch);
	char *text;

	buf_consume(&watch->answer, 1);
	text = said(&watch->answer);
	buf_reset(&watch->answer);
	if (++watch->errors > SCP_ERRORS_MAX)
		lose(watch, "errors without end");
	else if (!q)
		lose(watch, "an error before it is asked");
	else if (!text)
		lose(watch, "out of memory");
	else
		refused(watch, q, text);
	free(text);
}

static size_t receiver_bytes(
	struct scp_watch *watch, const uint8_t *data, size_t len)
{
	bool whole;
	size_t used;

	if (!watch->answer.len) {
		if (*data == 0) {
			answer_ok(watch);
			return 1;
		}
		if (*data > 2) {
			lose(watch, "an answer that is none");
			return len;
		}
		buf_put(&watch->answer, data, 1);
		if (buf_error(&watch->answer))
			lose(watch, "out of memory");
		return 1;
	}
	used = gather(watch, &watch->answer, SCP_ANSWER_MAX, data, len, &whole);
	if (whole)
		answer_error(watch);
	return used;
}

bool scp_watch_bytes(
	struct scp_watch *watch, bool client, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	while (len && !watch->lost) {
		size_t used = client == watch->upload
				      ? sender_bytes(watch, bytes, len)
				      : receiver_bytes(watch, bytes, len);

		bytes += used;
		len -= used;
	}
	return !watch->lost;
}
