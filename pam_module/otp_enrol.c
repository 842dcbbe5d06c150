/*
 * sgbridge-otp enrol, confirm, scratch: the commands that show a secret, once.
 * A token counts only after its first code was typed in, so that nobody is
 * locked out by an app that did not take it; --no-confirm is for programs that
 * hand the secret on.
 */
#include "otp_tool.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define PENDING_SECONDS (24 * 3600)
#define OUTPUT_MAX	65536

/* What one enrolment has in hand; wiped at the end. */
struct enrolment {
	struct otp_token token;
	char codes[OTP_SCRATCH_MAX][OTP_SCRATCH_LEN + 1];
	unsigned int code_count;
};

static uint64_t now(void)
{
	return (uint64_t)time(NULL);
}

static const char *issuer(const struct tool *tool)
{
	static char name[HOST_NAME_MAX + 1];

	if (tool->issuer)
		return tool->issuer;
	if (gethostname(name, sizeof(name) - 1) || !*name)
		return "sgbridge";
	return name;
}

static int read_secret(struct otp_token *token)
{
	char *line = tool_read_line("Secret (base32): ", false);
	int status = 0;

	if (!line || otp_uri_read_secret(line, token))
		status = tool_fail(EX_DATAERR,
			"the secret must be base32 of %d to %d bytes",
			OTP_SECRET_MIN, OTP_SECRET_MAX);
	secret_free_cstring(line);
	return status;
}

static int make(struct tool *tool, struct enrolment *new)
{
	enum sgb_err err = otp_token_make(&new->token, now());

	if (err)
		return tool_fail(EX_OSERR, "%s", sgb_err_text(err));
	new->token.kind = tool->kind;
	new->token.hash = tool->hash;
	new->token.digits = tool->digits;
	new->token.period = tool->period;
	if (tool->secret_stdin && read_secret(&new->token))
		return EX_DATAERR;
	err = otp_token_scratch(&new->token, tool->scratch, new->codes);
	if (err)
		return tool_fail(EX_OSERR, "%s", sgb_err_text(err));
	new->code_count = tool->scratch;
	return 0;
}

/* "XXXX-XXXX-XXXX" is easier to copy than twelve letters. */
static void put_grouped(struct buf *out, const char *text, char separator)
{
	size_t i;

	for (i = 0; text[i]; i++) {
		if (i && i % 4 == 0)
			buf_put_u8(out, (uint8_t)separator);
		buf_put_u8(out, (uint8_t)text[i]);
	}
}

static void put_scratch_json(struct buf *out, const struct enrolment *new)
{
	unsigned int i;

	buf_printf(out, ",\"scratch\":[");
	for (i = 0; i < new->code_count; i++)
		buf_printf(out, "%s\"%s\"", i ? "," : "", new->codes[i]);
	buf_printf(out, "]");
}

static int show_json(const struct tool *tool, const struct enrolment *new,
	const char *secret, const char *uri, bool active)
{
	struct buf out;

	buf_init(&out, OUTPUT_MAX);
	buf_printf(&out, "{");
	tool_json_text(&out, true, "user", tool->words[0]);
	tool_json_text(&out, false, "type", otp_kind_text(new->token.kind));
	tool_json_text(&out, false, "hash", otp_hash_text(new->token.hash));
	buf_printf(&out, ",\"digits\":%u,\"period\":%u", new->token.digits,
		new->token.period);
	tool_json_text(&out, false, "secret", secret);
	tool_json_text(&out, false, "uri", uri);
	put_scratch_json(&out, new);
	buf_printf(&out, ",\"active\":%s}\n", active ? "true" : "false");
	return tool_print(&out);
}

static void put_scratch_text(struct buf *out, const struct enrolment *new)
{
	unsigned int i;

	if (!new->code_count)
		return;
	buf_printf(out, "Scratch codes, each good for one login without the "
			"app; keep them on paper:\n");
	for (i = 0; i < new->code_count; i++) {
		buf_printf(out, "  ");
		put_grouped(out, new->codes[i], '-');
		buf_printf(out,
			i % 4 == 3 || i + 1 == new->code_count ? "\n" : "");
	}
}

static int show_text(const struct tool *tool, const struct enrolment *new,
	const char *secret, const char *uri)
{
	bool colour = isatty(STDOUT_FILENO);
	enum sgb_err err;
	struct buf out;

	buf_init(&out, OUTPUT_MAX);
	err = otp_qr_text(uri, tool->qr, colour, &out);
	if (err)
		buf_printf(&out, "(no QR code: %s)\n", sgb_err_text(err));
	buf_printf(&out, "Secret of %s: ", tool->words[0]);
	put_grouped(&out, secret, ' ');
	buf_printf(&out, "\n%s\n", uri);
	if (new->token.hash != OTP_SHA1 || new->token.digits != 6 ||
		new->token.period != 30)
		buf_printf(&out,
			"Not every app takes other than SHA1, 6 digits and 30 "
			"seconds: try it before you rely on it.\n");
	put_scratch_text(&out, new);
	return tool_print(&out);
}

