/*
 * The recording container's layout (docs/RECORDING.md): what its writer and
 * its readers share. Numbers here are on disk.
 */
#ifndef SGB_CONTAINER_H
#define SGB_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

#include "suite.h"

#define SGR_MAGIC	       "\x89SGR1\r\n\x1a"
#define SGR_PREAMBLE_LEN       16
#define SGR_HEADER_MAX	       65536
#define SGR_HEAD_LEN	       16
#define SGR_LINK_LEN	       16
#define SGR_BODY_MAX	       (1024 * 1024)
#define SGR_PLAIN_MAX	       (1024 * 1024)
#define SGR_ID_LEN	       16
#define SGR_ID_TEXT	       37 /* with its NUL */
#define SGR_PAD		       64
#define SGR_FLAG_QUORUM	       4
#define SGR_AAD_LEN	       (SGR_ID_LEN + SGR_HEAD_LEN + SUITE_HASH_LEN)
#define SGR_SEGMENT_BYTES      (256 * 1024)
#define SGR_SEGMENT_SECONDS    30
#define SGR_REST_SECONDS       2
#define SGR_CHECKPOINT_BYTES   (1024 * 1024)
#define SGR_CHECKPOINT_SECONDS 5
#define SGR_WINDOW_LOG	       17

enum sgr_tlv {
	SGR_TLV_REC_ID = 0x0001,
	SGR_TLV_WRITER_ID = 0x0002,
	SGR_TLV_WRITER_NAME = 0x0003,
	SGR_TLV_START_TIME = 0x0004,
	SGR_TLV_RETENTION = 0x0006,
	SGR_TLV_SUITE = 0x0007,
	SGR_TLV_PREV_HEAD = 0x0008,
	SGR_TLV_WRITER_KEY = 0x0009,
	SGR_TLV_STANZA = 0x0010,
	SGR_TLV_COMMIT = 0x001e,
	SGR_TLV_HEADER_MAC = 0x001f,
};

enum sgr_frame_type {
	SGR_CHECKPOINT = 0x20,
	SGR_CLOSE = 0x2e,
	SGR_RECOVERED = 0x2f,
	SGR_META = 0x40,
	SGR_EVENTS = 0x41,
};

enum sgr_frame_flag {
	SGR_ZSTD = 2,
	SGR_PADDED = 4,
	SGR_INPUT = 8,
};

#define SGR_CHECKPOINT_LEN 120
#define SGR_CLOSE_LEN	   128
#define SGR_RECOVERED_LEN  160

struct sgr_head {
	uint8_t type;
	uint8_t flags;
	uint32_t segment;
	uint32_t index;
	uint32_t len;
};

void sgr_head_put(const struct sgr_head *head, uint8_t ret[SGR_HEAD_LEN]);
/* False if reserved bytes, type, flags or length are not what may be. */
bool sgr_head_get(const uint8_t bytes[SGR_HEAD_LEN], struct sgr_head *ret);
bool sgr_type_encrypted(unsigned int type);
/* L(-1). */
enum sgb_err sgr_link_first(const void *preamble_and_header, size_t len,
	uint8_t ret[SUITE_HASH_LEN]) SGB_MUST_CHECK;
/* L(i) over L(i-1), in place. */
enum sgb_err sgr_link_next(uint8_t link[SUITE_HASH_LEN],
	const uint8_t head[SGR_HEAD_LEN], const uint8_t *body,
	size_t len) SGB_MUST_CHECK;
void sgr_aad(const uint8_t rec_id[SGR_ID_LEN], const uint8_t head[SGR_HEAD_LEN],
	const uint8_t link[SUITE_HASH_LEN], uint8_t ret[SGR_AAD_LEN]);
void sgr_nonce(uint32_t index, uint8_t ret[SUITE_NONCE_LEN]);
/* What the signature of a signed frame covers, appended to out. */
enum sgb_err sgr_signed_bytes(const uint8_t rec_id[SGR_ID_LEN],
	const uint8_t head[SGR_HEAD_LEN], const uint8_t link[SUITE_HASH_LEN],
	const uint8_t *body, size_t len, struct buf *out) SGB_MUST_CHECK;

void sgr_put_varint(struct buf *out, uint64_t value);
/* Shortest form only. */
uint64_t sgr_get_varint(struct reader *rd);

/* UUIDv7 from a wall clock; SGB_ERR_CRYPTO without random bytes. */
enum sgb_err sgr_id_new(
	uint64_t wall_ns, uint8_t ret[SGR_ID_LEN]) SGB_MUST_CHECK;
void sgr_id_text(const uint8_t id[SGR_ID_LEN], char ret[SGR_ID_TEXT]);
enum sgb_err sgr_id_parse(
	const char *text, uint8_t ret[SGR_ID_LEN]) SGB_MUST_CHECK;
/* "2026/11/23/UUID.sgr" */
#define SGR_PATH_MAX 64
void sgr_path(const uint8_t id[SGR_ID_LEN], char ret[SGR_PATH_MAX]);

#endif
