/*
 * Every text of a recording that one may search for: META, commands asked for,
 * names, notes, and the lines of the screen or, raw, of the bytes. In constant
 * memory.
 */
#ifndef SGB_TEXTS_H
#define SGB_TEXTS_H

#include "audit.h"
#include "emulator.h"
#include "evidence.h"

struct found_text {
	uint64_t time_us; /* when it left the screen, or was sent */
	uint64_t channel;
	const char *where; /* "meta", "screen", "raw", or an item's slug */
	const char *text;  /* UTF-8, printable */
};

typedef void (*text_sink)(void *data, const struct found_text *found);

struct texts;
struct texts *texts_new(text_sink sink, void *data);
void texts_free(struct texts *texts);
/* For emulator_start. */
void texts_handler(struct texts *texts, struct emulator_handler *handler);
/* evidence is at its start and is read to its end; fd is its file. Without an
 * emulator: raw. An error is the emulator's, but SGB_ERR_LIMIT: there are more
 * channels than were looked at. */
enum sgb_err texts_run(struct texts *texts, struct audit *audit, int fd,
	struct evidence *evidence, struct emulator *emulator) SGB_MUST_CHECK;

#endif
