/*
 * The second decision function, over the model instead of the text: no index,
 * no order of its own, nothing shared with the fast one.
 */
#include "policy_naive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool in_unix(const struct policy_request *request, int index)
{
	const char *const *group;
	char name[16];

	snprintf(name, sizeof(name), "x%d", index);
	for (group = request->groups; group && *group; group++)
		if (!strcmp(*group, name))
			return true;
	return false;
}

static bool who_has(const struct naive *n, const struct list *list)
{
	char name[16];
	int i;

	for (i = 0; i < list->count; i++) {
		const struct item *one = &list->items[i];

		snprintf(name, sizeof(name), "u%d", one->index);
		if (one->kind == ANY ||
			(one->kind == USER &&
				!strcmp(n->request->user, name)) ||
			(one->kind == UNIXGROUP &&
				in_unix(n->request, one->index)) ||
			(one->kind == GROUP &&
				who_has(n, &n->model->groups[one->index])))
			return true;
	}
	return false;
}

static bool list_contains(const struct model *model, const struct list *list,
	const struct addr *addr)
{
	int i;

	for (i = 0; i < list->count; i++) {
		const struct item *one = &list->items[i];

		if (one->kind == ANY ||
			(one->kind == NET && addr_in_net(addr, &one->net)) ||
			(one->kind == NETWORK &&
				list_contains(model,
					&model->networks[one->index], addr)))
			return true;
	}
	return false;
}

/* Members of a group by name and by the subnets of groups. */
static unsigned int node_sgs(const struct model *model, const struct node *node)
{
	unsigned int sgs = node->sgs;
	int i, j;

	for (i = NODES; i < NODES + SUBNETS; i++)
		for (j = 0; j < node->addr_count; j++)
			if (addr_net_covers(
				    &model->nodes[i].addrs[0], &node->addrs[j]))
				sgs |= model->nodes[i].sgs;
	return sgs;
}

static bool target_has(const struct naive *n, const struct rule *rule)
{
	int i, j;

	for (i = 0; i < rule->to.count; i++) {
		const struct item *one = &rule->to.items[i];

		if (one->kind == ANY && (rule->deny || n->node))
			return true;
		if (one->kind == SELF && !n->node)
			return true;
		if (!n->node)
			continue;
		if (one->kind == NODE &&
			n->node == &n->model->nodes[one->index])
			return true;
		if (one->kind == SG && (n->sgs >> one->index & 1))
			return true;
		for (j = 0; j < SGS && one->kind == ZONE; j++)
			if ((n->sgs >> j & 1) &&
				n->model->sg_zone[j] == one->index)
				return true;
		for (j = 0; j < n->node->addr_count && one->kind == NET; j++)
			if (!n->node->subnet &&
				addr_in_net(&n->node->addrs[j].base, &one->net))
				return true;
		if (one->kind == NET && n->node->subnet &&
			addr_in_net(&n->addr, &one->net))
			return true;
	}
	return false;
}

/* libc's idea of local time, not ours. */
static bool hours_contain(const struct hours *hours, time_t now)
{
	struct tm tm;
	int i, minute;

	setenv("TZ", zone_names[hours->zone], 1);
	tzset();
	assert_non_null(localtime_r(&now, &tm));
	minute = tm.tm_hour * 60 + tm.tm_min;
	for (i = 0; i < hours->count; i++) {
		const struct span *span = &hours->spans[i];
		bool today = span->days >> tm.tm_wday & 1;
		bool yesterday = span->days >> ((tm.tm_wday + 6) % 7) & 1;

		if (span->from < span->to) {
			if (today && minute >= span->from && minute < span->to)
				return true;
		} else if ((today && minute >= span->from) ||
			   (yesterday && minute < span->to)) {
			return true;
		}
	}
	return false;
}

static bool time_has(const struct naive *n, const struct rule *rule)
{
	bool within = false;
	int i;

	if (!rule->hour_count)
		return true;
	for (i = 0; i < rule->hour_count; i++)
		within = within ||
			 hours_contain(&n->model->hours[rule->hours[i]],
				 n->request->now);
	return within != rule->not_hours;
}

