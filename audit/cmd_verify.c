/*
 * Verification: each recording alone, each against the index, and the journals.
 * One verdict a line; the worst decides the exit code.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "audit.h"
#include "check_journal.h"
#include "evidence.h"
#include "select.h"

struct result {
	char id[SGR_ID_TEXT];
	enum sgr_verdict verdict;
	char text[400];
	bool pinned;
	unsigned int level;
};

static void decide(struct result *result, enum sgr_verdict verdict,
	const char *fmt, ...) SGB_PRINTF(3, 4);

static void decide(
	struct result *result, enum sgr_verdict verdict, const char *fmt, ...)
{
	va_list args;

	result->verdict = verdict;
	va_start(args, fmt);
	(void)vsnprintf(result->text, sizeof(result->text), fmt, args);
	va_end(args);
}

static bool is_pinned(const struct audit *audit, const uint8_t *key)
{
	size_t i;

	for (i = 0; i < audit->pin_count; i++)
		if (!memcmp(audit->pins[i], key, SUITE_KEY_LEN))
			return true;
	return false;
}

/* Level 1 as far as there is a key: every tag, every length. */
static void open_all(struct audit *audit, int fd, struct sgr_scan *scan,
	struct result *result)
{
	struct evidence *evidence = NULL;
	struct sgr_item item;
	enum sgb_err err;

	err = audit_evidence(audit, fd, &evidence);
	if (err == SGB_ERR_NOTFOUND) {
		decide(result, scan->verdict,
			"%s; not opened: your key is not a recipient",
			scan->fault);
	} else if (err == SGB_ERR_CRYPTO && !*evidence_scan(evidence)->fault) {
		decide(result, SGR_ALTERED,
			"the header was changed: its MAC does not fit");
	} else {
		while (!err)
			err = evidence_next(evidence, &item);
		result->level = 1;
		decide(result, evidence_scan(evidence)->verdict, "%s",
			evidence_scan(evidence)->fault);
	}
	evidence_free(evidence);
}

/* What the signed index says about a file that is good by itself. */
static void against_index(const struct store_entry *entry,
	const struct sgr_scan *scan, struct result *result)
{
	uint8_t first[SUITE_HASH_LEN];
	bool good = scan->verdict == SGR_INTACT ||
		    scan->verdict == SGR_IS_RECOVERED ||
		    scan->verdict == SGR_OPEN;

	if (!good ||
		sgr_link_first(scan->header.raw, scan->header.raw_len, first))
		return;
	if (memcmp(first, entry->first, sizeof(first)) != 0 ||
		memcmp(scan->header.prev_head, entry->prev, SUITE_HASH_LEN) !=
			0)
		decide(result, SGR_ALTERED,
			"replaced: the index opened another file under this "
			"name");
	else if (entry->has_head && entry->state != STORE_FAILED &&
		 memcmp(scan->link, entry->head, SUITE_HASH_LEN) != 0)
		decide(result, SGR_ALTERED,
			"%s: the index says it ended with frame %llu",
			scan->verdict == SGR_OPEN ? "cut after its end"
						  : "replaced",
			(unsigned long long)entry->frames - 1);
}

/* A crash between a file and its line in the index leaves no more than what
 * stands there before a session may start. */
static void outside_index(const struct sgr_scan *scan, struct result *result)
{
	if (scan->verdict == SGR_OPEN && scan->index <= 2)
		decide(result, SGR_OPEN,
			"not in the index yet: a crash left it before any "
			"session used it");
	else
		decide(result, SGR_ALTERED,
			"not in the index: it was added, or the index was "
			"rolled back");
}

static void verify_fd(struct audit *audit, int fd, const struct store *store,
	const struct store_entry *entry, struct result *result)
{
	struct sgr_source *source;
	struct sgr_frame frame;
	struct sgr_scan scan;
	enum sgb_err err;

	if (sgr_source_file(fd, &source)) {
		decide(result, SGR_UNVERIFIABLE, "not a regular file");
		return;
	}
	err = sgr_scan_begin(&scan, source);
	if (!err)
		sgr_id_text(scan.header.rec_id, result->id);
	while (!err)
		err = sgr_scan_next(&scan, &frame);
	decide(result, scan.verdict, "%s", scan.fault);
	if (scan.header.raw)
		result->pinned = is_pinned(audit, scan.header.writer_key);
	if (audit->key_count && scan.header.raw && scan.verdict != SGR_ALTERED)
		open_all(audit, fd, &scan, result);
	if (entry && strcmp(result->id, entry->id) != 0 && scan.header.raw)
		decide(result, SGR_ALTERED,
			"renamed: inside it is recording %s", result->id);
	else if (entry && entry->state != STORE_UNKNOWN && scan.header.raw &&
		 result->verdict != SGR_ALTERED)
		against_index(entry, &scan, result);
	else if (entry && store && store->has_index &&
		 entry->state == STORE_UNKNOWN &&
		 result->verdict != SGR_ALTERED)
		outside_index(&scan, result);
	if (entry)
		memcpy(result->id, entry->id, SGR_ID_TEXT);
	if (audit->pin_count && !result->pinned && scan.header.raw &&
		result->verdict != SGR_ALTERED)
		decide(result, SGR_UNVERIFIABLE,
			"signed by a writer that is not among your pins");
	sgr_scan_done(&scan);
	sgr_source_free(source);
}

