/*
 * Session channels that end at the bastion: its own commands, answered by the
 * monitor as text, the menu, and the explanation when there is no target.
 */
#include "session_menu.h"

#include <stdlib.h>
#include <string.h>

#define LOCAL_REFUSED_STATUS 255

static bool start(struct channel *ch, const struct request *rq)
{
	struct session *s = ch->session;
	struct msg msg;

	if (ch->started)
		return false;
	ch->started = true;
	if (s->refusal) {
		channel_tell(ch, s->refusal);
		channel_finish(ch, LOCAL_REFUSED_STATUS);
		return true;
	}
	/* The connection is the target's now, or is about to be: the monitor
	 * takes no more commands on it. */
	if (s->choice != CHOICE_NONE || s->target_leg.state != LEG_NONE) {
		channel_tell(ch, "this connection has its target already");
		channel_finish(ch, LOCAL_REFUSED_STATUS);
		return true;
	}
	if (rq->subtype == SSH_CHANNEL_REQUEST_SHELL)
		return menu_start(ch);
	msg_init(&msg, MSG_REQ_COMMAND);
	buf_put_u32(&msg.body, ch->id);
	buf_put_cstring(&msg.body, rq->text);
	link_send(s, &msg);
	return true;
}

bool local_request(struct channel *ch, struct request *rq)
{
	switch (rq->subtype) {
	case SSH_CHANNEL_REQUEST_PTY:
		if (ch->started || !menu_keep(ch, rq))
			return false;
		ch->pty = true;
		return true;
	case SSH_CHANNEL_REQUEST_ENV: return !ch->started && menu_keep(ch, rq);
	case SSH_CHANNEL_REQUEST_WINDOW_CHANGE: return menu_keep(ch, rq);
	case SSH_CHANNEL_REQUEST_SHELL:
	case SSH_CHANNEL_REQUEST_EXEC: return start(ch, rq);
	case SSH_CHANNEL_REQUEST_SUBSYSTEM:
		/* Accepted only to say why there is no target. */
		return ch->session->refusal && start(ch, rq);
	default: return false;
	}
}

/* A terminal in raw mode needs the carriage return that a tty would add. */
enum sgb_err local_put(struct channel *ch, const char *text)
{
	enum sgb_err err = SGB_OK;

	if (!ch->pty)
		return flow_put(&ch->out, text, strlen(text), 0);
	while (*text && !err) {
		size_t line = strcspn(text, "\n");

		err = flow_put(&ch->out, text, line, 0);
		text += line;
		if (!err && *text == '\n') {
			err = flow_put(&ch->out, "\r\n", 2, 0);
			text++;
		}
	}
	return err;
}

enum sgb_err local_text(struct session *s, struct msg *msg)
{
	uint32_t id = reader_u32(&msg->reader);
	uint32_t status = reader_u32(&msg->reader);
	uint32_t more = reader_u32(&msg->reader);
	char *output = reader_cstring(&msg->reader, MSG_MAX_BYTES);
	enum sgb_err err = reader_end(&msg->reader);
	struct channel *ch = err ? NULL : channel_find(s, id);

	/* The user may have closed it meanwhile. */
	if (!err && ch && ch->kind == CHANNEL_LOCAL && ch->started &&
		!ch->target_closed) {
		err = local_put(ch, output);
		if (!more)
			channel_finish(ch, (int)status);
		s->busy = true;
	}
	free(output);
	return err;
}
