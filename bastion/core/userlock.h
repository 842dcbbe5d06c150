/*
 * Locked people: `sgbridge lock alice` writes a file alice into a folder that
 * is root's alone, and both doors refuse her until it is taken away. A file
 * and nothing else, so that a lock needs no running daemon, outlives one, and
 * holds for sshd, sudo and su as for the proxy.
 */
#ifndef SGB_USERLOCK_H
#define SGB_USERLOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "core/err.h"

#define USERLOCK_REASON_MAX 256

/*
 * Is this person locked? False only if the folder is safe (file.h) or does
 * not exist, and holds no entry of that name; whatever cannot be told is
 * true. why gets one sentence for the log.
 */
bool userlock_is(const char *dir, const char *user, char *why, size_t why_len);
/* Locks; text is kept for people to read (one line, at most
 * USERLOCK_REASON_MAX bytes are). The folder is made (0700) if it is missing;
 * a second lock replaces the text of the first. */
enum sgb_err userlock_set(const char *dir, const char *user, const char *text,
	char *why, size_t why_len) SGB_MUST_CHECK;
/* SGB_ERR_NOTFOUND if nobody of that name is locked. */
enum sgb_err userlock_clear(const char *dir, const char *user, char *why,
	size_t why_len) SGB_MUST_CHECK;
/* Calls each(user, text, arg) by name; a folder that is missing is empty. */
enum sgb_err userlock_each(const char *dir,
	void (*each)(const char *user, const char *text, void *arg), void *arg,
	char *why, size_t why_len) SGB_MUST_CHECK;

#endif
