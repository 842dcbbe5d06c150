/*
 * Events of the sgbridge command's own: what an administrator does with keys
 * belongs into the trail, with the name that the kernel knows him by.
 */
#include "sgbridge.h"

#include <unistd.h>

#include "core/conf.h"
#include "core/event.h"
#include "core/msg.h"

bool cli_tell(const struct conf *conf, const struct event *event)
{
	struct msg msg, answer;
	struct buf json;
	int sock = -1;
	bool good;

	buf_init(&json, EVENT_MAX_BYTES);
	msg_init(&msg, MSG_REC_EVENT);
	msg_init(&answer, MSG_NONE);
	good = !event_json(event, &json) &&
	       !msg_connect(conf->recorder_socket, &sock);
	if (good) {
		buf_put_string(&msg.body, json.data, json.len);
		good = !msg_send(sock, &msg) &&
		       !msg_recv_answer(sock, &answer) &&
		       answer.type == MSG_REC_EVENT_OK;
		close(sock);
	}
	msg_done(&msg);
	msg_done(&answer);
	buf_done(&json);
	return good;
}
