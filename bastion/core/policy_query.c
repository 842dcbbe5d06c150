/*
 * Questions beside the decision: may anybody come from here, how strict must
 * the second factor be, what is in reach, who may look at recordings. Pure,
 * except policy_unix_groups, which asks NSS and may block.
 */
#include "core/policy_int.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REACH_MAX  256 /* rules, or logins and ports, for one instance */
#define NSS_MAX	   (1024u * 1024)
#define GROUPS_MAX 65536

bool policy_source_known(const struct policy *policy, const struct addr *source)
{
	const uint8_t kinds = 1u << RULE_PERMIT | 1u << RULE_AUDIT;
	uint32_t entry, i;

	if (!policy || !source->family)
		return false;
	if (policy->source_any_kinds & kinds)
		return true;
	entry = policy_prefixes_find(&policy->sources, source);
	for (; entry != POLICY_NONE; entry = policy_prefix_at(&policy->sources,
					     source->family, entry)
						     ->parent) {
		const struct policy_prefix *prefix = policy_prefix_at(
			&policy->sources, source->family, entry);

		for (i = 0; i < prefix->count; i++)
			if (policy->network_kinds[policy->sources.ids.at
							  [prefix->first + i]] &
				kinds)
				return true;
	}
	return false;
}

/* ---- denied whatever the target ---- */

struct outright {
	const struct policy_query *query;
	bool denied;
};

static bool names_everything(
	const struct policy_query *query, const struct policy_rule *rule)
{
	const struct policy *policy = query->policy;
	uint32_t i;

	if (query->request->via == POLICY_VIA_PAM && rule->to_self)
		return true;
	for (i = 0; i < rule->objects.count; i++)
		if (policy->ids.at[rule->objects.first + i] == OBJECT_ALL)
			return true;
	return false;
}

static bool outright_one(const struct policy_rule *rule, void *arg)
{
	struct outright *outright = arg;
	const struct policy_query *query = outright->query;

	if (rule->ports.count || rule->services.count ||
		rule->login_kind == LOGIN_LIST ||
		!names_everything(query, rule) ||
		!policy_rule_source(query, rule) ||
		!policy_rule_hours(query->policy, rule, query->request->now))
		return true;
	outright->denied = true;
	return false;
}

bool policy_denied_outright(const struct policy_query *query)
{
	struct outright outright = {.query = query};

	policy_each_of_user(query, RULE_DENY, outright_one, &outright);
	return outright.denied;
}

/* ---- the second factor before the target is known ---- */

struct floor {
	const struct policy_query *query;
	bool found;
	enum policy_mfa mfa;
	uint64_t seconds;
};

static bool service_named(
	const struct policy_query *query, const struct policy_rule *rule)
{
	const struct policy *policy = query->policy;
	uint32_t i;

	if (!rule->services.count)
		return true;
	for (i = 0; i < rule->services.count; i++)
		if (query->request->service &&
			!strcmp(query->request->service,
				policy_symbol_text(policy,
					policy->ids
						.at[rule->services.first + i])))
			return true;
	return false;
}

static bool floor_one(const struct policy_rule *rule, void *arg)
{
	struct floor *floor = arg;
	const struct policy_request *request = floor->query->request;

	if (rule->to_self != (request->via == POLICY_VIA_PAM) ||
		!service_named(floor->query, rule) ||
		(rule->expires && request->now >= rule->expires) ||
		!policy_rule_source(floor->query, rule) ||
		!policy_rule_hours(floor->query->policy, rule, request->now))
		return true;
	if (!floor->found || rule->mfa < floor->mfa)
		floor->mfa = rule->mfa;
	if (rule->mfa == POLICY_MFA_REMEMBER &&
		(!floor->seconds || rule->mfa_seconds < floor->seconds))
		floor->seconds = rule->mfa_seconds;
	floor->found = true;
	return true;
}

