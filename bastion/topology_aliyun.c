/*
 * Alibaba Cloud's exports: DescribeSecurityGroups,
 * DescribeSecurityGroupAttribute and DescribeInstances as JSON. A permission
 * that a policy has no words for is reported; if it is a drop, a wider drop is
 * written in its place, for the doubtful case is closed.
 */
#include "topology.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const tag_names[2] = {"TagKey", "TagValue"};

/* A page that is not the last one hides what follows it; whether all pages
 * are there is known when all files have been read. */
static void read_total(
	struct topology *topology, const json_t *root, size_t *total)
{
	const struct topology_at at = {.path = "$"};
	long number;

	if (export_number(topology, &at, root, "TotalCount", 0, 100000000, 0,
		    &number) &&
		(size_t)number > *total)
		*total = (size_t)number;
	else if (!number && export_text(topology, &at, root, "NextToken"))
		topology_note(
			topology, topology->file, "more pages follow this one");
}

/* ---- permissions ---- */

static const char *const permission_words[] = {"IpProtocol", "PortRange",
	"SourcePortRange", "SourceCidrIp", "Ipv6SourceCidrIp", "SourceGroupId",
	"SourceGroupName", "SourceGroupOwnerAccount", "SourceGroupOwnerId",
	"SourcePrefixListId", "SourcePrefixListName", "DestCidrIp",
	"Ipv6DestCidrIp", "DestGroupId", "DestGroupName",
	"DestGroupOwnerAccount", "DestGroupOwnerId", "DestPrefixListId",
	"DestPrefixListName", "PortRangeListId", "PortRangeListName", "Policy",
	"Priority", "Direction", "NicType", "Description", "CreateTime",
	"SecurityGroupRuleId", NULL};

/* Members that narrow an ingress rule in ways that a policy cannot. */
static const struct {
	const char *name;
	const char *harmless[3]; /* values that narrow nothing */
	const char *what;
} narrowing[] = {
	{"SourcePrefixListId", {NULL}, "a prefix list, which is not exported"},
	{"PortRangeListId", {NULL}, "a port list, which is not exported"},
	{"SourcePortRange", {"-1/-1", "1/65535", NULL}, "a source port"},
	{"DestCidrIp", {"0.0.0.0/0", NULL}, "a destination"},
	{"Ipv6DestCidrIp", {"::/0", NULL}, "a destination"},
	{"DestGroupId", {NULL}, "a destination group"},
	{"DestPrefixListId", {NULL}, "a destination prefix list"},
	{"NicType", {"intranet", NULL}, "the public interface alone"},
};

static bool is_harmless(size_t row, const char *value)
{
	size_t i;

	for (i = 0; i < 3 && narrowing[row].harmless[i]; i++)
		if (!strcasecmp(narrowing[row].harmless[i], value))
			return true;
	return false;
}

static bool is_plain(struct topology *topology, const struct topology_at *at,
	const json_t *item)
{
	bool plain = export_known(topology, at, item, permission_words);
	size_t i;

	for (i = 0; i < sizeof(narrowing) / sizeof(narrowing[0]); i++) {
		const char *value = export_text(
			topology, at, item, narrowing[i].name);
		struct topology_at to = at_member(at, narrowing[i].name);

		if (!value || is_harmless(i, value))
			continue;
		topology_lost(topology, at_text(topology, &to),
			"this rule is about %s (%s)", narrowing[i].what, value);
		plain = false;
	}
	return plain;
}

/* An outgoing rule restricts nothing if it accepts everything. */
static void egress(struct topology *topology, const struct topology_at *at,
	const json_t *item)
{
	const char *policy = export_text(topology, at, item, "Policy");
	const char *proto = export_text(topology, at, item, "IpProtocol");
	const char *to = export_text(topology, at, item, "DestCidrIp");
	const char *to6 = export_text(topology, at, item, "Ipv6DestCidrIp");

	if (policy && proto && !strcasecmp(policy, "accept") &&
		!strcasecmp(proto, "all") &&
		((to && !strcmp(to, "0.0.0.0/0")) ||
			(to6 && !strcmp(to6, "::/0"))))
		return;
	topology_lost(topology, at_text(topology, at),
		"a rule about outgoing connections");
}

