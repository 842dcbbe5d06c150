/*
 * The journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): lines
 * "NAME=value" in one datagram. A value with a newline would need the other
 * form; ours have none, since the trail escapes them and nobody undoes it.
 */
#include <inttypes.h>
#include <string.h>

#include "forward_line.h"

static const struct row {
	const char *name;
	enum forward_field field;
} rows[] = {
	{"SGB_EVENT", FIELD_EVENT},
	{"SGB_SESSION", FIELD_CONN},
	{"SGB_USER", FIELD_USER},
	{"SGB_SOURCE", FIELD_SOURCE},
	{"SGB_TARGET", FIELD_TARGET},
	{"SGB_SECURITY_GROUP", FIELD_GROUP},
	{"SGB_LOGIN", FIELD_LOGIN},
	{"SGB_RULE", FIELD_RULE},
	{"SGB_REF", FIELD_REF},
	{"SGB_RECORDING", FIELD_REC},
	{"SGB_REASON", FIELD_REASON},
};

static void put_field(
	struct buf *out, const char *name, const struct forward_value *value)
{
	if (!value->at || !value->len)
		return;
	buf_printf(out, "%s=", name);
	forward_value_put(value, out);
	buf_put_u8(out, '\n');
}

static void put_part(
	struct buf *out, const char *before, const struct forward_value *value)
{
	if (!value->at || !value->len)
		return;
	buf_printf(out, "%s", before);
	forward_value_put(value, out);
}

/* What journalctl shows: "logon: alice from 203.0.113.9 to ops@web1 (why)". */
static void put_message(struct buf *out, const struct forward_line *line)
{
	const struct forward_value *fields = line->fields;
	const struct forward_value *target = &fields[FIELD_TARGET];

	if (!target->at)
		target = &fields[FIELD_TARGET_IP];
	buf_printf(out, "MESSAGE=");
	put_part(out, "", &fields[FIELD_MESSAGE]);
	put_part(out, ": ", &fields[FIELD_USER]);
	put_part(out, " from ", &fields[FIELD_SOURCE]);
	if (target->at && fields[FIELD_LOGIN].at) {
		put_part(out, " to ", &fields[FIELD_LOGIN]);
		put_part(out, "@", target);
	} else {
		put_part(out, " to ", target);
	}
	if (fields[FIELD_REASON].at) {
		put_part(out, " (", &fields[FIELD_REASON]);
		buf_put_u8(out, ')');
	}
	buf_put_u8(out, '\n');
}

/* One id a kind, by computation: the first 16 bytes of SHA-256 over
 * "sgbridge event " and its slug (docs/EVENTS.md). */
static enum sgb_err put_message_id(
	struct buf *out, const struct forward_value *event)
{
	static const char domain[] = "sgbridge event ";
	struct iovec parts[2] = {{(void *)domain, sizeof(domain) - 1},
		{(void *)event->at, event->len}};
	uint8_t hash[SUITE_HASH_LEN];
	char hex[33];
	enum sgb_err err;

	if (!event->at)
		return SGB_OK;
	err = suite_sha256(parts, 2, hash);
	if (err)
		return err;
	suite_hex(hash, 16, hex);
	buf_printf(out, "MESSAGE_ID=%s\n", hex);
	return SGB_OK;
}

enum sgb_err forward_journald(const struct forward_dest *dest,
	const struct forward_line *line, struct buf *out)
{
	char hex[2 * SUITE_HASH_LEN + 1];
	enum sgb_err err;
	size_t i;

	put_message(out, line);
	buf_printf(out,
		"PRIORITY=%u\nSYSLOG_FACILITY=%u\n"
		"SYSLOG_IDENTIFIER=sgbridge\n",
		forward_severity(line), dest->facility);
	err = put_message_id(out, &line->fields[FIELD_EVENT]);
	if (err)
		return err;
	if (line->chained) {
		suite_hex(line->chain.hash, SUITE_HASH_LEN, hex);
		buf_printf(out,
			"SGB_SEQ=%" PRIu64 "\nSGB_WRITER=%.*s\nSGB_HEAD=%s\n",
			line->chain.seq, JOURNAL_WRITER_LEN, line->chain.writer,
			hex);
	} else {
		buf_printf(out,
			"SGB_GAP_FIRST=%" PRIu64 "\nSGB_GAP_LAST=%" PRIu64 "\n",
			line->gap_first, line->gap_last);
	}
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		put_field(out, rows[i].name, &line->fields[rows[i].field]);
	buf_printf(out, "SGB_JSON=");
	buf_put(out, line->text, line->len);
	buf_put_u8(out, '\n');
	return buf_error(out);
}
