/*
 * What the menu looks like: a whole frame in one write, each line cleared
 * behind its text and none before, so that nothing flickers; and a numbered
 * list for terminals of which nothing is known.
 */
#include "session_menu.h"

#include <stdio.h>
#include <string.h>

#define USUAL_WIDTH  80
#define USUAL_HEIGHT 24
#define WIDTH_MAX    300
#define HEIGHT_MAX   200
#define AROUND_LINES 5 /* above and below the rows */
#define FRAME_MAX    (256 * 1024)
/* Without a terminal nobody turns pages. */
#define PIPE_PAGE 1000

/* Those that know ECMA-48: what else there is gets the list. */
static const char *const known_terms[] = {"xterm", "screen", "tmux", "linux",
	"rxvt", "vt1", "vt2", "vt3", "vt4", "vt5", "ansi", "putty", "alacritty",
	"kitty", "foot", "konsole", "gnome", "vte", "st-", "wezterm", "ghostty",
	"contour", "cygwin", "mintty", "iterm", "nsterm", "Eterm", "dtterm",
	"teraterm", "mlterm", "terminator", "eterm-color"};

bool menu_term_is_dumb(const char *term)
{
	size_t i;

	for (i = 0; i < sizeof(known_terms) / sizeof(known_terms[0]); i++)
		if (!strncmp(term, known_terms[i], strlen(known_terms[i])))
			return false;
	return true;
}

static size_t bounded(uint32_t said, size_t usual, size_t max)
{
	if (!said)
		return usual;
	return said < max ? said : max;
}

static size_t width_of(const struct menu *menu)
{
	return bounded(menu->width, USUAL_WIDTH, WIDTH_MAX);
}

static size_t height_of(const struct menu *menu)
{
	return bounded(menu->height, USUAL_HEIGHT, HEIGHT_MAX);
}

size_t menu_page(const struct menu *menu)
{
	size_t height = height_of(menu);

	if (!menu->has_pty)
		return PIPE_PAGE;
	return height > AROUND_LINES ? height - AROUND_LINES : 1;
}

const char *menu_restore(struct channel *ch)
{
	if (!ch->menu || !ch->menu->screen)
		return NULL;
	ch->menu->screen = false;
	return "\033[m\033[?25h\033[?1049l";
}

/* One line, cut to the width; the last column stays free, so that no terminal
 * wraps. */
static void put_line(const struct menu *menu, struct buf *out, const char *text,
	bool marked, bool last)
{
	size_t len = strlen(text), most = width_of(menu) - 1;

	if (marked)
		buf_printf(out, "\033[7m");
	buf_put(out, text, len < most ? len : most);
	if (marked)
		buf_printf(out, "\033[m");
	buf_printf(out, "\033[K%s", last ? "" : "\r\n");
}

/* Columns for instance and group; what is wider is cut and marked. */
static void put_cell(char *to, size_t width, const char *text)
{
	size_t len = strlen(text);

	memset(to, ' ', width + 1);
	memcpy(to, text, len < width ? len : width);
	if (len > width)
		to[width - 1] = '~';
}

static void format_row(const struct menu *menu, const char *cells[3],
	const char *port, const char *mark, char *out, size_t len)
{
	size_t spare = width_of(menu) > USUAL_WIDTH
			       ? (width_of(menu) - USUAL_WIDTH) / 2
			       : 0;
	size_t instance = 30 + (spare < 34 ? spare : 34);
	size_t group = 20 + (spare < 44 ? spare : 44);
	char text[3][80];

	put_cell(text[0], instance, cells[0]);
	put_cell(text[1], group, cells[1]);
	put_cell(text[2], 15, cells[2]);
	snprintf(out, len, "%s%.*s%.*s%.*s%5s", mark, (int)instance + 1,
		text[0], (int)group + 1, text[1], 16, text[2], port);
}

