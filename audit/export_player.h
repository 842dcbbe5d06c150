/*
 * The player that a page carries: asciinema-player, as it was built elsewhere
 * and installed by root (`make player`). Its bytes are put into the page and
 * named by their hash; nothing in them is run here.
 */
#ifndef SGB_EXPORT_PLAYER_H
#define SGB_EXPORT_PLAYER_H

#include <stdbool.h>
#include <stdio.h>

#include "audit.h"

#define PLAYER_HASH_MAX 56 /* "sha256-" and base64 */
struct player {
	struct buf script, style;
	char script_hash[PLAYER_HASH_MAX], style_hash[PLAYER_HASH_MAX];
};
/* From --player DIR or where it is installed. False: there is none that can be
 * used, and a line on standard error says why; --player none says nothing. */
bool player_load(const struct audit *audit, struct player *ret);
void player_done(struct player *player);
/* As a source of a Content-Security-Policy. */
void player_hash(const void *data, size_t len, char ret[PLAYER_HASH_MAX]);

/* A stream into out on which "<" is written as JSON's \u003c, so that nothing
 * in it ends the element that it is in. The caller closes it before out. */
FILE *player_inert(FILE *out);

#endif
