/*
 * sgbridge-session: one connection. The SSH server towards the client, the
 * SSH client towards the target, and the relay between them, all in one
 * thread and one poll loop. It decides nothing: the monitor does, by the
 * messages of core/msg.def.
 *
 * libssh may run any callback inside any call on either leg, so callbacks
 * only note what happened; the work is done by session_pump().
 */
#ifndef SGB_SESSION_H
#define SGB_SESSION_H

/* The messages of libssh are old-fashioned, and the only way to answer later
 * than at once. */
#define SSH_SUPPRESS_DEPRECATED
#include <libssh/libssh.h>
#include <libssh/callbacks.h>
#include <libssh/server.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "core/err.h"
#include "core/msg.h"
#include "core/sshkey.h"
#include "session_flow.h"
#include "session_hostcert.h"
#include "session_record.h"

#define SESSION_MONITOR_FD 3
#define SESSION_CLIENT_FD  4
#define SESSION_MAX_KEYS   8
/* How long what is left to say or deliver may take at an end. */
#define LINGER_MS 3000

enum leg_state {
	LEG_NONE = 0,
	LEG_ASKED,     /* target: REQ_TARGET is with the monitor */
	LEG_HANDSHAKE, /* banner and key exchange */
	LEG_VERIFY,    /* target: its host key is with the monitor */
	LEG_AGENT,     /* target: the user's agent is asked */
	LEG_AUTH,
	LEG_READY,
	LEG_REFUSED, /* target: never will be; the text says why */
	LEG_GONE,
};

struct leg {
	enum leg_state state;
	ssh_session ssh;
	int fd;
	uint64_t heard;	   /* ms: when bytes last came */
	uint64_t received; /* of io.h, when last looked */
	uint64_t pinged;   /* ms: last keepalive */
	bool ping_open;	   /* libssh still waits for its answer */
	/* ms: since when keys are being exchanged anew; 0: they are not */
	uint64_t rekey_since;
	bool rekeyed; /* they were; nobody has looked at it yet */
	struct ssh_callbacks_struct callbacks;
	const uint64_t *now;
};

/* A key of libssh's without a private half, and what OpenSSL calls its kind. */
struct session_hostkey {
	ssh_key key;
	int kind; /* EVP_PKEY_* */
};

/* Of the command line: whoever speaks by messages has no word in it. */
struct session_place {
	const char *empty_root;
	unsigned int uid, gid;
};

struct session_start {
	enum session_mode mode;
	char *conn_id, *client_address, *user, *banner;
	uint32_t client_port, max_auth_tries, max_channels, keepalive;
	bool fast_ciphers;
	uint64_t max_memory;
	struct session_hostkey keys[SESSION_MAX_KEYS];
	size_t key_count;
};

/* What a target is waited for, in the order of SES_TARGET's deadlines. */
enum target_wait {
	TARGET_WAIT_ALL = 0,
	TARGET_WAIT_BANNER,
	TARGET_WAIT_KEX,
	TARGET_WAIT_AUTH,
	TARGET_WAIT_OPEN, /* each channel on its own */
	TARGET_WAITS,
};

/* What SES_TARGET told. */
struct session_target {
	char *name, *login, *address, *notice, *host_algorithms;
	uint32_t port, record_bits, idle;
	uint32_t within[TARGET_WAITS]; /* ms */
	int agent;
	bool agent_used;
	uint64_t deadline; /* ms: for all of it up to the login */
	uint64_t step_deadline;
	enum target_wait wait; /* what step_deadline is about */
};

/* The user's own agent, where it logs on (session_borrow.h). */
enum borrow_state {
	BORROW_NONE = 0,
	BORROW_OFFER,	/* has the client one? */
	BORROW_OPENING, /* a channel to it */
	BORROW_LOOKING, /* for the key */
	BORROW_READY,	/* libssh may log on */
	BORROW_SIGNING,
	BORROW_JUDGED, /* the answer is with the monitor */
};