enum policy_verdict policy_mfa_floor(const struct policy *policy,
	const struct policy_request *request, enum policy_mfa *ret_mfa,
	uint64_t *ret_seconds)
{
	struct policy_query query;
	struct floor floor = {.query = &query};

	*ret_mfa = POLICY_MFA_ALWAYS;
	*ret_seconds = 0;
	if (policy_query_user(&query, policy, request) != POLICY_GRANTED ||
		policy_denied_outright(&query))
		return POLICY_DENY;
	policy_each_of_user(&query, RULE_PERMIT, floor_one, &floor);
	if (!floor.found)
		return POLICY_DENY;
	*ret_mfa = floor.mfa;
	if (floor.mfa == POLICY_MFA_REMEMBER)
		*ret_seconds = floor.seconds;
	return POLICY_PERMIT;
}

/* ---- what is in reach ---- */

struct way {
	const char *login;
	uint16_t port;
	unsigned int want;
};

struct ways {
	const struct policy_query *query;
	const struct policy_rule *rules[REACH_MAX];
	uint32_t rule_count;
	struct way list[REACH_MAX];
	uint32_t count;
};

/* Keeps the rules in reading order. */
static bool ways_rule(const struct policy_rule *rule, void *arg)
{
	struct ways *ways = arg;
	uint32_t i;

	if (policy_rule_differs(ways->query, rule) &
		(DIFFERS_SOURCE | DIFFERS_HOURS | DIFFERS_EXPIRED))
		return true;
	if (ways->rule_count == REACH_MAX)
		return false;
	for (i = ways->rule_count; i > 0 && ways->rules[i - 1] > rule; i--)
		ways->rules[i] = ways->rules[i - 1];
	ways->rules[i] = rule;
	ways->rule_count++;
	return true;
}

static void ways_add(struct ways *ways, const struct way *way)
{
	uint32_t i;

	for (i = 0; i < ways->count; i++)
		if (!strcmp(ways->list[i].login, way->login) &&
			ways->list[i].port == way->port)
			return;
	if (ways->count < REACH_MAX)
		ways->list[ways->count++] = *way;
}

/* A rule for forwards alone needs no login. */
static bool needs_login(const struct policy_rule *rule)
{
	return rule->login_kind == LOGIN_LIST ||
	       !(rule->allow & POLICY_FORWARD) ||
	       (rule->allow & ~(unsigned int)POLICY_FORWARDS);
}

static void ways_logins(
	struct ways *ways, const struct policy_rule *rule, uint16_t port)
{
	const struct policy *policy = ways->query->policy;
	struct way way = {.port = port};
	uint32_t i;

	if (rule->login_kind != LOGIN_LIST) {
		way.login = needs_login(rule) ? policy_own_login(ways->query)
					      : "";
		way.want = needs_login(rule) ? 0 : POLICY_FORWARD;
		ways_add(ways, &way);
		return;
	}
	for (i = 0; i < rule->logins.count; i++) {
		way.login = policy_symbol_text(
			policy, policy->ids.at[rule->logins.first + i]);
		ways_add(ways, &way);
	}
}

/* Of a range the instance's own port, or else the first one. */
static uint16_t range_port(
	const struct policy_query *query, const struct policy_ports *ports)
{
	if (query->node_port >= ports->from && query->node_port <= ports->to)
		return query->node_port;
	return ports->from;
}

/* The instances' own ports first: they matter most if there are too many. */
static void ways_collect(struct ways *ways)
{
	const struct policy *policy = ways->query->policy;
	uint32_t i, j;

	policy_each_candidate(ways->query, RULE_PERMIT, ways_rule, ways);
	for (i = 0; i < ways->rule_count; i++)
		if (!ways->rules[i]->ports.count)
			ways_logins(
				ways, ways->rules[i], ways->query->node_port);
	for (i = 0; i < ways->rule_count; i++) {
		const struct policy_rule *rule = ways->rules[i];

		for (j = 0; j < rule->ports.count; j++)
			ways_logins(ways, rule,
				range_port(ways->query,
					&policy->ports
						 .at[rule->ports.first + j]));
	}
}

