/*
 * Makes a folder of recordings for measuring: real ones, with a signed index,
 * of text that looks like shell work. Deterministic but for keys and ids.
 *
 *	store DIR COUNT BYTES	COUNT recordings of BYTES of terminal output
 *	store --speed BYTES [FILE]	how fast one core turns such text, or
 * that of FILE, into frames
 *
 * Writes DIR/rec, DIR/reader.pem and DIR/writers.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "core/record.h"

#include "../../audit/journal.h"
#include "../../audit/writer.h"

#define CHUNK	 32768
#define START_NS 1795000000000000000ULL

struct maker {
	int dir, index_dir;
	struct suite_key *reader, *signer;
	struct journal *index;
	struct writer_scratch scratch;
	struct buf out;
	uint64_t random;
	uint8_t prev_head[SUITE_HASH_LEN];
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

/* A line as ls, a log or a build prints it. */
static size_t put_line(struct maker *maker, char *text, size_t room)
{
	static const char *const words[] = {"drwxr-xr-x", "root", "nginx",
		"kernel:", "error", "GET", "/var/log/syslog", "200",
		"connection", "from", "10.0.1.7", "make[1]:", "Entering",
		"package", "install", "ok", "2026-11-23", "update", "table",
		"customers", "select", "--verbose", "restart", "service"};
	unsigned int count = 4 + draw(maker, 8), i;
	size_t len = 0;

	for (i = 0; i < count && len + 40 < room; i++)
		len += (size_t)snprintf(text + len, room - len, "%s%s ",
			draw(maker, 9) ? "" : "\033[32m",
			words[draw(maker, sizeof(words) / sizeof(words[0]))]);
	return len + (size_t)snprintf(text + len, room - len, "%x\033[0m\r\n",
			     draw(maker, 1U << 24));
}

static void make_folders(struct maker *maker, const char *path)
{
	char part[SGR_PATH_MAX];
	size_t i;

	(void)snprintf(part, sizeof(part), "%s", path);
	for (i = 0; part[i]; i++) {
		if (part[i] != '/')
			continue;
		part[i] = '\0';
		(void)mkdirat(maker->dir, part, 0700);
		part[i] = '/';
	}
}

static void note(struct maker *maker, const char *format, const char *id,
	const uint8_t head[SUITE_HASH_LEN], const uint8_t *prev,
	uint32_t frames, uint64_t bytes)
{
	char hex[2 * SUITE_HASH_LEN + 1], second[2 * SUITE_HASH_LEN + 1] = "";
	struct buf line;
	uint64_t seq;

	suite_hex(head, SUITE_HASH_LEN, hex);
	if (prev)
		suite_hex(prev, SUITE_HASH_LEN, second);
	buf_init(&line, 1024);
	buf_printf(&line,
		"{\"op\":\"%s\",\"time\":\"2026-11-23T00:00:00Z\","
		"\"rec\":\"%s\",\"head\":\"%s\"",
		format, id, hex);
	if (prev)
		buf_printf(&line, ",\"prev_head\":\"%s\"}", second);
	else
		buf_printf(&line,
			",\"reason\":1,\"frames\":%u,\"bytes\":%" PRIu64 "}",
			frames, bytes);
	must(buf_error(&line));
	must(journal_add(
		maker->index, (const char *)line.data, line.len, &seq));
	buf_done(&line);
}

static void write_out(struct maker *maker, int fd)
{
	must(file_write_all(fd, maker->out.data, maker->out.len));
	buf_reset(&maker->out);
}

static void shell_work(struct maker *maker, struct writer *writer, int fd,
	uint64_t bytes, struct sgr_clock *clock)
{
	static const uint8_t pty[] = {0, 0, 0, 120, 0, 0, 0, 40, 0, 0, 0, 5,
		'x', 't', 'e', 'r', 'm', 0, 0, 0, 0};
	static char text[CHUNK + 256];
	uint64_t done = 0;

	writer_add(&maker->scratch, 1, RECORD_PTY, 1, pty, sizeof(pty));
	while (done < bytes) {
		size_t want = bytes - done < CHUNK ? (size_t)(bytes - done)
						   : CHUNK;
		size_t len = 0;

		while (len < want)
			len += put_line(maker, text + len, sizeof(text) - len);
		clock->mono_us += 20000;
		writer_add(&maker->scratch, 1, RECORD_OUT, clock->mono_us, text,
			len);
		must(writer_flush(
			writer, &maker->scratch, clock->mono_us, &maker->out));
		if (writer_wants_checkpoint(writer, clock->mono_us))
			must(writer_checkpoint(writer, clock, &maker->out));
		write_out(maker, fd);
		done += len;
	}
}

