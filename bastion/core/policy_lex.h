/* The tokens of the policy language, for its parser and its formatter. */
#ifndef SGB_POLICY_LEX_H
#define SGB_POLICY_LEX_H

#include <stdbool.h>
#include <stdint.h>

#define POLICY_MAX_LINE (64u * 1024)

enum policy_token_kind {
	TOKEN_END = 0,
	TOKEN_NEWLINE,
	TOKEN_WORD,
	TOKEN_STRING, /* with its quotes */
	TOKEN_COMMA,
	TOKEN_SEMICOLON,
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_AT_LEAST, /* >= */
	TOKEN_COMMENT,	/* only if asked for; with its # */
	TOKEN_BAD,
};

struct policy_token {
	enum policy_token_kind kind;
	const char *text;
	uint32_t offset, len;
	const char *error; /* TOKEN_BAD: what is wrong with it */
};

struct policy_lexer {
	const char *text;
	uint32_t len, pos;
	uint32_t line, line_start;
	bool comments;
};

/* text is borrowed and need not end with NUL. */
void policy_lex_init(
	struct policy_lexer *lexer, const char *text, uint32_t len);
/* The next token; a line that is too long, or a byte that has no place here,
 * is a TOKEN_BAD that says why. At the end it is TOKEN_END for ever. */
void policy_lex(struct policy_lexer *lexer, struct policy_token *ret);

#endif
