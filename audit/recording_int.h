/*
 * One recording, as recording.c (its stream), recording_file.c (its file) and
 * recorder_session.c (its life) share it.
 */
#ifndef SGB_RECORDING_INT_H
#define SGB_RECORDING_INT_H

#include "recording.h"
#include "syncer.h"
#include "writer.h"

struct viewers;

enum recording_phase {
	RECORDING_OPENING = 0, /* nobody has been told of it */
	RECORDING_OPEN,
	RECORDING_ENDING, /* its last frame is written */
};

struct recording {
	TAILQ_ENTRY(recording) link; /* of those that wait for the disk */
	struct recorder *recorder;
	struct peer *peer; /* who waits for what becomes of it, or NULL */
	enum recording_phase phase;
	char conn[64];
	char id[SGR_ID_TEXT];
	char path[SGR_PATH_MAX];
	int fd;
	int stream;  /* -1 when closed */
	int session; /* its other end, until that is handed over; or -1 */
	struct writer *writer;
	uint64_t start_us;
	uint64_t size;	    /* bytes in the file */
	uint64_t allocated; /* blocks are there up to here */
	bool no_fallocate;
	uint64_t messages; /* taken */
	uint64_t acked;
	uint64_t head_us;     /* when its head was sent last */
	uint32_t head_frames; /* to be told when the disk has them; or 0 */
	uint8_t head_link[SUITE_HASH_LEN];
	struct viewers *viewers; /* live, or NULL */
	bool deaf; /* the session does not take acknowledgements */
	bool failed;
	char why[200];
	/* What the disk owes: header or end, and the latest checkpoint. */
	struct sync_job gate, checkpoint;
	bool checkpoint_again; /* another came while it was under way */
	bool freed;	       /* by its owner, while the disk was not done */
	int error;	       /* errno of what went wrong on the disk, or 0 */
	uint64_t folder_turn;  /* which sync of the day's folder it needs */
	uint64_t index_seq;    /* its line in the index; 0: not added yet */
	uint8_t first_link[SUITE_HASH_LEN], prev_head[SUITE_HASH_LEN];
	uint64_t counted; /* bytes of it that its person's quota knows */
	uint64_t day;	  /* for which its person is noted, */
	uint64_t base;	  /* and what it had before that day */
	size_t person;	  /* place in the quotas, from 1; 0: none */
	/* recording_wait.c */
	uint64_t wait_s;	/* how long it may wait for the disk; or 0 */
	uint64_t wait_since_us; /* since when it does; 0: it does not */
	uint64_t waited_us;	/* before that, in all of its life */
	bool wait_told;		/* the session knows that it waits */
	struct buf held;	/* sealed, and not in the file */
	struct writer_mark held_mark; /* before that */
	enum recorder_close end_reason;
	char *end_text; /* for the event */
};

/* recording.c */
void recording_set_why(
	struct recording *rec, const char *what, bool with_errno);
void recording_clock(const struct recorder *recorder,
	const struct recording *rec, struct sgr_clock *ret);
/* Blocks for len bytes and for the end. */
enum sgb_err recording_room(struct recording *rec, size_t len) SGB_MUST_CHECK;
enum sgb_err recording_put(
	struct recording *rec, const struct buf *out) SGB_MUST_CHECK;
/* To the session, without blocking. False: not now, or never (deaf). */
bool recording_say(struct recording *rec, const struct buf *words);

/* A text of the recorder's own, as evidence. */
enum sgb_err recording_note(
	struct recording *rec, const char *text) SGB_MUST_CHECK;

/* recording_wait.c */
void recording_wait_init(
	struct recording *rec, const uint8_t *meta, size_t meta_len);
/* With errno of what failed: keeps frames, and waits; false: it must not. */
bool recording_hold(struct recording *rec, const struct writer_mark *mark,
	const struct buf *out);
/* Does the session know whether it waits? Tells it, if not. */
bool recording_tell_wait(struct recording *rec);
/* Before the end: what is held is written now, or never. */
void recording_wait_end(struct recording *rec);

/* recording_file.c: makes the file, with header, META and CHECKPOINT; not
 * durable yet. */
enum sgb_err recording_make_file(struct recording *rec, const char *retention,
	const uint8_t *meta, size_t meta_len) SGB_MUST_CHECK;
/* Never opened: no evidence is lost, and no name stays. */
void recording_unmake(struct recording *rec);
/* Unused blocks go back; the file becomes read-only. */
enum sgb_err recording_settle(struct recording *rec) SGB_MUST_CHECK;

#endif
