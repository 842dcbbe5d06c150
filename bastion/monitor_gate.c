/*
 * The one gate: every channel and every request of a channel asks here, and
 * nothing is permitted that a row of the table does not permit. Reports of
 * the session become events; they are hearsay and decide nothing.
 */
#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

#define ARGUMENT_MAX 65536

struct asked {
	uint32_t channel;
	uint32_t request;
	char *argument;
	uint32_t number;
	bool forced; /* argument is the key's command, not the client's */
};

static bool allows(const struct monitor *m, enum policy_action action,
	const struct asked *asked)
{
	return policy_allows(&m->decision, action, asked->argument);
}

/* Only session channels come here; jumps and forwards have their own
 * requests, and every other type is refused. */
static bool gate_channel(const struct monitor *m, const struct asked *asked)
{
	(void)m;
	return !strcmp(asked->argument, "session");
}

static bool gate_pty(const struct monitor *m, const struct asked *asked)
{
	return !m->limits.no_pty && allows(m, POLICY_SHELL, asked);
}

/* "NAME" or "NAME*" against the name in "NAME=value". */
static bool names_variable(const char *pattern, const char *name, size_t len)
{
	size_t n = strlen(pattern);

	if (n && pattern[n - 1] == '*')
		return len >= n - 1 && !strncmp(name, pattern, n - 1);
	return len == n && !strncmp(name, pattern, n);
}

/* What the settings name, and whatever they say nothing that changes which
 * program or library runs, or that shells would execute. */
static bool gate_env(const struct monitor *m, const struct asked *asked)
{
	static const char *const never[] = {"LD_*", "PATH", "IFS", "ENV",
		"BASH_*", "SHELLOPTS", "PS4", "PYTHON*", "PERL5*"};
	const char *name = asked->argument;
	size_t len = strcspn(name, "="), i;

	if (name[len] != '=' || !len || len > 64 || strlen(name) > 512 ||
		strpbrk(name, "\n(") ||
		strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "abcdefghijklmnopqrstuvwxyz0123456789_") != len)
		return false;
	for (i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (names_variable(never[i], name, len))
			return false;
	for (i = 0; i < m->conf->accept_env.count; i++)
		if (names_variable(m->conf->accept_env.items[i], name, len))
			return true;
	return false;
}

static bool gate_shell(const struct monitor *m, const struct asked *asked)
{
	return allows(m, POLICY_SHELL, asked);
}

static bool gate_exec(const struct monitor *m, const struct asked *asked)
{
	return allows(m, POLICY_EXEC, asked);
}

static bool gate_subsystem(const struct monitor *m, const struct asked *asked)
{
	const unsigned int both = POLICY_SFTP_READ | POLICY_SFTP_WRITE;

	return !strcmp(asked->argument, "sftp") && (m->decision.allow & both);
}

static bool gate_sftp_read(const struct monitor *m, const struct asked *asked)
{
	(void)asked;
	return m->decision.allow & POLICY_SFTP_READ;
}

static bool gate_sftp_write(const struct monitor *m, const struct asked *asked)
{
	(void)asked;
	return m->decision.allow & POLICY_SFTP_WRITE;
}

static bool gate_agent(const struct monitor *m, const struct asked *asked)
{
	return !m->limits.no_agent && allows(m, POLICY_AGENT, asked);
}

static bool gate_x11(const struct monitor *m, const struct asked *asked)
{
	return !m->limits.no_x11 && allows(m, POLICY_X11, asked);
}

static bool gate_remote(const struct monitor *m, const struct asked *asked)
{
	return !m->limits.no_forward &&
	       authkeys_permits(m->limits.permit_listen, asked->argument,
		       asked->number) &&
	       allows(m, POLICY_REMOTE_FORWARD, asked);
}

