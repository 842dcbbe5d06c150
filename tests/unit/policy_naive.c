/*
 * A second decision function, as simple as can be, over a model that random
 * policies are printed from: it must agree with the fast one about verdict,
 * reason, rule, login and group rule. SGB_NAIVE_REQUESTS raises the number of
 * requests, SGB_NAIVE_SEED repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "core/policy.h"
#include "core/policy_int.h"
#include "core/policy_reduce.h"

#define USERS	 8
#define UNIX	 3
#define GROUPS	 6
#define NETWORKS 7
#define HOURS	 3
#define SGS	 5
#define NODES	 8
#define SUBNETS	 4
#define RULES	 60
#define SG_RULES 10
#define LIST	 12
#define LOGINS	 4

enum kind { USER, UNIXGROUP, GROUP, NETWORK, NET, SG, NODE, ZONE, SELF, ANY };

struct item {
	enum kind kind;
	int index;
	struct addr_net net;
};

struct list {
	int count;
	struct item items[LIST];
};

struct span {
	unsigned int days;
	int from, to;
};

struct hours {
	int zone, count;
	struct span spans[3];
};

struct node {
	struct addr_net addrs[2];
	int addr_count;
	bool subnet;
	int port, login, via; /* 0, -1, -1: none */
	bool says_via;	      /* itself: that it has one, or has none */
	unsigned int sgs;
};

struct rule {
	bool deny;
	struct list who, from, to;
	bool to_self, not_hours;
	int ports[2][2], port_count;
	int login_kind; /* 0 own, 1 list, 2 any */
	int logins[3], login_count;
	int hours[2], hour_count;
	int services[2], service_count;
	int mfa;
	unsigned int allow;
	time_t expires;
	char name[32];
};

struct sg_rule {
	int sg;
	bool drop;
	int proto; /* 0 all, 1 tcp, 2 udp */
	int ports[2][2], port_count;
	struct list from;
	int priority;
	int line;
	char name[32];
};

struct model {
	struct list groups[GROUPS];
	struct list networks[NETWORKS];
	struct hours hours[HOURS];
	int sg_zone[SGS];
	bool sg_isolated[SGS];
	int sg_via[SGS]; /* -1: none */
	struct node nodes[NODES + SUBNETS];
	struct sg_rule sg_rules[SG_RULES];
	int sg_rule_count;
	struct rule rules[RULES];
	int rule_count;
	int bastion_sg, bastion_node; /* one of them is -1 */
	bool root_login;
};

static const char *const login_names[LOGINS] = {"ops", "root", "deploy", "u1"};
static const char *const zone_names[] = {
	"UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York"};
