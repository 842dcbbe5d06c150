/*
 * The passive SFTP observer (session_sftp.h): framing of both directions, and
 * what requests and replies mean together. Bytes of files are hashed as they
 * pass and never kept. Everything a peer can make this hold has a limit;
 * beyond it watching ends with a note, and the bytes pass on untouched.
 */
#include "session_sftp.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "core/buf.h"

/* draft-ietf-secsh-filexfer-02, sections 3 to 7 */
enum {
	FXP_INIT = 1,
	FXP_VERSION = 2,
	FXP_OPEN = 3,
	FXP_CLOSE = 4,
	FXP_READ = 5,
	FXP_WRITE = 6,
	FXP_SETSTAT = 9,
	FXP_FSETSTAT = 10,
	FXP_REMOVE = 13,
	FXP_MKDIR = 14,
	FXP_RMDIR = 15,
	FXP_RENAME = 18,
	FXP_SYMLINK = 20,
	FXP_STATUS = 101,
	FXP_HANDLE = 102,
	FXP_DATA = 103,
	FXP_EXTENDED = 200,
};

#define PACKET_MAX   (40 * 1024) /* that is looked into; longer ones pass by */
#define PENDING_MAX  4096
#define FILES_MAX    1024
#define BUCKETS	     64
#define HANDLE_MAX   256 /* section 6.2 */
#define PATH_MAX_LEN 4096

struct transfer {
	EVP_MD_CTX *hash;
	uint64_t bytes, next;
	bool broken; /* not in order: no hash of the whole */
};

struct file {
	TAILQ_ENTRY(file) entry;
	uint8_t handle[HANDLE_MAX];
	size_t handle_len;
	char *path; /* escaped */
	struct transfer down, up;
};

struct pending {
	TAILQ_ENTRY(pending) entry;
	uint32_t id;
	uint8_t type;
	const char *op; /* a changing operation, static */
	char *path, *to;
	struct file *file;
	uint64_t offset;
};
TAILQ_HEAD(pendings, pending);

/* One direction: a packet is either gathered whole, or (its head read) passed
 * by, with its payload going to a hash. */
struct side {
	struct buf packet;
	uint32_t skip; /* bytes of the present packet still to pass by */
	struct transfer *into; /* where those go, or NULL */
	uint32_t into_left;
};

struct sftp_watch {
	void (*report)(void *arg, const struct sftp_event *event);
	void *arg;
	struct side client, server;
	struct pendings pending[BUCKETS];
	size_t pending_count, file_count;
	TAILQ_HEAD(, file) files;
	bool lost;
};

struct sftp_watch *sftp_watch_new(
	void (*report)(void *arg, const struct sftp_event *event), void *arg)
{
	struct sftp_watch *watch = calloc(1, sizeof(*watch));
	size_t i;

	if (!watch)
		return NULL;
	watch->report = report;
	watch->arg = arg;
	buf_init(&watch->client.packet, PACKET_MAX + 4);
	buf_init(&watch->server.packet, PACKET_MAX + 4);
	for (i = 0; i < BUCKETS; i++)
		TAILQ_INIT(&watch->pending[i]);
	TAILQ_INIT(&watch->files);
	return watch;
}

static void pending_free(struct sftp_watch *watch, struct pending *p)
{
	TAILQ_REMOVE(&watch->pending[p->id % BUCKETS], p, entry);
	watch->pending_count--;
	free(p->path);
	free(p->to);
	free(p);
}

static void file_free(struct sftp_watch *watch, struct file *file)
{
	TAILQ_REMOVE(&watch->files, file, entry);
	watch->file_count--;
	EVP_MD_CTX_free(file->down.hash);
	EVP_MD_CTX_free(file->up.hash);
	free(file->path);
	free(file);
}

static void forget_all(struct sftp_watch *watch)
{
	struct pending *p;
	struct file *file;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		while ((p = TAILQ_FIRST(&watch->pending[i])))
			pending_free(watch, p);
	while ((file = TAILQ_FIRST(&watch->files)))
		file_free(watch, file);
	watch->client.into = watch->server.into = NULL;
}

