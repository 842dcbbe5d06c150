/*
 * sgbridge.conf: one table (settings.def), one parser. Every mistake of a file
 * is reported in one run; a file with a mistake is not used at all.
 */
#include "core/conf.h"

#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/places.h"

#define WORDS_MAX 64

enum type { STRING, PATH, LIST, LINES, COUNT, SIZE, SECONDS, YESNO, AUDIT };

struct row {
	const char *name;
	enum type type;
	size_t offset;
	const char *fallback;
};

static const struct row rows[] = {
#define X(field, name, type, fallback, meaning) \
	{name, type, offsetof(struct conf, field), fallback},
#include "core/settings.def"
#undef X
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* The words of one line, with their columns (from 1). */
struct line {
	const char *path;
	unsigned int number;
	char *source;
	char *words[WORDS_MAX];
	unsigned int columns[WORDS_MAX];
	size_t count;
};

static void complain(struct diag *diag, const struct line *line, size_t word,
	const char *hint, const char *fmt, ...) SGB_PRINTF(5, 6);

static void complain(struct diag *diag, const struct line *line, size_t word,
	const char *hint, const char *fmt, ...)
{
	struct diag_item item = {
		.level = DIAG_ERROR,
		.file = (char *)line->path,
		.line = line->number,
		.source = line->source,
		.hint = (char *)hint,
		.width = 1,
	};
	char text[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	item.text = text;
	if (word < line->count) {
		item.column = line->columns[word];
		item.width = (unsigned int)strlen(line->words[word]);
	}
	diag_add(diag, &item);
}

enum sgb_err conf_seconds(const char *text, uint64_t *ret)
{
	uint64_t value = 0, unit = 1;

	if (!isdigit((unsigned char)*text))
		return SGB_ERR_FORMAT;
	for (; isdigit((unsigned char)*text); text++) {
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > INT32_MAX)
			return SGB_ERR_LIMIT;
	}
	if (*text && text[1])
		return SGB_ERR_FORMAT;
	switch (*text) {
	case '\0':
	case 's': break;
	case 'm': unit = 60; break;
	case 'h': unit = 3600; break;
	case 'd': unit = 86400; break;
	default: return SGB_ERR_FORMAT;
	}
	*ret = value * unit;
	return SGB_OK;
}

static enum sgb_err parse_count(const char *text, bool units, uint64_t *ret)
{
	uint64_t value = 0;
	unsigned int shift = 0;

	if (!isdigit((unsigned char)*text))
		return SGB_ERR_FORMAT;
	for (; isdigit((unsigned char)*text); text++) {
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > UINT32_MAX)
			return SGB_ERR_LIMIT;
	}
	if (units && *text && !text[1]) {
		shift = *text == 'K'   ? 10
			: *text == 'M' ? 20
			: *text == 'G' ? 30
				       : 0;
		if (!shift)
			return SGB_ERR_FORMAT;
		text++;
	}
	if (*text)
		return SGB_ERR_FORMAT;
	*ret = value << shift;
	return SGB_OK;
}

static enum sgb_err list_add(struct conf_list *list, const char *text)
{
	char **items;

	items = reallocarray(list->items, list->count + 2, sizeof(char *));
	if (!items)
		return SGB_ERR_NOMEM;
	list->items = items;
	items[list->count] = strdup(text);
	if (!items[list->count])
		return SGB_ERR_NOMEM;
	items[++list->count] = NULL;
	return SGB_OK;
}

static void list_done(struct conf_list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	memset(list, 0, sizeof(*list));
}

/* One more line, without words yet, for them to be added to. */
static enum sgb_err lines_add(struct conf_lines *lines, unsigned int number)
{
	struct conf_line *items;

	items = reallocarray(lines->items, lines->count + 1, sizeof(*items));
	if (!items)
		return SGB_ERR_NOMEM;
	lines->items = items;
	items[lines->count++] = (struct conf_line){.number = number};
	return SGB_OK;
}

static void lines_done(struct conf_lines *lines)
{
	size_t i;

	for (i = 0; i < lines->count; i++)
		list_done(&lines->items[i].words);
	free(lines->items);
	memset(lines, 0, sizeof(*lines));
}

static enum sgb_err lines_put(struct conf_lines *lines, const char *text)
{
	/* A default has no line: such a setting is empty by default. */
	return lines->count
		       ? list_add(&lines->items[lines->count - 1].words, text)
		       : SGB_OK;
}

static enum sgb_err set_string(char **field, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return SGB_ERR_NOMEM;
	free(*field);
	*field = copy;
	return SGB_OK;
}

static enum sgb_err set_yesno(bool *field, const char *text)
{
	if (strcmp(text, "yes") && strcmp(text, "no"))
		return SGB_ERR_FORMAT;
	*field = !strcmp(text, "yes");
	return SGB_OK;
}

