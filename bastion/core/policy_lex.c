/*
 * The tokens of a policy file: words, "strings", punctuation and ends of
 * lines. Knows no keyword. Everything that is not plainly one of these is
 * reported, never skipped: byte order marks, carriage returns, NUL, Unicode
 * spaces and digits.
 */
#include "core/policy_lex.h"

#include <string.h>

#define WORD_MAX 256

void policy_lex_init(struct policy_lexer *lexer, const char *text, uint32_t len)
{
	memset(lexer, 0, sizeof(*lexer));
	lexer->text = text;
	lexer->len = len;
	lexer->line = 1;
}

static const bool word_bytes[256] = {
	['a' ... 'z'] = true,
	['A' ... 'Z'] = true,
	['0' ... '9'] = true,
	['_'] = true,
	['.'] = true,
	['-'] = true,
	[':'] = true,
	['/'] = true,
	['@'] = true,
	['+'] = true,
	['%'] = true,
	['='] = true,
};

static bool is_word(char c)
{
	return word_bytes[(unsigned char)c];
}

static char at(const struct policy_lexer *lexer, uint32_t pos)
{
	return pos < lexer->len ? lexer->text[pos] : '\0';
}

static bool is_byte_order_mark(const struct policy_lexer *lexer)
{
	return lexer->pos == 0 && lexer->len > 2 &&
	       !memcmp(lexer->text, "\xef\xbb\xbf", 3);
}

static const char *bad_byte(const struct policy_lexer *lexer)
{
	unsigned char c = (unsigned char)lexer->text[lexer->pos];

	if (c == '\r')
		return "carriage return: lines end with a line feed alone";
	if (c == '\0')
		return "NUL byte";
	if (is_byte_order_mark(lexer))
		return "byte order mark: save the file without it";
	if (c >= 0x80)
		return "only ASCII may stand outside a comment";
	if (c < 0x20 || c == 0x7f)
		return "control character";
	if (c == '>')
		return "expected \">=\"";
	return "unexpected character";
}

static void take(struct policy_lexer *lexer, enum policy_token_kind kind,
	uint32_t len, struct policy_token *ret)
{
	ret->kind = kind;
	ret->text = lexer->text + lexer->pos;
	ret->offset = lexer->pos;
	ret->len = len;
	ret->error = NULL;
	lexer->pos += len;
}

static void take_bad(struct policy_lexer *lexer, uint32_t len,
	const char *error, struct policy_token *ret)
{
	take(lexer, TOKEN_BAD, len, ret);
	ret->error = error;
}

static void lex_string(struct policy_lexer *lexer, struct policy_token *ret)
{
	const char *error = "this string has no closing quote";
	bool escape = true;
	uint32_t end;

	for (end = lexer->pos + 1; end < lexer->len; end++) {
		char c = lexer->text[end];

		if (c == '\n' || c == '\0' || c == '\r')
			break;
		if (c == '"') {
			error = NULL;
			end++;
			break;
		}
		if (c != '\\')
			continue;
		c = at(lexer, ++end);
		escape = escape && (c == '"' || c == '\\');
		if (c == '\n')
			break;
	}
	end = end < lexer->len ? end : lexer->len;
	if (!escape)
		error = "only \\\" and \\\\ may follow a backslash";
	if (error)
		take_bad(lexer, end - lexer->pos, error, ret);
	else
		take(lexer, TOKEN_STRING, end - lexer->pos, ret);
}

static void lex_word(struct policy_lexer *lexer, struct policy_token *ret)
{
	uint32_t end = lexer->pos;

	while (end < lexer->len && is_word(lexer->text[end]))
		end++;
	if (end - lexer->pos > WORD_MAX)
		take_bad(lexer, end - lexer->pos,
			"this word is longer than 256 bytes", ret);
	else
		take(lexer, TOKEN_WORD, end - lexer->pos, ret);
	if (at(lexer, end) == '#' && ret->kind == TOKEN_WORD) {
		ret->kind = TOKEN_BAD;
		ret->error = "put a space before the comment";
	}
}

static void lex_newline(struct policy_lexer *lexer, struct policy_token *ret)
{
	uint32_t line_len = lexer->pos - lexer->line_start;

	take(lexer, TOKEN_NEWLINE, 1, ret);
	lexer->line++;
	lexer->line_start = lexer->pos;
	if (line_len > POLICY_MAX_LINE) {
		ret->kind = TOKEN_BAD;
		ret->error = "this line is longer than 65536 bytes";
	}
}

static uint32_t comment_len(const struct policy_lexer *lexer)
{
	const char *from = lexer->text + lexer->pos;
	const char *end = memchr(from, '\n', lexer->len - lexer->pos);

	return end ? (uint32_t)(end - from) : lexer->len - lexer->pos;
}

static void lex_mark(struct policy_lexer *lexer, struct policy_token *ret)
{
	static const char marks[] = ",;{}";
	static const enum policy_token_kind kinds[] = {
		TOKEN_COMMA, TOKEN_SEMICOLON, TOKEN_OPEN, TOKEN_CLOSE};
	char c = at(lexer, lexer->pos);
	const char *mark = c ? strchr(marks, c) : NULL;

	if (mark)
		take(lexer, kinds[mark - marks], 1, ret);
	else if (c == '>' && at(lexer, lexer->pos + 1) == '=')
		take(lexer, TOKEN_AT_LEAST, 2, ret);
	else
		take_bad(lexer, is_byte_order_mark(lexer) ? 3 : 1,
			bad_byte(lexer), ret);
}

/* A comment may hold any text, but nothing that hides the rest of a line
 * from one reader and not from another. Returns true if it is skipped. */
static bool lex_comment(struct policy_lexer *lexer, struct policy_token *ret)
{
	const char *from = lexer->text + lexer->pos;
	uint32_t len = comment_len(lexer);

	if (memchr(from, '\r', len) || memchr(from, '\0', len)) {
		take_bad(lexer, len, "carriage return or NUL byte in a comment",
			ret);
		return false;
	}
	if (lexer->comments) {
		take(lexer, TOKEN_COMMENT, len, ret);
		return false;
	}
	lexer->pos += len;
	return true;
}

void policy_lex(struct policy_lexer *lexer, struct policy_token *ret)
{
	char c;

	while (at(lexer, lexer->pos) == ' ' || at(lexer, lexer->pos) == '\t')
		lexer->pos++;
	if (at(lexer, lexer->pos) == '#' && !lex_comment(lexer, ret))
		return;
	c = at(lexer, lexer->pos);
	if (lexer->pos >= lexer->len)
		take(lexer, TOKEN_END, 0, ret);
	else if (c == '\n')
		lex_newline(lexer, ret);
	else if (c == '"')
		lex_string(lexer, ret);
	else if (is_word(c))
		lex_word(lexer, ret);
	else
		lex_mark(lexer, ret);
}
