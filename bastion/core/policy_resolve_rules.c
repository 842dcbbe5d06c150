/*
 * From names to numbers: the rules. A name in a rule that is no group and no
 * known user is a user, unless it looks like a group that is misspelt: a
 * denial that names nobody would be worse than an error.
 */
#include "core/policy_parse.h"

#include <stdio.h>
#include <string.h>

/* Longer lists become one nameless subject or object of their own, so that
 * the table of pairs does not grow with the product of two lists. */
#define LIST_SHORT 4

static void say_unknown(struct policy_parser *parser,
	const struct policy_elem *elem, const char *what, unsigned int kinds)
{
	const char *text = policy_symbol_text(parser->policy, elem->sym);
	const char *near = policy_nearest(parser->policy, text, kinds);
	char hint[120];

	snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
	ERROR_HINT(parser, elem->place, "unknown-name", near ? hint : NULL,
		"unknown %s \"%s\"", what, text);
}

/* ---- who ---- */

static bool has_upper(const char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			return true;
	return false;
}

/* The names of groups alone: every user who stands in no group is looked
 * for among them. */
static const char *nearest_group(const struct policy *policy, const char *text)
{
	const char *words[2] = {NULL, NULL};
	const char *nearest = NULL;
	uint32_t i;

	for (i = 0; i < policy->groups.count && !nearest; i++) {
		words[0] = policy_symbol_text(policy, policy->groups.at[i].sym);
		nearest = diag_nearest(text, words);
	}
	return nearest ? policy_nearest(policy, text, 1u << NAME_GROUP) : NULL;
}

static void resolve_user(
	struct policy_parser *parser, const struct policy_elem *elem)
{
	struct policy *policy = parser->policy;
	const char *text = policy_symbol_text(policy, elem->sym);
	const char *near;
	char hint[160];

	if (policy_named(policy, elem->sym, NAME_USER) != POLICY_NONE)
		return;
	near = nearest_group(policy, text);
	if (!near && !has_upper(text)) {
		*vec_add(policy, &policy->users) = elem->sym;
		if (!policy->failed)
			policy->symbols.at[elem->sym].id[NAME_USER] =
				policy->users.count;
		return;
	}
	if (near)
		snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
	ERROR_HINT(parser, elem->place, "unknown-name", near ? hint : NULL,
		"unknown user or group \"%s\": declare a person by \"user "
		"%s\"",
		text, text);
}

static void resolve_who(struct policy_parser *parser, struct policy_range who)
{
	struct policy *policy = parser->policy;
	uint32_t i;

	for (i = 0; i < who.count && !policy->failed; i++) {
		struct policy_elem elem = policy->elems.at[who.first + i];
		uint32_t index;

		if (elem.kind == ELEM_UNIX) {
			index = policy_named(policy, elem.sym, NAME_UNIX);
			if (index != POLICY_NONE)
				continue;
			*vec_add(policy, &policy->unix_groups) = elem.sym;
			if (!policy->failed)
				policy->symbols.at[elem.sym].id[NAME_UNIX] =
					policy->unix_groups.count;
		} else if (elem.kind == ELEM_NAME) {
			index = policy_named(policy, elem.sym, NAME_GROUP);
			if (index == POLICY_NONE)
				resolve_user(parser, &elem);
			else
				policy->groups.at[index].used = true;
		}
	}
}

static bool has_any(const struct policy *policy, struct policy_range range)
{
	uint32_t i;

	for (i = 0; i < range.count; i++)
		if (policy->elems.at[range.first + i].kind == ELEM_ANY)
			return true;
	return false;
}

static uint32_t subject_of(
	const struct policy *policy, const struct policy_elem *elem)
{
	uint32_t group = policy_named(policy, elem->sym, NAME_GROUP);

	if (elem->kind == ELEM_UNIX)
		return policy_subject_leaf(policy,
			policy_leaf_unix(policy,
				policy_named(policy, elem->sym, NAME_UNIX)));
	if (group != POLICY_NONE)
		return policy_subject_group(group);
	return policy_subject_leaf(
		policy, policy_named(policy, elem->sym, NAME_USER));
}

/* subjects.first holds a nameless group until numbers are final. */
static void group_who(struct policy *policy, struct policy_rule *rule)
{
	struct policy_group *group;

	rule->subjects.first = POLICY_NONE;
	if (rule->who.count <= LIST_SHORT || has_any(policy, rule->who))
		return;
	rule->subjects.first = policy->groups.count;
	group = vec_add(policy, &policy->groups);
	group->sym = POLICY_NONE;
	group->place = rule->place;
	group->elems = rule->who;
	group->used = true;
}

