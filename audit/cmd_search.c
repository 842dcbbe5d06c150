/*
 * Searching what was on the screen, in commands, names and META; with --raw in
 * the bytes themselves, which also finds what was hidden from the screen by
 * colours, cursor movement or overwriting. One pass, constant memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/record.h"

#include "audit.h"
#include "emulator.h"
#include "evidence.h"
#include "select.h"
#include "utf8.h"
#include "view.h"

#define CARRY_MAX 4096 /* raw bytes kept between items */

struct search {
	const struct audit *audit;
	const char *pattern;
	regex_t regex;
	struct emulator *emulator;
	const char *id;
	uint64_t now_us, channel;
	size_t hits;
	struct buf carry;
};

static bool matches(const struct search *search, const char *text)
{
	if (search->audit->regex)
		return !regexec(&search->regex, text, 0, NULL, 0);
	return strcasestr(text, search->pattern) != NULL;
}

static void hit(struct search *search, const char *where, const char *text)
{
	char span[PRINT_SPAN_MAX];

	search->hits++;
	if (search->audit->json) {
		(void)printf("{\"rec\":\"%s\",\"us\":%" PRIu64
			     ",\"channel\":%" PRIu64 ",\"where\":\"%s\","
			     "\"text\":",
			search->id, search->now_us, search->channel, where);
		print_json(stdout, text);
		(void)printf("}\n");
		return;
	}
	(void)printf("%s  %8s  %-8s  ", search->id,
		print_span(search->now_us, span), where);
	print_text(stdout, text, strnlen(text, 500));
	(void)printf("\n");
}

static void check_bytes(struct search *search, const char *where,
	const uint8_t *data, size_t len)
{
	struct buf text;

	buf_init(&text, 4 * len + 64);
	utf8_clean(data, len, &text);
	buf_put_u8(&text, 0);
	if (!buf_error(&text) && matches(search, (const char *)text.data))
		hit(search, where, (const char *)text.data);
	buf_done(&text);
}

/* The emulator's lines; wrapped ones are put together. */
static void on_line(void *data, const char *text, size_t len, bool wrapped)
{
	struct search *search = data;
	struct buf *line = &search->carry;

	if (line->len + len < CARRY_MAX)
		buf_put(line, text, len);
	if (wrapped && line->len < CARRY_MAX)
		return;
	buf_put_u8(line, 0);
	if (!buf_error(line) && matches(search, (const char *)line->data))
		hit(search, "screen", (const char *)line->data);
	buf_reset(line);
}

/* Raw: the bytes of one direction in lines, wherever the items were cut. */
static void raw_bytes(struct search *search, const struct sgr_item *item)
{
	struct buf *line = &search->carry;
	size_t i;

	for (i = 0; i < item->len; i++) {
		if (item->data[i] != '\n' && line->len < CARRY_MAX) {
			buf_put_u8(line, item->data[i]);
			continue;
		}
		check_bytes(search, "raw", line->data, line->len);
		buf_reset(line);
	}
}

static bool is_text(unsigned int kind)
{
	return kind == RECORD_EXEC || kind == RECORD_SUBSYSTEM ||
	       kind == RECORD_FILE || kind == RECORD_FILE_OP ||
	       kind == RECORD_FORWARD || kind == RECORD_REFUSED ||
	       kind == RECORD_NOTE || kind == RECORD_ENV;
}

static enum sgb_err take_item(
	struct search *search, struct view *view, const struct sgr_item *item)
{
	bool shown;

	search->now_us = item->time_us;
	if (item->channel != view->channel)
		return SGB_OK;
	if (!search->audit->raw)
		return view_item(view, item, &shown);
	if (item->kind == RECORD_OUT || item->kind == RECORD_ERR)
		raw_bytes(search, item);
	return SGB_OK;
}

static enum sgb_err search_channel(
	struct search *search, int fd, uint64_t channel)
{
	const struct audit *audit = search->audit;
	struct view view = {.emulator = search->emulator, .channel = channel};
	struct evidence *evidence;
	struct sgr_item item;
	enum sgb_err err;

