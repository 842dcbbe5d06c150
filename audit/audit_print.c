/*
 * Printing. Names, commands and titles in a recording were chosen by those it
 * is about; no byte of them reaches the auditor's terminal unescaped.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "core/event.h"

#include "audit.h"

/* As it is, but for what would act on the terminal: that is \u00XX. */
void print_text(FILE *out, const char *text, size_t len)
{
	struct buf escaped;
	const char *at, *end;

	buf_init(&escaped, 8 * len + 16);
	json_put_string(&escaped, text, len);
	if (!buf_error(&escaped) && escaped.len >= 2) {
		at = (const char *)escaped.data + 1;
		end = (const char *)escaped.data + escaped.len - 1;
		for (; at < end; at++) {
			if (*at == '\\' && at[1] != 'u')
				at++;
			(void)fputc(*at, out);
		}
	}
	buf_done(&escaped);
}

void print_cstring(FILE *out, const char *text)
{
	print_text(out, text, strlen(text));
}

void print_json(FILE *out, const char *text)
{
	struct buf escaped;

	buf_init(&escaped, 8 * strlen(text) + 16);
	json_put_string(&escaped, text, strlen(text));
	if (!buf_error(&escaped))
		(void)fwrite(escaped.data, 1, escaped.len, out);
	buf_done(&escaped);
}

void print_dump(FILE *out, const char *json)
{
	for (; *json; json++)
		if (*json == 0x7f)
			(void)fputs("\\u007f", out);
		else
			(void)fputc(*json, out);
}

const char *print_time(uint64_t wall_ns, char text[PRINT_TIME_MAX])
{
	time_t seconds = (time_t)(wall_ns / 1000000000);
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) ||
		!strftime(text, PRINT_TIME_MAX, "%Y-%m-%d %H:%M:%S", &tm))
		(void)snprintf(text, PRINT_TIME_MAX, "?");
	return text;
}

const char *print_span(uint64_t us, char text[PRINT_SPAN_MAX])
{
	uint64_t seconds = us / 1000000;

	if (seconds >= 3600)
		(void)snprintf(text, PRINT_SPAN_MAX, "%" PRIu64 ":%02u:%02u",
			seconds / 3600, (unsigned int)(seconds / 60 % 60),
			(unsigned int)(seconds % 60));
	else
		(void)snprintf(text, PRINT_SPAN_MAX, "%02u:%02u",
			(unsigned int)(seconds / 60),
			(unsigned int)(seconds % 60));
	return text;
}

const char *print_size(uint64_t bytes, char text[PRINT_SIZE_MAX])
{
	static const char units[] = "BKMGTPE";
	double number = (double)bytes;
	size_t unit = 0;

	while (number >= 1024 && units[unit + 1]) {
		number /= 1024;
		unit++;
	}
	(void)snprintf(text, PRINT_SIZE_MAX, unit ? "%.1f%c" : "%.0f%c", number,
		units[unit]);
	return text;
}

char *json_member(const char *json, const char *name)
{
	json_t *root = json_loads(json, JSON_ALLOW_NUL, NULL);
	const json_t *value = json_object_get(root, name);
	char number[32] = "", *text;

	if (json_is_string(value)) {
		text = strdup(json_string_value(value));
	} else {
		if (json_is_integer(value))
			(void)snprintf(number, sizeof(number),
				"%" JSON_INTEGER_FORMAT,
				json_integer_value(value));
		text = strdup(number);
	}
	json_decref(root);
	return text;
}
