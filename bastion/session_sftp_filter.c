/*
 * The SFTP filter (session_sftp_filter.h). Foreign bytes on both sides. Only
 * what is known to be permitted passes: unknown requests and extensions are
 * refused, and a stream that cannot be understood ends.
 */
#include "session_sftp_filter.h"

#include <stdlib.h>
#include <string.h>

#include "session_sftp_int.h"

enum {
	FXF_READ = 1,
	FXF_CHANGES = 2 | 4 | 8 | 16, /* WRITE, APPEND, CREAT, TRUNC */

	FX_PERMISSION_DENIED = 3,
};

#define ANSWERS_MAX 4096

enum need {
	NEED_NEVER = 0,
	NEED_NOTHING,
	NEED_READ,
	NEED_WRITE,
	NEED_FLAGS, /* OPEN: its flags say */
	NEED_NAME,  /* EXTENDED: its name says */
};

/* draft-ietf-secsh-filexfer-02, section 3 */
static const struct {
	uint8_t type;
	enum need need;
	const char *name;
} requests[] = {
	{FXP_INIT, NEED_NOTHING, "init"},
	{FXP_OPEN, NEED_FLAGS, "open"},
	{4, NEED_NOTHING, "close"},
	{5, NEED_READ, "read"},
	{6, NEED_WRITE, "write"},
	{7, NEED_NOTHING, "lstat"},
	{8, NEED_NOTHING, "fstat"},
	{9, NEED_WRITE, "setstat"},
	{10, NEED_WRITE, "fsetstat"},
	{11, NEED_NOTHING, "opendir"},
	{12, NEED_NOTHING, "readdir"},
	{13, NEED_WRITE, "remove"},
	{14, NEED_WRITE, "mkdir"},
	{15, NEED_WRITE, "rmdir"},
	{16, NEED_NOTHING, "realpath"},
	{17, NEED_NOTHING, "stat"},
	{18, NEED_WRITE, "rename"},
	{19, NEED_NOTHING, "readlink"},
	{20, NEED_WRITE, "symlink"},
	{FXP_EXTENDED, NEED_NAME, "extended"},
};

static const struct {
	const char *name;
	enum need need;
} extensions[] = {
	{"posix-rename@openssh.com", NEED_WRITE},
	{"hardlink@openssh.com", NEED_WRITE},
	{"lsetstat@openssh.com", NEED_WRITE},
	{"fsync@openssh.com", NEED_NOTHING},
	{"statvfs@openssh.com", NEED_NOTHING},
	{"fstatvfs@openssh.com", NEED_NOTHING},
	{"limits@openssh.com", NEED_NOTHING},
	{"expand-path@openssh.com", NEED_NOTHING},
	{"home-directory", NEED_NOTHING},
	{"users-groups-by-id@openssh.com", NEED_NOTHING},
};

struct sftp_filter {
	bool may_read, may_write;
	void (*refused)(void *arg, const char *text);
	void *arg;
	struct buf packet;   /* the client's present packet, as far as needed */
	uint32_t pass, drop; /* bytes of it that go on, or do not */
	struct buf answers;
	uint8_t head[4]; /* of the server's present packet */
	size_t head_len;
	uint32_t server_left;
};

struct sftp_filter *sftp_filter_new(bool may_read, bool may_write,
	void (*refused)(void *arg, const char *text), void *arg)
{
	struct sftp_filter *filter = calloc(1, sizeof(*filter));

	if (!filter)
		return NULL;
	filter->may_read = may_read;
	filter->may_write = may_write;
	filter->refused = refused;
	filter->arg = arg;
	buf_init(&filter->packet, PACKET_MAX + 4);
	buf_init(&filter->answers, 64 * ANSWERS_MAX);
	return filter;
}

void sftp_filter_free(struct sftp_filter *filter)
{
	if (!filter)
		return;
	buf_done(&filter->packet);
	buf_done(&filter->answers);
	free(filter);
}

static enum need need_of_name(const uint8_t *name, size_t len)
{
	size_t i;

	for (i = 0; name && i < sizeof(extensions) / sizeof(extensions[0]); i++)
		if (strlen(extensions[i].name) == len &&
			!memcmp(extensions[i].name, name, len))
			return extensions[i].need;
	return NEED_NEVER;
}

static bool granted(const struct sftp_filter *filter, enum need need)
{
	switch (need) {
	case NEED_NOTHING: return true;
	case NEED_READ: return filter->may_read;
	case NEED_WRITE: return filter->may_write;
	default: return false;
	}
}

static bool flags_granted(const struct sftp_filter *filter, uint32_t flags)
{
	/* Neither flag is no way to open a file; refuse rather than guess. */
	if (!(flags & (FXF_READ | FXF_CHANGES)))
		return false;
	return (!(flags & FXF_READ) || filter->may_read) &&
	       (!(flags & FXF_CHANGES) || filter->may_write);
}

/* Is the gathered packet (from its type on) permitted? *ret_path is its path
 * where it has one, borrowed. */
