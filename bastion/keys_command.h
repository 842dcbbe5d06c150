/*
 * Whether authorized-keys-command may be run: for who reads the settings, and
 * for who runs it.
 */
#ifndef SGB_KEYS_COMMAND_H
#define SGB_KEYS_COMMAND_H

#include <stddef.h>

#include "core/conf.h"
#include "core/err.h"

/* Of the command, its name included. */
#define KEYS_COMMAND_WORDS 16

/* Is the command one that may be run: an absolute path, a file
 * that root owns and nobody else may write, like every folder above it? */
enum sgb_err keys_command_safe(
	const char *path, char *why, size_t why_len) SGB_MUST_CHECK;

/* That, and its words and user; SGB_OK without a command. For whoever reads
 * the settings: why says what is expected. */
enum sgb_err keys_command_check(
	const struct conf *conf, char *why, size_t why_len) SGB_MUST_CHECK;

#endif
