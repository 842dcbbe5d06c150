/*
 * Random models of a policy: everything that the language has, in numbers small
 * enough that names, networks and hours meet.
 */
#include "policy_naive.h"

#include <stdio.h>
#include <string.h>

const char *const login_names[LOGINS] = {"ops", "root", "deploy", "u1"};

const char *const zone_names[] = {
	"UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York"};

const char *const service_names[] = {"sshd", "sudo", "su"};

uint64_t chance_state;

uint32_t chance(uint32_t below)
{
	chance_state ^= chance_state << 13;
	chance_state ^= chance_state >> 7;
	chance_state ^= chance_state << 17;
	return (uint32_t)((chance_state * 0x2545f4914f6cdd1dull) >> 33) % below;
}

struct addr random_source(void)
{
	struct addr addr = {0};
	char text[64];

	if (chance(4))
		snprintf(text, sizeof(text), "10.%u.%u.%u", chance(2),
			chance(2), chance(4));
	else
		snprintf(text, sizeof(text), "2001:db8:%u::%u", chance(3),
			chance(3));
	assert_int_equal(addr_parse(text, &addr), SGB_OK);
	return addr;
}

static struct addr_net net_of(struct addr addr, unsigned int bits)
{
	struct addr_net net = {.base = addr, .bits = bits};
	unsigned int i;

	for (i = bits; i < (addr.family == AF_INET ? 32u : 128u); i++)
		net.base.bytes[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
	return net;
}

static struct addr_net random_net(void)
{
	static const unsigned int four[] = {8, 15, 16, 23, 24, 30, 31, 32};
	static const unsigned int six[] = {32, 47, 48, 64, 127, 128};
	struct addr addr = random_source();

	return net_of(addr,
		addr.family == AF_INET ? four[chance(8)] : six[chance(6)]);
}

struct addr behind(unsigned int third, unsigned int last)
{
	struct addr addr;
	char text[64];

	snprintf(text, sizeof(text), "172.16.%u.%u", third, last);
	assert_int_equal(addr_parse(text, &addr), SGB_OK);
	return addr;
}

struct addr behind6(unsigned int last)
{
	struct addr addr;
	char text[64];

