/*
 * Locked people, one file each. Names are checked before they become paths;
 * the folder is judged on the opened descriptor. Trusts root alone; an error
 * means locked.
 */
#include "core/userlock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/policy.h"

/* *ret_fd is -1, without an error, for a folder that does not exist. */
static enum sgb_err open_folder(
	const char *dir, int *ret_fd, char *why, size_t why_len)
{
	struct stat st;

	*ret_fd = -1;
	if (lstat(dir, &st) && errno == ENOENT)
		return SGB_OK;
	return file_open_dir(dir, FILE_TRUST_ROOT, ret_fd, why, why_len);
}

static enum sgb_err check_name(const char *user, char *why, size_t why_len)
{
	if (user && policy_name_valid(user))
		return SGB_OK;
	snprintf(why, why_len, "not a valid user name");
	return SGB_ERR_FORMAT;
}

bool userlock_is(const char *dir, const char *user, char *why, size_t why_len)
{
	struct stat st;
	bool locked = true;
	int fd;

	if (check_name(user, why, why_len) ||
		open_folder(dir, &fd, why, why_len))
		return true;
	if (fd < 0)
		return false;
	if (!fstatat(fd, user, &st, AT_SYMLINK_NOFOLLOW))
		snprintf(why, why_len, "locked: see sgbridge lock --list");
	else if (errno == ENOENT)
		locked = false;
	else
		snprintf(why, why_len, "%s/%s: %s", dir, user, strerror(errno));
	close(fd);
	return locked;
}

enum sgb_err userlock_set(const char *dir, const char *user, const char *text,
	char *why, size_t why_len)
{
	size_t len = strnlen(text, USERLOCK_REASON_MAX);
	enum sgb_err err = check_name(user, why, why_len);
	int fd = -1;

	if (err)
		return err;
	if (mkdir(dir, 0700) && errno != EEXIST) {
		snprintf(why, why_len, "%s: %s", dir, strerror(errno));
		return SGB_ERR_SYSTEM;
	}
	err = file_open_dir(dir, FILE_TRUST_ROOT, &fd, why, why_len);
	if (err)
		return err;
	err = file_replace(fd, user, 0600, text, len);
	if (err)
		snprintf(why, why_len, "%s/%s: %s", dir, user, strerror(errno));
	close(fd);
	return err;
}

enum sgb_err userlock_clear(
	const char *dir, const char *user, char *why, size_t why_len)
{
	enum sgb_err err = check_name(user, why, why_len);
	int fd = -1;

	if (!err)
		err = open_folder(dir, &fd, why, why_len);
	if (err)
		return err;
	if (fd < 0 || (unlinkat(fd, user, 0) && errno == ENOENT)) {
		snprintf(why, why_len, "%s is not locked", user);
		err = SGB_ERR_NOTFOUND;
	} else if (fsync(fd) ||
		   !faccessat(fd, user, F_OK, AT_SYMLINK_NOFOLLOW)) {
		snprintf(why, why_len, "%s/%s: %s", dir, user, strerror(errno));
		err = SGB_ERR_SYSTEM;
	}
	if (fd >= 0)
		close(fd);
	return err;
}

/* What is no regular file locks all the same, without a text. */
static void read_text(int dir_fd, const char *user, char *text, size_t len)
{
	int fd = openat(dir_fd, user,
		O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t got = fd < 0 ? 0 : read(fd, text, len - 1);

	text[got < 0 ? 0 : got] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	if (fd >= 0)
		close(fd);
}

enum sgb_err userlock_each(const char *dir,
	void (*each)(const char *user, const char *text, void *arg), void *arg,
	char *why, size_t why_len)
{
	char text[USERLOCK_REASON_MAX + 1];
	struct dirent **names = NULL;
	int fd, count, i;
	enum sgb_err err = open_folder(dir, &fd, why, why_len);

	if (err || fd < 0)
		return err;
	count = scandirat(fd, ".", &names, NULL, alphasort);
	if (count < 0) {
		snprintf(why, why_len, "%s: %s", dir, strerror(errno));
		err = SGB_ERR_SYSTEM;
	}
	for (i = 0; i < count; i++) {
		if (policy_name_valid(names[i]->d_name)) {
			read_text(fd, names[i]->d_name, text, sizeof(text));
			each(names[i]->d_name, text, arg);
		}
		free(names[i]);
	}
	free(names);
	close(fd);
	return err;
}