static void report(const struct audit *audit, const struct result *result)
{
	if (audit->json) {
		(void)printf("{\"rec\":");
		print_json(stdout, result->id);
		(void)printf(",\"verdict\":");
		print_json(stdout, sgr_verdict_text(result->verdict));
		(void)printf(",\"level\":%u,\"pinned\":%s,\"text\":",
			result->level, result->pinned ? "true" : "false");
		print_json(stdout, result->text);
		(void)printf("}\n");
		return;
	}
	(void)printf("%s  %s: ", result->id, sgr_verdict_text(result->verdict));
	print_cstring(stdout, result->text);
	(void)printf("%s\n", result->level ? " (opened with your key)" : "");
}

static int worse(int a, int b)
{
	/* altered, missing, unverifiable, open, intact */
	static const int order[] = {4, 5, 6, 3, 0};
	size_t i;

	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return a;
}

static int verify_entry(struct audit *audit, const struct store *store,
	const struct store_entry *entry)
{
	struct result result = {0};
	int fd = store_open_file(store, entry);

	memcpy(result.id, entry->id, SGR_ID_TEXT);
	if (fd < 0 && entry->state == STORE_PURGED) {
		decide(&result, SGR_INTACT, "purged, as the index says");
	} else if (fd < 0) {
		decide(&result, SGR_MISSING,
			"the index knows it, the folder does not have it");
	} else {
		verify_fd(audit, fd, store, entry, &result);
		close(fd);
	}
	report(audit, &result);
	return sgr_verdict_exit(result.verdict);
}

static int verify_named(struct audit *audit, const char *name)
{
	struct result result = {0};
	struct chosen chosen;
	int status;

	select_one(audit, name, &chosen);
	if (chosen.entry) {
		status = verify_entry(audit, chosen.store, chosen.entry);
	} else {
		(void)snprintf(result.id, sizeof(result.id), "%.36s", name);
		verify_fd(audit, chosen.fd, NULL, NULL, &result);
		report(audit, &result);
		status = sgr_verdict_exit(result.verdict);
	}
	select_done(&chosen);
	return status;
}

/* Journals are checked with the keys of the pinned writers, or else of those
 * that the recordings name. */
static void learn_keys(struct audit *audit, const struct store *store,
	struct writer_keys *keys)
{
	size_t i;

	memset(keys, 0, sizeof(*keys));
	for (i = 0; i < audit->pin_count; i++)
		writer_keys_add(keys, audit->pins[i]);
	if (audit->pin_count)
		return;
	for (i = store->count; i-- > 0 && keys->count < AUDIT_PINS_MAX;) {
		struct sgr_source *source;
		struct sgr_scan scan;
		int fd = store_open_file(store, &store->entries[i]);

		if (fd < 0 || sgr_source_file(fd, &source)) {
			if (fd >= 0)
				close(fd);
			continue;
		}
		if (!sgr_scan_begin(&scan, source))
			writer_keys_add(keys, scan.header.writer_key);
		sgr_scan_done(&scan);
		sgr_source_free(source);
		close(fd);
	}
}

static int verify_journals(struct audit *audit, const struct store *store)
{
	struct writer_keys keys;
	int status = 0;
	char path[4200];

	learn_keys(audit, store, &keys);
	(void)snprintf(path, sizeof(path), "%s/index", audit->dir);
	if (store->has_index)
		status = check_journal(
			audit, path, "index", JOURNAL_PLAIN, &keys);
	if (audit->events)
		status = worse(
			status, check_journal(audit, audit->events, "events",
					JOURNAL_EVENTS, &keys));
	return status;
}

/* The auditor's own journal: chained, and not signed. */
static int verify_views(struct audit *audit)
{
	static const struct writer_keys none;
	char path[PATH_MAX];

	audit_journal_place(audit, path);
	return check_journal(audit, path, "views", JOURNAL_PLAIN, &none);
}

int cmd_verify(struct audit *audit, int argc, char **argv)
{
	struct store *store;
	int status = 0, i;
	size_t n;

	audit_places(audit);
	audit_identities(audit, false);
	audit_pins(audit);
	for (i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "views")) {
			status = worse(status, verify_views(audit));
			continue;
		}
		if (strcmp(argv[i], "events") != 0) {
			status = worse(status, verify_named(audit, argv[i]));
			continue;
		}
		store = select_store(audit);
		status = worse(status, verify_journals(audit, store));
		store_free(store);
	}
	if (argc)
		return status;
	store = select_store(audit);
	for (n = 0; n < store->count; n++)
		status = worse(
			status, verify_entry(audit, store, &store->entries[n]));
	status = worse(status, verify_journals(audit, store));
	store_free(store);
	return status;
}
