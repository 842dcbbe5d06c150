/*
 * Lets an SFTP client read or write only, as the policy says: a request that
 * is not permitted never reaches the server, and is answered with
 * SSH_FX_PERMISSION_DENIED between the server's own answers.
 *
 * Used only where one of the two is missing; where both are permitted,
 * nothing stands in the stream.
 */
#ifndef SGB_SESSION_SFTP_FILTER_H
#define SGB_SESSION_SFTP_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

struct sftp_filter;

/* refused(arg, text) is told each request that was held back. NULL without
 * memory. */
struct sftp_filter *sftp_filter_new(bool may_read, bool may_write,
	void (*refused)(void *arg, const char *text), void *arg);
void sftp_filter_free(struct sftp_filter *filter); /* NULL is fine */
/* Bytes from the client; what may go on is appended to out. SGB_ERR_FORMAT
 * for what is not SFTP: the channel must end. */
enum sgb_err sftp_filter_client(struct sftp_filter *filter, const void *data,
	size_t len, struct buf *out) SGB_MUST_CHECK;
/* Bytes from the server; they are appended to out with our answers in
 * between. With len 0, just the answers that can be given now. */
enum sgb_err sftp_filter_server(struct sftp_filter *filter, const void *data,
	size_t len, struct buf *out) SGB_MUST_CHECK;

#endif
