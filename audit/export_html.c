/*
 * The page: who and where and whether it verifies, the commands, the player,
 * the lines of the screen with their times. Complete in itself: nothing is
 * loaded, and the policy in its head forbids it; only the scripts and styles
 * whose hashes it names run, and there are no others. What was recorded is
 * text, or stands in elements that are not run, in which no "<" is left.
 */
#include "export_html.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <jansson.h>

#include "channels.h"
#include "commands.h"
#include "emulator.h"
#include "evidence.h"
#include "export.h"
#include "export_player.h"
#include "texts.h"

#define COMMANDS_MAX 20000

static const char style[] =
	"body{font:16px/1.4 sans-serif;margin:2em auto;max-width:70em;"
	"padding:0 1em}pre,td,li,button{font-family:monospace}pre{background:"
	"#111;color:#eee;padding:1em;overflow:auto}th{text-align:left;"
	"padding-right:2em}time{color:#888;user-select:none}"
	".verdict{border:2px solid #888;padding:.5em 1em}.bad{border-color:"
	"#c00}ol{max-height:20em;overflow:auto}"
	"@media(prefers-color-scheme:dark){body{background:#222;color:#ddd}}";

/* The same for every page, and so is its hash. */
static const char start_script[] =
	"\"use strict\";(function(){"
	"function text(id){return document.getElementById(id).textContent;}"
	"var player=AsciinemaPlayer.create({data:text(\"cast\")},"
	"document.getElementById(\"player\"),{idleTimeLimit:2,preload:true,"
	"fit:\"width\",markers:JSON.parse(text(\"markers\"))});"
	"document.querySelectorAll(\"button[data-marker]\").forEach("
	"function(button){button.addEventListener(\"click\",function(){"
	"player.seek({marker:Number(button.dataset.marker)}).then("
	"function(){player.play();});});});})();";

struct command {
	uint64_t us;
	char *text;
	const char *source; /* constant */
	bool has_status;
	unsigned int status;
};

struct html {
	struct texts *texts;
	struct commands *commands;
	struct emulator_handler handlers[2];
	struct emulator *screen, *shell;
	struct command *list;
	size_t count;
	bool more; /* commands than the page lists */
	struct channels channels;
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

static void on_command(void *data, const struct found_command *found)
{
	struct html *html = data;
	struct command *command;

	if (html->count == COMMANDS_MAX) {
		html->more = true;
		return;
	}
	command = &html->list[html->count];
	command->us = found->time_us;
	command->text = strdup(found->text);
	command->source = found->source;
	command->has_status = found->has_status;
	command->status = found->status;
	if (!command->text)
		audit_fatal(EX_OSERR, "out of memory");
	html->count++;
}

struct html *html_new(void)
{
	struct html *html = calloc(1, sizeof(*html));

	if (html)
		html->list = calloc(COMMANDS_MAX, sizeof(*html->list));
	if (!html || !html->list)
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
	size_t i;

