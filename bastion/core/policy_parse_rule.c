/*
 * permit, deny and audit. A rule with a mistake in it is never kept: half a
 * permit may permit more, and half a denial may deny less.
 */
#include "core/policy_parse.h"

#include <string.h>

#include "core/record.h"

#define WHAT_FROM "a network, an address or any"

/* ---- conditions ---- */

static void cond_mfa(struct policy_parser *parser, void *subject)
{
	static const char *const words[] = {
		"always", "remember", "never", NULL};
	struct policy_rule *rule = subject;
	unsigned int mfa;

	rule->mfa_place = parse_place(parser);
	if (!parse_choice(
		    parser, "always, remember DURATION or never", words, &mfa))
		return;
	rule->mfa = (enum policy_mfa)mfa;
	if (rule->mfa == POLICY_MFA_REMEMBER)
		(void)parse_seconds(parser, &rule->mfa_seconds);
}

static const struct {
	const char *word;
	unsigned int bits;
} actions[] = {
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

#define ACTION_COUNT (sizeof(actions) / sizeof(actions[0]))

static void cond_patterns(
	struct policy_parser *parser, struct policy_rule *rule)
{
	struct policy *policy = parser->policy;

	rule->allow |= POLICY_EXEC_PATTERN;
	while (parser->token.kind == TOKEN_STRING) {
		if (parser->token.len == 2)
			ERROR(parser, parse_place(parser), "bad-value",
				"an empty pattern matches no command");
		if (rule->patterns.count)
			policy->texts.count--; /* the NULL moves on */
		else
			rule->patterns.first = policy->texts.count;
		*vec_add(policy, &policy->texts) = parse_string(parser);
		vec_add(policy, &policy->texts);
		rule->patterns.count++;
		parse_next(parser);
	}
}

static void cond_allow(struct policy_parser *parser, void *subject)
{
	const char *words[ACTION_COUNT + 1] = {NULL};
	struct policy_rule *rule = subject;
	unsigned int i;

	for (i = 0; i < ACTION_COUNT; i++)
		words[i] = actions[i].word;
	do {
		bool exec = parse_is(parser, "exec");

		if (!parse_choice(parser,
			    "what to allow: shell, exec, sftp, sftp-read, "
			    "sftp-write, scp, rsync, forward, dynamic, "
			    "remote-forward, agent or x11",
			    words, &i))
			return;
		if (exec && parser->token.kind == TOKEN_STRING)
			cond_patterns(parser, rule);
		else
			rule->allow |= actions[i].bits;
	} while (parse_comma(parser));
}

static void cond_approval(struct policy_parser *parser, void *subject)
{
	struct policy_rule *rule = subject;

	if (!parse_accept(parser, "by")) {
		parse_expected(parser, "\"by\"");
		return;
	}
	rule->approval_place = parse_place(parser);
	if (parse_new_name(parser, "group", &rule->approval) &&
		parse_accept(parser, "for"))
		(void)parse_seconds(parser, &rule->approval_seconds);
}

static void cond_record(struct policy_parser *parser, void *subject)
{
	static const char *const words[] = {"output", "input", NULL};
	struct policy_rule *rule = subject;
	unsigned int what;

	do {
		if (!parse_choice(parser, "output or input", words, &what))
			return;
		if (what == 1)
			rule->record |= POLICY_RECORD_INPUT;
	} while (parse_comma(parser));
}

static void cond_max_session(struct policy_parser *parser, void *subject)
{
	struct policy_rule *rule = subject;

	(void)parse_seconds(parser, &rule->max_session);
}

static void cond_idle(struct policy_parser *parser, void *subject)
{
	struct policy_rule *rule = subject;

	(void)parse_seconds(parser, &rule->idle);
}

static void cond_expires(struct policy_parser *parser, void *subject)
{
	struct policy_rule *rule = subject;

	rule->expires_place = parse_place(parser);
	(void)parse_date(parser, &rule->expires);
}

static void cond_on_record_failure(struct policy_parser *parser, void *subject)
{
	static const char *const words[] = {
		"end", "refuse", "stall", "break-glass", NULL};
	struct policy_rule *rule = subject;
	struct policy_place place;
	unsigned int what;

	if (!parse_choice(
		    parser, "end, refuse, stall or break-glass", words, &what))
		return;
	rule->on_record_failure = (enum policy_on_record_failure)what;
	place = parse_place(parser);
	if (what == POLICY_RECORD_STALL &&
		parse_seconds(parser, &rule->stall) &&
		rule->stall > RECORD_WAIT_MAX)
		ERROR(parser, place, "bad-value",
			"a session waits for room on the disk for at most a "
			"day: 24h or less");
}

static const struct parse_word conditions[] = {
	{"mfa", cond_mfa, false},
	{"allow", cond_allow, true},
	{"approval", cond_approval, false},
	{"record", cond_record, false},
	{"max-session", cond_max_session, false},
	{"idle", cond_idle, false},
	{"expires", cond_expires, false},
	{"on-record-failure", cond_on_record_failure, false},
	{NULL, NULL, false},
};

/* ---- clauses ---- */

static void clause_symbols(struct policy_parser *parser, const char *what,
	struct policy_range *ret)
{
	struct policy *policy = parser->policy;
	uint32_t sym;

	ret->first = policy->ids.count;
	ret->count = 0;
	do {
		if (!parse_new_name(parser, what, &sym))
			return;
		*vec_add(policy, &policy->ids) = sym;
		ret->count++;
	} while (parse_comma(parser));
}

static void clause_from(struct policy_parser *parser, void *subject)
{
	struct policy_rule *rule = subject;

	(void)parse_elems(parser, ELEMS_NAME | ELEMS_ANY | ELEMS_NET, WHAT_FROM,
		&rule->from);
}

static void clause_to(struct policy_parser *parser, void *subject)
{
	struct policy_rule *rule = subject;

	(void)parse_elems(parser,
		ELEMS_NAME | ELEMS_ANY | ELEMS_NET | ELEMS_ZONE | ELEMS_SELF,
		"a security group, an instance, zone NAME, an address, self "
		"or any",
		&rule->to);
}

static void clause_port(struct policy_parser *parser, void *subject)
{
	struct policy_rule *rule = subject;

	(void)parse_ports(parser, &rule->ports);
}

static void clause_as(struct policy_parser *parser, void *subject)
{
	struct policy_rule *rule = subject;

	if (parse_accept(parser, "any")) {
		rule->login_kind = LOGIN_ANY;
		return;
	}
	rule->login_kind = LOGIN_LIST;
	clause_symbols(parser, "login", &rule->logins);
}

static void clause_during(struct policy_parser *parser, void *subject)
{
	struct policy_rule *rule = subject;

	rule->hours_not = parse_accept(parser, "not");
	(void)parse_elems(
		parser, ELEMS_NAME, "the name of hours", &rule->hour_elems);
}

static void clause_via(struct policy_parser *parser, void *subject)
{
	struct policy_rule *rule = subject;

	clause_symbols(parser, "PAM service", &rule->services);
}

static const struct parse_word clauses[] = {
	{"from", clause_from, false},
	{"to", clause_to, false},
	{"port", clause_port, false},
	{"as", clause_as, false},
	{"during", clause_during, false},
	{"via", clause_via, false},
	{NULL, NULL, false},
};

static const struct parse_word audit_clauses[] = {
	{"from", clause_from, false},
	{"during", clause_during, false},
	{NULL, NULL, false},
};

static bool at_clause(
	const struct policy_parser *parser, const struct parse_word *words)
{
	for (; words->word; words++)
		if (parse_is(parser, words->word))
			return true;
	return false;
}

/* After a mistake the next clause is looked for, so that two mistakes in one
 * rule are told at once. */
static void clause_resume(
	struct policy_parser *parser, const struct parse_word *words)
{
	while (!parse_ends_statement(parser) &&
		parser->token.kind != TOKEN_OPEN && !at_clause(parser, words))
		parse_next(parser);
}

static bool is_condition(const struct policy_parser *parser)
{
	const struct parse_word *row;

	for (row = conditions; row->word; row++)
		if (parse_is(parser, row->word))
			return true;
	return false;
}

/* A word that begins no clause: say what the rule lacks at this place. */
static const struct parse_word *unknown_clause(struct policy_parser *parser,
	const struct parse_word *words, const struct policy_rule *rule)
{
	const char *names[8] = {NULL};
	char word[80];
	size_t i;

	for (i = 0; words[i].word && i < 7; i++)
		names[i] = words[i].word;
	parse_text(parser, word, sizeof(word));
	if (parser->token.kind == TOKEN_WORD && diag_nearest(word, names))
		return parse_word(parser, words, "part of a rule");
	if (parser->token.kind == TOKEN_WORD && is_condition(parser))
		ERROR_HINT(parser, parse_place(parser), "syntax",
			"conditions stand in { }", "\"%s\" is a condition",
			word);
	else if (!rule->from.count)
		parse_expected(parser, "\",\" or \"from\"");
	else if (words != clauses)
		parse_expected(parser, "\",\", \"during\" or \"{\"");
	else if (!rule->to.count)
		parse_expected(parser, "\",\" or \"to\"");
	else
		parse_expected(parser,
			"\",\", \"port\", \"as\", \"during\", \"via\", \"{\" "
			"or end of line");
	return NULL;
}

static void parse_clauses(struct policy_parser *parser,
	const struct parse_word *words, struct policy_rule *rule)
{
	uint32_t seen = 0;

	while (!parse_ends_statement(parser) &&
		parser->token.kind != TOKEN_OPEN) {
		size_t errors = parser->errors;
		const struct parse_word *row =
			at_clause(parser, words)
				? parse_word(parser, words, "part of a rule")
				: unknown_clause(parser, words, rule);

		if (row) {
			if (seen >> (row - words) & 1)
				ERROR(parser, parse_place(parser), "duplicate",
					"\"%s\" is given twice", row->word);
			seen |= 1u << (row - words);
			parse_next(parser);
			row->parse(parser, rule);
		}
		if (!row || parser->errors != errors)
			clause_resume(parser, words);
	}
}

static void rule_init(struct policy_parser *parser, enum policy_rule_kind kind,
	struct policy_rule *rule)
{
	memset(rule, 0, sizeof(*rule));
	rule->kind = kind;
	rule->approval = POLICY_NONE;
	rule->name = policy_here_name(parser);
	rule->place = parse_place(parser);
}

static void need(struct policy_parser *parser, const struct policy_range *range,
	const char *what)
{
	if (!range->count)
		parse_expected(parser, what);
}

static void parse_who(struct policy_parser *parser,
	const struct parse_word *words, struct policy_rule *rule)
{
	if (!parse_elems(parser, ELEMS_NAME | ELEMS_ANY | ELEMS_UNIX,
		    "a user, a group, @unixgroup or any", &rule->who))
		clause_resume(parser, words);
}

static bool all_self(
	const struct policy *policy, const struct policy_rule *rule)
{
	uint32_t i;

	for (i = 0; i < rule->to.count; i++)
		if (policy->elems.at[rule->to.first + i].kind != ELEM_SELF)
			return false;
	return rule->to.count > 0;
}

static bool some_self(
	const struct policy *policy, const struct policy_rule *rule)
{
	uint32_t i;

	for (i = 0; i < rule->to.count; i++)
		if (policy->elems.at[rule->to.first + i].kind == ELEM_SELF)
			return true;
	return false;
}

static void check_self(struct policy_parser *parser, struct policy_rule *rule)
{
	const struct policy *policy = parser->policy;

	rule->to_self = all_self(policy, rule);
	if (some_self(policy, rule) && !rule->to_self)
		ERROR(parser, rule->place, "conflict",
			"\"self\" has rules of its own: do not mix it with "
			"other targets");
	if (rule->services.count && !rule->to_self)
		ERROR(parser, rule->place, "conflict",
			"\"via\" names PAM services and needs \"to self\"");
	if (rule->ports.count && rule->to_self)
		ERROR(parser, rule->place, "conflict",
			"\"port\" has no meaning for \"self\"");
}

static void parse_rule(struct policy_parser *parser, enum policy_rule_kind kind)
{
	size_t errors = parser->errors;
	struct policy_rule rule;

	rule_init(parser, kind, &rule);
	parse_who(parser, clauses, &rule);
	parse_clauses(parser, clauses, &rule);
	if (parser->errors == errors) {
		need(parser, &rule.from, "\"from\"");
		if (rule.from.count)
			need(parser, &rule.to, "\"to\"");
	}
	if (parser->errors == errors)
		check_self(parser, &rule);
	if (parser->token.kind == TOKEN_OPEN) {
		if (kind == RULE_DENY) {
			ERROR(parser, parse_place(parser), "conflict",
				"a deny has no conditions: it always wins");
			parse_skip(parser);
		} else {
			parse_block(parser, "condition", conditions, &rule);
		}
	}
	if (parser->errors == errors)
		*vec_add(parser->policy, &parser->policy->rules) = rule;
}

void parse_permit(struct policy_parser *parser, void *unused)
{
	(void)unused;
	parse_rule(parser, RULE_PERMIT);
}

void parse_deny(struct policy_parser *parser, void *unused)
{
	(void)unused;
	parse_rule(parser, RULE_DENY);
}

static void audit_rights(struct policy_parser *parser, struct policy_rule *rule)
{
	static const char *const words[] = {
		"list", "replay", "watch", "export", NULL};
	unsigned int right;

	for (;;) {
		while (parser->token.kind == TOKEN_NEWLINE ||
			parser->token.kind == TOKEN_SEMICOLON ||
			parser->token.kind == TOKEN_COMMA)
			parse_next(parser);
		if (parse_accept_kind(parser, TOKEN_CLOSE))
			return;
		if (!parse_choice(parser, "list, replay, watch or export",
			    words, &right)) {
			while (parser->token.kind != TOKEN_CLOSE &&
				parser->token.kind != TOKEN_END)
				parse_next(parser);
			(void)parse_accept_kind(parser, TOKEN_CLOSE);
			return;
		}
		rule->audit |= 1u << right;
	}
}

void parse_audit(struct policy_parser *parser, void *unused)
{
	size_t errors = parser->errors;
	struct policy_rule rule;

	(void)unused;
	rule_init(parser, RULE_AUDIT, &rule);
	parse_who(parser, audit_clauses, &rule);
	parse_clauses(parser, audit_clauses, &rule);
	if (parser->errors == errors)
		need(parser, &rule.from, "\"from\"");
	if (parser->token.kind != TOKEN_OPEN) {
		if (parser->errors == errors)
			parse_expected(parser, "\"{\"");
		return;
	}
	parse_next(parser);
	audit_rights(parser, &rule);
	if (parser->errors == errors && !rule.audit)
		ERROR(parser, rule.place, "missing",
			"this rule gives no right: expected list, replay, "
			"watch or export");
	if (parser->errors == errors)
		*vec_add(parser->policy, &parser->policy->rules) = rule;
}
