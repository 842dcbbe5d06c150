/*
 * The transcript: lines as they left the screen, then what is still on it; of
 * full-screen programs each row once, as it was before it was changed. For each
 * channel with output, one after the other.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "audit.h"
#include "channels.h"
#include "emulator.h"
#include "evidence.h"
#include "select.h"
#include "transcript.h"
#include "view.h"

static bool open, apart; /* a line that goes on, and of which kind */

void transcript_end(void)
{
	if (open)
		(void)fputc('\n', stdout);
	open = false;
}

void transcript_line(
	void *data, const char *text, size_t len, unsigned int flags)
{
	(void)data;
	if (flags & EMULATOR_REDRAWN)
		return;
	if ((flags & EMULATOR_APART) && !apart)
		transcript_end();
	(void)fwrite(text, 1, len, stdout);
	open = flags & EMULATOR_WRAPPED;
	apart = flags & EMULATOR_APART;
	if (!open)
		(void)fputc('\n', stdout);
}

void transcript_lost(const char *what)
{
	audit_fatal(EX_SOFTWARE,
		"%s: given up: the emulator died or took too long over what "
		"the target sent; "
		"\"export\" and \"search --raw\" work without it",
		what);
}

struct transcript {
	struct view view;
	bool heads; /* each channel has a line */
};

static enum sgb_err begin_channel(void *data, uint64_t id)
{
	struct transcript *transcript = data;

	if (transcript->heads)
		(void)printf("==> channel %" PRIu64 "\n", id);
	transcript->view.channel = id;
	transcript->view.has_pty = false;
	return emulator_clear(transcript->view.emulator);
}

static enum sgb_err take_item(void *data, const struct sgr_item *item)
{
	struct transcript *transcript = data;
	bool shown;

	return view_item(&transcript->view, item, &shown);
}

static enum sgb_err end_channel(void *data)
{
	struct transcript *transcript = data;
	enum sgb_err err = emulator_lines(transcript->view.emulator);

	transcript_end();
	return err;
}

static enum sgb_err run(struct audit *audit, struct channels *channels, int fd,
	struct emulator *emulator)
{
	struct transcript transcript = {
		{.emulator = emulator}, .heads = channels->wanted > 1};
	const struct channels_reader reader = {
		&transcript, begin_channel, take_item, end_channel};

	return channels_run(channels, audit, fd, &reader);
}

/* Reads evidence to its end. */
static void note_channels(struct audit *audit, const char *name,
	struct evidence *evidence, struct channels *channels)
{
	struct sgr_item item;

	while (!evidence_next(evidence, &item))
		channels_note_output(channels, &item);
	if (audit->channel && !channels_has(channels, audit->channel))
		channels_none(channels, name, audit->channel);
	if (audit->channel)
		channels_only(channels, audit->channel);
}

int cmd_text(struct audit *audit, int argc, char **argv)
{
	struct emulator_handler handler = {.line = transcript_line};
	struct channels channels = {0};
	struct evidence *evidence;
	struct emulator *emulator;
	struct chosen chosen;
	enum sgb_err err;
	int status;

	if (argc != 1)
		audit_fatal(EX_USAGE, "%s takes one recording", audit->command);
	if (emulator_start(&handler, &emulator))
		audit_fatal(EX_OSERR, "cannot start the emulator: %s",
			strerror(errno));
	audit_places(audit);
	evidence = select_evidence(audit, argv[0], &chosen);
	if (audit->output && !freopen(audit->output, "wxe", stdout))
		audit_fatal(EX_CANTCREAT, "%s: %s", audit->output,
			audit_errno(errno));
	note_channels(audit, argv[0], evidence, &channels);
	status = sgr_verdict_exit(evidence_scan(evidence)->verdict);
	err = run(audit, &channels, chosen.fd, emulator);
	if (err && err != SGB_ERR_LIMIT)
		transcript_lost(argv[0]);
	if (err)
		status = channels_missed(argv[0]);
	if (evidence_scan(evidence)->verdict != SGR_INTACT)
		(void)fprintf(stderr, "sgbridge-audit: %s: %s\n",
			sgr_verdict_text(evidence_scan(evidence)->verdict),
			evidence_scan(evidence)->fault);
	evidence_free(evidence);
	emulator_free(emulator);
	channels_done(&channels);
	select_done(&chosen);
	return status;
}
