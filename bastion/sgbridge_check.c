/* sgbridge check: what is wrong with a policy, and what is unwise in it. */
#include "sgbridge.h"

#include "core/conf.h"
#include "core/policy_reduce.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/event.h"
#include "core/places.h"

#define OUT_MAX (4 * 1024 * 1024)

void lint_warn(struct lint *lint, const char *code, struct policy_place place,
	const char *fmt, ...)
{
	char text[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	policy_report(
		&lint->parser, DIAG_WARNING, code, place, NULL, "%s", text);
}

static const char *level_name(enum diag_level level)
{
	return level == DIAG_ERROR     ? "error"
	       : level == DIAG_WARNING ? "warning"
				       : "note";
}

static void put_item(const struct diag_item *item, struct buf *out)
{
	buf_put_u8(out, '{');
	text_json_member(out, "level", level_name(item->level));
	buf_put_u8(out, ',');
	text_json_member(out, "code", item->code);
	buf_put_u8(out, ',');
	text_json_member(out, "file", item->file);
	buf_printf(
		out, ",\"line\":%u,\"column\":%u,", item->line, item->column);
	text_json_member(out, "text", item->text);
	buf_put_u8(out, ',');
	text_json_member(out, "hint", item->hint);
	buf_put_u8(out, '}');
}

static void print_json(const char *path, const struct diag *diag)
{
	struct buf out;
	size_t i;

	buf_init(&out, OUT_MAX);
	buf_put_u8(&out, '{');
	text_json_member(&out, "policy", path);
	buf_printf(&out, ",\"errors\":%zu,\"warnings\":%zu,\"more\":%zu,",
		diag->errors, diag->warnings, diag->dropped);
	buf_printf(&out, "\"items\":[");
	for (i = 0; i < diag->count; i++) {
		buf_printf(&out, "%s", i ? "," : "");
		put_item(&diag->items[i], &out);
	}
	buf_printf(&out, "]}\n");
	cli_print(&out);
	buf_done(&out);
}

static void put_count(size_t count, const char *what)
{
	printf("%zu %s%s", count, what, count == 1 ? "" : "s");
}

static void print_human(
	struct cli *cli, const char *path, const struct diag *diag)
{
	diag_print(diag, stdout, cli->colour);
	if (!diag->errors && !diag->warnings) {
		const struct policy *policy = cli->policy;

		printf("%s: good: ", path);
		put_count(policy->rules.count, "rule");
		printf(", ");
		put_count(policy->users.count, "user");
		printf(", ");
		put_count(policy->nodes.count, "instance");
		printf(", ");
		put_count(policy->nets.count, "network");
		putchar('\n');
		return;
	}
	printf("%s: ", path);
	put_count(diag->errors, "error");
	printf(", ");
	put_count(diag->warnings, "warning");
	putchar('\n');
}

static bool check_keys(struct cli *cli, struct lint *lint)
{
	char *folder = cli_keys_path(cli);
	bool good = folder && lint_keys(lint, cli, folder);

	free(folder);
	return good;
}

/* For logins through PAM: this very policy was found good. */
static bool mark(struct cli *cli)
{
	struct conf *conf = NULL;
	struct diag diag;
	enum sgb_err err;

	diag_init(&diag);
	err = conf_load(
		cli->config ? cli->config : CONF_DEFAULT_PATH, &conf, &diag);
	if (!err) {
		err = policy_mark_write(conf->policy_mark, cli->source);
		if (err)
			cli_fail(
				"%s: %s", conf->policy_mark, sgb_err_text(err));
	}
	diag_print(&diag, stderr, cli->colour);
	conf_free(conf);
	diag_done(&diag);
	return !err;
}

/* For the files of known-hosts; without settings there are none. */
static struct conf *find_conf(const struct cli *cli)
{
	struct conf *conf = NULL;
	struct diag diag;

	diag_init(&diag);
	if (conf_load(cli->config ? cli->config : CONF_DEFAULT_PATH, &conf,
		    &diag))
		conf = NULL;
	diag_done(&diag);
	return conf;
}

/* "FILE:LINE: syslog: what" of sgbridge-forward. Its user reads the files that
 * the lines name, which is root's to arrange; and a policy that was named is
 * looked at alone. */
static void check_forward(
	struct cli *cli, const struct conf *conf, struct diag *diag)
{
	const char *path = cli->config ? cli->config : CONF_DEFAULT_PATH;
	size_t len = strlen(path);
	unsigned long line = 0;
	char why[2048], *text = why;

	if (geteuid() != 0 || !cli_forward_wanted(conf) ||
		cli_forward_test(path, why, sizeof(why)))
		return;
	if (!strncmp(why, path, len) && why[len] == ':')
		line = strtoul(why + len + 1, &text, 10);
	if (line && !strncmp(text, ": ", 2))
		text += 2;
	else
		text = why;
	diag_error(diag, path, (unsigned int)line, "%s", text);
}

int cmd_check(struct cli *cli)
{
	struct lint lint = {.now = time(NULL)};
	struct conf *conf = find_conf(cli);
	const char *path;
	struct diag diag;
	enum sgb_err err;
	int status;
	bool all;

	if (cli->argc == 1)
		cli->policy_path = cli->argv[0];
	all = !cli->policy_path;
	path = cli_policy_path(cli);
	if (!path) {
		conf_free(conf);
		return CLI_ERROR;
	}
	lint.conf = conf;
	diag_init(&diag);
	err = policy_source_read(path, &cli->source, &diag);
	if (!err)
		err = policy_compile(cli->source, &cli->policy, &diag);
	if (!err) {
		lint.parser.policy = cli->policy;
		lint.parser.source = cli->source;
		lint.parser.diag = &diag;
		lint_all(&lint);
		if (cli->keys && !check_keys(cli, &lint))
			diag_error(&diag, path, 0, "the keys were not checked");
	} else if (!diag.errors) {
		diag_error(&diag, path, 0, "%s", sgb_err_text(err));
	}
	if (all)
		check_forward(cli, conf, &diag);
	if (cli->json)
		print_json(path, &diag);
	else
		print_human(cli, path, &diag);
	status = diag.errors ? CLI_ERROR : diag.warnings ? CLI_NO : CLI_YES;
	if (cli->mark && !diag.errors && !mark(cli))
		status = CLI_ERROR;
	diag_done(&diag);
	conf_free(conf);
	return status;
}
