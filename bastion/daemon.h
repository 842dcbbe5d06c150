/*
 * sgbridged: its state and its modules. Small and root: it listens, limits
 * and starts a monitor per connection. It parses no SSH and holds no key.
 */
#ifndef SGB_DAEMON_H
#define SGB_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <time.h>

#include "core/addr.h"
#include "core/conf.h"
#include "core/msg.h"
#include "core/policy.h"
#include "core/program.h"
#include "daemon_requests.h"
#include "refusals.h"
#include "sources.h"

#define LISTEN_MAX 16
/* Accesses of one connection that were let in: a target, and forwards. */
#define CONN_IN_MAX    16
#define PROXY_NETS_MAX 64

/* One live connection: its monitor and what that said last. */
struct connection {
	TAILQ_ENTRY(connection) link;
	char id[CONN_ID_MAX];
	int control;
	struct addr source;
	uint16_t port;
	struct addr front; /* family 0: it came by itself */
	time_t since;
	enum monitor_phase phase;
	bool counted;	    /* as unauthenticated, in sources */
	bool foreign;	    /* its monitor is of another version */
	bool misunderstood; /* and has said what is not understood here */
	char *user, *target, *login, *rec_id, *parent;
	char *approval; /* group that must approve, or NULL */
	char *access;	/* what for: "ops@web1:22" */
	uint64_t approval_seconds;
	time_t asked;	       /* since when it waits */
	char *ask_id;	       /* of the request that waits, or did last */
	char *in[CONN_IN_MAX]; /* accesses, by yeses that hold for a time */
	size_t in_count;
	bool admitted; /* MON_ROOM was answered with yes */
};
TAILQ_HEAD(connections, connection);

struct newcomer; /* daemon_proxy.c */
TAILQ_HEAD(newcomers, newcomer);

/* Since the start; counters.def. */
struct counters {
#define X(field, metric, labels, help) uint64_t field;
#include "counters.def"
#undef X
};

struct daemon {
	const char *conf_path;
	bool to_stderr;
	struct conf *conf;
	struct policy *policy;
	int conf_fd, policy_fd; /* sealed copies for monitors */
	int listeners[LISTEN_MAX];
	size_t listener_count;
	int control;	  /* control socket, listening */
	int wake;	  /* signalfd */
	int spare;	  /* descriptor for when there is none; or -1 */
	uint64_t rest_ms; /* listeners rest until then */
	int recorder;
	int nursery;		/* forks monitors; -1: none just now */
	struct program monitor; /* what a nursery is */
	int starter; /* starts session processes; -1: behind the path */
	const char *starter_path; /* -s, or NULL */
	struct sources *sources;
	struct connections connections;
	struct addr_net proxy_nets[PROXY_NETS_MAX]; /* front ends */
	size_t proxy_net_count;
	struct newcomers newcomers; /* that owe a PROXY header */
	size_t newcomer_count;
	struct access_requests requests;
	size_t request_count;
	size_t total, pending;
	struct counters counters;
	struct refusals refusals;
	bool stopping;
	int status; /* to exit with, then */
	/* while a request of the control socket is served */
	pid_t peer;
	uid_t operator; /* who logged on as; 0: nobody knows */
};

/* daemon_load.c: settings and policy from disk, both or none. Prints what is
 * wrong; on failure *d is unchanged. */
enum sgb_err daemon_load(struct daemon *d) SGB_MUST_CHECK;
/* Re-reads both and tells every monitor; text gets what to answer. */
enum sgb_err daemon_reload(
	struct daemon *d, char *text, size_t text_len) SGB_MUST_CHECK;
/* Sends the present settings and policy to one monitor. */
void daemon_tell_policy(struct daemon *d, struct connection *conn);
/* Files a monitor will need: there, safe, and of the right kind? */
enum sgb_err daemon_check_files(const struct conf *conf) SGB_MUST_CHECK;

/* daemon_starter.c: is there one, or else starts it; prints what is wrong.
 * Before capabilities are given up. */
enum sgb_err daemon_starter_open(struct daemon *d) SGB_MUST_CHECK;
/* Has it read the settings that were just taken. */
void daemon_starter_reload(struct daemon *d);
/* The one that was started here has ended: there is no power left to start
 * another. */
void daemon_starter_gone(struct daemon *d);

/* daemon_listen.c: "a.b.c.d:port" and "[v6]:port". The check says all that is
 * wrong to standard error; what it has not passed is not listened on. */
enum sgb_err daemon_check_listen(const struct conf *conf) SGB_MUST_CHECK;
enum sgb_err daemon_listen(struct daemon *d) SGB_MUST_CHECK;
/* Takes one connection from a listener, or refuses it. */
void daemon_accept(struct daemon *d, int listener);
/* After a failed accept(2), with its errno: accepts in the place of the spare
 * descriptor, if it was for want of one; -1 if that fails, too. The caller
 * closes, and has the spare one kept again. */
int daemon_take_spare(struct daemon *d, int listener, struct addr *ret_source);
void daemon_keep_spare(struct daemon *d);
/* Milliseconds for which nothing is accepted; -1: it is. */
int daemon_rest(const struct daemon *d);
/* Judges a connection whose source is known, and starts its monitor; takes fd.
 * front is who passed it on, or NULL. */
