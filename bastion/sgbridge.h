/* What the files of the sgbridge command share. */
#ifndef SGB_SGBRIDGE_H
#define SGB_SGBRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/policy_int.h"

#define CLI_GIVEN_MAX 32

/* What a command line says, and what is read for it. */
struct cli {
	const char *command;
	const char *config; /* sgbridge.conf */
	const char *policy_path;
	char *own_path; /* if it is from sgbridge.conf */
	bool json;
	bool colour;
	bool write;		  /* fmt: change the file */
	bool mark;		  /* check: note that it is good */
	bool dot, svg;		  /* topology show: a picture */
	bool diff, dry_run;	  /* topology nftables, apply */
	bool nftables, undo;	  /* instance-setup */
	bool switch_over, finish; /* rotate */
	const char *instance;	  /* topology nftables, apply: whose */
	const char *confirm;	  /* topology apply: how long to wait */
	const char *groups;	  /* Unix groups instead of NSS's: "a,b" */
	bool connect;		  /* doctor: try the instances' ports */
	const char *type;	  /* key: of what kind */
	const char *since;	  /* replay: how far back, "30d" */
	const char *events;	  /* replay: folder of the trail */
	const char *sshd_config;  /* doctor: another sshd_config */
	const char *keys;	  /* check: folder of authorized_keys, or "" */
	unsigned int max_days;	  /* check: keys older than this */
	unsigned int idle_days;	  /* check: keys not used for this long */
	const char *given[CLI_GIVEN_MAX]; /* options, by name */
	size_t given_count;
	int argc; /* words that are no options */
	char **argv;
	struct policy_source *source;
	struct policy *policy;
};

/* Exit codes of the questions: yes, no, could not be answered. */
enum cli_exit {
	CLI_YES = 0,
	CLI_NO = 1,
	CLI_ERROR = 2,
};

/* One line to standard error; returns CLI_ERROR. */
int cli_fail(const char *fmt, ...) SGB_PRINTF(1, 2);
/* False after a message if an option was given that is not in takes, names with
 * a space behind each: what would do nothing is refused, for who adds --dry-run
 * does not mean that something is done. */
bool cli_takes(struct cli *cli, const char *command, const char *takes);
/* The path of the policy: --policy, or what sgbridge.conf says, or the
 * default. Owned by cli. */
const char *cli_policy_path(struct cli *cli);
/* sgbridge.conf, or its defaults where there is none; the caller frees it.
 * False after a message. */
struct conf;
bool cli_conf(struct cli *cli, struct conf **ret);
/* The folder of authorized_keys: --keys=DIR, or what sgbridge.conf says. The
 * caller frees it; NULL after a message. */
char *cli_keys_path(struct cli *cli);
/* Reads a policy; mistakes go to standard error. */
bool cli_load(struct cli *cli);
bool cli_load_path(struct cli *cli, const char *path,
	struct policy_source **source, struct policy **policy);
/* "2026-11-23 20:00" in the local time zone, with "Z" in UTC. */
bool cli_time(const char *text, time_t *ret);
/* "[LOGIN@]TARGET[:PORT]", split in place. */
bool cli_target(char *text, char **login, char **target, uint16_t *port);
/* Unix groups of a user by --groups or NSS; free with
 * policy_unix_groups_free. */
bool cli_groups(struct cli *cli, const char *user, char ***ret);
/* Prints buf to standard output, with what is no text replaced. */
void cli_print(const struct buf *out);

int cmd_check(struct cli *cli);
int cmd_explain(struct cli *cli);
int cmd_who_can(struct cli *cli);
int cmd_what_can(struct cli *cli);
int cmd_diff(struct cli *cli);
int cmd_replay(struct cli *cli);
int cmd_fmt(struct cli *cli);
int cmd_nftables(struct cli *cli);
int cmd_status(struct cli *cli);
int cmd_sessions(struct cli *cli);
int cmd_end(struct cli *cli);
int cmd_reload(struct cli *cli);
int cmd_metrics(struct cli *cli);
int cmd_requests(struct cli *cli);
int cmd_approve(struct cli *cli);
int cmd_deny(struct cli *cli);
int cmd_watch(struct cli *cli);
int cmd_lock(struct cli *cli);
int cmd_unlock(struct cli *cli);
int cmd_doctor(struct cli *cli);
int cmd_instance_setup(struct cli *cli);
int cmd_topology(struct cli *cli);
int cmd_rotate(struct cli *cli);
int cmd_host_keys(struct cli *cli);
int cmd_key(struct cli *cli);

