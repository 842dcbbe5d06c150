/* Tables: aligned for people, JSON for programs. */
#include "sgbridge.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/event.h"

void table_init(struct table *table, const char *const *columns)
{
	memset(table, 0, sizeof(*table));
	table->columns = columns;
	while (columns[table->width])
		table->width++;
}

void table_done(struct table *table)
{
	size_t i;

	for (i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
}

void table_put(struct table *table, const char *text)
{
	char *copy = strdup(text);
	char *c;

	if (copy && table->count == table->cap) {
		size_t cap = table->cap ? table->cap * 2 : 64;
		char **cells = reallocarray(table->cells, cap, sizeof(*cells));

		if (cells) {
			table->cells = cells;
			table->cap = cap;
		}
	}
	if (!copy || table->count == table->cap) {
		free(copy);
		table->failed = true;
		return;
	}
	/* No escape sequence of anybody's reaches the terminal. */
	for (c = copy; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f ||
			(unsigned char)*c >= 0x80)
			*c = '?';
	table->cells[table->count++] = copy;
}

void table_put_buf(struct table *table, struct buf *buf)
{
	buf_put_u8(buf, 0);
	table_put(table, buf_error(buf) ? "?" : (const char *)buf->data);
	buf_reset(buf);
}

static size_t column_width(const struct table *table, size_t column)
{
	size_t width = strlen(table->columns[column]);
	size_t i;

	for (i = column; i < table->count; i += table->width) {
		size_t len = strlen(table->cells[i]);

		width = len > width ? len : width;
	}
	return width;
}

static void print_cell(const char *text, size_t width, bool last, bool upper)
{
	size_t len = 0;

	for (; text[len]; len++)
		putchar(upper ? toupper((unsigned char)text[len]) : text[len]);
	for (; !last && len < width + 2; len++)
		putchar(' ');
}

void table_print(const struct table *table, bool colour)
{
	size_t *widths = calloc(table->width, sizeof(*widths));
	size_t i;

	if (!widths || table->failed) {
		cli_fail("out of memory");
		free(widths);
		return;
	}
	for (i = 0; i < table->width; i++)
		widths[i] = column_width(table, i);
	fputs(colour ? "\033[1m" : "", stdout);
	for (i = 0; i < table->width; i++)
		print_cell(table->columns[i], widths[i], i + 1 == table->width,
			true);
	puts(colour ? "\033[0m" : "");
	for (i = 0; i < table->count; i++) {
		bool last = (i + 1) % table->width == 0;

		print_cell(
			table->cells[i], widths[i % table->width], last, false);
		if (last)
			putchar('\n');
	}
	free(widths);
}

void table_json(const struct table *table, struct buf *out)
{
	size_t i;

	buf_put_u8(out, '[');
	for (i = 0; i < table->count; i++) {
		size_t column = i % table->width;

		buf_printf(out, "%s", column ? "," : i ? ",{" : "{");
		json_put_string(out, table->columns[column],
			strlen(table->columns[column]));
		buf_put_u8(out, ':');
		json_put_string(out, table->cells[i], strlen(table->cells[i]));
		if (column + 1 == table->width)
			buf_put_u8(out, '}');
	}
	buf_put_u8(out, ']');
}
