/* sgbridge explain: one access, decided as the bastion would, and why. */
#include "sgbridge.h"

#include <stdlib.h>
#include <string.h>

#include "core/event.h"

#define OUT_MAX (1024 * 1024)

struct question {
	struct policy_request request;
	char *login, *target;
	uint16_t port;
	char **groups;
};

static bool take_from(struct question *question, char *word)
{
	if (!addr_parse(word, &question->request.source))
		return true;
	cli_fail("\"%s\" is not an address", word);
	return false;
}

static bool take_to(struct question *question, char *word)
{
	if (cli_target(
		    word, &question->login, &question->target, &question->port))
		return true;
	cli_fail("\"%s\" is not [LOGIN@]TARGET[:PORT]", word);
	return false;
}

static bool take_at(struct question *question, char *word)
{
	if (cli_time(word, &question->request.now))
		return true;
	cli_fail("\"%s\" is not a time like \"2026-11-23 20:00\"", word);
	return false;
}

static bool take_via(struct question *question, char *word)
{
	question->request.service = strcmp(word, "proxy") ? word : NULL;
	return true;
}

static bool take_for(struct question *question, char *word)
{
	static const struct {
		const char *word;
		unsigned int bits;
	} rows[] = {
		{"shell", POLICY_SHELL},
		{"exec", POLICY_EXEC},
		{"sftp", POLICY_SFTP_READ | POLICY_SFTP_WRITE},
		{"sftp-read", POLICY_SFTP_READ},
		{"sftp-write", POLICY_SFTP_WRITE},
		{"scp", POLICY_SCP},
		{"rsync", POLICY_RSYNC},
		{"forward", POLICY_FORWARD},
		{"dynamic", POLICY_FORWARD | POLICY_DYNAMIC},
		{"remote-forward", POLICY_REMOTE_FORWARD},
		{"agent", POLICY_AGENT},
		{"x11", POLICY_X11},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(rows[i].word, word)) {
			question->request.want = rows[i].bits;
			return true;
		}
	cli_fail("\"%s\" is not something a policy allows", word);
	return false;
}

static const struct {
	const char *word;
	bool (*take)(struct question *question, char *word);
} parts[] = {
	{"from", take_from},
	{"to", take_to},
	{"at", take_at},
	{"via", take_via},
	{"for", take_for},
};

static bool take_part(struct question *question, char *name, char *word)
{
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strcmp(parts[i].word, name))
			return parts[i].take(question, word);
	cli_fail("expected from, to, at, via or for, found \"%s\"", name);
	return false;
}

static bool read_question(struct cli *cli, struct question *question)
{
	int i;

	memset(question, 0, sizeof(*question));
	question->request.user = cli->argv[0];
	question->request.now = time(NULL);
	for (i = 1; i + 1 < cli->argc; i += 2)
		if (!take_part(question, cli->argv[i], cli->argv[i + 1]))
			return false;
	if (i < cli->argc) {
		cli_fail("\"%s\" lacks its value", cli->argv[i]);
		return false;
	}
	if (!question->target) {
		cli_fail("the target is missing: to [LOGIN@]TARGET");
		return false;
	}
	if (!question->request.source.family) {
		if (!question->request.service ||
			!strcmp(question->request.service, "sshd")) {
			cli_fail("the source is missing: from ADDRESS");
			return false;
		}
		question->request.local = true;
	}
	return true;
}

static bool finish_question(struct question *question)
{
	struct policy_request *request = &question->request;
	bool self = !strcmp(question->target, "self");

	if (self != (request->service != NULL)) {
		cli_fail(self ? "\"self\" needs a PAM service: via sshd"
			      : "a PAM service protects \"self\" only");
		return false;
	}
	request->via = self ? POLICY_VIA_PAM : POLICY_VIA_PROXY;
	request->target = question->target;
	request->login = question->login;
	request->port = question->port;
	return true;
}

