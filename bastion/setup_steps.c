/*
 * setup: making steps and undoing them. A file step replaces a file by a
 * rename, so at any moment there is the old one or the new one, and its
 * digest says which; undoing needs to know nothing else.
 */
#include "setup.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool steps_owner(struct setup *s, const char *name, unsigned int *ret_uid,
	unsigned int *ret_gid)
{
	const struct passwd *entry = NULL;
	FILE *passwd;

	*ret_uid = *ret_gid = 0;
	if (!strcmp(name, "root"))
		return true;
	if (!*s->root) {
		entry = getpwnam(name);
	} else {
		passwd = fopen(setup_path(s, "/etc/passwd"), "re");
		while (passwd && (entry = fgetpwent(passwd)))
			if (!strcmp(entry->pw_name, name))
				break;
		if (passwd)
			fclose(passwd);
	}
	if (!entry) {
		setup_fail("there is no user %s; run: systemd-sysusers", name);
		return false;
	}
	*ret_uid = entry->pw_uid;
	*ret_gid = entry->pw_gid;
	return true;
}

static bool do_folder(struct setup *s, const struct step *step)
{
	const char *path = setup_path(s, step->path);
	unsigned int uid, gid;

	if (!steps_owner(s, step->owner, &uid, &gid))
		return false;
	if (setup_mkdir(path, step->mode) || lchown(path, uid, gid) ||
		chmod(path, step->mode)) {
		setup_fail("%s: %s", path, strerror(errno));
		return false;
	}
	return true;
}

static bool do_file(struct setup *s, size_t i)
{
	const struct step *step = &s->steps[i];
	const char *path = setup_path(s, step->path);
	char now[SETUP_HASH_LEN];
	struct buf content;
	bool good;

	setup_hash_file(path, now);
	if (strcmp(now, step->before) != 0) {
		setup_fail("%s was changed by somebody else just now", path);
		return false;
	}
	buf_init(&content, SETUP_FILE_MAX);
	good = !setup_read(plan_stage(s, i), &content) &&
	       !setup_put(path, &content, step->mode, step->old_uid,
		       step->old_gid, 0);
	if (!good)
		setup_fail("%s: %s", path, strerror(errno));
	buf_done(&content);
	return good;
}

static bool do_step(struct setup *s, size_t i)
{
	const struct step *step = &s->steps[i];
	const struct action *action;

	switch (step->kind) {
	case STEP_FOLDER: return do_folder(s, step);
	case STEP_FILE: return do_file(s, i);
	case STEP_ACTION:
		action = action_find(step->path);
		return action && action->run(s);
	}
	return false;
}

bool steps_apply(struct setup *s, bool risky)
{
	size_t i;

	for (i = 0; i < s->step_count; i++) {
		struct step *step = &s->steps[i];

		if (step->risky != risky)
			continue;
		step->attempted = true;
		if (!run_note(s, "do %zu", i) || !do_step(s, i) ||
			!run_note(s, "did %zu", i))
			return false;
		printf("  done  %s\n", step->path);
	}
	return true;
}

/* ---- and back ---- */

/* Content that undoing would lose goes into the run's folder. */
static bool keep_aside(struct setup *s, size_t i, const char *path)
{
	const char *folder = setup_text(s, "%s/saved", s->run);
	const char *kept = setup_text(
		s, "%s/%zu-%s", folder, i, strrchr(path, '/') + 1);
	struct buf content;
	bool good;

	buf_init(&content, SETUP_FILE_MAX);
	good = !setup_mkdir(folder, 0700) && !setup_read(path, &content) &&
	       !setup_put(kept, &content, 0600, 0, 0, 0);
	buf_done(&content);
	if (good)
		printf("  kept  %s as %s\n", path, kept);
	return good;
}

static bool undo_file(struct setup *s, size_t i)
{
	const struct step *step = &s->steps[i];
	const char *path = setup_path(s, step->path);
	char now[SETUP_HASH_LEN];
	struct buf content;
	bool good;

	setup_forget(path);
	setup_hash_file(path, now);
	if (!strcmp(now, step->before))
		return true;
	if ((step->secret || strcmp(now, step->after) != 0) &&
		strcmp(now, "-") != 0 && !keep_aside(s, i, path))
		return false;
	if (!step->existed) {
		good = !unlink(path) || errno == ENOENT;
	} else {
		buf_init(&content, SETUP_FILE_MAX);
		good = !setup_read(plan_backup(s, i), &content) &&
		       !setup_put(path, &content, step->old_mode, step->old_uid,
			       step->old_gid, step->old_mtime);
		buf_done(&content);
	}
	if (!good)
		setup_fail("%s cannot be put back (%s); its old content is %s",
			path, strerror(errno), plan_backup(s, i));
	else
		printf("  back  %s\n", step->path);
	return good;
}

static void undo_actions(struct setup *s, bool first)
{
	size_t i;

	for (i = s->step_count; i-- > 0;) {
		const struct step *step = &s->steps[i];
		const struct action *action;

		if (step->kind != STEP_ACTION || !step->attempted)
			continue;
		action = action_find(step->path);
		if (action && action->undo && action->undo_first == first)
			action->undo(s);
	}
}

/* Names every file that is neither as we left it nor as it was. */
static bool untouched(struct setup *s)
{
	char now[SETUP_HASH_LEN];
	bool good = true;
	size_t i;

	for (i = 0; i < s->step_count; i++) {
		const struct step *step = &s->steps[i];
		const char *path = setup_path(s, step->path);

		if (step->kind != STEP_FILE || !step->attempted)
			continue;
		setup_hash_file(path, now);
		if (!strcmp(now, step->before) || !strcmp(now, step->after))
			continue;
		setup_fail("%s was changed since", path);
		good = false;
	}
	return good;
}

bool steps_undo(struct setup *s, bool preserve)
{
	const char *guard = UNIT_GUARD;
	bool good = true;
	size_t i;

	if (preserve && !untouched(s))
		return false;
	undo_actions(s, true);
	for (i = s->step_count; i-- > 0;) {
		const struct step *step = &s->steps[i];

		if (step->attempted && step->kind == STEP_FILE)
			good = undo_file(s, i) && good;
		else if (step->attempted && step->kind == STEP_FOLDER &&
			 !step->existed)
			(void)rmdir(setup_path(s, step->path));
	}
	undo_actions(s, false);
	/* Only what is whole is called undone: else the next start goes on. */
	if (good)
		good = run_note(s, "undone");
	if (!good)
		return false;
	setup_remove_tree(setup_text(s, "%s/stage", s->run));
	/* Not before: until then a boot goes on with it. */
	if (child_systemd(s))
		unit_disable(s, &guard, 1);
	return true;
}
