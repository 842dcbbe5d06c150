/*
 * Keys that a program knows (AuthorizedKeysCommand in sshd_config(5)): asked
 * by the monitor, run as a user of its own, without a shell, for a short time.
 */
#ifndef SGB_AUTHKEYS_COMMAND_H
#define SGB_AUTHKEYS_COMMAND_H

#include "authkeys.h"
#include "core/conf.h"

/*
 * Runs authorized-keys-command and scans what it prints, like the lines of a
 * file; fingerprint and type are those of the key that was offered. Returns
 * as authkeys_check does; SGB_ERR_NOTFOUND if there is no command, other
 * errors if it could not be asked or did not answer in full, which must deny.
 */
enum sgb_err authkeys_command(const struct conf *conf,
	const struct authkeys_query *query, const char *fingerprint,
	const char *type, struct authkeys_limits *ret, char *why,
	size_t why_len) SGB_MUST_CHECK;

#endif
