/*
 * One recording of the recorder: its file, its stream, its acknowledgements.
 * What a session sends is not trusted; it can add items to its own recording
 * and do nothing else.
 */
#ifndef SGB_RECORDING_H
#define SGB_RECORDING_H

#include "recorder.h"

/* Makes the file and hands what must be durable to the disk; the caller lists
 * it with those that wait. On failure why says what to tell the monitor. */
enum sgb_err recording_open(struct recorder *recorder, const char *retention,
	const uint8_t *meta, size_t meta_len, struct recording **ret, char *why,
	size_t why_len) SGB_MUST_CHECK;
/* Takes what the stream holds (a bounded part of it), writes, acknowledges.
 * SGB_ERR_AGAIN if there is nothing more now, SGB_ERR_CLOSED if the session
 * closed its end; SGB_OK if there may be more; else recording_why tells why
 * the recording can't go on. */
enum sgb_err recording_pump(
	struct recorder *recorder, struct recording *rec) SGB_MUST_CHECK;
/* Checkpoint and end of segment when due. */
enum sgb_err recording_tick(
	struct recorder *recorder, struct recording *rec) SGB_MUST_CHECK;
/* recording_wait.c: the disk is full. False: it can't wait, and has to end. */
bool recording_wait(struct recording *rec);
bool recording_waits(const struct recording *rec);
/* Does it go on? SGB_ERR_AGAIN: it waits still; anything else but SGB_OK: the
 * time is over, or it can't be written. full: there is no use in trying. */
enum sgb_err recording_retry(struct recording *rec, bool full) SGB_MUST_CHECK;
/* Drains the stream, closes it and writes the end, which is not durable yet.
 * rec stays for questions until recording_free. */
enum sgb_err recording_close(struct recorder *recorder, struct recording *rec,
	enum recorder_close reason, const char *text) SGB_MUST_CHECK;
/* A live view of it from now on; viewers.h. */
enum sgb_err recording_watch(struct recording *rec, int *ret_fd) SGB_MUST_CHECK;
/* What the disk still works at is freed when that is done. */
void recording_free(struct recording *rec);

const char *recording_id(const struct recording *rec);
const char *recording_why(const struct recording *rec);
int recording_stream(const struct recording *rec); /* -1 when closed */
bool recording_ack_waits(const struct recording *rec);
uint64_t recording_size(const struct recording *rec);
const uint8_t *recording_link(const struct recording *rec);

#endif