static enum sgb_err set_audit(enum conf_audit *field, const char *text)
{
	static const char *const names[] = {
		[CONF_AUDIT_REQUIRED] = "required",
		[CONF_AUDIT_TRY] = "try",
		[CONF_AUDIT_OFF] = "off",
	};
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(text, names[i])) {
			*field = (enum conf_audit)i;
			return SGB_OK;
		}
	return SGB_ERR_FORMAT;
}

static enum sgb_err set_field(
	struct conf *conf, const struct row *row, const char *text)
{
	void *field = (char *)conf + row->offset;

	switch (row->type) {
	case PATH:
		if (*text != '/' || strlen(text) >= PATH_MAX)
			return SGB_ERR_FORMAT;
		return set_string(field, text);
	case STRING: return set_string(field, text);
	case LIST: return *text ? list_add(field, text) : SGB_OK;
	case LINES: return lines_put(field, text);
	case COUNT: return parse_count(text, false, field);
	case SIZE: return parse_count(text, true, field);
	case SECONDS: return conf_seconds(text, field);
	case YESNO: return set_yesno(field, text);
	case AUDIT: return set_audit(field, text);
	}
	return SGB_ERR_FORMAT;
}

static const char *expectation(enum type type)
{
	switch (type) {
	case STRING: return "one text";
	case PATH: return "an absolute path";
	case LIST:
	case LINES: return "one or more values";
	case COUNT: return "a number";
	case SIZE: return "a size such as 4096, 64K, 256M or 1G";
	case SECONDS: return "a time such as 90s, 15m, 8h or 30d";
	case YESNO: return "yes or no";
	case AUDIT: return "off, try or required";
	}
	return "a value";
}

/* Cuts line in place into words; "quoted words" may hold spaces and #. */
static bool split(struct line *line, char *text)
{
	char *at = text;

	line->count = 0;
	for (;;) {
		bool quoted;
		char *end;

		at += strspn(at, " \t\r");
		if (!*at || *at == '#')
			return true;
		if (line->count == WORDS_MAX)
			return false;
		quoted = *at == '"';
		line->columns[line->count] = (unsigned int)(at - text) + 1;
		at += quoted;
		end = quoted ? strchr(at, '"') : at + strcspn(at, " \t\r#\"");
		if (!end || (quoted && end[1] && !strchr(" \t\r", end[1])) ||
			(!quoted && (*end == '"' || *end == '#')))
			return false;
		line->words[line->count++] = at;
		at = *end ? end + 1 : end;
		*end = '\0';
	}
}

static const struct row *find_row(const char *name)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	return NULL;
}

static void unknown_setting(struct diag *diag, const struct line *line)
{
	const char *names[ROWS + 1];
	const char *near;
	char hint[128];
	size_t i;

	for (i = 0; i < ROWS; i++)
		names[i] = rows[i].name;
	names[ROWS] = NULL;
	near = diag_nearest(line->words[0], names);
	if (near)
		snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
	complain(diag, line, 0, near ? hint : NULL, "unknown setting \"%.64s\"",
		line->words[0]);
}

static enum sgb_err take_line(struct conf *conf, const struct line *line,
	bool seen[ROWS], struct diag *diag)
{
	const struct row *row = find_row(line->words[0]);
	bool many = row && (row->type == LIST || row->type == LINES);
	enum sgb_err err = SGB_OK;
	size_t i;

	if (!row) {
		unknown_setting(diag, line);
		return SGB_OK;
	}
	if (line->count < 2 || (!many && line->count > 2)) {
		complain(diag, line, line->count > 2 ? 2 : 0, NULL,
			"\"%s\" takes %s", row->name, expectation(row->type));
		return SGB_OK;
	}
	if (row->type == LIST && !seen[row - rows])
		list_done((struct conf_list *)(void *)((char *)conf +
						       row->offset));
	else if (!many && seen[row - rows])
		complain(diag, line, 0, NULL, "\"%s\" is set twice", row->name);
	seen[row - rows] = true;
	if (row->type == LINES)
		err = lines_add((struct conf_lines *)(void *)((char *)conf +
							      row->offset),
			line->number);
	for (i = 1; !err && i < line->count; i++) {
		err = set_field(conf, row, line->words[i]);
		if (err == SGB_ERR_NOMEM)
			return err;
		if (err)
			complain(diag, line, i, NULL, "\"%s\" takes %s",
				row->name, expectation(row->type));
		err = SGB_OK;
	}
	return err;
}

static enum sgb_err parse_line(struct conf *conf, struct line *line,
	const char *at, size_t len, bool seen[ROWS], struct diag *diag)
{
	char *text = strndup(at, len);
	enum sgb_err err = SGB_OK;

	line->source = strndup(at, len);
	if (!text || !line->source) {
		err = SGB_ERR_NOMEM;
	} else if (strlen(text) != len) {
		complain(diag, line, WORDS_MAX, NULL,
			"this line holds a NUL byte; expected text");
	} else if (!split(line, text)) {
		line->count = 0;
		complain(diag, line, WORDS_MAX, NULL,
			"expected a setting and its value; quotes go around a "
			"whole value, at most %d values a line",
			WORDS_MAX - 1);
	} else if (line->count) {
		err = take_line(conf, line, seen, diag);
	}
	line->count = 0;
	free(line->source);
	free(text);
	return err;
}

