/*
 * Positions as text. A position file is this program's own, but it may be old
 * or damaged: what is not exactly one is refused, and the caller begins anew.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "forward.h"

#define MAGIC "sgbridge-forward 1 "

size_t forward_place_text(
	const struct forward_place *place, char ret[FORWARD_TEXT_MAX])
{
	char hex[2 * SUITE_HASH_LEN + 1];

	suite_hex(place->hash, SUITE_HASH_LEN, hex);
	return (size_t)snprintf(ret, FORWARD_TEXT_MAX,
		MAGIC "%s %" PRIu64 " %" PRIu64 " %s\n", place->file,
		place->offset, place->seq, hex);
}

enum sgb_err forward_place_parse(
	const char *text, size_t len, struct forward_place *ret)
{
	char line[FORWARD_TEXT_MAX], again[FORWARD_TEXT_MAX];
	char hex[2 * SUITE_HASH_LEN + 1];
	struct forward_place place = {.seq = 0};

	if (!len || len >= sizeof(line))
		return SGB_ERR_FORMAT;
	memcpy(line, text, len);
	line[len] = '\0';
	if (sscanf(line, MAGIC "%31s %20" SCNu64 " %20" SCNu64 " %64s",
		    place.file, &place.offset, &place.seq, hex) != 4 ||
		!journal_is_file(place.file) || !place.seq ||
		suite_unhex(hex,
			strlen(hex) == 2 * SUITE_HASH_LEN ? 2 * SUITE_HASH_LEN
							  : 0,
			place.hash))
		return SGB_ERR_FORMAT;
	/* Said one way only: what is left over or odd shows here. */
	if (forward_place_text(&place, again) != len ||
		memcmp(again, text, len) != 0)
		return SGB_ERR_FORMAT;
	*ret = place;
	return SGB_OK;
}
