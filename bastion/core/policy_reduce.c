/*
 * The part of a policy that PAM needs for one person. Works on text that has
 * been found good before: it looks for statements by their lines, braces and
 * first words, drops what is plainly about something else, and keeps the rest.
 * Decides nothing; what it leaves is parsed and compiled like any policy.
 */
#include "core/policy_reduce.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/policy_int.h"

enum piece_kind {
	PIECE_KEEP = 0, /* includes, keys, what is not understood */
	PIECE_RULE,
	PIECE_AUDIT,
	PIECE_NAMED, /* network, group, hours, security-group, bastion */
};

/* One statement: its lines, and what it is. Small, since there are as many as
 * there are rules, and each page that is touched costs. */
struct piece {
	const char *text;
	uint32_t len, lines;
	uint32_t name, name_len; /* of what it defines: from text on */
	uint16_t file;		 /* below POLICY_MAX_FILES */
	uint8_t kind;		 /* enum piece_kind */
	bool keep;
};

/* Borrowed from the source. */
struct word {
	const char *text;
	uint32_t len;
};
#define WORD_OF(text) \
	{ \
		(text), sizeof(text) - 1 \
	}

struct words {
	struct word *at;
	uint32_t cap, count; /* cap: a power of two */
	bool failed;
};

struct reduction {
	const struct policy_source *source;
	struct word user;
	struct piece *pieces;
	uint32_t count, cap;
	struct words groups, used;
	bool hops; /* some instance kept may be behind a jump host */
	bool failed;
};

static const struct word any_word = WORD_OF("any");
static const struct word group_word = WORD_OF("group");
static const struct word self_word = WORD_OF("self");
static const struct word to_word = WORD_OF("to");
static const struct word zone_word = WORD_OF("zone");

/* As the lexer has them, and what ends or carries on a statement. */
enum { WORD = 1, MARK = 2 };
static const unsigned char classes[256] = {
	['a' ... 'z'] = WORD,
	['A' ... 'Z'] = WORD,
	['0' ... '9'] = WORD,
	['_'] = WORD,
	['.'] = WORD,
	['-'] = WORD,
	[':'] = WORD,
	['/'] = WORD,
	['@'] = WORD,
	['+'] = WORD,
	['%'] = WORD,
	['='] = WORD,
	['\n'] = MARK,
	['#'] = MARK,
	['"'] = MARK,
	['{'] = MARK,
	['}'] = MARK,
	[';'] = MARK,
	[','] = MARK,
};

static bool is_word(char c)
{
	return classes[(unsigned char)c] == WORD;
}

