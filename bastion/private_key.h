/*
 * Private keys of the bastion's own in files: host keys and the user CA. The
 * formats and kinds are privkey.h's. Files of root's; never read where a peer
 * is heard.
 */
#ifndef SGB_PRIVATE_KEY_H
#define SGB_PRIVATE_KEY_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/sshkey.h"

struct private_key {
	EVP_PKEY *key;
	struct sshkey public; /* as parsed from blob */
	uint8_t *blob;	      /* the public half, as SSH has it */
	size_t blob_len;
};

/* From the text of a file. *ret is the caller's to free; after an error it is
 * empty, and why says what was expected. SGB_ERR_DENIED: a passphrase. */
enum sgb_err private_key_parse(const struct buf *text, struct private_key *ret,
	char *why, size_t why_len) SGB_MUST_CHECK;
/* From a file that must be a secret of root's. why says what is wrong with it
 * and what was expected. */
enum sgb_err private_key_load(const char *path, struct private_key *ret,
	char *why, size_t why_len) SGB_MUST_CHECK;
void private_key_done(struct private_key *key);

#endif
