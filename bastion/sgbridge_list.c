/*
 * sgbridge who-can and what-can: the permits of a policy, joined with people
 * and instances. Time and source stay open, so a row says from where and
 * when; denials that cover a row always remove it, others are named in it.
 */
#include "sgbridge.h"

#include <stdlib.h>
#include <string.h>

#define OUT_MAX (64u * 1024 * 1024)

static const char *const columns[] = {"who", "login", "target", "port", "from",
	"when", "mfa", "allow", "rule", "unless", NULL};

struct listing {
	struct cli *cli;
	struct policy_query query;
	struct policy_request request;
	struct table table;
	struct buf text;
	const char *who;
	char *login; /* asked for, or NULL */
	const struct policy_rule *rule;
	const char *row_login;
	struct buf unless;
	bool denied;
};

static void listing_init(struct listing *list, struct cli *cli)
{
	memset(list, 0, sizeof(*list));
	list->cli = cli;
	list->request.via = POLICY_VIA_PROXY;
	list->request.now = time(NULL);
	/* Which one does not matter: sources are not compared here. */
	(void)!addr_parse("192.0.2.1", &list->request.source);
	table_init(&list->table, columns);
	buf_init(&list->text, OUT_MAX);
	buf_init(&list->unless, OUT_MAX);
}

static void listing_done(struct listing *list)
{
	table_done(&list->table);
	buf_done(&list->text);
	buf_done(&list->unless);
}

static bool always(const struct policy_rule *rule)
{
	return rule->any_source && !rule->hours.count;
}

/* A denial that touches this row. */
static bool each_deny(const struct policy_rule *deny, void *arg)
{
	struct listing *list = arg;
	struct policy_query *query = &list->query;
	unsigned int differs;

	query->login_text = list->row_login;
	query->login = policy_symbol_find(query->policy, list->row_login);
	differs = policy_rule_differs(query, deny) &
		  ~(unsigned int)(DIFFERS_SOURCE | DIFFERS_HOURS);
	if (differs)
		return true;
	if (always(deny)) {
		list->denied = true;
		return false;
	}
	buf_printf(&list->unless, "%s%s", list->unless.len ? ", " : "",
		deny->name);
	return true;
}

static void put_row(struct listing *list)
{
	const struct policy *policy = list->query.policy;
	const struct policy_rule *rule = list->rule;
	struct buf *text = &list->text;

	table_put(&list->table, list->who);
	table_put(&list->table, *list->row_login ? list->row_login : "-");
	table_put(&list->table,
		policy_symbol_text(policy, list->query.node->sym));
	buf_printf(text, "%u", list->query.port);
	table_put_buf(&list->table, text);
	text_from(policy, rule, text);
	table_put_buf(&list->table, text);
	text_when(policy, rule, text);
	if (rule->expires) {
		buf_printf(text, " until ");
		text_time(rule->expires, text);
	}
	table_put_buf(&list->table, text);
	text_mfa(rule->mfa, rule->mfa_seconds, text);
	if (rule->approval != POLICY_NONE)
		buf_printf(text, ", approval by %s",
			policy_symbol_text(policy, rule->approval));
	if (rule->approval_seconds) {
		buf_printf(text, " for ");
		text_duration(rule->approval_seconds, text);
	}
	table_put_buf(&list->table, text);
	text_allow(rule->allow,
		rule->patterns.count ? (const char *const *)policy->texts.at +
					       rule->patterns.first
				     : NULL,
		text);
	table_put_buf(&list->table, text);
	table_put(&list->table, rule->name);
	buf_put_u8(&list->unless, 0);
	table_put(&list->table,
		list->unless.len > 1 ? (const char *)list->unless.data : "-");
}

static void try_login(struct listing *list, const char *login)
{
	list->row_login = login;
	list->denied = false;
	buf_reset(&list->unless);
	policy_each_candidate(&list->query, RULE_DENY, each_deny, list);
	if (!list->denied)
		put_row(list);
}

static bool forward_only(const struct policy_rule *rule)
{
	return rule->allow && !(rule->allow & ~(unsigned int)POLICY_FORWARDS);
}

static void try_logins(struct listing *list, const struct policy_rule *rule)
{
	const struct policy *policy = list->query.policy;
	uint32_t i;

	list->rule = rule;
	if (list->login) {
		try_login(list, list->login);
	} else if (forward_only(rule)) {
		try_login(list, "");
	} else if (rule->login_kind != LOGIN_LIST) {
		try_login(list, rule->login_kind == LOGIN_ANY
					? "any"
					: policy_own_login(&list->query));
	} else {
		for (i = 0; i < rule->logins.count; i++)
			try_login(list,
				policy_symbol_text(policy,
					policy->ids
						.at[rule->logins.first + i]));
	}
}

static void try_port(
	struct listing *list, const struct policy_rule *rule, uint16_t port)
{
	const struct policy *policy = list->query.policy;
	unsigned int differs;
	uint32_t ignored;

