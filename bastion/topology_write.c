/*
 * The topology of a cloud in the policy's language. Names that a policy cannot
 * have are mapped, and the mapping is reported; what the cloud calls things
 * stands in comments, where nothing can end the line.
 */
#include "topology.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- names ---- */

static bool is_name(const char *name)
{
	static const char *const reserved[] = {"any", "self", "zone", "not",
		"from", "to", "as", "during", "via", "port", "by", "proxy",
		NULL};
	const char *const *word;

	for (word = reserved; *word; word++)
		if (!strcmp(name, *word))
			return false;
	if (!policy_name_valid(name))
		return false;
	/* Anything that begins like an address or a number. */
	return !isdigit((unsigned char)*name) ||
	       (!strchr(name, '.') && name[strspn(name, "0123456789")]);
}

/* Bytes that no name has become one "_"; NULL if nothing is left of it. */
static char *squeeze(const char *text)
{
	char *name = calloc(1, POLICY_MAX_NAME + 1);
	size_t len = 0;
	bool any = false;

	if (!name)
		return NULL;
	for (; *text && len < POLICY_MAX_NAME; text++) {
		unsigned char c = (unsigned char)*text;
		bool good = c < 0x80 && (isalnum(c) || strchr("_.-", c));

		any = any || (c < 0x80 && isalnum(c));
		if (!good && len && name[len - 1] == '_')
			continue;
		name[len] = good ? (char)c : '_';
		len++;
	}
	if (any && is_name(name))
		return name;
	free(name);
	return NULL;
}

static bool take_name(struct topology *topology, const char *name)
{
	if (!name || json_object_get(topology->names, name))
		return false;
	if (json_object_set_new(topology->names, name, json_true()))
		topology->failed = true;
	return true;
}

/* What may become the name: the label mapped, the id mapped, a number. */
static char *candidate(const struct topology *topology, const char *label,
	const char *id, size_t turn)
{
	char number[40];

	if (turn == 0)
		return label ? squeeze(label) : NULL;
	if (turn == 1)
		return squeeze(id);
	snprintf(number, sizeof(number), "x%zu",
		json_object_size(topology->names) + turn);
	return strdup(number);
}

static char *make_name(struct topology *topology, const char *where,
	const char *label, const char *id)
{
	char *name;
	size_t turn = 0;

	if (label && is_name(label) && take_name(topology, label))
		return strdup(label);
	name = candidate(topology, label, id, turn);
	while (!take_name(topology, name)) {
		free(name);
		name = candidate(topology, label, id, ++turn);
		if (!name && turn > 1)
			return NULL;
	}
	if (label || strcmp(name, id))
		topology_note(topology, where, "\"%s\" (%s) is called %s",
			label ? label : "", id, name);
	return name;
}

static void name_all(struct topology *topology)
{
	size_t i;

	for (i = 0; i < topology->groups.count && !topology->failed; i++) {
		struct topology_group *group = &topology->groups.at[i];

		group->name = make_name(
			topology, group->where, group->label, group->id);
		topology->failed = topology->failed || !group->name;
	}
	for (i = 0; i < topology->instances.count && !topology->failed; i++) {
		struct topology_instance *instance = &topology->instances.at[i];

		instance->name = make_name(topology, instance->where,
			instance->label, instance->id);
		topology->failed = topology->failed || !instance->name;
	}
}

/* ---- what is left when everything has been read ---- */

static struct topology_group *group_by_id(
	const struct topology *topology, const char *id)
{
	const json_t *index = json_object_get(topology->ids, id);

	return index ? &topology->groups.at[json_integer_value(index)] : NULL;
}

static void finish_group(
	struct topology *topology, struct topology_group *group)
{
	size_t i, kept = 0;

	if (!group->rules_known)
		topology_lost(topology, group->where,
			"no file holds the rules of %s (%s): it is written "
			"without any",
			group->id, group->name);
	for (i = 0; i < group->rules.count; i++) {
		struct topology_rule *rule = &group->rules.at[i];

		if (rule->group && !group_by_id(topology, rule->group)) {
			topology_lost(topology, rule->where,
				"no file holds the source group %s%s",
				rule->group,
				rule->drop ? ": written as a drop from any"
					   : "");
			rule->group = NULL;
			rule->any_source = true;
			if (!rule->drop) {
				free(rule->where);
				continue;
			}
		}
		group->rules.at[kept++] = *rule;
	}
	group->rules.count = kept;
}

