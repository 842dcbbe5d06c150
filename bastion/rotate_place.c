/*
 * The folder of a key that is rotated: opened, trusted and locked, and swept
 * of what a kill left there.
 */
#include "rotate.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/file.h"

#define WHY_MAX (PATH_MAX + 300)
/* file_replace's temporary files: ".NAME.0123456789abcdef" */
#define TEMP_DIGITS 16

bool rotate_open(struct rotate_place *place, const char *path)
{
	const char *slash = strrchr(path, '/');
	char why[WHY_MAX];

	place->fd = -1;
	if (!slash || !slash[1] || strlen(slash + 1) > NAME_MAX - 30 ||
		strlen(path) >= PATH_MAX) {
		cli_fail("%s: not a path of a file", path);
		return false;
	}
	snprintf(place->dir, sizeof(place->dir), "%.*s",
		slash == path ? 1 : (int)(slash - path), path);
	snprintf(place->name, sizeof(place->name), "%s", slash + 1);
	if (file_open_dir(place->dir, FILE_TRUST_ROOT, &place->fd, why,
		    sizeof(why))) {
		cli_fail("%s", why);
		place->fd = -1;
		return false;
	}
	if (flock(place->fd, LOCK_EX | LOCK_NB)) {
		cli_fail("%s: %s", place->dir,
			errno == EWOULDBLOCK
				? "another rotation runs; wait for its end"
				: strerror(errno));
		close(place->fd);
		place->fd = -1;
	}
	return place->fd >= 0;
}

static bool is_left(const char *name, const char *key)
{
	size_t len = strlen(key), all = strlen(name);

	return *name == '.' && !strncmp(name + 1, key, len) &&
	       name[1 + len] == '.' && all > TEMP_DIGITS + 2 + len - 1 &&
	       name[all - TEMP_DIGITS - 1] == '.' &&
	       strspn(name + all - TEMP_DIGITS, "0123456789abcdef") ==
		       TEMP_DIGITS;
}

void rotate_sweep(const struct rotate_place *place)
{
	int fd = dup(place->fd);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	rewinddir(dir);
	while ((entry = readdir(dir)))
		if (is_left(entry->d_name, place->name))
			(void)unlinkat(place->fd, entry->d_name, 0);
	closedir(dir);
}