static bool reach_way(const struct policy *policy,
	struct policy_request *request, const struct policy_node *node,
	const struct way *way,
	bool (*each)(const struct policy_reach *reach, void *arg), void *arg)
{
	struct policy_decision decision;
	struct policy_reach reach;
	uint32_t zone = POLICY_NONE;

	request->login = way->login;
	request->port = way->port;
	request->want = way->want;
	policy_decide(policy, request, &decision);
	if (decision.verdict != POLICY_PERMIT)
		return true;
	if (node->sgs.count)
		zone = policy->sgs.at[policy->ids.at[node->sgs.first]].zone;
	reach.instance = decision.instance;
	reach.security_group = decision.security_group;
	reach.zone = zone == POLICY_NONE ? NULL
					 : policy_symbol_text(policy, zone);
	reach.login = decision.login;
	reach.port = decision.target_port;
	reach.allow = decision.allow;
	return each(&reach, arg);
}

void policy_each_reachable(const struct policy *policy,
	const struct policy_request *request,
	bool (*each)(const struct policy_reach *reach, void *arg), void *arg)
{
	uint32_t i, j;

	if (!policy)
		return;
	for (i = 0; i < policy->nodes.count; i++) {
		const struct policy_node *node = &policy->nodes.at[i];
		struct policy_request one = *request;
		struct policy_query query;
		struct ways ways = {.query = &query};

		one.via = POLICY_VIA_PROXY;
		one.target = policy_symbol_text(policy, node->sym);
		one.login = NULL;
		one.port = 0;
		one.want = 0;
		if (node->subnet || policy_query_init(&query, policy, &one) !=
					    POLICY_GRANTED)
			continue;
		ways_collect(&ways);
		for (j = 0; j < ways.count; j++)
			if (!reach_way(policy, &one, node, &ways.list[j], each,
				    arg))
				return;
	}
}

/* ---- auditors and groups ---- */

struct rights {
	const struct policy_query *query;
	unsigned int bits;
};

static bool rights_one(const struct policy_rule *rule, void *arg)
{
	struct rights *rights = arg;

	if (policy_rule_source(rights->query, rule) &&
		policy_rule_hours(rights->query->policy, rule,
			rights->query->request->now))
		rights->bits |= rule->audit;
	return true;
}

unsigned int policy_audit_rights(
	const struct policy *policy, const struct policy_request *request)
{
	struct policy_query query;
	struct rights rights = {.query = &query};

	if (policy_query_user(&query, policy, request) != POLICY_GRANTED ||
		policy_denied_outright(&query))
		return 0;
	policy_each_of_user(&query, RULE_AUDIT, rights_one, &rights);
	return rights.bits;
}

static bool leaf_is(
	const struct policy *policy, uint32_t leaf, uint32_t subject)
{
	uint32_t i;

	if (leaf == POLICY_NONE)
		return false;
	for (i = policy->leaf_first[leaf]; i < policy->leaf_first[leaf + 1];
		i++)
		if (policy->leaf_subjects[i] == subject)
			return true;
	return false;
}

bool policy_in_group(const struct policy *policy, const char *group,
	const char *user, const char *const *groups)
{
	uint32_t index, subject, leaf;

	if (!policy || !group || !user)
		return false;
	index = policy_named(
		policy, policy_symbol_find(policy, group), NAME_GROUP);
	if (index == POLICY_NONE)
		return false;
	subject = policy_subject_group(index);
	leaf = policy_named(
		policy, policy_symbol_find(policy, user), NAME_USER);
	if (leaf_is(policy, leaf, subject))
		return true;
	for (; groups && *groups; groups++) {
		leaf = policy_named(
			policy, policy_symbol_find(policy, *groups), NAME_UNIX);
		if (leaf != POLICY_NONE &&
			leaf_is(policy, policy_leaf_unix(policy, leaf),
				subject))
			return true;
	}
	return false;
}

