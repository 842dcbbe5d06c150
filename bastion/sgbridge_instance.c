/*
 * sgbridge instance-setup: what an instance needs to admit the bastion and
 * nobody else, as a shell script for root there. Prints; opens no connection
 * and changes nothing here. Trusts the policy, sgbridge.conf and the public
 * CA key, which root wrote, but not their texts: what reaches the script is
 * made of our own words, a key that was parsed and checked, addresses, and
 * names without any character that a shell knows.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/sshkey.h"
#include "instance_script.h"
#include "topology.h"
#include "topology_ruleset.h"

#define CA_PATH	     "/etc/ssh/sgbridge_ca.pub"
#define SSHD_PATH    "/etc/ssh/sshd_config.d/00-sgbridge.conf"
#define NFT_PATH     "/etc/nftables.d/sgbridge.nft"
#define CA_MAX	     (64u * 1024)
#define GUARD_SECS   300u
#define CLI_MAX_PATH 4096

/* What the policy lets anybody do on the instance. */
struct wanted {
	bool root;
	unsigned int allow;
};

/* ---- the policy's word ---- */

static bool ids_meet(const struct policy *policy, struct policy_range a,
	struct policy_range b)
{
	uint32_t i, j;

	for (i = 0; i < a.count; i++)
		for (j = 0; j < b.count; j++)
			if (policy->ids.at[a.first + i] ==
				policy->ids.at[b.first + j])
				return true;
	return false;
}

/* Where a rule leaves the login to the instance or to the person's own name,
 * that name is root only if the policy declares such a person. */
static bool rule_has_root(const struct policy *policy,
	const struct policy_node *node, const struct policy_rule *rule)
{
	uint32_t root = policy_symbol_find(policy, "root");
	uint32_t i;

	if (rule->login_kind == LOGIN_ANY)
		return true;
	if (root == POLICY_NONE)
		return false;
	if (rule->login_kind == LOGIN_OWN && node->login != POLICY_NONE)
		return node->login == root;
	if (rule->login_kind == LOGIN_OWN)
		return policy_named(policy, root, NAME_USER) != POLICY_NONE;
	for (i = 0; i < rule->logins.count; i++)
		if (policy->ids.at[rule->logins.first + i] == root)
			return true;
	return false;
}

static void want(const struct policy *policy, const struct policy_node *node,
	struct wanted *ret)
{
	time_t now = time(NULL);
	uint32_t i;

	memset(ret, 0, sizeof(*ret));
	for (i = 0; i < policy->rules.count; i++) {
		const struct policy_rule *rule = &policy->rules.at[i];

		if (rule->kind != RULE_PERMIT ||
			(rule->expires && rule->expires <= now) ||
			!ids_meet(policy, rule->objects, node->objects))
			continue;
		ret->root = ret->root || rule_has_root(policy, node, rule);
		ret->allow |= rule->allow;
	}
}

/* A bastion is set up by sgbridge setup; and a network is no host. */
static const struct policy_node *find_instance(
	const struct policy *policy, const char *name)
{
	uint32_t i = policy_named(
		policy, policy_symbol_find(policy, name), NAME_NODE);
	const struct policy_node *node;

	if (i == POLICY_NONE || policy->nodes.at[i].subnet) {
		cli_fail("no instance \"%s\"", name);
		return NULL;
	}
	node = &policy->nodes.at[i];
	for (i = 0; i < node->sgs.count; i++)
		if (topology_is_bastion(
			    policy, policy->ids.at[node->sgs.first + i])) {
			cli_fail("%s is a bastion: sgbridge setup is for those",
				name);
			return NULL;
		}
	return node;
}

/* ---- files ---- */

/* Type and base64 of one line; a comment could hold anything, and is left
 * out. False for what is no plain key. */
