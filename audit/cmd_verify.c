/*
 * Verification: each recording alone, each against the index, and the journals.
 * One verdict a line; the worst decides the exit code.
 */
#include <limits.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "audit.h"
#include "check_journal.h"
#include "heads.h"
#include "select.h"
#include "verify.h"

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

/* The trail first: what it tells, if it is proved, must be there, as if
 * somebody else had told it. */
static void weigh_trail(struct audit *audit, struct verify_trust *ret)
{
	check_journal(audit->events, JOURNAL_EVENTS, &ret->keys, audit->heads,
		HEAD_TRAIL, &ret->events);
	if (ret->events.told && heads_join(&audit->heads, ret->events.told))
		audit_fatal(EX_OSERR, "no memory for what the trail tells");
	ret->events.told = NULL;
}

static void weigh(struct audit *audit, const struct store *store, bool trail,
	struct verify_trust *ret)
{
	char path[PATH_MAX + 16];

	memset(ret, 0, sizeof(*ret));
	learn_keys(audit, store, &ret->keys);
	if (trail)
		weigh_trail(audit, ret);
	(void)snprintf(path, sizeof(path), "%s/index", audit->dir);
	check_journal(path, JOURNAL_PLAIN, &ret->keys, audit->heads, HEAD_INDEX,
		&ret->index);
	if (!store->has_retention)
		return;
	(void)snprintf(path, sizeof(path), "%s/retention", audit->dir);
	check_journal(path, JOURNAL_PLAIN, &ret->keys, NULL, HEAD_NONE,
		&ret->retention);
}

static int verify_named(struct audit *audit, const char *name)
{
	struct verified result = {0};
	struct verify_place place = {0};
	struct verify_trust trust;
	struct chosen chosen;
	int status;

	select_one(audit, name, &chosen);
	if (chosen.entry) {
		weigh(audit, chosen.store, false, &trust);
		place.store = chosen.store;
		place.trust = &trust;
		place.entry = chosen.entry;
		verify_entry(audit, &place, &result);
	} else {
		(void)snprintf(result.id, sizeof(result.id), "%.36s", name);
		verify_fd(audit, chosen.fd, NULL, &result);
	}
	status = verify_report(audit, &result);
	select_done(&chosen);
	return status;
}

/* An empty folder is worth a word where recordings were asked for: it may be
 * the wrong one, or not mounted. */
static int verify_journals(struct audit *audit, const struct store *store,
	const struct verify_trust *trust, bool recordings)
{
	struct journal_verdict events = trust->events;
	int status = 0;

	if (recordings || store->has_index || store->count)
		status = journal_report(audit, "index", &trust->index);
	if (store->has_retention)
		status = verify_worse(status,
			journal_report(audit, "retention", &trust->retention));
	if (!audit->events) {
		if (!heads_unmet(audit->heads, HEAD_TRAIL, NULL, NULL))
			return status;
		events.verdict = SGR_UNVERIFIABLE;
		(void)snprintf(events.text, sizeof(events.text),
			"heads of it were told; name it with --events");
	}
	return verify_worse(status, journal_report(audit, "events", &events));
}

/* Recordings of which others were told, and which are not even in the index. */
static int verify_lost(struct audit *audit, const struct store *store)
{
	const struct head *head = NULL;
	char last[SGR_ID_TEXT] = "";
	struct store_entry *entry;
	int status = 0;

	while ((head = heads_unmet(audit->heads, HEAD_REC, NULL, head))) {
		struct verified result;

		if (!strcmp(head->id, last) ||
			!store_find(store, head->id, &entry))
			continue;
		memcpy(last, head->id, sizeof(last));
		verify_missing(&result, head->id);
		status = verify_worse(status, verify_report(audit, &result));
	}
	return status;
}

static int verify_all(struct audit *audit, bool recordings)
{
	struct store *store = select_folder(audit);
	struct verify_trust trust;
	int status = 0;

	weigh(audit, store, audit->events != NULL, &trust);
	if (recordings)
		status = verify_store(audit, store, &trust, audit->jobs);
	if (recordings)
		status = verify_worse(status, verify_lost(audit, store));
	status = verify_worse(
		status, verify_journals(audit, store, &trust, recordings));
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
	if (views.verdict == SGR_MISSING)
		(void)snprintf(views.text, sizeof(views.text),
			"nothing in %.200s; it begins with your first look",
			path);
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

		status = verify_worse(status, one);
	}
	return status;
}
