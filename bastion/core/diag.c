/*
 * Diagnostics about settings and policy: kept, ordered, printed. What is
 * printed may hold bytes of a file that somebody else wrote, so nothing but
 * printable text reaches the terminal. Must not exit or log.
 */
#include "core/diag.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX     512
#define SOURCE_MAX   240 /* bytes of a line worth showing */
#define NEAREST_MAX  64	 /* bytes of a word worth comparing */

#define COLOUR_BOLD  "\033[1m"
#define COLOUR_RED   "\033[1;31m"
#define COLOUR_AMBER "\033[1;33m"
#define COLOUR_CYAN  "\033[1;36m"
#define COLOUR_GREEN "\033[1;32m"
#define COLOUR_OFF   "\033[0m"

struct level {
	const char *label;
	const char *colour;
};

/* An error needs no label: it is what a reader expects. */
static const struct level levels[] = {
	[DIAG_ERROR] = {"", COLOUR_RED},
	[DIAG_WARNING] = {"warning: ", COLOUR_AMBER},
	[DIAG_NOTE] = {"note: ", COLOUR_CYAN},
};

void diag_init(struct diag *diag)
{
	memset(diag, 0, sizeof(*diag));
}

static void item_done(struct diag_item *item)
{
	free(item->code);
	free(item->file);
	free(item->text);
	free(item->source);
	free(item->hint);
}

void diag_done(struct diag *diag)
{
	size_t i;

	for (i = 0; i < diag->count; i++)
		item_done(&diag->items[i]);
	free(diag->items);
	diag_init(diag);
}

static char *copy_text(const char *text, size_t max)
{
	return text ? strndup(text, max) : NULL;
}

static enum sgb_err item_copy(
	const struct diag_item *item, struct diag_item *ret)
{
	*ret = *item;
	if (!ret->width)
		ret->width = 1;
	ret->code = copy_text(item->code, TEXT_MAX);
	ret->file = copy_text(item->file ? item->file : "?", TEXT_MAX * 8);
	ret->text = copy_text(item->text ? item->text : "?", TEXT_MAX);
	ret->hint = copy_text(item->hint, TEXT_MAX);
	ret->source = NULL;
	/* Half a line is worse than none when the caret is in the rest. */
	if (item->source && item->column < SOURCE_MAX)
		ret->source = copy_text(item->source, SOURCE_MAX);
	if ((item->code && !ret->code) || !ret->file || !ret->text) {
		item_done(ret);
		return SGB_ERR_NOMEM;
	}
	return SGB_OK;
}

static bool item_before(const struct diag_item *a, const struct diag_item *b)
{
	if (a->line != b->line)
		return a->line < b->line;
	return a->column < b->column;
}

/* Files keep the order in which they were first heard of; the places of one
 * file are in ascending order, whichever pass found them. */
static size_t item_place(const struct diag *diag, const struct diag_item *item)
{
	size_t place = diag->count;
	size_t i;

	for (i = diag->count; i > 0; i--) {
		if (strcmp(diag->items[i - 1].file, item->file))
			continue;
		if (!item_before(item, &diag->items[i - 1]))
			return i;
		place = i - 1;
	}
	return place;
}

/* A full list gives up its last warning for an error. */
static bool make_room(struct diag *diag, const struct diag_item *item)
{
	size_t i;

	if (diag->count < DIAG_MAX)
		return true;
	if (item->level != DIAG_ERROR)
		return false;
	for (i = diag->count; i > 0; i--)
		if (diag->items[i - 1].level != DIAG_ERROR)
			break;
	if (i == 0)
		return false;
	item_done(&diag->items[i - 1]);
	memmove(&diag->items[i - 1], &diag->items[i],
		(diag->count - i) * sizeof(diag->items[0]));
	diag->count--;
	diag->dropped++;
	return true;
}

static void diag_count(struct diag *diag, enum diag_level level)
{
	if (level == DIAG_ERROR)
		diag->errors++;
	else if (level == DIAG_WARNING)
		diag->warnings++;
}

void diag_add(struct diag *diag, const struct diag_item *item)
{
	struct diag_item copy;
	size_t place;

	diag_count(diag, item->level);
	if (!diag->items)
		diag->items = calloc(DIAG_MAX, sizeof(diag->items[0]));
	if (!diag->items || !make_room(diag, item) || item_copy(item, &copy)) {
		diag->dropped++;
		return;
	}
	place = item_place(diag, &copy);
	memmove(&diag->items[place + 1], &diag->items[place],
		(diag->count - place) * sizeof(diag->items[0]));
	diag->items[place] = copy;
	diag->count++;
}

void diag_error(struct diag *diag, const char *file, unsigned int line,
	const char *fmt, ...)
{
	char text[TEXT_MAX];
	char name[TEXT_MAX * 8];
	struct diag_item item = {.line = line, .text = text, .file = name};
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	snprintf(name, sizeof(name), "%s", file);
	diag_add(diag, &item);
}

/* Length of the printable UTF-8 character at text, 0 if it is none. C1
 * controls (U+0080 to U+009F) are commands to some terminals. */
