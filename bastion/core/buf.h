/*
 * Growing byte buffers with a limit, and bounds-checked readers.
 *
 * A buffer remembers its first failure: a run of buf_put_* calls needs one
 * check of buf_error() at the end, and a failed buffer stays failed. Integers
 * are big-endian and strings carry a u32 length (RFC 4251 section 5), which
 * both SSH and the messages between our processes use. The little-endian
 * writers are for the recording container alone (docs/RECORDING.md).
 */
#ifndef SGB_BUF_H
#define SGB_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct buf {
	uint8_t *data;
	size_t len;	  /* bytes written */
	size_t cap;	  /* bytes allocated */
	size_t max;	  /* never grows beyond this */
	enum sgb_err err; /* first failure, sticky */
};

/* An empty buffer that may grow to max bytes. Allocates nothing yet. */
void buf_init(struct buf *buf, size_t max);
/* Wipes and frees the content; the buffer may be used again after buf_init. */
void buf_done(struct buf *buf);
/* Forgets content and error, keeps the memory. */
void buf_reset(struct buf *buf);
/* The content with a NUL behind it, the caller's to free and to wipe; the
 * buffer is empty then. NULL: something had failed, nothing is taken. */
char *buf_take(struct buf *buf);
/* Room for len more bytes, or NULL (and the error is remembered). */
uint8_t *buf_extend(struct buf *buf, size_t len);
/* Drops len bytes from the front. len must not exceed buf->len. */
void buf_consume(struct buf *buf, size_t len);

void buf_put(struct buf *buf, const void *data, size_t len);
void buf_put_u8(struct buf *buf, uint8_t value);
void buf_put_u16(struct buf *buf, uint16_t value);
void buf_put_u32(struct buf *buf, uint32_t value);
void buf_put_u64(struct buf *buf, uint64_t value);
/* u32 length and bytes (RFC 4251 "string"). */
void buf_put_string(struct buf *buf, const void *data, size_t len);
/* As buf_put_string, of a C string without its NUL. NULL is "". */
void buf_put_cstring(struct buf *buf, const char *text);
/* Formatted text, no NUL, no length. */
void buf_printf(struct buf *buf, const char *fmt, ...) SGB_PRINTF(2, 3);
void buf_put_le16(struct buf *buf, uint16_t value);
void buf_put_le32(struct buf *buf, uint32_t value);
void buf_put_le64(struct buf *buf, uint64_t value);
/* SGB_OK, or the first failure since buf_init/buf_reset. */
enum sgb_err buf_error(const struct buf *buf) SGB_MUST_CHECK;

/* A view of bytes that somebody else owns. Failure is sticky here too. */
struct reader {
	const uint8_t *data;
	size_t left;
	enum sgb_err err;
};

void reader_init(struct reader *rd, const void *data, size_t len);
/* Each of these yields 0, "" or NULL and remembers SGB_ERR_FORMAT when the
 * bytes do not suffice. */
uint8_t reader_u8(struct reader *rd);
uint16_t reader_u16(struct reader *rd);
uint32_t reader_u32(struct reader *rd);
uint64_t reader_u64(struct reader *rd);
uint16_t reader_le16(struct reader *rd);
uint32_t reader_le32(struct reader *rd);
uint64_t reader_le64(struct reader *rd);
/* len bytes in place, borrowed from the reader's memory. */
const uint8_t *reader_bytes(struct reader *rd, size_t len);
/* A string in place; *ret_len is its length (0 on failure). */
const uint8_t *reader_string(struct reader *rd, size_t *ret_len);
/* A string as a C string in heap memory, which the caller frees; refuses NUL
 * bytes inside and more than max bytes. NULL on failure. */
char *reader_cstring(struct reader *rd, size_t max);
/* Is the next string these bytes, or this text, and nothing else? */
bool reader_is(struct reader *rd, const void *want, size_t len);
bool reader_is_text(struct reader *rd, const char *want);
/* SGB_OK only if nothing failed and nothing is left over. */
enum sgb_err reader_end(const struct reader *rd) SGB_MUST_CHECK;

#endif
