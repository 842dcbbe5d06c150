/*
 * The auditor's terminal: full screen, raw keys, restored whatever happens.
 * Writes only text, SGR and cursor movements of its own making.
 */
#ifndef SGB_PLAYER_H
#define SGB_PLAYER_H

#include <stdbool.h>
#include <stddef.h>

#include "emulator.h"

enum player_key {
	PLAYER_KEY_NONE = 0,
	PLAYER_KEY_PAUSE,
	PLAYER_KEY_STEP,
	PLAYER_KEY_FASTER,
	PLAYER_KEY_SLOWER,
	PLAYER_KEY_FORWARD,
	PLAYER_KEY_BACK,
	PLAYER_KEY_START,
	PLAYER_KEY_QUIT,
	PLAYER_KEY_RESIZE, /* the window: paint everything */
	PLAYER_KEY_SEARCH,
	PLAYER_KEY_SEARCH_BACK,
	PLAYER_KEY_NEXT,
	PLAYER_KEY_PREVIOUS,
	PLAYER_KEY_COMMAND,	 /* to the next one */
	PLAYER_KEY_COMMAND_BACK, /* to the one before */
};

/* Exits if stdin and stdout are no terminal. */
void player_open(void);
void player_close(void);
/* Was it asked to end, by control-C or a signal? What takes long looks. */
bool player_interrupted(void);
/* emulator_handler.row */
void player_row(void *data, unsigned int y, const struct emulator_cell *cells,
	unsigned int count);
/* The cursor and a line of our own below everything. */
void player_status(const struct emulator_screen *screen, const char *text);
void player_clear(void);
/* Asks for a line in the last row; false if it was given up. */
bool player_ask(const char *prompt, char *ret, size_t room);
/* Waits up to ms for a key; -1: for ever. Also returns early on a signal. */
enum player_key player_key(int ms);

#endif
