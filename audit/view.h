/*
 * One channel of a recording on the emulator's screen. Chooses the channel,
 * follows its sizes, and makes output without a terminal readable.
 */
#ifndef SGB_VIEW_H
#define SGB_VIEW_H

#include "emulator.h"
#include "evidence.h"

struct view {
	struct emulator *emulator;
	uint64_t channel; /* 0: the first with a terminal or output */
	bool has_pty;
};

/* Shows an item if it is this channel's. *ret_shown tells whether it did
 * something to the screen. */
enum sgb_err view_item(struct view *view, const struct sgr_item *item,
	bool *ret_shown) SGB_MUST_CHECK;

#endif
