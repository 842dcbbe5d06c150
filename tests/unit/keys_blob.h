/* An ed25519 key made for tests alone, as text and as RFC 4253 has it. */
#ifndef SGB_TEST_KEYS_BLOB_H
#define SGB_TEST_KEYS_BLOB_H

#include <stdint.h>

#define KEY_BLOB_LEN 51
#define KEY_TEXT \
	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBU" \
	"WFxgZGhscHR4f"

extern uint8_t blob[KEY_BLOB_LEN];
/* Sets blob. */
void make_blob(void);

#endif
