/*
 * The folder in which rulesets are kept, and the change in it that waits to
 * be confirmed. The folder and all in it are root's alone. One lock covers
 * every change of the folder and of the loaded ruleset: the commands take it
 * and the guard, so a word that comes at the last moment is either in time or
 * too late, never both.
 */
#ifndef SGB_TOPOLOGY_APPLY_H
#define SGB_TOPOLOGY_APPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"

#define STATE_CURRENT	"current.nft"	/* loaded at boot */
#define STATE_PREVIOUS	"previous.nft"	/* what restore brings back */
#define STATE_CANDIDATE "candidate.nft" /* becomes current when confirmed */

struct state {
	int dir, lock;
};

/* Each returns false after a message. */

void state_init(struct state *state);
void state_done(struct state *state);
/* Makes the folder if need be, and waits for its lock. */
bool state_open(struct state *state, const char *path);
bool state_write(
	struct state *state, const char *name, const void *data, size_t len);
bool state_read(struct state *state, const char *name, struct buf *out);
/* Does a change wait? One of before a restart of the host does not. */
bool state_pending(struct state *state);
/* Starts the guard. */
bool state_guard(struct state *state, uint64_t seconds);
/* The candidate becomes the current one. */
bool state_keep(struct state *state);
/* Nothing waits any more. */
void state_settle(struct state *state);

#endif
