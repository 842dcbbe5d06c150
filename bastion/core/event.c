/*
 * Writes one event as one line of JSON (docs/EVENTS.md). Every text in it may
 * come from a stranger: a user name, a client's banner, a command. So nothing
 * is written that is not escaped, no field is longer than its limit, and the
 * line as a whole stays below EVENT_MAX_BYTES with room for the recorder's
 * sequence and chain.
 */
#include "core/event.h"
#include "core/places.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Field of struct event, and how long it may be once it is escaped. */
#define TEXT_FIELDS \
	X(conn, 64) \
	X(ref, 64) \
	X(front, 64) \
	X(user, 300) \
	X(client, 300) \
	X(key_fp, 100) \
	X(key_type, 64) \
	X(mfa, 32) \
	X(target, 300) \
	X(security_group, 150) \
	X(login, 150) \
	X(rule, 300) \
	X(via, 400) \
	X(rec_id, 64) \
	X(what, 3000) \
	X(reason, 800) \
	X(account, 32) \
	X(kernel_audit, 64) \
	X(finding, 64) \
	X(title, 64) \
	X(related, 400)

enum text_limit {
#define X(field, limit) LIMIT_##field = limit,
	TEXT_FIELDS
#undef X
};

struct kind_row {
	const char *slug;
	unsigned int class_uid;
	unsigned int activity;
	const char *message;
};

static const struct kind_row kinds[EVENT_KIND_COUNT] = {
#define X(name, slug, class_uid, activity, message) \
	[EVENT_##name] = {slug, class_uid, activity, message},
#include "core/event.def"
#undef X
};

/* One character of a text and how it is written. */
struct escaped {
	char text[8]; /* no NUL */
	size_t len;
	size_t used;  /* bytes of the text that it stands for */
	bool foreign; /* not UTF-8 */
};

/* Length of the well-formed UTF-8 sequence at the start (RFC 3629), or 0. */
static size_t utf8_sequence(const uint8_t *at, size_t left, uint32_t *ret_code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t code;
	size_t len, i;

	if (at[0] < 0x80) {
		*ret_code = at[0];
		return 1;
	}
	len = at[0] >= 0xf8   ? 0
	      : at[0] >= 0xf0 ? 4
	      : at[0] >= 0xe0 ? 3
	      : at[0] >= 0xc0 ? 2
			      : 0;
	if (!len || len > left)
		return 0;
	code = at[0] & (0x7fU >> len);
	for (i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3fU);
	}
	if (code < least[len] || code > 0x10ffff ||
		(code >= 0xd800 && code < 0xe000))
		return 0;
	*ret_code = code;
	return len;
}

