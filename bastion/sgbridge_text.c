/* Rules and values of a policy in words. */
#include "sgbridge.h"

#include <string.h>

#include "core/event.h"

static void text_elem(const struct policy *policy,
	const struct policy_elem *elem, struct buf *out)
{
	switch (elem->kind) {
	case ELEM_ANY: buf_printf(out, "any"); return;
	case ELEM_SELF: buf_printf(out, "self"); return;
	case ELEM_UNIX: buf_printf(out, "@"); break;
	case ELEM_ZONE: buf_printf(out, "zone "); break;
	default: break;
	}
	buf_printf(out, "%s", policy_symbol_text(policy, elem->sym));
}

static void text_elems(
	const struct policy *policy, struct policy_range elems, struct buf *out)
{
	uint32_t i;

	for (i = 0; i < elems.count; i++) {
		buf_printf(out, "%s", i ? ", " : "");
		text_elem(policy, &policy->elems.at[elems.first + i], out);
	}
}

void text_who(const struct policy *policy, const struct policy_rule *rule,
	struct buf *out)
{
	text_elems(policy, rule->who, out);
}

void text_from(const struct policy *policy, const struct policy_rule *rule,
	struct buf *out)
{
	text_elems(policy, rule->from, out);
}

void text_when(const struct policy *policy, const struct policy_rule *rule,
	struct buf *out)
{
	if (!rule->hours.count) {
		buf_printf(out, "always");
		return;
	}
	buf_printf(out, "%s", rule->hours_not ? "not " : "");
	text_elems(policy, rule->hour_elems, out);
}

void text_as(const struct policy *policy, const struct policy_rule *rule,
	struct buf *out)
{
	uint32_t i;

	if (rule->login_kind != LOGIN_LIST) {
		buf_printf(out, "%s",
			rule->login_kind == LOGIN_ANY ? "any" : "(own)");
		return;
	}
	for (i = 0; i < rule->logins.count; i++)
		buf_printf(out, "%s%s", i ? ", " : "",
			policy_symbol_text(policy,
				policy->ids.at[rule->logins.first + i]));
}

void text_ports(const struct policy *policy, const struct policy_rule *rule,
	struct buf *out)
{
	uint32_t i;

	for (i = 0; i < rule->ports.count; i++) {
		const struct policy_ports *ports =
			&policy->ports.at[rule->ports.first + i];

		buf_printf(out, "%s%u", i ? ", " : "", ports->from);
		if (ports->to != ports->from)
			buf_printf(out, "-%u", ports->to);
	}
}

void text_duration(uint64_t seconds, struct buf *out)
{
	static const struct {
		uint64_t size;
		char unit;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	size_t i = 0;

	while (i < 3 && seconds % units[i].size)
		i++;
	buf_printf(out, "%llu%c", (unsigned long long)(seconds / units[i].size),
		units[i].unit);
}

void text_record_failure(
	const struct policy_decision *decision, struct buf *out)
{
	static const char *const words[] = {
		[POLICY_RECORD_FAILURE_END] = "end",
		[POLICY_RECORD_FAILURE_REFUSE] = "refuse",
		[POLICY_RECORD_STALL] = "stall",
		[POLICY_RECORD_BREAK_GLASS] = "break-glass",
	};

	buf_printf(out, "%s", words[decision->on_record_failure]);
	if (decision->on_record_failure != POLICY_RECORD_STALL)
		return;
	buf_printf(out, " ");
	text_duration(decision->stall, out);
}

void text_mfa(enum policy_mfa mfa, uint64_t seconds, struct buf *out)
{
	if (mfa == POLICY_MFA_NEVER) {
		buf_printf(out, "never");
	} else if (mfa == POLICY_MFA_REMEMBER) {
		buf_printf(out, "remember ");
		text_duration(seconds, out);
	} else {
		buf_printf(out, "always");
	}
}

void text_allow(
	unsigned int allow, const char *const *patterns, struct buf *out)
{
	static const struct {
		unsigned int bits;
		const char *word;
	} actions[] = {
		{POLICY_SHELL, "shell"},
		{POLICY_EXEC, "exec"},
		{POLICY_SFTP_READ | POLICY_SFTP_WRITE, "sftp"},
		{POLICY_SFTP_READ, "sftp-read"},
		{POLICY_SFTP_WRITE, "sftp-write"},
		{POLICY_SCP, "scp"},
		{POLICY_RSYNC, "rsync"},
		{POLICY_FORWARD, "forward"},
		{POLICY_DYNAMIC, "dynamic"},
		{POLICY_REMOTE_FORWARD, "remote-forward"},
		{POLICY_AGENT, "agent"},
		{POLICY_X11, "x11"},
	};
	const char *comma = "";
	size_t i;

	for (i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if ((allow & actions[i].bits) != actions[i].bits)
			continue;
		buf_printf(out, "%s%s", comma, actions[i].word);
		allow &= ~actions[i].bits;
		comma = ", ";
	}
	for (; patterns && *patterns; patterns++) {
		buf_printf(out, "%sexec \"%s\"", comma, *patterns);
		comma = ", ";
	}
	if (!*comma)
		buf_printf(out, "nothing");
}

void text_time(time_t when, struct buf *out)
{
	char text[40];
	struct tm tm;

	if (localtime_r(&when, &tm) &&
		strftime(text, sizeof(text), "%a %Y-%m-%d %H:%M %Z", &tm))
		buf_printf(out, "%s", text);
	else
		buf_printf(out, "@%lld", (long long)when);
}

void text_line(const struct policy_source *source, struct policy_place place,
	struct buf *out)
{
	const struct policy_file *file = &source->files[place.file];
	uint32_t start = place.offset, end = place.offset;

	while (start > 0 && file->text[start - 1] != '\n')
		start--;
	while (end < file->len && file->text[end] != '\n' && end - start < 400)
		end++;
	while (start < end &&
		(file->text[start] == ' ' || file->text[start] == '\t'))
		start++;
	for (; start < end; start++) {
		char c = file->text[start];

		buf_put_u8(out, (uint8_t)(c == '\t'		    ? ' '
					  : (unsigned char)c < 0x20 ? '?'
								    : c));
	}
}

void text_json_member(struct buf *out, const char *name, const char *value)
{
	json_put_string(out, name, strlen(name));
	buf_put_u8(out, ':');
	if (value)
		json_put_string(out, value, strlen(value));
	else
		buf_printf(out, "null");
}