static bool put_key(const char *line, struct buf *out)
{
	size_t type = strcspn(line, " \t");
	const char *base64 = line + type + strspn(line + type, " \t");
	size_t len = strcspn(base64, " \t\r");
	uint8_t *blob = NULL;
	size_t blob_len = 0;
	struct sshkey key;
	bool good;

	good = !sshkey_base64_decode(base64, len, &blob, &blob_len) &&
	       !sshkey_parse(blob, blob_len, &key) && !key.is_cert &&
	       strlen(key.name) == type && !strncmp(key.name, line, type);
	if (good)
		buf_printf(out, "%s %.*s\n", key.name, (int)len, base64);
	free(blob);
	return good;
}

static bool put_keys(const char *path, struct buf *out)
{
	struct buf text;
	char why[512] = "it holds no plain public key alone";
	char *line, *rest;
	bool good;

	buf_init(&text, CA_MAX);
	good = !file_read(path, FILE_TRUST_ROOT, &text, why, sizeof(why));
	buf_put_u8(&text, 0);
	good = good && !buf_error(&text) && strlen((char *)text.data);
	if (good)
		snprintf(why, sizeof(why), "%s: it holds what is no public key",
			path);
	rest = (char *)text.data;
	while (good && (line = strsep(&rest, "\n")))
		if (*line && *line != '#')
			good = put_key(line, out);
	buf_done(&text);
	if (!good)
		cli_fail("%s", why);
	return good;
}

/* The bastion's CA and, while it is being replaced (sgbridge rotate), the next
 * one or the old one beside it: instances trust both for as long. */
static bool put_ca(const struct conf *conf, struct buf *out)
{
	static const char *const others[] = {"new", "old"};
	char path[CLI_MAX_PATH];
	size_t before = out->len, i;

	snprintf(path, sizeof(path), "%s.pub", conf->user_ca);
	if (!put_keys(path, out))
		return false;
	if (out->len == before) {
		cli_fail("%s: no key in it", path);
		return false;
	}
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		snprintf(path, sizeof(path), "%s.%s.pub", conf->user_ca,
			others[i]);
		if (!access(path, F_OK) && !put_keys(path, out))
			return false;
	}
	return true;
}

/* The first value that sshd reads for a keyword counts: hence 00. Keys in a
 * home folder would be a way round the bastion. */
static void put_sshd(
	const struct wanted *wanted, const char *peers, struct buf *out)
{
	buf_printf(out,
		"# Written by sgbridge instance-setup, which will replace "
		"it.\n"
		"TrustedUserCAKeys " CA_PATH "\n"
		"AuthorizedKeysFile none\n"
		"PubkeyAuthentication yes\n"
		"PasswordAuthentication no\n"
		"KbdInteractiveAuthentication no\n"
		"HostbasedAuthentication no\n"
		"PermitRootLogin %s\n"
		"X11Forwarding %s\n"
		"AllowAgentForwarding %s\n"
		"LogLevel VERBOSE\n",
		wanted->root ? "prohibit-password" : "no",
		wanted->allow & POLICY_X11 ? "yes" : "no",
		wanted->allow & POLICY_AGENT ? "yes" : "no");
	if (*peers)
		buf_printf(out,
			"# And where sshd has penalties, which is from 9.8 "
			"on:\n"
			"# PerSourcePenaltyExemptList %s\n",
			peers);
}

/* Whom sshd there sees coming: the last jump host of the way, or the bastion.
 * Everybody comes from there, so a penalty for what one of them did would shut
 * all of them out. Empty if the policy has no address of the bastion. */
static bool put_peers(
	struct cli *cli, const struct policy_node *node, struct ruleset *set)
{
	const struct policy *policy = cli->policy;
	struct policy_nets nets = {0};
	uint32_t i;

	set->policy = cli->policy;
	if (node->via != POLICY_NONE)
		ruleset_add_node(set, &policy->nodes.at[node->via], &nets);
	for (i = 0; node->via == POLICY_NONE && i < policy->bastion_nets.count;
		i++)
		ruleset_add_net(set,
			&policy->nets.at[policy->bastion_nets.first + i],
			&nets);
	ruleset_drop_loopback(&nets);
	ruleset_put_list(set, &nets);
	buf_put_u8(&set->out, 0);
	free(nets.list.at);
	if (!policy->failed && !buf_error(&set->out))
		return true;
	cli_fail("%s", sgb_err_text(SGB_ERR_NOMEM));
	return false;
}

