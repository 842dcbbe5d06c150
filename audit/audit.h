/*
 * sgbridge-audit: what its commands share. See sgbridge-audit.c for what the
 * program is and trusts.
 */
#ifndef SGB_AUDIT_H
#define SGB_AUDIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/buf.h"
#include "core/conf.h"
#include "core/err.h"

#include "header.h"
#include "suite.h"

#define AUDIT_IDENTITIES_MAX 8
#define AUDIT_PINS_MAX	     64
#define AUDIT_KEEP_MAX	     32

struct store;
struct store_entry;
struct evidence;
struct disclosure;
struct heads;

/* Exit codes beside those of a verdict (docs/RECORDING.md) and sysexits. */
#define AUDIT_EXIT_NONE 1 /* nothing found */

/* Options of all commands; a command's row says which of them it takes. */
struct audit {
	const char *command;
	const char *conf_path;
	const char *dir;    /* recordings */
	const char *events; /* trail */
	const char *journal;
	const char *identity_paths[AUDIT_IDENTITIES_MAX];
	size_t identity_count;
	const char *writers; /* file of pinned writers */
	const char *heads_path;
	const char *output;
	const char *format;
	const char *user, *target, *login, *source, *since, *until, *mfa;
	const char *status;
	const char *why;
	const char *key_path; /* a signing key */
	const char *by;	      /* of stats */
	const char *hold, *release;
	const char *keep[AUDIT_KEEP_MAX];
	size_t keep_count;
	const char *player;    /* folder of a page's player; NULL: SHAREDIR's */
	const char *segments;  /* "3-5" */
	const char *disclosed; /* file */
	const char *index;     /* NULL: not asked for; "": the default one */
	uint64_t channel;      /* 0: the first that shows something */
	unsigned int jobs;     /* 0: one a core */
	size_t limit;	       /* results; 0: all */
	double speed;
	double idle_limit; /* seconds; 0: none */
	bool json;
	bool no_timing;
	bool regex;
	bool raw;
	bool scan;    /* all of the index, not only where it points to */
	bool rebuild; /* the index, from nothing */
	bool count_commands;
	bool yes;
	bool append;

	struct disclosure *disclosure; /* NULL: keys */
	struct conf *conf;	       /* NULL where there is none */
	struct identity *identities[AUDIT_IDENTITIES_MAX];
	size_t key_count;
	uint8_t pins[AUDIT_PINS_MAX][SUITE_KEY_LEN];
	size_t pin_count;
	struct heads *heads; /* NULL: not asked for */
};

typedef int (*audit_command)(struct audit *audit, int argc, char **argv);

int cmd_keygen(struct audit *audit, int argc, char **argv);
int cmd_writer_keygen(struct audit *audit, int argc, char **argv);
int cmd_ls(struct audit *audit, int argc, char **argv);
int cmd_show(struct audit *audit, int argc, char **argv);
int cmd_verify(struct audit *audit, int argc, char **argv);
int cmd_export(struct audit *audit, int argc, char **argv);
int cmd_text(struct audit *audit, int argc, char **argv);
int cmd_play(struct audit *audit, int argc, char **argv);
int cmd_disclose(struct audit *audit, int argc, char **argv);
int cmd_files(struct audit *audit, int argc, char **argv);
int cmd_commands(struct audit *audit, int argc, char **argv);
int cmd_search(struct audit *audit, int argc, char **argv);
int cmd_index(struct audit *audit, int argc, char **argv);
int cmd_recover(struct audit *audit, int argc, char **argv);
int cmd_watch(struct audit *audit, int argc, char **argv);
int cmd_expire(struct audit *audit, int argc, char **argv);
int cmd_stats(struct audit *audit, int argc, char **argv);
int cmd_collect(struct audit *audit, int argc, char **argv);
int cmd_who(struct audit *audit, int argc, char **argv);
int cmd_findings(struct audit *audit, int argc, char **argv);
int cmd_import(struct audit *audit, int argc, char **argv);
int cmd_who_viewed(struct audit *audit, int argc, char **argv);

/* audit_setup.c. Each prints one line and exits on failure. */
/* Settings, if they are there, and the folders that follow from them. */
void audit_places(struct audit *audit);
/* Private keys: those named, or the default one if it exists. need: exit if
 * there is none. */
void audit_identities(struct audit *audit, bool need);
/* A recording with the auditor's keys, or with what was disclosed; as
 * evidence_open. */
enum sgb_err audit_evidence(const struct audit *audit, int fd,
	struct evidence **ret) SGB_MUST_CHECK;
/* An Ed25519 private key; the caller frees. */
struct suite_key *audit_signing_key(const char *path);
void audit_pins(struct audit *audit);
void audit_heads(struct audit *audit);
void audit_done(struct audit *audit);
void audit_fatal(int status, const char *fmt, ...) SGB_PRINTF(2, 3)
	__attribute__((noreturn));

/* strerror, and what to do about it. */
const char *audit_errno(int error);

/* audit_view.c: looking is an event. Exits if it can't be written down. */
/* Where viewing is written down: room for PATH_MAX. */
void audit_journal_place(const struct audit *audit, char *path);
/* The person who logged in, also behind sudo. */
#define AUDIT_WHO_MAX 64
const char *audit_who(char text[AUDIT_WHO_MAX]);
/* Does not return unless it is written down. rec_id may be "". */
void audit_viewed(struct audit *audit, const char *rec_id, const char *what);
/* The same of several recordings at once, by one sync. */
#define AUDIT_VIEWS_MAX 64
struct audit_views {
	struct audit *audit;
	const char *what;
	size_t count;
	char ids[AUDIT_VIEWS_MAX][40];
};
/* False if there is no room: write first. One that is there is not doubled. */
bool audit_views_add(struct audit_views *views, const char *rec_id);
/* Nothing is left in views. */
void audit_views_write(struct audit_views *views);

/* audit_print.c: everything from a recording goes through these. */
void print_text(FILE *out, const char *text, size_t len);
void print_cstring(FILE *out, const char *text);
/* As a JSON string. */
void print_json(FILE *out, const char *text);
/* What jansson dumped with JSON_ENSURE_ASCII: it leaves DEL as it is. */
void print_dump(FILE *out, const char *json);
/* "2026-11-23 06:48:05", UTC */
#define PRINT_TIME_MAX 24
const char *print_time(uint64_t wall_ns, char text[PRINT_TIME_MAX]);
/* "1:02:03" or "02:03" */
#define PRINT_SPAN_MAX 24
const char *print_span(uint64_t us, char text[PRINT_SPAN_MAX]);
#define PRINT_SIZE_MAX 16
const char *print_size(uint64_t bytes, char text[PRINT_SIZE_MAX]);
/* Text member of a JSON object in our own flat form, or "". The caller frees;
 * never NULL but for lack of memory. */
char *json_member(const char *json, const char *name);

#endif
