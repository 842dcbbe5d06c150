/*
 * The one decision function. Pure: no clock, no DNS, no NSS, no files, no
 * allocation. A request's names are looked up once; rules are found by who
 * and what they name, so that the cost depends on how many rules speak of
 * this user and this target, not on how many there are.
 *
 * Whatever is missing, malformed or too much is denied.
 */
#include "core/policy_int.h"

#include <string.h>

#define NEAREST_MAX 512 /* rules looked at to explain a denial */
#define NO_RULE	    UINT32_MAX

static const char *const no_texts[] = {NULL};

/* ---- finding rules ---- */

/* The first matching rule of a sorted list, if it is before best. */
static uint32_t scan(const struct policy_query *query, const uint32_t *list,
	uint32_t count, uint32_t best)
{
	const struct policy_rule *rules = query->policy->rules.at;
	uint32_t i;

	for (i = 0; i < count && list[i] < best; i++)
		if (policy_rule_matches(query, &rules[list[i]]))
			return list[i];
	return best;
}

static uint32_t scan_source(const struct policy_query *query,
	enum policy_rule_kind kind, uint64_t list, uint32_t source,
	uint32_t best)
{
	uint32_t count;
	const uint32_t *rules = policy_index_find(
		&query->policy->by_source[kind], list << 32 | source, &count);

	return scan(query, rules, count, best);
}

static uint32_t scan_by_source(const struct policy_query *query,
	enum policy_rule_kind kind, uint64_t list, uint32_t best)
{
	const struct policy *policy = query->policy;
	const struct policy_prefixes *prefixes = &policy->sources;
	int family = query->request->source.family;
	uint32_t entry = query->source;
	uint32_t i;

	best = scan_source(query, kind, list, SOURCE_ANY, best);
	best = scan_source(query, kind, list, POLICY_SOURCE_MANY, best);
	for (; entry != POLICY_NONE;
		entry = policy_prefix_at(prefixes, family, entry)->parent) {
		const struct policy_prefix *prefix = policy_prefix_at(
			prefixes, family, entry);

		for (i = 0; i < prefix->count; i++) {
			uint32_t id = prefixes->ids.at[prefix->first + i];

			if (policy->network_kinds[id] >> kind & 1)
				best = scan_source(
					query, kind, list, id + 1, best);
		}
	}
	return best;
}

static uint32_t scan_subject(const struct policy_query *query,
	enum policy_rule_kind kind, uint32_t subject, uint32_t best)
{
	const struct policy *policy = query->policy;
	uint32_t i, count;

	if (!(policy->subject_kinds[subject] >> kind & 1))
		return best;
	for (i = 0; i < query->object_count; i++) {
		uint32_t object = query->objects[i];
		const uint32_t *list;

		if (!(policy->object_kinds[object] >> kind & 1))
			continue;
		list = policy_index_find(&policy->pairs[kind],
			(uint64_t)subject << 32 | object, &count);
		if (count > POLICY_LIST_LONG && !query->request->local)
			best = scan_by_source(query, kind,
				(uint64_t)(list - policy->pairs[kind].rules),
				best);
		else
			best = scan(query, list, count, best);
	}
	return best;
}

static uint32_t first_rule(
	const struct policy_query *query, enum policy_rule_kind kind)
{
	const struct policy *policy = query->policy;
	uint32_t best = scan_subject(query, kind, SUBJECT_ANY, NO_RULE);
	uint32_t i, j;

	for (i = 0; i < query->leaf_count; i++) {
		uint32_t leaf = query->leaves[i];

		for (j = policy->leaf_first[leaf];
			j < policy->leaf_first[leaf + 1]; j++)
			best = scan_subject(
				query, kind, policy->leaf_subjects[j], best);
	}
	return best;
}

static bool each_of_list(const struct policy_query *query, const uint32_t *list,
	uint32_t count, bool (*each)(const struct policy_rule *rule, void *arg),
	void *arg)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		if (!each(&query->policy->rules.at[list[i]], arg))
			return false;
	return true;
}

static bool each_of_subject(const struct policy_query *query,
	enum policy_rule_kind kind, uint32_t subject, bool by_target,
	bool (*each)(const struct policy_rule *rule, void *arg), void *arg)
{
	const struct policy *policy = query->policy;
	const uint32_t *list;
	uint32_t i, count;

	if (!(policy->subject_kinds[subject] >> kind & 1))
		return true;
	if (!by_target) {
		list = policy_index_find(
			&policy->by_subject[kind], subject, &count);
		return each_of_list(query, list, count, each, arg);
	}
	for (i = 0; i < query->object_count; i++) {
		list = policy_index_find(&policy->pairs[kind],
			(uint64_t)subject << 32 | query->objects[i], &count);
		if (!each_of_list(query, list, count, each, arg))
			return false;
	}
	return true;
}