static const char *const service_names[] = {"sshd", "sudo", "su"};
static const char *const days[] = {
	"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

/* ---- chance ---- */

static uint64_t chance_state;

static uint32_t chance(uint32_t below)
{
	chance_state ^= chance_state << 13;
	chance_state ^= chance_state >> 7;
	chance_state ^= chance_state << 17;
	return (uint32_t)((chance_state * 0x2545f4914f6cdd1dull) >> 33) % below;
}

static struct addr random_source(void)
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

/* What stands behind the bastion: 172.16.0.0/24 to 172.16.3.0/24. */
static struct addr behind(unsigned int third, unsigned int last)
{
	struct addr addr;
	char text[64];

	snprintf(text, sizeof(text), "172.16.%u.%u", third, last);
	assert_int_equal(addr_parse(text, &addr), SGB_OK);
	return addr;
}

static struct addr behind6(unsigned int last)
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

/* ---- a random model ---- */

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

static bool is_bastion(const struct model *model, int node)
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

static void random_model(struct model *model)
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

/* ---- its text ---- */

struct text {
	char *data;
	size_t len;
	FILE *out;
	int line;
};

static void put_item(FILE *out, const struct item *one)
{
	static const char *const marks[] = {
		"u", "@x", "g", "n", "", "s", "i", "zone z", "self", "any"};
	char text[ADDR_TEXT_MAX];

	fputs(marks[one->kind], out);
	if (one->kind == NET)
		fprintf(out, "%s/%u", addr_text(&one->net.base, text),
			one->net.bits);
	else if (one->kind != SELF && one->kind != ANY)
		fprintf(out, "%d", one->index);
}

static void put_list(FILE *out, const struct list *list)
{
	int i;

	for (i = 0; i < list->count; i++) {
		fputs(i ? ", " : " ", out);
		put_item(out, &list->items[i]);
	}
}

static void put_ports(FILE *out, const int ports[2][2], int count)
{
	int i;

	for (i = 0; i < count; i++)
		fprintf(out, ports[i][0] == ports[i][1] ? "%s%d" : "%s%d-%d",
			i ? ", " : " ", ports[i][0], ports[i][1]);
}

static void end_line(struct text *text)
{
	fputc('\n', text->out);
	text->line++;
}

static void put_hours(struct text *text, int index, const struct hours *hours)
{
	int i, day;

	fprintf(text->out, "hours h%d", index);
	for (i = 0; i < hours->count; i++) {
		const struct span *span = &hours->spans[i];

		for (day = 0; day < 7; day++)
			if (span->days >> day & 1)
				fprintf(text->out, " %s", days[day]);
		fprintf(text->out, " %02d:%02d-%02d:%02d%s", span->from / 60,
			span->from % 60, span->to / 60, span->to % 60,
			i + 1 < hours->count ? "," : "");
	}
	fprintf(text->out, " %s", zone_names[hours->zone]);
	end_line(text);
}

static void put_node(
	struct text *text, const struct model *model, int index, bool again)
{
	const struct node *node = &model->nodes[index];
	char addr[ADDR_TEXT_MAX];
	int i;

	if (node->subnet)
		fprintf(text->out, "\tsubnet %s/%u",
			addr_text(&node->addrs[0].base, addr),
			node->addrs[0].bits);
	else
		fprintf(text->out, "\tinstance i%d", index);
	for (i = 0; i < node->addr_count && !node->subnet && !again; i++)
		fprintf(text->out, "%s %s", i ? "," : "",
			addr_text(&node->addrs[i].base, addr));
	if (!again) {
		fprintf(text->out, " {");
		if (node->port)
			fprintf(text->out, " port %d;", node->port);
		if (node->login >= 0)
			fprintf(text->out, " login %s;",
				login_names[node->login]);
		if (node->says_via && node->via >= 0)
			fprintf(text->out, " via i%d", node->via);
		else if (node->says_via)
			fprintf(text->out, " via direct");
		fprintf(text->out, " }");
	}
	end_line(text);
}

static void put_sg_rule(struct text *text, struct sg_rule *rule)
{
	static const char *const protos[] = {"all", "tcp", "udp"};

	snprintf(rule->name, sizeof(rule->name), "policy.conf:%d", text->line);
	rule->line = text->line;
	fprintf(text->out, "\t%s %s", rule->drop ? "drop" : "accept",
		protos[rule->proto]);
	put_ports(text->out, rule->ports, rule->port_count);
	fprintf(text->out, " from");
	put_list(text->out, &rule->from);
	if (rule->priority > 1 || chance(2))
		fprintf(text->out, " priority %d", rule->priority);
	end_line(text);
}

static void put_sg(struct text *text, struct model *model, int sg, bool *seen)
{
	int i;

	fprintf(text->out, "security-group s%d {", sg);
	end_line(text);
	if (model->sg_zone[sg] >= 0) {
		fprintf(text->out, "\tzone z%d", model->sg_zone[sg]);
		end_line(text);
	}
	if (model->sg_isolated[sg]) {
		fprintf(text->out, "\tisolated");
		end_line(text);
	}
	if (model->sg_via[sg] >= 0) {
		fprintf(text->out, "\tvia i%d", model->sg_via[sg]);
		end_line(text);
	}
	for (i = 0; i < NODES + SUBNETS; i++)
		if (model->nodes[i].sgs >> sg & 1) {
			put_node(text, model, i, seen[i]);
			seen[i] = true;
		}
	for (i = 0; i < model->sg_rule_count; i++)
		if (model->sg_rules[i].sg == sg)
			put_sg_rule(text, &model->sg_rules[i]);
	fputs("}", text->out);
	end_line(text);
}

static void put_conditions(struct text *text, const struct rule *rule)
{
	static const char *const mfas[] = {"always", "remember 1h", "never"};
	struct tm tm;
	time_t day = rule->expires - 86400;

	fprintf(text->out, " { mfa %s; allow %s%s%s", mfas[rule->mfa],
		rule->allow & POLICY_SHELL ? "shell" : "",
		rule->allow == (POLICY_SHELL | POLICY_FORWARD) ? ", " : "",
		rule->allow & POLICY_FORWARD ? "forward" : "");
	if (rule->expires && gmtime_r(&day, &tm))
		fprintf(text->out, "; expires %04d-%02d-%02d",
			tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
	fprintf(text->out, " }");
}

static void put_rule(struct text *text, struct rule *rule)
{
	int i;

	snprintf(rule->name, sizeof(rule->name), "policy.conf:%d", text->line);
	fputs(rule->deny ? "deny" : "permit", text->out);
	put_list(text->out, &rule->who);
	fputs(" from", text->out);
	put_list(text->out, &rule->from);
	fputs(" to", text->out);
	put_list(text->out, &rule->to);
	if (rule->port_count)
		fputs(" port", text->out);
	put_ports(text->out, rule->ports, rule->port_count);
	if (rule->login_kind)
		fputs(" as", text->out);
	if (rule->login_kind == 2)
		fputs(" any", text->out);
	for (i = 0; i < rule->login_count && rule->login_kind == 1; i++)
		fprintf(text->out, "%s%s", i ? ", " : " ",
			login_names[rule->logins[i]]);
	if (rule->hour_count)
		fprintf(text->out, " during%s", rule->not_hours ? " not" : "");
	for (i = 0; i < rule->hour_count; i++)
		fprintf(text->out, "%sh%d", i ? ", " : " ", rule->hours[i]);
	if (rule->service_count)
		fputs(" via", text->out);
	for (i = 0; i < rule->service_count; i++)
		fprintf(text->out, "%s%s", i ? ", " : " ",
			service_names[rule->services[i]]);
	if (!rule->deny)
		put_conditions(text, rule);
	end_line(text);
}

static void put_names(struct text *text, const struct model *model)
{
	int i;

	for (i = 0; i < GROUPS; i++) {
		fprintf(text->out, "group g%d", i);
		put_list(text->out, &model->groups[i]);
		end_line(text);
	}
	for (i = 0; i < NETWORKS; i++) {
		fprintf(text->out, "network n%d", i);
		put_list(text->out, &model->networks[i]);
		end_line(text);
	}
	for (i = 0; i < HOURS; i++)
		put_hours(text, i, &model->hours[i]);
}

/* Before or after the rules: the order of declarations means nothing. */
static char *print_model(struct model *model)
{
	struct text text = {.line = 1};
	bool seen[NODES + SUBNETS] = {false};
	bool names_first = chance(2);
	int i;

	text.out = open_memstream(&text.data, &text.len);
	assert_non_null(text.out);
	if (names_first)
		put_names(&text, model);
	/* A zone that no group has would be an unknown one. */
	fprintf(text.out, "security-group zoned { zone z0 }\n"
			  "security-group zoned2 { zone z1 }\n");
	text.line += 2;
	if (model->bastion_sg >= 0)
		fprintf(text.out, "bastion s%d", model->bastion_sg);
	else
		fprintf(text.out, "bastion i%d", model->bastion_node);
	end_line(&text);
	fprintf(text.out, "keys { root-login %s }",
		model->root_login ? "yes" : "no");
	end_line(&text);
	for (i = 0; i < SGS; i++)
		put_sg(&text, model, i, seen);
	for (i = 0; i < model->rule_count; i++)
		put_rule(&text, &model->rules[i]);
	if (!names_first)
		put_names(&text, model);
	fclose(text.out);
	return text.data;
}

/* ---- the naive decision ---- */

struct naive {
	const struct model *model;
	const struct policy_request *request;
	const struct node *node; /* NULL: self */
	struct addr addr;
	unsigned int sgs;
	int port, node_port;
	const char *login;
};

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

struct answer {
	enum policy_reason reason;
	const struct rule *rule;
	const struct sg_rule *sg_rule;
	const char *login;
};

static void naive_decide(struct naive *n, struct answer *ret)
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

/* ---- comparing ---- */

static bool same_reason(enum policy_reason fast, enum policy_reason naive)
{
	/* Why exactly nothing permits is not the naive one's business. */
	if (naive == POLICY_NO_PERMIT)
		return fast == POLICY_NO_PERMIT || fast == POLICY_EXPIRED ||
		       fast == POLICY_HOURS || fast == POLICY_SOURCE ||
		       fast == POLICY_LOGIN;
	return fast == naive;
}

static bool agree(
	const struct policy_decision *fast, const struct answer *naive)
{
	bool permit = naive->reason == POLICY_GRANTED;

	if (!same_reason(fast->reason, naive->reason) ||
		(fast->verdict == POLICY_PERMIT) != permit)
		return false;
	if (naive->reason == POLICY_NO_PERMIT ||
		naive->reason == POLICY_NO_TARGET ||
		naive->reason == POLICY_ROOT)
		return true;
	if (strcmp(fast->rule, naive->rule->name))
		return false;
	if (naive->sg_rule ? !fast->group_rule || strcmp(fast->group_rule,
							  naive->sg_rule->name)
			   : fast->group_rule != NULL)
		return false;
	if (!permit)
		return true;
	return !strcmp(fast->login, naive->login) &&
	       (int)fast->mfa == naive->rule->mfa &&
	       fast->allow == naive->rule->allow &&
	       fast->expires == naive->rule->expires;
}

struct ask {
	struct policy_request request;
	char user[16], target[64], groups[UNIX][8];
	const char *group_list[UNIX + 1];
};

static void random_target(struct ask *ask)
{
	char text[ADDR_TEXT_MAX];
	struct addr addr;

	switch (chance(4)) {
	case 0:
		addr = chance(4) ? behind(chance(4), 1 + chance(20))
				 : behind6(1 + chance(10));
		snprintf(ask->target, sizeof(ask->target), "%s",
			addr_text(&addr, text));
		break;
	default:
		snprintf(ask->target, sizeof(ask->target), "i%u",
			chance(NODES + 1));
	}
	ask->request.target = ask->target;
}

static void random_ask(struct ask *ask)
{
	static const uint16_t ports[] = {0, 0, 0, 22, 2222, 3389, 80};
	int i, count = 0;

	memset(ask, 0, sizeof(*ask));
	snprintf(ask->user, sizeof(ask->user), "u%u", chance(USERS + 1));
	if (!chance(20))
		strcpy(ask->user, "root");
	for (i = 0; i < UNIX; i++)
		if (!chance(4)) {
			snprintf(ask->groups[i], 8, "x%d", i);
			ask->group_list[count++] = ask->groups[i];
		}
	ask->request.user = ask->user;
	ask->request.groups = ask->group_list;
	ask->request.source = random_source();
	ask->request.now = 1767225600 + (time_t)chance(366 * 86400);
	ask->request.login = chance(3) ? login_names[chance(LOGINS)] : NULL;
	if (!chance(4)) {
		ask->request.via = POLICY_VIA_PAM;
		ask->request.service = service_names[chance(3)];
		ask->request.local = !chance(3);
		return;
	}
	ask->request.via = POLICY_VIA_PROXY;
	random_target(ask);
	ask->request.port = ports[chance(7)];
	if (!chance(4)) {
		ask->request.want = POLICY_FORWARD;
		ask->request.login = NULL;
	}
}

/* Promises about the other questions that follow from a permit. */
static void check_floor(const struct policy *policy,
	const struct policy_request *request,
	const struct policy_decision *decision)
{
	enum policy_mfa mfa;
	uint64_t seconds;

	if (decision->verdict != POLICY_PERMIT)
		return;
	assert_int_equal(policy_mfa_floor(policy, request, &mfa, &seconds),
		POLICY_PERMIT);
	assert_true(mfa <= decision->mfa);
	if (!request->local)
		assert_true(policy_source_known(policy, &request->source));
}

struct reach {
	const struct policy_request *request;
	const struct policy *policy;
	const struct policy_decision *wanted;
	bool found;
};

static bool each_reach(const struct policy_reach *one, void *arg)
{
	struct reach *reach = arg;
	struct policy_request request = *reach->request;
	struct policy_decision decision;

	request.target = one->instance;
	request.login = *one->login ? one->login : NULL;
	request.port = one->port;
	request.want = *one->login ? 0 : POLICY_FORWARD;
	policy_decide(reach->policy, &request, &decision);
	assert_int_equal(decision.verdict, POLICY_PERMIT);
	assert_string_equal(decision.login, one->login);
	if (!strcmp(one->instance, reach->wanted->instance) &&
		!strcmp(one->login, reach->wanted->login) &&
		one->port == reach->wanted->target_port)
		reach->found = true;
	return true;
}

/* What is permitted is in the list, what is in the list is permitted. */
static void check_reach(const struct policy *policy, const struct ask *ask,
	const struct policy_decision *decision)
{
	struct reach reach = {
		.request = &ask->request, .policy = policy, .wanted = decision};
	bool named = ask->target[0] == 'i' && !ask->request.want &&
		     !ask->request.port;

	if (ask->request.via != POLICY_VIA_PROXY ||
		decision->verdict != POLICY_PERMIT)
		return;
	policy_each_reachable(policy, &ask->request, each_reach, &reach);
	/* A rule that takes any login is listed under the usual one; what is
	 * for forwards alone needs none. */
	if (named && !ask->request.login && (decision->allow & POLICY_SHELL))
		assert_true(reach.found);
}

static struct policy *compile(const char *text)
{
	struct policy_source *source = NULL;
	struct policy *policy = NULL;
	struct diag diag;

	diag_init(&diag);
	assert_int_equal(
		policy_source_text("policy.conf", text, strlen(text), &source),
		SGB_OK);
	if (policy_compile(source, &policy, &diag)) {
		diag_print(&diag, stderr, false);
		fprintf(stderr, "%s", text);
		fail_msg("a random policy does not compile");
	}
	policy_source_free(source);
	diag_done(&diag);
	return policy;
}

/* What PAM reads for one person says the same as all of it. */
static void check_reduced(const char *text, const struct ask *ask,
	const struct policy_decision *whole)
{
	struct policy_source *source = NULL, *less = NULL;
	struct policy_decision decision;
	struct policy *policy = NULL;
	struct diag diag;

	if (ask->request.via != POLICY_VIA_PAM || !ask->request.user)
		return;
	diag_init(&diag);
	assert_int_equal(
		policy_source_text("policy.conf", text, strlen(text), &source),
		SGB_OK);
	assert_int_equal(
		policy_source_reduce(source, ask->request.user, &less), SGB_OK);
	if (policy_compile(less, &policy, &diag)) {
		diag_print(&diag, stderr, false);
		fail_msg("a reduced policy does not compile");
	}
	policy_decide(policy, &ask->request, &decision);
	if (decision.verdict != whole->verdict ||
		decision.reason != whole->reason ||
		decision.mfa != whole->mfa ||
		decision.mfa_seconds != whole->mfa_seconds ||
		decision.expires != whole->expires ||
		strcmp(decision.rule ? decision.rule : "-",
			whole->rule ? whole->rule : "-")) {
		fprintf(stderr, "%s---- for %s:\n%s", text, ask->request.user,
			less->files[0].text);
		fail_msg("reduced says %s by %s, whole %s by %s",
			policy_reason_text(decision.reason),
			decision.rule ? decision.rule : "-",
			policy_reason_text(whole->reason),
			whole->rule ? whole->rule : "-");
	}
	policy_free(policy);
	policy_source_free(less);
	policy_source_free(source);
	diag_done(&diag);
}

static void one_request(const struct policy *policy, const struct model *model,
	const char *text, unsigned int *permits)
{
	struct policy_decision fast;
	struct answer naive;
	struct naive n;
	struct ask ask;

	random_ask(&ask);
	memset(&n, 0, sizeof(n));
	n.model = model;
	n.request = &ask.request;
	policy_decide(policy, &ask.request, &fast);
	naive_decide(&n, &naive);
	if (!agree(&fast, &naive)) {
		char source[ADDR_TEXT_MAX];

		fprintf(stderr, "%s", text);
		fail_msg("user %s from %s%s to %s:%u as %s via %s at %lld "
			 "want %u: fast %s %s %s login %s; naive %s %s %s "
			 "login %s",
			ask.user, addr_text(&ask.request.source, source),
			ask.request.local ? " (local)" : "", ask.target,
			ask.request.port,
			ask.request.login ? ask.request.login : "-",
			ask.request.service ? ask.request.service : "proxy",
			(long long)ask.request.now, ask.request.want,
			policy_reason_text(fast.reason),
			fast.rule ? fast.rule : "-",
			fast.group_rule ? fast.group_rule : "-", fast.login,
			policy_reason_text(naive.reason),
			naive.rule ? naive.rule->name : "-",
			naive.sg_rule ? naive.sg_rule->name : "-", naive.login);
	}
	*permits += fast.verdict == POLICY_PERMIT;
	check_floor(policy, &ask.request, &fast);
	check_reduced(text, &ask, &fast);
	if (!chance(16))
		check_reach(policy, &ask, &fast);
}

static unsigned long from_env(const char *name, unsigned long fallback)
{
	const char *text = getenv(name);

	return text && *text ? strtoul(text, NULL, 10) : fallback;
}

static void test_agree(void **state)
{
	unsigned long requests = from_env("SGB_NAIVE_REQUESTS", 100000);
	unsigned long each = from_env("SGB_NAIVE_EACH", 200);
	unsigned long seed = from_env("SGB_NAIVE_SEED", 20261123);
	unsigned long done = 0;
	unsigned int permits = 0;

	(void)state;
	chance_state = seed * 0x9e3779b97f4a7c15ull + 1;
	while (done < requests) {
		struct model model;
		struct policy *policy;
		char *text;
		unsigned long i;

		random_model(&model);
		text = print_model(&model);
		policy = compile(text);
		for (i = 0; i < each; i++, done++)
			one_request(policy, &model, text, &permits);
		policy_free(policy);
		free(text);
	}
	/* Enough of either kind, or the comparison says little. */
	print_message("%lu requests, %u permitted\n", done, permits);
	assert_true(permits > requests / 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
