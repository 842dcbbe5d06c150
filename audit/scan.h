/*
 * Reading a recording without any key: structure, order, chain, signatures
 * (docs/RECORDING.md, "Verification", level 0). What is read is hostile: it may
 * have been altered by whoever wants the auditor to believe it. Constant
 * memory, linear time; says at which frame and offset something is wrong.
 */
#ifndef SGB_SCAN_H
#define SGB_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#include "container.h"
#include "header.h"

/* Bytes of a file through a window, or of memory (tests, fuzzing). */
struct sgr_source;
enum sgb_err sgr_source_file(int fd, struct sgr_source **ret) SGB_MUST_CHECK;
enum sgb_err sgr_source_memory(
	const void *data, size_t len, struct sgr_source **ret) SGB_MUST_CHECK;
void sgr_source_free(struct sgr_source *source);
/* The file may have grown: its size is asked again. */
enum sgb_err sgr_source_refresh(struct sgr_source *source) SGB_MUST_CHECK;
uint64_t sgr_source_size(const struct sgr_source *source);
/* len bytes at offset, valid until the next call; NULL if they are not there
 * or can't be read. len is at most SGR_BODY_MAX + 64. */
const uint8_t *sgr_source_get(
	struct sgr_source *source, uint64_t offset, size_t len);

/* The exit codes of docs/RECORDING.md are in scan_exit. */
enum sgr_verdict {
	SGR_UNVERIFIABLE = 0,
	SGR_ALTERED,
	SGR_MISSING,
	SGR_OPEN,
	SGR_IS_RECOVERED,
	SGR_INTACT,
};
const char *sgr_verdict_text(enum sgr_verdict verdict);
int sgr_verdict_exit(enum sgr_verdict verdict);

#define SGR_NO_FRAME (-1)

struct sgr_frame {
	struct sgr_head head;
	uint8_t head_bytes[SGR_HEAD_LEN];
	const uint8_t *body;	      /* until the next scan_next */
	uint8_t link[SUITE_HASH_LEN]; /* L(i-1) */
	uint64_t offset;
};

/* What a signed frame says, as far as it has it. */
struct sgr_signed {
	int64_t frame; /* SGR_NO_FRAME: none yet */
	uint64_t wall_ns, mono_us, bytes, items;
	uint32_t synchronised;
	uint8_t boot_id[16];
};

/* A signature that waits for a later one, which vouches for it. */
struct sgr_waiting {
	struct sgr_head head;
	uint8_t head_bytes[SGR_HEAD_LEN];
	uint8_t link[SUITE_HASH_LEN];
	uint8_t body[SGR_CLOSE_LEN]; /* the longest by the writer */
	uint64_t offset;
};
#define SGR_WAITING_MAX 32

struct sgr_scan {
	struct sgr_source *source; /* borrowed */
	uint8_t *raw;		   /* preamble and header, owned */
	struct sgr_header header;
	uint64_t offset; /* of the next frame */
	uint8_t link[SUITE_HASH_LEN];
	uint32_t index; /* of the next frame */
	uint32_t segment;
	struct sgr_signed last;
	uint32_t close_reason; /* with CLOSE */
	uint64_t discarded;    /* with RECOVERED */
	uint8_t recovery_key[SUITE_KEY_LEN];
	bool ended;		  /* CLOSE or RECOVERED stands at the end */
	bool ended_by_other;	  /* RECOVERED, not by the header's writer */
	enum sgr_verdict verdict; /* valid when scan_next did not give OK */
	int64_t fault_frame;
	uint64_t fault_offset;
	char fault[240]; /* plain words: what is wrong, or how it ends */
	struct sgr_waiting *waiting; /* with sgr_scan_lazy, owned */
	size_t waiting_count;
};

/* SGB_OK: there is a header and its link fits. */
enum sgb_err sgr_scan_begin(
	struct sgr_scan *scan, struct sgr_source *source) SGB_MUST_CHECK;
/*
 * Checks the last of up to SGR_WAITING_MAX signatures only. It is over the
 * chain, and the chain over all before it; if it is wrong, each is looked at,
 * so that the verdict names the same place. For who reads to the end:
 * scan->last lags behind, and an earlier frame was given out with its signature
 * unseen.
 */
enum sgb_err sgr_scan_lazy(struct sgr_scan *scan) SGB_MUST_CHECK;
/* SGB_OK with a frame that is good so far; anything else is the end of the
 * scan, and verdict and fault say what it was. */
enum sgb_err sgr_scan_next(
	struct sgr_scan *scan, struct sgr_frame *ret) SGB_MUST_CHECK;
void sgr_scan_done(struct sgr_scan *scan);
/* For level 1: a frame of this scan does not open. */
void sgr_scan_fault(
	struct sgr_scan *scan, const struct sgr_frame *frame, const char *what);

#endif
