/*
 * watch ID: another session live, for those whom an audit rule lets. Looking
 * is an event, in the trail before the first byte is seen. The bytes go from
 * the recorder to this connection's session process, which makes them safe
 * for a terminal; they do not pass here.
 */
#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool monitor_may_watch(struct monitor *m)
{
	struct policy_request request;

	monitor_policy_request(m, NULL, 0, NULL, &request);
	return policy_audit_rights(m->policy, &request) & POLICY_AUDIT_WATCH;
}

static bool note_look(struct monitor *m, const char *recording,
	const char *title, bool ok, const char *why)
{
	char what[600];
	struct event event = {
		.kind = EVENT_VIEW, .ok = ok, .what = what, .reason = why};

	snprintf(what, sizeof(what), "watch %s %s", recording, title);
	return !monitor_event(m, &event);
}

static enum sgb_err show_it(
	struct monitor *m, uint32_t channel, const char *title, int fd)
{
	struct msg msg;
	enum sgb_err err;

	msg_init(&msg, MSG_SES_VIEW);
	buf_put_u32(&msg.body, channel);
	buf_put_cstring(&msg.body, title);
	err = msg_put_fd(&msg, fd);
	if (!err)
		err = msg_send(m->session, &msg);
	msg_done(&msg);
	return err;
}

uint32_t monitor_cmd_watch(
	struct monitor *m, const struct monitor_order *order, struct buf *out)
{
	char recording[CONN_ID_MAX], title[500], why[300] = "";
	int fd = -1;

	if (!monitor_may_watch(m)) {
		(void)!note_look(m, order->arg, "", false, "no audit rule");
		monitor_put_result(order, "no rule lets you watch", out);
		return 1;
	}
	if (!monitor_find_recording(
		    m, order->arg, recording, title, sizeof(title))) {
		monitor_put_result(
			order, "no session of that name is recorded now", out);
		return 1;
	}
	if (!note_look(m, recording, title, true, NULL)) {
		monitor_put_result(order, "looking cannot be recorded", out);
		return 1;
	}
	if (monitor_recorder_watch(m, recording, &fd, why, sizeof(why))) {
		monitor_put_result(order, why, out);
		return 1;
	}
	if (show_it(m, order->channel, title, fd))
		monitor_end(m, RECORDER_CLOSE_FAILED, "out of memory");
	close(fd);
	m->watching = true;
	return MONITOR_STREAMS;
}
