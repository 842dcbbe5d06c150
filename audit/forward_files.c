/*
 * Looking at folders. Names in them may be anything; only those of a trail
 * count, and only regular files are opened.
 */
#include "forward_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"

#define TAIL_MAX (4 * JOURNAL_LINE_MAX)

static int only_trail(const struct dirent *entry)
{
	return journal_is_file(entry->d_name);
}

enum sgb_err trail_look(int dir_fd, const char *name, bool exact,
	char ret_next[JOURNAL_NAME_MAX], struct trail_newest *ret_newest)
{
	struct dirent **entries;
	struct stat st;
	int count, i;

	memset(ret_newest, 0, sizeof(*ret_newest));
	*ret_next = '\0';
	count = scandirat(dir_fd, ".", &entries, only_trail, alphasort);
	if (count < 0)
		return SGB_ERR_SYSTEM;
	for (i = 0; i < count; i++) {
		const char *at = entries[i]->d_name;
		int order = strcmp(at, name);

		if (!*ret_next && (order > 0 || (exact && !order)))
			(void)snprintf(ret_next, JOURNAL_NAME_MAX, "%.31s", at);
		if (i == count - 1 &&
			!fstatat(dir_fd, at, &st, AT_SYMLINK_NOFOLLOW)) {
			(void)snprintf(ret_newest->name,
				sizeof(ret_newest->name), "%.31s", at);
			ret_newest->inode = st.st_ino;
		}
		free(entries[i]);
	}
	free(entries);
	return SGB_OK;
}

int trail_open(int dir_fd, const char *name)
{
	struct stat st;
	int fd = openat(
		dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	errno = EINVAL;
	return -1;
}

/* Of one file; 0 if no whole line is in it. */
static uint64_t last_seq(int dir_fd, const char *name)
{
	char tail[TAIL_MAX];
	struct journal_line line;
	struct stat st;
	ssize_t got = -1;
	size_t end, start;
	int fd = trail_open(dir_fd, name);

	if (fd < 0)
		return 0;
	if (!fstat(fd, &st))
		got = pread(fd, tail, sizeof(tail),
			st.st_size > TAIL_MAX ? st.st_size - TAIL_MAX : 0);
	close(fd);
	for (end = got > 0 ? (size_t)got : 0; end && tail[end - 1] != '\n';)
		end--;
	if (!end)
		return 0;
	for (start = --end; start && tail[start - 1] != '\n';)
		start--;
	if (journal_parse(JOURNAL_EVENTS, tail + start, end - start, &line))
		return 0;
	return line.seq;
}

uint64_t trail_last_seq(int dir_fd)
{
	struct dirent **entries;
	uint64_t seq = 0;
	int count = scandirat(dir_fd, ".", &entries, only_trail, alphasort);

	if (count < 0)
		return 0;
	while (count-- > 0) {
		if (!seq)
			seq = last_seq(dir_fd, entries[count]->d_name);
		free(entries[count]);
	}
	free(entries);
	return seq;
}

/* "time" of the line that begins there; 0: none does. */
static uint64_t time_at(int dir_fd, const char *name, uint64_t offset)
{
	char text[JOURNAL_LINE_MAX + 1], *at;
	int fd = trail_open(dir_fd, name);
	ssize_t got;

	if (fd < 0)
		return 0;
	got = pread(fd, text, sizeof(text) - 1, (off_t)offset);
	close(fd);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	text[strcspn(text, "\n")] = '\0';
	at = strstr(text, "\"time\":");
	return at ? strtoull(at + sizeof("\"time\":") - 1, NULL, 10) : 0;
}

uint64_t trail_time_behind(int dir_fd, const struct forward_place *place)
{
	char next[JOURNAL_NAME_MAX];
	struct trail_newest newest;
	uint64_t when = place->seq ? time_at(dir_fd, place->file, place->offset)
				   : 0;

	if (!when && !trail_look(dir_fd, place->file, false, next, &newest) &&
		*next)
		when = time_at(dir_fd, next, 0);
	return when;
}

enum sgb_err place_load(int dir_fd, const char *file, struct forward_place *ret)
{
	char text[FORWARD_TEXT_MAX];
	ssize_t got;
	int fd = openat(
		dir_fd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? SGB_ERR_NOTFOUND : SGB_ERR_SYSTEM;
	got = read(fd, text, sizeof(text));
	close(fd);
	if (got < 0)
		return SGB_ERR_SYSTEM;
	return forward_place_parse(text, (size_t)got, ret);
}

enum sgb_err place_save(
	int dir_fd, const char *file, const struct forward_place *place)
{
	char text[FORWARD_TEXT_MAX];
	size_t len = forward_place_text(place, text);

	return file_replace(dir_fd, file, 0600, text, len);
}