static bool read_verdict(struct topology *topology,
	const struct topology_at *at, const json_t *item,
	struct topology_rule *rule)
{
	const char *policy = export_text(topology, at, item, "Policy");
	long priority;

	if (!export_number(
		    topology, at, item, "Priority", 1, 100, 1, &priority))
		return false;
	rule->priority = (unsigned int)priority;
	rule->drop = policy && !strcasecmp(policy, "drop");
	if (policy && (rule->drop || !strcasecmp(policy, "accept")))
		return true;
	topology_wrong(topology, at_text(topology, at),
		"\"Policy\" is neither Accept nor Drop");
	return false;
}

/* "22/22", "1/65535", "-1/-1". */
static bool read_ports(struct topology *topology, const struct topology_at *at,
	const json_t *item, struct topology_rule *rule)
{
	const char *text = export_text(topology, at, item, "PortRange");
	char *end = NULL;
	long from, to;

	rule->any_port = rule->proto == PROTO_ALL ||
			 (text && !strcmp(text, "-1/-1"));
	if (rule->proto == PROTO_ALL && text && strcmp(text, "-1/-1") &&
		strcmp(text, "1/65535")) {
		topology_wrong(topology, at_text(topology, at),
			"all protocols have no ports: \"%s\"", text);
		return false;
	}
	if (rule->any_port)
		return true;
	from = text ? strtol(text, &end, 10) : 0;
	if (text && end != text && *end == '/' && text[0] >= '0' &&
		text[0] <= '9' && end[1] >= '0' && end[1] <= '9') {
		to = strtol(end + 1, &end, 10);
		if (!*end && from >= 1 && from <= to && to <= 65535) {
			rule->ports.from = (uint16_t)from;
			rule->ports.to = (uint16_t)to;
			return true;
		}
	}
	topology_wrong(topology, at_text(topology, at),
		"\"PortRange\" is not FROM/TO: \"%s\"", text ? text : "");
	return false;
}

static bool read_proto(struct topology *topology, const struct topology_at *at,
	const json_t *item, struct topology_rule *rule)
{
	const char *text = export_text(topology, at, item, "IpProtocol");

	if (text && !strcasecmp(text, "all"))
		rule->proto = PROTO_ALL;
	else if (text && !strcasecmp(text, "tcp"))
		rule->proto = PROTO_TCP;
	else if (text && !strcasecmp(text, "udp"))
		rule->proto = PROTO_UDP;
	else {
		topology_lost(topology, at_text(topology, at),
			"a policy knows tcp, udp and all, not \"%s\"",
			text ? text : "");
		return false;
	}
	return true;
}

/* Adds the rule with one source. */
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

static void put_net(struct topology *topology, struct topology_group *group,
	const struct topology_at *at, struct topology_rule form,
	const char *text)
{
	if (topology_net(topology, at_text(topology, at), text, &form))
		put_rule(topology, group, at, &form);
}

static void read_sources(struct topology *topology,
	struct topology_group *group, const struct topology_at *at,
	const json_t *item, const struct topology_rule *form)
{
	const char *v4 = export_text(topology, at, item, "SourceCidrIp");
	const char *v6 = export_text(topology, at, item, "Ipv6SourceCidrIp");
	const char *from = export_text(topology, at, item, "SourceGroupId");

	if (v4)
		put_net(topology, group, at, *form, v4);
	if (v6)
		put_net(topology, group, at, *form, v6);
	if (from)
		put_rule(topology, group, at, form)->group = from;
	if (!v4 && !v6 && !from)
		topology_wrong(topology, at_text(topology, at),
			"this rule has no source");
}

