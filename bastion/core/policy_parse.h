/*
 * What the files of the policy parser share. Each statement is a row of a
 * table; a handler stands on the first token after its word and leaves the
 * parser on the first one it does not understand.
 */
#ifndef SGB_POLICY_PARSE_H
#define SGB_POLICY_PARSE_H

#include "core/policy_int.h"

struct parse_word {
	const char *word;
	void (*parse)(struct policy_parser *parser, void *subject);
	bool repeats;
};

/* `via direct`: no jump host here, whatever the group says. */
#define POLICY_DIRECT "direct"

/* Which elements a list may hold. */
enum parse_elems {
	ELEMS_NAME = 1 << 0,
	ELEMS_ANY = 1 << 1,
	ELEMS_UNIX = 1 << 2,
	ELEMS_NET = 1 << 3,
	ELEMS_ZONE = 1 << 4,
	ELEMS_SELF = 1 << 5,
	ELEMS_ALL_NETS = 1 << 6, /* 0.0.0.0/0 is as good as `any` */
};

#define ERROR(parser, place, code, ...) \
	policy_report(parser, DIAG_ERROR, code, place, NULL, __VA_ARGS__)
#define ERROR_HINT(parser, place, code, hint, ...) \
	policy_report(parser, DIAG_ERROR, code, place, hint, __VA_ARGS__)

void parse_next(struct policy_parser *parser);
struct policy_place parse_place(const struct policy_parser *parser);
bool parse_is(const struct policy_parser *parser, const char *word);
/* Takes the word if it is the next token. */
bool parse_accept(struct policy_parser *parser, const char *word);
bool parse_accept_kind(
	struct policy_parser *parser, enum policy_token_kind kind);
/* Reports "expected WHAT, found ..."; returns false. */
bool parse_expected(struct policy_parser *parser, const char *what);
/* The next token as a C string, cut at size. */
void parse_text(const struct policy_parser *parser, char *out, size_t size);
/* What the next token is called in a message: "\"word\"", "end of line". */
const char *parse_token_text(const struct policy_parser *parser, char out[80]);
/* A string token without quotes and escapes. */
const char *parse_string(struct policy_parser *parser);
bool parse_ends_statement(const struct policy_parser *parser);
/* To the end of this statement, over nested blocks. */
void parse_skip(struct policy_parser *parser);
/* After a comma a list may go on in the next line. */
bool parse_comma(struct policy_parser *parser);
/* { item; item } with the items of a table that ends with a NULL word. */
void parse_block(struct policy_parser *parser, const char *what,
	const struct parse_word *words, void *subject);
/* The row of this table, or NULL after an error that names the nearest. */
const struct parse_word *parse_word(struct policy_parser *parser,
	const struct parse_word *words, const char *what);
/* True if the word begins a statement at the top level. */
bool parse_top_word(const struct policy_parser *parser);

/* A name being declared: reports reserved words and look-alikes. */
bool parse_new_name(
	struct policy_parser *parser, const char *what, uint32_t *ret_sym);
bool parse_elems(struct policy_parser *parser, unsigned int kinds,
	const char *what, struct policy_range *ret);
bool parse_net(
	struct policy_parser *parser, bool all_nets, struct addr_net *ret);
bool parse_looks_like_net(const struct policy_parser *parser);
bool parse_ports(struct policy_parser *parser, struct policy_range *ret);
bool parse_seconds(struct policy_parser *parser, uint64_t *ret);
bool parse_date(struct policy_parser *parser, time_t *ret);
bool parse_count(struct policy_parser *parser, const char *what,
	unsigned int min, unsigned int max, unsigned int *ret);
bool parse_clock(const char *text, size_t len, uint16_t *ret);
/* The number of a word in a NULL-terminated list, or an error. */
bool parse_choice(struct policy_parser *parser, const char *what,
	const char *const *words, unsigned int *ret);
/* Names sym as index of a kind, or reports that it is taken. */
bool parse_declare(struct policy_parser *parser, uint32_t sym,
	enum policy_name_kind kind, uint32_t index, struct policy_place place,
	const char *what, const struct policy_place *first);

void parse_security_group(struct policy_parser *parser, void *unused);
void parse_permit(struct policy_parser *parser, void *unused);
void parse_deny(struct policy_parser *parser, void *unused);
void parse_audit(struct policy_parser *parser, void *unused);
void parse_network(struct policy_parser *parser, void *unused);
void parse_group(struct policy_parser *parser, void *unused);
void parse_user(struct policy_parser *parser, void *unused);
void parse_hours(struct policy_parser *parser, void *unused);
void parse_keys(struct policy_parser *parser, void *unused);
void parse_bastion(struct policy_parser *parser, void *unused);

#endif
