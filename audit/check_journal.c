/*
 * Checking a chained journal, line by line, over all of its files. Stops at the
 * first line that does not fit: after it nothing is proved.
 */
#include "check_journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct check {
	enum journal_form form;
	const struct writer_keys *keys; /* NULL: nobody signs it */
	struct heads *heads;
	enum head_kind kind;
	uint64_t seq;
	uint8_t hash[SUITE_HASH_LEN];
	uint64_t signed_seq;
	uint64_t known_writer;		     /* signed lines, good ones */
	uint64_t unknown_writer;	     /* and by nobody we know */
	char writer[JOURNAL_WRITER_LEN + 1]; /* of the last good one */
	enum sgr_verdict verdict;
	char text[300];
	struct heads *told; /* by lines of the trail */
};

void writer_keys_add(struct writer_keys *keys, const uint8_t key[SUITE_KEY_LEN])
{
	uint8_t id[SUITE_HASH_LEN];
	size_t i;

	for (i = 0; i < keys->count; i++)
		if (!memcmp(keys->keys[i], key, SUITE_KEY_LEN))
			return;
	if (keys->count == AUDIT_PINS_MAX || suite_writer_id(key, id))
		return;
	memcpy(keys->keys[keys->count], key, SUITE_KEY_LEN);
	suite_hex(id, JOURNAL_WRITER_LEN / 2, keys->ids[keys->count]);
	keys->count++;
}

static void wrong(struct check *check, const char *file, uint64_t line,
	const char *fmt, ...) SGB_PRINTF(4, 5);

static void wrong(struct check *check, const char *file, uint64_t line,
	const char *fmt, ...)
{
	char what[200];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	check->verdict = SGR_ALTERED;
	(void)snprintf(check->text, sizeof(check->text), "%.31s:%llu: %s", file,
		(unsigned long long)line, what);
}

static const uint8_t *key_of(const struct writer_keys *keys, const char *writer)
{
	size_t i;

	for (i = 0; i < keys->count; i++)
		if (!memcmp(keys->ids[i], writer, JOURNAL_WRITER_LEN))
			return keys->keys[i];
	return NULL;
}

static void check_line(struct check *check, const char *file, uint64_t number,
	const char *text, size_t len)
{
	struct journal_line line;
	const uint8_t *key;
	enum sgb_err err;

	if (journal_parse(check->form, text, len, &line)) {
		wrong(check, file, number,
			"the line was changed: it is not of this journal's "
			"form");
		return;
	}
	/* The first line of what is there may have predecessors elsewhere,
	 * but only if it says so. */
	if (!check->seq && line.seq != 1) {
		wrong(check, file, number,
			"the journal begins with line %llu: earlier files are "
			"missing",
			(unsigned long long)line.seq);
		return;
	}
	if (line.seq != check->seq + 1) {
		wrong(check, file, number,
			"after sequence %llu comes %llu: lines are missing, "
			"repeated or moved",
			(unsigned long long)check->seq,
			(unsigned long long)line.seq);
		return;
	}
	if (memcmp(line.prev, check->hash, SUITE_HASH_LEN) != 0) {
		wrong(check, file, number,
			"the line before it was changed: its hash does not "
			"fit");
		return;
	}
	if (line.has_sig && check->keys) {
		key = key_of(check->keys, line.writer);
		if (!key) {
			check->unknown_writer++;
		} else if (journal_check_sig(text, &line, key)) {
			wrong(check, file, number,
				"the signature is wrong: something after "
				"sequence %llu was changed",
				(unsigned long long)check->signed_seq);
			return;
		} else {
			check->signed_seq = line.seq;
			check->known_writer++;
			memcpy(check->writer, line.writer, JOURNAL_WRITER_LEN);
		}
	}
	if (!heads_meet(check->heads, check->kind, "", line.seq, line.hash)) {
		wrong(check, file, number,
			"another head was told for this line: it was "
			"rewritten");
		return;
	}
	err = check->form == JOURNAL_EVENTS
		      ? heads_from_event(&check->told, text)
		      : SGB_OK;
	if (err) {
		wrong(check, file, number, "the head it tells of: %s",
			sgb_err_text(err));
		return;
	}
	check->seq = line.seq;
	memcpy(check->hash, line.hash, SUITE_HASH_LEN);
}

