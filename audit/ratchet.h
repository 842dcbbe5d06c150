/*
 * The key ratchet of a recording (docs/RECORDING.md, "Keys"). After a step the
 * key of the segment before exists nowhere in this process.
 */
#ifndef SGB_RATCHET_H
#define SGB_RATCHET_H

#include <stdint.h>

#include "core/err.h"

#include "container.h"

struct ratchet {
	uint8_t ck[SUITE_KEY_LEN];
	uint32_t segment;
};

/* ck(0) from the file key, which stays the caller's to wipe. */
enum sgb_err ratchet_start(struct ratchet *ratchet,
	const uint8_t rec_id[SGR_ID_LEN],
	const uint8_t file_key[SUITE_KEY_LEN]) SGB_MUST_CHECK;
/* A cipher for the present segment; the caller frees it. */
enum sgb_err ratchet_cipher(const struct ratchet *ratchet,
	struct suite_cipher **ret) SGB_MUST_CHECK;
/* sk(n) itself, for disclosing one segment. The caller wipes it. */
enum sgb_err ratchet_segment_key(const struct ratchet *ratchet,
	uint8_t ret[SUITE_KEY_LEN]) SGB_MUST_CHECK;
/* To the next segment. On failure nothing is left in it. */
enum sgb_err ratchet_step(struct ratchet *ratchet) SGB_MUST_CHECK;
void ratchet_wipe(struct ratchet *ratchet);

#endif
