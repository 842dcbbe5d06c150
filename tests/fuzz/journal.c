/* Lines of journals, and the conversions of text that exports make. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../audit/journal.h"
#include "../../audit/utf8.h"

static void lines(const uint8_t *data, size_t len)
{
	static const uint8_t key[SUITE_KEY_LEN] = {9};
	struct journal_line line;
	int form;

	for (form = JOURNAL_PLAIN; form <= JOURNAL_EVENTS; form++) {
		if (journal_parse((enum journal_form)form, (const char *)data,
			    len, &line))
			continue;
		if (line.has_sig &&
			!journal_check_sig((const char *)data, &line, key))
			abort();
	}
}

/* What is clean stays as it is, and has no control characters. */
static void texts(const uint8_t *data, size_t len)
{
	struct utf8_joiner joiner = {{0}, 0};
	struct buf once, twice;
	size_t i;

	buf_init(&once, 16 * len + 64);
	buf_init(&twice, 64 * len + 256);
	utf8_join(&joiner, data, len, &once);
	buf_reset(&once);
	utf8_clean(data, len, &once);
	utf8_clean(once.data, once.len, &twice);
	if (buf_error(&once) || buf_error(&twice) || once.len != twice.len ||
		(once.len && memcmp(once.data, twice.data, once.len) != 0))
		abort();
	for (i = 0; i < once.len; i++)
		if (once.data[i] < 0x20 || once.data[i] == 0x7f)
			abort();
	buf_reset(&twice);
	utf8_put_json(&twice, (const char *)once.data, once.len);
	if (buf_error(&twice))
		abort();
	buf_done(&once);
	buf_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len > 65536)
		return 0;
	lines(data, len);
	texts(data, len);
	return 0;
}
