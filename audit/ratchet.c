/* The key ratchet: three lines of HKDF, and wiping. */
#include "ratchet.h"

#include <string.h>

#include "core/secret.h"

enum sgb_err ratchet_start(struct ratchet *ratchet,
	const uint8_t rec_id[SGR_ID_LEN], const uint8_t file_key[SUITE_KEY_LEN])
{
	ratchet->segment = 0;
	return suite_extract(
		rec_id, SGR_ID_LEN, file_key, SUITE_KEY_LEN, ratchet->ck);
}

enum sgb_err ratchet_segment_key(
	const struct ratchet *ratchet, uint8_t ret[SUITE_KEY_LEN])
{
	uint8_t info[12] = "SGR1 seg";
	size_t i;

	for (i = 0; i < 4; i++)
		info[8 + i] = (uint8_t)(ratchet->segment >> (8 * i));
	return suite_expand(ratchet->ck, info, sizeof(info), ret);
}

enum sgb_err ratchet_cipher(
	const struct ratchet *ratchet, struct suite_cipher **ret)
{
	uint8_t key[SUITE_KEY_LEN];
	enum sgb_err err = ratchet_segment_key(ratchet, key);

	if (!err)
		err = suite_cipher_new(key, ret);
	secret_wipe(key, sizeof(key));
	return err;
}

enum sgb_err ratchet_step(struct ratchet *ratchet)
{
	uint8_t next[SUITE_KEY_LEN];
	enum sgb_err err;

	err = suite_expand(ratchet->ck, "SGR1 next", 9, next);
	if (err || ratchet->segment == UINT32_MAX) {
		ratchet_wipe(ratchet);
		err = err ? err : SGB_ERR_LIMIT;
	} else {
		memcpy(ratchet->ck, next, sizeof(next));
		ratchet->segment++;
	}
	secret_wipe(next, sizeof(next));
	return err;
}

void ratchet_wipe(struct ratchet *ratchet)
{
	secret_wipe(ratchet, sizeof(*ratchet));
}
