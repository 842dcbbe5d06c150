/*
 * authorized_keys, one file per user in a folder that only root may write
 * (sshd(8), AUTHORIZED_KEYS FILE FORMAT). Every option is honoured or its
 * line is refused; a line that is not understood grants nothing.
 */
#ifndef SGB_AUTHKEYS_H
#define SGB_AUTHKEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/addr.h"
#include "core/err.h"

#define AUTHKEYS_MAX_BYTES (1024 * 1024)
#define AUTHKEYS_MAX_LINE  16384

/* What the options of a line take away; zero takes nothing. */
struct authkeys_limits {
	bool no_pty;
	bool no_forward;
	bool no_agent;
	bool no_x11;
};

/*
 * Looks for the key in folder/user. SGB_OK: found and permitted from source
 * now. SGB_ERR_NOTFOUND: no line has it. SGB_ERR_DENIED: a line has it, but
 * its options forbid this source or time or are not supported. Other errors:
 * the file cannot be trusted or read. why is for the log.
 */
enum sgb_err authkeys_check(const char *folder, const char *user,
	const uint8_t *blob, size_t blob_len, const struct addr *source,
	time_t now, struct authkeys_limits *ret, char *why,
	size_t why_len) SGB_MUST_CHECK;
/*
 * Is the key on the list of revoked ones? SGB_OK: no. SGB_ERR_DENIED: yes.
 * Other errors: the list cannot be read or understood, and the caller denies.
 * fingerprint is the key's, as ssh-keygen prints it.
 */
enum sgb_err authkeys_revoked(const char *path, const uint8_t *blob,
	size_t blob_len, const char *fingerprint, char *why,
	size_t why_len) SGB_MUST_CHECK;
/* One line (without its newline), for the tests and the fuzzer. */
enum sgb_err authkeys_line(const char *line, const uint8_t *blob,
	size_t blob_len, const struct addr *source, time_t now,
	struct authkeys_limits *ret, char *why, size_t why_len) SGB_MUST_CHECK;

#endif
