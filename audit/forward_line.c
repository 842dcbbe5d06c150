/*
 * Walks one JSON object. What is in it came from strangers (names, commands)
 * through event_json, which escaped it; nothing here relies on that.
 */
#include "forward_line.h"

#include <string.h>

#define DEPTH_MAX 12
#define PATH_ROOM 128

static const char *const paths[FIELD_COUNT] = {
#define X(name, path) [FIELD_##name] = path,
	FORWARD_FIELDS
#undef X
};

struct walk {
	const char *at, *end;
	char path[PATH_ROOM]; /* of the member, "a.b.c" */
	size_t path_len;
	struct forward_value *fields;
};

static bool next_is(struct walk *walk, char c)
{
	if (walk->at >= walk->end || *walk->at != c)
		return false;
	walk->at++;
	return true;
}

/* The inside of a string. */
static bool take_string(struct walk *walk, struct forward_value *ret)
{
	if (!next_is(walk, '"'))
		return false;
	ret->at = walk->at;
	for (; walk->at < walk->end; walk->at++) {
		if ((unsigned char)*walk->at < 0x20)
			return false;
		if (*walk->at == '"') {
			ret->len = (size_t)(walk->at - ret->at);
			walk->at++;
			return true;
		}
		if (*walk->at == '\\' && ++walk->at == walk->end)
			return false;
	}
	return false;
}

/* Numbers, true, false, null. */
static bool take_bare(struct walk *walk, struct forward_value *ret)
{
	ret->at = walk->at;
	while (walk->at < walk->end &&
		((*walk->at >= '0' && *walk->at <= '9') ||
			(*walk->at >= 'a' && *walk->at <= 'z') ||
			*walk->at == 'E' || *walk->at == '+' ||
			*walk->at == '-' || *walk->at == '.'))
		walk->at++;
	ret->len = (size_t)(walk->at - ret->at);
	return ret->len > 0;
}

static void note(struct walk *walk, const struct forward_value *value)
{
	size_t i;

	for (i = 0; i < FIELD_COUNT; i++)
		/* Said twice, the first counts. */
		if (!walk->fields[i].at && strlen(paths[i]) == walk->path_len &&
			!memcmp(paths[i], walk->path, walk->path_len))
			walk->fields[i] = *value;
}

static bool take_value(struct walk *walk, unsigned int depth);

static bool take_member(struct walk *walk, unsigned int depth)
{
	size_t before = walk->path_len;
	struct forward_value name;
	bool good;

	if (!take_string(walk, &name) || !next_is(walk, ':'))
		return false;
	/* A name that is too long is none that is looked for. */
	if (before + 1 + name.len < PATH_ROOM) {
		if (before)
			walk->path[walk->path_len++] = '.';
		memcpy(walk->path + walk->path_len, name.at, name.len);
		walk->path_len += name.len;
	} else {
		walk->path_len = PATH_ROOM;
	}
	good = take_value(walk, depth);
	walk->path_len = before;
	return good;
}

static bool take_items(
	struct walk *walk, unsigned int depth, char close, bool members)
{
	size_t before = walk->path_len;
	bool good = true;

	if (next_is(walk, close))
		return true;
	/* What is in a list has no path. */
	if (!members)
		walk->path_len = PATH_ROOM;
	do
		good = members ? take_member(walk, depth)
			       : take_value(walk, depth);
	while (good && next_is(walk, ','));
	walk->path_len = before;
	return good && next_is(walk, close);
}

static bool take_value(struct walk *walk, unsigned int depth)
{
	struct forward_value value;
	bool good;

	if (depth > DEPTH_MAX)
		return false;
	if (next_is(walk, '{'))
		return take_items(walk, depth + 1, '}', true);
	if (next_is(walk, '['))
		return take_items(walk, depth + 1, ']', false);
	if (walk->at < walk->end && *walk->at == '"')
		good = take_string(walk, &value);
	else
		good = take_bare(walk, &value);
	if (good && walk->path_len < PATH_ROOM)
		note(walk, &value);
	return good;
}

bool forward_line_read(struct forward_line *line, const char *text, size_t len)
{
	struct walk walk = {
		.at = text, .end = text + len, .fields = line->fields};

	line->text = text;
	line->len = len;
	memset(line->fields, 0, sizeof(line->fields));
	if (len && *text == '{' && take_value(&walk, 0) && walk.at == walk.end)
		return true;
	memset(line->fields, 0, sizeof(line->fields));
	return false;
}

void forward_value_put(const struct forward_value *value, struct buf *out)
{
	size_t i;

	for (i = 0; value->at && i < value->len; i++) {
		char c = value->at[i];

		if (c == '\\' && i + 1 < value->len &&
			(value->at[i + 1] == '"' || value->at[i + 1] == '\\'))
			c = value->at[++i];
		buf_put_u8(out, (uint8_t)c);
	}
}

unsigned int forward_severity(const struct forward_line *line)
{
	/* OCSF: 1 informational, 2 low, 3 medium, 4 high, 5 critical, 6 fatal;
	 * RFC 5424, table 2. */
	static const unsigned int levels[] = {5, 6, 5, 4, 3, 2, 1};
	const struct forward_value *value = &line->fields[FIELD_SEVERITY];

	if (!value->at || value->len != 1 || *value->at < '0' ||
		*value->at > '6')
		return 5;
	return levels[*value->at - '0'];
}
