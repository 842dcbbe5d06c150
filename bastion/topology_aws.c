/*
 * Amazon's exports: describe-security-groups and describe-instances as JSON.
 * Rules there only accept, have no priorities, and members of a group reach
 * each other only if a rule says so.
 */
#include "topology.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const tag_names[2] = {"Key", "Value"};

static const char *const permission_words[] = {"IpProtocol", "FromPort",
	"ToPort", "IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs",
	NULL};

/* ---- permissions ---- */

static bool read_proto(struct topology *topology, const struct topology_at *at,
	const json_t *item, struct topology_rule *rule)
{
	static const struct {
		const char *text;
		enum policy_proto proto;
	} protos[] = {{"-1", PROTO_ALL}, {"tcp", PROTO_TCP}, {"6", PROTO_TCP},
		{"udp", PROTO_UDP}, {"17", PROTO_UDP}};
	const char *text = export_text(topology, at, item, "IpProtocol");
	size_t i;

	for (i = 0; text && i < sizeof(protos) / sizeof(protos[0]); i++)
		if (!strcasecmp(protos[i].text, text)) {
			rule->proto = protos[i].proto;
			return true;
		}
	topology_lost(topology, at_text(topology, at),
		"a policy knows tcp, udp and all, not protocol \"%s\"",
		text ? text : "");
	return false;
}

static bool read_ports(struct topology *topology, const struct topology_at *at,
	const json_t *item, struct topology_rule *rule)
{
	long from, to;

	if (!export_number(
		    topology, at, item, "FromPort", -1, 65535, -1, &from) ||
		!export_number(
			topology, at, item, "ToPort", -1, 65535, -1, &to))
		return false;
	rule->any_port = rule->proto == PROTO_ALL || (from <= 0 && to < 0) ||
			 (from == 0 && to == 65535);
	if (rule->any_port)
		return true;
	/* Port 0 is nobody's, and no port of a policy. */
	from = from == 0 && to > 0 ? 1 : from;
	if (from < 1 || to < from) {
		topology_wrong(topology, at_text(topology, at),
			"ports from %ld to %ld", from, to);
		return false;
	}
	rule->ports.from = (uint16_t)from;
	rule->ports.to = (uint16_t)to;
	return true;
}

static struct topology_rule *put_rule(struct topology *topology,
	struct topology_group *group, const struct topology_at *at,
	const struct topology_rule *form)
{
	struct topology_rule *rule = topology_rule(topology, group, at);
	char *where = rule->where;

	*rule = *form;
	rule->where = where;
	return rule;
}

static void put_ranges(struct topology *topology, struct topology_group *group,
	struct topology_at at, const json_t *item,
	const struct topology_rule *form, const char *const names[2])
{
	const json_t *list = export_list(topology, &at, item, names[0], NULL);
	size_t i;
	json_t *range;

	json_array_foreach(list, i, range)
	{
		struct topology_at to = at_index(&at, i);
		struct topology_rule rule = *form;
		const char *text;

		if (!export_is(topology, &to, range))
			continue;
		text = export_text(topology, &to, range, names[1]);
		rule.text = export_text(topology, &to, range, "Description");
		if (!text)
			topology_wrong(topology, at_text(topology, &to),
				"no \"%s\"", names[1]);
		else if (topology_net(
				 topology, at_text(topology, &to), text, &rule))
			put_rule(topology, group, &to, &rule);
	}
}

static void put_groups(struct topology *topology, struct topology_group *group,
	struct topology_at at, const json_t *item,
	const struct topology_rule *form)
{
	const json_t *list = export_list(
		topology, &at, item, "UserIdGroupPairs", NULL);
	size_t i;
	json_t *pair;

	json_array_foreach(list, i, pair)
	{
		struct topology_at to = at_index(&at, i);
		struct topology_rule rule = *form;

		if (!export_is(topology, &to, pair))
			continue;
		rule.group = export_text(topology, &to, pair, "GroupId");
		rule.text = export_text(topology, &to, pair, "Description");
		if (rule.group)
			put_rule(topology, group, &to, &rule);
		else
			topology_wrong(topology, at_text(topology, &to),
				"no \"GroupId\"");
	}
}

static void report_prefixes(
	struct topology *topology, struct topology_at at, const json_t *item)
{
	const json_t *list = export_list(
		topology, &at, item, "PrefixListIds", NULL);
	size_t i;

