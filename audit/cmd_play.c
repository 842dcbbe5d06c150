/*
 * Playing: a clock over the items of one channel. Going back means playing
 * again from the start without waiting, since the screen is a function of all
 * bytes before.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "audit.h"
#include "channels.h"
#include "commands.h"
#include "emulator.h"
#include "evidence.h"
#include "player.h"
#include "select.h"
#include "transcript.h"
#include "utf8.h"
#include "view.h"

#define SEEK_US	     10000000
#define PATTERN_MAX  200
#define COMMANDS_MAX 100000

struct play {
	struct audit *audit;
	struct chosen chosen;
	struct evidence *evidence;
	struct emulator *emulator;
	struct view view;
	struct channels channels;
	struct sgr_item item;
	bool has_item;
	uint64_t at_us;	  /* where the screen is */
	uint64_t seek_us; /* no waiting before this */
	uint64_t total_us;
	double speed;
	bool paused, quit, ended;
	/* Searching: rows are looked at instead of painted. */
	bool searching;
	char pattern[PATTERN_MAX];
	bool matched[EMULATOR_ROWS_MAX];
	unsigned int matches, before;
	const char *note; /* for the status line, once */
	/* Jumping: the commands' times, found when first asked for. */
	struct commands *commands;
	struct emulator *shell;
	uint64_t *command_us;
	size_t command_count;
	bool has_commands;
};

static void show_status(struct play *play)
{
	char at[PRINT_SPAN_MAX], total[PRINT_SPAN_MAX], text[300];
	char channel[60] = "";

	if (play->channels.wanted > 1)
		(void)snprintf(channel, sizeof(channel),
			"  channel %" PRIu64 ", one of %zu", play->view.channel,
			play->channels.wanted);
	(void)snprintf(text, sizeof(text),
		" %s / %s  x%g%s%s%s  space pause  . step  [ ] speed  "
		"left/right 10 s  g start  / ? n N search  ( ) command  "
		"q quit",
		print_span(play->at_us, at), print_span(play->total_us, total),
		play->speed, channel,
		play->ended    ? "  end"
		: play->paused ? "  paused"
			       : "",
		play->note ? play->note : "");
	play->note = NULL;
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
	memset(play->matched, 0, sizeof(play->matched));
	play->matches = 0;
	play->at_us = 0;
	play->has_item = play->ended = false;
}

