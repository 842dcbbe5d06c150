/*
 * Files that only root may have written: opened without following the last
 * link and without blocking, judged by fstat of what was opened, read up to a
 * limit. Trusts the kernel and root; trusts no name.
 */
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/secret.h"

#define READ_STEP  65536
#define READ_LEAST 1024
#define READ_MOST  (4u * 1024 * 1024)

/* Someone who is not root may trust what is his own: an auditor's key. */
static bool owner_trusted(uid_t owner)
{
	return owner == 0 || owner == geteuid();
}

/* A sticky folder (/tmp) is acceptable as a parent for non-root only. */
static bool folder_mode_safe(const struct stat *st)
{
	if (!(st->st_mode & 022))
		return true;
	return geteuid() != 0 && (st->st_mode & S_ISVTX);
}

static enum sgb_err judge_folder(
	const struct stat *st, const char *path, char *why, size_t why_len)
{
	if (!S_ISDIR(st->st_mode)) {
		snprintf(why, why_len, "%s: not a folder", path);
		return SGB_ERR_UNSAFE;
	}
	if (!owner_trusted(st->st_uid) || !folder_mode_safe(st)) {
		snprintf(why, why_len,
			"%s: others may change this folder (owner %u, mode "
			"%04o); make root its owner and run: chmod go-w %s",
			path, st->st_uid, st->st_mode & 07777, path);
		return SGB_ERR_UNSAFE;
	}
	return SGB_OK;
}

static enum sgb_err judge_parent(const char *path, char *why, size_t why_len)
{
	char dir[PATH_MAX];
	struct stat st;
	char *slash;

	if (strlen(path) >= sizeof(dir)) {
		snprintf(why, why_len, "%.200s...: name too long", path);
		return SGB_ERR_LIMIT;
	}
	strcpy(dir, path);
	slash = strrchr(dir, '/');
	if (!slash)
		strcpy(dir, ".");
	else
		slash[slash == dir] = '\0';
	if (stat(dir, &st)) {
		snprintf(why, why_len, "%s: %s", dir, strerror(errno));
		return SGB_ERR_SYSTEM;
	}
	return judge_folder(&st, dir, why, why_len);
}

static enum sgb_err judge_file(const struct stat *st, enum file_trust trust,
	const char *path, char *why, size_t why_len)
{
	mode_t mode = st->st_mode & 07777;

	if (!S_ISREG(st->st_mode)) {
		snprintf(why, why_len, "%s: not a regular file", path);
		return SGB_ERR_UNSAFE;
	}
	if (!owner_trusted(st->st_uid)) {
		snprintf(why, why_len,
			"%s: owned by uid %u, expected root; run: chown root "
			"%s",
			path, st->st_uid, path);
		return SGB_ERR_UNSAFE;
	}
	if (mode & 022) {
		snprintf(why, why_len,
			"%s: others may write it (mode %04o); run: chmod go-w "
			"%s",
			path, mode, path);
		return SGB_ERR_UNSAFE;
	}
	if (trust == FILE_TRUST_SECRET && (mode & 077)) {
		snprintf(why, why_len,
			"%s: holds a secret and others may read it (mode %04o);"
			" run: chmod 0400 %s",
			path, mode, path);
		return SGB_ERR_UNSAFE;
	}
	return SGB_OK;
}

enum sgb_err file_open(const char *path, enum file_trust trust, int *ret_fd,
	char *why, size_t why_len)
{
	struct stat st;
	enum sgb_err err;
	int fd;

	fd = open(path,
		O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		snprintf(why, why_len, "%s: %s", path,
			errno == ELOOP ? "is a symbolic link; name the file "
					 "itself"
				       : strerror(errno));
		if (errno == ENOENT)
			return SGB_ERR_NOTFOUND;
		return errno == ELOOP ? SGB_ERR_UNSAFE : SGB_ERR_SYSTEM;
	}
	if (fstat(fd, &st)) {
		snprintf(why, why_len, "%s: %s", path, strerror(errno));
		err = SGB_ERR_SYSTEM;
	} else {
		err = judge_file(&st, trust, path, why, why_len);
	}
	if (!err)
		err = judge_parent(path, why, why_len);
	if (err)
		close(fd);
	else
		*ret_fd = fd;
	return err;
}

enum sgb_err file_open_dir(const char *path, enum file_trust trust, int *ret_fd,
	char *why, size_t why_len)
{
	struct stat st;
	enum sgb_err err;
	int fd;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		snprintf(why, why_len, "%s: %s", path, strerror(errno));
		return errno == ENOENT ? SGB_ERR_NOTFOUND : SGB_ERR_SYSTEM;
	}
	if (fstat(fd, &st)) {
		snprintf(why, why_len, "%s: %s", path, strerror(errno));
		err = SGB_ERR_SYSTEM;
	} else {
		err = judge_folder(&st, path, why, why_len);
	}
	if (!err && trust == FILE_TRUST_SECRET && (st.st_mode & 077)) {
		snprintf(why, why_len,
			"%s: holds secrets and others may enter it; run: chmod "
			"0700 %s",
			path, path);
		err = SGB_ERR_UNSAFE;
	}
	if (err)
		close(fd);
	else
		*ret_fd = fd;
	return err;
}

