/*
 * What a search found. A hit is held back until the auditor's journal says that
 * its recording was looked at, and for what; never longer than a moment.
 */
#ifndef SGB_HITS_H
#define SGB_HITS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "audit.h"
#include "texts.h"

struct hits {
	struct audit *audit;
	struct audit_views views;
	char *what;	   /* "search: TEXT" */
	FILE *held;	   /* or NULL: nothing is held */
	char *text;	   /* of held */
	size_t len, count; /* of text; of all hits */
	uint64_t since_ns; /* the oldest that is held */
};

/* The search itself is written down, too: it may find nothing. */
void hits_begin(struct hits *hits, struct audit *audit, const char *pattern);
/* at points into found->text. */
void hits_put(struct hits *hits, const char *id, const struct found_text *found,
	const char *at);
/* Shows what was held for a moment; to be called often. */
void hits_tick(struct hits *hits);
void hits_end(struct hits *hits);

#endif
