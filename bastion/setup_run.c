/*
 * setup: runs on disk. /var/lib/sgbridge/setup/NNNN has `manifest` (what each
 * step is and what it replaces, written before any is made), `backup/`,
 * `stage/` (new content) and `journal`, to which a line is added, and synced,
 * before and after each thing that happens. A line without its end was never
 * written. Whatever kills us, the next start knows where it was.
 */
#include "setup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"

#define LINE_MAX_LEN 6000
#define RUNS_MAX     9999
#define FIELDS	     13

bool run_lock(struct setup *s, bool wait)
{
	const char *state = setup_path(s, SETUP_STATE);

	if (setup_mkdir(state, 0700)) {
		setup_fail("%s: %s", state, strerror(errno));
		return false;
	}
	if (s->lock < 0)
		s->lock = open(setup_text(s, "%s/lock", state),
			O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	return s->lock >= 0 && !flock(s->lock, LOCK_EX | (wait ? 0 : LOCK_NB));
}

static unsigned int number_of(const char *name)
{
	size_t len = strspn(name, "0123456789");

	return len == 4 && !name[4] ? (unsigned int)strtoul(name, NULL, 10) : 0;
}

/* The highest number below limit; 0: none. */
static unsigned int newest(struct setup *s, unsigned int limit)
{
	unsigned int best = 0, number;
	const struct dirent *entry;
	DIR *dir = opendir(setup_path(s, SETUP_STATE));

	while (dir && (entry = readdir(dir))) {
		number = number_of(entry->d_name);
		if (number < limit && number > best)
			best = number;
	}
	if (dir)
		closedir(dir);
	return best;
}

static void use_run(struct setup *s, unsigned int number)
{
	free(s->run);
	if (asprintf(&s->run, "%s" SETUP_STATE "/%04u", s->root, number) < 0)
		abort(); /* as good as any other end, see setup_text */
	if (s->journal >= 0)
		close(s->journal);
	s->journal = -1;
	s->enabled = 0;
}

bool run_new(struct setup *s)
{
	unsigned int number = newest(s, RUNS_MAX + 1) + 1;

	if (number > RUNS_MAX) {
		setup_fail("%s is full of old runs; move them away",
			setup_path(s, SETUP_STATE));
		return false;
	}
	use_run(s, number);
	if (mkdir(s->run, 0700) ||
		mkdir(setup_text(s, "%s/stage", s->run), 0700) ||
		mkdir(setup_text(s, "%s/backup", s->run), 0700) ||
		setup_sync_dir(setup_path(s, SETUP_STATE))) {
		setup_fail("%s: %s", s->run, strerror(errno));
		return false;
	}
	return true;
}

/* ---- journal ---- */

bool run_note(struct setup *s, const char *fmt, ...)
{
	char line[200];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(line, sizeof(line) - 1, fmt, args);
	va_end(args);
	if (len < 0 || len >= (int)sizeof(line) - 1)
		return false;
	line[len++] = '\n';
	if (s->journal < 0)
		s->journal = open(setup_text(s, "%s/journal", s->run),
			O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
			0600);
	if (s->journal < 0 || file_write_all(s->journal, line, (size_t)len) ||
		fsync(s->journal) || setup_sync_dir(s->run)) {
		setup_fail("%s/journal: %s", s->run, strerror(errno));
		return false;
	}
	return true;
}

static void read_line(struct setup *s, char *line, struct progress *ret)
{
	unsigned long index;
	char *rest;

	if (!strcmp(line, "begin"))
		ret->begun = true;
	else if (!strcmp(line, "applied"))
		ret->applied = true;
	else if (!strcmp(line, "confirmed"))
		ret->confirmed = true;
	else if (!strcmp(line, "undone"))
		ret->undone = true;
	else if (!strncmp(line, "enable ", 7))
		unit_noted(s, line + 7);
	else if (!strncmp(line, "swap ", 5))
		ret->swapped = strtoll(line + 5, NULL, 10);
	else if (!strncmp(line, "armed ", 6)) {
		rest = line + 6;
		snprintf(
			ret->boot, sizeof(ret->boot), "%s", strsep(&rest, " "));
		ret->deadline = rest ? strtoll(rest, NULL, 10) : 0;
	} else if (!strncmp(line, "do ", 3)) {
		index = strtoul(line + 3, NULL, 10);
		if (index < s->step_count)
			s->steps[index].attempted = true;
	}
}

void run_read_journal(struct setup *s, struct progress *ret)
{
	struct buf text;
	char *line, *end;

	memset(ret, 0, sizeof(*ret));
	buf_init(&text, SETUP_FILE_MAX);
	if (!setup_read(setup_text(s, "%s/journal", s->run), &text))
		buf_put_u8(&text, 0);
	line = text.len && !buf_error(&text) ? (char *)text.data : NULL;
	for (; line && (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		read_line(s, line, ret);
	}
	buf_done(&text);
}

/* ---- manifest ---- */

bool run_write_manifest(struct setup *s)
{
	struct buf out;
	bool good;
	size_t i;

	buf_init(&out, SETUP_FILE_MAX);
	for (i = 0; i < s->step_count; i++) {
		const struct step *step = &s->steps[i];

		buf_printf(&out,
			"%d\t%s\t%o\t%d\t%d\t%d\t%o\t%u\t%u\t%lld\t%s\t%s\t"
			"%s\n",
			(int)step->kind, step->owner, step->mode, step->risky,
			step->secret, step->existed, step->old_mode,
			step->old_uid, step->old_gid, step->old_mtime,
			*step->before ? step->before : "-",
			*step->after ? step->after : "-", step->path);
	}
	good = !buf_error(&out) &&
	       !setup_put(setup_text(s, "%s/manifest", s->run), &out, 0600, 0,
		       0, 0);
	if (!good)
		setup_fail("%s/manifest: %s", s->run, strerror(errno));
	buf_done(&out);
	return good;
}

static bool read_step(struct setup *s, char *line)
{
	struct step *step = &s->steps[s->step_count];
	char *field[FIELDS];
	size_t i;

	for (i = 0; i < FIELDS; i++)
		if (!(field[i] = strsep(&line, "\t")))
			return false;
	if (line || strlen(field[10]) >= SETUP_HASH_LEN ||
		strlen(field[11]) >= SETUP_HASH_LEN)
		return false;
	*step = (struct step){
		.kind = (enum step_kind)strtoul(field[0], NULL, 10),
		.owner = setup_text(s, "%s", field[1]),
		.mode = (unsigned int)strtoul(field[2], NULL, 8),
		.risky = *field[3] == '1',
		.secret = *field[4] == '1',
		.existed = *field[5] == '1',
		.old_mode = (unsigned int)strtoul(field[6], NULL, 8),
		.old_uid = (unsigned int)strtoul(field[7], NULL, 10),
		.old_gid = (unsigned int)strtoul(field[8], NULL, 10),
		.old_mtime = strtoll(field[9], NULL, 10),
		.path = setup_text(s, "%s", field[12])};
	strcpy(step->before, field[10]);
	strcpy(step->after, field[11]);
	s->step_count++;
	return step->kind <= STEP_ACTION;
}

static bool read_manifest(struct setup *s)
{
	struct buf text;
	char *line, *rest;
	bool good;
	size_t i, lines = 0;

	s->step_count = 0;
	buf_init(&text, SETUP_FILE_MAX);
	good = !setup_read(setup_text(s, "%s/manifest", s->run), &text);
	for (i = 0; i < text.len; i++)
		lines += text.data[i] == '\n';
	free(s->steps);
	s->steps = calloc(lines + 1, sizeof(*s->steps));
	s->step_room = lines + 1;
	buf_put_u8(&text, 0);
	rest = good && s->steps && !buf_error(&text) ? (char *)text.data : NULL;
	good = rest != NULL;
	while (good && (line = strsep(&rest, "\n")))
		if (*line)
			good = read_step(s, line);
	buf_done(&text);
	return good;
}

bool run_open(struct setup *s, struct progress *ret)
{
	unsigned int number = RUNS_MAX + 1;

	memset(ret, 0, sizeof(*ret));
	while ((number = newest(s, number))) {
		use_run(s, number);
		s->step_count = 0;
		run_read_journal(s, ret);
		if (!ret->begun) {
			/* Nothing was changed yet. */
			setup_remove_tree(s->run);
			continue;
		}
		/* Copies of new keys are in there. */
		if (ret->undone || ret->confirmed)
			setup_remove_tree(setup_text(s, "%s/stage", s->run));
		if (ret->undone)
			continue;
		if (!read_manifest(s)) {
			setup_fail("%s/manifest cannot be read; the backup "
				   "beside it is whole",
				s->run);
			return false;
		}
		run_read_journal(s, ret);
		return true;
	}
	memset(ret, 0, sizeof(*ret));
	return false;
}

void run_boot_id(char ret[40])
{
	struct buf text;

	buf_init(&text, 64);
	strcpy(ret, "unknown");
	if (!setup_read("/proc/sys/kernel/random/boot_id", &text) &&
		text.len >= 36)
		snprintf(ret, 40, "%.36s", (const char *)text.data);
	buf_done(&text);
}

long long run_seconds(void)
{
	struct timespec now;

	return clock_gettime(CLOCK_BOOTTIME, &now) ? 0 : (long long)now.tv_sec;
}
