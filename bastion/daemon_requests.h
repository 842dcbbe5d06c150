/*
 * Requests for an access, filed ahead of it or by a connection that waits,
 * and the yeses that still hold. In memory alone: after a restart everybody
 * asks again. Whether somebody may approve is never decided here: the monitor
 * of the connection that wants in judges that, each time, by its policy.
 */
#ifndef SGB_DAEMON_REQUESTS_H
#define SGB_DAEMON_REQUESTS_H

#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

#include "core/addr.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/msg.h"

#define CONN_ID_MAX 40

struct daemon;
struct connection;

#define REQUESTS_MAX	  4096 /* in all */
#define REQUESTS_PER_USER 16
/* How long one waits to be judged, and a no is shown. */
#define REQUEST_PATIENCE (24 * 3600)
/* How long a yes without a time waits to be used, once. */
#define REQUEST_ONCE 3600

struct access_request {
	TAILQ_ENTRY(access_request) link;
	enum monitor_row state; /* REQUEST, DENIED or GRANTED */
	char id[CONN_ID_MAX];
	char *user, *access, *group, *reason;
	char *judge; /* who said so, or NULL */
	char *word;  /* what he said */
	struct addr source;
	uint64_t seconds; /* how long a yes holds; 0: once */
	time_t since, until;
};
TAILQ_HEAD(access_requests, access_request);

/* MON_FILE; the sender is answered by MON_FILED. */
enum sgb_err requests_file(struct daemon *d, struct connection *conn,
	struct msg *msg) SGB_MUST_CHECK;
/* A yes was given to a connection that waits, for a time: keeps it. */
void requests_keep(struct daemon *d, const struct connection *conn,
	const char *judge, const char *word);
/* A yes that holds for what this connection asks for, or NULL. One that is
 * good once is used up by requests_use. */
struct access_request *requests_granted(
	struct daemon *d, const struct connection *conn);
/* Seconds that it still holds for this connection; 0: to the session's end. */
uint64_t requests_use(struct daemon *d, struct access_request *request);
/* Judges one by id; taking a yes back ends what it let in. SGB_ERR_NOTFOUND,
 * or SGB_ERR_DENIED for one's own. */
enum sgb_err requests_judge(struct daemon *d, const char *id, const char *judge,
	bool yes, const char *word) SGB_MUST_CHECK;
/* Drops what has run out. */
void requests_expire(struct daemon *d);
void requests_done(struct daemon *d);

#endif
