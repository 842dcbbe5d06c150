/* Packets of SFTP for tests: sftp_script.h. */
#include "sftp_script.h"

struct buf *packet(struct script *s, bool client, uint8_t type)
{
	struct buf *buf = &s->bytes[s->count];

	buf_init(buf, 300 * 1024);
	buf_put_u32(buf, 0);
	buf_put_u8(buf, type);
	s->client[s->count++] = client;
	return buf;
}

void seal(struct script *s)
{
	size_t i;

	for (i = 0; i < s->count; i++) {
		uint32_t len = (uint32_t)s->bytes[i].len - 4;
		uint8_t *head = s->bytes[i].data;

		head[0] = (uint8_t)(len >> 24);
		head[1] = (uint8_t)(len >> 16);
		head[2] = (uint8_t)(len >> 8);
		head[3] = (uint8_t)len;
	}
}

void request(struct script *s, uint8_t type, uint32_t id, const char *path)
{
	struct buf *buf = packet(s, true, type);

	buf_put_u32(buf, id);
	buf_put_cstring(buf, path);
}

void status(struct script *s, uint32_t id, uint32_t code)
{
	struct buf *buf = packet(s, false, 101);

	buf_put_u32(buf, id);
	buf_put_u32(buf, code);
	buf_put_cstring(buf, "text");
	buf_put_cstring(buf, "");
}
