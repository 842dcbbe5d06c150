/*
 * sgbridge-forward's own parts: one parent that opens files and connects, and
 * a child for each receiver that reads the one and talks to the other. See
 * sgbridge-forward.c for what the program is.
 */
#ifndef SGB_FORWARD_H
#define SGB_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/conf.h"
#include "core/err.h"

#include "journal.h"

#define FORWARD_MAX	  16	/* receivers */
#define FORWARD_CHUNK	  65536 /* bytes that are read or wait at once */
#define FORWARD_NAME_MAX  80
#define FORWARD_TEXT_MAX  200
#define FORWARD_SD_ID_MAX 33 /* RFC 5424, section 6 */

struct ssl_ctx_st;

enum forward_kind {
	FORWARD_NONE = 0,
	FORWARD_UDP,
	FORWARD_TCP,
	FORWARD_TLS,
	FORWARD_JOURNALD,
};

/* One receiver. Texts are borrowed from the settings, but for name and file. */
struct forward_dest {
	enum forward_kind kind;
	struct addr addr;
	uint16_t port;
	char name[FORWARD_NAME_MAX]; /* "tls 10.0.0.9 6514" */
	char file[FORWARD_NAME_MAX]; /* its position's: "tls-10.0.0.9-6514" */
	unsigned int line;	     /* of the settings */
	const char *peer;	     /* what its certificate must be for */
	const char *ca, *cert, *key; /* files */
	const char *sd_id;
	unsigned int facility; /* 0 to 23 */
	size_t max_message;    /* bytes of one message; 0: any */
	uint64_t hold_ms;      /* see forward_link.h */
	uint64_t expires;      /* client-cert does; seconds since 1970, or 0 */
	struct ssl_ctx_st *tls;
};

/* Up to where the trail has been handed out. seq 0: nothing of it yet. */
struct forward_place {
	char file[JOURNAL_NAME_MAX];
	uint64_t offset; /* behind the line */
	uint64_t seq;	 /* of the line */
	uint8_t hash[SUITE_HASH_LEN];
};

/* forward_conf.c: the receivers of the settings. On failure ret_why is one
 * sentence with the file's line. */
enum sgb_err forward_dests(const struct conf *conf, const char *path,
	struct forward_dest ret[FORWARD_MAX], size_t *ret_count,
	char why[FORWARD_TEXT_MAX + 200]) SGB_MUST_CHECK;

/* "tls 10.0.0.9 6514" as the name of a file. */
void forward_file_name(const char *name, char ret[FORWARD_NAME_MAX]);

/* forward_place.c: what a position file says, and one line of it. The file is
 * "sgbridge-forward 1 FILE OFFSET SEQ HASH\n". */
size_t forward_place_text(
	const struct forward_place *place, char ret[FORWARD_TEXT_MAX]);
enum sgb_err forward_place_parse(
	const char *text, size_t len, struct forward_place *ret) SGB_MUST_CHECK;

/* What passes between parent and child, always whole. */
enum forward_state {
	FORWARD_AWAY = 0, /* or not there yet */
	FORWARD_UP,
};

struct forward_report {
	enum forward_state state;
	struct forward_place final; /* what the receiver has for good */
	uint64_t sent_seq;	    /* of the line sent last */
	uint64_t lines, cut, gaps, again;
	uint64_t expires; /* its certificate does; seconds since 1970, or 0 */
	char text[FORWARD_TEXT_MAX]; /* why, or how it is connected */
};

enum forward_msg_kind {
	FORWARD_MSG_NONE = 0,
	/* from the child */
	FORWARD_ASK_TRAIL, /* the first file after name, or name itself */
	FORWARD_ASK_LINK,
	FORWARD_REPORT,
	/* from the parent */
	FORWARD_WAKE,  /* something was written; name is the newest file */
	FORWARD_TRAIL, /* a descriptor and its name, or neither; the newest */
	FORWARD_LINK,  /* a descriptor that may still be connecting, or errno */
	FORWARD_STOP,
};

struct forward_msg {
	enum forward_msg_kind kind;
	bool exact; /* of ASK_TRAIL: name itself will do */
	int error;
	char name[JOURNAL_NAME_MAX];
	char newest[JOURNAL_NAME_MAX];
	uint64_t newest_inode;
	struct forward_report report;
};

/* forward_msg.c. fd is -1 or passed on; the caller keeps its own. SGB_ERR_AGAIN
 * if the other does not read; SGB_ERR_CLOSED if it is gone. */
enum sgb_err forward_msg_send(
	int sock, const struct forward_msg *msg, int fd) SGB_MUST_CHECK;
/* *ret_fd is the caller's, or -1. SGB_ERR_AGAIN: there is none. Anything but
 * one whole message is SGB_ERR_FORMAT. */
enum sgb_err forward_msg_receive(
	int sock, struct forward_msg *ret, int *ret_fd) SGB_MUST_CHECK;

/* forward_child.c: one receiver's process; does not return. */
void forward_child(const struct forward_dest *dest, const char *host,
	const struct forward_place *from, int sock, uint64_t retry_ms)
	__attribute__((noreturn));

/* forward_sandbox.c: no way back. The child may read, send and wait on what it
 * is handed; the parent may open, connect and fork. */
enum sgb_err forward_confine_parent(void) SGB_MUST_CHECK;
enum sgb_err forward_confine_child(void) SGB_MUST_CHECK;

uint64_t forward_now_ms(void); /* CLOCK_MONOTONIC */
/* A pause of about ms, half of it by chance: receivers that come back are not
 * met by all bastions at once. */
uint64_t forward_jitter(uint64_t ms);

/* forward_parent.c */
struct forward {
	const struct conf *conf;
	struct forward_dest dests[FORWARD_MAX];
	size_t count;
	int trail_fd;	/* folder */
	int state_fd;	/* folder */
	int lock_fd;	/* held while it runs */
	char host[256]; /* what it calls itself */
	uint64_t retry_ms;
	const char *conf_path;
};
/* sgbridge-forward.c: the settings again, with what they name: receivers, keys
 * and the like into ret, whose folders and name are left alone. False after a
 * line in the log: nothing changed. */
bool forward_load(const struct forward *old, struct forward *ret);
void forward_unload(struct forward *forward);
/* Until SIGTERM; SIGHUP reads the settings again. Logs what is wrong and
 * returns an exit status. */
int forward_run(struct forward *forward);

/* forward_connect.c: sockets that may still be connecting; -1 with errno. */
int forward_to_network(const struct forward_dest *dest);
int forward_to_journal(const char *path);

/* forward_status.c: --status. Prints what the one that runs noted down.
 * Returns an exit status: 0 all receivers have all, 1 not, 69 none runs. */
struct forward_status {
	const struct forward_dest *dest;
	struct forward_report report;
	bool known;	 /* it has reported */
	uint64_t deaths; /* of its process */
	uint64_t since;	 /* seconds since 1970: of its state */
};
void forward_status_write(
	int dir_fd, const struct forward_status *rows, size_t count);
int forward_status_print(int state_fd, int trail_fd, bool json, bool colour);

#endif
