/*
 * sgbridge-audit: reads evidence. Runs as the auditor, where the reader keys
 * are, which should not be the bastion. Trusts nothing in a recording: bytes
 * that the target host chose are interpreted only in a sandboxed child.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/places.h"
#include "audit.h"
#include "store.h"

enum option_id {
	OPT_CONF = 'c',
	OPT_DIR = 'd',
	OPT_IDENTITY = 'i',
	OPT_JSON = 'j',
	OPT_OUTPUT = 'o',
	OPT_HELP = 'h',
	OPT_FORMAT = 'f',
	OPT_EVENTS = 256,
	OPT_JOURNAL,
	OPT_WRITER,
	OPT_HEADS,
	OPT_USER,
	OPT_TARGET,
	OPT_LOGIN,
	OPT_SOURCE,
	OPT_SINCE,
	OPT_UNTIL,
	OPT_MFA,
	OPT_STATUS,
	OPT_WHY,
	OPT_SPEED,
	OPT_IDLE,
	OPT_NO_TIMING,
	OPT_REGEX,
	OPT_RAW,
	OPT_SCAN,
	OPT_REBUILD,
	OPT_INDEX,
	OPT_SEGMENTS,
	OPT_DISCLOSED,
	OPT_JOBS,
	OPT_LIMIT,
	OPT_KEY,
	OPT_BY,
	OPT_HOLD,
	OPT_RELEASE,
	OPT_KEEP,
	OPT_YES,
	OPT_COMMANDS,
	OPT_CHANNEL,
	OPT_APPEND,
	OPT_PLAYER,
};

static const struct option options[] = {
	{"conf", required_argument, NULL, OPT_CONF},
	{"dir", required_argument, NULL, OPT_DIR},
	{"identity", required_argument, NULL, OPT_IDENTITY},
	{"json", no_argument, NULL, OPT_JSON},
	{"output", required_argument, NULL, OPT_OUTPUT},
	{"help", no_argument, NULL, OPT_HELP},
	{"format", required_argument, NULL, OPT_FORMAT},
	{"events", required_argument, NULL, OPT_EVENTS},
	{"journal", required_argument, NULL, OPT_JOURNAL},
	{"writer", required_argument, NULL, OPT_WRITER},
	{"heads", required_argument, NULL, OPT_HEADS},
	{"user", required_argument, NULL, OPT_USER},
	{"target", required_argument, NULL, OPT_TARGET},
	{"login", required_argument, NULL, OPT_LOGIN},
	{"source", required_argument, NULL, OPT_SOURCE},
	{"since", required_argument, NULL, OPT_SINCE},
	{"until", required_argument, NULL, OPT_UNTIL},
	{"mfa", required_argument, NULL, OPT_MFA},
	{"status", required_argument, NULL, OPT_STATUS},
	{"why", required_argument, NULL, OPT_WHY},
	{"speed", required_argument, NULL, OPT_SPEED},
	{"idle-limit", required_argument, NULL, OPT_IDLE},
	{"no-timing", no_argument, NULL, OPT_NO_TIMING},
	{"regex", no_argument, NULL, OPT_REGEX},
	{"raw", no_argument, NULL, OPT_RAW},
	{"scan", no_argument, NULL, OPT_SCAN},
	{"rebuild", no_argument, NULL, OPT_REBUILD},
	{"segments", required_argument, NULL, OPT_SEGMENTS},
	{"by", required_argument, NULL, OPT_BY},
	{"hold", required_argument, NULL, OPT_HOLD},
	{"release", required_argument, NULL, OPT_RELEASE},
	{"keep", required_argument, NULL, OPT_KEEP},
	{"yes", no_argument, NULL, OPT_YES},
	{"commands", no_argument, NULL, OPT_COMMANDS},
	{"channel", required_argument, NULL, OPT_CHANNEL},
	{"append", no_argument, NULL, OPT_APPEND},
	{"player", required_argument, NULL, OPT_PLAYER},
	{"key", required_argument, NULL, OPT_KEY},
	{"jobs", required_argument, NULL, OPT_JOBS},
	{"limit", required_argument, NULL, OPT_LIMIT},
	{"disclosed", required_argument, NULL, OPT_DISCLOSED},
	{"index", optional_argument, NULL, OPT_INDEX},
	{NULL, 0, NULL, 0},
};

#define FILTERS \
	"      --user, --target, --login, --source GLOB   who, where, as " \
	"whom\n" \
	"      --since, --until TIME   2026-11-23, \"2026-11-23 18:00\" " \
	"(UTC), " \
	"7d, 12h\n" \
	"      --mfa yes|no            with or without second factor\n" \
	"      --status open|closed|recovered|failed\n"

/* Names of options, with a space behind each. */
#define TAKES_WHO     "user target login source "
#define TAKES_WHEN    "since until "
#define TAKES_ALL     "conf dir identity help events journal why disclosed "
#define TAKES_FILTERS TAKES_WHO TAKES_WHEN "mfa status "

