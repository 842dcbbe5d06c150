/* Text of a recording through the emulator, for those who need lines. */
#ifndef SGB_TRANSCRIPT_H
#define SGB_TRANSCRIPT_H

#include "emulator.h"

/* emulator_handler.line, to stdout. Lines that were changed in their place are
 * left out, unless a full-screen program did it: of what is typed and edited
 * they show each state. */
void transcript_line(
	void *data, const char *text, size_t len, unsigned int flags);
/* After the last one: a line that goes on does not. */
void transcript_end(void);
/* Exits and says that the emulator did not survive. */
void transcript_lost(const char *what) __attribute__((noreturn));

#endif