void sftp_watch_free(struct sftp_watch *watch)
{
	if (!watch)
		return;
	forget_all(watch);
	buf_done(&watch->client.packet);
	buf_done(&watch->server.packet);
	free(watch);
}

static bool is_utf8(const uint8_t *s, size_t len)
{
	size_t i = 0, n;

	while (i < len) {
		uint8_t c = s[i++];
		uint8_t low = 0x80, high = 0xbf;

		if (c < 0x80)
			continue;
		if (c >= 0xc2 && c <= 0xdf)
			n = 1;
		else if (c >= 0xe0 && c <= 0xef)
			n = 2;
		else if (c >= 0xf0 && c <= 0xf4)
			n = 3;
		else
			return false;
		/* overlong forms, surrogates, beyond U+10FFFF */
		if (c == 0xe0)
			low = 0xa0;
		else if (c == 0xed)
			high = 0x9f;
		else if (c == 0xf0)
			low = 0x90;
		else if (c == 0xf4)
			high = 0x8f;
		for (; n; n--, i++) {
			if (i >= len || s[i] < low || s[i] > high)
				return false;
			low = 0x80;
			high = 0xbf;
		}
	}
	return true;
}

/* For JSON. Names that are not UTF-8 are shown byte by byte as U+0080 to
 * U+00FF, so that none is lost. */
static char *escape(const uint8_t *text, size_t len)
{
	bool utf8 = is_utf8(text, len);
	struct buf out;
	char *copy = NULL;
	size_t i;

	buf_init(&out, 6 * PATH_MAX_LEN + 1);
	for (i = 0; i < len; i++) {
		uint8_t c = text[i];

		if (c == '"' || c == '\\')
			buf_printf(&out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
			buf_printf(&out, "\\u%04x", c);
		else
			buf_put_u8(&out, c);
	}
	buf_put_u8(&out, 0);
	if (!buf_error(&out))
		copy = strdup((char *)out.data);
	buf_done(&out);
	return copy;
}

static char *read_path(struct reader *rd)
{
	size_t len;
	const uint8_t *text = reader_string(rd, &len);

	if (!text || len > PATH_MAX_LEN)
		return NULL;
	return escape(text, len);
}

static void emit(struct sftp_watch *watch, bool file, const char *path,
	const struct transfer *transfer, bool upload, struct buf *json)
{
	struct sftp_event event = {
		.file = file,
		.upload = upload,
		.bytes = transfer ? transfer->bytes : 0,
		.path = path ? path : "",
	};

	buf_put_u8(json, 0);
	if (buf_error(json))
		return;
	event.json = (char *)json->data;
	watch->report(watch->arg, &event);
}

static void lose(struct sftp_watch *watch, const char *why)
{
	struct buf json;

	if (watch->lost)
		return;
	watch->lost = true;
	sftp_watch_end(watch);
	buf_init(&json, 1024);
	buf_printf(&json, "{\"op\":\"unwatched\",\"why\":\"%s\"}", why);
	emit(watch, false, NULL, NULL, false, &json);
	buf_done(&json);
	buf_reset(&watch->client.packet);
	buf_reset(&watch->server.packet);
}

static const char *status_text(uint32_t code)
{
	static const char *const texts[] = {"ok", "end of file", "no such file",
		"permission denied", "failure", "bad message", "no connection",
		"connection lost", "unsupported"};

	return code < sizeof(texts) / sizeof(texts[0]) ? texts[code]
						       : "other failure";
}

static void put_hash(struct buf *json, struct transfer *transfer)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0, i;

	if (transfer->broken || !transfer->hash ||
		EVP_DigestFinal_ex(transfer->hash, digest, &len) != 1)
		return;
	buf_printf(json, ",\"sha256\":\"");
	for (i = 0; i < len; i++)
		buf_printf(json, "%02x", digest[i]);
	buf_printf(json, "\"");
}

static void report_transfer(struct sftp_watch *watch, struct file *file,
	struct transfer *transfer, const char *result)
{
	bool upload = transfer == &file->up;
	struct buf json;

