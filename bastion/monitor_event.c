/*
 * Events of one connection: to the trail (through the recorder, and
 * acknowledged), to the kernel's audit log, and to syslog.
 */
#include "monitor.h"

#include <libaudit.h>
#include <string.h>

#include "core/kaudit.h"
#include "core/log.h"
#include "core/secret.h"

#define EVENTS_EARLY 40
#define EVENTS_MAX   100000
#define EVENTS_LAST  200 /* while it is being ended */

/* Which kernel audit record a kind becomes. op is copied as it is by
 * libaudit, so it is a constant without spaces. */
static const struct audit_row {
	enum event_kind kind;
	int type;
	const char *op;
} audit_rows[] = {
	{EVENT_AUTH_KEY, AUDIT_USER_AUTH, "sgbridge:key"},
	{EVENT_AUTH_MFA, AUDIT_USER_AUTH, "sgbridge:mfa"},
	{EVENT_LOGON, AUDIT_USER_LOGIN, "sgbridge:logon"},
	{EVENT_LOGOFF, AUDIT_USER_END, "sgbridge:logoff"},
	{EVENT_ACCESS, AUDIT_USER_ACCT, "sgbridge:access"},
	{EVENT_TARGET_OPEN, AUDIT_USER_START, "sgbridge:target"},
	{EVENT_TARGET_HOSTKEY, AUDIT_ANOM_LOGIN_LOCATION, "sgbridge:hostkey"},
	{EVENT_CERT_SIGNED, AUDIT_CRYPTO_KEY_USER, "sgbridge:certificate"},
	{EVENT_BREAK_GLASS, AUDIT_ANOM_LOGIN_ACCT, "sgbridge:break-glass"},
	{EVENT_CREDENTIAL, AUDIT_CRYPTO_KEY_USER, "sgbridge:credential"},
	{EVENT_SESSION_CUT, AUDIT_USER_END, "sgbridge:cut"},
};

static enum sgb_err to_kernel(const struct event *event)
{
	const char *const fields[] = {
		"conn",
		event->conn ? event->conn : "",
		"target",
		event->target ? event->target : "",
		"login",
		event->login ? event->login : "",
		"rule",
		event->rule ? event->rule : "",
		"mfa",
		event->mfa ? event->mfa : "",
		"fingerprint",
		event->key_fp ? event->key_fp : "",
		"reason",
		event->reason ? event->reason : "",
		NULL,
	};
	char source[ADDR_TEXT_MAX];
	struct kaudit_record record = {
		.ok = event->ok,
		.user = event->user,
		.addr = addr_text(&event->source, source),
		.terminal = "ssh",
		.fields = fields,
	};
	size_t i;

	for (i = 0; i < sizeof(audit_rows) / sizeof(audit_rows[0]); i++) {
		if (audit_rows[i].kind != event->kind)
			continue;
		record.type = audit_rows[i].type;
		record.op = audit_rows[i].op;
		return kaudit_send(&record);
	}
	return SGB_OK;
}

static void fill_in(const struct monitor *m, struct event *event)
{
	event->conn = m->conn_id;
	event->source = m->source;
	event->source_port = m->source_port;
	event->front = *m->front ? m->front : NULL;
	event->client = m->client_banner;
	if (m->user) {
		event->user = m->user;
		event->key_fp = m->key.fingerprint;
		event->key_type = m->key.name;
	}
	if (!event->mfa)
		event->mfa = m->mfa;
	if (!event->target)
		event->target = m->target;
	if (!event->login)
		event->login = m->opened_ms ? m->decision.login : m->login;
	if (!event->rec_id && *m->rec_id)
		event->rec_id = m->rec_id;
	if (!m->opened_ms)
		return;
	if (!event->rule)
		event->rule = m->decision.rule;
	if (!event->security_group)
		event->security_group = m->decision.security_group;
	if (!event->via)
		event->via = m->via;
	if (!event->target_port) {
		event->target_addr = m->decision.target_addr;
		event->target_port = m->decision.target_port;
	}
}

/* Quotes and backslashes are escaped, so that a value stays one value; the
 * log escapes control bytes. */
static void quote(const char *text, char *out, size_t len)
{
	size_t at = 0;

	for (; text && *text && at + 3 < len; text++) {
		if (*text == '"' || *text == '\\')
			out[at++] = '\\';
		out[at++] = *text;
	}
	out[at] = '\0';
}

static void to_log(const struct event *event)
{
	char source[ADDR_TEXT_MAX], what[400], reason[400];

	quote(event->what, what, sizeof(what));
	quote(event->reason, reason, sizeof(reason));
	log_put(event->ok ? LOG_INFO : LOG_NOTICE,
		"conn=%s event=%s result=%s user=%s from=%s target=%s login=%s "
		"mfa=%s rule=%s ref=%s what=\"%s\" reason=\"%s\"",
		event->conn, event_slug(event->kind), event->ok ? "ok" : "no",
		event->user ? event->user : "?",
		addr_text(&event->source, source),
		event->target ? event->target : "-",
		event->login ? event->login : "-",
		event->mfa && *event->mfa ? event->mfa : "-",
		event->rule ? event->rule : "-", event->ref ? event->ref : "-",
		what, reason);
}

/* A connection that has proved nothing has little to tell; one that has is
 * bounded too, so that nobody fills the trail. */
bool monitor_may_tell(struct monitor *m)
{
	unsigned int most = m->phase < MONITOR_PHASE_WAITING ? EVENTS_EARLY
							     : EVENTS_MAX;

	m->events++;
	if (m->ending)
		return m->events <= most + EVENTS_LAST;
	if (m->events <= most)
		return true;
	log_put(LOG_ERR, "%s: more than %u events", m->conn_id, most);
	monitor_end(m, RECORDER_CLOSE_POLICY,
		"This connection did too many things to be written down.");
	return false;
}

enum sgb_err monitor_event(struct monitor *m, struct event *event)
{
	enum sgb_err err, kernel = SGB_OK;
	struct buf json;

	if (!monitor_may_tell(m))
		return SGB_ERR_LIMIT;
	fill_in(m, event);
	to_log(event);
	buf_init(&json, EVENT_MAX_BYTES * 2);
	err = event_json(event, &json);
	if (!err)
		err = monitor_recorder_event(m, &json);
	buf_done(&json);
	/* Also when the trail is gone, and then above all. */
	if (m->conf->audit != CONF_AUDIT_OFF)
		kernel = to_kernel(event);
	if (!err && kaudit_denies(m->conf->audit, kernel))
		err = kernel;
	return err;
}

/* Crockford's alphabet: no I, L, O, U to be misread on the telephone. */
void monitor_reference(char ref[MONITOR_REF_MAX])
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint8_t bytes[5];
	size_t i;

	memset(bytes, 0, sizeof(bytes));
	if (secret_random(bytes, sizeof(bytes)))
		log_put(LOG_ERR, "no random bytes");
	for (i = 0; i < sizeof(bytes); i++)
		ref[i] = digits[bytes[i] & 31];
	ref[i] = '\0';
}