static void seek(struct play *play, uint64_t to_us)
{
	play->seek_us = to_us;
	if (to_us < play->at_us)
		restart(play);
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

static void on_row(void *data, unsigned int y,
	const struct emulator_cell *cells, unsigned int count)
{
	struct play *play = data;
	struct buf text;
	unsigned int x;
	bool found;

	if (!play->searching) {
		player_row(NULL, y, cells, count);
		return;
	}
	buf_init(&text, 8 * EMULATOR_COLS_MAX);
	for (x = 0; x < count; x++)
		if (cells[x].width)
			utf8_put(&text, cells[x].code ? cells[x].code : ' ');
	buf_put_u8(&text, 0);
	found = !buf_error(&text) &&
		strcasestr((const char *)text.data, play->pattern);
	buf_done(&text);
	if (y >= EMULATOR_ROWS_MAX || found == play->matched[y])
		return;
	play->matched[y] = found;
	if (found)
		play->matches++;
	else
		play->matches--;
}

/* Does the screen show the pattern once more than before? */
static bool appears(struct play *play, bool all)
{
	play->before = play->matches;
	if (emulator_paint(play->emulator, all))
		transcript_lost("play");
	return play->matches > play->before;
}

/* On to where it appears next; back: to the last place before this one. */
static void find(struct play *play, bool back)
{
	uint64_t from = play->at_us, hit = 0;
	bool found = false;

	if (!*play->pattern)
		return;
	play->note = "  searching, control-C ends";
	show_status(play);
	play->searching = play->paused = true;
	memset(play->matched, 0, sizeof(play->matched));
	play->matches = 0;
	if (back)
		restart(play);
	(void)appears(play, true);
	while (!(found && !back) && fetch(play) && !player_interrupted()) {
		if (back && play->item.time_us >= from)
			break;
		step(play);
		if (!appears(play, false))
			continue;
		hit = play->at_us;
		found = true;
	}
	if (!found || back) {
		/* Where it was, or where it was found. */
		restart(play);
		while (fetch(play) && !player_interrupted() &&
			play->item.time_us <= (found ? hit : from))
			step(play);
	}
	play->searching = false;
	play->seek_us = play->at_us;
	if (!found)
		play->note = "  not found";
	if (emulator_paint(play->emulator, true))
		transcript_lost("play");
}

static void on_command(void *data, const struct found_command *command)
{
	struct play *play = data;
	uint64_t *grown;

	if (command->channel != play->view.channel ||
		play->command_count == COMMANDS_MAX)
		return;
	grown = reallocarray(play->command_us, play->command_count + 1,
		sizeof(*play->command_us));
	if (!grown)
		return;
	play->command_us = grown;
	play->command_us[play->command_count++] = command->time_us;
}

/* To the moment at which a command was entered. */
static void jump(struct play *play, bool back)
{
	uint64_t to = 0;
	bool found = false;
	size_t i;

	if (!play->has_commands) {
		play->note = "  looking for commands, control-C ends";
		show_status(play);
		enum sgb_err err = commands_run(play->commands, play->audit,
			play->chosen.fd, play->shell);

		if (player_interrupted())
			return;
		if (err && err != SGB_ERR_LIMIT)
			play->note = "  commands: the emulator was given up";
	}
	play->has_commands = true;
	for (i = 0; i < play->command_count; i++) {
		uint64_t us = play->command_us[i];

		if (back ? us < play->at_us : us > play->at_us && !found) {
			to = us;
			found = true;
		}
	}
	if (found)
		seek(play, to);
	else if (!play->note)
		play->note = "  no command there";
}

static void ask(struct play *play, bool back)
{
	char text[PATTERN_MAX] = "";

	if (player_ask(back ? "?" : "/", text, sizeof(text))) {
		memcpy(play->pattern, text, sizeof(text));
		find(play, back);
	}
}

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
	case PLAYER_KEY_RESIZE:
		if (emulator_paint(play->emulator, true))
			transcript_lost("play");
		break;
	case PLAYER_KEY_SEARCH: ask(play, false); break;
	case PLAYER_KEY_SEARCH_BACK: ask(play, true); break;
	case PLAYER_KEY_NEXT: find(play, false); break;
	case PLAYER_KEY_PREVIOUS: find(play, true); break;
	case PLAYER_KEY_COMMAND: jump(play, false); break;
	case PLAYER_KEY_COMMAND_BACK: jump(play, true); break;
	case PLAYER_KEY_NONE: break;
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

/* Going on by itself? What was sought is gone to even when paused. */
static bool moves(struct play *play)
{
	return fetch(play) &&
	       (!play->paused || play->item.time_us <= play->seek_us);
}

static void run(struct play *play)
{
	while (!play->quit) {
		int ms = moves(play) ? wait_ms(play) : -1;
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

	while (!evidence_next(play->evidence, &item)) {
		channels_note_output(&play->channels, &item);
		play->total_us = item.time_us;
	}
	if (scan->verdict == SGR_ALTERED)
		(void)fprintf(stderr,
			"sgbridge-audit: %s: altered: %s; playing what comes "
			"before\n",
			name, scan->fault);
	return scan->verdict;
}

int cmd_play(struct audit *audit, int argc, char **argv)
{
	struct play play = {.audit = audit, .speed = audit->speed};
	struct emulator_handler handler = {.data = &play, .row = on_row};
	struct emulator_handler shell;
	enum sgr_verdict verdict;

	if (audit->no_timing || !isatty(STDOUT_FILENO))
		return cmd_text(audit, argc, argv);
	if (argc != 1)
		audit_fatal(EX_USAGE, "play takes one recording");
	if (!(play.speed > 0))
		audit_fatal(EX_USAGE, "--speed must be above 0");
	play.commands = commands_new(on_command, &play);
	if (!play.commands)
		audit_fatal(EX_OSERR, "out of memory");
	commands_handler(play.commands, &shell);
	commands_until(play.commands, player_interrupted);
	if (emulator_start(&handler, &play.emulator) ||
		emulator_start(&shell, &play.shell))
		audit_fatal(EX_OSERR, "cannot start the emulator: %s",
			strerror(errno));
	audit_places(audit);
	play.evidence = select_evidence(audit, argv[0], &play.chosen);
	verdict = measure(&play, argv[0]);
	if (audit->channel && !channels_has(&play.channels, audit->channel))
		channels_none(&play.channels, argv[0], audit->channel);
	play.view.channel = audit->channel;
	restart(&play);
	player_open();
	run(&play);
	player_close();
	channels_say_others(&play.channels, play.view.channel);
	channels_done(&play.channels);
	evidence_free(play.evidence);
	emulator_free(play.emulator);
	emulator_free(play.shell);
	commands_free(play.commands);
	free(play.command_us);
	select_done(&play.chosen);
	return sgr_verdict_exit(verdict);
}
