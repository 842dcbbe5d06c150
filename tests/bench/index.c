/*
 * Makes an index for measuring, through the code that "sgbridge-audit index"
 * uses from the emulator's lines on: no recordings are read.
 *
 *	index FILE COUNT BYTES CORPUS	COUNT recordings of BYTES of lines each
 *
 * Lines come from the file CORPUS, in runs as of one command's output, each
 * ended by a line that is like no other. Deterministic but for ids.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../audit/index_db.h"

#define START_NS 1765000000000000000ULL

struct maker {
	struct index_db *db;
	char *text;
	size_t len;
	uint64_t random;
	char line[4096];
};

static void must(enum sgb_err err)
{
	if (!err)
		return;
	perror(sgb_err_text(err));
	exit(1);
}

static unsigned int draw(struct maker *maker, unsigned int below)
{
	maker->random = maker->random * 6364136223846793005ULL +
			1442695040888963407ULL;
	return (unsigned int)(maker->random >> 33) % below;
}

static void read_corpus(struct maker *maker, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || st.st_size < 65536)
		must(SGB_ERR_SYSTEM);
	maker->len = (size_t)st.st_size;
	maker->text = mmap(NULL, maker->len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (maker->text == MAP_FAILED)
		must(SGB_ERR_SYSTEM);
	close(fd);
}

static size_t add(struct maker *maker, uint64_t us, const char *where)
{
	struct found_text found = {.time_us = us,
		.channel = 1,
		.where = where,
		.text = maker->line};

	must(index_add(maker->db, &found));
	return strlen(maker->line) + 1;
}

/* As one command prints it. */
static size_t add_run(struct maker *maker, uint64_t us, size_t room)
{
	size_t at = ((size_t)draw(maker, 1U << 30) << 8 | draw(maker, 256)) %
		    (maker->len - 65536);
	unsigned int lines = 1 + draw(maker, 60);
	size_t done = 0;

	while (lines-- && done < room && at < maker->len) {
		const char *start = maker->text + at;
		const char *stop = memchr(start, '\n', maker->len - at);
		size_t len = stop ? (size_t)(stop - start) : 0;

		at += len + 1;
		len = len < sizeof(maker->line) ? len : sizeof(maker->line) - 1;
		memcpy(maker->line, start, len);
		maker->line[len] = '\0';
		if (len)
			done += add(maker, us, "screen");
	}
	(void)snprintf(maker->line, sizeof(maker->line),
		"user@host:~$ cat /var/tmp/%08x%08x", draw(maker, 1U << 30),
		draw(maker, 1U << 30));
	return done + add(maker, us, "screen");
}

static void make_one(struct maker *maker, uint64_t number, uint64_t bytes)
{
	struct store_entry entry = {.present = true,
		.state = STORE_CLOSED,
		.start_ns = START_NS + number * 30000000000ULL,
		.size = bytes};
	uint8_t id[SGR_ID_LEN];
	char meta[300];
	uint64_t done, us = 0;

	must(sgr_id_new(entry.start_ns, id));
	sgr_id_text(id, entry.id);
	entry.end_s = entry.start_ns / 1000000000 + 600;
	(void)snprintf(meta, sizeof(meta),
		"{\"user\":\"user%u\",\"source\":\"10.1.%u.%u\",\"target\":"
		"\"web%u\",\"login\":\"ops\",\"mfa\":\"%s\"}",
		draw(maker, 500), draw(maker, 250), draw(maker, 250),
		draw(maker, 2000), draw(maker, 20) ? "totp" : "none");
	must(index_begin(maker->db, &entry, meta, false));
	(void)snprintf(maker->line, sizeof(maker->line), "%s", meta);
	done = add(maker, 0, "meta");
	while (done < bytes)
		done += add_run(maker, us += 700000, (size_t)(bytes - done));
	must(index_commit(maker->db));
}

int main(int argc, char **argv)
{
	struct audit audit = {.index = argc > 1 ? argv[1] : NULL};
	struct maker maker = {.random = 1};
	uint64_t count, bytes, i;
	char why[300];

	if (argc != 5) {
		(void)fprintf(stderr, "usage: index FILE COUNT BYTES CORPUS\n");
		return 64;
	}
	count = strtoull(argv[2], NULL, 10);
	bytes = strtoull(argv[3], NULL, 10);
	read_corpus(&maker, argv[4]);
	if (index_open(&audit, true, &maker.db, why, sizeof(why))) {
		(void)fprintf(stderr, "%s\n", why);
		return 1;
	}
	for (i = 0; i < count; i++)
		make_one(&maker, i, bytes);
	must(index_flush(maker.db));
	index_close(maker.db);
	return 0;
}
