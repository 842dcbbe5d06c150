/*
 * A folder of recordings: what its index says and what is there. Reading it
 * needs no key.
 */
#ifndef SGB_STORE_H
#define SGB_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#include "container.h"
#include "scan.h"

enum store_state {
	STORE_UNKNOWN = 0, /* not in the index */
	STORE_RUNNING,
	STORE_CLOSED,
	STORE_RECOVERED,
	STORE_FAILED,
	STORE_PURGED,
};

struct store_entry {
	char id[SGR_ID_TEXT];
	enum store_state state;
	bool present;
	uint64_t size;		/* of the file */
	uint64_t start_ns;	/* from the id, in ms */
	uint64_t end_s;		/* from the index, 0: none */
	uint64_t frames, bytes; /* as the index says */
	unsigned int reason;
	uint8_t first[SUITE_HASH_LEN], prev[SUITE_HASH_LEN];
	uint8_t head[SUITE_HASH_LEN];
	bool has_head;
	bool held;    /* nobody may delete it */
	bool expired; /* purged by "expire": the retention journal says so */
};

struct store {
	int fd;
	bool has_index;
	bool has_retention;	     /* a journal of what was deleted by rule */
	struct store_entry *entries; /* by id, which is by time */
	size_t count;
};

/* Reads index and folders. why tells what is wrong with dir. */
enum sgb_err store_open(const char *dir, struct store **ret, char *why,
	size_t why_len) SGB_MUST_CHECK;
void store_free(struct store *store);
/* By id or the start of one. SGB_ERR_NOTFOUND, SGB_ERR_BUSY: several. */
enum sgb_err store_find(const struct store *store, const char *id,
	struct store_entry **ret) SGB_MUST_CHECK;
/* Opens the file for reading; -1 with errno. */
int store_open_file(const struct store *store, const struct store_entry *entry);
const char *store_state_text(enum store_state state);
const char *store_reason_text(unsigned int reason);

#endif
