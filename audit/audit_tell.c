/*
 * Events for the trail from commands that run on the bastion: the recorder is
 * the only one who writes it, and answers when a line is durable. Its own
 * check of who asks (root) is the one that counts.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/msg.h"

#include "findings_run.h"

#define PATIENCE_MS 20000

void telling_open(struct telling *telling, const struct audit *audit)
{
	if (!audit->conf)
		audit_fatal(EX_CONFIG,
			"%s needs the settings of the bastion (-c): they name "
			"the recorder's socket",
			audit->command);
	if (msg_connect(audit->conf->recorder_socket, &telling->sock))
		audit_fatal(EX_UNAVAILABLE, "%s: %s; is the recorder running?",
			audit->conf->recorder_socket, strerror(errno));
}

static bool answered(int sock)
{
	struct pollfd answer = {.fd = sock, .events = POLLIN};
	struct msg msg;
	bool yes = false;

	msg_init(&msg, MSG_NONE);
	do {
		yes = poll(&answer, 1, PATIENCE_MS) == 1 &&
		      !msg_recv(sock, &msg);
	} while (yes && msg.type == MSG_REC_BUSY);
	yes = yes && msg.type == MSG_REC_EVENT_OK;
	msg_done(&msg);
	return yes;
}

bool telling_event(struct telling *telling, const struct event *event)
{
	struct buf json;
	struct msg msg;
	bool yes = false;

	buf_init(&json, 2 * EVENT_MAX_BYTES);
	msg_init(&msg, MSG_REC_EVENT);
	if (!event_json(event, &json)) {
		buf_put_string(&msg.body, json.data, json.len);
		yes = !msg_send(telling->sock, &msg) && answered(telling->sock);
	}
	msg_done(&msg);
	buf_done(&json);
	return yes;
}

void telling_close(struct telling *telling)
{
	close(telling->sock);
}
