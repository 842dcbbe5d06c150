/*
 * The topology of a cloud in memory: groups, instances and rules from any
 * number of files, names that a policy can have, and reports of whatever
 * cannot be said in a policy. Trusts nothing of what it is given.
 */
#include "topology.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"

void topology_init(struct topology *topology)
{
	memset(topology, 0, sizeof(*topology));
	topology->ids = json_object();
	topology->hosts = json_object();
	topology->names = json_object();
	topology->failed = !topology->ids || !topology->hosts ||
			   !topology->names;
}

static void group_done(struct topology_group *group)
{
	size_t i;

	for (i = 0; i < group->rules.count; i++)
		free(group->rules.at[i].where);
	free(group->rules.at);
	free(group->members.at);
	free(group->tags.at);
	free(group->name);
}

static void instance_done(struct topology_instance *instance)
{
	free(instance->tags.at);
	free(instance->addrs.at);
	free(instance->publics.at);
	free(instance->groups.at);
	free(instance->name);
	free(instance->where);
}

void topology_done(struct topology *topology)
{
	size_t i;

	for (i = 0; i < topology->groups.count; i++)
		group_done(&topology->groups.at[i]);
	for (i = 0; i < topology->instances.count; i++)
		instance_done(&topology->instances.at[i]);
	for (i = 0; i < topology->documents.count; i++)
		json_decref(topology->documents.at[i]);
	for (i = 0; i < topology->paths.count; i++)
		free(topology->paths.at[i]);
	free(topology->groups.at);
	free(topology->instances.at);
	free(topology->documents.at);
	free(topology->paths.at);
	json_decref(topology->ids);
	json_decref(topology->hosts);
	json_decref(topology->names);
}

void *topology_grow(struct topology *topology, void **at, size_t *count,
	size_t *cap, size_t size)
{
	static _Alignas(16) char nobody[512];

	if (*count == *cap) {
		size_t more = *cap ? *cap * 2 : 4;
		void *grown = more <= 2 * TOPOLOGY_MAX_ITEMS
				      ? reallocarray(*at, more, size)
				      : NULL;

		if (!grown) {
			topology->failed = true;
			memset(nobody, 0, sizeof(nobody));
			return nobody;
		}
		*at = grown;
		*cap = more;
	}
	memset((char *)*at + *count * size, 0, size);
	return (char *)*at + (*count)++ * size;
}

/* ---- reports ---- */

static void report(const struct topology *topology, const char *level,
	const char *where, const char *fmt, va_list args) SGB_PRINTF(4, 0);

/* Names in it are a stranger's: no byte of theirs steers the terminal. */
static void report(const struct topology *topology, const char *level,
	const char *where, const char *fmt, va_list args)
{
	char text[1500];
	size_t i;
	int len;

	if (topology->quiet)
		return;
	len = snprintf(text, sizeof(text), "%.500s: %s: ", where, level);
	vsnprintf(text + len, sizeof(text) - (size_t)len, fmt, args);
	for (i = 0; text[i]; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f ||
			(unsigned char)text[i] >= 0x80)
			text[i] = '?';
	fprintf(stderr, "%s\n", text);
}

void topology_lost(
	struct topology *topology, const char *where, const char *fmt, ...)
{
	va_list args;

	topology->lost++;
	va_start(args, fmt);
	report(topology, "not expressed", where, fmt, args);
	va_end(args);
}

void topology_wrong(
	struct topology *topology, const char *where, const char *fmt, ...)
{
	va_list args;

	topology->errors++;
	va_start(args, fmt);
	report(topology, "error", where, fmt, args);
	va_end(args);
}

void topology_note(
	struct topology *topology, const char *where, const char *fmt, ...)
{
	va_list args;

	topology->notes++;
	va_start(args, fmt);
	report(topology, "note", where, fmt, args);
	va_end(args);
}

/* ---- reading ---- */

static bool read_fd(
	struct topology *topology, const char *path, int fd, struct buf *out)
{
	struct stat st;
	enum sgb_err err;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		topology_wrong(topology, path, "not a regular file");
		return false;
	}
	err = file_read_fd(fd, out);
	if (err)
		topology_wrong(topology, path, "%s", sgb_err_text(err));
	return !err;
}

bool topology_read_file(
	struct topology *topology, const char *format, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char **kept = topology_add(topology, &topology->paths);
	bool good = false;
	struct buf text;

	buf_init(&text, TOPOLOGY_MAX_FILE);
	if (!topology->failed)
		*kept = strdup(path);
	if (topology->failed || !*kept)
		topology->failed = true;
	else if (fd < 0)
		topology_wrong(topology, path, "%s", strerror(errno));
	else if (read_fd(topology, path, fd, &text))
		good = topology_read_text(
			topology, format, *kept, text.data, text.len);
	if (fd >= 0)
		close(fd);
	buf_done(&text);
	return good;
}

/* ---- filling ---- */

static void remember(
	struct topology *topology, json_t *map, const char *id, size_t index)
{
	if (json_object_set_new(map, id, json_integer((json_int_t)index)))
		topology->failed = true;
}

struct topology_group *topology_group(
	struct topology *topology, const char *id, const char *where)
{
	const json_t *known = json_object_get(topology->ids, id);
	struct topology_group *group;