static bool port_has(const struct naive *n, const struct rule *rule)
{
	int i;

	if (!n->node)
		return rule->port_count == 0;
	if (!rule->port_count)
		return rule->deny || n->port == n->node_port;
	for (i = 0; i < rule->port_count; i++)
		if (n->port >= rule->ports[i][0] &&
			n->port <= rule->ports[i][1])
			return true;
	return false;
}

static const char *own_login(const struct naive *n)
{
	if (n->node && n->node->login >= 0)
		return login_names[n->node->login];
	return n->request->user;
}

static bool login_has(const struct naive *n, const struct rule *rule)
{
	int i;

	if (!*n->login)
		return !rule->deny || rule->login_kind != 1;
	if (rule->login_kind == 2 || (rule->deny && rule->login_kind == 0))
		return true;
	if (rule->login_kind == 0)
		return !strcmp(n->login, own_login(n));
	for (i = 0; i < rule->login_count; i++)
		if (!strcmp(n->login, login_names[rule->logins[i]]))
			return true;
	return false;
}

static bool service_has(const struct naive *n, const struct rule *rule)
{
	int i;

	if (!rule->service_count)
		return true;
	for (i = 0; i < rule->service_count; i++)
		if (n->request->service &&
			!strcmp(n->request->service,
				service_names[rule->services[i]]))
			return true;
	return false;
}

static bool rule_has(const struct naive *n, const struct rule *rule)
{
	if (!rule->deny && n->request->want &&
		!(n->request->want & rule->allow))
		return false;
	if (!rule->deny && rule->expires && n->request->now >= rule->expires)
		return false;
	return who_has(n, &rule->who) &&
	       (n->request->local || list_contains(n->model, &rule->from,
					     &n->request->source)) &&
	       target_has(n, rule) && port_has(n, rule) && login_has(n, rule) &&
	       service_has(n, rule) && time_has(n, rule);
}

static const struct rule *first_rule(const struct naive *n, bool deny)
{
	int i;

	for (i = 0; i < n->model->rule_count; i++)
		if (n->model->rules[i].deny == deny &&
			rule_has(n, &n->model->rules[i]))
			return &n->model->rules[i];
	return NULL;
}

static bool zero_net(
	const struct model *model, const struct list *list, int family)
{
	int i;

	for (i = 0; i < list->count; i++)
		if (list->items[i].kind == NET && !list->items[i].net.bits &&
			list->items[i].net.base.family == family)
			return true;
	(void)model;
	return false;
}

/* Which groups who connects is in: we, or the jump host in front. */
static unsigned int node_sgs(
	const struct model *model, const struct node *node);

static unsigned int from_sgs(const struct naive *n, const struct node *node)
{
	const struct model *model = n->model;

	if (node->via >= 0)
		return node_sgs(model, &model->nodes[node->via]);
	return model->bastion_node >= 0 ? model->nodes[model->bastion_node].sgs
					: 1u << model->bastion_sg;
}

static bool is_from(
	const struct model *model, const struct node *node, int index)
{
	return node->via >= 0 ? index == node->via : is_bastion(model, index);
}

static bool one_is_from(const struct naive *n, const struct item *one,
	bool drop, const struct node *target, int family)
{
	struct list list = {.count = 1, .items = {*one}};
	int i, j, all = 0, within = 0;

	if (one->kind == ANY)
		return true;
	if (one->kind == SG)
		return from_sgs(n, target) >> one->index & 1;
	for (i = 0; i < NODES; i++) {
		const struct node *node = &n->model->nodes[i];

		if (!is_from(n->model, target, i))
			continue;
		for (j = 0; j < node->addr_count; j++) {
			if (node->addrs[j].base.family != family)
				continue;
			all++;
			within += list_contains(
				n->model, &list, &node->addrs[j].base);
		}
	}
	if (zero_net(n->model, &list, family))
		return true;
	return drop ? within > 0 : all > 0 && all == within;
}

static bool sg_rule_has(const struct naive *n, const struct sg_rule *rule,
	const struct node *node, int family, int number)
{
	bool port = rule->port_count == 0;
	int i;

	if (rule->proto == 2 || !(node_sgs(n->model, node) >> rule->sg & 1))
		return false;
	for (i = 0; i < rule->port_count; i++)
		port = port || (number >= rule->ports[i][0] &&
				       number <= rule->ports[i][1]);
	for (i = 0; i < rule->from.count && port; i++)
		if (one_is_from(
			    n, &rule->from.items[i], rule->drop, node, family))
			return true;
	return false;
}

