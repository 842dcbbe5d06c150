/*
 * A folder of the test program's own below /tmp, and the files in it. Whatever
 * cannot be done ends the test.
 */
#ifndef SGB_TEST_FILES_H
#define SGB_TEST_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "core/err.h"

extern char folder[64];

/* For cmocka: an empty folder, another one each time; all of it gone. */
int files_make(void **state);
int files_remove(void **state);
/* Of this name in the folder; good until the 64th call after this. */
char *path_of(const char *name);
/* Replaces what is there; the mode is this, whatever the umask. */
void put_file(const char *name, const char *text, mode_t mode);
/* All of it, and a NUL. The caller frees. */
char *get_file(const char *name, size_t *ret_len);
/* The blob of a .pub file. The caller frees. */
uint8_t *blob_of(const char *name, size_t *ret_len);
/* Runs this in the folder, where the file log has what it says. */
void SGB_PRINTF(1, 2) sh(const char *fmt, ...);
/* What stands there in the build that the program is of, BUILD/tests/unit/NAME;
 * good until the next call. */
const char *built(const char *name);

#endif
