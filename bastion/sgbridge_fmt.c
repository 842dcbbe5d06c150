/*
 * sgbridge fmt: a policy file in its usual form. Tokens and comments stay;
 * indentation, blanks and columns are set. Works on tokens alone, so it needs
 * no names to be right, but it never writes a file whose tokens it changed.
 */
#include "sgbridge.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/event.h"
#include "core/file.h"

#define OUT_MAX	  (2 * POLICY_MAX_BYTES)
#define WORDS_MAX 2 /* columns that are aligned */

/* One line: its tokens, without the end of line. */
struct line {
	uint32_t first, count; /* into tokens */
	unsigned int depth;
};

struct layout {
	VEC(struct policy_token) tokens;
	VEC(struct line) lines;
	struct policy memory; /* for vec_add alone */
	/* The columns of the lines that were looked at last. */
	uint32_t first, last;
	uint32_t widths[WORDS_MAX];
};

static bool lay_out(
	struct layout *layout, const char *path, const char *text, uint32_t len)
{
	struct policy_lexer lexer;
	struct policy_token token;
	struct line line = {0};
	unsigned int depth = 0;

	policy_lex_init(&lexer, text, len);
	lexer.comments = true;
	do {
		uint32_t at = lexer.line;

		policy_lex(&lexer, &token);
		if (token.kind == TOKEN_BAD) {
			cli_fail("%s:%u: %s", path, at, token.error);
			return false;
		}
		if (token.kind != TOKEN_NEWLINE && token.kind != TOKEN_END) {
			*vec_add(&layout->memory, &layout->tokens) = token;
			line.count++;
			if (token.kind == TOKEN_CLOSE && depth)
				depth--;
			/* A line that closes its block stands outside it. */
			if (token.kind == TOKEN_CLOSE && line.count == 1)
				line.depth = depth;
			if (token.kind == TOKEN_OPEN)
				depth++;
			continue;
		}
		if (token.kind == TOKEN_NEWLINE || line.count)
			*vec_add(&layout->memory, &layout->lines) = line;
		line.first = layout->tokens.count;
		line.count = 0;
		line.depth = depth;
	} while (token.kind != TOKEN_END && !layout->memory.failed);
	return !layout->memory.failed;
}

static const struct policy_token *token_at(
	const struct layout *layout, const struct line *line, uint32_t i)
{
	return i < line->count ? &layout->tokens.at[line->first + i] : NULL;
}

/* Which leading words of a line are set in columns, together with the lines
 * of the same kind around it. */
enum columns {
	COLUMNS_NONE = 0,
	COLUMNS_SETTING,     /* in a block: the first word */
	COLUMNS_RULE,	     /* accept and drop: the first word */
	COLUMNS_DECLARATION, /* the kind and the name */
};

static bool word_is(const struct policy_token *word, const char *text)
{
	return word->len == strlen(text) &&
	       !memcmp(word->text, text, word->len);
}

static enum columns line_columns(
	const struct layout *layout, const struct line *line)
{
	const struct policy_token *word = token_at(layout, line, 0);
	const struct policy_token *next = token_at(layout, line, 1);
	const struct policy_token *last = token_at(
		layout, line, line->count - 1);

	if (!line->count || word->kind != TOKEN_WORD || !next ||
		(next->kind != TOKEN_WORD && next->kind != TOKEN_STRING) ||
		last->kind == TOKEN_OPEN)
		return COLUMNS_NONE;
	if (line->depth)
		return word_is(next, "tcp") || word_is(next, "udp") ||
				       word_is(next, "all")
			       ? COLUMNS_RULE
			       : COLUMNS_SETTING;
	if (word_is(word, "network") || word_is(word, "group") ||
		word_is(word, "hours"))
		return COLUMNS_DECLARATION;
	return COLUMNS_NONE;
}

static unsigned int column_count(enum columns columns)
{
	return columns == COLUMNS_DECLARATION ? 2 : columns != COLUMNS_NONE;
}

/* Lines that follow each other at one depth share their columns. */
static void column_widths(struct layout *layout, uint32_t index)
{
	const struct line *lines = layout->lines.at;
	enum columns columns = line_columns(layout, &lines[index]);
	uint32_t i;
	unsigned int j;

	if (index && index >= layout->first && index <= layout->last)
		return;
	layout->first = layout->last = index;
	while (layout->last + 1 < layout->lines.count &&
		lines[layout->last + 1].depth == lines[index].depth &&
		line_columns(layout, &lines[layout->last + 1]) == columns)
		layout->last++;
	memset(layout->widths, 0, sizeof(layout->widths));
	for (i = index; i <= layout->last; i++)
		for (j = 0; j < column_count(columns); j++) {
			uint32_t len = token_at(layout, &lines[i], j)->len;

			if (len > layout->widths[j])
				layout->widths[j] = len;
		}
}

static void put_pad(struct buf *out, uint32_t count)
{
	while (count--)
		buf_put_u8(out, ' ');
}