static int show(
	const struct tool *tool, const struct enrolment *new, bool active)
{
	enum sgb_err err;
	struct buf secret, uri;
	int status;

	buf_init(&secret, 256);
	buf_init(&uri, 2048);
	err = otp_uri_secret(&new->token, &secret);
	if (!err)
		err = otp_uri(&new->token, issuer(tool), tool->words[0], &uri);
	if (err)
		status = tool_fail(EX_OSERR, "%s", sgb_err_text(err));
	else if (tool->json)
		status = show_json(tool, new, (char *)secret.data,
			(char *)uri.data, active);
	else
		status = show_text(
			tool, new, (char *)secret.data, (char *)uri.data);
	buf_done(&secret);
	buf_done(&uri);
	return status;
}

/* Activates token if code is right, and spends the code. */
static int confirm_code(struct tool *tool, struct otp_entry *entry,
	const struct otp_token *token, const char *code)
{
	struct otp_question question = {
		.answer = code,
		.now = now(),
		.window = tool->store.window,
		.tries = tool->store.tries,
	};
	struct otp_outcome out;
	enum sgb_err err = otp_entry_confirm(entry, token, &question, &out);

	if (err)
		return tool_fail(
			EX_IOERR, "%s: %s", entry->user, sgb_err_text(err));
	if (out.result != OTP_RIGHT)
		return tool_fail(EX_NOPERM,
			"this is not the token's present code; is the clock of "
			"the phone, or of this host, wrong?");
	return 0;
}

static int activate(struct otp_entry *entry, const struct otp_token *token)
{
	enum sgb_err err = otp_entry_activate(entry, token);

	if (err)
		return tool_fail(
			EX_IOERR, "%s: %s", entry->user, sgb_err_text(err));
	otp_entry_drop_pending(entry);
	return 0;
}

static int put_pending(struct otp_entry *entry, struct otp_token *token)
{
	enum sgb_err err;

	token->expires = now() + PENDING_SECONDS;
	err = otp_entry_put_pending(entry, token);
	if (err)
		return tool_fail(
			EX_IOERR, "%s: %s", entry->user, sgb_err_text(err));
	return 0;
}

/* Under the lock: store it as the options say. */
static int store(struct tool *tool, struct enrolment *new)
{
	const char *user = tool->words[0];
	struct otp_entry entry;
	int status = tool_lock(tool, user, true, &entry);

	if (status)
		return status;
	if (entry.enrolled && !tool->replace)
		status = tool_fail(EX_CANTCREAT,
			"%s has a token already; --replace makes a new one and "
			"ends the old one",
			user);
	else if (tool->no_confirm)
		status = activate(&entry, &new->token);
	else if (tool->confirm)
		status = confirm_code(tool, &entry, &new->token, tool->confirm);
	else
		status = put_pending(&entry, &new->token);
	otp_entry_unlock(&entry);
	return status;
}

static int confirm_pending(
	struct tool *tool, struct otp_entry *entry, const char *code)
{
	struct otp_token token;
	enum sgb_err err = otp_entry_get_pending(entry, &token);
	int status;

	if (err == SGB_ERR_NOTFOUND)
		return tool_fail(EX_NOUSER,
			"%s has no token that waits to be confirmed",
			entry->user);
	if (err)
		return tool_fail(EX_DATAERR, "%s.pending: %s", entry->user,
			sgb_err_text(err));
	if (token.expires && now() > token.expires)
		status = tool_fail(EX_NOPERM,
			"the token of %s has waited too long; enrol again",
			entry->user);
	else
		status = confirm_code(tool, entry, &token, code);
	otp_token_wipe(&token);
	return status;
}

int command_confirm(struct tool *tool)
{
	struct otp_entry entry;
	char *code;
	int status;

	code = tool->word_count > 1 ? strdup(tool->words[1])
				    : tool_read_line("Code: ", true);
	if (!code)
		return tool_fail(EX_NOINPUT, "no code was given");
	status = tool_lock(tool, tool->words[0], false, &entry);
	if (!status) {
		status = confirm_pending(tool, &entry, code);
		otp_entry_unlock(&entry);
		tool_note(tool, "sgbridge:confirm", tool->words[0], !status);
	}
	secret_free_cstring(code);
	if (!status && !tool->json)
		printf("%s: active\n", tool->words[0]);
	return status;
}

static int ask_to_confirm(struct tool *tool)
{
	if (!isatty(STDIN_FILENO) || tool->json) {
		fprintf(stderr,
			"sgbridge-otp: waits for its first code: sgbridge-otp "
			"confirm %s CODE\n",
			tool->words[0]);
		return 0;
	}
	fprintf(stderr, "Now type the code that the app shows.\n");
	return command_confirm(tool);
}

