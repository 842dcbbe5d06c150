/*
 * sgbridge-otp: what its commands share. Each command is a function from a
 * parsed command line to an exit status (sysexits.h where one fits).
 */
#ifndef SGB_OTP_TOOL_H
#define SGB_OTP_TOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/conf.h"
#include "otp_store.h"
#include "otp_uri.h"

struct tool {
	const char *command;
	const char *conf_path;
	struct conf *conf;
	struct otp_store store;
	char **words; /* what stands after the command */
	int word_count;
	/* options */
	bool json;
	bool replace;
	bool no_confirm;
	bool secrets;
	bool prune;
	bool reseal;
	bool secret_stdin;
	const char *confirm;
	const char *issuer;
	const char *format;
	const char *user;
	const char *output;
	enum otp_qr qr;
	enum otp_kind kind;
	enum otp_hash hash;
	unsigned int digits;
	unsigned int period;
	unsigned int scratch;
	unsigned int days;
};

/* sgbridge-otp.c: one line to stderr; returns status. */
int tool_fail(int status, const char *fmt, ...) SGB_PRINTF(2, 3);
/* Locks a person's records and reports what is wrong. 0 or an exit status. */
int tool_lock(struct tool *tool, const char *user, bool create,
	struct otp_entry *ret);
/* As tool_lock, and the person must have an active token. */
int tool_lock_enrolled(
	struct tool *tool, const char *user, struct otp_entry *ret);
/* Log line and kernel audit record of a change (AUDIT_USER_MGMT). */
void tool_note(struct tool *tool, const char *op, const char *user, bool ok);
/* A line from standard input without its end, the terminal's echo off where
 * there is one; NULL at the end. The caller wipes and frees. */
char *tool_read_line(const char *prompt, bool echo);
/* Appends "name":"text" with a comma in front unless first. */
void tool_json_text(
	struct buf *out, bool first, const char *name, const char *text);
/* Prints out and wipes it; SGB errors become an exit status. */
int tool_print(struct buf *out);

/* otp_enrol.c */
int command_enrol(struct tool *tool);
int command_invite(struct tool *tool);
int command_confirm(struct tool *tool);
int command_scratch(struct tool *tool);
/* otp_admin.c */
int command_status(struct tool *tool);
int command_list(struct tool *tool);
int command_unlock(struct tool *tool);
int command_resync(struct tool *tool);
int command_reset(struct tool *tool);
/* otp_keys.c */
int command_master_key(struct tool *tool);
int command_rotate_key(struct tool *tool);
/* otp_unseal.c */
int command_unseal(struct tool *tool);
/* Is this folder in memory, so that a file in it is gone with the power? */
bool tool_in_memory(int dir);
/* otp_transfer.c */
int command_import(struct tool *tool);
int command_export(struct tool *tool);

#endif