/* Characters that act on a terminal or turn the direction of a line. */
static bool must_escape(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad ||
	       code == 0x61c || (code >= 0x200b && code <= 0x200f) ||
	       (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
	       (code >= 0xfff9 && code <= 0xfffb);
}

static void escape_next(const uint8_t *at, size_t left, struct escaped *ret)
{
	uint32_t code;

	ret->used = utf8_sequence(at, left, &code);
	ret->foreign = !ret->used;
	if (ret->foreign) {
		ret->used = 1;
		code = at[0];
	}
	if (code == '"' || code == '\\') {
		ret->text[0] = '\\';
		ret->text[1] = (char)code;
		ret->len = 2;
	} else if (ret->foreign || must_escape(code)) {
		(void)snprintf(ret->text, sizeof(ret->text), "\\u%04x",
			(unsigned int)(code & 0xffff));
		ret->len = 6;
	} else {
		memcpy(ret->text, at, ret->used);
		ret->len = ret->used;
	}
}

struct put_result {
	bool cut;
	bool foreign;
};

/* Escapes text until limit bytes are written; out may be NULL to measure. */
static struct put_result put_escaped(
	struct buf *out, const char *text, size_t len, size_t limit)
{
	const uint8_t *at = (const uint8_t *)text;
	struct put_result result = {0};
	size_t written = 0;

	while (len) {
		struct escaped next;

		escape_next(at, len, &next);
		if (next.len > limit - written) {
			result.cut = true;
			break;
		}
		if (out)
			buf_put(out, next.text, next.len);
		result.foreign |= next.foreign;
		written += next.len;
		at += next.used;
		len -= next.used;
	}
	return result;
}

void json_put_string(struct buf *out, const char *text, size_t len)
{
	buf_put_u8(out, '"');
	(void)put_escaped(out, text, len, SIZE_MAX);
	buf_put_u8(out, '"');
}

const char *event_slug(enum event_kind kind)
{
	if ((unsigned int)kind >= EVENT_KIND_COUNT || !kinds[kind].slug)
		return "?";
	return kinds[kind].slug;
}

/* What must be known before the first byte is written. */
static struct put_result measure(const struct event *event)
{
	struct put_result all = {0}, one;

#define X(field, limit) \
	if (event->field) { \
		one = put_escaped( \
			NULL, event->field, strlen(event->field), limit); \
		all.cut |= one.cut; \
		all.foreign |= one.foreign; \
	}
	TEXT_FIELDS
#undef X
	return all;
}

/* A member of an object: a comma unless it is the first, name and value. */
static void put_name(struct buf *out, const char *name)
{
	if (out->len && out->data[out->len - 1] != '{')
		buf_put_u8(out, ',');
	buf_printf(out, "\"%s\":", name);
}

static void put_text(
	struct buf *out, const char *name, const char *text, size_t limit)
{
	if (!text || !*text)
		return;
	put_name(out, name);
	buf_put_u8(out, '"');
	(void)put_escaped(out, text, strlen(text), limit);
	buf_put_u8(out, '"');
}

/* OCSF's long is signed, and JSON parsers take it at its word. */
static void put_number(struct buf *out, const char *name, uint64_t number)
{
	if (number > INT64_MAX)
		number = INT64_MAX;
	put_name(out, name);
	buf_printf(out, "%llu", (unsigned long long)number);
}

#define PUT(out, name, event, field) \
	put_text(out, name, (event)->field, LIMIT_##field)

static void open_object(struct buf *out, const char *name)
{
	put_name(out, name);
	buf_put_u8(out, '{');
}

static void close_object(struct buf *out)
{
	buf_put_u8(out, '}');
}

static void put_time(struct buf *out, uint64_t time_ns)
{
	time_t seconds = (time_t)(time_ns / 1000000000);
	unsigned int ms = (unsigned int)(time_ns / 1000000 % 1000);
	char text[32];
	struct tm tm;

	put_number(out, "time", time_ns / 1000000);
	if (!gmtime_r(&seconds, &tm) ||
		!strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		return;
	put_name(out, "time_dt");
	buf_printf(out, "\"%s.%03uZ\"", text, ms);
}

static void put_metadata(struct buf *out, const struct event *event,
	const struct put_result *all)
{
	open_object(out, "metadata");
	put_text(out, "version", "1.3.0", 16);
	open_object(out, "product");
	put_text(out, "name", "sgbridge", 16);
	put_text(out, "vendor_name", "sgbridge", 16);
	put_text(out, "version", SGB_VERSION, 16);
	close_object(out);
	PUT(out, "correlation_uid", event, conn);
	if (all->cut) {
		put_name(out, "is_truncated");
		buf_printf(out, "true");
	}
	close_object(out);
}

static unsigned int severity(const struct kind_row *row, bool ok)
{
	if (row->class_uid == 2004)
		return 4;  /* High: a finding */
	return ok ? 1 : 3; /* Informational, Medium */
}

static void put_class(
	struct buf *out, const struct kind_row *row, const struct event *event)
{
	put_number(out, "category_uid", row->class_uid / 1000);
	put_number(out, "class_uid", row->class_uid);
	put_number(out, "activity_id", row->activity);
	put_number(out, "type_uid", row->class_uid * 100 + row->activity);
	put_number(out, "severity_id", severity(row, event->ok));
	put_number(out, "status_id", event->ok ? 1 : 2);
	put_text(out, "message", row->message, 100);
	PUT(out, "status_detail", event, reason);
}

static bool mfa_is(const struct event *event, const char *name)
{
	return event->mfa && !strcmp(event->mfa, name);
}

/* OCSF factor types: 7 is a one-time password, 99 another one. */
static void put_mfa(struct buf *out, const struct event *event)
{
	bool otp = mfa_is(event, "totp") || mfa_is(event, "hotp");
	bool used = otp || mfa_is(event, "scratch") ||
		    mfa_is(event, "remembered");

	put_name(out, "is_mfa");
	buf_printf(out, used ? "true" : "false");
	if (!used)
		return;
	put_name(out, "auth_factors");
	buf_printf(out, "[{\"factor_type_id\":%d", otp ? 7 : 99);
	PUT(out, "factor_type", event, mfa);
	buf_printf(out, "}]");
}

static void put_who(struct buf *out, const struct event *event)
{
	char text[ADDR_TEXT_MAX];

	if (event->user && *event->user) {
		open_object(out, "actor");
		open_object(out, "user");
		PUT(out, "name", event, user);
		close_object(out);
		close_object(out);
		open_object(out, "user");
		PUT(out, "name", event, user);
		close_object(out);
	}
	if (!event->source.family)
		return;
	open_object(out, "src_endpoint");
	put_text(out, "ip", addr_text(&event->source, text), sizeof(text));
	if (event->source_port)
		put_number(out, "port", event->source_port);
	close_object(out);
}

static void put_where(struct buf *out, const struct event *event)
{
	char text[ADDR_TEXT_MAX];

	if (!event->target_addr.family && !event->target && !event->target_port)
		return;
	open_object(out, "dst_endpoint");
	PUT(out, "hostname", event, target);
	if (event->target_addr.family)
		put_text(out, "ip", addr_text(&event->target_addr, text),
			sizeof(text));
	if (event->target_port)
		put_number(out, "port", event->target_port);
	close_object(out);
}

static void put_what(struct buf *out, const struct event *event)
{
	if (event->kind == EVENT_COMMAND) {
		open_object(out, "process");
		PUT(out, "cmd_line", event, what);
		close_object(out);
	}
	if (event->has_exit) {
		put_name(out, "exit_code");
		buf_printf(out, "%d", event->exit_status);
	}
	if (event->bytes_in || event->bytes_out) {
		open_object(out, "traffic");
		put_number(out, "bytes_in", event->bytes_in);
		put_number(out, "bytes_out", event->bytes_out);
		close_object(out);
	}
	if (event->conn && *event->conn) {
		open_object(out, "session");
		PUT(out, "uid", event, conn);
		close_object(out);
	}
}

static void put_related(struct buf *out, const char *related)
{
	size_t len;

	if (!related || !*related)
		return;
	put_name(out, "related_events");
	buf_put_u8(out, '[');
	for (; *related; related += len + (related[len] == ',')) {
		len = strcspn(related, ",");
		buf_printf(out, "%s{\"uid\":\"",
			out->data[out->len - 1] == '[' ? "" : ",");
		(void)put_escaped(out, related, len, LIMIT_related);
		buf_printf(out, "\"}");
	}
	buf_put_u8(out, ']');
}

static void put_finding(struct buf *out, const struct event *event)
{
	if (!event->finding || !*event->finding)
		return;
	open_object(out, "finding_info");
	PUT(out, "uid", event, finding);
	PUT(out, "title", event, title);
	PUT(out, "desc", event, reason);
	put_related(out, event->related);
	close_object(out);
}

/* The last member, and "event" its first: the recorder's chain goes in here. */
static void put_unmapped(struct buf *out, const struct event *event,
	const struct put_result *all)
{
	bool person = event->user && *event->user;

	open_object(out, "unmapped");
	open_object(out, "sgb");
	put_text(out, "event", kinds[event->kind].slug, 64);
	PUT(out, "conn", event, conn);
	PUT(out, "ref", event, ref);
	PUT(out, "front_end", event, front);
	PUT(out, "client", event, client);
	PUT(out, "key_fp", event, key_fp);
	PUT(out, "key_type", event, key_type);
	if (event->mfa && *event->mfa)
		PUT(out, "mfa", event, mfa);
	else if (person)
		put_text(out, "mfa", "none", 8);
	PUT(out, "security_group", event, security_group);
	PUT(out, "login", event, login);
	PUT(out, "via", event, via);
	PUT(out, "rule", event, rule);
	PUT(out, "rec_id", event, rec_id);
	if (event->kind != EVENT_COMMAND)
		PUT(out, "what", event, what);
	PUT(out, "account", event, account);
	PUT(out, "kernel_audit", event, kernel_audit);
	PUT(out, "finding", event, title);
	if (event->facts && strlen(event->facts) <= EVENT_FACTS_MAX) {
		put_name(out, "facts");
		buf_put(out, event->facts, strlen(event->facts));
	}
	if (all->foreign)
		put_text(out, "encoding", "bytes", 8);
	close_object(out);
	close_object(out);
}

enum sgb_err event_json(const struct event *event, struct buf *out)
{
	const struct kind_row *row;
	struct put_result all;
	struct timespec now;
	struct buf line;
	uint64_t time_ns = event->time_ns;
	enum sgb_err err;

	if (event->kind == EVENT_NONE ||
		(unsigned int)event->kind >= EVENT_KIND_COUNT)
		return SGB_ERR_FORMAT;
	if (!time_ns && !clock_gettime(CLOCK_REALTIME, &now))
		time_ns = (uint64_t)now.tv_sec * 1000000000 +
			  (uint64_t)now.tv_nsec;
	row = &kinds[event->kind];
	all = measure(event);
	buf_init(&line, EVENT_MAX_BYTES);
	buf_put_u8(&line, '{');
	put_metadata(&line, event, &all);
	put_time(&line, time_ns);
	put_class(&line, row, event);
	put_who(&line, event);
	put_where(&line, event);
	if ((event->user && *event->user) || row->class_uid / 1000 == 3)
		put_mfa(&line, event);
	put_what(&line, event);
	put_finding(&line, event);
	put_unmapped(&line, event, &all);
	close_object(&line);
	err = buf_error(&line);
	if (!err) {
		buf_put(out, line.data, line.len);
		err = buf_error(out);
	}
	buf_done(&line);
	return err;
}
