/*
 * Files of known hosts, line by line. Trusts nothing about their form; must
 * not say that a line is about a host unless OpenSSH would.
 */
#include "knownhosts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "core/buf.h"

#define HASH_LEN    20 /* HMAC-SHA1 */
#define SSH_PORT    22
#define PATTERN_MAX 1024 /* as in OpenSSH's match_pattern_list() */
#define HOST_MAX    320	 /* [name]:port */

struct span {
	const char *at;
	size_t len;
};

/* What is looked for, in lower case. */
struct wanted {
	bool all;
	char name[HOST_MAX];
	char with_port[HOST_MAX]; /* "" for port 22 */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct span *text)
{
	while (text->len && is_blank(*text->at)) {
		text->at++;
		text->len--;
	}
}

static struct span next_word(struct span *text)
{
	struct span word = {text->at, 0};

	while (word.len < text->len && !is_blank(text->at[word.len]))
		word.len++;
	text->at += word.len;
	text->len -= word.len;
	skip_blanks(text);
	return word;
}

static bool span_is(struct span span, const char *text)
{
	return span.len == strlen(text) && !memcmp(span.at, text, span.len);
}

/* One star at a time is enough to go back to: no pattern takes long. */
bool knownhosts_match(const char *pattern, size_t len, const char *name)
{
	const char *end = pattern + len, *star = NULL, *retry = NULL;

	while (*name) {
		if (pattern < end && *pattern == '*') {
			star = ++pattern;
			retry = name;
		} else if (pattern < end &&
			   (*pattern == '?' ||
				   tolower((unsigned char)*pattern) ==
					   tolower((unsigned char)*name))) {
			pattern++;
			name++;
		} else if (star) {
			pattern = star;
			name = ++retry;
		} else {
			return false;
		}
	}
	while (pattern < end && *pattern == '*')
		pattern++;
	return pattern == end;
}

/* ---- names ---- */

/* A comma-separated list; what stands behind a ! is no match, whatever else
 * matches. */
static bool list_matches(struct span list, const char *name)
{
	bool found = false;

	while (list.len) {
		const char *comma = memchr(list.at, ',', list.len);
		size_t len = comma ? (size_t)(comma - list.at) : list.len;
		bool negated = len && *list.at == '!';

		if (knownhosts_match(list.at + negated, len - negated, name)) {
			if (negated)
				return false;
			found = true;
		}
		list.at += len + (comma != NULL);
		list.len -= len + (comma != NULL);
	}
	return found;
}

/* "|1|salt|hash": one name, as HMAC-SHA1 of it under the salt. */
static bool read_hash(
	struct span names, uint8_t salt[HASH_LEN], uint8_t hash[HASH_LEN])
{
	uint8_t *out[2] = {salt, hash};
	struct span rest = names;
	int i;

	if (rest.len < 3 || memcmp(rest.at, "|1|", 3))
		return false;
	rest.at += 3;
	rest.len -= 3;
	for (i = 0; i < 2; i++) {
		const char *bar = i ? NULL : memchr(rest.at, '|', rest.len);
		size_t len = bar ? (size_t)(bar - rest.at) : rest.len;
		uint8_t *bytes = NULL;
		size_t got = 0;

		if ((!i && !bar) ||
			sshkey_base64_decode(rest.at, len, &bytes, &got))
			return false;
		if (got == HASH_LEN)
			memcpy(out[i], bytes, HASH_LEN);
		free(bytes);
		if (got != HASH_LEN)
			return false;
		rest.at += len + !i;
		rest.len -= len + (size_t)!i;
	}
	return true;
}