struct files {
	const char *login; /* of the policy, or a word that says what to put */
	struct buf ca, sshd;
	struct ruleset peers; /* a text, with its NUL */
	struct ruleset set;   /* with --nftables */
};

static bool make_files(
	struct cli *cli, const struct conf *conf, struct files *files)
{
	const char *name = cli->argv[0];
	const struct policy_node *node;
	struct wanted wanted;

	if (!cli_load(cli))
		return false;
	node = find_instance(cli->policy, name);
	if (!node)
		return false;
	if (!put_peers(cli, node, &files->peers))
		return false;
	files->login = node->login == POLICY_NONE
			       ? "LOGIN"
			       : policy_symbol_text(cli->policy, node->login);
	want(cli->policy, node, &wanted);
	put_sshd(&wanted, (const char *)files->peers.out.data, &files->sshd);
	return put_ca(conf, &files->ca) &&
	       (!cli->nftables || ruleset_make(cli, conf, name, &files->set));
}

/* ---- the script ---- */

static void put_files(const struct cli *cli, const struct files *files,
	void (*put)(struct buf *out, const char *path, const struct buf *text),
	struct buf *out)
{
	put(out, CA_PATH, &files->ca);
	put(out, SSHD_PATH, &files->sshd);
	if (cli->nftables)
		put(out, NFT_PATH, &files->set.out);
}

static void put_heading(
	struct buf *out, const char *path, const struct buf *text)
{
	buf_printf(out, "==> %s <==\n", path);
	buf_put(out, text->data, text->len);
}

static bool wanted_seconds(const struct cli *cli, uint64_t *ret)
{
	*ret = GUARD_SECS;
	if (!cli->confirm ||
		(!conf_seconds(cli->confirm, ret) && *ret && *ret <= 86400))
		return true;
	cli_fail("--confirm-within %s: expected a time up to a day, such as "
		 "60s or 5m",
		cli->confirm);
	return false;
}

static int print(struct cli *cli, const struct files *files)
{
	int status = CLI_ERROR;
	uint64_t seconds;
	struct buf out;

	buf_init(&out, 2 * RULESET_MAX);
	if (!wanted_seconds(cli, &seconds))
		goto out;
	if (cli->dry_run) {
		put_files(cli, files, put_heading, &out);
	} else {
		script_begin(&out, seconds, cli->nftables, cli->argv[0],
			files->login);
		put_files(cli, files, script_file, &out);
		if (files->peers.out.len > 1)
			script_exempt(&out, SSHD_PATH,
				(const char *)files->peers.out.data);
		script_end(&out);
	}
	cli_print(&out);
	status = buf_error(&out) ? CLI_ERROR : CLI_YES;
out:
	buf_done(&out);
	return status;
}

static int print_undo(void)
{
	struct buf out;

	buf_init(&out, CA_MAX);
	script_undo(&out);
	cli_print(&out);
	buf_done(&out);
	return CLI_YES;
}

int cmd_instance_setup(struct cli *cli)
{
	struct files files = {0};
	struct conf *conf = NULL;
	int status = CLI_ERROR;

	if (cli->undo)
		return print_undo();
	buf_init(&files.ca, 4 * CA_MAX);
	buf_init(&files.sshd, CA_MAX);
	buf_init(&files.set.out, RULESET_MAX);
	buf_init(&files.peers.out, CA_MAX);
	if (!cli_conf(cli, &conf) || !make_files(cli, conf, &files))
		status = CLI_ERROR;
	else if (buf_error(&files.ca) || buf_error(&files.sshd))
		cli_fail("%s", sgb_err_text(SGB_ERR_LIMIT));
	else
		status = print(cli, &files);
	buf_done(&files.ca);
	buf_done(&files.sshd);
	buf_done(&files.set.out);
	buf_done(&files.peers.out);
	conf_free(conf);
	return status;
}
