/*
 * Finding commands. The prompt is what stands before the cursor when nothing
 * has been shown for a while and it looks like one; it is remembered, so that
 * lines typed ahead and pasted are found when the shell echoes them after it.
 */
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#include "core/record.h"

#include "channels.h"
#include "export.h"
#include "utf8.h"
#include "view.h"

#define QUIET_US   60000 /* nobody's shell pauses that long in a prompt */
#define PROMPT_MAX 200

struct commands {
	command_sink sink;
	void *data;
	struct found_command pending; /* waits for its status */
	bool has_pending;
	struct buf text; /* of pending */
	uint64_t now_us, channel, output_us;
	bool (*stop)(void); /* or NULL */
	bool wants_line;
	char line[PROMPT_MAX + 1]; /* of the cursor, when asked for */
};

struct commands *commands_new(command_sink sink, void *data)
{
	struct commands *commands = calloc(1, sizeof(*commands));

	if (!commands)
		return NULL;
	commands->sink = sink;
	commands->data = data;
	buf_init(&commands->text, 256 * 1024);
	return commands;
}

void commands_free(struct commands *commands)
{
	if (!commands)
		return;
	buf_done(&commands->text);
	free(commands);
}

static void deliver(struct commands *commands)
{
	if (!commands->has_pending)
		return;
	commands->has_pending = false;
	buf_put_u8(&commands->text, 0);
	if (buf_error(&commands->text))
		return;
	commands->pending.text = (const char *)commands->text.data;
	commands->sink(commands->data, &commands->pending);
}

/* fish ends a long line each time it draws it again, longer than before. */
static bool redrawn(const struct commands *commands, const char *source,
	const char *text, size_t len)
{
	const struct found_command *last = &commands->pending;

	return commands->has_pending && !strcmp(source, "screen") &&
	       !strcmp(last->source, source) && commands->text.len >= 40 &&
	       commands->now_us < last->time_us + 2000000 &&
	       len >= commands->text.len &&
	       !memcmp(text, commands->text.data, commands->text.len);
}

static void hold(struct commands *commands, const char *source,
	const char *text, size_t len)
{
	while (len && (*text == ' ' || *text == '\t')) {
		text++;
		len--;
	}
	while (len && text[len - 1] == ' ')
		len--;
	if (!len)
		return;
	if (!redrawn(commands, source, text, len))
		deliver(commands);
	buf_reset(&commands->text);
	buf_put(&commands->text, text, len);
	commands->pending = (struct found_command){
		.time_us = commands->now_us,
		.channel = commands->channel,
		.source = source,
	};
	commands->has_pending = true;
}

static void on_command(
	void *data, const char *text, size_t len, bool from_shell)
{
	struct commands *commands = data;

	hold(commands, from_shell ? "osc133" : "screen", text, len);
}

static void on_status(void *data, unsigned int status)
{
	struct commands *commands = data;

	if (!commands->has_pending ||
		strcmp(commands->pending.source, "osc133") != 0)
		return;
	commands->pending.has_status = true;
	commands->pending.status = status;
	deliver(commands);
}

static void on_line(
	void *data, const char *text, size_t len, unsigned int flags)
{
	struct commands *commands = data;

	(void)flags;
	if (!commands->wants_line || len > PROMPT_MAX)
		return;
	memcpy(commands->line, text, len);
	commands->line[len] = '\0';
}

void commands_until(struct commands *commands, bool (*stop)(void))
{
	commands->stop = stop;
}

void commands_handler(
	struct commands *commands, struct emulator_handler *handler)
{
	*handler = (struct emulator_handler){.data = commands,
		.line = on_line,
		.command = on_command,
		.status = on_status};
}

/* "user@host:~$ ", "# ", "mysql> ", ">>> ": a sign, and perhaps a space. */
static bool looks_like_prompt(const char *text)
{
	size_t len = strlen(text);

	while (len && text[len - 1] == ' ')
		len--;
	if (!len)
		return false;
	if (strchr("$#%>", text[len - 1]))
		return true;
	return len >= 3 && (!strcmp(text + len - 3, "\xe2\x9d\xaf") ||
				   !memcmp(text + len - 3, "\xe2\x9e\x9c", 3));
}

