/*
 * The shell script of sgbridge instance-setup, which root runs on an
 * instance: files that it writes, a copy of what they replace, and a guard
 * that puts the copy back unless somebody confirms. All of it stands in
 * functions that the last line calls, so a script that was cut off on its way
 * does nothing.
 */
#ifndef SGB_INSTANCE_SCRIPT_H
#define SGB_INSTANCE_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"

/* The guard waits so long. nftables: the file of that name is loaded, too.
 * instance and login are what to log on to, for the words at the end, and have
 * no character that a shell knows. */
void script_begin(struct buf *out, uint64_t seconds, bool nftables,
	const char *instance, const char *login);
/* A file that the script writes; text ends in a newline. path is a plain word
 * of ours. A text with the mark in which the script's own texts end fails
 * out, as SGB_ERR_FORMAT: there is no such text. */
void script_file(struct buf *out, const char *path, const struct buf *text);
/* After script_file, for sshd's settings: who comes from nets, addresses with
 * commas between them, is not shut out for what others did, where that sshd
 * has PerSourcePenalties. What it exempts already stays exempt. */
void script_exempt(struct buf *out, const char *path, const char *nets);
void script_end(struct buf *out);
/* Another script: puts the last copy back that was not put back yet. */
void script_undo(struct buf *out);

#endif