static const struct gate_row {
	enum session_request request;
	const char *name;
	bool (*permits)(const struct monitor *, const struct asked *);
	bool is_command; /* its argument is an event of its own */
} gate_rows[] = {
	{SESSION_REQUEST_CHANNEL, "channel", gate_channel, false},
	{SESSION_REQUEST_PTY, "pty", gate_pty, false},
	{SESSION_REQUEST_ENV, "env", gate_env, false},
	{SESSION_REQUEST_SHELL, "shell", gate_shell, true},
	{SESSION_REQUEST_EXEC, "exec", gate_exec, true},
	{SESSION_REQUEST_SUBSYSTEM, "subsystem", gate_subsystem, true},
	{SESSION_REQUEST_AGENT, "agent", gate_agent, false},
	{SESSION_REQUEST_X11, "x11", gate_x11, false},
	{SESSION_REQUEST_REMOTE_FORWARD, "remote-forward", gate_remote, false},
	{SESSION_REQUEST_SFTP_WRITE, "sftp-write", gate_sftp_write, false},
	{SESSION_REQUEST_SFTP_READ, "sftp-read", gate_sftp_read, false},
};

static const struct gate_row *find_row(uint32_t request)
{
	size_t i;

	for (i = 0; i < sizeof(gate_rows) / sizeof(gate_rows[0]); i++)
		if (gate_rows[i].request == request)
			return &gate_rows[i];
	return NULL;
}

/* A command that runs and a request that does not are both events; what is
 * merely granted on the way (a pty, a locale) is in the recording. */
static bool tell(struct monitor *m, const struct gate_row *row,
	const struct asked *asked, bool *allow, const char *ref)
{
	char what[1200];
	struct event event = {
		.kind = row->is_command && *allow ? EVENT_COMMAND : EVENT_GATE,
		.ok = *allow,
		.what = what,
		.ref = *allow ? NULL : ref,
		.reason = *allow ? NULL : "not allowed by the rule",
	};

	if (*allow && !row->is_command)
		return true;
	/* Routine: an environment variable that is not on the list, an agent
	 * that is there for the bastion, and what the session asks about SFTP
	 * before it knows whether it matters. */
	if (!*allow && ((row->request == SESSION_REQUEST_AGENT &&
				m->decision.credential == POLICY_OWN_AGENT) ||
			       row->request == SESSION_REQUEST_ENV ||
			       row->request == SESSION_REQUEST_SFTP_READ ||
			       row->request == SESSION_REQUEST_SFTP_WRITE))
		return true;
	snprintf(what, sizeof(what), "%s%s%.1100s", row->name,
		*asked->argument ? " " : "", asked->argument);
	if (!monitor_event(m, &event))
		return true;
	*allow = false;
	return false;
}

static enum sgb_err answer(struct monitor *m, const struct asked *asked,
	enum session_gate verdict, const char *text)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_SES_GATE);
	buf_put_u32(&msg.body, asked->channel);
	buf_put_u32(&msg.body, asked->request);
	buf_put_u32(&msg.body, verdict);
	buf_put_cstring(&msg.body, text);
	err = msg_send(m->session, &msg);
	msg_done(&msg);
	return err;
}

/* A key with command= (or a certificate with force-command) runs that and
 * nothing else, whatever the client asks to start, and only if the rule lets
 * everybody run it. */
static void force_command(const struct monitor *m, const struct gate_row **row,
	struct asked *asked)
{
	if (!m->limits.command[0] || !(*row)->is_command)
		return;
	free(asked->argument);
	asked->argument = strdup(m->limits.command);
	asked->forced = true;
	*row = asked->argument ? find_row(SESSION_REQUEST_EXEC) : NULL;
}

enum sgb_err monitor_gate(struct monitor *m, struct msg *msg)
{
	struct asked asked = {.channel = reader_u32(&msg->reader)};
	char ref[MONITOR_REF_MAX], text[128] = "";
	const struct gate_row *row;
	enum sgb_err err;
	bool allow;

	asked.request = reader_u32(&msg->reader);
	asked.argument = reader_cstring(&msg->reader, ARGUMENT_MAX);
	asked.number = reader_u32(&msg->reader);
	err = reader_end(&msg->reader);
	row = find_row(asked.request);
	if (!err && !row)
		err = SGB_ERR_FORMAT;
	if (!err)
		force_command(m, &row, &asked);
	if (!err && !row)
		err = SGB_ERR_NOMEM;
	if (!err) {
		allow = row->permits(m, &asked);
		monitor_reference(ref);
		(void)tell(m, row, &asked, &allow, ref);
		if (!allow)
			snprintf(text, sizeof(text),
				"%s is not permitted here (reference %s)",
				row->name, ref);
		if (allow && asked.forced)
			err = answer(
				m, &asked, SESSION_GATE_FORCED, asked.argument);
		else
			err = answer(m, &asked,
				allow ? SESSION_GATE_ALLOWED
				      : SESSION_GATE_REFUSED,
				text);
	}
	free(asked.argument);
	return err;
}