static const struct policy_rule *rule_named(
	const struct policy *policy, const char *name)
{
	uint32_t i;

	for (i = 0; name && i < policy->rules.count; i++)
		if (policy->rules.at[i].name == name)
			return &policy->rules.at[i];
	return NULL;
}

static struct policy_place group_rule_place(
	const struct policy *policy, const char *name)
{
	uint32_t i;

	for (i = 0; i < policy->sg_rules.count; i++)
		if (policy->sg_rules.at[i].name == name)
			return policy->sg_rules.at[i].place;
	return (struct policy_place){0};
}

/* What the nearest permit has that the request has not, one a line. */
static void put_differences(struct cli *cli,
	const struct policy_request *request, const struct policy_rule *rule,
	struct buf *out)
{
	const struct policy *policy = cli->policy;
	struct policy_query query;
	unsigned int differs;
	char source[ADDR_TEXT_MAX];

	if (policy_query_init(&query, policy, request) != POLICY_GRANTED)
		return;
	differs = policy_rule_differs(&query, rule);
	if (differs & DIFFERS_SOURCE) {
		buf_printf(out, "  differs       %s is not in ",
			addr_text(&request->source, source));
		text_from(policy, rule, out);
		buf_put_u8(out, '\n');
	}
	if (differs & DIFFERS_LOGIN) {
		buf_printf(out, "  differs       login %s is not ",
			query.login_text);
		text_as(policy, rule, out);
		buf_put_u8(out, '\n');
	}
	if (differs & DIFFERS_PORT) {
		buf_printf(out, "  differs       port %u is not %s", query.port,
			rule->ports.count ? "" : "the instance's own");
		text_ports(policy, rule, out);
		buf_put_u8(out, '\n');
	}
	if (differs & DIFFERS_HOURS) {
		buf_printf(out, "  differs       the time is not \"");
		text_when(policy, rule, out);
		buf_printf(out, "\"\n");
	}
	if (differs & DIFFERS_EXPIRED) {
		buf_printf(out, "  differs       it expired ");
		text_time(rule->expires, out);
		buf_put_u8(out, '\n');
	}
	if (differs & DIFFERS_SERVICE)
		buf_printf(out, "  differs       PAM service %s is not named\n",
			request->service);
	if (differs & DIFFERS_WANT)
		buf_printf(out, "  differs       it does not allow that\n");
}

static void put_rule(struct cli *cli, const char *label, const char *name,
	struct policy_place place, struct buf *out)
{
	if (!name)
		return;
	buf_printf(out, "  %-13s %s: ", label, name);
	text_line(cli->source, place, out);
	buf_put_u8(out, '\n');
}

static const char *const credentials[] = {
	[POLICY_CERTIFICATE] = "a certificate, for minutes",
	[POLICY_STORED_KEY] = "stored key ",
	[POLICY_OWN_AGENT] = "the person's own key, by a forwarded agent",
};

/* As the policy has them. */
static const char *const credential_words[] = {
	[POLICY_CERTIFICATE] = "certificate",
	[POLICY_STORED_KEY] = "key",
	[POLICY_OWN_AGENT] = "agent",
};

static void put_path(const struct policy *policy,
	const struct policy_decision *decision, struct buf *out)
{
	struct policy_decision hops[POLICY_HOPS_MAX];
	unsigned int count = policy_hops(policy, decision, hops), i;
	char text[ADDR_TEXT_MAX];

	for (i = 0; i < count; i++)
		buf_printf(out, "%s%s%s%s (%s, port %u)%s",
			i ? ", " : "  via           ", hops[i].login,
			hops[i].login[0] ? "@" : "", hops[i].instance,
			addr_text(&hops[i].target_addr, text),
			hops[i].target_port, i + 1 == count ? "\n" : "");
}