int command_enrol(struct tool *tool)
{
	struct enrolment new = {0};
	bool active = tool->no_confirm || tool->confirm;
	int status = make(tool, &new);

	if (!status)
		status = store(tool, &new);
	if (!status) {
		tool_note(tool, "sgbridge:enrol", tool->words[0], true);
		status = show(tool, &new, active);
	}
	secret_wipe(&new, sizeof(new));
	return status || active ? status : ask_to_confirm(tool);
}

/* What the person will see at the login: 24 lines of 80 at most. */
static enum sgb_err invitation_text(
	struct tool *tool, const struct enrolment *new, struct buf *out)
{
	struct buf secret, uri;
	enum sgb_err err;

	buf_init(&secret, 256);
	buf_init(&uri, 2048);
	err = otp_uri_secret(&new->token, &secret);
	if (!err)
		err = otp_uri(&new->token, issuer(tool), tool->words[0], &uri);
	if (!err)
		err = otp_qr_text((char *)uri.data, tool->qr, false, out);
	if (!err) {
		buf_printf(out, "Scan this with your authenticator app, or "
				"type the secret:\n");
		put_grouped(out, (char *)secret.data, ' ');
		buf_printf(out, "\n");
		err = buf_error(out);
	}
	buf_done(&secret);
	buf_done(&uri);
	return err;
}

static int store_invitation(
	struct tool *tool, struct enrolment *new, const struct buf *text)
{
	struct otp_entry entry;
	enum sgb_err err;
	int status = tool_lock(tool, tool->words[0], true, &entry);

	if (status)
		return status;
	if (entry.enrolled) {
		otp_entry_unlock(&entry);
		return tool_fail(EX_CANTCREAT,
			"%s has a token already; take it away first with: "
			"sgbridge-otp reset %s",
			tool->words[0], tool->words[0]);
	}
	err = otp_entry_put_text(&entry, text);
	if (!err)
		err = otp_entry_put_pending(&entry, &new->token);
	otp_entry_unlock(&entry);
	if (err)
		return tool_fail(
			EX_IOERR, "%s: %s", tool->words[0], sgb_err_text(err));
	return 0;
}

static int show_invitation(
	const struct tool *tool, const struct enrolment *new, const char *code)
{
	struct buf out;

	buf_init(&out, OUTPUT_MAX);
	if (tool->json) {
		buf_printf(&out, "{");
		tool_json_text(&out, true, "user", tool->words[0]);
		tool_json_text(&out, false, "invitation", code);
		buf_printf(&out, ",\"expires\":%llu}\n",
			(unsigned long long)new->token.expires);
	} else {
		buf_printf(&out,
			"Invitation for %s, good for %u days: ", tool->words[0],
			tool->days);
		put_grouped(&out, code, '-');
		buf_printf(&out, "\nTo be typed at the first login, where a "
				 "one-time code is asked for.\n");
	}
	return tool_print(&out);
}

int command_invite(struct tool *tool)
{
	char code[OTP_SCRATCH_LEN + 1] = "";
	struct enrolment new = {0};
	struct buf text;
	int status;

	tool->scratch = 0;
	buf_init(&text, 8192);
	status = make(tool, &new);
	new.token.expires = now() + (uint64_t)tool->days * 86400;
	if (!status && (otp_token_invite(&new.token, code) ||
			       invitation_text(tool, &new, &text)))
		status = tool_fail(EX_OSERR, "cannot make an invitation");
	if (!status)
		status = store_invitation(tool, &new, &text);
	if (!status) {
		tool_note(tool, "sgbridge:invite", tool->words[0], true);
		status = show_invitation(tool, &new, code);
	}
	buf_done(&text);
	secret_wipe(code, sizeof(code));
	secret_wipe(&new, sizeof(new));
	return status;
}

int command_scratch(struct tool *tool)
{
	struct enrolment new = {.code_count = tool->scratch};
	struct otp_entry entry;
	struct buf out;
	enum sgb_err err;
	int status = tool_lock_enrolled(tool, tool->words[0], &entry);

	if (status)
		return status;
	err = otp_token_scratch(&entry.token, tool->scratch, new.codes);
	if (!err)
		err = otp_entry_rewrite(&entry);
	otp_entry_unlock(&entry);
	tool_note(tool, "sgbridge:scratch", tool->words[0], !err);
	if (err)
		return tool_fail(EX_IOERR, "%s", sgb_err_text(err));
	buf_init(&out, OUTPUT_MAX);
	if (tool->json) {
		buf_printf(&out, "{");
		tool_json_text(&out, true, "user", tool->words[0]);
		put_scratch_json(&out, &new);
		buf_printf(&out, "}\n");
	} else {
		put_scratch_text(&out, &new);
	}
	status = tool_print(&out);
	secret_wipe(&new, sizeof(new));
	return status;
}
