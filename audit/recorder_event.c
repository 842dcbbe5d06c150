/*
 * Events of the recorder's own. They join those that monitors send in the one
 * trail; nobody waits for them.
 */
#include "core/log.h"

#include "recorder.h"

void recorder_event(struct recorder *recorder, const struct event *event)
{
	struct buf json;
	enum sgb_err err;
	uint64_t seq;

	buf_init(&json, EVENT_MAX_BYTES + 1);
	err = event_json(event, &json);
	if (!err)
		err = journal_add(recorder->trail, (const char *)json.data,
			json.len, &seq);
	if (err)
		log_put(LOG_ERR, "event %s is not in the trail: %s",
			event_slug(event->kind), sgb_err_text(err));
	buf_done(&json);
}
