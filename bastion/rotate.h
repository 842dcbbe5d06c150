/*
 * sgbridge rotate: one key replaced by the next, in steps with an overlap
 * between them in which old and new both work. What the files of the command
 * share.
 */
#ifndef SGB_ROTATE_H
#define SGB_ROTATE_H

#include <limits.h>
#include <stdbool.h>

#include "core/buf.h"
#include "core/conf.h"
#include "core/sshkey.h"
#include "sgbridge.h"

enum rotate_step {
	ROTATE_START = 0, /* make the next key, and announce it */
	ROTATE_SWITCH,	  /* use it */
	ROTATE_FINISH,	  /* forget the old one */
	ROTATE_UNDO,	  /* one step back */
};

enum rotate_state {
	ROTATE_IDLE = 0,
	ROTATE_ANNOUNCED, /* the next key is there, the old one works */
	ROTATE_SWITCHED,  /* the next key works, the old one is there */
};

/* What a step found and left. */
struct rotate {
	struct cli *cli;
	const struct conf *conf;
	enum rotate_state state;
	bool changed;
	char now[SSHKEY_FP_MAX], next[SSHKEY_FP_MAX], last[SSHKEY_FP_MAX];
	struct buf lines;  /* what has to be told to others, a line each */
	const char *wrong; /* not the time for this step: why */
};

/* ret: "DIR/NAME" of a key file, split; dir is open and locked, so that only
 * one rotation of what lies there runs at a time. -1 after a message. */
struct rotate_place {
	char dir[PATH_MAX], name[NAME_MAX];
	int fd;
};
bool rotate_open(struct rotate_place *place, const char *path);
/* Removes what a killed file_replace left of names that begin so. */
void rotate_sweep(const struct rotate_place *place);

/* Each looks (step -1 is none: nothing is changed) and takes one step. CLI_YES
 * if it is done or was done before; CLI_NO with r->wrong; CLI_ERROR after a
 * message. */
#define ROTATE_LOOK (-1)
int rotate_host_key(struct rotate *r, int step);
int rotate_user_ca(struct rotate *r, int step);
int rotate_recorder(struct rotate *r, int step);
int rotate_master(struct rotate *r, int step);

#endif