	buf_init(&json, 32768);
	buf_printf(&json,
		"{\"path\":\"%s\",\"direction\":\"%s\",\"bytes\":%llu",
		file->path ? file->path : "", upload ? "upload" : "download",
		(unsigned long long)transfer->bytes);
	put_hash(&json, transfer);
	buf_printf(&json, ",\"result\":\"%s\"}", result);
	emit(watch, true, file->path, transfer, upload, &json);
	buf_done(&json);
}

static void report_file(
	struct sftp_watch *watch, struct file *file, const char *result)
{
	if (file->up.hash)
		report_transfer(watch, file, &file->up, result);
	if (file->down.hash)
		report_transfer(watch, file, &file->down, result);
}

static void report_op(
	struct sftp_watch *watch, const struct pending *p, const char *result)
{
	struct buf json;

	buf_init(&json, 65536);
	buf_printf(&json, "{\"op\":\"%s\",\"path\":\"%s\"", p->op,
		p->path ? p->path : "");
	if (p->to)
		buf_printf(&json, ",\"to\":\"%s\"", p->to);
	buf_printf(&json, ",\"result\":\"%s\"}", result);
	emit(watch, false, p->path, NULL, false, &json);
	buf_done(&json);
}

void sftp_watch_end(struct sftp_watch *watch)
{
	struct file *file;

	TAILQ_FOREACH (file, &watch->files, entry)
		report_file(watch, file, "not closed");
	forget_all(watch);
}

static struct file *file_find(
	struct sftp_watch *watch, const uint8_t *handle, size_t len)
{
	struct file *file;

	if (!handle)
		return NULL;
	TAILQ_FOREACH (file, &watch->files, entry)
		if (file->handle_len == len &&
			!memcmp(file->handle, handle, len))
			return file;
	return NULL;
}

static struct file *read_file(struct sftp_watch *watch, struct reader *rd)
{
	size_t len;
	const uint8_t *handle = reader_string(rd, &len);

	return file_find(watch, handle, len);
}

static struct pending *pending_add(
	struct sftp_watch *watch, uint32_t id, uint8_t type)
{
	struct pending *p;

	if (watch->pending_count >= PENDING_MAX ||
		!(p = calloc(1, sizeof(*p)))) {
		lose(watch, "too many requests in flight");
		return NULL;
	}
	p->id = id;
	p->type = type;
	TAILQ_INSERT_TAIL(&watch->pending[id % BUCKETS], p, entry);
	watch->pending_count++;
	return p;
}

static struct pending *pending_find(struct sftp_watch *watch, uint32_t id)
{
	struct pending *p;

	TAILQ_FOREACH (p, &watch->pending[id % BUCKETS], entry)
		if (p->id == id)
			return p;
	return NULL;
}

/* Changing operations, by type or by the name of the extension. */
static const struct {
	uint8_t type;
	const char *extension, *op;
	bool two_paths, by_handle;
} ops[] = {
	{FXP_SETSTAT, NULL, "setstat", false, false},
	{FXP_FSETSTAT, NULL, "setstat", false, true},
	{FXP_REMOVE, NULL, "remove", false, false},
	{FXP_MKDIR, NULL, "mkdir", false, false},
	{FXP_RMDIR, NULL, "rmdir", false, false},
	{FXP_RENAME, NULL, "rename", true, false},
	{FXP_SYMLINK, NULL, "symlink", true, false},
	{FXP_EXTENDED, "posix-rename@openssh.com", "rename", true, false},
	{FXP_EXTENDED, "hardlink@openssh.com", "hardlink", true, false},
	{FXP_EXTENDED, "lsetstat@openssh.com", "setstat", false, false},
	{FXP_EXTENDED, "copy-data", "copy", false, true},
};

static void watch_op(
	struct sftp_watch *watch, uint8_t type, uint32_t id, struct reader *rd)
{
	const uint8_t *name = NULL;
	struct pending *p;
	size_t i, len = 0;

