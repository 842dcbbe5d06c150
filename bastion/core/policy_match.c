/*
 * A request with its names looked up, and whether one rule matches it. Pure,
 * like everything a decision calls. What is missing, malformed or too much
 * makes a query that is refused.
 */
#include "core/policy_int.h"

#include <string.h>

#define TIME_MAX 253402300799ll /* the end of the year 9999 */

/* ---- looking names up ---- */

static bool text_present(const char *text)
{
	return text && *text;
}

static void query_leaves(struct policy_query *query)
{
	const struct policy *policy = query->policy;
	const char *const *group = query->request->groups;
	uint32_t sym = policy_symbol_find(policy, query->request->user);
	uint32_t leaf = policy_named(policy, sym, NAME_USER);

	if (leaf != POLICY_NONE)
		query->leaves[query->leaf_count++] = leaf;
	for (; group && *group; group++) {
		leaf = policy_named(
			policy, policy_symbol_find(policy, *group), NAME_UNIX);
		if (leaf == POLICY_NONE)
			continue;
		if (query->leaf_count == POLICY_MAX_LEAVES) {
			/* A denial might name the one too many. */
			query->leaf_count = POLICY_NONE;
			return;
		}
		query->leaves[query->leaf_count++] = policy_leaf_unix(
			policy, leaf);
	}
}

enum policy_reason policy_query_user(struct policy_query *query,
	const struct policy *policy, const struct policy_request *request)
{
	query->policy = policy;
	query->request = request;
	query->leaf_count = 0;
	query->source = POLICY_NONE;
	query->node = NULL;
	query->by_name = false;
	query->objects = NULL;
	query->object_count = 0;
	query->port = query->node_port = 0;
	query->login = query->service = POLICY_NONE;
	query->login_text = "";
	memset(&query->addr, 0, sizeof(query->addr));
	if (!policy || !text_present(request->user) || request->now < 0 ||
		request->now > TIME_MAX)
		return POLICY_BAD_REQUEST;
	if (request->via != POLICY_VIA_PROXY && request->via != POLICY_VIA_PAM)
		return POLICY_BAD_REQUEST;
	if (!request->local && !request->source.family)
		return POLICY_BAD_REQUEST;
	if (request->via == POLICY_VIA_PROXY &&
		(request->local || !policy_name_valid(request->user)))
		return POLICY_BAD_REQUEST;
	query_leaves(query);
	if (query->leaf_count == POLICY_NONE)
		return POLICY_BAD_REQUEST;
	if (!request->local)
		query->source = policy_prefixes_find(
			&policy->sources, &request->source);
	return POLICY_GRANTED;
}

static enum policy_reason query_self(struct policy_query *query)
{
	static const uint32_t objects[] = {OBJECT_ALL, OBJECT_SELF};
	const struct policy_request *request = query->request;

	if (!text_present(request->service))
		return POLICY_BAD_REQUEST;
	query->service = policy_symbol_find(query->policy, request->service);
	query->objects = objects;
	query->object_count = 2;
	if (!query->login_text[0])
		query->login_text = request->user;
	query->login = policy_symbol_find(query->policy, query->login_text);
	return POLICY_GRANTED;
}

/* A numeric address: what it is called, from the narrowest net outwards. */
static enum policy_reason query_chain(struct policy_query *query)
{
	const struct policy *policy = query->policy;
	const struct policy_prefixes *prefixes = &policy->targets;
	int family = query->addr.family;
	uint32_t entry = policy_prefixes_find(prefixes, &query->addr);
	uint32_t nodes_end = policy_object_sg(policy, 0);
	uint32_t count = 0, i;

	query->own_objects[count++] = OBJECT_ALL;
	query->own_objects[count++] = OBJECT_BEHIND;
	for (; entry != POLICY_NONE;
		entry = policy_prefix_at(prefixes, family, entry)->parent) {
		const struct policy_prefix *prefix = policy_prefix_at(
			prefixes, family, entry);

		for (i = 0; i < prefix->count; i++) {
			uint32_t id = prefixes->ids.at[prefix->first + i];

			if (!query->node && id < nodes_end)
				query->node =
					&policy->nodes.at[id - OBJECT_FIRST];
			if (count == POLICY_MAX_OBJECTS)
				return POLICY_NO_TARGET;
			query->own_objects[count++] = id;
		}
	}
	query->objects = query->own_objects;
	query->object_count = count;
	return query->node ? POLICY_GRANTED : POLICY_NO_TARGET;
}

/* The address of an instance was judged when the policy was compiled. */
static enum policy_reason query_address(struct policy_query *query)
{
	enum policy_reason reason;

	if (addr_parse(query->request->target, &query->addr))
		return POLICY_NO_TARGET;
	reason = query_chain(query);
	if (addr_is_forbidden_target(&query->addr) &&
		!(query->node && query->node->local &&
			addr_is_loopback(&query->addr)))
		return POLICY_FORBIDDEN_ADDRESS;
	return reason;
}

static enum policy_reason query_node(struct policy_query *query)
{
	const struct policy *policy = query->policy;
	uint32_t sym = policy_symbol_find(policy, query->request->target);
	uint32_t node = policy_named(policy, sym, NAME_NODE);

	if (node != POLICY_NONE && !policy->nodes.at[node].subnet) {
		query->node = &policy->nodes.at[node];
		query->by_name = true;
		query->addr = policy->nets.at[query->node->nets.first].base;
	} else {
		enum policy_reason reason = query_address(query);

		if (reason != POLICY_GRANTED)
			return reason;
	}
	if (!query->node->subnet) {
		query->objects = policy->ids.at + query->node->objects.first;
		query->object_count = query->node->objects.count;
	}
	query->node_port = query->node->port ? query->node->port
					     : POLICY_SSH_PORT;
	query->port = query->request->port ? query->request->port
					   : query->node_port;
	return POLICY_GRANTED;
}

