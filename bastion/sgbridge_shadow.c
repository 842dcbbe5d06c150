/*
 * Rules that never decide anything: an earlier permit that allows as much, or
 * a denial, covers all of what they match. "Covers" is decided on the safe
 * side: what cannot be shown to be covered is not reported.
 */
#include "sgbridge.h"

#include <stdlib.h>
#include <string.h>

static bool any_elem(const struct policy *policy, struct policy_range range)
{
	uint32_t i;

	for (i = 0; i < range.count; i++)
		if (policy->elems.at[range.first + i].kind == ELEM_ANY)
			return true;
	return false;
}

static bool has_id(
	const struct policy *policy, struct policy_range range, uint32_t id)
{
	uint32_t i;

	for (i = 0; i < range.count; i++)
		if (policy->ids.at[range.first + i] == id)
			return true;
	return false;
}

/* ---- who ---- */

static bool leaf_covered(const struct policy *policy,
	const struct policy_rule *wide, uint32_t leaf)
{
	uint32_t i;

	for (i = policy->leaf_first[leaf]; i < policy->leaf_first[leaf + 1];
		i++)
		if (has_id(policy, wide->subjects, policy->leaf_subjects[i]))
			return true;
	return false;
}

static bool elem_covered(const struct policy *policy,
	const struct policy_rule *wide, const struct policy_elem *elem)
{
	uint32_t group = policy_named(policy, elem->sym, NAME_GROUP);
	uint32_t i, leaf;

	if (elem->kind == ELEM_UNIX)
		leaf = policy_leaf_unix(
			policy, policy_named(policy, elem->sym, NAME_UNIX));
	else
		leaf = policy_named(policy, elem->sym, NAME_USER);
	if (elem->kind == ELEM_UNIX || group == POLICY_NONE)
		return leaf_covered(policy, wide, leaf);
	if (has_id(policy, wide->subjects, policy_subject_group(group)))
		return true;
	for (i = 0; i < policy->groups.at[group].elems.count; i++)
		if (!elem_covered(policy, wide,
			    &policy->elems
				     .at[policy->groups.at[group].elems.first +
					     i]))
			return false;
	return true;
}

static bool who_covered(const struct policy *policy,
	const struct policy_rule *wide, const struct policy_rule *narrow)
{
	uint32_t i;

	if (any_elem(policy, wide->who))
		return true;
	if (any_elem(policy, narrow->who))
		return false;
	for (i = 0; i < narrow->who.count; i++)
		if (!elem_covered(policy, wide,
			    &policy->elems.at[narrow->who.first + i]))
			return false;
	return true;
}

/* ---- from ---- */

static bool net_in_network(const struct policy *policy, uint32_t network,
	const struct addr_net *net)
{
	const struct policy_network *from = &policy->networks.at[network];
	uint32_t i;

	for (i = 0; i < from->nets.count; i++)
		if (addr_net_covers(
			    &policy->nets.at[from->nets.first + i], net))
			return true;
	for (i = 0; i < from->elems.count; i++)
		if (net_in_network(policy,
			    policy_named(policy,
				    policy->elems.at[from->elems.first + i].sym,
				    NAME_NETWORK),
			    net))
			return true;
	return false;
}

static bool net_covered(const struct policy *policy,
	const struct policy_rule *wide, const struct addr_net *net)
{
	uint32_t i;

	for (i = 0; i < wide->sources.count; i++)
		if (net_in_network(policy,
			    policy->ids.at[wide->sources.first + i], net))
			return true;
	return false;
}

static bool network_covered(const struct policy *policy,
	const struct policy_rule *wide, uint32_t network)
{
	const struct policy_network *from = &policy->networks.at[network];
	uint32_t i;

	if (has_id(policy, wide->sources, network))
		return true;
	for (i = 0; i < from->nets.count; i++)
		if (!net_covered(policy, wide,
			    &policy->nets.at[from->nets.first + i]))
			return false;
	for (i = 0; i < from->elems.count; i++)
		if (!network_covered(policy, wide,
			    policy_named(policy,
				    policy->elems.at[from->elems.first + i].sym,
				    NAME_NETWORK)))
			return false;
	return true;
}

static bool from_covered(const struct policy *policy,
	const struct policy_rule *wide, const struct policy_rule *narrow)
{
	uint32_t i;

	if (wide->any_source)
		return true;
	if (narrow->any_source)
		return false;
	for (i = 0; i < narrow->sources.count; i++)
		if (!network_covered(policy, wide,
			    policy->ids.at[narrow->sources.first + i]))
			return false;
	return true;
}

/* ---- to ---- */

static bool target_covered(const struct policy *policy,
	const struct policy_rule *wide, const struct policy_elem *elem)
{
	uint32_t i, sg, node;

	for (i = 0; i < wide->to.count; i++) {
		const struct policy_elem *other =
			&policy->elems.at[wide->to.first + i];

		if (other->kind == elem->kind && other->sym == elem->sym)
			return true;
	}
	if (elem->kind != ELEM_NAME)
		return false;
	sg = policy_named(policy, elem->sym, NAME_SG);
	if (sg != POLICY_NONE) {
		uint32_t zone = policy->sgs.at[sg].zone;

		return zone != POLICY_NONE &&
		       has_id(policy, wide->objects,
			       policy_object_zone(policy,
				       policy_named(policy, zone, NAME_ZONE)));
	}
	node = policy_named(policy, elem->sym, NAME_NODE);
	for (i = 0; i < policy->nodes.at[node].objects.count; i++)
		if (has_id(policy, wide->objects,
			    policy->ids
				    .at[policy->nodes.at[node].objects.first +
					    i]))
			return true;
	return false;
}

