/*
 * The bastion's own commands, `ssh alice@bastion hosts`: what a person may
 * see about himself. Read-only; everything comes from policy and from what
 * was proved.
 */
#include "monitor.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "cert.h"

/* Less than the session process takes in one go (FLOW_MAX). */
#define ANSWER_MAX (3 * 1024 * 1024)
#define PART_MAX   (MSG_MAX_BYTES / 2)

struct listing {
	struct monitor *m;
	const struct monitor_order *order;
	struct buf *out;
	size_t count;
};

static const struct action_name {
	unsigned int bit;
	const char *name;
} action_names[] = {
	{POLICY_SHELL, "shell"},
	{POLICY_EXEC, "exec"},
	{POLICY_EXEC_PATTERN, "exec*"},
	{POLICY_SFTP_READ, "sftp-read"},
	{POLICY_SFTP_WRITE, "sftp-write"},
	{POLICY_SCP, "scp"},
	{POLICY_RSYNC, "rsync"},
	{POLICY_FORWARD, "forward"},
	{POLICY_DYNAMIC, "dynamic"},
	{POLICY_REMOTE_FORWARD, "remote-forward"},
	{POLICY_AGENT, "agent"},
	{POLICY_X11, "x11"},
};

void monitor_put_actions(struct buf *out, unsigned int allow, const char *quote)
{
	const char *comma = "";
	size_t i;

	for (i = 0; i < sizeof(action_names) / sizeof(action_names[0]); i++) {
		if (!(allow & action_names[i].bit))
			continue;
		buf_printf(out, "%s%s%s%s", comma, quote, action_names[i].name,
			quote);
		comma = ",";
	}
}

static void put_host_json(
	struct listing *list, const struct policy_reach *reach)
{
	buf_printf(list->out, "%s{\"port\":%u", list->count ? "," : "",
		reach->port);
	monitor_put_member(list->out, "instance", reach->instance);
	monitor_put_member(list->out, "group", reach->security_group);
	monitor_put_member(list->out, "zone", reach->zone);
	monitor_put_member(list->out, "login", reach->login);
	buf_printf(list->out, ",\"may\":[");
	monitor_put_actions(list->out, reach->allow, "\"");
	buf_printf(list->out, "]}");
}

static bool put_host(const struct policy_reach *reach, void *arg)
{
	struct listing *list = arg;

	if (list->order->json) {
		put_host_json(list, reach);
	} else {
		buf_printf(list->out, "%-20s %-16s %-12s %5u  ",
			reach->instance,
			reach->security_group ? reach->security_group : "-",
			reach->login ? reach->login : "-", reach->port);
		monitor_put_actions(list->out, reach->allow, "");
		buf_printf(list->out, "\n");
	}
	list->count++;
	return !buf_error(list->out);
}

static void each_host(struct monitor *m, const struct monitor_order *order,
	struct buf *out, bool (*put)(const struct policy_reach *, void *))
{
	struct listing list = {.m = m, .order = order, .out = out};
	struct policy_request request;

	monitor_policy_request(m, NULL, 0, NULL, &request);
	policy_each_reachable(m->policy, &request, put, &list);
	if (!list.count && !order->json)
		buf_printf(out, "# nothing is permitted to %s from here now\n",
			m->user);
}

static uint32_t cmd_hosts(
	struct monitor *m, const struct monitor_order *order, struct buf *out)
{
	if (order->json)
		buf_printf(out, "[");
	else
		buf_printf(out, "%-20s %-16s %-12s %5s  %s\n", "INSTANCE",
			"GROUP", "LOGIN", "PORT", "MAY");
	each_host(m, order, out, put_host);
	if (order->json)
		buf_printf(out, "]\n");
	return 0;
}

/* The leg to the bastion is the client's to choose, and OpenSSH asks for
 * another cipher first. Not more than a comment: a client before OpenSSH 8.1
 * would refuse its whole configuration for the ^. */
static void put_ciphers(const struct monitor *m, struct buf *out)
{
	if (m->conf->fast_ciphers)
		buf_printf(out, "\t#Ciphers ^aes128-gcm@openssh.com\n");
}

/* One Host block an instance; the bastion answers as each of them, so its
 * own host key is the one to expect. */