static const struct command {
	const char *name;
	audit_command run;
	const char *takes; /* beside TAKES_ALL */
	const char *usage;
	const char *help;
} commands[] = {
	{"ls", cmd_ls, TAKES_FILTERS "json limit index ", "[filters] [--json]",
		"List recordings. Without a key: times, sizes, states. With "
		"-i: "
		"who, from where, to what.\n"
		"      --limit N               the latest N alone\n"
		"      --index[=FILE]          from the index: no folder is "
		"read\n" FILTERS
		"example: sgbridge-audit ls -i key.pem --user alice --since 7d "
		"--mfa no\n"},
	{"show", cmd_show, "json ", "RECORDING",
		"Everything about one recording but its content.\n"
		"example: sgbridge-audit show -i key.pem 0199c2\n"},
	{"verify", cmd_verify, "json writer heads jobs ",
		"[RECORDING|FILE|events|views]...",
		"Check recordings, index and event trail; all of them without "
		"arguments.\n"
		"Without a key: altered, cut, reordered, missing. With -i also "
		"what is inside.\n"
		"      --writer FILE           accept these writers only\n"
		"      --heads FILE            and nothing older than these "
		"heads, from syslog\n"
		"      --jobs N                so many at once (one a core)\n"
		"exit: 0 intact, 3 open or interrupted, 4 altered, 5 missing, "
		"6 unverifiable\n"
		"example: sgbridge-audit verify --writer writers\n"},
	{"play", cmd_play, "speed idle-limit no-timing channel ",
		"[--speed N] [--idle-limit SECONDS] [--channel N] RECORDING",
		"Play a recording in the terminal, or print its text "
		"elsewhere.\n"
		"      --speed N               2 is twice as fast\n"
		"      --idle-limit SECONDS    wait no longer than this\n"
		"      --no-timing             print the text, do not play\n"
		"      --channel N             this one of a session that has "
		"several\n"
		"keys: space pause, . step, [ ] speed, left right 10 s, "
		"g start, q quit,\n"
		"      / ? search, n N again, ) ( next and last command\n"
		"example: sgbridge-audit play -i key.pem --idle-limit 2 "
		"0199c2\n"},
	{"text", cmd_text, "output channel ", "RECORDING",
		"Print what was on the screen, line by line.\n"
		"      --channel N             of this channel alone\n"
		"example: sgbridge-audit text -i key.pem 0199c2 | less\n"},
	{"commands", cmd_commands, "json ", "RECORDING",
		"List the commands: time, source, confidence, exit status, "
		"text.\n"
		"exec is exact; osc133 is claimed (the shell marked it, any "
		"program can);\n"
		"screen is likely (it stood after the prompt)\n"
		"example: sgbridge-audit commands -i key.pem --json 0199c2\n"},
	{"files", cmd_files, "json ", "RECORDING",
		"List files transferred, changes to files, and forwards.\n"
		"example: sgbridge-audit files -i key.pem 0199c2\n"},
	{"search", cmd_search,
		TAKES_FILTERS "json regex raw index scan limit jobs ",
		"[filters] [--regex] [--raw] TEXT",
		"Find what was on the screen, in commands, names and META.\n"
		"      --regex                 extended expression, no "
		"backslash\n"
		"      --raw                   in the bytes: also what the "
		"screen hid\n"
		"      --index[=FILE]          ask the index that \"index\" "
		"made\n"
		"      --scan                  all of it, not only where it "
		"points to\n"
		"      --jobs N                with --index, so many at once "
		"(one a core)\n"
		"      --limit N               the first N, then no "
		"further\n" FILTERS
		"example: sgbridge-audit search -i key.pem --since 30d --user "
		"'a*' 'drop table'\n"},
	{"index", cmd_index, TAKES_FILTERS "json rebuild index ",
		"[filters] [--rebuild] [--index=FILE]",
		"Put new recordings into the index for \"search --index\".\n"
		"It holds their texts in clear: keep it where the keys are.\n"
		"      --rebuild               throw the old one away first\n"
		"example: sgbridge-audit index -i key.pem\n"},
	{"findings", cmd_findings, TAKES_WHO TAKES_WHEN "json index append ",
		"[filters] [--index[=FILE]] [--append]",
		"Exceptional logons out of the trail, with the facts.\n"
		"new-network, unusual-hour, first-key, no-factor, "
		"many-targets,\n"
		"refused-account, after-failures: sgbridge-audit(1) says "
		"which rules\n"
		"      --since, --until TIME   --user, --source, --target, "
		"--login GLOB\n"
		"      --index[=FILE]          keep what is usual, read only "
		"what is new\n"
		"      --append                tell the trail (on the bastion, "
		"as root)\n"
		"exit: 0 some, 1 none, 65 lines of the trail are damaged\n"
		"example: sgbridge-audit findings --events events --since 7d "
		"--user 'a*'\n"},
	{"who", cmd_who, "json ", "ID [LOG]...",
		"One login by its id: events, recordings, and lines of logs.\n"
		"ID is a connection's or a recording's, or a reference number; "
		"a LOG is syslog\n"
		"or kernel audit as text. No key is needed.\n"
		"example: sgbridge-audit who --events events 7F3K2 auth.log\n"},
	{"collect", cmd_collect, "", "[FILE]...",
		"Logons through this host's own sshd, sudo and su, into the "
		"trail.\n"
		"On the bastion, as root: from the kernel's audit log, or "
		"FILE, "
		"or -. Each once.\n"
		"example: ausearch --raw | sgbridge-audit collect -\n"},
	{"who-viewed", cmd_who_viewed, "json ", "[RECORDING]",
		"List who looked at recordings, from the trail and a "
		"journal.\n"
		"example: sgbridge-audit who-viewed --events events 0199c2\n"},
	{"recover", cmd_recover, "", "-i SIGNING-KEY FILE",
		"End a recording that a crash left open, and state what was "
		"lost.\n"
		"The recorder does this for its own when it starts.\n"},
	{"disclose", cmd_disclose, "json segments output ",
		"[--segments N-M] [-o FILE] RECORDING",
		"Hand over the keys of some segments and of nothing else.\n"
		"Without --segments: list them. The other side uses\n"
		"      --disclosed FILE        instead of -i\n"
		"example: sgbridge-audit disclose -i key.pem --segments 3-5 -o "
		"part 0199c2\n"},
	{"export", cmd_export, "format output player channel ",
		"--format asciicast [--channel N] RECORDING",
		"Convert a recording.\n"
		"  -f, --format FORMAT      asciicast (version 2), "
		"asciicast3, html (a page), ttyrec,\n"
		"                           script, text, raw (the terminal's "
		"bytes), items\n"
		"                           (JSON, all bytes)\n"
		"  -o, --output FILE\n"
		"      --channel N              not the first that shows "
		"something\n"
		"      --player DIR|none        of html: where "
		"asciinema-player "
		"is\n"
		"example: sgbridge-audit export -i key.pem -o demo.cast "
		"0199c2\n"},
	{"watch", cmd_watch, "no-timing channel ",
		"[--channel N] RECORDING | -",
		"Follow a recording that is still written, or \"-\" through a "
		"pipe.\n"
		"Where the key is, not on the bastion: over a mounted folder, "
		"or\n"
		"example: ssh bastion tail -c +1 -f REC.sgr | sgbridge-audit "
		"watch -i key.pem -\n"},
	{"stats", cmd_stats, TAKES_FILTERS "json by commands ",
		"[--by user|target|login|source|day] [filters]",
		"Sessions, time, bytes and compression, summed.\n"
		"      --commands              count commands asked for, too: "
		"reads everything\n" FILTERS
		"example: sgbridge-audit stats -i key.pem --by target --since "
		"30d\n"},
	{"expire", cmd_expire, "json keep hold release key yes ",
		"--keep CLASS=AGE... [--yes]",
		"Delete recordings by rule; without --yes only say which.\n"
		"What goes is written down, signed, so that verify can explain "
		"it.\n"
		"      --keep CLASS=AGE        a class that is not named is "
		"kept\n"
		"      --hold, --release RECORDING   keep it whatever its age\n"
		"      --key FILE, --why TEXT  who signs, and the reason\n"
		"example: sgbridge-audit expire --keep standard=90d --keep "
		"long=2555d\n"},
	{"import", cmd_import, "key output user target ",
		"--key SIGNING-KEY [-o FILE] FILE",
		"Take a ttyrec or asciicast (version 2, 3) into a container of "
		"its own.\n"
		"It is signed by you and says so: nobody here witnessed it.\n"
		"      --key FILE              from \"writer-keygen\", not the "
		"bastion's\n"
		"      --user, --target TEXT   written down as your word\n"
		"example: sgbridge-audit import --key my_key -i key.pem "
		"old.cast\n"},
	{"keygen", cmd_keygen, "format output ",
		"[-f x25519|p256] [-o FILE] | -i IDENTITY",
		"Make a recipient's key pair; prints the line for the "
		"recipients file.\n"
		"With -i: the line of a key that exists (a file, "
		"pkcs11:..., a public key in PEM).\n"
		"example: sgbridge-audit keygen -i "
		"'pkcs11:token=erin;object=reader?module-path=FILE'\n"},
	{"writer-keygen", cmd_writer_keygen, "output ", "[-o FILE]",
		"Make the recorder's signing key; prints the line for the "
		"auditors' pins.\n"},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
	size_t i;

	(void)fprintf(out, "usage: sgbridge-audit COMMAND [options] ...\n\n");
	for (i = 0; i < COMMANDS; i++)
		(void)fprintf(out, "  %-14s %.*s\n", commands[i].name,
			(int)strcspn(commands[i].help, "\n"), commands[i].help);
	(void)fprintf(out,
		"\noptions of all commands:\n"
		"  -c, --conf FILE       settings (default " CONF_DEFAULT_PATH
		", if there)\n"
		"  -d, --dir DIR         recordings\n"
		"  -i, --identity FILE   a recipient's private key; several "
		"for "
		"a quorum\n"
		"  -j, --json            for programs, where a command has it\n"
		"      --events DIR      event trail\n"
		"      --journal DIR     where your own viewing is written "
		"down\n"
		"      --why TEXT        the reason, for that journal\n"
		"A RECORDING is an id, the start of one, or a file. "
		"\"sgbridge-audit COMMAND --help\" says more.\n");
}

