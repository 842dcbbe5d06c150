/*
 * What the user types at the menu. Bytes from the client mean keys and
 * letters of a filter here, nothing else; what follows a choice is left for
 * the target.
 */
#include "session_menu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CTRL(c)	  ((c)&0x1f)
#define ESC	  0x1b
#define DELETE	  0x7f
#define NAMES_MAX 1024

/* Every word of the filter is somewhere in the row. */
static bool matches(const struct menu *menu, const struct menu_row *row)
{
	char text[NAMES_MAX], words[MENU_FILTER_MAX + 1], *word, *rest = words;

	snprintf(text, sizeof(text), "%s@%s %s %u", row->login, row->instance,
		row->group, row->port);
	memcpy(words, menu->filter, menu->filter_len);
	words[menu->filter_len] = '\0';
	while ((word = strsep(&rest, " ")))
		if (!strcasestr(text, word))
			return false;
	return true;
}

void menu_filter(struct menu *menu)
{
	size_t i;

	if (!menu->stale)
		return;
	menu->stale = false;
	menu->shown_count = 0;
	for (i = 0; i < menu->row_count; i++)
		if (matches(menu, &menu->rows[i]))
			menu->shown[menu->shown_count++] = (uint32_t)i;
	menu->cursor = 0;
	menu->top = 0;
}

static void filter_changed(struct menu *menu)
{
	menu->filter[menu->filter_len] = '\0';
	menu->status[0] = '\0';
	menu->dirty = true;
	menu->stale = true;
}

static void clear_filter(struct menu *menu)
{
	menu->filter_len = 0;
	menu->filtering = false;
	filter_changed(menu);
}

static void add_letter(struct menu *menu, uint8_t byte)
{
	if (menu->filter_len >= MENU_FILTER_MAX)
		return;
	menu->filtering = true;
	menu->filter[menu->filter_len++] = (char)byte;
	filter_changed(menu);
}

static void erase_letter(struct menu *menu)
{
	if (menu->filter_len)
		menu->filter_len--;
	if (!menu->filter_len)
		menu->filtering = false;
	filter_changed(menu);
}

enum move {
	MOVE_NONE = 0,
	MOVE_UP,
	MOVE_DOWN,
	MOVE_PAGE_UP,
	MOVE_PAGE_DOWN,
	MOVE_HOME,
	MOVE_END,
	MOVE_GROUP,
};

/* The first row of the next group, or of the first one again. */
static size_t next_group(const struct menu *menu)
{
	const char *group = menu->rows[menu->shown[menu->cursor]].group;
	size_t i;

	for (i = menu->cursor + 1; i < menu->shown_count; i++)
		if (strcmp(menu->rows[menu->shown[i]].group, group))
			return i;
	return 0;
}

static void move(struct menu *menu, enum move where)
{
	size_t page = menu_page(menu), at, last;

	menu_filter(menu);
	if (!menu->shown_count)
		return;
	at = menu->cursor;
	last = menu->shown_count - 1;
	switch (where) {
	case MOVE_UP: at = at ? at - 1 : 0; break;
	case MOVE_DOWN: at++; break;
	case MOVE_PAGE_UP: at = at > page ? at - page : 0; break;
	case MOVE_PAGE_DOWN: at += page; break;
	case MOVE_HOME: at = 0; break;
	case MOVE_END: at = last; break;
	case MOVE_GROUP: at = next_group(menu); break;
	case MOVE_NONE: return;
	}
	menu->cursor = at < last ? at : last;
	menu->dirty = true;
}

static const struct {
	const char *sequence; /* after ESC */
	enum move move;
} sequences[] = {
	{"[A", MOVE_UP},
	{"OA", MOVE_UP},
	{"[B", MOVE_DOWN},
	{"OB", MOVE_DOWN},
	{"[5~", MOVE_PAGE_UP},
	{"[6~", MOVE_PAGE_DOWN},
	{"[H", MOVE_HOME},
	{"OH", MOVE_HOME},
	{"[1~", MOVE_HOME},
	{"[7~", MOVE_HOME},
	{"[F", MOVE_END},
	{"OF", MOVE_END},
	{"[4~", MOVE_END},
	{"[8~", MOVE_END},
};

static void end_sequence(struct menu *menu)
{
	size_t i;

	menu->in_sequence = false;
	menu->sequence[menu->sequence_len] = '\0';
	for (i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++)
		if (!strcmp(menu->sequence, sequences[i].sequence))
			move(menu, sequences[i].move);
}

/* True if the byte belonged to an escape sequence. */
static bool in_sequence(struct menu *menu, uint8_t byte)
{
	if (!menu->in_sequence)
		return false;
	if (!menu->sequence_len && byte != '[' && byte != 'O') {
		/* The key of that name alone, and then something else. */
		menu->in_sequence = false;
		return false;
	}
	if (byte < 0x20 || byte > 0x7e) {
		menu->in_sequence = false;
		return false;
	}
	/* One too long is unknown, and must not be typed either. */
	if (menu->sequence_len < sizeof(menu->sequence) - 1)
		menu->sequence[menu->sequence_len++] = (char)byte;
	if (menu->sequence_len > 1 &&
		(menu->sequence[0] == 'O' || (byte >= 0x40 && byte <= 0x7e)))
		end_sequence(menu);
	return true;
}

static const struct {
	uint8_t key;
	bool letter; /* not while a filter is typed */
	enum move move;
} keys[] = {
	{'j', true, MOVE_DOWN},
	{'k', true, MOVE_UP},
	{'g', true, MOVE_HOME},
	{'G', true, MOVE_END},
	{CTRL('n'), false, MOVE_DOWN},
	{CTRL('p'), false, MOVE_UP},
	{CTRL('f'), false, MOVE_PAGE_DOWN},
	{CTRL('b'), false, MOVE_PAGE_UP},
	{CTRL('i'), false, MOVE_GROUP},
};

