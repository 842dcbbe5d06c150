/*
 * Diagnostics about text that people wrote: settings and policy. Each has a
 * place (file:line:column), the line with a caret, what was expected and,
 * where there is one, the nearest known word. Up to DIAG_MAX are kept, so
 * that one run reports all mistakes of a file.
 */
#ifndef SGB_DIAG_H
#define SGB_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/buf.h"
#include "core/err.h"

#define DIAG_MAX 20

enum diag_level {
	DIAG_ERROR = 0,
	DIAG_WARNING,
	DIAG_NOTE,
};

struct diag_item {
	enum diag_level level;
	char *code; /* stable slug for programs, or NULL */
	char *file;
	unsigned int line;   /* from 1; 0: the file as a whole */
	unsigned int column; /* from 1, in bytes; 0: the line as a whole */
	unsigned int width;  /* bytes to underline, at least 1 */
	char *text;	     /* what is wrong and what was expected */
	char *source;	     /* the line itself, or NULL */
	char *hint;	     /* "did you mean ...?", or NULL */
};

struct diag {
	struct diag_item *items; /* in the order of their places */
	size_t count;
	size_t errors; /* of all that were reported, kept or not */
	size_t warnings;
	size_t dropped; /* reported beyond DIAG_MAX */
};

void diag_init(struct diag *diag);
void diag_done(struct diag *diag);
/* Copies item; running out of memory only counts it. */
void diag_add(struct diag *diag, const struct diag_item *item);
/* An error with a place and no source line. */
void diag_error(struct diag *diag, const char *file, unsigned int line,
	const char *fmt, ...) SGB_PRINTF(4, 5);
/* As POLICY.md shows them; colour for a terminal. */
void diag_print(const struct diag *diag, FILE *out, bool colour);
/* The first error as one line "file:line:column: text", for a log. */
void diag_first_line(const struct diag *diag, char *out, size_t out_len);
/* The word of a NULL-terminated list that is nearest to text (Damerau-
 * Levenshtein distance of at most a third of its length), or NULL. */
const char *diag_nearest(const char *text, const char *const *words);

#endif
