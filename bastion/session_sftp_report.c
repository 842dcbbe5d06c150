/*
 * What the SFTP observer tells, as JSON. Names come from the peers and are
 * hostile; nothing of them leaves here unescaped.
 */
#include <stdlib.h>
#include <string.h>

#include "session_sftp_int.h"

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

char *sftp_escape(const uint8_t *text, size_t len)
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

void sftp_lose(struct sftp_watch *watch, const char *why)
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

const char *sftp_status_text(uint32_t code)
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

void sftp_report_file(
	struct sftp_watch *watch, struct file *file, const char *result)
{
	if (file->up.hash)
		report_transfer(watch, file, &file->up, result);
	if (file->down.hash)
		report_transfer(watch, file, &file->down, result);
}

void sftp_report_op(
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
