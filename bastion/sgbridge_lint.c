/*
 * What is legal in a policy and yet unwise, or cannot be meant. Each check is
 * a function of a rule, an instance or the whole, in one table.
 */
#include "sgbridge.h"

#include <string.h>

#include "hostkey.h"

#define DAYS_SOON   14
#define PORT_RDP    3389
#define DAY_SECONDS 86400

/* ---- rules ---- */

static void lint_source(struct lint *lint, const struct policy_rule *rule)
{
	if (rule->kind == RULE_PERMIT && rule->any_source)
		lint_warn(lint, "source-any", rule->place,
			"this permits logins from every address");
}

static void lint_logins(struct lint *lint, const struct policy_rule *rule)
{
	const struct policy *policy = lint->parser.policy;
	uint32_t i;

	if (rule->kind != RULE_PERMIT)
		return;
	if (rule->login_kind == LOGIN_ANY)
		lint_warn(lint, "login-any", rule->place,
			"this permits every login, root too");
	for (i = 0; i < rule->logins.count; i++)
		if (!strcmp(policy_symbol_text(policy,
				    policy->ids.at[rule->logins.first + i]),
			    "root"))
			lint_warn(lint, "root-login", rule->place,
				"this permits root logins");
}

/* A user in no group whose name resembles one in a group: a denial that is
 * misspelt denies nobody. */
static const char *misspelt(const struct policy *policy, uint32_t user)
{
	const char *words[2] = {NULL, NULL};
	const char *name = policy_symbol_text(policy, policy->users.at[user]);
	uint32_t i;

	if (user < policy->declared_users ||
		policy->leaf_first[user + 1] - policy->leaf_first[user] > 1)
		return NULL;
	for (i = 0; i < policy->users.count; i++) {
		if (i == user ||
			policy->leaf_first[i + 1] - policy->leaf_first[i] < 2)
			continue;
		words[0] = policy_symbol_text(policy, policy->users.at[i]);
		if (diag_nearest(name, words))
			return words[0];
	}
	return NULL;
}

static void lint_who(struct lint *lint, const struct policy_rule *rule)
{
	const struct policy *policy = lint->parser.policy;
	uint32_t i;

	for (i = 0; i < rule->who.count; i++) {
		const struct policy_elem *elem =
			&policy->elems.at[rule->who.first + i];
		uint32_t user = policy_named(policy, elem->sym, NAME_USER);
		const char *near;

		if (elem->kind != ELEM_NAME || user == POLICY_NONE ||
			policy_named(policy, elem->sym, NAME_GROUP) !=
				POLICY_NONE)
			continue;
		near = misspelt(policy, user);
		if (near)
			lint_warn(lint, "misspelt", elem->place,
				"%s stands in no group; is \"%s\" meant? "
				"(\"user %s\" says that it is right)",
				policy_symbol_text(policy, elem->sym), near,
				policy_symbol_text(policy, elem->sym));
	}
}

static void lint_allow(struct lint *lint, const struct policy_rule *rule)
{
	if (rule->kind == RULE_PERMIT && !rule->to_self && !rule->allow)
		lint_warn(lint, "allows-nothing", rule->place,
			"without \"allow\" this rule lets people connect and "
			"do nothing");
}

static void lint_expiry(struct lint *lint, const struct policy_rule *rule)
{
	if (!rule->expires)
		return;
	if (rule->expires <= lint->now)
		policy_report(&lint->parser, DIAG_ERROR, "expired",
			rule->expires_place, NULL,
			"this rule has expired and never matches again");
	else if (rule->expires <= lint->now + DAYS_SOON * DAY_SECONDS)
		lint_warn(lint, "expires-soon", rule->expires_place,
			"this rule expires within %d days", DAYS_SOON);
}

/* Can any target of this permit be reached at all? */
static bool rule_reaches(const struct policy *policy,
	const struct policy_rule *rule, const struct policy_node *node)
{
	uint16_t own = node->port ? node->port : POLICY_SSH_PORT;
	uint32_t i, ignored;
	int family = policy->nets.at[node->nets.first].base.family;

	if (!rule->ports.count)
		return policy_sg_accepts(policy, node, family, own, &ignored);
	for (i = 0; i < rule->ports.count; i++)
		if (policy_sg_accepts(policy, node, family,
			    policy->ports.at[rule->ports.first + i].from,
			    &ignored))
			return true;
	return false;
}

