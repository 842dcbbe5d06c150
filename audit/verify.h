/*
 * The verdict on one recording: by itself, against the signed index, and
 * against heads that were told to others. Keeps no state, so that several may
 * be judged at the same time.
 */
#ifndef SGB_VERIFY_H
#define SGB_VERIFY_H

#include "audit.h"
#include "check_journal.h"
#include "store.h"

struct verified {
	char id[SGR_ID_TEXT];
	enum sgr_verdict verdict;
	char text[400];
	bool pinned; /* whoever wrote it, and whoever ended it */
	unsigned int level;
	/* Where keys of some were disclosed: opened, of all; or 0. */
	uint32_t opened, segments;
	char writer[SUITE_WRITER_TEXT], ended_by[SUITE_WRITER_TEXT];
};

/* What the index is good for: it is text until its signatures are checked. */
struct verify_trust {
	struct writer_keys keys;
	struct journal_verdict index;
	struct journal_verdict retention;
	struct journal_verdict events; /* where a trail is named */
};

/* Where a recording was found. */
struct verify_place {
	const struct store *store;
	const struct verify_trust *trust;
	const struct store_entry *entry;
};

/* place: NULL for a file by itself. result->id names it until its header has
 * said who it is. */
void verify_fd(struct audit *audit, int fd, const struct verify_place *place,
	struct verified *result);
void verify_entry(struct audit *audit, const struct verify_place *place,
	struct verified *result);
void verify_missing(struct verified *result, const char *id);

/* verify_jobs.c: all recordings of a store, by several threads; reported in
 * their order. Returns the worst exit code. */
int verify_store(struct audit *audit, const struct store *store,
	const struct verify_trust *trust, unsigned int jobs);
int verify_report(const struct audit *audit, const struct verified *result);
/* The worse of two exit codes of verdicts. */
int verify_worse(int a, int b);

#endif