	snprintf(text, sizeof(text), "fd12::%u", last);
	assert_int_equal(addr_parse(text, &addr), SGB_OK);
	return addr;
}

static struct item item(enum kind kind, int index)
{
	return (struct item){.kind = kind, .index = index};
}

static void list_add(struct list *list, struct item one)
{
	if (list->count < LIST)
		list->items[list->count++] = one;
}

static void random_who(struct list *list)
{
	uint32_t count = chance(8) ? 1 + chance(3) : 5 + chance(3);

	if (!chance(6)) {
		list_add(list, item(ANY, 0));
		return;
	}
	while (count--)
		switch (chance(3)) {
		case 0: list_add(list, item(USER, (int)chance(USERS))); break;
		case 1:
			list_add(list, item(UNIXGROUP, (int)chance(UNIX)));
			break;
		default: list_add(list, item(GROUP, (int)chance(GROUPS)));
		}
}

static void random_from(struct list *list, bool hosts)
{
	uint32_t count = chance(6) ? 1 + chance(4) : 9 + chance(3);

	if (!hosts && !chance(5)) {
		list_add(list, item(ANY, 0));
		return;
	}
	while (count--) {
		struct item one = item(NET, 0);

		one.net = random_net();
		if (hosts)
			one.net = net_of(random_source(), 128);
		if (hosts && one.net.base.family == AF_INET)
			one.net.bits = 32;
		if (!hosts && chance(2))
			one = item(NETWORK, (int)chance(NETWORKS));
		list_add(list, one);
	}
}

static void random_to(struct list *list)
{
	uint32_t count = chance(8) ? 1 + chance(2) : 5 + chance(3);

	if (!chance(5)) {
		list_add(list, item(ANY, 0));
		return;
	}
	while (count--) {
		struct item one = item(NET, 0);

		switch (chance(4)) {
		case 0: one = item(NODE, (int)chance(NODES)); break;
		case 1: one = item(SG, (int)chance(SGS)); break;
		case 2: one = item(ZONE, (int)chance(2)); break;
		default:
			one.net = net_of(behind(chance(4), chance(16)),
				16 + 4 * chance(5));
		}
		list_add(list, one);
	}
}

static int random_ports(int ports[2][2])
{
	int count = (int)chance(3);
	int i;

	for (i = 0; i < count; i++) {
		static const int usual[] = {22, 2222, 3389, 1, 65535, 80};

		ports[i][0] = usual[chance(6)];
		ports[i][1] = ports[i][0];
		if (!chance(3)) {
			ports[i][0] = 1 + (int)chance(3000);
			ports[i][1] = ports[i][0] + (int)chance(3000);
		}
	}
	return count;
}

/* Many rules for the same people and targets take another way through the
 * fast one. */
static void crowd(struct rule *rule)
{
	if (rule->to_self)
		return;
	rule->who.count = rule->to.count = 0;
	list_add(&rule->who, item(chance(3) ? ANY : USER, 1));
	list_add(&rule->to, item(chance(3) ? ANY : SG, 0));
	if (rule->deny && chance(8)) {
		rule->deny = false;
		rule->mfa = 0;
	}
}

static void random_rule(struct rule *rule)
{
	int i;

	memset(rule, 0, sizeof(*rule));
	rule->deny = !chance(4);
	rule->mfa = (int)chance(3);
	random_who(&rule->who);
	random_from(&rule->from, !rule->deny && rule->mfa == 2);
	rule->to_self = !chance(6);
	if (rule->to_self) {
		list_add(&rule->to, item(SELF, 0));
		rule->service_count = (int)chance(3);
		for (i = 0; i < rule->service_count; i++)
			rule->services[i] = (int)chance(3);
	} else {
		random_to(&rule->to);
		if (!chance(3))
			rule->port_count = random_ports(rule->ports);
	}
	rule->login_kind = (int)chance(3);
	rule->login_count = 1 + (int)chance(3);
	for (i = 0; i < rule->login_count; i++)
		rule->logins[i] = (int)chance(LOGINS);
	if (!chance(3)) {
		rule->hour_count = 1 + (int)chance(2);
		for (i = 0; i < rule->hour_count; i++)
			rule->hours[i] = (int)chance(HOURS);
		rule->not_hours = chance(2);
	}
	rule->allow = POLICY_SHELL;
	if (!chance(3))
		rule->allow = chance(2) ? POLICY_FORWARD
					: POLICY_SHELL | POLICY_FORWARD;
	/* Midnight after some day of 2026, in UTC. */
	if (!chance(5) && !rule->deny)
		rule->expires = 1767225600 + (1 + chance(364)) * 86400;
}

static void random_sg_rule(struct sg_rule *rule, int sg)
{
	uint32_t count = 1 + chance(2);

	memset(rule, 0, sizeof(*rule));
	rule->sg = sg;
	rule->drop = !chance(3);
	rule->proto = chance(4) ? 1 : chance(2) ? 0 : 2;
	if (rule->proto)
		rule->port_count = random_ports(rule->ports);
	rule->priority = 1 + (int)chance(3);
	while (count--) {
		struct item one = item(NET, 0);
		struct addr zero = {.family = chance(2) ? AF_INET : AF_INET6};

		switch (chance(5)) {
		case 0: one = item(ANY, 0); break;
		case 1: one.net = (struct addr_net){.base = zero}; break;
		case 2:
			one.net = net_of(
				behind(chance(4), chance(16)), 20 + chance(13));
			break;
		case 3: one = item(NETWORK, (int)chance(NETWORKS)); break;
		default: one = item(SG, (int)chance(SGS));
		}
		list_add(&rule->from, one);
	}
}

static void random_nodes(struct model *model)
{
	int i;

	for (i = 0; i < NODES + SUBNETS; i++) {
		struct node *node = &model->nodes[i];

		node->subnet = i >= NODES;
		node->addr_count = 1;
		node->addrs[0] = net_of(
			behind(chance(4), (unsigned int)i + 1), 32);
		if (node->subnet)
			node->addrs[0] = net_of(
				behind((unsigned int)(i - NODES), chance(16)),
				24 + 2 * chance(4));
		else if (!chance(3))
			node->addrs[node->addr_count++] = net_of(
				behind6((unsigned int)i + 1), 128);
		node->port = chance(3) ? 0 : chance(2) ? 2222 : 3389;
		node->via = -1;
		node->login = chance(2) ? -1 : (int)chance(LOGINS);
		node->sgs = 1u << chance(SGS);
		if (!chance(3))
			node->sgs |= 1u << chance(SGS);
	}
}

bool is_bastion(const struct model *model, int node)
{
	return model->bastion_node >= 0
		       ? node == model->bastion_node
		       : (model->nodes[node].sgs >> model->bastion_sg & 1);
}

static int depth(const struct model *model, int node)
{
	return model->nodes[node].via < 0
		       ? 0
		       : 1 + depth(model, model->nodes[node].via);
}

/* Behind an instance of a lower number, so that there are no circles. */
static void random_hops(struct model *model)
{
	int i, hop;

	for (i = 1; i < NODES + SUBNETS; i++) {
		hop = (int)chance(i < NODES ? (uint32_t)i : NODES);
		if (!chance(3) && !is_bastion(model, hop) &&
			depth(model, hop) < POLICY_HOPS_MAX)
			model->nodes[i].via = hop;
	}
}

/* A group says what one of its instances has; the others then say something
 * else themselves, or, mostly, nothing if it is the same. */
static void random_group_hops(struct model *model)
{
	int i, sg;

	for (sg = 0; sg < SGS; sg++) {
		i = (int)chance(NODES + SUBNETS);
		model->sg_via[sg] = model->nodes[i].sgs >> sg & 1
					    ? model->nodes[i].via
					    : -1;
	}
	for (i = 0; i < NODES + SUBNETS; i++) {
		struct node *node = &model->nodes[i];
		int said = -1;
		bool clash = false;

		for (sg = 0; sg < SGS; sg++) {
			if (!(node->sgs >> sg & 1) || model->sg_via[sg] < 0)
				continue;
			clash = clash ||
				(said >= 0 && said != model->sg_via[sg]);
			said = model->sg_via[sg];
		}
		node->says_via = clash || said != node->via || !chance(4);
	}
}

static void random_names(struct model *model)
{
	int i;

	for (i = 0; i < GROUPS; i++) {
		uint32_t count = 1 + chance(4);

		while (count--)
			if (!chance(4) && i + 1 < GROUPS)
				list_add(&model->groups[i], item(GROUP, i + 1));
			else if (!chance(3))
				list_add(&model->groups[i],
					item(UNIXGROUP, (int)chance(UNIX)));
			else
				list_add(&model->groups[i],
					item(USER, (int)chance(USERS)));
	}
	for (i = 0; i < NETWORKS; i++) {
		uint32_t count = 1 + chance(3);

		while (count--) {
			struct item one = item(NET, 0);

			one.net = random_net();
			if (!chance(4) && i + 1 < NETWORKS)
				one = item(NETWORK, i + 1);
			list_add(&model->networks[i], one);
		}
	}
}

static void random_hours(struct hours *hours)
{
	int i;

	hours->zone = (int)chance(4);
	hours->count = 1 + (int)chance(3);
	for (i = 0; i < hours->count; i++) {
		struct span *span = &hours->spans[i];

		span->days = 1 + chance(127);
		span->from = (int)chance(1440);
		do
			span->to = (int)chance(1441);
		while (span->to == span->from);
	}
}

void random_model(struct model *model)
{
	bool crowded;
	int i;

	memset(model, 0, sizeof(*model));
	random_names(model);
	random_nodes(model);
	for (i = 0; i < HOURS; i++)
		random_hours(&model->hours[i]);
	for (i = 0; i < SGS; i++) {
		model->sg_zone[i] = (int)chance(3) - 1;
		model->sg_isolated[i] = chance(2);
	}
	for (i = 0; i < SG_RULES; i++)
		random_sg_rule(&model->sg_rules[i], i % SGS);
	model->sg_rule_count = SG_RULES;
	crowded = !chance(4);
	model->rule_count = crowded ? RULES : 1 + (int)chance(RULES / 2);
	for (i = 0; i < model->rule_count; i++) {
		random_rule(&model->rules[i]);
		if (crowded)
			crowd(&model->rules[i]);
	}
	model->bastion_sg = model->bastion_node = -1;
	if (chance(2))
		model->bastion_sg = (int)chance(SGS);
	else
		model->bastion_node = (int)chance(NODES);
	random_hops(model);
	random_group_hops(model);
	model->root_login = chance(2);
}
