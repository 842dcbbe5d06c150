/* Names of the kinds of evidence. */
#include "core/record.h"

#include "core/buf.h"

#include <stddef.h>

const char *record_slug(unsigned int kind)
{
	switch (kind) {
#define X(name, number, slug) \
	case number: \
		return slug;
#include "core/record.def"
#undef X
	default: return NULL;
	}
}

bool record_message_valid(const void *data, size_t len)
{
	struct reader rd;
	size_t item_len;

	reader_init(&rd, data, len);
	do {
		(void)reader_u32(&rd);
		if (!record_slug(reader_u8(&rd)))
			return false;
		(void)reader_string(&rd, &item_len);
	} while (!rd.err && rd.left);
	return !reader_end(&rd);
}