static void each_rule(const struct policy_query *query,
	enum policy_rule_kind kind, bool by_target,
	bool (*each)(const struct policy_rule *rule, void *arg), void *arg)
{
	const struct policy *policy = query->policy;
	uint32_t i, j;

	if (!each_of_subject(query, kind, SUBJECT_ANY, by_target, each, arg))
		return;
	for (i = 0; i < query->leaf_count; i++) {
		uint32_t leaf = query->leaves[i];

		for (j = policy->leaf_first[leaf];
			j < policy->leaf_first[leaf + 1]; j++)
			if (!each_of_subject(query, kind,
				    policy->leaf_subjects[j], by_target, each,
				    arg))
				return;
	}
}

void policy_each_of_user(const struct policy_query *query,
	enum policy_rule_kind kind,
	bool (*each)(const struct policy_rule *rule, void *arg), void *arg)
{
	each_rule(query, kind, false, each, arg);
}

void policy_each_candidate(const struct policy_query *query,
	enum policy_rule_kind kind,
	bool (*each)(const struct policy_rule *rule, void *arg), void *arg)
{
	each_rule(query, kind, true, each, arg);
}

/* ---- the decision ---- */

struct nearest {
	const struct policy_query *query;
	const struct policy_rule *rule;
	unsigned int differs;
	int distance;
	unsigned int seen;
};

static bool nearest_one(const struct policy_rule *rule, void *arg)
{
	struct nearest *nearest = arg;
	unsigned int differs = policy_rule_differs(nearest->query, rule);
	int distance = __builtin_popcount(differs);

	if (!nearest->rule || distance < nearest->distance ||
		(distance == nearest->distance && rule < nearest->rule)) {
		nearest->rule = rule;
		nearest->differs = differs;
		nearest->distance = distance;
	}
	return ++nearest->seen < NEAREST_MAX;
}

/* Why not? The permit for this user and target that misses by the least. */
static void explain_denial(
	const struct policy_query *query, struct policy_decision *ret)
{
	static const struct {
		unsigned int bit;
		enum policy_reason reason;
	} reasons[] = {
		{DIFFERS_PORT | DIFFERS_SERVICE | DIFFERS_WANT,
			POLICY_NO_PERMIT},
		{DIFFERS_EXPIRED, POLICY_EXPIRED},
		{DIFFERS_SOURCE, POLICY_SOURCE},
		{DIFFERS_HOURS, POLICY_HOURS},
		{DIFFERS_LOGIN, POLICY_LOGIN},
	};
	struct nearest nearest = {.query = query};
	size_t i;

	ret->reason = POLICY_NO_PERMIT;
	policy_each_candidate(query, RULE_PERMIT, nearest_one, &nearest);
	if (!nearest.rule)
		return;
	ret->rule = nearest.rule->name;
	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (nearest.differs & reasons[i].bit) {
			ret->reason = reasons[i].reason;
			return;
		}
}

static bool forward_only(const struct policy_request *request)
{
	return request->want == POLICY_FORWARD ||
	       request->want == POLICY_REMOTE_FORWARD;
}

/* Fills in the login of a request that names none: the rule's first, or the
 * instance's own. */
static void choose_login(
	struct policy_query *query, const struct policy_rule *rule)
{
	const struct policy *policy = query->policy;

	if (query->login_text[0] || forward_only(query->request))
		return;
	if (rule->login_kind == LOGIN_LIST) {
		query->login = policy->ids.at[rule->logins.first];
		query->login_text = policy_symbol_text(policy, query->login);
		return;
	}
	query->login_text = policy_own_login(query);
	query->login = policy_symbol_find(policy, query->login_text);
}

static void fill_target(
	const struct policy_query *query, struct policy_decision *ret)
{
	const struct policy *policy = query->policy;
	const struct policy_node *node = query->node;

	ret->host_keys = no_texts;
	ret->exec_patterns = no_texts;
	ret->login = query->login_text;
	ret->instance = "self";
	if (!node)
		return;
	ret->instance = policy_symbol_text(policy, node->sym);
	if (node->sgs.count)
		ret->security_group = policy_symbol_text(policy,
			policy->sgs.at[policy->ids.at[node->sgs.first]].sym);
	ret->target_addr = query->addr;
	ret->node = query->by_name ? node : NULL;
	if (node->via != POLICY_NONE)
		ret->via = &policy->nodes.at[node->via];
	ret->target_port = query->port;
	ret->host_keys = (const char *const *)policy->texts.at +
			 node->pins.first;
	ret->credential = node->logon.kind;
	if (node->logon.kind == POLICY_STORED_KEY)
		ret->credential_key = policy_symbol_text(
			policy, node->logon.key);
}