	if (type == FXP_EXTENDED)
		name = reader_string(rd, &len);
	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (ops[i].type != type ||
			(name && (strlen(ops[i].extension) != len ||
					 memcmp(ops[i].extension, name, len))))
			continue;
		p = pending_add(watch, id, type);
		if (!p)
			return;
		p->op = ops[i].op;
		if (ops[i].by_handle) {
			struct file *file = read_file(watch, rd);

			p->path = file && file->path ? strdup(file->path)
						     : NULL;
		} else {
			p->path = read_path(rd);
		}
		if (ops[i].two_paths)
			p->to = read_path(rd);
		return;
	}
}

static void client_packet(
	struct sftp_watch *watch, const uint8_t *bytes, size_t len)
{
	struct reader rd;
	struct pending *p;
	uint8_t type;
	uint32_t id;

	reader_init(&rd, bytes, len);
	type = reader_u8(&rd);
	if (type == FXP_INIT)
		return;
	id = reader_u32(&rd);
	if (type == FXP_OPEN) {
		p = pending_add(watch, id, type);
		if (p)
			p->path = read_path(&rd);
	} else if (type == FXP_CLOSE || type == FXP_READ) {
		struct file *file = read_file(watch, &rd);

		p = file ? pending_add(watch, id, type) : NULL;
		if (p) {
			p->file = file;
			p->offset = type == FXP_READ ? reader_u64(&rd) : 0;
		}
	} else {
		watch_op(watch, type, id, &rd);
	}
}

static void opened(
	struct sftp_watch *watch, struct pending *p, struct reader *rd)
{
	size_t len;
	const uint8_t *handle = reader_string(rd, &len);
	struct file *file;

	if (!handle || len > HANDLE_MAX || file_find(watch, handle, len))
		return;
	if (watch->file_count >= FILES_MAX ||
		!(file = calloc(1, sizeof(*file)))) {
		lose(watch, "too many open files");
		return;
	}
	memcpy(file->handle, handle, len);
	file->handle_len = len;
	file->path = p->path;
	p->path = NULL;
	TAILQ_INSERT_TAIL(&watch->files, file, entry);
	watch->file_count++;
}

static void open_failed(
	struct sftp_watch *watch, struct pending *p, const char *result)
{
	p->op = "open";
	report_op(watch, p, result);
}

/* Nobody refers to a file that is closed any more. */
static void drop_references(struct sftp_watch *watch, const struct file *file)
{
	struct pending *p;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		TAILQ_FOREACH (p, &watch->pending[i], entry)
			if (p->file == file)
				p->file = NULL;
	if (watch->client.into == &file->up)
		watch->client.into = NULL;
	if (watch->server.into == &file->down)
		watch->server.into = NULL;
}

static void got_status(
	struct sftp_watch *watch, struct pending *p, uint32_t code)
{
	const char *result = status_text(code);

	if (p->type == FXP_CLOSE && p->file) {
		struct file *file = p->file;

		report_file(watch, file, result);
		drop_references(watch, file);
		file_free(watch, file);
	} else if (p->type == FXP_OPEN) {
		open_failed(watch, p, result);
	} else if (p->op) {
		report_op(watch, p, result);
	}
}

static void server_packet(
	struct sftp_watch *watch, const uint8_t *bytes, size_t len)
{
	struct reader rd;
	struct pending *p;
	uint8_t type;

	reader_init(&rd, bytes, len);
	type = reader_u8(&rd);
	if (type == FXP_VERSION)
		return;
	p = pending_find(watch, reader_u32(&rd));
	if (!p)
		return;
	if (type == FXP_HANDLE && p->type == FXP_OPEN)
		opened(watch, p, &rd);
	else if (type == FXP_STATUS)
		got_status(watch, p, reader_u32(&rd));
	/* lose() has forgotten everything already */
	if (!watch->lost)
		pending_free(watch, p);
}

static void transfer_start(struct transfer *transfer, uint64_t offset)
{
	if (!transfer->hash) {
		transfer->hash = EVP_MD_CTX_new();
		if (!transfer->hash || EVP_DigestInit_ex(transfer->hash,
					       EVP_sha256(), NULL) != 1)
			transfer->broken = true;
	}
	if (offset != transfer->next)
		transfer->broken = true;
}

static void transfer_bytes(
	struct transfer *transfer, const void *data, size_t len)
{
	transfer->bytes += len;
	transfer->next += len;
	if (!transfer->broken && transfer->hash)
		EVP_DigestUpdate(transfer->hash, data, len);
}