static bool put_config(const struct policy_reach *reach, void *arg)
{
	struct listing *list = arg;

	buf_printf(list->out,
		"Host %s\n\tHostName %s\n\tPort %u\n\tUser %s\n"
		"\tHostKeyAlias sgbridge\n\tProxyJump sgbridge\n",
		reach->instance, reach->instance, reach->port,
		reach->login ? reach->login : list->m->user);
	put_ciphers(list->m, list->out);
	list->count++;
	return !buf_error(list->out);
}

static void put_known_host(const char *path, struct buf *out)
{
	char why[PATH_MAX + 200];
	EVP_PKEY *key = NULL;
	struct buf line;

	if (access(path, F_OK) || cert_ca_load(path, &key, why, sizeof(why)))
		return;
	buf_init(&line, 256);
	if (!cert_public_text(key, "", &line))
		buf_printf(out, "# sgbridge %.*s", (int)line.len,
			(const char *)line.data);
	buf_done(&line);
	EVP_PKEY_free(key);
}

/* The lines for known_hosts, so that nobody has to trust on first use: they
 * came through a connection whose key was checked. While the key is being
 * replaced (sgbridge rotate host-key) there are two. */
static void put_known_hosts(const struct monitor *m, struct buf *out)
{
	static const char *const suffixes[] = {"", ".new", ".old"};
	char path[PATH_MAX];
	size_t i;

	if (!m->conf->host_keys.count)
		return;
	buf_printf(out, "# For ~/.ssh/known_hosts:\n");
	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		snprintf(path, sizeof(path), "%s%s",
			m->conf->host_keys.items[0], suffixes[i]);
		put_known_host(path, out);
	}
}

static uint32_t cmd_config(
	struct monitor *m, const struct monitor_order *order, struct buf *out)
{
	buf_printf(out,
		"# sgbridge: instances that %s may reach. Append to "
		"~/.ssh/config and set\n# HostName and Port of the bastion as "
		"your client reaches it.\n"
		"Host sgbridge\n\tHostName %s\n\tUser %s\n"
		"\tHostKeyAlias sgbridge\n",
		m->user, m->local_addr, m->user);
	put_ciphers(m, out);
	if (m->conf->fast_ciphers)
		buf_printf(out,
			"# Ciphers: uncommented (OpenSSH 8.1 or newer), large "
			"copies go faster.\n");
	put_known_hosts(m, out);
	each_host(m, order, out, put_config);
	return 0;
}

static uint32_t cmd_whoami(
	struct monitor *m, const struct monitor_order *order, struct buf *out)
{
	char source[ADDR_TEXT_MAX];

	addr_text(&m->source, source);
	if (order->json) {
		buf_printf(out, "{\"port\":%u", m->source_port);
		monitor_put_member(out, "user", m->user);
		monitor_put_member(out, "source", source);
		monitor_put_member(out, "key_type", m->key.name);
		monitor_put_member(out, "key", m->key.fingerprint);
		monitor_put_member(out, "factor", *m->mfa ? m->mfa : "none");
		monitor_put_member(out, "session", m->conn_id);
		buf_printf(out, "}\n");
		return 0;
	}
	buf_printf(out,
		"user     %s\nsource   %s\nkey      %s %s\nfactor   %s\n"
		"session  %s\n",
		m->user, source, m->key.name, m->key.fingerprint,
		*m->mfa ? m->mfa : "none", m->conn_id);
	return 0;
}

static uint32_t cmd_help(
	struct monitor *m, const struct monitor_order *order, struct buf *out);

static const struct command_row {
	const char *name;
	bool takes_arg;
	const char *help;
	uint32_t (*run)(
		struct monitor *, const struct monitor_order *, struct buf *);
} command_rows[] = {
	{"hosts", false, "instances you may reach, and how", cmd_hosts},
	{"config", false, "lines for your ~/.ssh/config and known_hosts",
		cmd_config},
	{"whoami", false, "what the bastion knows about this login",
		cmd_whoami},
	{"explain", true, "[LOGIN@]TARGET[:PORT]: may you, and how?",
		monitor_cmd_explain},
	{"sessions", false, "your sessions; all, for those who may list",
		monitor_cmd_sessions},
	{"watch", true, "ID: another's session live, for those who may",
		monitor_cmd_watch},
	{"end", true, "ID: end one of your sessions", monitor_cmd_end},
	{"request", true,
		"[LOGIN@]TARGET REASON: ask ahead for an access that wants "
		"an approval",
		monitor_cmd_request},
	{"requests", false, "what waits for your approval, and yours",
		monitor_cmd_requests},
	{"approve", true, "ID [REASON]: say yes to a request",
		monitor_cmd_approve},
	{"deny", true, "ID [REASON]: say no, or take a yes back",
		monitor_cmd_deny},
	{"help", false, "this list", cmd_help},
};

