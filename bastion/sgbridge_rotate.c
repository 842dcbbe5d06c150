/*
 * sgbridge rotate: what a key's rotation is, how far each is, and the next
 * step. Explains the overlap while it does it; the work is rotate_*.c's.
 */
#include "rotate.h"

#include <stdlib.h>
#include <string.h>

#include "core/event.h"

#define LINES_MAX 8192
#define OUT_MAX	  65536
/* The only way to an instance that trusts the bastion. */
#define THROUGH "ssh -p 30022 USER+LOGIN@NAME@BASTION sudo sh <NAME.sh"

/* After each state: what is so now, and what remains to be done. */
static const struct kind {
	const char *name;
	int (*run)(struct rotate *r, int step);
	const char *done[ROTATE_SWITCHED + 1];
	const char *heading; /* over the lines that others need */
	bool own_event;	     /* the programs that do it write none */
} kinds[] = {
	{"host-key", rotate_host_key,
		{[ROTATE_IDLE] = "One host key, the present one. Nothing "
				 "remains to be done.",
			[ROTATE_ANNOUNCED] =
				"The bastion still shows the old key. Let "
				"people's known_hosts have both: publish\nthe "
				"line where they found the old one; `ssh "
				"USER@BASTION config` prints both, too.\n"
				"When they have it: sgbridge rotate host-key "
				"--switch",
			[ROTATE_SWITCHED] =
				"Each new connection is shown the new key; "
				"those that are open go on. Who knows\nthe old "
				"one alone is warned by ssh, and gets the line "
				"from you; --undo shows the\nold one again. "
				"When all have it: sgbridge rotate host-key "
				"--finish"},
		"for known_hosts:", true},
	{"user-ca", rotate_user_ca,
		{[ROTATE_IDLE] = "One CA, the present one. After a rotation "
				 "take the old key from each instance:\n"
				 "sgbridge instance-setup NAME >NAME.sh, and "
				 "from where you work\n" THROUGH,
			[ROTATE_ANNOUNCED] =
				"The bastion still signs with the old key. Let "
				"each instance trust both:\n"
				"sgbridge instance-setup NAME >NAME.sh, and "
				"from where you work\n" THROUGH
				"\nWhen all do (sgbridge doctor NAME tries "
				"it): sgbridge rotate user-ca --switch",
			[ROTATE_SWITCHED] =
				"Logins are signed with the new key; "
				"instances trust both. An instance that was\n"
				"forgotten refuses: run instance-setup for it, "
				"or --undo. When people get in\neverywhere: "
				"sgbridge rotate user-ca --finish"},
		"what instances must trust:", true},
	{"recorder", rotate_recorder,
		{[ROTATE_IDLE] = "The recorder signs with one key. Old "
				 "recordings stay signed by old ones: auditors "
				 "keep\nall lines of their file of writers.",
			[ROTATE_ANNOUNCED] =
				"The recorder still signs with the old key. "
				"Send the line to the auditors, for their\n"
				"file of writers, beside the old one. When "
				"they have it: sgbridge rotate recorder "
				"--switch"},
		"for the auditors' file of writers:", false},
	{"master", rotate_master,
		{[ROTATE_IDLE] = "One master key. Keep its copy apart from "
				 "copies of what it seals.",
			[ROTATE_SWITCHED] =
				"All that is sealed is sealed under the new "
				"key; the file still opens what older ones\n"
				"sealed. Copy it to where the copy of the old "
				"one is kept, then: sgbridge rotate\nmaster "
				"--finish. Keep the old copy as long as "
				"backups that need it."},
		"", false},
};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

static const char *const states[] = {"idle", "announced", "switched"};
static const char *const step_names[] = {"start", "switch", "finish", "undo"};

