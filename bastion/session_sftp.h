/*
 * Watches an SFTP session from the side (draft-ietf-secsh-filexfer-02): which
 * files moved, in which direction, how many bytes, what changed. Foreign
 * bytes on both sides; it never alters or delays them, and where it loses the
 * thread it says so: then the channel must end.
 */
#ifndef SGB_SESSION_SFTP_H
#define SGB_SESSION_SFTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct sftp_watch;

/* One finished file or operation; json is borrowed. file is true for a
 * transferred file (bytes, upload), false for a changing operation. */
struct sftp_event {
	bool file;
	bool upload;
	uint64_t bytes;
	const char *path; /* escaped, as in json */
	const char *json;
};

/* NULL without memory. report gets arg. */
struct sftp_watch *sftp_watch_new(
	void (*report)(void *arg, const struct sftp_event *event), void *arg);
void sftp_watch_free(struct sftp_watch *watch); /* NULL is fine */
/* Bytes from the client (true) or from the server, before they pass.
 * SGB_ERR_FORMAT from the first that cannot be followed on: it is reported,
 * and neither they nor anything later may pass. */
enum sgb_err sftp_watch_bytes(struct sftp_watch *watch, bool client,
	const void *data, size_t len) SGB_MUST_CHECK;
/* Are so many requests unanswered that the client's next should wait? */
bool sftp_watch_busy(const struct sftp_watch *watch);
/* The channel ends: reports what is still open or unanswered. */
void sftp_watch_end(struct sftp_watch *watch);

#endif
