/*
 * Texts that one person writes and another reads on a terminal.
 */
#ifndef SGB_PLAIN_H
#define SGB_PLAIN_H

#include <stdbool.h>

/* Is this valid UTF-8 (RFC 3629) without control characters, C0 or C1, and
 * without what changes the direction or the lines of the text around it? */
bool plain_text(const char *text);

#endif
