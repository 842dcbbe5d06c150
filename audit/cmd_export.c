/*
 * Conversions. Each format is a row with three functions; the bytes of the
 * recording are converted, never interpreted.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "audit.h"
#include "channels.h"
#include "evidence.h"
#include "export.h"
#include "export_html.h"
#include "select.h"
#include "transcript.h"

static const struct export_format *const formats[] = {
	&export_asciicast2,
	&export_asciicast3,
	&export_ttyrec,
	&export_raw,
	&export_items,
	&export_script,
};

static const struct export_format *find_format(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (!strcmp(formats[i]->name, name))
			return formats[i];
	audit_fatal(EX_USAGE,
		"--format \"%s\" is not known; \"export --help\" lists them",
		name);
}

static void run(const struct audit *audit, const char *name,
	const struct export_format *format, struct evidence *evidence,
	struct export_out *out)
{
	struct channels channels = {0};
	struct sgr_item item;

	while (!evidence_next(evidence, &item)) {
		channels_note_output(&channels, &item);
		if (!audit->channel || item.channel == audit->channel)
			format->item(out, &item);
	}
	if (format->end)
		format->end(out);
	if (audit->channel && !channels_has(&channels, audit->channel))
		channels_none(&channels, name, audit->channel);
	/* One that chose a channel left the others out. */
	if (out->channel)
		channels_say_others(&channels, out->channel);
	channels_done(&channels);
}

static FILE *open_output(const struct audit *audit)
{
	FILE *file;

	if (!audit->output)
		return stdout;
	file = fopen(audit->output, "wxe");
	if (!file)
		audit_fatal(EX_CANTCREAT, "%s: %s", audit->output,
			audit_errno(errno));
	return file;
}

static FILE *open_side(
	const struct audit *audit, const struct export_format *format)
{
	char path[PATH_MAX];
	FILE *file;

	if (!format || !format->side)
		return NULL;
	if (snprintf(path, sizeof(path), "%s%s", audit->output, format->side) >=
		(int)sizeof(path))
		audit_fatal(EX_USAGE, "-o: path too long");
	file = fopen(path, "wxe");
	if (!file)
		audit_fatal(EX_CANTCREAT, "%s: %s", path, strerror(errno));
	return file;
}

int cmd_export(struct audit *audit, int argc, char **argv)
{
	const char *name = audit->format ? audit->format : "asciicast";
	bool text = !strcmp(name, "text");
	struct html *html = strcmp(name, "html") ? NULL : html_new();
	const struct export_format *format = html || text ? NULL
							  : find_format(name);
	struct export_out out = {0};
	struct evidence *evidence;
	enum sgb_err err = SGB_OK;
	struct chosen chosen;
	int status;

	if (argc != 1)
		audit_fatal(EX_USAGE, "export takes one recording");
	if (text)
		return cmd_text(audit, argc, argv);
	if (format && format->side && !audit->output)
		audit_fatal(
			EX_USAGE, "--format %s makes two files: give -o", name);
	if (format && format->bytes && !audit->output && isatty(1))
		audit_fatal(EX_USAGE,
			"--format %s: these bytes are the target's, and would "
			"act on this terminal; give -o FILE or a pipe",
			name);
	audit_places(audit);
	evidence = select_evidence(audit, argv[0], &chosen);
	out.scan = evidence_scan(evidence);
	out.meta = evidence_meta(evidence);
	out.file = open_output(audit);
	out.side = open_side(audit, format);
	if (!html)
		run(audit, argv[0], format, evidence, &out);
	else
		err = html_write(html, audit, chosen.fd, evidence, out.file);
	if (err && err != SGB_ERR_LIMIT)
		transcript_lost(argv[0]);
	if (fflush(out.file) || ferror(out.file))
		audit_fatal(EX_IOERR, "output cannot be written");
	if (audit->output)
		(void)fclose(out.file);
	if (out.side && (ferror(out.side) || fclose(out.side)))
		audit_fatal(EX_IOERR, "output cannot be written");
	free(out.state);
	html_free(html);
	status = sgr_verdict_exit(out.scan->verdict);
	if (err)
		status = channels_missed(argv[0]);
	if (out.scan->verdict != SGR_INTACT)
		(void)fprintf(stderr, "sgbridge-audit: %s: %s\n",
			sgr_verdict_text(out.scan->verdict), out.scan->fault);
	evidence_free(evidence);
	select_done(&chosen);
	return status;
}