#define BORROW_KEYS_MAX 2

struct borrow_key {
	uint8_t *blob;
	size_t len;
	bool held;
};

struct session_borrow {
	struct borrow_key keys[BORROW_KEYS_MAX];
	size_t count; /* 0: the user's agent is not asked for anything */
	enum borrow_state state;
	bool offered, started; /* by the client: an agent; a program */
	bool held;	       /* one of the keys */
	bool asked;	       /* to sign, just now */
	bool gone;
	uint64_t blind_at; /* ms: asked then though nothing was offered */
	ssh_channel channel;
	struct ssh_channel_callbacks_struct callbacks;
	struct buf in, out;
	char fingerprint[SSHKEY_FP_MAX];
	char why[200]; /* the monitor's, if it found a signature wanting */
};

/* The second connection to a target, for its host key's certificate. */
struct session_verify {
	int fd; /* or -1 */
	char *key_type;
	uint8_t *blob; /* the host key that was shown to the monitor */
	size_t blob_len;
	struct hostcert fetch;
};

enum session_choice {
	CHOICE_NONE = 0,
	CHOICE_ASKED, /* REQ_CHOOSE is with the monitor */
	CHOICE_MADE,  /* there is a target, for good */
};

/* Progress of the client's authentication. */
struct session_auth_state {
	char *user;	       /* fixed once a key is proved */
	unsigned int services; /* how often ssh-userauth was asked for */
	bool key_proved;
	bool done;
	unsigned int tries;
	ssh_message waiting; /* what the monitor is deciding on */
	bool waiting_probe;
	bool waiting_kbd;
	bool prompting; /* an information request is with the client */
	unsigned int prompts;
};

struct link_item;
TAILQ_HEAD(link_items, link_item);
struct channel;
TAILQ_HEAD(channels, channel);
struct remote_forward;
TAILQ_HEAD(remote_forwards, remote_forward);

struct session {
	struct session_start start;
	struct leg client, target_leg;
	ssh_bind bind;
	ssh_event event;
	struct session_auth_state auth;
	struct session_target target;
	struct session_verify verify;
	struct session_borrow borrow;
	struct record_stream record;
	bool record_ready; /* acknowledgements wait to be read */
	struct channels channels;
	struct remote_forwards forwards; /* ssh -R */
	unsigned int forward_count;
	unsigned int granted;	      /* BACK_*: what the target may open */
	unsigned int target_messages; /* in the second from target_since */
	uint64_t target_since;
	uint32_t next_channel;
	uint32_t channel_count;
	bool channel_seen;	      /* one was opened, now or before */
	bool stream_seen;	      /* a jump or forward was granted */
	struct link_items to_monitor; /* not sent yet */
	size_t to_monitor_count;
	struct link_items from_monitor; /* came while link_ask waited */
	size_t from_monitor_count;
	enum session_choice choice; /* of a target, from the menu */
	struct channel *asking;	    /* whose REQ_JUMP is with the monitor */
	char *refusal; /* why there is no target: shown on each channel */
	uint64_t now;  /* ms, monotonic, as of this turn of the loop */
	uint64_t user_active;	    /* ms: last bytes from the user */
	unsigned int requests_left; /* this second's allowance */
	uint64_t requests_since;
	uint64_t next_tick;
	uint64_t rested_at; /* bytes received, when last looked */
	bool rested;	    /* free memory was given back since */
	char *end_text;
	bool ending; /* nothing new; tell, flush, leave */
	uint64_t end_deadline;
	uint64_t linger_until; /* without a target: leave then */
	bool target_lost;      /* its connection ended */
	uint64_t recorded;     /* record.next, when last looked */
	uint64_t recorded_at;  /* ms: when it became that */
	bool held;	       /* a leg is not read for now */
	bool over;	       /* leave now */
	bool busy;	       /* a callback noted something: pump again */
};

