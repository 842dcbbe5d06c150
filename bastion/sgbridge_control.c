/*
 * sgbridge status, sessions, end, reload: questions to a running sgbridged.
 * The answers are JSON; for people they become tables.
 */
#include "sgbridge.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/msg.h"

#define VALUE_MAX 512

/* Our own daemon's JSON: objects of plain values, and arrays of those. */
struct json {
	const char *at, *end;
};

static void json_blank(struct json *json)
{
	while (json->at < json->end && strchr(" \t\r\n,:", *json->at) &&
		*json->at)
		json->at++;
}

static bool json_mark(struct json *json, char mark)
{
	json_blank(json);
	if (json->at >= json->end || *json->at != mark)
		return false;
	json->at++;
	return true;
}

/* A string without its quotes, or a bare value; escapes other than quotes
 * and backslashes stay as they are. */
static bool json_value(struct json *json, char out[VALUE_MAX])
{
	size_t len = 0;
	bool quoted;

	json_blank(json);
	quoted = json_mark(json, '"');
	while (json->at < json->end) {
		char c = *json->at;

		if (quoted ? c == '"' : strchr(",}] \n", c) != NULL)
			break;
		if (quoted && c == '\\' && json->at + 1 < json->end &&
			(json->at[1] == '"' || json->at[1] == '\\'))
			c = *++json->at;
		if (len + 1 < VALUE_MAX)
			out[len++] = c;
		json->at++;
	}
	out[len] = '\0';
	return !quoted || json_mark(json, '"');
}

static enum sgb_err ask(
	int sock, struct msg *question, uint32_t *ret_status, char **ret_json)
{
	struct msg answer;
	enum sgb_err err = msg_send(sock, question);

	msg_init(&answer, MSG_NONE);
	if (!err)
		err = msg_recv(sock, &answer);
	if (!err && answer.type != MSG_CTL_TEXT)
		err = SGB_ERR_FORMAT;
	if (!err) {
		*ret_status = reader_u32(&answer.reader);
		*ret_json = reader_cstring(&answer.reader, MSG_MAX_BYTES);
		err = reader_end(&answer.reader);
	}
	msg_done(&answer);
	return err;
}

/* The path of the control socket, which the caller frees. */
static char *socket_path(struct cli *cli)
{
	struct conf *conf = NULL;
	struct diag diag;
	char *path = NULL;

	diag_init(&diag);
	if (conf_load(cli->config ? cli->config : CONF_DEFAULT_PATH, &conf,
		    &diag))
		diag_print(&diag, stderr, cli->colour);
	else
		path = strdup(conf->control_socket);
	conf_free(conf);
	diag_done(&diag);
	return path;
}

bool cli_control(struct cli *cli, struct msg *question, uint32_t *ret_status,
	char **ret_json)
{
	char *path = socket_path(cli);
	enum sgb_err err;
	int sock = -1;

	*ret_json = NULL;
	if (!path) {
		msg_done(question);
		return false;
	}
	err = msg_connect(path, &sock);
	if (err)
		cli_fail("%s: no sgbridged answers here; is it running, and "
			 "are you root?",
			path);
	else
		err = ask(sock, question, ret_status, ret_json);
	if (err && sock >= 0)
		cli_fail("%s: %s", path, sgb_err_text(err));
	if (sock >= 0)
		close(sock);
	msg_done(question);
	free(path);
	return !err && *ret_json;
}

static void print_pairs(const char *text)
{
	struct json json = {text, text + strlen(text)};
	char name[VALUE_MAX], value[VALUE_MAX];
	static const char *const columns[] = {"what", "value", NULL};
	struct table table;

	table_init(&table, columns);
	json_mark(&json, '{');
	while (!json_mark(&json, '}') && json.at < json.end) {
		if (!json_value(&json, name) || !json_value(&json, value))
			break;
		table_put(&table, name);
		table_put(&table, value);
	}
	table_print(&table, false);
	table_done(&table);
}

int cmd_status(struct cli *cli)
{
	struct msg question;
	uint32_t status = 0;
	char *json;

	msg_init(&question, MSG_CTL_STATUS);
	if (!cli_control(cli, &question, &status, &json))
		return CLI_ERROR;
	if (cli->json)
		puts(json);
	else
		print_pairs(json);
	free(json);
	return (int)status;
}

