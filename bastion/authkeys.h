/*
 * authorized_keys: one file per user in a folder that only root may write, or
 * what a command prints (sshd(8), AUTHORIZED_KEYS FILE FORMAT). Every option
 * is honoured or its line is refused; a line that is not understood grants
 * nothing.
 */
#ifndef SGB_AUTHKEYS_H
#define SGB_AUTHKEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/addr.h"
#include "core/buf.h"
#include "core/err.h"
#include "usercert.h"

#define AUTHKEYS_MAX_BYTES (1024 * 1024)
#define AUTHKEYS_MAX_LINE  16384
#define AUTHKEYS_TEXT_MAX  1024

/* What the options of a line, or a certificate, take away; zero takes
 * nothing. */
struct authkeys_limits {
	bool no_pty;
	bool no_forward;
	bool no_agent;
	bool no_x11;
	bool verify_required; /* security keys: who touched it was verified */
	bool no_touch;	      /* security keys: none is needed */
	bool by_command;      /* not in a file: the command knows it */
	time_t until;	      /* of expiry-time=; 0: for ever */
	char command[AUTHKEYS_TEXT_MAX]; /* runs whatever is asked for, or "" */
	/* "host:port,..." where forwards may go and listen; "" anywhere. */
	char permit_open[AUTHKEYS_TEXT_MAX];
	char permit_listen[AUTHKEYS_TEXT_MAX];
};

/* The key that was offered. */
struct authkeys_query {
	const char *user;
	const uint8_t *blob; /* a plain key, or the CA's where cert is not
			      * NULL; borrowed like the rest */
	size_t blob_len;
	const struct usercert *cert; /* verified and valid, or NULL */
	const struct addr *source;
	time_t now;
};

/*
 * Looks for the key in folder/user. SGB_OK: found and permitted from source
 * now. SGB_ERR_NOTFOUND: no line has it, or there is no file. SGB_ERR_DENIED:
 * a line has it, but its options forbid this login or are not supported.
 * Other errors: the file cannot be trusted or read. why is for the log and
 * names file, line and option.
 */
enum sgb_err authkeys_check(const char *folder,
	const struct authkeys_query *query, struct authkeys_limits *ret,
	char *why, size_t why_len) SGB_MUST_CHECK;
/* The same for text that is here already; name stands for the file in why. */
enum sgb_err authkeys_scan(const struct buf *text, const char *name,
	const struct authkeys_query *query, struct authkeys_limits *ret,
	char *why, size_t why_len) SGB_MUST_CHECK;
/* One line (without its newline), for the tests and the fuzzer. */
enum sgb_err authkeys_line(const char *line, const struct authkeys_query *query,
	struct authkeys_limits *ret, char *why, size_t why_len) SGB_MUST_CHECK;
/* Does a list of permitopen= or permitlisten= hold this? An empty list holds
 * everything. */
bool authkeys_permits(const char *list, const char *host, uint32_t port);
/* The principals of folder/user: is one of them in the certificate? Lines
 * with a name each; SGB_ERR_NOTFOUND if none, or if there is no file. */
enum sgb_err authkeys_principals(const char *folder, const char *user,
	const struct usercert *cert, char *why, size_t why_len) SGB_MUST_CHECK;

/* authkeys_options.c: the options at *at, up to the blank behind them. On
 * failure why says which. */
enum sgb_err authkeys_options(const char **at,
	const struct authkeys_query *query, struct authkeys_limits *ret,
	char *why, size_t why_len) SGB_MUST_CHECK;

/* For a lint of files: what an option does to its line, whoever asks. */
enum authkeys_effect {
	AUTHKEYS_REFUSED = 0, /* not supported: the line grants nothing */
	AUTHKEYS_EXPIRED,     /* neither, not any more */
	AUTHKEYS_NARROWS,     /* honoured; or says what holds anyway */
	AUTHKEYS_GIVES_BACK,  /* what an option before it took away */
	AUTHKEYS_WIDENS,      /* more than a line without it */
};
/* Tells of each option at `at`, up to the blank behind them, in order; of one
 * that cannot be read last. */
void authkeys_options_judge(const char *at, time_t now,
	void (*tell)(void *arg, enum authkeys_effect, const char *option),
	void *arg);

#endif
