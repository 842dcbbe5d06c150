/*
 * sgbridge setup: the order of things. Answers, plan, diff, question; safe
 * steps; the trial; the guard; risky steps; and then it is the administrator's
 * turn to confirm from a new login, or the guard's to put everything back.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "setup.h"

static const char usage[] =
	"usage: sgbridge setup [--answers FILE] [--yes] [--dry-run] "
	"[--root DIR] [--unproven]\n"
	"       sgbridge setup --confirm | --undo [--force] | --status\n\n"
	"Makes this host a bastion: shows every change as a diff, backs up, "
	"makes keys,\nsettings, a first policy, PAM and sshd files; tries a "
	"real login with the new\nones before the old ones are left; and puts "
	"everything back unless a new login\nconfirms it in time.\n\n"
	"      --answers FILE  answers instead of questions\n"
	"      --yes           do not ask before changing\n"
	"      --dry-run       show what would change, and change nothing\n"
	"      --root DIR      set up an image below DIR; nothing is started\n"
	"      --unproven      go on where the trial cannot be made\n"
	"      --confirm       the new login works: keep it\n"
	"      --undo          put back what the last setup changed\n"
	"      --force         undo: also files that were changed since (they "
	"are kept\n                      aside); confirm: from the console\n"
	"      --status        where the last setup stands\n\n"
	"  sgbridge setup\n"
	"  sgbridge setup --answers /root/bastion.answers --yes\n"
	"  sudo sgbridge setup --confirm\n"
	"  sgbridge setup --undo\n";

enum mode { MODE_SETUP, MODE_CONFIRM, MODE_UNDO, MODE_STATUS, MODE_GUARD };

/* Seconds, of "10m"; 0 for what is not a time between a minute and a day. */
static long long seconds_of(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);
	long long seconds = (long long)number;

	if (end == text || number > 86400)
		return 0;
	if (!strcmp(end, "m"))
		seconds *= 60;
	else if (!strcmp(end, "h"))
		seconds *= 3600;
	else if (strcmp(end, "s") != 0)
		return 0;
	return seconds >= 5 && seconds <= 86400 ? seconds : 0;
}

/* A run that was neither confirmed nor put back is in the way. */
static bool clear_the_way(struct setup *s)
{
	struct progress progress;

	if (!run_open(s, &progress) || progress.confirmed)
		return true;
	if (progress.applied) {
		setup_fail("a setup waits to be confirmed: log in anew and run "
			   "sgbridge setup --confirm, or sgbridge setup "
			   "--undo");
		return false;
	}
	printf("A setup ended half-way; putting back what it changed:\n");
	return steps_undo(s, false);
}

static int put_back(struct setup *s)
{
	printf("Putting everything back:\n");
	if (!steps_undo(s, false))
		return SETUP_FAILED;
	printf("Everything is as it was.\n");
	return SETUP_REFUSED;
}

static bool has_risky(const struct setup *s)
{
	size_t i;

	for (i = 0; i < s->step_count; i++)
		if (s->steps[i].risky && s->steps[i].kind == STEP_FILE)
			return true;
	return false;
}

static bool prove(struct setup *s)
{
	if (*s->root || s->unproven) {
		printf("The new login is NOT tried%s.\n",
			*s->root ? ": this is a folder, not a host" : "");
		return true;
	}
	return trial_run(s);
}

static bool swap(struct setup *s, long long within, bool risky)
{
	long ticks = sysconf(_SC_CLK_TCK);
	struct timespec now;
	char boot[40];

	run_boot_id(boot);
	if (!run_note(s, "armed %s %lld", boot, run_seconds() + within) ||
		clock_gettime(CLOCK_BOOTTIME, &now))
		return false;
	if (!*s->root && !guard_start(s)) {
		setup_fail("the guard cannot be started, so nothing that could "
			   "lock out is changed");
		return false;
	}
	if (!run_note(s, "swap %lld",
		    (long long)now.tv_sec * ticks +
			    now.tv_nsec / (1000000000 / ticks)))
		return false;
	/* Where nothing could lock out there is nothing to wait for. */
	return steps_apply(s, true) &&
	       run_note(s, risky ? "applied" : "confirmed");
}

static int apply(struct setup *s)
{
	long long within = seconds_of(answer_one(&s->answers.confirm_within));
	bool risky = has_risky(s) && !*s->root;

	if (!run_write_manifest(s) || !run_note(s, "begin"))
		return SETUP_FAILED;
	if (!steps_apply(s, false) || !prove(s) || !swap(s, within, risky))
		return put_back(s);
	if (!risky) {
		setup_remove_tree(setup_text(s, "%s/stage", s->run));
		printf("\nDone. sgbridge doctor says what is left to do; "
		       "sgbridge setup --undo puts everything back.\n");
		return SETUP_GOOD;
	}
	printf("\nThe new login is in force. Leave this one open. Within %s, "
	       "open a SECOND connection as %s and run there:\n\n"
	       "    sudo sgbridge setup --confirm\n\n"
	       "Otherwise everything is put back by itself, also when this "
	       "terminal closes or the machine is started again.\n",
		answer_one(&s->answers.confirm_within),
		answer_one(&s->answers.admin));
	return SETUP_GOOD;
}