static size_t printable(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;
	size_t len, i;

	if (c[0] >= 0x20 && c[0] < 0x7f)
		return 1;
	if (c[0] == 0xc2 && c[1] < 0xa0)
		return 0;
	if (c[0] >= 0xc2 && c[0] <= 0xdf)
		len = 2;
	else if (c[0] >= 0xe0 && c[0] <= 0xef)
		len = 3;
	else if (c[0] >= 0xf0 && c[0] <= 0xf4)
		len = 4;
	else
		return 0;
	for (i = 1; i < len; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

static void put_printable(FILE *out, const char *text)
{
	while (*text) {
		size_t len = printable(text);

		if (*text == '\t' || len == 0) {
			fputc(*text == '\t' ? '\t' : '?', out);
			text++;
			continue;
		}
		fwrite(text, 1, len, out);
		text += len;
	}
}

/* Spaces under everything before the caret; a tab stays a tab, so that the
 * caret stands under its byte at any tab width. */
static void put_padding(FILE *out, const char *source, unsigned int column)
{
	size_t i = 0;

	while (source[i] && i + 1 < column) {
		size_t len = printable(source + i);

		fputc(source[i] == '\t' ? '\t' : ' ', out);
		i += len ? len : 1;
	}
}

static void put_caret(FILE *out, const struct diag_item *item)
{
	size_t left = strlen(item->source);
	size_t start = item->column - 1;
	unsigned int i;

	put_padding(out, item->source, item->column);
	fputc('^', out);
	for (i = 1; i < item->width && start + i < left; i++)
		fputc('~', out);
}

static void print_source(const struct diag_item *item, FILE *out,
	const char *on, const char *off)
{
	fprintf(out, "%5u | ", item->line);
	put_printable(out, item->source);
	fputc('\n', out);
	if (!item->column && !item->hint)
		return;
	fputs("      | ", out);
	if (item->column) {
		fputs(on, out);
		put_caret(out, item);
		fputs(off, out);
	}
	if (item->hint) {
		fputs(item->column ? " " : "", out);
		put_printable(out, item->hint);
	}
	fputc('\n', out);
}

static void print_item(const struct diag_item *item, FILE *out, bool colour)
{
	const struct level *level = &levels[item->level];
	const char *off = colour ? COLOUR_OFF : "";

	fputs(colour ? COLOUR_BOLD : "", out);
	put_printable(out, item->file);
	if (item->line)
		fprintf(out, ":%u", item->line);
	if (item->line && item->column)
		fprintf(out, ":%u", item->column);
	fprintf(out, ":%s %s%s%s", off, colour ? level->colour : "",
		level->label, off);
	put_printable(out, item->text);
	fputc('\n', out);
	if (item->source) {
		print_source(item, out, colour ? COLOUR_GREEN : "", off);
	} else if (item->hint) {
		fputs("      ", out);
		put_printable(out, item->hint);
		fputc('\n', out);
	}
}

void diag_print(const struct diag *diag, FILE *out, bool colour)
{
	size_t i;

	for (i = 0; i < diag->count; i++)
		print_item(&diag->items[i], out, colour);
	if (diag->dropped)
		fprintf(out, "and %zu more\n", diag->dropped);
}

void diag_first_line(const struct diag *diag, char *out, size_t out_len)
{
	const struct diag_item *item = NULL;
	char place[32] = "";
	size_t i;

	for (i = 0; i < diag->count && !item; i++)
		if (diag->items[i].level == DIAG_ERROR)
			item = &diag->items[i];
	if (!item) {
		snprintf(out, out_len, "%s",
			diag->errors ? "out of memory" : "no error");
		return;
	}
	if (item->line && item->column)
		snprintf(place, sizeof(place), ":%u:%u", item->line,
			item->column);
	else if (item->line)
		snprintf(place, sizeof(place), ":%u", item->line);
	snprintf(out, out_len, "%s%s: %s", item->file, place, item->text);
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Optimal string alignment: insert, delete, replace, swap neighbours; the
 * case of letters is free. */
static size_t word_distance(
	const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[3][NEAREST_MAX + 1];
	size_t i, j;

	for (j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (i = 1; i <= a_len; i++) {
		size_t *row = rows[i % 3];
		const size_t *above = rows[(i + 2) % 3];
		const size_t *above2 = rows[(i + 1) % 3];

		row[0] = i;
		for (j = 1; j <= b_len; j++) {
			char x = lower(a[i - 1]), y = lower(b[j - 1]);

			row[j] = min3(above[j] + 1, row[j - 1] + 1,
				above[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == lower(b[j - 2]) &&
				y == lower(a[i - 2]) &&
				above2[j - 2] + 1 < row[j])
				row[j] = above2[j - 2] + 1;
		}
	}
	return rows[a_len % 3][b_len];
}

const char *diag_nearest(const char *text, const char *const *words)
{
	size_t len = strlen(text);
	size_t best = len < 3 ? 0 : len / 3;
	const char *nearest = NULL;

	if (len > NEAREST_MAX)
		return NULL;
	for (; *words; words++) {
		size_t word_len = strlen(*words);
		size_t distance;

		if (word_len > NEAREST_MAX || word_len > len + best ||
			len > word_len + best)
			continue;
		distance = word_distance(text, len, *words, word_len);
		if (distance > best || (nearest && distance == best))
			continue;
		best = distance;
		nearest = *words;
	}
	return nearest;
}
