/*
 * Pieces of system call filters that more than one program has. Each returns 0
 * or what libseccomp said; whoever cannot build its filter must not run.
 */
#ifndef SGB_CONFINE_H
#define SGB_CONFINE_H

#include <stddef.h>

#include <seccomp.h>

/* These calls, whatever their arguments. */
int confine_calls(scmp_filter_ctx filter, const int *calls, size_t count);
/* Memory, but none that is run. */
int confine_memory(scmp_filter_ctx filter);
/* Sockets of these address families, and pairs. */
int confine_sockets(scmp_filter_ctx filter, const int *families, size_t count);

#endif
