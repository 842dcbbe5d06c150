/* What the files of sgbridge-setup share: answers, steps, journal, children. */
#ifndef SGB_SETUP_H
#define SGB_SETUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "core/buf.h"
#include "core/err.h"

#define SETUP_HASH_LEN 65 /* SHA-256 in hex, and NUL */
#define SETUP_FILE_MAX (1024 * 1024)
#define SETUP_STATE    "/var/lib/sgbridge/setup"

enum setup_exit {
	SETUP_GOOD = 0,
	SETUP_REFUSED = 1, /* nothing was changed, or all is back */
	SETUP_FAILED = 2,
};

/* Texts of one answer, in the order they were given. */
struct answer {
	const char **items;
	size_t count;
};

struct answers {
#define X(field, name, many, fallback, question) struct answer field;
#include "setup_answers.def"
#undef X
};

enum step_kind {
	STEP_FOLDER = 0,
	STEP_FILE,
	STEP_ACTION,
};

/*
 * One change. Everything about it is decided, and what it replaces is in the
 * backup, before the first one is made; so each can be undone at any moment
 * by comparing what is there with `before` and `after`.
 */
struct step {
	enum step_kind kind;
	const char *path;  /* without root; an action's name */
	const char *owner; /* "root", or a user of sysusers.conf */
	unsigned int mode;
	bool risky;  /* a mistake in it could lock out */
	bool secret; /* content is not shown; on undo kept aside */
	bool existed;
	unsigned int old_mode, old_uid, old_gid;
	long long old_mtime;	     /* nanoseconds since 1970 */
	char before[SETUP_HASH_LEN]; /* of the content; "-": no file */
	char after[SETUP_HASH_LEN];
	bool attempted; /* the journal says so */
};

/* Where a run stands, as its journal says. */
struct progress {
	bool begun, applied, confirmed, undone;
	char boot[40];	    /* boot in which it was armed, or "" */
	long long deadline; /* CLOCK_BOOTTIME, seconds */
	long long swapped;  /* CLOCK_BOOTTIME, ticks: first risky step */
};

struct setup {
	const char *root; /* "" or a folder, for images and tests */
	const char *answers_path;
	bool yes, dry_run, unproven, force;
	struct answers answers;
	struct step *steps;
	size_t step_count, step_room;
	char *run; /* folder of this run, or NULL */
	int journal;
	int lock;
	unsigned int enabled; /* units that this run enabled: setup_unit.c */
	SLIST_HEAD(, setup_text) texts;
};

/* ---- setup.c ---- */

/* Says on standard error what is wrong, and returns SETUP_FAILED. */
int setup_fail(const char *fmt, ...) SGB_PRINTF(1, 2);
/* Text that lives as long as the setup. Ends the program if there is no
 * memory: the journal makes that as safe as any other end. */
const char *setup_text(struct setup *s, const char *fmt, ...) SGB_PRINTF(2, 3);
/* root + path. */
const char *setup_path(struct setup *s, const char *path);
/* One more of an answer. */
void answer_add(struct setup *s, struct answer *answer, const char *text);
/* The first text of an answer, or "". */
const char *answer_one(const struct answer *answer);
bool answer_yes(const struct answer *answer);

/* ---- setup_answers.c: from a file, then from the terminal, then defaults ----
 */

bool answers_read(struct setup *s);
bool answers_ask(struct setup *s);
/* A question with yes or no; false without a terminal, unless --yes. */
bool ask_yes(struct setup *s, const char *question);
/* A line from the terminal, NULL without one. The setup owns it. */
const char *ask_line(struct setup *s, const char *question);

/* ---- setup_child.c: programs, without a shell, with an environment of
 * their own ---- */

/* Where a program of sgbridge is: beside this one, or installed. */
const char *child_find(struct setup *s, const char *name);
/* Exit status, 127 if it cannot be started, 128 + signal. out may be NULL
 * (its output is ours). envp NULL: PATH and LC_ALL alone. */
int child_run(
	const char *const argv[], const char *const envp[], struct buf *out);
/* Starts one that ends with us; 0 on failure. Output goes to log. */
pid_t child_start(const char *const argv[], const char *log);
/* The same without waiting for its end, ever. */
void child_stop(pid_t pid);
bool child_systemd(const struct setup *s);

/* ---- setup_file.c ---- */

