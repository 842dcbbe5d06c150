/*
 * Files that only root may have written. Every check is made on the opened
 * descriptor, never on a name; nothing here follows a symbolic link in the
 * last component, blocks on a FIFO, or reads more than it was told.
 */
#ifndef SGB_FILE_H
#define SGB_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/buf.h"
#include "core/err.h"

enum file_trust {
	/* Default: root owns it, nobody else may write it (mode & 022 == 0),
	 * nor the folder it is in. */
	FILE_TRUST_ROOT = 0,
	/* As above, and nobody else may read it (mode & 077 == 0). */
	FILE_TRUST_SECRET,
};

/*
 * Opens a regular file for reading (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK) and
 * checks type, owner, mode and the folder it is in. When the process does
 * not run as root, its own uid counts as owner too (unit tests, auditors).
 * why gets one sentence with the path, what is wrong and what to do.
 */
enum sgb_err file_open(const char *path, enum file_trust trust, int *ret_fd,
	char *why, size_t why_len) SGB_MUST_CHECK;
/* file_open and read it whole; SGB_ERR_LIMIT above out->max. */
enum sgb_err file_read(const char *path, enum file_trust trust, struct buf *out,
	char *why, size_t why_len) SGB_MUST_CHECK;
/* Checks a folder in the same manner and opens it (O_PATH-less, O_DIRECTORY),
 * for openat. */
enum sgb_err file_open_dir(const char *path, enum file_trust trust, int *ret_fd,
	char *why, size_t why_len) SGB_MUST_CHECK;
/* Reads a descriptor from its start to its end. */
enum sgb_err file_read_fd(int fd, struct buf *out) SGB_MUST_CHECK;
/* Writes everything, restarting after signals and short writes. */
enum sgb_err file_write_all(
	int fd, const void *data, size_t len) SGB_MUST_CHECK;
/* Replaces dir/name by a new file with this mode: temporary file (O_EXCL, in
 * the same folder), write, fsync, rename, fsync of the folder. */
enum sgb_err file_replace(int dir_fd, const char *name, mode_t mode,
	const void *data, size_t len) SGB_MUST_CHECK;
/* A sealed memfd (F_SEAL_WRITE and the rest) that holds data. */
enum sgb_err file_memfd(const char *name, const void *data, size_t len,
	int *ret_fd) SGB_MUST_CHECK;
/* Reads such a memfd; SGB_ERR_UNSAFE for anything that is not sealed. */
enum sgb_err file_read_sealed(int fd, struct buf *out) SGB_MUST_CHECK;

#endif