enum policy_reason policy_query_init(struct policy_query *query,
	const struct policy *policy, const struct policy_request *request)
{
	enum policy_reason reason = policy_query_user(query, policy, request);

	if (reason != POLICY_GRANTED)
		return reason;
	if (text_present(request->login)) {
		if (!policy_name_valid(request->login))
			return POLICY_BAD_REQUEST;
		query->login_text = request->login;
		query->login = policy_symbol_find(policy, request->login);
	}
	if (request->via == POLICY_VIA_PAM)
		return query_self(query);
	if (!text_present(request->target))
		return POLICY_BAD_REQUEST;
	return query_node(query);
}

/* ---- does a rule match? ---- */

static bool range_has(const struct policy *policy,
	const struct policy_range *range, uint32_t id)
{
	uint32_t i;

	for (i = 0; i < range->count; i++)
		if (policy->ids.at[range->first + i] == id)
			return true;
	return false;
}

/* sources are sorted. */
static bool source_has(const struct policy *policy,
	const struct policy_range *sources, uint32_t network)
{
	const uint32_t *ids = policy->ids.at + sources->first;
	uint32_t low = 0, high = sources->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (ids[middle] == network)
			return true;
		if (ids[middle] < network)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

bool policy_rule_source(
	const struct policy_query *query, const struct policy_rule *rule)
{
	const struct policy_prefixes *prefixes = &query->policy->sources;
	int family = query->request->source.family;
	uint32_t entry = query->source;
	uint32_t i;

	if (rule->any_source || query->request->local)
		return true;
	for (; entry != POLICY_NONE;
		entry = policy_prefix_at(prefixes, family, entry)->parent) {
		const struct policy_prefix *prefix = policy_prefix_at(
			prefixes, family, entry);

		for (i = 0; i < prefix->count; i++)
			if (source_has(query->policy, &rule->sources,
				    prefixes->ids.at[prefix->first + i]))
				return true;
	}
	return false;
}

bool policy_rule_hours(
	const struct policy *policy, const struct policy_rule *rule, time_t now)
{
	uint32_t i;

	if (!rule->hours.count)
		return true;
	for (i = 0; i < rule->hours.count; i++)
		if (policy_hours_contain(
			    policy, policy->ids.at[rule->hours.first + i], now))
			return !rule->hours_not;
	return rule->hours_not;
}

static bool rule_port(
	const struct policy_query *query, const struct policy_rule *rule)
{
	uint32_t i;

	if (!query->node)
		return !rule->ports.count;
	if (!rule->ports.count)
		return rule->kind == RULE_DENY ||
		       query->port == query->node_port;
	for (i = 0; i < rule->ports.count; i++) {
		const struct policy_ports *ports =
			&query->policy->ports.at[rule->ports.first + i];

		if (query->port >= ports->from && query->port <= ports->to)
			return true;
	}
	return false;
}

const char *policy_own_login(const struct policy_query *query)
{
	if (query->node && query->node->login != POLICY_NONE)
		return policy_symbol_text(query->policy, query->node->login);
	return query->request->user;
}

static bool rule_login(
	const struct policy_query *query, const struct policy_rule *rule)
{
	bool given = query->login_text[0] != '\0';

	if (!given)
		return rule->kind == RULE_PERMIT ||
		       rule->login_kind != LOGIN_LIST;
	if (rule->login_kind == LOGIN_LIST)
		return query->login != POLICY_NONE &&
		       range_has(query->policy, &rule->logins, query->login);
	if (rule->login_kind == LOGIN_ANY || rule->kind == RULE_DENY)
		return true;
	return !strcmp(query->login_text, policy_own_login(query));
}

static bool rule_service(
	const struct policy_query *query, const struct policy_rule *rule)
{
	return !rule->services.count ||
	       (query->service != POLICY_NONE &&
		       range_has(
			       query->policy, &rule->services, query->service));
}

static bool rule_want(
	const struct policy_query *query, const struct policy_rule *rule)
{
	unsigned int want = query->request->want;

	if (want & POLICY_EXEC)
		want |= POLICY_EXEC_PATTERN;
	return rule->kind == RULE_DENY || !want || (rule->allow & want);
}

static bool rule_lives(
	const struct policy_query *query, const struct policy_rule *rule)
{
	return !rule->expires || query->request->now < rule->expires;
}

bool policy_rule_matches(
	const struct policy_query *query, const struct policy_rule *rule)
{
	return rule_port(query, rule) && rule_service(query, rule) &&
	       rule_want(query, rule) && rule_lives(query, rule) &&
	       rule_login(query, rule) && policy_rule_source(query, rule) &&
	       policy_rule_hours(query->policy, rule, query->request->now);
}

unsigned int policy_rule_differs(
	const struct policy_query *query, const struct policy_rule *rule)
{
	unsigned int differs = 0;

	if (!rule_port(query, rule))
		differs |= DIFFERS_PORT;
	if (!rule_service(query, rule))
		differs |= DIFFERS_SERVICE;
	if (!rule_want(query, rule))
		differs |= DIFFERS_WANT;
	if (!rule_lives(query, rule))
		differs |= DIFFERS_EXPIRED;
	if (!rule_login(query, rule))
		differs |= DIFFERS_LOGIN;
	if (!policy_rule_source(query, rule))
		differs |= DIFFERS_SOURCE;
	if (!policy_rule_hours(query->policy, rule, query->request->now))
		differs |= DIFFERS_HOURS;
	return differs;
}
