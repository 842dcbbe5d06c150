/*
 * Heads: the one place where what this host could rewrite is told to others:
 * to the log, to the kernel audit log, and as events of the trail to whom the
 * trail is forwarded. They are hashes and ids; no user data is in them.
 */
#include <libaudit.h>
#include <stdio.h>
#include <string.h>

#include "core/kaudit.h"
#include "core/log.h"

#include "recorder.h"

#define HEADS_SECONDS 60

/* The trail's own head is in each of its lines: as an event it would make the
 * trail longer, and so another head, for ever. */
static void add_event(struct recorder *recorder, const char *what,
	const char *id, const char *count, const char *hex)
{
	char text[200];
	struct event event = {.kind = EVENT_HEAD, .ok = true, .what = text};

	if (!strcmp(what, "trail"))
		return;
	(void)snprintf(
		text, sizeof(text), "head %s %s %s %s", what, id, count, hex);
	if (!strcmp(what, "rec"))
		event.rec_id = id;
	recorder_event(recorder, &event);
}

void recorder_head(struct recorder *recorder, const char *what, const char *id,
	uint64_t number, const uint8_t hash[SUITE_HASH_LEN])
{
	char count[24], hex[2 * SUITE_HASH_LEN + 1];
	const char *fields[] = {
		"what", what, "id", id, "number", count, "hash", hex, NULL};
	struct kaudit_record record = {
		.type = AUDIT_TRUSTED_APP,
		.op = "sgbridge:head",
		.ok = true,
		.fields = fields,
	};

	(void)snprintf(
		count, sizeof(count), "%llu", (unsigned long long)number);
	suite_hex(hash, SUITE_HASH_LEN, hex);
	log_put(LOG_NOTICE, "head %s %s %s %s", what, id, count, hex);
	add_event(recorder, what, id, count, hex);
	if (recorder->kernel_audit && kaudit_send(&record))
		recorder->kernel_audit = false;
}

void recorder_heads(struct recorder *recorder, bool now)
{
	struct journal *journals[2] = {recorder->trail, recorder->index};
	static const char *const names[2] = {"trail", "index"};
	uint64_t mono_us = recorder_mono_us();
	uint8_t hash[SUITE_HASH_LEN];
	int i;

	if (!now && mono_us < recorder->heads_us + HEADS_SECONDS * 1000000ULL)
		return;
	recorder->heads_us = mono_us;
	for (i = 0; i < 2; i++) {
		uint64_t seq = journal_head(journals[i], hash);

		if (seq == recorder->heads_seq[i])
			continue;
		recorder->heads_seq[i] = seq;
		recorder_head(
			recorder, names[i], recorder->writer_id, seq, hash);
	}
}
