/*
 * Kernel audit records. Trusts libaudit to talk to the kernel and nothing
 * else: every value is encoded here, no name is ever resolved, and a failure
 * that libaudit hides behind "0" is reported.
 */
#include "core/kaudit.h"

#include <errno.h>
#include <libaudit.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"

/* The kernel takes about 8.9 kB; exe, addresses and terminal come on top. */
#define MESSAGE_MAX 8000
/* What a peer chose may be long; what a reader needs of it is not. */
#define VALUE_MAX 512

static void put_field(struct buf *buf, const char *name, const char *value)
{
	char copy[VALUE_MAX + 1];
	size_t len = value ? strnlen(value, VALUE_MAX) : 0;
	char *text;

	if (!len) {
		buf_printf(buf, " %s=?", name);
		return;
	}
	/* A value that needs no hexadecimal is copied to its NUL, whatever
	 * length was given. */
	memcpy(copy, value, len);
	copy[len] = '\0';
	text = audit_encode_nv_string(name, copy, (unsigned int)len);
	if (text)
		buf_printf(buf, " %s", text);
	else
		buf->err = SGB_ERR_NOMEM;
	free(text);
}

static enum sgb_err build(const struct kaudit_record *record, struct buf *buf)
{
	const char *const *field = record->fields;

	buf_printf(buf, "op=%s", record->op);
	put_field(buf, "acct", record->user);
	for (; field && field[0]; field += 2)
		put_field(buf, field[0], field[1]);
	buf_put_u8(buf, 0);
	return buf_error(buf);
}

static enum sgb_err outcome(int result, int error)
{
	if (result > 0)
		return SGB_OK;
	if (error == EPERM || error == ECONNREFUSED ||
		error == EPROTONOSUPPORT || error == EAFNOSUPPORT)
		return SGB_ERR_UNSUPPORTED;
	errno = error;
	return SGB_ERR_SYSTEM;
}

static enum sgb_err send_text(const struct kaudit_record *record, char *text)
{
	const char *addr = record->addr && *record->addr ? record->addr : "?";
	const char *tty = record->terminal && *record->terminal
				  ? record->terminal
				  : "?";
	int fd, result, error;

	errno = 0;
	fd = audit_open();
	if (fd < 0)
		return outcome(-1, errno);
	errno = 0;
	result = audit_log_user_message(
		fd, record->type, text, addr, addr, tty, record->ok);
	/* Some failures come as -errno with errno untouched. */
	error = errno ? errno : -result;
	audit_close(fd);
	return outcome(result, error);
}

enum sgb_err kaudit_send(const struct kaudit_record *record)
{
	struct buf text;
	enum sgb_err err;

	buf_init(&text, MESSAGE_MAX);
	err = build(record, &text);
	if (!err)
		err = send_text(record, (char *)text.data);
	buf_done(&text);
	return err;
}

bool kaudit_denies(enum conf_audit audit, enum sgb_err outcome_of_send)
{
	return audit != CONF_AUDIT_TRY && audit != CONF_AUDIT_OFF &&
	       outcome_of_send != SGB_OK;
}
