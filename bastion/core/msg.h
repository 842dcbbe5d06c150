/*
 * Messages over SOCK_SEQPACKET socket pairs: a u16 type, the body, and
 * descriptors beside it. The table msg.def lists them all. A receiver checks
 * that a body is exactly what the table says; one that is not ends the peer.
 */
#ifndef SGB_MSG_H
#define SGB_MSG_H

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

#define MSG_MAX_BYTES (128 * 1024)
#define MSG_MAX_FDS   3

enum msg_type {
	MSG_NONE = 0,
#define X(name, number, fds, body) MSG_##name = number,
#include "core/msg.def"
#undef X
};

/* Of what sgbridged and monitors tell each other: a monitor outlives the
 * sgbridged that started it, and may come to one of another version. Raised
 * with each change of a MON_ message that daemon_connections.c does not mark
 * as old; those never change. */
#define MSG_MON_VERSION 1
/* STA_CRADLE: however many are asked for. */
#define MSG_CRADLE_MAX 64

enum session_mode {
	SESSION_MODE_NONE = 0,
	SESSION_MODE_DOOR,  /* from the network: key, then PAM */
	SESSION_MODE_INNER, /* inside a proved connection (ProxyJump) */
	SESSION_MODE_HOP,   /* the way through a jump host: no server */
};

enum session_auth {
	SESSION_AUTH_REFUSED = 0,
	SESSION_AUTH_PROBE_OK, /* this key would do: ask for a signature */
	SESSION_AUTH_PARTIAL,  /* key proved, keyboard-interactive next */
	SESSION_AUTH_DONE,
};

/* What there is of a proof (REQ_AUTH_KEY). */
enum {
	SESSION_PROOF_SIGNED = 1,   /* libssh verified a signature */
	SESSION_PROOF_TOUCHED = 2,  /* the security key says: touched */
	SESSION_PROOF_VERIFIED = 4, /* and its user verified, PIN or finger */
};

/* The gate's answers (SES_GATE). */
enum session_gate {
	SESSION_GATE_REFUSED = 0,
	SESSION_GATE_ALLOWED,
	SESSION_GATE_FORCED, /* the key runs one command, whatever was asked */
};

/* What the gate decides (REQ_GATE), all denied unless permitted. */
enum session_request {
	SESSION_REQUEST_NONE = 0,
	SESSION_REQUEST_CHANNEL, /* argument: channel type */
	SESSION_REQUEST_PTY,	 /* argument: TERM */
	SESSION_REQUEST_ENV,	 /* argument: NAME=value */
	SESSION_REQUEST_SHELL,
	SESSION_REQUEST_EXEC,	   /* argument: the command */
	SESSION_REQUEST_SUBSYSTEM, /* argument: its name */
	SESSION_REQUEST_AGENT,
	SESSION_REQUEST_X11,
	SESSION_REQUEST_REMOTE_FORWARD, /* argument: address, number: port */
	SESSION_REQUEST_SFTP_WRITE,	/* argument: path */
	SESSION_REQUEST_SFTP_READ,
};

/* What the session tells (REQ_REPORT); hearsay, for events only. */
enum session_report {
	SESSION_REPORT_NONE = 0,
	SESSION_REPORT_TARGET_READY,   /* text: algorithms (JSON) */
	SESSION_REPORT_TARGET_FAILED,  /* text: why */
	SESSION_REPORT_CHANNEL_CLOSED, /* a: bytes in, b: bytes out */
	SESSION_REPORT_EXIT,	       /* a: exit status */
	SESSION_REPORT_FILE,	       /* a: bytes, b: 1 upload; text: path */
	SESSION_REPORT_RECORDER_LOST,
	SESSION_REPORT_ANOMALY,	       /* text: what a peer did */
	SESSION_REPORT_FORWARD_CLOSED, /* channel: forward-id; a, b: bytes */
};

