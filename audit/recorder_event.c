/*
 * Events of the recorder's own. They join those that monitors send in the one
 * trail; nobody waits for them.
 */
#include "core/log.h"

#include "recorder.h"

enum sgb_err recorder_event_add(
	struct recorder *recorder, const struct event *event, uint64_t *ret_seq)
{
	struct buf json;
	enum sgb_err err;

	buf_init(&json, EVENT_MAX_BYTES + 1);
	err = event_json(event, &json);
	if (!err)
		err = journal_add(recorder->trail, (const char *)json.data,
			json.len, ret_seq);
	if (err)
		log_put(LOG_ERR, "event %s is not in the trail: %s",
			event_slug(event->kind), sgb_err_text(err));
	buf_done(&json);
	return err;
}

void recorder_event(struct recorder *recorder, const struct event *event)
{
	uint64_t seq;

	if (recorder_event_add(recorder, event, &seq))
		return; /* it is logged, and nobody waits for it */
}
