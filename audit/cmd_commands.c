/* Listing the commands of a recording, and the files and forwards. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/record.h"

#include "audit.h"
#include "channels.h"
#include "commands.h"
#include "select.h"
#include "transcript.h"

struct listing {
	const struct audit *audit;
	size_t count;
};

/* How far a source can be believed: asked for in the protocol; said by whoever
 * wrote to the terminal; read off the screen. */
static const char *confidence(const char *source)
{
	static const char *const words[][2] = {
		{"exec", "exact"}, {"osc133", "claimed"}, {"screen", "likely"}};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(source, words[i][0]))
			return words[i][1];
	return "unknown";
}

static void print_command(void *data, const struct found_command *command)
{
	struct listing *listing = data;
	char span[PRINT_SPAN_MAX];

	listing->count++;
	if (listing->audit->json) {
		(void)printf("{\"us\":%" PRIu64 ",\"channel\":%" PRIu64
			     ",\"source\":\"%s\",\"confidence\":\"%s\","
			     "\"command\":",
			command->time_us, command->channel, command->source,
			confidence(command->source));
		print_json(stdout, command->text);
		if (command->has_status)
			(void)printf(",\"exit\":%u", command->status);
		(void)printf("}\n");
		return;
	}
	(void)printf("%8s  %-6s  %-7s  ", print_span(command->time_us, span),
		command->source, confidence(command->source));
	if (command->has_status)
		(void)printf("%3u  ", command->status);
	else
		(void)printf("  -  ");
	print_cstring(stdout, command->text);
	(void)printf("\n");
}

static bool is_file_item(unsigned int kind)
{
	return kind == RECORD_FILE || kind == RECORD_FILE_OP ||
	       kind == RECORD_FORWARD;
}

/* The items are JSON of the session process: hearsay, printed escaped. */
static void print_file(const struct audit *audit, const struct sgr_item *item)
{
	char span[PRINT_SPAN_MAX];

	if (audit->json) {
		char *text = strndup((const char *)item->data, item->len);

		(void)printf("{\"us\":%" PRIu64 ",\"channel\":%" PRIu64
			     ",\"kind\":\"%s\",\"what\":",
			item->time_us, item->channel, record_slug(item->kind));
		print_json(stdout, text ? text : "");
		(void)printf("}\n");
		free(text);
		return;
	}
	(void)printf("%8s  %-7s  ", print_span(item->time_us, span),
		record_slug(item->kind));
	print_text(stdout, (const char *)item->data, item->len);
	(void)printf("\n");
}

/* Read to its end; what stands behind a change was not shown. */
static int end_status(const struct evidence *evidence, size_t count)
{
	const struct sgr_scan *scan = evidence_scan(evidence);

	if (scan->verdict != SGR_ALTERED)
		return count ? 0 : AUDIT_EXIT_NONE;
	(void)fflush(stdout);
	(void)fprintf(stderr, "sgbridge-audit: altered: ");
	print_cstring(stderr, scan->fault);
	(void)fprintf(stderr, "; what follows is not shown\n");
	return sgr_verdict_exit(scan->verdict);
}

int cmd_files(struct audit *audit, int argc, char **argv)
{
	struct evidence *evidence;
	struct sgr_item item;
	struct chosen chosen;
	size_t count = 0;
	int status;

	if (argc != 1)
		audit_fatal(EX_USAGE, "files takes one recording");
	audit_places(audit);
	evidence = select_evidence(audit, argv[0], &chosen);
	while (!evidence_next(evidence, &item))
		if (is_file_item(item.kind)) {
			print_file(audit, &item);
			count++;
		}
	status = end_status(evidence, count);
	evidence_free(evidence);
	select_done(&chosen);
	return status;
}

int cmd_commands(struct audit *audit, int argc, char **argv)
{
	struct listing listing = {.audit = audit};
	struct commands *commands = commands_new(print_command, &listing);
	struct emulator_handler handler;
	struct evidence *evidence;
	struct emulator *emulator;
	struct chosen chosen;
	struct sgr_item item;
	enum sgb_err err;
	int status;

	if (argc != 1)
		audit_fatal(EX_USAGE, "commands takes one recording");
	if (!commands)
		audit_fatal(EX_OSERR, "out of memory");
	commands_handler(commands, &handler);
	if (emulator_start(&handler, &emulator))
		audit_fatal(EX_OSERR, "cannot start the emulator: %s",
			strerror(errno));
	audit_places(audit);
	evidence = select_evidence(audit, argv[0], &chosen);
	err = commands_run(commands, audit, chosen.fd, emulator);
	if (err && err != SGB_ERR_LIMIT)
		transcript_lost(argv[0]);
	emulator_free(emulator);
	commands_free(commands);
	while (!evidence_next(evidence, &item))
		;
	status = end_status(evidence, listing.count);
	if (err)
		status = channels_missed(argv[0]);
	evidence_free(evidence);
	select_done(&chosen);
	return status;
}