static void command_usage(const struct command *command)
{
	(void)printf("usage: sgbridge-audit %s %s\n\n%s", command->name,
		command->usage, command->help);
	exit(0);
}

/* An option that did nothing would pass for one that did. */
static void check_taken(const struct command *command, const char *name)
{
	char word[32];

	(void)snprintf(word, sizeof(word), " %s ", name);
	/* Each list begins with a name, and so without a space. */
	if (!strncmp(TAKES_ALL, word + 1, strlen(word + 1)) ||
		strstr(TAKES_ALL, word) ||
		!strncmp(command->takes, word + 1, strlen(word + 1)) ||
		strstr(command->takes, word))
		return;
	audit_fatal(EX_USAGE,
		"%s does not take --%s; \"sgbridge-audit %s --help\" lists "
		"what it takes",
		command->name, name, command->name);
}

static size_t whole_option(const char *name, const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !number || number > 1000000)
		audit_fatal(EX_USAGE,
			"--%s \"%s\": expected a whole number from 1", name,
			text);
	return number;
}

static const char *status_option(const char *text)
{
	enum store_state state;

	for (state = STORE_UNKNOWN; state <= STORE_PURGED; state++)
		if (!strcmp(text, store_state_text(state)))
			return text;
	audit_fatal(EX_USAGE,
		"--status \"%s\": expected open, closed, recovered, failed, "
		"purged or unknown",
		text);
}

