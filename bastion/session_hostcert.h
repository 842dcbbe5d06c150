/*
 * Fetching a host's certificate. libssh (0.10) neither asks for one nor takes
 * one, so the key exchange that matters proves the plain key, and this gets
 * the certificate over a connection of its own: RFC 4253 up to the answer to
 * the client's first key exchange message, in which the host shows it. Nothing
 * is verified here and no key agreed on: a certificate proves itself.
 *
 * No input or output of its own; bytes in, bytes out. A fuzz target.
 */
#ifndef SGB_SESSION_HOSTCERT_H
#define SGB_SESSION_HOSTCERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

enum hostcert_state {
	HOSTCERT_FAILED = 0, /* there is none to be had */
	HOSTCERT_BANNER,
	HOSTCERT_KEXINIT,
	HOSTCERT_REPLY,
	HOSTCERT_DONE, /* hostcert.blob is it, as the host says */
};

struct hostcert {
	enum hostcert_state state;
	unsigned int lines, packets; /* so far: bounded */
	struct buf in;
	struct buf out; /* to be sent; the caller consumes it */
	struct buf blob;
	char algorithms[160];
};

/* For the certificate of a key of this type ("ssh-ed25519", ...). */
void hostcert_init(struct hostcert *hc, const char *key_type);
void hostcert_done(struct hostcert *hc);
/* Takes what came from the host; len 0: no more will. Returns the state. */
enum hostcert_state hostcert_feed(
	struct hostcert *hc, const void *data, size_t len);

#endif
