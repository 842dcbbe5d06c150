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

#include "scan.h"

struct check {
	enum journal_form form;
	const struct writer_keys *keys;
	uint64_t seq;
	uint8_t hash[SUITE_HASH_LEN];
	uint64_t signed_seq;
	uint64_t unknown_writer; /* signed lines by nobody we know */
	enum sgr_verdict verdict;
	char text[300];
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
	if (line.has_sig) {
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
		}
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

static void conclude(struct check *check)
{
	char hex[2 * SUITE_HASH_LEN + 1];

	if (check->verdict != SGR_INTACT)
		return;
	suite_hex(check->hash, SUITE_HASH_LEN, hex);
	(void)snprintf(check->text, sizeof(check->text), "%llu lines, head %s",
		(unsigned long long)check->seq, hex);
	if (check->unknown_writer) {
		check->verdict = SGR_UNVERIFIABLE;
		(void)snprintf(check->text, sizeof(check->text),
			"the chain fits, but %llu signatures are of a writer "
			"whose key is not known (--writer)",
			(unsigned long long)check->unknown_writer);
	} else if (check->signed_seq < check->seq && check->keys->count) {
		check->verdict = SGR_ALTERED;
		(void)snprintf(check->text, sizeof(check->text),
			"the last lines are not signed: cut or added after "
			"sequence %llu",
			(unsigned long long)check->signed_seq);
	}
}

int check_journal(struct audit *audit, const char *dir, const char *name,
	enum journal_form form, const struct writer_keys *keys)
{
	struct check check = {.form = form, .keys = keys};

	check_folder(&check, dir);
	conclude(&check);
	if (audit->json) {
		(void)printf("{\"journal\":\"%s\",\"verdict\":\"%s\",\"text\":",
			name, sgr_verdict_text(check.verdict));
		print_json(stdout, check.text);
		(void)printf("}\n");
	} else {
		(void)printf(
			"%-36s  %s: ", name, sgr_verdict_text(check.verdict));
		print_cstring(stdout, check.text);
		(void)printf("\n");
	}
	return sgr_verdict_exit(check.verdict);
}
