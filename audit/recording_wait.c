/*
 * A recording that waits for room on its disk, where its rule says so
 * (on-record-failure stall): the session is told, and lets nothing pass,
 * recorded or not; nothing is taken from it or acknowledged. What was taken
 * already stays in memory as it was sealed, and goes to the file byte for byte:
 * sealing it again would use a nonce twice. All waits of a recording together
 * are bounded, or a disk that hovers would make one follow the other for ever;
 * after that it ends like any that cannot be written.
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
	if (rec->wait_s > RECORD_WAIT_MAX)
		rec->wait_s = RECORD_WAIT_MAX;
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

static uint64_t waited_us(const struct recording *rec)
{
	uint64_t now = recorder_mono_us();

	return rec->waited_us +
	       (rec->wait_since_us ? now - rec->wait_since_us : 0);
}

/* Of the time for all waits together; rounded up. */
static uint64_t left_s(const struct recording *rec)
{
	uint64_t all = rec->wait_s * 1000000, waited = waited_us(rec);

	return waited < all ? (all - waited + 999999) / 1000000 : 0;
}

bool recording_tell_wait(struct recording *rec)
{
	bool waits = recording_waits(rec);
	struct buf words;

	if (waits == rec->wait_told)
		return true;
	buf_init(&words, 16);
	buf_put_u64(&words, RECORD_ACK_WAIT);
	buf_put_u64(&words, waits ? left_s(rec) : 0);
	if (recording_say(rec, &words))
		rec->wait_told = waits;
	buf_done(&words);
	return waits == rec->wait_told;
}

bool recording_wait(struct recording *rec)
{
	char why[160];

	if (rec->failed || !left_s(rec))
		return false;
	if (rec->wait_since_us)
		return true;
	(void)snprintf(why, sizeof(why),
		"the disk is full: the session waits, no longer than %llu s",
		(unsigned long long)left_s(rec));
	rec->wait_since_us = recorder_mono_us();
	writer_mark(rec->writer, &rec->held_mark);
	/* If its socket is full it hears of it later (recording_retry), and
	 * reads what it has first. */
	(void)recording_tell_wait(rec);
	tell(rec, false, why);
	return true;
}

/* Another mistake is none that passes. */
static bool is_full(void)
{
	return errno == ENOSPC || errno == EDQUOT;
}

bool recording_hold(struct recording *rec, const struct writer_mark *mark,
	const struct buf *out)
{
	bool first = !rec->wait_since_us;

	if (!is_full())
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

/* It goes on when the file has a note of it: one that does not fit either is
 * held like the rest, and the wait is the same one still. */
static enum sgb_err end_wait(struct recording *rec)
{
	uint64_t now = recorder_mono_us();
	enum sgb_err err;
	char why[160];

	(void)snprintf(why, sizeof(why), "waited %llu s for room on the disk",
		(unsigned long long)((now - rec->wait_since_us) / 1000000));
	writer_mark(rec->writer, &rec->held_mark);
	err = recording_note(rec, why);
	if (err || rec->held.len)
		return err ? err : SGB_ERR_AGAIN;
	rec->waited_us += now - rec->wait_since_us;
	rec->wait_since_us = 0;
	tell(rec, true, why);
	return SGB_OK;
}

enum sgb_err recording_retry(struct recording *rec, bool full)
{
	enum sgb_err err = SGB_ERR_AGAIN;
	char why[160];

	(void)recording_tell_wait(rec);
	if (left_s(rec) && !full) {
		if (!write_held(rec)) {
			err = end_wait(rec);
		} else if (!is_full()) {
			recording_set_why(
				rec, "cannot write the recording", true);
			drop_held(rec);
			return SGB_ERR_SYSTEM;
		}
	}
	if (err != SGB_ERR_AGAIN || left_s(rec))
		return err;
	(void)snprintf(why, sizeof(why),
		"the disk was full for longer than %llu s",
		(unsigned long long)rec->wait_s);
	drop_held(rec);
	recording_set_why(rec, why, false);
	return SGB_ERR_TIMEOUT;
}

void recording_wait_end(struct recording *rec)
{
	/* Its session is not to go on while the end is written. */
	if (rec->wait_told)
		rec->deaf = true;
	/* Held, and failed otherwise meanwhile: the file ends before it. */
	if (rec->wait_since_us && (rec->failed || write_held(rec))) {
		drop_held(rec);
		if (!rec->failed)
			recording_set_why(
				rec, "it ended while the disk was full", false);
	}
	rec->wait_since_us = 0;
	rec->wait_s = 0;
}
