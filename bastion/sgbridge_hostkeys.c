/*
 * sgbridge host-keys: for each instance, what would vouch for its host key,
 * and where that stands. Reads the policy and the files of known-hosts;
 * connects nowhere.
 */
#include "sgbridge.h"

#include <string.h>

#include "core/conf.h"
#include "hostkey.h"

#define PORT_SSH 22
#define PORT_RDP 3389
#define TEXT_MAX (1024u * 1024)

void cli_hostkey_node(const struct policy *policy,
	const struct policy_node *node, const struct conf *conf,
	struct hostkey_node *ret)
{
	*ret = (struct hostkey_node){
		.name = policy_symbol_text(policy, node->sym),
		.port = node->port ? node->port : PORT_SSH,
		.pins = (const char *const *)policy->texts.at +
			node->pins.first,
		.files = &conf->known_hosts,
		.cache = conf->host_certs,
	};
}

/* The bastion's own groups hold no targets. */
static bool is_target(
	const struct policy *policy, const struct policy_node *node)
{
	uint32_t i, j;

	if (node->subnet || node->port == PORT_RDP)
		return false;
	for (i = 0; i < node->sgs.count; i++) {
		for (j = 0; j < policy->bastion_sgs.count; j++)
			if (policy->ids.at[node->sgs.first + i] ==
				policy->ids.at[policy->bastion_sgs.first + j])
				break;
		if (j == policy->bastion_sgs.count)
			return true;
	}
	return !node->sgs.count;
}

static void put_row(struct table *table, const struct hostkey_node *node,
	const char *line, size_t len)
{
	struct buf cell;

	table_put(table, node->name);
	buf_init(&cell, TEXT_MAX);
	buf_printf(&cell, "%u", node->port);
	table_put_buf(table, &cell);
	buf_put(&cell, line, len);
	table_put_buf(table, &cell);
	buf_done(&cell);
}

/* A row for each source; one that says so where there is none. */
static bool put_rows(struct table *table, const struct hostkey_node *node)
{
	static const char none[] =
		"none: connections are refused; see sgbridge-policy(5), "
		"host-key, and sgbridge.conf(5), known-hosts";
	bool known = hostkey_any(node);
	const char *at, *end;
	struct buf text;

	buf_init(&text, TEXT_MAX);
	if (hostkey_describe(node, "", &text))
		buf_reset(&text);
	for (at = (const char *)text.data; text.len; at = end + 1) {
		size_t left = text.len - (size_t)(at - (const char *)text.data);

		end = left ? memchr(at, '\n', left) : NULL;
		if (!end)
			break;
		put_row(table, node, at, (size_t)(end - at));
	}
	if (!known)
		put_row(table, node, none, sizeof(none) - 1);
	buf_done(&text);
	return known;
}

static void print(struct cli *cli, const struct table *table)
{
	struct buf out;

	if (!cli->json) {
		table_print(table, cli->colour);
		return;
	}
	buf_init(&out, 64u * 1024 * 1024);
	table_json(table, &out);
	buf_put_u8(&out, '\n');
	cli_print(&out);
	buf_done(&out);
}

static int list(struct cli *cli, const struct conf *conf)
{
	static const char *const columns[] = {
		"instance", "port", "host_key", NULL};
	const struct policy *policy = cli->policy;
	const char *wanted = cli->argc ? cli->argv[0] : NULL;
	int status = wanted ? CLI_ERROR : CLI_YES;
	struct hostkey_node node;
	struct table table;
	uint32_t i;

	table_init(&table, columns);
	for (i = 0; i < policy->nodes.count; i++) {
		const struct policy_node *one = &policy->nodes.at[i];

		cli_hostkey_node(policy, one, conf, &node);
		if (wanted ? strcmp(node.name, wanted) != 0
			   : !is_target(policy, one))
			continue;
		if (wanted)
			status = CLI_YES;
		if (!put_rows(&table, &node))
			status = CLI_NO;
	}
	if (status == CLI_ERROR)
		cli_fail("%s: no such instance in the policy; see sgbridge "
			 "host-keys",
			wanted);
	else
		print(cli, &table);
	table_done(&table);
	return status;
}

int cmd_host_keys(struct cli *cli)
{
	struct conf *conf = NULL;
	int status = CLI_ERROR;

	if (cli_conf(cli, &conf) && cli_load(cli))
		status = list(cli, conf);
	conf_free(conf);
	return status;
}