	list->query.port = port;
	list->query.login_text = list->login ? list->login : "";
	list->query.login = policy_symbol_find(policy, list->query.login_text);
	differs = policy_rule_differs(&list->query, rule) &
		  ~(unsigned int)(DIFFERS_SOURCE | DIFFERS_HOURS);
	if (differs || !policy_sg_accepts(policy, list->query.node,
			       list->query.addr.family, port, &ignored))
		return;
	try_logins(list, rule);
}

static bool each_permit(const struct policy_rule *rule, void *arg)
{
	struct listing *list = arg;
	const struct policy *policy = list->query.policy;
	uint32_t i;

	if (list->request.port || !rule->ports.count) {
		try_port(list, rule,
			list->request.port ? list->request.port
					   : list->query.node_port);
		return true;
	}
	for (i = 0; i < rule->ports.count; i++)
		try_port(list, rule,
			policy->ports.at[rule->ports.first + i].from);
	return true;
}

/* One person, or Unix group, or everybody, and one target. */
static bool list_pair(struct listing *list, const char *who, uint32_t leaf,
	const char *target)
{
	enum policy_reason reason;

	list->request.user = leaf == POLICY_NONE ? "?" : who;
	list->request.target = target;
	/* A name that no rule can mean: who it is comes from leaf. */
	list->request.user = "_";
	list->request.groups = NULL;
	reason = policy_query_init(
		&list->query, list->cli->policy, &list->request);
	if (reason != POLICY_GRANTED) {
		cli_fail("%s: %s", target, policy_reason_text(reason));
		return false;
	}
	list->who = who;
	list->request.user = who;
	list->query.leaf_count = 0;
	if (leaf != POLICY_NONE)
		list->query.leaves[list->query.leaf_count++] = leaf;
	policy_each_candidate(&list->query, RULE_PERMIT, each_permit, list);
	return true;
}

static int finish(struct listing *list)
{
	int status = list->table.count ? CLI_YES : CLI_NO;
	struct buf out;

	if (list->cli->json) {
		buf_init(&out, OUT_MAX);
		table_json(&list->table, &out);
		buf_put_u8(&out, '\n');
		cli_print(&out);
		buf_done(&out);
	} else if (list->table.count) {
		table_print(&list->table, list->cli->colour);
	} else {
		puts("nobody and nothing: no rule permits this");
	}
	listing_done(list);
	return status;
}

int cmd_who_can(struct cli *cli)
{
	struct listing list;
	const struct policy *policy;
	char *target, name[POLICY_MAX_NAME + 2];
	uint32_t i;
	bool good;

	listing_init(&list, cli);
	if (!cli_target(
		    cli->argv[0], &list.login, &target, &list.request.port)) {
		listing_done(&list);
		return cli_fail("expected [LOGIN@]TARGET[:PORT]");
	}
	if (!cli_load(cli)) {
		listing_done(&list);
		return CLI_ERROR;
	}
	policy = cli->policy;
	good = list_pair(&list, "any", POLICY_NONE, target);
	for (i = 0; good && i < policy->unix_groups.count; i++) {
		snprintf(name, sizeof(name), "@%s",
			policy_symbol_text(policy, policy->unix_groups.at[i]));
		good = list_pair(
			&list, name, policy_leaf_unix(policy, i), target);
	}
	for (i = 0; good && i < policy->users.count; i++)
		good = list_pair(&list,
			policy_symbol_text(policy, policy->users.at[i]), i,
			target);
	if (!good) {
		listing_done(&list);
		return CLI_ERROR;
	}
	return finish(&list);
}

/* The user's own leaf and those of his Unix groups count together. */
static bool list_user(struct listing *list, const char *user,
	const char *const *groups, const char *target)
{
	list->request.user = user;
	list->request.groups = groups;
	list->request.target = target;
	if (policy_query_init(&list->query, list->cli->policy,
		    &list->request) != POLICY_GRANTED)
		return false;
	list->who = user;
	policy_each_candidate(&list->query, RULE_PERMIT, each_permit, list);
	return true;
}

int cmd_what_can(struct cli *cli)
{
	const char *user = cli->argv[0];
	struct listing list;
	char **groups = NULL;
	uint32_t i;

	if (!policy_name_valid(user))
		return cli_fail("\"%s\" is not the name of a user", user);
	if (!cli_load(cli) || !cli_groups(cli, user, &groups))
		return CLI_ERROR;
	listing_init(&list, cli);
	for (i = 0; i < cli->policy->nodes.count; i++) {
		const struct policy_node *node = &cli->policy->nodes.at[i];
		char text[ADDR_TEXT_MAX];

		(void)list_user(&list, user, (const char *const *)groups,
			node->subnet
				? addr_text(&cli->policy->nets
						     .at[node->nets.first]
						     .base,
					  text)
				: policy_symbol_text(cli->policy, node->sym));
	}
	policy_unix_groups_free(groups);
	return finish(&list);
}
