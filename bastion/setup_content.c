/*
 * setup: the text of files that are made from answers. What is shipped in
 * conf/ is taken as it is; here is only what differs from site to site.
 */
#include "setup.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/addr.h"
#include "core/policy.h"

#define WORDS_MAX 4

/* "NAME ADDRESS LOGIN [PIN]" */
static size_t split(struct setup *s, const char *text, char *words[WORDS_MAX])
{
	char *rest = (char *)setup_text(s, "%s", text), *word;
	size_t count = 0;

	while (count < WORDS_MAX && (word = strsep(&rest, " \t")))
		if (*word)
			words[count++] = word;
	return count;
}

static void put_instance(struct setup *s, const char *text, struct buf *out)
{
	char *words[WORDS_MAX];
	size_t count = split(s, text, words);

	if (count < 3)
		return; /* said by instances_good */
	buf_printf(out, "\tinstance %s %s { ", words[0], words[1]);
	if (count == 4)
		buf_printf(out, "host-key %s; ", words[3]);
	buf_printf(out, "login %s }\n", words[2]);
}

static void put_logins(struct setup *s, struct buf *out)
{
	const struct answer *list = &s->answers.instances;
	char *words[WORDS_MAX], *before[WORDS_MAX];
	bool comma = false;
	size_t i, j;

	for (i = 0; i < list->count; i++) {
		if (split(s, list->items[i], words) < 3)
			continue;
		for (j = 0; j < i; j++)
			if (split(s, list->items[j], before) >= 3 &&
				!strcmp(words[2], before[2]))
				break;
		if (j < i)
			continue;
		buf_printf(out, "%s%s", comma ? ", " : "", words[2]);
		comma = true;
	}
}

static void put_topology(struct setup *s, struct buf *out)
{
	size_t i;

	buf_printf(out,
		"# What there is to reach: one block for each security group "
		"of "
		"the cloud.\n"
		"# Names and dry run of the cloud's own groups: sgbridge "
		"topology import.\n"
		"security-group SG_Bridge {\n}\n"
		"security-group SG_Current {\n");
	for (i = 0; i < s->answers.instances.count; i++)
		put_instance(s, s->answers.instances.items[i], out);
	buf_printf(out, "\taccept tcp 22 from SG_Bridge priority 1\n"
			"\tdrop   all from 0.0.0.0/0 priority 100\n"
			"}\n\n");
}

void plan_policy(struct setup *s, struct buf *out)
{
	const struct answers *a = &s->answers;
	size_t i;

	buf_printf(out, "# Who may cross this bastion, from where, to what, as "
			"whom and when:\n"
			"# sgbridge-policy(5). Nothing is permitted unless a "
			"rule here permits it.\n"
			"# After each change: sgbridge check && sgbridge "
			"reload\n\n"
			"network office ");
	for (i = 0; i < a->networks.count; i++)
		buf_printf(out, "%s%s", i ? ", " : "", a->networks.items[i]);
	buf_printf(out, "\ngroup   SysAdmins %s\n\n", answer_one(&a->admin));
	put_topology(s, out);
	buf_printf(out, "keys {\n\taccept     ed25519, ecdsa, sk-ed25519, "
			"sk-ecdsa, rsa >= 3072\n\troot-login no\n}\n\n");
	if (a->instances.count) {
		buf_printf(
			out, "permit SysAdmins from office to SG_Current as ");
		put_logins(s, out);
		buf_printf(out, " {\n\tmfa         always\n"
				"\tallow       shell, exec, sftp, scp, rsync\n"
				"\tmax-session 8h\n\tidle        30m\n}\n");
	}
	/* Without such a rule this person could not log in here. */
	buf_printf(out,
		"permit SysAdmins from office to self via sshd%s {\n"
		"\tmfa always\n}\n",
		answer_yes(&a->guard_sudo) ? ", sudo" : "");
}

/* The shipped settings with the answered `listen`. */
void plan_conf(struct setup *s, struct buf *out, const char *shipped)
{
	const char *line = shipped, *end;

	for (; *line; line = *end ? end + 1 : end) {
		end = line + strcspn(line, "\n");
		if (!strncmp(line, "listen ", 7))
			buf_printf(out, "listen              %s\n",
				answer_one(&s->answers.listen));
		else
			buf_printf(out, "%.*s\n", (int)(end - line), line);
	}
}

static void put_family(struct setup *s, struct buf *out, int family)
{
	const struct answer *list = &s->answers.networks;
	struct addr_net net;
	bool comma = false;
	size_t i;

	buf_printf(out, "\t\telements = {");
	for (i = 0; i < list->count; i++) {
		if (addr_net_parse(list->items[i], &net) ||
			net.base.family != family)
			continue;
		buf_printf(out, "%s %s", comma ? "," : "", list->items[i]);
		comma = true;
	}
	buf_printf(out, " }\n");
}

static bool has_family(struct setup *s, int family)
{
	struct addr_net net;
	size_t i;

	for (i = 0; i < s->answers.networks.count; i++)
		if (!addr_net_parse(s->answers.networks.items[i], &net) &&
			net.base.family == family)
			return true;
	return false;
}

/* The shipped ruleset with the answered networks and port. */
void plan_firewall(struct setup *s, struct buf *out, const char *shipped)
{
	const char *port = strrchr(answer_one(&s->answers.listen), ':');
	const char *line = shipped, *end, *at;
	bool four;

	for (; *line; line = *end ? end + 1 : end) {
		end = line + strcspn(line, "\n");
		four = memmem(line, (size_t)(end - line), "0.0.0.0/0 }", 11);
		if (four || memmem(line, (size_t)(end - line), "::/0 }", 6)) {
			if (has_family(s, four ? AF_INET : AF_INET6))
				put_family(s, out, four ? AF_INET : AF_INET6);
			continue;
		}
		at = memmem(line, (size_t)(end - line), "dport 30022", 11);
		if (at && port)
			buf_printf(out, "%.*sdport %s%.*s\n", (int)(at - line),
				line, port + 1, (int)(end - at - 11), at + 11);
		else
			buf_printf(out, "%.*s\n", (int)(end - line), line);
	}
}
