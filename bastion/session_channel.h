/*
 * Channels: what the client opened, what belongs to it on the other side, and
 * the requests on it, which pass the monitor's gate in order.
 */
#ifndef SGB_SESSION_CHANNEL_H
#define SGB_SESSION_CHANNEL_H

#include <openssl/evp.h>

#include "core/policy.h"
#include "session.h"
#include "session_scp.h"
#include "session_sftp.h"
#include "session_sftp_filter.h"

enum channel_kind {
	CHANNEL_NONE = 0,
	CHANNEL_RELAY,	/* session channel, relayed to the target */
	CHANNEL_LOCAL,	/* session channel, answered by the bastion */
	CHANNEL_DIRECT, /* direct-tcpip, as seen from the target */
	CHANNEL_BACK,	/* opened by the target: agent, remote forward */
	CHANNEL_STREAM, /* direct-tcpip to a descriptor */
};

enum channel_step {
	CHANNEL_WAIT_TARGET = 0, /* opened by the client, no answer yet */
	CHANNEL_WAIT_GATE,
	CHANNEL_WAIT_RECORD, /* OPEN is on its way to the recorder */
	CHANNEL_OPENING,     /* at the target, or REQ_JUMP at the monitor */
	CHANNEL_OPEN,
	CHANNEL_DEAD, /* to be freed */
};

/* How much of a channel's payload is kept. */
enum channel_payload {
	PAYLOAD_WHOLE = 0, /* terminal: everything */
	PAYLOAD_LIMITED,   /* exec: up to RECORD_EXEC_MAX, then totals */
	PAYLOAD_TOTALS,	   /* sftp, forwards: totals and file records */
	PAYLOAD_FILES,	   /* scp, rsync: the head of their bulk, totals */
};

#define RECORD_EXEC_MAX (1024 * 1024)
/* Of what looks like the content of files, in each direction. */
#define RECORD_HEAD_MAX (64 * 1024)

/* How the first four bytes of a direction compare to "SSH-". */
struct greeting {
	unsigned int seen, matched;
};

/* What was kept up to a limit. Once full, nothing more is: a recording has
 * one hole with a mark where it begins, not many. */
struct kept {
	uint64_t bytes;
	bool full;
};

/* What a target may open back to the user, while a channel that asked for it
 * is there. */
enum {
	BACK_AGENT = 1,
	BACK_X11 = 2,
};

enum request_step {
	REQUEST_NEW = 0,
	REQUEST_WAIT_GATE,
	REQUEST_ALLOWED,
	REQUEST_WAIT_RECORD,
	REQUEST_FORWARDING,
};

struct request {
	TAILQ_ENTRY(request) entry;
	ssh_message msg;	   /* NULL: a signal, which wants no reply */
	int subtype;		   /* SSH_CHANNEL_REQUEST_* */
	enum session_request gate; /* NONE: needs no permission */
	enum request_step step;
	char *text;  /* TERM, NAME=value, command, subsystem, signal */
	char *value; /* of an environment variable, inside text */
	uint32_t cols, rows;
	uint64_t seq;
	bool allowed;
	char *reason; /* why not, for the user */
	/* x11-req: what the client's X server wants to be shown, a secret */
	char *x11_protocol, *x11_cookie;
	bool x11_single;
	int x11_screen;
};
TAILQ_HEAD(requests, request);

struct stream_hash {
	EVP_MD_CTX *ctx;
	uint64_t bytes;
};

struct menu; /* session_menu.h */
struct view; /* session_view.h */

struct channel {
	TAILQ_ENTRY(channel) entry;
	struct session *session;
	uint32_t id; /* in messages and recordings, from 1 */
	enum channel_kind kind;
	enum channel_step step;
	ssh_message open_msg; /* until it is answered */
	char *host;	      /* direct-tcpip */
	uint32_t port;
	uint64_t open_seq;
	uint64_t open_until; /* ms: when the target has to have opened it */

	ssh_channel client, target;
	struct ssh_channel_callbacks_struct client_cb, target_cb;
	int fd; /* CHANNEL_STREAM */
	bool fd_writable, fd_readable, fd_shut;
	bool forward; /* a plain forward: watched and recorded */
	uint32_t forward_id;
	struct greeting greets_in, greets_out;
	struct record_stream forward_record;
	uint64_t opened_at;

	struct menu *menu; /* CHANNEL_LOCAL: terminal and menu, or NULL */
	struct view *view; /* CHANNEL_LOCAL: another session, live */
	struct requests requests;
	size_t request_count;
	bool pty, started;
	bool early; /* accepted before there was a target (borrow_waits) */
	unsigned int granted; /* BACK_*: what it asked for and was granted */
	bool sftp_read, sftp_write; /* what the gate granted */
	enum channel_payload payload;
	char *command; /* what was started, for reports */

