/* A key that needs no ssh-keygen: keys_blob.h. */
#include "keys_blob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"

uint8_t blob[KEY_BLOB_LEN];

void make_blob(void)
{
	struct buf buf;
	size_t i;

	buf_init(&buf, sizeof(blob));
	buf_put_cstring(&buf, "ssh-ed25519");
	buf_put_u32(&buf, 32);
	for (i = 0; i < 32; i++)
		buf_put_u8(&buf, (uint8_t)i);
	assert_int_equal(buf.len, sizeof(blob));
	memcpy(blob, buf.data, sizeof(blob));
	buf_done(&buf);
}
