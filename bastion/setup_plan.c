/*
 * setup: what would change. Everything is decided here and nothing is changed
 * outside the run's own folder: new content goes to stage/, what it replaces
 * to backup/, keys are made in stage/. What is there already is left alone
 * where it is the administrator's, and replaced where it is ours.
 */
#include "core/places.h"
#include "setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum source {
	SHIPPED,   /* a file of conf/ */
	CONTENT,   /* made by a function from a file of conf/, or of nothing */
	GENERATED, /* a program makes it */
};

enum existing {
	KEEP,	 /* what is there stays */
	REPLACE, /* what is there is shown, backed up and replaced */
};

static void content_policy(
	struct setup *s, struct buf *out, const char *shipped)
{
	(void)shipped;
	plan_policy(s, out);
}

static void content_recipients(
	struct setup *s, struct buf *out, const char *shipped)
{
	size_t i;

	(void)shipped;
	for (i = 0; i < s->answers.recipients.count; i++)
		buf_printf(out, "%s\n", s->answers.recipients.items[i]);
}

const char *plan_home_keys(struct setup *s)
{
	const char *argv[] = {"/usr/bin/getent", "passwd",
		answer_one(&s->answers.admin), NULL};
	const char *path;
	char *rest, *field = NULL;
	struct buf passwd;
	int i;

	buf_init(&passwd, SETUP_FILE_MAX);
	child_run(argv, NULL, &passwd);
	buf_put_u8(&passwd, 0);
	rest = buf_error(&passwd) ? NULL : (char *)passwd.data;
	for (i = 0; i < 6 && rest; i++)
		field = strsep(&rest, ":");
	path = setup_text(
		s, "%s/.ssh/authorized_keys", i == 6 && field ? field : "");
	buf_done(&passwd);
	return path;
}

/* The administrator's key: from the answer, or from the home folder. */
static void content_key(struct setup *s, struct buf *out, const char *shipped)
{
	const char *path = answer_one(&s->answers.key);

	(void)shipped;
	if (!*path)
		path = plan_home_keys(s);
	if (setup_read(path, out))
		setup_fail("%s cannot be read; say in the answer \"key\" where "
			   "the public key of %s is",
			path, answer_one(&s->answers.admin));
}

/* The main file with a line in it: first, since for sshd the first value of a
 * keyword counts, or last. */
static void with_line(struct setup *s, struct buf *out, const char *path,
	const char *wanted, bool first)
{
	const char *line, *end;
	struct buf old;
	bool has = false;

	buf_init(&old, SETUP_FILE_MAX);
	if (setup_read(setup_path(s, path), &old))
		buf_reset(&old); /* none: its first line is ours */
	buf_put_u8(&old, 0);
	for (line = (const char *)old.data; line && *line && !buf_error(&old);
		line = *end ? end + 1 : end) {
		end = line + strcspn(line, "\n");
		if (!strncmp(line, "Match", 5))
			break;
		has = has || ((size_t)(end - line) == strlen(wanted) &&
				     !memcmp(line, wanted, strlen(wanted)));
	}
	if (old.len) {
		if (!has && first)
			buf_printf(out, "%s\n", wanted);
		buf_put(out, old.data, old.len - 1);
		if (!has && !first)
			buf_printf(out, "%s\n", wanted);
	}
	buf_done(&old);
}

/* sshd reads drop-ins only where its main file says so. */
static void content_sshd_main(
	struct setup *s, struct buf *out, const char *shipped)
{
	(void)shipped;
	with_line(s, out, "/etc/ssh/sshd_config",
		"Include /etc/ssh/sshd_config.d/*.conf", true);
}

static void content_nft_main(
	struct setup *s, struct buf *out, const char *shipped)
{
	(void)shipped;
	with_line(s, out, "/etc/nftables.conf",
		"include \"/etc/nftables.d/*.nft\"", false);
}

/* Stands for the shipped settings: there may be none yet. */
#define SETTINGS "@settings"

