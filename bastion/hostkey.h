/*
 * Is this the host key of that instance? Pins of the policy, known_hosts files
 * of the settings, and host certificates of the CAs in those. A key belongs to
 * the node: it is looked for under the instance's name, whatever its address.
 */
#ifndef SGB_HOSTKEY_H
#define SGB_HOSTKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/buf.h"
#include "core/conf.h"
#include "core/err.h"

#define HOSTKEY_TEXT_MAX 1024

/* A node, and where one looks. Borrowed. */
struct hostkey_node {
	const char *name; /* of a subnet's, the address */
	uint16_t port;
	const char *const *pins; /* NULL-terminated */
	const struct conf_list *files;
	const char *cache; /* folder of certificates that were seen */
};

enum hostkey_verdict {
	HOSTKEY_REFUSED = 0,
	HOSTKEY_WANTED, /* not known, but its certificate might be */
	HOSTKEY_ACCEPTED,
};

struct hostkey_result {
	enum hostkey_verdict verdict;
	char shown[128];	    /* "SHA256:... (ssh-ed25519)" */
	char by[HOSTKEY_TEXT_MAX];  /* who vouched, if accepted */
	char why[HOSTKEY_TEXT_MAX]; /* what is wrong, and what to do */
	const char *public_text;    /* for the user: "is not known", ... */
};

/*
 * Judges a key (a plain blob) that the node's signature proved. Where the
 * policy pins keys, those are the ones; what a known_hosts file revokes is
 * refused either way. A file that cannot be read or understood refuses.
 */
void hostkey_judge(const struct hostkey_node *node, const uint8_t *blob,
	size_t len, time_t now, struct hostkey_result *ret);
/* Judges it again with a certificate that the node shows for it, from whoever
 * that came; one that is good is put into the cache. */
void hostkey_judge_certificate(const struct hostkey_node *node,
	const uint8_t *blob, size_t len, const uint8_t *cert, size_t cert_len,
	time_t now, struct hostkey_result *ret);

/* Is there anything that could vouch for the node? */
bool hostkey_any(const struct hostkey_node *node);
/* Writes the algorithms to ask for, those of known keys first. */
void hostkey_algorithms(
	const struct hostkey_node *node, char *out, size_t out_len);
/* Appends a line for each thing that would vouch, or revokes, with its place:
 * "pin SHA256:...", "/etc/...:12 key SHA256:...", between before and "\n". */
enum sgb_err hostkey_describe(const struct hostkey_node *node,
	const char *before, struct buf *out) SGB_MUST_CHECK;
/* Reads a file only to see whether it is good. */
enum sgb_err hostkey_check_file(
	const char *path, char *why, size_t why_len) SGB_MUST_CHECK;

#endif