static double number_option(const char *name, const char *text)
{
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end || !(number >= 0) || number > 1e6)
		audit_fatal(
			EX_USAGE, "--%s \"%s\": expected a number", name, text);
	return number;
}

static void take_text(struct audit *audit, int id, const char *text)
{
	const struct {
		int id;
		const char **place;
	} rows[] = {
		{OPT_CONF, &audit->conf_path},
		{OPT_DIR, &audit->dir},
		{OPT_OUTPUT, &audit->output},
		{OPT_FORMAT, &audit->format},
		{OPT_EVENTS, &audit->events},
		{OPT_JOURNAL, &audit->journal},
		{OPT_WRITER, &audit->writers},
		{OPT_HEADS, &audit->heads_path},
		{OPT_USER, &audit->user},
		{OPT_TARGET, &audit->target},
		{OPT_LOGIN, &audit->login},
		{OPT_SOURCE, &audit->source},
		{OPT_SINCE, &audit->since},
		{OPT_UNTIL, &audit->until},
		{OPT_MFA, &audit->mfa},
		{OPT_WHY, &audit->why},
		{OPT_KEY, &audit->key_path},
		{OPT_BY, &audit->by},
		{OPT_HOLD, &audit->hold},
		{OPT_RELEASE, &audit->release},
		{OPT_SEGMENTS, &audit->segments},
		{OPT_PLAYER, &audit->player},
		{OPT_DISCLOSED, &audit->disclosed},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].id == id)
			*rows[i].place = text;
}

