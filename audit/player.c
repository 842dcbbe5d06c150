/* The auditor's terminal. */
#include "player.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "audit.h"
#include "utf8.h"

#define ENTER "\033[?1049h\033[2J\033[?25l"
#define LEAVE "\033[0m\033[?25h\033[?1049l"

static struct termios saved, raw;
static volatile sig_atomic_t is_open, interrupted, resized;

/* Only what a signal handler may call. */
static void restore(void)
{
	if (!is_open)
		return;
	is_open = 0;
	(void)!write(STDOUT_FILENO, LEAVE, sizeof(LEAVE) - 1);
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

/* The same. From the background this stops the program until it is in front. */
static void enter(void)
{
	is_open = 1;
	while (tcsetattr(STDIN_FILENO, TCSANOW, &raw) && errno == EINTR)
		;
	(void)!write(STDOUT_FILENO, ENTER, sizeof(ENTER) - 1);
	resized = 1; /* everything is painted again */
}

/* Control-Z: the shell gets its terminal as it was. Where nobody could continue
 * us nothing stops, and the player goes on. */
static void on_stop(int number)
{
	struct sigaction stop = {.sa_handler = SIG_DFL}, own;
	sigset_t set;
	int error = errno;

	restore();
	(void)sigaction(number, &stop, &own);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, number);
	(void)raise(number);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL); /* here it stops */
	(void)sigaction(number, &own, NULL);
	enter();
	errno = error;
}

/* After a stop that nobody was asked about. */
static void on_continue(int number)
{
	int error = errno;

	(void)number;
	if (is_open)
		enter();
	errno = error;
}

static void on_end(int number)
{
	(void)number;
	interrupted = 1;
}

static void on_resize(int number)
{
	(void)number;
	resized = 1;
}

