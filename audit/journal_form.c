/*
 * The byte form of journal lines. Parsing works on the bytes and needs no JSON
 * library, because hash and signature are over bytes; what a line means is for
 * others.
 */
#include "journal_form.h"

#include <string.h>

static const struct journal_shape shapes[] = {
	[JOURNAL_PLAIN] = {"{", "{\"seq\":", "}"},
	[JOURNAL_EVENTS] = {"{\"metadata\":{",
		"{\"metadata\":{\"sequence\":", "}}}"},
};

static const char sig_domain[] = "SGR1 line"; /* with its NUL */

const struct journal_shape *journal_shape(enum journal_form form)
{
	return &shapes[form];
}

/* Strings closed, brackets balanced, nothing after the end. */
static bool balanced(const char *json, size_t len)
{
	unsigned int depth = 0;
	bool in_string = false;
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)json[i];

		if (c < 0x20 || c == 0x7f)
			return false;
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
			continue;
		}
		if (c == '"')
			in_string = true;
		else if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && (!depth || !--depth))
			return i == len - 1 && c == '}';
	}
	return false;
}

static bool starts(const char *text, size_t len, const char *with)
{
	size_t want = strlen(with);

	return len >= want && !memcmp(text, with, want);
}

static bool ends(const char *text, size_t len, const char *with)
{
	size_t want = strlen(with);

	return len >= want && !memcmp(text + len - want, with, want);
}

bool journal_fits(
	const struct journal_shape *shape, const char *json, size_t len)
{
	size_t head = strlen(shape->head), tail = strlen(shape->tail);

	return len > head + tail && starts(json, len, shape->head) &&
	       json[head] == '"' && ends(json, len, shape->tail) &&
	       balanced(json, len);
}

static enum sgb_err signed_message(
	const void *line, size_t len, struct buf *out)
{
	buf_init(out, JOURNAL_LINE_MAX + sizeof(sig_domain));
	buf_put(out, sig_domain, sizeof(sig_domain));
	buf_put(out, line, len);
	return buf_error(out);
}

enum sgb_err journal_sign(const struct suite_key *key, const struct buf *line,
	uint8_t ret[SUITE_SIG_LEN])
{
	struct buf message;
	enum sgb_err err = signed_message(line->data, line->len, &message);

	if (!err)
		err = suite_sign(key, message.data, message.len, ret);
	buf_done(&message);
	return err;
}

enum sgb_err journal_check_sig(const char *line,
	const struct journal_line *parsed,
	const uint8_t writer_key[SUITE_KEY_LEN])
{
	struct buf message;
	enum sgb_err err;

	if (!parsed->has_sig)
		return SGB_ERR_NOTFOUND;
	err = signed_message(line, parsed->signed_len, &message);
	if (!err)
		err = suite_verify(
			writer_key, message.data, message.len, parsed->sig);
	buf_done(&message);
	return err;
}

static enum sgb_err parse_seq(
	const char *line, size_t len, const char *head, uint64_t *ret)
{
	size_t i = strlen(head);
	uint64_t seq = 0;

	if (!starts(line, len, head) || i >= len || line[i] == '0')
		return SGB_ERR_FORMAT;
	for (; i < len && line[i] >= '0' && line[i] <= '9'; i++) {
		if (seq > UINT64_MAX / 10 - 1)
			return SGB_ERR_FORMAT;
		seq = seq * 10 + (uint64_t)(line[i] - '0');
	}
	if (i >= len || line[i] != ',' || !seq)
		return SGB_ERR_FORMAT;
	*ret = seq;
	return SGB_OK;
}

/* Takes a member of fixed length off the end: ,"name":"value" */
static const char *take_back(
	const char *line, size_t *len, const char *name, size_t value_len)
{
	size_t name_len = strlen(name), whole = name_len + value_len + 1;
	const char *at;

	if (*len < whole)
		return NULL;
	at = line + *len - whole;
	if (memcmp(at, name, name_len) != 0 || at[whole - 1] != '"')
		return NULL;
	*len -= whole;
	return at + name_len;
}

enum sgb_err journal_parse(enum journal_form form, const char *line, size_t len,
	struct journal_line *ret)
{
	const struct journal_shape *shape = journal_shape(form);
	struct iovec part = {(void *)line, len};
	const char *text;
	enum sgb_err err;

	memset(ret, 0, sizeof(*ret));
	if (len > JOURNAL_LINE_MAX || !balanced(line, len) ||
		!ends(line, len, shape->tail))
		return SGB_ERR_FORMAT;
	err = parse_seq(line, len, shape->head_out, &ret->seq);
	if (!err)
		err = suite_sha256(&part, 1, ret->hash);
	if (err)
		return err;
	len -= strlen(shape->tail);
	text = take_back(line, &len, ",\"sig\":\"", JOURNAL_SIG_LEN);
	if (text) {
		ret->has_sig = true;
		err = suite_unbase64(
			text, JOURNAL_SIG_LEN, ret->sig, SUITE_SIG_LEN);
	}
	ret->signed_len = len;
	text = take_back(line, &len, ",\"prev\":\"", 2 * SUITE_HASH_LEN);
	if (err || !text)
		return SGB_ERR_FORMAT;
	err = suite_unhex(text, 2 * SUITE_HASH_LEN, ret->prev);
	ret->writer = take_back(
		line, &len, ",\"writer\":\"", JOURNAL_WRITER_LEN);
	return err ? err : ret->writer ? SGB_OK : SGB_ERR_FORMAT;
}

bool journal_is_file(const char *name)
{
	size_t len = strlen(name), i;

	if (len < 13 || len >= JOURNAL_NAME_MAX ||
		strcmp(name + len - 6, ".jsonl") != 0)
		return false;
	for (i = 0; i < len - 6; i++)
		if ((name[i] < '0' || name[i] > '9') && name[i] != '-')
			return false;
	return true;
}
