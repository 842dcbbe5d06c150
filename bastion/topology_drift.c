/*
 * sgbridge topology drift: where the security groups that a policy declares
 * differ from a fresh export. Both are taken apart into the smallest facts
 * (one address in one group; one verdict for one port range from one source)
 * and compared as sets, so that how somebody wrote them down does not count.
 * Subnets and zones are the policy's own and stand in no export.
 */
#include "topology.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define OUT_MAX (64u * 1024 * 1024)

struct fact {
	char *text;	   /* what is compared */
	const char *group; /* borrowed from the policy */
	const char *whose; /* an instance's name, or a rule's place */
};

struct facts {
	struct fact *at;
	size_t count, cap;
	bool failed;
	const struct policy *policy;
};

static void add_fact(struct facts *facts, const char *group, const char *whose,
	const char *fmt, ...) SGB_PRINTF(4, 5);

static void add_fact(struct facts *facts, const char *group, const char *whose,
	const char *fmt, ...)
{
	char *what = NULL;
	va_list args;
	int len;

	if (facts->count == facts->cap) {
		size_t cap = facts->cap ? facts->cap * 2 : 256;
		struct fact *at = reallocarray(facts->at, cap, sizeof(*at));

		if (!at) {
			facts->failed = true;
			return;
		}
		facts->at = at;
		facts->cap = cap;
	}
	va_start(args, fmt);
	len = vasprintf(&what, fmt, args);
	va_end(args);
	if (len < 0) {
		facts->failed = true;
		return;
	}
	facts->at[facts->count++] = (struct fact){what, group, whose};
}

static int fact_order(const void *a, const void *b)
{
	const struct fact *x = a, *y = b;
	int order = strcmp(x->group, y->group);

	return order ? order : strcmp(x->text, y->text);
}

static void facts_done(struct facts *facts)
{
	size_t i;

	for (i = 0; i < facts->count; i++)
		free(facts->at[i].text);
	free(facts->at);
}

/* ---- taking a policy apart ---- */

static const char *sg_name(const struct policy *policy, uint32_t sg)
{
	return policy_symbol_text(policy, policy->sgs.at[sg].sym);
}

static void add_node(struct facts *facts, const struct policy_node *node)
{
	const struct policy *policy = facts->policy;
	char text[ADDR_TEXT_MAX];
	uint32_t i, j;

	for (i = 0; i < node->sgs.count && !node->subnet; i++)
		for (j = 0; j < node->nets.count; j++)
			add_fact(facts,
				sg_name(policy,
					policy->ids.at[node->sgs.first + i]),
				policy_symbol_text(policy, node->sym),
				"instance %s",
				addr_text(&policy->nets.at[node->nets.first + j]
						   .base,
					text));
}

static void add_rule_from(struct facts *facts,
	const struct policy_sg_rule *rule, const struct policy_ports *ports,
	const char *from)
{
	static const char *const protos[] = {"all", "tcp", "udp"};
	const char *group = sg_name(facts->policy, rule->sg);
	const char *verdict = rule->drop ? "drop" : "accept";
	const char *proto = protos[rule->proto];

	if (ports->from <= 1 && ports->to == 65535)
		add_fact(facts, group, rule->name, "%s %s from %s priority %u",
			verdict, proto, from, rule->priority);
	else if (ports->from == ports->to)
		add_fact(facts, group, rule->name,
			"%s %s %u from %s priority %u", verdict, proto,
			ports->from, from, rule->priority);
	else
		add_fact(facts, group, rule->name,
			"%s %s %u-%u from %s priority %u", verdict, proto,
			ports->from, ports->to, from, rule->priority);
}

static void add_rule_network(struct facts *facts,
	const struct policy_sg_rule *rule, const struct policy_ports *ports,
	uint32_t network)
{
	struct policy_nets nets = {0};
	uint32_t i;

	policy_network_nets((struct policy *)facts->policy, network, 0, &nets);
	for (i = 0; i < nets.list.count; i++) {
		const struct addr_net *net = &nets.list.at[i].net;
		char base[ADDR_TEXT_MAX], text[ADDR_TEXT_MAX + 8];

		snprintf(text, sizeof(text), "%s/%u",
			addr_text(&net->base, base), net->bits);
		add_rule_from(facts, rule, ports, text);
	}
	free(nets.list.at);
}

/* `any` is both families' everything, as the cloud writes it. */
static void add_rule_elem(struct facts *facts,
	const struct policy_sg_rule *rule, const struct policy_ports *ports,
	const struct policy_elem *elem)
{
	const struct policy *policy = facts->policy;

	if (elem->kind == ELEM_ANY) {
		add_rule_from(facts, rule, ports, "0.0.0.0/0");
		add_rule_from(facts, rule, ports, "::/0");
	} else if (policy_named(policy, elem->sym, NAME_SG) != POLICY_NONE) {
		add_rule_from(facts, rule, ports,
			policy_symbol_text(policy, elem->sym));
	} else {
		add_rule_network(facts, rule, ports,
			policy_named(policy, elem->sym, NAME_NETWORK));
	}
}

