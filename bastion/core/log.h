/*
 * A program's own log: to stderr when started by hand (-e), to syslog
 * otherwise (facility authpriv). Control characters are escaped, so that one
 * call is one record. core/ itself never logs.
 */
#ifndef SGB_LOG_H
#define SGB_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <syslog.h>

#include "core/err.h"

/* ident must outlive the program. */
void log_init(const char *ident, bool to_stderr);
bool log_is_stderr(void);
/* level is syslog's: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG. */
void log_put(int level, const char *fmt, ...) SGB_PRINTF(2, 3);
/* Levels above this are dropped. LOG_INFO at first. */
void log_set_level(int level);
/* Start-up only: logs at LOG_ERR and exits with this status (sysexits.h). */
void log_fatal(int status, const char *fmt, ...) SGB_PRINTF(2, 3)
	__attribute__((noreturn));
/* Copies text with control bytes as \ooo; always NUL-terminated. */
void log_escape(const char *text, char *out, size_t out_len);

#endif
