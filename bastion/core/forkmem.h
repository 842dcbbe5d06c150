/*
 * Memory of a process that is started once and then forks many, and of these.
 */
#ifndef SGB_CORE_FORKMEM_H
#define SGB_CORE_FORKMEM_H

/* To be called when everything that all children share is there, before the
 * first of them is forked, by a process with one thread. Cannot fail: where it
 * does nothing, children cost more memory. */
void forkmem_settle(void);

/* To be called where a process has done what takes much and will mostly wait,
 * by its only thread. Cannot fail, either. */
void forkmem_rest(void);

#endif