/* The words of a default, as those of a line. */
static enum sgb_err set_words(struct conf *conf, const struct row *row)
{
	char words[PATH_MAX], *at = words, *word;
	enum sgb_err err = SGB_OK;

	if ((size_t)snprintf(words, sizeof(words), "%s", row->fallback) >=
		sizeof(words))
		return SGB_ERR_LIMIT;
	while (!err && (word = strsep(&at, " ")))
		err = set_field(conf, row, word);
	return err;
}

static enum sgb_err set_defaults(struct conf *conf)
{
	enum sgb_err err = SGB_OK;
	size_t i;

	for (i = 0; i < ROWS && !err; i++)
		err = rows[i].type == LIST
			      ? set_words(conf, &rows[i])
			      : set_field(conf, &rows[i], rows[i].fallback);
	return err;
}

enum sgb_err conf_parse(const char *path, const char *text, size_t len,
	struct conf **ret, struct diag *diag)
{
	struct line line = {.path = path};
	struct conf *conf = calloc(1, sizeof(*conf));
	bool seen[ROWS] = {false};
	size_t errors = diag->errors;
	enum sgb_err err;

	err = conf ? set_defaults(conf) : SGB_ERR_NOMEM;
	while (!err && len) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;

		line.number++;
		err = parse_line(conf, &line, text, n, seen, diag);
		n += end != NULL;
		text += n;
		len -= n;
	}
	if (!err && diag->errors > errors)
		err = SGB_ERR_FORMAT;
	if (err)
		conf_free(conf);
	else
		*ret = conf;
	return err;
}

enum sgb_err conf_load(const char *path, struct conf **ret, struct diag *diag)
{
	char why[PATH_MAX + 200];
	size_t prefix = strlen(path);
	enum sgb_err err;
	struct buf text;

	buf_init(&text, CONF_MAX_BYTES);
	err = file_read(path, FILE_TRUST_ROOT, &text, why, sizeof(why));
	if (err) {
		/* The sentence names the file, and so does a diagnostic. */
		if (strncmp(why, path, prefix) ||
			strncmp(why + prefix, ": ", 2))
			prefix = 0;
		else
			prefix += 2;
		diag_error(diag, path, 0, "%s", why + prefix);
	} else {
		err = conf_parse(
			path, (const char *)text.data, text.len, ret, diag);
	}
	buf_done(&text);
	return err;
}

enum sgb_err conf_load_sealed(int fd, struct conf **ret, struct diag *diag)
{
	struct buf text;
	enum sgb_err err;

	buf_init(&text, CONF_MAX_BYTES);
	err = file_read_sealed(fd, &text);
	if (!err)
		err = conf_parse("sgbridge.conf", (const char *)text.data,
			text.len, ret, diag);
	buf_done(&text);
	return err;
}

void conf_free(struct conf *conf)
{
	size_t i;

	if (!conf)
		return;
	for (i = 0; i < ROWS; i++) {
		void *field = (char *)conf + rows[i].offset;

		if (rows[i].type == LIST)
			list_done(field);
		else if (rows[i].type == LINES)
			lines_done(field);
		else if (rows[i].type == STRING || rows[i].type == PATH)
			free(*(char **)field);
	}
	free(conf);
}

static enum sgb_err parse_ids(
	const char *text, unsigned int *ret_uid, unsigned int *ret_gid)
{
	char copy[32];
	char *colon;
	uint64_t uid, gid;

	if (strlen(text) >= sizeof(copy))
		return SGB_ERR_FORMAT;
	strcpy(copy, text);
	colon = strchr(copy, ':');
	if (colon)
		*colon++ = '\0';
	if (parse_count(copy, false, &uid) ||
		parse_count(colon ? colon : copy, false, &gid))
		return SGB_ERR_FORMAT;
	if (!uid || !gid)
		return SGB_ERR_DENIED;
	*ret_uid = (unsigned int)uid;
	*ret_gid = (unsigned int)gid;
	return SGB_OK;
}

enum sgb_err conf_user(
	const char *text, unsigned int *ret_uid, unsigned int *ret_gid)
{
	const struct passwd *pw;

	if (isdigit((unsigned char)*text))
		return parse_ids(text, ret_uid, ret_gid);
	pw = getpwnam(text);
	if (!pw)
		return SGB_ERR_NOTFOUND;
	if (!pw->pw_uid || !pw->pw_gid)
		return SGB_ERR_DENIED;
	*ret_uid = pw->pw_uid;
	*ret_gid = pw->pw_gid;
	return SGB_OK;
}
