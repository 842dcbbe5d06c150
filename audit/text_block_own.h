/* Between text_block.c and text_reader.c. */
#ifndef SGB_TEXT_BLOCK_OWN_H
#define SGB_TEXT_BLOCK_OWN_H

#include <stdint.h>

#include "text_block.h"

#define TEXT_BLOCK_MAX (TEXT_LINE_MAX + TEXT_BLOCK_LEN)

/* Of a place's name; "raw" for one that is none. */
uint8_t text_place_number(const char *name);
/* NULL for a number that is none. */
const char *text_place_name(uint8_t number);

#endif
