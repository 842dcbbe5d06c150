/*
 * The header of a recording: written once with a stanza for each recipient,
 * parsed without keys, opened with a recipient's private key.
 */
#ifndef SGB_HEADER_H
#define SGB_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

#include "container.h"
#include "ratchet.h"
#include "stanza.h"

#define SGR_RECIPIENTS_MAX 32
#define SGR_NAME_MAX	   256

struct sgr_header_params {
	uint8_t rec_id[SGR_ID_LEN];
	uint64_t start_ns;
	const char *writer_name;
	const char *retention;
	uint8_t prev_head[SUITE_HASH_LEN];
	uint8_t writer_key[SUITE_KEY_LEN];
	const struct sgr_recipient *recipients; /* at least one */
	size_t recipient_count;
};

/* Appends preamble and header (not the link) to out, which must be empty, and
 * starts the ratchet. The file key does not outlive the call. */
enum sgb_err sgr_header_write(const struct sgr_header_params *params,
	struct ratchet *ret, struct buf *out) SGB_MUST_CHECK;

/* All pointers borrow from the bytes that were parsed. */
struct sgr_header {
	uint16_t flags;
	uint8_t rec_id[SGR_ID_LEN];
	uint8_t writer_id[SUITE_HASH_LEN];
	uint8_t writer_key[SUITE_KEY_LEN];
	uint8_t prev_head[SUITE_HASH_LEN];
	uint64_t start_ns;
	char writer_name[SGR_NAME_MAX]; /* bytes of a stranger: escape */
	char retention[SGR_NAME_MAX];
	struct sgr_stanza stanzas[SGR_RECIPIENTS_MAX];
	size_t stanza_count;
	const uint8_t *raw; /* preamble and header */
	size_t raw_len;
	size_t mac_at; /* where the header_mac TLV begins in raw */
	const uint8_t *commit;
	const uint8_t *mac;
};

/* raw is preamble and header, exactly. SGB_ERR_UNSUPPORTED for another
 * version, suite or critical field; SGB_ERR_CRYPTO if writer id and key do not
 * belong together; else SGB_ERR_FORMAT. */
enum sgb_err sgr_header_parse(
	const uint8_t *raw, size_t len, struct sgr_header *ret) SGB_MUST_CHECK;
/* SGB_ERR_NOTFOUND: none of these keys is a recipient (or only one half of a
 * quorum is there); SGB_ERR_CRYPTO: MAC or commitment do not fit. */
enum sgb_err sgr_header_open(const struct sgr_header *header,
	struct identity *const *identities, size_t count,
	struct ratchet *ret) SGB_MUST_CHECK;

#endif
