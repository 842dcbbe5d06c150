/*
 * sgbridge lock, unlock: shut a person out of both doors at once, whatever
 * the policy says, and end what he has open. The lock is a file, written
 * first: it holds even where no sgbridged runs, and what logs on meanwhile
 * meets it. Trusts root, who runs it.
 */
#include "sgbridge.h"

#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/conf.h"
#include "core/log.h"
#include "core/msg.h"
#include "core/userlock.h"

/* The folder of the locks; the caller frees it. NULL after a message. */
static char *locks_path(struct cli *cli)
{
	struct conf *conf = NULL;
	char *path = cli_conf(cli, &conf) ? strdup(conf->locks) : NULL;

	conf_free(conf);
	return path;
}

static void put_row(const char *user, const char *text, void *arg)
{
	struct table *table = arg;

	table_put(table, user);
	table_put(table, text);
}

static int list(struct cli *cli, const char *dir)
{
	static const char *const columns[] = {"user", "locked", NULL};
	char why[PATH_MAX + 200];
	struct table table;
	struct buf out;
	enum sgb_err err;

	table_init(&table, columns);
	err = userlock_each(dir, put_row, &table, why, sizeof(why));
	if (err) {
		cli_fail("%s", why);
	} else if (cli->json) {
		buf_init(&out, 16 * 1024 * 1024);
		table_json(&table, &out);
		buf_printf(&out, "\n");
		cli_print(&out);
		buf_done(&out);
	} else if (table.count) {
		table_print(&table, cli->colour);
	} else {
		puts("nobody is locked");
	}
	table_done(&table);
	return err ? CLI_ERROR : CLI_YES;
}

const char *cli_operator(void)
{
	char text[16] = "";
	FILE *file = fopen("/proc/self/loginuid", "re");
	const struct passwd *pw = NULL;
	char *end = text;
	unsigned long uid;

	if (file && fgets(text, sizeof(text), file)) {
		uid = strtoul(text, &end, 10);
		if (end != text && uid != UINT32_MAX)
			pw = getpwuid((uid_t)uid);
	}
	if (file)
		fclose(file);
	return pw ? pw->pw_name : "root";
}

/* "2026-11-23T10:00:00Z by alice: reason", without control characters. */
static void put_text(struct buf *text, const struct cli *cli)
{
	time_t now = time(NULL);
	struct tm tm;
	char when[32] = "";
	size_t at;
	int i;

	if (gmtime_r(&now, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_printf(text, "%s by %s", when, cli_operator());
	for (i = 1; i < cli->argc; i++)
		buf_printf(text, "%s%s", i > 1 ? " " : ": ", cli->argv[i]);
	for (at = 0; at < text->len; at++)
		if (text->data[at] < ' ' || text->data[at] == 0x7f)
			text->data[at] = ' ';
	buf_put_u8(text, '\0');
}

/* The daemon has every monitor judge again, and counts. */
static int tell_daemon(struct cli *cli, const char *user)
{
	struct msg question;
	uint32_t status = 0;
	char *json;

	msg_init(&question, MSG_CTL_LOCK);
	buf_put_cstring(&question.body, user);
	if (!cli_control(cli, &question, &status, &json))
		return cli_fail("%s is locked, but no sgbridged was told: "
				"sessions that are open end within half a "
				"minute, if at all",
			user);
	if (cli->json)
		puts(json);
	else
		cli_print_result(json, stdout);
	free(json);
	return (int)status;
}

int cmd_lock(struct cli *cli)
{
	char why[PATH_MAX + 200];
	struct buf text;
	char *dir = locks_path(cli);
	enum sgb_err err;
	int status;

	if (!dir)
		return CLI_ERROR;
	if (!cli->argc) {
		status = list(cli, dir);
		free(dir);
		return status;
	}
	buf_init(&text, 4096);
	put_text(&text, cli);
	err = buf_error(&text);
	snprintf(why, sizeof(why), "the reason is too long");
	if (!err)
		err = userlock_set(dir, cli->argv[0], (const char *)text.data,
			why, sizeof(why));
	buf_done(&text);
	free(dir);
	if (err)
		return cli_fail("%s", why);
	log_init("sgbridge", false);
	log_put(LOG_NOTICE, "%s is locked", cli->argv[0]);
	return tell_daemon(cli, cli->argv[0]);
}

int cmd_unlock(struct cli *cli)
{
	char why[PATH_MAX + 200];
	char *dir = locks_path(cli);
	enum sgb_err err;

	if (!dir)
		return CLI_ERROR;
	err = userlock_clear(dir, cli->argv[0], why, sizeof(why));
	free(dir);
	if (err) {
		cli_fail("%s", why);
		return err == SGB_ERR_NOTFOUND ? CLI_NO : CLI_ERROR;
	}
	log_init("sgbridge", false);
	log_put(LOG_NOTICE, "%s is no longer locked", cli->argv[0]);
	if (cli->json)
		puts("{\"result\":\"unlocked\"}");
	else
		printf("%s is no longer locked\n", cli->argv[0]);
	return CLI_YES;
}
