/*
 * Reading exports of a cloud, strictly: what is not of the type that the
 * cloud documents is reported with its file and JSON path. jansson parses;
 * nothing here believes a length or a type.
 */
#include "topology.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct topology_at at_member(const struct topology_at *at, const char *name)
{
	struct topology_at to;

	snprintf(to.path, sizeof(to.path), "%.150s.%.40s", at->path, name);
	return to;
}

struct topology_at at_index(const struct topology_at *at, size_t index)
{
	struct topology_at to;

	snprintf(to.path, sizeof(to.path), "%.150s[%zu]", at->path, index);
	return to;
}

const char *at_text(
	const struct topology *topology, const struct topology_at *at)
{
	static char text[TOPOLOGY_MAX_PATH + 300];

	snprintf(text, sizeof(text), "%.280s: %s", topology->file, at->path);
	return text;
}

static void wrong_type(struct topology *topology, const struct topology_at *at,
	const char *name, const char *expected)
{
	struct topology_at to = at_member(at, name);

	topology_wrong(
		topology, at_text(topology, &to), "expected %s", expected);
}

bool export_nothing(const json_t *value)
{
	return !value || json_is_null(value) || json_is_false(value) ||
	       (json_is_string(value) && !json_string_length(value)) ||
	       (json_is_array(value) && !json_array_size(value)) ||
	       (json_is_object(value) && !json_object_size(value));
}

const char *export_text(struct topology *topology, const struct topology_at *at,
	const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	if (!value || json_is_null(value))
		return NULL;
	if (!json_is_string(value)) {
		wrong_type(topology, at, name, "a text");
		return NULL;
	}
	if (json_string_length(value) > TOPOLOGY_MAX_TEXT) {
		wrong_type(topology, at, name, "a text of up to 1024 bytes");
		return NULL;
	}
	return json_string_length(value) ? json_string_value(value) : NULL;
}

bool export_number(struct topology *topology, const struct topology_at *at,
	const json_t *object, const char *name, long low, long high,
	long fallback, long *ret)
{
	const json_t *value = json_object_get(object, name);
	char expected[80], *end = NULL;
	const char *text;
	long number;

	*ret = fallback;
	if (!value || json_is_null(value))
		return true;
	snprintf(expected, sizeof(expected), "a number from %ld to %ld", low,
		high);
	if (json_is_string(value)) {
		text = json_string_value(value);
		errno = 0;
		number = strtol(text, &end, 10);
		if (errno || end == text || *end || strspn(text, " +")) {
			wrong_type(topology, at, name, expected);
			return false;
		}
	} else if (json_is_integer(value)) {
		number = (long)json_integer_value(value);
	} else {
		wrong_type(topology, at, name, expected);
		return false;
	}
	if (number < low || number > high) {
		wrong_type(topology, at, name, expected);
		return false;
	}
	*ret = number;
	return true;
}

const json_t *export_object(struct topology *topology, struct topology_at *at,
	const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	if (!value || json_is_null(value))
		return NULL;
	if (!json_is_object(value)) {
		wrong_type(topology, at, name, "an object");
		return NULL;
	}
	*at = at_member(at, name);
	return value;
}

const json_t *export_list(struct topology *topology, struct topology_at *at,
	const json_t *object, const char *name, const char *inner)
{
	const json_t *value = json_object_get(object, name);

	if (inner && json_is_object(value))
		return export_list(topology, at,
			export_object(topology, at, object, name), inner, NULL);
	if (!value || json_is_null(value))
		return NULL;
	if (!json_is_array(value)) {
		wrong_type(topology, at, name, "a list");
		return NULL;
	}
	if (json_array_size(value) > TOPOLOGY_MAX_ITEMS) {
		wrong_type(topology, at, name, "a shorter list");
		return NULL;
	}
	*at = at_member(at, name);
	return value;
}

bool export_is(struct topology *topology, const struct topology_at *at,
	const json_t *value)
{
	if (json_is_object(value))
		return true;
	topology_wrong(topology, at_text(topology, at), "expected an object");
	return false;
}

/* A member that nobody here knows may be a condition of the rule. */
bool export_known(struct topology *topology, const struct topology_at *at,
	const json_t *object, const char *const *words)
{
	const char *name;
	json_t *value;
	bool known = true;

	json_object_foreach((json_t *)object, name, value)
	{
		const char *const *word = words;
		struct topology_at to;

		while (*word && strcmp(*word, name))
			word++;
		if (*word || export_nothing(value))
			continue;
		to = at_member(at, name);
		topology_lost(topology, at_text(topology, &to),
			"a policy has no words for this");
		known = false;
	}
	return known;
}

static void read_root(
	struct topology *topology, const char *format, const json_t *root)
{
	const json_t *groups = json_object_get(root, "SecurityGroups");

	if (!json_is_object(root)) {
		topology_wrong(topology, topology->file,
			"expected an object, as the cloud's command prints it");
		return;
	}
	if (!format)
		format = json_is_array(groups) ||
					 json_object_get(root, "Reservations")
				 ? "aws"
				 : "aliyun";
	if (!strcmp(format, "aws"))
		aws_read(topology, root);
	else
		aliyun_read(topology, root);
}

bool topology_read_text(struct topology *topology, const char *format,
	const char *file, const void *data, size_t len)
{
	size_t before = topology->errors;
	json_error_t error;
	json_t **kept, *root;

	topology->file = file;
	root = json_loadb(data, len, JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		char where[400];

		snprintf(where, sizeof(where), "%.300s:%d:%d", file, error.line,
			error.column);
		topology_wrong(topology, where, "%s", error.text);
		return false;
	}
	kept = topology_add(topology, &topology->documents);
	if (topology->failed) {
		json_decref(root);
		return false;
	}
	*kept = root;
	read_root(topology, format, root);
	return !topology->failed && topology->errors == before;
}