static void on_crash(int number)
{
	restore();
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

static void set_handlers(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
	struct sigaction action = {.sa_handler = on_end}, before;
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		(void)sigaction(ends[i], &action, NULL);
	action.sa_handler = on_stop;
	/* A shell without job control has it ignored. */
	if (!sigaction(SIGTSTP, NULL, &before) && before.sa_handler != SIG_IGN)
		(void)sigaction(SIGTSTP, &action, NULL);
	action.sa_handler = on_continue;
	(void)sigaction(SIGCONT, &action, NULL);
	action.sa_handler = on_resize;
	(void)sigaction(SIGWINCH, &action, NULL);
	action.sa_handler = on_crash;
	for (i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		(void)sigaction(crashes[i], &action, NULL);
	(void)atexit(restore);
}

void player_open(void)
{
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ||
		tcgetattr(STDIN_FILENO, &saved))
		audit_fatal(EX_USAGE, "play needs a terminal; \"text\" does "
				      "not");
	raw = saved;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
	raw.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	(void)fflush(stdout);
	set_handlers();
	enter();
}

bool player_interrupted(void)
{
	return interrupted;
}

void player_close(void)
{
	(void)fflush(stdout);
	restore();
}

static void window(unsigned int *cols, unsigned int *rows)
{
	struct winsize size = {0};

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	*cols = size.ws_col ? size.ws_col : 80;
	*rows = size.ws_row > 1 ? size.ws_row : 24;
}

static void put_colour(char base, const uint8_t colour[4])
{
	if (!colour[3])
		(void)printf(";%c8;2;%u;%u;%u", base, colour[0], colour[1],
			colour[2]);
}

static void put_style(const struct emulator_cell *cell)
{
	(void)printf("\033[0%s%s%s%s%s", cell->attr & EMULATOR_BOLD ? ";1" : "",
		cell->attr & EMULATOR_ITALIC ? ";3" : "",
		cell->attr & EMULATOR_UNDERLINE ? ";4" : "",
		cell->attr & EMULATOR_BLINK ? ";5" : "",
		cell->attr & EMULATOR_INVERSE ? ";7" : "");
	put_colour('3', cell->fg);
	put_colour('4', cell->bg);
	(void)printf("m");
}

static bool same_style(
	const struct emulator_cell *a, const struct emulator_cell *b)
{
	return a->attr == b->attr && !memcmp(a->fg, b->fg, 4) &&
	       !memcmp(a->bg, b->bg, 4);
}

static void put_code(uint32_t code)
{
	struct buf out;

	buf_init(&out, 16);
	utf8_put(&out, code ? code : ' ');
	(void)fwrite(out.data, 1, out.len, stdout);
	buf_done(&out);
}

void player_row(void *data, unsigned int y, const struct emulator_cell *cells,
	unsigned int count)
{
	unsigned int cols, rows, x;
	const struct emulator_cell *last = NULL;

	(void)data;
	window(&cols, &rows);
	if (y + 1 >= rows)
		return;
	(void)printf("\033[%u;1H", y + 1);
	for (x = 0; x < count && x < cols; x++) {
		if (!cells[x].width)
			continue;
		if (!last || !same_style(last, &cells[x]))
			put_style(&cells[x]);
		last = &cells[x];
		/* Half of a wide character would push the line. */
		put_code(x + cells[x].width > cols ? ' ' : cells[x].code);
	}
	(void)printf("\033[0m\033[K");
}

void player_status(const struct emulator_screen *screen, const char *text)
{
	unsigned int cols, rows;

	window(&cols, &rows);
	(void)printf("\033[%u;1H\033[0;7m%-*.*s\033[0m", rows, (int)cols,
		(int)cols, text);
	if (screen->cursor_hidden || screen->y + 1 >= rows || screen->x >= cols)
		(void)printf("\033[?25l");
	else
		(void)printf(
			"\033[%u;%uH\033[?25h", screen->y + 1, screen->x + 1);
	(void)fflush(stdout);
}

void player_clear(void)
{
	(void)printf("\033[0m\033[2J");
}

bool player_ask(const char *prompt, char *ret, size_t room)
{
	unsigned int cols, rows;
	size_t len = 0;
	char c;

	for (;;) {
		window(&cols, &rows);
		(void)printf("\033[%u;1H\033[0m\033[K%s", rows, prompt);
		print_text(stdout, ret, len);
		(void)printf("\033[?25h");
		(void)fflush(stdout);
		if (read(STDIN_FILENO, &c, 1) != 1 || interrupted || c == 27 ||
			c == 3)
			return false;
		if (c == '\r' || c == '\n')
			break;
		if (c == 127 || c == 8)
			len -= len ? 1 : 0;
		else if ((unsigned char)c >= ' ' && len + 1 < room)
			ret[len++] = c;
	}
	ret[len] = '\0';
	return len > 0;
}

static enum player_key after_escape(void)
{
	struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
	char text[8];
	ssize_t got;

	if (poll(&fd, 1, 50) <= 0)
		return PLAYER_KEY_QUIT;
	got = read(STDIN_FILENO, text, sizeof(text));
	if (got >= 2 && (text[0] == '[' || text[0] == 'O')) {
		if (text[1] == 'C')
			return PLAYER_KEY_FORWARD;
		if (text[1] == 'D')
			return PLAYER_KEY_BACK;
		if (text[1] == 'H')
			return PLAYER_KEY_START;
	}
	return PLAYER_KEY_NONE;
}

enum player_key player_key(int ms)
{
	static const struct {
		char c;
		enum player_key key;
	} keys[] = {{' ', PLAYER_KEY_PAUSE}, {'.', PLAYER_KEY_STEP},
		{'+', PLAYER_KEY_FASTER}, {']', PLAYER_KEY_FASTER},
		{'-', PLAYER_KEY_SLOWER}, {'[', PLAYER_KEY_SLOWER},
		{'l', PLAYER_KEY_FORWARD}, {'h', PLAYER_KEY_BACK},
		{'g', PLAYER_KEY_START}, {'q', PLAYER_KEY_QUIT},
		{3, PLAYER_KEY_QUIT}, {'/', PLAYER_KEY_SEARCH},
		{'?', PLAYER_KEY_SEARCH_BACK}, {'n', PLAYER_KEY_NEXT},
		{'N', PLAYER_KEY_PREVIOUS}, {')', PLAYER_KEY_COMMAND},
		{'(', PLAYER_KEY_COMMAND_BACK}};
	struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
	size_t i;
	char c;

	if (interrupted)
		return PLAYER_KEY_QUIT;
	if (!resized && poll(&fd, 1, ms) <= 0 && !resized)
		return interrupted ? PLAYER_KEY_QUIT : PLAYER_KEY_NONE;
	if (resized) {
		resized = 0;
		player_clear();
		return PLAYER_KEY_RESIZE;
	}
	if (read(STDIN_FILENO, &c, 1) != 1)
		return PLAYER_KEY_QUIT;
	if (c == 27)
		return after_escape();
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (keys[i].c == c)
			return keys[i].key;
	return PLAYER_KEY_NONE;
}