static void read_permission(struct topology *topology,
	struct topology_group *group, const struct topology_at *at,
	const json_t *item)
{
	const char *direction;
	struct topology_rule form = {0};
	bool plain;

	if (!export_is(topology, at, item))
		return;
	direction = export_text(topology, at, item, "Direction");
	if (direction && strcasecmp(direction, "ingress")) {
		if (strcasecmp(direction, "egress"))
			topology_wrong(topology, at_text(topology, at),
				"\"Direction\" is neither ingress nor egress");
		else
			egress(topology, at, item);
		return;
	}
	plain = is_plain(topology, at, item);
	if (!read_verdict(topology, at, item, &form) ||
		!read_proto(topology, at, item, &form) ||
		!read_ports(topology, at, item, &form))
		return;
	form.text = export_text(topology, at, item, "Description");
	if (plain) {
		read_sources(topology, group, at, item, &form);
	} else if (form.drop) {
		topology_note(topology, at_text(topology, at),
			"written as a drop from any");
		form.any_source = true;
		put_rule(topology, group, at, &form);
	}
}

/* ---- groups ---- */

/* Members of an enterprise group do not reach each other, those of a basic
 * one do, unless InnerAccessPolicy says otherwise. */
static void read_inner(struct topology *topology, const struct topology_at *at,
	const json_t *item, struct topology_group *group)
{
	const char *type = export_text(topology, at, item, "SecurityGroupType");
	const char *inner = export_text(
		topology, at, item, "InnerAccessPolicy");

	if (type && strcasecmp(type, "normal") &&
		strcasecmp(type, "enterprise"))
		topology_wrong(topology, at_text(topology, at),
			"\"SecurityGroupType\" is neither normal nor "
			"enterprise");
	else if (type)
		group->enterprise = !strcasecmp(type, "enterprise");
	if (!inner)
		return;
	group->inner = strcasecmp(inner, "accept") ? INNER_DROP : INNER_ACCEPT;
	if (strcasecmp(inner, "accept") && strcasecmp(inner, "drop"))
		topology_wrong(topology, at_text(topology, at),
			"\"InnerAccessPolicy\" is neither Accept nor Drop");
}

static struct topology_group *read_group(struct topology *topology,
	const struct topology_at *at, const json_t *item)
{
	const char *id = export_text(topology, at, item, "SecurityGroupId");
	const char *name = export_text(topology, at, item, "SecurityGroupName");
	struct topology_at to = *at;
	struct topology_group *group;
	const json_t *tags;

	if (!id) {
		topology_wrong(topology, at_text(topology, at),
			"no \"SecurityGroupId\"");
		return NULL;
	}
	group = topology_group(topology, id, topology->file);
	if (topology->failed)
		return NULL;
	group->label = name ? name : group->label;
	read_inner(topology, at, item, group);
	tags = export_list(topology, &to, item, "Tags", "Tag");
	if (tags)
		topology_tags(topology, &to, tags, tag_names, &group->tags.at,
			&group->tags.count);
	return group;
}

static void read_groups(
	struct topology *topology, struct topology_at at, const json_t *root)
{
	const json_t *list = export_list(
		topology, &at, root, "SecurityGroups", "SecurityGroup");
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
	{
		struct topology_at to = at_index(&at, i);

		if (export_is(topology, &to, item))
			(void)read_group(topology, &to, item);
	}
	read_total(topology, root, &topology->total_groups);
}

static void read_attribute(
	struct topology *topology, struct topology_at at, const json_t *root)
{
	struct topology_group *group = read_group(topology, &at, root);
	const json_t *list = export_list(
		topology, &at, root, "Permissions", "Permission");
	size_t i;
	json_t *item;

	if (!group)
		return;
	if (group->rules_known && !group->paged)
		topology_wrong(topology, topology->file,
			"the rules of %s are in another file already",
			group->id);
	group->rules_known = true;
	group->paged = export_text(topology, &at, root, "NextToken") != NULL;
	json_array_foreach(list, i, item)
	{
		struct topology_at to = at_index(&at, i);

		read_permission(topology, group, &to, item);
	}
}

/* ---- instances ---- */

static void add_publics(struct topology *topology, struct topology_at at,
	const json_t *item, struct topology_instance *instance)
{
	struct topology_at to = at;
	const json_t *eip = export_object(topology, &to, item, "EipAddress");
	const char *text = eip ? export_text(topology, &to, eip, "IpAddress")
			       : NULL;
	const json_t *list;
	size_t i;
	json_t *value;

	if (text)
		*topology_add(topology, &instance->publics) = text;
	list = export_list(topology, &at, item, "PublicIpAddress", "IpAddress");
	json_array_foreach(list, i, value) if (json_is_string(value)) *
		topology_add(topology, &instance->publics) = json_string_value(
		value);
}

