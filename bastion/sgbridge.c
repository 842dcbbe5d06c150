/*
 * sgbridge: the administrator's command. Reads and explains policies by the
 * same parser and the same decision function as the bastion, and talks to a
 * running sgbridged over its control socket. Most commands only look; those
 * that change something (locks, keys, rulesets, sessions, a policy's form) say
 * what in their help. setup is sgbridge-setup's, which it starts.
 */
#include "sgbridge.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/places.h"

static const struct command {
	const char *name;
	int (*run)(struct cli *cli);
	int min_words, max_words; /* -1: any number */
	const char *takes;	  /* NULL: it says so itself */
	const char *arguments;
	const char *summary;
	const char *details;
} commands[] = {
	/* The one without a function is sgbridge-setup's. */
	{"setup", NULL, 0, -1, NULL, "", "make this host a bastion, and back",
		""},
	{"check", cmd_check, 0, 1, "keys max-age unused events mark ", "[FILE]",
		"parse a policy and say what is wrong or unwise",
		"Exit status: 0 clean, 1 warnings, 2 errors. As root, and "
		"without FILE, also\nthe receivers of events in the "
		"settings.\n\n"
		"  sgbridge check\n"
		"  sgbridge check --policy draft.conf --json\n"
		"  sgbridge check --mark\n"
		"  sgbridge check --keys --max-age 365 --unused 90\n"},
	{"explain", cmd_explain, 3, -1, "groups ",
		"USER from ADDRESS to [LOGIN@]TARGET[:PORT] [at TIME] "
		"[via proxy|SERVICE] [for ACTION]",
		"decide one access and say why",
		"The first word of the answer is the verdict. Exit status: 0 "
		"permit, 1 deny,\n2 error. TIME is local, or UTC with a Z; "
		"ACTION is forward, shell, sftp, ...\n\n"
		"  sgbridge explain alice from 203.0.113.9 to root@web1\n"
		"  sgbridge explain alice from 203.0.113.9 to root@web1 at "
		"\"2026-11-23 20:00\"\n"
		"  sgbridge explain alice from 203.0.113.9 to win1:3389 for "
		"forward\n"
		"  sgbridge explain alice from 203.0.113.9 to self via sshd\n"},
	{"who-can", cmd_who_can, 1, 1, "", "[LOGIN@]TARGET[:PORT]",
		"list the people who reach a target, from where, when and how",
		"Exit status: 0 somebody, 1 nobody, 2 error.\n\n"
		"  sgbridge who-can root@web1\n"
		"  sgbridge who-can win1:3389 --json\n"},
	{"what-can", cmd_what_can, 1, 1, "groups ", "USER",
		"list what a user reaches, from where, when and how",
		"Exit status: 0 something, 1 nothing, 2 error.\n\n"
		"  sgbridge what-can alice\n"
		"  sgbridge what-can frank --groups dev,ops\n"},
	{"diff", cmd_diff, 2, 2, "", "OLD NEW",
		"compare two policies by what they allow, not by their text",
		"Exit status: 0 the same, 1 different, 2 error.\n\n"
		"  sgbridge diff /etc/sgbridge/policy.conf draft.conf\n"},
	{"replay", cmd_replay, 1, 1, "since events groups ",
		"NEW [--since TIME] [--events DIR]",
		"judge past connections by a new policy",
		"Lists what it would have refused of what the event trail "
		"tells. Exit status:\n0 nothing, 1 something, 2 error.\n\n"
		"  sgbridge replay draft.conf --since 30d\n"},
	{"fmt", cmd_fmt, 0, 1, "write ", "[-w] [FILE]",
		"print a policy file in its usual form; -w: write it back",
		"Exit status: 0, or 2 for a file that is not a policy.\n\n"
		"  sgbridge fmt draft.conf\n"
		"  sgbridge fmt -w draft.conf\n"},
	{"doctor", cmd_doctor, 0, -1, "connect sshd-config ",
		"[--connect] [--sshd-config FILE] | [LOGIN@]INSTANCE...",
		"look for what is wrong or weak on this bastion, or an "
		"instance",
		"Says what it found, why it matters and which command mends "
		"it; changes nothing.\nWith --connect it also tries the "
		"instances' ports. Exit status: 0 clean, 1 warnings,\n2 "
		"errors.\n\n"
		"  sgbridge doctor\n"
		"  sgbridge doctor --connect --json\n"
		"  sgbridge doctor web1\n"},
	{"nftables", cmd_nftables, 0, 1, "diff for ", "[INSTANCE] [--diff]",
		"the same as topology nftables [--for INSTANCE]",
		"Exit status: 0, or with --diff 1 for a difference; 2 "
		"error.\n\n"
		"  sgbridge nftables | nft -c -f -\n"
		"  sgbridge nftables web1 >web1.nft\n"
		"  ssh -p 30022 alice+ops@web1@bastion sudo nft -f - "
		"<web1.nft\n"},
	{"instance-setup", cmd_instance_setup, 1, 1,
		"nftables confirm-within dry-run undo ",
		"INSTANCE [--nftables] [--confirm-within TIME] [--dry-run] "
		"[--undo]",
		"print the script that makes an instance trust the bastion",
		"For root on the instance: it puts everything back by itself "
		"unless somebody\nconfirms. --dry-run prints the files alone. "
		"Exit status: 0, or 2 error.\n\n"
		"  sgbridge instance-setup web1 --dry-run\n"
		"  sgbridge instance-setup web1 >web1.sh\n"
		"  sgbridge instance-setup web1 --nftables >web1.sh\n"
		"  sgbridge instance-setup web1 --undo >web1.sh\n\n"
		"The first time by the way in that there is, from then on "
		"through the bastion:\n"
		"  ssh root@web1 sh <web1.sh\n"
		"  ssh -p 30022 alice+ops@web1@bastion sudo sh <web1.sh\n"},
	{"host-keys", cmd_host_keys, 0, 1, "", "[INSTANCE]",
		"list what vouches for the host keys of instances",
		"Pins of the policy, lines of the files of known-hosts, and "
		"CAs there. Exit status:\n0, 1 if there is an instance with "
		"none, 2 error.\n\n"
		"  sgbridge host-keys\n"
		"  sgbridge host-keys web1 --json\n"},
	{"key", cmd_key, 1, 3, NULL,
		"generate|import|list|show|public|rotate|delete [NAME] [FILE]",
		"keep keys for instances that take no certificates",
		"  generate NAME --for WHAT,... [--type ed25519|ecdsa|rsa]\n"
		"  import NAME --for WHAT,... FILE\n"
		"  list                   who uses them, and how old they are\n"
		"  show NAME, public NAME for authorized_keys on the instance\n"
		"  rotate NAME            a new one first, beside the old one\n"
		"  rotate NAME --finish   the new one alone\n"
		"  delete NAME\n\n"
		"WHAT are instances and security groups of the policy: it is "
		"refused for others.\nExit status: 0, list: 1 if there is "
		"something to do, 2 error.\n\n"
		"  sgbridge key generate switches --for SG_Switches --type "
		"rsa\n"
		"  sgbridge key public switches\n"
		"  sgbridge key list --max-age 365 --unused 90\n"},
	{"topology", cmd_topology, 1, -1, NULL,
		"import|show|check|drift|reach|nftables|apply|confirm|restore "
		"...",
		"bring in, show, check, compare and enforce security groups",
		"  import aliyun|aws FILES...  exports as policy language\n"
		"  show [--dot|--svg]          what the policy declares, as "
		"tables or a picture\n"
		"  check                       what is open and should not be\n"
		"  drift FILES...              the policy against fresh "
		"exports\n"
		"  reach FROM TO[:PORT]        do the groups let this "
		"through?\n"
		"  nftables [--for INSTANCE]   the ruleset of the bastion or "
		"an instance;\n"
		"                              --diff: against what is loaded\n"
		"  apply [--dry-run] [--confirm-within TIME] [--for "
		"INSTANCE]\n"
		"                              load it, at once or not at all\n"
		"  confirm                     keep what was applied\n"
		"  restore                     load the ruleset of before\n\n"
		"Exit status: 0 good, 1 not all of it could be imported, or "
		"something was found or\ndiffers (reach: closed; confirm: "
		"nothing waits), 2 error.\n\n"
		"  sgbridge topology import aliyun groups.json sg-*.json "
		"instances.json\n"
		"  sgbridge topology show --svg >topology.svg\n"
		"  sgbridge topology drift exports/*.json\n"
		"  sgbridge topology apply --dry-run\n"
		"  sgbridge topology apply --confirm-within 2m\n"},
	{"rotate", cmd_rotate, 0, 1, "switch finish undo ",
		"[host-key|user-ca|recorder|master [--switch|--finish|--undo]]",
		"replace a key by the next one, with an overlap",
		"A step at a time, and each says what remains to be done: "
		"without an option the next\nkey is made and announced, "
		"--switch uses it, --finish forgets the old one, --undo\n"
		"goes one step back. Without a key: what is under way. Exit "
		"status: 0 done (nothing\nis under way), 1 not the time for "
		"this step (something is), 2 error.\n\n"
		"  sgbridge rotate\n"
		"  sgbridge rotate user-ca\n"
		"  sgbridge rotate user-ca --switch\n"
		"  sgbridge rotate user-ca --finish\n"},
	{"status", cmd_status, 0, 0, "", "", "ask sgbridged how it is",
		"  sgbridge status\n"},
	{"sessions", cmd_sessions, 0, 0, "", "", "list the connections of now",
		"  sgbridge sessions\n  sgbridge sessions --json\n"},
	{"watch", cmd_watch, 1, 1, "", "ID",
		"show a session live, as its user sees it",
		"What could make this terminal answer or change its name is "
		"left out. Looking is an\nevent. Ctrl-C ends.\n\n"
		"  sgbridge watch 6a1b2c3d4e5f6071\n"},
	{"end", cmd_end, 1, -1, "", "ID [REASON]",
		"end a connection; its user reads the reason",
		"  sgbridge end 7c1d2e3f \"Maintenance begins.\"\n"},
	{"requests", cmd_requests, 0, 0, "", "",
		"list accesses that wait or were asked for, and the yeses "
		"that hold",
		"State: waits (a connection, just now), asked (ahead), granted "
		"or denied.\n\n"
		"  sgbridge requests\n  sgbridge requests --json\n"},
	{"approve", cmd_approve, 1, -1, "", "ID [REASON]",
		"say yes to a request, as the person who logged on here",
		"Counts if that person, by the kernel's loginuid and not as "
		"root, is of the\ngroup that the rule names. Exit status: 0, "
		"or not.\n\n"
		"  sudo sgbridge approve 6a1b2c3d4e5f6071\n"},
	{"deny", cmd_deny, 1, -1, "", "ID [REASON]",
		"say no to a request, or take a yes back",
		"What the yes let in for a time is ended.\n\n"
		"  sudo sgbridge deny 6a1b2c3d4e5f6071 \"not today\"\n"},
	{"lock", cmd_lock, 0, -1, "", "[USER [REASON]]",
		"shut a person out of every door, and end what he has open",
		"Holds for the proxy, sshd, sudo and su, whatever the policy "
		"says, until unlock.\nWithout a user: lists who is locked.\n\n"
		"  sgbridge lock mallory \"key lost on a train\"\n"
		"  sgbridge lock --json\n"},
	{"unlock", cmd_unlock, 1, 1, "", "USER", "let a locked person in again",
		"Exit status: 0, 1 if he was not locked, 2 error.\n\n"
		"  sgbridge unlock mallory\n"},
	{"reload", cmd_reload, 0, 0, "", "",
		"read settings and policy again, and apply them to live "
		"sessions",
		"  sgbridge reload\n"},
	{"metrics", cmd_metrics, 0, 0, "", "",
		"print counters in Prometheus' text format",
		"For node_exporter's textfile collector, for instance:\n\n"
		"  sgbridge metrics >/var/lib/node_exporter/sgbridge.prom\n"
		"  sgbridge-forward --metrics "
		">/var/lib/node_exporter/sgbridge-forward.prom\n"},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

int cli_fail(const char *fmt, ...)
{
	va_list args;

	fputs("sgbridge: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return CLI_ERROR;
}

static void usage(FILE *out)
{
	size_t i;

	fputs("usage: sgbridge COMMAND [options] [arguments]\n\n", out);
	for (i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-14s  %s\n", commands[i].name,
			commands[i].summary);
	fputs("\n  -p, --policy FILE  this policy instead of the "
	      "configured one\n"
	      "  -c, --config FILE  this sgbridge.conf\n"
	      "  -j, --json         for programs (also --format json)\n"
	      "      --groups A,B   a user's Unix groups, instead of asking "
	      "the system\n"
	      "      --keys[=DIR]   check: the authorized_keys of all users, "
	      "too\n"
	      "      --max-age DAYS check --keys: keys older than that\n"
	      "      --unused DAYS  check --keys: keys not used for so long\n"
	      "      --color WHEN   auto, always or never\n"
	      "  -h, --help         this, or help about a command\n\n"
	      "sgbridge COMMAND --help has examples; sgbridge(8), "
	      "sgbridge-policy(5)\n",
		out);
}

static void help(const struct command *command)
{
	printf("usage: sgbridge %s [options] %s\n\n%s.\n\n%s", command->name,
		command->arguments, command->summary, command->details);
}

const char *cli_policy_path(struct cli *cli)
{
	struct conf *conf = NULL;
	struct diag diag;

	if (cli->policy_path)
		return cli->policy_path;
	diag_init(&diag);
	if (!conf_load(cli->config ? cli->config : CONF_DEFAULT_PATH, &conf,
		    &diag)) {
		cli->own_path = strdup(conf->policy);
		cli->policy_path = cli->own_path;
		conf_free(conf);
	} else if (cli->config) {
		diag_print(&diag, stderr, cli->colour);
	} else {
		cli->policy_path = SYSCONFDIR "/policy.conf";
	}
	diag_done(&diag);
	return cli->policy_path;
}

bool cli_conf(struct cli *cli, struct conf **ret)
{
	const char *path = cli->config ? cli->config : CONF_DEFAULT_PATH;
	struct diag diag;
	bool absent = !cli->config && access(path, F_OK) && errno == ENOENT;
	enum sgb_err err;

	diag_init(&diag);
	err = absent ? conf_parse(path, "", 0, ret, &diag)
		     : conf_load(path, ret, &diag);
	if (err)
		diag_print(&diag, stderr, cli->colour);
	diag_done(&diag);
	return !err;
}

char *cli_keys_path(struct cli *cli)
{
	struct conf *conf = NULL;
	struct diag diag;
	char *path = NULL;

	if (*cli->keys)
		return strdup(cli->keys);
	diag_init(&diag);
	if (conf_load(cli->config ? cli->config : CONF_DEFAULT_PATH, &conf,
		    &diag))
		diag_print(&diag, stderr, cli->colour);
	else
		path = strdup(conf->authorized_keys);
	conf_free(conf);
	diag_done(&diag);
	return path;
}

bool cli_load_path(struct cli *cli, const char *path,
	struct policy_source **source, struct policy **policy)
{
	struct diag diag;
	enum sgb_err err;

	diag_init(&diag);
	err = policy_source_read(path, source, &diag);
	if (!err)
		err = policy_compile(*source, policy, &diag);
	if (err) {
		diag_print(&diag, stderr, cli->colour);
		if (!diag.count)
			cli_fail("%s: %s", path, sgb_err_text(err));
	}
	diag_done(&diag);
	return !err;
}

bool cli_load(struct cli *cli)
{
	const char *path = cli_policy_path(cli);

	return path && cli_load_path(cli, path, &cli->source, &cli->policy);
}

void cli_print(const struct buf *out)
{
	if (buf_error(out)) {
		cli_fail("%s", sgb_err_text(buf_error(out)));
		return;
	}
	if (out->len)
		fwrite(out->data, 1, out->len, stdout);
}

static bool set_format(struct cli *cli, const char *text)
{
	cli->json = !strcmp(text, "json");
	return cli->json || !strcmp(text, "text");
}

static bool set_colour(struct cli *cli, const char *text)
{
	if (!strcmp(text, "always"))
		cli->colour = true;
	else if (!strcmp(text, "never"))
		cli->colour = false;
	else
		return !strcmp(text, "auto");
	return true;
}

static bool set_days(unsigned int *ret, const char *text)
{
	char *end;
	unsigned long days = strtoul(text, &end, 10);

	*ret = (unsigned int)days;
	return *text >= '1' && *text <= '9' && !*end && days <= 36500;
}

/* Those that mean something everywhere are not noted. */
static bool note_option(
	struct cli *cli, const struct option *options, int letter)
{
	if (strchr("pcjfCh?", letter))
		return true;
	while (options->name && options->val != letter)
		options++;
	if (!options->name || cli->given_count == CLI_GIVEN_MAX)
		return false;
	cli->given[cli->given_count++] = options->name;
	return true;
}

/* Returns the exit code for options that end it all, or -1. */
static int parse_options(
	struct cli *cli, const struct command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{"policy", required_argument, NULL, 'p'},
		{"config", required_argument, NULL, 'c'},
		{"json", no_argument, NULL, 'j'},
		{"format", required_argument, NULL, 'f'},
		{"groups", required_argument, NULL, 'g'},
		{"keys", optional_argument, NULL, 'K'},
		{"max-age", required_argument, NULL, 'A'},
		{"unused", required_argument, NULL, 'U'},
		{"color", required_argument, NULL, 'C'},
		{"colour", required_argument, NULL, 'C'},
		{"write", no_argument, NULL, 'w'},
		{"mark", no_argument, NULL, 'M'},
		{"dot", no_argument, NULL, 'D'},
		{"svg", no_argument, NULL, 'V'},
		{"diff", no_argument, NULL, 'd'},
		{"dry-run", no_argument, NULL, 'n'},
		{"nftables", no_argument, NULL, 'N'},
		{"undo", no_argument, NULL, 'u'},
		{"switch", no_argument, NULL, 'X'},
		{"finish", no_argument, NULL, 'Y'},
		{"for", required_argument, NULL, 'F'},
		{"confirm-within", required_argument, NULL, 'W'},
		{"since", required_argument, NULL, 'S'},
		{"events", required_argument, NULL, 'E'},
		{"type", required_argument, NULL, 'T'},
		{"connect", no_argument, NULL, 'k'},
		{"sshd-config", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "p:c:jwh", options, NULL)) != -1) {
		bool good = note_option(cli, options, c);

		if (!good)
			return cli_fail("too many options");
		switch (c) {
		case 'p': cli->policy_path = optarg; break;
		case 'c': cli->config = optarg; break;
		case 'j': cli->json = true; break;
		case 'w': cli->write = true; break;
		case 'M': cli->mark = true; break;
		case 'D': cli->dot = true; break;
		case 'V': cli->svg = true; break;
		case 'd': cli->diff = true; break;
		case 'n': cli->dry_run = true; break;
		case 'N': cli->nftables = true; break;
		case 'u': cli->undo = true; break;
		case 'X': cli->switch_over = true; break;
		case 'Y': cli->finish = true; break;
		case 'F': cli->instance = optarg; break;
		case 'W': cli->confirm = optarg; break;
		case 'S': cli->since = optarg; break;
		case 'E': cli->events = optarg; break;
		case 'T': cli->type = optarg; break;
		case 'k': cli->connect = true; break;
		case 's': cli->sshd_config = optarg; break;
		case 'g': cli->groups = optarg; break;
		case 'K': cli->keys = optarg ? optarg : ""; break;
		case 'A': good = set_days(&cli->max_days, optarg); break;
		case 'U': good = set_days(&cli->idle_days, optarg); break;
		case 'f': good = set_format(cli, optarg); break;
		case 'C': good = set_colour(cli, optarg); break;
		case 'h': help(command); return CLI_YES;
		default: return CLI_ERROR;
		}
		if (!good)
			return cli_fail(
				"\"%s\" is not a value of this option", optarg);
	}
	cli->argc = argc - optind;
	cli->argv = argv + optind;
	return -1;
}

