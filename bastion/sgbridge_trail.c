/* The event trail, file by file and line by line, in bounded memory. */
#include "sgbridge_trail.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/places.h"

#define LINE_BYTES 65536

struct trail_reader {
	void (*each)(const json_t *event, void *arg);
	void *arg;
	size_t unread;
};

const char *trail_text(
	const json_t *event, const char *outer, const char *inner)
{
	const char *text = json_string_value(
		json_object_get(json_object_get(event, outer), inner));

	return text ? text : "";
}

const json_t *trail_own(const json_t *event)
{
	return json_object_get(json_object_get(event, "unmapped"), "sgb");
}

time_t trail_time(const json_t *event)
{
	return (time_t)(json_integer_value(json_object_get(event, "time")) /
			1000);
}

bool trail_succeeded(const json_t *event)
{
	return json_integer_value(json_object_get(event, "status_id")) == 1;
}

static void take_line(struct trail_reader *reader, const char *line, size_t len)
{
	json_t *event = json_loadb(line, len, 0, NULL);

	if (json_is_object(event))
		reader->each(event, reader->arg);
	else
		reader->unread++;
	json_decref(event);
}

/* A line that is too long is passed over, however long it is. */
static void read_lines(struct trail_reader *reader, FILE *file)
{
	static char line[LINE_BYTES];
	bool passing = false;

	while (fgets(line, sizeof(line), file)) {
		size_t len = strlen(line);
		bool whole = len && line[len - 1] == '\n';

		if (!passing && (whole || feof(file)))
			take_line(reader, line, len);
		else if (!passing)
			reader->unread++;
		passing = !whole;
	}
}

static bool read_file(struct trail_reader *reader, int dir, const char *folder,
	const char *name)
{
	int fd = openat(dir, name,
		O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	FILE *file = fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode)
			     ? fdopen(fd, "re")
			     : NULL;
	bool good = file != NULL;

	if (file) {
		read_lines(reader, file);
		good = !ferror(file);
		fclose(file);
	} else if (fd >= 0) {
		close(fd);
	}
	if (!good)
		cli_fail("%s/%s: cannot be read", folder, name);
	return good;
}

static int is_trail(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 6 && !strcmp(entry->d_name + len - 6, ".jsonl");
}

/* The files' names begin with their day, so that this is the order of time. */
bool trail_read(const char *folder,
	void (*each)(const json_t *event, void *arg), void *arg,
	size_t *ret_unread)
{
	struct trail_reader reader = {.each = each, .arg = arg};
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **names = NULL;
	int count = dir < 0 ? -1 : scandir(folder, &names, is_trail, alphasort);
	bool good = count > 0;
	int i;

	if (count < 1)
		cli_fail("%s: %s", folder,
			count ? "cannot be read; is the event trail there?"
			      : "no event trail there");
	for (i = 0; i < count; i++) {
		good = good &&
		       read_file(&reader, dir, folder, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	if (dir >= 0)
		close(dir);
	*ret_unread = reader.unread;
	return good;
}

char *trail_folder(struct cli *cli)
{
	struct conf *conf = NULL;
	struct diag diag;
	char *path = NULL;

	if (cli->events)
		return strdup(cli->events);
	diag_init(&diag);
	if (conf_load(cli->config ? cli->config : CONF_DEFAULT_PATH, &conf,
		    &diag))
		diag_print(&diag, stderr, cli->colour);
	else
		path = strdup(conf->events);
	conf_free(conf);
	diag_done(&diag);
	return path;
}
