/*
 * Conversions. Each format is a row with three functions; the bytes of the
 * recording are converted, never interpreted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "audit.h"
#include "evidence.h"
#include "export.h"
#include "select.h"

static const struct export_format *const formats[] = {
	&export_asciicast2,
	&export_asciicast3,
	&export_ttyrec,
	&export_raw,
	&export_items,
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

static void run(const struct export_format *format, struct evidence *evidence,
	struct export_out *out)
{
	struct sgr_item item;

	while (!evidence_next(evidence, &item))
		format->item(out, &item);
	if (format->end)
		format->end(out);
}

int cmd_export(struct audit *audit, int argc, char **argv)
{
	const struct export_format *format = find_format(
		audit->format ? audit->format : "asciicast");
	struct export_out out = {.file = stdout};
	struct evidence *evidence;
	struct chosen chosen;
	int status;

	if (argc != 1)
		audit_fatal(EX_USAGE, "export takes one recording");
	audit_places(audit);
	evidence = select_evidence(audit, argv[0], &chosen);
	out.scan = evidence_scan(evidence);
	out.meta = evidence_meta(evidence);
	if (audit->output) {
		out.file = fopen(audit->output, "wxe");
		if (!out.file)
			audit_fatal(EX_CANTCREAT, "%s: %s", audit->output,
				strerror(errno));
	}
	run(format, evidence, &out);
	if (fflush(out.file) || ferror(out.file))
		audit_fatal(EX_IOERR, "output cannot be written");
	if (audit->output)
		(void)fclose(out.file);
	free(out.state);
	status = sgr_verdict_exit(out.scan->verdict);
	if (status)
		(void)fprintf(stderr, "sgbridge-audit: %s: %s\n",
			sgr_verdict_text(out.scan->verdict), out.scan->fault);
	evidence_free(evidence);
	select_done(&chosen);
	return status;
}
