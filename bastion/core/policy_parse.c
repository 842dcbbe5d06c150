/*
 * The frame of the policy parser: tokens, statements, blocks, includes and
 * what is said about mistakes. A mistake costs its own statement or item; the
 * rest is read on, so that one run tells everything.
 */
#include "core/policy_parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A file with this many mistakes is not a policy. */
#define ERRORS_ENOUGH 500

static void parse_include(struct policy_parser *parser, void *unused);

static const struct parse_word statements[] = {
	{"network", parse_network, true},
	{"group", parse_group, true},
	{"user", parse_user, true},
	{"hours", parse_hours, true},
	{"bastion", parse_bastion, true},
	{"security-group", parse_security_group, true},
	{"keys", parse_keys, true},
	{"permit", parse_permit, true},
	{"deny", parse_deny, true},
	{"audit", parse_audit, true},
	{"include", parse_include, true},
	{NULL, NULL, false},
};

void policy_locate(const struct policy_source *source,
	struct policy_place place, unsigned int *ret_line,
	unsigned int *ret_column)
{
	const struct policy_file *file = &source->files[place.file];
	const char *at = file->text;
	const char *end = at + place.offset;
	const char *eol;
	unsigned int line = 1;

	while ((eol = memchr(at, '\n', (size_t)(end - at)))) {
		at = eol + 1;
		line++;
	}
	*ret_line = line;
	*ret_column = (unsigned int)(end - at) + 1;
}

/* The line that a place is in, cut to what anybody wants to see. */
static void copy_line(const struct policy_source *source,
	struct policy_place place, char *out, size_t size)
{
	const struct policy_file *file = &source->files[place.file];
	uint32_t start = place.offset;
	size_t len = 0;

	while (start > 0 && file->text[start - 1] != '\n')
		start--;
	while (start + len < file->len && file->text[start + len] != '\n' &&
		len + 1 < size) {
		out[len] = file->text[start + len];
		if (!out[len])
			out[len] = '?';
		len++;
	}
	out[len] = '\0';
}

void policy_report(struct policy_parser *parser, enum diag_level level,
	const char *code, struct policy_place place, const char *hint,
	const char *fmt, ...)
{
	char text[400], line[512];
	struct diag_item item = {.level = level, .width = place.len};
	va_list args;

	/* Counted even where it is not told: callers look at the count. */
	if (level == DIAG_ERROR)
		parser->errors++;
	if (level == DIAG_ERROR && parser->quiet)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	policy_locate(parser->source, place, &item.line, &item.column);
	copy_line(parser->source, place, line, sizeof(line));
	item.code = (char *)code;
	item.file = parser->source->files[place.file].path;
	item.text = text;
	item.source = line;
	item.hint = (char *)hint;
	diag_add(parser->diag, &item);
}

const char *policy_here_name(struct policy_parser *parser)
{
	char text[512];
	int len = snprintf(text, sizeof(text), "%s:%u",
		parser->source->files[parser->file].label, parser->lexer.line);

	if (len < 0 || (size_t)len >= sizeof(text))
		len = (int)sizeof(text) - 1;
	return policy_text(parser->policy, text, (size_t)len);
}

struct policy_place parse_place(const struct policy_parser *parser)
{
	uint32_t len = parser->token.len;

	return (struct policy_place){.offset = parser->token.offset,
		.file = (uint16_t)parser->file,
		.len = (uint16_t)(len > UINT16_MAX ? UINT16_MAX : len)};
}

/* What follows a bad token would only be said to be wrong because of it. */
void parse_next(struct policy_parser *parser)
{
	do {
		policy_lex(&parser->lexer, &parser->token);
		if (parser->token.kind == TOKEN_BAD) {
			ERROR(parser, parse_place(parser), "syntax", "%s",
				parser->token.error);
			parser->quiet = true;
		}
	} while (parser->token.kind == TOKEN_BAD);
}

bool parse_is(const struct policy_parser *parser, const char *word)
{
	return parser->token.kind == TOKEN_WORD &&
	       !strncmp(parser->token.text, word, parser->token.len) &&
	       !word[parser->token.len];
}

bool parse_accept(struct policy_parser *parser, const char *word)
{
	if (!parse_is(parser, word))
		return false;
	parse_next(parser);
	return true;
}

bool parse_accept_kind(
	struct policy_parser *parser, enum policy_token_kind kind)
{
	if (parser->token.kind != kind)
		return false;
	parse_next(parser);
	return true;
}

void parse_text(const struct policy_parser *parser, char *out, size_t size)
{
	size_t len = parser->token.len;

	if (len >= size)
		len = size - 1;
	memcpy(out, parser->token.text, len);
	out[len] = '\0';
}

