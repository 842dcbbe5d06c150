/*
 * The page: who and where, the commands, the lines of the screen with their
 * times, the verdict. No script, no link, nothing loaded; every text is
 * escaped, and the policy in its head forbids the rest.
 */
#include "export_html.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <jansson.h>

#include "commands.h"
#include "emulator.h"
#include "evidence.h"
#include "texts.h"

static const char head[] =
	"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
	"'none'; style-src 'unsafe-inline'\">\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n"
	"<style>body{font:16px/1.4 sans-serif;margin:2em auto;max-width:70em;"
	"padding:0 1em}pre,td,li{font-family:monospace}pre{background:#111;"
	"color:#eee;padding:1em;overflow:auto}th{text-align:left;padding-right:"
	"2em}time{color:#888;user-select:none}@media(prefers-color-scheme:dark)"
	"{body{background:#222;color:#ddd}}</style>\n";

struct html {
	struct texts *texts;
	struct commands *commands;
	struct emulator_handler handlers[2];
	struct emulator *screen, *shell;
	FILE *out;
};

static void put(FILE *out, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '&': (void)fputs("&amp;", out); break;
		case '<': (void)fputs("&lt;", out); break;
		case '>': (void)fputs("&gt;", out); break;
		case '"': (void)fputs("&quot;", out); break;
		case '\'': (void)fputs("&#39;", out); break;
		default: (void)fputc(*text, out);
		}
}

static void put_time(FILE *out, uint64_t us)
{
	char span[PRINT_SPAN_MAX];

	(void)fprintf(out, "<time>%8s</time>  ", print_span(us, span));
}

static void on_text(void *data, const struct found_text *found)
{
	struct html *html = data;

	if (strcmp(found->where, "screen") != 0)
		return;
	put_time(html->out, found->time_us);
	put(html->out, found->text);
	(void)fputc('\n', html->out);
}

static void on_command(void *data, const struct found_command *command)
{
	struct html *html = data;

	(void)fputs("<li>", html->out);
	put_time(html->out, command->time_us);
	put(html->out, command->text);
	(void)fprintf(html->out, " <small>(%s", command->source);
	if (command->has_status)
		(void)fprintf(html->out, ", exit %u", command->status);
	(void)fputs(")</small></li>\n", html->out);
}

struct html *html_new(void)
{
	struct html *html = calloc(1, sizeof(*html));

	if (!html)
		audit_fatal(EX_OSERR, "out of memory");
	html->texts = texts_new(on_text, html);
	html->commands = commands_new(on_command, html);
	if (!html->texts || !html->commands)
		audit_fatal(EX_OSERR, "out of memory");
	texts_handler(html->texts, &html->handlers[0]);
	commands_handler(html->commands, &html->handlers[1]);
	if (emulator_start(&html->handlers[0], &html->screen) ||
		emulator_start(&html->handlers[1], &html->shell))
		audit_fatal(EX_OSERR, "cannot start the emulator: %s",
			strerror(errno));
	return html;
}

void html_free(struct html *html)
{
	if (!html)
		return;
	emulator_free(html->screen);
	emulator_free(html->shell);
	texts_free(html->texts);
	commands_free(html->commands);
	free(html);
}

/* Printable: META came through the recorder as it was. */
static void put_value(FILE *out, json_t *value)
{
	char *text = json_is_string(value) ? strdup(json_string_value(value))
					   : json_dumps(value, JSON_ENCODE_ANY);
	char *clean = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&clean, &size);

	if (text && memory)
		print_cstring(memory, text);
	if (memory && !fclose(memory) && clean)
		put(out, clean);
	free(clean);
	free(text);
}

static void put_meta(
	const struct html *html, const struct sgr_scan *scan, const char *meta)
{
	json_t *root = json_loads(meta, 0, NULL), *value;
	char id[SGR_ID_TEXT], when[PRINT_TIME_MAX];
	const char *name;

	sgr_id_text(scan->header.rec_id, id);
	(void)fprintf(html->out,
		"%s<title>%s</title></head><body>\n<h1>%s</h1>\n<table>\n"
		"<tr><th>started</th><td>%s UTC</td></tr>\n",
		head, id, id, print_time(scan->header.start_ns, when));
	json_object_foreach(root, name, value)
	{
		(void)fputs("<tr><th>", html->out);
		put(html->out, name);
		(void)fputs("</th><td>", html->out);
		put_value(html->out, value);
		(void)fputs("</td></tr>\n", html->out);
	}
	(void)fputs("</table>\n<h2>Commands</h2>\n<ol>\n", html->out);
	json_decref(root);
}

enum sgb_err html_write(struct html *html, struct audit *audit, int fd,
	struct evidence *evidence, FILE *out)
{
	const struct sgr_scan *scan = evidence_scan(evidence);
	enum sgb_err err;

	html->out = out;
	put_meta(html, scan, evidence_meta(evidence));
	err = commands_run(html->commands, audit, fd, html->shell);
	(void)fputs("</ol>\n<h2>Screen</h2>\n<pre>", out);
	if (!err)
		err = texts_run(html->texts, audit, fd, evidence, html->screen);
	(void)fprintf(out, "</pre>\n<p>Verified: %s, ",
		sgr_verdict_text(scan->verdict));
	put(out, scan->fault);
	(void)fputs(".</p>\n</body></html>\n", out);
	return err;
}
