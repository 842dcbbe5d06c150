/* Logins by person and key, from the event trail. */
#include "sgbridge_usage.h"

#include <stdlib.h>
#include <string.h>

#include "sgbridge_trail.h"

struct usage {
	json_t *keys; /* "user fingerprint": [first, last] */
	time_t begins;
	size_t unread;
};

static const char *const kinds[] = {"auth-key", "logon", NULL};

static bool is_use(const json_t *event)
{
	const char *kind = json_string_value(
		json_object_get(trail_own(event), "event"));
	size_t i;

	for (i = 0; kind && kinds[i]; i++)
		if (!strcmp(kind, kinds[i]))
			return trail_succeeded(event);
	return false;
}

static void take_event(const json_t *event, void *arg)
{
	struct usage *usage = arg;
	const char *key = json_string_value(
		json_object_get(trail_own(event), "key_fp"));
	const char *user = trail_text(event, "user", "name");
	time_t when = trail_time(event);
	json_t *times;
	char name[256];

	if (!usage->begins || when < usage->begins)
		usage->begins = when;
	if (!key || !*user || !is_use(event) ||
		snprintf(name, sizeof(name), "%s %s", user, key) >=
			(int)sizeof(name))
		return;
	times = json_object_get(usage->keys, name);
	if (!times)
		(void)json_object_set_new(usage->keys, name,
			json_pack("[I,I]", (json_int_t)when, (json_int_t)when));
	else
		(void)json_array_set_new(times, 1, json_integer(when));
}

struct usage *usage_read(struct cli *cli)
{
	struct usage *usage = calloc(1, sizeof(*usage));
	char *folder = trail_folder(cli);
	bool good;

	if (usage)
		usage->keys = json_object();
	good = usage && usage->keys && folder &&
	       trail_read(folder, take_event, usage, &usage->unread);
	if (good && usage->unread)
		cli_fail("%s: %zu lines are no events of ours", folder,
			usage->unread);
	free(folder);
	if (good)
		return usage;
	usage_free(usage);
	return NULL;
}

void usage_free(struct usage *usage)
{
	if (usage)
		json_decref(usage->keys);
	free(usage);
}

time_t usage_begins(const struct usage *usage)
{
	return usage->begins;
}

bool usage_of(const struct usage *usage, const char *user,
	const char *fingerprint, time_t *ret_first, time_t *ret_last)
{
	const json_t *times;
	char name[256];

	if (snprintf(name, sizeof(name), "%s %s", user, fingerprint) >=
		(int)sizeof(name))
		return false;
	times = json_object_get(usage->keys, name);
	if (!times)
		return false;
	*ret_first = (time_t)json_integer_value(json_array_get(times, 0));
	*ret_last = (time_t)json_integer_value(json_array_get(times, 1));
	return true;
}
