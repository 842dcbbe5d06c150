/* A recording as one page without scripts: for files, tickets, printing. */
#ifndef SGB_EXPORT_HTML_H
#define SGB_EXPORT_HTML_H

#include <stdio.h>

#include "audit.h"

struct html;
/* Starts two emulators: before private keys are read. Exits on failure. */
struct html *html_new(void);
void html_free(struct html *html);
/* Writes the page about the recording on fd; evidence is at its start. An
 * error is the emulator's. */
enum sgb_err html_write(struct html *html, struct audit *audit, int fd,
	struct evidence *evidence, FILE *out) SGB_MUST_CHECK;

#endif
