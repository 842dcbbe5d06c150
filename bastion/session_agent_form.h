/*
 * The agent protocol (draft-ietf-sshm-ssh-agent) as far as logging on with a
 * user's own agent needs it: two questions, and what comes back, which is
 * foreign and a fuzz target. Bytes in, bytes out.
 */
#ifndef SGB_SESSION_AGENT_FORM_H
#define SGB_SESSION_AGENT_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

/* The length and what it counts; OpenSSH's agent sends as much. */
#define AGENT_FORM_MAX	     (4 + 256 * 1024)
#define AGENT_FORM_SIGNATURE 4096

enum agent_form {
	AGENT_FORM_BAD = 0, /* no answer that there is */
	AGENT_FORM_MORE,    /* not all of it yet */
	AGENT_FORM_REFUSED,
	AGENT_FORM_GOOD,
};

/* Appends a question; the caller looks at buf_error. */
void agent_form_ask_keys(struct buf *out);
void agent_form_ask_signature(struct buf *out, const uint8_t *key,
	size_t key_len, const uint8_t *data, size_t len, uint32_t flags);

/* Is this the answer to agent_form_ask_keys? *ret_held: the agent has key. */
enum agent_form agent_form_keys(const uint8_t *answer, size_t len,
	const uint8_t *key, size_t key_len, bool *ret_held);
/* To agent_form_ask_signature? *ret is inside answer, not empty, and nobody
 * has verified it. */
enum agent_form agent_form_signature(const uint8_t *answer, size_t len,
	const uint8_t **ret, size_t *ret_len);

#endif
