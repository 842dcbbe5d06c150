/*
 * sgbridge diff: two policies compared by what they allow. For each kind of
 * person and each target, the rules of either policy that could speak of them
 * give the places where an answer may change (addresses, logins, ports,
 * times); both policies are asked at each. Nothing is inferred from text.
 */
#include "sgbridge_diff.h"

#include <stdlib.h>
#include <string.h>

#define LABELS_MAX 6
#define FINDS_MAX  64
#define ROWS_MAX   20000
#define OUT_MAX	   (64u * 1024 * 1024)

static const char *const columns[] = {"change", "who", "login", "target",
	"port", "from", "when", "before", "after", NULL};

struct person {
	const char *name; /* without the @ of a Unix group */
	bool unix_group;
	uint64_t class;
	uint32_t more; /* others of the same class */
};

/* A change, with the places it was found at. */
struct find {
	const char *login;
	uint16_t port;
	struct policy_decision before, after;
	const char *labels[LABELS_MAX];
	size_t label_count;
	bool more_labels;
	size_t times; /* how often, of sources * times */
};

struct diff {
	struct cli *cli;
	struct policy *policies[2];
	struct policy_source *sources[2];
	struct person *people;
	size_t people_count;
	struct table table;
	size_t rows;
	bool truncated;
	/* of the pair in hand */
	struct policy_request request;
	const char *groups[2];
	struct places places;
	struct find finds[FINDS_MAX];
	size_t find_count;
};

/* ---- comparing ---- */