static void row_text(const struct menu *menu, const struct menu_row *row,
	const char *mark, char *out, size_t len)
{
	const char *cells[3] = {row->instance, row->group, row->login};
	char port[16];

	snprintf(port, sizeof(port), "%u", row->port);
	format_row(menu, cells, port, mark, out, len);
}

static void head_text(
	const struct menu *menu, const char *mark, char *out, size_t len)
{
	const char *cells[3] = {"INSTANCE", "SECURITY GROUP", "LOGIN"};

	format_row(menu, cells, "PORT", mark, out, len);
}

static void put_top(const struct menu *menu, struct buf *out)
{
	char text[400];
	size_t at = menu->shown_count ? menu->cursor + 1 : 0;

	snprintf(text, sizeof(text),
		"sgbridge: choose an instance (%zu of %zu%s)", at,
		menu->shown_count, menu->filter_len ? " that match" : "");
	put_line(menu, out, text, false, false);
	snprintf(text, sizeof(text), "%s%.*s%s",
		menu->filtering ? "Filter: " : "", (int)menu->filter_len,
		menu->filter, menu->filtering ? "_" : "");
	put_line(menu, out, text, false, false);
	head_text(menu, "  ", text, sizeof(text));
	put_line(menu, out, text, false, false);
}

static void put_rows(struct menu *menu, struct buf *out)
{
	size_t page = menu_page(menu), i;
	char text[400];

	/* A window that grew is filled, too. */
	if (menu->top + page > menu->shown_count)
		menu->top = menu->shown_count > page ? menu->shown_count - page
						     : 0;
	if (menu->cursor < menu->top)
		menu->top = menu->cursor;
	if (menu->cursor >= menu->top + page)
		menu->top = menu->cursor - page + 1;
	for (i = menu->top; i < menu->top + page; i++) {
		bool marked = i == menu->cursor;

		text[0] = '\0';
		if (i < menu->shown_count)
			row_text(menu, &menu->rows[menu->shown[i]],
				marked ? "> " : "  ", text, sizeof(text));
		put_line(menu, out, text, marked && *text, false);
	}
}

static void put_screen(struct menu *menu, struct buf *out)
{
	if (!menu->screen)
		buf_printf(out, "\033[?1049h\033[?25l\033[2J");
	menu->screen = true;
	buf_printf(out, "\033[H");
	put_top(menu, out);
	put_rows(menu, out);
	put_line(menu, out, menu->status, false, false);
	put_line(menu, out,
		"Enter connects  / or letters filter  Tab next group  "
		"Esc clears  q leaves",
		false, true);
}

static void put_list(const struct menu *menu, struct buf *out)
{
	size_t end = menu->top + menu_page(menu), i;
	char text[400], mark[32];

	if (end > menu->shown_count)
		end = menu->shown_count;
	if (*menu->status)
		buf_printf(out, "%s\n", menu->status);
	head_text(menu, "       ", text, sizeof(text));
	buf_printf(out, "%s\n", text);
	for (i = menu->top; i < end; i++) {
		snprintf(mark, sizeof(mark), "%5u  ", menu->shown[i] + 1);
		row_text(menu, &menu->rows[menu->shown[i]], mark, text,
			sizeof(text));
		buf_printf(out, "%s\n", text);
	}
	if (end < menu->shown_count)
		buf_printf(out, "%zu more: Enter shows them; q leaves\n",
			menu->shown_count - end);
	buf_printf(out, "number or name: ");
}

void menu_draw(struct channel *ch)
{
	struct menu *menu = ch->menu;
	struct buf out;

	menu_filter(menu);
	buf_init(&out, FRAME_MAX);
	if (menu->dumb)
		put_list(menu, &out);
	else
		put_screen(menu, &out);
	buf_put_u8(&out, '\0');
	/* put_screen() has its line ends already. */
	if (buf_error(&out) ||
		(menu->dumb ? local_put(ch, (const char *)out.data)
			    : flow_put(&ch->out, out.data, out.len - 1, 0)))
		ch->session->over = true;
	buf_done(&out);
}
