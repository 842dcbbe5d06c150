/*
 * Heads that the recorder told others (recorder_heads.c): what a later copy of
 * recordings and journals must still contain. The list comes from where the
 * bastion cannot change it, and is the auditor's to trust, or from a trail
 * that is proved.
 */
#ifndef SGB_HEADS_H
#define SGB_HEADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#include "container.h"
#include "suite.h"

enum head_kind {
	HEAD_NONE = 0,
	HEAD_TRAIL,
	HEAD_INDEX,
	HEAD_REC,
};

struct head {
	enum head_kind kind;
	char id[SGR_ID_TEXT]; /* of a recording, else "" */
	uint64_t number;      /* lines, or frames */
	uint8_t hash[SUITE_HASH_LEN];
	bool met;
};

/* Lines of syslog or of the kernel audit log; those without a head are passed
 * over. SGB_ERR_FORMAT: a line has a head that is not one; *ret_line is its
 * number. SGB_ERR_NOTFOUND: there is no head at all. */
struct heads;
enum sgb_err heads_read(const char *text, size_t len, struct heads **ret,
	unsigned int *ret_line) SGB_MUST_CHECK;
void heads_free(struct heads *heads);

/* What a line of the trail tells of recordings and of the index, which is what
 * a "head" event says; other lines are passed over. *heads may be NULL; the
 * caller frees. In order, and to be looked at, after heads_join. */
enum sgb_err heads_from_event(
	struct heads **heads, const char *line) SGB_MUST_CHECK;
/* Takes what more has into *heads. */
enum sgb_err heads_join(
	struct heads **heads, struct heads *more_take) SGB_MUST_CHECK;

/* What was found at this place. False if another hash was told. heads may be
 * NULL: nothing was told. */
bool heads_meet(struct heads *heads, enum head_kind kind, const char *id,
	uint64_t number, const uint8_t hash[SUITE_HASH_LEN]);
/* A head of this kind (and recording, unless id is NULL) that was not met,
 * after the one given; NULL if there is none. */
const struct head *heads_unmet(const struct heads *heads, enum head_kind kind,
	const char *id, const struct head *after);

#endif