bool policy_decided_on(const struct policy *policy,
	const struct policy_decision *decision, const char *name)
{
	uint32_t sym, index, i;

	if (!decision->instance)
		return false;
	if (!strcmp(decision->instance, name))
		return true;
	sym = policy_symbol_find(policy, decision->instance);
	index = policy_named(policy, sym, NAME_NODE);
	if (index == POLICY_NONE)
		return false;
	for (i = 0; i < policy->nodes.at[index].sgs.count; i++) {
		uint32_t sg =
			policy->ids.at[policy->nodes.at[index].sgs.first + i];

		if (!strcmp(policy_symbol_text(policy, policy->sgs.at[sg].sym),
			    name))
			return true;
	}
	return false;
}

static void fill_conditions(const struct policy *policy,
	const struct policy_rule *rule, struct policy_decision *ret)
{
	ret->verdict = POLICY_PERMIT;
	ret->reason = POLICY_GRANTED;
	ret->mfa = rule->mfa;
	ret->mfa_seconds = rule->mfa_seconds;
	ret->allow = rule->allow;
	if (rule->patterns.count)
		ret->exec_patterns = (const char *const *)policy->texts.at +
				     rule->patterns.first;
	ret->record = rule->record;
	ret->on_record_failure = rule->on_record_failure;
	if (rule->approval != POLICY_NONE)
		ret->approval = policy_symbol_text(policy, rule->approval);
	ret->approval_seconds = rule->approval_seconds;
	ret->max_session = rule->max_session;
	ret->idle = rule->idle;
	ret->stall = rule->stall;
	ret->expires = rule->expires;
}

/* The cloud's half of the answer. */
static bool reachable(
	const struct policy_query *query, struct policy_decision *ret)
{
	const struct policy *policy = query->policy;
	uint32_t rule;
	bool accepts;

	if (!query->node)
		return true;
	accepts = policy_sg_accepts(
		policy, query->node, query->addr.family, query->port, &rule);
	if (rule != POLICY_NONE)
		ret->group_rule = policy->sg_rules.at[rule].name;
	return accepts;
}

bool policy_next_address(
	const struct policy *policy, struct policy_decision *decision)
{
	const struct policy_node *node = decision->node;
	uint32_t i, rule;

	for (i = decision->address + 1; node && i < node->nets.count; i++) {
		const struct addr *addr =
			&policy->nets.at[node->nets.first + i].base;

		if (!policy_sg_accepts(policy, node, addr->family,
			    decision->target_port, &rule))
			continue;
		decision->address = i;
		decision->target_addr = *addr;
		decision->group_rule = rule != POLICY_NONE
					       ? policy->sg_rules.at[rule].name
					       : NULL;
		return true;
	}
	return false;
}

static bool root_refused(const struct policy_query *query)
{
	const struct policy_request *request = query->request;

	return request->via == POLICY_VIA_PAM && !request->local &&
	       !query->policy->root_login && !strcmp(request->user, "root");
}

static void decide(struct policy_query *query, struct policy_decision *ret)
{
	const struct policy *policy = query->policy;
	uint32_t permit = first_rule(query, RULE_PERMIT);
	uint32_t deny;

	if (permit != NO_RULE)
		choose_login(query, &policy->rules.at[permit]);
	fill_target(query, ret);
	deny = first_rule(query, RULE_DENY);
	if (root_refused(query)) {
		ret->reason = POLICY_ROOT;
	} else if (deny != NO_RULE) {
		ret->reason = POLICY_DENY_RULE;
		ret->rule = policy->rules.at[deny].name;
	} else if (permit == NO_RULE) {
		explain_denial(query, ret);
	} else {
		ret->rule = policy->rules.at[permit].name;
		if (reachable(query, ret))
			fill_conditions(policy, &policy->rules.at[permit], ret);
		else
			ret->reason = POLICY_GROUP_CLOSED;
	}
}

void policy_decide(const struct policy *policy,
	const struct policy_request *request, struct policy_decision *ret)
{
	struct policy_query query;

	memset(ret, 0, sizeof(*ret));
	ret->host_keys = no_texts;
	ret->exec_patterns = no_texts;
	ret->login = "";
	ret->reason = policy_query_init(&query, policy, request);
	if (ret->reason == POLICY_GRANTED)
		decide(&query, ret);
}
