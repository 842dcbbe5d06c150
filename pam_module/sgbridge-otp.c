/*
 * sgbridge-otp: enrols people for one-time codes and looks after their
 * records. For root. Secrets are shown once, come in through standard input,
 * and never through argv or the environment. sgbridge-otp(8) has the rest.
 */
#include "otp_tool.h"

#include <getopt.h>
#include <libaudit.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "core/diag.h"
#include "core/event.h"
#include "core/kaudit.h"
#include "core/log.h"
#include "core/places.h"

static const struct command {
	const char *name;
	int (*run)(struct tool *tool);
	int words_min, words_max;
	bool bare; /* works without the folder and the master key */
	const char *arguments;
	const char *what;
} commands[] = {
	{"enrol", command_enrol, 1, 1, false, "USER",
		"make a token and show it once"},
	{"invite", command_invite, 1, 1, false, "USER",
		"let somebody enrol at the first login"},
	{"confirm", command_confirm, 1, 2, false, "USER [CODE]",
		"activate a token by its first code"},
	{"status", command_status, 1, 1, false, "USER", "one person's token"},
	{"list", command_list, 0, 0, false, "", "everybody on file"},
	{"unlock", command_unlock, 1, 1, false, "USER", "forget failures"},
	{"resync", command_resync, 1, 3, false, "USER [CODE CODE]",
		"adjust to a token's clock or counter"},
	{"reset", command_reset, 1, 1, false, "USER", "remove a token"},
	{"scratch", command_scratch, 1, 1, false, "USER",
		"new scratch codes; old ones end"},
	{"import", command_import, 1, 1, false, "FILE",
		"read google-authenticator's or pam_oath's file"},
	{"export", command_export, 0, 1, false, "[USER]",
		"write tokens as JSON lines"},
	{"master-key", command_master_key, 0, 0, true, "",
		"make the master key file"},
	{"unseal", command_unseal, 1, 64, true, "-- COMMAND...",
		"master key from a command, into memory"},
	{"rotate-key", command_rotate_key, 0, 0, false, "",
		"seal everything under a new master key"},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

enum {
	OPT_JSON = 256,
	OPT_REPLACE,
	OPT_NO_CONFIRM,
	OPT_CONFIRM,
	OPT_ISSUER,
	OPT_QR,
	OPT_HOTP,
	OPT_HASH,
	OPT_DIGITS,
	OPT_PERIOD,
	OPT_SCRATCH,
	OPT_DAYS,
	OPT_SECRET_STDIN,
	OPT_SECRETS,
	OPT_PRUNE,
	OPT_RESEAL,
	OPT_FORMAT,
	OPT_USER,
	OPT_HELP,
};

static const struct option options[] = {
	{"json", no_argument, NULL, OPT_JSON},
	{"replace", no_argument, NULL, OPT_REPLACE},
	{"no-confirm", no_argument, NULL, OPT_NO_CONFIRM},
	{"yes", no_argument, NULL, OPT_NO_CONFIRM},
	{"confirm", required_argument, NULL, OPT_CONFIRM},
	{"issuer", required_argument, NULL, OPT_ISSUER},
	{"qr", required_argument, NULL, OPT_QR},
	{"hotp", no_argument, NULL, OPT_HOTP},
	{"hash", required_argument, NULL, OPT_HASH},
	{"digits", required_argument, NULL, OPT_DIGITS},
	{"period", required_argument, NULL, OPT_PERIOD},
	{"scratch", required_argument, NULL, OPT_SCRATCH},
	{"days", required_argument, NULL, OPT_DAYS},
	{"secret-stdin", no_argument, NULL, OPT_SECRET_STDIN},
	{"secrets", no_argument, NULL, OPT_SECRETS},
	{"prune", no_argument, NULL, OPT_PRUNE},
	{"reseal", no_argument, NULL, OPT_RESEAL},
	{"format", required_argument, NULL, OPT_FORMAT},
	{"user", required_argument, NULL, OPT_USER},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

int tool_fail(int status, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "sgbridge-otp: ");
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return status;
}

static int usage(FILE *out, int status)
{
	size_t i;

	fprintf(out, "usage: sgbridge-otp [-c CONF] COMMAND [OPTIONS]\n\n");
	for (i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-10s %-16s  %s\n", commands[i].name,
			commands[i].arguments, commands[i].what);
	fprintf(out, "\nsgbridge-otp(8) describes the options.\n");
	return status;
}

int tool_lock(
	struct tool *tool, const char *user, bool create, struct otp_entry *ret)
{
	char why[OTP_WHY_MAX] = "";
	enum sgb_err err = otp_entry_lock(&tool->store, user, create, ret, why);

	if (!err)
		return 0;
	if (err == SGB_ERR_NOTFOUND)
		return tool_fail(EX_NOUSER,
			"%s has no token; make one with: sgbridge-otp enrol %s",
			user, user);
	return tool_fail(err == SGB_ERR_FORMAT && !*why ? EX_USAGE : EX_DATAERR,
		"%s", why);
}

int tool_lock_enrolled(
	struct tool *tool, const char *user, struct otp_entry *ret)
{
	int status = tool_lock(tool, user, false, ret);

	if (status || ret->enrolled)
		return status;
	otp_entry_unlock(ret);
	return tool_fail(EX_NOUSER, "%s has no active token", user);
}

void tool_note(struct tool *tool, const char *op, const char *user, bool ok)
{
	struct kaudit_record record = {
		.type = AUDIT_USER_MGMT,
		.op = op,
		.ok = ok,
		.user = user,
	};

	if (tool->conf->audit != CONF_AUDIT_OFF && kaudit_send(&record) &&
		tool->conf->audit == CONF_AUDIT_REQUIRED)
		(void)tool_fail(0, "warning: kernel audit took no record");
	log_put(LOG_NOTICE, "op=%s user=\"%s\" by-uid=%u result=%s", op, user,
		getuid(), ok ? "done" : "failed");
}

static bool set_echo(bool on)
{
	struct termios settings;

	if (tcgetattr(STDIN_FILENO, &settings))
		return false;
	if (on)
		settings.c_lflag |= ECHO;
	else
		settings.c_lflag &= ~(tcflag_t)ECHO;
	return !tcsetattr(STDIN_FILENO, TCSAFLUSH, &settings);
}

char *tool_read_line(const char *prompt, bool echo)
{
	bool hidden = false;
	char *line = NULL;
	size_t room = 0;
	ssize_t len;

	if (isatty(STDIN_FILENO)) {
		fprintf(stderr, "%s", prompt);
		hidden = !echo && set_echo(false);
	}
	len = getline(&line, &room, stdin);
	if (hidden) {
		(void)set_echo(true);
		fputc('\n', stderr);
	}
	if (len < 0) {
		free(line);
		return NULL;
	}
	line[strcspn(line, "\r\n")] = '\0';
	return line;
}

void tool_json_text(
	struct buf *out, bool first, const char *name, const char *text)
{
	buf_printf(out, "%s\"%s\":", first ? "" : ",", name);
	json_put_string(out, text, strlen(text));
}

int tool_print(struct buf *out)
{
	enum sgb_err err = buf_error(out);
	int status = 0;

	if (err)
		status = tool_fail(EX_OSERR, "%s", sgb_err_text(err));
	else if (fwrite(out->data, 1, out->len, stdout) != out->len ||
		 fflush(stdout))
		status = tool_fail(EX_IOERR, "cannot write the output");
	buf_done(out);
	return status;
}

static bool read_number(const char *text, unsigned int least, unsigned int most,
	unsigned int *ret)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || value < least || value > most)
		return false;
	*ret = (unsigned int)value;
	return true;
}

