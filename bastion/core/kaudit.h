/*
 * Kernel audit records through libaudit, so that ausearch and aureport tell
 * the story too. Only the PAM module, the monitor and the recorder link this.
 *
 * What libaudit does not say plainly, tried: op is copied as it is, so it is a
 * constant; values are encoded here; a NULL address would mean DNS, so it is
 * always numeric or "?"; without CAP_AUDIT_WRITE the user-message call says 0
 * with errno EPERM.
 */
#ifndef SGB_KAUDIT_H
#define SGB_KAUDIT_H

#include <stdbool.h>

#include "core/conf.h"
#include "core/err.h"

struct kaudit_record {
	int type;	/* AUDIT_USER_AUTH, ... from libaudit.h */
	const char *op; /* constant, no spaces: "sgbridge:mfa" */
	bool ok;
	const char *user;
	const char *addr;     /* numeric, or NULL: "?" */
	const char *terminal; /* "ssh", "sudo"; NULL: "?" */
	/* NULL-terminated pairs "name", value, ... ; names are constants,
	 * values are encoded. May be NULL. */
	const char *const *fields;
};

/* Sends one record. SGB_OK if the kernel took it; SGB_ERR_UNSUPPORTED where
 * auditing is not there or not permitted (EPERM, ECONNREFUSED,
 * EPROTONOSUPPORT); else SGB_ERR_SYSTEM. The caller decides with
 * conf->audit what a failure means. */
enum sgb_err kaudit_send(const struct kaudit_record *record) SGB_MUST_CHECK;
/* True if this outcome must deny under this setting. */
bool kaudit_denies(enum conf_audit audit, enum sgb_err outcome);

#endif
