/* Whom the recorder listens to, and how full its disk may be. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"
#include "core/record.h"

#include "recorder.h"
#include "recording_int.h"

bool recorder_allows(const struct recorder *recorder, int sock)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	/* Tests run without root; then our own user is the trusted one. */
	return cred.uid == 0 || (!recorder->privileged && cred.uid == getuid());
}

/* Far below the reserve even what runs must end, while its end still fits. */
bool recorder_space_is_out(const struct recorder *recorder)
{
	return recorder->open_count &&
	       recorder_free_bytes(recorder) < recorder->conf->disk_reserve / 4;
}

/* Two marks, so that one session that ends does not let one in. */
static uint64_t mark(const struct recorder *recorder)
{
	uint64_t low = recorder->conf->disk_reserve;
	uint64_t high = recorder->conf->disk_resume;

	if (!recorder->disk_low)
		return low;
	if (!high)
		high = low + low / 4;
	return high > low ? high : low;
}

void recorder_watch_space(struct recorder *recorder)
{
	bool low = recorder_free_bytes(recorder) < mark(recorder);
	struct event event = {.kind = EVENT_DISK_LOW,
		.ok = !low,
		.what = recorder->conf->recordings,
		.reason = low ? "less than disk-reserve is free: new "
				"recordings are refused"
			      : "new recordings are permitted again"};

	if (low == recorder->disk_low)
		return;
	recorder->disk_low = low;
	log_put(low ? LOG_ALERT : LOG_NOTICE, "%s: %s", event.what,
		event.reason);
	recorder_event(recorder, &event);
}

bool recorder_space_is_low(struct recorder *recorder)
{
	recorder_watch_space(recorder);
	return recorder->disk_low;
}

enum sgb_err recorder_limits(struct recorder *recorder, struct recording *rec,
	const char *retention, const uint8_t *meta, size_t meta_len, char *why,
	size_t why_len)
{
	bool break_glass = !strcmp(retention, RECORD_BREAK_GLASS);

	recorder_watch_space(recorder);
	if (recorder->disk_low &&
		(!break_glass || recorder_free_bytes(recorder) <
					 recorder->conf->disk_reserve / 2)) {
		(void)snprintf(why, why_len,
			"less than disk-reserve is free in %s, or was and less "
			"than disk-resume is",
			recorder->conf->recordings);
		return SGB_ERR_LIMIT;
	}
	if (!recorder_quota_take(recorder, rec, meta, meta_len) &&
		!break_glass) {
		(void)snprintf(why, why_len,
			"this person's user-quota is used up for today");
		return SGB_ERR_LIMIT;
	}
	/* Nobody's quota ends what was let in to mend that. */
	if (break_glass)
		rec->person = 0;
	return SGB_OK;
}
