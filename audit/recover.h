/*
 * Recovery of one recording after a crash, without any key that reads it: the
 * chain is followed to the last whole frame, what follows is hashed and cut,
 * and a signed RECOVERED frame states it.
 */
#ifndef SGB_RECOVER_H
#define SGB_RECOVER_H

#include "core/err.h"

#include "scan.h"

struct sgr_recovery {
	enum sgr_verdict before; /* what the scan found */
	char text[240];
	uint64_t discarded;
	uint8_t hash[SUITE_HASH_LEN]; /* of the bytes discarded */
	uint32_t frames;
	uint64_t size;
	uint8_t link[SUITE_HASH_LEN]; /* the final one */
};

/* fd is open for reading and writing. SGB_OK if the file now has an end that
 * it had not; SGB_ERR_STALE if it had one; SGB_ERR_FORMAT if it was altered and
 * was left alone; SGB_ERR_NOTFOUND if not even the header is whole. ret is
 * filled in every case. */
enum sgb_err sgr_recover(int fd, const struct suite_key *key,
	const uint8_t boot_id[16], uint64_t wall_ns,
	struct sgr_recovery *ret) SGB_MUST_CHECK;

#endif
