/* The event trail, file by file and line by line, in bounded memory. */
#include "trail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int only_journals(const struct dirent *entry)
{
	return journal_is_file(entry->d_name);
}

static FILE *open_file(int dir, const char *name)
{
	int fd = openat(dir, name,
		O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	FILE *file = fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode)
			     ? fdopen(fd, "r")
			     : NULL;

	if (!file && fd >= 0)
		close(fd);
	return file;
}

static void take_line(struct trail_place *place, struct trail_reading *reading,
	const char *text, size_t len)
{
	struct journal_line line;

	if (journal_parse(JOURNAL_EVENTS, text, len, &line)) {
		reading->unread++;
		return;
	}
	if (place->seq &&
		(line.seq != place->seq + 1 ||
			memcmp(line.prev, place->hash, SUITE_HASH_LEN) != 0))
		reading->broken++;
	place->seq = line.seq;
	memcpy(place->hash, line.hash, SUITE_HASH_LEN);
	reading->lines++;
	reading->line(reading->data, text, len);
}

/* A line that is too long is passed over, however long it is; one without its
 * end is for the next time. */
static void read_lines(
	struct trail_place *place, struct trail_reading *reading, FILE *file)
{
	static char line[JOURNAL_LINE_MAX + 2];
	int64_t at = place->next_at;
	bool passing = false;

	while (fgets(line, sizeof(line), file)) {
		size_t len = strlen(line);
		bool whole = len && line[len - 1] == '\n';

		if (!whole && feof(file))
			break;
		if (whole && !passing) {
			take_line(place, reading, line, len - 1);
			place->line_at = at;
		} else if (whole) {
			reading->unread++;
		}
		at = ftell(file);
		if (whole)
			place->next_at = at;
		passing = !whole;
	}
}

static enum sgb_err read_file(int dir, const char *name,
	struct trail_place *place, struct trail_reading *reading)
{
	FILE *file = open_file(dir, name);
	enum sgb_err err;

	if (!file)
		return SGB_ERR_SYSTEM;
	if (strcmp(name, place->file) != 0) {
		(void)snprintf(place->file, sizeof(place->file), "%.31s", name);
		place->line_at = place->next_at = 0;
	}
	err = fseek(file, place->next_at, SEEK_SET) ? SGB_ERR_SYSTEM : SGB_OK;
	if (!err)
		read_lines(place, reading, file);
	if (ferror(file))
		err = SGB_ERR_SYSTEM;
	(void)fclose(file);
	return err;
}

/* The line that was last is still where it was. */
static enum sgb_err check_place(int dir, const struct trail_place *place)
{
	FILE *file = *place->file ? open_file(dir, place->file) : NULL;
	char text[JOURNAL_LINE_MAX + 2];
	struct journal_line line;
	bool same;
	size_t len;

	if (!*place->file)
		return SGB_OK;
	if (!file)
		return SGB_ERR_STALE;
	same = !fseek(file, place->line_at, SEEK_SET) &&
	       fgets(text, sizeof(text), file);
	(void)fclose(file);
	/* A file in which no line was good yet. */
	if (!place->next_at)
		return SGB_OK;
	len = same ? strlen(text) : 0;
	if (!len || journal_parse(JOURNAL_EVENTS, text, len - 1, &line) ||
		memcmp(line.hash, place->hash, SUITE_HASH_LEN) != 0)
		return SGB_ERR_STALE;
	return SGB_OK;
}

static enum sgb_err read_all(int dir, struct trail_place *place,
	struct trail_reading *reading, char *why, size_t why_len)
{
	struct dirent **names = NULL;
	int count = scandirat(dir, ".", &names, only_journals, alphasort);
	enum sgb_err err = count < 0 ? SGB_ERR_SYSTEM : SGB_OK;
	int i;

	if (!count)
		err = SGB_ERR_NOTFOUND;
	for (i = 0; i < count; i++) {
		const char *name = names[i]->d_name;

		if (!err && strcmp(name, place->file) >= 0)
			err = read_file(dir, name, place, reading);
		if (err && !*why)
			(void)snprintf(why, why_len, "%.31s: %s", name,
				strerror(errno));
		free(names[i]);
	}
	free(names);
	return err;
}

enum sgb_err trail_read(const char *path, struct trail_place *place,
	struct trail_reading *reading, char *why, size_t why_len)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum sgb_err err;

	*why = '\0';
	if (dir < 0) {
		(void)snprintf(
			why, why_len, "%.200s: %s", path, strerror(errno));
		return SGB_ERR_SYSTEM;
	}
	err = check_place(dir, place);
	if (!err)
		err = read_all(dir, place, reading, why, why_len);
	if (err == SGB_ERR_NOTFOUND)
		(void)snprintf(why, why_len,
			"%.200s: no events in it; name the folder of the trail "
			"with --events",
			path);
	close(dir);
	return err;
}