enum recorder_close {
	RECORDER_CLOSE_UNKNOWN = 0, /* the monitor vanished */
	RECORDER_CLOSE_EXIT,	    /* the session ended by itself */
	RECORDER_CLOSE_CLIENT,	    /* the client went away */
	RECORDER_CLOSE_TARGET,	    /* the target went away */
	RECORDER_CLOSE_POLICY,	    /* cut: revoked, expired, idle, ended */
	RECORDER_CLOSE_FAILED,	    /* recorder error */
	RECORDER_CLOSE_CRASH,	    /* the session process died */
};

/* What a monitor reports about its source (MON_PENALTY). */
enum monitor_penalty {
	MONITOR_PENALTY_NONE = 0,
	MONITOR_PENALTY_AUTH,	 /* failed authentication */
	MONITOR_PENALTY_NO_AUTH, /* left without trying */
	MONITOR_PENALTY_CRASH,	 /* its session process died by a signal */
	MONITOR_PENALTY_GRACE,	 /* ran into the login grace time */
};

enum monitor_phase {
	MONITOR_PHASE_START = 0,
	MONITOR_PHASE_AUTH,    /* nothing proved */
	MONITOR_PHASE_FACTOR,  /* key proved, second factor wanted */
	MONITOR_PHASE_WAITING, /* proved, an approval is asked for */
	MONITOR_PHASE_PROVED,  /* logged on, no target yet */
	MONITOR_PHASE_OPEN,    /* connected to the target */
	MONITOR_PHASE_CLOSING,
};

/* What a row of MON_LIST is. */
enum monitor_row {
	MONITOR_ROW_NONE = 0,
	MONITOR_ROW_CONNECTION,
	MONITOR_ROW_REQUEST, /* filed ahead, nobody has judged it */
	MONITOR_ROW_DENIED,
	MONITOR_ROW_GRANTED,
};

struct msg {
	enum msg_type type;
	struct buf body;      /* to send: written by the caller */
	struct reader reader; /* received: set over body */
	int fds[MSG_MAX_FDS]; /* -1 where there is none */
	size_t fd_count;
};

/* An empty message of this type; msg_done wipes it and closes its
 * descriptors (also those that were sent). */
void msg_init(struct msg *msg, enum msg_type type);
void msg_done(struct msg *msg);
/* Lends fd for sending: it is duplicated now, so the caller keeps its own. */
enum sgb_err msg_put_fd(struct msg *msg, int fd) SGB_MUST_CHECK;
/* Takes descriptor i out of a received message; -1 if there is none. */
int msg_take_fd(struct msg *msg, size_t i);

/* Sends it whole. SGB_ERR_AGAIN on a full non-blocking socket, SGB_ERR_CLOSED
 * when the peer is gone. */
enum sgb_err msg_send(int sock, struct msg *msg) SGB_MUST_CHECK;
/* Receives one into msg, which msg_init made. Unknown types, other counts of
 * descriptors than the table says and truncation are SGB_ERR_FORMAT;
 * SGB_ERR_CLOSED at the end; SGB_ERR_AGAIN if there is none now. Received
 * descriptors are close-on-exec. */
enum sgb_err msg_recv(int sock, struct msg *msg) SGB_MUST_CHECK;
/* The same for an answer of the recorder: what it says while it is at work
 * (REC_BUSY) is passed over. For blocking sockets. */
enum sgb_err msg_recv_answer(int sock, struct msg *msg) SGB_MUST_CHECK;
/* "SES_START", or "?" */
const char *msg_name(unsigned int type);
/* A close-on-exec SOCK_SEQPACKET pair. */
enum sgb_err msg_pair(int fds[2]) SGB_MUST_CHECK;
#define MSG_CONNECT_SECONDS 5
/* Connects to a SOCK_SEQPACKET socket by path, waiting no longer than that;
 * sending on it waits no longer either. */
enum sgb_err msg_connect(const char *path, int *ret_sock) SGB_MUST_CHECK;
/* Binds and listens at path (mode 0600) after removing a stale socket there;
 * SGB_ERR_BUSY if somebody answers on it. */
enum sgb_err msg_listen(const char *path, int *ret_sock) SGB_MUST_CHECK;

#endif