static void join(struct topology *topology, struct topology_instance *instance,
	size_t index)
{
	size_t i, joined = 0;

	for (i = 0; i < instance->groups.count; i++) {
		struct topology_group *group = group_by_id(
			topology, instance->groups.at[i]);
		size_t last;

		if (!group) {
			topology_lost(topology, instance->where,
				"no file holds its group %s",
				instance->groups.at[i]);
			continue;
		}
		joined++;
		last = group->members.count;
		if (!last || group->members.at[last - 1] != index)
			*topology_add(topology, &group->members) = index;
	}
	if (!joined)
		topology_lost(topology, instance->where,
			"%s is in no group that is known and is left out",
			instance->name);
}

/* Two networks of a cloud may use the same addresses; a bastion cannot. */
static void drop_twins(struct topology *topology,
	struct topology_instance *instance, json_t *owners)
{
	size_t i, kept = 0;

	for (i = 0; i < instance->addrs.count; i++) {
		char text[ADDR_TEXT_MAX];
		json_t *owner = json_object_get(
			owners, addr_text(&instance->addrs.at[i], text));

		if (owner) {
			topology_lost(topology, instance->where,
				"%s is the address of %s already", text,
				json_string_value(owner));
			continue;
		}
		if (json_object_set_new(
			    owners, text, json_string(instance->name)))
			topology->failed = true;
		instance->addrs.at[kept++] = instance->addrs.at[i];
	}
	instance->addrs.count = kept;
}

static void check_totals(struct topology *topology)
{
	if (topology->total_groups > topology->groups.count)
		topology_lost(topology, topology->file,
			"the account has %zu groups, the files %zu",
			topology->total_groups, topology->groups.count);
	if (topology->total_instances > topology->instances.count)
		topology_lost(topology, topology->file,
			"the account has %zu instances, the files %zu",
			topology->total_instances, topology->instances.count);
}

void topology_finish(struct topology *topology)
{
	json_t *owners = json_object();
	size_t i;

	topology->failed = topology->failed || !owners;
	name_all(topology);
	for (i = 0; i < topology->groups.count && !topology->failed; i++)
		finish_group(topology, &topology->groups.at[i]);
	for (i = 0; i < topology->instances.count && !topology->failed; i++) {
		struct topology_instance *instance = &topology->instances.at[i];

		drop_twins(topology, instance, owners);
		if (instance->addrs.count)
			join(topology, instance, i);
		else
			topology_lost(topology, instance->where,
				"%s has no address and is left out",
				instance->name);
	}
	if (!topology->failed)
		check_totals(topology);
	json_decref(owners);
}

/* ---- writing ---- */

/* What hides, ends or reorders a line is no text of a comment. */
static bool is_shown(unsigned int point)
{
	return point >= 0x20 && point != 0x7f &&
	       !(point >= 0x80 && point < 0xa0) &&
	       !(point >= 0x200b && point <= 0x200f) &&
	       !(point >= 0x2028 && point <= 0x202e) &&
	       !(point >= 0x2060 && point <= 0x206f) && point != 0xfeff &&
	       point < 0xe0000;
}

/* jansson has checked that it is UTF-8. */
static void put_text(struct buf *out, const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	while (*c) {
		unsigned int len = *c < 0x80   ? 1
				   : *c < 0xe0 ? 2
				   : *c < 0xf0 ? 3
					       : 4;
		unsigned int point = len == 1 ? *c : *c & (0x7fu >> len);
		unsigned int i;

		for (i = 1; i < len && c[i]; i++)
			point = point << 6 | (c[i] & 0x3fu);
		if (is_shown(point))
			buf_put(out, c, i);
		else
			buf_printf(out, "\\u{%x}", point);
		c += i;
	}
}

static void put_tags(
	struct buf *out, const struct topology_tag *tags, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		buf_printf(out, "\t# tag ");
		put_text(out, tags[i].key);
		buf_printf(out, " = ");
		put_text(out, tags[i].value ? tags[i].value : "");
		buf_put_u8(out, '\n');
	}
}

/* The tag "zone" of a group, or "sgbridge:zone", says which zone it is in. */
static void put_zone(struct buf *out, const struct topology_group *group)
{
	size_t i;

	for (i = 0; i < group->tags.count; i++) {
		const struct topology_tag *tag = &group->tags.at[i];

		if (strcasecmp(tag->key, "zone") &&
			strcmp(tag->key, "sgbridge:zone"))
			continue;
		if (tag->value && is_name(tag->value)) {
			buf_printf(out, "\tzone     %s\n", tag->value);
			return;
		}
	}
}

