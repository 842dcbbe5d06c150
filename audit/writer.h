/*
 * Writes one recording: turns evidence into frames in a caller's buffer. Does
 * no input or output of its own. Holds the key of the present segment only,
 * and nothing of the plaintext once a segment is closed.
 */
#ifndef SGB_WRITER_H
#define SGB_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/record.h"

#include "header.h"

struct writer;

/* What the clocks say; the caller reads them once a round. */
struct sgr_clock {
	uint64_t wall_ns;
	uint64_t mono_us; /* since the start of this recording */
	uint8_t boot_id[16];
	uint32_t synchronised; /* 0 unknown, 1 yes, 2 no */
};

/* Evidence on its way into frames. One is enough for many recordings, because
 * writer_flush empties it. */
struct writer_scratch {
	struct buf plain[2]; /* 0: all but input, 1: input */
	uint64_t last_us[2];
	struct buf packed;
	uint64_t items;
	uint64_t bytes;
};
void writer_scratch_init(struct writer_scratch *scratch);
void writer_scratch_done(struct writer_scratch *scratch);

/* Appends header, META and the first CHECKPOINT to out, which must be empty.
 * key is borrowed for the writer's life. meta is a JSON object. */
enum sgb_err writer_begin(const struct sgr_header_params *params,
	const struct suite_key *key, const char *meta, size_t meta_len,
	const struct sgr_clock *clock, struct buf *out,
	struct writer **ret) SGB_MUST_CHECK;
void writer_free(struct writer *writer);

/* One item of evidence into scratch; time must not go backwards. */
void writer_add(struct writer_scratch *scratch, uint64_t channel,
	enum record_kind kind, uint64_t mono_us, const void *data, size_t len);
/* Frames for what scratch holds, appended to out; closes a full segment. */
enum sgb_err writer_flush(struct writer *writer, struct writer_scratch *scratch,
	uint64_t mono_us, struct buf *out) SGB_MUST_CHECK;
bool writer_wants_checkpoint(const struct writer *writer, uint64_t mono_us);
enum sgb_err writer_checkpoint(struct writer *writer,
	const struct sgr_clock *clock, struct buf *out) SGB_MUST_CHECK;
/* Closes the present segment if it is open for SGR_SEGMENT_SECONDS, or took
 * much and then nothing for SGR_REST_SECONDS. */
enum sgb_err writer_tick(
	struct writer *writer, uint64_t mono_us) SGB_MUST_CHECK;
/* The last frame; the writer writes no more. */
enum sgb_err writer_close(struct writer *writer, uint32_t reason,
	const struct sgr_clock *clock, struct buf *out) SGB_MUST_CHECK;

/*
 * When frames could not be written: back to where the file ends. Nothing but
 * writer_close may follow, because another sealed frame would use a nonce
 * again that is perhaps on the disk.
 */
struct writer_mark {
	uint8_t link[SUITE_HASH_LEN];
	uint32_t index;
	uint64_t items, bytes;
};
void writer_mark(const struct writer *writer, struct writer_mark *ret);
void writer_rewind(struct writer *writer, const struct writer_mark *mark);

const uint8_t *writer_link(const struct writer *writer);
uint32_t writer_frames(const struct writer *writer);
uint64_t writer_bytes(const struct writer *writer);
/* Memory it holds at present, for tests and benchmarks. */
size_t writer_memory(const struct writer *writer);

#endif