static bool same_texts(const char *const *a, const char *const *b)
{
	for (; *a && *b; a++, b++)
		if (strcmp(*a, *b))
			return false;
	return !*a && !*b;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same(
	const struct policy_decision *a, const struct policy_decision *b)
{
	if (a->verdict != b->verdict)
		return false;
	if (a->verdict != POLICY_PERMIT)
		return true;
	return a->mfa == b->mfa && a->mfa_seconds == b->mfa_seconds &&
	       a->allow == b->allow && a->record == b->record &&
	       a->on_record_failure == b->on_record_failure &&
	       a->max_session == b->max_session && a->idle == b->idle &&
	       a->stall == b->stall && a->expires == b->expires &&
	       a->target_port == b->target_port &&
	       addr_equal(&a->target_addr, &b->target_addr) ==
		       (a->target_addr.family != 0) &&
	       same_texts(a->exec_patterns, b->exec_patterns) &&
	       same_texts(a->host_keys, b->host_keys) &&
	       a->approval_seconds == b->approval_seconds &&
	       a->credential == b->credential &&
	       same_text(a->credential_key, b->credential_key) &&
	       same_text(a->approval, b->approval);
}

/* By the names of jump hosts: what changes at one of them is told of it. */
static bool same_way(const struct diff *diff,
	const struct policy_decision *before,
	const struct policy_decision *after)
{
	struct policy_decision a[POLICY_HOPS_MAX], b[POLICY_HOPS_MAX];
	unsigned int count, i;

	if (before->verdict != POLICY_PERMIT || after->verdict != POLICY_PERMIT)
		return true;
	count = policy_hops(diff->policies[0], before, a);
	if (policy_hops(diff->policies[1], after, b) != count)
		return false;
	for (i = 0; i < count; i++)
		if (strcmp(a[i].instance, b[i].instance))
			return false;
	return true;
}

/* The narrowest network that either policy knows the address by. */
static const char *label_of(const struct diff *diff, const struct addr *addr)
{
	const char *label = addr->family == AF_INET ? "elsewhere (IPv4)"
						    : "elsewhere (IPv6)";
	unsigned int bits = 0;
	int side;

	for (side = 1; side >= 0; side--) {
		const struct policy *policy = diff->policies[side];
		uint32_t entry = policy_prefixes_find(&policy->sources, addr);
		const struct policy_prefix *prefix;

		if (entry == POLICY_NONE)
			continue;
		prefix = policy_prefix_at(
			&policy->sources, addr->family, entry);
		if (prefix->bits <= bits)
			continue;
		bits = prefix->bits;
		label = policy_symbol_text(policy,
			policy->networks
				.at[policy->sources.ids.at[prefix->first]]
				.sym);
	}
	return label;
}

static void find_label(struct find *find, const char *label)
{
	size_t i;

	for (i = 0; i < find->label_count; i++)
		if (!strcmp(find->labels[i], label))
			return;
	if (find->label_count < LABELS_MAX)
		find->labels[find->label_count++] = label;
	else
		find->more_labels = true;
}

static void found(struct diff *diff, const char *login, uint16_t port,
	const struct policy_decision *before,
	const struct policy_decision *after)
{
	const char *label = label_of(diff, &diff->request.source);
	struct find *find;
	size_t i;

	for (i = 0; i < diff->find_count; i++) {
		find = &diff->finds[i];
		if (find->port == port && !strcmp(find->login, login) &&
			same(&find->before, before) &&
			same(&find->after, after))
			break;
	}
	if (i == FINDS_MAX) {
		diff->truncated = true;
		return;
	}
	find = &diff->finds[i];
	if (i == diff->find_count) {
		memset(find, 0, sizeof(*find));
		find->login = login;
		find->port = port;
		find->before = *before;
		find->after = *after;
		diff->find_count++;
	}
	find_label(find, label);
	find->times++;
}

/* With a login it is a session, without one a forward; a PAM service is
 * neither. */
static void compare_at(struct diff *diff, const char *login, uint16_t port)
{
	const unsigned int forwards = POLICY_FORWARDS;
	struct policy_decision before, after;

	diff->request.login = *login ? login : NULL;
	diff->request.want = *login ? ~forwards : POLICY_FORWARD;
	if (diff->request.via == POLICY_VIA_PAM)
		diff->request.want = 0;
	diff->request.port = port;
	policy_decide(diff->policies[0], &diff->request, &before);
	policy_decide(diff->policies[1], &diff->request, &after);
	if (!same(&before, &after) || !same_way(diff, &before, &after))
		found(diff, login, port, &before, &after);
}

static void compare_all(struct diff *diff)
{
	const struct places *places = &diff->places;
	size_t login, port, addr, when;

	for (addr = 0; addr < places->addr_count; addr++)
		for (when = 0; when < places->time_count; when++) {
			diff->request.source = places->addrs[addr];
			diff->request.now = places->times[when];
			for (login = 0; login < places->login_count; login++)
				for (port = 0; port < places->port_count;
					port++)
					compare_at(diff, places->logins[login],
						places->ports[port]);
		}
}

/* ---- telling ---- */

static void put_way(const struct policy *policy,
	const struct policy_decision *decision, struct buf *out)
{
	struct policy_decision hops[POLICY_HOPS_MAX];
	unsigned int count = policy_hops(policy, decision, hops), i;

	for (i = 0; i < count; i++)
		buf_printf(out, "%s%s", i ? ", " : "; via ", hops[i].instance);
}

static void put_decision(const struct policy *policy,
	const struct policy_decision *decision, struct buf *out)
{
	if (decision->verdict != POLICY_PERMIT) {
		buf_printf(out, "-");
		return;
	}
	buf_printf(out, "mfa ");
	text_mfa(decision->mfa, decision->mfa_seconds, out);
	if (decision->target_addr.family) {
		buf_printf(out, "; ");
		text_allow(decision->allow, decision->exec_patterns, out);
	}
	if (decision->approval)
		buf_printf(out, "; approval by %s", decision->approval);
	if (decision->approval_seconds) {
		buf_printf(out, " for ");
		text_duration(decision->approval_seconds, out);
	}
	if (decision->record & POLICY_RECORD_INPUT)
		buf_printf(out, "; record input");
	if (decision->on_record_failure) {
		buf_printf(out, "; on-record-failure ");
		text_record_failure(decision, out);
	}
	if (decision->max_session) {
		buf_printf(out, "; max ");
		text_duration(decision->max_session, out);
	}
	if (decision->idle) {
		buf_printf(out, "; idle ");
		text_duration(decision->idle, out);
	}
	if (decision->expires) {
		buf_printf(out, "; until ");
		text_time(decision->expires, out);
	}
	if (decision->host_keys[0])
		buf_printf(out, "; key %.15s", decision->host_keys[0]);
	if (decision->credential == POLICY_STORED_KEY)
		buf_printf(out, "; by key %s", decision->credential_key);
	if (decision->credential == POLICY_OWN_AGENT)
		buf_printf(out, "; by the person's agent");
	put_way(policy, decision, out);
}

static void put_who(const struct person *person, struct buf *out)
{
	buf_printf(out, "%s%s", person->unix_group ? "@" : "", person->name);
	if (person->more)
		buf_printf(out, " and %u like that", person->more);
}

static void tell(struct diff *diff, const struct person *person,
	const struct find *find, struct buf *text)
{
	bool before = find->before.verdict == POLICY_PERMIT;
	bool after = find->after.verdict == POLICY_PERMIT;
	size_t i;

	if (++diff->rows > ROWS_MAX)
		return;
	table_put(&diff->table, before && after ? "changed"
				: after		? "gained"
						: "lost");
	put_who(person, text);
	table_put_buf(&diff->table, text);
	table_put(&diff->table, !*find->login			? "(forward)"
				: strcmp(find->login, "_other") ? find->login
								: "any other");
	buf_printf(text, "%s%s%s", diff->request.target,
		diff->request.service ? " via " : "",
		diff->request.service ? diff->request.service : "");
	table_put_buf(&diff->table, text);
	if (diff->request.service)
		buf_printf(text, "-");
	else
		buf_printf(text, "%u", find->port);
	table_put_buf(&diff->table, text);
	for (i = 0; i < find->label_count; i++)
		buf_printf(text, "%s%s", i ? ", " : "", find->labels[i]);
	buf_printf(text, "%s", find->more_labels ? ", ..." : "");
	table_put_buf(&diff->table, text);
	table_put(&diff->table,
		find->times % diff->places.time_count ? "at times" : "always");
	put_decision(diff->policies[0], &find->before, text);
	table_put_buf(&diff->table, text);
	put_decision(diff->policies[1], &find->after, text);
	table_put_buf(&diff->table, text);
}

static void compare_pair(struct diff *diff, const struct person *person,
	const char *target, const char *service, struct buf *text)
{
	struct places *places = &diff->places;
	size_t i;

	memset(&diff->request, 0, sizeof(diff->request));
	diff->request.via = service ? POLICY_VIA_PAM : POLICY_VIA_PROXY;
	diff->request.service = service;
	diff->request.user = person->unix_group ? "_" : person->name;
	diff->groups[0] = person->unix_group ? person->name : NULL;
	diff->request.groups = diff->groups;
	diff->request.target = target;
	diff->request.now = places->now;
	diff->find_count = 0;
	places_reset(places, &diff->request);
	places_collect(places, diff->policies[0], &diff->request);
	places_collect(places, diff->policies[1], &diff->request);
	if (!places->permits)
		return;
	if (service)
		places->port_count = 1; /* any: PAM knows no ports */
	else
		places_add_login(places, "");
	compare_all(diff);
	for (i = 0; i < diff->find_count; i++)
		tell(diff, person, &diff->finds[i], text);
}

/* ---- everybody and everything ---- */

/* What rules a person's subjects have, in either policy: those who have the
 * same are compared once. */
static uint64_t class_add(
	uint64_t class, const struct policy *policy, uint32_t leaf)
{
	uint32_t i;

	class = (class ^ 0xffff) * 0x100000001b3u;
	if (leaf == POLICY_NONE)
		return class;
	for (i = policy->leaf_first[leaf]; i < policy->leaf_first[leaf + 1];
		i++)
		if (policy->subject_kinds[policy->leaf_subjects[i]])
			class = (class ^ policy->leaf_subjects[i]) *
				0x100000001b3u;
	return class;
}

static uint32_t leaf_of(
	const struct policy *policy, const char *name, bool unix_group)
{
	uint32_t sym = policy_symbol_find(policy, name);
	uint32_t index = policy_named(
		policy, sym, unix_group ? NAME_UNIX : NAME_USER);

	if (index == POLICY_NONE || !unix_group)
		return index;
	return policy_leaf_unix(policy, index);
}

/* An own login that is one's own name makes a person a class alone. */
static void person_add(struct diff *diff, const char *name, bool unix_group)
{
	struct person person = {.name = name, .unix_group = unix_group};
	size_t i;
	int side;

	person.class = unix_group ? 0x84222325 : 0xcbf29ce484222325u;
	for (side = 0; side < 2; side++)
		person.class = class_add(person.class, diff->policies[side],
			leaf_of(diff->policies[side], name, unix_group));
	for (i = 0; i < diff->people_count; i++)
		if (diff->people[i].class == person.class) {
			diff->people[i].more++;
			return;
		}
	diff->people[diff->people_count++] = person;
}

static bool known_before(
	const struct diff *diff, const char *name, bool unix_group)
{
	return leaf_of(diff->policies[0], name, unix_group) != POLICY_NONE;
}

static bool gather_people(struct diff *diff)
{
	size_t max = 1;
	uint32_t i;
	int side;

	for (side = 0; side < 2; side++)
		max += policy_leaf_count(diff->policies[side]);
	diff->people = calloc(max, sizeof(*diff->people));
	if (!diff->people)
		return false;
	for (side = 0; side < 2; side++) {
		const struct policy *policy = diff->policies[side];

		for (i = 0; i < policy->users.count; i++) {
			const char *name = policy_symbol_text(
				policy, policy->users.at[i]);

			if (!side || !known_before(diff, name, false))
				person_add(diff, name, false);
		}
		for (i = 0; i < policy->unix_groups.count; i++) {
			const char *name = policy_symbol_text(
				policy, policy->unix_groups.at[i]);

			if (!side || !known_before(diff, name, true))
				person_add(diff, name, true);
		}
	}
	person_add(diff, "_anybody", false);
	return true;
}

static void compare_everybody(struct diff *diff, const char *target,
	const char *service, struct buf *text)
{
	size_t i;

	for (i = 0; i < diff->people_count; i++)
		compare_pair(diff, &diff->people[i], target, service, text);
}

static void compare_nodes(struct diff *diff, int side, struct buf *text)
{
	const struct policy *policy = diff->policies[side];
	uint32_t i;

	for (i = 0; i < policy->nodes.count; i++) {
		const struct policy_node *node = &policy->nodes.at[i];
		const char *name = policy_symbol_text(policy, node->sym);
		char address[ADDR_TEXT_MAX];

		if (side && policy_named(diff->policies[0],
				    policy_symbol_find(diff->policies[0], name),
				    NAME_NODE) != POLICY_NONE)
			continue;
		if (node->subnet)
			name = addr_text(
				&policy->nets.at[node->nets.first].base,
				address);
		compare_everybody(diff, name, NULL, text);
	}
}

static void compare_services(struct diff *diff, struct buf *text)
{
	static const char *const services[] = {"sshd", "sudo", "su", "login"};
	size_t i;

	for (i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		compare_everybody(diff, "self", services[i], text);
}

static int finish(struct diff *diff)
{
	struct buf out;

	if (diff->cli->json) {
		buf_init(&out, OUT_MAX);
		table_json(&diff->table, &out);
		buf_put_u8(&out, '\n');
		cli_print(&out);
		buf_done(&out);
	} else if (diff->table.count) {
		table_print(&diff->table, diff->cli->colour);
	} else {
		puts("both allow the same");
	}
	if (diff->rows > ROWS_MAX)
		cli_fail("%zu differences; the first %d are shown", diff->rows,
			ROWS_MAX);
	if (diff->truncated || diff->places.truncated)
		cli_fail("some rules have too many addresses, logins or times "
			 "to try all of them");
	return diff->table.count ? CLI_NO : CLI_YES;
}

int cmd_diff(struct cli *cli)
{
	struct diff *diff = calloc(1, sizeof(*diff));
	int side, status = CLI_ERROR;
	struct buf text;

	if (!diff)
		return cli_fail("out of memory");
	diff->cli = cli;
	diff->places.now = time(NULL) / 60 * 60;
	table_init(&diff->table, columns);
	buf_init(&text, OUT_MAX);
	if (cli_load_path(
		    cli, cli->argv[0], &diff->sources[0], &diff->policies[0]) &&
		cli_load_path(cli, cli->argv[1], &diff->sources[1],
			&diff->policies[1]) &&
		gather_people(diff)) {
		compare_nodes(diff, 0, &text);
		compare_nodes(diff, 1, &text);
		compare_services(diff, &text);
		status = finish(diff);
	}
	for (side = 0; side < 2; side++) {
		policy_free(diff->policies[side]);
		policy_source_free(diff->sources[side]);
	}
	table_done(&diff->table);
	buf_done(&text);
	free(diff->people);
	free(diff);
	return status;
}
