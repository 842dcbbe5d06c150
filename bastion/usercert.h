/*
 * OpenSSH user certificates (PROTOCOL.certkeys) as people present them: every
 * field is read, the CA's signature is verified here, and whatever is not
 * understood and marked critical refuses. libssh has verified only that the
 * user holds the key inside. Certificates of hosts are read by the same.
 */
#ifndef SGB_USERCERT_H
#define SGB_USERCERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/addr.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/sshkey.h"

#define USERCERT_TEXT_MAX 1024

struct usercert {
	struct sshkey key; /* the key inside, and the CA's fingerprint */
	uint64_t serial;
	char key_id[256];
	/* Critical options; "" where there is none. */
	char command[USERCERT_TEXT_MAX];
	char source_address[USERCERT_TEXT_MAX];
	bool verify_required;
	/* Extensions: what is not there is not permitted. */
	bool pty, forward, agent, x11, no_touch;
	/* Of the first one that means nothing to us, else "". */
	char unknown_extension[64];
	const uint8_t *ca; /* its blob; this and the next two: borrowed */
	size_t ca_len;
	const uint8_t *fields; /* of the key inside */
	size_t fields_len;
	const uint8_t *principals;
	size_t principals_len;
};

/*
 * A whole and well-formed certificate for a user, with a signature of the CA
 * whose key is inside; whether that CA counts is the caller's to say. The
 * strings it points to belong to blob. SGB_ERR_FORMAT, _UNSUPPORTED or
 * _DENIED otherwise; why says what is wrong with it.
 */
enum sgb_err usercert_parse(const uint8_t *blob, size_t len,
	struct usercert *ret, char *why, size_t why_len) SGB_MUST_CHECK;
/* The same of a host's. No critical option is known for one; principals are
 * names or patterns, and there is at least one, where OpenSSH takes none for
 * every host. */
enum sgb_err usercert_parse_host(const uint8_t *blob, size_t len,
	struct usercert *ret, char *why, size_t why_len) SGB_MUST_CHECK;
/* Is it valid at this time and from this address? Else SGB_ERR_DENIED. */
enum sgb_err usercert_valid(const struct usercert *cert,
	const struct addr *source, time_t now, char *why,
	size_t why_len) SGB_MUST_CHECK;
/* Is exactly this name among its principals? */
bool usercert_names(const struct usercert *cert, const char *principal);

/* Appends the key inside as a plain blob. */
void usercert_plain(const struct usercert *cert, struct buf *out);

#endif