/* The row of a word in a NULL-terminated list; -1 if it is none of them. */
static int read_choice(const char *text, const char *const *words)
{
	int i;

	for (i = 0; words[i]; i++)
		if (!strcasecmp(words[i], text))
			return i;
	return -1;
}

static bool set_choice(struct tool *tool, int option, const char *text)
{
	static const char *const qrs[] = {"utf8", "ascii", "none", NULL};
	static const char *const hashes[] = {"SHA1", "SHA256", "SHA512", NULL};
	int row = read_choice(text, option == OPT_QR ? qrs : hashes);

	if (option == OPT_QR && row >= 0)
		tool->qr = (enum otp_qr)row;
	if (option == OPT_HASH && row >= 0)
		tool->hash = (enum otp_hash)(row + 1);
	return row >= 0;
}

static bool set_value(struct tool *tool, int option, const char *text)
{
	switch (option) {
	case OPT_DIGITS:
		return read_number(text, 6, OTP_DIGITS_MAX, &tool->digits);
	case OPT_PERIOD: return read_number(text, 10, 300, &tool->period);
	case OPT_SCRATCH:
		return read_number(text, 0, OTP_SCRATCH_MAX, &tool->scratch);
	case OPT_DAYS: return read_number(text, 1, 30, &tool->days);
	case OPT_QR:
	case OPT_HASH: return set_choice(tool, option, text);
	case OPT_CONFIRM: tool->confirm = text; return true;
	case OPT_ISSUER: tool->issuer = text; return *text != '\0';
	case OPT_FORMAT: tool->format = text; return true;
	case OPT_USER: tool->user = text; return true;
	case 'c': tool->conf_path = text; return true;
	case 'o': tool->output = text; return true;
	}
	return false;
}

