/* What a session process sends to the recorder; see record.def and msg.h. */
#ifndef SGB_RECORD_H
#define SGB_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum record_kind {
#define X(name, number, slug) RECORD_##name = number,
#include "core/record.def"
#undef X
};

/* Channel 0 is the connection itself; channels count from 1 as opened. */
#define RECORD_CONNECTION 0

/*
 * One message on the stream socket holds one or more items, each
 *	u32 channel, u8 kind, string bytes		(buf.h, big-endian)
 * and is at most RECORD_MESSAGE_MAX bytes. The n-th message (from 1) is
 * acknowledged by a message u64 n once its bytes are written; acknowledgements
 * are cumulative and may be coalesced. The recorder stamps the time. It
 * answers a malformed message, or its own failure, by closing the socket.
 */
#define RECORD_MESSAGE_MAX 65536
/*
 * In the place of an acknowledgement, with a second u64: the recorder waits for
 * room on its disk, for at most so many seconds, and nothing may pass, recorded
 * or not; 0: it goes on. The number is none of a message's.
 */
#define RECORD_ACK_WAIT UINT64_MAX
#define RECORD_WAIT_MAX 86400

/* Is a message made of whole items of known kinds, and nothing else? */
bool record_message_valid(const void *data, size_t len);
/* Slug of a kind ("out"), or NULL. */
const char *record_slug(unsigned int kind);

/* Retention class of a session that may begin in the disk's reserve. */
#define RECORD_BREAK_GLASS "break-glass"

#endif