static void put_conditions(
	const struct policy_decision *decision, bool self, struct buf *out)
{
	buf_printf(out, "  second factor ");
	text_mfa(decision->mfa, decision->mfa_seconds, out);
	buf_put_u8(out, '\n');
	if (!self) {
		buf_printf(out, "  allows        ");
		text_allow(decision->allow, decision->exec_patterns, out);
		buf_printf(out, "\n  records       output%s\n",
			decision->record & POLICY_RECORD_INPUT ? ", input"
							       : "");
	}
	if (!self && decision->on_record_failure) {
		buf_printf(out, "  on failure    ");
		text_record_failure(decision, out);
		buf_printf(out, " (on-record-failure)\n");
	}
	if (decision->approval) {
		buf_printf(out, "  approval      by %s", decision->approval);
		if (decision->approval_seconds) {
			buf_printf(out, " for ");
			text_duration(decision->approval_seconds, out);
		}
		buf_put_u8(out, '\n');
	}
	if (decision->max_session) {
		buf_printf(out, "  max session   ");
		text_duration(decision->max_session, out);
		buf_put_u8(out, '\n');
	}
	if (decision->idle) {
		buf_printf(out, "  idle          ");
		text_duration(decision->idle, out);
		buf_put_u8(out, '\n');
	}
	if (decision->expires) {
		buf_printf(out, "  expires       ");
		text_time(decision->expires, out);
		buf_put_u8(out, '\n');
	}
	if (!self && decision->login[0])
		buf_printf(out, "  credential    %s%s\n",
			credentials[decision->credential],
			decision->credential_key ? decision->credential_key
						 : "");
	if (!self && decision->login[0])
		buf_printf(out, "  host key      %s\n",
			decision->host_keys[0]
				? decision->host_keys[0]
				: "none pinned; sgbridge host-keys says "
				  "who else vouches");
}

static void put_access(const struct question *question,
	const struct policy_decision *decision, struct buf *out)
{
	char text[ADDR_TEXT_MAX];

	buf_printf(out, " %s from %s to ", question->request.user,
		question->request.local
			? "this host"
			: addr_text(&question->request.source, text));
	if (decision->login && *decision->login)
		buf_printf(out, "%s@", decision->login);
	buf_printf(out, "%s", question->target);
	if (decision->target_addr.family)
		buf_printf(out, " (%s, port %u)",
			addr_text(&decision->target_addr, text),
			decision->target_port);
	buf_printf(out, ", ");
	text_time(question->request.now, out);
	buf_put_u8(out, '\n');
}

static void print_human(struct cli *cli, const struct question *question,
	const struct policy_decision *decision)
{
	const struct policy_rule *rule = rule_named(
		cli->policy, decision->rule);
	bool permit = decision->verdict == POLICY_PERMIT;
	struct buf out;

	buf_init(&out, OUT_MAX);
	put_access(question, decision, &out);
	if (!permit)
		buf_printf(&out, "  reason        %s\n",
			policy_reason_text(decision->reason));
	if (rule)
		put_rule(cli,
			permit || decision->reason == POLICY_DENY_RULE ||
					decision->reason == POLICY_GROUP_CLOSED
				? "rule"
				: "nearest rule",
			decision->rule, rule->place, &out);
	if (rule && !permit && rule->kind == RULE_PERMIT)
		put_differences(cli, &question->request, rule, &out);
	put_rule(cli, "group rule", decision->group_rule,
		group_rule_place(cli->policy, decision->group_rule), &out);
	if (permit)
		put_path(cli->policy, decision, &out);
	if (permit)
		put_conditions(decision,
			question->request.via == POLICY_VIA_PAM, &out);
	printf("%s%s%s",
		!cli->colour ? ""
		: permit     ? "\033[1;32m"
			     : "\033[1;31m",
		permit ? "permit" : "deny", cli->colour ? "\033[0m" : "");
	cli_print(&out);
	buf_done(&out);
}

/* "via": the jump hosts, in the order of connecting. */
static void put_hops(const struct policy *policy,
	const struct policy_decision *decision, struct buf *out)
{
	struct policy_decision hops[POLICY_HOPS_MAX];
	unsigned int count = policy_hops(policy, decision, hops), i;

	buf_printf(out, ",\"via\":[");
	for (i = 0; i < count; i++) {
		buf_printf(out, "%s", i ? "," : "");
		json_put_string(
			out, hops[i].instance, strlen(hops[i].instance));
	}
	buf_put_u8(out, ']');
}

