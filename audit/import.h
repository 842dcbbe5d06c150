/*
 * Recordings of other programs: strict parsers. The bytes are a stranger's; a
 * file that is not quite of its format is refused as a whole, with the place.
 */
#ifndef SGB_IMPORT_H
#define SGB_IMPORT_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/record.h"

#define IMPORT_FILE_MAX (1024UL * 1024 * 1024)
#define IMPORT_ITEM_MAX 32768 /* longer output is cut into several items */

struct import_info {
	const char *format; /* "asciicast-v2", "asciicast-v3", "ttyrec" */
	uint64_t claimed_s; /* when it says that it began; 0: it does not */
	uint64_t last_us;   /* of the last event */
	uint64_t events;    /* taken over */
	uint64_t left_out;  /* events of kinds that nobody knows */
	unsigned int cols, rows;
	char why[160]; /* on failure: what, and where */
};

/* data is borrowed during the call. */
typedef void (*import_item)(void *data, enum record_kind kind, uint64_t time_us,
	const void *bytes, size_t len);

/* asciicast, if its header is in the first line, else ttyrec. Items come in the
 * order of time; SGB_ERR_FORMAT or SGB_ERR_LIMIT with info->why. The caller
 * throws away what came before a failure. */
enum sgb_err import_parse(const uint8_t *data, size_t len, import_item item,
	void *item_data, struct import_info *info) SGB_MUST_CHECK;
enum sgb_err import_asciicast(const char *text, size_t len, import_item item,
	void *item_data, struct import_info *info) SGB_MUST_CHECK;
enum sgb_err import_ttyrec(const uint8_t *data, size_t len, import_item item,
	void *item_data, struct import_info *info) SGB_MUST_CHECK;

/* For the parsers: a terminal's size, output in pieces. */
void import_size(import_item item, void *data, enum record_kind kind,
	uint64_t time_us, unsigned int cols, unsigned int rows);
void import_pieces(import_item item, void *data, enum record_kind kind,
	uint64_t time_us, const void *bytes, size_t len);

#endif
