/*
 * sgbridge replay: a new policy against what happened. Every connection to a
 * target that the event trail tells of is judged again as of its own time; what
 * the new policy would have refused is listed, with its reason. Unix groups
 * are those of today.
 */
#include "sgbridge.h"

#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/conf.h"

#define LINE_BYTES 65536

struct replay {
	struct cli *cli;
	time_t since;
	size_t judged, refused, unread;
	struct table table;
};

static const char *const columns[] = {
	"time", "user", "source", "target", "was", "reason", NULL};

/* A text below two names, or "". */
static const char *text_at(
	const json_t *event, const char *outer, const char *inner)
{
	const char *text = json_string_value(
		json_object_get(json_object_get(event, outer), inner));

	return text ? text : "";
}

static void list(struct replay *replay, const struct policy_request *request,
	const char *was, enum policy_reason reason)
{
	struct table *table = &replay->table;
	char source[ADDR_TEXT_MAX];
	struct buf cell;

	buf_init(&cell, 4096);
	text_time(request->now, &cell);
	table_put_buf(table, &cell);
	table_put(table, request->user);
	table_put(table, addr_text(&request->source, source));
	buf_printf(&cell, "%s%s%s:%u", request->login,
		*request->login ? "@" : "", request->target, request->port);
	table_put_buf(table, &cell);
	table_put(table, was);
	table_put(table, policy_reason_text(reason));
	buf_done(&cell);
}

static void judge(
	struct replay *replay, struct policy_request *request, const char *was)
{
	struct policy_decision decision;
	char **groups = NULL;

	/* Nobody by that name any more: then he is in no group. */
	if (!cli_groups(replay->cli, request->user, &groups))
		groups = NULL;
	request->groups = (const char *const *)groups;
	policy_decide(replay->cli->policy, request, &decision);
	policy_unix_groups_free(groups);
	replay->judged++;
	if (decision.verdict == POLICY_PERMIT)
		return;
	replay->refused++;
	list(replay, request, was, decision.reason);
}

static void take_event(struct replay *replay, const json_t *event)
{
	const json_t *ours = json_object_get(
		json_object_get(event, "unmapped"), "sgb");
	const json_t *target = json_object_get(event, "dst_endpoint");
	const char *kind = json_string_value(json_object_get(ours, "event"));
	const char *login = json_string_value(json_object_get(ours, "login"));
	const char *was = json_string_value(json_object_get(ours, "rule"));
	bool tunnel = kind && !strcmp(kind, "tunnel-open");
	struct policy_request request = {
		.via = POLICY_VIA_PROXY,
		.user = text_at(event, "user", "name"),
		.target = text_at(event, "dst_endpoint", "hostname"),
		.login = login ? login : "",
		.want = tunnel ? POLICY_FORWARD : 0,
		.port = (uint16_t)json_integer_value(
			json_object_get(target, "port")),
		.now = (time_t)(json_integer_value(
					json_object_get(event, "time")) /
				1000),
	};

	if (!kind || (strcmp(kind, "target-open") && !tunnel) ||
		json_integer_value(json_object_get(event, "status_id")) != 1 ||
		request.now < replay->since)
		return;
	if (addr_parse(text_at(event, "src_endpoint", "ip"), &request.source) ||
		!*request.user || !*request.target) {
		replay->unread++;
		return;
	}
	judge(replay, &request, was ? was : "");
}

static bool read_file(
	struct replay *replay, const char *folder, const char *name)
{
	char *path = NULL, *line = NULL;
	FILE *file = NULL;
	size_t cap = 0;
	ssize_t len;

	if (asprintf(&path, "%s/%s", folder, name) >= 0)
		file = fopen(path, "re");
	if (!file) {
		cli_fail("%s/%s: cannot be read", folder, name);
		free(path);
		return false;
	}
	while ((len = getline(&line, &cap, file)) > 0) {
		json_t *event = len > LINE_BYTES ? NULL
						 : json_loadb(line, (size_t)len,
							   0, NULL);

		if (json_is_object(event))
			take_event(replay, event);
		else
			replay->unread++;
		json_decref(event);
	}
	free(line);
	free(path);
	fclose(file);
	return true;
}

static int is_trail(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 6 && !strcmp(entry->d_name + len - 6, ".jsonl");
}

/* The files' names begin with their day, so that this is the order of time. */
static bool read_trail(struct replay *replay, const char *folder)
{
	struct dirent **names;
	int count = scandir(folder, &names, is_trail, alphasort), i;
	bool good = count > 0;

	if (count < 1)
		cli_fail("%s: %s", folder,
			count ? "cannot be read; is the event trail there?"
			      : "no event trail there");
	for (i = 0; i < count; i++) {
		good = good && read_file(replay, folder, names[i]->d_name);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	return good;
}

static char *trail_folder(struct cli *cli)
{
	struct conf *conf = NULL;
	struct diag diag;
	char *path = NULL;

	if (cli->events)
		return strdup(cli->events);
	diag_init(&diag);
	if (conf_load(cli->config ? cli->config : CONF_DEFAULT_PATH, &conf,
		    &diag))
		diag_print(&diag, stderr, cli->colour);
	else
		path = strdup(conf->events);
	conf_free(conf);
	diag_done(&diag);
	return path;
}

static void print_json(struct replay *replay)
{
	struct buf out;

	buf_init(&out, 64u * 1024 * 1024);
	buf_printf(&out,
		"{\"judged\":%zu,\"refused\":%zu,\"unread\":%zu,\"list\":",
		replay->judged, replay->refused, replay->unread);
	table_json(&replay->table, &out);
	buf_printf(&out, "}\n");
	if (!buf_error(&out))
		fwrite(out.data, 1, out.len, stdout);
	buf_done(&out);
}

static int finish(struct replay *replay)
{
	if (replay->cli->json) {
		print_json(replay);
	} else {
		if (replay->refused)
			table_print(&replay->table, replay->cli->colour);
		printf("%zu of %zu connections would have been refused\n",
			replay->refused, replay->judged);
	}
	if (replay->unread)
		cli_fail("%zu lines of the trail are no events of ours",
			replay->unread);
	return replay->refused ? CLI_NO : CLI_YES;
}

int cmd_replay(struct cli *cli)
{
	struct replay replay = {.cli = cli};
	int status = CLI_ERROR;
	uint64_t seconds = 0;
	char *folder;

	if (cli->since && conf_seconds(cli->since, &seconds))
		return cli_fail("--since %s: expected a time such as 12h or "
				"30d",
			cli->since);
	if (cli->since)
		replay.since = time(NULL) - (time_t)seconds;
	cli->policy_path = cli->argv[0];
	if (!cli_load(cli))
		return CLI_ERROR;
	folder = trail_folder(cli);
	table_init(&replay.table, columns);
	if (folder && read_trail(&replay, folder))
		status = finish(&replay);
	table_done(&replay.table);
	free(folder);
	return status;
}
