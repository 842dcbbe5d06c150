/*
 * Events: what happened, as one JSON object a line in OCSF's classes and
 * names, with our own fields under unmapped.sgb (docs/EVENTS.md). The program
 * that saw it fills the struct; the recorder adds sequence and chain.
 */
#ifndef SGB_EVENT_H
#define SGB_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/buf.h"
#include "core/err.h"

#define EVENT_MAX_BYTES 8000 /* below rsyslog's usual line limit */
#define EVENT_FACTS_MAX 3000

enum event_kind {
	EVENT_NONE = 0,
#define X(name, slug, class_uid, activity, message) EVENT_##name,
#include "core/event.def"
#undef X
	EVENT_KIND_COUNT
};

/* Everything is optional but kind; NULL, "" and zero leave the field out,
 * except ok (zero: failure) and mfa ("" reads as none). */
struct event {
	enum event_kind kind;
	bool ok;
	uint64_t time_ns; /* wall clock; 0: event_json asks the clock */
	const char *conn; /* id that joins PAM, proxy, recorder */
	const char *ref;  /* reference number the user was shown */
	const char *user; /* operator */
	struct addr source;
	uint16_t source_port;
	const char *front;  /* who passed the connection on (PROXY) */
	const char *client; /* client's version banner */
	const char *key_fp;
	const char *key_type;
	const char *mfa; /* "totp", "hotp", "scratch", "remembered",
			  * "exempt", or "" for none */
	const char *target;
	const char *security_group;
	struct addr target_addr;
	uint16_t target_port;
	const char *via; /* the jump hosts on the way */
	const char *login;
	const char *rule;
	const char *rec_id;
	const char *what;   /* command, path, setting, forward */
	const char *reason; /* why it failed or ended, for administrators */
	/* Of a failed attempt: "locked", "unknown", "disabled"; why this name
	 * may not log on whatever it proves. */
	const char *account;
	/* Stamp of the kernel audit record it was taken from. */
	const char *kernel_audit;
	/* EVENT_FINDING: its id and title, the sequences of the events that it
	 * rests on ("17,18"), and its facts: a JSON object that the caller
	 * made with json_put_string, at most EVENT_FACTS_MAX bytes. */
	const char *finding, *title, *related, *facts;
	bool has_exit;
	int exit_status;
	uint64_t bytes_in, bytes_out; /* from and to the user */
};

/* Appends one JSON object without a newline; long strings are cut at a
 * character and metadata.is_truncated says so. Bytes that are not UTF-8 are
 * escaped as \u00XX of their value, flagged by unmapped.sgb.encoding. */
enum sgb_err event_json(
	const struct event *event, struct buf *out) SGB_MUST_CHECK;
const char *event_slug(enum event_kind kind);

/* JSON string with quotes, control and non-ASCII-safe escaping, as above. */
void json_put_string(struct buf *out, const char *text, size_t len);

#endif