static void put_words(struct buf *out, const char *name,
	void (*put)(const struct policy_decision *decision, struct buf *out),
	const struct policy_decision *decision)
{
	struct buf words;

	buf_init(&words, OUT_MAX);
	put(decision, &words);
	buf_put_u8(&words, 0);
	buf_put_u8(out, ',');
	text_json_member(out, name, (const char *)words.data);
	buf_done(&words);
}

static void words_mfa(const struct policy_decision *decision, struct buf *out)
{
	text_mfa(decision->mfa, decision->mfa_seconds, out);
}

static void words_allow(const struct policy_decision *decision, struct buf *out)
{
	text_allow(decision->allow, decision->exec_patterns, out);
}

static void put_member(struct buf *out, const char *name, const char *value)
{
	buf_put_u8(out, ',');
	text_json_member(out, name, value);
}

static void put_record_failure(
	struct buf *out, const struct policy_decision *decision)
{
	struct buf text;

	buf_init(&text, 64);
	text_record_failure(decision, &text);
	buf_put_u8(&text, 0);
	if (!buf_error(&text))
		put_member(out, "on_record_failure", (const char *)text.data);
	buf_done(&text);
}

static void print_json(struct cli *cli, const struct question *question,
	const struct policy_decision *decision)
{
	bool permit = decision->verdict == POLICY_PERMIT;
	char text[ADDR_TEXT_MAX];
	struct buf out;

	buf_init(&out, OUT_MAX);
	buf_put_u8(&out, '{');
	text_json_member(&out, "verdict", permit ? "permit" : "deny");
	put_member(&out, "reason", policy_reason_text(decision->reason));
	put_member(&out, "user", question->request.user);
	put_member(&out, "source",
		question->request.local
			? NULL
			: addr_text(&question->request.source, text));
	put_member(&out, "target", question->target);
	put_member(&out, "login", decision->login);
	put_member(&out, "rule", decision->rule);
	put_member(&out, "group_rule", decision->group_rule);
	put_member(&out, "instance", decision->instance);
	put_member(&out, "security_group", decision->security_group);
	if (decision->target_addr.family)
		put_member(&out, "address",
			addr_text(&decision->target_addr, text));
	buf_printf(&out, ",\"port\":%u,\"time\":%lld", decision->target_port,
		(long long)question->request.now);
	put_hops(cli->policy, decision, &out);
	if (permit) {
		put_record_failure(&out, decision);
		put_words(&out, "mfa", words_mfa, decision);
		put_words(&out, "allow", words_allow, decision);
		put_member(&out, "approval", decision->approval);
		put_member(&out, "credential",
			credential_words[decision->credential]);
		put_member(&out, "credential_key", decision->credential_key);
		buf_printf(&out,
			",\"record_input\":%s,\"max_session\":%llu,"
			"\"idle\":%llu,\"expires\":%lld,"
			"\"approval_seconds\":%llu",
			decision->record & POLICY_RECORD_INPUT ? "true"
							       : "false",
			(unsigned long long)decision->max_session,
			(unsigned long long)decision->idle,
			(long long)decision->expires,
			(unsigned long long)decision->approval_seconds);
	}
	buf_printf(&out, "}\n");
	cli_print(&out);
	buf_done(&out);
}

int cmd_explain(struct cli *cli)
{
	struct policy_decision decision;
	struct question question;

	if (!read_question(cli, &question) || !finish_question(&question) ||
		!cli_load(cli) ||
		!cli_groups(cli, question.request.user, &question.groups))
		return CLI_ERROR;
	question.request.groups = (const char *const *)question.groups;
	policy_decide(cli->policy, &question.request, &decision);
	if (cli->json)
		print_json(cli, &question, &decision);
	else
		print_human(cli, &question, &decision);
	policy_unix_groups_free(question.groups);
	return decision.verdict == POLICY_PERMIT ? CLI_YES : CLI_NO;
}