struct report {
	uint32_t channel, kind;
	uint64_t a, b;
	char *text;
};

static void report_event(struct monitor *m, struct event *event)
{
	if (monitor_event(m, event))
		log_put(LOG_ERR, "%s: event lost", m->conn_id);
}

/* Logged on: nothing more is to be signed. A session that lies here harms its
 * own login. */
static void on_ready(struct monitor *m, const struct report *report)
{
	(void)report;
	monitor_agent_close(m);
	monitor_credential_done(m);
}

static void on_failed(struct monitor *m, const struct report *report)
{
	struct event event = {
		.kind = EVENT_TARGET_FAIL,
		.reason = report->text,
	};

	m->close_reason = RECORDER_CLOSE_TARGET;
	report_event(m, &event);
}

static void on_exit_status(struct monitor *m, const struct report *report)
{
	(void)report;
	m->close_reason = RECORDER_CLOSE_EXIT;
}

static void on_file(struct monitor *m, const struct report *report)
{
	struct event event = {
		.kind = EVENT_FILE,
		.ok = true,
		.what = report->text,
		.reason = report->b ? "upload" : "download",
	};

	if (report->b)
		event.bytes_in = report->a;
	else
		event.bytes_out = report->a;
	report_event(m, &event);
}

static void on_recorder_lost(struct monitor *m, const struct report *report)
{
	struct event event = {
		.kind = EVENT_RECORDING_FAIL,
		.reason = "the recorder stopped taking bytes",
	};

	(void)report;
	m->close_reason = RECORDER_CLOSE_FAILED;
	report_event(m, &event);
}

static void on_anomaly(struct monitor *m, const struct report *report)
{
	if (!m->ending && monitor_may_tell(m))
		log_put(LOG_WARNING, "%s: anomaly: %s", m->conn_id,
			report->text);
}

static void on_forward_closed(struct monitor *m, const struct report *report)
{
	monitor_forward_closed(m, report->channel, report->a, report->b);
}

/* Before there is a target, there is nothing to tell of one. */
#define EARLY MONITOR_PHASE_AUTH
#define LOGON MONITOR_PHASE_PROVED
#define LATER MONITOR_PHASE_OPEN

static const struct report_row {
	enum session_report kind;
	enum monitor_phase from;
	void (*handle)(struct monitor *, const struct report *);
} report_rows[] = {
	{SESSION_REPORT_TARGET_READY, LATER, on_ready},
	{SESSION_REPORT_TARGET_FAILED, LATER, on_failed},
	{SESSION_REPORT_CHANNEL_CLOSED, LOGON, NULL},
	{SESSION_REPORT_EXIT, LOGON, on_exit_status},
	{SESSION_REPORT_FILE, LATER, on_file},
	{SESSION_REPORT_RECORDER_LOST, LOGON, on_recorder_lost},
	{SESSION_REPORT_ANOMALY, EARLY, on_anomaly},
	{SESSION_REPORT_FORWARD_CLOSED, LOGON, on_forward_closed},
};

static const struct report_row *find_report(uint32_t kind)
{
	size_t i;

	for (i = 0; i < sizeof(report_rows) / sizeof(report_rows[0]); i++)
		if (report_rows[i].kind == kind)
			return &report_rows[i];
	return NULL;
}

enum sgb_err monitor_report(struct monitor *m, struct msg *msg)
{
	struct report report = {.channel = reader_u32(&msg->reader)};
	const struct report_row *row;
	enum sgb_err err;

	report.kind = reader_u32(&msg->reader);
	report.a = reader_u64(&msg->reader);
	report.b = reader_u64(&msg->reader);
	report.text = reader_cstring(&msg->reader, ARGUMENT_MAX);
	err = reader_end(&msg->reader);
	row = find_report(report.kind);
	if (!err && !row)
		err = SGB_ERR_FORMAT;
	if (!err && m->phase < row->from)
		err = SGB_ERR_PHASE;
	if (!err && row->handle)
		row->handle(m, &report);
	free(report.text);
	return err;
}