static void make_one(struct maker *maker, uint64_t number, uint64_t bytes)
{
	struct sgr_recipient to = {0};
	struct sgr_header_params params = {.writer_name = "bench",
		.retention = "standard",
		.start_ns = START_NS + number * 1000000000,
		.recipients = &to,
		.recipient_count = 1};
	struct sgr_clock clock = {.wall_ns = params.start_ns, .mono_us = 1};
	char id[SGR_ID_TEXT], path[SGR_PATH_MAX], meta[300];
	uint8_t first[SUITE_HASH_LEN];
	struct writer *writer;
	uint64_t size;
	int fd, len;

	must(sgr_id_new(params.start_ns, params.rec_id));
	sgr_id_text(params.rec_id, id);
	sgr_path(params.rec_id, path);
	memcpy(params.prev_head, maker->prev_head, SUITE_HASH_LEN);
	to.kind = SGR_KIND_X25519;
	to.key_len = SUITE_KEY_LEN;
	memcpy(to.key, suite_key_public(maker->reader), SUITE_KEY_LEN);
	memcpy(params.writer_key, suite_key_public(maker->signer),
		SUITE_KEY_LEN);
	len = snprintf(meta, sizeof(meta),
		"{\"user\":\"user%u\",\"source\":\"10.1.%u.%u\",\"target\":"
		"\"web%u\",\"login\":\"ops\",\"mfa\":\"%s\"}",
		draw(maker, 500), draw(maker, 250), draw(maker, 250),
		draw(maker, 2000), draw(maker, 20) ? "totp" : "none");
	make_folders(maker, path);
	fd = openat(maker->dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		0440);
	if (fd < 0)
		must(SGB_ERR_SYSTEM);
	must(writer_begin(&params, maker->signer, meta, (size_t)len, &clock,
		&maker->out, &writer));
	must(sgr_link_first(maker->out.data,
		SGR_PREAMBLE_LEN + ((size_t)maker->out.data[12] |
					   (size_t)maker->out.data[13] << 8),
		first));
	write_out(maker, fd);
	shell_work(maker, writer, fd, bytes, &clock);
	must(writer_close(writer, 1, &clock, &maker->out));
	write_out(maker, fd);
	size = (uint64_t)lseek(fd, 0, SEEK_CUR);
	note(maker, "open", id, first, maker->prev_head, 0, 0);
	memcpy(maker->prev_head, writer_link(writer), SUITE_HASH_LEN);
	note(maker, "close", id, maker->prev_head, NULL, writer_frames(writer),
		size);
	writer_free(writer);
	close(fd);
}

