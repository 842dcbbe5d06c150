/*
 * One line of the trail: its chain, and the few values that headers and fields
 * are made of. The walk over the JSON is strict about its end and its depth and
 * needs no library; values stay escaped as they stand in the trail.
 */
#ifndef SGB_FORWARD_LINE_H
#define SGB_FORWARD_LINE_H

#include "core/buf.h"
#include "forward.h"

/* Name, and where in the object. */
#define FORWARD_FIELDS \
	X(TIME, "time_dt") \
	X(SEVERITY, "severity_id") \
	X(MESSAGE, "message") \
	X(REASON, "status_detail") \
	X(USER, "actor.user.name") \
	X(SOURCE, "src_endpoint.ip") \
	X(TARGET, "dst_endpoint.hostname") \
	X(TARGET_IP, "dst_endpoint.ip") \
	X(EVENT, "unmapped.sgb.event") \
	X(CONN, "unmapped.sgb.conn") \
	X(REF, "unmapped.sgb.ref") \
	X(GROUP, "unmapped.sgb.security_group") \
	X(LOGIN, "unmapped.sgb.login") \
	X(RULE, "unmapped.sgb.rule") \
	X(REC, "unmapped.sgb.rec_id")

enum forward_field {
#define X(name, path) FIELD_##name,
	FORWARD_FIELDS
#undef X
		FIELD_COUNT
};

struct forward_value {
	const char *at; /* borrowed from the line; NULL: not there */
	size_t len;
};

struct forward_line {
	const char *text; /* borrowed, no newline */
	size_t len;
	bool chained; /* seq, head, writer are known */
	struct journal_line chain;
	uint64_t gap_first, gap_last; /* of a gap */
	struct forward_value fields[FIELD_COUNT];
};

/* The values of a JSON object; those of the chain are left alone. False if it
 * is not one: then no field is set. */
bool forward_line_read(struct forward_line *line, const char *text, size_t len);
/* The value with \" and \\ undone and everything else as it stands, so that no
 * control character comes out. */
void forward_value_put(const struct forward_value *value, struct buf *out);

/* forward_syslog.c: one message of RFC 5424, without framing. Returns the bytes
 * of MSG that did not fit (dest->max_message); they are stated in it. */
enum sgb_err forward_syslog(const struct forward_dest *dest, const char *host,
	const struct forward_line *line, struct buf *out,
	size_t *ret_cut) SGB_MUST_CHECK;
/* Before it, RFC 5425 and 6587: its length and a space. */
enum sgb_err forward_frame(
	const struct buf *message, struct buf *out) SGB_MUST_CHECK;

/* forward_journald.c: one datagram of the journal's native protocol. */
enum sgb_err forward_journald(const struct forward_dest *dest,
	const struct forward_line *line, struct buf *out) SGB_MUST_CHECK;

/* syslog's severity, 0 to 7, of an event. */
unsigned int forward_severity(const struct forward_line *line);

#endif
