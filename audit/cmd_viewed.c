/*
 * Who looked at what: "view" events of the bastion's trail and the auditors'
 * own journals. The lines are shown; whether they are whole says verify.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <jansson.h>

#include "audit.h"
#include "journal.h"

static bool as_json;

static const char *text_of(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void print_view(const char *when, const char *who, const char *what,
	const char *rec, const char *why)
{
	const char *const members[][2] = {{"time", when}, {"who", who},
		{"what", what}, {"rec", rec}, {"why", why}};
	size_t i;

	for (i = 0; as_json && i < sizeof(members) / sizeof(members[0]); i++) {
		(void)printf("%s\"%s\":", i ? "," : "{", members[i][0]);
		print_json(stdout, members[i][1]);
	}
	if (as_json) {
		(void)printf("}\n");
		return;
	}
	print_text(stdout, when, strnlen(when, 19));
	(void)printf("  ");
	print_cstring(stdout, who);
	(void)printf("  ");
	print_cstring(stdout, what);
	(void)printf("  ");
	print_cstring(stdout, *rec ? rec : "-");
	if (*why) {
		(void)printf("  ");
		print_cstring(stdout, why);
	}
	(void)printf("\n");
}

/* An own journal's line, or a view event of the trail. */
static bool show_line(const char *line, const char *id)
{
	json_t *root = json_loads(line, 0, NULL);
	json_t *sgb = json_object_get(json_object_get(root, "unmapped"), "sgb");
	const char *rec = sgb ? text_of(sgb, "rec_id") : text_of(root, "rec");
	bool shown = root && (!sgb || !strcmp(text_of(sgb, "event"), "view")) &&
		     (!id || !strncmp(rec, id, strlen(id)));

	if (shown && sgb)
		print_view(text_of(root, "time_dt"),
			text_of(json_object_get(root, "user"), "name"),
			text_of(sgb, "what"), rec,
			text_of(root, "status_detail"));
	else if (shown)
		print_view(text_of(root, "time"), text_of(root, "who"),
			text_of(root, "what"), rec, text_of(root, "why"));
	json_decref(root);
	return shown;
}

static int only_journals(const struct dirent *entry)
{
	return journal_is_file(entry->d_name);
}

static size_t show_file(int dir, const char *name, const char *id)
{
	int fd = openat(
		dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	size_t cap = 0, shown = 0;
	char *line = NULL;

	if (!file)
		return 0;
	while (getline(&line, &cap, file) > 0)
		shown += show_line(line, id);
	free(line);
	(void)fclose(file);
	return shown;
}

static size_t show_folder(const char *path, const char *id)
{
	struct dirent **entries;
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int count = dir < 0 ? -1
			    : scandirat(dir, ".", &entries, only_journals,
				      alphasort);
	size_t shown = 0;
	int i;

	if (count < 0)
		audit_fatal(EX_NOINPUT, "%s: %s", path, strerror(errno));
	for (i = 0; i < count; i++) {
		shown += show_file(dir, entries[i]->d_name, id);
		free(entries[i]);
	}
	free(entries);
	close(dir);
	return shown;
}

int cmd_who_viewed(struct audit *audit, int argc, char **argv)
{
	const char *id = argc ? argv[0] : NULL;
	char journal[PATH_MAX];
	size_t shown = 0;

	if (argc > 1)
		audit_fatal(EX_USAGE, "who-viewed takes one recording at most");
	as_json = audit->json;
	audit_places(audit);
	audit_journal_place(audit, journal);
	if (audit->events)
		shown += show_folder(audit->events, id);
	/* Who has looked at nothing yet has none. */
	if (audit->journal || !access(journal, F_OK))
		shown += show_folder(journal, id);
	return shown ? 0 : AUDIT_EXIT_NONE;
}