const char *parse_token_text(const struct policy_parser *parser, char out[80])
{
	char word[70];

	switch (parser->token.kind) {
	case TOKEN_END: return "end of file";
	case TOKEN_NEWLINE: return "end of line";
	case TOKEN_STRING: return "a string";
	default: break;
	}
	parse_text(parser, word, sizeof(word));
	snprintf(out, 80, "\"%s\"", word);
	return out;
}

bool parse_expected(struct policy_parser *parser, const char *what)
{
	char found[80];

	ERROR(parser, parse_place(parser), "syntax", "expected %s, found %s",
		what, parse_token_text(parser, found));
	return false;
}

const char *parse_string(struct policy_parser *parser)
{
	char text[POLICY_MAX_LINE];
	size_t len = 0;
	uint32_t i;

	for (i = 1; i + 1 < parser->token.len && len < sizeof(text); i++) {
		if (parser->token.text[i] == '\\')
			i++;
		text[len++] = parser->token.text[i];
	}
	return policy_text(parser->policy, text, len);
}

bool parse_ends_statement(const struct policy_parser *parser)
{
	return parser->token.kind == TOKEN_NEWLINE ||
	       parser->token.kind == TOKEN_SEMICOLON ||
	       parser->token.kind == TOKEN_CLOSE ||
	       parser->token.kind == TOKEN_END;
}

void parse_skip(struct policy_parser *parser)
{
	unsigned int depth = 0;

	/* The rest is not looked at, so it is not complained about. */
	while (parser->token.kind != TOKEN_END) {
		if (parser->token.kind == TOKEN_OPEN)
			depth++;
		else if (depth == 0 && parse_ends_statement(parser))
			return;
		else if (parser->token.kind == TOKEN_CLOSE)
			depth--;
		else if (parser->token.kind == TOKEN_NEWLINE) {
			parse_next(parser);
			parser->resumed = parse_top_word(parser);
			if (parser->resumed)
				return;
			continue;
		}
		parse_next(parser);
	}
}

bool parse_comma(struct policy_parser *parser)
{
	if (!parse_accept_kind(parser, TOKEN_COMMA)) {
		parser->list_end = parser->token.text;
		return false;
	}
	while (parser->token.kind == TOKEN_NEWLINE)
		parse_next(parser);
	return true;
}

bool parse_top_word(const struct policy_parser *parser)
{
	const struct parse_word *row;

	for (row = statements; row->word; row++)
		if (parse_is(parser, row->word))
			return true;
	return false;
}

static void list_words(const struct parse_word *words, char *out, size_t size)
{
	size_t len = 0;
	int more;

	*out = '\0';
	for (; words->word && len + 1 < size; words++) {
		const char *link = len == 0	   ? ""
				   : words[1].word ? ", "
						   : " or ";

		more = snprintf(
			out + len, size - len, "%s%s", link, words->word);
		len += more > 0 ? (size_t)more : 0;
	}
}

/* What people write who know other languages. */
static const char *synonym(const char *word)
{
	static const char *const pairs[][2] = {
		{"allow", "write \"permit\" here; \"allow\" is a condition"},
		{"accept", "write \"permit\" here"},
		{"grant", "write \"permit\" here"},
		{"block", "write \"deny\" here"},
		{"reject", "write \"deny\" here"},
		{"forbid", "write \"deny\" here"},
		{"drop", "write \"deny\" here"},
		{"instance", "it belongs into a security-group"},
		{"subnet", "it belongs into a security-group"},
		{"zone", "it belongs into a security-group"},
		{"root-login", "it belongs into keys"},
		{"mfa", "conditions stand in { } after a rule"},
	};
	size_t i;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (!strcmp(pairs[i][0], word))
			return pairs[i][1];
	return NULL;
}

static const struct parse_word *unknown_word(struct policy_parser *parser,
	const struct parse_word *words, const char *what)
{
	const char *names[32] = {NULL};
	char word[80], list[250], hint[120];
	const char *nearest;
	size_t i;

	for (i = 0; words[i].word && i < 31; i++)
		names[i] = words[i].word;
	parse_text(parser, word, sizeof(word));
	nearest = diag_nearest(word, names);
	if (nearest)
		snprintf(hint, sizeof(hint), "did you mean \"%s\"?", nearest);
	else if (words == statements && synonym(word))
		snprintf(hint, sizeof(hint), "%s", synonym(word));
	else
		*hint = '\0';
	list_words(words, list, sizeof(list));
	ERROR_HINT(parser, parse_place(parser), "unknown-word",
		*hint ? hint : NULL, "unknown %s \"%s\": expected %s", what,
		word, list);
	return NULL;
}

