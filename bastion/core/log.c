/*
 * A program's own log. One call is one line: whatever a peer put into a text
 * is escaped before it reaches syslog or a terminal.
 */
#include "core/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE_MAX_LEN 2048

static const char *log_ident = "sgbridge";
static bool log_stderr = true;
static int log_level = LOG_INFO;

void log_init(const char *ident, bool to_stderr)
{
	log_ident = ident;
	log_stderr = to_stderr;
	if (!to_stderr)
		openlog(ident, LOG_PID | LOG_NDELAY, LOG_AUTHPRIV);
}

bool log_is_stderr(void)
{
	return log_stderr;
}

void log_set_level(int level)
{
	log_level = level;
}

void log_escape(const char *text, char *out, size_t out_len)
{
	size_t at = 0;

	if (!out_len)
		return;
	for (; *text; text++) {
		uint8_t c = (uint8_t)*text;

		if (c >= 0x20 && c != 0x7f && c < 0x80) {
			if (at + 1 >= out_len)
				break;
			out[at++] = (char)c;
			continue;
		}
		if (at + 4 >= out_len)
			break;
		out[at++] = '\\';
		out[at++] = (char)('0' + (c >> 6));
		out[at++] = (char)('0' + ((c >> 3) & 7));
		out[at++] = (char)('0' + (c & 7));
	}
	out[at] = '\0';
}

static void put_line(int level, const char *fmt, va_list args) SGB_PRINTF(2, 0);

static void put_line(int level, const char *fmt, va_list args)
{
	char raw[LINE_MAX_LEN], line[LINE_MAX_LEN];

	if (level > log_level)
		return;
	(void)vsnprintf(raw, sizeof(raw), fmt, args);
	log_escape(raw, line, sizeof(line));
	if (log_stderr)
		fprintf(stderr, "%s[%d]: %s\n", log_ident, (int)getpid(), line);
	else
		syslog(level, "%s", line);
}

void log_put(int level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	put_line(level, fmt, args);
	va_end(args);
}

void log_fatal(int status, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	put_line(LOG_ERR, fmt, args);
	va_end(args);
	exit(status);
}
