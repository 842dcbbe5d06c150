/*
 * Watching a session that is going on. The bastion cannot read what it
 * records, so it is watched where an auditor's key is: the file is read as it
 * grows, from a folder that is mounted, or from standard input (ssh ... tail).
 * Frames are written before they reach the user; what is seen here is later by
 * the transport and by POLL_MS.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"

#include "audit.h"
#include "channels.h"
#include "emulator.h"
#include "evidence.h"
#include "player.h"
#include "select.h"
#include "transcript.h"
#include "view.h"

#define POLL_MS	   200
#define OPEN_MS	   10000 /* for a header to come through a pipe */
#define SPOOL_MAX  (4ULL << 30)
#define PIPE_PIECE 65536

struct watch {
	struct audit *audit;
	struct chosen chosen;
	struct evidence *evidence;
	struct emulator *emulator;
	struct view view;
	struct channels channels;
	uint64_t at_us, spooled;
	int pipe;  /* -1: a file */
	bool full; /* the screen, else lines */
	bool quit, pipe_ended;
};

/* What has come through the pipe goes into the spool; true: something did. */
static bool take_pipe(struct watch *watch, int ms)
{
	struct pollfd fd = {.fd = watch->pipe, .events = POLLIN};
	static uint8_t piece[PIPE_PIECE];
	bool came = false;
	ssize_t got;

	while (watch->pipe >= 0 && !watch->pipe_ended &&
		poll(&fd, 1, came ? 0 : ms) > 0) {
		got = read(watch->pipe, piece, sizeof(piece));
		watch->pipe_ended = got <= 0;
		if (got <= 0)
			break;
		watch->spooled += (uint64_t)got;
		if (watch->spooled > SPOOL_MAX ||
			file_write_all(watch->chosen.fd, piece, (size_t)got))
			audit_fatal(EX_IOERR, "the spool is full");
		came = true;
	}
	return came;
}

static void show_all(struct watch *watch)
{
	struct sgr_item item;
	bool shown;

	while (!evidence_next(watch->evidence, &item)) {
		channels_note_output(&watch->channels, &item);
		if (view_item(&watch->view, &item, &shown))
			transcript_lost("watch");
		watch->at_us = item.time_us;
	}
}

static void paint(struct watch *watch, bool all)
{
	char text[200], at[PRINT_SPAN_MAX];
	char channel[60] = "";

	if (!watch->full) {
		(void)fflush(stdout);
		return;
	}
	if (emulator_paint(watch->emulator, all))
		transcript_lost("watch");
	if (watch->channels.wanted > 1)
		(void)snprintf(channel, sizeof(channel),
			"  channel %" PRIu64 ", one of %zu",
			watch->view.channel, watch->channels.wanted);
	(void)snprintf(text, sizeof(text), " %s  %s%s   q quit",
		print_span(watch->at_us, at),
		evidence_scan(watch->evidence)->ended ? "ended" : "live",
		channel);
	player_status(emulator_screen(watch->emulator), text);
}

/* A tick of waiting; false: no more will come. */
static bool wait_more(struct watch *watch)
{
	enum player_key key = PLAYER_KEY_NONE;

	(void)take_pipe(watch, watch->full ? 0 : POLL_MS);
	if (watch->full)
		key = player_key(POLL_MS);
	else if (watch->pipe < 0)
		(void)poll(NULL, 0, POLL_MS);
	if (key == PLAYER_KEY_QUIT)
		watch->quit = true;
	if (key == PLAYER_KEY_RESIZE)
		paint(watch, true);
	if (watch->quit || evidence_refresh(watch->evidence))
		return false;
	return watch->pipe < 0 || !watch->pipe_ended;
}

static void run(struct watch *watch)
{
	do {
		show_all(watch);
		paint(watch, false);
	} while (wait_more(watch));
	show_all(watch);
	paint(watch, false);
	if (!watch->full && emulator_lines(watch->emulator))
		transcript_lost("watch");
}

/* Standard input becomes the terminal, if there is one. */
static void open_pipe(struct watch *watch)
{
	char id[SGR_ID_TEXT];
	int waited = 0, tty;

	audit_identities(watch->audit, true);
	watch->pipe = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	watch->chosen.fd = memfd_create("watch", MFD_CLOEXEC);
	if (watch->pipe < 0 || watch->chosen.fd < 0)
		audit_fatal(EX_OSERR, "%s", strerror(errno));
	tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
	if (tty >= 0)
		(void)dup2(tty, STDIN_FILENO);
	while (audit_evidence(
		watch->audit, watch->chosen.fd, &watch->evidence)) {
		evidence_free(watch->evidence);
		watch->evidence = NULL;
		if (watch->pipe_ended || waited >= OPEN_MS)
			audit_fatal(EX_DATAERR,
				"what comes through the pipe is no recording "
				"for your key");
		if (!take_pipe(watch, POLL_MS))
			waited += POLL_MS;
	}
	sgr_id_text(evidence_scan(watch->evidence)->header.rec_id, id);
	audit_viewed(watch->audit, id, "watch");
}

int cmd_watch(struct audit *audit, int argc, char **argv)
{
	struct emulator_handler handler = {.line = transcript_line};
	struct watch watch = {.audit = audit, .pipe = -1};
	const struct sgr_scan *scan;
	int status;

	if (argc != 1)
		audit_fatal(EX_USAGE, "watch takes one recording, or \"-\"");
	watch.full = isatty(STDOUT_FILENO) && !audit->no_timing;
	if (watch.full) {
		handler.line = NULL;
		handler.row = player_row;
	}
	if (emulator_start(&handler, &watch.emulator))
		audit_fatal(EX_OSERR, "cannot start the emulator: %s",
			strerror(errno));
	/* Sessions last for hours. */
	emulator_budget(watch.emulator, 3600 * 1000);
	watch.view.emulator = watch.emulator;
	watch.view.channel = audit->channel;
	audit_places(audit);
	if (!strcmp(argv[0], "-"))
		open_pipe(&watch);
	else
		watch.evidence = select_evidence(audit, argv[0], &watch.chosen);
	if (watch.full)
		player_open();
	run(&watch);
	if (watch.full)
		player_close();
	if (audit->channel && !channels_has(&watch.channels, audit->channel))
		channels_none(&watch.channels, argv[0], audit->channel);
	channels_say_others(&watch.channels, watch.view.channel);
	channels_done(&watch.channels);
	scan = evidence_scan(watch.evidence);
	status = sgr_verdict_exit(scan->verdict);
	(void)fprintf(stderr, "sgbridge-audit: %s: %s\n",
		sgr_verdict_text(scan->verdict), scan->fault);
	evidence_free(watch.evidence);
	emulator_free(watch.emulator);
	select_done(&watch.chosen);
	return status;
}