static const struct kind *find_kind(const char *name)
{
	size_t i;

	for (i = 0; i < KIND_COUNT; i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	cli_fail("%s: expected host-key, user-ca, recorder or master", name);
	return NULL;
}

static void put_member(struct buf *out, const char *name, const char *value)
{
	buf_put_u8(out, ',');
	text_json_member(out, name, value);
}

static void put_json(
	const struct rotate *r, const struct kind *kind, struct buf *out)
{
	buf_printf(out, "{\"changed\":%s", r->changed ? "true" : "false");
	put_member(out, "key", kind->name);
	put_member(out, "state", states[r->state]);
	put_member(out, "now", r->now);
	put_member(out, "next", r->next);
	put_member(out, "old", r->last);
	put_member(out, "wrong", r->wrong ? r->wrong : "");
	put_member(out, "remains", kind->done[r->state]);
	buf_printf(out, ",\"lines\":");
	json_put_string(out, (const char *)r->lines.data, r->lines.len);
	buf_printf(out, "}");
}

static void put_text(
	const struct rotate *r, const struct kind *kind, struct buf *out)
{
	buf_printf(out, "%-9s %-10s %s", kind->name, states[r->state], r->now);
	if (*r->next)
		buf_printf(out, "\n%-9s %-10s %s", "", "next", r->next);
	if (*r->last)
		buf_printf(out, "\n%-9s %-10s %s", "", "old", r->last);
	buf_printf(out, "\n\n%s\n", kind->done[r->state]);
	if (r->lines.len)
		buf_printf(out, "\n%s\n%.*s", kind->heading, (int)r->lines.len,
			(const char *)r->lines.data);
}

/* The trail tells who changed a key. A recorder that is down hinders no
 * rotation: what is at risk may be the key. */
static void tell_trail(
	const struct rotate *r, const struct kind *kind, int step)
{
	char what[100], why[300];
	struct event event = {.kind = EVENT_CONFIG,
		.ok = true,
		.user = cli_operator(),
		.what = what,
		.reason = why};

	snprintf(what, sizeof(what), "rotate %s: %s", kind->name,
		step_names[step]);
	snprintf(why, sizeof(why), "%s; now %s, next %s, old %s",
		states[r->state], r->now, *r->next ? r->next : "none",
		*r->last ? r->last : "none");
	if (!cli_tell(r->conf, &event))
		cli_fail("note: the event trail does not know of it: no "
			 "recorder answers");
}

static int run_one(struct cli *cli, const struct conf *conf,
	const struct kind *kind, int step, struct buf *out, bool *ret_busy)
{
	struct rotate r = {.cli = cli, .conf = conf};
	int status;

	buf_init(&r.lines, LINES_MAX);
	status = kind->run(&r, step);
	if (r.changed && kind->own_event)
		tell_trail(&r, kind, step);
	if (status != CLI_ERROR && cli->json)
		put_json(&r, kind, out);
	else if (status == CLI_NO)
		cli_fail("rotate %s: %s", kind->name, r.wrong);
	else if (status == CLI_YES)
		put_text(&r, kind, out);
	if (ret_busy)
		*ret_busy = *ret_busy || r.state != ROTATE_IDLE;
	buf_done(&r.lines);
	return status;
}

/* All of them; what is under way is the answer. */
static int look_at_all(
	struct cli *cli, const struct conf *conf, struct buf *out)
{
	bool busy = false;
	int status = CLI_YES;
	size_t i;

	if (cli->json)
		buf_printf(out, "[");
	for (i = 0; i < KIND_COUNT; i++) {
		if (i)
			buf_printf(out, cli->json ? "," : "\n");
		if (run_one(cli, conf, &kinds[i], ROTATE_LOOK, out, &busy) ==
			CLI_ERROR)
			status = CLI_ERROR;
	}
	if (cli->json)
		buf_printf(out, "]");
	return status == CLI_ERROR ? CLI_ERROR : busy ? CLI_NO : CLI_YES;
}

static int wanted_step(const struct cli *cli, int *ret)
{
	if (cli->switch_over + cli->finish + cli->undo > 1)
		return cli_fail("one of --switch, --finish and --undo");
	*ret = cli->switch_over ? ROTATE_SWITCH
	       : cli->finish	? ROTATE_FINISH
	       : cli->undo	? ROTATE_UNDO
				: ROTATE_START;
	if (!cli->argc && *ret != ROTATE_START)
		return cli_fail("which key? host-key, user-ca, recorder or "
				"master");
	return CLI_YES;
}

int cmd_rotate(struct cli *cli)
{
	const struct kind *kind = cli->argc ? find_kind(cli->argv[0]) : NULL;
	struct conf *conf = NULL;
	struct buf out;
	int step = ROTATE_START, status;

	if (cli->argc && !kind)
		return CLI_ERROR;
	if (wanted_step(cli, &step) || !cli_conf(cli, &conf))
		return CLI_ERROR;
	buf_init(&out, OUT_MAX);
	status = kind ? run_one(cli, conf, kind, step, &out, NULL)
		      : look_at_all(cli, conf, &out);
	if (cli->json)
		buf_printf(&out, "\n");
	cli_print(&out);
	buf_done(&out);
	conf_free(conf);
	return status;
}