/* The cursor's line up to the cursor; the emulator trims spaces there. */
static void line_to_cursor(struct commands *commands,
	const struct emulator_screen *screen, char *ret, size_t room)
{
	size_t len = strlen(commands->line), width = screen->x;

	if (width >= room)
		width = 0;
	(void)snprintf(ret, room, "%s", commands->line);
	/* One byte a column: good enough to pad what was trimmed. */
	while (len < width && len + 1 < room)
		ret[len++] = ' ';
	ret[len] = '\0';
}

/* Nothing was shown for a while: somebody thinks, behind a prompt. */
static enum sgb_err learn_prompt(
	struct commands *commands, struct emulator *emulator)
{
	char text[PROMPT_MAX + 2];
	enum sgb_err err;

	if (emulator_screen(emulator)->alternate)
		return SGB_OK;
	commands->wants_line = true;
	commands->line[0] = '\0';
	err = emulator_cursor_line(emulator);
	commands->wants_line = false;
	if (err)
		return err;
	line_to_cursor(commands, emulator_screen(emulator), text, sizeof(text));
	if (strlen(commands->line) > strlen(text) || !looks_like_prompt(text))
		return SGB_OK;
	return emulator_prompt(emulator, text, strlen(text));
}

static void take_plain(struct commands *commands, const struct sgr_item *item)
{
	struct buf text;

	if (item->kind == RECORD_EXEC) {
		buf_init(&text, 4 * item->len + 64);
		utf8_clean(item->data, item->len, &text);
		if (!buf_error(&text) && text.len)
			hold(commands, "exec", (const char *)text.data,
				text.len);
		buf_done(&text);
	} else if (item->kind == RECORD_EXIT && commands->has_pending &&
		   !strcmp(commands->pending.source, "exec")) {
		commands->pending.has_status = true;
		commands->pending.status = export_u32(item, 0);
		deliver(commands);
	}
}

/* One channel after the other, on one screen. */
struct reading {
	struct commands *commands;
	struct view view;
};

static enum sgb_err begin_channel(void *data, uint64_t id)
{
	struct reading *reading = data;

	reading->commands->channel = id;
	reading->commands->now_us = reading->commands->output_us = 0;
	reading->view.channel = id;
	reading->view.has_pty = false;
	return emulator_clear(reading->view.emulator);
}

static enum sgb_err take_item(void *data, const struct sgr_item *item)
{
	struct reading *reading = data;
	struct commands *commands = reading->commands;
	struct view *view = &reading->view;
	enum sgb_err err = SGB_OK;
	bool shown;

	if (commands->stop && commands->stop())
		return SGB_ERR_BUSY;
	if (item->kind == RECORD_OUT && view->has_pty) {
		if (item->time_us >= commands->output_us + QUIET_US)
			err = learn_prompt(commands, view->emulator);
		commands->output_us = item->time_us;
	}
	commands->now_us = item->time_us;
	take_plain(commands, item);
	if (!view->has_pty && item->kind != RECORD_PTY)
		return err; /* no shell there to watch */
	return err ? err : view_item(view, item, &shown);
}

static enum sgb_err end_channel(void *data)
{
	struct reading *reading = data;

	deliver(reading->commands);
	return SGB_OK;
}

enum sgb_err commands_run(struct commands *commands, struct audit *audit,
	int fd, struct emulator *emulator)
{
	struct reading reading = {commands, {.emulator = emulator}};
	const struct channels_reader reader = {
		&reading, begin_channel, take_item, end_channel};
	struct channels channels = {0};
	struct evidence *evidence;
	struct sgr_item item;
	enum sgb_err err;

	err = audit_evidence(audit, fd, &evidence);
	/* Channels where something was started. */
	while (!err && !(commands->stop && commands->stop()) &&
		!evidence_next(evidence, &item))
		channels_note(&channels, &item,
			item.kind == RECORD_EXEC || item.kind == RECORD_PTY);
	evidence_free(evidence);
	if (!err)
		err = emulator_reset(emulator);
	if (!err)
		err = channels_run(&channels, audit, fd, &reader);
	deliver(commands);
	channels_done(&channels);
	return err;
}