static bool hash_is(const uint8_t salt[HASH_LEN], const uint8_t hash[HASH_LEN],
	const char *name)
{
	uint8_t made[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	return HMAC(EVP_sha1(), salt, HASH_LEN, (const uint8_t *)name,
		       strlen(name), made, &len) &&
	       len == HASH_LEN && !CRYPTO_memcmp(made, hash, HASH_LEN);
}

/* NULL, or what is wrong with the names of a line. */
static const char *check_names(struct span names)
{
	uint8_t salt[HASH_LEN], hash[HASH_LEN];

	if (*names.at == '|')
		return read_hash(names, salt, hash)
			       ? NULL
			       : "expected |1|SALT|HASH, as ssh-keygen -H "
				 "writes it, and no other name beside it";
	for (;;) {
		const char *comma = memchr(names.at, ',', names.len);
		size_t len = comma ? (size_t)(comma - names.at) : names.len;
		size_t negated = len && *names.at == '!';
		const char *at = names.at + negated;
		const char *close = memchr(at, ']', len - negated);

		if (len == negated || len > PATTERN_MAX)
			return "expected names with single commas between";
		if (*at == '|')
			return "a hashed name stands alone on its line";
		if (*at == '[' && (!close || close == at + 1 ||
					  close + 2 >= at + len - negated ||
					  close[1] != ':'))
			return "expected [NAME]:PORT";
		if (!comma)
			return NULL;
		names.at += len + 1;
		names.len -= len + 1;
	}
}

static bool names_match(struct span names, const char *name)
{
	uint8_t salt[HASH_LEN], hash[HASH_LEN];

	if (!*name)
		return false;
	if (*names.at == '|')
		return read_hash(names, salt, hash) &&
		       hash_is(salt, hash, name);
	return list_matches(names, name);
}

static void lower(const char *text, char *out, size_t out_len)
{
	size_t i;

	for (i = 0; text[i] && i + 1 < out_len; i++)
		out[i] = (char)tolower((unsigned char)text[i]);
	out[i] = '\0';
}

static void want(const char *name, uint16_t port, struct wanted *ret)
{
	*ret = (struct wanted){.all = !name};
	if (!name)
		return;
	lower(name, ret->name, sizeof(ret->name));
	if (port != SSH_PORT)
		snprintf(ret->with_port, sizeof(ret->with_port), "[%.*s]:%u",
			HOST_MAX - 16, ret->name, port);
}

/* ---- a line ---- */

static const char *const key_types[] = {
	"ssh-ed25519",
	"ssh-rsa",
	"ecdsa-sha2-nistp256",
	"ecdsa-sha2-nistp384",
	"ecdsa-sha2-nistp521",
	"sk-ssh-ed25519@openssh.com",
	"sk-ecdsa-sha2-nistp256@openssh.com",
};

static bool type_known(struct span type)
{
	size_t i;

	for (i = 0; i < sizeof(key_types) / sizeof(key_types[0]); i++)
		if (span_is(type, key_types[i]))
			return true;
	return false;
}

/* SSH 1: bits, exponent, modulus. */
static bool is_number(struct span word)
{
	size_t i;

	for (i = 0; i < word.len; i++)
		if (word.at[i] < '0' || word.at[i] > '9')
			return false;
	return word.len > 0;
}

static bool blob_is(const uint8_t *blob, size_t len, struct span type)
{
	const uint8_t *name;
	struct reader rd;
	size_t name_len;

	reader_init(&rd, blob, len);
	name = reader_string(&rd, &name_len);
	return !rd.err && name_len == type.len &&
	       !memcmp(name, type.at, name_len);
}

static const char *read_marker(
	struct span *text, enum knownhosts_marker *ret_marker)
{
	struct span word;

	*ret_marker = KNOWNHOSTS_KEY;
	if (*text->at != '@')
		return NULL;
	word = next_word(text);
	if (span_is(word, "@cert-authority"))
		*ret_marker = KNOWNHOSTS_CA;
	else if (span_is(word, "@revoked"))
		*ret_marker = KNOWNHOSTS_REVOKED;
	else
		return "expected @cert-authority, @revoked or names";
	if (text->len && *text->at == '@')
		return "expected one marker on a line";
	return NULL;
}

/* Decodes the key of a line into *ret_blob, which the caller frees; NULL and
 * no mistake for a type that is passed over. */
static const char *read_key(
	struct span *text, struct knownhosts_line *line, uint8_t **ret_blob)
{
	struct span type = next_word(text);
	struct span base64 = next_word(text);

	*ret_blob = NULL;
	if (!type.len || *type.at == '#' || !base64.len)
		return "expected names, a key type and a key";
	if (is_number(type))
		return NULL;
	if (sshkey_base64_decode(
		    base64.at, base64.len, ret_blob, &line->blob_len))
		return "the key is not whole base64";
	if (!blob_is(*ret_blob, line->blob_len, type))
		return "the key is of another type than the line says";
	if (memmem(type.at, type.len, "-cert-", 6))
		return "expected a plain key, not a certificate";
	if (!type_known(type)) {
		free(*ret_blob);
		*ret_blob = NULL;
		return NULL;
	}
	if (sshkey_parse(*ret_blob, line->blob_len, &line->key))
		return "the key is malformed";
	line->blob = *ret_blob;
	return NULL;
}

struct scan {
	struct wanted wanted;
	void (*each)(const struct knownhosts_line *line, void *arg);
	void *arg;
};

static const char *one_line(
	const struct scan *scan, struct span text, unsigned int number)
{
	struct knownhosts_line line = {.number = number};
	uint8_t *blob = NULL;
	const char *wrong;
	struct span names;
	bool plain;

	skip_blanks(&text);
	if (!text.len || *text.at == '#')
		return NULL;
	if (memchr(text.at, '\0', text.len) || memchr(text.at, '\r', text.len))
		return "expected plain lines of text (no CR, no NUL)";
	wrong = read_marker(&text, &line.marker);
	if (wrong)
		return wrong;
	names = next_word(&text);
	if (!names.len)
		return "expected names, a key type and a key";
	wrong = check_names(names);
	if (wrong)
		return wrong;
	line.with_port = names_match(names, scan->wanted.with_port);
	plain = names_match(names, scan->wanted.name);
	/* Keys of others are not decoded: there may be thousands. */
	if (!scan->wanted.all && !line.with_port && !plain)
		return NULL;
	wrong = read_key(&text, &line, &blob);
	if (!wrong && blob)
		scan->each(&line, scan->arg);
	free(blob);
	return wrong;
}

enum sgb_err knownhosts_each(const char *text, size_t len, const char *name,
	uint16_t port,
	void (*each)(const struct knownhosts_line *line, void *arg), void *arg,
	struct knownhosts_mistake *ret_mistake)
{
	struct scan scan = {.each = each, .arg = arg};
	unsigned int number;

	want(name, port, &scan.wanted);
	for (number = 1; len; number++) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;
		const char *wrong = one_line(
			&scan, (struct span){text, line}, number);

		if (wrong) {
			ret_mistake->line = number;
			ret_mistake->text = wrong;
			return SGB_ERR_FORMAT;
		}
		text += line + (end != NULL);
		len -= line + (end != NULL);
	}
	return SGB_OK;
}
