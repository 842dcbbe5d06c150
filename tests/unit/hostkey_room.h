/*
 * What the tests of host keys share: a folder with keys of ssh-keygen, the
 * hosts a, b and r and the authorities ca and ca2, and an empty cache.
 */
#ifndef SGB_TEST_HOSTKEY_ROOM_H
#define SGB_TEST_HOSTKEY_ROOM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/err.h"

extern char folder[];
extern char key_text[3][256]; /* "type base64" of a, b and ca */
/* Runs it there; fails unless it succeeds. */
void SGB_PRINTF(1, 2) sh(const char *fmt, ...);
/* Below the folder; good until the 64th call after this. */
char *path_of(const char *name);
void put_file(const char *name, const char *text);
/* All of it, ended. The caller frees. */
char *get_file(const char *name, size_t *ret_len);
/* The blob of a .pub file. */
uint8_t *blob_of(const char *name, size_t *ret_len);
int setup(void **state);
int teardown(void **state);

#endif
