/* Which recordings a command is about. */
#ifndef SGB_SELECT_H
#define SGB_SELECT_H

#include "audit.h"
#include "store.h"

/* One recording that a command works on. */
struct chosen {
	struct store *store;	   /* NULL for a file by its path */
	struct store_entry *entry; /* NULL likewise, or if it is not known */
	const char *path;	   /* if named by a path */
	int fd;			   /* -1: not there */
};

/* By id, start of an id, or path. Exits if there is no such recording; fd is
 * -1 only for one that the index knows and the folder has not. */
void select_one(struct audit *audit, const char *name, struct chosen *ret);
void select_done(struct chosen *chosen);
/* Exits on failure; a folder without recordings and their index is one, since
 * it would read as "nothing found". */
struct store *select_store(struct audit *audit);
/* Whatever it holds: to judge it. */
struct store *select_folder(struct audit *audit);

/* Opens a recording with the auditor's keys, or exits and says why. */
struct evidence *select_evidence(
	struct audit *audit, const char *name, struct chosen *ret);

/* Filters that need no key (times, status) and those over META. */
struct filter {
	uint64_t since_ns, until_ns;
};
void filter_init(struct audit *audit, struct filter *ret);
bool filter_entry(const struct audit *audit, const struct filter *filter,
	const struct store_entry *entry);
bool filter_wants_meta(const struct audit *audit);
bool filter_meta(const struct audit *audit, const char *meta);
/* Does META's "mfa" say that there was a second factor? */
bool filter_is_mfa(const char *mfa);

#endif
