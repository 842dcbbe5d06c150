/*
 * One login, by any of its ids: the connection's, the recording's, or the
 * reference number that a refused user read out. What the trail says, what the
 * recordings are, and lines of logs that are given: syslog and kernel audit
 * have the same id. Nothing is opened with a key.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <jansson.h>

#include "audit.h"
#include "select.h"
#include "trail.h"

#define CONNS_MAX 16
#define ID_MIN	  5
#define LINE_ROOM 16384

struct who {
	const struct audit *audit;
	const char *id;
	char conns[CONNS_MAX][100];
	size_t count;
	char recs[CONNS_MAX][SGR_ID_TEXT];
	size_t rec_count;
	size_t shown;
};

static const char *own(json_t *root, const char *name)
{
	const char *text = json_string_value(json_object_get(
		json_object_get(json_object_get(root, "unmapped"), "sgb"),
		name));

	return text ? text : "";
}

static const char *text_at(json_t *root, const char *outer, const char *inner)
{
	json_t *object = *inner ? json_object_get(root, outer) : root;
	const char *text = json_string_value(
		json_object_get(object, *inner ? inner : outer));

	return text ? text : "";
}

static void note(char (*list)[100], size_t *count, const char *text)
{
	size_t i;

	if (!*text || strlen(text) >= sizeof(list[0]))
		return;
	for (i = 0; i < *count; i++)
		if (!strcmp(list[i], text))
			return;
	if (*count < CONNS_MAX)
		(void)snprintf(list[(*count)++], sizeof(list[0]), "%s", text);
}

static bool is_start(const char *id, const char *of)
{
	return *of && strlen(id) >= ID_MIN && !strncmp(of, id, strlen(id));
}

/* First way through: which connections is it about? */
static void find_line(void *data, const char *line, size_t len)
{
	struct who *who = data;
	json_t *root;

	if (!memmem(line, len, who->id, strlen(who->id)))
		return;
	root = json_loadb(line, len, 0, NULL);
	if (is_start(who->id, own(root, "conn")) ||
		is_start(who->id, own(root, "rec_id")) ||
		!strcasecmp(who->id, own(root, "ref")))
		note(who->conns, &who->count, own(root, "conn"));
	json_decref(root);
}

static void put(const char *before, const char *text)
{
	if (!*text)
		return;
	(void)printf("%s", before);
	print_cstring(stdout, text);
}

static void print_event(json_t *root)
{
	const char *when = text_at(root, "time_dt", "");
	bool ok = json_integer_value(json_object_get(root, "status_id")) == 1;

	(void)printf("  ");
	print_text(stdout, when, strnlen(when, 23));
	(void)printf("  %-4s ", ok ? "ok" : "no");
	print_cstring(stdout, own(root, "event"));
	put("  ", text_at(root, "user", "name"));
	put(" from ", text_at(root, "src_endpoint", "ip"));
	put(" to ", text_at(root, "dst_endpoint", "hostname"));
	put(" as ", own(root, "login"));
	put(" mfa ", own(root, "mfa"));
	put(" what ", own(root, "what"));
	put(" command ", text_at(root, "process", "cmd_line"));
	put(" recording ", own(root, "rec_id"));
	put(" ref ", own(root, "ref"));
	put(" account ", own(root, "account"));
	put(": ", text_at(root, "status_detail", ""));
	(void)printf("\n");
}

static void show_line(void *data, const char *line, size_t len)
{
	struct who *who = data;
	const char *conn, *rec;
	json_t *root;
	size_t i;

	for (i = 0; i < who->count; i++)
		if (memmem(line, len, who->conns[i], strlen(who->conns[i])))
			break;
	if (i == who->count)
		return;
	root = json_loadb(line, len, 0, NULL);
	conn = own(root, "conn");
	rec = own(root, "rec_id");
	for (i = 0; i < who->count && strcmp(who->conns[i], conn) != 0;)
		i++;
	if (i < who->count) {
		size_t j;

		for (j = 0; j < who->rec_count; j++)
			if (!strcmp(who->recs[j], rec))
				break;
		if (j == who->rec_count && j < CONNS_MAX &&
			strlen(rec) == SGR_ID_TEXT - 1)
			memcpy(who->recs[who->rec_count++], rec, SGR_ID_TEXT);
		if (who->audit->json) {
			(void)printf("{\"from\":\"trail\",\"event\":%.*s}\n",
				(int)len, line);
		} else {
			print_event(root);
		}
		who->shown++;
	}
	json_decref(root);
}

