/*
 * A live view: items of the recorder's in, safe text out. Decides nothing:
 * the monitor has judged and told the trail. A viewer who does not read loses
 * the view, never slows what he looks at.
 */
#include "session_view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/record.h"
#include "core/termsafe.h"

struct view {
	struct termsafe safe;
	struct buf out;
};

#define MESSAGES_MAX 16 /* in one turn of the loop */

void view_free(struct view *view)
{
	if (!view)
		return;
	buf_done(&view->out);
	free(view);
}

static void put(struct channel *ch, const void *data, size_t len)
{
	if (flow_put(&ch->out, data, len, 0))
		ch->session->over = true;
}

static void say(struct channel *ch, const char *text)
{
	char line[700];

	snprintf(line, sizeof(line), "sgbridge: %s\n", text);
	if (local_put(ch, line))
		ch->session->over = true;
}

static void finish(struct channel *ch, const char *text)
{
	if (ch->pty)
		put(ch, termsafe_reset, strlen(termsafe_reset));
	if (ch->pty)
		put(ch, "\r\n", 2);
	say(ch, text);
	channel_finish(ch, 0);
}

enum sgb_err view_start(struct session *s, struct msg *msg)
{
	uint32_t id = reader_u32(&msg->reader);
	char *title = reader_cstring(&msg->reader, 512);
	enum sgb_err err = reader_end(&msg->reader);
	struct channel *ch = err ? NULL : channel_find(s, id);
	char text[600];
	int flags;

	/* The user may have closed it meanwhile. */
	if (ch && ch->kind == CHANNEL_LOCAL && ch->started &&
		!ch->target_closed && ch->fd < 0 && !ch->view) {
		ch->view = calloc(1, sizeof(*ch->view));
		if (!ch->view) {
			free(title);
			return SGB_ERR_NOMEM;
		}
		buf_init(&ch->view->out, 4 * RECORD_MESSAGE_MAX);
		ch->fd = msg_take_fd(msg, 0);
		flags = fcntl(ch->fd, F_GETFL);
		if (flags < 0 || fcntl(ch->fd, F_SETFL, flags | O_NONBLOCK))
			err = SGB_ERR_SYSTEM;
		ch->fd_readable = true;
		snprintf(text, sizeof(text), "watching %s%s", title,
			ch->pty ? "; q ends" : "");
		say(ch, text);
		s->busy = true;
	}
	free(title);
	return err;
}

static void show_item(
	struct view *view, uint8_t kind, const uint8_t *data, size_t len)
{
	static const char before[] = "\r\n[exec] ", after[] = "\r\n";

	switch (kind) {
	case RECORD_OUT:
	case RECORD_ERR:
		termsafe_put(&view->safe, data, len, &view->out);
		break;
	case RECORD_EXEC:
		termsafe_put(
			&view->safe, before, sizeof(before) - 1, &view->out);
		termsafe_put(&view->safe, data, len, &view->out);
		termsafe_put(&view->safe, after, sizeof(after) - 1, &view->out);
		break;
	default: break;
	}
}

/* False: what came is not what recorders send. */
static bool show(struct channel *ch, const uint8_t *data, size_t len)
{
	struct view *view = ch->view;
	struct reader rd;

	reader_init(&rd, data, len);
	buf_reset(&view->out);
	while (rd.left && !rd.err) {
		const uint8_t *item;
		size_t item_len;
		uint8_t kind;

		(void)reader_u32(&rd);
		kind = reader_u8(&rd);
		item = reader_string(&rd, &item_len);
		if (!rd.err)
			show_item(view, kind, item, item_len);
	}
	if (rd.err || buf_error(&view->out))
		return false;
	put(ch, view->out.data, view->out.len);
	return true;
}

bool view_pump(struct channel *ch)
{
	static uint8_t bytes[RECORD_MESSAGE_MAX + 1];
	unsigned int count;
	ssize_t got;

	if (ch->fd < 0 || ch->target_closed)
		return false;
	for (count = 0; count < MESSAGES_MAX; count++) {
		if (!ch->fd_readable || !flow_wants(&ch->out))
			break;
		do {
			got = recvfrom(ch->fd, bytes, sizeof(bytes),
				MSG_DONTWAIT, NULL, NULL);
		} while (got < 0 && errno == EINTR);
		if (got < 0 && errno == EAGAIN) {
			ch->fd_readable = false;
			break;
		}
		if (got <= 0 || (size_t)got > RECORD_MESSAGE_MAX ||
			!show(ch, bytes, (size_t)got)) {
			finish(ch, "it has ended, or you did not keep up");
			return true;
		}
	}
	return count > 0;
}

void view_input(struct channel *ch, const void *data, uint32_t len)
{
	const char *at = data;
	uint32_t i;

	for (i = 0; i < len && !ch->target_closed; i++)
		if (at[i] == 'q' || at[i] == 3 || at[i] == 4)
			finish(ch, "you have left");
	ch->session->busy = true;
}
