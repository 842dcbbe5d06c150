/*
 * sgbridge topology nftables, apply, confirm and restore: changes this host's
 * ruleset, in one transaction of nft's, and only the table inet sgbridge. What
 * was loaded before is kept in a folder that is root's alone. With
 * --confirm-within a process that belongs to no terminal waits, and loads the
 * previous ruleset again unless somebody confirms: who has locked himself out
 * is let in again.
 */
#include "topology_apply.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/event.h"
#include "topology.h"
#include "topology_ruleset.h"
#include "topology_run.h"

#define EMPTY \
	"table inet " RULESET_TABLE "\ndelete table inet " RULESET_TABLE "\n" \
	"table inet " RULESET_BEFORE "\ndelete table inet " RULESET_BEFORE \
	"\n"

/* ---- what a command needs ---- */

struct apply {
	struct cli *cli;
	struct conf *conf;
	struct state state;
	struct ruleset set;
	struct buf live;  /* as it is listed */
	struct buf fresh; /* set.out, as it would be */
};

static void apply_init(struct apply *apply, struct cli *cli)
{
	memset(apply, 0, sizeof(*apply));
	apply->cli = cli;
	state_init(&apply->state);
	buf_init(&apply->set.out, RULESET_MAX);
	buf_init(&apply->live, RULESET_MAX);
	buf_init(&apply->fresh, RULESET_MAX);
}

static void apply_done(struct apply *apply)
{
	state_done(&apply->state);
	buf_done(&apply->set.out);
	buf_done(&apply->live);
	buf_done(&apply->fresh);
	conf_free(apply->conf);
}

static bool buf_equal(const struct buf *a, const struct buf *b)
{
	return a->len == b->len &&
	       (!a->len || !memcmp(a->data, b->data, a->len));
}

static bool make(struct apply *apply, const char *name)
{
	return cli_conf(apply->cli, &apply->conf) && cli_load(apply->cli) &&
	       ruleset_make(apply->cli, apply->conf, name, &apply->set);
}

/* What was loaded, as a file that brings it back. */
static bool save(struct apply *apply, const char *name, const struct buf *live)
{
	struct buf text;
	bool good;

	buf_init(&text, RULESET_MAX + sizeof(EMPTY));
	buf_put(&text, EMPTY, sizeof(EMPTY) - 1);
	buf_put(&text, live->data, live->len);
	good = !buf_error(&text) &&
	       state_write(&apply->state, name, text.data, text.len);
	buf_done(&text);
	return good;
}

/* ---- nftables: print, or compare ---- */

static void print_json(struct apply *apply, const char *name)
{
	bool compare = apply->cli->diff;
	struct buf out;

	buf_init(&out, 4 * RULESET_MAX);
	buf_printf(&out, "{\"table\":\"inet " RULESET_TABLE "\",");
	text_json_member(&out, "for", name ? name : "");
	if (compare)
		buf_printf(&out, ",\"differs\":%s,\"loaded\":",
			buf_equal(&apply->live, &apply->fresh) ? "false"
							       : "true");
	if (compare)
		json_put_string(&out,
			apply->live.len ? (const char *)apply->live.data : "",
			apply->live.len);
	buf_printf(&out, ",\"ruleset\":");
	json_put_string(
		&out, (const char *)apply->set.out.data, apply->set.out.len);
	buf_printf(&out, "}\n");
	cli_print(&out);
	buf_done(&out);
}

static bool read_both(struct apply *apply)
{
	return run_list(&apply->live) &&
	       run_normal(
		       apply->set.out.data, apply->set.out.len, &apply->fresh);
}

static int print_diff(struct apply *apply)
{
	int status = CLI_ERROR;
	struct buf out;

	buf_init(&out, 2 * RULESET_MAX);
	if (run_diff(&apply->live, &apply->fresh, apply->cli->colour, &out)) {
		cli_print(&out);
		status = out.len ? CLI_NO : CLI_YES;
	}
	buf_done(&out);
	return status;
}

static int nftables(struct cli *cli, const char *name)
{
	struct apply apply;
	int status = CLI_ERROR;

	apply_init(&apply, cli);
	if (!make(&apply, name)) {
		status = CLI_ERROR;
	} else if (cli->diff && !read_both(&apply)) {
		status = CLI_ERROR;
	} else if (cli->json) {
		print_json(&apply, name);
		status = cli->diff && !buf_equal(&apply.live, &apply.fresh)
				 ? CLI_NO
				 : CLI_YES;
	} else if (cli->diff) {
		status = print_diff(&apply);
	} else {
		cli_print(&apply.set.out);
		status = CLI_YES;
	}
	apply_done(&apply);
	return status;
}