	search->channel = channel;
	buf_reset(&search->carry);
	err = evidence_open(fd, audit->identities, audit->key_count, &evidence);
	if (!err && !audit->raw)
		err = emulator_reset(search->emulator);
	while (!err && !evidence_next(evidence, &item))
		err = take_item(search, &view, &item);
	if (!err && !audit->raw)
		err = emulator_lines(search->emulator);
	else if (!err && search->carry.len)
		check_bytes(
			search, "raw", search->carry.data, search->carry.len);
	evidence_free(evidence);
	return err;
}

static void search_fd(struct search *search, struct evidence *evidence, int fd)
{
	struct view_channels channels = {0};
	struct sgr_item item;
	enum sgb_err err = SGB_OK;
	size_t i;

	search->now_us = search->channel = 0;
	if (matches(search, evidence_meta(evidence)))
		hit(search, "meta", evidence_meta(evidence));
	while (!evidence_next(evidence, &item)) {
		view_note_channel(&channels, &item);
		search->now_us = item.time_us;
		search->channel = item.channel;
		if (is_text(item.kind))
			check_bytes(search, record_slug(item.kind), item.data,
				item.len);
	}
	for (i = 0; !err && i < channels.count; i++)
		err = search_channel(search, fd, channels.ids[i]);
	if (err)
		(void)fprintf(stderr,
			"sgbridge-audit: %s: the emulator did not survive it; "
			"search with --raw\n",
			search->id);
}

static void search_entry(struct search *search, const struct store *store,
	const struct store_entry *entry)
{
	const struct audit *audit = search->audit;
	struct evidence *evidence = NULL;
	int fd = store_open_file(store, entry);

	if (fd < 0)
		return;
	search->id = entry->id;
	if (!evidence_open(
		    fd, audit->identities, audit->key_count, &evidence) &&
		filter_meta(audit, evidence_meta(evidence)))
		search_fd(search, evidence, fd);
	evidence_free(evidence);
	close(fd);
}

static void prepare(struct search *search)
{
	char why[200];
	int code;

	if (!*search->pattern || strlen(search->pattern) > 1000)
		audit_fatal(EX_USAGE, "the text to search for is empty or too "
				      "long");
	if (!search->audit->regex)
		return;
	/* A back reference makes matching exponential. */
	if (strpbrk(search->pattern, "\\"))
		audit_fatal(EX_USAGE, "--regex takes no backslash; write [.] "
				      "for a dot");
	code = regcomp(&search->regex, search->pattern,
		REG_EXTENDED | REG_ICASE | REG_NOSUB);
	if (code) {
		(void)regerror(code, &search->regex, why, sizeof(why));
		audit_fatal(EX_USAGE, "--regex: %s", why);
	}
}

int cmd_search(struct audit *audit, int argc, char **argv)
{
	struct search search = {.audit = audit, .pattern = argv[0]};
	struct emulator_handler handler = {.data = &search, .line = on_line};
	struct filter filter;
	struct store *store;
	size_t i;

	if (argc != 1)
		audit_fatal(EX_USAGE, "search takes one text");
	prepare(&search);
	buf_init(&search.carry, CARRY_MAX + 65536);
	if (!audit->raw && emulator_start(&handler, &search.emulator))
		audit_fatal(EX_OSERR, "cannot start the emulator: %s",
			strerror(errno));
	audit_places(audit);
	audit_identities(audit, true);
	filter_init(audit, &filter);
	store = select_store(audit);
	audit_viewed(audit, "", "search");
	for (i = 0; i < store->count; i++) {
		const struct store_entry *entry = &store->entries[i];

		if (filter_entry(audit, &filter, entry))
			search_entry(&search, store, entry);
		/* The child may have died over one recording. */
		if (!audit->raw && emulator_reset(search.emulator)) {
			emulator_free(search.emulator);
			audit_fatal(EX_SOFTWARE,
				"the emulator died over %s; narrow the search, "
				"or use --raw",
				entry->id);
		}
	}
	store_free(store);
	emulator_free(search.emulator);
	buf_done(&search.carry);
	if (audit->regex)
		regfree(&search.regex);
	return search.hits ? 0 : AUDIT_EXIT_NONE;
}