static const char *const make_host[] = {
	"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "sgbridge", "-f"};
static const char *const make_ca[] = {"ssh-keygen", "-q", "-t", "ed25519", "-N",
	"", "-C", "sgbridge-user-ca", "-f"};
static const char *const make_master[] = {
	"sgbridge-otp", "-c", SETTINGS, "master-key", "-o"};
static const char *const make_recorder[] = {
	"sgbridge-audit", "writer-keygen", "-o"};

#define MAKE(list) list, sizeof(list) / sizeof((list)[0])

static const struct row {
	enum step_kind kind;
	const char *path;
	const char *owner;
	unsigned int mode;
	bool risky, secret;
	enum existing existing;
	enum source source;
	const char *shipped; /* file of conf/ */
	void (*content)(struct setup *s, struct buf *out, const char *shipped);
	const char *const *make;
	size_t make_count;
	size_t offset; /* answer that switches it on, or 0 */
} rows[] = {
#define FOLDER(path, owner, mode) \
	{ \
		STEP_FOLDER, path, owner, mode, false, false, KEEP, SHIPPED, \
			NULL, NULL, NULL, 0, 0 \
	}
#define ACTION(name, risky, offset) \
	{ \
		STEP_ACTION, name, "root", 0, risky, false, KEEP, SHIPPED, \
			NULL, NULL, NULL, 0, offset \
	}
#define KEY(name, make) \
	{ \
		STEP_FILE, "/etc/sgbridge/" name, "root", 0600, false, true, \
			KEEP, GENERATED, NULL, NULL, MAKE(make), 0 \
	}
#define PUBLIC(name) \
	{ \
		STEP_FILE, "/etc/sgbridge/" name ".pub", "root", 0644, false, \
			true, REPLACE, GENERATED, NULL, NULL, NULL, 0, 0 \
	}
#define TEXT(path, existing, shipped, content) \
	{ \
		STEP_FILE, path, "root", 0644, false, false, existing, \
			CONTENT, shipped, content, NULL, 0, 0 \
	}
#define RISKY(path, source, shipped, content, answer) \
	{ \
		STEP_FILE, path, "root", 0644, true, false, REPLACE, source, \
			shipped, content, NULL, 0, \
			offsetof(struct setup, answers.answer) \
	}
	ACTION("users", false, 0),
	FOLDER("/etc/sgbridge", "root", 0755),
	FOLDER("/etc/sgbridge/authorized_keys", "root", 0755),
	FOLDER("/var/lib/sgbridge/recordings", "_sgb-recorder", 0700),
	FOLDER("/var/lib/sgbridge/recordings/index", "_sgb-recorder", 0700),
	FOLDER("/var/lib/sgbridge/events", "_sgb-recorder", 0700),
	FOLDER("/var/lib/sgbridge/otp", "root", 0700),
	FOLDER("/var/lib/sgbridge/host-certificates", "root", 0700),
	FOLDER("/var/lib/sgbridge/keys", "root", 0700),
	KEY("ssh_host_ed25519_key", make_host),
	PUBLIC("ssh_host_ed25519_key"),
	KEY("user_ca", make_ca),
	PUBLIC("user_ca"),
	KEY("master.key", make_master),
	KEY("recorder_key", make_recorder),
	TEXT("/etc/sgbridge/recipients", KEEP, NULL, content_recipients),
	TEXT("/etc/sgbridge/sgbridge.conf", KEEP, "sgbridge.conf", plan_conf),
	TEXT("/etc/sgbridge/policy.conf", KEEP, NULL, content_policy),
	TEXT("/etc/sgbridge/authorized_keys/", KEEP, NULL, content_key),
	{STEP_FILE, "/etc/pam.d/sgbridge", "root", 0644, false, false, REPLACE,
		SHIPPED, "pam.d/sgbridge", NULL, NULL, 0, 0},
	ACTION("enrol", false, 0),
	ACTION("units", true, 0),
	{STEP_FOLDER, "/etc/ssh/sshd_config.d", "root", 0755, false, false,
		KEEP, SHIPPED, NULL, NULL, NULL, 0,
		offsetof(struct setup, answers.guard_sshd)},
	{STEP_FOLDER, "/etc/nftables.d", "root", 0755, false, false, KEEP,
		SHIPPED, NULL, NULL, NULL, 0,
		offsetof(struct setup, answers.firewall)},
	RISKY("/etc/ssh/sshd_config.d/00-sgbridge.conf", SHIPPED,
		"sshd_config.d/sgbridge.conf", NULL, guard_sshd),
	RISKY("/etc/ssh/sshd_config", CONTENT, NULL, content_sshd_main,
		guard_sshd),
	RISKY("/etc/pam.d/sshd", SHIPPED, "pam.d/sshd", NULL, guard_sshd),
	RISKY("/etc/pam.d/sudo", SHIPPED, "pam.d/sudo", NULL, guard_sudo),
	RISKY("/etc/nftables.d/sgbridge.nft", CONTENT, "nftables.conf",
		plan_firewall, firewall),
	RISKY("/etc/nftables.conf", CONTENT, NULL, content_nft_main, firewall),
	ACTION("firewall", true, offsetof(struct setup, answers.firewall)),
	ACTION("sshd", true, offsetof(struct setup, answers.guard_sshd)),
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

const char *plan_stage(struct setup *s, size_t i)
{
	return setup_text(s, "%s/stage/%zu", s->run, i);
}

const char *plan_backup(struct setup *s, size_t i)
{
	return setup_text(s, "%s/backup/%zu", s->run, i);
}

/* Installed, or in the tree where this was built. */
static const char *shipped_path(struct setup *s, const char *name)
{
	const char *beside = child_find(s, "sgbridge-setup");
	size_t folder = (size_t)(strrchr(beside, '/') - beside);
	const char *path = setup_text(s, "%s/%s", SHAREDIR, name);

	if (access(path, R_OK))
		path = setup_text(
			s, "%.*s/../conf/%s", (int)folder, beside, name);
	return path;
}

static bool read_shipped(struct setup *s, const char *name, struct buf *out)
{
	if (!setup_read(shipped_path(s, name), out))
		return true;
	setup_fail("%s/%s: %s; install the package again", SHAREDIR, name,
		strerror(errno));
	return false;
}

static bool generate(struct setup *s, const struct row *row, struct step *step)
{
	const char *argv[16];
	const char *path = plan_stage(s, (size_t)(step - s->steps));
	struct buf out;
	size_t i;
	int status;

	if (!row->make) {
		/* ssh-keygen's second file, of the step before. */
		return !rename(
			setup_text(s, "%s.pub",
				plan_stage(s, (size_t)(step - s->steps) - 1)),
			path);
	}
	argv[0] = child_find(s, row->make[0]);
	for (i = 1; i < row->make_count; i++)
		argv[i] = strcmp(row->make[i], SETTINGS)
				  ? row->make[i]
				  : shipped_path(s, "sgbridge.conf");
	argv[i++] = path;
	argv[i] = NULL;
	buf_init(&out, SETUP_FILE_MAX);
	status = child_run(argv, NULL, &out);
	if (status)
		setup_fail("%s: %.*s", argv[0], (int)out.len,
			out.data ? (const char *)out.data : "");
	buf_done(&out);
	return status == 0;
}

/* The new content, in stage/. */
static bool stage(struct setup *s, const struct row *row, struct step *step)
{
	struct buf shipped, out;
	bool good = true;

	if (row->source == GENERATED)
		return generate(s, row, step);
	buf_init(&shipped, SETUP_FILE_MAX);
	buf_init(&out, SETUP_FILE_MAX);
	if (row->shipped)
		good = read_shipped(s, row->shipped, &shipped);
	if (good && row->content) {
		buf_put_u8(&shipped, 0);
		row->content(s, &out, (const char *)shipped.data);
	}
	good = good && !buf_error(&shipped) && !buf_error(&out) &&
	       (row->content ? out.len : shipped.len) > 0 &&
	       !setup_put(plan_stage(s, (size_t)(step - s->steps)),
		       row->content ? &out : &shipped, 0600, 0, 0, 0);
	buf_done(&shipped);
	buf_done(&out);
	return good;
}

static bool back_up(struct setup *s, struct step *step, const struct stat *st)
{
	struct buf content;
	bool good;

	step->old_mode = st->st_mode & 07777;
	step->old_uid = st->st_uid;
	step->old_gid = st->st_gid;
	step->old_mtime = st->st_mtim.tv_sec * 1000000000LL +
			  st->st_mtim.tv_nsec;
	buf_init(&content, SETUP_FILE_MAX);
	good = !setup_read(setup_path(s, step->path), &content) &&
	       !setup_put(plan_backup(s, (size_t)(step - s->steps)), &content,
		       0600, 0, 0, 0);
	buf_done(&content);
	return good;
}

/* False with a message; *ret_drop when there is nothing to do. */
static bool plan_file(struct setup *s, const struct row *row, struct step *step,
	bool *ret_drop)
{
	const char *path = setup_path(s, step->path);
	struct stat st;

	step->existed = !lstat(path, &st);
	if (step->existed && !S_ISREG(st.st_mode)) {
		setup_fail("%s is not a regular file; setup does not follow "
			   "links, see where it leads",
			path);
		return false;
	}
	*ret_drop = step->existed && row->existing == KEEP;
	if (*ret_drop)
		return true;
	setup_hash_file(path, step->before);
	if (!stage(s, row, step)) {
		setup_fail("no content can be made for %s", path);
		return false;
	}
	setup_hash_file(plan_stage(s, (size_t)(step - s->steps)), step->after);
	*ret_drop = !strcmp(step->before, step->after);
	if (*ret_drop || !step->existed)
		return true;
	/* An existing file keeps its mode: sudoers.d and the like are strict.
	 */
	step->mode = st.st_mode & 07777;
	return back_up(s, step, &st);
}

static bool wanted(struct setup *s, const struct row *row)
{
	return !row->offset ||
	       answer_yes((const struct answer *)(const void *)((char *)s +
								row->offset));
}

/* A public key is made with its private one, or not at all. */
static bool without_private(struct setup *s, const struct row *row)
{
	const char *before = s->step_count ? s->steps[s->step_count - 1].path
					   : "";

	return row->source == GENERATED && !row->make &&
	       strncmp(before, row->path, strlen(row->path) - 4) != 0;
}

static bool is_enrolled(struct setup *s)
{
	const char *argv[] = {child_find(s, "sgbridge-otp"), "status",
		answer_one(&s->answers.admin), NULL};
	struct buf out;
	bool enrolled;

	buf_init(&out, SETUP_FILE_MAX);
	enrolled = *s->root || child_run(argv, NULL, &out) == 0;
	buf_done(&out);
	return enrolled;
}

static bool plan_row(struct setup *s, const struct row *row)
{
	struct step *step = &s->steps[s->step_count];
	bool drop = false;
	struct stat st;

	if (!wanted(s, row) || without_private(s, row))
		return true;
	*step = (struct step){.kind = row->kind,
		.path = row->path,
		.owner = row->owner,
		.mode = row->mode,
		.risky = row->risky,
		.secret = row->secret};
	if (row->kind == STEP_FILE && row->path[strlen(row->path) - 1] == '/')
		step->path = setup_text(
			s, "%s%s", row->path, answer_one(&s->answers.admin));
	if (row->kind == STEP_ACTION)
		drop = !strcmp(row->path, "enrol") && is_enrolled(s);
	else if (row->kind == STEP_FOLDER)
		drop = !stat(setup_path(s, row->path), &st);
	else if (row->kind == STEP_FILE && !plan_file(s, row, step, &drop))
		return false;
	s->step_count += !drop;
	return true;
}

bool plan_make(struct setup *s)
{
	size_t i;

	s->step_count = 0;
	/* Those of the run before, where there is one. */
	free(s->steps);
	s->steps = calloc(ROWS, sizeof(*s->steps));
	for (i = 0; s->steps && i < ROWS; i++)
		if (!plan_row(s, &rows[i]))
			return false;
	return s->steps != NULL;
}

size_t plan_show(struct setup *s)
{
	size_t i, count = 0;

	for (i = 0; i < s->step_count; i++) {
		const struct step *step = &s->steps[i];
		const char *path = setup_path(s, step->path);
		const char *argv[] = {"/usr/bin/diff", "-u", "--label",
			step->existed ? path : "(nothing)", "--label", path,
			step->existed ? path : "/dev/null", plan_stage(s, i),
			NULL};

		count += step->kind != STEP_ACTION;
		if (step->kind == STEP_ACTION)
			printf("# run   %s\n", action_find(step->path)->what);
		else if (step->kind == STEP_FOLDER)
			printf("# make  %s/ (%04o, %s)\n", path, step->mode,
				step->owner);
		else if (step->secret)
			printf("# make  %s (%04o, a key; not shown)\n", path,
				step->mode);
		else
			child_run(argv, NULL, NULL);
	}
	return count;
}
