/*
 * sgbridge replay: a new policy against what happened. Every connection to a
 * target that the event trail tells of is judged again as of its own time; what
 * the new policy would have refused is listed, with its reason. Unix groups
 * are those of today.
 */
#include "sgbridge_trail.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/conf.h"

struct replay {
	struct cli *cli;
	time_t since;
	size_t judged, refused, unread;
	struct table table;
};

static const char *const columns[] = {
	"time", "user", "source", "target", "was", "reason", NULL};

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

/* Through sshd, sudo or su of the bastion itself: sgbridge-audit collect. */
static bool is_host_logon(const json_t *event, const char *kind)
{
	return json_object_get(trail_own(event), "kernel_audit") &&
	       (!strcmp(kind, "logon") || !strcmp(kind, "access"));
}

static void take_event(const json_t *event, void *arg)
{
	struct replay *replay = arg;
	const json_t *ours = trail_own(event);
	const char *kind = json_string_value(json_object_get(ours, "event"));
	const char *login = json_string_value(json_object_get(ours, "login"));
	const char *was = json_string_value(json_object_get(ours, "rule"));
	bool tunnel = kind && !strcmp(kind, "tunnel-open");
	json_int_t port = json_integer_value(json_object_get(
		json_object_get(event, "dst_endpoint"), "port"));
	struct policy_request request = {
		.via = POLICY_VIA_PROXY,
		.user = trail_text(event, "user", "name"),
		.target = trail_text(event, "dst_endpoint", "hostname"),
		.login = login ? login : "",
		.want = tunnel ? POLICY_FORWARD : 0,
		.port = (uint16_t)port,
		.now = trail_time(event),
	};

	if (kind && is_host_logon(event, kind)) {
		request.via = POLICY_VIA_PAM;
		request.service = json_string_value(
			json_object_get(ours, "what"));
		request.local = !*trail_text(event, "src_endpoint", "ip");
		request.login = "";
	} else if (!kind || (strcmp(kind, "target-open") && !tunnel)) {
		return;
	}
	if (!trail_succeeded(event) || request.now < replay->since)
		return;
	if ((!request.local &&
		    addr_parse(trail_text(event, "src_endpoint", "ip"),
			    &request.source)) ||
		!*request.user || !*request.target || port < 0 ||
		port > 65535) {
		replay->unread++;
		return;
	}
	judge(replay, &request, was ? was : "");
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
	size_t unread;
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
	if (folder && trail_read(folder, take_event, &replay, &unread)) {
		replay.unread += unread;
		status = finish(&replay);
	}
	table_done(&replay.table);
	free(folder);
	return status;
}
