/*
 * The transcript: lines as they left the screen, then what is still on it; of
 * full-screen programs each row once, as it was before it was changed. For each
 * channel with output, one after the other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "audit.h"
#include "emulator.h"
#include "evidence.h"
#include "select.h"
#include "transcript.h"
#include "view.h"

void transcript_line(
	void *data, const char *text, size_t len, unsigned int flags)
{
	static bool open, apart; /* a line that goes on, and of which kind */

	(void)data;
	if (flags & EMULATOR_REDRAWN)
		return;
	if (open && (flags & EMULATOR_APART) && !apart)
		(void)fputc('\n', stdout);
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

void transcript_channels(struct evidence *evidence, struct view_channels *ret)
{
	struct sgr_item item;

	memset(ret, 0, sizeof(*ret));
	while (!evidence_next(evidence, &item))
		view_note_channel(ret, &item);
}

enum sgb_err transcript_run(struct audit *audit, int fd,
	struct emulator *emulator, uint64_t channel)
{
	struct view view = {.emulator = emulator, .channel = channel};
	struct evidence *evidence;
	struct sgr_item item;
	enum sgb_err err;
	bool shown;

	err = audit_evidence(audit, fd, &evidence);
	if (!err)
		err = emulator_reset(emulator);
	while (!err && !evidence_next(evidence, &item))
		err = view_item(&view, &item, &shown);
	if (!err)
		err = emulator_lines(emulator);
	evidence_free(evidence);
	return err;
}

int cmd_text(struct audit *audit, int argc, char **argv)
{
	struct emulator_handler handler = {.line = transcript_line};
	struct view_channels channels;
	struct evidence *evidence;
	struct emulator *emulator;
	struct chosen chosen;
	int status;
	size_t i;

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
	transcript_channels(evidence, &channels);
	status = sgr_verdict_exit(evidence_scan(evidence)->verdict);
	for (i = 0; i < channels.count; i++) {
		if (channels.count > 1)
			(void)printf("==> channel %llu\n",
				(unsigned long long)channels.ids[i]);
		if (transcript_run(audit, chosen.fd, emulator, channels.ids[i]))
			transcript_lost(argv[0]);
	}
	if (status)
		(void)fprintf(stderr, "sgbridge-audit: %s: %s\n",
			sgr_verdict_text(evidence_scan(evidence)->verdict),
			evidence_scan(evidence)->fault);
	evidence_free(evidence);
	emulator_free(emulator);
	select_done(&chosen);
	return status;
}
