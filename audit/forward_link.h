/*
 * The way to one receiver: bytes out, and how far they got.
 *
 * A receiver's kernel acknowledges bytes that its program may never read. So
 * what was acknowledged counts as delivered only after a while (hold), in which
 * the connection went on; until then it is sent again on the next connection.
 */
#ifndef SGB_FORWARD_LINK_H
#define SGB_FORWARD_LINK_H

#include "core/buf.h"
#include "forward.h"

#define LINK_MARKS 256

struct ssl_st;
struct bio_st;

struct link_mark {
	uint64_t end;	   /* bytes that were queued when it was made */
	uint64_t made_ms;  /* first line of it */
	uint64_t acked_ms; /* 0: not yet */
	struct forward_place place;
};

struct link {
	const struct forward_dest *dest;
	int fd; /* or -1 */
	enum link_phase {
		LINK_DOWN = 0,
		LINK_CONNECTING,
		LINK_SHAKING, /* hands */
		LINK_UP,
	} phase;
	uint64_t since_ms;	  /* of the phase */
	struct buf out;		  /* not written yet; of datagrams: one */
	uint64_t queued, written; /* bytes, since it was opened */
	unsigned int burst;	  /* datagrams since the last pause */
	uint64_t paused_ms;	  /* datagrams: until then */
	bool quitting;
	struct link_mark marks[LINK_MARKS]; /* a ring */
	size_t first, count;
	struct ssl_st *ssl;
	struct bio_st *in, *outwards; /* the ssl's */
	uint64_t expires;	      /* the receiver's certificate; or 0 */
	char text[FORWARD_TEXT_MAX];  /* why it went down; how it is up */
};

void link_init(struct link *link, const struct forward_dest *dest);
void link_done(struct link *link);
/* Takes a socket that may still be connecting. */
void link_open(struct link *link, int fd);
/* Down, with the reason in text. */
void link_down(struct link *link, const char *fmt, ...) SGB_PRINTF(2, 3);
/* What to poll for, and what poll said. */
short link_wants(const struct link *link);
void link_ready(struct link *link, short events);
/* Milliseconds until it has something to do by itself; -1: nothing. */
int link_wait_ms(const struct link *link, uint64_t now_ms);
void link_tick(struct link *link, uint64_t now_ms);

/* May one more message be put? */
bool link_room(const struct link *link, uint64_t now_ms);
/* A whole message (a frame, on a stream) and the place behind it; place is
 * NULL for what is none of the trail. The link may go down by it. */
void link_put(struct link *link, const struct buf *message,
	const struct forward_place *place);
/* Asks for an orderly end; returns when there is nothing left to write. */
void link_quit(struct link *link);
/* Moves *place to what is delivered for good by now; true if it moved. */
bool link_delivered(struct link *link, struct forward_place *place);

/* forward_tls.c. Once, before all else that needs libcrypto. */
enum sgb_err tls_library(void) SGB_MUST_CHECK;
/* The context is made before the program confines itself;
 * everything else works on memory. */
enum sgb_err tls_context(struct forward_dest *dest,
	char why[FORWARD_TEXT_MAX + 200]) SGB_MUST_CHECK;
void tls_context_free(struct forward_dest *dest);
/* False: the link is down. */
bool tls_start(struct link *link);
bool tls_shake(struct link *link);
bool tls_take(struct link *link, const void *data, size_t len);
bool tls_put(struct link *link, const void *data, size_t len);
void tls_bye(struct link *link);
void tls_stop(struct link *link);

#endif
