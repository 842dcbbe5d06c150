/*
 * The bastion's own commands, `ssh alice@bastion hosts`: what a person may
 * see about himself. Read-only; everything comes from policy and from what
 * was proved.
 */
#include "monitor.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "cert.h"

struct listing {
	struct monitor *m;
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
	{POLICY_REMOTE_FORWARD, "remote-forward"},
	{POLICY_AGENT, "agent"},
	{POLICY_X11, "x11"},
};

static bool put_host(const struct policy_reach *reach, void *arg)
{
	struct listing *list = arg;
	const char *comma = "";
	size_t i;

	buf_printf(list->out, "%-20s %-16s %-12s %5u  ", reach->instance,
		reach->security_group ? reach->security_group : "-",
		reach->login ? reach->login : "-", reach->port);
	for (i = 0; i < sizeof(action_names) / sizeof(action_names[0]); i++) {
		if (!(reach->allow & action_names[i].bit))
			continue;
		buf_printf(list->out, "%s%s", comma, action_names[i].name);
		comma = ",";
	}
	buf_printf(list->out, "\n");
	list->count++;
	return !buf_error(list->out);
}

static void each_host(struct monitor *m, struct buf *out,
	bool (*put)(const struct policy_reach *, void *))
{
	struct listing list = {.m = m, .out = out};
	struct policy_request request;

	monitor_policy_request(m, NULL, 0, NULL, &request);
	policy_each_reachable(m->policy, &request, put, &list);
	if (!list.count)
		buf_printf(out, "# nothing is permitted to %s from here now\n",
			m->user);
}

static uint32_t cmd_hosts(struct monitor *m, const char *arg, struct buf *out)
{
	(void)arg;
	buf_printf(out, "%-20s %-16s %-12s %5s  %s\n", "INSTANCE", "GROUP",
		"LOGIN", "PORT", "MAY");
	each_host(m, out, put_host);
	return 0;
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
	list->count++;
	return !buf_error(list->out);
}

/* The line for known_hosts, so that nobody has to trust on first use: it came
 * through a connection whose key was checked. */
static void put_known_host(const struct monitor *m, struct buf *out)
{
	char why[PATH_MAX + 200];
	unsigned char base64[128];
	EVP_PKEY *key = NULL;
	struct buf blob;

	if (!m->conf->host_keys.count ||
		cert_ca_load(
			m->conf->host_keys.items[0], &key, why, sizeof(why)))
		return;
	buf_init(&blob, 64);
	if (!cert_public_blob(key, &blob)) {
		(void)EVP_EncodeBlock(base64, blob.data, (int)blob.len);
		buf_printf(out,
			"# For ~/.ssh/known_hosts:\n# sgbridge ssh-ed25519 "
			"%s\n",
			(const char *)base64);
	}
	buf_done(&blob);
	EVP_PKEY_free(key);
}

static uint32_t cmd_config(struct monitor *m, const char *arg, struct buf *out)
{
	(void)arg;
	buf_printf(out,
		"# sgbridge: instances that %s may reach. Append to "
		"~/.ssh/config and set\n# HostName and Port of the bastion as "
		"your client reaches it.\n"
		"Host sgbridge\n\tHostName %s\n\tUser %s\n"
		"\tHostKeyAlias sgbridge\n",
		m->user, m->local_addr, m->user);
	put_known_host(m, out);
	each_host(m, out, put_config);
	return 0;
}

static uint32_t cmd_whoami(struct monitor *m, const char *arg, struct buf *out)
{
	char source[ADDR_TEXT_MAX];

	(void)arg;
	buf_printf(out,
		"user     %s\nsource   %s\nkey      %s %s\nfactor   %s\n"
		"session  %s\n",
		m->user, addr_text(&m->source, source), m->key.name,
		m->key.fingerprint, *m->mfa ? m->mfa : "none", m->conn_id);
	return 0;
}

static uint32_t cmd_help(struct monitor *m, const char *arg, struct buf *out);

static const struct command_row {
	const char *name;
	bool takes_arg;
	const char *help;
	uint32_t (*run)(struct monitor *, const char *arg, struct buf *);
} command_rows[] = {
	{"hosts", false, "instances you may reach, and how", cmd_hosts},
	{"config", false, "lines for your ~/.ssh/config", cmd_config},
	{"whoami", false, "what the bastion knows about this login",
		cmd_whoami},
	{"sessions", false, "your sessions; all, for those who may list",
		monitor_cmd_sessions},
	{"end", true, "ID: end one of your sessions", monitor_cmd_end},
	{"requests", false, "accesses that wait for your approval",
		monitor_cmd_requests},
	{"approve", true, "ID: let it begin", monitor_cmd_approve},
	{"deny", true, "ID: refuse it", monitor_cmd_deny},
	{"help", false, "this list", cmd_help},
};

static uint32_t cmd_help(struct monitor *m, const char *arg, struct buf *out)
{
	size_t i;

	(void)m;
	(void)arg;
	buf_printf(out,
		"ssh user+login@instance@bastion       log on to an instance\n"
		"ssh -J user@bastion login@instance    the same, recorded as "
		"well\n\nCommands of the bastion:\n");
	for (i = 0; i < sizeof(command_rows) / sizeof(command_rows[0]); i++)
		buf_printf(out, "  %-10s %s\n", command_rows[i].name,
			command_rows[i].help);
	return 0;
}

/* "name" or "name argument", one blank between. */
static uint32_t run(struct monitor *m, const char *command, struct buf *out)
{
	size_t len, i;

	if (!*command)
		command = "hosts";
	len = strcspn(command, " ");
	for (i = 0; i < sizeof(command_rows) / sizeof(command_rows[0]); i++) {
		const struct command_row *row = &command_rows[i];
		const char *arg = command[len] ? command + len + 1 : "";

		if (strlen(row->name) != len ||
			strncmp(row->name, command, len) ||
			row->takes_arg != (*arg != '\0'))
			continue;
		return row->run(m, arg, out);
	}
	buf_printf(out, "no such command of the bastion; try: help\n");
	return 127;
}

enum sgb_err monitor_command(struct monitor *m, struct msg *msg)
{
	uint32_t channel = reader_u32(&msg->reader);
	char *command = reader_cstring(&msg->reader, 4096);
	enum sgb_err err = reader_end(&msg->reader);
	struct event event = {.kind = EVENT_COMMAND, .what = command};
	struct buf out;
	struct msg answer;
	uint32_t status;

	if (err) {
		free(command);
		return err;
	}
	buf_init(&out, MSG_MAX_BYTES / 2);
	status = run(m, command, &out);
	event.ok = status == 0;
	err = monitor_event(m, &event);
	msg_init(&answer, MSG_SES_TEXT);
	buf_put_u32(&answer.body, channel);
	buf_put_u32(&answer.body, err ? 1 : status);
	buf_put_string(&answer.body, out.data, err ? 0 : out.len);
	err = msg_send(m->session, &answer);
	msg_done(&answer);
	buf_done(&out);
	free(command);
	return err;
}