static bool rule_names(const struct policy *policy,
	const struct policy_rule *rule, const struct policy_node *node)
{
	uint32_t i, j;

	for (i = 0; i < rule->objects.count; i++)
		for (j = 0; j < node->objects.count; j++)
			if (policy->ids.at[rule->objects.first + i] ==
				policy->ids.at[node->objects.first + j])
				return true;
	return false;
}

static void lint_closed(struct lint *lint, const struct policy_rule *rule)
{
	const struct policy *policy = lint->parser.policy;
	bool named = false;
	uint32_t i;

	if (rule->kind != RULE_PERMIT || rule->to_self)
		return;
	for (i = 0; i < policy->nodes.count; i++) {
		const struct policy_node *node = &policy->nodes.at[i];

		if (!rule_names(policy, rule, node))
			continue;
		if (rule_reaches(policy, rule, node))
			return;
		named = true;
	}
	lint_warn(lint, "closed", rule->place,
		named ? "no security group lets the bastion through to any "
			"target of this rule"
		      : "this rule names no instance and no subnet");
}

/* ---- instances and groups ---- */

static bool needs_pin(const struct policy_node *node)
{
	return !node->port || node->port != PORT_RDP;
}

static bool known_otherwise(
	const struct lint *lint, const struct policy_node *node)
{
	struct hostkey_node host;

	if (!lint->conf)
		return false;
	cli_hostkey_node(lint->parser.policy, node, lint->conf, &host);
	return hostkey_any(&host);
}

static void lint_node(struct lint *lint, const struct policy_node *node)
{
	const struct policy *policy = lint->parser.policy;
	uint32_t i;

	if (node->local)
		lint_warn(lint, "local", node->place,
			"this instance is the bastion itself: whoever may "
			"reach it reaches services that trust this host");
	if (!node->pins.count && needs_pin(node) &&
		!known_otherwise(lint, node))
		lint_warn(lint, "no-host-key", node->place,
			"no host key is pinned, and no file of known-hosts "
			"names one: SSH to it will be refused");
	for (i = 0; i < node->pins.count; i++) {
		const char *pin = policy->texts.at[node->pins.first + i];

		if (strlen(pin) != strlen("SHA256:") + 43)
			lint_warn(lint, "placeholder", node->place,
				"%s is a placeholder and matches no key", pin);
	}
}

static bool is_bastion(const struct policy *policy, uint32_t sg)
{
	uint32_t i;

	for (i = 0; i < policy->bastion_sgs.count; i++)
		if (policy->ids.at[policy->bastion_sgs.first + i] == sg)
			return true;
	return false;
}

static bool covers_login_port(
	const struct policy *policy, const struct policy_sg_rule *rule)
{
	uint32_t i;

	if (rule->proto == PROTO_UDP)
		return false;
	for (i = 0; i < rule->ports.count; i++) {
		const struct policy_ports *ports =
			&policy->ports.at[rule->ports.first + i];

		if ((ports->from <= POLICY_SSH_PORT &&
			    ports->to >= POLICY_SSH_PORT) ||
			(ports->from <= PORT_RDP && ports->to >= PORT_RDP))
			return true;
	}
	return rule->ports.count == 0;
}

static bool is_bastion_net(const struct policy *policy, uint32_t network)
{
	const struct policy_network *from = &policy->networks.at[network];
	uint32_t i, j;

	if (from->elems.count || !from->nets.count)
		return false;
	for (i = 0; i < from->nets.count; i++) {
		bool ours = false;

		for (j = 0; j < policy->bastion_nets.count; j++)
			ours = ours ||
			       addr_net_covers(
				       &policy->nets
						.at[policy->bastion_nets.first +
							j],
				       &policy->nets.at[from->nets.first + i]);
		if (!ours)
			return false;
	}
	return true;
}