void daemon_admit(struct daemon *d, int fd, const struct addr *source,
	uint16_t port, const struct addr *front, const char *local);
/* An event for a source that was refused: one in ten seconds, refusals.h. */
void daemon_refused(
	struct daemon *d, const struct addr *source, const char *why);

/* daemon_proxy.c: the PROXY protocol. Takes the networks of front ends; on
 * failure *ret_bad is the one that is wrong, and d is unchanged. */
enum sgb_err daemon_proxy_set(struct daemon *d, const struct conf_list *nets,
	const char **ret_bad) SGB_MUST_CHECK;
bool daemon_proxy_is_front(const struct daemon *d, const struct addr *peer);
/* Waits, without waiting, for the header of a front end's connection. */
void daemon_proxy_wait(struct daemon *d, int fd, const struct addr *front,
	uint16_t port, const char *local);
/* Takes what came; drops who is late. */
void daemon_proxy_poll(struct daemon *d);
/* Calls each(arg, descriptor) until it fails. */
enum sgb_err daemon_proxy_each(struct daemon *d,
	enum sgb_err (*each)(void *arg, int fd), void *arg) SGB_MUST_CHECK;
/* Milliseconds until somebody is late; -1: nobody waits. */
int daemon_proxy_patience(const struct daemon *d);
void daemon_proxy_done(struct daemon *d);

/* daemon_connections.c */
/* A fresh name: sorts by time, unique by chance within a second. */
enum sgb_err connection_make_id(char id[CONN_ID_MAX]) SGB_MUST_CHECK;
struct connection *connection_new(struct daemon *d, const char *id);
void connection_close(struct daemon *d, struct connection *conn);
/* A message of its monitor, or its end. */
void connection_poll(struct daemon *d, struct connection *conn);
/* A monitor that an earlier sgbridged started comes to this one; takes sock
 * on success. */
enum sgb_err connection_adopt(
	struct daemon *d, int sock, struct msg *msg) SGB_MUST_CHECK;
struct connection *connection_find(struct daemon *d, const char *id);
enum sgb_err connection_end(struct connection *conn, const char *reason);
/* Has its monitor ask whether it may go on; false if it does not listen. */
bool connection_judge(struct connection *conn);
/* Makes room by ending the oldest connection that has not exchanged keys yet,
 * or else has not shown one of its own. A flood so pushes out itself; whoever
 * has shown a key is not pushed out. False if there is nobody to end. */
bool connection_evict(struct daemon *d);
/* Has a monitor started for a client's socket. */
enum sgb_err connection_start(struct daemon *d, int client,
	const struct addr *source, uint16_t port, const struct addr *front,
	const char *local);

/* daemon_approval.c */
/* MON_ASK: an access waits for a yes, or no longer. A yes that was given
 * before is its answer, else MON_PENDING. */
enum sgb_err connection_ask(struct daemon *d, struct connection *conn,
	struct msg *msg) SGB_MUST_CHECK;
/* Was it let in there by a yes that can be taken back? */
bool connection_is_in(const struct connection *conn, const char *access);
/* Whose request is it, and which group judges? Borrowed; false if none waits
 * under this id. */
bool connection_asks(struct daemon *d, const char *id, const char **ret_user,
	const char **ret_group);
/* Somebody judged a request, filed or of a connection that waits. Returns
 * what requests_judge does. */
enum sgb_err connection_verdict(struct daemon *d, const char *id,
	const char *judge, bool yes, const char *word) SGB_MUST_CHECK;

/* daemon_systemd.c: what systemd tells and is told; without it, nothing
 * happens. One word of sd_notify(3), such as "READY=1". */
void systemd_notify(const char *text);
/* Says that the loop goes round if it is time to, and returns for how many
 * milliseconds it may sleep; -1: for ever. */
int systemd_watchdog(void);
/* Takes the listening sockets that systemd passed (sd_listen_fds(3)) into
 * d->listeners; none: SGB_ERR_NOTFOUND. One that is no listening TCP socket
 * is SGB_ERR_UNSUPPORTED, after a message. */
enum sgb_err systemd_sockets(struct daemon *d) SGB_MUST_CHECK;

/* daemon_nursery.c: the process that monitors are forked from. Starts one
 * with the present settings and policy; an old one ends by itself. */
enum sgb_err daemon_nursery_start(struct daemon *d) SGB_MUST_CHECK;
/* Has a monitor forked that takes client and control. */
enum sgb_err daemon_nursery_fork(struct daemon *d,
	const struct connection *conn, int client, int control,
	const char *local) SGB_MUST_CHECK;
/* It closed its socket: it died. */
void daemon_nursery_gone(struct daemon *d);

/* daemon_metrics.c: appends all of it in Prometheus' text format. */
void daemon_metrics(const struct daemon *d, struct buf *out);

/* daemon_control.c: one request of the sgbridge command. */
void daemon_control(struct daemon *d);

/* daemon_event.c: the daemon's own events, sent without waiting. */
void daemon_event(struct daemon *d, const struct addr *source, bool ok,
	int kind, const char *what, const char *reason);
void daemon_event_poll(struct daemon *d);
/* Connects to the recorder, without ever waiting on it later. */
bool daemon_event_connect(struct daemon *d);

uint64_t daemon_now_ms(void);

#endif