static void put_instance(struct buf *out, struct topology_instance *instance)
{
	size_t i;

	if (instance->written) {
		buf_printf(out, "\tinstance %s\n", instance->name);
		return;
	}
	instance->written = true;
	buf_printf(out, "\t# ");
	put_text(out, instance->id);
	if (instance->label) {
		buf_printf(out, " ");
		put_text(out, instance->label);
	}
	for (i = 0; i < instance->publics.count; i++) {
		buf_printf(out, ", public ");
		put_text(out, instance->publics.at[i]);
	}
	buf_put_u8(out, '\n');
	put_tags(out, instance->tags.at, instance->tags.count);
	buf_printf(out, "\tinstance %s ", instance->name);
	for (i = 0; i < instance->addrs.count; i++) {
		char text[ADDR_TEXT_MAX];

		buf_printf(out, "%s%s", i ? ", " : "",
			addr_text(&instance->addrs.at[i], text));
	}
	buf_printf(out, "%s\n", instance->windows ? " { port 3389 }" : "");
}

static void put_source(struct buf *out, const struct topology *topology,
	const struct topology_rule *rule)
{
	char text[ADDR_TEXT_MAX];

	if (rule->any_source)
		buf_printf(out, "any");
	else if (rule->group)
		buf_printf(out, "%s", group_by_id(topology, rule->group)->name);
	else
		buf_printf(out, "%s/%u", addr_text(&rule->net.base, text),
			rule->net.bits);
}

static void put_rule(struct buf *out, const struct topology *topology,
	const struct topology_rule *rule)
{
	static const char *const protos[] = {"all", "tcp", "udp"};

	buf_printf(out, "\t%-8s %s", rule->drop ? "drop" : "accept",
		protos[rule->proto]);
	if (!rule->any_port && rule->ports.from == rule->ports.to)
		buf_printf(out, " %u", rule->ports.from);
	else if (!rule->any_port)
		buf_printf(out, " %u-%u", rule->ports.from, rule->ports.to);
	buf_printf(out, " from ");
	put_source(out, topology, rule);
	buf_printf(out, " priority %u", rule->priority);
	if (rule->text) {
		buf_printf(out, " # ");
		put_text(out, rule->text);
	}
	buf_put_u8(out, '\n');
}

static void put_group(struct buf *out, struct topology *topology,
	const struct topology_group *group)
{
	bool isolated = group->inner == INNER_DROP ||
			(group->inner == INNER_UNSAID && group->enterprise);
	size_t i;

	buf_printf(out, "security-group %s {\n\t# ", group->name);
	put_text(out, group->id);
	if (group->label) {
		buf_printf(out, " ");
		put_text(out, group->label);
	}
	buf_put_u8(out, '\n');
	put_tags(out, group->tags.at, group->tags.count);
	put_zone(out, group);
	if (isolated)
		buf_printf(out, "\tisolated\n");
	for (i = 0; i < group->members.count; i++)
		put_instance(
			out, &topology->instances.at[group->members.at[i]]);
	for (i = 0; i < group->rules.count; i++)
		put_rule(out, topology, &group->rules.at[i]);
	buf_printf(out, "}\n");
}

void topology_write(struct topology *topology, struct buf *out)
{
	size_t i;

	for (i = 0; i < topology->groups.count; i++) {
		if (i)
			buf_put_u8(out, '\n');
		put_group(out, topology, &topology->groups.at[i]);
	}
}

bool topology_compile(struct topology *topology, struct buf *text,
	struct policy_source **source, struct policy **policy)
{
	struct diag diag;
	enum sgb_err err;

	topology_finish(topology);
	topology_write(topology, text);
	err = topology->failed ? SGB_ERR_NOMEM : buf_error(text);
	diag_init(&diag);
	if (!err)
		err = policy_source_text(
			"import", text->data, text->len, source);
	if (!err)
		err = policy_compile(*source, policy, &diag);
	if (err) {
		if (!topology->quiet)
			diag_print(&diag, stderr, false);
		topology_wrong(topology, "import", "%s", sgb_err_text(err));
	}
	diag_done(&diag);
	return !err;
}