/* ---- Unix groups ---- */

/* Calls one of NSS's _r functions with more room until it suffices. */
static enum sgb_err user_gid(const char *user, gid_t *ret, bool *ret_found)
{
	struct passwd entry, *found = NULL;
	size_t size = 4096;
	char *room = NULL;
	int rc = ERANGE;

	while (rc == ERANGE && size <= NSS_MAX) {
		free(room);
		room = malloc(size);
		if (!room)
			return SGB_ERR_NOMEM;
		rc = getpwnam_r(user, &entry, room, size, &found);
		size *= 4;
	}
	*ret_found = rc == 0 && found;
	if (*ret_found)
		*ret = entry.pw_gid;
	free(room);
	/* POSIX leaves open how "there is none" looks. */
	if (rc == 0 || rc == ENOENT || rc == ESRCH)
		return SGB_OK;
	errno = rc;
	return SGB_ERR_SYSTEM;
}

static enum sgb_err add_group(
	const struct policy *policy, gid_t gid, char **list, size_t *count)
{
	struct group entry, *found = NULL;
	size_t size = 4096;
	char *room = NULL;
	enum sgb_err err = SGB_OK;
	int rc = ERANGE;

	while (rc == ERANGE && size <= 16 * (size_t)NSS_MAX) {
		free(room);
		room = malloc(size);
		if (!room)
			return SGB_ERR_NOMEM;
		rc = getgrgid_r(gid, &entry, room, size, &found);
		size *= 4;
	}
	if (rc && rc != ENOENT && rc != ESRCH) {
		errno = rc;
		err = SGB_ERR_SYSTEM;
	} else if (!rc && found &&
		   policy_named(policy,
			   policy_symbol_find(policy, entry.gr_name),
			   NAME_UNIX) != POLICY_NONE) {
		list[*count] = strdup(entry.gr_name);
		if (list[*count])
			(*count)++;
		else
			err = SGB_ERR_NOMEM;
	}
	free(room);
	return err;
}

static enum sgb_err user_gids(
	const char *user, gid_t gid, gid_t **ret, int *ret_count)
{
	int count = 64;
	gid_t *gids = NULL;

	for (;;) {
		int room = count;
		gid_t *more = reallocarray(gids, (size_t)room, sizeof(*gids));

		if (!more) {
			free(gids);
			return SGB_ERR_NOMEM;
		}
		gids = more;
		if (getgrouplist(user, gid, gids, &count) >= 0) {
			*ret = gids;
			*ret_count = count;
			return SGB_OK;
		}
		if (count <= room || count > GROUPS_MAX) {
			free(gids);
			return SGB_ERR_LIMIT;
		}
	}
}

enum sgb_err policy_unix_groups(
	const struct policy *policy, const char *user, char ***ret)
{
	enum sgb_err err = SGB_OK;
	size_t count = 0;
	gid_t gid = 0, *gids = NULL;
	int gid_count = 0, i;
	bool found = false;
	char **list;

	if (policy->unix_groups.count)
		err = user_gid(user, &gid, &found);
	if (!err && found)
		err = user_gids(user, gid, &gids, &gid_count);
	list = calloc((size_t)gid_count + 1, sizeof(*list));
	if (!err && !list)
		err = SGB_ERR_NOMEM;
	for (i = 0; i < gid_count && !err; i++)
		err = add_group(policy, gids[i], list, &count);
	free(gids);
	if (err) {
		policy_unix_groups_free(list);
		return err;
	}
	*ret = list;
	return SGB_OK;
}

void policy_unix_groups_free(char **groups)
{
	char **group;

	for (group = groups; group && *group; group++)
		free(*group);
	free(groups);
}