static void check_file(struct check *check, int dir, const char *name)
{
	int fd = openat(
		dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	uint64_t number = 0;
	char *line = NULL;
	size_t cap = 0;
	ssize_t got;

	if (!file) {
		wrong(check, name, 0, "%s", strerror(errno));
		check->verdict = SGR_UNVERIFIABLE;
		return;
	}
	while (check->verdict == SGR_INTACT &&
		(got = getline(&line, &cap, file)) > 0) {
		number++;
		if (line[got - 1] != '\n') {
			wrong(check, name, number,
				"the file ends inside a line");
			check->verdict = SGR_OPEN;
			break;
		}
		check_line(check, name, number, line, (size_t)got - 1);
	}
	free(line);
	(void)fclose(file);
}

static int only_journals(const struct dirent *entry)
{
	return journal_is_file(entry->d_name);
}

static void check_folder(struct check *check, const char *path)
{
	struct dirent **entries;
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int count = dir < 0 ? -1
			    : scandirat(dir, ".", &entries, only_journals,
				      alphasort);
	int i;

	check->verdict = SGR_INTACT;
	for (i = 0; i < count; i++) {
		if (check->verdict == SGR_INTACT)
			check_file(check, dir, entries[i]->d_name);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	if (count <= 0) {
		check->verdict = SGR_MISSING;
		(void)snprintf(check->text, sizeof(check->text),
			"no journal in %.200s", path);
	}
	if (dir >= 0)
		close(dir);
}

static void altered(struct check *check, const char *fmt, ...) SGB_PRINTF(2, 3);

static void altered(struct check *check, const char *fmt, ...)
{
	va_list args;

	check->verdict = SGR_ALTERED;
	va_start(args, fmt);
	(void)vsnprintf(check->text, sizeof(check->text), fmt, args);
	va_end(args);
}

/* Everything fits so far: who says so? */
static void judge_signatures(struct check *check)
{
	unsigned long long signed_seq = check->signed_seq;

	if (check->unknown_writer || !check->signed_seq) {
		check->verdict = SGR_UNVERIFIABLE;
		(void)snprintf(check->text, sizeof(check->text),
			"the chain fits, but %llu of %llu lines are signed by "
			"a writer whose key is known (--writer)",
			(unsigned long long)check->known_writer,
			(unsigned long long)check->seq);
	} else if (check->signed_seq < check->seq) {
		altered(check,
			"the last lines are not signed: cut or added after "
			"sequence %llu",
			signed_seq);
	}
}

static void judge_heads(struct check *check)
{
	const struct head *head = heads_unmet(
		check->heads, check->kind, NULL, NULL);

	if (head)
		altered(check,
			"rolled back: it ends with line %llu, and a head of "
			"line %llu was told",
			(unsigned long long)check->seq,
			(unsigned long long)head->number);
}

static void conclude(struct check *check)
{
	char hex[2 * SUITE_HASH_LEN + 1];

	if (check->verdict == SGR_INTACT) {
		suite_hex(check->hash, SUITE_HASH_LEN, hex);
		(void)snprintf(check->text, sizeof(check->text),
			"%llu lines, head %s", (unsigned long long)check->seq,
			hex);
		if (check->keys && check->signed_seq)
			(void)snprintf(check->text + strlen(check->text), 80,
				", signed by %.*s%s", JOURNAL_WRITER_LEN,
				check->writer,
				check->keys->pinned ? "" : " (not pinned)");
	}
	if (check->verdict == SGR_INTACT && check->keys)
		judge_signatures(check);
	if (check->verdict == SGR_INTACT || check->verdict == SGR_OPEN)
		judge_heads(check);
}

void check_journal(const char *dir, enum journal_form form,
	const struct writer_keys *keys, struct heads *heads,
	enum head_kind kind, struct journal_verdict *ret)
{
	struct check check = {
		.form = form, .keys = keys, .heads = heads, .kind = kind};

	check_folder(&check, dir);
	conclude(&check);
	ret->verdict = check.verdict;
	ret->proved = (check.verdict == SGR_INTACT ||
			      check.verdict == SGR_OPEN) &&
		      check.signed_seq && check.signed_seq == check.seq &&
		      !check.unknown_writer;
	memcpy(ret->text, check.text, sizeof(ret->text));
	ret->told = NULL;
	if (ret->proved)
		ret->told = check.told;
	else
		heads_free(check.told);
}

int journal_report(const struct audit *audit, const char *name,
	const struct journal_verdict *verdict)
{
	const char *word = sgr_verdict_text(verdict->verdict);

	if (audit->json) {
		(void)printf("{\"journal\":\"%s\",\"verdict\":\"%s\",\"text\":",
			name, word);
		print_json(stdout, verdict->text);
		(void)printf("}\n");
	} else {
		(void)printf("%-36s  %s: ", name, word);
		print_cstring(stdout, verdict->text);
		(void)printf("\n");
	}
	return sgr_verdict_exit(verdict->verdict);
}