/* Between two tokens: nothing before a comma or semicolon. */
static bool wants_space(
	const struct policy_token *before, const struct policy_token *token)
{
	return before && token->kind != TOKEN_COMMA &&
	       token->kind != TOKEN_SEMICOLON;
}

static void put_line(struct layout *layout, uint32_t index, struct buf *out)
{
	const struct line *line = &layout->lines.at[index];
	unsigned int columns = column_count(line_columns(layout, line));
	const struct policy_token *before = NULL;
	uint32_t i;

	if (columns)
		column_widths(layout, index);
	for (i = 0; i < line->depth; i++)
		buf_put_u8(out, '\t');
	for (i = 0; i < line->count; i++) {
		const struct policy_token *token = token_at(layout, line, i);
		uint32_t len = token->len;

		if (wants_space(before, token))
			put_pad(out, i <= columns && i ? layout->widths[i - 1] -
								 before->len + 1
						       : 1);
		/* Blanks at the end of a comment are nobody's. */
		while (token->kind == TOKEN_COMMENT &&
			(token->text[len - 1] == ' ' ||
				token->text[len - 1] == '\t'))
			len--;
		buf_put(out, token->text, len);
		before = token;
	}
	buf_put_u8(out, '\n');
}

/* No blank line at the beginning and the end, never two together. */
static void put_all(struct layout *layout, struct buf *out)
{
	uint32_t i;
	bool blank = false;

	for (i = 0; i < layout->lines.count; i++) {
		if (!layout->lines.at[i].count) {
			blank = out->len > 0;
			continue;
		}
		if (blank)
			buf_put_u8(out, '\n');
		blank = false;
		put_line(layout, i, out);
	}
}

static bool same_tokens(
	const char *old, uint32_t old_len, const char *new, uint32_t new_len)
{
	struct policy_lexer a, b;
	struct policy_token x, y;

	policy_lex_init(&a, old, old_len);
	policy_lex_init(&b, new, new_len);
	do {
		do
			policy_lex(&a, &x);
		while (x.kind == TOKEN_NEWLINE);
		do
			policy_lex(&b, &y);
		while (y.kind == TOKEN_NEWLINE);
		if (x.kind != y.kind || x.len != y.len ||
			memcmp(x.text, y.text, x.len))
			return false;
	} while (x.kind != TOKEN_END);
	return true;
}

static int write_back(const char *path, const struct buf *out)
{
	char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;
	const char *name = slash ? path + (slash - folder) + 1 : path;
	struct stat st;
	int dir, status = CLI_ERROR;

	if (slash)
		slash[slash == folder] = '\0';
	dir = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		cli_fail("%s: cannot be replaced", path);
	else if (file_replace(
			 dir, name, st.st_mode & 0777, out->data, out->len))
		cli_fail("%s: not written", path);
	else
		status = CLI_YES;
	if (dir >= 0)
		close(dir);
	free(folder);
	return status;
}

static void print_text(struct cli *cli, const char *path,
	const struct buf *text, const struct buf *out)
{
	bool changed = text->len != out->len ||
		       (out->len && memcmp(text->data, out->data, out->len));
	struct buf json;

	if (!cli->json) {
		cli_print(out);
		return;
	}
	buf_init(&json, 8 * POLICY_MAX_BYTES);
	buf_put_u8(&json, '{');
	text_json_member(&json, "file", path);
	buf_printf(
		&json, ",\"changed\":%s,\"text\":", changed ? "true" : "false");
	json_put_string(
		&json, out->len ? (const char *)out->data : "", out->len);
	buf_printf(&json, "}\n");
	cli_print(&json);
	buf_done(&json);
}

static int format(struct cli *cli, const char *path, const struct buf *text)
{
	struct layout layout = {0};
	int status = CLI_ERROR;
	struct buf out;

	buf_init(&out, OUT_MAX);
	if (lay_out(&layout, path, text->len ? (const char *)text->data : "",
		    (uint32_t)text->len)) {
		put_all(&layout, &out);
		if (buf_error(&out) ||
			!same_tokens(text->len ? (const char *)text->data : "",
				(uint32_t)text->len,
				out.len ? (const char *)out.data : "",
				(uint32_t)out.len)) {
			cli_fail("%s: not formatted: its tokens would change",
				path);
		} else if (cli->write) {
			status = write_back(path, &out);
		} else {
			print_text(cli, path, text, &out);
			status = CLI_YES;
		}
	}
	free(layout.tokens.at);
	free(layout.lines.at);
	buf_done(&out);
	return status;
}

int cmd_fmt(struct cli *cli)
{
	const char *path;
	struct buf text;
	int fd, status = CLI_ERROR;

	if (cli->argc == 1)
		cli->policy_path = cli->argv[0];
	path = cli_policy_path(cli);
	if (!path)
		return CLI_ERROR;
	buf_init(&text, POLICY_MAX_BYTES);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || file_read_fd(fd, &text))
		cli_fail("%s: cannot be read", path);
	else
		status = format(cli, path, &text);
	if (fd >= 0)
		close(fd);
	buf_done(&text);
	return status;
}