/* Content of a regular file (no link); NOTFOUND if there is none. */
enum sgb_err setup_read(const char *path, struct buf *out) SGB_MUST_CHECK;
void setup_hash(const struct buf *content, char ret[SETUP_HASH_LEN]);
/* Hash of a file; "-" if there is none, "!" if it cannot be read. */
void setup_hash_file(const char *path, char ret[SETUP_HASH_LEN]);
/* Whole or not at all: temporary file, owner, mode, time (nanoseconds; 0:
 * now), fsync, rename. */
enum sgb_err setup_put(const char *path, const struct buf *content,
	unsigned int mode, unsigned int uid, unsigned int gid,
	long long mtime) SGB_MUST_CHECK;
/* Removes what setup_put left when it was killed. */
void setup_forget(const char *path);
/* mkdir -p below root, 0755 but for the last. */
enum sgb_err setup_mkdir(const char *path, unsigned int mode) SGB_MUST_CHECK;
void setup_remove_tree(const char *path);
enum sgb_err setup_sync_dir(const char *path) SGB_MUST_CHECK;

/* ---- setup_plan.c, setup_content.c ---- */

/* Fills s->steps; content of files goes to the run's stage folder. */
bool plan_make(struct setup *s);
/* Where the administrator's home has public keys; the file may not be there. */
const char *plan_home_keys(struct setup *s);
/* Shows every change as a diff; returns how many there are. */
size_t plan_show(struct setup *s);
void plan_policy(struct setup *s, struct buf *out);
void plan_conf(struct setup *s, struct buf *out, const char *shipped);
void plan_firewall(struct setup *s, struct buf *out, const char *shipped);
/* Refuses what would lock the administrator out, with the reason. */
bool plan_admits(struct setup *s);
/* Are the answers what they should be? Says what is not. */
bool answers_good(struct setup *s);
const char *plan_stage(struct setup *s, size_t i);
const char *plan_backup(struct setup *s, size_t i);

/* ---- setup_run.c: folders of runs, manifest, journal ---- */

bool run_lock(struct setup *s, bool wait);
/* A new run's folder. */
bool run_new(struct setup *s);
/* The newest run that was begun and not undone; false: none. Removes what was
 * never begun. */
bool run_open(struct setup *s, struct progress *ret);
bool run_write_manifest(struct setup *s);
/* Appends a line and waits until it is on the disk. */
bool run_note(struct setup *s, const char *fmt, ...) SGB_PRINTF(2, 3);
void run_read_journal(struct setup *s, struct progress *ret);
void run_boot_id(char ret[40]);
long long run_seconds(void);

/* ---- setup_steps.c ---- */

bool steps_apply(struct setup *s, bool risky);
/* Puts everything back. With preserve, files that were changed since are not
 * touched, and nothing is: returns false after naming them. */
bool steps_undo(struct setup *s, bool preserve);
/* The user's uid and gid in root's passwd; false if unknown. */
bool steps_owner(struct setup *s, const char *name, unsigned int *ret_uid,
	unsigned int *ret_gid);

/* ---- setup_action.c: steps that are commands ---- */

struct action {
	const char *name, *what;
	bool (*run)(struct setup *s);
	void (*undo)(struct setup *s);
	bool undo_first; /* before files are put back */
};
const struct action *action_find(const char *name);

/* ---- setup_unit.c: units of systemd ---- */

#define UNIT_GUARD    "sgbridge-setup-guard.service"
#define UNIT_FIREWALL "sgbridge-nftables.service"

/* Enables and starts them. What was not enabled before is in the journal
 * first. False after a message. */
bool unit_enable(struct setup *s, const char *const *units, size_t count);
/* Disables, and does not stop, those of them that this run enabled. */
void unit_disable(struct setup *s, const char *const *units, size_t count);
/* A line of the journal is about this one. */
void unit_noted(struct setup *s, const char *unit);

/* ---- setup_trial.c, setup_namespace.c: the new login, tried for real ---- */

bool trial_run(struct setup *s);
/* A mount and network namespace of our own with these addresses on lo. */
bool namespace_enter(const char *const *addresses, size_t count);
/* Puts a copy of folder, made in work, over it; the copy's path is returned. */
const char *namespace_copy(
	struct setup *s, const char *work, const char *folder);

/* ---- setup_guard.c ---- */

/* Starts the guard: a unit where systemd runs, else a process of its own. */
bool guard_start(struct setup *s);
/* What the guard does until it is over. */
int guard_main(struct setup *s);
/* Was this very process logged in after the change? why gets the reason. */
bool guard_is_new_login(const struct progress *progress, const char **why);

/* ---- setup_main.c ---- */

int setup_main(struct setup *s, int argc, char **argv);

#endif