static int setup(struct setup *s)
{
	size_t changes;

	if (!answers_read(s) || !answers_ask(s) || !answers_good(s))
		return SETUP_REFUSED;
	if (!seconds_of(answer_one(&s->answers.confirm_within))) {
		setup_fail("confirm-within: expected 5s to 24h, as 10m");
		return SETUP_REFUSED;
	}
	if (!run_lock(s, false)) {
		setup_fail("another setup is at work");
		return SETUP_REFUSED;
	}
	if (!clear_the_way(s))
		return SETUP_REFUSED;
	if (!run_new(s))
		return SETUP_REFUSED;
	if (!plan_make(s)) {
		setup_remove_tree(s->run);
		return SETUP_REFUSED;
	}
	changes = plan_show(s);
	if (!plan_admits(s)) {
		setup_remove_tree(s->run);
		return SETUP_REFUSED;
	}
	if (!changes || s->dry_run) {
		printf("%s\n", changes ? "Nothing was changed."
				       : "There is nothing to change.");
		setup_remove_tree(s->run);
		return SETUP_GOOD;
	}
	if (!ask_yes(s, "\nChange all this? (yes/no)")) {
		setup_remove_tree(s->run);
		printf("Nothing was changed.\n");
		return SETUP_REFUSED;
	}
	return apply(s);
}

static int confirm(struct setup *s)
{
	struct progress progress;
	const char *why = "";

	if (!run_lock(s, true) || !run_open(s, &progress) ||
		progress.confirmed || !progress.applied) {
		setup_fail("there is nothing to confirm%s",
			progress.confirmed
				? ": it was confirmed before"
				: "; sgbridge setup --status says why");
		return SETUP_REFUSED;
	}
	if (!s->force && !guard_is_new_login(&progress, &why)) {
		setup_fail("%s", why);
		return SETUP_REFUSED;
	}
	if (!run_note(s, "confirmed"))
		return SETUP_FAILED;
	setup_remove_tree(setup_text(s, "%s/stage", s->run));
	printf("Confirmed. sgbridge doctor says what is left to do; sgbridge "
	       "setup --undo puts everything back.\n");
	return SETUP_GOOD;
}

static int undo(struct setup *s)
{
	struct progress progress;

	if (!run_lock(s, true) || !run_open(s, &progress)) {
		setup_fail("there is nothing to undo");
		return SETUP_REFUSED;
	}
	if (!steps_undo(s, progress.confirmed && !s->force)) {
		setup_fail("nothing was put back. --force keeps such files in "
			   "%s/saved and puts back the old ones",
			s->run);
		return SETUP_REFUSED;
	}
	printf("Everything that this setup changed is as it was.\n");
	return SETUP_GOOD;
}

static int status(struct setup *s)
{
	struct progress progress;
	size_t i;

	if (!run_open(s, &progress)) {
		printf("no setup is in force\n");
		return SETUP_GOOD;
	}
	printf("%s: %s\n", s->run,
		progress.confirmed  ? "confirmed"
		: !progress.applied ? "ended half-way, or is at work"
				    : "waits to be confirmed");
	if (progress.applied && !progress.confirmed)
		printf("everything is put back in %lld seconds\n",
			progress.deadline - run_seconds());
	for (i = 0; i < s->step_count; i++)
		if (s->steps[i].attempted)
			printf("  %s\n", s->steps[i].path);
	return SETUP_GOOD;
}

/* What else may be said in each mode: who adds --dry-run to --undo does not
 * mean that everything is put back. */
static const char *const mode_options[] = {
	[MODE_SETUP] = "arynp",
	[MODE_CONFIRM] = "Cfr",
	[MODE_UNDO] = "Ufr",
	[MODE_STATUS] = "Sr",
	[MODE_GUARD] = "Gr",
};

static bool options(struct setup *s, int argc, char **argv, enum mode *mode)
{
	static const struct option list[] = {
		{"answers", required_argument, NULL, 'a'},
		{"root", required_argument, NULL, 'r'},
		{"yes", no_argument, NULL, 'y'},
		{"dry-run", no_argument, NULL, 'n'},
		{"unproven", no_argument, NULL, 'p'},
		{"force", no_argument, NULL, 'f'},
		{"confirm", no_argument, NULL, 'C'},
		{"undo", no_argument, NULL, 'U'},
		{"status", no_argument, NULL, 'S'},
		{"guard", no_argument, NULL, 'G'},
		{NULL, 0, NULL, 0},
	};
	char given[16] = "";
	size_t count = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
		if (count == sizeof(given) - 1)
			return false;
		given[count++] = (char)c;
		switch (c) {
		case 'a': s->answers_path = optarg; break;
		case 'r': s->root = strcmp(optarg, "/") ? optarg : ""; break;
		case 'y': s->yes = true; break;
		case 'n': s->dry_run = true; break;
		case 'p': s->unproven = true; break;
		case 'f': s->force = true; break;
		case 'C': *mode = MODE_CONFIRM; break;
		case 'U': *mode = MODE_UNDO; break;
		case 'S': *mode = MODE_STATUS; break;
		case 'G': *mode = MODE_GUARD; break;
		default: return false;
		}
	}
	return optind == argc && (!*s->root || *s->root == '/') &&
	       !given[strspn(given, mode_options[*mode])];
}

int setup_main(struct setup *s, int argc, char **argv)
{
	enum mode mode = MODE_SETUP;

	if (argc > 1 &&
		(!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(usage, stdout);
		return SETUP_GOOD;
	}
	if (!options(s, argc, argv, &mode)) {
		fputs(usage, stderr);
		return SETUP_FAILED;
	}
	if (geteuid() != 0)
		return setup_fail("run it as root: sudo sgbridge setup");
	switch (mode) {
	case MODE_SETUP: return setup(s);
	case MODE_CONFIRM: return confirm(s);
	case MODE_UNDO: return undo(s);
	case MODE_STATUS: return status(s);
	case MODE_GUARD: return guard_main(s);
	}
	return SETUP_FAILED;
}