/*
 * WRITE and DATA carry the bytes of files: as soon as their heads are there,
 * the rest passes by. Returns true if the head is complete (or not of such a
 * packet and too long to gather).
 */
static bool payload_head(struct sftp_watch *watch, bool client,
	struct side *side, uint32_t packet_len)
{
	struct reader rd;
	struct pending *p;
	struct file *file = NULL;
	uint64_t offset = 0;
	uint32_t id, count;
	size_t before;
	uint8_t type;

	reader_init(&rd, side->packet.data + 4, side->packet.len - 4);
	before = rd.left;
	type = reader_u8(&rd);
	id = reader_u32(&rd);
	if (client && type == FXP_WRITE) {
		file = read_file(watch, &rd);
		offset = reader_u64(&rd);
	} else if (!client && type == FXP_DATA) {
		p = pending_find(watch, id);
		if (p && p->type == FXP_READ) {
			file = p->file;
			offset = p->offset;
		}
	} else {
		return false;
	}
	count = reader_u32(&rd);
	if (rd.err)
		return false;
	side->skip = packet_len - (uint32_t)(before - rd.left);
	side->into = file ? (client ? &file->up : &file->down) : NULL;
	side->into_left = count < side->skip ? count : side->skip;
	if (side->into)
		transfer_start(side->into, offset);
	if (!client && (p = pending_find(watch, id)))
		pending_free(watch, p);
	return true;
}

static size_t pass_by(struct side *side, const uint8_t *data, size_t len)
{
	size_t part;

	if (len > side->skip)
		len = side->skip;
	part = len < side->into_left ? len : side->into_left;
	if (side->into && part)
		transfer_bytes(side->into, data, part);
	side->into_left -= (uint32_t)part;
	side->skip -= (uint32_t)len;
	return len;
}

/* Longest head of a WRITE: length, type, id, handle, offset, count. */
#define HEAD_MAX (4 + 1 + 4 + 4 + HANDLE_MAX + 8 + 4)

static size_t gather(struct sftp_watch *watch, bool client, struct side *side,
	const uint8_t *data, size_t len)
{
	struct reader rd;
	size_t want = 4, used = 0;
	uint32_t packet_len = 0;

	if (side->packet.len >= 4) {
		reader_init(&rd, side->packet.data, 4);
		packet_len = reader_u32(&rd);
		/* One more byte at a time until a payload's head is complete:
		 * a head is short, and the rest of it is not ours to keep. */
		want = side->packet.len + 1;
		if (side->packet.len >= HEAD_MAX || packet_len < 64)
			want = (size_t)packet_len + 4;
	}
	if (want > side->packet.len) {
		used = want - side->packet.len;
		used = used < len ? used : len;
		buf_put(&side->packet, data, used);
	}
	if (side->packet.len < 4)
		return used;
	reader_init(&rd, side->packet.data, 4);
	packet_len = reader_u32(&rd);
	if (!packet_len || packet_len > 256 * 1024 + 1024) {
		lose(watch, "not SFTP");
		return used;
	}
	if (side->packet.len > 4 &&
		payload_head(watch, client, side, packet_len)) {
		buf_reset(&side->packet);
	} else if (side->packet.len == (size_t)packet_len + 4) {
		(client ? client_packet : server_packet)(
			watch, side->packet.data + 4, packet_len);
		buf_reset(&side->packet);
	} else if (side->packet.len >= HEAD_MAX && packet_len > PACKET_MAX) {
		side->into = NULL;
		side->into_left = 0;
		side->skip = packet_len + 4 - (uint32_t)side->packet.len;
		buf_reset(&side->packet);
	}
	return used;
}

void sftp_watch_bytes(
	struct sftp_watch *watch, bool client, const void *data, size_t len)
{
	struct side *side = client ? &watch->client : &watch->server;
	const uint8_t *bytes = data;

	while (len && !watch->lost) {
		size_t used = side->skip
				      ? pass_by(side, bytes, len)
				      : gather(watch, client, side, bytes, len);

		bytes += used;
		len -= used;
	}
}
