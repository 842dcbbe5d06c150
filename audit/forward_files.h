/*
 * The folders of sgbridge-forward: the trail, which it may only read, and its
 * own, where it notes what each receiver has.
 */
#ifndef SGB_FORWARD_FILES_H
#define SGB_FORWARD_FILES_H

#include "forward.h"

/* The newest file of a trail and its inode; name "" if there is none. */
struct trail_newest {
	char name[JOURNAL_NAME_MAX];
	uint64_t inode;
};

/* In one look at the folder: the first file after name (or name itself, if
 * exact), "" if there is none, and the newest. */
enum sgb_err trail_look(int dir_fd, const char *name, bool exact,
	char ret_next[JOURNAL_NAME_MAX],
	struct trail_newest *ret_newest) SGB_MUST_CHECK;
/* A regular file to read, or -1 with errno. */
int trail_open(int dir_fd, const char *name);
/* The sequence of the last line; 0 if there is none. */
uint64_t trail_last_seq(int dir_fd);

/* When the first line behind a place was written, ms since 1970; 0 if that is
 * not known. */
uint64_t trail_time_behind(int dir_fd, const struct forward_place *place);

/* SGB_ERR_NOTFOUND: no position is noted; SGB_ERR_FORMAT: it is damaged. */
enum sgb_err place_load(
	int dir_fd, const char *file, struct forward_place *ret) SGB_MUST_CHECK;
/* Durable when it returns. */
enum sgb_err place_save(int dir_fd, const char *file,
	const struct forward_place *place) SGB_MUST_CHECK;

#endif
