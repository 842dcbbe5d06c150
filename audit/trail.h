/*
 * The event trail, read on from where it was left. A line is handed out when
 * it is whole; whether nobody changed it says verify.
 */
#ifndef SGB_TRAIL_H
#define SGB_TRAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal.h"

/* The last line that was read; zero: none. */
struct trail_place {
	char file[JOURNAL_NAME_MAX];
	int64_t line_at, next_at; /* bytes */
	uint64_t seq;
	uint8_t hash[SUITE_HASH_LEN];
};

struct trail_reading {
	void (*line)(void *data, const char *line, size_t len);
	void *data;
	size_t lines, unread; /* unread: not of a trail's form */
	size_t broken;	      /* lines whose chain does not go on */
};

/* Reads all files of dir from place on, and moves it. SGB_ERR_STALE: the line
 * at place is not there any more; nothing was read. why tells what is wrong.
 */
enum sgb_err trail_read(const char *dir, struct trail_place *place,
	struct trail_reading *reading, char *why,
	size_t why_len) SGB_MUST_CHECK;

#endif
