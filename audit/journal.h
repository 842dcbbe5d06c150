/*
 * Chained journals (docs/EVENTS.md, "The chain"): the event trail, the index of
 * recordings and the auditor's list of views. Lines are added to a group; the
 * group becomes durable as a whole, its last line signed, or not at all.
 */
#ifndef SGB_JOURNAL_H
#define SGB_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

#include "suite.h"

#define JOURNAL_LINE_MAX   8192
#define JOURNAL_NAME_MAX   32
#define JOURNAL_WRITER_LEN 16

enum journal_form {
	JOURNAL_PLAIN = 0, /* {"seq":N,... } */
	JOURNAL_EVENTS,	   /* {"metadata":{"sequence":N,... }}} */
};

struct journal_params {
	int dir_fd; /* borrowed */
	enum journal_form form;
	bool monthly; /* "2026-11.jsonl", else "2026-11-23.jsonl"; UTC */
	const struct suite_key *key; /* borrowed; NULL: lines are unsigned */
};

struct journal;

/* What was cut off the end, if a crash tore a line. */
struct journal_torn {
	char name[JOURNAL_NAME_MAX];
	uint64_t bytes;
	uint8_t hash[SUITE_HASH_LEN];
};

/* Goes on where the journal ends. SGB_ERR_FORMAT if the last whole line is not
 * a line of such a journal: the caller must not go on then. */
enum sgb_err journal_open(const struct journal_params *params,
	struct journal **ret, struct journal_torn *torn) SGB_MUST_CHECK;
void journal_free(struct journal *journal);
/* Lines from now on are this writer's. The key is borrowed; nothing may be
 * pending. */
void journal_rekey(struct journal *journal, const struct suite_key *key);
/* Adds one JSON object in the journal's form. SGB_ERR_FORMAT if it is not,
 * SGB_ERR_LIMIT if the line or the group would be too long: the group is as
 * before. After another error the whole group fails when it is written. */
enum sgb_err journal_add(struct journal *journal, const char *json, size_t len,
	uint64_t *ret_seq) SGB_MUST_CHECK;
/* Writes and fdatasyncs the group. On failure the file is as before and the
 * group is forgotten. */
enum sgb_err journal_commit(
	struct journal *journal, uint64_t wall_ns) SGB_MUST_CHECK;
/* The same in two steps, for who has others do the waiting. The first signs
 * and writes the group, and lends the descriptor that is to be synced; lines
 * that are added meanwhile are the next group. The second, which must follow,
 * says how that went: what was not synced is taken back, and with it the next
 * group, which rests on it. */
enum sgb_err journal_write(
	struct journal *journal, uint64_t wall_ns, int *ret_fd) SGB_MUST_CHECK;
void journal_settle(struct journal *journal, bool durable);
bool journal_pending(const struct journal *journal);
/* Sequence and hash of the last durable line. */
uint64_t journal_head(
	const struct journal *journal, uint8_t ret_hash[SUITE_HASH_LEN]);

/* For readers: the parts of one line, borrowed from it. */
struct journal_line {
	uint64_t seq;
	const char *writer; /* JOURNAL_WRITER_LEN characters */
	uint8_t prev[SUITE_HASH_LEN];
	bool has_sig;
	uint8_t sig[SUITE_SIG_LEN];
	size_t signed_len; /* bytes of the line that sig covers */
	uint8_t hash[SUITE_HASH_LEN];
};
enum sgb_err journal_parse(enum journal_form form, const char *line, size_t len,
	struct journal_line *ret) SGB_MUST_CHECK;
enum sgb_err journal_check_sig(const char *line,
	const struct journal_line *parsed,
	const uint8_t writer_key[SUITE_KEY_LEN]) SGB_MUST_CHECK;
/* "2026-11-23.jsonl": does a name belong to such a journal? */
bool journal_is_file(const char *name);

#endif
