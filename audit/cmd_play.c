/*
 * Playing: a clock over the items of one channel. Going back means playing
 * again from the start without waiting, since the screen is a function of all
 * bytes before.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "audit.h"
#include "emulator.h"
#include "evidence.h"
#include "player.h"
#include "select.h"
#include "transcript.h"
#include "view.h"

#define SEEK_US 10000000

struct play {
	struct audit *audit;
	struct chosen chosen;
	struct evidence *evidence;
	struct emulator *emulator;
	struct view view;
	struct sgr_item item;
	bool has_item;
	uint64_t at_us;	  /* where the screen is */
	uint64_t seek_us; /* no waiting before this */
	uint64_t total_us;
	double speed;
	bool paused, quit, ended;
};

static void show_status(struct play *play)
{
	char at[PRINT_SPAN_MAX], total[PRINT_SPAN_MAX], text[300];

	(void)snprintf(text, sizeof(text),
		" %s / %s  x%g%s   space pause  . step  [ ] speed  "
		"left/right 10 s  g start  q quit",
		print_span(play->at_us, at), print_span(play->total_us, total),
		play->speed,
		play->ended    ? "  end"
		: play->paused ? "  paused"
			       : "");
	player_status(emulator_screen(play->emulator), text);
}

static void restart(struct play *play)
{
	evidence_free(play->evidence);
	if (audit_evidence(play->audit, play->chosen.fd, &play->evidence) ||
		emulator_reset(play->emulator))
		transcript_lost("play");
	play->view = (struct view){
		.emulator = play->emulator, .channel = play->view.channel};
	play->at_us = 0;
	play->has_item = play->ended = false;
}

static void seek(struct play *play, uint64_t to_us)
{
	play->seek_us = to_us;
	if (to_us < play->at_us)
		restart(play);
}

static void step(struct play *play);

static void take_key(struct play *play, enum player_key key)
{
	switch (key) {
	case PLAYER_KEY_PAUSE: play->paused = !play->paused; break;
	case PLAYER_KEY_STEP:
		play->paused = true;
		step(play);
		break;
	case PLAYER_KEY_FASTER:
		if (play->speed < 64)
			play->speed *= 2;
		break;
	case PLAYER_KEY_SLOWER:
		if (play->speed > 1.0 / 16)
			play->speed /= 2;
		break;
	case PLAYER_KEY_FORWARD: seek(play, play->at_us + SEEK_US); break;
	case PLAYER_KEY_BACK:
		seek(play, play->at_us > SEEK_US ? play->at_us - SEEK_US : 0);
		break;
	case PLAYER_KEY_START:
		play->seek_us = 0;
		restart(play);
		break;
	case PLAYER_KEY_QUIT: play->quit = true; break;
	default: break;
	}
}

static bool fetch(struct play *play)
{
	if (!play->has_item && !play->ended) {
		play->has_item = !evidence_next(play->evidence, &play->item);
		play->ended = !play->has_item;
	}
	return play->has_item;
}

/* One item onto the screen; those that show nothing do not count. */
static void step(struct play *play)
{
	bool shown = false;

	while (!shown && fetch(play)) {
		if (view_item(&play->view, &play->item, &shown))
			transcript_lost("play");
		play->at_us = play->item.time_us;
		play->has_item = false;
	}
}

static int wait_ms(const struct play *play)
{
	uint64_t gap = play->item.time_us > play->at_us
			       ? play->item.time_us - play->at_us
			       : 0;
	double ms;

	if (play->item.time_us <= play->seek_us)
		return 0;
	if (play->audit->idle_limit > 0 &&
		(double)gap > play->audit->idle_limit * 1e6)
		gap = (uint64_t)(play->audit->idle_limit * 1e6);
	ms = (double)gap / 1000 / play->speed;
	return ms > 3600000 ? 3600000 : (int)ms;
}

static void paint(struct play *play)
{
	if (emulator_paint(play->emulator, false))
		transcript_lost("play");
	show_status(play);
}

static void run(struct play *play)
{
	while (!play->quit) {
		int ms = fetch(play) && !play->paused ? wait_ms(play) : -1;
		enum player_key key = PLAYER_KEY_NONE;

		if (ms)
			paint(play);
		key = player_key(ms);
		if (key != PLAYER_KEY_NONE)
			take_key(play, key);
		else if (ms >= 0)
			step(play);
	}
}

/* How long it is, and whether it is what was written, before it starts. */
static enum sgr_verdict measure(struct play *play, const char *name)
{
	const struct sgr_scan *scan = evidence_scan(play->evidence);
	struct sgr_item item;

	while (!evidence_next(play->evidence, &item))
		play->total_us = item.time_us;
	if (scan->verdict == SGR_ALTERED)
		(void)fprintf(stderr,
			"sgbridge-audit: %s: altered: %s; playing what comes "
			"before\n",
			name, scan->fault);
	return scan->verdict;
}

int cmd_play(struct audit *audit, int argc, char **argv)
{
	struct emulator_handler handler = {.row = player_row};
	struct play play = {.audit = audit, .speed = audit->speed};
	enum sgr_verdict verdict;

	if (audit->no_timing || !isatty(STDOUT_FILENO))
		return cmd_text(audit, argc, argv);
	if (argc != 1)
		audit_fatal(EX_USAGE, "play takes one recording");
	if (!(play.speed > 0))
		audit_fatal(EX_USAGE, "--speed must be above 0");
	if (emulator_start(&handler, &play.emulator))
		audit_fatal(EX_OSERR, "cannot start the emulator: %s",
			strerror(errno));
	audit_places(audit);
	play.evidence = select_evidence(audit, argv[0], &play.chosen);
	verdict = measure(&play, argv[0]);
	restart(&play);
	player_open();
	run(&play);
	player_close();
	evidence_free(play.evidence);
	emulator_free(play.emulator);
	select_done(&play.chosen);
	return sgr_verdict_exit(verdict);
}