static bool set_flag(struct tool *tool, int option)
{
	switch (option) {
	case OPT_JSON: return tool->json = true;
	case OPT_REPLACE: return tool->replace = true;
	case OPT_NO_CONFIRM: return tool->no_confirm = true;
	case OPT_SECRET_STDIN: return tool->secret_stdin = true;
	case OPT_SECRETS: return tool->secrets = true;
	case OPT_PRUNE: return tool->prune = true;
	case OPT_RESEAL: return tool->reseal = true;
	case OPT_HOTP: tool->kind = OTP_HOTP; return true;
	}
	return false;
}

static int parse_options(struct tool *tool, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "c:o:h", options, NULL)) !=
		-1) {
		if (option == OPT_HELP || option == 'h')
			return usage(stdout, -1);
		if (option == '?')
			return usage(stderr, EX_USAGE);
		if (optarg ? set_value(tool, option, optarg)
			   : set_flag(tool, option))
			continue;
		return tool_fail(EX_USAGE, "%s: not a value for this option",
			optarg ? optarg : "?");
	}
	return 0;
}

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int open_all(struct tool *tool, const struct command *command)
{
	char why[OTP_WHY_MAX] = "";
	struct diag diag;
	enum sgb_err err;

	diag_init(&diag);
	err = conf_load(tool->conf_path, &tool->conf, &diag);
	if (err)
		diag_print(&diag, stderr, isatty(STDERR_FILENO));
	diag_done(&diag);
	if (err)
		return EX_CONFIG;
	if (command->bare)
		return 0;
	err = otp_store_open(tool->conf, &tool->store, why);
	return err ? tool_fail(EX_CONFIG, "%s", why) : 0;
}

static int run(struct tool *tool, int argc, char **argv)
{
	const struct command *command;
	int status = parse_options(tool, argc, argv);

	if (status)
		return status < 0 ? 0 : status;
	if (optind == argc)
		return usage(stderr, EX_USAGE);
	tool->command = argv[optind];
	command = find_command(tool->command);
	if (!command)
		return tool_fail(EX_USAGE,
			"%s: no such command; see: "
			"sgbridge-otp --help",
			tool->command);
	tool->words = argv + optind + 1;
	tool->word_count = argc - optind - 1;
	if (tool->word_count < command->words_min ||
		tool->word_count > command->words_max)
		return tool_fail(EX_USAGE, "usage: sgbridge-otp %s %s",
			command->name, command->arguments);
	status = open_all(tool, command);
	return status ? status : command->run(tool);
}

int main(int argc, char **argv)
{
	struct tool tool = {
		.conf_path = CONF_DEFAULT_PATH,
		.store = {.dir = -1},
		.kind = OTP_TOTP,
		.hash = OTP_SHA1,
		.digits = 6,
		.period = 30,
		.scratch = 8,
		.days = 7,
	};
	int status;

	umask(077);
	log_init("sgbridge-otp", false);
	status = run(&tool, argc, argv);
	otp_store_close(&tool.store);
	conf_free(tool.conf);
	return status;
}