struct event;
/* Has the recorder write an event of this command's; false if it did not. */
bool cli_tell(const struct conf *conf, const struct event *event);

/* ---- other programs (sgbridge_run.c) ---- */

/* Runs argv[0], an absolute path, with /dev/null as its input; what it says on
 * both outputs is appended to out. Its exit status, 126 or 127 if it could not
 * be started, 128 and the signal that ended it, or -1. */
int cli_run(const char *const argv[], struct buf *out);
/* The path of one of our programs: beside this one, or where it belongs. */
void cli_beside(const char *name, char *ret, size_t size);

/* sgbridge_forward.c: do the settings name receivers of events? Are its lines
 * good, and the files they name? As root; if not, ret is one line that says
 * why, as a rule with file and line. */
bool cli_forward_wanted(const struct conf *conf);
bool cli_forward_test(const char *conf_path, char *ret, size_t size);

/* sgbridge_hostkeys.c: borrows from policy and conf. */
struct hostkey_node;
void cli_hostkey_node(const struct policy *policy,
	const struct policy_node *node, const struct conf *conf,
	struct hostkey_node *ret);

/* ---- questions to sgbridged (sgbridge_control.c) ---- */

struct msg;

/* Sends a question, which it frees, over the control socket. False after a
 * message; else *ret_json is the answer, which the caller frees. */
bool cli_control(struct cli *cli, struct msg *question, uint32_t *ret_status,
	char **ret_json);
/* All connections and requests, {"sessions":[...],"requests":[...]}; NULL
 * after a message. */
struct json_t *cli_list(struct cli *cli);
/* Who is at the keyboard, as the kernel has known since he logged on; "root"
 * where it does not. */
const char *cli_operator(void);
/* Prints what stands in {"result":"..."}. */
void cli_print_result(const char *text, FILE *out);

/* ---- tables ---- */

/* Rows of texts: aligned for people, an array of objects for programs. */
struct table {
	const char *const *columns; /* NULL-terminated */
	size_t width;		    /* columns */
	char **cells;
	size_t count, cap;
	bool failed;
};

void table_init(struct table *table, const char *const *columns);
void table_done(struct table *table);
/* One more cell, row by row; text is copied. */
void table_put(struct table *table, const char *text);
/* buf's content becomes a cell, and buf is reset. */
void table_put_buf(struct table *table, struct buf *buf);
void table_print(const struct table *table, bool colour);
/* Appends "[{...},...]". */
void table_json(const struct table *table, struct buf *out);

/* ---- rules in words (sgbridge_text.c), appended to out ---- */

void text_who(const struct policy *policy, const struct policy_rule *rule,
	struct buf *out);
void text_from(const struct policy *policy, const struct policy_rule *rule,
	struct buf *out);
void text_when(const struct policy *policy, const struct policy_rule *rule,
	struct buf *out);
void text_as(const struct policy *policy, const struct policy_rule *rule,
	struct buf *out);
void text_ports(const struct policy *policy, const struct policy_rule *rule,
	struct buf *out);
void text_mfa(enum policy_mfa mfa, uint64_t seconds, struct buf *out);
void text_allow(
	unsigned int allow, const char *const *patterns, struct buf *out);
void text_duration(uint64_t seconds, struct buf *out);
/* As the rule's condition has it: "stall 5m". */
void text_record_failure(
	const struct policy_decision *decision, struct buf *out);
void text_time(time_t when, struct buf *out);
/* The line of the source that a place is in, without leading blanks. */
void text_line(const struct policy_source *source, struct policy_place place,
	struct buf *out);
void text_json_member(struct buf *out, const char *name, const char *value);

/* ---- lint (sgbridge_lint.c, sgbridge_shadow.c) ---- */

struct lint {
	const struct conf *conf;     /* for known-hosts; or NULL */
	struct policy_parser parser; /* for policy_report */
	time_t now;
};

void lint_all(struct lint *lint);
/* authorized_keys files; days 0: keys of any age, used or not. False after a
 * message: what was asked for is not known. */
bool lint_keys(struct lint *lint, struct cli *cli, const char *folder);
void lint_shadows(struct lint *lint);
void lint_warn(struct lint *lint, const char *code, struct policy_place place,
	const char *fmt, ...) SGB_PRINTF(4, 5);

#endif
