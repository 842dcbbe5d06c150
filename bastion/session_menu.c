/*
 * The menu's life: it begins where a shell is asked for without a target,
 * gets its rows from the monitor, and ends when the user leaves or has chosen.
 * Then the channel becomes a relayed one, and what the client had asked for
 * goes to the target through the gate, as if it had been asked now. Nothing
 * of the menu is recorded; nothing is decided here.
 */
#include "session_menu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSED_STATUS 255

static struct menu *menu_of(struct channel *ch)
{
	if (!ch->menu)
		ch->menu = calloc(1, sizeof(*ch->menu));
	return ch->menu;
}

static bool keep_terminal(struct menu *menu, const struct request *rq)
{
	char *term = strdup(rq->text);

	if (!term)
		return false;
	free(menu->term);
	menu->term = term;
	menu->has_pty = true;
	menu->width = rq->cols;
	menu->height = rq->rows;
	return true;
}

bool menu_keep(struct channel *ch, const struct request *rq)
{
	struct menu *menu = menu_of(ch);

	if (!menu)
		return false;
	switch (rq->subtype) {
	case SSH_CHANNEL_REQUEST_PTY: return keep_terminal(menu, rq);
	case SSH_CHANNEL_REQUEST_WINDOW_CHANGE:
		menu->width = rq->cols;
		menu->height = rq->rows;
		menu->dirty = !menu->dumb;
		return true;
	case SSH_CHANNEL_REQUEST_ENV:
		if (menu->env_count >= MENU_ENV_MAX)
			return false;
		menu->env[menu->env_count] = strdup(rq->text);
		return menu->env[menu->env_count++];
	default: return false;
	}
}

void menu_keep_agent(struct channel *ch)
{
	struct menu *menu = menu_of(ch);

	if (menu)
		menu->agent = true;
}

bool menu_active(const struct channel *ch)
{
	return ch->menu && ch->menu->state > MENU_IDLE &&
	       ch->menu->state < MENU_LEFT;
}

static void free_rows(struct menu *menu)
{
	size_t i;

	for (i = 0; i < menu->row_count; i++) {
		free(menu->rows[i].instance);
		free(menu->rows[i].group);
		free(menu->rows[i].login);
	}
	menu->row_count = 0;
	menu->shown_count = 0;
}

void menu_free(struct menu *menu)
{
	size_t i;

	if (!menu)
		return;
	free_rows(menu);
	free(menu->rows);
	free(menu->shown);
	for (i = 0; i < menu->env_count; i++)
		free(menu->env[i]);
	free(menu->term);
	free(menu);
}

static void ask_hosts(struct channel *ch)
{
	struct msg msg;

	ch->menu->state = MENU_LOADING;
	msg_init(&msg, MSG_REQ_HOSTS);
	buf_put_u32(&msg.body, ch->id);
	buf_put_u32(&msg.body, (uint32_t)ch->menu->row_count);
	link_send(ch->session, &msg);
}

/* The target is chosen elsewhere on this connection: there is nothing to ask
 * the monitor, which would not answer. */
static bool too_late(const struct session *s)
{
	return s->choice != CHOICE_NONE || s->target_leg.state != LEG_NONE;
}

bool menu_start(struct channel *ch)
{
	struct menu *menu = menu_of(ch);

	if (!menu)
		return false;
	menu->dumb = !menu->has_pty || menu_term_is_dumb(menu->term);
	ask_hosts(ch);
	return true;
}

void menu_leave(struct channel *ch, int status)
{
	const char *restore = menu_restore(ch);

	if (restore)
		local_put(ch, restore);
	else if (ch->menu->dumb && ch->pty)
		local_put(ch, "\n");
	ch->menu->state = MENU_LEFT;
	channel_finish(ch, status);
	ch->session->busy = true;
}

static void leave_with(struct channel *ch, const char *text, int status)
{
	const char *restore = menu_restore(ch);

	if (restore)
		local_put(ch, restore);
	channel_tell(ch, text);
	menu_leave(ch, status);
}