static void take_option(
	struct audit *audit, const struct command *command, int id)
{
	switch (id) {
	case OPT_HELP: command_usage(command); break;
	case OPT_JSON: audit->json = true; break;
	case OPT_NO_TIMING: audit->no_timing = true; break;
	case OPT_REGEX: audit->regex = true; break;
	case OPT_RAW: audit->raw = true; break;
	case OPT_SCAN: audit->scan = true; break;
	case OPT_REBUILD: audit->rebuild = true; break;
	case OPT_INDEX: audit->index = optarg ? optarg : ""; break;
	case OPT_YES: audit->yes = true; break;
	case OPT_COMMANDS: audit->count_commands = true; break;
	case OPT_APPEND: audit->append = true; break;
	case OPT_KEEP:
		if (audit->keep_count == AUDIT_KEEP_MAX)
			audit_fatal(EX_USAGE, "too many --keep");
		audit->keep[audit->keep_count++] = optarg;
		break;
	case OPT_JOBS:
		audit->jobs = (unsigned int)whole_option("jobs", optarg);
		break;
	case OPT_CHANNEL:
		audit->channel = whole_option("channel", optarg);
		break;
	case OPT_LIMIT: audit->limit = whole_option("limit", optarg); break;
	case OPT_STATUS: audit->status = status_option(optarg); break;
	case OPT_SPEED: audit->speed = number_option("speed", optarg); break;
	case OPT_IDLE:
		audit->idle_limit = number_option("idle-limit", optarg);
		break;
	case OPT_IDENTITY:
		if (audit->identity_count == AUDIT_IDENTITIES_MAX)
			audit_fatal(EX_USAGE, "too many identities");
		audit->identity_paths[audit->identity_count++] = optarg;
		break;
	case '?':
		audit_fatal(EX_USAGE,
			"\"sgbridge-audit %s --help\" lists what it takes",
			command->name);
	default: take_text(audit, id, optarg);
	}
}

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

int main(int argc, char **argv)
{
	static struct audit audit = {.speed = 1};
	const struct command *command;
	int id, status;
	size_t i;

	if (argc < 2) {
		usage(stderr);
		return EX_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
		!strcmp(argv[1], "help")) {
		usage(stdout);
		return 0;
	}
	command = find_command(argv[1]);
	if (!command)
		audit_fatal(EX_USAGE,
			"unknown command \"%s\"; \"sgbridge-audit help\" lists "
			"them",
			argv[1]);
	audit.command = command->name;
	/* getopt's own words begin with this. */
	argv[1] = program_invocation_short_name;
	while ((id = getopt_long(argc - 1, argv + 1, "c:d:i:jo:hf:", options,
			NULL)) != -1) {
		for (i = 0; options[i].name; i++)
			if (options[i].val == id)
				check_taken(command, options[i].name);
		take_option(&audit, command, id);
	}
	status = command->run(&audit, argc - 1 - optind, argv + 1 + optind);
	if (fflush(stdout) || ferror(stdout))
		audit_fatal(EX_IOERR, "output cannot be written");
	audit_done(&audit);
	return status;
}
