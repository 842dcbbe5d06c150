/*
 * Those who watch a recording while it is made: each gets, on a socket, what
 * the user of the session sees, once it is written. Never what was typed. One
 * who does not keep up is dropped; nobody can slow the recording down.
 */
#ifndef SGB_VIEWERS_H
#define SGB_VIEWERS_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/record.h"

#define VIEWERS_MAX 8 /* of one recording */

struct viewers;

/* Makes *viewers if it is NULL. *ret_fd is the watching end, the caller's to
 * pass on and close. SGB_ERR_LIMIT beyond VIEWERS_MAX. */
enum sgb_err viewers_add(struct viewers **viewers, int *ret_fd) SGB_MUST_CHECK;
/* Keeps an item for viewers_send; viewers may be NULL. */
void viewers_note(struct viewers *viewers, uint32_t channel,
	enum record_kind kind, const void *data, size_t len);
/* What was noted is written: hands it over. */
void viewers_send(struct viewers *viewers);
/* Closes all ends, which tells them that it is over. */
void viewers_free(struct viewers *viewers);

#endif