/* A file takes as little room as it needs, at once: a login reads several, and
 * what is taken is wiped in the end. */
static size_t step_for(int fd)
{
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size >= READ_MOST)
		return READ_STEP;
	/* Of /proc the size says nothing. */
	return st.st_size < READ_LEAST ? READ_LEAST : (size_t)st.st_size + 1;
}

/* Room first, then read: a file that grows meanwhile meets the limit too. */
enum sgb_err file_read_fd(int fd, struct buf *out)
{
	size_t step = step_for(fd);
	off_t at = 0;

	for (;;) {
		uint8_t *room;
		ssize_t got;
		size_t want = out->max - out->len;
		size_t spare = out->cap - out->len;
		uint8_t extra;

		if (want > step)
			want = step;
		/* The end is found without more room for it. */
		if (spare && want > spare)
			want = spare;
		if (!want) {
			got = pread(fd, &extra, 1, at);
			return got > 0	 ? SGB_ERR_LIMIT
			       : got < 0 ? SGB_ERR_SYSTEM
					 : SGB_OK;
		}
		room = buf_extend(out, want);
		if (!room)
			return buf_error(out);
		do {
			got = pread(fd, room, want, at);
		} while (got < 0 && errno == EINTR);
		out->len -= want - (got > 0 ? (size_t)got : 0);
		if (got < 0)
			return SGB_ERR_SYSTEM;
		if (!got)
			return SGB_OK;
		at += got;
	}
}

enum sgb_err file_read(const char *path, enum file_trust trust, struct buf *out,
	char *why, size_t why_len)
{
	enum sgb_err err;
	int fd;

	err = file_open(path, trust, &fd, why, why_len);
	if (err)
		return err;
	err = file_read_fd(fd, out);
	if (err == SGB_ERR_LIMIT)
		snprintf(why, why_len, "%s: larger than %zu bytes", path,
			out->max);
	else if (err)
		snprintf(why, why_len, "%s: %s", path,
			err == SGB_ERR_SYSTEM ? strerror(errno)
					      : sgb_err_text(err));
	close(fd);
	return err;
}

enum sgb_err file_write_all(int fd, const void *data, size_t len)
{
	const uint8_t *at = data;

	while (len) {
		ssize_t put = write(fd, at, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return SGB_ERR_SYSTEM;
		at += put;
		len -= (size_t)put;
	}
	return SGB_OK;
}

static enum sgb_err write_new(
	int dir_fd, const char *name, mode_t mode, const void *data, size_t len)
{
	enum sgb_err err;
	int fd;

	fd = openat(dir_fd, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return SGB_ERR_SYSTEM;
	err = file_write_all(fd, data, len);
	if (!err && (fchmod(fd, mode) || fsync(fd)))
		err = SGB_ERR_SYSTEM;
	if (close(fd) && !err)
		err = SGB_ERR_SYSTEM;
	return err;
}

enum sgb_err file_replace(
	int dir_fd, const char *name, mode_t mode, const void *data, size_t len)
{
	char temp[NAME_MAX + 1];
	uint64_t number;
	enum sgb_err err;
	int saved;

	err = secret_random(&number, sizeof(number));
	if (err)
		return err;
	if ((size_t)snprintf(temp, sizeof(temp), ".%.200s.%016llx", name,
		    (unsigned long long)number) >= sizeof(temp))
		return SGB_ERR_LIMIT;
	err = write_new(dir_fd, temp, mode, data, len);
	if (!err && renameat(dir_fd, temp, dir_fd, name))
		err = SGB_ERR_SYSTEM;
	if (!err)
		return fsync(dir_fd) ? SGB_ERR_SYSTEM : SGB_OK;
	saved = errno;
	(void)unlinkat(dir_fd, temp, 0);
	errno = saved;
	return err;
}

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

enum sgb_err file_memfd(
	const char *name, const void *data, size_t len, int *ret_fd)
{
	enum sgb_err err;
	int fd;

	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return SGB_ERR_SYSTEM;
	err = file_write_all(fd, data, len);
	if (!err && fcntl(fd, F_ADD_SEALS, SEALS))
		err = SGB_ERR_SYSTEM;
	if (err)
		close(fd);
	else
		*ret_fd = fd;
	return err;
}

enum sgb_err file_read_sealed(int fd, struct buf *out)
{
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SEALS) != SEALS)
		return SGB_ERR_UNSAFE;
	return file_read_fd(fd, out);
}