static const char *const session_columns[] = {"id", "since", "user", "source",
	"phase", "login", "target", "recording", NULL};

struct session_row {
	char values[8][VALUE_MAX];
};

static void session_since(char value[VALUE_MAX])
{
	time_t since = (time_t)strtoll(value, NULL, 10);
	struct tm tm;

	if (since > 0 && localtime_r(&since, &tm))
		strftime(value, VALUE_MAX, "%F %T", &tm);
}

static bool session_read(struct json *json, struct session_row *row)
{
	char name[VALUE_MAX], value[VALUE_MAX];
	size_t i;

	memset(row, 0, sizeof(*row));
	if (!json_mark(json, '{'))
		return false;
	while (!json_mark(json, '}')) {
		if (json->at >= json->end || !json_value(json, name) ||
			!json_value(json, value))
			return false;
		for (i = 0; session_columns[i]; i++)
			if (!strcmp(session_columns[i], name))
				strcpy(row->values[i], value);
	}
	session_since(row->values[1]);
	return true;
}

static void print_sessions(struct cli *cli, const char *text)
{
	struct json json = {text, text + strlen(text)};
	char name[VALUE_MAX];
	struct session_row row;
	struct table table;
	size_t i;

	table_init(&table, session_columns);
	json_mark(&json, '{');
	if (json_value(&json, name) && json_mark(&json, '['))
		while (!json_mark(&json, ']') && session_read(&json, &row))
			for (i = 0; session_columns[i]; i++)
				table_put(&table,
					*row.values[i] ? row.values[i] : "-");
	if (table.count)
		table_print(&table, cli->colour);
	else
		puts("no connections");
	if (json_value(&json, name) && json_value(&json, row.values[0]) &&
		strcmp(row.values[0], "0"))
		printf("and %s more\n", row.values[0]);
	table_done(&table);
}

int cmd_sessions(struct cli *cli)
{
	struct msg question;
	uint32_t status = 0;
	char *json;

	msg_init(&question, MSG_CTL_LIST);
	if (!cli_control(cli, &question, &status, &json))
		return CLI_ERROR;
	if (cli->json)
		puts(json);
	else
		print_sessions(cli, json);
	free(json);
	return (int)status;
}

void cli_print_result(const char *text, FILE *out)
{
	char name[VALUE_MAX], value[VALUE_MAX] = "";
	struct json json = {text, text + strlen(text)};

	if (json_mark(&json, '{') && json_value(&json, name) &&
		json_value(&json, value))
		fprintf(out, "%s\n", value);
}

static int print_result(struct cli *cli, struct msg *question)
{
	uint32_t status = 0;
	char *text;

	if (!cli_control(cli, question, &status, &text))
		return CLI_ERROR;
	if (cli->json)
		puts(text);
	else
		cli_print_result(text, status ? stderr : stdout);
	free(text);
	return (int)status;
}

int cmd_end(struct cli *cli)
{
	struct msg question;
	int i;

	msg_init(&question, MSG_CTL_END);
	buf_put_cstring(&question.body, cli->argv[0]);
	if (cli->argc <= 2) {
		buf_put_cstring(
			&question.body, cli->argc == 2 ? cli->argv[1] : "");
	} else {
		struct buf reason;

		buf_init(&reason, 4096);
		for (i = 1; i < cli->argc; i++)
			buf_printf(&reason, "%s%s", i > 1 ? " " : "",
				cli->argv[i]);
		buf_put_string(&question.body, reason.data, reason.len);
		buf_done(&reason);
	}
	return print_result(cli, &question);
}

int cmd_metrics(struct cli *cli)
{
	struct msg question;
	uint32_t status = 0;
	char *text;

	msg_init(&question, MSG_CTL_METRICS);
	if (!cli_control(cli, &question, &status, &text))
		return CLI_ERROR;
	fputs(text, stdout);
	free(text);
	return (int)status;
}

int cmd_reload(struct cli *cli)
{
	struct msg question;

	msg_init(&question, MSG_CTL_RELOAD);
	return print_result(cli, &question);
}
