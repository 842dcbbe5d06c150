/*
 * A sorted list of heads. Two that differ at one place are both kept: one of
 * them can't be met.
 */
#include "heads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_LEN 4096

struct heads {
	struct head *rows;
	size_t count, cap;
};

static enum sgb_err put(struct heads *heads, const struct head *head)
{
	if (heads->count == heads->cap) {
		size_t cap = heads->cap ? heads->cap * 2 : 64;
		struct head *rows = reallocarray(
			heads->rows, cap, sizeof(*rows));

		if (!rows)
			return SGB_ERR_NOMEM;
		heads->rows = rows;
		heads->cap = cap;
	}
	heads->rows[heads->count++] = *head;
	return SGB_OK;
}

static enum sgb_err take(struct heads *heads, const char *what, const char *id,
	const char *number, const char *hex)
{
	struct head head = {0};
	uint8_t bytes[SGR_ID_LEN];
	char *end;

	head.kind = !strcmp(what, "trail")   ? HEAD_TRAIL
		    : !strcmp(what, "index") ? HEAD_INDEX
		    : !strcmp(what, "rec")   ? HEAD_REC
					     : HEAD_NONE;
	head.number = strtoull(number, &end, 10);
	if (!head.kind || end == number || *end || !head.number ||
		strlen(hex) != 2 * (size_t)SUITE_HASH_LEN ||
		suite_unhex(hex, strlen(hex), head.hash))
		return SGB_ERR_FORMAT;
	if (head.kind == HEAD_REC && sgr_id_parse(id, bytes))
		return SGB_ERR_FORMAT;
	if (head.kind == HEAD_REC)
		memcpy(head.id, id, SGR_ID_TEXT);
	return put(heads, &head);
}

/* "... sgbridge-recorder[7]: head rec ID 12 HASH" */
static enum sgb_err take_syslog(struct heads *heads, const char *line)
{
	char what[8], id[40], number[24], hex[72];
	const char *at = strstr(line, "sgbridge-recorder");

	at = at ? strstr(at, ": head ") : NULL;
	if (!at)
		return SGB_ERR_NOTFOUND;
	if (sscanf(at + 7, "%7s %39s %23s %71s", what, id, number, hex) != 4)
		return SGB_ERR_FORMAT;
	return take(heads, what, id, number, hex);
}

/* name=value or name="value", as the kernel audit log has it. */
static bool field(const char *line, const char *name, char *ret, size_t room)
{
	const char *at = strstr(line, name);
	size_t len;

	if (!at)
		return false;
	at += strlen(name);
	at += *at == '"';
	len = strcspn(at, "\" '");
	if (!len || len >= room)
		return false;
	memcpy(ret, at, len);
	ret[len] = '\0';
	return true;
}

static enum sgb_err take_audit(struct heads *heads, const char *line)
{
	char what[8], id[40], number[24], hex[72];
	const char *at = strstr(line, "op=sgbridge:head ");

	if (!at)
		return SGB_ERR_NOTFOUND;
	if (!field(at, " what=", what, sizeof(what)) ||
		!field(at, " id=", id, sizeof(id)) ||
		!field(at, " number=", number, sizeof(number)) ||
		!field(at, " hash=", hex, sizeof(hex)))
		return SGB_ERR_FORMAT;
	return take(heads, what, id, number, hex);
}

/* The member "what" of a head event. */
static enum sgb_err take_said(struct heads *heads, const char *line)
{
	static const char said[] = "\"what\":\"head ";
	char what[8], id[40], number[24], hex[72];
	const char *at = strstr(line, said);

	if (!at || sscanf(at + sizeof(said) - 1, "%7s %39s %23s %71[0-9a-f]",
			   what, id, number, hex) != 4)
		return SGB_ERR_FORMAT;
	return take(heads, what, id, number, hex);
}

/* What sgbridge-forward sent: "... sgbridge - SLUG [ID seq="7" writer="W"
 * head="HASH"...] {...}". Each line is a head of the trail; that of a head
 * event says one more. Strangers' texts come behind both. */
static enum sgb_err take_forwarded(struct heads *heads, const char *line)
{
	static const char sent[] = " sgbridge - ";
	char id[40], number[24], hex[72];
	const char *at = strstr(line, sent);
	enum sgb_err err;

	if (!at || !field(at, " seq=", number, sizeof(number)))
		return SGB_ERR_NOTFOUND;
	if (!field(at, " writer=", id, sizeof(id)) ||
		!field(at, " head=", hex, sizeof(hex)))
		return SGB_ERR_NOTFOUND;
	err = take(heads, "trail", id, number, hex);
	if (err || strncmp(at + sizeof(sent) - 1, "head [", 6) != 0)
		return err;
	return take_said(heads, at);
}