/* Ends the session in order: tells text to the user on every channel that
 * can show it, closes all, disconnects. The first call counts. text may be
 * NULL when the user left by himself. */
void session_end(struct session *s, const char *text);

/* session_wait.c */
/* CLOCK_MONOTONIC in ms. */
uint64_t session_now(void);
/* Until there is something to do, or something may be due; not at all with
 * more. Sets s->now, and s->over if it cannot wait. */
void session_wait(struct session *s, bool more);

/* session_link.c: the monitor */
void link_send(struct session *s, struct msg *msg); /* takes msg's content */
void link_flush(struct session *s);
void link_receive(struct session *s);
/* Sends msg, and waits for the answer of this type, the caller's to end with
 * msg_done. What else comes is handled by the next link_receive. False: there
 * is no answer, and the session is over. */
bool link_ask(struct session *s, struct msg *msg, enum msg_type type,
	struct msg *ret);
void link_report(struct session *s, uint32_t channel,
	enum session_report report, uint64_t a, uint64_t b, const char *text);
void link_gate(struct session *s, uint32_t channel,
	enum session_request request, const char *argument, uint32_t number);

/* session_start.c: SES_START and everything that must happen while files can
 * still be opened. */
enum sgb_err session_start_receive(struct session *s) SGB_MUST_CHECK;
enum sgb_err session_warm_up(void) SGB_MUST_CHECK;
/* After a fork from the cradle: random numbers of its own. */
enum sgb_err session_forked(void) SGB_MUST_CHECK;

/* session_sandbox.c: the filter is made before the first session is forked. */
enum sgb_err sandbox_prepare(void) SGB_MUST_CHECK;
enum sgb_err sandbox_enter(const struct session_start *start,
	const struct session_place *place) SGB_MUST_CHECK;

/* session_server.c: the leg to the client */
enum sgb_err server_open(struct session *s) SGB_MUST_CHECK;
/* Both return true if they got anything done. */
bool server_pump(struct session *s);
void server_close(struct session *s, const char *text);
/* Notes when keys are exchanged anew; once a leg, before it connects. */
void leg_watch(struct session *s, struct leg *leg);
/* JSON object with the algorithms of a leg; the caller frees. */
char *leg_algorithms(const struct leg *leg);

/* session_auth.c: who the client is */
void auth_message(struct session *s, ssh_message msg);
/* A text for the user before he is logged on (RFC 4252 section 5.4). */
void auth_show(struct session *s, const char *text);
enum sgb_err auth_answer(struct session *s, struct msg *msg);
enum sgb_err auth_prompt(struct session *s, struct msg *msg);

/* session_target.c: the leg to the target */
/* "text (reference ID)", freed by the caller; NULL without memory. */
char *session_with_reference(const struct session *s, const char *text);
void target_ask(struct session *s);
enum sgb_err target_granted(struct session *s, struct msg *msg);
bool target_pump(struct session *s);
/* The monitor says that its host key is the right one. */
void target_verified(struct session *s);
/* It cannot be logged on to: public, with the reference, is what the user
 * reads, why the log. */
void target_failed(struct session *s, const char *public, const char *why);
/* There will be no target; every channel says why. */
void target_refuse(struct session *s, const char *text);
void target_close(struct session *s);
/* Gives libssh what s->target says, and no files. */
enum sgb_err target_options(struct session *s) SGB_MUST_CHECK;

/* session_verify.c: its host key. False if there is none to be judged. */
bool verify_begin(struct session *s) SGB_MUST_CHECK;
/* Is it still the same host key? Asked after each further key exchange. */
bool verify_same(const struct session *s);
enum sgb_err verify_answer(struct session *s, struct msg *msg);
enum sgb_err verify_fetch(struct session *s, struct msg *msg);
/* What to wait for on verify.fd, and what to do then. */
int verify_events(const struct session *s);
void verify_pump(struct session *s);
void verify_done(struct session *s);

#endif