	if (!html)
		return;
	channels_done(&html->channels);
	emulator_free(html->screen);
	emulator_free(html->shell);
	texts_free(html->texts);
	commands_free(html->commands);
	for (i = 0; i < html->count; i++)
		free(html->list[i].text);
	free(html->list);
	free(html);
}

static void put_policy(FILE *out, const struct player *player)
{
	char own_style[PLAYER_HASH_MAX], own_script[PLAYER_HASH_MAX];

	player_hash(style, sizeof(style) - 1, own_style);
	player_hash(start_script, sizeof(start_script) - 1, own_script);
	(void)fprintf(out,
		"<!doctype html>\n<html lang=\"en\"><head><meta "
		"charset=\"utf-8\">\n<meta "
		"http-equiv=\"Content-Security-Policy\" content=\"default-src "
		"'none'; base-uri 'none'; form-action 'none'; style-src '%s'",
		own_style);
	/* Its terminal is WebAssembly, out of the script's own bytes. */
	if (player)
		(void)fprintf(out,
			" '%s'; script-src '%s' '%s' 'wasm-unsafe-eval'",
			player->style_hash, player->script_hash, own_script);
	(void)fprintf(out,
		"\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
		"<meta name=\"viewport\" content=\"width=device-width\">\n"
		"<style>%s</style>\n",
		style);
	if (!player)
		return;
	(void)fputs("<style>", out);
	(void)fwrite(player->style.data, 1, player->style.len, out);
	(void)fputs("</style>\n", out);
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

static void put_row(FILE *out, const char *name, json_t *value)
{
	(void)fputs("<tr><th>", out);
	put(out, name);
	(void)fputs("</th><td>", out);
	put_value(out, value);
	(void)fputs("</td></tr>\n", out);
}

/* To the end, before the first word of the page: the verdict is on top. */
static void put_verdict(struct html *html, struct audit *audit, int fd)
{
	FILE *out = html->out;
	const struct sgr_scan *scan;
	struct evidence *evidence = NULL;
	struct sgr_item item;

	if (!audit_evidence(audit, fd, &evidence))
		while (!evidence_next(evidence, &item))
			channels_note_output(&html->channels, &item);
	scan = evidence ? evidence_scan(evidence) : NULL;
	(void)fprintf(out, "<p class=\"verdict%s\">Verified: ",
		scan && scan->verdict == SGR_INTACT ? "" : " bad");
	put(out, scan ? sgr_verdict_text(scan->verdict) : "not at all");
	(void)fputs(", ", out);
	put(out, scan ? scan->fault : "it cannot be opened");
	(void)fputs(". By the recording's own word unless its writer was "
		    "pinned; this page itself proves nothing: verify the "
		    "recording.</p>\n",
		out);
	evidence_free(evidence);
}

static void put_facts(
	const struct html *html, const struct sgr_scan *scan, const char *meta)
{
	json_t *root = json_loads(meta, 0, NULL), *value;
	char id[SGR_ID_TEXT], when[PRINT_TIME_MAX];
	const char *name;

	sgr_id_text(scan->header.rec_id, id);
	(void)fprintf(html->out,
		"<table>\n<tr><th>recording</th><td>%s</td></tr>\n"
		"<tr><th>started</th><td>%s UTC</td></tr>\n",
		id, print_time(scan->header.start_ns, when));
	json_object_foreach(root, name, value)
	{
		put_row(html->out, name, value);
	}
	(void)fputs("</table>\n", html->out);
	json_decref(root);
}

static int by_time(const void *a, const void *b)
{
	const struct command *one = a, *two = b;

	return one->us < two->us ? -1 : one->us > two->us;
}

static void put_commands(struct html *html, bool playing)
{
	FILE *out = html->out;
	size_t i;

	qsort(html->list, html->count, sizeof(*html->list), by_time);
	(void)fputs("<h2>Commands</h2>\n<ol>\n", out);
	for (i = 0; i < html->count; i++) {
		const struct command *command = &html->list[i];

		(void)fputs("<li>", out);
		if (playing)
			(void)fprintf(out,
				"<button type=\"button\" data-marker=\"%zu\">",
				i);
		put_time(out, command->us);
		(void)fputs(playing ? "</button> " : "", out);
		put(out, command->text);
		(void)fprintf(out, " <small>(%s", command->source);
		if (command->has_status)
			(void)fprintf(out, ", exit %u", command->status);
		(void)fputs(")</small></li>\n", out);
	}
	(void)fprintf(
		out, "</ol>\n%s", html->more ? "<p>There are more.</p>\n" : "");
}

static void put_markers(const struct html *html)
{
	FILE *out = player_inert(html->out);
	size_t i;

	if (!out)
		audit_fatal(EX_OSERR, "out of memory");
	(void)fputc('[', out);
	for (i = 0; i < html->count; i++) {
		(void)fprintf(out, "%s[%llu.%06u,", i ? "," : "",
			(unsigned long long)html->list[i].us / 1000000,
			(unsigned int)(html->list[i].us % 1000000));
		print_json(out, html->list[i].text);
		(void)fputc(']', out);
	}
	(void)fputc(']', out);
	(void)fclose(out);
}

/* Returns the channel that is shown. */
static uint64_t put_cast(struct audit *audit, int fd, FILE *page)
{
	struct export_out out = {.file = player_inert(page)};
	struct evidence *evidence = NULL;
	struct sgr_item item;

	if (!out.file)
		audit_fatal(EX_OSERR, "out of memory");
	if (!audit_evidence(audit, fd, &evidence)) {
		out.scan = evidence_scan(evidence);
		out.meta = evidence_meta(evidence);
		while (!evidence_next(evidence, &item))
			if (!audit->channel || item.channel == audit->channel)
				export_asciicast2.item(&out, &item);
		export_asciicast2.end(&out);
	}
	(void)fclose(out.file);
	free(out.state);
	evidence_free(evidence);
	return out.channel;
}

static void put_player(struct html *html, struct audit *audit, int fd,
	const struct player *player)
{
	char others[CHANNELS_OTHERS_MAX];
	FILE *out = html->out;
	uint64_t shown;

	(void)fputs("<h2>Play</h2>\n<div id=\"player\"></div>\n"
		    "<noscript>Without scripts: the text is below.</noscript>\n"
		    "<script type=\"application/x-asciicast\" id=\"cast\">",
		out);
	shown = put_cast(audit, fd, out);
	(void)fputs("</script>\n<script type=\"application/json\" "
		    "id=\"markers\">",
		out);
	put_markers(html);
	(void)fputs("</script>\n<script>", out);
	(void)fwrite(player->script.data, 1, player->script.len, out);
	(void)fprintf(out, "</script>\n<script>%s</script>\n", start_script);
	if (*channels_others(&html->channels, shown, others))
		(void)fprintf(out, "<p>The player shows %s.</p>\n", others);
	channels_say_others(&html->channels, shown);
}

enum sgb_err html_write(struct html *html, struct audit *audit, int fd,
	struct evidence *evidence, FILE *out)
{
	const struct sgr_scan *scan = evidence_scan(evidence);
	struct player player;
	bool playing = player_load(audit, &player);
	char id[SGR_ID_TEXT];
	enum sgb_err err;

	html->out = out;
	sgr_id_text(scan->header.rec_id, id);
	put_policy(out, playing ? &player : NULL);
	(void)fprintf(
		out, "<title>%s</title></head><body>\n<h1>%s</h1>\n", id, id);
	put_verdict(html, audit, fd);
	if (audit->channel && !channels_has(&html->channels, audit->channel))
		channels_none(&html->channels, id, audit->channel);
	put_facts(html, scan, evidence_meta(evidence));
	err = commands_run(html->commands, audit, fd, html->shell);
	put_commands(html, playing);
	if (playing)
		put_player(html, audit, fd, &player);
	(void)fputs("<h2>Screen</h2>\n<pre>", out);
	if (!err || err == SGB_ERR_LIMIT)
		err = texts_run(html->texts, audit, fd, evidence, html->screen);
	(void)fputs("</pre>\n</body></html>\n", out);
	player_done(&player);
	return err;
}
