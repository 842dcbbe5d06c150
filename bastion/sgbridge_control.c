/*
 * sgbridge status, sessions, requests, end, reload and others: questions to a
 * running sgbridged. The answers are JSON; for people they become tables.
 */
#include "sgbridge.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "core/conf.h"
#include "core/msg.h"

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
	char *path = cli_conf(cli, &conf) ? strdup(conf->control_socket) : NULL;

	conf_free(conf);
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

static json_t *parse(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);

	if (!json)
		cli_fail("sgbridged's answer is not JSON; is it of another "
			 "version?");
	return json;
}

/* A value as one cell of a table. */
static void put_cell(struct table *table, const char *name, json_t *value)
{
	char text[64];
	struct tm tm;
	time_t when;

	if (json_is_string(value)) {
		const char *string = json_string_value(value);

		table_put(table, *string ? string : "-");
		return;
	}
	snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
		json_integer_value(value));
	when = (time_t)json_integer_value(value);
	if (json_is_boolean(value))
		snprintf(text, sizeof(text), "%s",
			json_is_true(value) ? "yes" : "no");
	else if ((!strcmp(name, "since") || !strcmp(name, "until")) &&
		 localtime_r(&when, &tm))
		strftime(text, sizeof(text), "%F %T", &tm);
	table_put(table, text);
}

/* An array of objects; empty: this text instead. */
static void print_rows(struct cli *cli, json_t *rows,
	const char *const *columns, const char *empty)
{
	struct table table;
	json_t *row;
	size_t i, n;

	table_init(&table, columns);
	json_array_foreach(rows, n, row) for (i = 0; columns[i]; i++)
		put_cell(&table, columns[i], json_object_get(row, columns[i]));
	if (table.count)
		table_print(&table, cli->colour);
	else
		puts(empty);
	table_done(&table);
}

static void print_pairs(struct cli *cli, json_t *object)
{
	static const char *const columns[] = {"what", "value", NULL};
	const char *name;
	struct table table;
	json_t *value;

	table_init(&table, columns);
	json_object_foreach(object, name, value)
	{
		table_put(&table, name);
		put_cell(&table, name, value);
	}
	table_print(&table, cli->colour);
	table_done(&table);
}

int cmd_status(struct cli *cli)
{
	struct msg question;
	uint32_t status = 0;
	json_t *json;
	char *text;

	msg_init(&question, MSG_CTL_STATUS);
	if (!cli_control(cli, &question, &status, &text))
		return CLI_ERROR;
	json = cli->json ? NULL : parse(text);
	if (cli->json)
		puts(text);
	else if (json)
		print_pairs(cli, json);
	json_decref(json);
	free(text);
	return (int)status;
}

static uint32_t rows_in(const json_t *list)
{
	return (uint32_t)(json_array_size(json_object_get(list, "sessions")) +
			  json_array_size(json_object_get(list, "requests")));
}

static bool append(json_t *all, const json_t *part, const char *key)
{
	return !json_array_extend(
		json_object_get(all, key), json_object_get(part, key));
}

/* One part of the list after the other; {"sessions":[...],"requests":[...]}.
 * NULL after a message. */
json_t *cli_list(struct cli *cli)
{
	json_t *all = NULL, *part;
	json_int_t more = 1;

	while (more) {
		struct msg question;
		uint32_t status = 0;
		char *text;

		msg_init(&question, MSG_CTL_LIST);
		buf_put_u32(&question.body, rows_in(all));
		if (!cli_control(cli, &question, &status, &text))
			break;
		part = parse(text);
		free(text);
		if (!part)
			break;
		more = json_integer_value(json_object_get(part, "more"));
		if (!all)
			all = json_incref(part);
		else if (!rows_in(part) || !append(all, part, "sessions") ||
			 !append(all, part, "requests"))
			more = 0;
		json_decref(part);
	}
	if (!more)
		return all;
	json_decref(all);
	return NULL;
}

static int list(struct cli *cli, const char *key, const char *const *columns,
	const char *empty)
{
	json_t *all = cli_list(cli), *rows;
	char *text;

	if (!all)
		return CLI_ERROR;
	rows = json_object_get(all, key);
	if (cli->json) {
		text = json_dumps(rows, JSON_COMPACT);
		printf("{\"%s\":%s}\n", key, text ? text : "[]");
		free(text);
	} else {
		print_rows(cli, rows, columns, empty);
	}
	json_decref(all);
	return CLI_YES;
}

int cmd_sessions(struct cli *cli)
{
	static const char *const columns[] = {"id", "since", "user", "source",
		"phase", "login", "target", "recording", NULL};

	return list(cli, "sessions", columns, "no connections");
}

int cmd_requests(struct cli *cli)
{
	static const char *const columns[] = {"id", "since", "state", "user",
		"source", "access", "approval", "judge", "until", "reason",
		NULL};

	return list(cli, "requests", columns, "no requests");
}

void cli_print_result(const char *text, FILE *out)
{
	json_t *json = parse(text);
	const char *result = json_string_value(json_object_get(json, "result"));

	if (result)
		fprintf(out, "%s\n", result);
	json_decref(json);
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

/* The words behind the first, as one text. */
static void put_reason(struct msg *question, const struct cli *cli)
{
	struct buf reason;
	int i;

	buf_init(&reason, 4096);
	for (i = 1; i < cli->argc; i++)
		buf_printf(&reason, "%s%s", i > 1 ? " " : "", cli->argv[i]);
	buf_put_string(&question->body, reason.data, reason.len);
	buf_done(&reason);
}

int cmd_end(struct cli *cli)
{
	struct msg question;

	msg_init(&question, MSG_CTL_END);
	buf_put_cstring(&question.body, cli->argv[0]);
	put_reason(&question, cli);
	return print_result(cli, &question);
}

static int verdict(struct cli *cli, bool yes)
{
	struct msg question;

	msg_init(&question, MSG_CTL_VERDICT);
	buf_put_cstring(&question.body, cli->argv[0]);
	buf_put_u32(&question.body, yes);
	put_reason(&question, cli);
	return print_result(cli, &question);
}

int cmd_approve(struct cli *cli)
{
	return verdict(cli, true);
}

int cmd_deny(struct cli *cli)
{
	return verdict(cli, false);
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