	for (i = 0; i < json_array_size(list); i++) {
		struct topology_at to = at_index(&at, i);

		topology_lost(topology, at_text(topology, &to),
			"this rule is about a prefix list, which is not "
			"exported");
	}
}

static void read_permission(struct topology *topology,
	struct topology_group *group, const struct topology_at *at,
	const json_t *item)
{
	static const char *const v4[2] = {"IpRanges", "CidrIp"};
	static const char *const v6[2] = {"Ipv6Ranges", "CidrIpv6"};
	struct topology_rule form = {.priority = 1};

	if (!export_is(topology, at, item) ||
		!export_known(topology, at, item, permission_words) ||
		!read_proto(topology, at, item, &form) ||
		!read_ports(topology, at, item, &form))
		return;
	put_ranges(topology, group, *at, item, &form, v4);
	put_ranges(topology, group, *at, item, &form, v6);
	put_groups(topology, group, *at, item, &form);
	report_prefixes(topology, *at, item);
}

static void read_permissions(struct topology *topology,
	struct topology_group *group, struct topology_at at, const json_t *item)
{
	const json_t *list = export_list(
		topology, &at, item, "IpPermissions", NULL);
	size_t i;
	json_t *permission;

	json_array_foreach(list, i, permission)
	{
		struct topology_at to = at_index(&at, i);

		read_permission(topology, group, &to, permission);
	}
}

/* ---- what goes out ---- */

static bool has_everywhere(const json_t *item, const char *list_name,
	const char *member, const char *everywhere)
{
	const json_t *list = json_object_get(item, list_name);
	size_t i;
	json_t *range;

	json_array_foreach(list, i, range)
	{
		const json_t *text = json_object_get(range, member);

		if (json_is_string(text) &&
			!strcmp(json_string_value(text), everywhere))
			return true;
	}
	return false;
}

/* A rule that lets everything out restricts nothing, which is what a policy
 * says of it; no rule at all lets nothing out. */
static void read_egress(
	struct topology *topology, struct topology_at at, const json_t *item)
{
	const json_t *list = export_list(
		topology, &at, item, "IpPermissionsEgress", NULL);
	bool open = false;
	size_t i;
	json_t *permission;

	json_array_foreach(list, i, permission)
	{
		const json_t *proto = json_object_get(permission, "IpProtocol");

		open = open ||
		       (json_is_string(proto) &&
			       !strcmp(json_string_value(proto), "-1") &&
			       (has_everywhere(permission, "IpRanges", "CidrIp",
					"0.0.0.0/0") ||
				       has_everywhere(permission, "Ipv6Ranges",
					       "CidrIpv6", "::/0")));
	}
	if (list && !open)
		topology_lost(topology, at_text(topology, &at),
			"this group restricts outgoing connections");
}

/* ---- groups ---- */

static void read_group(struct topology *topology, const struct topology_at *at,
	const json_t *item)
{
	const char *id = export_text(topology, at, item, "GroupId");
	struct topology_at to = *at;
	struct topology_group *group;
	const json_t *tags;

	if (!id) {
		topology_wrong(
			topology, at_text(topology, at), "no \"GroupId\"");
		return;
	}
	group = topology_group(topology, id, topology->file);
	if (topology->failed)
		return;
	if (group->rules_known) {
		topology_wrong(topology, at_text(topology, at),
			"%s is in the exports twice", id);
		return;
	}
	group->label = export_text(topology, at, item, "GroupName");
	group->inner = INNER_DROP;
	group->rules_known = true;
	tags = export_list(topology, &to, item, "Tags", NULL);
	if (tags)
		topology_tags(topology, &to, tags, tag_names, &group->tags.at,
			&group->tags.count);
	read_permissions(topology, group, *at, item);
	read_egress(topology, *at, item);
}

/* ---- instances ---- */

static void read_nic(struct topology *topology, const struct topology_at *at,
	const json_t *nic, struct topology_instance *instance)
{
	struct topology_at to = *at;
	const json_t *list;

	if (!export_is(topology, at, nic))
		return;
	list = export_list(topology, &to, nic, "Groups", NULL);
	if (list && !topology_same_groups(instance, list, "GroupId")) {
		topology_lost(topology, at_text(topology, at),
			"this interface is in other groups than its instance; "
			"its addresses are left out");
		return;
	}
	to = *at;
	list = export_list(topology, &to, nic, "PrivateIpAddresses", NULL);
	topology_addrs(topology, &to, instance, list, "PrivateIpAddress");
	to = *at;
	list = export_list(topology, &to, nic, "Ipv6Addresses", NULL);
	topology_addrs(topology, &to, instance, list, "Ipv6Address");
}