static bool is_mark(char c)
{
	return classes[(unsigned char)c] == MARK;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* ---- sets of words ---- */

static uint32_t hash(const char *text, uint32_t len)
{
	uint32_t value = 2166136261u, i;

	for (i = 0; i < len; i++)
		value = (value ^ (unsigned char)text[i]) * 16777619u;
	return value;
}

static struct word *words_slot(
	const struct words *words, const char *text, uint32_t len)
{
	uint32_t i = hash(text, len) & (words->cap - 1);

	while (words->at[i].text &&
		(words->at[i].len != len ||
			memcmp(words->at[i].text, text, len)))
		i = (i + 1) & (words->cap - 1);
	return &words->at[i];
}

static bool words_have(
	const struct words *words, const char *text, uint32_t len)
{
	return words->count && words_slot(words, text, len)->text;
}

static void words_grow(struct words *words)
{
	struct words bigger = {.cap = words->cap ? words->cap * 2 : 256};
	uint32_t i;

	bigger.at = calloc(bigger.cap, sizeof(*bigger.at));
	if (!bigger.at) {
		words->failed = true;
		return;
	}
	for (i = 0; i < words->cap; i++)
		if (words->at[i].text)
			*words_slot(&bigger, words->at[i].text,
				words->at[i].len) = words->at[i];
	bigger.count = words->count;
	free(words->at);
	*words = bigger;
}

static void words_add(struct words *words, const char *text, uint32_t len)
{
	struct word *slot;

	if (2 * (words->count + 1) > words->cap)
		words_grow(words);
	if (words->failed)
		return;
	slot = words_slot(words, text, len);
	if (slot->text)
		return;
	*slot = (struct word){text, len};
	words->count++;
}

static void words_add_all(struct words *words, const struct piece *piece)
{
	const char *at = piece->text, *end = at + piece->len;

	while (at < end && !words->failed) {
		const char *start = at;

		while (at < end && is_word(*at))
			at++;
		if (at > start)
			words_add(words, start, (uint32_t)(at - start));
		else
			at++;
	}
}

/* ---- statements ---- */

/* Is there nothing between the last comma before at and at? */
static bool carried_on(const char *comma, const char *at)
{
	if (!comma)
		return false;
	for (comma++; comma < at; comma++) {
		if (*comma == '#')
			comma = memchr(comma, '\n', (size_t)(at - comma));
		if (!comma)
			return true;
		if (!is_blank(*comma) && *comma != '\n')
			return false;
	}
	return true;
}

/* To the closing quote, or to what ends the line without one. */
static const char *skip_string(const char *at, const char *end)
{
	for (at++; at < end && *at != '"' && *at != '\n'; at++)
		at += *at == '\\' && at + 1 < end;
	return at < end && *at == '"' ? at : at - 1;
}

/* Where a statement ends: with its line, unless a comma or an open block
 * carries it on. False: it has marks that are not for us to judge, such as
 * the quotes of patterns. */
static bool statement_end(const char *at, const char *end, const char **ret_end,
	uint32_t *ret_lines)
{
	const char *comma = NULL;
	bool plain = true;
	int depth = 0;

	*ret_lines = 0;
	for (; at < end; at++) {
		if (!is_mark(*at))
			continue;
		if (*at == '\n') {
			++*ret_lines;
			if (depth <= 0 && !carried_on(comma, at)) {
				at++;
				break;
			}
		} else if (*at == '#') {
			const char *eol = memchr(at, '\n', (size_t)(end - at));

			at = (eol ? eol : end) - 1;
		} else if (*at == '"') {
			plain = false;
			at = skip_string(at, end);
		} else if (*at == '{' || *at == '}') {
			depth += *at == '{' ? 1 : -1;
		} else if (*at == ',') {
			comma = at;
		} else if (!depth) {
			plain = false; /* ; */
		}
	}
	*ret_end = at < end ? at : end;
	return plain && depth == 0;
}

static uint32_t word_at(const char **at, const char *end, const char **ret)
{
	const char *start;

	while (*at < end && is_blank(**at))
		++*at;
	start = *at;
	while (*at < end && is_word(**at))
		++*at;
	*ret = start;
	return (uint32_t)(*at - start);
}

static bool same_word(const char *text, uint32_t len, const struct word *word)
{
	return len == word->len && !memcmp(text, word->text, len);
}

static void classify(struct reduction *r, struct piece *piece)
{
	static const struct {
		struct word word;
		enum piece_kind kind;
	} kinds[] = {
		{WORD_OF("permit"), PIECE_RULE},
		{WORD_OF("deny"), PIECE_RULE},
		{WORD_OF("audit"), PIECE_AUDIT},
		{WORD_OF("network"), PIECE_NAMED},
		{WORD_OF("group"), PIECE_NAMED},
		{WORD_OF("hours"), PIECE_NAMED},
		{WORD_OF("security-group"), PIECE_NAMED},
		{WORD_OF("bastion"), PIECE_NAMED},
	};
	const char *at = piece->text, *end = at + piece->len, *word;
	uint32_t len = word_at(&at, end, &word);
	bool group;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (same_word(word, len, &kinds[i].word))
			piece->kind = (uint8_t)kinds[i].kind;
	if (piece->kind != PIECE_NAMED)
		return;
	group = same_word(word, len, &group_word);
	piece->name_len = word_at(&at, end, &word);
	piece->name = (uint32_t)(word - piece->text);
	/* A name in quotes, or none: not for us. */
	if (!piece->name_len)
		piece->kind = PIECE_KEEP;
	else if (group)
		words_add(&r->groups, word, piece->name_len);
}

static void add_piece(struct reduction *r, const struct piece *piece)
{
	if (r->count == r->cap) {
		uint32_t cap = r->cap ? r->cap * 2 : 1024;
		struct piece *more = reallocarray(
			r->pieces, cap, sizeof(*more));

		if (!more) {
			r->failed = true;
			return;
		}
		r->pieces = more;
		r->cap = cap;
	}
	r->pieces[r->count++] = *piece;
}

static void split_file(struct reduction *r, uint32_t number)
{
	const struct policy_file *file = &r->source->files[number];
	const char *at = file->text, *end = at + file->len;

	while (at < end && !r->failed) {
		struct piece piece = {.text = at, .file = (uint16_t)number};
		const char *next;

		if (statement_end(at, end, &next, &piece.lines)) {
			piece.len = (uint32_t)(next - at);
			classify(r, &piece);
		}
		piece.len = (uint32_t)(next - at);
		add_piece(r, &piece);
		at = next;
	}
}

/* ---- what stays ---- */

/* permit alice, @ops, SysAdmins from ...: is this person perhaps among them? */
static bool about_user(const struct reduction *r, const struct piece *piece)
{
	const char *at = piece->text, *end = at + piece->len, *word;
	uint32_t len;

	(void)word_at(&at, end, &word);
	for (;;) {
		while (at < end && (is_blank(*at) || *at == '\n' || *at == ','))
			at++;
		len = word_at(&at, end, &word);
		/* A comment or a mark in the list: not for us. */
		if (!len || *word == '@' || same_word(word, len, &any_word) ||
			words_have(&r->groups, word, len) ||
			same_word(word, len, &r->user))
			return true;
		while (at < end && is_blank(*at))
			at++;
		if (at >= end || *at != ',')
			return false;
	}
}

static void skip_between(const char **at, const char *end)
{
	while (*at < end && (is_blank(**at) || **at == '\n'))
		++*at;
}

/* Behind a "to": is this host among the targets? zone NAME is two words. */
static bool list_has_self(const char *at, const char *end)
{
	const char *word;
	uint32_t len;

	for (;;) {
		skip_between(&at, end);
		len = word_at(&at, end, &word);
		if (!len || same_word(word, len, &self_word) ||
			same_word(word, len, &any_word))
			return true;
		if (same_word(word, len, &zone_word))
			(void)word_at(&at, end, &word);
		while (at < end && is_blank(*at))
			at++;
		if (at >= end || *at != ',')
			return false;
		at++;
	}
}

/* A rule about this host says self; a denial may say any as well. Each "to"
 * is looked at, should somebody be called so. */
static bool about_self(const struct piece *piece)
{
	const char *at = piece->text, *end = at + piece->len, *word;

	while (at < end) {
		uint32_t len = word_at(&at, end, &word);

		if (same_word(word, len, &to_word) && list_has_self(at, end))
			return true;
		if (!len)
			at++;
	}
	return false;
}

static bool rule_stays(const struct reduction *r, const struct piece *piece)
{
	/* The cheaper question first. */
	return about_user(r, piece) && about_self(piece);
}

static void keep(struct reduction *r, struct piece *piece)
{
	piece->keep = true;
	/* A jump host is an instance of whichever group. */
	if (piece->kind == PIECE_NAMED &&
		memmem(piece->text, piece->len, "via", 3))
		r->hops = true;
	words_add_all(&r->used, piece);
}

static void choose(struct reduction *r)
{
	bool more = true;
	uint32_t i;

	for (i = 0; i < r->count; i++) {
		struct piece *piece = &r->pieces[i];

		if (piece->kind == PIECE_KEEP ||
			(piece->kind == PIECE_RULE && rule_stays(r, piece)))
			keep(r, piece);
	}
	while (more && !r->used.failed) {
		more = false;
		for (i = 0; i < r->count; i++) {
			struct piece *piece = &r->pieces[i];

			if (piece->kind != PIECE_NAMED || piece->keep ||
				(!r->hops && !words_have(&r->used,
						     piece->text + piece->name,
						     piece->name_len)))
				continue;
			keep(r, piece);
			more = true;
		}
	}
}

/* ---- the copy ---- */

static enum sgb_err put_file(
	const struct reduction *r, uint32_t number, struct buf *out)
{
	uint32_t i, line;

	for (i = 0; i < r->count; i++) {
		const struct piece *piece = &r->pieces[i];

		if (piece->file != number)
			continue;
		if (piece->keep) {
			buf_put(out, piece->text, piece->len);
			continue;
		}
		for (line = 0; line < piece->lines; line++)
			buf_put_u8(out, '\n');
	}
	return buf_error(out);
}

static enum sgb_err copy(const struct reduction *r, struct policy_source **ret)
{
	struct policy_source *source = calloc(1, sizeof(*source));
	enum sgb_err err = source ? SGB_OK : SGB_ERR_NOMEM;
	struct buf text;
	uint32_t i;

	buf_init(&text, POLICY_MAX_BYTES + 1);
	for (i = 0; !err && i < r->source->count; i++) {
		err = put_file(r, i, &text);
		if (!err)
			err = policy_source_add(
				source, &r->source->files[i], &text);
	}
	buf_done(&text);
	if (err)
		policy_source_free(source);
	else
		*ret = source;
	return err;
}

enum sgb_err policy_source_reduce(const struct policy_source *source,
	const char *user, struct policy_source **ret)
{
	struct reduction r = {
		.source = source, .user = {user, (uint32_t)strlen(user)}};
	enum sgb_err err = SGB_ERR_NOMEM;
	uint32_t i;

	for (i = 0; i < source->count; i++)
		split_file(&r, i);
	choose(&r);
	if (!r.failed && !r.groups.failed && !r.used.failed)
		err = copy(&r, ret);
	free(r.pieces);
	free(r.groups.at);
	free(r.used.at);
	return err;
}
