/*
 * setup: files, written whole or not at all, and told apart by their digest.
 * Follows no symbolic link: where a person has made one, a person decides.
 */
#include "setup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"

enum sgb_err setup_read(const char *path, struct buf *out)
{
	enum sgb_err err = SGB_ERR_UNSAFE;
	struct stat st;
	int fd = open(path,
		O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return errno == ENOENT	? SGB_ERR_NOTFOUND
		       : errno == ELOOP ? SGB_ERR_UNSAFE
					: SGB_ERR_SYSTEM;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		err = file_read_fd(fd, out);
	close(fd);
	return err;
}

void setup_hash(const struct buf *content, char ret[SETUP_HASH_LEN])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	size_t i;

	SHA256(content->data ? content->data : (const unsigned char *)"",
		content->len, digest);
	for (i = 0; i < sizeof(digest); i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

void setup_hash_file(const char *path, char ret[SETUP_HASH_LEN])
{
	struct buf content;
	enum sgb_err err;

	buf_init(&content, SETUP_FILE_MAX);
	err = setup_read(path, &content);
	if (err)
		strcpy(ret, err == SGB_ERR_NOTFOUND ? "-" : "!");
	else
		setup_hash(&content, ret);
	buf_done(&content);
}

#define NANO	  1000000000LL
#define TEMPORARY ".sgbridge-setup"

/* The folder of a path, opened. */
static int open_parent(const char *path, const char **ret_name)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (!slash || (size_t)(slash - path) >= sizeof(folder))
		return -1;
	memcpy(folder, path, (size_t)(slash - path));
	folder[slash - path] = '\0';
	*ret_name = slash + 1;
	return open(*folder ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool fill(int fd, const struct buf *content, unsigned int mode,
	unsigned int uid, unsigned int gid, long long mtime)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_NOW},
		{.tv_sec = (time_t)(mtime / NANO),
			.tv_nsec = mtime ? (long)(mtime % NANO) : UTIME_NOW}};

	return !file_write_all(fd, content->data, content->len) &&
	       !fchown(fd, uid, gid) && !fchmod(fd, mode) &&
	       !futimens(fd, times) && !fsync(fd);
}

enum sgb_err setup_put(const char *path, const struct buf *content,
	unsigned int mode, unsigned int uid, unsigned int gid, long long mtime)
{
	enum sgb_err err = SGB_ERR_SYSTEM;
	char temporary[NAME_MAX + 1];
	const char *name = "";
	int dir = open_parent(path, &name), fd = -1;

	if (dir < 0)
		return SGB_ERR_SYSTEM;
	if (snprintf(temporary, sizeof(temporary), ".%s" TEMPORARY, name) >=
		(int)sizeof(temporary))
		goto out;
	/* What a run that was killed left here is ours. */
	(void)unlinkat(dir, temporary, 0);
	fd = openat(dir, temporary,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		goto out;
	if (fill(fd, content, mode, uid, gid, mtime) &&
		!renameat(dir, temporary, dir, name) && !fsync(dir))
		err = SGB_OK;
	else
		(void)unlinkat(dir, temporary, 0);
out:
	if (fd >= 0)
		close(fd);
	close(dir);
	return err;
}

void setup_forget(const char *path)
{
	char temporary[PATH_MAX + NAME_MAX];
	const char *slash = strrchr(path, '/');

	if (slash && snprintf(temporary, sizeof(temporary),
			     "%.*s/.%s" TEMPORARY, (int)(slash - path), path,
			     slash + 1) < (int)sizeof(temporary))
		(void)unlink(temporary);
}

enum sgb_err setup_sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int status = fd < 0 ? -1 : fsync(fd);

	if (fd >= 0)
		close(fd);
	return status ? SGB_ERR_SYSTEM : SGB_OK;
}

enum sgb_err setup_mkdir(const char *path, unsigned int mode)
{
	char folder[PATH_MAX];
	struct stat st;
	char *slash;

	if (strlen(path) >= sizeof(folder))
		return SGB_ERR_LIMIT;
	strcpy(folder, path);
	for (slash = strchr(folder + 1, '/'); slash;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(folder, 0755) && errno != EEXIST)
			return SGB_ERR_SYSTEM;
		*slash = '/';
	}
	if (mkdir(folder, mode) && errno != EEXIST)
		return SGB_ERR_SYSTEM;
	if (lstat(folder, &st) || !S_ISDIR(st.st_mode))
		return SGB_ERR_UNSAFE;
	return SGB_OK;
}

void setup_remove_tree(const char *path)
{
	char below[PATH_MAX];
	const struct dirent *entry;
	DIR *dir = opendir(path);

	while (dir && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if ((size_t)snprintf(below, sizeof(below), "%s/%s", path,
			    entry->d_name) >= sizeof(below))
			continue;
		if (unlink(below))
			setup_remove_tree(below);
	}
	if (dir)
		closedir(dir);
	(void)rmdir(path);
}
