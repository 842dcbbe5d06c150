/*
 * Running nft(8) and diff(1): by absolute path, with an environment of our
 * own, without a shell, and with everything through memory files, so that no
 * pipe can fill up. Nothing foreign is ever on a command line.
 */
#ifndef SGB_TOPOLOGY_RUN_H
#define SGB_TOPOLOGY_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"

/* Each returns false after a message to standard error. */

/* Loads a ruleset, all of it or nothing. */
bool run_load(const void *text, size_t len);
/* What nft and the kernel would say to it; changes nothing. */
bool run_try(const void *text, size_t len);
/* Our tables as nft lists them, appended to out; nothing if there is none. */
bool run_list(struct buf *out);
/* The same of a ruleset that is loaded into a network namespace of its own,
 * so that two rulesets can be compared however they were written. */
bool run_normal(const void *text, size_t len, struct buf *out);
/* A unified diff of two texts, appended to out; nothing if they are the
 * same. */
bool run_diff(const struct buf *live, const struct buf *fresh, bool colour,
	struct buf *out);

#endif
