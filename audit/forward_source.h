/*
 * The trail as a run of lines from a place on: what comes next, and what is not
 * there any more. It opens nothing; files are asked for and handed in.
 *
 * Of the newest file only what the recorder has finished counts: lines up to
 * the last signed one. What it writes but cannot make durable it takes back.
 */
#ifndef SGB_FORWARD_SOURCE_H
#define SGB_FORWARD_SOURCE_H

#include "core/buf.h"
#include "forward.h"
#include "forward_line.h"

enum source_item {
	SOURCE_NOTHING = 0, /* now; after a wake perhaps */
	SOURCE_LINE,
	SOURCE_GAP,    /* first to last are missing; why says how */
	SOURCE_ASK,    /* wants a file: ask_name, ask_exact */
	SOURCE_BROKEN, /* cannot be read: why */
	SOURCE_BUSY    /* is looking for its place; call again */
};

struct source {
	enum source_mode {
		SOURCE_RESUME = 0, /* is the place still there? */
		SOURCE_SEEK,	   /* which line follows it? from the start */
		SOURCE_READ,
	} mode;
	struct forward_place at;     /* of the line handed out last */
	struct forward_place anchor; /* older: if that is not there any more */
	/* The open file. */
	int fd; /* or -1 */
	char name[JOURNAL_NAME_MAX];
	bool old;	   /* it does not grow any more: all of it counts */
	bool replaced;	   /* another file has its name now */
	uint64_t offset;   /* of the next line */
	uint64_t released; /* whole groups end here */
	struct buf chunk;  /* bytes of it, from chunk_at */
	uint64_t chunk_at;
	/* A file is on order. */
	bool asked, ask_exact;
	bool unwanted; /* not any more */
	char ask_name[JOURNAL_NAME_MAX];
	char newest[JOURNAL_NAME_MAX];
	bool seen_any; /* a line, while seeking */
	bool certain;  /* the place was verified: what does not follow, is so */
	bool accept;   /* the next line, whatever it is: it was stated */
	char why[FORWARD_TEXT_MAX];
};

void source_init(struct source *source, const struct forward_place *from);
void source_done(struct source *source);
/* Goes back to a place that was handed out before. */
void source_resume(struct source *source, const struct forward_place *from);
/* A place that will hardly be taken back any more. */
void source_anchor(struct source *source, const struct forward_place *place);
/* What was asked for: fd is taken; -1: there is none. */
void source_file(struct source *source, int fd, const char *name);
/* Something was written, made or taken away. The newest file and its inode;
 * "" if there is none. */
void source_wake(struct source *source, const char *newest, uint64_t inode);
/* The next item. A line stays valid until the next call; gaps have no text
 * but why, and their numbers in ret. */
enum source_item source_next(struct source *source, struct forward_line *ret);

#endif
