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
#include "heads.h"
#include "select.h"

struct result {
	char id[SGR_ID_TEXT];
	enum sgr_verdict verdict;
	char text[400];
	bool pinned; /* whoever wrote it, and whoever ended it */
	unsigned int level;
	char writer[SUITE_WRITER_TEXT], ended_by[SUITE_WRITER_TEXT];
};

/* What the index is good for: it is text until its signatures are checked. */
struct trust {
	struct writer_keys keys;
	struct journal_verdict index;
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

/* An end by another than the writer counts if he is pinned. */
static enum sgr_verdict judge_end(
	const struct audit *audit, const struct sgr_scan *scan)
{
	if (scan->verdict == SGR_UNVERIFIABLE && scan->ended &&
		scan->ended_by_other && is_pinned(audit, scan->recovery_key))
		return SGR_IS_RECOVERED;
	return scan->verdict;
}

static void name_signers(const struct audit *audit, const struct sgr_scan *scan,
	struct result *result)
{
	if (!scan->header.raw)
		return;
	result->pinned = is_pinned(audit, scan->header.writer_key) &&
			 (!scan->ended_by_other ||
				 is_pinned(audit, scan->recovery_key));
	suite_writer_text(scan->header.writer_key, result->writer);
	if (scan->ended)
		suite_writer_text(scan->ended_by_other
					  ? scan->recovery_key
					  : scan->header.writer_key,
			result->ended_by);
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
		decide(result, judge_end(audit, scan),
			"%s; not opened: your key is not a recipient",
			scan->fault);
	} else if (err == SGB_ERR_CRYPTO && !*evidence_scan(evidence)->fault) {
		decide(result, SGR_ALTERED,
			"the header was changed: its MAC does not fit");
	} else {
		while (!err)
			err = evidence_next(evidence, &item);
		result->level = 1;
		decide(result, judge_end(audit, evidence_scan(evidence)), "%s",
			evidence_scan(evidence)->fault);
	}
	evidence_free(evidence);
}

static bool is_good(enum sgr_verdict verdict)
{
	return verdict == SGR_INTACT || verdict == SGR_IS_RECOVERED ||
	       verdict == SGR_OPEN;
}

static void add_text(struct result *result, const char *text)
{
	size_t len = strlen(result->text);

	(void)snprintf(
		result->text + len, sizeof(result->text) - len, "%s", text);
}

/* What the signed index says about a file that is good by itself. */
static void against_index(const struct store_entry *entry,
	const struct sgr_scan *scan, struct result *result)
{
	uint8_t first[SUITE_HASH_LEN];

	if (!is_good(result->verdict) ||
		sgr_link_first(scan->header.raw, scan->header.raw_len, first))
		return;
	if (memcmp(first, entry->first, sizeof(first)) != 0 ||
		memcmp(scan->header.prev_head, entry->prev, SUITE_HASH_LEN) !=
			0)
		decide(result, SGR_ALTERED,
			"replaced: the index opened another file under this "
			"name");
	else if (entry->state == STORE_FAILED)
		decide(result, SGR_UNVERIFIABLE,
			"good by itself, but the index says that after a crash "
			"it was altered or not there");
	else if (entry->has_head &&
		 memcmp(scan->link, entry->head, SUITE_HASH_LEN) != 0)
		decide(result, SGR_ALTERED,
			"%s: the index says it ended with frame %llu",
			scan->verdict == SGR_OPEN ? "cut after its end"
						  : "replaced",
			(unsigned long long)entry->frames - 1);
	else if (entry->state == STORE_RUNNING && scan->ended)
		add_text(result, "; the index does not know of its end");
}

/* Without a proved index only an end by the writer himself shows that nothing
 * is gone. */
static void without_index(const struct trust *trust, struct result *result)
{
	if (trust->index.proved || !is_good(result->verdict))
		return;
	if (result->verdict != SGR_INTACT)
		result->verdict = SGR_UNVERIFIABLE;
	add_text(result, "; the index is not proved: ");
	add_text(result, trust->index.text);
}

/* Each place of which others were told must be in the chain. */
static void against_heads(
	struct audit *audit, const struct sgr_scan *scan, struct result *result)
{
	const struct head *head = heads_unmet(
		audit->heads, HEAD_REC, result->id, NULL);