const struct parse_word *parse_word(struct policy_parser *parser,
	const struct parse_word *words, const char *what)
{
	char expected[80];
	const struct parse_word *row;

	if (parser->token.kind != TOKEN_WORD) {
		snprintf(expected, sizeof(expected), "a %s", what);
		parse_expected(parser, expected);
		return NULL;
	}
	for (row = words; row->word; row++)
		if (parse_is(parser, row->word))
			return row;
	return unknown_word(parser, words, what);
}

/* After a statement or item: what is left over is a mistake of its own only
 * if none was made before. */
static void parse_end(struct policy_parser *parser, size_t errors)
{
	if (parse_ends_statement(parser) || parser->resumed)
		return;
	if (parser->errors == errors)
		parse_expected(parser, parser->list_end == parser->token.text
					       ? "\",\" or end of line"
					       : "end of line");
	parse_skip(parser);
}

static void parse_item(struct policy_parser *parser, const char *what,
	const struct parse_word *words, void *subject, uint32_t *seen)
{
	const struct parse_word *row;
	size_t errors = parser->errors;

	parser->quiet = false;
	row = parse_word(parser, words, what);
	if (!row) {
		parse_skip(parser);
		return;
	}
	if (!row->repeats && (*seen >> (row - words) & 1))
		ERROR(parser, parse_place(parser), "duplicate",
			"\"%s\" is given twice", row->word);
	*seen |= 1u << (row - words);
	parse_next(parser);
	row->parse(parser, subject);
	parse_end(parser, errors);
}

void parse_block(struct policy_parser *parser, const char *what,
	const struct parse_word *words, void *subject)
{
	struct policy_place open = parse_place(parser);
	uint32_t seen = 0;

	parse_next(parser);
	for (;;) {
		if (parser->token.kind == TOKEN_NEWLINE ||
			parser->token.kind == TOKEN_SEMICOLON) {
			parse_next(parser);
		} else if (parser->token.kind == TOKEN_CLOSE) {
			parse_next(parser);
			return;
		} else if (parser->token.kind == TOKEN_END) {
			break;
		} else {
			const struct parse_word *row = words;

			while (row->word && !parse_is(parser, row->word))
				row++;
			if (!row->word && parse_top_word(parser))
				break;
			parse_item(parser, what, words, subject, &seen);
		}
	}
	parser->resumed = true;
	parser->quiet = false;
	ERROR(parser, open, "syntax", "this block is never closed");
}

/* The files stand in the source in the order they are included in. */
static void parse_include(struct policy_parser *parser, void *unused)
{
	uint32_t line = parser->lexer.line;
	uint32_t i;

	(void)unused;
	if (parser->token.kind != TOKEN_STRING) {
		parse_expected(parser, "a path in quotes");
		return;
	}
	if (parser->token.len == 2 ||
		memchr(parser->token.text, '\\', parser->token.len)) {
		ERROR(parser, parse_place(parser), "bad-value",
			"this is not a path");
		return;
	}
	parse_next(parser);
	if (!parse_ends_statement(parser) || parser->depth >= POLICY_MAX_DEPTH)
		return;
	for (i = parser->file + 1; i < parser->source->count; i++) {
		struct policy_parser inner = *parser;

		if (parser->source->files[i].parent != parser->file ||
			parser->source->files[i].line != line)
			continue;
		inner.file = i;
		inner.depth++;
		policy_parse(&inner);
		parser->errors = inner.errors;
	}
}

static void parse_statement(struct policy_parser *parser)
{
	const struct parse_word *row;
	size_t errors = parser->errors;

	parser->quiet = false;
	parser->resumed = false;
	if (parser->token.kind == TOKEN_CLOSE) {
		ERROR(parser, parse_place(parser), "syntax",
			"there is no block to close here");
		parse_next(parser);
		return;
	}
	if (parser->token.kind == TOKEN_OPEN) {
		ERROR(parser, parse_place(parser), "syntax",
			"a block begins on the line of its statement");
		parse_skip(parser);
		return;
	}
	row = parse_word(parser, statements, "statement");
	if (!row) {
		parse_skip(parser);
		return;
	}
	parse_next(parser);
	row->parse(parser, NULL);
	parse_end(parser, errors);
}

void policy_parse(struct policy_parser *parser)
{
	const struct policy_file *file = &parser->source->files[parser->file];

	policy_lex_init(&parser->lexer, file->text, file->len);
	parser->quiet = false;
	parse_next(parser);
	while (parser->token.kind != TOKEN_END && !parser->policy->failed &&
		parser->errors < ERRORS_ENOUGH) {
		if (parser->token.kind == TOKEN_NEWLINE ||
			parser->token.kind == TOKEN_SEMICOLON)
			parse_next(parser);
		else
			parse_statement(parser);
	}
}