static bool to_covered(const struct policy *policy,
	const struct policy_rule *wide, const struct policy_rule *narrow)
{
	uint32_t i;

	if (any_elem(policy, wide->to))
		return wide->kind == RULE_DENY || !narrow->to_self;
	if (any_elem(policy, narrow->to))
		return false;
	for (i = 0; i < narrow->to.count; i++)
		if (!target_covered(policy, wide,
			    &policy->elems.at[narrow->to.first + i]))
			return false;
	return true;
}

/* ---- the rest ---- */

static bool ids_covered(const struct policy *policy, struct policy_range wide,
	struct policy_range narrow)
{
	uint32_t i;

	for (i = 0; i < narrow.count; i++)
		if (!has_id(policy, wide, policy->ids.at[narrow.first + i]))
			return false;
	return true;
}

static bool login_covered(const struct policy *policy,
	const struct policy_rule *wide, const struct policy_rule *narrow)
{
	if (wide->login_kind == LOGIN_ANY ||
		(wide->login_kind == LOGIN_OWN && wide->kind == RULE_DENY))
		return true;
	if (wide->login_kind != narrow->login_kind)
		return false;
	return wide->login_kind == LOGIN_OWN ||
	       ids_covered(policy, wide->logins, narrow->logins);
}

static bool ports_covered(const struct policy *policy,
	const struct policy_rule *wide, const struct policy_rule *narrow)
{
	uint32_t i, j;

	if (!wide->ports.count)
		return wide->kind == RULE_DENY || !narrow->ports.count;
	if (!narrow->ports.count)
		return false;
	for (i = 0; i < narrow->ports.count; i++) {
		const struct policy_ports *port =
			&policy->ports.at[narrow->ports.first + i];
		bool covered = false;

		for (j = 0; j < wide->ports.count; j++) {
			const struct policy_ports *other =
				&policy->ports.at[wide->ports.first + j];

			covered = covered || (other->from <= port->from &&
						     other->to >= port->to);
		}
		if (!covered)
			return false;
	}
	return true;
}

static bool hours_covered(const struct policy *policy,
	const struct policy_rule *wide, const struct policy_rule *narrow)
{
	if (!wide->hours.count)
		return true;
	if (!narrow->hours.count || wide->hours_not != narrow->hours_not)
		return false;
	return wide->hours_not
		       ? ids_covered(policy, narrow->hours, wide->hours)
		       : ids_covered(policy, wide->hours, narrow->hours);
}

static bool allow_covered(
	const struct policy_rule *wide, const struct policy_rule *narrow)
{
	return wide->kind == RULE_DENY ||
	       ((narrow->allow & ~wide->allow) == 0 &&
		       !(narrow->allow & POLICY_EXEC_PATTERN));
}

static bool expiry_covered(
	const struct policy_rule *wide, const struct policy_rule *narrow)
{
	return !wide->expires ||
	       (narrow->expires && narrow->expires <= wide->expires);
}

/* The cheap and likely differences first. */
static bool covers(const struct policy *policy, const struct policy_rule *wide,
	const struct policy_rule *narrow)
{
	return allow_covered(wide, narrow) && expiry_covered(wide, narrow) &&
	       login_covered(policy, wide, narrow) &&
	       to_covered(policy, wide, narrow) &&
	       (!wide->services.count ||
		       (narrow->services.count &&
			       ids_covered(policy, wide->services,
				       narrow->services))) &&
	       ports_covered(policy, wide, narrow) &&
	       hours_covered(policy, wide, narrow) &&
	       from_covered(policy, wide, narrow) &&
	       who_covered(policy, wide, narrow);
}

static bool could_shadow(const struct policy_rule *wide,
	const struct policy_rule *narrow, bool earlier)
{
	if (wide == narrow || wide->kind == RULE_AUDIT)
		return false;
	if (wide->kind == RULE_DENY && narrow->kind == RULE_PERMIT)
		return true;
	return earlier && wide->kind == narrow->kind;
}

void lint_shadows(struct lint *lint)
{
	const struct policy *policy = lint->parser.policy;
	uint32_t i, j;

	for (i = 0; i < policy->rules.count; i++) {
		const struct policy_rule *narrow = &policy->rules.at[i];

		for (j = 0;
			j < policy->rules.count && narrow->kind != RULE_AUDIT;
			j++) {
			const struct policy_rule *wide = &policy->rules.at[j];

			if (!could_shadow(wide, narrow, j < i) ||
				!covers(policy, wide, narrow))
				continue;
			policy_report(&lint->parser, DIAG_ERROR, "shadowed",
				narrow->place, NULL,
				"this rule never matches: %s %s all of it",
				wide->name,
				wide->kind == RULE_DENY ? "denies" : "covers");
			break;
		}
	}
}