static void read_addresses(struct topology *topology,
	const struct topology_at *at, const json_t *item,
	struct topology_instance *instance)
{
	const char *text = export_text(topology, at, item, "PrivateIpAddress");
	const char *v6 = export_text(topology, at, item, "Ipv6Address");
	const char *public = export_text(topology, at, item, "PublicIpAddress");
	struct topology_at to = *at;
	const json_t *list;
	size_t i;
	json_t *nic;

	if (text)
		topology_addr(topology, instance, at_text(topology, at), text);
	list = export_list(topology, &to, item, "NetworkInterfaces", NULL);
	json_array_foreach(list, i, nic)
	{
		struct topology_at of = at_index(&to, i);

		read_nic(topology, &of, nic, instance);
	}
	if (v6)
		topology_addr(topology, instance, at_text(topology, at), v6);
	if (public)
		*topology_add(topology, &instance->publics) = public;
}

/* An instance that was terminated has neither addresses nor groups. */
static bool is_gone(
	struct topology *topology, struct topology_at at, const json_t *item)
{
	const json_t *state = export_object(topology, &at, item, "State");
	const char *name = state ? export_text(topology, &at, state, "Name")
				 : NULL;

	if (!name || strcmp(name, "terminated"))
		return false;
	topology_note(topology, at_text(topology, &at),
		"this instance is terminated and left out");
	return true;
}

static void name_by_tag(struct topology_instance *instance)
{
	size_t i;

	for (i = 0; i < instance->tags.count; i++)
		if (!strcmp(instance->tags.at[i].key, "Name"))
			instance->label = instance->tags.at[i].value;
}

static void read_instance(
	struct topology *topology, struct topology_at at, const json_t *item)
{
	const char *id = export_text(topology, &at, item, "InstanceId");
	const char *platform = export_text(topology, &at, item, "Platform");
	struct topology_instance *instance;
	struct topology_at to = at;
	const json_t *list;

	if (!id)
		topology_wrong(
			topology, at_text(topology, &at), "no \"InstanceId\"");
	if (!id || is_gone(topology, at, item))
		return;
	instance = topology_instance(topology, id, at_text(topology, &at));
	if (!instance)
		return;
	instance->windows = platform && !strcasecmp(platform, "windows");
	list = export_list(topology, &to, item, "SecurityGroups", NULL);
	topology_memberships(topology, &to, instance, list, "GroupId");
	read_addresses(topology, &at, item, instance);
	list = export_list(topology, &at, item, "Tags", NULL);
	if (list)
		topology_tags(topology, &at, list, tag_names,
			&instance->tags.at, &instance->tags.count);
	name_by_tag(instance);
}

static void read_reservation(
	struct topology *topology, struct topology_at at, const json_t *item)
{
	const json_t *list;
	size_t i;
	json_t *instance;

	if (!export_is(topology, &at, item))
		return;
	list = export_list(topology, &at, item, "Instances", NULL);
	json_array_foreach(list, i, instance)
	{
		struct topology_at to = at_index(&at, i);

		if (export_is(topology, &to, instance))
			read_instance(topology, to, instance);
	}
}

void aws_read(struct topology *topology, const json_t *root)
{
	const struct topology_at top = {.path = "$"};
	struct topology_at at = top;
	const json_t *groups, *reservations;
	size_t i;
	json_t *item;

	groups = export_list(topology, &at, root, "SecurityGroups", NULL);
	json_array_foreach(groups, i, item)
	{
		struct topology_at to = at_index(&at, i);

		if (export_is(topology, &to, item))
			read_group(topology, &to, item);
	}
	at = top;
	reservations = export_list(topology, &at, root, "Reservations", NULL);
	json_array_foreach(reservations, i, item)
		read_reservation(topology, at_index(&at, i), item);
	if (!groups && !reservations)
		topology_wrong(topology, topology->file,
			"expected describe-security-groups or "
			"describe-instances");
	if (export_text(topology, &top, root, "NextToken"))
		topology_note(
			topology, topology->file, "more pages follow this one");
}
