/*
 * What the tests of host keys share: a folder with keys of ssh-keygen, the
 * hosts a, b and r and the authorities ca and ca2, and an empty cache.
 */
#ifndef SGB_TEST_HOSTKEY_ROOM_H
#define SGB_TEST_HOSTKEY_ROOM_H

#include "files.h"

extern char key_text[3][256]; /* "type base64" of a, b and ca */
/* files_make() and all that; files_remove() goes with it. */
int setup(void **state);

#endif
