/*
 * Judging a recording. What is read is hostile; the index is text until its
 * signatures are checked, which the caller has done.
 */
#include "verify.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "evidence.h"
#include "heads.h"

static void decide(struct verified *result, enum sgr_verdict verdict,
	const char *fmt, ...) SGB_PRINTF(3, 4);

static void decide(
	struct verified *result, enum sgr_verdict verdict, const char *fmt, ...)
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
	struct verified *result)
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

static bool is_good(enum sgr_verdict verdict)
{
	return verdict == SGR_INTACT || verdict == SGR_IS_RECOVERED ||
	       verdict == SGR_OPEN;
}

static void add_text(struct verified *result, const char *text)
{
	size_t len = strlen(result->text);

	(void)snprintf(
		result->text + len, sizeof(result->text) - len, "%s", text);
}

/* What the signed index says about a file that is good by itself. */
static void against_index(const struct store_entry *entry,
	const struct sgr_scan *scan, struct verified *result)
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
static void without_index(
	const struct verify_trust *trust, struct verified *result)
{
	if (trust->index.proved || !is_good(result->verdict))
		return;
	if (result->verdict != SGR_INTACT)
		result->verdict = SGR_UNVERIFIABLE;
	add_text(result, "; the index is not proved: ");
	add_text(result, trust->index.text);
}

/* Each place of which others were told must be in the chain. */
static void against_heads(struct audit *audit, const struct sgr_scan *scan,
	struct verified *result)
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
static void outside_index(const struct sgr_scan *scan, struct verified *result)
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

static void against_store(const struct store *store,
	const struct verify_trust *trust, const struct store_entry *entry,
	const struct sgr_scan *scan, struct verified *result)
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

struct follower {
	struct heads *heads;
	char id[SGR_ID_TEXT];
};

/* Two files may hold the same recording, and be read at the same time. */
static void meet_heads(void *data, const struct sgr_scan *scan)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct follower *follower = data;

	if (!follower->heads)
		return;
	(void)pthread_mutex_lock(&lock);
	(void)heads_meet(follower->heads, HEAD_REC, follower->id, scan->index,
		scan->link);
	(void)pthread_mutex_unlock(&lock);
}

static void conclude(struct audit *audit, const struct verify_place *place,
	const struct sgr_scan *scan, struct verified *result)
{
	name_signers(audit, scan, result);
	if (place)
		against_store(
			place->store, place->trust, place->entry, scan, result);
	against_heads(audit, scan, result);
	if (audit->pin_count && scan->header.raw && is_good(result->verdict) &&
		!is_pinned(audit, scan->header.writer_key))
		decide(result, SGR_UNVERIFIABLE,
			"signed by a writer that is not among your pins: %s",
			result->writer);
}

static void count_segment(const struct evidence *evidence, uint32_t *last,
	struct verified *result)
{
	uint32_t segment = evidence_segment(evidence);

	if (!result->opened || segment != *last)
		result->opened++;
	*last = segment;
}

/* Level 1: every tag and every length, in the same way through the file as
 * structure, chain and signatures. False if no key fits: then level 0. */
static bool open_all(struct audit *audit, int fd,
	const struct verify_place *place, struct verified *result)
{
	struct follower follower = {.heads = audit->heads};
	struct evidence *evidence = NULL;
	const struct sgr_scan *scan;
	struct sgr_item item;
	uint32_t last = 0;
	enum sgb_err err = audit_evidence(audit, fd, &evidence);

	if ((err && err != SGB_ERR_CRYPTO) || !evidence) {
		evidence_free(evidence);
		return false;
	}
	scan = evidence_scan(evidence);
	sgr_id_text(scan->header.rec_id, result->id);
	memcpy(follower.id, result->id, sizeof(follower.id));
	if (err && !*scan->fault) {
		decide(result, SGR_ALTERED,
			"the header was changed: its MAC does not fit");
	} else {
		meet_heads(&follower, scan);
		evidence_follow(evidence, meet_heads, &follower);
		while (!err) {
			err = evidence_next(evidence, &item);
			if (!err)
				count_segment(evidence, &last, result);
		}
		result->level = audit->disclosure ? 0 : 1;
		result->segments = audit->disclosure ? scan->segment + 1 : 0;
		decide(result, judge_end(audit, scan), "%s", scan->fault);
	}
	conclude(audit, place, scan, result);
	evidence_free(evidence);
	return true;
}

static void scan_all(struct audit *audit, struct sgr_source *source,
	const struct verify_place *place, struct verified *result)
{
	struct follower follower = {.heads = audit->heads};
	struct sgr_frame frame;
	struct sgr_scan scan;
	enum sgb_err err = sgr_scan_begin(&scan, source);

	if (!err)
		sgr_id_text(scan.header.rec_id, result->id);
	/* Without memory for it: each signature, as they come. */
	(void)!sgr_scan_lazy(&scan);
	memcpy(follower.id, result->id, sizeof(follower.id));
	while (!err) {
		err = sgr_scan_next(&scan, &frame);
		if (!err)
			meet_heads(&follower, &scan);
	}
	decide(result, judge_end(audit, &scan), "%s%s", scan.fault,
		audit->key_count && scan.header.raw &&
				scan.verdict != SGR_ALTERED
			? "; not opened: your key is not a recipient"
			: "");
	conclude(audit, place, &scan, result);
	sgr_scan_done(&scan);
}

void verify_fd(struct audit *audit, int fd, const struct verify_place *place,
	struct verified *result)
{
	struct sgr_source *source;

	if ((audit->key_count || audit->disclosure) &&
		open_all(audit, fd, place, result))
		return;
	if (sgr_source_file(fd, &source)) {
		decide(result, SGR_UNVERIFIABLE, "not a regular file");
		return;
	}
	scan_all(audit, source, place, result);
	sgr_source_free(source);
}

void verify_entry(struct audit *audit, const struct verify_place *place,
	struct verified *result)
{
	const struct store_entry *entry = place->entry;
	int fd = store_open_file(place->store, entry);

	memset(result, 0, sizeof(*result));
	memcpy(result->id, entry->id, SGR_ID_TEXT);
	if (entry->expired && !place->trust->retention.proved) {
		/* Whoever can write the folder can write such a line. */
		decide(result, SGR_UNVERIFIABLE,
			"said to be deleted by rule, and that is not proved: "
			"%s",
			place->trust->retention.text);
		if (fd >= 0)
			close(fd);
	} else if (fd < 0 && entry->expired) {
		decide(result, SGR_INTACT,
			"deleted by rule, as the retention journal says");
	} else if (fd < 0 && entry->state == STORE_PURGED) {
		decide(result, SGR_INTACT, "purged, as the index says");
		without_index(place->trust, result);
		if (!place->trust->index.proved)
			result->verdict = SGR_UNVERIFIABLE;
	} else if (fd < 0 && errno == ENOENT) {
		decide(result, SGR_MISSING,
			"the index knows it, the folder does not have it");
	} else if (fd < 0) {
		decide(result, SGR_UNVERIFIABLE, "cannot be opened: %s",
			audit_errno(errno));
	} else {
		verify_fd(audit, fd, place, result);
		close(fd);
	}
}

void verify_missing(struct verified *result, const char *id)
{
	memset(result, 0, sizeof(*result));
	(void)snprintf(result->id, sizeof(result->id), "%s", id);
	decide(result, SGR_MISSING,
		"a head of it was told; folder and index do not have it");
}
