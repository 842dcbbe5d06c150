/*
 * Memory of a process that is started once and then forks many.
 */
#ifndef SGB_CORE_FORKMEM_H
#define SGB_CORE_FORKMEM_H

/* To be called when everything that all children share is there, before the
 * first of them is forked, by a process with one thread. Cannot fail: where it
 * does nothing, children cost more memory. */
void forkmem_settle(void);

#endif