int topology_nftables(struct cli *cli)
{
	if (cli->argc != 1)
		return cli_fail("usage: sgbridge topology nftables "
				"[--for INSTANCE] [--diff]");
	return nftables(cli, cli->instance);
}

int cmd_nftables(struct cli *cli)
{
	if (cli->argc == 1 && cli->instance)
		return cli_fail("one instance, not two");
	return nftables(cli, cli->argc == 1 ? cli->argv[0] : cli->instance);
}

/* ---- apply ---- */

/* Another host's ruleset on this one would lock everybody out. */
static bool is_host(const struct policy *policy, const struct policy_node *node)
{
	struct ifaddrs *list = NULL, *entry;
	bool found = false;
	uint32_t i;

	if (getifaddrs(&list))
		return false;
	for (entry = list; entry && !found; entry = entry->ifa_next) {
		struct sockaddr_storage ss = {0};
		struct addr addr;

		if (!entry->ifa_addr)
			continue;
		memcpy(&ss, entry->ifa_addr,
			entry->ifa_addr->sa_family == AF_INET
				? sizeof(struct sockaddr_in)
			: entry->ifa_addr->sa_family == AF_INET6
				? sizeof(struct sockaddr_in6)
				: sizeof(entry->ifa_addr->sa_family));
		if (addr_from_sockaddr(&ss, &addr, NULL))
			continue;
		for (i = 0; i < node->nets.count; i++)
			found = found ||
				addr_in_net(&addr,
					&policy->nets.at[node->nets.first + i]);
	}
	freeifaddrs(list);
	return found;
}

static bool right_host(struct apply *apply, const char *name)
{
	const struct policy *policy = apply->cli->policy;
	uint32_t node;

	if (!name)
		return true;
	node = policy_named(
		policy, policy_symbol_find(policy, name), NAME_NODE);
	if (node != POLICY_NONE && is_host(policy, &policy->nodes.at[node]))
		return true;
	cli_fail("this host has no address of %s: its ruleset is loaded "
		 "there, by nft -f, as sgbridge topology nftables --for %s "
		 "prints it",
		name, name);
	return false;
}

/* Things that a host misses late, when nobody thinks of the firewall. */
static void warn_missing(const struct apply *apply)
{
	static const struct {
		const char *service, *text;
	} wanted[] = {
		{"dns:", "no \"outgoing dns:ADDRESS\" in sgbridge.conf: this "
			 "host will resolve no names"},
		{"ntp:", "no \"outgoing ntp:ADDRESS\" in sgbridge.conf: the "
			 "clock will drift, and one-time codes with it"},
	};
	size_t i, j;

	for (i = 0; i < 2 && !apply->cli->instance; i++) {
		bool found = false;

		for (j = 0; j < apply->conf->outgoing.count; j++)
			found = found ||
				!strncmp(apply->conf->outgoing.items[j],
					wanted[i].service, 4);
		if (!found)
			cli_fail("warning: %s", wanted[i].text);
	}
}

static int say(struct cli *cli, const char *what, uint64_t seconds)
{
	if (cli->json)
		printf("{\"state\":\"%s\",\"confirm_within\":%llu}\n", what,
			(unsigned long long)seconds);
	else if (seconds)
		printf("%s; log in anew from elsewhere, then: sgbridge "
		       "topology confirm\n"
		       "Unless that is done within %llu s, the previous "
		       "ruleset returns.\n",
			what, (unsigned long long)seconds);
	else
		printf("%s\n", what);
	return CLI_YES;
}

/* The guard waits before anything changes; where it cannot, nothing does. */
static int change(struct apply *apply, const struct buf *text, uint64_t seconds,
	const char *word)
{
	struct cli *cli = apply->cli;

	if (!save(apply, STATE_PREVIOUS, &apply->live) ||
		!state_write(
			&apply->state, STATE_CANDIDATE, text->data, text->len))
		return CLI_ERROR;
	if (seconds && !state_guard(&apply->state, seconds))
		return CLI_ERROR;
	if (!run_load(text->data, text->len)) {
		state_settle(&apply->state);
		return CLI_ERROR;
	}
	if (!seconds && !state_keep(&apply->state))
		return CLI_ERROR;
	return say(cli, word, seconds);
}

