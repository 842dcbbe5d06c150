/*
 * Files of known hosts, in OpenSSH's format: sshd(8), "SSH_KNOWN_HOSTS FILE
 * FORMAT". Root's files; what is wrong in them is an error and not skipped as
 * ssh does, since the line with the slip may be the one that revokes a key.
 * A fuzz target.
 */
#ifndef SGB_KNOWNHOSTS_H
#define SGB_KNOWNHOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/sshkey.h"

#define KNOWNHOSTS_MAX_BYTES (16u * 1024 * 1024)

enum knownhosts_marker {
	KNOWNHOSTS_REVOKED = 0, /* @revoked */
	KNOWNHOSTS_KEY,
	KNOWNHOSTS_CA, /* @cert-authority */
};

/* A line about the host that was asked for. */
struct knownhosts_line {
	enum knownhosts_marker marker;
	unsigned int number; /* from 1 */
	/* Matched as [name]:port; else as the name alone, which counts for
	 * another port than 22 where no line of the first kind does. */
	bool with_port;
	struct sshkey key;
	const uint8_t *blob; /* borrowed for the call */
	size_t blob_len;
};

struct knownhosts_mistake {
	unsigned int line;
	const char *text; /* constant: what was expected */
};

/*
 * Reads all of text and calls each for the lines about name and port, in
 * order; for every line with a key when name is NULL. Lines of key types that
 * are not known here, and of SSH 1, are passed over. SGB_ERR_FORMAT, with the
 * mistake, at the first line whose names are wrong, or whose key is, if the
 * line is about the name.
 */
enum sgb_err knownhosts_each(const char *text, size_t len, const char *name,
	uint16_t port,
	void (*each)(const struct knownhosts_line *line, void *arg), void *arg,
	struct knownhosts_mistake *ret_mistake) SGB_MUST_CHECK;

/* One pattern of ssh_config(5), "PATTERNS": * and ?, in any case. */
bool knownhosts_match(const char *pattern, size_t len, const char *name);

#endif
