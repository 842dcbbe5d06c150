/*
 * sgbridge-otp import and export. Imported files are foreign bytes: parsed
 * strictly, a line at a time; what cannot be taken is reported with its place
 * and the rest goes on. Export shows secrets and says so.
 */
#include "otp_tool.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "core/policy.h"
#include "otp_import.h"

#define FILE_MAX   (64 * 1024 * 1024)
#define OUTPUT_MAX (256 * 1024 * 1024)

struct transfer {
	struct tool *tool;
	size_t done;
	size_t kept; /* had a token already */
	size_t failed;
};

static void take_token(
	struct transfer *transfer, const char *user, struct otp_token *token)
{
	struct tool *tool = transfer->tool;
	struct otp_entry entry;
	enum sgb_err err;

	if (tool_lock(tool, user, true, &entry)) {
		transfer->failed++;
		return;
	}
	if (entry.enrolled && !tool->replace) {
		otp_entry_unlock(&entry);
		transfer->kept++;
		return;
	}
	err = otp_entry_activate(&entry, token);
	otp_entry_unlock(&entry);
	if (err) {
		(void)tool_fail(0, "%s: %s", user, sgb_err_text(err));
		transfer->failed++;
		return;
	}
	tool_note(tool, "sgbridge:import", user, true);
	if (++transfer->done % 1000 == 0 && isatty(STDERR_FILENO))
		fprintf(stderr, "%zu tokens\r", transfer->done);
}

static void import_oath(struct transfer *transfer, char *text)
{
	unsigned int number = 0;
	char *line, *rest = text;

	while ((line = strsep(&rest, "\n"))) {
		struct otp_token token;
		char user[80];
		enum sgb_err err;

		number++;
		line[strcspn(line, "\r")] = '\0';
		if (!*line || *line == '#')
			continue;
		err = otp_import_oath(
			line, (uint64_t)time(NULL), user, sizeof(user), &token);
		if (err) {
			(void)tool_fail(0, "%s:%u: %s",
				transfer->tool->words[0], number,
				err == SGB_ERR_UNSUPPORTED
					? "type or PIN is not supported"
					: "not a line of a usersfile");
			transfer->failed++;
			continue;
		}
		take_token(transfer, user, &token);
		otp_token_wipe(&token);
	}
}

static int import_google(struct transfer *transfer, const char *text)
{
	struct otp_token token;

	if (!transfer->tool->user)
		return tool_fail(EX_USAGE, "whose is it? add: --user USER");
	if (otp_import_google(text, (uint64_t)time(NULL), &token))
		return tool_fail(EX_DATAERR,
			"%s: not a file of google-authenticator",
			transfer->tool->words[0]);
	take_token(transfer, transfer->tool->user, &token);
	otp_token_wipe(&token);
	return 0;
}

int command_import(struct tool *tool)
{
	struct transfer transfer = {.tool = tool};
	bool google = tool->format && !strcmp(tool->format, "google");
	char why[OTP_WHY_MAX] = "";
	struct buf text;
	int status = 0;

	if (!google && (!tool->format || strcmp(tool->format, "oath")))
		return tool_fail(
			EX_USAGE, "add --format google or --format oath");
	buf_init(&text, FILE_MAX);
	if (file_read(
		    tool->words[0], FILE_TRUST_SECRET, &text, why, sizeof(why)))
		status = tool_fail(EX_NOINPUT, "%s", why);
	buf_put_u8(&text, 0);
	if (!status &&
		(buf_error(&text) || strlen((char *)text.data) + 1 != text.len))
		status = tool_fail(
			EX_DATAERR, "%s: not a text file", tool->words[0]);
	if (!status && google)
		status = import_google(&transfer, (char *)text.data);
	else if (!status)
		import_oath(&transfer, (char *)text.data);
	buf_done(&text);
	if (!status)
		printf("%zu imported, %zu had a token, %zu failed\n",
			transfer.done, transfer.kept, transfer.failed);
	return status ? status : transfer.failed ? EX_DATAERR : 0;
}

static void put_export(
	struct buf *out, const char *user, const struct otp_entry *entry)
{
	const struct otp_token *token = &entry->token;

	buf_printf(out, "{");
	tool_json_text(out, true, "user", user);
	tool_json_text(out, false, "type", otp_kind_text(token->kind));
	tool_json_text(out, false, "hash", otp_hash_text(token->hash));
	buf_printf(out, ",\"digits\":%u,\"period\":%u", token->digits,
		token->period);
	if (token->kind == OTP_HOTP)
		buf_printf(out, ",\"counter\":%llu",
			(unsigned long long)entry->state.used);
	buf_printf(out, ",\"secret\":\"");
	if (otp_uri_secret(token, out))
		return;
	out->len--; /* its NUL */
	buf_printf(out, "\"}\n");
}

struct exporting {
	struct tool *tool;
	struct buf out;
	int status;
};

static bool export_one(const char *user, bool pending, void *arg)
{
	struct exporting *export = arg;
	struct otp_entry entry;
	int status;

	if (pending)
		return true;
	status = tool_lock_enrolled(export->tool, user, &entry);
	if (status) {
		export->status = status;
		return true;
	}
	put_export(&export->out, user, &entry);
	otp_entry_unlock(&entry);
	return true;
}

int command_export(struct tool *tool)
{
	struct exporting export = {.tool = tool};
	enum sgb_err err = SGB_OK;
	int status;

	if (!tool->secrets)
		return tool_fail(EX_USAGE,
			"the output would hold the secrets of these people; "
			"add --secrets if that is meant");
	buf_init(&export.out, OUTPUT_MAX);
	if (tool->word_count)
		(void)export_one(tool->words[0], false, &export);
	else
		err = otp_store_each(&tool->store, export_one, &export);
	status = tool_print(&export.out);
	tool_note(tool, "sgbridge:export",
		tool->word_count ? tool->words[0] : "-", !err);
	if (err)
		return tool_fail(EX_IOERR, "%s", sgb_err_text(err));
	return status ? status : export.status;
}