static bool wanted_seconds(struct cli *cli, uint64_t *ret)
{
	*ret = 0;
	if (!cli->confirm)
		return true;
	if (!conf_seconds(cli->confirm, ret) && *ret >= 1 && *ret <= 86400)
		return true;
	cli_fail("--confirm-within %s: expected a time up to a day, such as "
		 "60s or 5m",
		cli->confirm);
	return false;
}

static bool nothing_pending(struct apply *apply)
{
	if (!state_pending(&apply->state))
		return true;
	cli_fail("a change waits to be confirmed: sgbridge topology confirm, "
		 "or sgbridge topology restore");
	return false;
}

static int apply_all(struct apply *apply, uint64_t seconds)
{
	struct cli *cli = apply->cli;
	const struct buf *text = &apply->set.out;

	if (!make(apply, cli->instance) || !right_host(apply, cli->instance))
		return CLI_ERROR;
	warn_missing(apply);
	if (!run_try(text->data, text->len) || !read_both(apply))
		return CLI_ERROR;
	if (cli->dry_run)
		return print_diff(apply);
	if (!state_open(&apply->state, apply->conf->nftables_directory) ||
		!nothing_pending(apply))
		return CLI_ERROR;
	/* What is live may have changed while somebody held the lock. */
	buf_reset(&apply->live);
	if (!run_list(&apply->live))
		return CLI_ERROR;
	if (buf_equal(&apply->live, &apply->fresh)) {
		if (!state_write(&apply->state, STATE_CURRENT, text->data,
			    text->len))
			return CLI_ERROR;
		return say(cli, "unchanged", 0);
	}
	return change(apply, text, seconds, "applied");
}

int topology_apply(struct cli *cli)
{
	struct apply apply;
	uint64_t seconds;
	int status;

	if (cli->argc != 1)
		return cli_fail("usage: sgbridge topology apply [--dry-run] "
				"[--confirm-within TIME] [--for INSTANCE]");
	if (!wanted_seconds(cli, &seconds))
		return CLI_ERROR;
	apply_init(&apply, cli);
	status = apply_all(&apply, seconds);
	apply_done(&apply);
	return status;
}

/* ---- confirm, restore ---- */

int topology_confirm(struct cli *cli)
{
	struct apply apply;
	int status = CLI_ERROR;

	if (cli->argc != 1)
		return cli_fail("usage: sgbridge topology confirm");
	apply_init(&apply, cli);
	if (!cli_conf(cli, &apply.conf) ||
		!state_open(&apply.state, apply.conf->nftables_directory)) {
		status = CLI_ERROR;
	} else if (!state_pending(&apply.state)) {
		cli_fail("nothing waits to be confirmed");
		status = CLI_NO;
	} else if (state_keep(&apply.state)) {
		state_settle(&apply.state);
		status = say(cli, "confirmed", 0);
	}
	apply_done(&apply);
	return status;
}

/* Of a change that waits for a word, restoring is the answer no; otherwise
 * what is loaded and what was before change places. */
static int restore(struct apply *apply, uint64_t seconds)
{
	struct buf *text = &apply->set.out;

	if (!state_read(&apply->state, STATE_PREVIOUS, text))
		return CLI_ERROR;
	if (state_pending(&apply->state)) {
		if (!run_load(text->data, text->len))
			return CLI_ERROR;
		state_settle(&apply->state);
		return say(apply->cli, "restored", 0);
	}
	if (!run_list(&apply->live))
		return CLI_ERROR;
	return change(apply, text, seconds, "restored");
}

int topology_restore(struct cli *cli)
{
	struct apply apply;
	uint64_t seconds;
	int status = CLI_ERROR;

	if (cli->argc != 1)
		return cli_fail("usage: sgbridge topology restore "
				"[--confirm-within TIME]");
	if (!wanted_seconds(cli, &seconds))
		return CLI_ERROR;
	apply_init(&apply, cli);
	if (cli_conf(cli, &apply.conf) &&
		state_open(&apply.state, apply.conf->nftables_directory))
		status = restore(&apply, seconds);
	apply_done(&apply);
	return status;
}
