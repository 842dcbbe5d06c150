/*
 * asciicast versions 2 and 3 (docs.asciinema.org/manual/asciicast): a header
 * line, then [seconds, code, text] a line; seconds since the start, in version
 * 3 since the line before. Comment lines ("#") are version 3's.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "import.h"

#define LINE_MAX_BYTES (8 * 1024 * 1024)
#define YEAR_SECONDS   31536000.0

struct cast {
	import_item item;
	void *data;
	struct import_info *info;
	unsigned int version;
	uint64_t line;
	uint64_t now_us;
};

static enum sgb_err bad(struct cast *cast, const char *fmt, ...)
	SGB_PRINTF(2, 3);

static enum sgb_err bad(struct cast *cast, const char *fmt, ...)
{
	char text[120];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	(void)snprintf(cast->info->why, sizeof(cast->info->why),
		"line %" PRIu64 ": %s", cast->line, text);
	return SGB_ERR_FORMAT;
}

static bool get_size(json_t *root, const char *name, unsigned int *ret)
{
	json_t *value = json_object_get(root, name);

	if (!json_is_integer(value) || json_integer_value(value) < 1 ||
		json_integer_value(value) > 1000)
		return false;
	*ret = (unsigned int)json_integer_value(value);
	return true;
}

static enum sgb_err take_header(struct cast *cast, json_t *root)
{
	struct import_info *info = cast->info;
	json_t *version = json_object_get(root, "version"), *term = root;
	json_t *stamp = json_object_get(root, "timestamp");

	if (!json_is_integer(version))
		return bad(cast, "no header: expected {\"version\": 2 or 3}");
	cast->version = json_integer_value(version) == 2   ? 2
			: json_integer_value(version) == 3 ? 3
							   : 0;
	if (!cast->version)
		return bad(cast,
			"version %" JSON_INTEGER_FORMAT
			": only 2 and 3 are known",
			json_integer_value(version));
	info->format = cast->version == 2 ? "asciicast-v2" : "asciicast-v3";
	if (cast->version == 3)
		term = json_object_get(root, "term");
	if (!get_size(
		    term, cast->version == 2 ? "width" : "cols", &info->cols) ||
		!get_size(term, cast->version == 2 ? "height" : "rows",
			&info->rows))
		return bad(cast, "no size of the terminal from 1 to 1000");
	if (stamp && (!json_is_integer(stamp) || json_integer_value(stamp) < 0))
		return bad(cast, "timestamp: expected seconds since 1970");
	info->claimed_s = (uint64_t)json_integer_value(stamp);
	import_size(
		cast->item, cast->data, RECORD_PTY, 0, info->cols, info->rows);
	return SGB_OK;
}

/* "80x24" */
static bool parse_size(const char *text, unsigned int *cols, unsigned int *rows)
{
	int end = 0;

	return strspn(text, "0123456789x") == strlen(text) &&
	       strlen(text) < 10 &&
	       sscanf(text, "%ux%u%n", cols, rows, &end) == 2 && !text[end] &&
	       *cols && *rows && *cols <= 1000 && *rows <= 1000;
}

static enum sgb_err take_coded(
	struct cast *cast, char code, const char *text, size_t len)
{
	unsigned int cols, rows;
	uint8_t status[4] = {0};

	switch (code) {
	case 'o':
		import_pieces(cast->item, cast->data, RECORD_OUT, cast->now_us,
			text, len);
		break;
	case 'i':
		import_pieces(cast->item, cast->data, RECORD_IN, cast->now_us,
			text, len);
		break;
	case 'm':
		import_pieces(cast->item, cast->data, RECORD_NOTE, cast->now_us,
			text, len);
		break;
	case 'r':
		if (!parse_size(text, &cols, &rows))
			return bad(cast, "resize: expected \"80x24\"");
		import_size(cast->item, cast->data, RECORD_RESIZE, cast->now_us,
			cols, rows);
		break;
	case 'x':
		if (!len || len > 3 || strspn(text, "0123456789") != len)
			return bad(cast, "exit: expected a status");
		(void)sscanf(text, "%u", &cols);
		status[2] = (uint8_t)(cols >> 8);
		status[3] = (uint8_t)cols;
		cast->item(cast->data, RECORD_EXIT, cast->now_us, status, 4);
		break;
	default: cast->info->left_out++; return SGB_OK;
	}
	cast->info->events++;
	return SGB_OK;
}

static enum sgb_err take_event(struct cast *cast, json_t *root)
{
	json_t *when = json_array_get(root, 0), *code = json_array_get(root, 1);
	json_t *text = json_array_get(root, 2);
	double seconds;
	uint64_t us;

	if (json_array_size(root) != 3 || !json_is_number(when) ||
		!json_is_string(code) || !json_is_string(text) ||
		json_string_length(code) != 1)
		return bad(cast, "expected [seconds, \"code\", \"text\"]");
	seconds = json_number_value(when);
	if (!(seconds >= 0 && seconds < YEAR_SECONDS))
		return bad(cast, "a time that is not between 0 and a year");
	us = (uint64_t)(seconds * 1e6 + 0.5);
	if (cast->version == 3)
		us += cast->now_us;
	if (us < cast->now_us)
		return bad(cast, "goes back in time");
	if (us > (uint64_t)YEAR_SECONDS * 1000000)
		return bad(cast, "longer than a year");
	cast->now_us = cast->info->last_us = us;
	return take_coded(cast, *json_string_value(code),
		json_string_value(text), json_string_length(text));
}

static enum sgb_err take_line(struct cast *cast, const char *text, size_t len)
{
	json_error_t error;
	json_t *root;
	enum sgb_err err;

	cast->line++;
	if (len > LINE_MAX_BYTES)
		return bad(cast, "longer than 8 MiB");
	if (cast->version == 3 && len && *text == '#')
		return SGB_OK;
	root = json_loadb(
		text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!root)
		return bad(cast, "not JSON: %.60s", error.text);
	if (!cast->version)
		err = take_header(cast, root);
	else
		err = take_event(cast, root);
	json_decref(root);
	return err;
}

enum sgb_err import_asciicast(const char *text, size_t len, import_item item,
	void *item_data, struct import_info *info)
{
	struct cast cast = {.item = item, .data = item_data, .info = info};
	const char *end = text + len;
	enum sgb_err err = SGB_OK;

	info->format = "asciicast";
	while (!err && text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));

		if (!stop)
			stop = end;
		err = take_line(&cast, text, (size_t)(stop - text));
		text = stop + 1;
	}
	return err;
}
