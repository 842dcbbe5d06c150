/*
 * Lines of the kernel audit log as auditd writes them (RAW or ENRICHED):
 * records that pam_sgbridge sent. The kernel vouches for type, stamp and uid;
 * what is between the quotes is the sender's word, and only root, or who has
 * CAP_AUDIT_WRITE, can send.
 */
#ifndef SGB_KAUDIT_LINE_H
#define SGB_KAUDIT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KAUDIT_VALUE_MAX 520
struct kaudit_line {
	char stamp[48]; /* "1732370000.123:456" */
	int64_t ms;
	char op[32]; /* "mfa", "policy", "session" */
	bool ok;
	char acct[KAUDIT_VALUE_MAX], method[40], reason[60];
	char rule[KAUDIT_VALUE_MAX], fingerprint[120], ref[40], conn[64];
	char service[64]; /* of PAM; "" in records of before it was told */
	char exe[KAUDIT_VALUE_MAX], addr[64], terminal[64];
};
/* False: no such record, or not quite of this form. */
bool kaudit_line_read(const char *line, size_t len, struct kaudit_line *ret);

#endif