	struct flow in, out, err; /* in: from the user */
	struct stream_hash hash_in, hash_out, hash_err;
	uint64_t bytes_in, bytes_out;
	enum policy_transfer transfer; /* under PAYLOAD_FILES */
	struct kept kept; /* output and errors, of RECORD_EXEC_MAX */
	struct kept head_in, head_out; /* of RECORD_HEAD_MAX */
	struct scp_watch *scp;	       /* NULL once it is none */
	struct sftp_watch *sftp;
	struct sftp_filter *filter; /* where not all is granted */
	bool unwatched;		    /* sftp lost the thread: nothing passes */

	bool client_eof, client_closed; /* noted by callbacks */
	bool target_eof, target_closed;
	bool in_eof_sent, out_eof_sent, close_sent, target_close_sent;
	bool eof_in_recorded, eof_out_recorded;
	bool has_status, has_signal, exit_sent, exit_recorded;
	int status;
	char *signal_name, *signal_text;
	bool signal_core;
	uint64_t exit_seq;
	uint64_t end_seq; /* of the CLOSE item */
};

/* session_channel.c: life and death */
void channel_opened(struct session *s, ssh_message msg);
/* A new channel in the list, or NULL when there are too many. */
struct channel *channel_make(struct session *s);
/* Does it take requests, and text of ours? */
bool channel_is_session(const struct channel *ch);
/* Does it have an end at the target, and a recording? */
bool channel_relayed(const struct channel *ch);
struct channel *channel_find(struct session *s, uint32_t id);
bool channels_pump(struct session *s);
void channel_drop(struct channel *ch);
void channels_drop(struct session *s);
/* Nothing moves: gives back what only moving bytes need. */
void channels_rest(struct session *s);
/* Shows text on a session channel that is open, as standard error. */
void channel_tell(struct channel *ch, const char *text);
/* Ends a local channel: output, status, close. */
void channel_finish(struct channel *ch, int status);
/* The session ends: drops what waits, says why, closes. */
void channel_abandon(struct channel *ch, const char *text);
/* May nothing pass, because a recorder waits for its disk? */
bool channel_waits(const struct channel *ch);
/* Is there output that has not reached the client yet? */
bool channel_undelivered(const struct channel *ch);
/* Answers the open: refused. */
void channel_refuse(struct channel *ch, const char *why);
/* Confirms the open to the client; false when that failed. */
bool channel_accept(struct channel *ch);
enum sgb_err channel_gate_answer(struct session *s, struct msg *msg);
void channel_recorded(struct session *s);

/* session_request.c: channel requests */
void request_arrived(struct session *s, ssh_message msg);
void request_signal(struct channel *ch, const char *name);
void request_agent(struct channel *ch);
/* Asks on the client's behalf for what it asked before there was a target:
 * nobody waits for the answer, so one that fails ends the channel. */
void request_replay(struct channel *ch, int subtype, const char *text,
	uint32_t cols, uint32_t rows);
bool requests_pump(struct channel *ch);
void request_gate_answer(struct channel *ch, uint32_t request,
	enum session_gate verdict, const char *text);
void requests_free(struct channel *ch);

/* session_pump.c: bytes */
bool channel_move(struct channel *ch);
/* Closes the books of an open channel: files, totals, the end. Once. */
void channel_end(struct channel *ch);
void channel_callbacks(struct channel *ch);

/* Has libssh bytes of it that nobody has taken? */
bool channel_left(ssh_channel from, int is_stderr);

/* session_hold.c: before each read of the legs. True: one is held back, and
 * this has to be asked again within HOLD_MS. */
#define HOLD_MS 1000
bool legs_hold(struct session *s);

/* session_payload.c: what of them is kept. Returns how many were taken. */
int channel_take(
	struct channel *ch, struct flow *flow, const void *data, uint32_t len);
void channel_hash_init(struct channel *ch);
void channel_totals(struct channel *ch);
/* A request that the SFTP filter held back; arg is the channel. */
void channel_sftp_refused(void *arg, const char *text);
/* A file or a change that a watch saw; arg is the channel. */
void channel_file(void *arg, const struct sftp_event *event);
/* The channel ends: what its watches have not told yet. */
void channel_files_end(struct channel *ch);

/* session_stream.c: direct-tcpip */
bool stream_open(struct channel *ch);
enum sgb_err stream_jump(struct session *s, struct msg *msg);
enum sgb_err stream_forward(struct session *s, struct msg *msg);
void stream_refused(struct session *s, const char *text);
bool stream_move(struct channel *ch);
/* Its recording is lost: cuts a forward. False: it is none, or was cut. */
bool stream_lost(struct channel *ch);
void stream_closed(struct channel *ch);

/* session_back.c: channels that the target opens */
void back_global(struct session *s, ssh_message msg);
void back_gate_answer(struct session *s, bool allow);
bool back_opening(struct channel *ch);
/* A channel that had been granted some of BACK_* is no more. */
void back_left(struct session *s, unsigned int granted);
bool back_pump(struct session *s);
void back_done(struct session *s);

/* session_local.c: the bastion's own commands */
bool local_request(struct channel *ch, struct request *rq);
enum sgb_err local_text(struct session *s, struct msg *msg);
/* Text of ours as output, with the line ends of its terminal. */
enum sgb_err local_put(struct channel *ch, const char *text);

#endif
