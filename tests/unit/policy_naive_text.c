/*
 * A model's text, as an administrator would write it. Rules get the name that
 * the compiler will give them.
 */
#include "policy_naive.h"

#include <stdio.h>

static const char *const days[] = {
	"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

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

char *print_model(struct model *model)
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
