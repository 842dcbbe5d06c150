/*
 * The lines of scp's sender, and what the observer tells of them as JSON
 * (session_scp_int.h). Names and errors come from the peers and are hostile;
 * nothing of them leaves here unescaped.
 */
#include <stdlib.h>
#include <string.h>

#include "session_scp_int.h"
#include "session_sftp_int.h"

/* Digits up to a byte that has to follow them; what off_t cannot hold is
 * refused, as scp refuses it. */
static bool take_number(
	const uint8_t **at, const uint8_t *end, int after, uint64_t *ret_number)
{
	const uint8_t *c = *at;
	uint64_t number = 0;

	for (; c < end && *c >= '0' && *c <= '9'; c++) {
		if (number > (INT64_MAX - 9) / 10)
			return false;
		number = number * 10 + (uint64_t)(*c - '0');
	}
	if (c == *at || (after ? c == end || *c != after : c != end))
		return false;
	*at = after ? c + 1 : c;
	*ret_number = number;
	return true;
}

/* T1700000000 0 1700000000 0: modified, accessed, each with microseconds */
static bool read_times(
	const uint8_t *at, const uint8_t *end, struct scp_line *line)
{
	uint64_t usec;

	line->kind = SCP_TIMES;
	return take_number(&at, end, ' ', &line->mtime) &&
	       take_number(&at, end, ' ', &usec) && usec < 1000000 &&
	       take_number(&at, end, ' ', &line->atime) &&
	       take_number(&at, end, 0, &usec) && usec < 1000000;
}

/* C0644 1234 name, D0755 0 name */
static bool read_entry(
	const uint8_t *at, const uint8_t *end, struct scp_line *line)
{
	int i;

	for (i = 0; i < 4; i++, at++) {
		if (at == end || *at < '0' || *at > '7')
			return false;
		line->mode = line->mode << 3 | (unsigned int)(*at - '0');
	}
	if (at == end || *at++ != ' ' ||
		!take_number(&at, end, ' ', &line->size))
		return false;
	line->name = at;
	line->name_len = (size_t)(end - at);
	return line->name_len;
}

bool scp_line_read(const uint8_t *bytes, size_t len, struct scp_line *ret_line)
{
	const uint8_t *end = bytes + len;
	struct scp_line line = {.kind = SCP_NONE};
	bool good = false;

	switch (len ? bytes[0] : 0) {
	case 'C':
		line.kind = SCP_FILE;
		good = read_entry(bytes + 1, end, &line);
		break;
	case 'D':
		line.kind = SCP_FOLDER;
		good = read_entry(bytes + 1, end, &line);
		break;
	case 'E':
		line.kind = SCP_FOLDER_END;
		good = true; /* receivers do not look at the rest */
		break;
	case 'T': good = read_times(bytes + 1, end, &line); break;
	default: break;
	}
	if (good)
		*ret_line = line;
	return good;
}

char *scp_operands(const char *command)
{
	const char *at = command + strcspn(command, " ");
	size_t len;

	for (at += strspn(at, " "); at[0] == '-';) {
		len = strcspn(at, " ");
		if (len == 2 && at[1] == '-') {
			at += len + strspn(at + len, " ");
			break;
		}
		at += len + strspn(at + len, " ");
	}
	len = strlen(at);
	return sftp_escape((const uint8_t *)at,
		len < SCP_OPERANDS_MAX ? len : SCP_OPERANDS_MAX);
}

static void emit(struct scp_watch *watch, struct sftp_event *event,
	const struct buf *path, struct buf *json)
{
	buf_put_u8(json, 0);
	/* Of what has no room only the fact is told. */
	event->json = buf_error(json) || (path && buf_error(path))
			      ? "{\"op\":\"unreported\"}"
			      : (const char *)json->data;
	event->path = path && !buf_error(path) ? (const char *)path->data : "";
	watch->report(watch->arg, event);
}

static void put_digest(struct buf *json, EVP_MD_CTX *hash)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0, i;

	if (!hash || EVP_DigestFinal_ex(hash, digest, &len) != 1)
		return;
	buf_printf(json, ",\"sha256\":\"");
	for (i = 0; i < len; i++)
		buf_printf(json, "%02x", digest[i]);
	buf_printf(json, "\"");
}

void scp_report_file(
	struct scp_watch *watch, struct scp_question *file, const char *result)
{
	struct sftp_event event = {
		.file = true,
		.upload = watch->upload,
		.bytes = file->bytes,
	};
	struct buf json, path;

	buf_init(&json, 65536);
	buf_init(&path, 32768);
	buf_printf(&json,
		"{\"path\":\"%s\",\"operand\":\"%s\",\"direction\":\"%s\","
		"\"mode\":\"%04o\",\"size\":%llu,\"bytes\":%llu",
		file->path, watch->operands,
		watch->upload ? "upload" : "download", file->mode,
		(unsigned long long)file->size,
		(unsigned long long)file->bytes);
	if (file->timed)
		buf_printf(&json, ",\"mtime\":%llu,\"atime\":%llu",
			(unsigned long long)file->mtime,
			(unsigned long long)file->atime);
	put_digest(&json, file->hash);
	buf_printf(&json, ",\"result\":\"%s\"}", result);
	buf_printf(&path, "%s: %s", watch->operands, file->path);
	buf_put_u8(&path, 0);
	emit(watch, &event, &path, &json);
	buf_done(&path);
	buf_done(&json);
}

void scp_report_op(struct scp_watch *watch, const char *op, const char *path,
	const char *result)
{
	struct sftp_event event = {.upload = watch->upload};
	struct buf json;

	buf_init(&json, 65536);
	buf_printf(&json, "{\"op\":\"%s\",\"path\":\"%s\",\"result\":\"%s\"}",
		op, path ? path : "", result);
	emit(watch, &event, NULL, &json);
	buf_done(&json);
}

void scp_report_lost(struct scp_watch *watch, const char *why)
{
	struct sftp_event event = {.upload = watch->upload};
	struct buf json;

	buf_init(&json, 1024);
	buf_printf(&json, "{\"op\":\"unwatched\",\"why\":\"%s\"}", why);
	emit(watch, &event, NULL, &json);
	buf_done(&json);
}