static bool permitted(const struct sftp_filter *filter, struct reader *rd,
	const char **ret_name, const uint8_t **ret_path, size_t *ret_path_len)
{
	uint8_t type = reader_u8(rd);
	enum need need = NEED_NEVER;
	size_t i;

	*ret_name = "unknown";
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (requests[i].type == type) {
			need = requests[i].need;
			*ret_name = requests[i].name;
		}
	if (type == FXP_INIT)
		return true;
	reader_u32(rd);
	if (need == NEED_FLAGS) {
		uint32_t flags;

		*ret_path = reader_string(rd, ret_path_len);
		flags = reader_u32(rd);
		return !rd->err && flags_granted(filter, flags);
	}
	if (need == NEED_NAME) {
		size_t len;
		const uint8_t *name = reader_string(rd, &len);

		return !rd->err && granted(filter, need_of_name(name, len));
	}
	return !rd->err && granted(filter, need);
}

static void answer(struct sftp_filter *filter, uint32_t id)
{
	static const char text[] = "not permitted by the bastion's policy";

	buf_put_u32(&filter->answers, 1 + 4 + 4 + 4 + sizeof(text) - 1 + 4 + 2);
	buf_put_u8(&filter->answers, FXP_STATUS);
	buf_put_u32(&filter->answers, id);
	buf_put_u32(&filter->answers, FX_PERMISSION_DENIED);
	buf_put_cstring(&filter->answers, text);
	buf_put_cstring(&filter->answers, "en");
}

static void tell(struct sftp_filter *filter, const char *name,
	const uint8_t *path, size_t len)
{
	char *shown = path ? sftp_escape(path, len < 1024 ? len : 1024) : NULL;
	struct buf text;

	buf_init(&text, 8192);
	buf_printf(&text, "sftp %s%s%s", name, shown ? " " : "",
		shown ? shown : "");
	buf_put_u8(&text, 0);
	if (!buf_error(&text))
		filter->refused(filter->arg, (char *)text.data);
	buf_done(&text);
	free(shown);
}

static uint32_t packet_len(const struct sftp_filter *filter)
{
	struct reader rd;

	reader_init(&rd, filter->packet.data, 4);
	return reader_u32(&rd);
}

/* Bytes of a packet that the decision needs. */
static size_t wanted(const struct sftp_filter *filter)
{
	size_t all;

	if (filter->packet.len < 5)
		return 5;
	all = (size_t)packet_len(filter) + 4;
	if (filter->packet.data[4] == FXP_OPEN ||
		filter->packet.data[4] == FXP_EXTENDED)
		return all < PACKET_MAX ? all : PACKET_MAX;
	return all < 9 ? all : 9;
}

static void decide(struct sftp_filter *filter, struct buf *out)
{
	uint32_t rest = packet_len(filter) + 4 - (uint32_t)filter->packet.len;
	const uint8_t *path = NULL;
	const char *name;
	struct reader rd;
	size_t len = 0;

	reader_init(&rd, filter->packet.data + 4, filter->packet.len - 4);
	if (permitted(filter, &rd, &name, &path, &len)) {
		buf_put(out, filter->packet.data, filter->packet.len);
		filter->pass = rest;
	} else {
		reader_init(
			&rd, filter->packet.data + 5, filter->packet.len - 5);
		answer(filter, reader_u32(&rd));
		tell(filter, name, path, len);
		filter->drop = rest;
	}
	buf_reset(&filter->packet);
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

enum sgb_err sftp_filter_client(struct sftp_filter *filter, const void *data,
	size_t len, struct buf *out)
{
	const uint8_t *bytes = data;
	size_t used;

	for (; len; bytes += used, len -= used) {
		if (filter->pass) {
			used = smaller(filter->pass, len);
			buf_put(out, bytes, used);
			filter->pass -= (uint32_t)used;
			continue;
		}
		if (filter->drop) {
			used = smaller(filter->drop, len);
			filter->drop -= (uint32_t)used;
			continue;
		}
		used = smaller(wanted(filter) - filter->packet.len, len);
		buf_put(&filter->packet, bytes, used);
		if (buf_error(&filter->packet) || buf_error(&filter->answers))
			return SGB_ERR_LIMIT;
		if (filter->packet.len < 5)
			continue;
		if (!packet_len(filter) || packet_len(filter) > PACKET_LIMIT)
			return SGB_ERR_FORMAT;
		if (filter->packet.len == wanted(filter))
			decide(filter, out);
	}
	return buf_error(out);
}

enum sgb_err sftp_filter_server(struct sftp_filter *filter, const void *data,
	size_t len, struct buf *out)
{
	const uint8_t *bytes = data;
	struct reader rd;
	size_t used;

	for (;;) {
		if (!filter->server_left && !filter->head_len &&
			filter->answers.len) {
			buf_put(out, filter->answers.data, filter->answers.len);
			buf_reset(&filter->answers);
		}
		if (!len)
			return buf_error(out);
		if (filter->server_left) {
			used = smaller(filter->server_left, len);
			filter->server_left -= (uint32_t)used;
		} else {
			used = smaller(4 - filter->head_len, len);
			memcpy(filter->head + filter->head_len, bytes, used);
			filter->head_len += used;
			if (filter->head_len == 4) {
				reader_init(&rd, filter->head, 4);
				filter->server_left = reader_u32(&rd);
				filter->head_len = 0;
			}
		}
		buf_put(out, bytes, used);
		bytes += used;
		len -= used;
	}
}
