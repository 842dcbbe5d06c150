/* Formats that a recording can be converted into. */
#ifndef SGB_EXPORT_H
#define SGB_EXPORT_H

#include <stdio.h>

#include "evidence.h"

struct export_out {
	FILE *file;
	FILE *side; /* of a format that needs a second file */
	const struct sgr_scan *scan;
	const char *meta;
	uint64_t channel; /* what is shown, once something is */
	void *state;	  /* the format's own, from malloc */
	uint64_t state_number;
};

struct export_format {
	const char *name;
	/* Called for each item in order. */
	void (*item)(struct export_out *out, const struct sgr_item *item);
	void (*end)(struct export_out *out); /* may be NULL */
	bool bytes;	  /* as the target sent them: never to a terminal */
	const char *side; /* NULL, or what the second file's name ends in */
};

extern const struct export_format export_asciicast2, export_asciicast3,
	export_items, export_ttyrec, export_raw, export_script;

/* u32, big-endian, or 0 */
unsigned int export_u32(const struct sgr_item *item, size_t offset);

#endif
