/*
 * The text of a policy: its files, with what they include. For core/policy_*.c
 * and the sgbridge command alone.
 */
#ifndef SGB_POLICY_FILE_H
#define SGB_POLICY_FILE_H

#include "core/policy.h"

struct policy_file {
	char *path;  /* as a person would open it */
	char *label; /* short, for rule names: "policy.d/10-ops.conf" */
	char *text;  /* NUL-terminated, but may hold NUL */
	uint32_t len;
	uint32_t parent; /* the file that includes it; itself for the first */
	uint32_t line;	 /* of the include statement there */
};

struct policy_source {
	struct policy_file *files; /* [0] is the policy, includes follow */
	uint32_t count;
};

/* Adds a file with this text to a source: the text is taken out of the buffer,
 * which needs room for a NUL, the names are copied. */
enum sgb_err policy_source_add(struct policy_source *source,
	const struct policy_file *file, struct buf *text);

#endif
