/*
 * The rarest character of the needle, by a rough order of what terminals show,
 * is looked for with memchr, which is the fastest there is; the rest is
 * compared where it stands.
 */
#include "needle.h"

#include <string.h>

uint8_t needle_fold(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
}

/* The later, the more often; what is not in it is rare. */
static unsigned int commonness(uint8_t byte)
{
	static const char order[] =
		"~^|`@{}\\;&!?+*%<>#$'qzj(),\"][kwy=vx9876543gb_hpmfud:"
		"clnor/2-s10iate. ";
	const char *at = byte ? strchr(order, byte) : NULL;

	return at ? (unsigned int)(at - order) + 1 : 0;
}

void needle_init(struct needle *needle, const char *text)
{
	size_t i;

	memset(needle, 0, sizeof(*needle));
	for (i = 0; text[i] && i < NEEDLE_MAX; i++)
		needle->folded[i] = needle_fold((uint8_t)text[i]);
	needle->len = i;
	for (i = 1; i < needle->len; i++)
		if (commonness(needle->folded[i]) <
			commonness(needle->folded[needle->rare]))
			needle->rare = i;
	needle->lower = needle->upper = needle->folded[needle->rare];
	if (needle->lower >= 'a' && needle->lower <= 'z')
		needle->upper = (uint8_t)(needle->lower - 32);
}

static const uint8_t *next_byte(
	const uint8_t *at, const uint8_t *end, uint8_t byte)
{
	const uint8_t *found = at < end ? memchr(at, byte, (size_t)(end - at))
					: NULL;

	return found ? found : end;
}

void needle_start(struct needle_run *run, const struct needle *needle,
	const uint8_t *text, size_t len)
{
	*run = (struct needle_run){
		.needle = needle, .at = text, .end = text + len};
	run->lower = next_byte(text, run->end, needle->lower);
	run->upper = needle->upper == needle->lower
			     ? run->end
			     : next_byte(text, run->end, needle->upper);
}

static int stands_here(const struct needle_run *run, const uint8_t *start)
{
	const struct needle *needle = run->needle;
	size_t i;

	if ((size_t)(run->end - start) < needle->len)
		return 0;
	for (i = 0; i < needle->len; i++)
		if (needle_fold(start[i]) != needle->folded[i])
			return 0;
	return 1;
}

const uint8_t *needle_next(struct needle_run *run, const uint8_t *at)
{
	const struct needle *needle = run->needle;

	if (at > run->at)
		run->at = at;
	for (;;) {
		const uint8_t *candidate = run->lower < run->upper ? run->lower
								   : run->upper;

		if (candidate == run->end)
			return NULL;
		if (candidate == run->lower)
			run->lower = next_byte(
				candidate + 1, run->end, needle->lower);
		else
			run->upper = next_byte(
				candidate + 1, run->end, needle->upper);
		if ((size_t)(candidate - run->at) >= needle->rare &&
			candidate >= run->at &&
			stands_here(run, candidate - needle->rare))
			return candidate - needle->rare;
	}
}