/* Instances are to be logged in to through the bastion alone. */
static void lint_sg_rule(struct lint *lint, const struct policy_sg_rule *rule)
{
	const struct policy *policy = lint->parser.policy;
	uint32_t i;

	if (rule->drop || is_bastion(policy, rule->sg) ||
		!covers_login_port(policy, rule))
		return;
	for (i = 0; i < rule->from.count; i++) {
		const struct policy_elem *elem =
			&policy->elems.at[rule->from.first + i];
		uint32_t sg = policy_named(policy, elem->sym, NAME_SG);
		uint32_t network = policy_named(
			policy, elem->sym, NAME_NETWORK);

		if (elem->kind != ELEM_ANY && sg != POLICY_NONE &&
			is_bastion(policy, sg))
			continue;
		if (elem->kind != ELEM_ANY && sg == POLICY_NONE &&
			is_bastion_net(policy, network))
			continue;
		lint_warn(lint, "around-bastion", elem->place,
			"login ports are open from here, not only through "
			"the bastion");
	}
}

/* ---- the whole ---- */

static void lint_unused(struct lint *lint)
{
	const struct policy *policy = lint->parser.policy;
	uint32_t i;

	for (i = 0; i < policy->groups.count; i++)
		if (!policy->groups.at[i].used)
			lint_warn(lint, "unused", policy->groups.at[i].place,
				"nobody uses this group");
	for (i = 0; i < policy->networks.count; i++)
		if (!policy->networks.at[i].used &&
			!policy->networks.at[i].anonymous)
			lint_warn(lint, "unused", policy->networks.at[i].place,
				"nobody uses this network");
	for (i = 0; i < policy->hours.count; i++)
		if (!policy->hours.at[i].used)
			lint_warn(lint, "unused", policy->hours.at[i].place,
				"nobody uses these hours");
	for (i = 0; i < policy->sgs.count; i++)
		if (!policy->sgs.at[i].used &&
			policy->sgs.at[i].zone == POLICY_NONE)
			lint_warn(lint, "unused", policy->sgs.at[i].place,
				"no rule names this security group");
}

static void lint_bastion(struct lint *lint)
{
	const struct policy *policy = lint->parser.policy;

	if (policy->sgs.count && !policy->bastion_sgs.count)
		lint_warn(lint, "no-bastion", policy->sgs.at[0].place,
			"no security group is the bastion's: say \"bastion "
			"NAME\" or call it " POLICY_BASTION);
}

/* Members and networks of what is used are used. */
static void mark_nested(struct policy *policy)
{
	uint32_t i, j;
	bool more = true;

	while (more) {
		more = false;
		for (i = 0; i < policy->groups.count; i++) {
			struct policy_range elems = policy->groups.at[i].elems;

			for (j = 0;
				policy->groups.at[i].used && j < elems.count;
				j++) {
				uint32_t group = policy_named(policy,
					policy->elems.at[elems.first + j].sym,
					NAME_GROUP);

				if (group == POLICY_NONE ||
					policy->groups.at[group].used)
					continue;
				policy->groups.at[group].used = true;
				more = true;
			}
		}
		for (i = 0; i < policy->networks.count; i++) {
			struct policy_range elems =
				policy->networks.at[i].elems;

			for (j = 0;
				policy->networks.at[i].used && j < elems.count;
				j++) {
				uint32_t network = policy_named(policy,
					policy->elems.at[elems.first + j].sym,
					NAME_NETWORK);

				if (policy->networks.at[network].used)
					continue;
				policy->networks.at[network].used = true;
				more = true;
			}
		}
	}
}

void lint_all(struct lint *lint)
{
	static void (*const of_rule[])(
		struct lint * lint, const struct policy_rule *rule) = {lint_who,
		lint_source, lint_logins, lint_allow, lint_expiry, lint_closed};
	struct policy *policy = lint->parser.policy;
	uint32_t i;
	size_t j;

	mark_nested(policy);
	lint_bastion(lint);
	lint_unused(lint);
	for (i = 0; i < policy->nodes.count; i++)
		lint_node(lint, &policy->nodes.at[i]);
	for (i = 0; i < policy->sg_rules.count; i++)
		lint_sg_rule(lint, &policy->sg_rules.at[i]);
	for (i = 0; i < policy->rules.count; i++)
		for (j = 0; j < sizeof(of_rule) / sizeof(of_rule[0]); j++)
			of_rule[j](lint, &policy->rules.at[i]);
	lint_shadows(lint);
}
