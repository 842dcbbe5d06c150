/* Text of a recording through the emulator, for those who need lines. */
#ifndef SGB_TRANSCRIPT_H
#define SGB_TRANSCRIPT_H

#include "audit.h"
#include "emulator.h"
#include "evidence.h"
#include "view.h"

/* emulator_handler.line, to stdout. Lines that were changed in their place are
 * left out, unless a full-screen program did it: of what is typed and edited
 * they show each state. */
void transcript_line(
	void *data, const char *text, size_t len, unsigned int flags);
/* Reads evidence to its end. */
void transcript_channels(struct evidence *evidence, struct view_channels *ret);
/* Plays a channel of the recording on fd through the emulator; lines go to the
 * emulator's handler. */
enum sgb_err transcript_run(struct audit *audit, int fd,
	struct emulator *emulator, uint64_t channel) SGB_MUST_CHECK;
/* Exits and says that the emulator did not survive. */
void transcript_lost(const char *what) __attribute__((noreturn));

#endif
