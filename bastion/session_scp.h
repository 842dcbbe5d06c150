/*
 * Watches a copy by scp from the side (the protocol of rcp, as OpenSSH's scp
 * -t and -f speak it): which files moved, their modes, sizes and digests, and
 * what the other side said to them. Foreign bytes on both sides; it never
 * alters, holds or refuses them, and where it loses the thread it says so and
 * looks no further.
 */
#ifndef SGB_SESSION_SCP_H
#define SGB_SESSION_SCP_H

#include <stdbool.h>
#include <stddef.h>

#include "session_sftp.h"

struct scp_watch;

/* upload: the target receives (scp -t). Of the command the operands are told
 * with each file. NULL without memory. report gets arg, and borrows what it
 * is shown, as from the SFTP watch. */
struct scp_watch *scp_watch_new(bool upload, const char *command,
	void (*report)(void *arg, const struct sftp_event *event), void *arg);
void scp_watch_free(struct scp_watch *watch); /* NULL is fine */
/* Bytes from the client (true) or from the target, before they pass. False
 * from the first on that are not understood; that is reported, once. */
bool scp_watch_bytes(
	struct scp_watch *watch, bool client, const void *data, size_t len);
/* The channel ends: reports what is not finished or has no answer. */
void scp_watch_end(struct scp_watch *watch);

#endif
