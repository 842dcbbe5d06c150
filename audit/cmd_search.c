/*
 * Searching what was on the screen, in commands, names and META; with --raw in
 * the bytes themselves, which also finds what was hidden from the screen by
 * colours, cursor movement or overwriting. With --index the answer comes from
 * the index that "index" made; what is not in it yet is not found.
 */
#include <errno.h>
#include <inttypes.h>
#include <regex.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "audit.h"
#include "emulator.h"
#include "evidence.h"
#include "hits.h"
#include "index_db.h"
#include "select.h"
#include "texts.h"
#include "unread.h"

struct search {
	struct audit *audit;
	const char *pattern;
	regex_t regex;
	const struct store_entry *entry; /* looked at */
	struct hits hits;
	struct texts *texts;
	struct emulator_pool emulators;
	size_t given_up;
	struct unread unread;
};

/* Where it is in text, or NULL. */
static const char *find(const struct search *search, const char *text)
{
	regmatch_t match;

	if (!search->audit->regex)
		return strcasestr(text, search->pattern);
	if (regexec(&search->regex, text, 1, &match, 0))
		return NULL;
	return text + match.rm_so;
}

static bool is_enough(const struct search *search)
{
	return search->audit->limit &&
	       search->hits.count >= search->audit->limit;
}

static void on_text(void *data, const struct found_text *found)
{
	struct search *search = data;
	const char *at = find(search, found->text);

	hits_tick(&search->hits);
	if (!at || is_enough(search))
		return;
	hits_put(&search->hits, search->entry->id, found, at);
}

static void on_row(void *data, const char *id, const struct found_text *found)
{
	struct search *search = data;
	const char *at = find(search, found->text);

	hits_tick(&search->hits);
	hits_put(&search->hits, id, found, at ? at : found->text);
}

/* The screen of one recording was too much: its bytes are searched, and the
 * answer says so. */
static void give_up(struct search *search, int fd)
{
	struct evidence *evidence = NULL;
	enum sgb_err err;

	search->given_up++;
	if (search->audit->json)
		(void)printf("{\"rec\":\"%s\",\"given_up\":true}\n",
			search->entry->id);
	(void)fflush(stdout);
	(void)fprintf(stderr,
		"sgbridge-audit: %s: the emulator was given up over its "
		"screen; from here on its bytes are searched\n",
		search->entry->id);
	err = audit_evidence(search->audit, fd, &evidence);
	if (!err)
		err = texts_run(
			search->texts, search->audit, fd, evidence, NULL);
	if (err == SGB_ERR_LIMIT)
		unread_channels(&search->unread, search->entry);
	else if (err)
		unread_evidence(&search->unread, search->entry, err, evidence);
	else
		(void)unread_rest(&search->unread, search->entry, evidence);
	evidence_free(evidence);
}

static void search_entry(struct search *search, const struct store *store,
	const struct store_entry *entry)
{
	struct audit *audit = search->audit;
	struct emulator *emulator = emulator_pool_get(&search->emulators);
	struct evidence *evidence = NULL;
	int fd = store_open_file(store, entry);
	enum sgb_err err;

	search->entry = entry;
	if (fd < 0) {
		/* One that is missing is verify's to tell. */
		if (entry->present)
			unread_file(&search->unread, entry);
		return;
	}
	err = audit_evidence(audit, fd, &evidence);
	if (err)
		unread_evidence(&search->unread, entry, err, evidence);
	else if (filter_meta(audit, evidence_meta(evidence))) {
		err = !audit->raw && !emulator
			      ? SGB_ERR_CLOSED
			      : texts_run(search->texts, audit, fd, evidence,
					emulator);
		if (err && err != SGB_ERR_LIMIT)
			give_up(search, fd);
		else if (err)
			unread_channels(&search->unread, entry);
		else
			(void)unread_rest(&search->unread, entry, evidence);
	}
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
	code = regcomp(
		&search->regex, search->pattern, REG_EXTENDED | REG_ICASE);
	if (code) {
		(void)regerror(code, &search->regex, why, sizeof(why));
		audit_fatal(EX_USAGE, "--regex: %s", why);
	}
}

static void search_store(struct search *search)
{
	struct audit *audit = search->audit;
	struct filter filter;
	struct store *store;
	size_t i;

	filter_init(audit, &filter);
	store = select_store(audit);
	for (i = 0; i < store->count && !is_enough(search); i++) {
		if (filter_entry(audit, &filter, &store->entries[i]))
			search_entry(search, store, &store->entries[i]);
		hits_tick(&search->hits);
	}
	store_free(store);
}

static void search_index(struct search *search)
{
	struct audit *audit = search->audit;
	struct index_query query = {.pattern = search->pattern,
		.regex = audit->regex,
		.scan = audit->scan};
	struct index_db *db;
	char why[300];

	if (audit->raw)
		audit_fatal(EX_USAGE, "--index does not take --raw: it holds "
				      "what was on the screen");
	if (index_open(audit, false, &db, why, sizeof(why)) ||
		index_search(
			db, audit, &query, on_row, search, why, sizeof(why)))
		audit_fatal(EX_NOINPUT, "%s", why);
	index_close(db);
}

int cmd_search(struct audit *audit, int argc, char **argv)
{
	struct search search = {
		.audit = audit, .pattern = argv[0], .unread = {.audit = audit}};
	struct emulator_handler handler;

	if (argc != 1)
		audit_fatal(EX_USAGE, "search takes one text");
	prepare(&search);
	search.texts = texts_new(on_text, &search);
	if (!search.texts)
		audit_fatal(EX_OSERR, "out of memory");
	texts_handler(search.texts, &handler);
	if (!audit->raw && !audit->index &&
		emulator_pool_start(&search.emulators, &handler))
		audit_fatal(EX_OSERR, "cannot start the emulator: %s",
			strerror(errno));
	audit_places(audit);
	audit_identities(audit, !audit->index);
	hits_begin(&search.hits, audit, search.pattern);
	if (audit->index)
		search_index(&search);
	else
		search_store(&search);
	hits_end(&search.hits);
	emulator_pool_done(&search.emulators);
	texts_free(search.texts);
	if (audit->regex)
		regfree(&search.regex);
	return unread_status(
		&search.unread, search.hits.count ? 0 : AUDIT_EXIT_NONE);
}
