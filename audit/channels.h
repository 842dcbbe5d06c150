/*
 * The channels of a recording, however many, each from its first item to its
 * last. A recording may hold thousands, one after the other (a configuration
 * manager over one connection): those that are not open together are read in
 * one pass. A channel's number is the recording's word and bounds nothing.
 */
#ifndef SGB_CHANNELS_H
#define SGB_CHANNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "audit.h"
#include "evidence.h"

#define CHANNELS_MAX (1U << 20)
/* Each costs a pass over the recording. No session process opens so many. */
#define CHANNELS_TOGETHER_MAX 1024

struct channel_span {
	uint64_t id;
	uint64_t first, last; /* items, the recording's first is 1 */
	bool wanted;	      /* it is one to look at */
	bool done;
};

/* Zero is none. */
struct channels {
	struct channel_span **all; /* in the order of their first items */
	size_t count, room, wanted;
	bool missed; /* there were more than CHANNELS_MAX */
	uint64_t items;
	void *by_id;		     /* a tree */
	struct channel_span *latest; /* noted */
};

/* Each item of a recording, in its order. wanted: its channel is. */
void channels_note(
	struct channels *channels, const struct sgr_item *item, bool wanted);
/* wanted are channels with output. */
void channels_note_output(
	struct channels *channels, const struct sgr_item *item);
/* Of the wanted ones only this. */
void channels_only(struct channels *channels, uint64_t id);
void channels_done(struct channels *channels);
bool channels_has(const struct channels *channels, uint64_t id);

/* What is done with one channel after the other. */
struct channels_reader {
	void *data;
	enum sgb_err (*begin)(void *data, uint64_t id);
	enum sgb_err (*item)(void *data, const struct sgr_item *item);
	enum sgb_err (*end)(void *data);
};
/* Reads the recording on fd as often as wanted channels were open at once. The
 * first error ends it and is returned; SGB_ERR_LIMIT if some were not looked
 * at: after the last, or after CHANNELS_TOGETHER_MAX passes. */
enum sgb_err channels_run(struct channels *channels, struct audit *audit,
	int fd, const struct channels_reader *reader) SGB_MUST_CHECK;

/* There are more than CHANNELS_MAX: says so, and is the exit status. */
int channels_missed(const char *name);
/* --channel names none of them: says so, and which there are. Exits. */
void channels_none(const struct channels *channels, const char *name,
	uint64_t id) __attribute__((noreturn));
/* "channel 1 of 3; --channel 2, 4 for the others", or "" if there are none. */
#define CHANNELS_OTHERS_MAX 160
const char *channels_others(const struct channels *channels, uint64_t shown,
	char text[CHANNELS_OTHERS_MAX]);
/* The same as a line on standard error, if it says anything. */
void channels_say_others(const struct channels *channels, uint64_t shown);

#endif