static void read_trail(
	struct who *who, void (*line)(void *data, const char *line, size_t len))
{
	struct trail_reading reading = {.line = line, .data = who};
	struct trail_place place = {0};
	char why[400];

	if (trail_read(who->audit->events, &place, &reading, why, sizeof(why)))
		audit_fatal(EX_NOINPUT, "%s", why);
}

static void show_recordings(struct who *who)
{
	struct store_entry *entry;
	struct store *store;
	char why[400];
	size_t i;

	if (!who->rec_count ||
		store_open(who->audit->dir, &store, why, sizeof(why)))
		return;
	for (i = 0; i < who->rec_count; i++) {
		char when[PRINT_TIME_MAX], size[PRINT_SIZE_MAX];
		const char *state = "not here";
		bool there = !store_find(store, who->recs[i], &entry);

		if (there)
			state = entry->present ? store_state_text(entry->state)
					       : "missing";
		if (who->audit->json)
			(void)printf("{\"from\":\"recording\",\"rec\":\"%s\","
				     "\"state\":\"%s\"}\n",
				who->recs[i], state);
		else if (there)
			(void)printf("recording %s  %s  %s  %s\n", who->recs[i],
				print_time(entry->start_ns, when),
				print_size(entry->size, size), state);
		else
			(void)printf("recording %s  %s\n", who->recs[i], state);
		who->shown++;
	}
	store_free(store);
}

static bool mentions(const struct who *who, const char *line)
{
	size_t i;

	for (i = 0; i < who->count; i++)
		if (strstr(line, who->conns[i]))
			return true;
	for (i = 0; i < who->rec_count; i++)
		if (strstr(line, who->recs[i]))
			return true;
	return false;
}

/* syslog, journal or kernel audit, as text; a line that is too long is cut. */
static void show_log(struct who *who, const char *path)
{
	static char line[LINE_ROOM];
	FILE *file = fopen(path, "re");

	if (!file)
		audit_fatal(EX_NOINPUT, "%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n\x1d")] = '\0';
		if (!mentions(who, line))
			continue;
		if (who->audit->json) {
			(void)printf("{\"from\":\"log\",\"file\":");
			print_json(stdout, path);
			(void)printf(",\"line\":");
			print_json(stdout, line);
			(void)printf("}\n");
		} else {
			(void)printf("  ");
			print_cstring(stdout, line);
			(void)printf("\n");
		}
		who->shown++;
	}
	(void)fclose(file);
}

int cmd_who(struct audit *audit, int argc, char **argv)
{
	struct who who = {.audit = audit, .id = argc ? argv[0] : ""};
	int i;

	if (!argc || strlen(who.id) < ID_MIN)
		audit_fatal(EX_USAGE,
			"who takes the id of a connection or a recording, or "
			"a reference number, and logs to look into");
	audit_places(audit);
	if (!audit->events)
		audit_fatal(EX_USAGE, "who needs the trail (--events, -c)");
	read_trail(&who, find_line);
	for (i = 0; !audit->json && i < (int)who.count; i++) {
		(void)printf("connection ");
		print_cstring(stdout, who.conns[i]);
		(void)printf("\n");
	}
	read_trail(&who, show_line);
	show_recordings(&who);
	for (i = 1; i < argc; i++)
		show_log(&who, argv[i]);
	return who.shown ? 0 : AUDIT_EXIT_NONE;
}