static void read_nic(struct topology *topology, const struct topology_at *at,
	const json_t *nic, struct topology_instance *instance)
{
	const char *primary;
	struct topology_at to = *at;
	const json_t *list;

	if (!export_is(topology, at, nic))
		return;
	list = export_list(
		topology, &to, nic, "SecurityGroupIds", "SecurityGroupId");
	if (list && !topology_same_groups(instance, list, NULL)) {
		topology_lost(topology, at_text(topology, at),
			"this interface is in other groups than its instance; "
			"its addresses are left out");
		return;
	}
	to = *at;
	primary = export_text(topology, at, nic, "PrimaryIpAddress");
	if (primary)
		topology_addr(
			topology, instance, at_text(topology, at), primary);
	topology_addrs(topology, &to, instance,
		export_list(
			topology, &to, nic, "PrivateIpSets", "PrivateIpSet"),
		"PrivateIpAddress");
	to = *at;
	topology_addrs(topology, &to, instance,
		export_list(topology, &to, nic, "Ipv6Sets", "Ipv6Set"),
		"Ipv6Address");
}

static void read_addresses(struct topology *topology,
	const struct topology_at *at, const json_t *item,
	struct topology_instance *instance)
{
	struct topology_at to = *at;
	const json_t *vpc = export_object(topology, &to, item, "VpcAttributes");
	const json_t *list;
	size_t i;
	json_t *nic;

	if (vpc)
		topology_addrs(topology, &to, instance,
			export_list(topology, &to, vpc, "PrivateIpAddress",
				"IpAddress"),
			NULL);
	to = *at;
	topology_addrs(topology, &to, instance,
		export_list(topology, &to, item, "InnerIpAddress", "IpAddress"),
		NULL);
	to = *at;
	list = export_list(
		topology, &to, item, "NetworkInterfaces", "NetworkInterface");
	json_array_foreach(list, i, nic)
	{
		struct topology_at of = at_index(&to, i);

		read_nic(topology, &of, nic, instance);
	}
	add_publics(topology, *at, item, instance);
}

static void read_instance(
	struct topology *topology, struct topology_at at, const json_t *item)
{
	const char *id = export_text(topology, &at, item, "InstanceId");
	const char *os = export_text(topology, &at, item, "OSType");
	const char *name = export_text(topology, &at, item, "InstanceName");
	struct topology_instance *instance;
	struct topology_at to;
	const json_t *list, *tags;

	if (!id) {
		topology_wrong(
			topology, at_text(topology, &at), "no \"InstanceId\"");
		return;
	}
	instance = topology_instance(topology, id, at_text(topology, &at));
	if (!instance)
		return;
	instance->label = name;
	instance->windows = os && !strcasecmp(os, "windows");
	to = at;
	list = export_list(
		topology, &to, item, "SecurityGroupIds", "SecurityGroupId");
	topology_memberships(topology, &to, instance, list, NULL);
	read_addresses(topology, &at, item, instance);
	tags = export_list(topology, &at, item, "Tags", "Tag");
	if (tags)
		topology_tags(topology, &at, tags, tag_names,
			&instance->tags.at, &instance->tags.count);
}

static void read_instances(
	struct topology *topology, struct topology_at at, const json_t *root)
{
	const json_t *list = export_list(
		topology, &at, root, "Instances", "Instance");
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
	{
		struct topology_at to = at_index(&at, i);

		if (export_is(topology, &to, item))
			read_instance(topology, to, item);
	}
	read_total(topology, root, &topology->total_instances);
}

void aliyun_read(struct topology *topology, const json_t *root)
{
	const struct topology_at at = {.path = "$"};

	if (json_object_get(root, "Instances"))
		read_instances(topology, at, root);
	else if (json_object_get(root, "SecurityGroups"))
		read_groups(topology, at, root);
	else if (json_object_get(root, "SecurityGroupId"))
		read_attribute(topology, at, root);
	else
		topology_wrong(topology, topology->file,
			"expected DescribeSecurityGroups, "
			"DescribeSecurityGroupAttribute or DescribeInstances");
}
