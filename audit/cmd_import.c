/*
 * Taking a recording of another program into a container of ours. It is sealed
 * and signed by the importer, never by a recorder, and says so in META: what
 * the file claims about itself was not witnessed by anybody here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "core/file.h"

#include "audit.h"
#include "import.h"
#include "writer.h"

#define FLUSH_BYTES (256 * 1024)

struct importing {
	struct audit *audit;
	struct suite_key *signer;
	struct writer *writer; /* NULL while the file is only checked */
	struct writer_scratch scratch;
	struct buf out;
	struct sgr_clock clock;
	enum sgb_err err;
	int fd;
};

static uint64_t now_ns(void)
{
	struct timespec now = {0, 0};

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void flush(struct importing *importing)
{
	if (!importing->err && importing->scratch.items)
		importing->err = writer_flush(importing->writer,
			&importing->scratch, importing->clock.mono_us,
			&importing->out);
	if (!importing->err && writer_wants_checkpoint(importing->writer,
				       importing->clock.mono_us))
		importing->err = writer_checkpoint(
			importing->writer, &importing->clock, &importing->out);
	if (!importing->err)
		importing->err = file_write_all(
			importing->fd, importing->out.data, importing->out.len);
	buf_reset(&importing->out);
}

static void on_item(void *data, enum record_kind kind, uint64_t time_us,
	const void *bytes, size_t len)
{
	struct importing *importing = data;

	if (!importing->writer || importing->err)
		return;
	importing->clock.mono_us = time_us;
	writer_add(&importing->scratch, 1, kind, time_us, bytes, len);
	if (importing->scratch.plain[0].len + importing->scratch.plain[1].len >
		FLUSH_BYTES)
		flush(importing);
}

static char *describe(const struct audit *audit, const char *path,
	const struct buf *source, const struct import_info *info,
	const char *who)
{
	struct iovec part = {source->data, source->len};
	char hex[2 * SUITE_HASH_LEN + 1], when[PRINT_TIME_MAX];
	const char *name = strrchr(path, '/');
	uint8_t hash[SUITE_HASH_LEN];
	json_t *root = json_object(), *from = json_object();
	char *text, *clean;

	if (suite_sha256(&part, 1, hash))
		audit_fatal(EX_SOFTWARE, "libcrypto does not hash");
	suite_hex(hash, SUITE_HASH_LEN, hex);
	clean = strndup(name ? name + 1 : path, 255);
	json_object_set_new(from, "format", json_string(info->format));
	json_object_set_new(from, "sha256", json_string(hex));
	json_object_set_new(
		from, "bytes", json_integer((json_int_t)source->len));
	json_object_set_new(from, "by", json_string(who));
	/* A name that is not UTF-8 is not kept. */
	json_object_set_new(from, "name", json_string(clean ? clean : ""));
	if (info->claimed_s && info->claimed_s < UINT32_MAX)
		json_object_set_new(from, "claimed_start",
			json_string(print_time(
				info->claimed_s * 1000000000, when)));
	if (audit->why)
		json_object_set_new(from, "why", json_string(audit->why));
	json_object_set_new(root, "imported", from);
	if (audit->user)
		json_object_set_new(root, "user", json_string(audit->user));
	if (audit->target)
		json_object_set_new(root, "target", json_string(audit->target));
	text = json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(root);
	free(clean);
	return text;
}

static void begin(struct importing *importing, const char *meta,
	const char *who, char id[SGR_ID_TEXT])
{
	struct sgr_recipient to[AUDIT_IDENTITIES_MAX] = {0};
	struct sgr_header_params params = {.start_ns = now_ns(),
		.retention = "imported",
		.recipients = to,
		.recipient_count = importing->audit->key_count};
	char name[100];
	size_t i;

	(void)snprintf(name, sizeof(name), "import by %.80s", who);
	params.writer_name = name;
	importing->clock.wall_ns = params.start_ns;
	for (i = 0; i < params.recipient_count; i++)
		to[i] = importing->audit->identities[i]->public_half;
	memcpy(params.writer_key, suite_key_public(importing->signer),
		SUITE_KEY_LEN);
	importing->err = sgr_id_new(params.start_ns, params.rec_id);
	sgr_id_text(params.rec_id, id);
	if (!importing->err)
		importing->err = writer_begin(&params, importing->signer, meta,
			strlen(meta), &importing->clock, &importing->out,
			&importing->writer);
}

static void read_source(const char *path, struct buf *source)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	buf_init(source, IMPORT_FILE_MAX);
	if (fd < 0)
		audit_fatal(EX_NOINPUT, "%s: %s", path, strerror(errno));
	if (file_read_fd(fd, source))
		audit_fatal(EX_NOINPUT,
			"%s: cannot be read, or larger than "
			"1 GiB",
			path);
	close(fd);
}

static void write_container(struct importing *importing, const char *path,
	const struct buf *source, struct import_info *info)
{
	char who[AUDIT_WHO_MAX], id[SGR_ID_TEXT], fallback[SGR_ID_TEXT + 4];
	const char *output = importing->audit->output;
	char *meta = describe(
		importing->audit, path, source, info, audit_who(who));

	buf_init(&importing->out, 16 << 20);
	writer_scratch_init(&importing->scratch);
	if (meta)
		begin(importing, meta, who, id);
	if (!meta || importing->err)
		audit_fatal(EX_SOFTWARE, "cannot make the container: %s",
			sgb_err_text(importing->err));
	(void)snprintf(fallback, sizeof(fallback), "%s.sgr", id);
	output = output ? output : fallback;
	importing->fd = open(output,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0440);
	if (importing->fd < 0)
		audit_fatal(EX_CANTCREAT, "%s: %s", output, audit_errno(errno));
	if (import_parse(source->data, source->len, on_item, importing, info))
		importing->err = SGB_ERR_FORMAT;
	flush(importing);
	if (!importing->err)
		importing->err = writer_close(importing->writer, 1,
			&importing->clock, &importing->out);
	flush(importing);
	if (importing->err || fsync(importing->fd)) {
		(void)unlink(output);
		audit_fatal(EX_IOERR, "%s: cannot be written: %s", output,
			sgb_err_text(importing->err));
	}
	close(importing->fd);
	(void)printf("%s: %s, %llu events, imported by ", output, info->format,
		(unsigned long long)info->events);
	print_cstring(stdout, who);
	(void)printf("\n");
	if (info->left_out)
		(void)printf("%llu events of unknown kinds were left out\n",
			(unsigned long long)info->left_out);
	writer_free(importing->writer);
	writer_scratch_done(&importing->scratch);
	buf_done(&importing->out);
	free(meta);
}

int cmd_import(struct audit *audit, int argc, char **argv)
{
	struct importing importing = {.audit = audit, .fd = -1};
	struct import_info info;
	struct buf source;

	if (argc != 1 || !audit->key_path)
		audit_fatal(EX_USAGE,
			"import takes --key with a signing key of your own, -i "
			"for who may read it, and one file");
	audit_places(audit);
	audit_identities(audit, true);
	importing.signer = audit_signing_key(audit->key_path);
	read_source(argv[0], &source);
	/* Once to check it: a file is taken as a whole or not at all. */
	if (import_parse(source.data, source.len, on_item, &importing, &info))
		audit_fatal(EX_DATAERR, "%s: not taken: %s: %s", argv[0],
			info.format ? info.format : "?", info.why);
	audit_viewed(audit, "", "import");
	write_container(&importing, argv[0], &source, &info);
	suite_key_free(importing.signer);
	buf_done(&source);
	return 0;
}