static const struct command *find_command(const char *name)
{
	const char *names[COMMAND_COUNT + 1] = {NULL};
	const char *nearest;
	size_t i;

	for (i = 0; i < COMMAND_COUNT; i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
		names[i] = commands[i].name;
	}
	nearest = diag_nearest(name, names);
	if (nearest)
		cli_fail("unknown command \"%s\": did you mean \"%s\"?", name,
			nearest);
	else
		cli_fail("unknown command \"%s\": sgbridge --help lists them",
			name);
	return NULL;
}

static int run(struct cli *cli, const struct command *command)
{
	int status;

	if (cli->argc < command->min_words ||
		(command->max_words >= 0 && cli->argc > command->max_words))
		return cli_fail("usage: sgbridge %s %s", command->name,
			command->arguments);
	if (command->takes && !cli_takes(cli, command->name, command->takes))
		return CLI_ERROR;
	status = command->run(cli);
	policy_free(cli->policy);
	policy_source_free(cli->source);
	free(cli->own_path);
	if (fflush(stdout) || ferror(stdout))
		return cli_fail("standard output: %s", strerror(errno));
	return status;
}

/* What changes the host is a program of its own, beside this one or where it
 * is installed. */
static int run_setup(char **argv)
{
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 20);

	if (len > 0) {
		path[len] = '\0';
		strcpy(strrchr(path, '/'), "/sgbridge-setup");
		if (!access(path, X_OK))
			execv(path, argv);
	}
	execv(LIBEXECDIR "/sgbridge-setup", argv);
	return cli_fail(LIBEXECDIR "/sgbridge-setup: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	const struct command *command;
	struct cli cli = {0};
	int status;

	cli.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	if (argc < 2) {
		usage(stderr);
		return CLI_ERROR;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
		!strcmp(argv[1], "help")) {
		usage(stdout);
		return CLI_YES;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("sgbridge " SGB_VERSION);
		return CLI_YES;
	}
	command = find_command(argv[1]);
	if (!command)
		return CLI_ERROR;
	if (!command->run)
		return run_setup(argv);
	cli.command = command->name;
	status = parse_options(&cli, command, argc - 1, argv + 1);
	return status >= 0 ? status : run(&cli, command);
}
