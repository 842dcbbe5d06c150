/*
 * Packets of both sides of SFTP (draft-ietf-secsh-filexfer-02) in their order,
 * for the tests of the observer and of the filter.
 */
#ifndef SGB_TEST_SFTP_SCRIPT_H
#define SGB_TEST_SFTP_SCRIPT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/buf.h"

struct script {
	struct buf bytes[64];
	bool client[64];
	size_t count;
	char reports[8192];
	bool lost; /* the channel would have ended */
};

/* One more packet, to be written on; its length comes with seal(). */
struct buf *packet(struct script *s, bool client, uint8_t type);
/* Sets all lengths. */
void seal(struct script *s);
/* With one text, for instance a path. */
void request(struct script *s, uint8_t type, uint32_t id, const char *path);
/* The server's. */
void status(struct script *s, uint32_t id, uint32_t code);

#endif