static void add_rule(struct facts *facts, const struct policy_sg_rule *rule)
{
	static const struct policy_ports all = {0, 65535};
	const struct policy *policy = facts->policy;
	uint32_t count = rule->ports.count ? rule->ports.count : 1;
	uint32_t i, j;

	for (i = 0; i < count; i++)
		for (j = 0; j < rule->from.count; j++)
			add_rule_elem(facts, rule,
				rule->ports.count
					? &policy->ports
						   .at[rule->ports.first + i]
					: &all,
				&policy->elems.at[rule->from.first + j]);
}

static void collect(struct facts *facts, const struct policy *policy)
{
	uint32_t i;

	memset(facts, 0, sizeof(*facts));
	facts->policy = policy;
	for (i = 0; i < policy->sgs.count; i++) {
		add_fact(facts, sg_name(policy, i), "", "security group");
		if (policy->sgs.at[i].isolated)
			add_fact(facts, sg_name(policy, i), "", "isolated");
	}
	for (i = 0; i < policy->nodes.count; i++)
		add_node(facts, &policy->nodes.at[i]);
	for (i = 0; i < policy->sg_rules.count; i++)
		add_rule(facts, &policy->sg_rules.at[i]);
	if (facts->count)
		qsort(facts->at, facts->count, sizeof(*facts->at), fact_order);
}

/* ---- comparing ---- */

static void put_row(
	struct table *table, const char *side, const struct fact *fact)
{
	table_put(table, side);
	table_put(table, fact->group);
	table_put(table, fact->text);
	table_put(table, fact->whose);
}

/* The first fact that is not the same as the one at i. */
static size_t after(const struct facts *facts, size_t i)
{
	size_t next = i + 1;

	while (next < facts->count &&
		!fact_order(&facts->at[i], &facts->at[next]))
		next++;
	return next;
}

static void compare(const struct facts *declared, const struct facts *fresh,
	struct table *table)
{
	size_t i = 0, j = 0;

	while (i < declared->count || j < fresh->count) {
		int order = i == declared->count ? 1
			    : j == fresh->count	 ? -1
						 : fact_order(&declared->at[i],
							   &fresh->at[j]);

		if (order < 0)
			put_row(table, "only declared", &declared->at[i]);
		if (order > 0)
			put_row(table, "only in the cloud", &fresh->at[j]);
		i = order <= 0 ? after(declared, i) : i;
		j = order >= 0 ? after(fresh, j) : j;
	}
}

static int print_drift(
	struct cli *cli, const struct topology *topology, struct table *table)
{
	struct buf out;

	if (cli->json) {
		buf_init(&out, OUT_MAX);
		buf_printf(&out,
			"{\"unexpressed\":%zu,\"drift\":", topology->lost);
		table_json(table, &out);
		buf_printf(&out, "}\n");
		cli_print(&out);
		buf_done(&out);
	} else if (table->count) {
		table_print(table, cli->colour);
	} else {
		printf("%s: as in the cloud%s\n", cli->policy_path,
			topology->lost ? ", as far as a policy can say" : "");
	}
	return table->count || topology->lost ? CLI_NO : CLI_YES;
}

static int drift(
	struct cli *cli, struct topology *topology, const struct policy *fresh)
{
	static const char *const columns[] = {
		"drift", "group", "what", "whose", NULL};
	struct facts ours, theirs;
	struct table table;
	int status;

	table_init(&table, columns);
	collect(&ours, cli->policy);
	collect(&theirs, fresh);
	compare(&ours, &theirs, &table);
	if (ours.failed || theirs.failed || table.failed)
		status = cli_fail("out of memory");
	else
		status = print_drift(cli, topology, &table);
	facts_done(&ours);
	facts_done(&theirs);
	table_done(&table);
	return status;
}

int topology_drift(struct cli *cli)
{
	struct policy_source *source = NULL;
	struct policy *policy = NULL;
	struct topology topology;
	struct buf text;
	int status = CLI_ERROR;

	if (cli->argc < 2)
		return cli_fail("usage: sgbridge topology drift FILES...");
	if (!cli_load(cli))
		return CLI_ERROR;
	topology_init(&topology);
	buf_init(&text, OUT_MAX);
	if (topology_read_policy(&topology, NULL, cli->argc - 1, cli->argv + 1,
		    &text, &source, &policy))
		status = drift(cli, &topology, policy);
	policy_free(policy);
	policy_source_free(source);
	buf_done(&text);
	topology_done(&topology);
	return status;
}
