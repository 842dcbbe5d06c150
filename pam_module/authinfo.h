/*
 * What sshd says about a connection in PAM's environment: SSH_AUTH_INFO_0
 * (sshd_config(5), ExposeAuthInfo, has the format; one line per method that
 * succeeded) and SSH_CONNECTION. Foreign bytes; a fuzz target. Strict: what
 * is malformed is an error, and the caller denies.
 */
#ifndef SGB_AUTHINFO_H
#define SGB_AUTHINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/err.h"
#include "core/sshkey.h"

#define AUTHINFO_MAX_BYTES 65536
#define AUTHINFO_MAX_LINES 32
#define AUTHINFO_MAX_KEYS  8

struct authinfo {
	size_t key_count; /* keys that were proved, in order */
	struct sshkey keys[AUTHINFO_MAX_KEYS];
	bool kbdint_pam; /* keyboard-interactive/pam has succeeded */
	bool password;
};

/* text may be NULL or "": nothing was proved. */
enum sgb_err authinfo_parse(
	const char *text, struct authinfo *ret) SGB_MUST_CHECK;
/* "client-address client-port server-address server-port". A zone id is cut
 * from a link-local address. */
enum sgb_err authinfo_connection(const char *text, struct addr *ret_source,
	uint16_t *ret_port) SGB_MUST_CHECK;
/* A numeric address as PAM_RHOST may have one; never a name. */
enum sgb_err authinfo_address(
	const char *text, size_t len, struct addr *ret) SGB_MUST_CHECK;

#endif