/* Priority, then drop before accept, then reading order. */
static bool sg_rule_before(const struct sg_rule *a, const struct sg_rule *b)
{
	if (a->priority != b->priority)
		return a->priority < b->priority;
	if (a->drop != b->drop)
		return a->drop;
	return a->line < b->line;
}

static bool sg_accepts(const struct naive *n, const struct node *node,
	int family, int port, const struct sg_rule **ret)
{
	const struct sg_rule *best = NULL;
	bool open = node->via < 0;
	int i;

	/* First the way to the jump host, on one of its addresses. */
	if (!open) {
		const struct node *hop = &n->model->nodes[node->via];

		for (i = 0; i < hop->addr_count && !open; i++)
			open = sg_accepts(n, hop, hop->addrs[i].base.family,
				hop->port ? hop->port : 22, ret);
	}
	if (!open)
		return false;
	for (i = 0; i < n->model->sg_rule_count; i++) {
		const struct sg_rule *rule = &n->model->sg_rules[i];

		if (!sg_rule_has(n, rule, node, family, port))
			continue;
		if (!best || sg_rule_before(rule, best))
			best = rule;
	}
	*ret = best;
	if (best)
		return !best->drop;
	for (i = 0; i < SGS; i++)
		if ((node_sgs(n->model, node) & from_sgs(n, node)) >> i & 1 &&
			!n->model->sg_isolated[i])
			return true;
	return false;
}

/* The instance of a name or an address, or the narrowest subnet. */
static bool find_target(struct naive *n)
{
	const struct node *best = NULL;
	char name[16];
	int i, j;

	for (i = 0; i < NODES; i++) {
		snprintf(name, sizeof(name), "i%d", i);
		if (!strcmp(name, n->request->target)) {
			n->node = &n->model->nodes[i];
			n->addr = n->node->addrs[0].base;
			return true;
		}
	}
	if (addr_parse(n->request->target, &n->addr))
		return false;
	for (i = 0; i < NODES + SUBNETS; i++)
		for (j = 0; j < n->model->nodes[i].addr_count; j++)
			if (addr_in_net(
				    &n->addr, &n->model->nodes[i].addrs[j]) &&
				(!best || n->model->nodes[i].addrs[j].bits >
						  best->addrs[0].bits))
				best = &n->model->nodes[i];
	n->node = best;
	return best != NULL;
}

void naive_decide(struct naive *n, struct answer *ret)
{
	const struct policy_request *request = n->request;
	const struct rule *permit, *deny;

	memset(ret, 0, sizeof(*ret));
	n->login = request->login ? request->login : "";
	ret->login = n->login;
	if (request->via == POLICY_VIA_PAM) {
		if (!*n->login)
			n->login = request->user;
	} else {
		if (!find_target(n)) {
			ret->reason = POLICY_NO_TARGET;
			return;
		}
		n->sgs = node_sgs(n->model, n->node);
		n->node_port = n->node->port ? n->node->port : 22;
		n->port = request->port ? request->port : n->node_port;
	}
	permit = first_rule(n, false);
	if (permit && !*n->login && request->want != POLICY_FORWARD)
		n->login = permit->login_kind == 1
				   ? login_names[permit->logins[0]]
				   : own_login(n);
	deny = first_rule(n, true);
	ret->login = n->login;
	ret->rule = deny ? deny : permit;
	if (request->via == POLICY_VIA_PAM && !request->local &&
		!n->model->root_login && !strcmp(request->user, "root"))
		ret->reason = POLICY_ROOT;
	else if (deny)
		ret->reason = POLICY_DENY_RULE;
	else if (!permit)
		ret->reason = POLICY_NO_PERMIT;
	else if (n->node && !sg_accepts(n, n->node, n->addr.family, n->port,
				    &ret->sg_rule))
		ret->reason = POLICY_GROUP_CLOSED;
	else
		ret->reason = POLICY_GRANTED;
}
