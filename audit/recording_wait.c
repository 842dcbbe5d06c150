/*
 * A recording that waits for room on its disk, where its rule says so
 * (on-record-failure stall): nothing is taken from the session and nothing is
 * acknowledged, so it stands still. What was taken already stays in memory as
 * it was sealed, and goes to the file byte for byte: sealing it again would use
 * a nonce twice. The wait is bounded; after it the recording ends like any
 * other that cannot be written.
 *
 * A recorder that is gone is nothing to wait for: the keys of an open recording
 * are in its memory alone, so that nobody else can go on with the file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "core/log.h"
#include "core/record.h"

#include "recording_int.h"

#define SECONDS_MAX 86400

/* META is the monitor's; a quote inside one of its texts is escaped, so this is
 * a member. */
void recording_wait_init(
	struct recording *rec, const uint8_t *meta, size_t meta_len)
{
	static const char member[] = ",\"stall\":";
	const char *at = memmem(meta, meta_len, member, sizeof(member) - 1);
	char number[12] = "";
	size_t left;

	buf_init(&rec->held, 2 * SGR_BODY_MAX);
	if (!at)
		return;
	at += sizeof(member) - 1;
	left = meta_len - (size_t)((const uint8_t *)at - meta);
	memcpy(number, at, left < sizeof(number) ? left : sizeof(number) - 1);
	rec->wait_s = strtoul(number, NULL, 10);
	if (rec->wait_s > SECONDS_MAX)
		rec->wait_s = SECONDS_MAX;
}

static void tell(struct recording *rec, bool goes_on, const char *why)
{
	struct event event = {.kind = EVENT_DISK_LOW,
		.ok = goes_on,
		.conn = rec->conn,
		.rec_id = rec->id,
		.what = rec->recorder->conf->recordings,
		.reason = why};

	log_put(goes_on ? LOG_NOTICE : LOG_ALERT, "%s: %s", rec->id, why);
	recorder_event(rec->recorder, &event);
}

bool recording_waits(const struct recording *rec)
{
	return rec->wait_since_us != 0;
}

bool recording_wait(struct recording *rec)
{
	char why[160];

	if (!rec->wait_s || rec->failed)
		return false;
	if (rec->wait_since_us)
		return true;
	rec->wait_since_us = recorder_mono_us();
	writer_mark(rec->writer, &rec->held_mark);
	(void)snprintf(why, sizeof(why),
		"the disk is full: the session waits, no longer than %llu s",
		(unsigned long long)rec->wait_s);
	tell(rec, false, why);
	return true;
}

bool recording_hold(struct recording *rec, const struct writer_mark *mark,
	const struct buf *out)
{
	bool first = !rec->wait_since_us;

	/* Another mistake is none that passes. */
	if (errno != ENOSPC && errno != EDQUOT)
		return false;
	buf_put(&rec->held, out->data, out->len);
	if (buf_error(&rec->held) || !recording_wait(rec))
		return false;
	if (first)
		rec->held_mark = *mark;
	return true;
}

/* Back to where the file ends. */
static void drop_held(struct recording *rec)
{
	if (rec->held.len)
		writer_rewind(rec->writer, &rec->held_mark);
	buf_done(&rec->held);
	rec->wait_since_us = 0;
	rec->wait_s = 0;
}

static enum sgb_err write_held(struct recording *rec)
{
	enum sgb_err err = recording_room(rec, rec->held.len);

	if (!err && rec->held.len)
		err = recording_put(rec, &rec->held);
	if (!err)
		buf_reset(&rec->held);
	return err;
}

static uint64_t waited_s(const struct recording *rec)
{
	return (recorder_mono_us() - rec->wait_since_us) / 1000000;
}

enum sgb_err recording_retry(struct recording *rec, bool full)
{
	char why[160];

	if (!full && !write_held(rec)) {
		(void)snprintf(why, sizeof(why),
			"waited %llu s for room on the disk",
			(unsigned long long)waited_s(rec));
		rec->wait_since_us = 0;
		tell(rec, true, why);
		return recording_note(rec, why);
	}
	if (waited_s(rec) < rec->wait_s)
		return SGB_ERR_AGAIN;
	(void)snprintf(why, sizeof(why),
		"the disk was full for longer than %llu s",
		(unsigned long long)rec->wait_s);
	drop_held(rec);
	recording_set_why(rec, why, false);
	return SGB_ERR_TIMEOUT;
}

void recording_wait_end(struct recording *rec)
{
	if (rec->wait_since_us && !rec->failed && write_held(rec)) {
		drop_held(rec);
		recording_set_why(
			rec, "it ended while the disk was full", false);
	}
	rec->wait_since_us = 0;
	rec->wait_s = 0;
}