static void number_who(struct policy *policy, struct policy_rule *rule)
{
	uint32_t list = rule->subjects.first;
	uint32_t i;

	rule->subjects.first = policy->ids.count;
	rule->subjects.count = 1;
	if (has_any(policy, rule->who)) {
		*vec_add(policy, &policy->ids) = SUBJECT_ANY;
		return;
	}
	if (list != POLICY_NONE) {
		*vec_add(policy, &policy->ids) = policy_subject_group(list);
		return;
	}
	for (i = 0; i < rule->who.count; i++) {
		uint32_t subject = subject_of(
			policy, &policy->elems.at[rule->who.first + i]);

		*vec_add(policy, &policy->ids) = subject;
	}
	rule->subjects.count = rule->who.count;
}

/* ---- from ---- */

static void resolve_from(struct policy_parser *parser, struct policy_range from)
{
	struct policy *policy = parser->policy;
	uint32_t i;

	for (i = 0; i < from.count; i++) {
		const struct policy_elem *elem =
			&policy->elems.at[from.first + i];
		const char *text = policy_symbol_text(policy, elem->sym);
		uint32_t network;

		if (elem->kind == ELEM_ANY)
			continue;
		network = policy_named(policy, elem->sym, NAME_NETWORK);
		if (network != POLICY_NONE)
			policy->networks.at[network].used =
				policy->networks.at[network].source = true;
		else if (strchr(text, '.'))
			ERROR(parser, elem->place, "unknown-name",
				"unknown network \"%s\": a DNS name is no "
				"source, write its addresses",
				text);
		else
			say_unknown(
				parser, elem, "network", 1u << NAME_NETWORK);
	}
}

static void sort_ids(struct policy *policy, struct policy_range range)
{
	uint32_t *ids = policy->ids.at + range.first;
	uint32_t i, j;

	/* Most are short, and many are in order already. */
	for (i = 1; i < range.count; i++)
		for (j = i; j > 0 && ids[j - 1] > ids[j]; j--) {
			uint32_t id = ids[j];

			ids[j] = ids[j - 1];
			ids[j - 1] = id;
		}
}

static void number_from(struct policy *policy, struct policy_rule *rule)
{
	uint32_t i;

	rule->any_source = has_any(policy, rule->from);
	rule->sources.first = policy->ids.count;
	if (rule->any_source)
		return;
	for (i = 0; i < rule->from.count; i++) {
		uint32_t network = policy_named(policy,
			policy->elems.at[rule->from.first + i].sym,
			NAME_NETWORK);

		*vec_add(policy, &policy->ids) = network;
	}
	if (policy->failed)
		return;
	rule->sources.count = rule->from.count;
	sort_ids(policy, rule->sources);
}

/* ---- to ---- */

static void resolve_target(
	struct policy_parser *parser, const struct policy_elem *elem)
{
	struct policy *policy = parser->policy;
	uint32_t sg = policy_named(policy, elem->sym, NAME_SG);

	if (sg != POLICY_NONE)
		policy->sgs.at[sg].used = true;
	else if (policy_named(policy, elem->sym, NAME_NODE) == POLICY_NONE)
		say_unknown(parser, elem,
			has_upper(policy_symbol_text(policy, elem->sym))
				? "security group"
				: "instance",
			1u << NAME_SG | 1u << NAME_NODE);
}

static void resolve_to(struct policy_parser *parser, struct policy_range to)
{
	struct policy *policy = parser->policy;
	uint32_t i;

	for (i = 0; i < to.count; i++) {
		const struct policy_elem *elem =
			&policy->elems.at[to.first + i];

		if (elem->kind == ELEM_ZONE &&
			policy_named(policy, elem->sym, NAME_ZONE) ==
				POLICY_NONE)
			say_unknown(parser, elem, "zone", 1u << NAME_ZONE);
		else if (elem->kind == ELEM_NAME)
			resolve_target(parser, elem);
	}
}

static uint32_t object_of(const struct policy *policy,
	const struct policy_rule *rule, const struct policy_elem *elem)
{
	uint32_t sg;

	switch (elem->kind) {
	case ELEM_SELF: return OBJECT_SELF;
	case ELEM_ANY:
		return rule->kind == RULE_DENY ? OBJECT_ALL : OBJECT_BEHIND;
	case ELEM_ZONE:
		return policy_object_zone(
			policy, policy_named(policy, elem->sym, NAME_ZONE));
	case ELEM_NET:
		return policy_object_network(
			policy, policy_named(policy, elem->sym, NAME_NETWORK));
	default: break;
	}
	sg = policy_named(policy, elem->sym, NAME_SG);
	if (sg != POLICY_NONE)
		return policy_object_sg(policy, sg);
	return policy_object_node(policy_named(policy, elem->sym, NAME_NODE));
}

