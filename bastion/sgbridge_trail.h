/*
 * Reading the event trail for questions about the past. Whoever reads it here
 * believes it: whether it is whole is what sgbridge-audit verify says. Lines
 * that are no events of ours are counted and passed over.
 */
#ifndef SGB_SGBRIDGE_TRAIL_H
#define SGB_SGBRIDGE_TRAIL_H

#include <jansson.h>

#include "sgbridge.h"

/* --events, or what sgbridge.conf says. The caller frees it; NULL after a
 * message. */
char *trail_folder(struct cli *cli);
/* Calls each for every event, in order of time; ret_unread counts other
 * lines. False after a message: the trail, or a part of it, is not there. */
bool trail_read(const char *folder,
	void (*each)(const json_t *event, void *arg), void *arg,
	size_t *ret_unread);
/* A text below two names, or "". */
const char *trail_text(
	const json_t *event, const char *outer, const char *inner);
/* unmapped.sgb, or NULL. */
const json_t *trail_own(const json_t *event);
/* Seconds since 1970. */
time_t trail_time(const json_t *event);
/* Did what the event tells of succeed? */
bool trail_succeeded(const json_t *event);

#endif
