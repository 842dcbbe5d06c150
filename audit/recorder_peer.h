/*
 * A connection of a monitor, as recorder_peer.c (requests) and
 * recorder_session.c (recordings) share it.
 */
#ifndef SGB_RECORDER_PEER_H
#define SGB_RECORDER_PEER_H

#include "recorder.h"

#define EVENTS_PENDING 256 /* answers owed at once, on one connection */

struct peer {
	TAILQ_ENTRY(peer) link;
	TAILQ_ENTRY(peer) owing; /* while owed_count is not 0 */
	struct watch watch, stream_watch;
	int sock;		 /* -1 when dead */
	struct recording *rec;	 /* open */
	struct recording *waits; /* opens or ends, and is to be told */
	char conn[64];
	bool out_wanted;
	bool paused; /* its stream is not looked at: it waits */
	/* Sequences to confirm when they are durable. */
	uint64_t owed[EVENTS_PENDING];
	size_t owed_count;
};

/* recorder_peer.c. A peer that does not read its answers is dropped. */
void peer_answer(struct recorder *recorder, struct peer *peer, struct msg *msg);
void peer_answer_text(struct recorder *recorder, struct peer *peer,
	enum msg_type type, const char *text);
enum sgb_err peer_watch(struct recorder *recorder, int op, int fd,
	struct watch *watch, uint32_t events) SGB_MUST_CHECK;

/* recorder_session.c */
/* Makes a recording for this peer; it is answered when the disk has it, or
 * now if it can't be. */
void session_open(struct recorder *recorder, struct peer *peer,
	const char *retention, const uint8_t *meta, size_t meta_len);
/* Ends the peer's open recording. answer: the peer waits for REC_CLOSED. */
void session_end(struct recorder *recorder, struct peer *peer,
	enum recorder_close reason, const char *text, bool answer);
/* The stream ended; the monitor will say how. */
void session_stream_closed(struct recorder *recorder, struct peer *peer);
/* The recording can't go on: says so, and ends it within its reserve. */
void session_failed(struct recorder *recorder, struct peer *peer);
/* The peer goes: whatever it has is ended, and nobody is told. */
void session_forsaken(struct recorder *recorder, struct peer *peer);

#endif