static void put_file(int dir, const char *name, const void *data, size_t len)
{
	int fd = openat(
		dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		must(SGB_ERR_SYSTEM);
	must(file_write_all(fd, data, len));
	close(fd);
}

static void start(struct maker *maker, const char *dir)
{
	struct journal_params params = {.monthly = true};
	struct journal_torn torn;
	char text[100] = "ed25519 ";
	struct buf pem;
	int top;

	(void)mkdir(dir, 0700);
	top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)mkdirat(top, "rec", 0700);
	maker->dir = openat(top, "rec", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)mkdirat(maker->dir, "index", 0700);
	maker->index_dir = openat(
		maker->dir, "index", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (maker->index_dir < 0)
		must(SGB_ERR_SYSTEM);
	must(suite_key_generate(SUITE_KEY_X25519, &maker->reader));
	must(suite_key_generate(SUITE_KEY_ED25519, &maker->signer));
	buf_init(&pem, 4096);
	must(suite_key_to_pem(maker->reader, &pem));
	put_file(top, "reader.pem", pem.data, pem.len);
	buf_done(&pem);
	suite_base64(suite_key_public(maker->signer), SUITE_KEY_LEN,
		text + strlen(text));
	strcat(text, " bench\n");
	put_file(top, "writers", text, strlen(text));
	params.dir_fd = maker->index_dir;
	params.key = maker->signer;
	must(journal_open(&params, &maker->index, &torn));
	writer_scratch_init(&maker->scratch);
	buf_init(&maker->out, 8 << 20);
	close(top);
}

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct writer *begin(struct maker *maker)
{
	struct sgr_recipient to = {
		.kind = SGR_KIND_X25519, .key_len = SUITE_KEY_LEN};
	struct sgr_header_params params = {.writer_name = "bench",
		.retention = "standard",
		.start_ns = START_NS,
		.recipients = &to,
		.recipient_count = 1};
	struct sgr_clock clock = {.wall_ns = START_NS, .mono_us = 1};
	struct writer *writer;

	must(suite_key_generate(SUITE_KEY_X25519, &maker->reader));
	must(suite_key_generate(SUITE_KEY_ED25519, &maker->signer));
	must(sgr_id_new(START_NS, params.rec_id));
	memcpy(to.key, suite_key_public(maker->reader), SUITE_KEY_LEN);
	memcpy(params.writer_key, suite_key_public(maker->signer),
		SUITE_KEY_LEN);
	must(writer_begin(
		&params, maker->signer, "{}", 2, &clock, &maker->out, &writer));
	return writer;
}

/* Again and again, until there is enough. */
static size_t read_text(const char *path, char *text, size_t bytes)
{
	FILE *file = fopen(path, "r");
	size_t len = 0, got;

	if (!file)
		must(SGB_ERR_SYSTEM);
	while (len < bytes) {
		got = fread(text + len, 1, bytes - len, file);
		if (!got && !ftell(file))
			break;
		if (!got)
			rewind(file);
		len += got;
	}
	(void)fclose(file);
	return len;
}

/* As the recorder does it: messages of up to 64 KiB, up to 256 KiB a round,
 * a checkpoint each MiB; no disk. */
static void speed(struct maker *maker, size_t bytes, const char *path)
{
	enum { MESSAGE = 32768, ROUND = 8 };
	struct sgr_clock clock = {.wall_ns = START_NS};
	struct writer *writer = begin(maker);
	size_t len = 0, at = 0, stored = 0;
	char *text = malloc(bytes + 512);
	double start, took;
	int i;

	if (!text)
		must(SGB_ERR_NOMEM);
	while (!path && len < bytes)
		len += put_line(maker, text + len, bytes + 512 - len);
	if (path)
		len = read_text(path, text, bytes);
	start = cpu_seconds();
	while (at + ROUND * MESSAGE <= len) {
		buf_reset(&maker->out);
		clock.mono_us += 1000;
		for (i = 0; i < ROUND; i++, at += MESSAGE)
			writer_add(&maker->scratch, 1, RECORD_OUT,
				clock.mono_us, text + at, MESSAGE);
		must(writer_flush(
			writer, &maker->scratch, clock.mono_us, &maker->out));
		if (writer_wants_checkpoint(writer, clock.mono_us))
			must(writer_checkpoint(writer, &clock, &maker->out));
		stored += maker->out.len;
	}
	took = cpu_seconds() - start;
	printf("writer: %.0f MiB/s of output a core, stored in 1/%.1f\n",
		(double)at / took / 1048576, (double)at / (double)stored);
	writer_free(writer);
	free(text);
}

int main(int argc, char **argv)
{
	struct maker maker = {.random = 1};
	uint64_t count, bytes, i;

	if (argc >= 3 && !strcmp(argv[1], "--speed")) {
		writer_scratch_init(&maker.scratch);
		buf_init(&maker.out, 8 << 20);
		speed(&maker, strtoull(argv[2], NULL, 10), argv[3]);
		return 0;
	}
	if (argc != 4) {
		(void)fprintf(stderr, "usage: store DIR COUNT BYTES\n"
				      "       store --speed BYTES [FILE]\n");
		return 64;
	}
	count = strtoull(argv[2], NULL, 10);
	bytes = strtoull(argv[3], NULL, 10);
	start(&maker, argv[1]);
	for (i = 0; i < count; i++) {
		make_one(&maker, i, bytes);
		if (i % 500 == 499)
			must(journal_commit(maker.index, START_NS));
	}
	if (journal_pending(maker.index))
		must(journal_commit(maker.index, START_NS));
	return 0;
}