	if (head && is_good(result->verdict))
		decide(result, SGR_ALTERED,
			"rolled back: it has %u frames, and a head of frame "
			"%llu was told that is not in it",
			scan->index, (unsigned long long)head->number - 1);
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

static void against_store(const struct store *store, const struct trust *trust,
	const struct store_entry *entry, const struct sgr_scan *scan,
	struct result *result)
{
	if (strcmp(result->id, entry->id) != 0 && scan->header.raw)
		decide(result, SGR_ALTERED,
			"renamed: inside it is recording %s", result->id);
	else if (entry->state != STORE_UNKNOWN && scan->header.raw &&
		 result->verdict != SGR_ALTERED)
		against_index(entry, scan, result);
	else if (store->has_index && entry->state == STORE_UNKNOWN &&
		 result->verdict != SGR_ALTERED)
		outside_index(scan, result);
	if (store->has_index && entry->state != STORE_UNKNOWN)
		without_index(trust, result);
	memcpy(result->id, entry->id, SGR_ID_TEXT);
}

static void verify_fd(struct audit *audit, int fd, const struct store *store,
	const struct trust *trust, const struct store_entry *entry,
	struct result *result)
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
	while (!err) {
		err = sgr_scan_next(&scan, &frame);
		if (!err)
			(void)heads_meet(audit->heads, HEAD_REC, result->id,
				scan.index, scan.link);
	}
	decide(result, judge_end(audit, &scan), "%s", scan.fault);
	name_signers(audit, &scan, result);
	if (audit->key_count && scan.header.raw && scan.verdict != SGR_ALTERED)
		open_all(audit, fd, &scan, result);
	if (entry)
		against_store(store, trust, entry, &scan, result);
	against_heads(audit, &scan, result);
	if (audit->pin_count && scan.header.raw && is_good(result->verdict) &&
		!is_pinned(audit, scan.header.writer_key))
		decide(result, SGR_UNVERIFIABLE,
			"signed by a writer that is not among your pins: %s",
			result->writer);
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
		(void)printf(",\"level\":%u,\"pinned\":%s,\"writer\":\"%s\","
			     "\"ended_by\":\"%s\",\"text\":",
			result->level, result->pinned ? "true" : "false",
			result->writer, result->ended_by);
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
	const struct trust *trust, const struct store_entry *entry)
{
	struct result result = {0};
	int fd = store_open_file(store, entry);

	memcpy(result.id, entry->id, SGR_ID_TEXT);
	if (fd < 0 && entry->state == STORE_PURGED) {
		decide(&result, SGR_INTACT, "purged, as the index says");
		without_index(trust, &result);
		if (!trust->index.proved)
			result.verdict = SGR_UNVERIFIABLE;
	} else if (fd < 0) {
		decide(&result, SGR_MISSING,
			"the index knows it, the folder does not have it");
	} else {
		verify_fd(audit, fd, store, trust, entry, &result);
		close(fd);
	}
	report(audit, &result);
	return sgr_verdict_exit(result.verdict);
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
	keys->pinned = audit->pin_count > 0;
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

static void weigh_index(
	struct audit *audit, const struct store *store, struct trust *ret)
{
	char path[PATH_MAX + 8];

	memset(ret, 0, sizeof(*ret));
	learn_keys(audit, store, &ret->keys);
	(void)snprintf(path, sizeof(path), "%s/index", audit->dir);
	check_journal(path, JOURNAL_PLAIN, &ret->keys, audit->heads, HEAD_INDEX,
		&ret->index);
}

static int verify_named(struct audit *audit, const char *name)
{
	struct result result = {0};
	struct chosen chosen;
	struct trust trust;
	int status;

	select_one(audit, name, &chosen);
	if (chosen.entry) {
		weigh_index(audit, chosen.store, &trust);
		status = verify_entry(
			audit, chosen.store, &trust, chosen.entry);
	} else {
		(void)snprintf(result.id, sizeof(result.id), "%.36s", name);
		verify_fd(audit, chosen.fd, NULL, NULL, NULL, &result);
		report(audit, &result);
		status = sgr_verdict_exit(result.verdict);
	}
	select_done(&chosen);
	return status;
}

static int verify_journals(struct audit *audit, const struct store *store,
	const struct trust *trust)
{
	struct journal_verdict events = {.verdict = SGR_INTACT};
	int status = 0;

	if (store->has_index || store->count)
		status = journal_report(audit, "index", &trust->index);
	if (audit->events) {
		check_journal(audit->events, JOURNAL_EVENTS, &trust->keys,
			audit->heads, HEAD_TRAIL, &events);
	} else if (heads_unmet(audit->heads, HEAD_TRAIL, NULL, NULL)) {
		events.verdict = SGR_UNVERIFIABLE;
		(void)snprintf(events.text, sizeof(events.text),
			"heads of it were told; name it with --events");
	} else {
		return status;
	}
	return worse(status, journal_report(audit, "events", &events));
}

/* Recordings of which others were told, and which are not even in the index. */
static int verify_lost(struct audit *audit, const struct store *store)
{
	const struct head *head = NULL;
	char last[SGR_ID_TEXT] = "";
	struct store_entry *entry;
	int status = 0;

	while ((head = heads_unmet(audit->heads, HEAD_REC, NULL, head))) {
		struct result result = {0};

		if (!strcmp(head->id, last) ||
			!store_find(store, head->id, &entry))
			continue;
		memcpy(last, head->id, sizeof(last));
		memcpy(result.id, head->id, sizeof(result.id));
		decide(&result, SGR_MISSING,
			"a head of it was told; folder and index do not have "
			"it");
		report(audit, &result);
		status = worse(status, sgr_verdict_exit(result.verdict));
	}
	return status;
}

static int verify_all(struct audit *audit, bool recordings)
{
	struct store *store = select_store(audit);
	struct trust trust;
	int status = 0;
	size_t i;

	weigh_index(audit, store, &trust);
	for (i = 0; recordings && i < store->count; i++)
		status = worse(status,
			verify_entry(audit, store, &trust, &store->entries[i]));
	if (recordings)
		status = worse(status, verify_lost(audit, store));
	status = worse(status, verify_journals(audit, store, &trust));
	store_free(store);
	return status;
}

/* The auditor's own journal: chained, and not signed. */
static int verify_views(struct audit *audit)
{
	struct journal_verdict views;
	char path[PATH_MAX];

	audit_journal_place(audit, path);
	check_journal(path, JOURNAL_PLAIN, NULL, NULL, HEAD_NONE, &views);
	return journal_report(audit, "views", &views);
}

int cmd_verify(struct audit *audit, int argc, char **argv)
{
	int status = 0, i;

	audit_places(audit);
	audit_identities(audit, false);
	audit_pins(audit);
	audit_heads(audit);
	if (!argc)
		return verify_all(audit, true);
	for (i = 0; i < argc; i++) {
		int one = !strcmp(argv[i], "views") ? verify_views(audit)
			  : !strcmp(argv[i], "events")
				  ? verify_all(audit, false)
				  : verify_named(audit, argv[i]);

		status = worse(status, one);
	}
	return status;
}