/* A terminal must not be made to obey a name. */
static char *read_name(struct reader *rd)
{
	char *text = reader_cstring(rd, 256), *c;

	for (c = text; c && *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
	return text;
}

static enum sgb_err add_row(struct menu *menu, struct reader *rd)
{
	struct menu_row row;

	if (menu->row_count >= menu->row_cap) {
		size_t cap = menu->row_cap ? menu->row_cap * 2 : 64;
		struct menu_row *rows = reallocarray(
			menu->rows, cap, sizeof(*rows));

		if (!rows)
			return SGB_ERR_NOMEM;
		menu->rows = rows;
		menu->row_cap = cap;
	}
	row.instance = read_name(rd);
	row.group = read_name(rd);
	row.login = read_name(rd);
	row.port = reader_u32(rd);
	reader_u32(rd); /* what it allows: a shell, or it would not be here */
	/* In the list at once, so that it is freed with the others. */
	menu->rows[menu->row_count++] = row;
	return rd->err;
}

static void loaded(struct channel *ch, bool more)
{
	struct menu *menu = ch->menu;

	if (too_late(ch->session)) {
		leave_with(ch, "this connection has its target already",
			REFUSED_STATUS);
		return;
	}
	if (more && menu->row_count < MENU_ROWS_MAX) {
		ask_hosts(ch);
		return;
	}
	if (!menu->row_count) {
		leave_with(ch,
			*menu->status ? menu->status
				      : "no shell is permitted to you from "
					"here now",
			*menu->status ? REFUSED_STATUS : 0);
		return;
	}
	free(menu->shown);
	menu->shown = calloc(menu->row_count, sizeof(*menu->shown));
	if (!menu->shown) {
		ch->session->over = true;
		return;
	}
	menu->stale = true;
	menu->state = MENU_BROWSE;
	menu->dirty = true;
}

enum sgb_err menu_hosts(struct session *s, struct msg *msg)
{
	uint32_t id = reader_u32(&msg->reader);
	uint32_t more = reader_u32(&msg->reader);
	uint32_t count = reader_u32(&msg->reader), i;
	struct channel *ch = channel_find(s, id);
	enum sgb_err err = SGB_OK;

	s->busy = true;
	/* The user may have left meanwhile. */
	if (!ch || !ch->menu || ch->menu->state != MENU_LOADING)
		return SGB_OK;
	/* Nothing new and yet more: that would go on for ever. */
	if (more > 1 || (more && !count))
		return SGB_ERR_FORMAT;
	for (i = 0; i < count && !err; i++)
		err = add_row(ch->menu, &msg->reader);
	if (!err)
		err = reader_end(&msg->reader);
	if (!err)
		loaded(ch, more);
	return err;
}

void menu_choose(struct channel *ch, size_t i)
{
	ch->menu->choice = i;
	ch->menu->status[0] = '\0';
	ch->menu->state = MENU_WANTED;
	ch->session->busy = true;
}

static bool send_choice(struct channel *ch)
{
	const struct menu_row *row = &ch->menu->rows[ch->menu->choice];
	struct session *s = ch->session;
	struct msg msg;

	if (too_late(s)) {
		leave_with(ch, "this connection has its target already",
			REFUSED_STATUS);
		return true;
	}
	/* A refusal does not say what it answers. */
	if (s->asking)
		return false;
	msg_init(&msg, MSG_REQ_CHOOSE);
	buf_put_cstring(&msg.body, row->instance);
	buf_put_cstring(&msg.body, row->login);
	buf_put_u32(&msg.body, row->port);
	link_send(s, &msg);
	s->choice = CHOICE_ASKED;
	ch->menu->state = MENU_ASKED;
	return true;
}

static void show_connecting(struct channel *ch)
{
	const struct menu_row *row = &ch->menu->rows[ch->menu->choice];
	const char *restore = menu_restore(ch);
	char text[600];

	if (restore)
		local_put(ch, restore);
	if (!ch->pty)
		return;
	snprintf(text, sizeof(text), "sgbridge: connecting to %s@%s\n",
		row->login, row->instance);
	local_put(ch, text);
}

static struct channel *chooser(struct session *s)
{
	struct channel *ch;

	TAILQ_FOREACH (ch, &s->channels, entry)
		if (ch->menu && ch->menu->state == MENU_ASKED)
			return ch;
	return NULL;
}

enum sgb_err menu_chosen(struct session *s, struct msg *msg)
{
	uint32_t yes = reader_u32(&msg->reader);
	char *text = reader_cstring(&msg->reader, 4096);
	enum sgb_err err = reader_end(&msg->reader);
	struct channel *ch = chooser(s);

	if (!err && (s->choice != CHOICE_ASKED || yes > 1))
		err = SGB_ERR_PHASE;
	if (err) {
		free(text);
		return err;
	}
	s->busy = true;
	s->choice = yes ? CHOICE_MADE : CHOICE_NONE;
	if (ch && yes) {
		ch->menu->state = MENU_CONNECTING;
		show_connecting(ch);
		target_ask(s);
	} else if (ch) {
		/* What may be reached has perhaps changed. */
		snprintf(
			ch->menu->status, sizeof(ch->menu->status), "%s", text);
		free_rows(ch->menu);
		ask_hosts(ch);
	}
	free(text);
	return SGB_OK;
}

void menu_notice(struct channel *ch, const char *text)
{
	const char *restore;

	if (ch->menu->state != MENU_ASKED)
		return;
	restore = menu_restore(ch);
	if (restore)
		local_put(ch, restore);
	local_put(ch, text);
	if (ch->pty)
		local_put(ch, "Ctrl-C leaves.\n");
}

/* In the order of a client's own: terminal, environment, shell. */
static void replay(struct channel *ch, const struct menu *menu)
{
	size_t i;

	if (menu->agent)
		request_agent(ch);
	if (menu->has_pty)
		request_replay(ch, SSH_CHANNEL_REQUEST_PTY, menu->term,
			menu->width, menu->height);
	for (i = 0; i < menu->env_count; i++)
		request_replay(ch, SSH_CHANNEL_REQUEST_ENV, menu->env[i], 0, 0);
	request_replay(ch, SSH_CHANNEL_REQUEST_SHELL, "", 0, 0);
}

static void become_relay(struct channel *ch)
{
	struct menu *menu = ch->menu;

	ch->menu = NULL;
	ch->kind = CHANNEL_RELAY;
	ch->step = CHANNEL_WAIT_TARGET;
	ch->started = false;
	ch->pty = false;
	replay(ch, menu);
	menu_free(menu);
}

static bool pump_connecting(struct channel *ch)
{
	struct session *s = ch->session;

	if (s->target_leg.state >= LEG_REFUSED) {
		leave_with(ch,
			s->refusal ? s->refusal
				   : "the connection to the target has ended",
			REFUSED_STATUS);
		return true;
	}
	/* What is still to be shown goes first: the next bytes are the
	 * target's, and wait for the recorder. */
	if (s->target_leg.state != LEG_READY || !flow_empty(&ch->out))
		return false;
	become_relay(ch);
	return true;
}

/* What came behind a choice that was refused waits in libssh. */
static void take_waiting(struct channel *ch)
{
	uint8_t byte;

	while (ch->menu->state == MENU_BROWSE &&
		ssh_channel_poll(ch->client, 0) > 0 &&
		ssh_channel_read_nonblocking(ch->client, &byte, 1, 0) == 1)
		menu_input(ch, &byte, 1);
}

static bool pump_browse(struct channel *ch)
{
	struct menu *menu = ch->menu;
	bool progress = false;

	/* One frame at a time: a slow terminal gets fewer, not more. */
	if (menu->dirty && flow_empty(&ch->out)) {
		menu->dirty = false;
		menu_draw(ch);
		progress = true;
	}
	take_waiting(ch);
	/* Nobody is there to choose anything else, but what was said last is
	 * shown. */
	if (menu->state == MENU_BROWSE && ch->client_eof && !menu->dirty) {
		menu_leave(ch, *menu->status ? REFUSED_STATUS : 0);
		return true;
	}
	return progress || menu->state != MENU_BROWSE;
}

bool menu_pump(struct channel *ch)
{
	if (ch->client_closed)
		return false;
	switch (ch->menu->state) {
	case MENU_BROWSE: return pump_browse(ch);
	case MENU_WANTED: return send_choice(ch);
	case MENU_CONNECTING: return pump_connecting(ch);
	default: return false;
	}
}