static bool moved(struct menu *menu, uint8_t byte)
{
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].key != byte || (keys[i].letter && menu->filtering))
			continue;
		move(menu, keys[i].move);
		return true;
	}
	return false;
}

static void enter(struct channel *ch)
{
	struct menu *menu = ch->menu;

	menu_filter(menu);
	if (menu->shown_count)
		menu_choose(ch, menu->shown[menu->cursor]);
}

static void screen_key(struct channel *ch, uint8_t byte)
{
	struct menu *menu = ch->menu;

	if (in_sequence(menu, byte))
		return;
	if (byte == ESC) {
		menu->in_sequence = true;
		menu->sequence_len = 0;
	} else if (byte == CTRL('c') || byte == CTRL('d') ||
		   (byte == 'q' && !menu->filtering)) {
		menu_leave(ch, 0);
	} else if (byte == '\r' || byte == '\n') {
		enter(ch);
	} else if (byte == DELETE || byte == CTRL('h')) {
		erase_letter(menu);
	} else if (byte == CTRL('u')) {
		clear_filter(menu);
	} else if (byte == '/' && !menu->filtering) {
		menu->filtering = true;
		menu->dirty = true;
	} else if (!moved(menu, byte) && byte >= 0x20 && byte <= 0x7e) {
		add_letter(menu, byte);
	}
}

/* "web1" or "ops@web1": how many rows are called so, and the last of them. */
static size_t named(const struct menu *menu, const char *name, size_t *ret)
{
	const char *at = strchr(name, '@');
	const char *instance = at ? at + 1 : name;
	size_t i, count = 0, len = at ? (size_t)(at - name) : 0;

	for (i = 0; i < menu->row_count; i++) {
		const struct menu_row *row = &menu->rows[i];

		if (strcmp(row->instance, instance) ||
			(at && (strlen(row->login) != len ||
				       strncmp(row->login, name, len))))
			continue;
		*ret = i;
		count++;
	}
	return count;
}

static void look_for(struct menu *menu, const char *line)
{
	menu->stale = true;
	menu_filter(menu);
	if (menu->shown_count)
		return;
	snprintf(menu->status, sizeof(menu->status), "nothing is called %s",
		line);
	menu->filter_len = 0;
	menu->stale = true;
}

static void answer(struct channel *ch, const char *line)
{
	struct menu *menu = ch->menu;
	size_t found = 0, digits = strspn(line, "0123456789");
	unsigned long number = digits < 9 ? strtoul(line, NULL, 10) : 0;

	menu->dirty = true;
	menu->status[0] = '\0';
	if (!*line) {
		menu->top += menu_page(menu);
		if (menu->top >= menu->shown_count) {
			menu->filter_len = 0;
			menu->stale = true;
		}
	} else if (named(menu, line, &found) == 1) {
		menu_choose(ch, found);
	} else if (!line[digits] && number && number <= menu->row_count) {
		menu_choose(ch, number - 1);
	} else if (!strcmp(line, "q")) {
		menu_leave(ch, 0);
	} else {
		look_for(menu, line);
	}
}

/* A terminal of which we know nothing gets its own letters back, and no
 * more; without a terminal somebody else does that. */
static void echo(struct channel *ch, const char *text)
{
	if (ch->pty)
		local_put(ch, text);
}

static void end_line(struct channel *ch)
{
	struct menu *menu = ch->menu;
	char line[MENU_FILTER_MAX + 1];

	menu->filter[menu->filter_len] = '\0';
	memcpy(line, menu->filter, menu->filter_len + 1);
	echo(ch, "\n");
	answer(ch, line);
	menu->filter_len = 0;
}

static void line_key(struct channel *ch, uint8_t byte)
{
	struct menu *menu = ch->menu;
	char text[2] = {(char)byte, '\0'};

	if (in_sequence(menu, byte))
		return;
	if (byte == ESC) {
		menu->in_sequence = true;
		menu->sequence_len = 0;
	} else if (byte == CTRL('c') ||
		   (byte == CTRL('d') && !menu->filter_len)) {
		menu_leave(ch, 0);
	} else if (byte == '\r' || byte == '\n') {
		end_line(ch);
	} else if ((byte == DELETE || byte == CTRL('h')) && menu->filter_len) {
		menu->filter_len--;
		echo(ch, "\b \b");
	} else if (byte >= 0x20 && byte <= 0x7e &&
		   menu->filter_len < MENU_FILTER_MAX) {
		menu->filter[menu->filter_len++] = (char)byte;
		echo(ch, text);
	}
}

/* While somebody decides, or the target is being reached. */
static uint32_t waiting_input(
	struct channel *ch, const uint8_t *data, uint32_t len)
{
	if (!ch->pty || !memchr(data, CTRL('c'), len))
		return 0;
	menu_leave(ch, 0);
	return len;
}

uint32_t menu_input(struct channel *ch, const void *data, uint32_t len)
{
	struct menu *menu = ch->menu;
	const uint8_t *bytes = data;
	uint32_t i;

	if (menu->state == MENU_IDLE || menu->state == MENU_LEFT)
		return len;
	if (menu->state != MENU_BROWSE)
		return waiting_input(ch, bytes, len);
	for (i = 0; i < len && menu->state == MENU_BROWSE; i++) {
		if (menu->dumb)
			line_key(ch, bytes[i]);
		else
			screen_key(ch, bytes[i]);
	}
	/* The key of that name: its sequences come in one piece. */
	if (menu->in_sequence && !menu->sequence_len && !menu->dumb)
		clear_filter(menu);
	ch->session->busy = true;
	return menu->state == MENU_LEFT ? len : i;
}