static void set_to(struct policy *policy, struct policy_rule *rule)
{
	rule->objects.first = POLICY_NONE;
	if (rule->to.count <= LIST_SHORT || has_any(policy, rule->to) ||
		rule->to_self)
		return;
	rule->objects.first = policy->target_sets.count;
	*vec_add(policy, &policy->target_sets) = rule->to;
}

static void number_to(struct policy *policy, struct policy_rule *rule)
{
	uint32_t set = rule->objects.first;
	uint32_t i;

	rule->objects.first = policy->ids.count;
	rule->objects.count = 1;
	if (set != POLICY_NONE) {
		*vec_add(policy, &policy->ids) = policy_object_set(policy, set);
		return;
	}
	for (i = 0; i < rule->to.count; i++) {
		uint32_t object = object_of(
			policy, rule, &policy->elems.at[rule->to.first + i]);

		*vec_add(policy, &policy->ids) = object;
	}
	rule->objects.count = rule->to.count;
}

/* ---- the rest ---- */

static void resolve_hours(
	struct policy_parser *parser, struct policy_rule *rule)
{
	struct policy *policy = parser->policy;
	uint32_t i;

	rule->hours.first = policy->ids.count;
	for (i = 0; i < rule->hour_elems.count; i++) {
		const struct policy_elem *elem =
			&policy->elems.at[rule->hour_elems.first + i];
		uint32_t hours = policy_named(policy, elem->sym, NAME_HOURS);

		if (hours == POLICY_NONE) {
			say_unknown(parser, elem, "hours", 1u << NAME_HOURS);
			continue;
		}
		policy->hours.at[hours].used = true;
		*vec_add(policy, &policy->ids) = hours;
		rule->hours.count++;
	}
}

static bool single_hosts(const struct policy *policy, uint32_t network)
{
	const struct policy_network *from = &policy->networks.at[network];
	uint32_t i;

	for (i = 0; i < from->nets.count; i++) {
		const struct addr_net *net =
			&policy->nets.at[from->nets.first + i];

		if (net->bits != (net->base.family == AF_INET ? 32 : 128))
			return false;
	}
	for (i = 0; i < from->elems.count; i++)
		if (!single_hosts(policy,
			    policy_named(policy,
				    policy->elems.at[from->elems.first + i].sym,
				    NAME_NETWORK)))
			return false;
	return true;
}

/* A password-less way in is tied to the machines that need it. */
static void judge_mfa(struct policy_parser *parser, struct policy_rule *rule)
{
	const struct policy *policy = parser->policy;
	uint32_t i;

	if (rule->mfa != POLICY_MFA_NEVER)
		return;
	for (i = 0; i < rule->from.count; i++) {
		const struct policy_elem *elem =
			&policy->elems.at[rule->from.first + i];
		uint32_t network = elem->kind == ELEM_ANY
					   ? POLICY_NONE
					   : policy_named(policy, elem->sym,
						     NAME_NETWORK);

		if (network != POLICY_NONE && single_hosts(policy, network))
			continue;
		ERROR(parser, rule->mfa_place, "mfa-never",
			"\"mfa never\" needs single hosts after \"from\"");
		return;
	}
}

static void resolve_rule(struct policy_parser *parser, struct policy_rule *rule)
{
	struct policy *policy = parser->policy;
	uint32_t group;

	resolve_who(parser, rule->who);
	resolve_from(parser, rule->from);
	resolve_to(parser, rule->to);
	resolve_hours(parser, rule);
	if (rule->approval != POLICY_NONE) {
		struct policy_elem elem = {
			.sym = rule->approval, .place = rule->approval_place};

		group = policy_named(policy, rule->approval, NAME_GROUP);
		if (group == POLICY_NONE)
			say_unknown(parser, &elem, "group", 1u << NAME_GROUP);
		else
			policy->groups.at[group].used = true;
	}
}

void policy_resolve_rules(struct policy_parser *parser)
{
	struct policy *policy = parser->policy;
	size_t before = parser->errors;
	uint32_t i;

	for (i = 0; i < policy->rules.count; i++)
		resolve_rule(parser, &policy->rules.at[i]);
	if (before != parser->errors || parser->errors || policy->failed)
		return;
	for (i = 0; i < policy->rules.count; i++) {
		judge_mfa(parser, &policy->rules.at[i]);
		group_who(policy, &policy->rules.at[i]);
		set_to(policy, &policy->rules.at[i]);
	}
	for (i = 0; i < policy->rules.count && !policy->failed; i++) {
		number_who(policy, &policy->rules.at[i]);
		number_from(policy, &policy->rules.at[i]);
		if (policy->rules.at[i].kind != RULE_AUDIT)
			number_to(policy, &policy->rules.at[i]);
	}
}