	if (known)
		return &topology->groups.at[json_integer_value(known)];
	remember(topology, topology->ids, id, topology->groups.count);
	group = topology_add(topology, &topology->groups);
	group->id = id;
	group->where = where;
	return group;
}

struct topology_instance *topology_instance(
	struct topology *topology, const char *id, const char *where)
{
	struct topology_instance *instance;

	if (json_object_get(topology->hosts, id))
		return NULL;
	remember(topology, topology->hosts, id, topology->instances.count);
	instance = topology_add(topology, &topology->instances);
	if (topology->failed)
		return NULL;
	instance->id = id;
	instance->where = strdup(where);
	topology->failed = !instance->where;
	return instance;
}

struct topology_rule *topology_rule(struct topology *topology,
	struct topology_group *group, const struct topology_at *at)
{
	struct topology_rule *rule = topology_add(topology, &group->rules);

	rule->priority = 1;
	if (topology->failed)
		return rule;
	rule->where = strdup(at_text(topology, at));
	topology->failed = !rule->where;
	return rule;
}

void topology_addr(struct topology *topology,
	struct topology_instance *instance, const char *where, const char *text)
{
	struct addr addr;
	size_t i;

	if (addr_parse(text, &addr)) {
		topology_wrong(
			topology, where, "\"%s\" is not an address", text);
		return;
	}
	if (addr_is_forbidden_target(&addr)) {
		topology_lost(topology, where,
			"%s is a loopback, metadata or multicast address, "
			"which no policy makes a target",
			text);
		return;
	}
	for (i = 0; i < instance->addrs.count; i++)
		if (addr_equal(&instance->addrs.at[i], &addr))
			return;
	*topology_add(topology, &instance->addrs) = addr;
}

static bool clear_host_bits(const char *text, struct addr_net *ret)
{
	char base[ADDR_TEXT_MAX + 8];
	char *slash;
	unsigned int i;

	snprintf(base, sizeof(base), "%s", text);
	slash = strchr(base, '/');
	if (!slash)
		return false;
	*slash = '\0';
	if (addr_parse(base, &ret->base))
		return false;
	ret->bits = (unsigned int)strtoul(slash + 1, NULL, 10);
	if (ret->bits > (ret->base.family == AF_INET ? 32u : 128u))
		return false;
	for (i = ret->bits; i < (ret->base.family == AF_INET ? 32u : 128u); i++)
		ret->base.bytes[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
	return true;
}

bool topology_net(struct topology *topology, const char *where,
	const char *text, struct topology_rule *rule)
{
	enum sgb_err err = addr_net_parse(text, &rule->net);

	if (err == SGB_ERR_LIMIT && clear_host_bits(text, &rule->net)) {
		char base[ADDR_TEXT_MAX];

		topology_note(topology, where,
			"\"%s\" has host bits and is written %s/%u", text,
			addr_text(&rule->net.base, base), rule->net.bits);
		return true;
	}
	if (err)
		topology_wrong(topology, where,
			"\"%s\" is not an address or CIDR", text);
	return !err;
}

void topology_tags(struct topology *topology, const struct topology_at *at,
	const json_t *list, const char *const names[2],
	struct topology_tag **ret, size_t *ret_count)
{
	TOPOLOGY_LIST(struct topology_tag) tags = {0};
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
	{
		struct topology_at to = at_index(at, i);
		const char *key;

		if (!export_is(topology, &to, item))
			continue;
		key = export_text(topology, &to, item, names[0]);
		if (key) {
			struct topology_tag *tag = topology_add(
				topology, &tags);

			tag->key = key;
			tag->value = export_text(topology, &to, item, names[1]);
		}
	}
	free(*ret);
	*ret = tags.at;
	*ret_count = tags.count;
}

void topology_addrs(struct topology *topology, const struct topology_at *at,
	struct topology_instance *instance, const json_t *list,
	const char *member)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
	{
		struct topology_at to = at_index(at, i);
		const char *text = NULL;

		if (member && json_is_object(item))
			text = export_text(topology, &to, item, member);
		else if (!member && json_is_string(item))
			text = json_string_value(item);
		if (text)
			topology_addr(topology, instance,
				at_text(topology, &to), text);
		else
			topology_wrong(topology, at_text(topology, &to),
				"expected an address");
	}
}

static const char *group_id(const json_t *item, const char *member)
{
	const json_t *id = member ? json_object_get(item, member) : item;

	return json_is_string(id) ? json_string_value(id) : NULL;
}

bool topology_same_groups(const struct topology_instance *instance,
	const json_t *list, const char *member)
{
	size_t i, j;
	json_t *item;

	if (json_array_size(list) != instance->groups.count)
		return false;
	json_array_foreach(list, i, item)
	{
		const char *id = group_id(item, member);

		for (j = 0; j < instance->groups.count; j++)
			if (id && !strcmp(instance->groups.at[j], id))
				break;
		if (j == instance->groups.count)
			return false;
	}
	return true;
}

void topology_memberships(struct topology *topology,
	const struct topology_at *at, struct topology_instance *instance,
	const json_t *list, const char *member)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
	{
		struct topology_at to = at_index(at, i);
		const char *id = group_id(item, member);

		if (id && *id && strlen(id) <= TOPOLOGY_MAX_TEXT)
			*topology_add(topology, &instance->groups) = id;
		else
			topology_wrong(topology, at_text(topology, &to),
				"expected the id of a group");
	}
}
