/*
 * The passive SFTP observer (session_sftp.h): framing of both directions, and
 * what requests and replies mean together. Bytes of files are hashed as they
 * pass and never kept. Everything a peer can make this hold has a limit;
 * beyond it, and where the stream cannot be understood, watching ends with a
 * note, and the caller must let nothing more pass.
 */
#include <stdlib.h>
#include <string.h>

#include "session_sftp_int.h"

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

static char *read_path(struct reader *rd)
{
	size_t len;
	const uint8_t *text = reader_string(rd, &len);

	/* No server has a file of such a name; the refusal is recorded. */
	if (len > PATH_MAX_LEN)
		len = PATH_MAX_LEN;
	return text ? sftp_escape(text, len) : NULL;
}

/* It may have been done all the same. */
static void report_unanswered(struct sftp_watch *watch, struct pending *p)
{
	if (p->type == FXP_OPEN)
		p->op = "open";
	if (p->op)
		sftp_report_op(watch, p, "no answer");
}

void sftp_watch_end(struct sftp_watch *watch)
{
	struct pending *p;
	struct file *file;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		TAILQ_FOREACH (p, &watch->pending[i], entry)
			report_unanswered(watch, p);
	TAILQ_FOREACH (file, &watch->files, entry)
		sftp_report_file(watch, file, "not closed");
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
		sftp_lose(watch, "too many requests in flight");
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

/* The answer to one request would be taken for the answer to another. */
static bool number_taken(struct sftp_watch *watch, uint32_t id)
{
	if (!pending_find(watch, id))
		return false;
	sftp_lose(watch, "two requests with one number");
	return true;
}

bool sftp_watch_busy(const struct sftp_watch *watch)
{
	return watch->pending_count > PENDING_HIGH;
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
	if (rd->err)
		return;
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

/* Reads or writes by a handle that was not given out: no honest client does,
 * and one that guesses handles would go unwatched. */
static void guessed(struct sftp_watch *watch)
{
	sftp_lose(watch, "a handle that was not given");
}

static void watch_handle(
	struct sftp_watch *watch, uint8_t type, uint32_t id, struct reader *rd)
{
	struct file *file = read_file(watch, rd);
	struct pending *p;

	if (!file && type == FXP_READ && !rd->err)
		guessed(watch);
	p = file ? pending_add(watch, id, type) : NULL;
	if (!p)
		return;
	p->file = file;
	p->offset = type == FXP_READ ? reader_u64(rd) : 0;
}

/* A whole packet, or the first PACKET_MAX bytes of one: servers ignore what
 * follows the fields they know. */
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
	if (number_taken(watch, id))
		return;
	if (type == FXP_OPEN) {
		p = pending_add(watch, id, type);
		if (p)
			p->path = read_path(&rd);
	} else if (type == FXP_CLOSE || type == FXP_READ) {
		watch_handle(watch, type, id, &rd);
	} else {
		watch_op(watch, type, id, &rd);
	}
	if (rd.err)
		sftp_lose(watch, "a request that cannot be read");
	/* Its answer must not be taken for another's. */
	else if (!watch->lost && !pending_find(watch, id))
		pending_add(watch, id, type);
}

static void opened(
	struct sftp_watch *watch, struct pending *p, struct reader *rd)
{
	size_t len;
	const uint8_t *handle = reader_string(rd, &len);
	struct file *file;

	if (handle && len <= HANDLE_MAX && file_find(watch, handle, len))
		return;
	if (!handle || len > HANDLE_MAX) {
		sftp_lose(watch, "a handle that cannot be read");
		return;
	}
	if (watch->file_count >= FILES_MAX ||
		!(file = calloc(1, sizeof(*file)))) {
		sftp_lose(watch, "too many open files");
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
	sftp_report_op(watch, p, result);
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
	const char *result = sftp_status_text(code);

	if (p->type == FXP_CLOSE && p->file) {
		struct file *file = p->file;

		sftp_report_file(watch, file, result);
		drop_references(watch, file);
		file_free(watch, file);
	} else if (p->type == FXP_OPEN) {
		open_failed(watch, p, result);
	} else if (p->op) {
		sftp_report_op(watch, p, result);
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
	/* sftp_lose() has forgotten everything already */
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
		if (!file)
			guessed(watch);
		else if (!number_taken(watch, id))
			pending_add(watch, id, type);
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
	if (client && rd.err)
		sftp_lose(watch, "a request that cannot be read");
	if (watch->lost || rd.err)
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

static uint32_t u32_at(const struct side *side, size_t at)
{
	struct reader rd;

	reader_init(&rd, side->packet.data + at, 4);
	return reader_u32(&rd);
}

/* How many bytes of the present packet are needed before anything can be
 * decided: the head of a WRITE or DATA, or as much of it as is looked into.
 */
static size_t wanted(const struct side *side, bool client)
{
	size_t have = side->packet.len, all, head;

	if (have < 5)
		return 5;
	all = (size_t)u32_at(side, 0) + 4;
	if (client && side->packet.data[4] == FXP_WRITE) {
		head = 4 + 1 + 4 + 4;
		if (have >= head && u32_at(side, 9) <= HANDLE_MAX)
			head += u32_at(side, 9) + 8 + 4;
	} else if (!client && side->packet.data[4] == FXP_DATA) {
		head = 4 + 1 + 4 + 4;
	} else {
		head = PACKET_MAX;
	}
	return head < all ? head : all;
}

/* The present packet has all that wanted() asked for. */
static void decide(struct sftp_watch *watch, bool client, struct side *side)
{
	uint32_t packet_len = u32_at(side, 0);

	if (payload_head(watch, client, side, packet_len)) {
		buf_reset(&side->packet);
		return;
	}
	/* sftp_lose() has emptied the buffer */
	if (watch->lost)
		return;
	side->into = NULL;
	side->into_left = 0;
	side->skip = packet_len + 4 - (uint32_t)side->packet.len;
	(client ? client_packet : server_packet)(
		watch, side->packet.data + 4, side->packet.len - 4);
	buf_reset(&side->packet);
}

static size_t gather(struct sftp_watch *watch, bool client, struct side *side,
	const uint8_t *data, size_t len)
{
	size_t want = wanted(side, client);
	size_t used = want - side->packet.len;

	used = used < len ? used : len;
	buf_put(&side->packet, data, used);
	if (buf_error(&side->packet)) {
		sftp_lose(watch, "out of memory");
		return used;
	}
	if (side->packet.len < 5)
		return used;
	if (!u32_at(side, 0) || u32_at(side, 0) > PACKET_LIMIT) {
		sftp_lose(watch, "not SFTP");
		return used;
	}
	if (side->packet.len == wanted(side, client))
		decide(watch, client, side);
	return used;
}

enum sgb_err sftp_watch_bytes(
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
	return watch->lost ? SGB_ERR_FORMAT : SGB_OK;
}
