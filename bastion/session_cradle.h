/*
 * The cradle: one started session program that forks session processes.
 */
#ifndef SGB_SESSION_CRADLE_H
#define SGB_SESSION_CRADLE_H

#include <stdbool.h>

/* Serves CRD_START messages on descriptor 3 until it has forked limit
 * sessions, one of them died by a signal, or nobody asks any more, and then
 * until all have ended. Returns true in a child, with its monitor's socket at
 * 3 and its client's at 4; false when all is over. */
bool session_cradle(unsigned int limit);

#endif
