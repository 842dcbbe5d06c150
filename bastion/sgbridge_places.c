/*
 * The places where the answer of a policy may change for one person and one
 * target: the ends of networks, the logins and ports that rules name, the
 * minutes at which hours begin and end in the week to come.
 */
#include "sgbridge_diff.h"

#include <stdlib.h>
#include <string.h>

#define WEEK	    7
#define DAY_SECONDS 86400

void places_add_login(struct places *places, const char *login)
{
	size_t i;

	for (i = 0; i < places->login_count; i++)
		if (!strcmp(places->logins[i], login))
			return;
	if (places->login_count == DIFF_ATOMS_MAX)
		places->truncated = true;
	else
		places->logins[places->login_count++] = login;
}

static void add_port(struct places *places, unsigned int port)
{
	size_t i;

	if (port == 0 || port > 65535)
		return;
	for (i = 0; i < places->port_count; i++)
		if (places->ports[i] == port)
			return;
	if (places->port_count == DIFF_ATOMS_MAX)
		places->truncated = true;
	else
		places->ports[places->port_count++] = (uint16_t)port;
}

static void add_time(struct places *places, time_t when)
{
	size_t i;

	/* What is past does not matter any more. */
	if (when < places->now)
		return;
	for (i = 0; i < places->time_count; i++)
		if (places->times[i] == when)
			return;
	if (places->time_count == DIFF_ATOMS_MAX)
		places->truncated = true;
	else
		places->times[places->time_count++] = when;
}

static void add_addr(struct places *places, const struct addr *addr)
{
	size_t i;

	for (i = 0; i < places->addr_count; i++)
		if (addr_equal(&places->addrs[i], addr))
			return;
	if (places->addr_count == DIFF_ATOMS_MAX)
		places->truncated = true;
	else
		places->addrs[places->addr_count++] = *addr;
}

/* The first address of a net, and the first one after it. */
static void add_net(struct places *places, const struct addr_net *net)
{
	struct addr next = net->base;
	unsigned int i = net->bits;

	add_addr(places, &net->base);
	while (i > 0) {
		uint8_t bit = (uint8_t)(0x80u >> ((i - 1) % 8));

		next.bytes[(i - 1) / 8] ^= bit;
		if (next.bytes[(i - 1) / 8] & bit) {
			add_addr(places, &next);
			return;
		}
		i--;
	}
}

static void add_sources(struct places *places, const struct policy_rule *rule)
{
	struct policy *policy = (struct policy *)places->policy;
	struct policy_nets nets = {0};
	uint32_t i;

	for (i = 0; i < rule->sources.count; i++)
		policy_network_nets(policy,
			policy->ids.at[rule->sources.first + i], 0, &nets);
	for (i = 0; i < nets.list.count; i++)
		add_net(places, &nets.list.at[i].net);
	free(nets.list.at);
}

/* Where these hours begin and end in the week to come. */
static void add_hours(struct places *places, uint32_t index)
{
	const struct policy *policy = places->policy;
	const struct policy_hours *hours = &policy->hours.at[index];
	const struct policy_zone *zone = policy->zones.at[hours->zone];
	uint32_t i, day;

	for (i = 0; i < hours->spans.count; i++) {
		const struct policy_hours_span *span =
			&policy->spans.at[hours->spans.first + i];

		for (day = 0; day <= WEEK; day++) {
			time_t local = places->now + (time_t)day * DAY_SECONDS;
			int32_t offset = policy_zone_offset(zone, local);
			time_t midnight = (local + offset) / DAY_SECONDS *
						  DAY_SECONDS -
					  offset;

			add_time(places, midnight + span->from * 60);
			add_time(places, midnight + span->to * 60);
		}
	}
}

static bool collect_rule(const struct policy_rule *rule, void *arg)
{
	struct places *places = arg;
	const struct policy *policy = places->policy;
	uint32_t i;

	places->permits = places->permits || rule->kind == RULE_PERMIT;
	for (i = 0; i < rule->logins.count; i++)
		places_add_login(places,
			policy_symbol_text(policy,
				policy->ids.at[rule->logins.first + i]));
	/* A login that nobody names stands for all the others. */
	if (rule->login_kind == LOGIN_ANY)
		places_add_login(places, "_other");
	for (i = 0; i < rule->ports.count; i++) {
		const struct policy_ports *ports =
			&policy->ports.at[rule->ports.first + i];

		add_port(places, ports->from);
		add_port(places, ports->to);
	}
	add_sources(places, rule);
	for (i = 0; i < rule->hours.count; i++)
		add_hours(places, policy->ids.at[rule->hours.first + i]);
	if (rule->expires) {
		add_time(places, rule->expires);
		add_time(places, rule->expires - 1);
	}
	return true;
}

void places_collect(struct places *places, const struct policy *policy,
	const struct policy_request *request)
{
	struct policy_query query;

	places->policy = policy;
	if (policy_query_init(&query, policy, request) != POLICY_GRANTED)
		return;
	add_port(places, query.node_port);
	places_add_login(places, policy_own_login(&query));
	policy_each_candidate(&query, RULE_PERMIT, collect_rule, places);
	policy_each_candidate(&query, RULE_DENY, collect_rule, places);
}

void places_reset(struct places *places, struct policy_request *request)
{
	static const char *const texts[] = {"192.0.2.254", "2001:db8:ffff::fe"};
	struct addr addr;
	size_t i;

	places->permits = false;
	places->login_count = places->port_count = 0;
	places->addr_count = places->time_count = 0;
	add_time(places, places->now);
	for (i = 0; i < 2; i++)
		if (!addr_parse(texts[i], &addr))
			add_addr(places, &addr);
	request->source = places->addrs[0];
}
