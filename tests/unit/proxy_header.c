/*
 * PROXY headers as front ends send them, and as nobody should.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../bastion/proxy_header.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define TCP4	  "\x21\x11\x00\x0c"
#define FROM4	  "\xcb\x00\x71\x07\xc6\x33\x64\x01\xd4\x31\x75\x36"
#define TCP6	  "\x21\x21\x00\x24"
#define FROM6 \
	"\x20\x01\x0d\xb8\0\7\0\0\0\0\0\0\0\0\0\1" \
	"\x20\x01\x0d\xb8\0\7\0\0\0\0\0\0\0\0\0\2" \
	"\xd4\x31\x75\x36"
#define MAPPED \
	"\0\0\0\0\0\0\0\0\0\0\xff\xff\xcb\x00\x71\x07" \
	"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x01" \
	"\xd4\x31\x75\x36"

struct row {
	const char *data;
	size_t len;
	const char *source; /* NULL: refused; "": local */
};
#define ROW(text, source) \
	{ \
		text, sizeof(text) - 1, source \
	}

static const struct row rows[] = {
	ROW(SIGNATURE TCP4 FROM4, "203.0.113.7"),
	ROW(SIGNATURE TCP6 FROM6, "2001:db8:7::1"),
	ROW(SIGNATURE TCP6 MAPPED, "203.0.113.7"),
	/* extensions behind the addresses are skipped */
	ROW(SIGNATURE "\x21\x11\x00\x10" FROM4 "\x04\x00\x01\x00",
		"203.0.113.7"),
	ROW(SIGNATURE "\x20\x00\x00\x00", ""),
	ROW(SIGNATURE "\x20\x11\x00\x0c" FROM4, ""),
	/* not a stream, no address, another version or command */
	ROW(SIGNATURE "\x21\x12\x00\x0c" FROM4, NULL),
	ROW(SIGNATURE "\x21\x00\x00\x00", NULL),
	ROW(SIGNATURE "\x21\x31\x00\x00", NULL),
	ROW(SIGNATURE "\x11\x11\x00\x0c" FROM4, NULL),
	ROW(SIGNATURE "\x22\x11\x00\x0c" FROM4, NULL),
	/* too short for its addresses; more or less than it says */
	ROW(SIGNATURE "\x21\x11\x00\x0b" FROM4, NULL),
	ROW(SIGNATURE "\x21\x21\x00\x0c" FROM4, NULL),
	ROW(SIGNATURE TCP4 FROM4 "x", NULL),
	ROW(SIGNATURE "\x21\x11\xff\xff" FROM4, NULL),
	ROW("\r\n\r\n\0\r\nQUIT\r" TCP4 FROM4, NULL),
	ROW("PROXY TCP4 203.0.113.7 198.51.100.1 54321 30022\r\n", NULL),
	ROW("SSH-2.0-OpenSSH_9.2\r\n", NULL),
	/* addresses that nobody comes from, and no port */
	ROW(SIGNATURE TCP4 "\x7f\0\0\1\xc6\x33\x64\x01\xd4\x31\x75\x36", NULL),
	ROW(SIGNATURE TCP4 "\0\0\0\0\xc6\x33\x64\x01\xd4\x31\x75\x36", NULL),
	ROW(SIGNATURE TCP4 "\xe0\0\0\1\xc6\x33\x64\x01\xd4\x31\x75\x36", NULL),
	ROW(SIGNATURE TCP4 "\xcb\x00\x71\x07\xc6\x33\x64\x01\0\0\x75\x36",
		NULL),
};

static void test_rows(void **state)
{
	struct proxy_header header;
	char text[ADDR_TEXT_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum sgb_err err = proxy_header_parse(
			(const uint8_t *)rows[i].data, rows[i].len, &header);

		if (!rows[i].source != !!err)
			fail_msg("row %zu: %s", i, sgb_err_text(err));
		if (err)
			continue;
		if (header.local != !*rows[i].source)
			fail_msg("row %zu: local or not", i);
		if (!header.local)
			assert_string_equal(addr_text(&header.source, text),
				rows[i].source);
	}
}

/* However it is split, what is missing is known, and never too much. */
static void test_parts(void **state)
{
	static const char whole[] = SIGNATURE TCP4 FROM4;
	size_t len, size = 0;

	(void)state;
	for (len = 0; len < sizeof(whole) - 1; len++) {
		struct proxy_header header;
		/* On the heap, so that reading on is seen. */
		uint8_t *part = malloc(len ? len : 1);

		assert_non_null(part);
		memcpy(part, whole, len);
		assert_int_equal(proxy_header_size(part, len, &size), SGB_OK);
		assert_int_equal(size, len < PROXY_FIXED_LEN
					       ? PROXY_FIXED_LEN
					       : sizeof(whole) - 1);
		assert_int_not_equal(
			proxy_header_parse(part, len, &header), SGB_OK);
		free(part);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