static uint32_t cmd_help(
	struct monitor *m, const struct monitor_order *order, struct buf *out)
{
	size_t i;

	(void)m;
	(void)order;
	buf_printf(out,
		"ssh user+login@instance@bastion       log on to an instance\n"
		"ssh -J user@bastion login@instance    the same, recorded as "
		"well\n\nCommands of the bastion; --json behind the name is "
		"for programs:\n");
	for (i = 0; i < sizeof(command_rows) / sizeof(command_rows[0]); i++)
		buf_printf(out, "  %-10s %s\n", command_rows[i].name,
			command_rows[i].help);
	return 0;
}

static const struct command_row *find_row(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(command_rows) / sizeof(command_rows[0]); i++)
		if (strlen(command_rows[i].name) == len &&
			!strncmp(command_rows[i].name, name, len))
			return &command_rows[i];
	return NULL;
}

static const char *skip_blanks(const char *text)
{
	return text + strspn(text, " ");
}

/* "name", "name --json", "name argument" or "name --json argument". */
static uint32_t run(struct monitor *m, uint32_t channel, const char *command,
	struct buf *out)
{
	struct monitor_order order = {.channel = channel};
	const struct command_row *row;
	size_t len;

	if (m->limits.command[0]) {
		buf_printf(out,
			"this key runs one command; name where: ssh "
			"%s+LOGIN@INSTANCE@BASTION\n",
			m->user);
		return 126;
	}
	if (!*command)
		command = "hosts";
	len = strcspn(command, " ");
	row = find_row(command, len);
	order.arg = skip_blanks(command + len);
	len = strcspn(order.arg, " ");
	if (len == strlen("--json") && !strncmp(order.arg, "--json", len)) {
		order.json = true;
		order.arg = skip_blanks(order.arg + len);
	}
	if (row && row->takes_arg == (*order.arg != '\0'))
		return row->run(m, &order, out);
	if (row)
		buf_printf(out, "usage: %s %s\n", row->name, row->help);
	else
		buf_printf(out, "no such command of the bastion; try: help\n");
	return 127;
}

static enum sgb_err send_part(struct monitor *m, uint32_t channel,
	uint32_t status, bool more, const void *text, size_t len)
{
	struct msg answer;
	enum sgb_err err;

	msg_init(&answer, MSG_SES_TEXT);
	buf_put_u32(&answer.body, channel);
	buf_put_u32(&answer.body, status);
	buf_put_u32(&answer.body, more);
	buf_put_string(&answer.body, text, len);
	err = msg_send(m->session, &answer);
	msg_done(&answer);
	return err;
}

static enum sgb_err send_answer(struct monitor *m, uint32_t channel,
	uint32_t status, const struct buf *out)
{
	static const char too_long[] = "the answer is too long to be shown\n";
	size_t at = 0, len;
	enum sgb_err err = SGB_OK;

	/* Half a list would be a lie. */
	if (buf_error(out))
		return send_part(
			m, channel, 1, false, too_long, sizeof(too_long) - 1);
	do {
		len = out->len - at;
		if (len > PART_MAX)
			len = PART_MAX;
		err = send_part(m, channel, status, at + len < out->len,
			out->data + at, len);
		at += len;
	} while (!err && at < out->len);
	return err;
}

enum sgb_err monitor_command(struct monitor *m, struct msg *msg)
{
	uint32_t channel = reader_u32(&msg->reader);
	char *command = reader_cstring(&msg->reader, 4096);
	enum sgb_err err = reader_end(&msg->reader);
	struct event event = {.kind = EVENT_COMMAND, .what = command};
	struct buf out;
	uint32_t status;

	/* Logged on with what the target wants, which may be less than a
	 * command does; a sound session asks for none then. */
	if (!err && m->target)
		err = SGB_ERR_PHASE;
	if (err) {
		free(command);
		return err;
	}
	buf_init(&out, ANSWER_MAX);
	status = run(m, channel, command, &out);
	event.ok = status == 0 || status == MONITOR_STREAMS;
	if (monitor_event(m, &event)) {
		buf_reset(&out);
		status = 1;
	}
	if (status != MONITOR_STREAMS)
		err = send_answer(m, channel, status, &out);
	buf_done(&out);
	free(command);
	return err;
}