static int by_place(const void *a, const void *b)
{
	const struct head *left = a, *right = b;
	int order;

	if (left->kind != right->kind)
		return left->kind < right->kind ? -1 : 1;
	order = strcmp(left->id, right->id);
	if (order)
		return order;
	return left->number < right->number ? -1 : left->number > right->number;
}

static enum sgb_err take_line(struct heads *heads, const char *at, size_t len)
{
	char line[LINE_MAX_LEN];
	enum sgb_err err;

	/* What is forwarded has its head first; no other line of ours is
	 * longer. */
	if (len >= sizeof(line))
		len = sizeof(line) - 1;
	memcpy(line, at, len);
	line[len] = '\0';
	err = take_forwarded(heads, line);
	if (err != SGB_ERR_NOTFOUND || len == sizeof(line) - 1)
		return err == SGB_ERR_NOTFOUND ? SGB_OK : err;
	err = take_audit(heads, line);
	if (err == SGB_ERR_NOTFOUND)
		err = take_syslog(heads, line);
	return err == SGB_ERR_NOTFOUND ? SGB_OK : err;
}

enum sgb_err heads_read(const char *text, size_t len, struct heads **ret,
	unsigned int *ret_line)
{
	struct heads *heads = calloc(1, sizeof(*heads));
	const char *end = text + len;
	enum sgb_err err = SGB_OK;

	if (!heads)
		return SGB_ERR_NOMEM;
	for (*ret_line = 0; !err && text < end; ++*ret_line) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));

		if (!stop)
			stop = end;
		err = take_line(heads, text, (size_t)(stop - text));
		text = stop + 1;
	}
	if (!err && !heads->count)
		err = SGB_ERR_NOTFOUND;
	if (err) {
		heads_free(heads);
		return err;
	}
	qsort(heads->rows, heads->count, sizeof(*heads->rows), by_place);
	*ret = heads;
	return SGB_OK;
}

/* Quotes in a stranger's text are escaped: these are members. */
enum sgb_err heads_from_event(struct heads **heads, const char *line)
{
	if (!strstr(line, "\"event\":\"head\""))
		return SGB_OK;
	if (!*heads)
		*heads = calloc(1, sizeof(**heads));
	return *heads ? take_said(*heads, line) : SGB_ERR_NOMEM;
}

enum sgb_err heads_join(struct heads **heads, struct heads *more)
{
	enum sgb_err err = SGB_OK;
	size_t i;

	if (!*heads) {
		*heads = more;
		more = NULL;
	}
	for (i = 0; more && i < more->count && !err; i++)
		err = put(*heads, &more->rows[i]);
	heads_free(more);
	if (*heads)
		qsort((*heads)->rows, (*heads)->count, sizeof(struct head),
			by_place);
	return err;
}

void heads_free(struct heads *heads)
{
	if (!heads)
		return;
	free(heads->rows);
	free(heads);
}

bool heads_meet(struct heads *heads, enum head_kind kind, const char *id,
	uint64_t number, const uint8_t hash[SUITE_HASH_LEN])
{
	struct head key = {.kind = kind, .number = number};
	struct head *at, *end;
	bool good = true;

	if (!heads)
		return true;
	(void)snprintf(key.id, sizeof(key.id), "%s", id);
	at = bsearch(&key, heads->rows, heads->count, sizeof(key), by_place);
	if (!at)
		return true;
	end = heads->rows + heads->count;
	while (at > heads->rows && !by_place(at - 1, &key))
		at--;
	for (; at < end && !by_place(at, &key); at++) {
		at->met = !memcmp(at->hash, hash, SUITE_HASH_LEN);
		good = good && at->met;
	}
	return good;
}

/* The first that is not before this recording's. */
static const struct head *first_of(
	const struct heads *heads, enum head_kind kind, const char *id)
{
	struct head key = {.kind = kind};
	size_t low = 0, high = heads->count;

	(void)snprintf(key.id, sizeof(key.id), "%s", id);
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (by_place(&heads->rows[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return heads->rows + low;
}

const struct head *heads_unmet(const struct heads *heads, enum head_kind kind,
	const char *id, const struct head *after)
{
	const struct head *at, *end;

	if (!heads)
		return NULL;
	end = heads->rows + heads->count;
	at = after ? after + 1 : first_of(heads, kind, id ? id : "");
	for (; at < end && at->kind == kind && (!id || !strcmp(at->id, id));
		at++)
		if (!at->met)
			return at;
	return NULL;
}
